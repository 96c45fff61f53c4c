//! How a command ends: the exit codes of the command line, and failures that say what to do.

use std::fmt;
use std::process::ExitCode;

/// The exit codes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Exit {
    /// Something failed.
    Failure,
    /// A dry run found changes to make, or a check found drift.
    ChangesPending,
    /// The state is in the way of what was asked.
    Conflict,
    /// What the caller relied on has changed since.
    Stale,
    /// There is no such thing.
    NotFound,
    /// The credential may not do this.
    Denied,
    /// A server or database does not answer; trying again may help.
    Unreachable,
    /// The org has no quota left.
    QuotaExceeded,
    /// The command line or a setting is wrong.
    Usage,
}

impl Exit {
    /// The number.
    pub(crate) const fn number(self) -> u8 {
        match self {
            Exit::Failure => 1,
            Exit::ChangesPending => 2,
            Exit::Conflict => 3,
            Exit::Stale => 4,
            Exit::NotFound => 5,
            Exit::Denied => 6,
            Exit::Unreachable => 7,
            Exit::QuotaExceeded => 8,
            Exit::Usage => 64,
        }
    }

    /// The code of this number; one we do not know is a plain failure.
    pub(crate) fn from_number(number: u8) -> Exit {
        let all = [
            Exit::ChangesPending,
            Exit::Conflict,
            Exit::Stale,
            Exit::NotFound,
            Exit::Denied,
            Exit::Unreachable,
            Exit::QuotaExceeded,
            Exit::Usage,
        ];
        all.into_iter().find(|exit| exit.number() == number).unwrap_or(Exit::Failure)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        ExitCode::from(exit.number())
    }
}

/// Why a command did not do what was asked: what happened, and what to do about it.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The exit code.
    pub(crate) exit: Exit,
    /// What happened and why.
    pub(crate) what: String,
    /// What to do, when that is known.
    pub(crate) remedy: Option<String>,
}

impl Failure {
    /// A failure with exit code 1.
    pub(crate) fn new(what: impl Into<String>) -> Self {
        Self { exit: Exit::Failure, what: what.into(), remedy: None }
    }

    /// A wrong setting or argument.
    pub(crate) fn usage(what: impl Into<String>) -> Self {
        Self { exit: Exit::Usage, what: what.into(), remedy: None }
    }

    /// With another exit code.
    pub(crate) fn exit(mut self, exit: Exit) -> Self {
        self.exit = exit;
        self
    }

    /// With the way out.
    pub(crate) fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = Some(remedy.into());
        self
    }

    /// Names what was being done when the error came.
    pub(crate) fn during<E: fmt::Display>(doing: impl fmt::Display) -> impl FnOnce(E) -> Self {
        move |error| Self::new(format!("{doing}: {error}"))
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.what)?;
        match &self.remedy {
            Some(remedy) => write!(f, "\n  {remedy}"),
            None => Ok(()),
        }
    }
}
