//! The rotation machine against a simpler one: any order of refreshes with any token ever given out, waits, lost answers and
//! crashes. The simple machine knows only "who follows whom" and "when"; both must agree on every answer.

use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::*;

/// One step of a client, a thief, or time.
#[derive(Debug, Clone)]
enum Step {
    /// Refresh with the n-th token that was ever given out (counted round).
    Use(usize),
    /// The same, and the answer is lost after the commit.
    Lose(usize),
    /// The same, and the process dies before the commit.
    Crash(usize),
    /// Seconds pass.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        4 => (0..6_usize).prop_map(Step::Use),
        1 => (0..6_usize).prop_map(Step::Lose),
        1 => (0..6_usize).prop_map(Step::Crash),
        2 => (1..45_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(one, 1..14)
}

/// What a simpler machine remembers: tokens in order with the second they were used at, and whether the family is over.
#[derive(Debug, Default)]
struct Simple {
    used_at: Vec<Option<u64>>,
    over: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The token after this one.
    Successor(usize),
    Refused,
}

impl Simple {
    fn refresh(&mut self, token: usize, now: u64) -> Answer {
        if self.over {
            return Answer::Refused;
        }
        match self.used_at[token] {
            None => {
                self.used_at[token] = Some(now);
                self.used_at.push(None);
                Answer::Successor(token + 1)
            }
            Some(before) if now < before + 60 && self.used_at[token + 1].is_none() => Answer::Successor(token + 1),
            Some(_) => {
                self.over = true;
                Answer::Refused
            }
        }
    }
}

async fn agree(steps: Vec<Step>) {
    let Some(engine) = TestEngine::open(crate::db::Kind::Sqlite, "machine").await else { return };
    let granted = activated(&engine, "org_a").await;
    let mut tokens: Vec<SecretString> = vec![granted.refresh.clone()];
    let mut simple = Simple { used_at: vec![None], over: false };
    let mut now = 0;
    for step in steps {
        match step {
            Step::Wait(seconds) => {
                now += seconds;
                engine.set_now(at(now));
            }
            Step::Crash(n) => {
                let token = tokens[n % tokens.len()].clone();
                engine.faults().plan("activation.refresh.before_commit", Manner::Vanish, 1);
                let crashed = refresh(&engine, with(&token)).await;
                assert!(crashed.is_err());
                // A refusal that ends the family commits before the point is reached.
                if matches!(crashed, Err(Error::InvalidGrant)) {
                    assert_eq!(simple.refresh(n % tokens.len(), now), Answer::Refused);
                }
                engine.faults().plan("activation.refresh.before_commit", Manner::Vanish, 0);
            }
            Step::Lose(n) => {
                let n = n % tokens.len();
                engine.faults().plan("activation.refresh.after_commit", Manner::Fail, 1);
                let lost = refresh(&engine, with(&tokens[n].clone())).await;
                assert!(lost.is_err());
                engine.faults().plan("activation.refresh.after_commit", Manner::Fail, 0);
                if simple.refresh(n, now) == Answer::Successor(tokens.len()) {
                    // Nobody holds the new token; asking again within the grace gives it.
                    let again = refresh(&engine, with(&tokens[n].clone())).await.unwrap();
                    assert_eq!(simple.refresh(n, now), Answer::Successor(tokens.len()));
                    tokens.push(again.refresh);
                }
            }
            Step::Use(n) => {
                let n = n % tokens.len();
                let answer = refresh(&engine, with(&tokens[n].clone())).await;
                match (simple.refresh(n, now), answer) {
                    (Answer::Successor(place), Ok(granted)) if place == tokens.len() => tokens.push(granted.refresh),
                    (Answer::Successor(place), Ok(granted)) => {
                        assert_eq!(tokens[place].expose_secret(), granted.refresh.expose_secret());
                    }
                    (Answer::Refused, Err(Error::InvalidGrant)) => {}
                    (expected, found) => panic!("expected {expected:?}, found {found:?}"),
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_rotation_machine_agrees_with_a_simpler_one(steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(agree(steps));
    }
}

/// Few in everyday runs; many at report size.
fn cases() -> u32 {
    if std::env::var("TOLLGATE_PROOF").is_ok_and(|size| size == "report") { 2_000 } else { 12 }
}
