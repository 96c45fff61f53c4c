//! Every bound of the engine in one place: queues, batches, retries, pages, waits.

use std::time::Duration;

/// The bounds. [`Limits::default`] is what `tollgate` runs with.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Reading connections to the embedded database.
    pub sqlite_readers: u32,
    /// Connections to PostgreSQL for readers and the control plane; the ledger has two more of its own.
    pub postgres_connections: u32,
    /// How long a caller waits for a connection before it hears 503.
    pub database_wait: Duration,
    /// Control transactions that may wait for their turn; the next hears 503 `overloaded`.
    pub control_waiting_max: usize,
    /// Rows one control transaction may touch.
    pub control_rows_max: i64,
    /// How often the WAL is moved into the data file.
    pub checkpoint_every: Duration,
    /// Size of the WAL beyond which the writer pauses for the rest of a checkpoint.
    pub wal_bytes_max: u64,
    /// Clock difference between nodes that leases tolerate.
    pub clock_skew: Duration,
    /// Rows of one page of a list.
    pub page_rows_max: i64,
    /// API keys kept in memory.
    pub key_cache_entries_max: usize,
    /// After this time a cached key is read again, so that a revocation on another node is heard.
    pub key_cache_ttl: Duration,
    /// Keys of one org that are not revoked.
    pub keys_per_org_max: i64,
    /// Metrics that one key's quota may name.
    pub key_quotas_max: usize,
    /// Lines of keys of one org that have a quota; the ledger reads all of them with every group of the org.
    pub key_lines_with_quota_max: i64,
    /// Jobs that run at once in this process.
    pub jobs_running_max: usize,
    /// Tries of a job before it is a dead letter.
    pub job_attempts_max: i64,
    /// First retry pause of a job; doubles with each try, with full jitter.
    pub job_backoff_first: Duration,
    /// Longest retry pause of a job.
    pub job_backoff_max: Duration,
    /// How long a job may run before another worker may take it.
    pub job_lease: Duration,
    /// How many leases long a job may run before it is cut and tried again.
    pub job_leases_max: u32,
    /// How often idle workers look for due jobs.
    pub job_poll: Duration,
    /// How long a run of an operation may take between two steps before another worker may take it.
    pub operation_lease: Duration,
    /// How long a caller waits for an operation that someone else runs.
    pub operation_join: Duration,
    /// Tries of an operation before a person must look: at the longest pause, more than three days.
    pub operation_attempts_max: i64,
    /// Audit rows sealed in one transaction.
    pub seal_rows_max: i64,
    /// How often the sealer looks for new rows.
    pub seal_every: Duration,
    /// How long an `Idempotency-Key` and its answer are kept.
    pub idempotency_retention: Duration,
    /// How long a run under an `Idempotency-Key` may take before a repeat may run again.
    pub idempotency_lease: Duration,
    /// How long readiness is answered from the last durable write.
    pub ready_cache: Duration,
    /// How often the ledger looks for periods and holds that are due.
    pub sweep_every: Duration,
    /// How often uses of keys are written down.
    pub key_uses_every: Duration,
    /// How often a node looks for plans that another one published.
    pub plans_reload_every: Duration,
    /// Commands that one transaction of the ledger commits, about; also the size of the chunks that batches are cut into.
    pub ledger_group_commands_max: usize,
    /// Requests of one org that may wait for the ledger; the next hears 503 `overloaded`.
    pub ledger_entries_per_org_max: usize,
    /// Commands of all orgs that may wait for the ledger.
    pub ledger_commands_waiting_max: usize,
    /// Orgs whose standing is kept in memory.
    pub ledger_standings_max: usize,
    /// On several nodes: how long a standing is believed. The stated staleness of a check.
    pub ledger_standing_ttl: Duration,
    /// How often periods that nobody asks about are opened and expired holds freed.
    pub ledger_sweep_every: Duration,
    /// Bytes of a flag's value.
    pub flag_bytes_max: usize,
    /// How long one may hold a customer while fetching and writing its objects; longer than one call to billing may take.
    pub customer_lease: Duration,
    /// How long one waits for a customer that somebody else holds.
    pub customer_lease_wait: Duration,
    /// Tries of an inbox event before it is a dead letter.
    pub inbox_attempts_max: i64,
    /// How often idle workers look into the inbox.
    pub inbox_poll: Duration,
    /// Accounts, sessions, members.
    pub people: People,
    /// Tries of a letter before it is a dead letter: at the longest pause, more than half a day.
    pub mail_attempts_max: i64,
    /// How long an activation code is valid.
    pub activation_code_lifetime: Duration,
    /// Plugins that wait for approval.
    pub devices: Devices,
    /// How long a refresh token is valid while nobody uses it.
    pub refresh_token_idle: Duration,
    /// How long a line of refresh tokens is valid at most.
    pub refresh_family_lifetime: Duration,
    /// How long a used refresh token still answers with its successor: a lost answer is the common case.
    pub refresh_grace: Duration,
    /// Unknown codes one address may try in ten minutes.
    pub guesses_per_address_max: u32,
    /// Unknown codes all addresses may try in ten minutes.
    pub guesses_max: u32,
    /// How long an access token of a site or an org is valid.
    pub access_token_lifetime: Duration,
    /// On several nodes: how often a node asks what others revoked.
    pub revocations_heard_every: Duration,
    /// What others may hold up.
    pub outside: Outside,
    /// How often reconciliation looks for what webhooks did not tell (business time).
    pub reconcile_every: Duration,
}

