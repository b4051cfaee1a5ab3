//! Kernels of learned potentials on plain slices, in single and double precision.
mod aligned;
mod disjoint;
pub mod gemm;

pub use aligned::Aligned;
pub use disjoint::Disjoint;
