//! The figures as Markdown, and their place in `docs/benchmarks.md`.

use std::fmt::Write;
use std::path::Path;
use std::time::Duration;

use super::scenario::{BATCH, Calls, Figures};
use super::{Measured, Pass, Sizes};
use crate::failure::Outcome;
use crate::{clock, workspace};

const PAGE: &str = "docs/benchmarks.md";

/// Puts the figures below the mark of the page.
///
/// # Errors
/// The page has no mark.
pub(super) fn write(text: &str) -> Outcome {
    workspace::write_below_mark(Path::new(PAGE), text)
}

/// All tables.
pub(super) fn render(sizes: &Sizes, measured: &Measured) -> String {
    let mut text = format!(
        "## Measured {}\n\n{}. {} rounds of {} s each, {} orgs with a key each.\n",
        clock::today(),
        workspace::machine(),
        sizes.rounds,
        sizes.round.as_secs(),
        sizes.tenants
    );
    if let Some(syncs) = measured.syncs {
        line(
            &mut text,
            &format!(
                "\nThe disk makes {} appended and {} overwritten blocks of 4 KiB durable per second, one after the other.",
                grouped(syncs.appending),
                grouped(syncs.overwriting)
            ),
        );
    }
    for pass in &measured.passes {
        render_pass(&mut text, pass);
    }
    line(&mut text, "\n### The process\n\n| | |\n|---|---:|");
    line(&mut text, &format!("| binary, release build | {} |", mebibytes(measured.binary_bytes / 1024)));
    for (when, kibibytes) in &measured.memory_kib {
        line(&mut text, &format!("| resident memory, {when} | {} |", mebibytes(*kibibytes)));
    }
    for (when, duration) in &measured.start_up {
        line(&mut text, &format!("| start until ready, {when} | {} ms |", duration.as_millis()));
    }
    for reason in &measured.left_out {
        line(&mut text, &format!("\nLeft out: {reason}."));
    }
    text
}

fn render_pass(text: &mut String, pass: &Pass) {
    line(text, &format!("\n### {}\n", pass.title));
    line(text, "| call | connections | per second | × echo | p50 | p99 | CPU per call |");
    line(text, "|---|---:|---:|---:|---:|---:|---:|");
    for calls in &pass.calls {
        let Calls { connections, echo, check, record } = calls;
        for (name, figures) in [("echo", echo), ("quota/check", check), ("usage/record, durable", record)] {
            let ratio = ratio(figures.per_second, echo.per_second);
            line(
                text,
                &format!("| {name} | {connections} | {} | {ratio} | {} |", grouped(figures.per_second), rest(figures)),
            );
        }
    }
    let events = pass.batch.per_second * u64::try_from(BATCH).unwrap_or(0);
    line(text, "\n| batches of 1,000 events | events per second | × bare loop | p50 | p99 | CPU per call |");
    line(text, "|---|---:|---:|---:|---:|---:|");
    let compared = pass.bare_per_second.map_or_else(|| "–".to_owned(), |bare| ratio(events, bare));
    line(text, &format!("| /v1/usage, durable | {} | {compared} | {} |", grouped(events), rest(&pass.batch)));
    if let Some(bare) = pass.bare_per_second {
        line(text, &format!("| bare insert loop | {} | 1.00 | – | – | – |", grouped(bare)));
    }
}

fn rest(figures: &Figures) -> String {
    let cpu = if figures.processor_per_call.is_zero() { "–".to_owned() } else { micros(figures.processor_per_call) };
    format!("{} | {} | {cpu}", micros(figures.p50), micros(figures.p99))
}

fn line(text: &mut String, line: &str) {
    writeln!(text, "{line}").expect("writing to a string cannot fail");
}

fn ratio(part: u64, whole: u64) -> String {
    let hundredths = u128::from(part) * 100 / u128::from(whole.max(1));
    format!("{}.{:02}", hundredths / 100, hundredths % 100)
}

/// A duration in µs below 10 ms, in ms above.
fn micros(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros < 10_000 { format!("{micros} µs") } else { format!("{} ms", micros / 1_000) }
}

fn mebibytes(kibibytes: u64) -> String {
    let tenths = kibibytes * 10 / 1024;
    format!("{}.{} MiB", tenths / 10, tenths % 10)
}

/// Thousands apart: `12,345`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{grouped, mebibytes, micros, ratio};
    use std::time::Duration;

    #[test]
    fn figures_are_written_for_people() {
        assert_eq!(grouped(1_234_567), "1,234,567");
        assert_eq!(grouped(999), "999");
        assert_eq!(ratio(47, 100), "0.47");
        assert_eq!(ratio(207, 100), "2.07");
        assert_eq!(ratio(1, 0), "1.00");
        assert_eq!(micros(Duration::from_micros(870)), "870 µs");
        assert_eq!(micros(Duration::from_millis(31)), "31 ms");
        assert_eq!(mebibytes(1_536), "1.5 MiB");
    }
}
