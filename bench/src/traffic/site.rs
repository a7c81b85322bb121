//! The shops: their pages, releases and issues.

use super::{
    DAY, World,
    chance::{Chance, Popularity},
    issues::{Issue, issues},
};

/// A project and what is on its pages.
pub struct Site {
    /// Id of the project.
    pub project: &'static str,
    /// Tells the chances of one site from those of another.
    pub(super) salt: u64,
    pub(super) domain: String,
    pub(super) routes: Vec<Route>,
    pub(super) entries: Popularity,
    pub(super) products: Popularity,
    pub(super) releases: Vec<Release>,
    pub(super) issues: Vec<Issue>,
    pub(super) issue_weights: Popularity,
    /// Median of the server's time for a page, ms.
    pub(super) server: f64,
}

/// What a page is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Purpose {
    Browse,
    Product,
    Cart,
    Checkout,
    Payment,
    Order,
    Other,
}

/// Pages of one pattern.
pub(super) struct Route {
    pub(super) path: String,
    pub(super) purpose: Purpose,
    /// Against the others.
    pub(super) popularity: f64,
    /// Loads take this many times as long as elsewhere.
    pub(super) slowness: f64,
    /// Reactions take this many times as long as elsewhere.
    pub(super) sluggishness: f64,
}

/// A version and its way to the visitors.
pub(super) struct Release {
    pub(super) version: &'static str,
    /// First visitor, ms since the Unix epoch.
    start: i64,
    /// Time until all visitors have it, ms.
    rollout: i64,
    /// Loads take this many times as long as before.
    pub(super) slowness: f64,
    pub(super) breaks_checkout: bool,
}

const PAGES: &[(&str, Purpose)] = &[
    ("/", Purpose::Browse),
    ("/p/:id", Purpose::Product),
    ("/c/:category", Purpose::Browse),
    ("/search", Purpose::Browse),
    ("/sale", Purpose::Browse),
    ("/account", Purpose::Other),
    ("/account/orders", Purpose::Other),
    ("/guides/:slug", Purpose::Other),
    ("/brands/:brand", Purpose::Browse),
    ("/wishlist", Purpose::Browse),
    ("/new", Purpose::Browse),
    ("/login", Purpose::Other),
    ("/stores", Purpose::Other),
    ("/blog/:slug", Purpose::Other),
    ("/help/:topic", Purpose::Other),
    ("/compare", Purpose::Browse),
    ("/reviews/:id", Purpose::Other),
    ("/gift-cards", Purpose::Browse),
    ("/returns", Purpose::Other),
    ("/contact", Purpose::Other),
    ("/account/settings", Purpose::Other),
    ("/account/addresses", Purpose::Other),
    ("/newsletter", Purpose::Other),
    ("/size-guide", Purpose::Other),
    ("/brands", Purpose::Browse),
    ("/blog", Purpose::Other),
    ("/help", Purpose::Other),
    ("/about", Purpose::Other),
    ("/careers", Purpose::Other),
    ("/privacy", Purpose::Other),
    ("/terms", Purpose::Other),
    ("/imprint", Purpose::Other),
];
/// Pages that are reached on the way to an order only.
const ORDERING: &[(&str, Purpose)] =
    &[("/cart", Purpose::Cart), ("/checkout", Purpose::Checkout), ("/checkout/payment", Purpose::Payment), ("/order/:id", Purpose::Order)];
/// Departments, each with a page of its own in each season.
const DEPARTMENTS: &[&str] = &[
    "kitchen", "garden", "bath", "office", "lighting", "outdoor", "toys", "books", "music", "shoes", "bags", "watches", "sport", "travel",
    "pets",
];
const SEASONS: &[&str] = &["spring", "summer", "autumn", "winter"];

/// Version, day and hour of its start, days of its roll-out, slowness, whether it breaks the checkout; for 30 days.
const RELEASES: &[(&str, f64, f64, f64, bool)] = &[
    ("5.2.0", -400.0, 0.1, 1.0, false),
    ("5.2.1", 2.4, 1.5, 1.0, false),
    ("5.3.0", 6.4, 3.0, 1.04, false),
    ("5.4.0", 12.4, 3.0, 0.9, false),
    ("5.5.0", 18.3, 0.6, 1.1, true),
    ("5.5.1", 19.1, 0.2, 0.94, false),
    ("5.6.0", 25.4, 2.0, 0.88, false),
];

impl Site {
    /// The largest.
    pub fn shop(world: &World) -> Site {
        Site::new(world, "shop", 230.0)
    }

    /// All four: the largest first.
    pub fn all(world: &World) -> Vec<Site> {
        [("shop", 230.0), ("fashion", 310.0), ("garden", 480.0), ("books", 170.0)]
            .map(|(project, server)| Site::new(world, project, server))
            .into()
    }

    fn new(world: &World, project: &'static str, server: f64) -> Site {
        let salt = project.bytes().fold(0, |salt, byte| salt << 8 | u64::from(byte));
        let mut chance = Chance::of(&[world.seed, salt]);
        let seasons = SEASONS.iter().flat_map(|season| DEPARTMENTS.iter().map(move |department| format!("/d/{season}/{department}")));
        let paths = PAGES.iter().map(|(path, purpose)| ((*path).to_owned(), *purpose)).chain(seasons.map(|path| (path, Purpose::Browse)));
        let mut routes: Vec<_> = paths
            .enumerate()
            .map(|(rank, (path, purpose))| Route {
                popularity: ((rank + 1) as f64).powf(-1.1),
                slowness: if path == "/search" { 2.1 } else { chance.around(1.0, 0.15) },
                sluggishness: if path == "/compare" { 3.0 } else { chance.around(1.0, 0.15) },
                path,
                purpose,
            })
            .collect();
        routes.extend(ORDERING.iter().map(|(path, purpose)| Route {
            path: (*path).to_owned(),
            purpose: *purpose,
            popularity: 0.0,
            slowness: chance.around(1.0, 0.1),
            sluggishness: chance.around(1.1, 0.1),
        }));
        let scale = DAY as f64 * f64::from(world.days) / 30.0;
        let releases = RELEASES.iter().map(|&(version, start, rollout, slowness, breaks_checkout)| Release {
            version,
            start: world.begin + (start * scale) as i64,
            rollout: (rollout * scale) as i64,
            slowness,
            breaks_checkout,
        });
        let issues = issues(&mut chance);
        Site {
            project,
            salt,
            domain: format!("{project}.example"),
            entries: Popularity::of(routes.iter().map(|route| route.popularity)),
            products: Popularity::new(5_000, 0.9),
            releases: releases.collect(),
            issue_weights: Popularity::of(issues.iter().map(|issue| issue.weight)),
            issues,
            routes,
            server,
        }
    }

    pub(super) fn route_for(&self, purpose: Purpose) -> usize {
        self.routes.iter().position(|route| route.purpose == purpose).unwrap_or(0)
    }

    /// The release that somebody has at a time. `luck` (0 to 1) is how early this visitor gets new ones.
    pub(super) fn release_at(&self, time: i64, luck: f64) -> &Release {
        let arrived = |release: &&Release| time >= release.start + (release.rollout as f64 * luck) as i64;
        self.releases.iter().rev().find(arrived).unwrap_or(&self.releases[0])
    }
}
