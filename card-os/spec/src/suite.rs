//! Crypto suites: one algorithm byte chooses diversification, session keys, MACs and encryption.
//!
//! | | diversify | session key | MAC / TAC |
//! |---|---|---|---|
//! | [`SuiteId::Aes`] | AN10922 AES-128 | CMAC | CMAC, left 4 |
//! | [`SuiteId::Sm4`] | SM4(K, F \| ~F) | SM4(K, input \| 80 00..) | CBC-MAC, left 4 |
//! | [`SuiteId::Tdes`] | PBOC 3DES(K, F) \| 3DES(K, ~F) | 3DES(K, input), single length | DES-CBC MAC, left 4 |
//!
//! SM4 formulas of JT/T 978-SM4 were not found in public: they are this project's assumption and
//! live only here.
//!
//! Every application key may be of any suite: purse, social security, health, medical purse, PKI
//! certificate update, the SAM's keys and its ceiling, and secure messaging with each of them. Two
//! things are AES whatever the suite: SCP03 and what travels under its DEK (GlobalPlatform
//! Amendment D knows no SM4), and the journey context of the purse's MACs, which the other two
//! leave out to stay compatible with PBOC.
//!
//! # What time and memory tell
//!
//! | code | secret-dependent | why |
//! |---|---|---|
//! | `aes` 0.9, in software | nothing | bit-sliced; processor instructions where there are any |
//! | `sm4` 0.6 | addresses | one 256-byte S-box, four look-ups a round, also for the round keys |
//! | `des` 0.9 | addresses | eight 64-byte S-boxes, eight look-ups a round; the key schedule has none |
//! | `sha2`, `sm3` | nothing | additions and rotations |
//! | `sm2` 0.14, arithmetic | nothing | every entry of its table is read at every look-up |
//!
//! A look-up takes the same time everywhere in memory without wait states. Behind a cache (a server,
//! a controller that caches its flash) SM4 and 3DES keys leak to whoever measures time there. A chip
//! with SM4 hardware should use it. Nothing here is masked against measurement of its current.
//!
//! Our own code compares secrets with `subtle`, doubles for CMAC with a mask, and branches on
//! decrypted bytes (padding, lengths) only after their MAC was found right.

use aes::Aes128;
use cmac::{
    Cmac, Mac,
    block_api::CmacCore,
    digest::{
        block_api::{Buffer, FixedOutputCore, UpdateCore},
        common::InnerInit,
    },
};
use des::{
    Des, TdesEde2,
    cipher::{Array, BlockCipherDecrypt, BlockCipherEncrypt, KeyInit, typenum::Unsigned},
};
use sm4::Sm4;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// The algorithm byte of a key header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
#[repr(u8)]
pub enum SuiteId {
    /// Two-key triple DES, as deployed cards and readers use it.
    Tdes = 0x00,
    /// SM4, the national algorithm.
    Sm4 = 0x04,
    /// AES-128, this project's default for new cards.
    Aes = 0x09,
}

impl SuiteId {
    /// Every suite.
    pub const ALL: [Self; 3] = [Self::Aes, Self::Sm4, Self::Tdes];

    /// From the algorithm byte. Some field systems write 3DES as 01 in the INIT response.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x00 | 0x01 => Some(Self::Tdes),
            0x04 => Some(Self::Sm4),
            0x09 => Some(Self::Aes),
            _ => None,
        }
    }

    /// The lower-case name used on command lines and in configuration.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tdes => "tdes",
            Self::Sm4 => "sm4",
            Self::Aes => "aes",
        }
    }

    /// Block size in bytes, which is also the padding unit.
    pub const fn block(self) -> usize {
        match self {
            Self::Tdes => 8,
            Self::Sm4 | Self::Aes => 16,
        }
    }
}

impl core::str::FromStr for SuiteId {
    type Err = crate::FormatError;
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        Self::ALL
            .into_iter()
            .find(|s| s.name() == text)
            .ok_or(crate::FormatError::Range)
    }
}

/// A 16-byte secret: master, region or card key. No `Debug`, no serialisation, wiped on drop.
#[derive(Clone)]
pub struct Key([u8; 16]);

