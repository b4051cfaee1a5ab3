//! The precision of an interaction's arithmetic.
use schemars::JsonSchema;
use serde::Deserialize;

/// Precision of the arithmetic of an interaction. Positions, velocities, sums over atoms and results are in double precision
/// with both.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Precision {
    /// Single precision: faster; forces have relative errors from 1e-7 (pairs) to about 1e-5 eV/Å (learned potentials).
    F32,
    /// Double precision.
    #[default]
    F64,
}
