//! Structures that are made: crystals, alloys, surfaces, mixtures.
mod alloy;
mod lattice;
mod random;
mod supercell;
mod surface;

pub use alloy::{SubstitutionSpec, VacancySpec};
pub use lattice::{
    BasisAtomSpec, BasisSpec, BinarySpec, CubicSpec, HexagonalSpec, LatticeSpec, PerovskiteSpec, WurtziteSpec,
};
pub use random::RandomSpec;
pub use surface::SurfaceSpec;

pub(crate) use alloy::Sites;
