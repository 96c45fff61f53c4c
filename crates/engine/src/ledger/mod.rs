//! Usage events, counters and holds, written by one group-commit writer.
