//! Nothing of a key is left in the process's memory when its HSM is gone, nor in its files.
//!
//! The values that must not be found are worked out in another process, so that this one never had
//! them but through the HSM, and are kept inverted.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::{
    fs::{self, File},
    os::unix::fs::FileExt,
    path::Path,
    process::Command,
};

use card_spec::{
    Fen, SuiteId,
    keys::{self, KeyHeader, KeyType, kcv},
    perso::kcv_kind,
    suite::{Key, cmac, sm4_cmac},
};
use common::{NOW, card, config, load, load_request, officers};
use hsm::{
    KdfCost, SoftHsm, Zeroizing,
    ceremony::{Ceremony, Form, Plan},
};
use hsm_client::{Hsm, KeyId, KeyState, ProofCheck, SignPurpose};

/// A name, and a value with every bit turned over.
type Needle = (String, [u8; 16]);

const NEEDLES: &str = "ONECARD_TEST_NEEDLES";

fn component(suite: SuiteId, number: usize) -> [u8; 16] {
    core::array::from_fn(|i| (i * 37 + number * 101 + suite as usize * 59 + 11) as u8)
}

/// Every root, master, a region key and a card key, and the halves of the service keys, by formula.
fn values() -> Vec<(String, [u8; 16])> {
    let mut all = Vec::new();
    for suite in SuiteId::ALL {
        let mut root = [0; 16];
        for number in 1..=3 {
            let part = component(suite, number);
            root.iter_mut().zip(part).for_each(|(r, p)| *r ^= p);
        }
        all.push((format!("root {suite:?}"), root));
        if suite == SuiteId::Aes {
            for (key, half) in [2, 3, 4].into_iter().flat_map(|k| [(k, 1), (k, 2)]) {
                let parts: [&[u8]; 4] = [&[half], b"onecard/service-key/v1\0", &[key, 1], &[1, 0]];
                all.push((
                    format!("service key {key}, half {half}"),
                    cmac(&root, &parts),
                ));
            }
        }
        for header in hsm::catalog().into_iter().filter(|h| h.suite == suite) {
            let parts: [&[u8]; 4] = [
                &[1],
                b"onecard/application-master/v1\0",
                &header.to_bytes(),
                &[0, 0x80],
            ];
            let master = match suite {
                SuiteId::Sm4 => sm4_cmac(&root, &parts),
                _ => cmac(&root, &parts),
            };
            all.push((format!("master {header:?}"), master));
            if header.key_type == KeyType::Dtk {
                let region =
                    keys::region_key(&Key::new(master), suite, card().region, card().pan.iin());
                let card_key = keys::card_key(&region, header, card().pan, card().generation);
                all.push((format!("region key {suite:?}"), *region.expose()));
                all.push((format!("card key {suite:?}"), *card_key.expose()));
            }
        }
    }
    all
}

/// An HSM from the components above.
fn create(directory: &Path) {
    let plan = Plan::roots(Form::Components(3), &["Wu", "Zheng", "Huang"]).unwrap();
    let mut ceremony = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
    for (number, custodian) in (1..).zip(["Wu", "Zheng", "Huang"]) {
        for suite in SuiteId::ALL {
            let value = component(suite, number);
            let check = kcv(&Key::new(value), suite, kcv_kind(suite));
            ceremony
                .enter_component(custodian, Zeroizing::new(value.to_vec()), check)
                .unwrap();
        }
    }
    for officer in officers().names() {
        ceremony.confirm(officer).unwrap();
    }
    let (formed, transcript) = ceremony.finish().unwrap();
    let roots = formed.roots().unwrap();
    drop(SoftHsm::create(config(directory), KdfCost::LIGHT, roots, &transcript).unwrap());
}

/// A TAC is judged under every suite: region keys are derived and kept.
fn judge(hsm: &SoftHsm) {
    let l = load(1, Fen(1000));
    for suite in SuiteId::ALL {
        let check = ProofCheck::Load {
            card: card(),
            suite,
            version: 1,
            amount: l.amount,
            terminal: l.terminal,
            time: NOW.parse().unwrap(),
            seq: 1,
            balance_before: l.balance_before,
            tac: [0; 4],
        };
        let judged = hsm.verify(&[check]).unwrap().remove(0);
        assert!(judged == Ok(false) || judged.is_err_and(|e| e.code() == 4));
    }
}

fn live_and_die(directory: &Path, inverted: &[Needle]) {
    create(directory);
    let hsm = SoftHsm::open(config(directory)).unwrap();
    judge(&hsm);
    // What is looked for can be found, or the test below would say nothing.
    let alive = found_in_memory(inverted);
    for (name, _) in inverted {
        let kept = !(name.starts_with("root") || name.starts_with("card key"));
        assert_eq!(found(&alive, name), kept, "{name}");
    }
    // What people see.
    let l = load(1, Fen(1000));
    let l = load_request(&l, SuiteId::Aes, &Key::new([0; 16]));
    let seen = format!(
        "{:?} {:?} {:?} {:?} {:?} {:?} {:?}",
        hsm.status(),
        hsm.keys(),
        hsm.own_keys(),
        hsm.authorize_load(&l),
        hsm.scp03_open([0; 8], &[0; 32], 0x33).map(|_| ()),
        hsm.scp03_open([0; 8], &[0; 29], 0x33).map(|_| ()),
        hsm.sign(SignPurpose::Audit, b"digest"),
    );
    assert_eq!(found_in(seen.as_bytes(), inverted), [""; 0]);
}

fn found(places: &[String], name: &str) -> bool {
    places
        .iter()
        .any(|place| place.starts_with(&format!("{name}:")))
}

