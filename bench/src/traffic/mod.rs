//! Made-up visitors of made-up shops, for demonstrations and measurements: who they are, when they come, what they look at, what
//! their browsers measure and what goes wrong.
//!
//! ```text
//! World ─ Site (a project) ─ Visitor ─ a day ─ Visit (a session) ─ View (a page) ─ events, as the SDK sends them
//! ```
//!
//! Everything follows from a seed: the same world has the same visitors with the same events, whichever part of it is asked for, in
//! whichever order. So nothing is kept in memory, and days can be made apart. What belongs together fits together: a visitor keeps
//! device, country and plan, a session its visitor, the events of a view their page, and times go forward.
//!
//! What is in it to be found:
//!
//! - visitors who come once, now and then, or often; mornings, evenings and weekends in the visitor's own time zone;
//! - releases that roll out over hours or days, one of which breaks the prices of the delivery on one day and is mended on the next;
//! - routes of very different popularity, of which `/search` is slow and `/compare` reacts slowly;
//! - devices, systems, browsers, countries, languages and connections as they occur together, and speeds that follow from them;
//! - a funnel: `view_product`, `add_to_cart`, `checkout`, `purchase`;
//! - some sixty issues of very different frequency, some only of one browser, route or release.

mod chance;
mod issues;
mod site;
mod visit;
mod visitor;

use monitor_core::Envelope;

pub use self::site::Site;

/// Milliseconds of a day.
pub const DAY: i64 = 86_400_000;

/// Days, and the seed that everything in them follows from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct World {
    /// Another seed gives other visitors.
    pub seed: u64,
    /// Midnight (UTC) that the first day begins with, ms since the Unix epoch.
    pub begin: i64,
    /// How many days releases and the bad day are spread over. Visitors come after them, too.
    pub days: u32,
}

impl World {
    /// Every visit that begins on a day (0 is the first), visitor by visitor: the envelopes that the browser sends, in order.
    /// `visitors` is how many people the site knows; what they do does not depend on it.
    pub fn visits<'a>(&self, site: &'a Site, visitors: u64, day: u32) -> impl Iterator<Item = Vec<Envelope>> + 'a {
        let world = *self;
        (0..visitors).flat_map(move |number| {
            let visits = visitor::visits_on(&world, site, number, day);
            (0..visits).map(move |nth| visit::play(&world, site, number, day, nth))
        })
    }

    /// How many visitors a site must have to get about this many events in all days together.
    pub fn visitors_for(&self, site: &Site, events: u64) -> u64 {
        // These tell to within some percent what a visitor makes.
        const SAMPLE: u64 = 1_500;
        let made: usize =
            (0..self.days).flat_map(|day| self.visits(site, SAMPLE, day)).flatten().map(|envelope| envelope.events.len()).sum();
        (events * SAMPLE).div_ceil((made as u64).max(1)).max(1)
    }

    /// A plain visit that begins at this time, by any of a site's visitors.
    pub fn visit_at(&self, site: &Site, visitors: u64, time: i64, nth: u64) -> Vec<Envelope> {
        visit::play_at(self, site, nth.wrapping_mul(0x9e37_79b9_7f4a_7c15) % visitors.max(1), time, nth)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet, HashMap};

    use monitor_core::{Event, Kind, Origin};

    use super::*;

    const WORLD: World = World { seed: 7, begin: 20_000 * DAY, days: 30 };

    fn events(visitors: u64, days: std::ops::Range<u32>) -> Vec<(Origin, Event)> {
        let site = Site::shop(&WORLD);
        let envelopes = days.flat_map(|day| WORLD.visits(&site, visitors, day).collect::<Vec<_>>()).flatten();
        envelopes.flat_map(|envelope| envelope.events.into_iter().map(move |event| (envelope.origin.clone(), event))).collect()
    }

    #[test]
    fn the_same_seed_gives_the_same_events() {
        let text = |events: Vec<(Origin, Event)>| serde_json::to_string(&events).unwrap();
        let (once, again) = (text(events(50, 0..3)), text(events(50, 0..3)));
        assert!(once.len() > 10_000 && once == again);
    }

    #[test]
    fn no_id_is_made_twice() {
        let events = events(600, 0..30);
        let ids: BTreeSet<_> = events.iter().map(|(_, event)| event.id).collect();
        assert!(events.len() > 5_000);
        assert_eq!(ids.len(), events.len());
    }

    #[test]
    fn what_belongs_together_fits_together() {
        let events = events(500, 0..30);
        let mut visitors: HashMap<&str, (&str, &str)> = HashMap::new();
        let mut sessions: HashMap<&str, (&str, &str)> = HashMap::new();
        let mut pages: HashMap<&str, (&str, i64, Option<u32>)> = HashMap::new();
        for (origin, event) in &events {
            let who = *visitors.entry(&origin.visitor).or_insert((&origin.country, &origin.device.kind));
            assert_eq!(who, (origin.country.as_str(), origin.device.kind.as_str()));
            let session = *sessions.entry(&origin.session).or_insert((&origin.visitor, &origin.release));
            assert_eq!(session, (origin.visitor.as_str(), origin.release.as_str()));
            let (route, time, seq) = pages.entry(&origin.page.id).or_insert((&origin.page.route, event.time, None));
            assert_eq!(*route, origin.page.route);
            assert!(*time <= event.time && event.seq > *seq && event.time <= origin.received, "{event:?}");
            (*time, *seq) = (event.time, event.seq);
        }
        assert!(sessions.len() > visitors.len(), "some come again");
    }

    #[test]
    fn every_kind_that_pages_ask_for_is_there() {
        let events = events(3_000, 0..30);
        let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
        events.iter().for_each(|(_, event)| *kinds.entry(event.kind.as_str()).or_default() += 1);
        for kind in
            ["page_view", "vital", "click", "rage_click", "error", "request", "resource", "longtask", "navigation", "time_on_page", "track"]
        {
            assert!(kinds.get(kind).is_some_and(|count| *count > 20), "{kind}: {kinds:?}");
        }
        let share = |name: &str| events.iter().filter(|(_, event)| event.name == name).count();
        let steps = ["view_product", "add_to_cart", "checkout", "purchase"].map(share);
        assert!(steps.is_sorted_by(|a, b| a > b) && steps[3] > 20, "{steps:?}");
        assert!(events.iter().all(|(_, event)| event.value.is_none_or(f64::is_finite)));
        assert!(events.iter().any(|(_, event)| !event.attribute("failure").is_empty()));
    }

    #[test]
    fn the_bad_release_breaks_the_checkout_on_one_day() {
        let events = events(6_000, 15..22);
        let mut errors: BTreeMap<i64, usize> = BTreeMap::new();
        let broken = events.iter().filter(|(_, event)| event.kind == Kind::Error && event.data.get().contains("shippingCost"));
        broken.for_each(|(_, event)| *errors.entry(event.time.div_euclid(DAY) - 20_000).or_default() += 1);
        let worst = errors.iter().max_by_key(|(_, count)| **count).unwrap();
        assert_eq!(*worst.0, 18, "{errors:?}");
        assert!(*worst.1 > 5 * errors.get(&20).copied().unwrap_or(0), "{errors:?}");
    }

    #[test]
    fn the_number_of_visitors_follows_from_the_number_of_events() {
        let site = Site::shop(&WORLD);
        let visitors = WORLD.visitors_for(&site, 100_000);
        let made: usize = (0..30).flat_map(|day| WORLD.visits(&site, visitors, day)).flatten().map(|envelope| envelope.events.len()).sum();
        assert!((80_000..120_000).contains(&made), "{made}");
    }
}
