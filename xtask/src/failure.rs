//! The one error of this tool: a sentence for the person at the terminal.

use std::fmt;

/// What went wrong, as a sentence that says what to do where something can be done.
#[derive(Debug)]
pub struct Failure {
    message: String,
}

/// The result of most functions here.
pub type Outcome<T = ()> = Result<T, Failure>;

impl Failure {
    /// A failure with this message.
    pub fn new(message: impl Into<String>) -> Self {
        Self { message: message.into() }
    }

    /// A failure of which everything has been printed.
    #[must_use]
    pub fn already_said() -> Self {
        Self::new("")
    }

    /// For `map_err`: the failure of a step, named by what was being done.
    pub fn during<E: fmt::Display>(doing: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self { message: format!("{doing}: {error}") }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Failure {}
