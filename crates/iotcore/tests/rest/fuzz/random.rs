//! Numbers that follow from a seed: SplitMix64, which needs no more than this.

/// A source of numbers.
#[derive(Debug, Clone)]
pub(super) struct Random(u64);

impl Random {
    /// The seed is mixed before it is the first state: states follow each other by addition, so the streams of
    /// neighbouring seeds would be one stream, a step apart.
    pub(super) fn new(seed: u64) -> Self {
        Self(mixed(mixed(seed) ^ 0x5851_f42d_4c95_7f2d))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        mixed(self.0)
    }

    /// Less than `bound`, which is not zero.
    pub(super) fn below(&mut self, bound: usize) -> usize {
        usize::try_from(self.next() % bound as u64).unwrap()
    }

    /// True once in `times`.
    pub(super) fn once_in(&mut self, times: usize) -> bool {
        self.below(times) == 0
    }

    pub(super) fn choose<'a, T>(&mut self, among: &'a [T]) -> &'a T {
        &among[self.below(among.len())]
    }
}

fn mixed(mut state: u64) -> u64 {
    state = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    state = (state ^ (state >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    state ^ (state >> 31)
}

/// The numbers of one seed do not turn up in another's, shifted or not.
#[test]
fn seeds_that_follow_each_other_share_no_numbers() {
    let numbers = |seed| {
        let mut random = Random::new(seed);
        (0..1000).map(|_| random.next()).collect::<std::collections::BTreeSet<_>>()
    };
    assert!(numbers(1).is_disjoint(&numbers(2)));
}
