//! The formats, each in its own file.

pub(crate) mod chemfiles;
pub(crate) mod cif;
pub(crate) mod dcd;
pub(crate) mod extxyz;
pub(crate) mod gro;
pub(crate) mod h5md;
pub(crate) mod inpcrd;
pub(crate) mod lammps;
pub(crate) mod netcdf;
pub(crate) mod openmm_state;
pub(crate) mod pdb;
pub(crate) mod poscar;
pub(crate) mod trr;
pub(crate) mod xtc;
