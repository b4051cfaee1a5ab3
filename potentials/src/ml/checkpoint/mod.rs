//! Trained models in files: those that PyTorch writes, and Caloron's own form.
//!
//! [`load`] reads either and gives the same [`ModelFile`]: tensors by the names they have in the `state_dict()` of the
//! original program, and hyper-parameters as JSON. Nothing from a file is executed. A pickle is read as data by a stack
//! machine that knows no functions beyond those that put arrays together; classes are names that must be on a list.
//! Whatever is allocated is bounded by the size of the file.
//!
//! Forms that are read:
//!
//! - `torch.save` of PyTorch 1.6 and later (a zip archive): a `state_dict()`, a dictionary that holds one, a pickled
//!   `torch.nn.Module` (MACE's `.model`), also compressed with gzip;
//! - safetensors, with or without Caloron's metadata;
//! - NEP's text files.
//!
//! Hyper-parameters of a pickled module are `{"class": …, "modules": {path: {"class": …, attribute: …}}}`, those of a
//! dictionary are its entries beside the weights.
mod error;
mod flatten;
mod native;
mod pickle;
mod rebuild;
mod tensor;
#[cfg(test)]
mod tests;
mod tree;
mod zip;

pub use error::{CheckpointError, Fault};
pub use native::UNITS;
pub use tensor::{Dtype, Tensor};

use crate::BuildContext;
use crate::spec::missing;
use caloron_engine::SpecError;
use serde_json::{Map, Value};
use sha2::{Digest, Sha256};
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// The form a model file has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A zip archive with a pickle, from `torch.save`.
    PyTorch,
    /// Caloron's safetensors.
    Caloron,
    /// Safetensors from elsewhere.
    Safetensors,
    /// The text of `nep.txt`.
    NepText,
}

impl std::fmt::Display for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::PyTorch => "PyTorch",
            Self::Caloron => "Caloron safetensors",
            Self::Safetensors => "safetensors",
            Self::NepText => "NEP text",
        })
    }
}

/// Where a model comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Source {
    /// Name of the original file.
    pub name: String,
    /// SHA-256 of the original file.
    pub sha256: String,
    /// SHA-256 of the file that was read.
    pub file_sha256: String,
}

/// What a model file says.
#[derive(Clone, Debug)]
pub struct ModelFile {
    /// Name of the architecture (see [`crate::ml::architecture`]), empty when it is not recognised.
    pub architecture: String,
    /// Tensors by the names they have in the original program.
    pub tensors: BTreeMap<String, Tensor>,
    /// Everything that is not a tensor.
    pub hyper_parameters: Map<String, Value>,
    /// Chemical symbols in the order of the model, where they are known.
    pub species: Vec<String>,
    /// The form it was read from.
    pub form: Form,
    /// Where it comes from.
    pub source: Source,
    /// The licence, when the file states one.
    pub licence: Option<String>,
}

