//! Monte Carlo moves.
pub mod barostat;

pub use barostat::{MonteCarloBarostat, VolumeMoves};
