//! Chance that can be repeated, and the distributions that traffic is made of.

/// Numbers that follow from a seed.
pub(super) struct Chance(fastrand::Rng);

impl Chance {
    /// The chance of this very thing: of a seed, a project, a visitor, a day …
    pub(super) fn of(parts: &[u64]) -> Chance {
        // The finaliser of SplitMix64 after each part, so that neighbours have nothing in common.
        let seed = parts.iter().fold(0x9e37_79b9_7f4a_7c15_u64, |state, part| {
            let mut mixed = (state ^ part).wrapping_add(0x9e37_79b9_7f4a_7c15);
            mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
            mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
            mixed ^ (mixed >> 31)
        });
        Chance(fastrand::Rng::with_seed(seed))
    }

    /// From 0 to below 1.
    pub(super) fn share(&mut self) -> f64 {
        self.0.f64()
    }

    pub(super) fn yes(&mut self, probability: f64) -> bool {
        self.share() < probability
    }

    /// From `range.start` to below `range.end`.
    pub(super) fn between(&mut self, range: std::ops::Range<i64>) -> i64 {
        self.0.i64(range)
    }

    pub(super) fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    pub(super) fn one_of<T: Copy>(&mut self, list: &[T]) -> T {
        list[self.0.usize(..list.len())]
    }

    /// One of those that have a weight.
    pub(super) fn weighted<'a, T>(&mut self, list: &'a [T], weight: impl Fn(&T) -> f64) -> &'a T {
        let mut left = self.share() * list.iter().map(&weight).sum::<f64>();
        let found = list.iter().position(|item| {
            left -= weight(item);
            left < 0.0
        });
        // Rounding may leave a little at the end.
        &list[found.unwrap_or(list.len() - 1)]
    }

    /// Half of the values are below the median; 95 % lie within a factor of e^(2·spread) of it.
    pub(super) fn around(&mut self, median: f64, spread: f64) -> f64 {
        // Box and Muller's way to a normal distribution.
        let radius = (-2.0 * (1.0 - self.share()).ln()).sqrt();
        median * (spread * radius * (std::f64::consts::TAU * self.share()).cos()).exp()
    }

    /// How many things happen that happen this often on average; at most 50.
    pub(super) fn times(&mut self, mean: f64) -> u32 {
        // Knuth's way, good for small means.
        let limit = (-mean).exp();
        let mut left = self.share();
        let mut count = 0;
        while left > limit && count < 50 {
            left *= self.share();
            count += 1;
        }
        count
    }

    /// A UUID v7 of this time, as the SDK makes them.
    pub(super) fn id(&mut self, time: i64) -> u128 {
        let random = u128::from(self.bits()) << 64 | u128::from(self.bits());
        let time = u128::from(time.unsigned_abs()) << 80;
        time | 0x7 << 76 | (random >> 52 & 0xfff) << 64 | 0x8 << 60 | random & 0xfff_ffff_ffff_ffff
    }
}

/// One of many, of which the n-th is chosen 1/(n+1)^exponent times as often as the first.
pub(super) struct Popularity(Vec<f64>);

impl Popularity {
    pub(super) fn new(count: usize, exponent: f64) -> Popularity {
        Popularity::of((1..=count).map(|rank| (rank as f64).powf(-exponent)))
    }

    pub(super) fn of(weights: impl Iterator<Item = f64>) -> Popularity {
        let mut sum = 0.0;
        Popularity(
            weights
                .map(|weight| {
                    sum += weight;
                    sum
                })
                .collect(),
        )
    }

    /// From 0, the most popular.
    pub(super) fn choose(&self, chance: &mut Chance) -> usize {
        let at = chance.share() * self.0.last().copied().unwrap_or(0.0);
        self.0.partition_point(|sum| *sum <= at).min(self.0.len() - 1)
    }
}
