//! What holds for accounts.

use std::sync::atomic::Ordering;

use secrecy::{ExposeSecret, SecretString};

use super::{Error, Mode, SignIn, SignUp, SignedIn, User, second_factor};
use super::{confirm, disable, enroll, forgot, list, refresh, reset, sign_in, sign_out, sign_up, verify_email};
use crate::access::{AuthError, Caller, authenticate, authenticate_session};
use crate::db::{Kind, Lane, STATEMENTS_RUN, Statement};
use crate::testing::TestEngine;
use crate::{jobs, on_both};

const PASSWORD: &str = "a long walk by the sea";

async fn ask(engine: &TestEngine, email: &str, password: &str) -> Result<(), Error> {
    let wanted = SignUp {
        email: email.to_owned(),
        password: SecretString::from(password),
        name: Some("Ann".to_owned()),
        corr_id: "test".to_owned(),
    };
    sign_up(engine, wanted).await
}

/// The code of the last letter to this address.
async fn code(engine: &TestEngine, email: &str) -> String {
    jobs::run_due(engine).await.unwrap();
    let letters = engine.letters();
    let letter = letters.iter().rev().find(|letter| letter.contains(&format!("To: {email}"))).expect("a letter");
    letter.split("Code: ").nth(1).map_or_else(String::new, |rest| rest.split_whitespace().next().unwrap().to_owned())
}

/// An account with a known password.
pub(crate) async fn account(engine: &TestEngine, email: &str) -> User {
    ask(engine, email, PASSWORD).await.unwrap();
    verify_email(engine, &code(engine, email).await, "test").await.unwrap()
}

fn with(email: &str, password: &str, code: Option<&str>, mode: Mode) -> SignIn {
    SignIn {
        email: email.to_owned(),
        password: SecretString::from(password),
        code: code.map(str::to_owned),
        mode,
        device: "test".to_owned(),
        from: None,
        corr_id: "test".to_owned(),
    }
}

pub(crate) async fn enter(engine: &TestEngine, email: &str) -> (SignedIn, Caller) {
    let begun = sign_in(engine, with(email, PASSWORD, None, Mode::Cookie)).await.unwrap();
    let caller = authenticate_session(engine, begun.cookie.as_ref().unwrap().expose_secret()).await.unwrap();
    (begun, caller)
}

/// What is asked of accounts without a credential, for an address that is known or not.
async fn strangers_ask(engine: &TestEngine, what: &str, email: &str) {
    match what {
        "sign-in" => {
            let wrong = sign_in(engine, with(email, "a wrong password here", None, Mode::Token)).await;
            assert!(matches!(wrong, Err(Error::Credentials)), "{wrong:?}");
        }
        "sign-up" => ask(engine, email, "another long password").await.unwrap(),
        _ => forgot(engine, email, "test").await.unwrap(),
    }
}

#[tokio::test]
async fn known_and_unknown_addresses_cost_the_same_statements() {
    for kind in [Kind::Sqlite, Kind::Postgres] {
        let test = "known_and_unknown_addresses_cost_the_same_statements";
        let Some(engine) = TestEngine::open(kind, test).await else { continue };
        account(&engine, "ann@example.com").await;
        for what in ["sign-in", "sign-up", "forgot"] {
            let mut costs = Vec::new();
            for email in ["ann@example.com", "nobody@example.com"] {
                let before = STATEMENTS_RUN.with(std::cell::Cell::get);
                strangers_ask(&engine, what, email).await;
                costs.push(STATEMENTS_RUN.with(std::cell::Cell::get) - before);
            }
            assert_eq!(costs[0], costs[1], "{what} on {kind:?}");
            assert!(costs[0] > 2, "{what} on {kind:?}: {costs:?}");
        }
    }
}

/// Guesses that are made at once; half of them on another node where there can be one.
const BURST: usize = 100;

