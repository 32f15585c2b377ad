//! Secure messaging of the PBOC commands (CLA 04 / 84): a four-byte MAC behind the data.
//!
//! On files the form is the file's ("line protection" 线路保护), as field COSes do it: contents in
//! clear with a MAC, or enciphered with a MAC over the ciphertext. A read is a command with nothing
//! but its MAC (`04 B0 P1 P2 04 MAC`); its answer carries contents and a MAC over
//! `CLA INS P1 P2 length | contents`, length counting the MAC. One challenge serves one command and
//! its answer. Le does not cut the contents: a read answers as much as fits, 252 bytes in clear or
//! 238 enciphered.

use crate::{
    SuiteId,
    suite::{Key, MacKey},
};

/// The challenge as MAC initial value: eight bytes, or four random bytes and zeros.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Challenge8(pub [u8; 8]);

impl Challenge8 {
    /// From GET CHALLENGE's four or eight bytes.
    pub fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let mut out = [0; 8];
        match bytes.len() {
            4 | 8 => out[..bytes.len()].copy_from_slice(bytes),
            _ => return None,
        }
        Some(Self(out))
    }
}

/// MAC over `CLA INS P1 P2 Lc | data`, where Lc already counts the MAC's four bytes.
///
/// 3DES: retail MAC with the challenge as IV. SM4: CBC-MAC with the challenge (and zeros) as IV.
/// AES: `CMAC(challenge | header | data)`.
pub fn mac(
    suite: SuiteId,
    key: &Key,
    challenge: Challenge8,
    header: [u8; 5],
    data: &[u8],
) -> [u8; 4] {
    MacKey::from_key(suite, key).mac4_iv(&challenge.0, &[&header, data])
}

/// Encrypts a secure-messaging plaintext in place; the caller has padded it to whole blocks.
///
/// AES: CBC with IV = E(K, challenge | 00 x 8). SM4 and 3DES: ECB, as PBOC does.
pub fn encrypt(suite: SuiteId, key: &Key, challenge: Challenge8, data: &mut [u8]) {
    match suite {
        SuiteId::Aes => key.encrypt_cbc(suite, &iv(key, challenge), data),
        SuiteId::Sm4 | SuiteId::Tdes => key.encrypt_ecb(suite, data),
    }
}

/// Undoes [`encrypt`].
pub fn decrypt(suite: SuiteId, key: &Key, challenge: Challenge8, data: &mut [u8]) {
    match suite {
        SuiteId::Aes => key.decrypt_cbc(suite, &iv(key, challenge), data),
        SuiteId::Sm4 | SuiteId::Tdes => key.decrypt_ecb(suite, data),
    }
}

fn iv(key: &Key, challenge: Challenge8) -> [u8; 16] {
    let mut iv = [0u8; 16];
    iv[..8].copy_from_slice(&challenge.0);
    key.encrypt_ecb(SuiteId::Aes, &mut iv);
    iv
}

/// Plaintext of a PIN reload or unblock: `length | PIN bytes | 80 00..`, padded to the suite's
/// block (`03 PPPPPP 80000000` for three PIN bytes and 3DES). Returns the padded length.
pub fn pin_plaintext(suite: SuiteId, pin: &[u8], out: &mut [u8; 16]) -> Option<usize> {
    if pin.is_empty() || pin.len() > 6 {
        return None;
    }
    *out = [0; 16];
    out[0] = pin.len() as u8;
    out[1..=pin.len()].copy_from_slice(pin);
    out[1 + pin.len()] = 0x80;
    Some(suite.block())
}

/// Plaintext of enciphered file contents: `length | data | 80 00..`, padded to whole blocks of the
/// suite. `None` when it does not fit.
pub fn plaintext<const N: usize>(suite: SuiteId, data: &[u8]) -> Option<heapless::Vec<u8, N>> {
    let mut out = heapless::Vec::new();
    out.push(u8::try_from(data.len()).ok()?).ok()?;
    out.extend_from_slice(data).ok()?;
    out.push(0x80).ok()?;
    let whole = out.len().next_multiple_of(suite.block());
    out.resize(whole, 0).ok()?;
    Some(out)
}

/// The data inside a decrypted plaintext; `None` if length or padding are wrong.
pub fn from_plaintext(plain: &[u8]) -> Option<&[u8]> {
    let (&length, rest) = plain.split_first()?;
    let (data, padding) = rest.split_at_checked(usize::from(length))?;
    let (&first, zeros) = padding.split_first()?;
    (length > 0 && first == 0x80 && zeros.iter().all(|b| *b == 0)).then_some(data)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aes_mac_covers_the_challenge_even_when_it_is_zero() {
        let key = Key::new([1; 16]);
        let at = |c| {
            mac(
                SuiteId::Aes,
                &key,
                Challenge8(c),
                [0x84, 0x1E, 0, 0, 4],
                &[],
            )
        };
        assert_ne!(at([0; 8]), at([1; 8]));
        let bare = MacKey::from_key(SuiteId::Aes, &key).mac4(&[&[0x84, 0x1E, 0, 0, 4]]);
        assert_ne!(at([0; 8]), bare);
    }

    #[test]
    fn pin_plaintext_round_trips() {
        let mut out = [0; 16];
        let n = pin_plaintext(SuiteId::Tdes, &[0x12, 0x34, 0x56], &mut out);
        assert_eq!(n, Some(8));
        assert_eq!(out[..8], [3, 0x12, 0x34, 0x56, 0x80, 0, 0, 0]);
        assert_eq!(from_plaintext(&out[..8]), Some(&[0x12, 0x34, 0x56][..]));
        assert_eq!(from_plaintext(&[7, 1, 2]), None);
        let long = plaintext::<64>(SuiteId::Aes, &[5; 31]).expect("fits");
        assert_eq!(
            (long.len(), from_plaintext(&long)),
            (48, Some(&[5; 31][..]))
        );
        assert_eq!(from_plaintext(&[3, 1, 2, 3, 0x81]), None);
    }
}