impl ZeroizeOnDrop for Key {}

impl Drop for Key {
    // Keys are dropped in a hundred places: one copy of this is enough for a small chip.
    #[inline(never)]
    fn drop(&mut self) {
        self.0.zeroize();
    }
}

impl Key {
    /// Takes the value.
    pub const fn new(value: [u8; 16]) -> Self {
        Self(value)
    }

    /// The value, for the backend and the card's key store only.
    pub const fn expose(&self) -> &[u8; 16] {
        &self.0
    }

    /// XOR of the two halves: PBOC's TAC key of the 3DES suite.
    fn halves_xored(&self) -> [u8; 8] {
        let mut out = [0; 8];
        for (i, byte) in out.iter_mut().enumerate() {
            *byte = self.0[i] ^ self.0[i + 8];
        }
        out
    }

    /// One diversification level of the PBOC suites, factor of eight bytes.
    pub fn diversify_pboc(&self, suite: SuiteId, factor: &[u8; 8]) -> Self {
        let mut block = pboc_block(factor);
        self.encrypt_ecb(suite, &mut block);
        Self(block)
    }

    /// AN10922 AES-128 diversification. `input` is M, at most 31 bytes.
    pub fn diversify_an10922(&self, input: &[u8]) -> Self {
        let cipher = Cipher::new(SuiteId::Aes, &self.0);
        let Ok(key) = an10922(input, |blocks| {
            cipher.encrypt(blocks);
            Ok::<(), core::convert::Infallible>(())
        });
        key
    }

    /// The session key for a MAC over the given input (see [`crate::purse::mac`] for the inputs).
    pub fn session(&self, suite: SuiteId, input: &[u8]) -> MacKey {
        match suite {
            SuiteId::Aes => MacKey::from_key(suite, &Self(cmac(&self.0, &[input]))),
            SuiteId::Sm4 => {
                let mut block = [0u8; 16];
                let n = input.len().min(15);
                block[..n].copy_from_slice(&input[..n]);
                block[n] = 0x80;
                self.encrypt_ecb(suite, &mut block);
                let key = MacKey::from_key(suite, &Self(block));
                block.zeroize();
                key
            }
            SuiteId::Tdes => {
                let mut block = [0u8; 8];
                let n = input.len().min(8);
                block[..n].copy_from_slice(&input[..n]);
                self.encrypt_ecb(suite, &mut block);
                let key = MacKey::single_des(block);
                block.zeroize();
                key
            }
        }
    }

    /// The key that makes TACs: 3DES folds the halves, the others use the key as it is.
    pub fn tac_key(&self, suite: SuiteId) -> MacKey {
        match suite {
            SuiteId::Tdes => MacKey::single_des(self.halves_xored()),
            SuiteId::Sm4 | SuiteId::Aes => MacKey::from_key(suite, self),
        }
    }

    /// Encrypts whole blocks in place, ECB (key wrapping of random keys, challenges). The length
    /// must be a multiple of the suite's block; a rest is left as it is.
    pub fn encrypt_ecb(&self, suite: SuiteId, data: &mut [u8]) {
        Cipher::new(suite, &self.0).encrypt(data);
    }

    /// Decrypts whole blocks in place, ECB.
    pub fn decrypt_ecb(&self, suite: SuiteId, data: &mut [u8]) {
        Cipher::new(suite, &self.0).decrypt(data);
    }

    /// CBC encryption in place of whole blocks; `iv` is a block (its first bytes for 3DES).
    pub fn encrypt_cbc(&self, suite: SuiteId, iv: &[u8; 16], data: &mut [u8]) {
        let (size, cipher) = (suite.block(), Cipher::new(suite, &self.0));
        let mut previous = *iv;
        for chunk in data.chunks_exact_mut(size) {
            for (byte, p) in chunk.iter_mut().zip(previous) {
                *byte ^= p;
            }
            cipher.encrypt(chunk);
            previous[..size].copy_from_slice(chunk);
        }
    }

