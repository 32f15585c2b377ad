//! The SAM (PSAM) application: what a terminal asks its secure module.
//!
//! A SAM holds region-level keys of one class for the regions it accepts. It can make purchase
//! MACs and the one field-lock MAC; it cannot load, unblock or rewrite a card. The terminal
//! sequence stops at a ceiling that only an HSM's MAC raises.

use crate::{
    Fen, FormatError, SuiteId,
    apdu::{self, Apdu},
    id::{IssuerId, SamNo},
    purse::{PurchaseInit, TxType, mac::Context},
    sm::{self, Challenge8},
    suite::Key,
    time::CardTime,
};

/// File of the terminal number (`00 B0 96 00 06`).
pub const SFI_TERMINAL_NO: u8 = 0x16;
/// File of the SAM's serial number (`00 B0 95 00 0A`).
pub const SFI_SERIAL: u8 = 0x15;
/// File of the key index, that is the purchase class (`00 B0 97 00 01`).
pub const SFI_KEY_INDEX: u8 = 0x17;

/// INIT SAM FOR PURCHASE (`80 70 00 00`). Lc 24; the AES suite appends `H0 | H1` (Lc 34).
/// Answers `termseq4 MAC1`.
#[derive(Debug, Clone, Copy)]
pub struct InitForPurchase {
    /// The card's random number.
    pub rnd: [u8; 4],
    /// The card's offline sequence.
    pub seq: u16,
    /// Amount.
    pub amount: Fen,
    /// Transaction type.
    pub tx: TxType,
    /// Time.
    pub time: CardTime,
    /// Version of the DPK, as INIT answered.
    pub key_version: u8,
    /// Algorithm byte, as INIT answered.
    pub suite: SuiteId,
    /// Last eight bytes of the PAN.
    pub serial8: [u8; 8],
    /// Issuer identifier, bytes 0-7 of file 15.
    pub issuer8: IssuerId,
    /// Journey context (AES suite only).
    pub context: Context,
}

impl InitForPurchase {
    /// From the card's answer and what the terminal decided.
    pub const fn new(
        init: &PurchaseInit,
        amount: Fen,
        tx: TxType,
        time: CardTime,
        serial8: [u8; 8],
        issuer8: IssuerId,
        context: Context,
    ) -> Self {
        Self {
            rnd: init.rnd,
            seq: init.seq,
            amount,
            tx,
            time,
            key_version: init.key_version,
            suite: init.suite,
            serial8,
            issuer8,
            context,
        }
    }

    /// The command.
    pub fn to_apdu(&self) -> Result<Apdu, FormatError> {
        let mut data = heapless::Vec::<u8, 52>::new();
        for part in [
            &self.rnd[..],
            &self.seq.to_be_bytes(),
            &self.amount.to_card()?,
            &[self.tx as u8],
            &self.time.to_bytes(),
            &[self.key_version, self.suite as u8],
            &self.serial8,
            &self.issuer8.0,
        ] {
            data.extend_from_slice(part)
                .map_err(|_| FormatError::Length)?;
        }
        if self.suite == SuiteId::Aes {
            for part in [self.context.h0, self.context.h1] {
                data.extend_from_slice(&part)
                    .map_err(|_| FormatError::Length)?;
            }
        }
        Ok(apdu::build(0x80, 0x70, 0x00, 0x00, &data, Some(8)))
    }

    /// Parses the data field as the SAM receives it.
    pub fn from_bytes(data: &[u8]) -> Result<Self, FormatError> {
        let (fields, rest) = data.split_first_chunk::<36>().ok_or(FormatError::Length)?;
        let sub8 = |i: usize| -> [u8; 8] {
            let mut out = [0; 8];
            out.copy_from_slice(&fields[i..i + 8]);
            out
        };
        let suite = SuiteId::from_byte(fields[19]).ok_or(FormatError::Range)?;
        let context = match (suite, rest.len()) {
            (SuiteId::Aes, 16) => {
                let (h0, h1) = rest.split_at(8);
                Context {
                    h0: h0.try_into().map_err(|_| FormatError::Length)?,
                    h1: h1.try_into().map_err(|_| FormatError::Length)?,
                }
            }
            (SuiteId::Sm4 | SuiteId::Tdes, 0) => Context::default(),
            _ => return Err(FormatError::Length),
        };
        let mut time = [0; 7];
        time.copy_from_slice(&fields[11..18]);
        Ok(Self {
            rnd: [fields[0], fields[1], fields[2], fields[3]],
            seq: u16::from_be_bytes([fields[4], fields[5]]),
            amount: Fen::from_card([fields[6], fields[7], fields[8], fields[9]]),
            tx: TxType::from_byte(fields[10]).ok_or(FormatError::Range)?,
            time: CardTime::from_bytes(time)?,
            key_version: fields[18],
            suite,
            serial8: sub8(20),
            issuer8: IssuerId(sub8(28)),
            context,
        })
    }
}

