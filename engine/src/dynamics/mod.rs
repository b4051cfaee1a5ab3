//! Integrators, thermostats and barostats as operators.
//!
//! Each file holds one operator; [`spec`] holds what an input file says and the compositions built from it.
//! Letters of a step: A drift, B kick, O Langevin noise and friction, V stochastic velocity rescaling,
//! N Nosé-Hoover chain, C Andersen collisions, W weak coupling, M removal of momentum, D Brownian step, S scaling of the
//! cell, P Monte Carlo move of the cell, R projection of the velocities onto constraints.
pub mod andersen;
pub mod berendsen;
pub mod brownian;
pub mod bussi;
pub mod cell_modes;
pub mod cell_rescale;
pub mod flexible_cell;
pub mod kick_drift;
pub mod langevin;
pub mod momentum;
pub mod mtk;
pub mod nose_hoover;
pub mod respa;
pub mod spec;

pub use andersen::Andersen;
pub use berendsen::Berendsen;
pub use brownian::Brownian;
pub use bussi::Bussi;
pub use cell_modes::{Axis, CellMode, HeldPressure, Target};
pub use cell_rescale::{Rescaling, cell_rescale, weak_coupling};
pub use flexible_cell::{CellBath, FlexibleCell};
pub use kick_drift::{Drift, Kick, Project};
pub use langevin::OrnsteinUhlenbeck;
pub use momentum::RemoveMomentum;
pub use mtk::mtk;
pub use nose_hoover::{Chain, ChainSettings, CompositionOrder, NoseHoover};
pub use spec::{BarostatSpec, BrownianSpec, NphSpec, NptSpec, NveSpec, NvtSpec, ThermostatSpec};
