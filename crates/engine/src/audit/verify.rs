//! Walks every chain and says what does not fit.

use super::digest::{self, Fields, Link, Salts, chained};
use super::sql;
use crate::access::OperatorScope;
use crate::db::{Error, Row};
use crate::engine::Engine;
use crate::orgs;

/// Entries read at once.
const BATCH: i64 = 500;

/// What a verification found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Chains walked (orgs, and the server's own).
    pub chains: u64,
    /// Entries whose place and content were checked.
    pub entries: u64,
    /// Entries that wait for the sealer; nothing can be said about them yet.
    pub unsealed: i64,
    /// What does not fit; empty when the journal is whole.
    pub findings: Vec<Finding>,
}

/// One place where the journal does not fit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Whose chain: the org's internal key, 0 for the server.
    pub org_key: i64,
    /// The place in the chain.
    pub chain_no: i64,
    /// What is wrong.
    pub problem: Problem,
}

/// What can be wrong with an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// Places are missing before this one.
    #[error("entries before this one were deleted")]
    Gap,
    /// The hash before is not the one this entry was chained to.
    #[error("the entry before was changed or swapped")]
    Unlinked,
    /// The entry's own hash does not fit its content.
    #[error("the entry was changed")]
    Changed,
    /// A field is not what its digest says.
    #[error("a field was changed")]
    FieldChanged,
    /// The chain ends before its head.
    #[error("the newest entries were deleted")]
    Cut,
}

/// Checks all chains, or one org's.
///
/// # Errors
/// The database's; a broken journal is a result, not an error.
pub async fn verify(
    engine: &Engine,
    _scope: &OperatorScope,
    only: Option<&tollgate_rules::ids::OrgId>,
) -> Result<Verified, Error> {
    let only = match only {
        None => None,
        // An org that is not there has no chain: an impossible key gives an empty, whole journal.
        Some(org_id) => Some(orgs::find(engine, org_id).await?.map_or(-2, |org| org.key.0)),
    };
    let mut connection = engine.db().read().await?;
    let mut verified = Verified { unsealed: sql::unsealed_count(&mut connection, only).await?, ..Verified::default() };
    let mut after = -1;
    loop {
        let heads = sql::heads(&mut connection, after, only).await?;
        let Some(last) = heads.last() else { return Ok(verified) };
        after = last.i64("org_key")?;
        for head in &heads {
            let mut walk = Walk::new(head.i64("org_key")?);
            loop {
                let rows = sql::chain(&mut connection, walk.org_key, walk.chain_no, BATCH).await?;
                if rows.is_empty() {
                    break;
                }
                for row in &rows {
                    walk.step(row, &mut verified)?;
                }
            }
            walk.end(head, &mut verified)?;
        }
    }
}

struct Walk {
    org_key: i64,
    chain_no: i64,
    hash: String,
}

impl Walk {
    fn new(org_key: i64) -> Walk {
        Walk { org_key, chain_no: 0, hash: String::new() }
    }

    fn step(&mut self, row: &Row, verified: &mut Verified) -> Result<(), Error> {
        let chain_no = row.i64("chain_no")?;
        let (stored, prev) = (row.text("hash")?, row.text("prev_hash")?);
        let digests = row.text("digests")?;
        let link = Link {
            org_key: self.org_key,
            chain_no,
            entry_id: &row.text("entry_id")?,
            occurred_at: row.i64("occurred_at")?,
            action: &row.text("action")?,
            corr_id: &row.text("corr_id")?,
            digests: &digests,
        };
        let mut problems = Vec::new();
        if chain_no != self.chain_no + 1 {
            problems.push(Problem::Gap);
        } else if prev != self.hash {
            problems.push(Problem::Unlinked);
        }
        if chained(&prev, &link) != stored {
            problems.push(Problem::Changed);
        }
        if !fields_fit(row, &digests)? {
            problems.push(Problem::FieldChanged);
        }
        verified.findings.extend(problems.into_iter().map(|problem| Finding {
            org_key: self.org_key,
            chain_no,
            problem,
        }));
        verified.entries += 1;
        self.chain_no = chain_no;
        self.hash = stored;
        Ok(())
    }

    /// The head says where the chain ends: an entry deleted at its end is missed there.
    fn end(self, head: &Row, verified: &mut Verified) -> Result<(), Error> {
        verified.chains += 1;
        if head.i64("chain_no")? != self.chain_no || head.text("hash")? != self.hash {
            let finding = Finding { org_key: self.org_key, chain_no: self.chain_no, problem: Problem::Cut };
            verified.findings.push(finding);
        }
        Ok(())
    }
}

/// Each field is what its digest says, or was erased together with its salt.
fn fields_fit(row: &Row, digests: &str) -> Result<bool, Error> {
    let fields = Fields {
        actor: row.opt_text("actor")?,
        entity: row.opt_text("entity")?,
        before: row.opt_text("before_json")?,
        after: row.opt_text("after_json")?,
    };
    let salts = Salts::parse(&row.text("salts")?);
    let digests: Option<serde_json::Value> = serde_json::from_str(digests).ok();
    let (Some(salts), Some(digests)) = (salts, digests) else { return Ok(false) };
    Ok(fields.named().into_iter().all(|(name, value)| match salts.of(name) {
        Some(salt) => digests.get(name).and_then(serde_json::Value::as_str) == Some(&digest::field(salt, name, value)),
        None => value.is_none(),
    }))
}
