//! Power cut at every write to the key store and at every call to a token, and every such step
//! failing once: afterwards a change is wholly there or not at all, the token holds the keys that
//! the store names and no others, and the audit log says which changes were in force.

mod machine;
mod put_back;

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};

use card_spec::{
    SuiteId,
    keys::{KeyHeader, KeyType},
};
use hsm_client::{KeyId, KeyState, Result, SignPurpose};
use machine::{Cut, ID, Machine, NOW, PASSPHRASES, Power};

use super::*;
use crate::{
    Rotation, audit,
    backend::{
        OnToken,
        tests::{softhsm, token},
    },
    ceremony,
    reconcile::Difference,
    vault::Record,
};

fn ceremony() -> (Roots, Transcript) {
    let custodians = ["Wu", "Zheng", "Huang"];
    let at = NOW.parse().expect("a time");
    ceremony::run(&Entropy::seeded([3; 32]), &officers(), &custodians, at).expect("roots")
}

fn officers() -> Officers {
    Officers::new("Lin Mei", "Chen Guo").expect("two")
}

fn dtk(version: u8) -> KeyHeader {
    KeyHeader {
        version,
        ..crate::vault::only(KeyType::Dtk, SuiteId::Aes, 1)
    }
}

/// A change under test.
type Change = fn(&SoftHsm) -> Result<()>;

/// The next DTK, of one suite or of each.
fn rotate_dtk(hsm: &SoftHsm, suite: Option<SuiteId>) -> Result<usize> {
    let (roots, transcript) = ceremony();
    let rotation = Rotation::Masters {
        key_type: KeyType::Dtk,
        index: None,
        suite,
    };
    let made = hsm.rotate_keys(&roots, &transcript, rotation)?;
    Ok(made.len())
}

fn rotate(hsm: &SoftHsm) -> Result<()> {
    assert_eq!(rotate_dtk(hsm, None)?, 3, "a key of each suite");
    Ok(())
}

fn rotate_a_signing_key(hsm: &SoftHsm) -> Result<()> {
    let (roots, transcript) = ceremony();
    let rotation = Rotation::Signing(SignPurpose::Hotlist);
    hsm.rotate_keys(&roots, &transcript, rotation)?;
    Ok(())
}

fn destroy(hsm: &SoftHsm) -> Result<()> {
    hsm.set_key_state(KeyId::Master(dtk(2)), KeyState::Destroyed)
}

fn rotate_the_storage_key(hsm: &SoftHsm) -> Result<()> {
    let next = Zeroizing::new(PASSPHRASES[1].to_owned());
    hsm.rotate_storage_key(&next, KdfCost::LIGHT)?;
    Ok(())
}

/// What an HSM is, as far as its keys go.
#[derive(PartialEq, Debug)]
struct Keys {
    masters: BTreeMap<KeyHeader, Record>,
    own: hsm_client::OwnKeys,
}

fn keys(hsm: &SoftHsm) -> Keys {
    Keys {
        masters: hsm.vault().masters.clone(),
        own: hsm_client::Hsm::own_keys(hsm).expect("listed"),
    }
}

/// Everything that must be true of an HSM at rest.
fn in_line(machine: &Machine, hsm: &SoftHsm) {
    let vault = hsm.vault();
    assert_eq!(vault.difference(), Ok(Difference::default()));
    assert!(vault.arriving.is_empty());
    let live = vault.masters.iter();
    let live = live.filter(|(_, record)| record.life.state() != KeyState::Destroyed);
    let live: BTreeSet<_> = live.map(|(header, _)| *header).collect();
    assert_eq!(machine.held(), live);
}

/// Opens once more: all is in line, the log is whole and names the change in force, and another
/// start finds nothing to do.
fn at_rest(machine: &Machine) -> Keys {
    let hsm = machine.open();
    in_line(machine, &hsm);
    let (found, change) = (keys(&hsm), hsm.vault().change);
    drop(hsm);
    audit::verify(&machine.place.path().join(AUDIT)).expect("whole");
    let lines = machine.lines();
    let opened = lines.iter().rposition(|line| line.act == "opened");
    let opened = opened.expect("it was");
    assert_eq!(lines[opened].detail["change"], change);
    for undone in lines.iter().filter(|l| l.act == "change-undone") {
        let mut all = lines.iter();
        let begun = all.any(|l| l.act == "key-rotation" && l.keys == undone.keys);
        assert!(begun, "undone, and never begun");
    }
    drop(machine.open());
    let quiet = ["opened", "closed", "checkpoint"];
    let again = &machine.acts()[lines.len()..];
    assert!(again.iter().all(|act| quiet.contains(&&**act)), "{again:?}");
    found
}

