//! Coulomb interactions.
mod bspline;
mod ewald_sum;
mod exclusions;
mod fft;
mod forms;
mod long_range;
mod pair_sum;
mod pme;
mod slab;
mod spec;
mod truncated;

pub use exclusions::{Exclusions, Partner, ScaledPair};
pub use forms::{Damped, PairForm, ReactionField};
pub use long_range::LongRange;
pub use pme::{GridRule, SplineOrder};
pub use spec::{Coulomb, CoulombMethod, ScaledPairSpec};
pub use truncated::TruncatedCoulomb;
