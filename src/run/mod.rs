//! Running: the output directory, observers that write files, checkpoints, the loop over stages.
mod checkpoint;
mod directory;
mod guard;
mod place;
mod report;
mod session;
mod signals;
mod stage;
mod terminal;
mod thermo;
mod trajectory;

pub use checkpoint::{CheckpointError, Store};
pub use directory::{RESERVED, Record};
pub use guard::{Guard, OutsideDomain};
pub use session::Session;
pub use stage::StageRun;
pub use terminal::{Terminal, cell_text, clock, short};
pub use thermo::Thermo;
pub use trajectory::{Trajectories, Trajectory};

use crate::{Failure, failure::chain};
use caloron_engine::EngineError;

/// How a run is shown and on how many threads it runs.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Print nothing but warnings, verdicts and errors.
    pub quiet: bool,
    /// Threads in use, for the record.
    pub threads: usize,
}

/// The failure that an engine error means for the user.
pub fn simulation_failure(error: &EngineError) -> Failure {
    let message = chain(error);
    match error {
        EngineError::Observer { .. } => Failure::other(message),
        EngineError::Archive(_) => Failure::other(message),
        _ => Failure::simulation(message),
    }
}

/// Largest resident memory of the process so far, bytes; `None` where the system does not tell.
pub fn peak_memory() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse::<u64>().ok().map(|kb| kb * 1024)
}
