//! What holds for tokens: who is believed, who is not, and how keys follow each other.

use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::ExposeSecret;
use serde_json::{Map, Value, json};

use tollgate_rules::access::{Permission, Scope};
use tollgate_rules::ids::{KeyId, OrgId, UserId};
use tollgate_rules::time::Timestamp;

use super::verify::verify_at;
use super::*;
use crate::access::{AuthError, CallerKind, authenticate};
use crate::on_both;
use crate::testing::{TestEngine, settings};

mod clerk;
mod speed;

fn session() -> MintSession {
    MintSession {
        user_id: UserId::parse("user_1").unwrap(),
        session_id: "sess_1".to_owned(),
        org: Some((OrgId::parse("org_a").unwrap(), Some("acme".to_owned()), "admin".to_owned())),
        first_factor_minutes: 3,
        second_factor_minutes: None,
        party: None,
        pending: false,
        lifetime: Duration::from_secs(60),
    }
}

fn site() -> MintSite {
    MintSite {
        org_id: OrgId::parse("org_a").unwrap(),
        site_id: "site_1".to_owned(),
        site: "shop.example".to_owned(),
        family_id: "fam_1".to_owned(),
        scopes: vec![Scope::UsageWrite, Scope::QuotaCheck],
        jkt: None,
    }
}

fn of_key() -> MintOrg {
    MintOrg {
        org_id: OrgId::parse("org_a").unwrap(),
        key_id: KeyId::parse("key_1").unwrap(),
        scopes: vec![Scope::QuotaCheck],
        slice: None,
        lifetime: Duration::from_secs(600),
    }
}

fn text(minted: &Minted) -> &str {
    minted.token.expose_secret()
}

fn parts_of(token: &str) -> (Value, Value) {
    let part = |at: usize| {
        let bytes = URL_SAFE_NO_PAD.decode(token.split('.').nth(at).unwrap()).unwrap();
        serde_json::from_slice(&bytes).unwrap()
    };
    (part(0), part(1))
}

/// A token signed by the server's own key, whatever it says.
fn signed(engine: &TestEngine, change: impl FnOnce(&mut Header, &mut Map<String, Value>)) -> String {
    let (_, claims) = parts_of(text(&mint_site(engine, &site()).unwrap()));
    let key = engine.tokens().ring.signer(engine.clock().wall.now()).unwrap();
    let mut header = Header::new(Algorithm::EdDSA);
    header.typ = Some("at+jwt".to_owned());
    header.kid = Some(key.kid.clone());
    let mut claims = claims.as_object().unwrap().clone();
    change(&mut header, &mut claims);
    jsonwebtoken::encode(&header, &claims, key.private.as_ref().unwrap()).unwrap()
}

fn unsigned(header: &Value, claims: &Value, signature: &[u8]) -> String {
    let part = |value: &Value| URL_SAFE_NO_PAD.encode(value.to_string());
    format!("{}.{}.{}", part(header), part(claims), URL_SAFE_NO_PAD.encode(signature))
}

async fn refusal(engine: &TestEngine, token: &str) -> Refusal {
    verify(engine, token).await.unwrap_err()
}

