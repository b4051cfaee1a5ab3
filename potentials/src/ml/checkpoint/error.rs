//! What can be wrong with a model file.
use std::path::PathBuf;

/// Why a model file cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CheckpointError {
    /// The operating system does not give it.
    #[error("cannot read `{}`: {source}", .path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Cause.
        source: std::io::Error,
    },
    /// A file of another kind.
    #[error("`{}` is {what}", .path.display())]
    Foreign {
        /// The file.
        path: PathBuf,
        /// What it is.
        what: String,
        /// What to do about it.
        hint: String,
    },
    /// A model file that cannot be used.
    #[error("`{}`: {fault}", .path.display())]
    Faulty {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        #[source]
        fault: Fault,
    },
}

impl CheckpointError {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        match self {
            Self::Io { .. } => None,
            Self::Foreign { hint, .. } => Some(hint.clone()),
            Self::Faulty { fault, .. } => fault.hint(),
        }
    }
}

/// What is wrong inside of a model file.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum Fault {
    /// The bytes are not what the format says.
    #[error("the file is damaged: {0}")]
    Damaged(String),
    /// A pickle that names something no model needs.
    #[error("the pickle names `{0}`, which is not on the list of classes that are read as data")]
    Forbidden(String),
    /// More than a model can need.
    #[error("refused: {0}")]
    Excessive(String),
    /// A part of the format that is not read.
    #[error("not supported: {0}")]
    Unsupported(String),
    /// Something that the model needs and that is not there, or of the wrong kind.
    #[error("{0}")]
    Content(String),
}

impl Fault {
    /// What to do about it.
    pub fn hint(&self) -> Option<String> {
        let hint = match self {
            Self::Damaged(_) => "the file may be truncated; fetch it again",
            Self::Forbidden(_) => {
                "nothing from a file is executed, and classes of one's own are not read: save the model as the program of its architecture does (MACE as a whole model, CHGNet, SevenNet and TensorNet as a checkpoint with its settings)"
            }
            Self::Excessive(_) => "the file does not look like that of a model",
            Self::Unsupported(_) | Self::Content(_) => return None,
        };
        Some(hint.to_owned())
    }
    pub(super) fn damaged(what: impl Into<String>) -> Self {
        Self::Damaged(what.into())
    }
}

/// Result of a reader.
pub(super) type Read<T> = Result<T, Fault>;
