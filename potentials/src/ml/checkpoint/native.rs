//! Caloron's own form of a trained model: one safetensors file whose metadata say what the numbers mean.
//!
//! Metadata are pairs of text:
//!
//! | key | value |
//! |---|---|
//! | `caloron` | version of this form, `1` |
//! | `architecture` | `mace`, `chgnet`, ... |
//! | `units` | `eV, Å`; `of the model` for an architecture that is trained in any, which the hyper-parameters may name |
//! | `species` | symbols, separated by blanks, in the order of the model |
//! | `hyper_parameters` | JSON |
//! | `source`, `source_sha256` | name and SHA-256 of the file it was made from |
//! | `licence` | when it is stated |
//!
//! The writer orders everything, so that the same model gives the same bytes.
use super::error::{Fault, Read};
use super::tensor::{Dtype, Tensor};
use super::{Form, ModelFile, Source};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;

/// Version of the form.
const VERSION: &str = "1";
/// Units of models.
pub const UNITS: &str = "eV, Å";
/// Units of models that are trained in any.
const OWN_UNITS: &str = "of the model";

/// What the metadata say of the units of an architecture.
fn units(architecture: &str) -> &'static str {
    if architecture == "tensornet" { OWN_UNITS } else { UNITS }
}

/// The bytes of the file for a model.
pub(super) fn write(model: &ModelFile) -> Vec<u8> {
    let mut metadata = BTreeMap::from([
        ("caloron", VERSION.to_owned()),
        ("architecture", model.architecture.clone()),
        ("units", units(&model.architecture).to_owned()),
        ("hyper_parameters", Value::Object(sorted(&model.hyper_parameters)).to_string()),
        ("source", model.source.name.clone()),
        ("source_sha256", model.source.sha256.clone()),
    ]);
    if !model.species.is_empty() {
        metadata.insert("species", model.species.join(" "));
    }
    if let Some(licence) = &model.licence {
        metadata.insert("licence", licence.clone());
    }
    let mut header = Map::new();
    header.insert("__metadata__".to_owned(), json!(metadata));
    // readers expect the widest numbers first, so that each begins at a multiple of its width
    let mut order: Vec<(&String, &Tensor)> = model.tensors.iter().collect();
    order.sort_by_key(|(_, t)| std::cmp::Reverse(t.dtype().size()));
    let mut at = 0;
    for (name, tensor) in &order {
        let end = at + tensor.bytes().len();
        let dtype = tensor.dtype().safetensors().to_string();
        header.insert(
            (*name).clone(),
            json!({ "dtype": dtype, "shape": tensor.shape(), "data_offsets": [at, end] }),
        );
        at = end;
    }
    let mut header = Value::Object(header).to_string().into_bytes();
    header.resize(header.len().next_multiple_of(8), b' ');
    let mut bytes = (header.len() as u64).to_le_bytes().to_vec();
    bytes.reserve(header.len() + at);
    bytes.extend(header);
    for (_, tensor) in order {
        bytes.extend_from_slice(tensor.bytes());
    }
    bytes
}

fn sorted(map: &Map<String, Value>) -> Map<String, Value> {
    fn value(v: &Value) -> Value {
        match v {
            Value::Object(map) => Value::Object(sorted(map)),
            Value::Array(items) => Value::Array(items.iter().map(value).collect()),
            other => other.clone(),
        }
    }
    let ordered: BTreeMap<&String, &Value> = map.iter().collect();
    ordered.into_iter().map(|(k, v)| (k.clone(), value(v))).collect()
}

/// Does a file look like safetensors?
pub(super) fn is_safetensors(bytes: &[u8]) -> bool {
    let Some(length) = bytes.first_chunk::<8>() else { return false };
    bytes.get(8) == Some(&b'{') && u64::from_le_bytes(*length) <= bytes.len() as u64 - 8
}

/// Reads a safetensors file; one without Caloron's metadata gives the tensors and its metadata as hyper-parameters.
pub(super) fn read(bytes: &[u8], source: Source) -> Read<ModelFile> {
    let fault = |e: safetensors::SafeTensorError| Fault::damaged(e.to_string());
    let (_, metadata) = safetensors::SafeTensors::read_metadata(bytes).map_err(fault)?;
    let file = safetensors::SafeTensors::deserialize(bytes).map_err(fault)?;
    let mut tensors = BTreeMap::new();
    for (name, view) in file.tensors() {
        let dtype = Dtype::from_safetensors(view.dtype()).ok_or_else(|| {
            Fault::Unsupported(format!("tensor `{name}` holds numbers of type {}", view.dtype()))
        })?;
        tensors.insert(name, Tensor::from_bytes(dtype, view.shape().to_vec(), view.data().to_vec())?);
    }
    let empty = std::collections::HashMap::new();
    let metadata = metadata.metadata().as_ref().unwrap_or(&empty);
    let text = |key: &str| metadata.get(key).cloned();
    let mut model = ModelFile {
        architecture: String::new(),
        tensors,
        hyper_parameters: Map::new(),
        species: Vec::new(),
        form: Form::Safetensors,
        source,
        licence: text("licence").or_else(|| text("license")),
    };
    match metadata.get("caloron").map(String::as_str) {
        None => {
            let ordered: BTreeMap<_, _> = metadata.iter().collect();
            for (key, value) in ordered {
                let value = serde_json::from_str(value).unwrap_or_else(|_| Value::String(value.clone()));
                model.hyper_parameters.insert(key.clone(), value);
            }
            return Ok(model);
        }
        Some(VERSION) => {}
        Some(other) => {
            return Err(Fault::Unsupported(format!(
                "version {other} of Caloron's models (this program reads {VERSION})"
            )));
        }
    }
    model.form = Form::Caloron;
    model.architecture =
        text("architecture").ok_or_else(|| Fault::Content("its metadata name no architecture".to_owned()))?;
    let expected = units(&model.architecture);
    if let Some(units) = text("units").filter(|u| u != expected) {
        return Err(Fault::Unsupported(format!("a model in units `{units}` (expected `{expected}`)")));
    }
    model.species = text("species").unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    model.hyper_parameters =
        match serde_json::from_str(&text("hyper_parameters").unwrap_or_else(|| "{}".to_owned())) {
            Ok(Value::Object(map)) => map,
            _ => return Err(Fault::damaged("its hyper-parameters are no JSON object")),
        };
    if let (Some(name), Some(sha256)) = (text("source"), text("source_sha256")) {
        model.source = Source { name, sha256, ..model.source };
    }
    Ok(model)
}