async fn a_burst_of_guesses(kind: Kind) {
    let change = |settings: &mut crate::Settings| settings.limits.database_wait = std::time::Duration::from_secs(30);
    let Some(engine) = TestEngine::open_with(kind, "a_burst_of_guesses", change).await else { return };
    let other = match kind {
        Kind::Sqlite => engine.engine.clone(),
        Kind::Postgres => {
            let mut settings = crate::testing::settings(&engine.db);
            change(&mut settings);
            crate::Engine::open(settings).await.unwrap()
        }
    };
    let on = |node: &crate::Engine| node.accounts().hashing.computed.load(Ordering::Relaxed);
    let hashes = || on(&engine) + if kind == Kind::Postgres { on(&other) } else { 0 };
    account(&engine, "ann@example.com").await;
    let free = u64::try_from(engine.limits().people.sign_in_failures_free).unwrap();
    for email in ["ann@example.com", "nobody@example.com"] {
        let (before, began) = (hashes(), engine.clock().monotonic.now());
        let guess = |number: usize| {
            let node = if number.is_multiple_of(2) { &engine.engine } else { &other };
            sign_in(node, with(email, "a wrong password here", None, Mode::Cookie))
        };
        let answers = futures::future::join_all((0..BURST).map(guess)).await;
        let slowed = answers.iter().filter(|answer| matches!(answer, Err(Error::Slow(_)))).count();
        let tried = answers.iter().filter(|answer| matches!(answer, Err(Error::Credentials))).count();
        assert_eq!(slowed + tried, BURST, "{answers:?}");
        // The first wait is a second: on a machine that takes longer, one more may have come after it.
        let seconds = (engine.clock().monotonic.now() - began).as_secs();
        let tried = u64::try_from(tried).unwrap();
        assert!((1..=free + 1 + seconds).contains(&tried), "{email}: {tried} guesses in {seconds} s");
        assert_eq!(hashes() - before, tried, "what is slowed is not hashed, known or not");
    }
    let mut tx = engine.engine.db().begin(Lane::Control).await.unwrap();
    tx.execute(&WAITED, &[]).await.unwrap();
    tx.commit().await.unwrap();
    sign_in(&engine, with("ann@example.com", PASSWORD, None, Mode::Cookie)).await.unwrap();
    let left = engine.engine.db().read().await.unwrap().all(&COUNTED, &[]).await.unwrap();
    assert_eq!(left.len(), 1, "the right password clears what was counted for its account");
}

