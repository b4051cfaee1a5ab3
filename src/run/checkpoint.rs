//! Checkpoint files: atomic, versioned, checksummed, the newest two kept.
//!
//! Layout: the eight bytes `CALORON\n`, the format version and the payload length as little-endian `u64`, the
//! SHA-256 of the payload, the payload (see [`caloron_engine::Archive`]).
use sha2::{Digest, Sha256};
use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

const MAGIC: &[u8; 8] = b"CALORON\n";
const VERSION: u64 = 2;
const HEADER: usize = 8 + 8 + 8 + 32;
const EXTENSION: &str = "checkpoint";

/// The checkpoints of a run in its output directory.
#[derive(Clone, Debug)]
pub struct Store {
    directory: PathBuf,
    keep: usize,
}

/// Why a checkpoint cannot be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// Reading or writing failed.
    #[error("{action} `{path}` failed: {source}")]
    Io {
        /// `writing`, `reading`, ...
        action: &'static str,
        /// File or directory.
        path: PathBuf,
        /// Cause.
        source: io::Error,
    },
    /// Not a checkpoint, or damaged.
    #[error("`{path}` is not a usable checkpoint: {reason}")]
    Damaged {
        /// File.
        path: PathBuf,
        /// What is wrong with it.
        reason: String,
    },
    /// No usable checkpoint in the directory.
    #[error("no usable checkpoint in `{directory}`{}", if damaged.is_empty() { String::new() } else { format!(" ({})", damaged.join("; ")) })]
    None {
        /// Directory.
        directory: PathBuf,
        /// What was found and refused.
        damaged: Vec<String>,
    },
}

impl Store {
    /// The checkpoints in a directory, of which the newest `keep` (at least one) stay.
    pub fn new(directory: &Path, keep: usize) -> Self {
        Self { directory: directory.to_owned(), keep: keep.max(1) }
    }

    /// Writes a checkpoint beside the others: to a temporary file, synced, renamed, directory synced; older
    /// ones beyond the number to keep are removed only then.
    ///
    /// # Errors
    /// When the file cannot be written; the older checkpoints are untouched.
    pub fn save(&self, step: u64, payload: &[u8]) -> Result<PathBuf, CheckpointError> {
        let path = self.directory.join(format!("step-{step:012}.{EXTENSION}"));
        let temporary = path.with_extension("partial");
        let failed = |action, path: &Path| {
            let path = path.to_owned();
            move |source| CheckpointError::Io { action, path, source }
        };
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(MAGIC)?;
            file.write_all(&VERSION.to_le_bytes())?;
            file.write_all(&(payload.len() as u64).to_le_bytes())?;
            file.write_all(&Sha256::digest(payload))?;
            file.write_all(payload)?;
            file.sync_all()
        };
        if let Err(source) = write() {
            let _ = fs::remove_file(&temporary);
            return Err(failed("writing", &temporary)(source));
        }
        fs::rename(&temporary, &path).map_err(failed("renaming", &temporary))?;
        sync_directory(&self.directory).map_err(failed("syncing", &self.directory))?;
        for (_, old) in self.list()?.into_iter().skip(self.keep) {
            fs::remove_file(&old).map_err(failed("removing", &old))?;
        }
        Ok(path)
    }

    /// The same where there may be no room: if it fails, it is tried once more without the older checkpoints, of which the newest
    /// stays in any case.
    ///
    /// # Errors
    /// When the file cannot be written; the newest checkpoint is untouched.
    pub fn save_instead(&self, step: u64, payload: &[u8]) -> Result<PathBuf, CheckpointError> {
        self.save(step, payload).or_else(|e| {
            let older: Vec<_> = self.list()?.into_iter().skip(1).collect();
            if older.is_empty() {
                return Err(e);
            }
            for (_, old) in older {
                let failed = |source| CheckpointError::Io { action: "removing", path: old.clone(), source };
                fs::remove_file(&old).map_err(failed)?;
            }
            self.save(step, payload)
        })
    }

    /// Step and file of every checkpoint, the newest first.
    ///
    /// # Errors
    /// When the directory cannot be read.
    pub fn list(&self) -> Result<Vec<(u64, PathBuf)>, CheckpointError> {
        let failed = |source| CheckpointError::Io { action: "reading", path: self.directory.clone(), source };
        let mut found = Vec::new();
        for entry in fs::read_dir(&self.directory).map_err(failed)? {
            let path = entry.map_err(failed)?.path();
            let step = path.file_stem().and_then(|s| s.to_str()).and_then(|s| s.strip_prefix("step-"));
            if let Some(step) = step.and_then(|s| s.parse().ok())
                && path.extension().is_some_and(|e| e == EXTENSION)
            {
                found.push((step, path));
            }
        }
        found.sort_by_key(|(step, _)| std::cmp::Reverse(*step));
        Ok(found)
    }

    /// Payload of the newest checkpoint that is whole, its file, and messages on damaged newer ones.
    ///
    /// # Errors
    /// When there is none.
    pub fn newest(&self) -> Result<(Vec<u8>, PathBuf, Vec<String>), CheckpointError> {
        let mut damaged = Vec::new();
        for (_, path) in self.list()? {
            match read(&path) {
                Ok(payload) => return Ok((payload, path, damaged)),
                Err(e) => damaged.push(e.to_string()),
            }
        }
        Err(CheckpointError::None { directory: self.directory.clone(), damaged })
    }
}

