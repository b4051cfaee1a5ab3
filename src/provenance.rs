//! Where output files come from: names and values for their heads, or for a file beside those whose format has none.
use crate::Failure;
use caloron_io::Format;
use sha2::{Digest, Sha256};
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// Names with values, as writers take them.
pub type Pairs = Vec<(String, String)>;

/// Bytes of a file that are hashed at a time.
const PIECE: usize = 1 << 16;

/// What a command computed from.
#[derive(Clone, Copy, Debug, Default)]
pub struct Origin<'a> {
    /// Version of the program, this one unless a run goes on.
    pub version: Option<&'a str>,
    /// Title of the input; empty if it has none.
    pub title: &'a str,
    /// Input file, or file of interactions.
    pub input: Option<&'a Path>,
    /// SHA-256 of its text.
    pub input_sha256: &'a str,
    /// Structure file or folder.
    pub structures: Option<&'a Path>,
    /// Seed of the random numbers.
    pub seed: Option<u64>,
    /// `physical` or `lj`.
    pub units: &'a str,
    /// Names of the interactions.
    pub potentials: &'a [String],
    /// Files that the input names, with their SHA-256.
    pub files: &'a [(PathBuf, String)],
}

impl Origin<'_> {
    /// Names and values; what is not known is left out.
    pub fn pairs(&self) -> Pairs {
        let name = |path: &Path| path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let mut pairs: Pairs = [
            ("caloron", self.version.unwrap_or(env!("CARGO_PKG_VERSION")).to_owned()),
            ("title", self.title.to_owned()),
            ("input", self.input.map(name).unwrap_or_default()),
            ("input_sha256", self.input_sha256.to_owned()),
            ("structures", self.structures.map(name).unwrap_or_default()),
            ("seed", self.seed.map(|s| s.to_string()).unwrap_or_default()),
            ("units", self.units.to_owned()),
            ("potential", self.potentials.join(" + ")),
        ]
        .into_iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(key, value)| (key.to_owned(), value))
        .collect();
        pairs.extend(self.files.iter().map(|(file, hash)| (format!("sha256({})", name(file)), hash.clone())));
        pairs
    }
}

/// SHA-256 of bytes, hexadecimal.
pub fn sha256(bytes: &[u8]) -> String {
    hexadecimal(&Sha256::digest(bytes))
}

/// SHA-256 of a file of any length, hexadecimal.
///
/// # Errors
/// When it cannot be read.
pub fn sha256_of(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let (mut hash, mut piece) = (Sha256::new(), vec![0; PIECE]);
    loop {
        match file.read(&mut piece)? {
            0 => return Ok(hexadecimal(&hash.finalize())),
            n => hash.update(&piece[..n]),
        }
    }
}

fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

/// Writes `NAME.provenance.json` beside a file whose format has no place for its provenance.
///
/// # Errors
/// When it cannot be written.
pub fn beside(path: &Path, format: Format, pairs: &Pairs) -> Result<(), Failure> {
    if format.holds().provenance {
        return Ok(());
    }
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".provenance.json");
    let path = path.with_file_name(name);
    let map: serde_json::Map<_, _> = pairs.iter().map(|(k, v)| (k.clone(), v.clone().into())).collect();
    let text = serde_json::to_string_pretty(&map).map_err(|e| Failure::other(e.to_string()))? + "\n";
    std::fs::write(&path, text).map_err(|e| Failure::other(format!("cannot write `{}`: {e}", path.display())))
}
