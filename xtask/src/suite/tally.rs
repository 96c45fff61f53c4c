//! Counts what ran: reads the test runner's output, and keeps captured output of passing tests off the screen.

use std::fmt;

/// The marker by which a test says that it could not run here.
pub(super) const SKIPPED: &str = "SKIPPED: ";

/// How many tests passed, failed and were skipped.
#[derive(Debug, Default)]
pub(super) struct Tally {
    /// Tests that passed.
    passed: u64,
    /// Tests that failed; a check that failed without saying how many counts as one.
    pub(super) failed: u64,
    /// Tests that did not run, each with a printed reason.
    skipped: u64,
    inside_captured_output: bool,
}

impl Tally {
    /// Reads one line of the runner's output; the line is to be shown if it comes back.
    pub(super) fn read<'a>(&mut self, line: &'a str) -> Option<&'a str> {
        if let Some(result) = line.strip_prefix("test result: ") {
            self.inside_captured_output = false;
            self.passed += count(result, "passed");
            self.failed += count(result, "failed");
            self.skipped += count(result, "ignored");
            return Some(line);
        }
        match line {
            "successes:" => self.inside_captured_output = true,
            "failures:" => self.inside_captured_output = false,
            _ => {}
        }
        if let Some(at) = line.find(SKIPPED) {
            // Counted beside the runner's own numbers: often only a part of a test (one database of two) is left out.
            self.skipped += 1;
            return Some(&line[at..]);
        }
        (!self.inside_captured_output).then_some(line)
    }

    /// Says why something does not run here, and counts it.
    pub(super) fn skip(&mut self, reason: &str) {
        println!("{SKIPPED}{reason}");
        self.skipped += 1;
    }
}

fn count(result: &str, what: &str) -> u64 {
    let part = result.split([';', '.']).find_map(|part| part.trim().strip_suffix(what));
    part.and_then(|number| number.trim().parse().ok()).unwrap_or(0)
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} passed, {} failed, {} skipped", self.passed, self.failed, self.skipped)
    }
}

#[cfg(test)]
mod tests {
    use super::Tally;

    const OUTPUT: &str = "\
running 3 tests
test a_call_is_counted ... ok
test a_call_is_counted_on_postgresql ... ok
test a_call_is_refused ... FAILED

successes:

---- a_call_is_counted_on_postgresql stdout ----
a line nobody needs
SKIPPED: no PostgreSQL here

successes:
    a_call_is_counted
    a_call_is_counted_on_postgresql

failures:

---- a_call_is_refused stdout ----
left: 1, right: 2

failures:
    a_call_is_refused

test result: FAILED. 2 passed; 1 failed; 4 ignored; 0 measured; 0 filtered out; finished in 0.01s
test result: ok. 40 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out; finished in 1.20s
";

    #[test]
    fn result_lines_of_all_test_binaries_are_summed() {
        let mut tally = Tally::default();
        let _shown = OUTPUT.lines().filter_map(|line| tally.read(line)).count();
        assert_eq!(tally.to_string(), "42 passed, 1 failed, 5 skipped");
    }

    #[test]
    fn skip_reasons_and_failures_are_shown_but_not_the_output_of_passing_tests() {
        let mut tally = Tally::default();
        let shown: Vec<&str> = OUTPUT.lines().filter_map(|line| tally.read(line)).collect();
        assert!(shown.contains(&"SKIPPED: no PostgreSQL here"));
        assert!(shown.contains(&"left: 1, right: 2"));
        assert!(!shown.contains(&"a line nobody needs"));
    }
}