/// The limits of systems beside this one.
#[derive(Debug, Clone)]
pub struct Outside {
    /// Systems of the operator's that are told of what happens.
    pub endpoints_max: i64,
    /// How long a preview waits for what the plan mirror thinks it costs.
    pub mirror_preview_wait: Duration,
}

impl Default for Outside {
    fn default() -> Outside {
        Outside { endpoints_max: 50, mirror_preview_wait: Duration::from_secs(1) }
    }
}

/// The limits of accounts, their sessions and memberships.
#[derive(Debug, Clone)]
pub struct People {
    /// Wall time without a call after which a session is over.
    pub session_idle: Duration,
    /// Wall time after which a session is over whatever is done.
    pub session_life: Duration,
    /// How often calls of sessions are written down.
    pub session_uses_every: Duration,
    /// Sessions of one user that are not over; the oldest ends when one more begins.
    pub sessions_per_user_max: i64,
    /// How fresh the proof of who acts must be for what is dangerous.
    pub step_up_within: Duration,
    /// Members of one org, invitations that wait included.
    pub members_per_org_max: i64,
    /// How long an invitation waits (business time).
    pub invitation_life: Duration,
    /// How long a sign-up's link works (business time).
    pub verify_life: Duration,
    /// How long a password reset's link works (business time).
    pub reset_life: Duration,
    /// Letters about sign-up and reset that one address is sent within `address_letters_within`.
    pub address_letters_max: i64,
    /// The time over which they count.
    pub address_letters_within: Duration,
    /// Password hashes computed at once; each takes 19 MiB.
    pub password_hashes_max: usize,
    /// Callers that may wait for a password hash; the next hears 503 `overloaded`.
    pub password_hashes_waiting_max: usize,
    /// Failed sign-ins to one account before the next must wait.
    pub sign_in_failures_free: i64,
    /// The longest such wait: a stranger slows an account down, but never closes it.
    pub sign_in_wait_max: Duration,
    /// Failures with credentials from one network address within a minute.
    pub address_failures_max: u32,
    /// Failures with credentials from anywhere within a minute.
    pub global_failures_max: u32,
}

/// The limits of plugins that wait for approval.
#[derive(Debug, Clone)]
pub struct Devices {
    /// How long one waits between two questions whether it was approved.
    pub poll_interval: Duration,
    /// By how much that grows each time it asks sooner (RFC 8628, 3.5).
    pub slow_down: Duration,
    /// How many may wait at once.
    pub waiting_max: i64,
    /// How many may wait at once that asked from one address.
    pub per_address_max: i64,
}

