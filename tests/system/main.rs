//! End-to-end tests of the whole system: the executable as a user runs it, on real parts.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod ceremony;
mod commands;
mod day;
mod exchange;
mod hotplug;
mod https;
mod journal;
mod keys;
mod reader;
mod scripts;
mod secrets;
mod taps;
mod window;
