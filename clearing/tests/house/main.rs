//! The clearing house from outside: uploads, top-ups, hospital calls, days, audit.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod audit;
mod day;
mod defects;
mod fake_hsm;
mod http;
mod ingest;
mod medical;
mod order;
mod pension;
mod publish;
mod tls;
mod topup;
mod world;
