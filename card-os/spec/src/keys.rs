//! Key types, indexes and how a card key comes from an application master.
//!
//! Province root -> application master (type, class index, version) -> region key -> card key.
//! The first step never leaves the HSM; a SAM holds region keys; a card holds card keys.

use crate::{
    FormatError, SuiteId,
    id::{Generation, IssuerId, Pan, RegionCode},
    suite::{Key, an10922, cmac, pboc_block},
};
use zeroize::Zeroize;

/// What a key may be used for. One byte, stored in every key header.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[repr(u8)]
pub enum KeyType {
    /// Purchase key 消费密钥 of the purse.
    Dpk = 0x01,
    /// Load key 圈存密钥 of the purse.
    Dlk = 0x02,
    /// TAC key of the purse.
    Dtk = 0x03,
    /// Field-lock key: application block from a terminal, nothing else.
    Dack = 0x04,
    /// Maintenance key 应用维护密钥 of the purse.
    Damk = 0x05,
    /// PIN unblock key.
    Dpuk = 0x06,
    /// PIN reload key.
    Dprk = 0x07,
    /// Key of the overdraft limit 修改密钥 of the purse.
    Duk = 0x08,
    /// Internal authentication key of the social-security application.
    Irk = 0x10,
    /// Reading key of a social-security file.
    Rk = 0x11,
    /// Update key of a social-security file.
    Uk = 0x12,
    /// PIN unblock and reload key of the social-security application.
    Puk = 0x13,
    /// Medical purse purchase key.
    Mpk = 0x20,
    /// Medical purse load key.
    Mlk = 0x21,
    /// Medical purse TAC key.
    Mtk = 0x22,
    /// SCP03 static encryption key of the issuer domain.
    IsdEnc = 0x30,
    /// SCP03 static MAC key of the issuer domain.
    IsdMac = 0x31,
    /// SCP03 data encryption key of the issuer domain.
    IsdDek = 0x32,
    /// SAM issuing key.
    SamIssue = 0x40,
    /// SAM ceiling key: raises a terminal-sequence ceiling.
    SamCeiling = 0x41,
}

impl KeyType {
    /// Every type a card or SAM may hold.
    pub const ALL: [Self; 20] = [
        Self::Dpk,
        Self::Dlk,
        Self::Dtk,
        Self::Dack,
        Self::Damk,
        Self::Dpuk,
        Self::Dprk,
        Self::Duk,
        Self::Irk,
        Self::Rk,
        Self::Uk,
        Self::Puk,
        Self::Mpk,
        Self::Mlk,
        Self::Mtk,
        Self::IsdEnc,
        Self::IsdMac,
        Self::IsdDek,
        Self::SamIssue,
        Self::SamCeiling,
    ];

    /// From the key header's byte.
    pub fn from_byte(byte: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|t| *t as u8 == byte)
    }

    /// The name used in key ceremonies, tables and files.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Dpk => "DPK",
            Self::Dlk => "DLK",
            Self::Dtk => "DTK",
            Self::Dack => "DACK",
            Self::Damk => "DAMK",
            Self::Dpuk => "DPUK",
            Self::Dprk => "DPRK",
            Self::Duk => "DUK",
            Self::Irk => "IRK",
            Self::Rk => "RK",
            Self::Uk => "UK",
            Self::Puk => "PUK",
            Self::Mpk => "MPK",
            Self::Mlk => "MLK",
            Self::Mtk => "MTK",
            Self::IsdEnc => "ISD-ENC",
            Self::IsdMac => "ISD-MAC",
            Self::IsdDek => "ISD-DEK",
            Self::SamIssue => "SAM-ISSUE",
            Self::SamCeiling => "SAM-CEILING",
        }
    }
}

/// Purchase key classes: the DPK (or MPK) index that INIT's key id names. A PSAM holds one class.
pub mod class {
    /// Buses and metro.
    pub const TRANSIT: u8 = 0x01;
    /// Taxis and parking.
    pub const PARKING_TAXI: u8 = 0x02;
    /// Shops.
    pub const RETAIL: u8 = 0x03;
    /// Added to a class for its spare key.
    pub const SPARE: u8 = 0x10;
    /// The only index of keys that have no classes (DLK, DTK, MPK ...).
    pub const ONLY: u8 = 0x01;
}