on_both! {
    async fn what_is_minted_is_believed_and_says_who_it_is(engine: TestEngine) {
        let Verified::Session(found) = verify(&engine, text(&mint_session(&engine, &session()).unwrap())).await.unwrap() else {
            panic!("a session")
        };
        assert_eq!((found.provider, found.user_id.as_str()), (Provider::BuiltIn, "user_1"));
        let org = found.org.unwrap();
        assert_eq!((org.id.as_str(), org.role.as_deref(), org.slug.as_deref()), ("org_a", Some("org:admin"), Some("acme")));
        assert_eq!(found.factor_minutes, Some((3, -1)));
        let Verified::Site(found) = verify(&engine, text(&mint_site(&engine, &site()).unwrap())).await.unwrap() else {
            panic!("a site")
        };
        assert_eq!((found.site.as_str(), found.scopes), ("shop.example", site().scopes));
        let Verified::Org(found) = verify(&engine, text(&mint_org(&engine, &of_key()).unwrap())).await.unwrap() else {
            panic!("an org")
        };
        assert_eq!((found.key_id.as_str(), found.scopes), ("key_1", vec![Scope::QuotaCheck]));
        let pending = mint_session(&engine, &MintSession { pending: true, ..session() }).unwrap();
        assert_eq!(refusal(&engine, text(&pending)).await, Refusal::Pending);
    }

    async fn a_site_token_and_an_org_token_may_what_their_scopes_say_in_their_org_only(engine: TestEngine) {
        engine.org("org_a").await;
        engine.org("org_b").await;
        let foreign = OrgId::parse("org_b").unwrap();
        let token = mint_site(&engine, &site()).unwrap();
        let caller = authenticate(&engine, text(&token)).await.unwrap();
        assert_eq!(caller.actor(), "site:site_1");
        let scope = caller.require(&engine, Permission::UsageWrite, None).await.unwrap();
        assert_eq!(scope.org_id().as_str(), "org_a");
        assert!(caller.require(&engine, Permission::UsageWrite, Some(&foreign)).await.is_err());
        assert!(caller.require(&engine, Permission::KeysRead, None).await.is_err());
        assert!(caller.require_operator(Permission::OrgsList).is_err());
        let token = mint_org(&engine, &of_key()).unwrap();
        let caller = authenticate(&engine, text(&token)).await.unwrap();
        assert!(matches!(caller.kind(), CallerKind::OrgToken { .. }));
        assert!(caller.require(&engine, Permission::QuotaCheck, None).await.is_ok());
        assert!(caller.require(&engine, Permission::UsageWrite, None).await.is_err());
        let gone = mint_site(&engine, &MintSite { org_id: OrgId::parse("org_none").unwrap(), ..site() }).unwrap();
        assert!(matches!(authenticate(&engine, text(&gone)).await, Err(AuthError::Invalid)));
    }

    async fn altered_and_borrowed_signatures_are_not_believed(engine: TestEngine) {
        let good = mint_site(&engine, &site()).unwrap();
        let (header, claims) = parts_of(text(&good));
        let (signed_part, _) = text(&good).rsplit_once('.').unwrap();
        let jwks = jwks(&engine);
        let public = URL_SAFE_NO_PAD.decode(jwks["keys"][0]["x"].as_str().unwrap()).unwrap();
        let with = |name: &str, value: Value| {
            let mut changed = header.clone();
            changed[name] = value;
            changed
        };
        assert_eq!(refusal(&engine, &unsigned(&with("alg", json!("none")), &claims, b"")).await, Refusal::Algorithm);
        let hmac_header = with("alg", json!("HS256"));
        let message = unsigned(&hmac_header, &claims, b"");
        let key = EncodingKey::from_secret(&public);
        let mac = jsonwebtoken::crypto::sign(message.trim_end_matches('.').as_bytes(), &key, Algorithm::HS256).unwrap();
        assert_eq!(refusal(&engine, &format!("{message}{mac}")).await, Refusal::Algorithm);
        assert_eq!(refusal(&engine, &format!("{signed_part}.")).await, Refusal::Signature);
        assert_eq!(refusal(&engine, &format!("{signed_part}.AAAA")).await, Refusal::Signature);
        let mut other = claims.clone();
        other["org"] = json!("org_b");
        let (_, signature) = text(&good).rsplit_once('.').unwrap();
        let moved = format!("{}{signature}", unsigned(&header, &other, b""));
        assert_eq!(refusal(&engine, &moved).await, Refusal::Signature);
        for kid in ["", "../../etc/passwd", "' OR 1=1 --", "http://evil.example/key", &"k".repeat(4000)] {
            assert_eq!(refusal(&engine, &unsigned(&with("kid", json!(kid)), &claims, b"sig")).await, Refusal::UnknownKey, "{kid:.20}");
        }
        assert_eq!(refusal(&engine, &unsigned(&with("kid", json!(["a"])), &claims, b"sig")).await, Refusal::UnknownKey);
        assert_eq!(refusal(&engine, &unsigned(&with("crit", json!(["b64"])), &claims, b"sig")).await, Refusal::TokenType);
        // A key in the header is never looked at: its own signature fits, ours does not know it.
        let stranger = ring::made(&engine, 99, Timestamp::from_seconds(0));
        let mut embedded = with("kid", json!(stranger.kid));
        embedded["jwk"] = json!({ "kty": "OKP", "crv": "Ed25519", "x": stranger.public_key });
        embedded["jku"] = json!("https://evil.example/jwks.json");
        assert_eq!(refusal(&engine, &unsigned(&embedded, &claims, b"sig")).await, Refusal::UnknownKey);
        assert_eq!(refusal(&engine, &"a".repeat(100_000)).await, Refusal::Malformed);
        let mut foreign = claims.clone();
        foreign["iss"] = json!("http://127.0.0.1:8787/");
        assert_eq!(refusal(&engine, &unsigned(&header, &foreign, b"sig")).await, Refusal::Issuer);
    }

    async fn a_token_of_one_kind_is_no_token_of_another(engine: TestEngine) {
        type Change = fn(&mut Header, &mut Map<String, Value>);
        let cases: &[(&str, Change, Refusal)] = &[
            ("a site's token as a session", |header, _| header.typ = Some("JWT".to_owned()), Refusal::TokenType),
            ("no kind", |header, _| header.typ = None, Refusal::TokenType),
            ("a logout token", |header, _| header.typ = Some("logout+jwt".to_owned()), Refusal::TokenType),
            ("a user as a site", |_, claims| { claims.insert("sub".into(), json!("user_1")); }, Refusal::TokenType),
            ("another audience", |_, claims| { claims.insert("aud".into(), json!("https://other.example")); }, Refusal::Audience),
            ("several audiences", |_, claims| { claims.insert("aud".into(), json!(["http://127.0.0.1:8787"])); }, Refusal::Audience),
            ("no audience", |_, claims| { claims.remove("aud"); }, Refusal::Audience),
            ("no subject", |_, claims| { claims.remove("sub"); }, Refusal::Claim("sub")),
            ("an empty subject", |_, claims| { claims.insert("sub".into(), json!("")); }, Refusal::Claim("sub")),
            ("a subject that is a number", |_, claims| { claims.insert("sub".into(), json!(1)); }, Refusal::Claim("sub")),
            ("no end", |_, claims| { claims.remove("exp"); }, Refusal::Claim("exp")),
            ("an end in words", |_, claims| { claims.insert("exp".into(), json!("9999999999")); }, Refusal::Claim("exp")),
            ("a broken end", |_, claims| { claims.insert("exp".into(), json!(9_999_999_999.5)); }, Refusal::Claim("exp")),
            ("an end beyond time", |_, claims| { claims.insert("exp".into(), json!(i64::MAX)); }, Refusal::Claim("exp")),
            ("no issue", |_, claims| { claims.remove("iat"); }, Refusal::Claim("iat")),
            ("no start", |_, claims| { claims.remove("nbf"); }, Refusal::Claim("nbf")),
            ("an org in a list", |_, claims| { claims.insert("org".into(), json!(["org_a"])); }, Refusal::Claim("org")),
        ];
        for (name, change, expected) in cases {
            assert_eq!(refusal(&engine, &signed(&engine, change)).await, *expected, "{name}");
        }
        let unknown = signed(&engine, |_, claims| { claims.insert("scope".into(), json!("root usage:write")); });
        let Verified::Site(site) = verify(&engine, &unknown).await.unwrap() else { panic!("a site") };
        assert_eq!(site.scopes, [Scope::UsageWrite], "a scope nobody knows grants nothing");
    }

    async fn a_token_is_valid_from_its_start_to_its_end_with_five_seconds_to_spare(engine: TestEngine) {
        let minted = mint_org(&engine, &of_key()).unwrap();
        let (_, claims) = parts_of(text(&minted));
        let (from, end) = (claims["iat"].as_i64().unwrap(), claims["exp"].as_i64().unwrap());
        assert_eq!(end - from, 600);
        let at = async |seconds: i64| verify_at(&engine, text(&minted), Timestamp::from_seconds(seconds)).await;
        assert!(at(from - 5).await.is_ok());
        assert_eq!(at(from - 6).await.unwrap_err(), Refusal::NotActiveYet);
        assert!(at(end + 4).await.is_ok());
        assert_eq!(at(end + 5).await.unwrap_err(), Refusal::Expired);
    }

    async fn what_is_revoked_is_refused_at_once_and_after_a_restart(engine: TestEngine) {
        let token = mint_site(&engine, &site()).unwrap();
        let other = mint_site(&engine, &MintSite { family_id: "fam_2".to_owned(), ..site() }).unwrap();
        assert!(verify(&engine, text(&token)).await.is_ok());
        let mut tx = engine.engine.db().begin(crate::db::Lane::Control).await.unwrap();
        refuse_stored(&engine, &mut tx, "fam_1").await.unwrap();
        tx.commit().await.unwrap();
        assert!(verify(&engine, text(&token)).await.is_ok(), "stored, not told");
        hear(&engine).await.unwrap();
        assert_eq!(refusal(&engine, text(&token)).await, Refusal::Revoked);
        assert!(verify(&engine, text(&other)).await.is_ok());
        refuse(&engine, "fam_2");
        assert_eq!(refusal(&engine, text(&other)).await, Refusal::Revoked);
    }

    async fn the_next_key_is_published_before_it_signs_and_the_last_one_after(engine: TestEngine) {
        let before = mint_org(&engine, &of_key()).unwrap();
        let published = jwks(&engine);
        let kids: Vec<&str> = published["keys"].as_array().unwrap().iter().map(|key| key["kid"].as_str().unwrap()).collect();
        assert_eq!(kids.len(), 2, "one signs, one is next");
        assert!(!published.to_string().contains("\"d\""));
        let (header, _) = parts_of(text(&before));
        assert_eq!(header["kid"], kids[1]);
        let from = rotate(&engine, &engine.server()).await.unwrap();
        assert!(from > engine.clock().wall.now());
        assert_eq!(jwks(&engine), published, "rotation changes who signs, not what is published");
        assert_eq!(engine.tokens().ring.signer(from).unwrap().kid, kids[0]);
        assert_eq!(rotate(&engine, &engine.server()).await.unwrap(), from, "the same again answers the same");
        assert!(verify(&engine, text(&before)).await.is_ok());
    }
}

#[tokio::test]
async fn another_secret_cannot_sign_with_stored_keys_but_makes_its_own() {
    let db = crate::testing::TestDb::sqlite();
    let one = crate::Engine::open(settings(&db)).await.unwrap();
    let token = mint_org(&one, &of_key()).unwrap();
    one.close().await;
    drop(one);
    let mut other = settings(&db);
    other.secret_key = Some(secrecy::SecretString::from("quite another sealing secret of tests"));
    let two = crate::Engine::open(other).await.unwrap();
    assert!(verify(&two, text(&token)).await.is_ok(), "what was signed before stays valid");
    let fresh = mint_org(&two, &of_key()).unwrap();
    assert_ne!(parts_of(text(&fresh)).0["kid"], parts_of(text(&token)).0["kid"]);
    assert!(verify(&two, text(&fresh)).await.is_ok());
    two.close().await;
}
