//! People who signed up over HTTP, as browsers and as programs carry their sessions.

use serde_json::json;
use tollgate_engine::jobs;

use crate::server::{Reply, Server};

/// A password that no list of common ones has.
pub(crate) const PASSWORD: &str = "a long walk by the sea";

/// A signed-in person.
pub(crate) struct Person {
    pub(crate) user_id: String,
    /// `name=secret`, as the browser sends it back.
    pub(crate) cookie: String,
    pub(crate) access: String,
    pub(crate) refresh: String,
}

/// The code of the last letter to this address.
pub(crate) async fn code(server: &Server, email: &str) -> String {
    jobs::run_due(&server.engine).await.unwrap();
    let letters = server.engine.letters();
    let letter = letters.iter().rev().find(|letter| letter.contains(&format!("To: {email}"))).expect("a letter");
    let rest = letter.split("Code: ").nth(1).expect("a code in the letter");
    rest.split_whitespace().next().unwrap().to_owned()
}

/// A verified account; its id.
pub(crate) async fn account(server: &Server, email: &str) -> String {
    let wanted = json!({"email": email, "password": PASSWORD, "name": "Ann"});
    let asked = server.post("/api/auth/sign-up", None, &wanted).await;
    assert_eq!(asked.status, 200, "{}", asked.text);
    let verified = server.post("/api/auth/verify-email", None, &json!({"code": code(server, email).await})).await;
    assert_eq!(verified.status, 200, "{}", verified.text);
    verified.json()["data"]["userId"].as_str().unwrap().to_owned()
}

/// Signs in with the right password.
pub(crate) async fn sign_in(server: &Server, email: &str, mode: &str) -> Reply {
    let reply =
        server.post("/api/auth/sign-in", None, &json!({"email": email, "password": PASSWORD, "mode": mode})).await;
    assert_eq!(reply.status, 200, "{}", reply.text);
    reply
}

/// What the browser keeps of an answer.
pub(crate) fn cookie_of(reply: &Reply) -> String {
    reply.header("set-cookie").expect("a cookie").split(';').next().unwrap().to_owned()
}

/// An account with two sessions: one in a cookie, one in tokens.
pub(crate) async fn person(server: &Server, email: &str) -> Person {
    let user_id = account(server, email).await;
    let cookie = sign_in(server, email, "cookie").await;
    let tokens = sign_in(server, email, "token").await.json();
    let text = |name: &str| tokens["data"][name].as_str().unwrap().to_owned();
    Person { user_id, cookie: cookie_of(&cookie), access: text("accessToken"), refresh: text("refreshToken") }
}
