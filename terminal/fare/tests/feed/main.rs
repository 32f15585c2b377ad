//! GTFS feeds: read, checked, priced.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, missing_docs)]

mod build;
mod check;
mod city;
mod fixtures;
mod properties;
mod v1;
mod v2;
