//! The store file: opening, damage, upgrade, and power cut at every step of a write.

use super::*;
use crate::{Officers, Rotation, backend::Soft, ceremony, ceremony::Roots, draft::Draft};
use card_spec::keys::{KeyHeader, KeyType};
use hsm_client::{KeyId, KeyState, SignPurpose};
use proptest::prelude::*;
use std::{io, path::Path, sync::Arc};

const NOW: &str = "2026-11-23T08:00:00";

fn made() -> (Vault, Roots, Entropy) {
    let entropy = Entropy::seeded([1; 32]);
    let officers = Officers::new("Lin", "Chen").expect("two");
    let at = NOW.parse().expect("time");
    let (roots, _) =
        ceremony::run(&entropy, &officers, &["Wu", "Zheng", "Huang"], at).expect("ceremony");
    let vault = Vault::form(&roots, &entropy, at, Arc::new(Soft::default())).expect("masters");
    (vault, roots, entropy)
}

fn enveloped() -> (Vault, Roots, Entropy, Envelope) {
    let (vault, roots, entropy) = made();
    let envelope =
        Envelope::new(&vault, "open sesame", KdfCost::LIGHT, &entropy).expect("passphrase");
    (vault, roots, entropy, envelope)
}

fn sealed() -> Vec<u8> {
    let (vault, _, entropy, envelope) = enveloped();
    envelope.seal(&vault, &entropy).expect("sealed")
}

fn opened(file: &[u8], passphrase: &str) -> Result<(Vault, Envelope)> {
    unseal(file, passphrase, |place| backend(place, None))
}

fn why<T>(result: Result<T>) -> String {
    match result {
        Err(HsmError::Store { why }) => why,
        Err(other) => panic!("not a store error: {other}"),
        Ok(_) => panic!("opened"),
    }
}

#[test]
fn opens_with_the_passphrase_only() {
    let file = sealed();
    let (vault, _) = opened(&file, "open sesame").expect("opens");
    assert_eq!(vault.masters.len(), crate::catalog().len());
    assert_eq!(vault.signing.len(), SignPurpose::ALL.len());
    assert_eq!(vault.service.len(), ServiceKey::ALL.len());
    assert!(vault.demo);
    assert!(why(opened(&file, "open sesamE")).contains("wrong passphrase"));
    // No master lies in the file in clear.
    for header in vault.masters.keys() {
        let key = vault.backend.export(*header).expect("held");
        assert!(!file.windows(16).any(|w| w == key.expose()));
    }
    for key in vault.service.values().filter_map(|k| k.value.as_ref()) {
        assert!(!file.windows(32).any(|w| w == key.as_slice()));
    }
}

#[test]
fn every_truncation_is_a_clear_error() {
    let file = sealed();
    for length in 0..file.len() {
        let why = why(opened(&file[..length], "open sesame"));
        assert!(
            why.contains("restore") || why.contains("not a key store"),
            "{length}: {why}"
        );
    }
}

#[test]
fn every_flipped_bit_is_a_clear_error() {
    let file = sealed();
    for at in 0..file.len() {
        let mut flipped = file.clone();
        flipped[at] ^= 1 << (at % 8);
        let why = why(opened(&flipped, "open sesame"));
        assert!(
            why.contains("restore") || why.contains("not a key store"),
            "{at}: {why}"
        );
    }
}

/// An attacker who also repairs the digest meets the tags or the bounds.
#[test]
fn a_repaired_digest_does_not_help() {
    let file = sealed();
    let body = file.len() - 32;
    for at in (20..body).step_by(3) {
        let mut forged = file[..body].to_vec();
        forged[at] ^= 0x01;
        let digest = Sha256::digest(&forged);
        forged.extend_from_slice(&digest);
        assert!(opened(&forged, "open sesame").is_err(), "{at}");
    }
    for at in 8..20 {
        let mut forged = file[..body].to_vec();
        forged[at] ^= 0x80;
        let digest = Sha256::digest(&forged);
        forged.extend_from_slice(&digest);
        assert!(opened(&forged, "open sesame").is_err(), "{at}");
    }
}

