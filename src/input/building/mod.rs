//! Structures that are made: crystals, alloys, surfaces, mixtures.
mod alloy;
mod ions;
mod lattice;
mod molecule;
mod pack;
mod random;
mod solvate;
mod supercell;
mod surface;

pub use alloy::{SubstitutionSpec, VacancySpec};
pub use ions::IonsSpec;
pub use lattice::{
    BasisAtomSpec, BasisSpec, BinarySpec, CubicSpec, HexagonalSpec, LatticeSpec, PerovskiteSpec, WurtziteSpec,
};
pub use molecule::WaterModel;
pub use pack::{PackSpec, PackedSpec};
pub use random::RandomSpec;
pub use solvate::{BoxShape, SolvateSpec};
pub use surface::SurfaceSpec;

pub(crate) use alloy::Sites;
pub(crate) use ions::{Ion, usual_charge};
pub(crate) use molecule::Template;
