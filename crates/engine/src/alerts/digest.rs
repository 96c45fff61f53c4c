//! The letter about the day that is over, for orgs whose flag `usage_digest` is on, or all where the global one is.

use tollgate_connectors::mail::Letter;
use tollgate_rules::ids::OrgKey;
use tollgate_rules::time::Timestamp;

use super::sql::{self, DayLine};
use crate::db::{Error, Tx};
use crate::engine::Engine;
use crate::{mail, notices};

/// Lines read per statement; an org has fewer, one per metric.
const LINES: i64 = 5_000;

/// Queues the letters about a day, in the transaction that sums it up: each once. Read by owners and billing members, else the org's own
/// address.
pub(super) async fn queue(engine: &Engine, tx: &mut Tx, day: Timestamp) -> Result<(), Error> {
    let mut after = OrgKey(0);
    loop {
        let mut lines = sql::day_lines(tx, (day, after), LINES).await?;
        let full = i64::try_from(lines.len()).is_ok_and(|read| read == LINES);
        if full && let Some(cut) = lines.last().map(|line| line.org_key) {
            // The page may end in the middle of an org, which then begins the next one.
            lines.retain(|line| line.org_key != cut);
        }
        for of_one in lines.chunk_by(|one, next| one.org_key == next.org_key) {
            let Some(org_key) = of_one.first().map(|line| line.org_key) else { continue };
            let (org_name, readers) = notices::sql::readers(tx, org_key).await?;
            let letter = letter(&org_name, day, of_one);
            for to in &readers {
                let queued = mail::Queued { to, org_key: Some(org_key), letter: &letter, corr_id: "" };
                mail::queue(engine, tx, &queued).await?;
            }
            after = org_key;
        }
        if !full || lines.is_empty() {
            return Ok(());
        }
    }
}

fn letter(org_name: &str, day: Timestamp, lines: &[DayLine]) -> Letter {
    let date: String = day.to_string().chars().take("2026-01-31".len()).collect();
    let letter = Letter::new(format!("{org_name}: usage of {date}"));
    lines.iter().fold(letter, |letter, line| {
        let DayLine { metric, units, events, used, .. } = line;
        let so_far = match line.limit {
            Some(limit) => format!("{used} of {limit} so far in the period {}", line.period_key),
            None => format!("{used} so far in the period {}", line.period_key),
        };
        letter.line(format!("{units} {metric} in {events} events; {so_far}."))
    })
}
