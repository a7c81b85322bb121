//! One session: the pages it leads over, and what the SDK sends from each.

use std::sync::LazyLock;

use monitor_core::{Attributes, Enricher, Envelope, Event, EventId, Kind, Origin, empty_object, enrich, query::VITAL_BANDS};
use serde_json::value::RawValue;

use super::{
    DAY, World,
    chance::Chance,
    site::{Purpose, Release, Route, Site},
    visitor::{Visitor, begin_on},
};

/// The SDK sends what has gathered this long after a page was opened, and the rest when it is left.
const FIRST_SEND: i64 = 5_000;

static USER_AGENT: LazyLock<enrich::UserAgent> = LazyLock::new(enrich::UserAgent::default);

/// The n-th visit of a visitor on a day.
pub(super) fn play(world: &World, site: &Site, number: u64, day: u32, nth: u32) -> Vec<Envelope> {
    let mut chance = Chance::of(&[world.seed, site.salt, number, 4, u64::from(day), u64::from(nth)]);
    let visitor = Visitor::of(world, site, number);
    let begin = begin_on(world, visitor.country, day, &mut chance);
    Visit::new(world, site, &visitor, begin, chance).play()
}

/// A visit that begins at this time.
pub(super) fn play_at(world: &World, site: &Site, number: u64, begin: i64, nth: u64) -> Vec<Envelope> {
    let chance = Chance::of(&[world.seed, site.salt, number, 5, nth]);
    Visit::new(world, site, &Visitor::of(world, site, number), begin, chance).play()
}

struct Visit<'a> {
    site: &'a Site,
    visitor: &'a Visitor,
    release: &'a Release,
    chance: Chance,
    /// What all envelopes have in common.
    origin: Origin,
    now: i64,
    envelopes: Vec<Envelope>,
    in_cart: u32,
}

/// A page that is looked at.
struct View<'a> {
    route: &'a Route,
    url: String,
    begin: i64,
    /// Loaded, not only shown by the application that was there.
    load: bool,
    price: f64,
    product: usize,
    events: Vec<Event>,
    /// The last clicks and requests, as breadcrumbs.
    crumbs: Vec<String>,
}

