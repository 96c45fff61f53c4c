//! How much a test does: little with every change, all of it where its figures are reported.

/// The first in CI, the second in the report.
pub(crate) fn size<T>(ci: T, report: T) -> T {
    if std::env::var("TOLLGATE_PROOF").is_ok_and(|size| size == "report") { report } else { ci }
}