/// Answer to INIT SAM FOR PURCHASE, also the medical one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mac1 {
    /// Terminal transaction sequence of this transaction.
    pub terminal_seq: u32,
    /// MAC1 for the card.
    pub mac1: [u8; 4],
}

impl Mac1 {
    /// Parses `termseq4 MAC1`.
    pub fn from_bytes(data: &[u8]) -> Result<Self, FormatError> {
        let d: &[u8; 8] = data.try_into().map_err(|_| FormatError::Length)?;
        Ok(Self {
            terminal_seq: u32::from_be_bytes([d[0], d[1], d[2], d[3]]),
            mac1: [d[4], d[5], d[6], d[7]],
        })
    }
}

/// CREDIT SAM FOR PURCHASE: the SAM checks the card's MAC2 of the transaction still open in it.
/// 9000, or 9302 and a failure counted.
pub fn credit(mac2: [u8; 4]) -> Apdu {
    apdu::build(0x80, 0x72, 0x00, 0x00, &mac2, None)
}

/// READ BINARY of the terminal number.
pub fn read_terminal_no() -> Apdu {
    apdu::read_binary(SFI_TERMINAL_NO, 0, 6)
}

/// The terminal number from [`read_terminal_no`]'s answer.
pub fn terminal_no(data: &[u8]) -> Result<SamNo, FormatError> {
    SamNo::from_bytes(data.try_into().map_err(|_| FormatError::Length)?)
}

/// Field lock, first step: deliver the DACK diversified for this card
/// (`80 1A 45 02 10 serial8 | issuer8`; usage 45 = two levels, type 5).
///
/// The field's command names no algorithm. A SAM that holds keys of several suites takes it as one
/// more byte behind (Lc 11): this project's extension, left out with `None`. A SAM that holds several
/// versions wants [`of_version`] too; it answers 6985 when more than one key is meant.
pub fn deliver_lock_key(serial8: [u8; 8], issuer8: IssuerId, suite: Option<SuiteId>) -> Apdu {
    let mut data = [0; 17];
    data[..8].copy_from_slice(&serial8);
    data[8..16].copy_from_slice(&issuer8.0);
    apdu::build(0x80, 0x1A, 0x45, 0x02, with_suite(&mut data, suite), None)
}

/// [`deliver_lock_key`] or [`ssse_deliver`], naming the algorithm, for cards of one key version: a
/// byte more behind. A terminal learns a card's version by trying the ones that its SAM holds, the
/// newest first: a wrong cryptogram or lock MAC is refused and counted by the card.
pub fn of_version(mut deliver: Apdu, version: u8) -> Apdu {
    if deliver.push(version).is_ok()
        && let Some(lc) = deliver.get_mut(4)
    {
        *lc += 1;
    }
    deliver
}

/// Puts the algorithm byte last, or leaves the last byte off.
fn with_suite(data: &mut [u8], suite: Option<SuiteId>) -> &[u8] {
    match suite {
        Some(suite) => {
            if let Some(last) = data.last_mut() {
                *last = suite as u8;
            }
            data
        }
        None => data.split_last().map_or(&[], |(_, field)| field),
    }
}

/// Field lock, second step: `80 FA 05 00 10 rnd4 | 00000000 | 841E000004 800000`. The SAM answers
/// the MAC for these bytes and refuses every other plaintext under this key.
pub fn lock_mac(rnd: [u8; 4]) -> Apdu {
    let mut data = [0; 16];
    data[..4].copy_from_slice(&rnd);
    data[8..].copy_from_slice(&LOCK_BLOCK);
    apdu::build(0x80, 0xFA, 0x05, 0x00, &data, Some(4))
}

/// The only block the SAM MACs with DACK: APPLICATION BLOCK's header and its padding.
pub const LOCK_BLOCK: [u8; 8] = [0x84, 0x1E, 0x00, 0x00, 0x04, 0x80, 0x00, 0x00];