/// Key ids of the social-security application as readers in the field use them.
pub mod ssse_kid {
    /// Writes EF05 and EF06 (a UK).
    pub const WRITE_BASIC: u8 = 0x04;
    /// Unblocks and reloads the PIN (the PUK).
    pub const PIN_UNBLOCK: u8 = 0x06;
    /// Reads and writes EF0C.
    pub const EF0C: u8 = 0x07;
    /// Reads EF05-07 of third-generation cards (an RK).
    pub const READ_V3: u8 = 0x0A;
    /// Writes EF0D.
    pub const EF0D: u8 = 0x0D;
    /// Internal authentication (the IRK).
    pub const INTERNAL: u8 = 0x01;
}

/// Header of a key as cards and SAMs store it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct KeyHeader {
    /// What it may be used for.
    pub key_type: KeyType,
    /// Class or key id.
    pub index: u8,
    /// Version, counted from 1.
    pub version: u8,
    /// Algorithm.
    pub suite: SuiteId,
}

impl KeyHeader {
    /// `type | index | version | algorithm`.
    pub const fn to_bytes(self) -> [u8; 4] {
        [
            self.key_type as u8,
            self.index,
            self.version,
            self.suite as u8,
        ]
    }

    /// Parses the four bytes.
    pub fn from_bytes(bytes: [u8; 4]) -> Result<Self, FormatError> {
        Ok(Self {
            key_type: KeyType::from_byte(bytes[0]).ok_or(FormatError::Range)?,
            index: bytes[1],
            version: bytes[2],
            suite: SuiteId::from_byte(bytes[3]).ok_or(FormatError::Range)?,
        })
    }
}

/// What one level of diversification mixes into a key: `key.diversify(&factor)`.
///
/// It is kept apart from the key so that a key that nobody may see can be diversified by whoever
/// holds it (a hardware token).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Factor {
    /// AN10922 over the first `length` bytes (AES).
    An10922 {
        /// M, filled with zeros.
        input: [u8; 31],
        /// Its length.
        length: u8,
    },
    /// PBOC's E(F | ~F), with 3DES or SM4.
    Pboc(SuiteId, [u8; 8]),
}

impl Factor {
    /// AN10922 over M.
    pub fn an10922<const N: usize>(m: [u8; N]) -> Self {
        const { assert!(N <= 31, "AN10922 takes at most 31 bytes of M") };
        let mut input = [0; 31];
        input[..N].copy_from_slice(&m);
        Self::An10922 {
            input,
            length: N as u8,
        }
    }

    /// The eight bytes of a factor that every suite takes.
    fn of_suite(suite: SuiteId, factor: [u8; 8]) -> Self {
        match suite {
            SuiteId::Aes => Self::an10922(factor),
            SuiteId::Sm4 | SuiteId::Tdes => Self::Pboc(suite, factor),
        }
    }

    /// The key one level below one that is only reached through `encrypt`: ECB of whole blocks, in
    /// place.
    pub fn apply<E>(&self, mut encrypt: impl FnMut(&mut [u8]) -> Result<(), E>) -> Result<Key, E> {
        match self {
            Self::An10922 { input, length } => {
                let length = usize::from(*length).min(input.len());
                an10922(&input[..length], encrypt)
            }
            Self::Pboc(_, factor) => {
                let mut block = pboc_block(factor);
                encrypt(&mut block)?;
                let key = Key::new(block);
                block.zeroize();
                Ok(key)
            }
        }
    }

    /// The suite it belongs to.
    pub const fn suite(&self) -> SuiteId {
        match self {
            Self::An10922 { .. } => SuiteId::Aes,
            Self::Pboc(suite, _) => *suite,
        }
    }
}

impl Key {
    /// The key one level below.
    pub fn diversify(&self, factor: &Factor) -> Self {
        match factor {
            Factor::An10922 { input, length } => {
                let length = usize::from(*length).min(input.len());
                self.diversify_an10922(&input[..length])
            }
            Factor::Pboc(suite, factor) => self.diversify_pboc(*suite, factor),
        }
    }
}

