//! Named crash points: places where a test makes a use case fail or vanish, to see that it is taken up again whole.
//!
//! Without the feature `testing` a point is nothing: no state, no branch.

/// A planned failure was reached.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the crash point {0} was reached")]
pub(crate) struct Reached(pub(crate) &'static str);

impl From<Reached> for crate::db::Error {
    fn from(reached: Reached) -> Self {
        Self::Unavailable(reached.to_string())
    }
}

/// Fails here when a test planned it.
#[cfg(not(any(test, feature = "testing")))]
#[expect(clippy::unnecessary_wraps, reason = "only tests plan failures")]
pub(crate) fn point(_engine: &crate::Engine, _name: &'static str) -> Result<(), Reached> {
    Ok(())
}

/// Fails here when a test planned it.
#[cfg(any(test, feature = "testing"))]
pub(crate) fn point(engine: &crate::Engine, name: &'static str) -> Result<(), Reached> {
    match engine.faults().strike(name) {
        None => Ok(()),
        Some(Manner::Fail) => Err(Reached(name)),
        Some(Manner::Vanish) => panic!("the process vanishes at {name}"),
    }
}

/// How a planned failure shows.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Manner {
    /// An error comes back, and the use case may clean up.
    Fail,
    /// The task is gone in the middle: nothing is cleaned up, leases stay taken.
    Vanish,
}

/// The failures planned for one engine.
#[cfg(any(test, feature = "testing"))]
#[derive(Debug, Default)]
pub struct Faults(std::sync::Mutex<std::collections::HashMap<&'static str, (Manner, u32)>>);

#[cfg(any(test, feature = "testing"))]
impl Faults {
    /// Plans a failure at a point, for as many times as it is reached.
    pub fn plan(&self, name: &'static str, manner: Manner, times: u32) {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).insert(name, (manner, times));
    }

    /// Whether every planned failure has struck as often as planned.
    #[must_use]
    pub fn spent(&self) -> bool {
        self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner).values().all(|(_, times)| *times == 0)
    }

    fn strike(&self, name: &'static str) -> Option<Manner> {
        let mut planned = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let (manner, times) = planned.get_mut(name)?;
        *times = times.checked_sub(1)?;
        Some(*manner)
    }
}
