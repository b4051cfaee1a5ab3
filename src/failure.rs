//! The failures of the program and the exit status each gives.
use std::fmt;

/// A failure with everything the user is told.
#[derive(Clone, Debug)]
pub struct Failure {
    kind: Kind,
    message: String,
    hint: Option<String>,
}

/// Who is to blame, and so the exit status.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// The user's input: status 2.
    Input,
    /// The simulation: status 3.
    Simulation,
    /// Anything else: status 1.
    Other,
}

impl Failure {
    /// The input is wrong.
    pub fn input(message: impl Into<String>) -> Self {
        Self { kind: Kind::Input, message: message.into(), hint: None }
    }
    /// The simulation failed.
    pub fn simulation(message: impl Into<String>) -> Self {
        Self { kind: Kind::Simulation, message: message.into(), hint: None }
    }
    /// Something else failed, most often a file.
    pub fn other(message: impl Into<String>) -> Self {
        Self { kind: Kind::Other, message: message.into(), hint: None }
    }
    /// With advice.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }
    /// What kind of failure.
    pub fn kind(&self) -> Kind {
        self.kind
    }
    /// What happened, without the hint.
    pub fn message(&self) -> &str {
        &self.message
    }
    /// Exit status.
    pub fn status(&self) -> u8 {
        match self.kind {
            Kind::Input => 2,
            Kind::Simulation => 3,
            Kind::Other => 1,
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.message.trim_end())?;
        match &self.hint {
            Some(hint) => write!(f, "\nhint: {hint}"),
            None => Ok(()),
        }
    }
}

impl std::error::Error for Failure {}

/// An error and its causes, one after the other.
pub fn chain(error: &(dyn std::error::Error + 'static)) -> String {
    let mut text = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        let cause_text = cause.to_string();
        if !text.ends_with(&cause_text) {
            text.push_str(": ");
            text.push_str(&cause_text);
        }
        source = cause.source();
    }
    text
}

impl From<caloron_io::IoError> for Failure {
    fn from(e: caloron_io::IoError) -> Self {
        let failure = match &e.source {
            // a missing or unreadable file is the user's input, a failing disk is not
            Some(s) if s.kind() != std::io::ErrorKind::NotFound => Self::other(chain(&e)),
            _ => Self::input(chain(&e)),
        };
        match e.hint {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

impl From<crate::input::InputError> for Failure {
    fn from(e: crate::input::InputError) -> Self {
        // the rendering of an input error is complete: message, place, line with a mark, hint
        let text = e.to_string();
        Self::input(text.strip_prefix("error: ").unwrap_or(&text))
    }
}