/// As if the waits were over.
const WAITED: Statement = Statement::new("test.waited", "UPDATE sign_in_attempts SET blocked_until = 0");
const COUNTED: Statement = Statement::new("test.counted_attempts", "SELECT failures FROM sign_in_attempts");

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_guesses_is_no_more_guesses_than_a_row_of_them_embedded() {
    a_burst_of_guesses(Kind::Sqlite).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_burst_of_guesses_is_no_more_guesses_than_a_row_of_them_on_two_nodes() {
    a_burst_of_guesses(Kind::Postgres).await;
}

on_both! {
    async fn an_account_begins_when_its_address_is_verified_and_not_before(engine: TestEngine) {
        ask(&engine, " Ann@Example.com ", PASSWORD).await.unwrap();
        let early = sign_in(&engine, with("ann@example.com", PASSWORD, None, Mode::Cookie)).await;
        assert!(matches!(early, Err(Error::Credentials)), "{early:?}");
        let code = code(&engine, "ann@example.com").await;
        let user = verify_email(&engine, &code, "test").await.unwrap();
        assert_eq!(user.email, "ann@example.com");
        assert!(matches!(verify_email(&engine, &code, "test").await, Err(Error::InvalidCode)));
        let (begun, caller) = enter(&engine, "ann@example.com").await;
        assert_eq!(caller.actor(), format!("user:{}", user.user_id));
        assert_eq!(list(&engine, &caller).await.unwrap()[0].session_id, begun.session_id);
    }

    async fn whoever_signs_up_with_somebody_elses_address_sets_no_password_for_it(engine: TestEngine) {
        ask(&engine, "ann@example.com", PASSWORD).await.unwrap();
        let own = code(&engine, "ann@example.com").await;
        ask(&engine, "ann@example.com", "the password of a stranger").await.unwrap();
        let later = code(&engine, "ann@example.com").await;
        verify_email(&engine, &own, "test").await.unwrap();
        enter(&engine, "ann@example.com").await;
        let stranger = with("ann@example.com", "the password of a stranger", None, Mode::Cookie);
        assert!(matches!(sign_in(&engine, stranger).await, Err(Error::Credentials)));
        assert!(matches!(verify_email(&engine, &later, "test").await, Err(Error::InvalidCode)));
    }

    async fn known_and_unknown_addresses_cost_the_same_hashes_and_letters(engine: TestEngine) {
        account(&engine, "ann@example.com").await;
        let hashes = || engine.accounts().hashing.computed.load(Ordering::Relaxed);
        let mut costs = Vec::new();
        for email in ["ann@example.com", "nobody@example.com"] {
            let (before, letters) = (hashes(), engine.letters().len());
            let wrong = sign_in(&engine, with(email, "a wrong password here", None, Mode::Cookie)).await;
            assert!(matches!(wrong, Err(Error::Credentials)));
            forgot(&engine, email, "test").await.unwrap();
            ask(&engine, email, "another long password").await.unwrap();
            jobs::run_due(&engine).await.unwrap();
            costs.push((hashes() - before, engine.letters().len() - letters));
        }
        assert_eq!(costs, [(2, 2), (2, 2)]);
    }

    async fn a_guesser_slows_an_account_down_and_its_owner_gets_in_by_a_reset(engine: TestEngine) {
        account(&engine, "ann@example.com").await;
        for email in ["ann@example.com", "nobody@example.com"] {
            let mut slowed = false;
            for _ in 0..=engine.limits().people.sign_in_failures_free + 4 {
                match sign_in(&engine, with(email, "a wrong password here", None, Mode::Cookie)).await {
                    Err(Error::Slow(_)) => slowed = true,
                    Err(Error::Credentials) => {}
                    other => panic!("{other:?}"),
                }
            }
            assert!(slowed, "{email}");
        }
        forgot(&engine, "ann@example.com", "test").await.unwrap();
        let code = code(&engine, "ann@example.com").await;
        reset(&engine, &code, &SecretString::from("a new and long password"), "test").await.unwrap();
        let again = with("ann@example.com", "a new and long password", None, Mode::Cookie);
        sign_in(&engine, again).await.unwrap();
    }

    async fn a_reset_link_is_used_once_by_many_callers_and_ends_every_session(engine: TestEngine) {
        account(&engine, "ann@example.com").await;
        let (begun, _) = enter(&engine, "ann@example.com").await;
        forgot(&engine, "ann@example.com", "test").await.unwrap();
        let code = code(&engine, "ann@example.com").await;
        let callers = (0..20).map(|place| {
            let (engine, code) = (engine.engine.clone(), code.clone());
            tokio::spawn(async move {
                reset(&engine, &code, &SecretString::from(format!("a new and long password {place}")), "test").await
            })
        });
        let mut succeeded = 0;
        for caller in callers.collect::<Vec<_>>() {
            match caller.await.unwrap() {
                Ok(()) => succeeded += 1,
                Err(error) => assert!(matches!(error, Error::InvalidCode), "{error}"),
            }
        }
        assert_eq!(succeeded, 1);
        let secret = begun.cookie.unwrap();
        let ended = authenticate_session(&engine, secret.expose_secret()).await;
        assert!(matches!(ended, Err(AuthError::Invalid)));
    }

    async fn a_second_factor_is_asked_for_and_no_code_of_it_counts_twice(engine: TestEngine) {
        account(&engine, "ann@example.com").await;
        let (_, caller) = enter(&engine, "ann@example.com").await;
        let enrolled = enroll(&engine, &caller).await.unwrap();
        assert!(enrolled.url.expose_secret().starts_with("otpauth://totp/"));
        assert!(matches!(confirm(&engine, &caller, "no code").await, Err(Error::WrongCode)));
        let now = || u64::try_from(engine.clock().wall.now().as_micros() / 1_000_000).unwrap();
        let shown = |at: u64| second_factor::code_at(enrolled.secret.expose_secret(), at);
        let used = shown(now());
        let recovery = confirm(&engine, &caller, &used).await.unwrap();
        assert_eq!(recovery.len(), 10);
        let attempt = async |code: Option<&str>| sign_in(&engine, with("ann@example.com", PASSWORD, code, Mode::Cookie)).await;
        assert!(matches!(attempt(None).await, Err(Error::SecondFactorNeeded)));
        assert!(matches!(attempt(Some(&used)).await, Err(Error::WrongCode)), "a step is accepted once");
        let begun = attempt(Some(&shown(now() + 30))).await.unwrap();
        let spare = recovery[0].expose_secret();
        attempt(Some(spare)).await.unwrap();
        assert!(matches!(attempt(Some(spare)).await, Err(Error::WrongCode)), "a recovery code is accepted once");
        let caller = authenticate_session(&engine, begun.cookie.unwrap().expose_secret()).await.unwrap();
        disable(&engine, &caller, recovery[1].expose_secret()).await.unwrap();
        attempt(None).await.unwrap();
    }

    async fn a_session_that_ended_is_refused_at_once(engine: TestEngine) {
        account(&engine, "ann@example.com").await;
        let (begun, caller) = enter(&engine, "ann@example.com").await;
        let secret = begun.cookie.unwrap();
        assert!(authenticate(&engine, secret.expose_secret()).await.is_err(), "a cookie's secret is no bearer credential");
        sign_out(&engine, &caller).await.unwrap();
        assert!(matches!(authenticate_session(&engine, secret.expose_secret()).await, Err(AuthError::Invalid)));
    }

    async fn many_refreshes_of_one_token_give_one_successor_and_an_old_one_ends_the_session(engine: TestEngine) {
        account(&engine, "ann@example.com").await;
        let begun = sign_in(&engine, with("ann@example.com", PASSWORD, None, Mode::Token)).await.unwrap();
        let first = begun.tokens.unwrap();
        let access = first.access.expose_secret();
        assert_eq!(authenticate(&engine, access).await.unwrap().user_id(), Some(&begun.user.user_id));
        let presented = first.refresh.expose_secret();
        assert!(authenticate(&engine, presented).await.is_err(), "a refresh token is no access token");
        let callers: Vec<_> = (0..50).map(|_| {
            let (engine, presented) = (engine.engine.clone(), presented.to_owned());
            tokio::spawn(async move { refresh(&engine, &presented, "test").await.map(|next| next.refresh.expose_secret().to_owned()) })
        }).collect();
        let mut successors = std::collections::BTreeSet::new();
        for caller in callers {
            successors.insert(caller.await.unwrap().unwrap());
        }
        assert_eq!(successors.len(), 1);
        let second = successors.pop_first().unwrap();
        let forged = second.replace(".1.", ".0.");
        assert!(refresh(&engine, &forged, "test").await.is_err());
        refresh(&engine, &second, "test").await.unwrap();
        authenticate(&engine, access).await.unwrap();
        assert!(matches!(refresh(&engine, presented, "test").await, Err(Error::Credentials)));
        assert!(authenticate(&engine, access).await.is_err(), "the session ended with it");
    }

    async fn common_short_and_own_passwords_are_refused(engine: TestEngine) {
        for bad in ["Password1", "password123", "12345678", "qwertyuiop", "aaaaaaaaaa", "short", "ann@example.com"] {
            let refused = ask(&engine, "ann@example.com", bad).await;
            assert!(matches!(refused, Err(Error::Invalid { field: "password", .. })), "{bad}: {refused:?}");
        }
        ask(&engine, "ann@example.com", PASSWORD).await.unwrap();
    }
}
