//! Preview = charge through HTTP: random changes of plan, interval and seats at random seconds, with and without a coupon.

use reqwest::Method;
use serde_json::{Value, json};

use crate::database::Database;
use crate::server::Server;
use crate::size::size;
use crate::tenant::{Tenant, advance, text};

const PLANS: [&str; 3] = ["starter", "growth", "pro"];
/// Changes of one org before the next one comes.
const CHANGES_PER_ORG: u32 = 5;

/// Deterministic, so that a failure comes again.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }

    fn one_of<'a>(&mut self, words: &[&'a str]) -> &'a str {
        words[usize::try_from(self.roll(u64::try_from(words.len()).unwrap())).unwrap()]
    }
}

/// An org that pays for a plan by card.
async fn paying(server: &Server, dice: &mut Dice) -> Tenant {
    let org = Tenant::sign_up(server, "Acme").await;
    org.add_card("pm_card_visa").await;
    let plan = dice.one_of(&PLANS);
    assert_eq!(org.api.ok("/api/plans/upgrade.now", &json!({"newPlanCode": plan})).await["planCode"], plan);
    org
}

async fn coupon(server: &Server, org: &Tenant, dice: &mut Dice) -> String {
    let percent = dice.roll(90) + 5;
    let wanted =
        json!({"orgId": org.org_id, "percentOff": percent, "duration": "once", "reason": "to see what it costs"});
    text(&server.operator().ok("/api/admin/coupons.create", &wanted).await["couponId"])
}

async fn wish(server: &Server, org: &Tenant, dice: &mut Dice) -> Value {
    let mut wish = json!({"newPlanCode": dice.one_of(&PLANS)});
    if dice.roll(3) > 0 {
        wish["interval"] = json!(dice.one_of(&["month", "year"]));
    }
    if dice.roll(3) > 0 {
        wish["quantity"] = json!(dice.roll(9) + 1);
    }
    if dice.roll(4) == 0 {
        wish["coupon"] = json!(coupon(server, org, dice).await);
    }
    wish
}

fn sum(quote: &Value) -> i64 {
    quote["items"].as_array().unwrap().iter().map(|item| item["amount"].as_i64().unwrap()).sum()
}

/// Confirms a quote, or the newer one that it is answered with where a second made a difference; the one that was charged.
async fn confirm(org: &Tenant, quote: Value) -> Value {
    let answer = org.api.post("/api/plans/upgrade.now", &json!({"quoteId": quote["quoteId"]})).await;
    if answer.status == 200 {
        return quote;
    }
    let newer = answer.refused(409, "quote_stale")["error"]["details"]["quote"].clone();
    org.api.ok("/api/plans/upgrade.now", &json!({"quoteId": newer["quoteId"]})).await;
    newer
}

/// One change, shown and made; whether it was one that is charged now.
async fn change(server: &Server, org: &Tenant, wish: &Value) -> bool {
    let shown = org.api.post("/api/plans/preview", wish).await;
    if shown.status == 409 {
        shown.refused(409, "conflict");
        return false;
    }
    let quote = shown.data();
    if shown.body["meta"]["change"] == "downgrade" || quote["items"] == json!([]) {
        assert_eq!((&quote["amount"], &quote["proration"]), (&json!(0), &json!(0)), "{quote}");
        return false;
    }
    let quote = confirm(org, quote).await;
    let found = server.stripe(Method::GET, &format!("/v1/subscriptions/{}", org.subscription_id), "").await;
    let invoice = server.stripe(Method::GET, &format!("/v1/invoices/{}", text(&found["latest_invoice"])), "").await;
    assert_eq!(invoice["amount_paid"], quote["amount"], "what was shown is what was charged: {wish} {quote} {invoice}");
    assert_eq!(invoice["total"], json!(sum(&quote)), "the lines come to the total: {wish} {quote} {invoice}");
    true
}

#[tokio::test]
async fn what_a_preview_shows_over_http_is_what_is_charged() {
    let wanted = size(8, 300);
    let server = Server::dev_with(&Database::Embedded, &["--clock", "2027-12-30T22:10:07Z"]).await;
    let (mut dice, mut charged, mut wishes, mut org) = (Dice(20_271_230), 0, 0_u32, None::<Tenant>);
    while charged < wanted {
        if wishes.is_multiple_of(CHANGES_PER_ORG) {
            org = None;
        }
        let own = match org.take() {
            Some(own) => own,
            None => paying(&server, &mut dice).await,
        };
        wishes += 1;
        advance(&server, &format!("{}s", dice.roll(6 * 86_400) + 1)).await;
        let wish = wish(&server, &own, &mut dice).await;
        charged += u32::from(change(&server, &own, &wish).await);
        org = Some(own);
    }
    println!(
        "PROOF: preview = charge over HTTP: {charged} random changes ({wishes} wishes), to the cent, their lines come to the total"
    );
}
