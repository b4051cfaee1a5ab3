//! The conformance suite that every potential passes, and access to the reference data of the tests.
use std::path::{Path, PathBuf};

/// A file of the golden reference data, or `None` (and a line on stderr) when it is not there, so that a test can
/// skip itself. The folder is `../shared/reference` beside the workspace, or what `CALORON_REFERENCE` names.
pub fn reference(path: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("CALORON_REFERENCE") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference"),
    };
    let file = root.join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("SKIPPED: no reference data at {}; set CALORON_REFERENCE to its folder", file.display());
    None
}
