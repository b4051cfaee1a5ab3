//! Molecular force fields: readers of the formats they come in, each in one file, into one neutral description.
mod composition;
mod embedding;
mod model;
mod openmm_shape;
mod settings;
mod spec;
mod text;
mod xml;

pub mod amber;
pub mod gromacs;
pub mod lammps;
pub mod openmm;

pub(crate) use text::read_text;

pub use composition::Composition;
pub use model::{FileMethod, FileSettings, KCAL_PER_MOL, KJ_PER_MOL, MolecularModel, NANOMETRE};
pub use settings::{Electrostatics, Overrides, non_bonded};
pub use spec::{
    ElectrostaticsSpec, ForceFieldSpec, ForceGroupsSpec, ImplicitSolventSpec, ModifierSpec, MoleculeFileSpec,
    NamedPotential,
};
