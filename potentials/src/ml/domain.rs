//! What a model file says of the training data: shortest distances.
//!
//! The hyper-parameter `shortest_distances` is a table of distances in Å by pairs of elements, `{"Mg-O": 1.83, "O-O": 2.4}`;
//! `caloron model import --training` writes it.
use super::checkpoint::ModelFile;
use caloron_engine::{Domain, SpecError, System};
use serde_json::Value;

/// Name of the hyper-parameter.
pub const SHORTEST_DISTANCES: &str = "shortest_distances";

/// The domain of a model for the species of a system, whose elements in the model `element` names.
///
/// # Errors
/// When the file states a distance that is none.
pub(crate) fn domain<'n>(
    file: &ModelFile,
    system: &System,
    element: impl Fn(usize) -> &'n str,
) -> Result<Domain, SpecError> {
    let mut domain = Domain::default();
    let Some(table) = file.hyper_parameters.get(SHORTEST_DISTANCES) else { return Ok(domain) };
    let species = system.species();
    for (a, b) in (0..species.len()).flat_map(|a| (0..=a).map(move |b| (a, b))) {
        let (x, y) = (element(a), element(b));
        let stated = table.get(format!("{x}-{y}")).or_else(|| table.get(format!("{y}-{x}")));
        match stated.map(Value::as_f64) {
            None => {}
            Some(Some(d)) if d > 0.0 && d < 20.0 => {
                domain.set_shortest(&species[a].symbol, &species[b].symbol, d);
            }
            Some(_) => {
                return Err(SpecError::new(
                    "file",
                    format!("the model file states no distance for {x}-{y} in `{SHORTEST_DISTANCES}`"),
                )
                .hint("make it again with `caloron model import --training`"));
            }
        }
    }
    Ok(domain)
}
