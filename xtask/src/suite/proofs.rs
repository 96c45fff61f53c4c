//! What the tests report at report size, and its place in `docs/proofs.md`.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use crate::failure::Outcome;
use crate::{clock, workspace};

/// The marker by which a test reports what it showed: `PROOF: <name>: <figures>`.
const PROOF: &str = "PROOF: ";

/// Reports by the proof's name; one proof may report several times (once per database).
#[derive(Debug, Default)]
pub(super) struct Proofs {
    reports: BTreeMap<String, Vec<String>>,
}

impl Proofs {
    /// Reads one line of the runner's output.
    pub(super) fn hear(&mut self, line: &str) {
        let report = line.find(PROOF).map(|at| &line[at + PROOF.len()..]);
        if let Some((name, figures)) = report.and_then(|report| report.split_once(": ")) {
            self.reports.entry(name.trim().to_owned()).or_default().push(figures.trim().to_owned());
        }
    }

    /// Puts the table below the mark of the page.
    pub(super) fn write(&self, tally: &str, took: Duration) -> Outcome {
        workspace::write_below_mark(Path::new("docs/proofs.md"), &self.render(tally, took))
    }

    fn render(&self, tally: &str, took: Duration) -> String {
        let mut text = format!(
            "## Shown {}\n\n{}. The whole run: {tally}, {} minutes.\n\n| what was shown | figures |\n|---|---|\n",
            clock::today(),
            workspace::machine(),
            took.as_secs().div_ceil(60)
        );
        for (name, figures) in &self.reports {
            let figures = figures.join("<br>").replace('|', "\\|");
            writeln!(text, "| {name} | {figures} |").expect("writing to a string cannot fail");
        }
        text
    }
}

#[cfg(test)]
mod tests {
    use super::Proofs;
    use std::time::Duration;

    #[test]
    fn reports_of_one_proof_stand_in_one_row() {
        let mut proofs = Proofs::default();
        for line in [
            "test a_test ... ok",
            "PROOF: hard stop: SQLite, 10,000 of 10,000 accepted",
            "PROOF: hard stop: PostgreSQL, 10,000 of 10,000 accepted",
            "PROOF: durability: 100 kills, nothing lost",
        ] {
            proofs.hear(line);
        }
        let text = proofs.render("9 passed, 0 failed, 0 skipped", Duration::from_secs(61));
        assert!(
            text.contains("| hard stop | SQLite, 10,000 of 10,000 accepted<br>PostgreSQL, 10,000 of 10,000 accepted |")
        );
        assert!(text.contains("| durability | 100 kills, nothing lost |"));
        assert!(text.contains("2 minutes"));
    }
}
