//! What holds for orgs.