/// The region key under an application master, for keys of the purse: see [`region_factor`].
pub fn region_key(master: &Key, suite: SuiteId, region: RegionCode, iin: [u8; 2]) -> Key {
    master.diversify(&region_factor(suite, region, iin))
}

/// Application master -> region, for keys of the purse.
///
/// AES: AN10922 over the region code. PBOC suites: one level over the issuer identifier without
/// its generation, so `iin` matters there; pass the card's IIN.
pub fn region_factor(suite: SuiteId, region: RegionCode, iin: [u8; 2]) -> Factor {
    let r = region.to_bytes();
    match suite {
        SuiteId::Aes => Factor::an10922(r),
        SuiteId::Sm4 | SuiteId::Tdes => {
            Factor::Pboc(suite, [iin[0], iin[1], r[0], r[1], r[0], r[1], r[2], 0])
        }
    }
}

/// The card key under a region key: see [`card_factor`].
pub fn card_key(region: &Key, header: KeyHeader, pan: Pan, generation: Generation) -> Key {
    region.diversify(&card_factor(header, pan, generation))
}

/// Region -> card, for purse and issuer-domain keys (the medical purse's keys are social-security
/// keys, because a medical PSAM is given F1 and F2 only: [`ssse_card_key`]).
///
/// AES: AN10922 over `PAN(10) | generation | key type | key index`. PBOC suites: one level over
/// the last eight bytes of the PAN.
pub fn card_factor(header: KeyHeader, pan: Pan, generation: Generation) -> Factor {
    match header.suite {
        SuiteId::Aes => {
            let mut input = [0u8; 13];
            input[..10].copy_from_slice(&pan.to_bytes());
            input[10] = generation.0;
            input[11] = header.key_type as u8;
            input[12] = header.index;
            Factor::an10922(input)
        }
        suite => Factor::Pboc(suite, pan.serial8()),
    }
}

/// The card key as a PSAM derives it, from the 16 bytes `serial8 | issuer8` of command 8070.
pub fn card_key_from_psam_fields(
    region: &Key,
    header: KeyHeader,
    serial8: [u8; 8],
    issuer: IssuerId,
) -> Result<Key, FormatError> {
    Ok(card_key(
        region,
        header,
        issuer.pan(serial8)?,
        issuer.generation(),
    ))
}

/// The region key of a social-security key: see [`ssse_region_factor`].
pub fn ssse_region_key(master: &Key, suite: SuiteId, region: RegionCode) -> Key {
    master.diversify(&ssse_region_factor(suite, region))
}

/// Application master -> region, for social-security keys: factor F2 = six ASCII digits of the city
/// code and "sx".
pub fn ssse_region_factor(suite: SuiteId, region: RegionCode) -> Factor {
    Factor::of_suite(suite, ssse_f2(region))
}

/// F2 of a region.
pub fn ssse_f2(region: RegionCode) -> [u8; 8] {
    let mut f2 = *b"000000sx";
    for (i, byte) in region.to_bytes().into_iter().enumerate() {
        f2[2 * i] = b'0' + (byte >> 4);
        f2[2 * i + 1] = b'0' + (byte & 0x0F);
    }
    f2
}

/// The card's social-security (and medical) key under a region key: see [`ssse_card_factor`].
pub fn ssse_card_key(region: &Key, suite: SuiteId, f1: &[u8; 8]) -> Key {
    region.diversify(&ssse_card_factor(suite, f1))
}

/// Region -> card, for social-security and medical keys: factor F1 = last eight bytes of the ATR.
/// Type and index do not enter: each (type, key id) has its own master.
pub fn ssse_card_factor(suite: SuiteId, f1: &[u8; 8]) -> Factor {
    Factor::of_suite(suite, *f1)
}

/// The process key of one authentication: a further level over the card's challenge.
pub fn ssse_process_key(card: &Key, suite: SuiteId, challenge: &[u8; 8]) -> Key {
    card.diversify(&Factor::of_suite(suite, *challenge))
}

/// Which of the incompatible key check values a value is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
pub enum KcvKind {
    /// E(K, 00 x block): PKCS#11, and every 3DES and SM4 practice.
    ZeroBlock,
    /// E(K, 01 x block): GlobalPlatform for AES.
    GlobalPlatform,
    /// CMAC(K, 00 x 16): payment HSMs for AES.
    Cmac,
}

