//! What ProntoDB is tested with.
//!
//! - [`disk`]: one that can lose power and fail.
//! - [`engine_suite!`]: many small checks, one for each promise of the contract; see [`engine`].
//! - [`model`]: random transactions, compared with a map that cannot be wrong.
//! - [`properties`]: what must hold for whatever is made up.
//! - [`sandbox`]: the real program in a sealed place, with tests that read like a transcript.

pub mod disk;
pub mod engine;
pub mod model;
pub mod properties;
pub mod sandbox;