proptest! {
    #[test]
    fn foreign_files_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(opened(&bytes, "x").is_err());
        let mut framed = MAGIC.to_vec();
        framed.extend_from_slice(&bytes);
        let digest = Sha256::digest(&framed);
        framed.extend_from_slice(&digest);
        prop_assert!(opened(&framed, "x").is_err());
        let _ = decode(&bytes, Box::new(Soft::default()));
    }
}

/// A changed store opens with the same passphrase, every state and date kept.
#[test]
fn lives_and_versions_are_kept() {
    let (mut vault, roots, entropy, envelope) = enveloped();
    let at = |day: u8| {
        format!("2027-01-{day:02}T09:00:00")
            .parse()
            .expect("a time")
    };
    let dtk = |version| KeyHeader {
        key_type: KeyType::Dtk,
        index: 1,
        version,
        suite: card_spec::SuiteId::Aes,
    };
    let rotation = Rotation::Masters {
        key_type: KeyType::Dtk,
        index: None,
        suite: Some(card_spec::SuiteId::Aes),
    };
    let mut draft = Draft::of(&vault).expect("changes");
    let made = draft
        .rotate(&roots, &entropy, rotation, at(1))
        .expect("rotated");
    assert_eq!(made, [KeyId::Master(dtk(2))]);
    for key in [ServiceKey::PersonalData, ServiceKey::Pin] {
        draft
            .rotate(&roots, &entropy, Rotation::Service(key), at(1))
            .expect("rotated");
    }
    let hotlist = Rotation::Signing(SignPurpose::Hotlist);
    draft
        .rotate(&roots, &entropy, hotlist, at(1))
        .expect("rotated");
    let pin = KeyId::Service {
        key: ServiceKey::Pin,
        version: 2,
    };
    for (key, to, day) in [
        (KeyId::Master(dtk(2)), KeyState::Active, 2),
        (KeyId::Master(dtk(1)), KeyState::VerifyOnly, 3),
        (KeyId::Master(dtk(1)), KeyState::Retired, 4),
        (KeyId::Master(dtk(1)), KeyState::Destroyed, 5),
        (pin, KeyState::Destroyed, 5),
    ] {
        draft.set_state(key, to, at(day)).expect("legal");
    }
    draft.take_in().expect("taken in");
    vault = draft.vault;
    let file = envelope.seal(&vault, &entropy).expect("sealed");
    let (again, _) = opened(&file, "open sesame").expect("opens");
    assert_eq!(again.masters, vault.masters);
    assert!(again.backend.export(dtk(1)).is_err(), "destroyed");
    assert!(again.backend.export(dtk(2)).is_ok());
    let lives = |vault: &Vault| -> Vec<_> {
        let service = vault.service.iter();
        service
            .map(|(key, held)| (*key, held.life.events(), held.value.is_some()))
            .collect()
    };
    assert_eq!(lives(&again), lives(&vault));
    assert_eq!(again.signing.len(), SignPurpose::ALL.len() + 1);
}

