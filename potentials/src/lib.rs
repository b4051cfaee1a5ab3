//! The interactions of Caloron.
//!
//! Each functional form lives in one file with its spec (what an input file says), its build and its kernel;
//! [`spec::PotentialSpec`] lists them, one line each.
pub mod bonded;
pub mod dispersion;
pub mod electrostatics;
pub mod external;
pub mod force_field;
pub mod implicit;
pub mod kernels;
pub mod many_body;
pub mod ml;
pub mod nonbonded;
pub mod pair;
mod precision;
pub mod selection;
pub mod simd;
pub mod spec;

pub use precision::Precision;
pub use spec::{BuildContext, PotentialSpec};
