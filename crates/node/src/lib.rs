//! The outside world of one host: sockets, files, clocks, threads, arbiter stores.