impl Default for Devices {
    fn default() -> Devices {
        Devices {
            poll_interval: Duration::from_secs(5),
            slow_down: Duration::from_secs(5),
            waiting_max: 10_000,
            per_address_max: 100,
        }
    }
}

impl Default for Limits {
    fn default() -> Limits {
        Limits {
            sqlite_readers: 4,
            postgres_connections: 16,
            database_wait: Duration::from_secs(5),
            control_waiting_max: 1024,
            control_rows_max: 500,
            checkpoint_every: Duration::from_millis(250),
            wal_bytes_max: 256 * 1024 * 1024,
            clock_skew: Duration::from_secs(5),
            page_rows_max: 200,
            key_cache_entries_max: 100_000,
            key_cache_ttl: Duration::from_secs(4),
            keys_per_org_max: 1_000,
            key_quotas_max: 20,
            key_lines_with_quota_max: 200,
            jobs_running_max: 16,
            job_attempts_max: 12,
            job_backoff_first: Duration::from_millis(250),
            job_backoff_max: Duration::from_secs(300),
            job_lease: Duration::from_secs(60),
            job_leases_max: 10,
            job_poll: Duration::from_millis(200),
            operation_lease: Duration::from_secs(90),
            operation_join: Duration::from_secs(15),
            operation_attempts_max: 2_000,
            seal_rows_max: 500,
            seal_every: Duration::from_millis(500),
            idempotency_retention: Duration::from_secs(48 * 3600),
            idempotency_lease: Duration::from_secs(60),
            ready_cache: Duration::from_secs(1),
            sweep_every: Duration::from_secs(2),
            key_uses_every: Duration::from_secs(60),
            plans_reload_every: Duration::from_secs(5),
            ledger_group_commands_max: 1024,
            ledger_entries_per_org_max: 1024,
            ledger_commands_waiting_max: 1 << 20,
            ledger_standings_max: 100_000,
            ledger_standing_ttl: Duration::from_secs(1),
            ledger_sweep_every: Duration::from_secs(1),
            flag_bytes_max: 4096,
            customer_lease: Duration::from_secs(60),
            customer_lease_wait: Duration::from_secs(15),
            inbox_attempts_max: 12,
            inbox_poll: Duration::from_millis(200),
            people: People::default(),
            mail_attempts_max: 300,
            activation_code_lifetime: Duration::from_secs(600),
            devices: Devices::default(),
            refresh_token_idle: Duration::from_secs(60 * 24 * 3600),
            refresh_family_lifetime: Duration::from_secs(365 * 24 * 3600),
            refresh_grace: Duration::from_secs(60),
            guesses_per_address_max: 5,
            guesses_max: 6_000,
            access_token_lifetime: Duration::from_secs(600),
            revocations_heard_every: Duration::from_secs(2),
            outside: Outside::default(),
            reconcile_every: Duration::from_secs(300),
        }
    }
}

impl Default for People {
    fn default() -> People {
        People {
            session_idle: Duration::from_secs(12 * 3600),
            session_life: Duration::from_secs(14 * 24 * 3600),
            session_uses_every: Duration::from_secs(60),
            sessions_per_user_max: 50,
            step_up_within: Duration::from_secs(10 * 60),
            members_per_org_max: 10_000,
            invitation_life: Duration::from_secs(30 * 24 * 3600),
            verify_life: Duration::from_secs(24 * 3600),
            reset_life: Duration::from_secs(3600),
            address_letters_max: 5,
            address_letters_within: Duration::from_secs(3600),
            password_hashes_max: 4,
            password_hashes_waiting_max: 256,
            sign_in_failures_free: 5,
            sign_in_wait_max: Duration::from_secs(60),
            address_failures_max: 300,
            global_failures_max: 3_000,
        }
    }
}
