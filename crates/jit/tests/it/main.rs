//! The translator beside the interpreter.

mod boot;
mod captures;
mod counters;
mod engines;
mod faults;
mod freely;
mod generated;
mod hurt;
mod image;
mod pressure;
mod straddling;
mod swelling;
mod tables;
