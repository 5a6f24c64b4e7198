//! The bytes of history: log entries, codec, recorder, replayer.
