//! Learned interatomic potentials.
pub mod equivariant;
pub mod graph;
