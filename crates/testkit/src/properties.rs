//! Properties: what must hold for whatever is made up.

use proptest::strategy::Strategy;
use proptest::test_runner::{Config, RngSeed, TestCaseError, TestRunner};

/// How many times as many inputs are tried, and other ones on every run.
const TIMES: &str = "PRONTODB_TEST_TIMES";

/// Tries `property` on `cases` inputs that `strategy` makes up.
///
/// They are the same ones on every run, so that only a change turns a test red. `just properties` tries others, and many.
///
/// # Panics
/// When the property does not hold, with the smallest input found that shows it.
pub fn check<S: Strategy>(
    cases: u32,
    strategy: &S,
    property: impl Fn(S::Value) -> Result<(), TestCaseError>,
) {
    let (times, rng_seed) = match std::env::var(TIMES) {
        Ok(times) => (times.parse().expect("a number in PRONTODB_TEST_TIMES"), RngSeed::Random),
        Err(_) => (1, RngSeed::Fixed(0)),
    };
    let config = Config { cases: cases * times, failure_persistence: None, rng_seed, ..Config::default() };
    if let Err(failure) = TestRunner::new(config).run(strategy, property) {
        panic!("{failure}");
    }
}
