//! What browsers are told and may do: cookies, other sites, headers, redirects.

use serde_json::{Value, json};
use tollgate_engine::testing::OPERATOR_KEY;
use tollgate_web::Mode;

use crate::people::{self, PASSWORD, cookie_of, person, sign_in};
use crate::server::{Reply, Server};

const EVIL: &str = "https://evil.example";

/// A call as a browser makes it.
async fn browse(server: &Server, method: &str, path: &str, headers: &[(&str, &str)], body: &Value) -> Reply {
    let mut request = server.client.request(method.parse().unwrap(), format!("{}{path}", server.base));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    server.send(request.header("content-type", "application/json").body(body.to_string())).await
}

/// Path and method of every route, with something in the place of parameters; and whether a session can open it.
fn routes() -> Vec<(String, String, bool)> {
    let document = tollgate_web::openapi_document();
    let mut routes = Vec::new();
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let filled = path.replace("{*path}", "x").replace("{orgId}", "org_x").replace(['{', '}'], "");
            let session = operation["x-credential"].as_str().unwrap().contains("session");
            routes.push((method.to_uppercase(), filled, session));
        }
    }
    routes
}

/// The code of a refusal, in the envelope or bare.
fn refusal(reply: &Reply) -> String {
    let body = reply.json();
    let code = body.pointer("/error/code").unwrap_or(&body["code"]);
    code.as_str().unwrap_or_default().to_owned()
}

#[tokio::test]
async fn no_page_of_another_site_makes_a_browser_change_anything() {
    let server = Server::start("csrf").await;
    let person = person(&server, "ann@example.com").await;
    let host = server.base.strip_prefix("http://").unwrap();
    let foreign: [&[(&str, &str)]; 5] = [
        &[("sec-fetch-site", "cross-site"), ("origin", EVIL)],
        &[("sec-fetch-site", "same-site"), ("origin", "https://other.tollgate.test")],
        &[("origin", EVIL)],
        &[("origin", "null")],
        &[("origin", "http://tollgate.test.evil.example")],
    ];
    let mut tried = 0;
    for (method, path, session) in
        routes().iter().filter(|(method, ..)| !matches!(method.as_str(), "GET" | "HEAD" | "OPTIONS" | "TRACE"))
    {
        if !session {
            continue;
        }
        for headers in foreign {
            let headers = [headers, &[("cookie", person.cookie.as_str())]].concat();
            let reply = browse(&server, method, path, &headers, &json!({"nothing": 1})).await;
            // What `dev` alone has is not there.
            assert!(
                refusal(&reply) == "cross_site" || reply.status == 404,
                "{method} {path} with {headers:?}: {} {}",
                reply.status,
                reply.text
            );
            tried += 1;
        }
    }
    assert!(tried > 200, "{tried}");
    let still_in = browse(&server, "GET", "/api/auth/me", &[("cookie", &person.cookie)], &json!({})).await;
    assert_eq!(still_in.status, 200, "nothing has happened to the session");
    let ours = [("cookie", person.cookie.as_str()), ("sec-fetch-site", "same-origin")];
    assert_eq!(browse(&server, "POST", "/api/auth/sign-out", &ours, &json!({})).await.status, 200);
    let again = cookie_of(&sign_in(&server, "ann@example.com", "cookie").await);
    let own_host = format!("http://{host}");
    let ours = [("cookie", again.as_str()), ("origin", own_host.as_str())];
    assert_eq!(browse(&server, "POST", "/api/auth/sign-out", &ours, &json!({})).await.status, 200);
    println!("PROOF: cross-site requests: {tried} refused, on every route a session opens");
}

#[tokio::test]
async fn sign_in_and_its_like_are_not_asked_for_by_other_sites_either() {
    let server = Server::start("login_csrf").await;
    people::account(&server, "ann@example.com").await;
    let foreign = [("sec-fetch-site", "cross-site"), ("origin", EVIL)];
    for (path, body) in [
        ("/api/auth/sign-in", json!({"email": "ann@example.com", "password": PASSWORD})),
        ("/api/auth/sign-up", json!({"email": "b@example.com", "password": PASSWORD, "name": "B"})),
        ("/api/auth/password.forgot", json!({"email": "ann@example.com"})),
        ("/api/auth/password.reset", json!({"code": "x", "password": PASSWORD})),
    ] {
        let reply = browse(&server, "POST", path, &foreign, &body).await;
        assert_eq!((reply.status, reply.code().as_str()), (403, "cross_site"), "{path}");
        assert_eq!(reply.header("set-cookie"), None, "{path}");
    }
}