/// Cuts a change at every step and in every way.
fn cut_everywhere(base: &Machine, change: Change) {
    let (before, after) = {
        let machine = base.copy();
        let hsm = machine.open();
        let before = keys(&hsm);
        change(&hsm).expect("nothing is in its way");
        in_line(&machine, &hsm);
        (before, keys(&hsm))
    };
    assert_ne!(before, after);
    let mut outcomes = BTreeSet::new();
    for cut in [Cut::Before, Cut::After, Cut::Within] {
        for steps in 1.. {
            // The power goes, and comes back with another start.
            let machine = base.copy();
            let hsm = machine.open();
            machine.token.power.set(steps, cut);
            let done = change(&hsm);
            let cut_short = machine.token.power.went();
            assert_eq!(done.is_ok(), !cut_short, "step {steps}, {cut:?}");
            drop(hsm);
            machine.token.power.restore();
            let found = at_rest(&machine);
            assert!(found == before || found == after, "step {steps}, {cut:?}");
            assert!(cut_short || found == after);
            outcomes.insert((cut_short, found == after));
            if !cut_short {
                break;
            }

            // One step and all after it fail, the HSM goes on, and then they work again.
            let machine = base.copy();
            let hsm = machine.open();
            machine.token.power.set(steps, cut);
            assert!(change(&hsm).is_err());
            machine.token.power.restore();
            let in_force = keys(&hsm);
            assert!(in_force == before || in_force == after);
            // What was announced and is not in force is said to have failed.
            let lines = machine.lines();
            let of_this = lines[base.lines().len()..]
                .iter()
                .filter(|line| line.act != "opened" && line.detail["change"].is_number());
            let (failed, begun): (Vec<_>, Vec<_>) =
                of_this.partition(|line| line.act.ends_with("-failed"));
            assert_eq!(failed.len() < begun.len(), in_force == after);
            // A change that is refused by itself settles what the last one left.
            let unknown = KeyId::Master(dtk(99));
            let refused = hsm.set_key_state(unknown, KeyState::Active);
            assert_eq!(refused.map_err(|e| e.code()), Err(1));
            in_line(&machine, &hsm);
            if in_force == before {
                change(&hsm).expect("again, and nothing is in its way");
                in_line(&machine, &hsm);
            }
            assert_eq!(keys(&hsm), after);
            drop(hsm);
            assert_eq!(at_rest(&machine), after);
        }
    }
    let expected = [(false, true), (true, false), (true, true)];
    assert_eq!(
        outcomes,
        BTreeSet::from(expected),
        "cuts on both sides of the commit"
    );
}

#[test]
fn a_rotation_cut_anywhere_is_whole() {
    let base = Machine::new();
    drop(base.create().expect("made"));
    cut_everywhere(&base, rotate);
    cut_everywhere(&base, rotate_a_signing_key);
}

#[test]
fn a_destruction_cut_anywhere_is_whole() {
    let base = Machine::new();
    let hsm = base.create().expect("made");
    rotate(&hsm).expect("rotated");
    drop(hsm);
    assert!(base.held().contains(&dtk(2)));
    cut_everywhere(&base, destroy);
}

#[test]
fn a_storage_key_rotation_cut_anywhere_is_whole() {
    let base = Machine::new();
    drop(base.create().expect("made"));
    cut_everywhere(&base, rotate_the_storage_key);
    let hsm = base.open();
    rotate_the_storage_key(&hsm).expect("rotated");
    drop(hsm);
    assert!(base.open_by(PASSPHRASES[0]).is_err(), "the old passphrase");
    assert!(base.open_by(PASSPHRASES[1]).is_ok());
}

/// Putting in line is cut as well: a start after a start after a cut.
#[test]
fn a_start_cut_anywhere_is_made_up_for() {
    // At the commit of a rotation; and between commit and wiping of a destruction.
    let rotated = Machine::new();
    drop(rotated.create().expect("made"));
    let destroyed = rotated.copy();
    let hsm = destroyed.open();
    rotate(&hsm).expect("rotated");
    drop(hsm);
    let token = |machine: &Machine| machine.held().len();
    for (base, change, left) in [(rotated, rotate as Change, 3), (destroyed, destroy, 0)] {
        let mut cut_short = None;
        for steps in 1.. {
            let machine = base.copy();
            let hsm = machine.open();
            let held = token(&machine);
            machine.token.power.set(steps, Cut::Before);
            let done = change(&hsm);
            drop(hsm);
            machine.token.power.restore();
            if done.is_ok() {
                break;
            }
            if token(&machine) == held + left {
                cut_short = Some(machine);
            }
        }
        let base = cut_short.expect("a cut that leaves something to do");
        for cut in [Cut::Before, Cut::After, Cut::Within] {
            for steps in 1.. {
                let machine = base.copy();
                machine.token.power.set(steps, cut);
                let opened = machine.open_by(PASSPHRASES[0]).is_ok();
                machine.token.power.restore();
                at_rest(&machine);
                if opened {
                    break;
                }
            }
        }
    }
}

/// A step fails, though it was done, and while the change is undone the power goes.
#[test]
fn an_undoing_cut_anywhere_is_made_up_for() {
    let base = Machine::new();
    drop(base.create().expect("made"));
    let before = at_rest(&base);
    for steps in 1.. {
        let mut fails = true;
        for then in 1.. {
            let machine = base.copy();
            let hsm = machine.open();
            machine.token.power.set_twice(steps, Cut::After, then);
            fails = rotate(&hsm).is_err();
            let again = machine.token.power.went();
            drop(hsm);
            machine.token.power.restore();
            let found = at_rest(&machine);
            assert!(
                !fails || again || found == before,
                "{steps}, {then}: undone"
            );
            if !again {
                break;
            }
        }
        if !fails {
            break;
        }
    }
}

