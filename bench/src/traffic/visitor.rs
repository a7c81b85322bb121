//! Who comes, how often, from where and with what.

use std::sync::LazyLock;

use super::{
    DAY, Site, World,
    chance::{Chance, Popularity},
};

/// What stays the same over all visits.
pub(super) struct Visitor {
    pub(super) id: u128,
    /// `""` for who is not signed in.
    pub(super) user: String,
    pub(super) plan: &'static str,
    pub(super) country: &'static Country,
    pub(super) machine: &'static Machine,
    pub(super) screen: &'static str,
    /// Of browsers that tell it; `""` of others.
    pub(super) connection: &'static str,
    /// Loads take this many times as long as for the median visitor.
    pub(super) network: f64,
    /// Scripts take this many times as long as for the median visitor.
    pub(super) processor: f64,
    /// How early releases come, 0 to 1.
    pub(super) luck: f64,
    pub(super) staging: bool,
    /// Days by which the browser is ahead of others.
    ahead: i64,
}

pub(super) struct Country {
    pub(super) code: &'static str,
    weight: f64,
    pub(super) language: &'static str,
    pub(super) timezone: &'static str,
    /// Hours ahead of UTC.
    pub(super) offset: i64,
    /// Shares of phones, and of iPhones among them.
    phones: f64,
    iphones: f64,
    /// Share of phones with less than 4g.
    slow: f64,
    /// Way to the servers and back, ms.
    pub(super) distance: f64,
}

macro_rules! countries {
    ($(($code:literal, $weight:literal, $language:literal, $timezone:literal, $offset:literal, $phones:literal, $iphones:literal, $slow:literal, $distance:literal),)*) => {
        &[$(Country { code: $code, weight: $weight, language: $language, timezone: $timezone, offset: $offset, phones: $phones, iphones: $iphones, slow: $slow, distance: $distance },)*]
    };
}

#[rustfmt::skip]
const COUNTRIES: &[Country] = countries![
    ("DE", 21.0, "de-DE", "Europe/Berlin", 1, 0.48, 0.38, 0.04, 18.0),
    ("US", 14.0, "en-US", "America/New_York", -5, 0.49, 0.57, 0.03, 95.0),
    ("GB", 9.0, "en-GB", "Europe/London", 0, 0.52, 0.52, 0.03, 26.0),
    ("FR", 8.0, "fr-FR", "Europe/Paris", 1, 0.51, 0.36, 0.05, 22.0),
    ("IN", 7.0, "en-IN", "Asia/Kolkata", 5, 0.81, 0.05, 0.31, 140.0),
    ("BR", 5.0, "pt-BR", "America/Sao_Paulo", -3, 0.66, 0.17, 0.2, 190.0),
    ("NL", 4.0, "nl-NL", "Europe/Amsterdam", 1, 0.46, 0.42, 0.02, 16.0),
    ("IT", 4.0, "it-IT", "Europe/Rome", 1, 0.55, 0.29, 0.06, 28.0),
    ("ES", 4.0, "es-ES", "Europe/Madrid", 1, 0.56, 0.22, 0.06, 34.0),
    ("PL", 3.5, "pl-PL", "Europe/Warsaw", 1, 0.54, 0.13, 0.06, 24.0),
    ("JP", 3.0, "ja-JP", "Asia/Tokyo", 9, 0.53, 0.66, 0.02, 230.0),
    ("AT", 2.5, "de-AT", "Europe/Vienna", 1, 0.47, 0.37, 0.03, 20.0),
    ("CH", 2.5, "de-CH", "Europe/Zurich", 1, 0.46, 0.54, 0.02, 19.0),
    ("CA", 2.0, "en-CA", "America/Toronto", -5, 0.48, 0.58, 0.04, 100.0),
    ("SE", 2.0, "sv-SE", "Europe/Stockholm", 1, 0.49, 0.55, 0.02, 30.0),
    ("BE", 1.5, "nl-BE", "Europe/Brussels", 1, 0.48, 0.42, 0.03, 20.0),
    ("MX", 1.5, "es-MX", "America/Mexico_City", -6, 0.68, 0.2, 0.22, 150.0),
    ("AU", 1.2, "en-AU", "Australia/Sydney", 10, 0.48, 0.57, 0.04, 270.0),
    ("TR", 1.2, "tr-TR", "Europe/Istanbul", 3, 0.72, 0.17, 0.12, 50.0),
    ("ID", 1.0, "id-ID", "Asia/Jakarta", 7, 0.8, 0.1, 0.28, 210.0),
    ("ZA", 0.8, "en-ZA", "Africa/Johannesburg", 2, 0.72, 0.15, 0.22, 165.0),
    ("NG", 0.6, "en-NG", "Africa/Lagos", 1, 0.86, 0.07, 0.42, 120.0),
    ("KR", 0.5, "ko-KR", "Asia/Seoul", 9, 0.6, 0.28, 0.01, 240.0),
];

