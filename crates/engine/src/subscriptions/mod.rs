//! What billing told us about each org, and the one door (`apply_fact`) through which it enters.
