//! Personalisation: the data groups that issuer and card agree on.
//!
//! Over SCP03: `INSTALL [for personalization]` names the application, then STORE DATA carries
//! DGIs (`DGI(2) | length(1, or FF and 2) | data`) in numbered blocks. Nothing becomes visible
//! before the last block (bit 8 of P1) commits everything at once.
//!
//! Key and PIN values are encrypted with the issuer domain's DEK, AES-CBC with zero IV.

use crate::{
    FormatError,
    apdu::{self, Apdu},
    keys::KeyHeader,
};

/// A data group identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Dgi(pub u16);

impl Dgi {
    /// Contents of a transparent file, by SFI (purse 15, 16, 17; SAM 15, 16, 17; SSSE 07, 08).
    pub const fn file(sfi: u8) -> Self {
        Self(0x0100 | sfi as u16)
    }
    /// One record of a record file, by SFI: `record number | contents` (SSSE EF05, EF06: the
    /// contents are `tag | len | value`).
    pub const fn record(sfi: u8) -> Self {
        Self(0x0200 | sfi as u16)
    }
    /// Offline limits of the purse, 16 bytes ([`crate::purse::files::Limits`]).
    pub const LIMITS: Self = Self(0x0301);
    /// Access profile of the SSSE, one byte ([`crate::ssse::Profile`]).
    pub const PROFILE: Self = Self(0x0302);
    /// Terminal-sequence ceiling of a SAM, four bytes.
    pub const SAM_CEILING: Self = Self(0x0303);
    /// Opening balance of the medical personal account, four bytes. (The purse has none: money
    /// enters it only by a load.)
    pub const MEDICAL_BALANCE: Self = Self(0x0304);
    /// SCP parameter i of the issuer domain, one byte: 70 (the default) answers pseudo-random
    /// challenges, 60 random ones. Only before the card is secured, like the next two.
    pub const SCP_OPTION: Self = Self(0x0305);
    /// Issuer identification number, up to 8 bytes: also BER-TLV tag 42.
    pub const IIN: Self = Self(0x0042);
    /// Card image number, up to 16 bytes: also BER-TLV tag 45.
    pub const CIN: Self = Self(0x0045);
    /// Region codes that follow SAM keys: three bytes each (see [`sam_key`]).
    pub const SAM_KEY: Self = Self(0x8001);
    /// A card key: [`card_key`].
    pub const KEY: Self = Self(0x8000);
    /// A PIN: `pin id | tries | E_DEK(length | PIN | FF..)`, 18 bytes.
    pub const PIN: Self = Self(0x8010);
}

/// PIN identifiers.
pub mod pin {
    /// PIN of the purse (loads) and PIN of the social-security side: each application has one, 00.
    pub const HOLDER: u8 = 0x00;
    /// Tries before a PIN locks.
    pub const TRIES: u8 = 3;
}

/// Data of [`Dgi::KEY`]: `header4 | E_DEK(key16) | KCV3` (KCV of the GlobalPlatform kind for AES,
/// zero-block kind otherwise: [`kcv_kind`]). 23 bytes.
pub fn card_key(header: KeyHeader, encrypted: [u8; 16], kcv: [u8; 3]) -> [u8; 23] {
    let mut out = [0; 23];
    out[..4].copy_from_slice(&header.to_bytes());
    out[4..20].copy_from_slice(&encrypted);
    out[20..].copy_from_slice(&kcv);
    out
}

/// Data of [`Dgi::SAM_KEY`]: `region3 | header4 | E_DEK(key16) | KCV3`, 26 bytes. Region 000000
/// is a key of the SAM itself (issuing, ceiling).
pub fn sam_key(region: [u8; 3], header: KeyHeader, encrypted: [u8; 16], kcv: [u8; 3]) -> [u8; 26] {
    let mut out = [0; 26];
    out[..3].copy_from_slice(&region);
    out[3..].copy_from_slice(&card_key(header, encrypted, kcv));
    out
}