/// A browser on a system on a device.
pub(super) struct Machine {
    device: Device,
    weight: f64,
    /// `{v}` is the browser's major version.
    header: &'static str,
    /// Major version at the beginning of the world; a new one comes every `every` days.
    version: i64,
    every: i64,
    pub(super) firefox: bool,
    /// Whether it tells the kind of connection, and the vitals that only Chromium measures.
    pub(super) chromium: bool,
    slowness: f64,
    screens: &'static [&'static str],
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Device {
    Desktop,
    Android,
    IPhone,
    Tablet,
}

const DESKTOP: &[&str] = &["1920x1080", "1536x864", "1366x768", "2560x1440", "1440x900", "1680x1050", "3840x2160"];
const MAC: &[&str] = &["1440x900", "1512x982", "1728x1117", "1680x1050", "2560x1440"];
const ANDROID: &[&str] = &["412x915", "360x800", "393x873", "384x832", "360x640"];
const IPHONE: &[&str] = &["390x844", "393x852", "430x932", "375x667", "414x896"];
const TABLET: &[&str] = &["820x1180", "768x1024", "800x1280", "1024x1366"];

macro_rules! machines {
    ($(($device:ident, $weight:literal, $version:literal, $every:literal, $firefox:literal, $chromium:literal, $slowness:literal, $screens:ident, $header:literal),)*) => {
        &[$(Machine { device: Device::$device, weight: $weight, header: $header, version: $version, every: $every, firefox: $firefox, chromium: $chromium, slowness: $slowness, screens: $screens },)*]
    };
}