impl<'a> Visit<'a> {
    fn new(world: &World, site: &'a Site, visitor: &'a Visitor, begin: i64, mut chance: Chance) -> Visit<'a> {
        let release = site.release_at(begin, visitor.luck);
        let mut origin = Origin::new(site.project, begin);
        origin.session = format!("{:032x}", chance.id(begin));
        origin.visitor = format!("{:032x}", visitor.id);
        origin.user.clone_from(&visitor.user);
        origin.release = release.version.into();
        origin.environment = if visitor.staging { "staging" } else { "production" }.into();
        origin.sdk.name = "monitor-kit.browser".into();
        origin.sdk.version = "0.1.0".into();
        origin.device.screen = visitor.screen.into();
        origin.device.viewport = visitor.screen.into();
        origin.device.language = visitor.country.language.into();
        origin.device.timezone = visitor.country.timezone.into();
        origin.device.connection = visitor.connection.into();
        origin.country = visitor.country.code.into();
        origin.user_agent = visitor.header((begin - world.begin).div_euclid(DAY));
        origin.tags.insert("experiment".into(), if visitor.luck < 0.5 { "control" } else { "short-checkout" }.into());
        USER_AGENT.enrich_origin(&mut origin);
        Visit { site, visitor, release, chance, origin, now: begin, envelopes: Vec::new(), in_cart: 0 }
    }

    fn play(mut self) -> Vec<Envelope> {
        let bounce = self.chance.yes(0.36);
        let views = if bounce { 1 } else { 2 + self.chance.times(3.4) };
        let mut route = self.site.entries.choose(&mut self.chance);
        let mut referrer = if self.chance.yes(0.5) { "https://search.example/" } else { "" }.to_owned();
        // Who has something in the basket stays longer.
        let mut nth = 0;
        while nth < views || (self.in_cart > 0 && nth < 30 && self.chance.yes(0.8)) {
            let load = nth == 0 || self.chance.yes(0.45);
            let view = self.view(route, load, bounce, &referrer);
            referrer = view.url.clone();
            let purpose = view.route.purpose;
            self.send(view);
            route = self.next(purpose);
            nth += 1;
        }
        self.envelopes
    }

    fn next(&mut self, here: Purpose) -> usize {
        let luck = self.chance.share();
        let to = match here {
            Purpose::Product if self.in_cart > 0 && luck < 0.45 => Purpose::Cart,
            Purpose::Cart if luck < 0.6 => Purpose::Checkout,
            Purpose::Checkout if luck < 0.7 => Purpose::Payment,
            Purpose::Payment if luck < 0.85 => Purpose::Order,
            Purpose::Browse if luck < 0.55 => Purpose::Product,
            Purpose::Product if luck < 0.7 => Purpose::Product,
            _ => return self.site.entries.choose(&mut self.chance),
        };
        self.site.route_for(to)
    }

    /// Everything that happens on one page.
    fn view(&mut self, route: usize, load: bool, bounce: bool, referrer: &str) -> View<'a> {
        let site = self.site;
        let route = &site.routes[route];
        let product = site.products.choose(&mut self.chance);
        let path = route.path.replace(":id", &(1_000 + product).to_string()).replace(":category", &format!("{}", product % 40));
        let path = path
            .replace(":slug", &format!("{}", product % 300))
            .replace(":topic", &format!("{}", product % 60))
            .replace(":brand", &format!("{}", product % 90));
        let url = format!("https://www.{}{path}", site.domain);
        self.origin.page.id = format!("{:032x}", self.chance.id(self.now));
        self.origin.page.url.clone_from(&url);
        self.origin.page.route.clone_from(&route.path);
        self.origin.page.referrer = referrer.into();
        self.origin.page.title = format!("{} - {}", path.rsplit('/').next().unwrap_or_default(), site.project);
        let price = 5.0 + (product * 7_919 % 19_000) as f64 / 100.0;
        let stay = self.chance.around(if bounce { 9_000.0 } else { 26_000.0 }, 0.9).clamp(1_200.0, 900_000.0) as i64;
        let mut view = View { route, url, begin: self.now, load, price, product, events: Vec::with_capacity(20), crumbs: Vec::new() };

        let shown = if load { self.load(&mut view, stay) } else { self.soft_navigation(&mut view) };
        self.requests(&mut view, shown);
        let clicks = self.clicks(&mut view, shown, stay);
        self.funnel(&mut view, shown, stay);
        self.trouble(&mut view, shown, stay);
        self.leave(&mut view, stay, clicks);
        self.now += stay + self.chance.between(30..400);
        view
    }

    /// Times of a load: what the SDK reports of it at once. Returns when the page could be used, ms after its beginning.
    fn load(&mut self, view: &mut View<'a>, stay: i64) -> i64 {
        let (visitor, route) = (self.visitor, view.route);
        let slowness = route.slowness * self.release.slowness;
        let connection = (self.chance.around(visitor.country.distance * 1.6, 0.3) * visitor.network).min(15_000.0);
        let waiting = self.chance.around(self.site.server * slowness, 0.5).min(20_000.0);
        let ttfb = connection + waiting;
        let fcp = ttfb + self.chance.around(420.0 * visitor.processor * visitor.network.sqrt(), 0.35).min(15_000.0);
        let delay = self.chance.around(260.0 * slowness, 0.5).min(8_000.0);
        let duration = self.chance.around(640.0 * visitor.network * slowness, 0.55).min(15_000.0);
        let render = self.chance.around(150.0 * visitor.processor, 0.6).min(5_000.0);
        let lcp = fcp.max(ttfb + delay + duration + render);
        let loaded = lcp + self.chance.around(300.0 * visitor.processor, 0.4).min(9_000.0);
        let how = if self.chance.yes(0.07) { "reload" } else { "navigate" };

        self.add(view, ttfb as i64, Happening { attributes: &[("navigation_type", "load")], ..of(Kind::PageView, "page_view") });
        let parts = format!(r#""waiting":0,"dns":{:.1},"connection":{:.1},"request":{waiting:.1}"#, connection * 0.2, connection * 0.8);
        self.vital(view, ttfb as i64, ("TTFB", ttfb), "", how, &parts);
        let parts = format!(r#""time_to_first_byte":{ttfb:.1},"render_delay":{:.1}"#, fcp - ttfb);
        self.vital(view, fcp as i64, ("FCP", fcp), "", how, &parts);
        let data = format!(
            r#"{{"redirect":0,"dns":{:.1},"tcp":{:.1},"tls":{:.1},"request":{waiting:.1},"response":{:.1},"dom_interactive":{:.1},"dom_complete":{:.1},"load":{loaded:.1},"transfer_size":{},"protocol":"h2","visibility":"visible"}}"#,
            connection * 0.2,
            connection * 0.4,
            connection * 0.4,
            waiting * 0.2,
            fcp,
            loaded - 10.0,
            18_000 + route.path.len() * 700,
        );
        let value = Some(tenths(loaded));
        self.add(
            view,
            loaded as i64,
            Happening { value, attributes: &[("navigation_type", how)], data, ..of(Kind::Navigation, "navigation") },
        );
        // It is known when somebody does something or leaves.
        if (lcp as i64) < stay {
            let (target, file) = if view.route.purpose == Purpose::Product {
                ("main > section#hero > img.product", format!("products/{}.avif", view.product))
            } else {
                ("main > header > img.banner", "banner.avif".to_owned())
            };
            let parts = format!(
                r#""time_to_first_byte":{ttfb:.1},"load_delay":{delay:.1},"load_duration":{duration:.1},"render_delay":{render:.1},"url":"https://cdn.{}/{file}""#,
                self.site.domain
            );
            let at = (lcp as i64 + 1_500).min(stay);
            self.vital(view, at, ("LCP", lcp), target, how, &parts);
        }
        loaded as i64
    }

    /// The application shows another page by itself.
    fn soft_navigation(&mut self, view: &mut View<'a>) -> i64 {
        let how = if self.chance.yes(0.12) { "pop" } else { "push" };
        self.add(view, 0, Happening { attributes: &[("navigation_type", how)], ..of(Kind::PageView, "page_view") });
        self.chance.around(180.0 * self.visitor.processor, 0.4) as i64
    }

    fn vital(&mut self, view: &mut View<'a>, at: i64, (name, value): (&'static str, f64), target: &str, how: &str, parts: &str) {
        let value = if name == "CLS" { (value * 1e4).round() / 1e4 } else { tenths(value) };
        let rating = VITAL_BANDS.iter().find(|(vital, ..)| *vital == name).map_or("", |&(_, good, poor)| match value {
            value if value <= good => "good",
            value if value <= poor => "needs-improvement",
            _ => "poor",
        });
        let id = self.chance.between(1_000_000_000_000..9_999_999_999_999);
        let data = format!(r#"{{"id":"{name}v6-{}-{id}","delta":{value},"visibility":"visible","attribution":{{{parts}}}}}"#, view.begin);
        let attributes = [("rating", rating), ("navigation_type", how), ("target", target)];
        self.add(view, at, Happening { value: Some(value), attributes: &attributes, data, ..of(Kind::Vital, name) });
    }

    fn requests(&mut self, view: &mut View<'a>, shown: i64) {
        let apis: &[&str] = match view.route.purpose {
            Purpose::Product => &["products", "reviews", "recommendations", "stock"],
            Purpose::Cart | Purpose::Checkout | Purpose::Payment => &["cart", "shipping", "session"],
            Purpose::Browse => &["products", "facets", "banners"],
            Purpose::Order | Purpose::Other => &["session"],
        };
        let search = view.route.path == "/search";
        for n in 0..(1 + self.chance.times(apis.len() as f64 * 0.45)) {
            let api = if search && n == 0 { "search" } else { self.chance.one_of(apis) };
            let slow = if api == "search" { 6.0 } else { 1.0 };
            let base = (self.site.server * 0.6 + self.visitor.country.distance) * self.visitor.network * slow;
            let mut duration = self.chance.around(base, 0.6).min(30_000.0);
            let method = if api == "cart" && self.chance.yes(0.4) { "POST" } else { "GET" };
            let broken = self.release.breaks_checkout && api == "shipping" && self.chance.yes(0.4);
            let (status, failure) = match self.chance.share() {
                _ if broken => ("500", "http"),
                ..0.006 => ("0", "network"),
                ..0.010 => ("0", "abort"),
                ..0.012 => ("0", "timeout"),
                ..0.020 => ("404", "http"),
                ..0.024 => ("503", "http"),
                ..0.027 => ("200", "business"),
                _ => ("200", ""),
            };
            if failure == "timeout" {
                duration = 30_000.0;
            }
            let target = format!("https://api.{}/v2/{api}", self.site.domain);
            let url = format!("{target}?page={}", self.chance.between(1..9));
            let data = format!(r#"{{"url":"{url}","response_size":{}}}"#, self.chance.between(300..40_000));
            let attributes = [("method", method), ("status", status), ("failure", failure), ("target", &target)];
            let at = shown / 2 + i64::from(n) * 120 + duration as i64;
            let name = if self.chance.yes(0.9) { "fetch" } else { "xhr" };
            view.crumbs.push(format!(r#"{{"time":{},"category":"request","message":"{method} /v2/{api} {status}"}}"#, view.begin + at));
            self.add(view, at, Happening { value: Some(tenths(duration)), attributes: &attributes, data, ..of(Kind::Request, name) });
        }
    }

    /// What somebody does; how many clicks there were.
    fn clicks(&mut self, view: &mut View<'a>, shown: i64, stay: i64) -> u32 {
        const TARGETS: &[&str] = &[
            "nav > a.logo",
            "header > button.menu",
            "main > ul > li > a.card",
            "button.filter",
            "div.gallery > button.next",
            "a.review",
            "footer > a.help",
            "button#cart",
            "input#search",
            "select.size",
        ];
        let clicks = self.chance.times((stay as f64 / 20_000.0).min(5.0));
        for _ in 0..clicks {
            let target = self.chance.one_of(TARGETS);
            let at = self.chance.between(shown.min(stay - 1)..stay);
            let (x, y) = (self.chance.between(0..390), self.chance.between(0..800));
            let data = format!(r#"{{"x":{x},"y":{y},"page_x":{x},"page_y":{}}}"#, y + self.chance.between(0..4_000));
            view.crumbs.push(format!(r#"{{"time":{},"category":"click","message":"{target}"}}"#, view.begin + at));
            self.add(view, at, Happening { attributes: &[("target", target)], data, ..of(Kind::Click, "click") });
            // Who waits in vain gets impatient.
            if self.chance.yes(0.008 * view.route.sluggishness * self.visitor.processor) {
                let value = Some(self.chance.between(3..12) as f64);
                self.add(view, at + 900, Happening { value, attributes: &[("target", target)], ..of(Kind::RageClick, "rage_click") });
            } else if self.chance.yes(0.01) {
                self.add(view, at + 1_000, Happening { attributes: &[("target", target)], ..of(Kind::DeadClick, "dead_click") });
            }
        }
        let blocked = self.chance.times(0.5 * self.visitor.processor.min(4.0));
        for _ in 0..blocked {
            let at = self.chance.between(0..stay);
            let value = tenths(50.0 + self.chance.around(60.0 * self.visitor.processor, 0.7).min(9_000.0));
            let target =
                format!("https://cdn.{}/assets/{}.js", self.site.domain, self.chance.one_of(&["app", "vendor", "ads", "chat", "search"]));
            let data = format!(r#"{{"start":{at},"blocking_duration":{:.1}}}"#, value - 50.0);
            let name = if self.visitor.machine.chromium { "long-animation-frame" } else { "longtask" };
            self.add(view, at, Happening { value: Some(value), attributes: &[("target", &target)], data, ..of(Kind::Longtask, name) });
        }
        clicks
    }

    /// The way to an order.
    fn funnel(&mut self, view: &mut View<'a>, shown: i64, stay: i64) {
        let (product, price) = (view.product, view.price);
        let soon = shown.min(stay);
        let data = format!(r#"{{"product":"{}","price":{price:.2}}}"#, 1_000 + product);
        match view.route.purpose {
            Purpose::Product => {
                self.add(view, soon, Happening { value: Some(price), data: data.clone(), ..of(Kind::Track, "view_product") });
                if self.chance.yes(0.13) {
                    self.in_cart += 1;
                    self.add(view, stay * 2 / 3, Happening { value: Some(price), data, ..of(Kind::Track, "add_to_cart") });
                }
            }
            Purpose::Checkout => {
                let value = Some(price * f64::from(self.in_cart.max(1)));
                self.add(view, soon, Happening { value, ..of(Kind::Track, "checkout") });
                self.add(
                    view,
                    stay * 3 / 4,
                    Happening { attributes: &[("target", "form#address"), ("method", "post")], ..of(Kind::FormSubmit, "form_submit") },
                );
            }
            Purpose::Order => {
                let value = Some(price * f64::from(self.in_cart.max(1)));
                let data = format!(r#"{{"order":"{}","items":{}}}"#, self.chance.between(100_000..999_999), self.in_cart.max(1));
                self.add(view, soon, Happening { value, data, ..of(Kind::Track, "purchase") });
                self.in_cart = 0;
            }
            _ => {}
        }
    }

    /// What goes wrong.
    fn trouble(&mut self, view: &mut View<'a>, shown: i64, stay: i64) {
        let checkout = view.route.path.starts_with("/checkout");
        let often = if checkout { 0.7 } else { 0.25 };
        let broken = self.release.breaks_checkout && (checkout || view.route.purpose == Purpose::Product) && self.chance.yes(often);
        // The checkout fails now and then in all releases: that is how the issue is known before.
        let issue = if broken || (checkout && self.chance.yes(0.004)) {
            self.site.issues.last()
        } else if self.chance.yes(0.045 * if self.release.slowness > 1.0 { 1.2 } else { 1.0 }) {
            self.site.issues.get(self.site.issue_weights.choose(&mut self.chance))
        } else {
            None
        };
        let fits =
            |issue: &&super::issues::Issue| view.route.path.starts_with(issue.route) && self.origin.user_agent.contains(issue.browser);
        if let Some(issue) = issue.filter(fits) {
            let at = self.chance.between(shown.min(stay - 1)..stay);
            let crumbs = view.crumbs.iter().rev().take(3).rev().cloned().collect::<Vec<_>>().join(",");
            let firefox = self.visitor.machine.firefox;
            let data = issue.data(&mut self.chance, &self.site.domain, self.release.version, firefox, &crumbs);
            let repeats = self.chance.times(if broken { 1.5 } else { 0.2 });
            self.add(view, at, Happening { data: data.clone(), ..of(Kind::Error, issue.name) });
            if repeats > 0 {
                // The repeats are told at the end, folded into one.
                let data = data.replacen('{', r#"{"folded":true,"#, 1);
                self.add(view, stay, Happening { data, weight: repeats as f32, ..of(Kind::Error, issue.name) });
            }
        }
        if self.chance.yes(0.006) {
            let target = format!("https://cdn.{}/products/{}.avif", self.site.domain, view.product);
            let data = r#"{"message":"Failed to load the image","element":"main > img.product","mechanism":"resource","handled":false}"#
                .to_owned();
            self.add(view, shown, Happening { attributes: &[("target", &target)], data, ..of(Kind::Error, "ResourceError") });
        }
        if self.chance.yes(0.01) {
            let data = r#"{"message":"The basket was restored from another tab"}"#.to_owned();
            self.add(view, shown, Happening { attributes: &[("level", "info")], data, ..of(Kind::Message, "info") });
        }
    }

    /// What the SDK reports when the page is left.
    fn leave(&mut self, view: &mut View<'a>, stay: i64, clicks: u32) {
        if view.load {
            let shift = self.chance.around(0.035 * view.route.slowness, 1.1).min(3.0);
            let shift = if self.chance.yes(0.3) { 0.0 } else { shift };
            let parts = format!(r#""largest_shift":{:.4},"time":{}"#, shift * 0.7, stay / 3);
            self.vital(view, stay, ("CLS", shift), "main > section.banner", "navigate", &parts);
        }
        if clicks > 0 {
            let value = self.chance.around(75.0 * self.visitor.processor * view.route.sluggishness, 0.65).clamp(8.0, 9_000.0);
            let how = if view.load { "navigate" } else { "soft-navigation" };
            let parts = format!(
                r#""input_delay":{:.1},"processing_duration":{:.1},"presentation_delay":{:.1},"event":"pointerup","time":{}"#,
                value * 0.2,
                value * 0.55,
                value * 0.25,
                stay / 2
            );
            self.vital(view, stay, ("INP", value), "button.filter", how, &parts);
        }
        for (kind, often, size) in [("script", 0.5, 90_000), ("img", 0.6, 140_000), ("css", 0.2, 20_000)] {
            if self.chance.yes(if view.load { often } else { often * 0.4 }) {
                let value = tenths(self.chance.around(180.0 * self.visitor.network, 0.6).min(30_000.0));
                let target = format!("https://cdn.{}/assets/{kind}-{}", self.site.domain, view.product % 50);
                let count = 1 + self.chance.times(4.0);
                let transfer = self.chance.between(size / 4..size * 2);
                let data = format!(r#"{{"count":{count},"transfer_size":{transfer},"duration":{:.1}}}"#, value * f64::from(count) * 0.6);
                self.add(
                    view,
                    stay,
                    Happening { value: Some(value), attributes: &[("target", &target)], data, ..of(Kind::Resource, kind) },
                );
            }
        }
        let value = Some((self.chance.share() * 100.0).round());
        self.add(view, stay, Happening { value, ..of(Kind::ScrollDepth, "scroll_depth") });
        self.add(view, stay, Happening { value: Some(stay as f64), ..of(Kind::TimeOnPage, "time_on_page") });
    }

    fn add(&mut self, view: &mut View<'a>, after: i64, what: Happening<'_>) {
        let time = view.begin + after.max(0);
        let mut event = Event::new(EventId(self.chance.id(time)), time, what.kind, what.name);
        event.value = what.value;
        event.weight = what.weight;
        let given = what.attributes.iter().filter(|(_, text)| !text.is_empty()).map(|&(key, text)| (key.into(), text.to_owned()));
        event.attributes = given.chain([("plan".into(), self.visitor.plan.to_owned())]).collect::<Attributes>();
        if !what.data.is_empty() {
            // Made of numbers and of texts of this module that need no escaping.
            event.data = RawValue::from_string(what.data).unwrap_or_else(|_| empty_object());
        }
        view.events.push(event);
    }

    /// Sends what happened on a page: what was early soon, the rest when it is left.
    fn send(&mut self, view: View<'a>) {
        let mut events = view.events;
        events.sort_by_key(|event| (event.time, event.id));
        for (event, seq) in events.iter_mut().zip(0..) {
            event.seq = Some(seq);
        }
        let early = events.partition_point(|event| event.time <= view.begin + FIRST_SEND);
        let late = events.split_off(early);
        for events in [events, late] {
            let Some(last) = events.last() else { continue };
            let sent = if last.time <= view.begin + FIRST_SEND { view.begin + FIRST_SEND } else { last.time };
            let mut origin = self.origin.clone();
            origin.sent_at = Some(sent);
            origin.received = sent + self.chance.between(20..300);
            self.envelopes.push(Envelope { origin, events });
        }
    }
}

/// One event to be made.
struct Happening<'h> {
    kind: Kind,
    name: &'h str,
    value: Option<f64>,
    /// Those without a text are left out.
    attributes: &'h [(&'static str, &'h str)],
    /// A JSON object; `{}` when empty.
    data: String,
    weight: f32,
}

fn of(kind: Kind, name: &str) -> Happening<'_> {
    Happening { kind, name, value: None, attributes: &[], data: String::new(), weight: 1.0 }
}

/// Rounded to a tenth, as the SDK does with times.
fn tenths(value: f64) -> f64 {
    (value * 10.0).round() / 10.0
}
