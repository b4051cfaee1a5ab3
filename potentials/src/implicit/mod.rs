//! Implicit solvents.
mod obc;

pub use obc::{Obc, ObcAtom, ObcModel};