#[rustfmt::skip]
const MACHINES: &[Machine] = machines![
    (Desktop, 44.0, 154, 28, false, true, 0.8, DESKTOP, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36"),
    (Desktop, 14.0, 154, 28, false, true, 0.85, DESKTOP, "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36 Edg/{v}.0.0.0"),
    (Desktop, 8.0, 145, 28, true, false, 0.85, DESKTOP, "Mozilla/5.0 (Windows NT 10.0; Win64; x64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0"),
    (Desktop, 14.0, 154, 28, false, true, 0.65, MAC, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36"),
    (Desktop, 15.0, 26, 180, false, false, 0.6, MAC, "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{v}.0 Safari/605.1.15"),
    (Desktop, 3.0, 154, 28, false, true, 0.8, DESKTOP, "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36"),
    (Desktop, 2.0, 145, 28, true, false, 0.8, DESKTOP, "Mozilla/5.0 (X11; Linux x86_64; rv:{v}.0) Gecko/20100101 Firefox/{v}.0"),
    (Android, 76.0, 154, 28, false, true, 1.7, ANDROID, "Mozilla/5.0 (Linux; Android 10; K) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Mobile Safari/537.36"),
    (Android, 14.0, 28, 90, false, true, 1.6, ANDROID, "Mozilla/5.0 (Linux; Android 14; SAMSUNG SM-S918B) AppleWebKit/537.36 (KHTML, like Gecko) SamsungBrowser/{v}.0 Chrome/136.0.0.0 Mobile Safari/537.36"),
    (Android, 6.0, 145, 28, true, false, 1.8, ANDROID, "Mozilla/5.0 (Android 14; Mobile; rv:{v}.0) Gecko/{v}.0 Firefox/{v}.0"),
    (IPhone, 84.0, 26, 180, false, false, 1.0, IPHONE, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{v}.0 Mobile/15E148 Safari/604.1"),
    (IPhone, 9.0, 154, 28, false, false, 1.05, IPHONE, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) CriOS/{v}.0.0.0 Mobile/15E148 Safari/604.1"),
    (IPhone, 7.0, 520, 14, false, false, 1.2, IPHONE, "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/22G86 [FBAN/FBIOS;FBAV/{v}.0.0.40.109;FBBV/700000000]"),
    (Tablet, 62.0, 26, 180, false, false, 1.0, TABLET, "Mozilla/5.0 (iPad; CPU OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Version/{v}.0 Mobile/15E148 Safari/604.1"),
    (Tablet, 38.0, 154, 28, false, true, 1.6, TABLET, "Mozilla/5.0 (Linux; Android 14; SM-X710) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/{v}.0.0.0 Safari/537.36"),
];

/// Visits by local hour; most in the evening.
const HOURS: [f64; 24] =
    [1.6, 0.8, 0.5, 0.4, 0.4, 0.7, 1.6, 2.8, 4.0, 4.8, 5.2, 5.3, 5.6, 5.2, 5.0, 5.0, 5.2, 5.6, 6.2, 7.2, 8.0, 7.6, 5.6, 3.2];
/// Visits by day of the week, from Monday.
const WEEK: [f64; 7] = [1.0, 0.95, 0.93, 0.95, 0.98, 1.12, 1.3];

static HOUR: LazyLock<Popularity> = LazyLock::new(|| Popularity::of(HOURS.into_iter()));

/// How many visits of a visitor begin on a day of the world.
pub(super) fn visits_on(world: &World, site: &Site, number: u64, day: u32) -> u32 {
    let mut chance = Chance::of(&[world.seed, site.salt, number, 1]);
    let days = f64::from(world.days);
    // Two of five were there before. Of who came once before the first day nothing would be seen.
    let old = chance.yes(0.4);
    let loyalty = chance.share();
    let first = if old { -60.0 * chance.share() } else { (days + 7.0) * chance.share() };
    let since = i64::from(day) - first.floor() as i64;
    if since < 0 {
        return 0;
    }
    let often = match (old, loyalty) {
        (false, ..0.55) => 0.0,
        (_, 0.9..) => 0.5,
        _ => 0.16,
    };
    let mut today = Chance::of(&[world.seed, site.salt, number, 2, u64::from(day)]);
    // 1970-01-01 was a Thursday.
    let weekday = (world.begin.div_euclid(DAY) + i64::from(day) + 3).rem_euclid(7) as usize;
    let comes = since == 0 || today.yes(often * (since as f64 + 1.0).powf(-0.35) * WEEK[weekday]);
    if comes { 1 + today.times(0.25) } else { 0 }
}

/// When a visit begins, ms since the Unix epoch: on that day in UTC, at the visitor's hours.
pub(super) fn begin_on(world: &World, country: &Country, day: u32, chance: &mut Chance) -> i64 {
    let hour = HOUR.choose(chance) as i64 - country.offset;
    world.begin + i64::from(day) * DAY + hour.rem_euclid(24) * 3_600_000 + chance.between(0..3_600_000)
}

impl Visitor {
    pub(super) fn of(world: &World, site: &Site, number: u64) -> Visitor {
        let mut chance = Chance::of(&[world.seed, site.salt, number, 3]);
        let country = chance.weighted(COUNTRIES, |country| country.weight);
        let device = match chance.share() {
            share if share < country.phones * country.iphones => Device::IPhone,
            share if share < country.phones => Device::Android,
            share if share < country.phones + 0.04 => Device::Tablet,
            _ => Device::Desktop,
        };
        let machine = chance.weighted(MACHINES, |machine| if machine.device == device { machine.weight } else { 0.0 });
        let mobile = matches!(device, Device::Android | Device::IPhone);
        let (connection, slow) = match chance.share() {
            share if mobile && share < country.slow * 0.2 => ("2g", 3.2),
            share if mobile && share < country.slow => ("3g", 1.9),
            share if !mobile && share < 0.02 => ("3g", 1.7),
            _ => ("4g", if mobile { 1.15 } else { 0.9 }),
        };
        let signed_in = chance.yes(0.34);
        let plan = match chance.share() {
            _ if !signed_in => "guest",
            ..0.66 => "free",
            ..0.92 => "pro",
            ..0.985 => "team",
            _ => "enterprise",
        };
        Visitor {
            id: chance.id(world.begin - chance_days(number)),
            user: if signed_in { format!("{}", 100_000 + number) } else { String::new() },
            plan,
            country,
            machine,
            screen: chance.one_of(machine.screens),
            connection: if machine.chromium { connection } else { "" },
            network: chance.around(slow, 0.3),
            processor: chance.around(machine.slowness, 0.3),
            luck: chance.share(),
            staging: chance.yes(0.012),
            ahead: chance.between(-30..20),
        }
    }

    /// The `User-Agent` header on a day.
    pub(super) fn header(&self, day: i64) -> String {
        let version = self.machine.version + (day + 40 + self.ahead).max(0) / self.machine.every;
        self.machine.header.replace("{v}", &version.to_string())
    }
}

/// Ids of visitors tell when they were made: within the two months before, ms.
fn chance_days(number: u64) -> i64 {
    (number.wrapping_mul(0x9e37_79b9_7f4a_7c15) % (60 * 86_400_000)) as i64
}
