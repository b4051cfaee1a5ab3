//! Ctrl-C and termination: the step is finished, a checkpoint written; a second signal ends at once.
use std::sync::atomic::{AtomicUsize, Ordering};

static SIGNALS: AtomicUsize = AtomicUsize::new(0);

/// Starts listening; harmless when called twice.
pub fn listen() {
    let _ = ctrlc::set_handler(|| {
        if SIGNALS.fetch_add(1, Ordering::SeqCst) > 0 {
            std::process::exit(130);
        }
    });
}

/// True when the user asked to stop.
pub fn stop_requested() -> bool {
    SIGNALS.load(Ordering::Relaxed) > 0
}