impl ModelFile {
    /// Reads a model file that an input names, once for all systems it is built for, and notes it.
    ///
    /// # Errors
    /// When it cannot be read; the error is at `key`.
    pub fn open(context: &mut BuildContext<'_>, key: &str, file: &Path) -> Result<Arc<Self>, SpecError> {
        let path = context.directory.join(file);
        let model = context.models.load(&path).map_err(|e| {
            let error = SpecError::new(key, e.to_string());
            let hint = match &e {
                CheckpointError::Io { source, .. } => missing(source, context.directory, file),
                e => e.hint(),
            };
            match hint {
                Some(hint) => error.hint(hint),
                None => error,
            }
        })?;
        context.files.push(path);
        Ok(model)
    }
    /// A tensor.
    ///
    /// # Errors
    /// When it is not in the file.
    pub fn tensor(&self, name: &str) -> Result<&Tensor, Fault> {
        self.tensors.get(name).ok_or_else(|| Fault::Content(format!("the model has no tensor `{name}`")))
    }
    /// The numbers of a tensor whose shape is known.
    ///
    /// # Errors
    /// When it is not in the file or has another shape.
    pub fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, Fault> {
        let tensor = self.tensor(name)?;
        if tensor.shape() != shape {
            return Err(Fault::Content(format!(
                "tensor `{name}` has the shape {:?}, expected {shape:?}",
                tensor.shape()
            )));
        }
        Ok(tensor.to_f64())
    }
    /// A hyper-parameter by its keys, from the outside in: `["modules", "interactions.0", "avg_num_neighbors"]`.
    pub fn hyper_parameter(&self, keys: &[&str]) -> Option<&Value> {
        let (first, rest) = keys.split_first()?;
        rest.iter().try_fold(self.hyper_parameters.get(*first)?, |value, key| value.get(key))
    }
    /// Number of trained or fixed numbers: elements of all floating-point tensors.
    pub fn parameters(&self) -> usize {
        self.tensors.values().filter(|t| t.dtype().is_float()).map(Tensor::len).sum()
    }
    /// The model in Caloron's own form.
    pub fn to_bytes(&self) -> Vec<u8> {
        native::write(self)
    }
    /// Writes the model in Caloron's own form.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> std::io::Result<()> {
        std::fs::write(path, self.to_bytes())
    }
}

/// Model files that were read, for builds that share them: an evaluation of many structures reads each file once.
#[derive(Debug, Default)]
pub struct ModelCache(Mutex<BTreeMap<PathBuf, Arc<ModelFile>>>);

impl ModelCache {
    /// The model of a file, read when it is asked for the first time. Threads that ask meanwhile wait for it.
    ///
    /// # Errors
    /// Those of [`load`].
    pub fn load(&self, path: &Path) -> Result<Arc<ModelFile>, CheckpointError> {
        let mut models = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(model) = models.get(path) {
            return Ok(model.clone());
        }
        let model = Arc::new(load(path)?);
        models.insert(path.to_owned(), model.clone());
        Ok(model)
    }
}

