//! Keys that no card holds, and what the personal-data key does.

use std::collections::BTreeMap;

use aes_gcm::{
    Aes256Gcm, KeyInit,
    aead::{Aead, Payload},
    aes::{Aes256, cipher::BlockCipherEncrypt},
};
use card_spec::{
    keys::KcvKind,
    suite::{Key, cmac},
};
use hmac::{Hmac, Mac};
use hsm_client::{
    CONTEXT_MAX, DATA_MAX, DataItem, HsmError, KeyState, Result, ServiceKey, ServiceKeyInfo,
};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{Entropy, hierarchy::FIRST_VERSION, lifecycle::Held, sessions::malformed};

/// An AES-256 key; wiped on drop.
pub(crate) type Key256 = Zeroizing<[u8; 32]>;

/// Labels of the derivations below; their ends are marked so that nothing can continue them.
const LABEL: &[u8] = b"onecard/service-key/v1\0";
const WRAP: &[u8] = b"onecard/personal-data/wrap/v1\0";
const INDEX: &[u8] = b"onecard/personal-data/index/v1\0";

/// First byte of a blob.
const BLOB_VERSION: u8 = 1;
/// `version 1 | key version 1 | nonce 12`, before the ciphertext and its 16-byte tag.
const BLOB_HEAD: usize = 14;
const TAG: usize = 16;

/// The stored byte of a service key.
pub(crate) const fn key_byte(key: ServiceKey) -> u8 {
    match key {
        ServiceKey::Storage => 1,
        ServiceKey::Transport => 2,
        ServiceKey::Pin => 3,
        ServiceKey::PersonalData => 4,
    }
}

/// A service key under the AES root.
///
/// SP 800-108 in counter mode with AES-CMAC, two blocks:
/// `CMAC(root, i | label | key 1 | version 1 | 0100)`. Its strength is that of the 16-byte root.
pub(crate) fn derived(root: &Key, key: ServiceKey, version: u8) -> Key256 {
    let mut out = Key256::default();
    for (i, half) in (1u8..).zip(out.chunks_exact_mut(16)) {
        let name = [key_byte(key), version];
        let parts: [&[u8]; 4] = [&[i], LABEL, &name, &[0x01, 0x00]];
        let block = Zeroizing::new(cmac(root.expose(), &parts));
        half.copy_from_slice(block.as_ref());
    }
    out
}

/// The storage key is drawn, not derived: who holds the components cannot open the store.
pub(crate) fn drawn(entropy: &Entropy, version: u8) -> Result<Key256> {
    let identity = [key_byte(ServiceKey::Storage)];
    // The first version has the counter of before there were versions.
    let counter = u64::from(version.saturating_sub(FIRST_VERSION));
    let mut out = Key256::default();
    entropy
        .stream("service-key", &identity, counter)
        .fill(out.as_mut())?;
    Ok(out)
}

/// The check value of an AES-256 key: the left of E(01 x 16), as for AES keys of GlobalPlatform.
pub(crate) fn check_value(value: &Key256) -> [u8; 3] {
    let mut block = [0x01; 16].into();
    Aes256::new((&**value).into()).encrypt_block(&mut block);
    let [a, b, c, ..] = <[u8; 16]>::from(block);
    [a, b, c]
}

/// As people may see it. A destroyed key has no check value.
pub(crate) fn info(key: ServiceKey, version: u8, held: &Held<Key256>) -> ServiceKeyInfo {
    let check = held.value.as_deref().map(check_value);
    ServiceKeyInfo {
        key,
        version,
        kcv: check.map(hex::encode_upper).unwrap_or_default(),
        kcv_kind: KcvKind::GlobalPlatform,
        state: held.life.state(),
        history: held.life.events(),
    }
}

