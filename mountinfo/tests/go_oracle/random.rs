//! Seeded randomness, and how many cases to make of it.

/// SplitMix64: the same seed gives the same cases everywhere.
pub struct Random(u64);

impl Random {
    pub fn new(seed: u64) -> Self {
        Random(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `limit`.
    pub fn below(&mut self, limit: usize) -> usize {
        (self.next() % limit as u64) as usize
    }

    /// True once in `n` times.
    pub fn one_in(&mut self, n: usize) -> bool {
        self.below(n) == 0
    }

    pub fn pick<'a, T>(&mut self, from: &'a [T]) -> &'a T {
        &from[self.below(from.len())]
    }

    /// Up to `most` pieces put together.
    pub fn string(&mut self, pieces: &[&[u8]], most: usize) -> Vec<u8> {
        (0..self.below(most + 1)).flat_map(|_| self.pick(pieces).to_vec()).collect()
    }
}

/// How many cases each function gets.
pub fn cases() -> usize {
    match std::env::var("GOSEM_CASES") {
        Ok(n) => n.parse().unwrap_or_else(|e| panic!("GOSEM_CASES={n}: {e}")),
        Err(_) => 200_000,
    }
}
