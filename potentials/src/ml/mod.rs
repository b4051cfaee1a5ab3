//! Learned interatomic potentials.
//!
//! [`checkpoint`] reads trained models from files; every architecture is one folder that builds its potential from a
//! [`checkpoint::ModelFile`].
pub mod checkpoint;
pub mod equivariant;
pub mod graph;
pub mod nep;

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

/// The architecture of a model, by the names of its tensors.
pub(crate) fn recognise(model: &ModelFile) -> Option<&'static str> {
    let has = |name: &str| model.tensors.contains_key(name);
    if has("node_embedding.linear.weight") && has("products.0.linear.weight") {
        Some("mace")
    } else if has("atom_embedding.embedding.weight") && has("composition_model.fc.weight") {
        Some("chgnet")
    } else if has("edge_embedding.basis_function.coeffs") && has("onehot_to_feature_x.linear.weight") {
        Some("sevennet")
    } else {
        None
    }
}