/// HMAC-SHA-256 over parts that their label or a length keeps apart.
pub(crate) fn prf(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
    // HMAC itself fills a short key with zeros to its block of 64 bytes; done here, no length can
    // be refused.
    let mut block = Zeroizing::new([0; 64]);
    for (byte, k) in block.iter_mut().zip(key) {
        *byte = *k;
    }
    let mut mac = Hmac::<Sha256>::new((&*block).into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// What the PDK does: one subkey encrypts, another finds equal values.
///
/// Data is wrapped under the newest active version and opened with the one it names. The index is
/// that of the oldest version still in use: a new one would find nothing until every value of the
/// column is hashed again, so it changes only when that version is retired.
pub(crate) struct PersonalData {
    wrap: BTreeMap<u8, Key256>,
    newest: Option<u8>,
    index: Option<Key256>,
}

impl PersonalData {
    /// From the versions of the PDK, in any order.
    pub(crate) fn new<'k>(versions: impl IntoIterator<Item = (u8, KeyState, &'k Key256)>) -> Self {
        let mut usable: Vec<_> = versions
            .into_iter()
            .filter(|(_, state, _)| matches!(state, KeyState::Active | KeyState::VerifyOnly))
            .collect();
        usable.sort_unstable_by_key(|(version, ..)| *version);
        Self {
            newest: usable
                .iter()
                .rev()
                .find(|(_, state, _)| *state == KeyState::Active)
                .map(|(version, ..)| *version),
            index: usable
                .first()
                .map(|(_, _, pdk)| Zeroizing::new(prf(pdk, &[INDEX]))),
            wrap: usable
                .iter()
                .map(|(version, _, pdk)| (*version, Zeroizing::new(prf(pdk, &[WRAP]))))
                .collect(),
        }
    }

    fn key(&self, version: u8) -> Result<&Key256> {
        self.wrap.get(&version).ok_or_else(|| HsmError::UnknownKey {
            key: format!("PDK version {version} in use"),
        })
    }

    /// `01 | key version | nonce 12 | AES-256-GCM(data)`; AAD: label, the two bytes, context.
    pub(crate) fn wrap(&self, entropy: &Entropy, item: &DataItem) -> Result<Vec<u8>> {
        check_context(&item.context)?;
        if item.data.len() > DATA_MAX {
            return Err(malformed("an item of personal data has at most 8192 bytes"));
        }
        // A seeded nonce follows from context and data: another text never meets the same one.
        let mut identity = Sha256::new();
        identity.update([item.context.len() as u8]);
        identity.update(&item.context);
        identity.update(&item.data);
        let nonce: [u8; 12] = entropy
            .stream("wrap-data", &identity.finalize(), 0)
            .array()?;
        let newest = self.newest.ok_or_else(no_active_pdk)?;
        let head = [BLOB_VERSION, newest];
        let sealed = Aes256Gcm::new((&**self.key(newest)?).into())
            .encrypt(
                (&nonce).into(),
                Payload {
                    msg: &item.data,
                    aad: &aad(head, &item.context),
                },
            )
            .map_err(|_| malformed("the item cannot be encrypted"))?;
        let mut blob = Vec::with_capacity(BLOB_HEAD + sealed.len());
        blob.extend_from_slice(&head);
        blob.extend_from_slice(&nonce);
        blob.extend_from_slice(&sealed);
        Ok(blob)
    }

    pub(crate) fn unwrap(&self, item: &DataItem) -> Result<Vec<u8>> {
        check_context(&item.context)?;
        if item.data.len() > BLOB_HEAD + DATA_MAX + TAG {
            return Err(malformed(
                "this is no wrapped personal data: it is too long",
            ));
        }
        let foreign = || HsmError::NotAuthentic {
            what: format!("wrapped personal data of {}", item.context),
        };
        let ([version, key, nonce @ ..], sealed) = item
            .data
            .split_first_chunk::<BLOB_HEAD>()
            .ok_or_else(foreign)?;
        if *version != BLOB_VERSION {
            return Err(malformed("the blob is of another release"));
        }
        Aes256Gcm::new((&**self.key(*key)?).into())
            .decrypt(
                nonce.into(),
                Payload {
                    msg: sealed,
                    aad: &aad([*version, *key], &item.context),
                },
            )
            .map_err(|_| foreign())
    }

    /// `HMAC-SHA-256(index key, length 1 | field | value)`.
    pub(crate) fn index(&self, field: &str, value: &str) -> Result<[u8; 32]> {
        check_context(field)?;
        if value.len() > DATA_MAX {
            return Err(malformed("an item of personal data has at most 8192 bytes"));
        }
        let length = [field.len() as u8];
        Ok(prf(
            self.index.as_ref().ok_or_else(no_active_pdk)?,
            &[&length, field.as_bytes(), value.as_bytes()],
        ))
    }
}

fn no_active_pdk() -> HsmError {
    HsmError::UnknownKey {
        key: "PDK in use".to_owned(),
    }
}

/// At most 64 bytes, so that its length is one byte.
pub(crate) fn check_context(context: &str) -> Result<()> {
    if context.is_empty() || context.len() > CONTEXT_MAX {
        return Err(malformed("a context or field has 1 to 64 bytes"));
    }
    Ok(())
}

