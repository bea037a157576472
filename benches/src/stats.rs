//! Medians and percentiles.

use std::time::Duration;

/// Measured numbers, in ascending order.
pub(crate) struct Samples(Vec<f64>);

impl Samples {
    pub(crate) fn new(mut numbers: Vec<f64>) -> Self {
        numbers.sort_unstable_by(f64::total_cmp);
        Self(numbers)
    }

    pub(crate) fn of_times(times: impl IntoIterator<Item = Duration>) -> Self {
        Self::new(times.into_iter().map(|time| time.as_secs_f64()).collect())
    }

    /// The number that `percent` of them do not exceed; NaN when nothing was measured.
    pub(crate) fn percentile(&self, percent: f64) -> f64 {
        let last = self.0.len().saturating_sub(1) as f64;
        let at = (last * percent / 100.0).round() as usize;
        self.0.get(at).copied().unwrap_or(f64::NAN)
    }

    pub(crate) fn median(&self) -> f64 {
        self.percentile(50.0)
    }

    pub(crate) fn max(&self) -> f64 {
        self.percentile(100.0)
    }

    pub(crate) fn min(&self) -> f64 {
        self.percentile(0.0)
    }
}

/// Numbers without a pattern, the same in every run (SplitMix64).
pub(crate) struct Dice(u64);

impl Dice {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// A number below `end`.
    pub(crate) fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % end
    }

    /// One of 32 letters and digits.
    pub(crate) fn letter(&mut self) -> u8 {
        b"abcdefghijklmnopqrstuvwxyz234567"[self.below(32) as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentiles_are_numbers_that_were_measured() {
        let samples = Samples::new((1..=101).rev().map(f64::from).collect());
        assert_eq!((samples.min(), samples.median(), samples.max()), (1.0, 51.0, 101.0));
        assert_eq!((samples.percentile(10.0), samples.percentile(99.0)), (11.0, 100.0));
    }

    #[test]
    fn nothing_measured_is_no_number() {
        assert!(Samples::new(Vec::new()).median().is_nan());
    }
}
