//! Doors for `hsm/fuzz`, behind the feature `fuzz`: the key-store loader without a directory.
// A broken oracle ends the fuzzer.
#![allow(clippy::expect_used, missing_docs)]

use std::sync::Arc;

use card_spec::time::CardTime;
use sha2::{Digest, Sha256};

use crate::{
    Entropy, KdfCost, Officers,
    backend::Soft,
    ceremony,
    store::{self, Envelope, decode, encode},
    vault::Vault,
};

const PASSPHRASE: &str = "open sesame";

/// A sealed store.
pub fn store() -> Vec<u8> {
    let entropy = Entropy::seeded([1; 32]);
    let officers = Officers::new("Lin", "Chen").expect("two");
    let at: CardTime = "2026-11-23T08:00:00".parse().expect("a time");
    let (roots, _) =
        ceremony::run(&entropy, &officers, &["Wu", "Zheng", "Huang"], at).expect("roots");
    let vault = Vault::form(&roots, &entropy, at, Arc::new(Soft::default())).expect("masters");
    let envelope = Envelope::new(&vault, PASSPHRASE, KdfCost::LIGHT, &entropy).expect("sealed");
    envelope.seal(&vault, &entropy).expect("sealed")
}

/// Its content, before encryption.
pub fn store_content() -> Vec<u8> {
    let (vault, _) =
        store::unseal(&store(), PASSPHRASE, |place| store::backend(place, None)).expect("opens");
    encode(&vault).expect("fits").to_vec()
}

/// Makes the digest at the end right.
pub fn repair(file: &mut [u8]) {
    if let Some((body, digest)) = file.split_last_chunk_mut::<32>() {
        *digest = Sha256::digest(body).into();
    }
}

/// Whether a guess at the passphrase costs little. The cost stands behind magic and place, or, in
/// stores of before places, behind the magic.
pub fn is_cheap(file: &[u8]) -> bool {
    let number = |at: usize| {
        let bytes = file.get(at..at + 4).and_then(|b| b.try_into().ok());
        bytes.map_or(0, u32::from_be_bytes)
    };
    [17, 8].into_iter().all(|at| {
        let (memory, passes) = (number(at), number(at + 4));
        // Beyond these bounds nothing is computed.
        memory > 1 << 20 || passes > 16 || (memory <= 1024 && passes <= 4)
    })
}

/// Whether a file opens.
pub fn opens(file: &[u8]) -> bool {
    store::unseal(file, PASSPHRASE, |place| store::backend(place, None)).is_ok()
}

/// Reads a content; what is read is written and read again as the same.
pub fn content(bytes: &[u8]) {
    let Some(vault) = decode(bytes, Box::new(Soft::default())) else {
        return;
    };
    let first = encode(&vault).expect("as much as was read");
    let again = decode(&first, Box::new(Soft::default())).expect("our own content");
    assert!(
        first == encode(&again).expect("as much"),
        "another set of keys"
    );
}