/// While the token is away keys can still be said to be compromised or destroyed; what is left to do
/// on it is done when it is back, by this process or the next.
#[test]
fn a_token_that_is_away_stops_no_officer() {
    let base = Machine::new();
    let hsm = base.create().expect("made");
    rotate(&hsm).expect("rotated");
    drop(hsm);
    let irk = KeyId::Master(crate::vault::only(KeyType::Irk, SuiteId::Aes, 1));
    for restart in [false, true] {
        for steps in 1..=3 {
            let mut machine = base.copy();
            machine.power = Power::on();
            let hsm = machine.open();
            // The token is pulled out while a third version arrives; the disk works.
            machine.token.power.set(1 + steps, Cut::After);
            rotate(&hsm).expect_err("the token is away");
            let held = machine.held();
            let gone = destroy(&hsm).expect_err("not on the token");
            assert_eq!(gone.code(), 30);
            hsm.set_key_state(irk, KeyState::Compromised)
                .expect("at once");
            rotate(&hsm).expect_err("nothing can arrive");
            assert!(held.contains(&dtk(2)) && machine.held() == held);
            machine.token.power.restore();
            if !restart {
                rotate(&hsm).expect("it is back");
                in_line(&machine, &hsm);
                assert!(!machine.held().contains(&dtk(2)) && machine.held().contains(&dtk(3)));
            }
            drop(hsm);
            let found = at_rest(&machine);
            let state = |header| found.masters[&header].life.state();
            let KeyId::Master(irk) = irk else { continue };
            assert_eq!(state(irk), KeyState::Compromised);
            assert_eq!(state(dtk(2)), KeyState::Destroyed);
            assert_eq!(found.masters.contains_key(&dtk(3)), !restart);
        }
    }
}

/// A ceremony that is cut can be held again, in the same directory with the same token.
#[test]
fn a_ceremony_cut_anywhere_can_be_held_again() {
    // Every call for every key would be many: the first ones, some between, and all at the end.
    let whole = {
        let machine = Machine::new();
        machine.token.power.set(1_000_000, Cut::Before);
        drop(machine.create().expect("made"));
        1_000_000 - machine.token.power.left()
    };
    for cut in [Cut::Before, Cut::After, Cut::Within] {
        let steps = (1..=whole).filter(|n| *n < 10 || *n + 10 > whole || n % 37 == 0);
        for steps in steps {
            let machine = Machine::new();
            machine.token.power.set(steps, cut);
            assert!(
                machine.create().is_err(),
                "step {steps} of {whole}, {cut:?}"
            );
            machine.token.power.restore();
            if !machine.place.path().join(StoreFile::NAME).exists() {
                drop(machine.create().expect("again"));
            }
            at_rest(&machine);
        }
    }
}

/// An HSM whose log is broken touches neither store nor token, whatever a cut left there.
#[test]
fn a_tampered_hsm_changes_nothing() {
    let machine = Machine::new();
    let hsm = machine.create().expect("made");
    machine.token.power.set(7, Cut::Before);
    rotate(&hsm).expect_err("cut");
    drop(hsm);
    machine.token.power.restore();
    let path = machine.place.path().join(AUDIT);
    let text = fs::read_to_string(&path).expect("a log");
    fs::write(&path, text.replacen("Lin Mei", "Lin Hei", 1)).expect("written");
    let store = || fs::read(machine.place.path().join(StoreFile::NAME)).expect("a store");
    let (before, held) = (store(), machine.held());
    let hsm = machine.open();
    assert!(hsm.vault().arriving.len() == 3 && hsm.sound().is_err());
    assert_eq!(rotate(&hsm).map_err(|e| e.code()), Err(6));
    drop(hsm);
    assert!(store() == before && machine.held() == held);
}

/// The same on a SoftHSM token, cut after cut on one token: nothing of the one is in the way of the
/// next.
#[test]
fn a_rotation_on_softhsm_cut_anywhere_is_whole() {
    softhsm::with_softhsm(
        "soft::cuts::a_rotation_on_softhsm_cut_anywhere_is_whole",
        |_| {
            let token = OnToken::open(token(), ID).expect("token");
            let machine = Machine::with(Arc::new(token));
            drop(machine.create().expect("made"));
            let mut versions = 1;
            for cut in [Cut::Before, Cut::After] {
                for steps in 1.. {
                    let hsm = machine.open();
                    machine.token.power.set(steps, cut);
                    let done = rotate_dtk(&hsm, Some(SuiteId::Aes));
                    drop(hsm);
                    machine.token.power.restore();
                    let found = at_rest(&machine);
                    let now = found.masters.keys().filter(|h| dtk(h.version) == **h);
                    let now = now.count();
                    assert!(now == versions || now == versions + 1, "{steps}, {cut:?}");
                    versions = now;
                    if done.is_ok() {
                        break;
                    }
                }
            }
            assert!(versions > 3, "cuts on both sides of the commit");
        },
    );
}
