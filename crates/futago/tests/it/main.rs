//! Tests of the program `futago` from outside.

mod suite;
