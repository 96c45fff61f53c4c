//! Erases personal values from the journal. What was recorded about who, when and which action stays, and so does every digest:
//! the chain verifies as before. With the value its salt goes, so that nobody can guess the value from its digest.

use super::digest::Salts;
use super::sql;
use crate::db::{Error, Tx};

/// Which entries are rid of what was before and after, and of what they were about.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Of<'a> {
    /// All of an org.
    Org(i64),
    /// Those that mention this text, of whatever org.
    Mention(&'a str),
}

/// Erases up to `rows` entries; how many there were. Fewer than asked for means that none is left.
pub(crate) async fn erase(tx: &mut Tx, of: Of<'_>, rows: i64) -> Result<u64, Error> {
    let found = match of {
        Of::Org(org_key) => sql::with_values(tx, org_key, rows).await?,
        Of::Mention(text) => sql::mentioning(tx, text, rows).await?,
    };
    let mut erased = 0;
    for row in &found {
        let salts = Salts::parse(&row.text("salts")?).ok_or_else(|| Error::Bug("unreadable salts".to_owned()))?;
        let mentioned = match of {
            Of::Org(_) => true,
            Of::Mention(text) => row.opt_text("entity")?.is_some_and(|entity| entity.contains(text)),
        };
        let salts = salts.without("before").without("after");
        let salts = if mentioned { salts.without("entity") } else { salts };
        erased += sql::erase(tx, row.i64("seq")?, &salts.to_json(), mentioned).await?;
    }
    Ok(erased)
}
