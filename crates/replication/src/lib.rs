//! Primary/backup replication as a state machine without I/O, over opaque bytes.
