//! The kinds of jobs. A new one is added here and in `dispatch.rs`, where the compiler asks for its arm.

use crate::limits::Limits;

/// What a job does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// Resumes an outgoing change; the key is the operation's id.
    Operation,
    /// Deletes what is older than its table's retention. Recurring.
    Retention,
    /// Copies the embedded database into the backup folder and checks the copy. Recurring.
    Backup,
    /// Finds what webhooks did not tell. Recurring.
    Reconcile,
    /// Compares users and memberships with who keeps them. Recurring.
    Identity,
    /// Tends the keys that sign tokens. Recurring.
    SigningKeys,
    /// Resolves every org's rights anew after a global flag changed.
    DecideAnew,
    /// Sends a letter of the outbox; the key is its id.
    Mail,
    /// Tells an org's people about its payments; the key is the occasion.
    BillingNotice,
    /// Tells the plan mirror how a subscription is now; the key is the subscription's id.
    MirrorFollow,
    /// Tells billing about metered usage. Recurring.
    MeterReport,
    /// Tells billing about an org's metered usage when a period ended; the key is the org's.
    MeterFlush,
    /// Raises alerts about usage and sums up days. Recurring.
    UsageAlerts,
    /// Compares events, counters and what billing was told. Recurring.
    UsageReconcile,
    /// Does what a test says.
    #[cfg(test)]
    Probe,
}

impl Kind {
    /// Every kind.
    pub const ALL: &'static [Kind] = &[
        Kind::Operation,
        Kind::Retention,
        Kind::Backup,
        Kind::Reconcile,
        Kind::Identity,
        Kind::SigningKeys,
        Kind::DecideAnew,
        Kind::Mail,
        Kind::BillingNotice,
        Kind::MirrorFollow,
        Kind::MeterReport,
        Kind::MeterFlush,
        Kind::UsageAlerts,
        Kind::UsageReconcile,
        #[cfg(test)]
        Kind::Probe,
    ];

    /// The word in the table and on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Kind::Operation => "operation",
            Kind::Retention => "retention",
            Kind::Backup => "backup",
            Kind::Reconcile => "reconcile",
            Kind::Identity => "identity",
            Kind::SigningKeys => "signing_keys",
            Kind::DecideAnew => "decide_anew",
            Kind::Mail => "mail",
            Kind::BillingNotice => "billing_notice",
            Kind::MirrorFollow => "mirror_follow",
            Kind::MeterReport => "meter_report",
            Kind::MeterFlush => "meter_flush",
            Kind::UsageAlerts => "usage_alerts",
            Kind::UsageReconcile => "usage_reconcile",
            #[cfg(test)]
            Kind::Probe => "probe",
        }
    }

    /// Reads the word; none for a kind of a newer program.
    #[must_use]
    pub fn parse(word: &str) -> Option<Kind> {
        Kind::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }

    /// Housekeeping that runs for ever: never counted as work that is open.
    #[must_use]
    pub const fn is_recurring(self) -> bool {
        match self {
            Kind::Retention
            | Kind::Backup
            | Kind::Reconcile
            | Kind::Identity
            | Kind::SigningKeys
            | Kind::MeterReport
            | Kind::UsageAlerts
            | Kind::UsageReconcile => true,
            Kind::Operation
            | Kind::DecideAnew
            | Kind::Mail
            | Kind::BillingNotice
            | Kind::MirrorFollow
            | Kind::MeterFlush => false,
            #[cfg(test)]
            Kind::Probe => false,
        }
    }

    /// How often a job of this kind is tried. What was begun outside is never given up before
    /// days have passed; housekeeping never is.
    pub(super) fn attempts_max(self, limits: &Limits) -> i64 {
        match self {
            Kind::Operation | Kind::MeterFlush => limits.operation_attempts_max,
            Kind::Retention
            | Kind::Backup
            | Kind::Reconcile
            | Kind::Identity
            | Kind::SigningKeys
            | Kind::MeterReport
            | Kind::UsageAlerts
            | Kind::UsageReconcile => i64::MAX,
            Kind::DecideAnew | Kind::BillingNotice | Kind::MirrorFollow => limits.job_attempts_max,
            Kind::Mail => limits.mail_attempts_max,
            #[cfg(test)]
            Kind::Probe => limits.job_attempts_max,
        }
    }
}
