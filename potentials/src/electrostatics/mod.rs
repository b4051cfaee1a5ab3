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

pub(crate) use exclusions::Nearest;
pub use exclusions::{Exclusions, Partner, ScaledPair};
pub use forms::{Damped, Expansion, PairForm, ReactionField, Smooth};
pub use long_range::LongRange;
pub(crate) use long_range::{Reciprocal, Waves};
pub(crate) use pme::PmeSum;
pub use pme::{GridRule, SplineOrder};
pub(crate) use spec::permittivity;
pub use spec::{Coulomb, CoulombMethod, ScaledPairSpec};
pub use truncated::TruncatedCoulomb;
