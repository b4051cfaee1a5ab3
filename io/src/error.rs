//! What can go wrong with a file.
use crate::Format;
use std::path::{Path, PathBuf};

/// Where in a file something is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Line of a text file, from 1.
    Line(u64),
    /// Frame of a trajectory, from 0.
    Frame(u64),
}

impl std::fmt::Display for Place {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Line(n) => write!(f, "line {n}"),
            Self::Frame(n) => write!(f, "frame {n}"),
        }
    }
}

/// Failure to read or write a file: which file, where in it, what was expected, what to do.
#[derive(Debug, thiserror::Error)]
#[error("{}{}: {message}", path.display(), place.map(|p| format!(", {p}")).unwrap_or_default())]
pub struct IoError {
    /// The file.
    pub path: PathBuf,
    /// How it was read or written, where that was known.
    pub format: Option<Format>,
    /// Line or frame.
    pub place: Option<Place>,
    /// What is wrong.
    pub message: String,
    /// What to do about it.
    pub hint: Option<String>,
    /// The error of the operating system, if it was one.
    #[source]
    pub source: Option<std::io::Error>,
}

impl IoError {
    pub(crate) fn new(path: &Path, format: Option<Format>, fault: Fault) -> Self {
        let Fault { place, message, hint, source } = fault;
        Self { path: path.to_owned(), format, place, message, hint, source }
    }
}

/// An error without its file, as decoders and encoders return it.
#[derive(Debug)]
pub(crate) struct Fault {
    pub place: Option<Place>,
    pub message: String,
    pub hint: Option<String>,
    pub source: Option<std::io::Error>,
}

impl Fault {
    pub fn new(message: impl Into<String>) -> Self {
        Self { place: None, message: message.into(), hint: None, source: None }
    }
    pub fn line(line: u64, message: impl Into<String>) -> Self {
        Self { place: Some(Place::Line(line)), ..Self::new(message) }
    }
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    pub fn frame(mut self, frame: u64) -> Self {
        self.place.get_or_insert(Place::Frame(frame));
        self
    }
    pub fn io(doing: &str, source: std::io::Error) -> Self {
        Self { source: Some(source), ..Self::new(format!("{doing} failed")) }
    }
}
