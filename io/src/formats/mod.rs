//! The formats, each in its own file.

pub(crate) mod chemfiles;
pub(crate) mod extxyz;
pub(crate) mod poscar;
