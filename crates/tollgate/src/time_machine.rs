//! Moves the sandbox's clock and everything with it: one event at a time, in order, each converged before the next.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use tollgate_engine::{Engine, diag, inbox, jobs, ledger};
use tollgate_rules::period;
use tollgate_rules::time::Timestamp;
use tollgate_sandbox::Sandbox;
use tollgate_web::{Advance, AdvanceError, Advanced, Happened, TimeMachine};

/// What one move waits for convergence, over all its steps.
const CONVERGE_SECONDS_MAX: Duration = Duration::from_secs(60);

/// What is told of what happened; more is only counted.
const HAPPENED_MAX: usize = 1_000;

/// How long a poll of what has not converged rests.
const POLL_PAUSE: Duration = Duration::from_millis(5);

/// How far ahead a moment that has just passed is tried again.
const BACKWARDS_MARGIN_MICROS: i64 = 1_000;

/// Moments moved through in one call at most: a year of hourly events, so that a mistake ends.
const STEPS_MAX: usize = 20_000;

/// The time machine of this engine and sandbox, as the web crate asks for it.
pub(crate) fn build(engine: Engine, sandbox: Sandbox) -> Arc<TimeMachine> {
    let machine = Arc::new(Machine { engine: engine.clone(), sandbox, moving: Mutex::new(()) });
    Arc::new(TimeMachine {
        now: Box::new(move || engine.now()),
        advance: Box::new(move |how| {
            let machine = Arc::clone(&machine);
            // A task of its own: a caller that goes away does not leave time half moved.
            let moving = tokio::spawn(async move { machine.advance(how).await });
            Box::pin(async move {
                moving.await.unwrap_or_else(|error| Err(AdvanceError::Failed(format!("moving the clock: {error}"))))
            })
        }),
    })
}

struct Machine {
    engine: Engine,
    sandbox: Sandbox,
    moving: Mutex<()>,
}

/// What a move has done so far.
struct Journey {
    happened: Vec<Happened>,
    count: u64,
    give_up_at: Duration,
}

impl Machine {
    async fn advance(&self, how: Advance) -> Result<Advanced, AdvanceError> {
        let _only_one = self.moving.try_lock().map_err(|_| AdvanceError::Busy)?;
        let give_up_at = self.monotonic().saturating_add(CONVERGE_SECONDS_MAX);
        let mut journey = Journey { happened: Vec::new(), count: 0, give_up_at };
        // What is in flight settles at the time it began in.
        let mut unconverged = self.converged(&mut journey).await?;
        let target = self.target(how).await?;
        let mut steps = 0;
        while unconverged.is_empty() {
            let due = self.next_due().await?.filter(|due| *due <= target);
            let at = due.unwrap_or(target).max(self.engine.now());
            if due.is_none() && self.engine.now() >= target {
                break;
            }
            self.step(at, &mut journey).await?;
            unconverged = self.converged(&mut journey).await?;
            steps += 1;
            if steps >= STEPS_MAX {
                return Err(AdvanceError::Failed(format!(
                    "more than {STEPS_MAX} things fell due on the way; the clock stands at {at}"
                )));
            }
        }
        Ok(Advanced { now: self.engine.now(), happened: journey.happened, count: journey.count, unconverged })
    }

    /// Where a move ends.
    async fn target(&self, how: Advance) -> Result<Timestamp, AdvanceError> {
        let now = self.engine.now();
        match how {
            Advance::By(length) => {
                let invalid = || {
                    AdvanceError::Invalid(format!(
                        "`{length}` is no length of time; write 31d, 1mo or 1y (s m h d w mo y)"
                    ))
                };
                later(now, &length).ok_or_else(invalid)
            }
            Advance::To(moment) if moment < now => {
                Err(AdvanceError::Refused(format!("the clock only moves forward: it is {now}")))
            }
            Advance::To(moment) => Ok(moment),
            Advance::ToNext => {
                let next = self.next_due().await?;
                next.ok_or_else(|| AdvanceError::Refused(String::from("nothing is due, at Stripe or here")))
            }
        }
    }

    /// The next moment at which anything happens: at Stripe, at a quota boundary, at a hold's expiry, or a job's turn.
    async fn next_due(&self) -> Result<Option<Timestamp>, AdvanceError> {
        let at_stripe = self.sandbox.next_due_micros().await.map(Timestamp::from_micros);
        let here = ledger::next_due(&self.engine).await.map_err(failed)?;
        Ok(at_stripe.into_iter().chain(here).min())
    }

