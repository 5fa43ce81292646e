//! A small generator of numbers that look random and are the same everywhere (splitmix64).

/// The seed of the demonstration.
const SEED: u64 = 0x6b61_7261_7400_0001;

/// A stream of numbers.
pub(super) struct Random(u64);

impl Random {
    /// The stream for one purpose: different numbers give independent streams, so that a change to one part of the
    /// demonstration leaves the others as they are.
    pub(super) const fn for_purpose(purpose: u64, number: u64) -> Self {
        let mut random = Self(SEED ^ purpose.rotate_left(48) ^ number.rotate_left(16));
        random.next();
        random
    }

    pub(super) const fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from `from` to `to`, both inclusive. The tiny bias of a remainder does not matter here.
    pub(super) const fn between(&mut self, from: u32, to: u32) -> u32 {
        from + (self.next() % (to as u64 - from as u64 + 1)) as u32
    }

    /// True so often out of a thousand.
    pub(super) const fn chance(&mut self, per_mille: u32) -> bool {
        self.between(0, 999) < per_mille
    }

    /// One of these.
    pub(super) fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        let index = self.next() % (words.len().max(1) as u64);
        usize::try_from(index).ok().and_then(|index| words.get(index)).copied().unwrap_or_default()
    }
}
