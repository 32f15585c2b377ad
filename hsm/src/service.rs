//! Keys that no card holds, and what the personal-data key does.

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
use hsm_client::{CONTEXT_MAX, DATA_MAX, DataItem, HsmError, Result, ServiceKey, ServiceKeyInfo};
use sha2::{Digest, Sha256};
use zeroize::Zeroizing;

use crate::{Entropy, hierarchy::FIRST_VERSION, sessions::malformed};

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
pub(crate) fn derived(root: &Key, key: ServiceKey) -> Key256 {
    let mut out = Key256::default();
    for (i, half) in (1u8..).zip(out.chunks_exact_mut(16)) {
        let name = [key_byte(key), FIRST_VERSION];
        let parts: [&[u8]; 4] = [&[i], LABEL, &name, &[0x01, 0x00]];
        let block = Zeroizing::new(cmac(root.expose(), &parts));
        half.copy_from_slice(block.as_ref());
    }
    out
}

/// The storage key is drawn, not derived: who holds the components cannot open the store.
pub(crate) fn drawn(entropy: &Entropy) -> Result<Key256> {
    let identity = [key_byte(ServiceKey::Storage)];
    let mut out = Key256::default();
    entropy
        .stream("service-key", &identity, 0)
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

/// As people may see it.
pub(crate) fn info(key: ServiceKey, value: &Key256) -> ServiceKeyInfo {
    ServiceKeyInfo {
        key,
        version: FIRST_VERSION,
        kcv: hex::encode_upper(check_value(value)),
        kcv_kind: KcvKind::GlobalPlatform,
    }
}

/// HMAC-SHA-256 over parts that their label or a length keeps apart.
fn prf(key: &[u8; 32], parts: &[&[u8]]) -> [u8; 32] {
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
pub(crate) struct PersonalData {
    wrap: Key256,
    index: Key256,
}

impl PersonalData {
    pub(crate) fn new(pdk: &Key256) -> Self {
        Self {
            wrap: Zeroizing::new(prf(pdk, &[WRAP])),
            index: Zeroizing::new(prf(pdk, &[INDEX])),
        }
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
        let head = [BLOB_VERSION, FIRST_VERSION];
        let sealed = Aes256Gcm::new((&*self.wrap).into())
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
        if *key != FIRST_VERSION {
            return Err(HsmError::UnknownKey {
                key: format!("PDK version {key}"),
            });
        }
        Aes256Gcm::new((&*self.wrap).into())
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
            &self.index,
            &[&length, field.as_bytes(), value.as_bytes()],
        ))
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
        PersonalData::new(&derived(&root, ServiceKey::PersonalData))
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
            for half in derived(&root, key).chunks(16) {
                halves.insert(half.to_vec());
            }
        }
        assert_eq!(halves.len(), 8);
        let message = hex!("02 6f6e65636172642f736572766963652d6b65792f7631 00 0401 0100");
        assert_eq!(
            derived(&root, ServiceKey::PersonalData)[16..],
            cmac(root.expose(), &[&message])
        );
    }

    /// FIPS 197, C.3, checks the cipher; a KCV is the first bytes of E(01 x 16). With the all-zero
    /// key the value is that of `openssl enc -aes-256-ecb`.
    #[test]
    fn check_value_of_an_aes_256_key() {
        let info = info(ServiceKey::Transport, &Key256::default());
        assert_eq!(info.kcv, "7BC302");
    }

    #[test]
    fn the_same_value_of_two_fields_or_keys_has_two_hashes() {
        let one = pdk();
        let of = |field, value| one.index(field, value).expect("bounded");
        assert_eq!(of("certno", "1"), of("certno", "1"));
        assert_ne!(of("certno", "1"), of("certno", "2"));
        assert_ne!(of("certno", "1"), of("certno1", ""));
        let other = PersonalData::new(&Key256::default());
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

    proptest! {
        #[test]
        fn foreign_blobs_never_panic_or_open(bytes in proptest::collection::vec(any::<u8>(), 0..80)) {
            prop_assert!(pdk().unwrap(&item("P1", &bytes)).is_err());
        }
    }
}
