//! Coulomb interactions.
mod ewald_sum;
mod exclusions;
mod forms;
mod long_range;
mod pair_sum;
mod slab;
mod spec;
mod truncated;

pub use exclusions::{Exclusions, Partner, ScaledPair};
pub use forms::{Damped, PairForm, ReactionField};
pub use long_range::LongRange;
pub use spec::{Coulomb, CoulombMethod, ScaledPairSpec};
pub use truncated::TruncatedCoulomb;
