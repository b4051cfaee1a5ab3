//! Caloron: molecular dynamics and Monte Carlo from an input file.
pub mod input;

pub use caloron_engine as engine;
pub use caloron_io as io;
pub use caloron_potentials as potentials;
