//! Input files: text becomes a [`Document`], a document becomes a [`Plan`].
//!
//! This is the only place that turns text into objects. Every mistake in an input is an [`InputError`] with
//! the place in the file, the key, what was expected and a hint.
mod atoms;
mod build;
mod building;
mod cell;
mod checks;
mod diagnostic;
mod document;
mod files;
mod groups;
mod molecules;
mod output;
mod reference;
mod schema;
mod source;
mod stage;
mod structure;
mod system;
mod velocities;
mod visitors;

pub(crate) use build::hashed;
pub use build::{Evaluation, InputFile, Plan, PotentialFile, PotentialOrigin, Provenance, build};
pub use building::{
    BasisAtomSpec, BasisSpec, BinarySpec, BoxShape, CubicSpec, HexagonalSpec, IonsSpec, LatticeSpec,
    PackSpec, PackedSpec, PerovskiteSpec, RandomSpec, SolvateSpec, SubstitutionSpec, SurfaceSpec,
    VacancySpec, WaterModel, WurtziteSpec,
};
pub use cell::CellOverride;
pub use diagnostic::InputError;
pub use document::{
    Document, NeighborsSpec, PotentialDocument, PotentialTable, SearchSpec, UnitsSpec, VerdictSpec,
};
pub use groups::{BoxRegion, GroupSpec, SphereRegion};
pub use output::{
    CheckpointSpec, OutputPlan, OutputSpec, ThermoColumn, ThermoPlan, ThermoSpec, TrajectoryPlan,
    TrajectorySpec, WallTime,
};
pub use reference::reference;
pub use schema::{schema, schema_text};
pub use source::Source;
pub use stage::{Ensemble, StageOutputSpec, StagePlan, StageSpec};
pub use system::SystemSpec;
pub use velocities::{VelocitiesSpec, VelocityDraw};
pub use visitors::OneOrMany;