/// A store of before keys had states: content 02, written here byte by byte.
#[test]
fn a_store_without_states_opens_with_every_key_active() {
    let (vault, ..) = made();
    let mut old = vec![2, 1];
    old.extend_from_slice(&vault.created.to_bytes());
    old.extend_from_slice(&(vault.masters.len() as u16).to_be_bytes());
    for header in vault.masters.keys() {
        old.extend_from_slice(&header.to_bytes());
        old.extend_from_slice(vault.backend.export(*header).expect("held").expose());
    }
    old.push(vault.signing.len() as u8);
    for (place, held) in vault.signing.values().enumerate() {
        old.push(place as u8 + 1);
        old.extend_from_slice(held.value.as_ref().expect("held").secret());
    }
    old.push(3);
    for (byte, key) in [
        (2, ServiceKey::Transport),
        (3, ServiceKey::Pin),
        (4, ServiceKey::PersonalData),
    ] {
        old.push(byte);
        old.extend_from_slice(vault.service_key(key).expect("held").as_slice());
    }
    let opened = decode(&old, Box::new(Soft::default())).expect("opens");
    assert_eq!(opened.masters, vault.masters);
    // The first change writes it in the present form, and that opens as well.
    let written = content::encode(&Vault {
        service: vault.service.clone(),
        ..opened
    });
    let again = decode(&written.expect("encoded"), Box::new(Soft::default())).expect("opens");
    assert_eq!(again.masters, vault.masters);
    assert!(decode(&old[..old.len() - 1], Box::new(Soft::default())).is_none());
}

/// Power fails at one step, in the middle of a write: nothing after it happens.
struct Torn {
    steps: usize,
    /// Bytes of a torn write that reach the disk.
    written: usize,
}

impl Torn {
    fn step(&mut self) -> io::Result<()> {
        self.steps = self
            .steps
            .checked_sub(1)
            .ok_or_else(|| io::Error::other("power cut"))?;
        Ok(())
    }
}

impl Disk for Torn {
    fn write(&mut self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        if let Err(cut) = self.step() {
            Real.write(path, bytes.get(..self.written).unwrap_or(bytes))?;
            return Err(cut);
        }
        Real.write(path, bytes)
    }
    fn sync(&mut self, path: &Path) -> io::Result<()> {
        self.step()?;
        Real.sync(path)
    }
    fn rename(&mut self, from: &Path, to: &Path) -> io::Result<()> {
        self.step()?;
        Real.rename(from, to)
    }
    fn sync_directory(&mut self, directory: &Path) -> io::Result<()> {
        self.step()?;
        Real.sync_directory(directory)
    }
}

/// Old or new, never neither: the name always holds a whole store, and what a cut left behind does
/// not hinder the next write.
#[test]
fn a_write_cut_anywhere_leaves_the_old_store_or_the_new() {
    let directory = tempfile::tempdir().expect("directory");
    let (mut vault, roots, entropy, envelope) = enveloped();
    let old = envelope.seal(&vault, &entropy).expect("sealed");
    let rotation = Rotation::Service(ServiceKey::Transport);
    let mut draft = Draft::of(&vault).expect("changes");
    draft
        .rotate(&roots, &entropy, rotation, NOW.parse().expect("time"))
        .expect("rotated");
    vault = draft.vault;
    let new = envelope.seal(&vault, &entropy).expect("sealed");
    let path = directory.path().join("keystore.bin");
    let mut cuts: Vec<Torn> = (0..=new.len())
        .step_by(61)
        .map(|written| Torn { steps: 0, written })
        .collect();
    cuts.extend((1..=4).map(|steps| Torn { steps, written: 0 }));
    for mut torn in cuts {
        Real.write(&path, &old).expect("written");
        let (steps, written) = (torn.steps, torn.written);
        let result = replace(&mut torn, directory.path(), "keystore.bin", &new);
        let found = read(&path).expect("there is a store");
        // From the rename on it is the new one.
        let expected = if steps > 2 { &new } else { &old };
        assert!(
            found == *expected,
            "cut after {steps} steps, {written} bytes"
        );
        assert_eq!(result.is_ok(), steps == 4);
        // As after a real cut, when nobody cleaned up.
        let _ = Real.write(&directory.path().join("keystore.bin.new"), &new[..written]);
        replace(&mut Real, directory.path(), "keystore.bin", &new).expect("written");
        assert!(read(&path).expect("there is a store") == new);
    }
    assert!(opened(&old, "open sesame").is_ok() && opened(&new, "open sesame").is_ok());
}
