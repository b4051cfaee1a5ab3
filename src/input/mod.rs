//! Input files: text becomes a [`Document`], a document becomes a [`Plan`].
//!
//! This is the only place that turns text into objects. Every mistake in an input is an [`InputError`] with
//! the place in the file, the key, what was expected and a hint.
mod build;
mod diagnostic;
mod document;
mod groups;
mod lattice;
mod molecules;
mod output;
mod packing;
mod reference;
mod schema;
mod source;
mod stage;
mod structure;
mod velocities;
mod visitors;

pub use build::{Evaluation, InputFile, Plan, PotentialFile, Provenance, build, sha256};
pub use diagnostic::InputError;
pub use document::{
    Document, NeighborsSpec, PotentialDocument, PotentialTable, SearchSpec, UnitsSpec, VerdictSpec,
};
pub use groups::{BoxRegion, GroupSpec, SphereRegion};
pub use lattice::{
    BasisAtomSpec, BasisSpec, BinarySpec, CubicSpec, HexagonalSpec, LatticeSpec, PerovskiteSpec, WurtziteSpec,
};
pub use output::{
    CheckpointSpec, OutputPlan, OutputSpec, ThermoColumn, ThermoPlan, ThermoSpec, TrajectoryPlan,
    TrajectorySpec, WallTime,
};
pub use packing::RandomSpec;
pub use reference::reference;
pub use schema::{schema, schema_text};
pub use source::Source;
pub use stage::{Ensemble, StageOutputSpec, StagePlan, StageSpec};
pub use structure::{CellOverride, SystemSpec};
pub use velocities::{VelocitiesSpec, VelocityDraw};
pub use visitors::OneOrMany;
