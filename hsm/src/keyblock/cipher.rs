//! The ciphers of key blocks, and the two keys that a block takes from its protection key.

use aes::{Aes128, Aes192, Aes256};
use cmac::{Cmac, KeyInit, Mac};
use des::{
    TdesEde2, TdesEde3,
    cipher::{Block, BlockCipherDecrypt, BlockCipherEncrypt},
};
use zeroize::Zeroizing;

use super::KeyBlockError;

/// The two keys of one block, from its protection key.
pub(super) struct Protection {
    pub(super) encryption: Cipher,
    pub(super) authentication: Cipher,
}

impl Protection {
    pub(super) fn new(version: u8, protection: &[u8]) -> Result<Self, KeyBlockError> {
        // Algorithm indicators: 0000 and 0001 for two- and three-key 3DES, 0002 to 0004 for AES.
        let (family, algorithm) = match (version, protection.len()) {
            (b'B', 16) => (Family::Tdes, 0),
            (b'B', 24) => (Family::Tdes, 1),
            (b'D', 16) => (Family::Aes, 2),
            (b'D', 24) => (Family::Aes, 3),
            (b'D', 32) => (Family::Aes, 4),
            (b'B', _) => return Err(wanted('B', "16 or 24 bytes (3DES)")),
            _ => return Err(wanted('D', "16, 24 or 32 bytes (AES)")),
        };
        let master = Cipher {
            family,
            key: Zeroizing::new(protection.to_vec()),
        };
        let [high, low] = ((protection.len() * 8) as u16).to_be_bytes();
        let derive = |usage| {
            let mut key = Zeroizing::new(Vec::with_capacity(2 * protection.len()));
            for counter in 1..=4 {
                if key.len() < protection.len() {
                    let input = [counter, 0, usage, 0, 0, algorithm, high, low];
                    key.extend_from_slice(&Zeroizing::new(master.mac(&[&input])));
                }
            }
            key.truncate(protection.len());
            Cipher { family, key }
        };
        Ok(Self {
            encryption: derive(0),
            authentication: derive(1),
        })
    }
}

const fn wanted(version: char, wanted: &'static str) -> KeyBlockError {
    KeyBlockError::ProtectionKey { version, wanted }
}

#[derive(Clone, Copy)]
enum Family {
    Aes,
    Tdes,
}

/// A block cipher whose key has one of the five lengths.
pub(super) struct Cipher {
    family: Family,
    key: Zeroizing<Vec<u8>>,
}

/// Evaluates an expression with `$C` naming the cipher's type.
macro_rules! with_cipher {
    ($cipher:expr, $C:ident => $body:expr) => {
        match ($cipher.family, $cipher.key.len()) {
            (Family::Aes, 16) => {
                type $C = Aes128;
                $body
            }
            (Family::Aes, 24) => {
                type $C = Aes192;
                $body
            }
            (Family::Aes, _) => {
                type $C = Aes256;
                $body
            }
            (Family::Tdes, 16) => {
                type $C = TdesEde2;
                $body
            }
            (Family::Tdes, _) => {
                type $C = TdesEde3;
                $body
            }
        }
    };
}

impl Cipher {
    /// The cipher of a header's algorithm (`A`, `T`); `None` for a length that it has not.
    pub(super) fn of(algorithm: u8, key: &[u8]) -> Option<Self> {
        let family = match (algorithm, key.len()) {
            (b'A', 16 | 24 | 32) => Family::Aes,
            (b'T', 16 | 24) => Family::Tdes,
            _ => return None,
        };
        Some(Self {
            family,
            key: Zeroizing::new(key.to_vec()),
        })
    }

    /// The same cipher with another key of the same length.
    pub(super) fn with_key(&self, key: &[u8]) -> Option<Self> {
        (key.len() == self.key.len()).then(|| Self {
            family: self.family,
            key: Zeroizing::new(key.to_vec()),
        })
    }

    pub(super) const fn block(&self) -> usize {
        match self.family {
            Family::Aes => 16,
            Family::Tdes => 8,
        }
    }

    /// E(00 x block).
    pub(super) fn encrypted_zeros(&self) -> Vec<u8> {
        let mut block = vec![0; self.block()];
        let iv = block.clone();
        self.cbc_encrypt(&iv, &mut block);
        block
    }

    /// CMAC (SP 800-38B), a block long.
    pub(super) fn mac(&self, parts: &[&[u8]]) -> Vec<u8> {
        with_cipher!(self, C => {
            let Ok(mut mac) = <Cmac<C> as KeyInit>::new_from_slice(&self.key) else {
                return Vec::new();
            };
            for part in parts {
                mac.update(part);
            }
            mac.finalize().into_bytes().to_vec()
        })
    }

    pub(super) fn cbc_encrypt(&self, iv: &[u8], data: &mut [u8]) {
        with_cipher!(self, C => {
            let Ok(cipher) = C::new_from_slice(&self.key) else { return };
            let mut previous = iv.to_vec();
            for block in data.chunks_exact_mut(iv.len()) {
                xor(block, &previous);
                if let Ok(block) = <&mut Block<C>>::try_from(&mut *block) {
                    cipher.encrypt_block(block);
                }
                previous.copy_from_slice(block);
            }
        });
    }

    pub(super) fn cbc_decrypt(&self, iv: &[u8], data: &mut [u8]) {
        with_cipher!(self, C => {
            let Ok(cipher) = C::new_from_slice(&self.key) else { return };
            let mut previous = iv.to_vec();
            for block in data.chunks_exact_mut(iv.len()) {
                let current = block.to_vec();
                if let Ok(block) = <&mut Block<C>>::try_from(&mut *block) {
                    cipher.decrypt_block(block);
                }
                xor(block, &previous);
                previous = current;
            }
        });
    }
}

fn xor(block: &mut [u8], with: &[u8]) {
    for (byte, w) in block.iter_mut().zip(with) {
        *byte ^= w;
    }
}
