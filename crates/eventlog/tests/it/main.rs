//! Tests of the log from outside the crate.
#![allow(clippy::unwrap_used)] // also in helpers, which clippy does not take for tests

mod card;
mod codec;
mod digests;
mod guest;
mod live;
mod record;
mod replay;
mod requests;
