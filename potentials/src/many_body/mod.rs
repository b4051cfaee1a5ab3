//! Many-body interactions for metals and semiconductors, from the files their users have.
pub mod eam;
mod files;
pub mod site_energy;
pub mod stillinger_weber;
pub mod tersoff;

pub use files::ParameterFile;
