//! Secrets and personal values that went through every door are in no log line and in no error.

use serde_json::{Value, json};

use crate::api::{Answer, Api};
use crate::database::Database;
use crate::revocations::letter_code;
use crate::server::{Options, Server};
use crate::tenant::text;

const KEY: &str = "tgo_canary678901234567890123456789012345678";
const EMAIL: &str = "canary@example.com";
const PASSWORD: &str = "canary sings at night";
const NAME: &str = "Canary Person";

#[tokio::test]
async fn no_secret_and_no_personal_value_is_in_the_log_or_in_an_error() {
    let place = tempfile::tempdir().unwrap();
    let options = Options::serve(&place.path().join("data"), &Database::Embedded).arguments(&["--migrate"]);
    let server = Server::start(
        options.variable("TOLLGATE_OPERATOR_KEY", KEY).variable("TOLLGATE_LOG", "debug,sqlx=warn,hyper=warn"),
    )
    .await;
    let operator = Api::new(&server.api, KEY);
    let mut secrets = vec![KEY.to_owned(), EMAIL.to_owned(), PASSWORD.to_owned(), NAME.to_owned()];
    operator.ok("/api/auth/sign-up", &json!({"email": EMAIL, "password": PASSWORD, "name": NAME})).await;
    let code = letter_code(&server).await;
    operator.ok("/api/auth/verify-email", &json!({"code": code})).await;
    let begun = json!({"email": EMAIL, "password": PASSWORD, "mode": "token"});
    let begun = operator.ok("/api/auth/sign-in", &begun).await;
    secrets.extend([code, text(&begun["accessToken"]), text(&begun["refreshToken"])]);
    let session = server.with_key(&text(&begun["accessToken"]));
    let enrolled = session.ok("/api/auth/totp.enroll", &json!({})).await;
    operator
        .ok("/api/orgs.create", &json!({"orgId": "org_acme", "name": "Acme", "ownerUserId": "user_1", "email": EMAIL}))
        .await;
    let key = operator.ok("/api/keys.create", &json!({"orgId": "org_acme", "name": "k"})).await;
    let invitation =
        operator.ok("/api/invitations", &json!({"orgId": "org_acme", "email": EMAIL, "role": "member"})).await;
    let activation =
        operator.ok("/api/activation/codes.create", &json!({"orgId": "org_acme", "siteDomain": "a.example"})).await;
    secrets.extend([&enrolled["secret"], &key["secret"], &invitation["code"], &activation["code"]].map(text));
    let errors = errors(&server, &operator, &secrets).await;
    assert!(errors.len() > 60);
    for answer in &errors {
        assert!(answer.status >= 400, "{}", answer.text);
        let told = secrets.iter().find(|secret| answer.text.contains(secret.as_str()));
        assert_eq!(told, None, "an error tells a secret: {}", answer.text);
        for word in ["SELECT ", "INSERT ", "panicked", ".rs:", "/src/", "sqlx"] {
            assert!(!answer.text.contains(word), "an error tells of the inside: {}", answer.text);
        }
    }
    let log = server.log();
    assert!(log.lines().count() > 20, "there is something to look through");
    for secret in &secrets {
        let line = log.lines().find(|line| line.contains(secret.as_str()));
        assert_eq!(line, None, "the log tells a secret");
    }
    println!(
        "PROOF: planted canaries: {} secrets and personal values in none of {} errors and {} log lines",
        secrets.len(),
        errors.len(),
        log.lines().count()
    );
}

/// What is answered when each secret is given where it does not belong.
async fn errors(server: &Server, operator: &Api, secrets: &[String]) -> Vec<Answer> {
    let nobody = server.with_key("garbage");
    let mut errors = Vec::new();
    for secret in secrets {
        let wrong: Vec<(&Api, &str, Value)> = vec![
            (operator, "/api/auth/sign-in", json!({"email": EMAIL, "password": format!("{secret} but wrong")})),
            (operator, "/api/auth/sign-in", json!({"email": secret, "password": [secret]})),
            (
                operator,
                "/api/auth/sign-up",
                json!({"email": format!("{secret} {secret}"), "password": secret, "name": "\u{1}"}),
            ),
            (operator, "/api/auth/verify-email", json!({"code": format!("x{secret}")})),
            (operator, "/api/auth/password.reset", json!({"code": format!("x{secret}"), "password": secret})),
            (operator, "/api/auth/refresh", json!({"refreshToken": format!("x{secret}")})),
            (operator, "/api/keys.create", json!({"orgId": "org_acme", "name": "k", "scopes": [secret]})),
            (operator, "/api/orgs.update", json!({"orgId": "org_acme", "email": format!("{secret} @")})),
            (&nobody, "/api/orgs.get", json!({"orgId": secret})),
        ];
        for (api, path, body) in wrong {
            errors.push(api.post(path, &body).await);
        }
        let as_key = server.with_key(&format!("x{}", secret.replace(' ', "")));
        errors.push(as_key.post("/api/keys.revoke", &json!({"keyId": secret})).await);
        let form = [("content-type", "application/json")];
        let grant = json!({"grant_type": "refresh_token", "refresh_token": format!("x{secret}")});
        errors.push(operator.raw("/oauth/token", &form, grant.to_string().into_bytes()).await);
    }
    errors
}