    /// Moves the clock to one moment and lets what is due there happen.
    async fn step(&self, at: Timestamp, journey: &mut Journey) -> Result<(), AdvanceError> {
        let mut micros = at.as_micros();
        // The clock runs on while we look at it: a moment that has just passed is now.
        let happened = loop {
            match self.sandbox.move_to(micros).await {
                Err(tollgate_sandbox::Error::Backwards { now, .. }) => {
                    micros = now.saturating_add(BACKWARDS_MARGIN_MICROS)
                }
                moved => break moved.map_err(failed)?,
            }
        };
        for event in happened {
            journey.count += 1;
            if journey.happened.len() < HAPPENED_MAX {
                journey.happened.push(Happened {
                    at: Timestamp::from_micros(event.at_micros),
                    kind: event.kind,
                    object: event.object,
                    summary: event.summary,
                });
            }
        }
        Ok(())
    }

    /// Waits until webhooks are delivered and everything they and the clock set going has ended; what has not, in time.
    async fn converged(&self, journey: &mut Journey) -> Result<Vec<String>, AdvanceError> {
        loop {
            let left = journey.give_up_at.saturating_sub(self.monotonic());
            let delivered = self.sandbox.deliveries_settled(left).await;
            ledger::sweep(&self.engine).await.map_err(failed)?;
            jobs::run_due(&self.engine).await.map_err(failed)?;
            let mut open = diag::unconverged(&self.engine).await.map_err(failed)?;
            let stored = inbox::open(&self.engine).await.map_err(failed)?;
            open.extend((stored > 0).then(|| format!("{stored} webhooks that are stored and not yet acted on")));
            if delivered && open.is_empty() {
                return Ok(Vec::new());
            }
            if self.monotonic() >= journey.give_up_at {
                let undelivered = (!delivered).then(|| String::from("webhooks that are not answered yet"));
                return Ok(undelivered.into_iter().chain(open).collect());
            }
            tokio::time::sleep(POLL_PAUSE).await;
        }
    }

    fn monotonic(&self) -> Duration {
        self.engine.clock().monotonic.now()
    }
}

fn failed(error: impl std::fmt::Display) -> AdvanceError {
    AdvanceError::Failed(error.to_string())
}

/// The moment so much later; months and years are calendar months. `None` when it is no length.
fn later(now: Timestamp, length: &str) -> Option<Timestamp> {
    let digits = length.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = length.split_at(digits);
    let number: u32 = number.parse().ok().filter(|number| *number > 0)?;
    let seconds = match unit {
        "s" => 1,
        "m" => 60,
        "h" => 3_600,
        "d" => 86_400,
        "w" => 7 * 86_400,
        "mo" | "y" => {
            let months = number.checked_mul(if unit == "y" { 12 } else { 1 })?;
            // A century is as far as anybody needs to see.
            return i32::try_from(months)
                .ok()
                .filter(|months| *months <= 1_200)
                .map(|months| period::month_step(now, months));
        }
        _ => return None,
    };
    let length = u64::from(number).checked_mul(seconds).filter(|seconds| *seconds <= 100 * 366 * 86_400)?;
    Some(now.plus(Duration::from_secs(length)))
}

#[cfg(test)]
mod tests {
    use super::later;
    use tollgate_rules::time::Timestamp;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).unwrap()
    }

    #[test]
    fn lengths_are_read_and_months_are_calendar_months() {
        let now = at("2026-01-31T09:00:00Z");
        for (length, expected) in [
            ("90s", "2026-01-31T09:01:30Z"),
            ("5m", "2026-01-31T09:05:00Z"),
            ("2h", "2026-01-31T11:00:00Z"),
            ("31d", "2026-03-03T09:00:00Z"),
            ("1w", "2026-02-07T09:00:00Z"),
            ("1mo", "2026-02-28T09:00:00Z"),
            ("1y", "2027-01-31T09:00:00Z"),
        ] {
            assert_eq!(later(now, length), Some(at(expected)), "{length}");
        }
    }

    #[test]
    fn what_is_no_length_is_refused() {
        let now = at("2026-01-31T09:00:00Z");
        for length in ["", "d", "0d", "-1d", "1", "1.5d", "1fortnight", "99999999999d", "1300mo", "é"] {
            assert_eq!(later(now, length), None, "{length}");
        }
    }
}