    /// CBC decryption in place of whole blocks.
    pub fn decrypt_cbc(&self, suite: SuiteId, iv: &[u8; 16], data: &mut [u8]) {
        let (size, cipher) = (suite.block(), Cipher::new(suite, &self.0));
        let mut previous = *iv;
        for chunk in data.chunks_exact_mut(size) {
            let mut current = [0u8; 16];
            current[..size].copy_from_slice(chunk);
            cipher.decrypt(chunk);
            for (byte, p) in chunk.iter_mut().zip(previous) {
                *byte ^= p;
            }
            previous = current;
        }
    }

    /// The eight-byte cryptogram over an eight-byte challenge: 3DES encrypts it directly, the
    /// 16-byte ciphers encrypt `challenge | 00 x 8` and fold left XOR right.
    pub fn cryptogram8(&self, suite: SuiteId, challenge: &[u8; 8]) -> [u8; 8] {
        let mut block = [0u8; 16];
        block[..8].copy_from_slice(challenge);
        match suite {
            SuiteId::Tdes => self.encrypt_ecb(suite, &mut block[..8]),
            SuiteId::Sm4 | SuiteId::Aes => {
                self.encrypt_ecb(suite, &mut block);
                for i in 0..8 {
                    block[i] ^= block[i + 8];
                }
            }
        }
        let mut out = [0; 8];
        out.copy_from_slice(&block[..8]);
        out
    }
}

/// PBOC's `F | ~F`.
pub(crate) fn pboc_block(factor: &[u8; 8]) -> [u8; 16] {
    let mut block = [0u8; 16];
    block[..8].copy_from_slice(factor);
    for (target, byte) in block[8..].iter_mut().zip(factor) {
        *target = !byte;
    }
    block
}

