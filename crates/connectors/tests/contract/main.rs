//! The client against the contracts of the services it speaks to.