/// The kind of KCV that travels with a key of a suite.
pub const fn kcv_kind(suite: crate::SuiteId) -> crate::keys::KcvKind {
    match suite {
        crate::SuiteId::Aes => crate::keys::KcvKind::GlobalPlatform,
        crate::SuiteId::Sm4 | crate::SuiteId::Tdes => crate::keys::KcvKind::ZeroBlock,
    }
}

/// Plaintext of a PIN in a personalisation block: `length | PIN bytes | FF..`, 16 bytes.
pub fn pin_block(pin: &[u8]) -> Result<[u8; 16], FormatError> {
    if pin.is_empty() || pin.len() > 6 {
        return Err(FormatError::Length);
    }
    let mut out = [0xFF; 16];
    out[0] = pin.len() as u8;
    out[1..=pin.len()].copy_from_slice(pin);
    Ok(out)
}

/// The PIN inside [`pin_block`]'s 16 bytes.
pub fn pin_from_block(block: &[u8; 16]) -> Result<&[u8], FormatError> {
    let length = usize::from(block[0]);
    if !(1..=6).contains(&length) || block[1 + length..].iter().any(|b| *b != 0xFF) {
        return Err(FormatError::Length);
    }
    Ok(&block[1..=length])
}

/// `DGI | length | data`, appended to `out`. Fails when it does not fit.
pub fn push_dgi<const N: usize>(
    out: &mut heapless::Vec<u8, N>,
    dgi: Dgi,
    data: &[u8],
) -> Result<(), FormatError> {
    let mut head = heapless::Vec::<u8, 5>::new();
    let fits = head.extend_from_slice(&dgi.0.to_be_bytes());
    let fits = fits.and_then(|()| match u8::try_from(data.len()) {
        Ok(short @ 0..=0xFE) => head
            .push(short)
            .map_err(|_| heapless::CapacityError::default()),
        _ => {
            let long = (data.len() as u16).to_be_bytes();
            head.extend_from_slice(&[0xFF, long[0], long[1]])
        }
    });
    fits.and_then(|()| out.extend_from_slice(&head))
        .and_then(|()| out.extend_from_slice(data))
        .map_err(|_| FormatError::Length)
}

/// INSTALL [for personalization] of an application: `80 E6 20 00 | 00 00 len AID 00 00 00`.
pub fn install_for_personalization(aid: &[u8]) -> Apdu {
    let mut data = heapless::Vec::<u8, 64>::new();
    let _ = data.extend_from_slice(&[0, 0, aid.len() as u8]);
    let _ = data.extend_from_slice(aid);
    let _ = data.extend_from_slice(&[0, 0, 0]);
    apdu::build(0x80, 0xE6, 0x20, 0x00, &data, Some(256))
}

/// STORE DATA, DGI format: `80 E2 P1 block`. P1 bit 8 marks the last block; bits 4-5 = 01 (DGI).
pub fn store_data(last: bool, block: u8, data: &[u8]) -> Apdu {
    let p1 = if last { 0x88 } else { 0x08 };
    apdu::build(0x80, 0xE2, p1, block, data, None)
}

/// SET STATUS of the issuer domain: `80 F0 80 state`.
pub fn set_card_status(state: CardState) -> Apdu {
    apdu::build(0x80, 0xF0, 0x80, state as u8, &[], None)
}

/// INITIALIZE UPDATE: `80 50 kvn 00 08 host challenge`.
pub fn initialize_update(kvn: u8, host_challenge: [u8; 8]) -> Apdu {
    apdu::build(0x80, 0x50, kvn, 0x00, &host_challenge, Some(256))
}