/// AN10922 AES-128 diversification with whoever can encrypt blocks under the key (ECB, in place).
/// `input` is M, at most 31 bytes.
///
/// The message is always padded to 32 bytes, which differs from plain CMAC for short M. What
/// `encrypt` is given here tells nothing of the key but the two CMAC subkeys.
pub fn an10922<E>(
    input: &[u8],
    mut encrypt: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<Key, E> {
    let mut zero = [0u8; 16];
    encrypt(&mut zero)?;
    let key = an10922_with(double(zero), input, encrypt);
    zero.zeroize();
    key
}

/// The same, with CMAC's first subkey known.
fn an10922_with<E>(
    k1: [u8; 16],
    input: &[u8],
    mut encrypt: impl FnMut(&mut [u8]) -> Result<(), E>,
) -> Result<Key, E> {
    debug_assert!(input.len() <= 31, "AN10922 takes at most 31 bytes of M");
    let input = &input[..input.len().min(31)];
    let mut message = [0u8; 32];
    message[0] = 0x01;
    message[1..=input.len()].copy_from_slice(input);
    let last = if input.len() == 31 {
        k1
    } else {
        message[1 + input.len()] = 0x80;
        double(k1)
    };
    let mut block = [0u8; 16];
    block.copy_from_slice(&message[..16]);
    encrypt(&mut block)?;
    for (i, byte) in block.iter_mut().enumerate() {
        *byte ^= message[16 + i] ^ last[i];
    }
    let encrypted = encrypt(&mut block);
    let key = Key(block);
    block.zeroize();
    encrypted.map(|()| key)
}

/// An AES key set up once to diversify many: a region key, for the cards of its region. The key
/// set-up of the other suites costs little, and this is wiped on drop to its last byte.
pub struct Diversifier {
    cipher: Aes128,
    k1: [u8; 16],
}

impl Diversifier {
    /// Sets the cipher up.
    pub fn new(key: &Key) -> Self {
        let cipher = Aes128::new((&key.0).into());
        let mut block = Array::from([0; 16]);
        cipher.encrypt_block(&mut block);
        Self {
            cipher,
            k1: double(block.into()),
        }
    }

    /// [`Key::diversify_an10922`].
    pub fn an10922(&self, input: &[u8]) -> Key {
        let Ok(key) = an10922_with(self.k1, input, |blocks| {
            if let Ok(block) = <&mut Array<u8, _>>::try_from(blocks) {
                self.cipher.encrypt_block(block);
            }
            Ok::<(), core::convert::Infallible>(())
        });
        key
    }
}

impl Drop for Diversifier {
    fn drop(&mut self) {
        self.k1.zeroize();
    }
}

/// A key ready for MACs of one suite, wiped on drop.
#[derive(Clone)]
pub struct MacKey {
    kind: MacKind,
    value: Key,
}

#[derive(Clone, Copy)]
enum MacKind {
    SingleDes,
    RetailDes,
    Sm4,
    Aes,
}

impl MacKey {
    /// A single-length DES key: CBC-MAC.
    pub fn single_des(key: [u8; 8]) -> Self {
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&key);
        Self {
            kind: MacKind::SingleDes,
            value: Key(bytes),
        }
    }

    /// A full-length key used directly: 3DES as retail MAC, SM4 as CBC-MAC, AES as CMAC.
    pub fn from_key(suite: SuiteId, key: &Key) -> Self {
        let kind = match suite {
            SuiteId::Tdes => MacKind::RetailDes,
            SuiteId::Sm4 => MacKind::Sm4,
            SuiteId::Aes => MacKind::Aes,
        };
        Self {
            kind,
            value: key.clone(),
        }
    }

    /// The left four bytes of the MAC over the parts, zero IV.
    pub fn mac4(&self, parts: &[&[u8]]) -> [u8; 4] {
        left4(self.full(None, parts))
    }

    /// The left four bytes with an eight-byte IV (the last challenge) as secure messaging uses it.
    /// CMAC has no IV: the AES suite puts the challenge in front of the message instead.
    pub fn mac4_iv(&self, iv8: &[u8; 8], parts: &[&[u8]]) -> [u8; 4] {
        left4(self.full(Some(iv8), parts))
    }

    fn full(&self, challenge: Option<&[u8; 8]>, parts: &[&[u8]]) -> [u8; 16] {
        let iv8 = challenge.unwrap_or(&[0; 8]);
        match self.kind {
            MacKind::SingleDes => self.left_des().cbc_mac(iv8, parts),
            MacKind::RetailDes => {
                let left = self.left_des();
                let mut right = [0u8; 8];
                right.copy_from_slice(&self.value.0[8..]);
                let mut mac = left.cbc_mac(iv8, parts);
                Cipher::Des(Des::new((&right).into())).decrypt(&mut mac[..8]);
                left.encrypt(&mut mac[..8]);
                right.zeroize();
                mac
            }
            MacKind::Sm4 => Cipher::new(SuiteId::Sm4, &self.value.0).cbc_mac(iv8, parts),
            MacKind::Aes => {
                let prefix = challenge.map_or(&[][..], |c| &c[..]);
                cmac_with_prefix(&self.value.0, prefix, parts)
            }
        }
    }

    fn left_des(&self) -> Cipher {
        let mut left = [0u8; 8];
        left.copy_from_slice(&self.value.0[..8]);
        let cipher = Cipher::Des(Des::new((&left).into()));
        left.zeroize();
        cipher
    }
}

const fn left4(mac: [u8; 16]) -> [u8; 4] {
    [mac[0], mac[1], mac[2], mac[3]]
}

/// AES-CMAC (RFC 4493) over the parts.
pub fn cmac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    cmac_with_prefix(key, &[], parts)
}

fn cmac_with_prefix(key: &[u8; 16], prefix: &[u8], parts: &[&[u8]]) -> [u8; 16] {
    // Block by block, the last one held back: the crate's own buffering is 300 bytes of code more.
    let mut mac = CmacCore::inner_init(Aes128::new(key.into()));
    let mut block = Array::from([0; 16]);
    let mut at = 0;
    for part in core::iter::once(&prefix).chain(parts) {
        for byte in *part {
            if at == block.len() {
                mac.update_blocks(core::slice::from_ref(&block));
                at = 0;
            }
            block[at] = *byte;
            at += 1;
        }
    }
    let mut out = Array::from([0; 16]);
    mac.finalize_fixed_core(&mut Buffer::<CmacCore<Aes128>>::new(&block[..at]), &mut out);
    block.zeroize();
    out.into()
}

