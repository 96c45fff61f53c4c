//! How orgs are kept apart in the database.

use super::Check;
use crate::db::Fence;
use crate::engine::Engine;

/// Whether what is done for one org runs behind row-level security, and what a person should know about the database user.
pub async fn fence(engine: &Engine) -> Check {
    let (ok, detail) = match engine.db().fence().await {
        Ok(None) => (true, "embedded: every statement names its org".to_owned()),
        Ok(Some(fence)) => told(fence),
        Err(error) => (false, error.to_string()),
    };
    Check { name: "tenancy", ok, ms: 0, detail }
}

fn told(fence: Fence) -> (bool, String) {
    let remark = if fence.superuser {
        "; the database user is a superuser or bypasses row-level security: an ordinary owner of the tables is enough"
    } else {
        ""
    };
    let tables = fence.fenced + fence.open;
    if fence.in_use {
        return (true, format!("row-level security on {tables} tables, used for every org's calls{remark}"));
    }
    let why = if fence.open > 0 {
        format!("{} of {tables} tables have no policy", fence.open)
    } else if fence.without_rights > 0 {
        format!("the role tollgate_request has no rights on {} tables", fence.without_rights)
    } else {
        "the database user may not act as the role tollgate_request".to_owned()
    };
    (false, format!("row-level security is not used: {why}{remark}"))
}

#[cfg(test)]
mod tests {
    use super::{Fence, told};

    #[test]
    fn a_person_is_told_what_is_missing_and_who_is_too_mighty() {
        let whole = Fence { fenced: 30, open: 0, without_rights: 0, in_use: true, superuser: false };
        assert_eq!(told(whole), (true, "row-level security on 30 tables, used for every org's calls".to_owned()));
        assert!(told(Fence { superuser: true, ..whole }).1.contains("superuser"));
        for (broken, word) in [
            (Fence { open: 1, in_use: false, ..whole }, "1 of 31 tables have no policy"),
            (Fence { without_rights: 30, in_use: false, ..whole }, "no rights on 30 tables"),
            (Fence { in_use: false, ..whole }, "may not act"),
        ] {
            let (ok, detail) = told(broken);
            assert!(!ok && detail.contains(word), "{detail}");
        }
    }
}