/// Answer to INITIALIZE UPDATE, 29 bytes (pseudo-random challenge, 32 with its sequence counter):
/// `diversification data 10 | KVN 03 i | card challenge 8 | card cryptogram 8 | sequence 3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitializeUpdateAnswer {
    /// Key diversification data: the chip serial, ten packed decimal bytes, the same for life.
    pub diversification: [u8; 10],
    /// Key version number.
    pub kvn: u8,
    /// SCP parameter i (70: pseudo-random challenge, R-MAC and R-ENC).
    pub i: u8,
    /// Card challenge.
    pub challenge: [u8; 8],
    /// Card cryptogram.
    pub cryptogram: [u8; 8],
    /// Sequence counter, three bytes.
    pub sequence: [u8; 3],
}

impl InitializeUpdateAnswer {
    /// The 32 bytes.
    pub fn to_bytes(&self) -> [u8; 32] {
        let mut out = [0; 32];
        out[..10].copy_from_slice(&self.diversification);
        out[10..13].copy_from_slice(&[self.kvn, 0x03, self.i]);
        out[13..21].copy_from_slice(&self.challenge);
        out[21..29].copy_from_slice(&self.cryptogram);
        out[29..].copy_from_slice(&self.sequence);
        out
    }

    /// Parses 29 or 32 bytes.
    pub fn from_bytes(data: &[u8]) -> Result<Self, FormatError> {
        if !matches!(data.len(), 29 | 32) || data[11] != 0x03 {
            return Err(FormatError::Length);
        }
        let mut answer = Self {
            diversification: [0; 10],
            kvn: data[10],
            i: data[12],
            challenge: [0; 8],
            cryptogram: [0; 8],
            sequence: [0; 3],
        };
        answer.diversification.copy_from_slice(&data[..10]);
        answer.challenge.copy_from_slice(&data[13..21]);
        answer.cryptogram.copy_from_slice(&data[21..29]);
        if let Some(sequence) = data.get(29..32) {
            answer.sequence.copy_from_slice(sequence);
        }
        Ok(answer)
    }
}

/// Life cycle of the card (GlobalPlatform values).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
#[repr(u8)]
pub enum CardState {
    /// Fresh: transport keys, nothing personalised.
    OpReady = 0x01,
    /// Applications being personalised.
    Initialized = 0x07,
    /// In use.
    Secured = 0x0F,
    /// Locked: only the issuer domain answers.
    CardLocked = 0x7F,
    /// Dead.
    Terminated = 0xFF,
}

impl CardState {
    /// From the stored byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::OpReady),
            0x07 => Some(Self::Initialized),
            0x0F => Some(Self::Secured),
            0x7F => Some(Self::CardLocked),
            0xFF => Some(Self::Terminated),
            _ => None,
        }
    }
}

/// Key version number of the transport key set on blank cards (replaced at personalisation).
pub const KVN_TRANSPORT: u8 = 0x01;
/// Key version number of the issuer's own key set.
pub const KVN_ISSUER: u8 = 0x30;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dgi_lengths() {
        let mut out = heapless::Vec::<u8, 600>::new();
        push_dgi(&mut out, Dgi::file(0x15), &[1; 30]).expect("fits");
        assert_eq!(out[..3], [0x01, 0x15, 30]);
        let mut out = heapless::Vec::<u8, 600>::new();
        push_dgi(&mut out, Dgi::file(0x08), &[1; 300]).expect("fits");
        assert_eq!(out[..5], [0x01, 0x08, 0xFF, 0x01, 0x2C]);
        let mut small = heapless::Vec::<u8, 10>::new();
        assert!(push_dgi(&mut small, Dgi::file(0x08), &[1; 30]).is_err());
    }

    #[test]
    fn pin_blocks() {
        let block = pin_block(&[0x12, 0x34, 0x56]).expect("three bytes");
        assert_eq!(pin_from_block(&block), Ok(&[0x12, 0x34, 0x56][..]));
        assert!(pin_from_block(&[0xFF; 16]).is_err());
        assert!(pin_block(&[]).is_err());
    }
}