/// SM4-CMAC over the parts.
pub fn sm4_cmac(key: &[u8; 16], parts: &[&[u8]]) -> [u8; 16] {
    let mut mac = Cmac::<Sm4>::new(key.into());
    for part in parts {
        mac.update(part);
    }
    mac.finalize().into_bytes().into()
}

/// Doubling in GF(2^128), for CMAC subkeys.
fn double(block: [u8; 16]) -> [u8; 16] {
    let value = u128::from_be_bytes(block);
    // A mask instead of a branch: the top bit is key-dependent.
    let mask = 0u128.wrapping_sub(value >> 127);
    ((value << 1) ^ (0x87 & mask)).to_be_bytes()
}

/// A block cipher with its key schedule.
enum Cipher {
    Des(Des),
    Tdes(TdesEde2),
    Sm4(Sm4),
    Aes(Aes128),
}

impl Cipher {
    fn new(suite: SuiteId, key: &[u8; 16]) -> Self {
        match suite {
            SuiteId::Tdes => Self::Tdes(TdesEde2::new(key.into())),
            SuiteId::Sm4 => Self::Sm4(Sm4::new(key.into())),
            SuiteId::Aes => Self::Aes(Aes128::new(key.into())),
        }
    }

    const fn block(&self) -> usize {
        match self {
            Self::Des(_) | Self::Tdes(_) => 8,
            Self::Sm4(_) | Self::Aes(_) => 16,
        }
    }

    /// Whole blocks in place; a rest is left as it is.
    fn encrypt(&self, data: &mut [u8]) {
        fn run<C: BlockCipherEncrypt>(cipher: &C, data: &mut [u8]) {
            for chunk in data.chunks_exact_mut(C::BlockSize::USIZE) {
                if let Ok(block) = <&mut Array<u8, C::BlockSize>>::try_from(chunk) {
                    cipher.encrypt_block(block);
                }
            }
        }
        match self {
            Self::Des(cipher) => run(cipher, data),
            Self::Tdes(cipher) => run(cipher, data),
            Self::Sm4(cipher) => run(cipher, data),
            Self::Aes(cipher) => run(cipher, data),
        }
    }

    fn decrypt(&self, data: &mut [u8]) {
        fn run<C: BlockCipherDecrypt>(cipher: &C, data: &mut [u8]) {
            for chunk in data.chunks_exact_mut(C::BlockSize::USIZE) {
                if let Ok(block) = <&mut Array<u8, C::BlockSize>>::try_from(chunk) {
                    cipher.decrypt_block(block);
                }
            }
        }
        match self {
            Self::Des(cipher) => run(cipher, data),
            Self::Tdes(cipher) => run(cipher, data),
            Self::Sm4(cipher) => run(cipher, data),
            Self::Aes(cipher) => run(cipher, data),
        }
    }

