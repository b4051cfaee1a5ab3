//! The engine of Caloron: state, neighbours, evaluation, samplers, statistics, checkpoints.
//!
//! It opens no files and knows no potential by name. Inside, lengths are Å, energies eV, masses u,
//! charges e and temperatures enter as `k_B T` in eV; time is Å sqrt(u/eV), so that `a = f / m` needs
//! no factor. With reduced Lennard-Jones units the same numbers are read as σ, ε, m and τ.
pub mod archive;
pub mod cell;
pub mod constraints;
pub mod domain;
pub mod dynamics;
pub mod elements;
pub mod error;
pub mod evaluator;
pub mod guard;
pub mod minimize;
pub mod monte_carlo;
pub mod neighbors;
pub mod observe;
pub mod parallel;
pub mod potential;
pub mod properties;
pub mod quantity;
pub mod rng;
pub mod sampler;
pub mod simulation;
pub mod state;
pub mod statistics;
pub mod system;
pub mod testing;
pub mod topology;
pub mod units;
pub mod validation;
pub mod velocities;
pub mod verdict;
pub mod virtual_sites;
pub mod watch;

/// A vector in Cartesian space: position, velocity, force.
pub type Vec3 = nalgebra::Vector3<f64>;
/// A 3x3 matrix: cell (columns a, b, c), virial, strain.
pub type Mat3 = nalgebra::Matrix3<f64>;

/// Order of the six components of a symmetric tensor: row, column and name.
pub const VOIGT: [(usize, usize, &str); 6] =
    [(0, 0, "xx"), (1, 1, "yy"), (2, 2, "zz"), (1, 2, "yz"), (0, 2, "xz"), (0, 1, "xy")];

pub use archive::{Archive, ArchiveError};
pub use cell::{Cell, CellError};
pub use constraints::Constraints;
pub use domain::Domain;
pub use error::{EngineError, SpecError};
pub use evaluator::Evaluator;
pub use neighbors::NeighborList;
pub use observe::{Flow, Frame, Interval, Observer};
pub use potential::{Input, Potential, PotentialError};
pub use properties::{Extra, ExtraSpec, Outputs, Properties, Scope};
pub use quantity::Quantity;
pub use rng::{Stream, Streams};
pub use sampler::{Ctx, Op, Sampler, Schedule, Splitting};
pub use simulation::{Simulation, Stage};
pub use state::{Revision, State};
pub use system::{Species, System};
pub use topology::{Topology, TopologyParts};
pub use units::UnitSystem;