/// Reads and verifies one checkpoint file.
fn read(path: &Path) -> Result<Vec<u8>, CheckpointError> {
    let mut bytes = Vec::new();
    File::open(path).and_then(|mut f| f.read_to_end(&mut bytes)).map_err(|source| CheckpointError::Io {
        action: "reading",
        path: path.to_owned(),
        source,
    })?;
    let damaged = |reason: String| Err(CheckpointError::Damaged { path: path.to_owned(), reason });
    if bytes.len() < HEADER || &bytes[..8] != MAGIC {
        return damaged("it does not begin like one".into());
    }
    let word = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().unwrap_or_default());
    if word(8) != VERSION {
        return damaged(format!("its format version is {}, this program reads {VERSION}", word(8)));
    }
    if word(16) != (bytes.len() - HEADER) as u64 {
        return damaged(format!("it holds {} of {} bytes", bytes.len() - HEADER, word(16)));
    }
    if Sha256::digest(&bytes[HEADER..]).as_slice() != &bytes[24..HEADER] {
        return damaged("its checksum does not fit".into());
    }
    Ok(bytes.split_off(HEADER))
}

/// Makes a rename durable.
fn sync_directory(directory: &Path) -> io::Result<()> {
    if cfg!(unix) { File::open(directory)?.sync_all() } else { Ok(()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn directory(name: &str) -> PathBuf {
        let d = std::env::temp_dir().join(format!("caloron-{name}-{}", std::process::id()));
        let _ = fs::remove_dir_all(&d);
        fs::create_dir_all(&d).unwrap();
        d
    }

    #[test]
    fn the_newest_two_are_kept() {
        let d = directory("keep");
        let store = Store::new(&d, 2);
        for step in [5, 10, 20] {
            store.save(step, format!("state {step}").as_bytes()).unwrap();
        }
        let steps: Vec<_> = store.list().unwrap().into_iter().map(|x| x.0).collect();
        assert_eq!(steps, [20, 10]);
        assert_eq!(store.newest().unwrap().0, b"state 20");
        fs::remove_dir_all(&d).unwrap();
    }

    #[test]
    fn a_damaged_checkpoint_falls_back_to_the_one_before() {
        let d = directory("damaged");
        let store = Store::new(&d, 2);
        store.save(1, b"first").unwrap();
        let newest = store.save(2, b"second").unwrap();
        let whole = fs::read(&newest).unwrap();
        for cut in [0, 7, 30, whole.len() - 1] {
            fs::write(&newest, &whole[..cut]).unwrap();
            let (payload, _, messages) = store.newest().unwrap();
            assert_eq!((payload.as_slice(), messages.len()), (b"first".as_slice(), 1));
        }
        let mut flipped = whole.clone();
        *flipped.last_mut().unwrap() ^= 1;
        fs::write(&newest, flipped).unwrap();
        assert!(store.newest().unwrap().2[0].contains("checksum"));
        fs::remove_dir_all(&d).unwrap();
    }
}
