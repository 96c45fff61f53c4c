//! The rotation machine against a simpler one: any order of refreshes with any token ever given out, waits, lost answers and
//! crashes; and, where the tokens are bound to a key, thieves without it and proofs shown twice. The simple machine knows only "who
//! follows whom", "when", and which proofs were used up; both must agree on every answer.

use proptest::prelude::*;
use secrecy::{ExposeSecret, SecretString};

use super::*;
use crate::tokens::dpop::Shown;

/// One step of a client, a thief, or time.
#[derive(Debug, Clone)]
enum Step {
    /// Refresh with the n-th token that was ever given out (counted round).
    Use(usize),
    /// The same, and the answer is lost after the commit.
    Lose(usize),
    /// The same, and the process dies before the commit.
    Crash(usize),
    /// Somebody without the key tries the n-th token.
    Steal(usize),
    /// The proof that was sent last is sent again, with the n-th token.
    Replay(usize),
    /// Seconds pass.
    Wait(u64),
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let one = prop_oneof![
        4 => (0..6_usize).prop_map(Step::Use),
        1 => (0..6_usize).prop_map(Step::Lose),
        1 => (0..6_usize).prop_map(Step::Crash),
        1 => (0..6_usize).prop_map(Step::Steal),
        1 => (0..6_usize).prop_map(Step::Replay),
        2 => (1..45_u64).prop_map(Step::Wait),
    ];
    proptest::collection::vec(one, 1..14)
}

/// What a simpler machine remembers: tokens in order with the second they were used at, and whether the family is over.
#[derive(Debug, Default)]
struct Simple {
    used_at: Vec<Option<u64>>,
    proofs: std::collections::BTreeSet<u64>,
    over: bool,
}

#[derive(Debug, PartialEq, Eq)]
enum Answer {
    /// The token after this one.
    Successor(usize),
    Refused,
    /// The proof was good before, and is not any more.
    Replayed,
}

impl Simple {
    fn refresh(&mut self, token: usize, now: u64, proof: Option<u64>) -> Answer {
        if self.over {
            return Answer::Refused;
        }
        if proof.is_some_and(|proof| !self.proofs.insert(proof)) {
            return Answer::Replayed;
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

const KEY: &str = "the site's key";
const THIEF: &str = "another key";

/// Both machines side by side.
struct Pair {
    engine: TestEngine,
    tokens: Vec<SecretString>,
    simple: Simple,
    now: u64,
    /// Proofs so far, where the tokens are bound to a key.
    proofs: Option<u64>,
}

impl Pair {
    async fn activated(bound: bool) -> Option<Pair> {
        let engine = TestEngine::open(crate::db::Kind::Sqlite, "machine").await?;
        engine.org("org_a").await;
        let mut with_code = typed(&code(&engine, "org_a").await, SITE);
        with_code.proof = bound.then(|| Shown::of(KEY, "activation"));
        let granted = redeem(&engine, with_code).await.unwrap();
        assert_eq!(granted.jkt.is_some(), bound);
        let simple = Simple { used_at: vec![None], ..Simple::default() };
        Some(Pair { engine, tokens: vec![granted.refresh], simple, now: 0, proofs: bound.then_some(0) })
    }

    /// A proof that nobody saw before.
    fn fresh(&mut self) -> Option<u64> {
        self.proofs = self.proofs.map(|last| last + 1);
        self.proofs
    }

    async fn send(&self, token: usize, proof: Option<Shown>) -> Result<Granted, Error> {
        refresh(&self.engine, Refresh { proof, ..with(&self.tokens[token]) }).await
    }

    async fn send_own(&self, token: usize, proof: Option<u64>) -> Result<Granted, Error> {
        self.send(token, proof.map(|number| Shown::of(KEY, &number.to_string()))).await
    }

    async fn ask(&mut self, token: usize, proof: Option<u64>) {
        let answer = self.send_own(token, proof).await;
        match (self.simple.refresh(token, self.now, proof), answer) {
            (Answer::Successor(place), Ok(granted)) if place == self.tokens.len() => self.tokens.push(granted.refresh),
            (Answer::Successor(place), Ok(granted)) => {
                assert_eq!(self.tokens[place].expose_secret(), granted.refresh.expose_secret());
            }
            (Answer::Refused, Err(Error::InvalidGrant)) | (Answer::Replayed, Err(Error::ProofUsed)) => {}
            (expected, found) => panic!("expected {expected:?}, found {found:?}"),
        }
    }

    async fn crash(&mut self, token: usize) {
        let proof = self.fresh();
        self.engine.faults().plan("activation.refresh.before_commit", Manner::Vanish, 1);
        let crashed = self.send_own(token, proof).await;
        assert!(crashed.is_err());
        // A refusal that ends the family commits before the point is reached. Otherwise nothing happened: the proof is as good as new.
        if matches!(crashed, Err(Error::InvalidGrant)) {
            assert_eq!(self.simple.refresh(token, self.now, proof), Answer::Refused);
        }
        self.engine.faults().plan("activation.refresh.before_commit", Manner::Vanish, 0);
    }

    async fn lose(&mut self, token: usize) {
        let proof = self.fresh();
        self.engine.faults().plan("activation.refresh.after_commit", Manner::Fail, 1);
        assert!(self.send_own(token, proof).await.is_err());
        self.engine.faults().plan("activation.refresh.after_commit", Manner::Fail, 0);
        if self.simple.refresh(token, self.now, proof) == Answer::Successor(self.tokens.len()) {
            // Nobody holds the new token; asking again within the grace gives it.
            let proof = self.fresh();
            let again = self.send_own(token, proof).await.unwrap();
            assert_eq!(self.simple.refresh(token, self.now, proof), Answer::Successor(self.tokens.len()));
            self.tokens.push(again.refresh);
        }
    }

    /// Without the key nothing is given, and nothing ends.
    async fn steal(&mut self, token: usize) {
        let Some(number) = self.fresh() else { return };
        for proof in [None, Some(Shown::of(THIEF, &number.to_string()))] {
            assert!(matches!(self.send(token, proof).await, Err(Error::InvalidGrant)));
        }
    }
}

async fn agree(bound: bool, steps: Vec<Step>) {
    let Some(mut pair) = Pair::activated(bound).await else { return };
    for step in steps {
        let given = pair.tokens.len();
        let place = |n: usize| n % given;
        match step {
            Step::Wait(seconds) => {
                pair.now += seconds;
                pair.engine.set_now(at(pair.now));
            }
            Step::Crash(n) => pair.crash(place(n)).await,
            Step::Lose(n) => pair.lose(place(n)).await,
            Step::Steal(n) => pair.steal(place(n)).await,
            Step::Replay(n) => pair.ask(place(n), pair.proofs).await,
            Step::Use(n) => {
                let (token, proof) = (place(n), pair.fresh());
                pair.ask(token, proof).await;
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), max_shrink_iters: 200, ..ProptestConfig::default() })]

    #[test]
    fn the_rotation_machine_agrees_with_a_simpler_one(bound in any::<bool>(), steps in steps()) {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build().unwrap();
        runtime.block_on(agree(bound, steps));
    }
}

/// Few in everyday runs; many at report size.
fn cases() -> u32 {
    if std::env::var("TOLLGATE_PROOF").is_ok_and(|size| size == "report") { 2_000 } else { 12 }
}
