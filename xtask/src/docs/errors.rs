//! `errors.md`: every error code, from the catalogue that also answers `/docs/errors/<code>`.

use std::fmt::Write;

use tollgate_web::errors::CATALOG;

use super::cell;

pub(super) fn render() -> String {
    let mut text = "# Errors\n\nEvery refusal carries one of these codes in `error.code` and a link to its page, `/docs/errors/<code>`, \
         which a running Tollgate serves itself. Codes are stable; messages are for people and may change.\n\n\
         | code | status | what it means |\n|---|---|---|\n"
        .to_owned();
    for doc in CATALOG {
        writeln!(text, "| [`{0}`](#{0}) | {1} | {2} |", doc.code, doc.status, cell(doc.title))
            .expect("a string takes text");
    }
    for doc in CATALOG {
        write!(
            text,
            "\n## {}\n\n{} {}.\n\n**Why.** {}\n\n**What to do.** {}\n\n```sh\n{}\n```\n",
            doc.code, doc.status, doc.title, doc.cause, doc.fix, doc.example
        )
        .expect("a string takes text");
    }
    text
}
