//! A key store of an earlier day, put in the place of today's: alone, or with its log.

use super::*;

/// A key store of before a change that was in force, put back alone: the log tells, and a key that is
/// compromised does not serve again.
#[test]
fn an_old_store_beside_its_log_is_refused() {
    let machine = Machine::new();
    drop(machine.create().expect("made"));
    let path = machine.place.path().join(StoreFile::NAME);
    let old = fs::read(&path).expect("a store");
    let hsm = machine.open();
    let id = KeyId::Master(dtk(1));
    hsm.set_key_state(id, KeyState::Compromised).expect("legal");
    drop(hsm);
    let new = fs::read(&path).expect("a store");
    fs::write(&path, old).expect("put back");
    let refused = machine.open().sound().map(|_| ()).expect_err("tampered");
    assert!(refused.to_string().contains("before change 1"), "{refused}");
    fs::write(&path, new).expect("put back");
    at_rest(&machine);
}

/// The same when power was cut and nothing was closed.
#[test]
fn an_old_store_beside_the_log_of_a_cut_is_refused() {
    let machine = Machine::new();
    drop(machine.create().expect("made"));
    let hsm = machine.open();
    let path = machine.place.path().join(StoreFile::NAME);
    let old = fs::read(&path).expect("a store");
    let id = KeyId::Master(dtk(1));
    hsm.set_key_state(id, KeyState::Compromised).expect("legal");
    let cut = machine.copy();
    drop(hsm);
    machine.put_back(&cut);
    fs::write(&path, old).expect("put back");
    let refused = machine.open().sound().map(|_| ()).expect_err("tampered");
    assert!(refused.to_string().contains("before change 1"), "{refused}");
}

/// The directory of before a rotation, put back: the newer keys stay, and are in nobody's way unseen.
#[test]
fn keys_that_an_old_store_does_not_know_are_left_alone() {
    let machine = Machine::new();
    drop(machine.create().expect("made"));
    let old = machine.copy();
    let hsm = machine.open();
    rotate(&hsm).expect("rotated");
    drop(hsm);
    let held = machine.held();
    machine.put_back(&old);
    let hsm = machine.open();
    let refused = rotate(&hsm).expect_err("the name is taken");
    assert!(refused.to_string().contains("a newer store"), "{refused}");
    assert_eq!(machine.held(), held);
    drop(hsm);
    assert!(machine.acts().contains(&"token-keys-unknown".to_owned()));
}

/// The directory of before a destruction, put back: refused, and it says what to do; after a restore
/// the key is destroyed there too.
#[test]
fn a_key_destroyed_since_stays_destroyed() {
    let machine = Machine::new();
    let hsm = machine.create().expect("made");
    rotate(&hsm).expect("rotated");
    drop(hsm);
    let old = machine.copy();
    let hsm = machine.open();
    destroy(&hsm).expect("destroyed");
    drop(hsm);
    machine.put_back(&old);
    let store = || fs::read(machine.place.path().join(StoreFile::NAME)).expect("a store");
    let before = store();
    let refused = machine.open_by(PASSPHRASES[0]).map(|_| ());
    let refused = refused.expect_err("a key is missing");
    assert_eq!(refused.code(), 30);
    let text = refused.to_string();
    assert!(text.contains("DTK") && text.contains("restore"), "{text}");
    assert!(store() == before);
    let mut lines = machine.lines().into_iter();
    assert!(lines.any(|line| line.act == "open" && line.outcome == 30));

    let hsm = machine.unreconciled(PASSPHRASES[0]).expect("opens");
    let gone = hsm.reconcile_restored(&hsm.authorised().expect("approved"));
    assert_eq!(gone.expect("put right"), [dtk(2)]);
    in_line(&machine, &hsm);
    drop(hsm);
    let found = at_rest(&machine);
    assert_eq!(found.masters[&dtk(2)].life.state(), KeyState::Destroyed);
    let acts = machine.acts();
    assert!(acts.contains(&"keys-gone-since-backup".to_owned()));
}
