//! Joins machine, log and replication protocol, still without I/O.
