//! Learned interatomic potentials.
//!
//! [`checkpoint`] reads trained models from files; every architecture is one folder that builds its potential from a
//! [`checkpoint::ModelFile`].
pub mod architecture;
pub mod checkpoint;
pub mod chgnet;
pub mod committee;
pub mod device;
pub mod differentiable;
pub mod domain;
pub mod equivariant;
pub mod fused;
pub mod graph;
pub mod kernels;
pub mod mace;
pub mod nep;
pub mod radial;
pub mod sevennet;
pub mod tensornet;

use caloron_engine::SpecError;
use checkpoint::ModelFile;
use std::path::Path;

/// The error for a model of another architecture than the potential that names it.
pub(crate) fn other_architecture(path: &Path, model: &ModelFile, expected: &str) -> SpecError {
    let path = path.display();
    match model.architecture.as_str() {
        "" => SpecError::new(
            "file",
            format!("`{path}` holds a model of an unknown architecture, expected {expected}"),
        ),
        other => SpecError::new(
            "file",
            format!("`{path}` holds a model of the architecture {other}, expected {expected}"),
        )
        .hint(format!("use `[potential.{other}]`")),
    }
}