#[tokio::test]
async fn a_cookie_is_bound_to_the_host_and_out_of_the_reach_of_scripts() {
    for (base_url, name, secure) in [
        ("https://tollgate.test", "__Host-tollgate_session", true),
        ("http://tollgate.test", "tollgate_session", false),
    ] {
        let server =
            Server::start_with("cookies", Mode::Serve, |state, _| base_url.clone_into(&mut state.base_url)).await;
        people::account(&server, "ann@example.com").await;
        let reply = sign_in(&server, "ann@example.com", "cookie").await;
        let set = reply.header("set-cookie").unwrap();
        let (pair, attributes) = set.split_once("; ").unwrap();
        let attributes: Vec<&str> = attributes.split("; ").collect();
        let (own, secret) = pair.split_once('=').unwrap();
        assert_eq!(own, name);
        assert!(secret.len() >= 64 && !reply.text.contains(secret), "the secret is in the cookie and nowhere else");
        for wanted in ["Path=/", "HttpOnly", "SameSite=Lax"] {
            assert!(attributes.contains(&wanted), "{set}");
        }
        assert_eq!(attributes.contains(&"Secure"), secure, "{set}");
        assert!(!set.to_ascii_lowercase().contains("domain="), "{set}");
        assert_eq!(reply.header("strict-transport-security").is_some(), secure);
        let cookie = [("cookie", pair)];
        let out = browse(&server, "POST", "/api/auth/sign-out", &cookie, &json!({})).await;
        assert!(out.header("set-cookie").unwrap().contains("Max-Age=0"));
        assert_eq!(browse(&server, "GET", "/api/auth/me", &cookie, &json!({})).await.status, 401);
    }
}

#[tokio::test]
async fn a_session_that_somebody_else_chose_is_never_taken_up() {
    let server = Server::start("fixation").await;
    let email = "ann@example.com";
    people::account(&server, email).await;
    let body = json!({"email": email, "password": PASSWORD});
    let planted = format!("tollgate_session=tgs_{}", "0".repeat(64));
    let reply = browse(&server, "POST", "/api/auth/sign-in", &[("cookie", &planted)], &body).await;
    let first = cookie_of(&reply);
    assert_ne!(first, planted);
    assert_eq!(browse(&server, "GET", "/api/auth/me", &[("cookie", &planted)], &json!({})).await.status, 401);
    // The session that the browser had until now ends with the new one.
    let reply = browse(&server, "POST", "/api/auth/sign-in", &[("cookie", &first)], &body).await;
    let second = cookie_of(&reply);
    assert_ne!(first, second);
    assert_eq!(browse(&server, "GET", "/api/auth/me", &[("cookie", &first)], &json!({})).await.status, 401);
    assert_eq!(browse(&server, "GET", "/api/auth/me", &[("cookie", &second)], &json!({})).await.status, 200);
    let tokens = sign_in(&server, email, "token").await;
    assert_eq!(tokens.header("set-cookie"), None, "tokens and cookies are never mixed");
    assert_eq!(cookie_of(&sign_in(&server, email, "cookie").await).len(), second.len());
}

#[tokio::test]
async fn every_answer_says_how_it_may_be_shown() {
    let server = Server::start("headers").await;
    let mut seen = 0;
    for (method, path, _) in routes() {
        for key in [None, Some(OPERATOR_KEY)] {
            let bearer = key.map(|key| format!("Bearer {key}"));
            let headers: Vec<(&str, &str)> = bearer.iter().map(|bearer| ("authorization", bearer.as_str())).collect();
            let reply = browse(&server, &method, &path, &headers, &json!({"nothing": 1})).await;
            shown_safely(&reply, &format!("{method} {path}"));
            seen += 1;
        }
    }
    for path in ["/no/such/route", "/docs/errors/no_such_error", "/%ff", "/api/orgs.get?orgId=%ff"] {
        shown_safely(&server.get(path, None).await, path);
    }
    assert_eq!(
        server
            .client
            .request("BREW".parse().unwrap(), format!("{}/docs", server.base))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16(),
        405
    );
    assert!(seen > 300);
}

fn shown_safely(reply: &Reply, about: &str) {
    assert_eq!(reply.header("x-content-type-options"), Some("nosniff"), "{about}");
    assert!(reply.header("cache-control").is_some(), "{about}");
    assert_eq!(reply.header("access-control-allow-origin"), None, "{about}");
    assert_eq!(reply.header("server"), None, "{about}");
    let html = reply.header("content-type").is_some_and(|kind| kind.starts_with("text/html"));
    if html || reply.status >= 400 {
        let csp = reply.header("content-security-policy").unwrap_or_else(|| panic!("{about} without a policy"));
        for wanted in ["default-src 'none'", "frame-ancestors 'none'", "base-uri 'none'", "form-action 'self'"] {
            assert!(csp.contains(wanted), "{about}: {csp}");
        }
        assert!(!csp.contains("unsafe") && !csp.contains('*'), "{about}: {csp}");
        assert_eq!(reply.header("referrer-policy"), Some("no-referrer"), "{about}");
    }
    if html {
        for inline in ["<script>", " onclick=", " onload=", " style=\"", "javascript:"] {
            assert!(!reply.text.contains(inline), "{about} has {inline}");
        }
    }
}

#[tokio::test]
async fn no_route_sends_a_browser_to_an_address_it_was_given() {
    let server = Server::start_with("redirects", Mode::Dev, |_, _| {}).await;
    let ways = ["next", "redirect", "redirect_uri", "returnUrl", "return_to", "url", "continue", "successUrl", "to"];
    let query: String = ways.iter().map(|way| format!("{way}=https://evil.example/&")).collect();
    for (method, path, _) in routes() {
        for path in [path.clone(), format!("/{path}"), format!("{path}//evil.example")] {
            let request = server.client.request(method.parse().unwrap(), format!("{}{path}?{query}", server.base));
            let reply =
                server.send(request.header("host", "127.0.0.1").header("x-forwarded-host", "evil.example")).await;
            let to = reply.header("location").unwrap_or_default();
            assert!(to.is_empty() || (to.starts_with('/') && !to.starts_with("//")), "{method} {path}: {to}");
        }
    }
}