/// A three-byte key check value of the given kind.
pub fn kcv(key: &Key, suite: SuiteId, kind: KcvKind) -> [u8; 3] {
    let block = match kind {
        KcvKind::Cmac if suite == SuiteId::Aes => cmac(key.expose(), &[&[0; 16]]),
        KcvKind::ZeroBlock | KcvKind::Cmac => encrypt_pattern(key, suite, 0),
        KcvKind::GlobalPlatform => encrypt_pattern(key, suite, 1),
    };
    [block[0], block[1], block[2]]
}

fn encrypt_pattern(key: &Key, suite: SuiteId, fill: u8) -> [u8; 16] {
    let mut block = [fill; 16];
    key.encrypt_ecb(suite, &mut block[..suite.block()]);
    block
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn three_kinds_of_kcv() {
        let key = Key::new(hex!("2b7e151628aed2a6abf7158809cf4f3c"));
        assert_eq!(kcv(&key, SuiteId::Aes, KcvKind::ZeroBlock), hex!("7df76b"));
        assert_eq!(
            kcv(&key, SuiteId::Aes, KcvKind::GlobalPlatform),
            hex!("2cf6a4")
        );
        assert_eq!(kcv(&key, SuiteId::Aes, KcvKind::Cmac), hex!("7ad386"));
        // GlobalPlatform's default key 40..4F.
        let default = Key::new(hex!("404142434445464748494A4B4C4D4E4F"));
        assert_eq!(
            kcv(&default, SuiteId::Aes, KcvKind::GlobalPlatform),
            hex!("504A77")
        );
    }

    /// Set up once, applied through another's hands or directly: one key.
    #[test]
    fn three_ways_to_diversify_agree() {
        let key = Key::new(hex!("00112233445566778899aabbccddeeff"));
        for factor in [
            Factor::an10922(hex!("04782e21801d803042f54e585020416275")),
            Factor::an10922([7; 31]),
            Factor::an10922([]),
            Factor::Pboc(SuiteId::Sm4, [0x5A; 8]),
            Factor::Pboc(SuiteId::Tdes, [0x5A; 8]),
        ] {
            let suite = factor.suite();
            let direct = key.diversify(&factor);
            let applied = factor.apply(|blocks| {
                key.encrypt_ecb(suite, blocks);
                Ok::<(), ()>(())
            });
            assert_eq!(direct.expose(), applied.expect("encrypts").expose());
            if let Factor::An10922 { input, length } = factor {
                let ready = crate::suite::Diversifier::new(&key);
                let ready = ready.an10922(&input[..usize::from(length)]);
                assert_eq!(direct.expose(), ready.expose());
            }
        }
    }

    #[test]
    fn psam_and_issuer_derive_the_same_card_key() {
        let pan: Pan = "03500000000000001234".parse().expect("digits");
        let region: RegionCode = "350200".parse().expect("digits");
        let generation = Generation(1);
        let issuer = IssuerId::new(pan, region, generation);
        for suite in SuiteId::ALL {
            let header = KeyHeader {
                key_type: KeyType::Dpk,
                index: 1,
                version: 1,
                suite,
            };
            let region_key = region_key(&Key::new([9; 16]), suite, region, pan.iin());
            let by_issuer = card_key(&region_key, header, pan, generation);
            let by_psam = card_key_from_psam_fields(&region_key, header, pan.serial8(), issuer)
                .expect("valid issuer");
            assert_eq!(by_issuer.expose(), by_psam.expose());
        }
        // In the AES suite a replacement card and another key index get other keys.
        let aes = |generation, index| {
            let header = KeyHeader {
                key_type: KeyType::Dpk,
                index,
                version: 1,
                suite: SuiteId::Aes,
            };
            *card_key(&Key::new([9; 16]), header, pan, Generation(generation)).expose()
        };
        assert_ne!(aes(1, 1), aes(2, 1));
        assert_ne!(aes(1, 1), aes(1, 2));
    }

    #[test]
    fn city_factor_is_ascii() {
        assert_eq!(&ssse_f2("350100".parse().expect("digits")), b"350100sx");
    }
}