    /// CBC-MAC over the parts, followed by 80 and zeros up to the block size (ISO/IEC 9797-1 padding
    /// method 2); the initial value is `iv8` and zeros. One block, then zeros.
    fn cbc_mac(&self, iv8: &[u8; 8], parts: &[&[u8]]) -> [u8; 16] {
        let size = self.block();
        let mut state = [0u8; 16];
        state[..8].copy_from_slice(iv8);
        let mut at = 0;
        for part in parts {
            for byte in *part {
                state[at] ^= byte;
                at += 1;
                if at == size {
                    self.encrypt(&mut state[..size]);
                    at = 0;
                }
            }
        }
        state[at] ^= 0x80;
        self.encrypt(&mut state[..size]);
        state
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    const NIST_KEY: [u8; 16] = hex!("2b7e151628aed2a6abf7158809cf4f3c");

    /// RFC 4493 section 4.
    #[test]
    fn aes_cmac_rfc4493() {
        let message = hex!(
            "6bc1bee22e409f96e93d7e117393172aae2d8a571e03ac9c9eb76fac45af8e5130c81c46a35ce411"
        );
        assert_eq!(
            cmac(&NIST_KEY, &[]),
            hex!("bb1d6929e95937287fa37d129b756746")
        );
        assert_eq!(
            cmac(&NIST_KEY, &[&message[..7], &message[7..]]),
            hex!("dfa66747de9ae63030ca32611497c827")
        );
    }

    /// Every length around the block, and every way to cut the message.
    #[test]
    fn cmac_by_blocks_is_cmac() {
        let message: [u8; 50] = core::array::from_fn(|i| (i * 37) as u8);
        for len in 0..message.len() {
            let whole = &message[..len];
            let mut mac = Cmac::<Aes128>::new(&NIST_KEY.into());
            mac.update(whole);
            let expected: [u8; 16] = mac.finalize().into_bytes().into();
            for cut in 0..=len {
                let parts = [&whole[..cut], &[], &whole[cut..]];
                assert_eq!(cmac(&NIST_KEY, &parts), expected, "{len} {cut}");
            }
        }
    }

    /// GB/T 32907-2016 annex A, and CMAC values recomputed with an independent implementation.
    #[test]
    fn sm4_and_sm4_cmac() {
        let key = hex!("0123456789abcdeffedcba9876543210");
        let mut block = key;
        Key::new(key).encrypt_ecb(SuiteId::Sm4, &mut block);
        assert_eq!(block, hex!("681edf34d206965e86b3e94f536e4246"));
        Key::new(key).decrypt_ecb(SuiteId::Sm4, &mut block);
        assert_eq!(block, key);
        assert_eq!(
            sm4_cmac(&key, &[]),
            hex!("29e154322e5c7bd8ee6a25ba549b24bc")
        );
        assert_eq!(
            sm4_cmac(&key, &[&[0; 16]]),
            hex!("909f5e6ed15518c01252302383c63e8c")
        );
    }

    /// NXP AN10922 section 2.2.1 (16-byte M) and the short M that tells it from plain CMAC.
    #[test]
    fn an10922_aes128() {
        let key = Key::new(hex!("00112233445566778899aabbccddeeff"));
        let long = key.diversify_an10922(&hex!("04782e21801d803042f54e585020416275"));
        assert_eq!(long.expose(), &hex!("a8dd63a3b89d54b37ca802473fda9175"));
        let short = hex!("04782e21801d80");
        let diversified = key.diversify_an10922(&short);
        assert_eq!(
            diversified.expose(),
            &hex!("4fd3364753b8142980e8203c75ad83be")
        );
        assert_eq!(
            cmac(key.expose(), &[&[0x01], &short]),
            hex!("b3179e2d918ac5190815983b054b63ad"),
            "plain CMAC gives another key: the padding to 32 bytes is what differs"
        );
    }

    /// Published worked example of a social-security external authentication.
    #[test]
    fn external_authentication_cryptogram_3des() {
        let key = Key::new([0x39; 16]);
        assert_eq!(
            key.cryptogram8(SuiteId::Tdes, &hex!("9B361B26CB9FA8C8")),
            hex!("97F557D8EDE97F95")
        );
    }

    #[test]
    fn cbc_round_trips_in_every_suite() {
        for suite in SuiteId::ALL {
            let key = Key::new(NIST_KEY);
            let plain = *b"sixteen bytes ab and sixteen mor";
            let mut data = plain;
            key.encrypt_cbc(suite, &[7; 16], &mut data);
            assert_ne!(data, plain);
            key.decrypt_cbc(suite, &[7; 16], &mut data);
            assert_eq!(data, plain);
        }
    }

    /// ISO/IEC 9797-1 algorithm 3 on a one-block message equals DES(kl) then DES^-1(kr), DES(kl),
    /// which for one (padded) block is two-key triple DES of that block.
    #[test]
    fn retail_mac_of_one_block_is_triple_des() {
        let key = Key::new(hex!("5775204D69616F6A756E404726444311"));
        let mut block = hex!("0102030405060780");
        key.encrypt_ecb(SuiteId::Tdes, &mut block);
        let mac = MacKey::from_key(SuiteId::Tdes, &key).mac4(&[&hex!("01020304050607")]);
        assert_eq!(mac, block[..4]);
    }
}