/// Delivers a social-security key for one card and challenge:
/// `BF DE 48 kid 18 F1 | F2 | R` (usage 48 = two diversification levels, type MAC and encrypt).
/// The next [`encrypt`] works with the process key, the card key diversified once more by R. The
/// algorithm byte behind (Lc 19) is this project's extension, as in [`deliver_lock_key`].
pub fn ssse_deliver(
    kid: u8,
    f1: [u8; 8],
    f2: [u8; 8],
    challenge: [u8; 8],
    suite: Option<SuiteId>,
) -> Apdu {
    let mut data = [0; 25];
    data[..8].copy_from_slice(&f1);
    data[8..16].copy_from_slice(&f2);
    data[16..24].copy_from_slice(&challenge);
    apdu::build(0xBF, 0xDE, 0x48, kid, with_suite(&mut data, suite), None)
}

/// CIPHER DATA, encrypt one eight-byte value: `80 FA 00 00 08 T`. Readers fetch the answer with
/// GET RESPONSE (`00 C0 00 00 08`).
pub fn encrypt(value: [u8; 8]) -> Apdu {
    apdu::build(0x80, 0xFA, 0x00, 0x00, &value, None)
}

/// Raise the terminal-sequence ceiling: `84 F0 00 00 08 ceiling4 | MAC4` after GET CHALLENGE, with
/// the SAM's ceiling key over challenge, header and ceiling. This project's own command.
pub fn raise_ceiling(ceiling: u32, mac: [u8; 4]) -> Apdu {
    let mut data = [0; 8];
    data[..4].copy_from_slice(&ceiling.to_be_bytes());
    data[4..].copy_from_slice(&mac);
    apdu::build(0x84, 0xF0, 0x00, 0x00, &data, None)
}

/// Header that the MAC of [`raise_ceiling`] covers.
pub const RAISE_CEILING_HEADER: [u8; 5] = [0x84, 0xF0, 0x00, 0x00, 0x08];

/// Second step of SAM issuing 二次发行, in the field after GET CHALLENGE: a region's key, under the
/// SAM's issuing key. This project's own command:
///
/// `84 D4 00 00 24 E(1A | region3 | header4 | key16 | KCV3 | 80 00 00 00 00) | MAC4`
///
/// `key` is [`crate::perso::sam_key`]'s 26 bytes with the key in clear; cipher, padding and MAC are
/// those of [`crate::sm`], so one challenge serves one key. The SAM takes purchase keys of its own
/// class, field-lock, internal-authentication and reading keys. Otherwise: 6988 MAC wrong (three in
/// a row lock the command, 6983), 6A80 KCV, key type, class or region not accepted, 6A84 no slot.
pub fn write_key(
    suite: SuiteId,
    issuing: &Key,
    challenge: Challenge8,
    key: &[u8; 26],
) -> Result<Apdu, FormatError> {
    let mut data = sm::plaintext::<36>(suite, key).ok_or(FormatError::Length)?;
    sm::encrypt(suite, issuing, challenge, &mut data);
    let mac = sm::mac(suite, issuing, challenge, WRITE_KEY_HEADER, &data);
    data.extend_from_slice(&mac)
        .map_err(|_| FormatError::Length)?;
    Ok(apdu::build(0x84, 0xD4, 0x00, 0x00, &data, None))
}

/// Header that the MAC of [`write_key`] covers.
const WRITE_KEY_HEADER: [u8; 5] = [0x84, 0xD4, 0x00, 0x00, 0x24];

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// A real bus tap (Tianjin): the PSAM command of the same transaction.
    #[test]
    fn field_psam_command_parses_and_rebuilds() {
        let apdu = hex!(
            "8070000024 62020ec1 0059 00000001 09 20190108151751 0100 4990600000000016 02313750ffffffff 08"
        );
        let init = InitForPurchase::from_bytes(&apdu[5..41]).expect("field command");
        assert_eq!(
            (init.seq, init.amount, init.suite),
            (0x59, Fen(1), SuiteId::Tdes)
        );
        assert_eq!(init.to_apdu().expect("amount").as_slice(), apdu);
    }

    #[test]
    fn aes_carries_the_context() {
        let mut data = [0u8; 52];
        data[10] = 0x09;
        data[11..18].copy_from_slice(&hex!("20261123081500"));
        data[18..20].copy_from_slice(&[1, 0x09]);
        assert!(InitForPurchase::from_bytes(&data).is_ok());
        assert!(InitForPurchase::from_bytes(&data[..36]).is_err());
    }
}
