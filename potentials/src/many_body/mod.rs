//! Many-body interactions for metals and semiconductors, from the files their users have.
pub mod adp;
pub mod eam;
pub mod edip;
pub(crate) mod files;
pub mod meam;
pub mod site_energy;
pub mod snap;
pub mod stillinger_weber;
pub mod tersoff;
pub mod uf3;
pub mod vashishta;

pub use files::ParameterFile;
