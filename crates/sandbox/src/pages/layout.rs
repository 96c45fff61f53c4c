//! What all pages share: the frame, what is safe to print, the choice of a card.

use serde_json::Value;

use crate::desk::{int, text};
use crate::stripe;
use crate::stripe::payment_methods::OFFERED;

const STYLE: &str = ":root{color-scheme:light dark;--ink:#1a1f36;--quiet:#697386;--paper:#fff;--line:#e3e8ee;--edge:#c1c9d2;--act:#5851ea;\
    --warn:#b3093c;--alarm:#fde9ee}\
    @media(prefers-color-scheme:dark){:root{--ink:#e6e9f0;--quiet:#9aa5b8;--paper:#14171f;--line:#2b3140;--edge:#495266;--act:#7a73ff;\
    --warn:#ff7b9c;--alarm:#3a1620}}\
    body{font:16px/1.5 system-ui,sans-serif;margin:2rem auto;max-width:40rem;padding:0 1rem;color:var(--ink);background:var(--paper)}\
    a{color:var(--act)}h1{font-size:1.5rem}h2{font-size:1.1rem;margin-top:2rem}table{width:100%;border-collapse:collapse}\
    td,th{text-align:left;padding:.35rem 0;border-bottom:1px solid var(--line)}td:last-child,th:last-child{text-align:right}\
    label{display:block;margin:.3rem 0}input[type=text],input[type=email]{width:100%;padding:.4rem;box-sizing:border-box}\
    button{font:inherit;padding:.45rem .9rem;border:1px solid #5851ea;border-radius:6px;background:#5851ea;color:#fff}\
    button.plain{background:var(--paper);color:var(--ink);border-color:var(--edge)}form.inline{display:inline}\
    fieldset{border:1px solid var(--line);border-radius:6px;margin:1rem 0}\
    .notice{border-left:4px solid var(--warn);padding:.4rem .8rem;background:var(--alarm)}.quiet{color:var(--quiet);font-size:.9rem}";

/// A whole page; the title is printed as it stands, the content is HTML.
pub(super) fn document(title: &str, content: &str) -> String {
    format!(
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width\">\
         <title>{title}</title><style>{STYLE}</style><body><h1>{title}</h1>{content}<p class=quiet>Stripe sandbox. No money moves here.",
        title = escape(title),
    )
}

/// Text that may stand anywhere on a page, also in a quoted attribute.
pub(super) fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;").replace('\'', "&#39;")
}

/// A sentence that stands out.
pub(super) fn notice(sentence: &str) -> String {
    format!("<p class=notice role=alert>{}</p>", escape(sentence))
}

/// An amount of an object in its currency.
pub(super) fn money(object: &Value, member: &str) -> String {
    escape(&stripe::printed_amount(int(object, member), text(object, "currency")))
}

/// The cards to choose from.
pub(super) fn cards() -> String {
    let mut choice = String::from("<fieldset><legend>Test card</legend>");
    for (index, (name, words)) in OFFERED.iter().enumerate() {
        let checked = if index == 0 { " checked" } else { "" };
        choice.push_str(&format!(
            "<label><input type=radio name=card value=\"{name}\"{checked}> {}</label>",
            escape(words)
        ));
    }
    choice + "</fieldset>"
}

/// A form of one button.
pub(super) fn button(words: &str, action: &str, object: &str) -> String {
    format!(
        "<form class=inline method=post><input type=hidden name=action value=\"{action}\">\
         <input type=hidden name=object value=\"{}\"><button class=plain>{}</button></form>",
        escape(object),
        escape(words),
    )
}

/// A card as people know it: `Visa ···· 4242`.
pub(super) fn card_name(method: &Value) -> String {
    let brand = text(&method["card"], "brand");
    let mut letters = brand.chars();
    let brand: String = letters.next().map(|first| first.to_ascii_uppercase()).into_iter().chain(letters).collect();
    format!("{} ···· {}", escape(&brand), escape(text(&method["card"], "last4")))
}

/// A day, as `2026-02-28`.
pub(super) fn day(seconds: i64) -> String {
    jiff::Timestamp::from_second(seconds).map_or_else(|_| seconds.to_string(), |at| at.strftime("%Y-%m-%d").to_string())
}