fn aad(head: [u8; 2], context: &str) -> Vec<u8> {
    [WRAP, &head, context.as_bytes()].concat()
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    fn pdk() -> PersonalData {
        let root = Key::new(hex!("2b7e151628aed2a6abf7158809cf4f3c"));
        let key = derived(&root, ServiceKey::PersonalData, 1);
        PersonalData::new([(1, KeyState::Active, &key)])
    }

    fn item(context: &str, data: &[u8]) -> DataItem {
        DataItem {
            context: context.to_owned(),
            data: data.to_vec(),
        }
    }

    #[test]
    fn derived_keys_differ_in_both_halves() {
        let root = Key::new([0x5A; 16]);
        let mut halves = std::collections::BTreeSet::new();
        for key in ServiceKey::ALL {
            for half in derived(&root, key, 1).chunks(16) {
                halves.insert(half.to_vec());
            }
        }
        assert_eq!(halves.len(), 8);
        let message = hex!("02 6f6e65636172642f736572766963652d6b65792f7631 00 0401 0100");
        assert_eq!(
            derived(&root, ServiceKey::PersonalData, 1)[16..],
            cmac(root.expose(), &[&message])
        );
    }

    /// FIPS 197, C.3, checks the cipher; a KCV is the first bytes of E(01 x 16). With the all-zero
    /// key the value is that of `openssl enc -aes-256-ecb`.
    #[test]
    fn check_value_of_an_aes_256_key() {
        let at = "2026-11-23T08:00:00".parse().expect("time");
        let held = Held::active(Key256::default(), at);
        let info = info(ServiceKey::Transport, 1, &held);
        assert_eq!(info.kcv, "7BC302");
    }

    #[test]
    fn the_same_value_of_two_fields_or_keys_has_two_hashes() {
        let one = pdk();
        let of = |field, value| one.index(field, value).expect("bounded");
        assert_eq!(of("certno", "1"), of("certno", "1"));
        assert_ne!(of("certno", "1"), of("certno", "2"));
        assert_ne!(of("certno", "1"), of("certno1", ""));
        let other = PersonalData::new([(1, KeyState::Active, &Key256::default())]);
        assert_ne!(
            of("certno", "1"),
            other.index("certno", "1").expect("bounded")
        );
    }

    #[test]
    fn a_blob_opens_in_its_own_context_and_whole_only() {
        let (keys, entropy) = (pdk(), Entropy::os());
        let blob = keys.wrap(&entropy, &item("P1", b"text")).expect("wraps");
        assert_eq!(blob.len(), BLOB_HEAD + 4 + TAG);
        assert_eq!(keys.unwrap(&item("P1", &blob)), Ok(b"text".to_vec()));
        assert!(keys.unwrap(&item("P2", &blob)).is_err());
        for at in 0..blob.len() {
            let mut flipped = blob.clone();
            flipped[at] ^= 1;
            assert!(keys.unwrap(&item("P1", &flipped)).is_err(), "{at}");
            assert!(keys.unwrap(&item("P1", &blob[..at])).is_err(), "{at}");
        }
        let again = keys.wrap(&entropy, &item("P1", b"text")).expect("wraps");
        assert_ne!(blob, again, "the nonce is drawn");
    }

    #[test]
    fn seeded_nonces_repeat_for_the_same_text_only() {
        let (keys, entropy) = (pdk(), Entropy::seeded([3; 32]));
        let nonce = |context, data| {
            let blob = keys.wrap(&entropy, &item(context, data)).expect("wraps");
            blob[2..BLOB_HEAD].to_vec()
        };
        assert_eq!(nonce("P1", b"a"), nonce("P1", b"a"));
        assert_ne!(nonce("P1", b"a"), nonce("P1", b"b"));
        assert_ne!(nonce("P1", b"a"), nonce("P2", b"a"));
    }

    #[test]
    fn bounds() {
        let (keys, entropy) = (pdk(), Entropy::os());
        let most = keys
            .wrap(&entropy, &item("P1", &[0; DATA_MAX]))
            .expect("fits");
        assert!(keys.unwrap(&item("P1", &most)).is_ok());
        assert!(
            keys.wrap(&entropy, &item("P1", &[0; DATA_MAX + 1]))
                .is_err()
        );
        assert!(keys.wrap(&entropy, &item("", b"x")).is_err());
        assert!(keys.wrap(&entropy, &item(&"P".repeat(65), b"x")).is_err());
    }

    /// A blob opens with the version it names as long as that one is in use; the index stays that of
    /// the oldest version until it is retired.
    #[test]
    fn old_blobs_open_after_a_rotation() {
        use KeyState::{Active, Retired, VerifyOnly};
        let keys: [Key256; 2] = [Zeroizing::new([1; 32]), Zeroizing::new([2; 32])];
        let versions =
            |first, second| PersonalData::new([(1, first, &keys[0]), (2, second, &keys[1])]);
        let entropy = Entropy::seeded([3; 32]);
        let item = DataItem {
            context: "P1".to_owned(),
            data: b"a person".to_vec(),
        };
        let blob = |data: &PersonalData| DataItem {
            data: data.wrap(&entropy, &item).expect("wrapped"),
            ..item.clone()
        };
        let before = versions(Active, KeyState::PreActive);
        let old = blob(&before);
        let overlap = versions(VerifyOnly, Active);
        let new = blob(&overlap);
        assert_eq!((old.data[1], new.data[1]), (1, 2));
        for data in [&old, &new] {
            assert_eq!(overlap.unwrap(data), Ok(item.data.clone()));
        }
        assert_eq!(before.index("name", "Wu"), overlap.index("name", "Wu"));
        let after = versions(Retired, Active);
        assert_eq!(after.unwrap(&new), Ok(item.data.clone()));
        assert_eq!(after.unwrap(&old).expect_err("retired").code(), 1);
        assert_ne!(before.index("name", "Wu"), after.index("name", "Wu"));
        assert!(versions(Retired, VerifyOnly).wrap(&entropy, &item).is_err());
    }

    proptest! {
        #[test]
        fn foreign_blobs_never_panic_or_open(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(pdk().unwrap(&item("P1", &bytes)).is_err());
        }
    }
}
