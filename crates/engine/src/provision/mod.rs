//! Telling the plan mirror which org is on which plan.
