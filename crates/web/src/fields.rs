//! Collects what is wrong with the fields of one request, so that the caller hears of all of it at once.

use std::fmt::Display;

use tollgate_rules::time::Timestamp;

use crate::api_error::ApiError;
use crate::strict::Fault;

/// Most bytes of a name, a reason, an address and the like.
pub(crate) const NAME_BYTES_MAX: usize = 200;

/// The faults found so far.
#[derive(Debug, Default)]
pub(crate) struct Fields(Vec<Fault>);

impl Fields {
    /// The value, or a fault at `pointer`.
    pub(crate) fn read<T, E: Display>(&mut self, pointer: &str, parsed: Result<T, E>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(error) => {
                self.wrong(pointer, error.to_string());
                None
            }
        }
    }

    /// The same for a field that may be left out.
    pub(crate) fn read_if<T, E: Display>(&mut self, pointer: &str, parsed: Option<Result<T, E>>) -> Option<T> {
        parsed.and_then(|parsed| self.read(pointer, parsed))
    }

    /// A moment that may be left out.
    pub(crate) fn time_if(&mut self, pointer: &str, text: Option<&str>) -> Option<Timestamp> {
        self.read_if(pointer, text.map(Timestamp::parse_rfc3339))
    }

    /// A text of 1 to 200 bytes without control characters.
    pub(crate) fn text(&mut self, pointer: &str, text: &str) {
        if text.trim().is_empty() || text.len() > NAME_BYTES_MAX || text.chars().any(char::is_control) {
            self.wrong(pointer, format!("must be 1 to {NAME_BYTES_MAX} bytes without control characters"));
        }
    }

    pub(crate) fn wrong(&mut self, pointer: &str, message: impl Into<String>) {
        self.0.push(Fault::new(pointer, message));
    }

    /// Nothing, or the refusal with every fault.
    ///
    /// # Errors
    /// 422.
    pub(crate) fn done(self) -> Result<(), ApiError> {
        if self.0.is_empty() { Ok(()) } else { Err(self.refusal()) }
    }

    /// The refusal with every fault.
    pub(crate) fn refusal(self) -> ApiError {
        ApiError::invalid(&self.0)
    }
}
