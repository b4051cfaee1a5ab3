//! Minimisers: FIRE and L-BFGS, with fixed or variable cell.
//!
//! A minimiser is a [`Sampler`](crate::Sampler), so that an input file can make it a stage; [`relax`] runs one
//! to its end. What is minimised is the energy E, or with a variable cell the enthalpy H = E + P V, as a function
//! of the generalised coordinates of [`coordinates`].
pub mod coordinates;
mod fire;
mod lbfgs;
mod minimizer;
mod relax;
mod spec;
#[cfg(test)]
mod tests;

pub use coordinates::{Component, Coordinates, Deformation, Point};
pub use fire::Fire;
pub use lbfgs::Lbfgs;
pub use minimizer::{Goal, Minimizer, Outcome, Summary};
pub use relax::{Iteration, RelaxError, Relaxation, relax};
pub use spec::{CellSpec, DeformSpec, MethodSpec, MinimizeSpec};

use crate::parallel;

/// a · b with a fixed order of additions.
fn dot(a: &[f64], b: &[f64]) -> f64 {
    parallel::sum(a.len(), 0.0, |i| a[i] * b[i])
}

/// y += a x.
fn add_scaled(y: &mut [f64], a: f64, x: &[f64]) {
    parallel::for_each_mut(y, |i, y| *y += a * x[i]);
}
