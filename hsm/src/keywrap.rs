//! AES key wrap (RFC 3394) and its padded form (RFC 5649): a key encrypted with integrity, and no
//! word of what it is for. For parties that have no key blocks; prefer [`crate::keyblock`].

use aes_kw::{KeyInit, KwAes256, KwpAes256};
use hsm_client::{HsmError, Result};
use zeroize::Zeroizing;

use crate::service::Key256;

/// Longest key here.
const KEY_MAX: usize = 64;
/// What wrapping adds: eight bytes, and up to seven of padding.
const OVERHEAD: usize = 15;

/// RFC 3394; the key has a multiple of eight bytes, at least 16.
pub(crate) fn wrap(kek: &Key256, key: &[u8]) -> Result<Vec<u8>> {
    let mut out = [0; KEY_MAX + OVERHEAD];
    let cipher = KwAes256::new((&**kek).into());
    let wrapped = cipher.wrap_key(key, &mut out).map_err(|_| length())?;
    Ok(wrapped.to_vec())
}

/// RFC 3394.
pub(crate) fn unwrap(kek: &Key256, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new([0; KEY_MAX + OVERHEAD]);
    let cipher = KwAes256::new((&**kek).into());
    let key = cipher.unwrap_key(wrapped, out.as_mut());
    key.map(|key| Zeroizing::new(key.to_vec()))
        .map_err(|_| foreign())
}

/// RFC 5649; the key has 1 to 64 bytes.
pub(crate) fn wrap_padded(kek: &Key256, key: &[u8]) -> Result<Vec<u8>> {
    let mut out = [0; KEY_MAX + OVERHEAD];
    let cipher = KwpAes256::new((&**kek).into());
    let wrapped = cipher.wrap_key(key, &mut out).map_err(|_| length())?;
    Ok(wrapped.to_vec())
}

/// RFC 5649.
pub(crate) fn unwrap_padded(kek: &Key256, wrapped: &[u8]) -> Result<Zeroizing<Vec<u8>>> {
    let mut out = Zeroizing::new([0; KEY_MAX + OVERHEAD]);
    let cipher = KwpAes256::new((&**kek).into());
    let key = cipher.unwrap_key(wrapped, out.as_mut());
    key.map(|key| Zeroizing::new(key.to_vec()))
        .map_err(|_| foreign())
}

fn length() -> HsmError {
    HsmError::Malformed {
        why: "a wrapped key has 1 to 64 bytes, and a multiple of eight without padding".to_owned(),
    }
}

fn foreign() -> HsmError {
    HsmError::NotAuthentic {
        what: "the wrapped key (it was changed, or is under another transport key)".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aes_kw::KwpAes192;
    use hex_literal::hex;
    use proptest::prelude::*;

    const KEK: [u8; 32] = hex!("000102030405060708090A0B0C0D0E0F101112131415161718191A1B1C1D1E1F");

    /// RFC 3394, 4.3, 4.5 and 4.6: keys of 128, 192 and 256 bits under a KEK of 256.
    #[test]
    fn vectors_of_rfc_3394() {
        let kek = Key256::new(KEK);
        let data = hex!("00112233445566778899AABBCCDDEEFF000102030405060708090A0B0C0D0E0F");
        for (length, wrapped) in [
            (
                16,
                &hex!("64E8C3F9CE0F5BA263E9777905818A2A93C8191E7D6E8AE7")[..],
            ),
            (
                24,
                &hex!("A8F9BC1612C68B3FF6E6F4FBE30E71E4769C8B80A32CB8958CD5D17D6B254DA1"),
            ),
            (
                32,
                &hex!(
                    "28C9F404C4B810F4CBCCB35CFB87F8263F5786E2D80ED326CBC7F0E71A99F43BFB988B9B7A02DD21"
                ),
            ),
        ] {
            assert_eq!(wrap(&kek, &data[..length]).expect("wraps"), wrapped);
            assert_eq!(
                unwrap(&kek, wrapped).expect("authentic")[..],
                data[..length]
            );
        }
        assert!(wrap(&kek, &data[..15]).is_err());
    }

    /// RFC 5649, 6 has a KEK of 192 bits, which this HSM does not use: the vectors fix the
    /// construction that the library gives to both lengths.
    #[test]
    fn vectors_of_rfc_5649() {
        let kek = hex!("5840df6e29b02af1ab493b705bf16ea1ae8338f4dcc176a8");
        let cipher = KwpAes192::new((&kek).into());
        for (key, wrapped) in [
            (
                &hex!("c37b7e6492584340bed12207808941155068f738")[..],
                &hex!("138bdeaa9b8fa7fc61f97742e72248ee5ae6ae5360d1ae6a5f54f373fa543b6a")[..],
            ),
            (
                &hex!("466f7250617369"),
                &hex!("afbeb0f07dfbf5419200f2ccb50bb24f"),
            ),
        ] {
            let mut out = [0; 64];
            assert_eq!(cipher.wrap_key(key, &mut out).expect("wraps"), wrapped);
        }
    }

    proptest! {
        #[test]
        fn what_is_wrapped_comes_back_and_nothing_else(
            key in proptest::collection::vec(any::<u8>(), 1..=KEY_MAX),
            at: prop::sample::Index, bit in 0u8..8,
            foreign in proptest::collection::vec(any::<u8>(), 0..100),
        ) {
            let kek = Key256::new(KEK);
            let mut wrapped = wrap_padded(&kek, &key).expect("wraps");
            prop_assert_eq!(&*unwrap_padded(&kek, &wrapped).expect("authentic"), &key);
            prop_assert!(unwrap(&kek, &wrapped).is_err());
            let at = at.index(wrapped.len());
            wrapped[at] ^= 1 << bit;
            prop_assert!(unwrap_padded(&kek, &wrapped).is_err());
            prop_assert!(unwrap(&kek, &foreign).is_err());
            prop_assert!(unwrap_padded(&kek, &foreign).is_err());
        }
    }
}
