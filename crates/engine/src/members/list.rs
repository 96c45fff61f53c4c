//! Lists an org's members.

use tollgate_rules::time::Timestamp;

use super::{Member, sql};
use crate::access::OrgScope;
use crate::engine::Engine;
use crate::paging::{BadCursor, ListError, Page, Paging};

/// One page of members, who joined last first.
///
/// # Errors
/// [`ListError`]: the cursor is none of ours, or the database does not answer.
pub async fn list(engine: &Engine, scope: &OrgScope, paging: &Paging) -> Result<Page<Member>, ListError> {
    let after = paging.after().map(place).transpose()?;
    let mut connection = engine.read_for(scope).await?;
    let members = sql::list(&mut connection, scope, after, paging.fetch()).await?;
    Ok(paging.page(members, |member| format!("{}:{}", member.joined_at.as_micros(), member.user_id)))
}

fn place(cursor: &str) -> Result<(Timestamp, &str), BadCursor> {
    let (micros, user_id) = cursor.split_once(':').ok_or(BadCursor)?;
    Ok((Timestamp::from_micros(micros.parse().map_err(|_| BadCursor)?), user_id))
}