/// Reads a model file of any form.
///
/// # Errors
/// When it cannot be read, is no model file, or is damaged; the error names the file.
pub fn load(path: impl AsRef<Path>) -> Result<ModelFile, CheckpointError> {
    let path = path.as_ref();
    let io = |source| CheckpointError::Io { path: path.to_owned(), source };
    if !std::fs::metadata(path).map_err(io)?.is_file() {
        return Err(io(std::io::Error::other("it is not a regular file")));
    }
    let bytes = std::fs::read(path).map_err(io)?;
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let sha256 = hex(&Sha256::digest(&bytes));
    let source = Source { name, sha256: sha256.clone(), file_sha256: sha256 };
    let result = parse(&bytes, source);
    result.map_err(|e| match e {
        Refusal::Foreign(what, hint) => {
            CheckpointError::Foreign { path: path.to_owned(), what: what.to_owned(), hint: hint.to_owned() }
        }
        Refusal::Fault(fault) => CheckpointError::Faulty { path: path.to_owned(), fault },
    })
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Why bytes are no model.
#[derive(Debug, PartialEq)]
pub(crate) enum Refusal {
    /// Another kind of file: what it is, and what to do.
    Foreign(&'static str, &'static str),
    /// A fault in the right kind of file.
    Fault(Fault),
}

impl From<Fault> for Refusal {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

/// The most that a gzip file may expand to, bytes.
const LARGEST_INFLATED: u64 = 4 << 30;

/// Reads the bytes of a model file.
pub(crate) fn parse(bytes: &[u8], source: Source) -> Result<ModelFile, Refusal> {
    if bytes.starts_with(&[0x1f, 0x8b]) {
        let mut content = Vec::new();
        let limit = LARGEST_INFLATED.min(1032 * bytes.len() as u64);
        let read = flate2::read::MultiGzDecoder::new(bytes).take(limit + 1).read_to_end(&mut content);
        match read {
            Ok(n) if n as u64 <= limit => {}
            Ok(_) => return Err(Fault::Excessive("the file expands to more than 4 GiB".to_owned()).into()),
            Err(e) => return Err(Fault::damaged(format!("it cannot be decompressed ({e})")).into()),
        }
        return parse_plain(&content, source);
    }
    parse_plain(bytes, source)
}

fn parse_plain(bytes: &[u8], source: Source) -> Result<ModelFile, Refusal> {
    let mut model = if bytes.starts_with(b"PK\x03\x04") {
        from_zip(bytes, source)?
    } else if super::nep::file::is_nep(bytes) {
        super::nep::file::parse(bytes, source)?
    } else if native::is_safetensors(bytes) {
        native::read(bytes, source)?
    } else {
        return Err(foreign(bytes));
    };
    if model.architecture.is_empty()
        && let Some(found) = super::architecture::recognise(&model)
    {
        model.architecture = found.name.to_owned();
        if let Ok(summary) = found.summary(&model) {
            model.species = summary.species;
        }
    }
    Ok(model)
}

fn from_zip(bytes: &[u8], source: Source) -> Result<ModelFile, Refusal> {
    let archive = zip::Archive::open(bytes)?;
    let names = archive.names();
    if names.iter().any(|n| n.contains("/code/") || n.ends_with("/constants.pkl")) {
        return Err(Refusal::Foreign(
            "a compiled model (TorchScript), which holds code",
            "give the file that the training program saved, before it was compiled or deployed",
        ));
    }
    if names.iter().any(|n| n.ends_with(".npy")) {
        return Err(Refusal::Foreign("an archive of numpy arrays", "expected a model saved by PyTorch"));
    }
    let Some(entry) = names.iter().find(|n| *n == "data.pkl" || n.ends_with("/data.pkl")) else {
        return Err(Refusal::Foreign(
            "a zip archive without the pickle that PyTorch writes",
            "unpack it and give the model file inside",
        ));
    };
    let folder = entry.trim_end_matches("data.pkl");
    if archive.read(&format!("{folder}byteorder"))?.is_some_and(|b| b.trim_ascii() != b"little") {
        return Err(Fault::Unsupported("numbers in big-endian order".to_owned()).into());
    }
    let content = archive.read(entry)?.unwrap_or_default();
    let pickle = pickle::read(&content)?;
    let flat = flatten::flatten(&pickle.arena, pickle.root, &archive, folder, bytes.len())?;
    Ok(ModelFile {
        architecture: String::new(),
        tensors: flat.tensors,
        hyper_parameters: flat.hyper_parameters,
        species: Vec::new(),
        form: Form::PyTorch,
        source,
        licence: None,
    })
}

/// What a file is that is no model.
fn foreign(bytes: &[u8]) -> Refusal {
    /// The number that PyTorch's old form begins with, as a pickle holds it.
    const LEGACY: &[u8] = b"\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.";
    let starts = |magic: &[u8]| bytes.starts_with(magic);
    let resave = "open it with a recent PyTorch and save it again with `torch.save`";
    let (what, hint) = if bytes.is_empty() {
        ("empty", "fetch the file again")
    } else if starts(&[0x80]) && bytes.get(2..2 + LEGACY.len()) == Some(LEGACY) {
        ("a model in the form that PyTorch had before version 1.6", resave)
    } else if starts(&[0x80]) {
        ("a plain pickle, not a file from `torch.save`", resave)
    } else if bytes.get(257..262) == Some(b"ustar") {
        ("a tar archive", "unpack it and give the model file inside")
    } else if starts(b"\x89HDF") {
        ("an HDF5 file", "expected a model saved by PyTorch, or safetensors")
    } else if starts(b"version https://git-lfs") {
        ("a pointer of Git LFS, not the file itself", "fetch the file with `git lfs pull`")
    } else if starts(b"<!") || starts(b"<html") {
        ("a web page", "the download went wrong; fetch the file itself")
    } else {
        (
            "not a model file",
            "expected a model saved by PyTorch (`.model`, `.pt`, `.pth`), safetensors, or `nep.txt`",
        )
    };
    Refusal::Foreign(what, hint)
}
