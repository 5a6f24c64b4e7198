//! A whole cluster from one seed: virtual time, faulty network, arbiter, checkers.
