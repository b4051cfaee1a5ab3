//! Caloron: molecular dynamics and Monte Carlo from an input file, with potentials from Lennard-Jones to learned
//! ones. This crate is the facade over the libraries of the workspace, the reader of input files ([`input`]), the
//! runner ([`run`]) and the command line ([`cli`]).
pub use caloron_engine as engine;
pub use caloron_io as io;
pub use caloron_potentials as potentials;

pub mod cli;
mod failure;
mod frames;
pub mod input;
mod provenance;
pub mod run;

pub use failure::{Failure, Kind};