/// Where a value lies in this process's writable memory.
fn found_in_memory(inverted: &[Needle]) -> Vec<String> {
    let maps = fs::read_to_string("/proc/self/maps").unwrap();
    let memory = File::open("/proc/self/mem").unwrap();
    let mut begins = vec![false; 1 << 16];
    for (_, inverted) in inverted {
        begins[usize::from(!inverted[0]) << 8 | usize::from(!inverted[1])] = true;
    }
    let mut found = Vec::new();
    for line in maps
        .lines()
        .filter(|l| l.split(' ').nth(1).is_some_and(|p| p.starts_with("rw")))
    {
        let (from, to) = line.split_once(' ').unwrap().0.split_once('-').unwrap();
        let (from, to) = (
            u64::from_str_radix(from, 16).unwrap(),
            u64::from_str_radix(to, 16).unwrap(),
        );
        let mut page = hsm::Zeroizing::new(vec![0; (to - from) as usize]);
        if memory.read_exact_at(&mut page, from).is_err() {
            continue;
        }
        for at in 0..page.len().saturating_sub(15) {
            if !begins[usize::from(page[at]) << 8 | usize::from(page[at + 1])] {
                continue;
            }
            for (name, inverted) in inverted {
                if page[at..at + 16]
                    .iter()
                    .zip(inverted)
                    .all(|(a, b)| *a == !*b)
                {
                    found.push(format!("{name}: in {line}"));
                }
            }
        }
    }
    found
}

/// Which values a file or text has, as they are or written as hex or as a list of numbers.
fn found_in(bytes: &[u8], inverted: &[Needle]) -> Vec<String> {
    let text = String::from_utf8_lossy(bytes);
    let has = |value: [u8; 16]| {
        let list = format!("{value:?}");
        bytes.windows(16).any(|w| w == value)
            || text.to_lowercase().contains(&hex::encode(value))
            || text.contains(&list)
            || text.contains(&list.replace(' ', ""))
    };
    let found = inverted
        .iter()
        .filter(|(_, inverted)| has(inverted.map(|b| !b)));
    found.map(|(name, _)| name.clone()).collect()
}

/// Runs `body` in a process of its own, which never had the values; `test` is the calling test.
fn apart(test: &str, body: impl FnOnce(&[Needle])) {
    let Ok(needles) = std::env::var(NEEDLES) else {
        let needles: Vec<String> = values()
            .iter()
            .map(|(name, value)| format!("{name}={}", hex::encode(value.map(|b| !b))))
            .collect();
        let output = Command::new(std::env::current_exe().unwrap())
            .args([test, "--exact", "--nocapture"])
            .env(NEEDLES, needles.join(";"))
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned()
            + &String::from_utf8_lossy(&output.stderr);
        assert!(
            output.status.success() && text.contains("1 passed"),
            "{text}"
        );
        return;
    };
    let inverted: Vec<Needle> = needles
        .split(';')
        .map(|n| n.split_once('=').unwrap())
        .map(|(name, value)| {
            (
                name.to_owned(),
                hex::decode(value).unwrap().try_into().unwrap(),
            )
        })
        .collect();
    body(&inverted);
}

#[test]
fn no_key_outlives_its_hsm() {
    apart("no_key_outlives_its_hsm", outlives);
}

fn outlives(inverted: &[Needle]) {
    let directory = tempfile::tempdir().unwrap();
    live_and_die(directory.path(), inverted);
    let found = found_in_memory(inverted);
    assert!(found.is_empty(), "{}", found.join("\n"));
    let files: Vec<_> = fs::read_dir(directory.path())
        .unwrap()
        .map(|f| f.unwrap().path())
        .collect();
    assert!(files.len() >= 4, "{files:?}");
    let (name, value) = &inverted[0];
    let printed = format!("key {:02X?}, {}", value, hex::encode(value.map(|b| !b)));
    assert_eq!(found_in(printed.as_bytes(), inverted), [name.as_str()]);
    for path in files {
        let bytes = fs::read(&path).unwrap();
        assert_eq!(found_in(&bytes, inverted), [""; 0], "{}", path.display());
        assert!(
            !String::from_utf8_lossy(&bytes).contains("open sesame"),
            "{}",
            path.display()
        );
    }
}

/// A key that lost its right takes what was derived from it along, and a destroyed one is gone itself.
#[test]
fn what_was_derived_goes_with_its_key() {
    apart("what_was_derived_goes_with_its_key", |inverted| {
        let directory = tempfile::tempdir().unwrap();
        create(directory.path());
        let hsm = SoftHsm::open(config(directory.path())).unwrap();
        common::forged::authorised(&hsm);
        judge(&hsm);
        let dtk = KeyHeader {
            key_type: KeyType::Dtk,
            index: 1,
            version: 1,
            suite: SuiteId::Aes,
        };
        let master = format!("master {dtk:?}");
        let both = || {
            let alive = found_in_memory(inverted);
            [found(&alive, "region key Aes"), found(&alive, &master)]
        };
        assert_eq!(both(), [true, true]);
        let put = |to| {
            hsm.set_key_state(KeyId::Master(dtk), to).unwrap();
        };
        put(KeyState::Compromised);
        assert_eq!(both(), [false, true]);
        judge(&hsm);
        assert_eq!(both(), [false, true], "nor does it come again");
        let alive = found_in_memory(inverted);
        assert!(found(&alive, "region key Sm4"), "others do");
        put(KeyState::Destroyed);
        assert_eq!(both(), [false, false]);
    });
}
