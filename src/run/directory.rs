//! The output directory of a run: created once, never overwritten, with everything needed to resume.
use crate::Failure;
use crate::input::Plan;
use crate::provenance::{Origin, Pairs, sha256, sha256_of};
use serde::{Deserialize, Serialize};
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

const INPUT: &str = "input.toml";
const RECORD: &str = "run.json";
const LOCK: &str = "run.lock";

/// Names in an output directory that no output file can have.
pub const RESERVED: [&str; 6] = [INPUT, RECORD, LOCK, "verdict.json", "last-good.extxyz", "diverged.extxyz"];

/// Holds an output directory for one process: a lock of the system on an empty file, which ends with the process however that ends.
pub struct Lock(#[expect(dead_code, reason = "closing the file releases the lock")] Option<File>);

impl Lock {
    fn take(directory: &Path) -> Result<Self, Failure> {
        let path = directory.join(LOCK);
        let failed = |e: io::Error| Failure::other(format!("cannot lock `{}`: {e}", path.display()));
        let file = OpenOptions::new().create(true).truncate(false).write(true).open(&path).map_err(failed)?;
        match file.try_lock() {
            Ok(()) => Ok(Self(Some(file))),
            Err(TryLockError::WouldBlock) => Err(Failure::input(format!(
                "another process runs in the output directory `{}`",
                directory.display()
            ))
            .hint("wait until it is done, or end it; then `caloron resume` continues")),
            // some file systems have no locks; that is no reason not to run
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => Ok(Self(None)),
            Err(TryLockError::Error(e)) => Err(failed(e)),
        }
    }
}

/// Where a run came from: written beside its output files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// Version of the program.
    pub caloron: String,
    /// Title of the input.
    pub title: String,
    /// Path of the input file as given, made absolute.
    pub input: PathBuf,
    /// SHA-256 of the input text.
    pub input_sha256: String,
    /// Seed of the random numbers.
    pub seed: u64,
    /// `physical` or `lj`.
    pub units: String,
    /// Names of the interactions.
    pub potentials: Vec<String>,
    /// Files the input names, with the SHA-256 of their content.
    pub files: Vec<(PathBuf, String)>,
    /// Number of atoms.
    pub atoms: usize,
}

impl Record {
    /// The record of a plan; paths are made absolute so that a run can be resumed from anywhere.
    ///
    /// # Errors
    /// When the working directory is not known.
    pub fn of(plan: &Plan) -> Result<Self, Failure> {
        let absolute = |path: &Path| {
            std::path::absolute(path).map_err(|e| Failure::other(format!("`{}`: {e}", path.display())))
        };
        let files = plan.provenance.files.iter().map(|(f, hash)| Ok((absolute(f)?, hash.clone())));
        Ok(Self {
            caloron: env!("CARGO_PKG_VERSION").to_owned(),
            title: plan.title.clone().unwrap_or_default(),
            input: absolute(Path::new(&plan.provenance.input_name))?,
            input_sha256: plan.provenance.input_sha256.clone(),
            seed: plan.seed,
            units: plan.units.name().to_owned(),
            potentials: plan.potentials.clone(),
            files: files.collect::<Result<_, Failure>>()?,
            atoms: plan.system.len(),
        })
    }
    /// Names and values for the heads of output files.
    pub fn pairs(&self) -> Pairs {
        let origin = Origin {
            version: Some(&self.caloron),
            title: &self.title,
            input: Some(&self.input),
            input_sha256: &self.input_sha256,
            structures: None,
            seed: Some(self.seed),
            units: &self.units,
            potentials: &self.potentials,
            files: &self.files,
        };
        origin.pairs()
    }
}

/// Creates the directory of a new run and writes the input text and the record into it.
///
/// # Errors
/// When it already holds files, or cannot be written.
pub fn create(directory: &Path, input: &str, record: &Record) -> Result<Lock, Failure> {
    let shown = directory.display();
    let occupied = fs::read_dir(directory).is_ok_and(|mut entries| entries.next().is_some());
    if occupied || directory.is_file() {
        let hint = if directory.join(RECORD).is_file() {
            format!(
                "continue that run with `caloron resume {shown}`, or choose another place with `--out DIR`"
            )
        } else {
            "choose another place with `--out DIR`".to_owned()
        };
        return Err(Failure::input(format!("the output directory `{shown}` already exists")).hint(hint));
    }
    let failed =
        |e: std::io::Error| Failure::other(format!("cannot write the output directory `{shown}`: {e}"));
    fs::create_dir_all(directory).map_err(failed)?;
    let lock = Lock::take(directory)?;
    fs::write(directory.join(INPUT), input).map_err(failed)?;
    let json = serde_json::to_string_pretty(record).map_err(|e| failed(e.into()))?;
    fs::write(directory.join(RECORD), json + "\n").map_err(failed)?;
    Ok(lock)
}

/// Input text and record of an earlier run; the files it used must not have changed.
///
/// # Errors
/// When the directory is no run, another process runs in it, or a file is missing or differs.
pub fn open(directory: &Path) -> Result<(String, Record, Lock), Failure> {
    let shown = directory.display();
    let read = |name: &str| {
        fs::read_to_string(directory.join(name)).map_err(|e| {
            Failure::input(format!("`{shown}` is not the output directory of a run: {name}: {e}"))
                .hint("give the directory that `caloron run` wrote to")
        })
    };
    let record: Record = serde_json::from_str(&read(RECORD)?)
        .map_err(|e| Failure::input(format!("`{shown}/{RECORD}` is damaged: {e}")))?;
    let lock = Lock::take(directory)?;
    let input = read(INPUT)?;
    if sha256(input.as_bytes()) != record.input_sha256 {
        return Err(Failure::input(format!("`{shown}/{INPUT}` was changed since the run began"))
            .hint("a resumed run must equal the uninterrupted one; start a new run for another input"));
    }
    for (file, hash) in &record.files {
        let now = sha256_of(file).map_err(|e| {
            Failure::input(format!("cannot read `{}`, which the run needs: {e}", file.display()))
        })?;
        if now != *hash {
            let message = format!("`{}` was changed since the run began", file.display());
            return Err(Failure::input(message)
                .hint("restore the file: a resumed run must equal the uninterrupted one"));
        }
    }
    Ok((input, record, lock))
}
