//! Connections: what one client may hold.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use common::served::Served;
use hsm_client::{Hsm, RemoteHsm, Role};

/// A client that opens as many connections as it can leaves places to the others.
#[test]
fn one_client_does_not_take_every_place() {
    let served = Served::start();
    let auditor = served.credential("auditor", Role::Auditor);
    let clearing = served.credential("clearing", Role::Clearing);
    let at = [served.running.address().to_string()];
    let held: Vec<_> = (0..20)
        .map(|_| RemoteHsm::new(&at, &auditor).unwrap())
        .filter(|client| client.status().is_ok())
        .take(17)
        .collect();
    assert_eq!(held.len(), 16);
    let other = RemoteHsm::new(&at, &clearing).unwrap();
    assert_eq!(other.random(8).unwrap().len(), 8);
}
