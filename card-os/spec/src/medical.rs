//! The medical purse in DF04 (CLA B0): one personal account and two yearly totals.
//!
//! Sources: public hospital reader code for `B0 26`, `B0 28`, `B0 2C` and the PSAM's `8070 01`.
//! Not known from any source and therefore this project's choice, in this module only: the
//! instruction bytes of CREDIT FOR LOAD (2A) and GET TRANSACTION PROVE (2E), and the meaning of bytes 0-13 of INIT FOR PURCHASE.

use crate::{
    Fen, FormatError, SuiteId,
    apdu::{self, Apdu},
    id::SamNo,
    keys::ssse_f2,
    suite::{Key, MacKey},
    time::CardTime,
};

/// Transaction type byte that the PSAM MACs for a visit (32 in the field).
pub const VISIT: u8 = 0x32;
/// Transaction type byte of a load of the personal account (this project's choice).
pub const LOAD: u8 = 0x31;

/// How one bill is paid from the card's point of view: `B0 28 01 01`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Split {
    /// From the personal account 个人账户 (CIA); leaves the card's balance.
    pub personal: Fen,
    /// Self-paid 个人自付, added to the yearly total SPIP.
    pub self_paid: Fen,
    /// Pooled fund 统筹基金, added to the yearly total SPFP.
    pub pooled: Fen,
}

impl Split {
    /// The twelve bytes of the three amounts.
    pub fn to_bytes(self) -> Result<[u8; 12], FormatError> {
        let mut out = [0; 12];
        out[..4].copy_from_slice(&self.personal.to_card()?);
        out[4..8].copy_from_slice(&self.self_paid.to_card()?);
        out[8..].copy_from_slice(&self.pooled.to_card()?);
        Ok(out)
    }

    /// Parses the twelve bytes.
    pub const fn from_bytes(b: [u8; 12]) -> Self {
        Self {
            personal: Fen::from_card([b[0], b[1], b[2], b[3]]),
            self_paid: Fen::from_card([b[4], b[5], b[6], b[7]]),
            pooled: Fen::from_card([b[8], b[9], b[10], b[11]]),
        }
    }
}

/// What GET BALANCE is asked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Balance {
    /// Personal account: four bytes.
    Personal = 0x01,
    /// Self-paid total of the year: four bytes and the year (2).
    SelfPaid = 0x02,
    /// Pooled-fund total of the year: four bytes and the year (2).
    Pooled = 0x03,
}

/// GET BALANCE (`B0 26 00 P2`).
pub fn get_balance(which: Balance) -> Apdu {
    let le = if which == Balance::Personal { 4 } else { 6 };
    apdu::read(0xB0, 0x26, 0x00, which as u8, Some(le))
}

/// INITIALIZE FOR PURCHASE (`B0 28 01 01 13`).
pub fn init_purchase(kid: u8, split: Split, terminal: SamNo) -> Result<Apdu, FormatError> {
    let mut data = [0; 19];
    data[0] = kid;
    data[1..13].copy_from_slice(&split.to_bytes()?);
    data[13..].copy_from_slice(&terminal.to_bytes());
    Ok(apdu::build(0xB0, 0x28, 0x01, 0x01, &data, Some(0x16)))
}

/// INITIALIZE FOR LOAD (`B0 28 00 01 0B`).
pub fn init_load(kid: u8, amount: Fen, terminal: SamNo) -> Result<Apdu, FormatError> {
    let mut data = [0; 11];
    data[0] = kid;
    data[1..5].copy_from_slice(&amount.to_card()?);
    data[5..].copy_from_slice(&terminal.to_bytes());
    Ok(apdu::build(0xB0, 0x28, 0x00, 0x01, &data, Some(0x10)))
}

/// CREDIT FOR LOAD (`B0 2A 00 00 0B time7 MAC2`). The instruction byte is this project's choice.
pub fn credit_for_load(time: CardTime, mac2: [u8; 4]) -> Apdu {
    let mut data = [0; 11];
    data[..7].copy_from_slice(&time.to_bytes());
    data[7..].copy_from_slice(&mac2);
    apdu::build(0xB0, 0x2A, 0x00, 0x00, &data, Some(4))
}

/// DEBIT (`B0 2C 01 00 0F termseq4 time7 MAC1`).
pub fn debit(terminal_seq: u32, time: CardTime, mac1: [u8; 4]) -> Apdu {
    let data = crate::purse::debit_data(terminal_seq, time, mac1);
    apdu::build(0xB0, 0x2C, 0x01, 0x00, &data, Some(8))
}

/// GET TRANSACTION PROVE (`B0 2E 00 type 02 seq2`) for [`VISIT`] or [`LOAD`] and the sequence after
/// its increment (INIT's plus one). Answers `MAC2 | TAC`, as the transit purse's does. The
/// instruction byte is this project's choice.
pub fn prove(tx: u8, seq_after: u16) -> Apdu {
    apdu::build(0xB0, 0x2E, 0x00, tx, &seq_after.to_be_bytes(), Some(8))
}

/// Answer to INITIALIZE FOR PURCHASE, 22 bytes:
/// `personal4 SPIP4 SPFP4 year2 | seq2 ver1 alg1 rnd4`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurchaseInit {
    /// Personal account before the debit.
    pub balance: Fen,
    /// Self-paid total of the year.
    pub self_paid_total: Fen,
    /// Pooled-fund total of the year.
    pub pooled_total: Fen,
    /// Year of the totals.
    pub year: u16,
    /// Offline sequence, before its increment.
    pub seq: u16,
    /// Version of the MPK.
    pub key_version: u8,
    /// Algorithm of the MPK.
    pub suite: SuiteId,
    /// The card's random number.
    pub rnd: [u8; 4],
}

impl PurchaseInit {
    /// Length in bytes.
    pub const LEN: usize = 22;

    /// The 22 bytes; totals and balance must fit four bytes.
    pub fn to_bytes(&self) -> [u8; 22] {
        let mut out = [0; 22];
        let amounts = [self.balance, self.self_paid_total, self.pooled_total];
        for (target, amount) in out.chunks_exact_mut(4).zip(amounts) {
            target.copy_from_slice(&amount.to_card().unwrap_or([0xFF; 4]));
        }
        out[12..14].copy_from_slice(&year_to_bcd(self.year));
        out[14..16].copy_from_slice(&self.seq.to_be_bytes());
        out[16] = self.key_version;
        out[17] = self.suite as u8;
        out[18..].copy_from_slice(&self.rnd);
        out
    }

    /// Parses the 22 bytes.
    pub fn from_bytes(data: &[u8]) -> Result<Self, FormatError> {
        let d: &[u8; 22] = data.try_into().map_err(|_| FormatError::Length)?;
        let amount = |i: usize| Fen::from_card([d[i], d[i + 1], d[i + 2], d[i + 3]]);
        Ok(Self {
            balance: amount(0),
            self_paid_total: amount(4),
            pooled_total: amount(8),
            year: year_from_bcd([d[12], d[13]])?,
            seq: u16::from_be_bytes([d[14], d[15]]),
            key_version: d[16],
            suite: SuiteId::from_byte(d[17]).ok_or(FormatError::Range)?,
            rnd: [d[18], d[19], d[20], d[21]],
        })
    }
}

/// A year as two packed bytes.
pub const fn year_to_bcd(year: u16) -> [u8; 2] {
    [
        crate::bcd::pack((year / 100 % 100) as u8),
        crate::bcd::pack((year % 100) as u8),
    ]
}

/// A year from two packed bytes; an empty total has year 0.
pub fn year_from_bcd(bytes: [u8; 2]) -> Result<u16, FormatError> {
    Ok(u16::from(crate::bcd::unpack(bytes[0])?) * 100 + u16::from(crate::bcd::unpack(bytes[1])?))
}

/// One medical debit, in every fact that a MAC covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// The three amounts.
    pub split: Split,
    /// SAM number of the hospital's window.
    pub terminal: SamNo,
    /// Terminal transaction sequence of the SAM.
    pub terminal_seq: u32,
    /// Time.
    pub time: CardTime,
    /// Offline sequence of the medical purse, before its increment.
    pub seq: u16,
    /// The card's random number.
    pub rnd: [u8; 4],
}

impl Visit {
    fn session(&self, suite: SuiteId, mpk: &Key) -> MacKey {
        let mut input = heapless::Vec::<u8, 16>::new();
        let term = self.terminal_seq.to_be_bytes();
        let _ = input.extend_from_slice(&self.rnd);
        let _ = input.extend_from_slice(&self.seq.to_be_bytes());
        if suite == SuiteId::Aes {
            let _ = input.extend_from_slice(&term);
            let _ = input.extend_from_slice(&self.terminal.to_bytes());
        } else {
            let _ = input.extend_from_slice(&term[2..]);
        }
        mpk.session(suite, &input)
    }

    /// MAC1, from the medical PSAM to the card: `amounts | type | terminal | time`.
    pub fn mac1(&self, suite: SuiteId, mpk: &Key) -> [u8; 4] {
        let amounts = self.split.to_bytes().unwrap_or([0xFF; 12]);
        let (terminal, time) = (self.terminal.to_bytes(), self.time.to_bytes());
        self.session(suite, mpk)
            .mac4(&[&amounts, &[VISIT], &terminal, &time])
    }

    /// MAC2, from the card to the medical PSAM: the amounts.
    pub fn mac2(&self, suite: SuiteId, mpk: &Key) -> [u8; 4] {
        let amounts = self.split.to_bytes().unwrap_or([0xFF; 12]);
        self.session(suite, mpk).mac4(&[&amounts])
    }

    /// TAC: `amounts | type | terminal | termseq | time`, and in the AES suite `seq | balance after`.
    pub fn tac(&self, suite: SuiteId, mtk: &Key, balance_after: Fen) -> [u8; 4] {
        let amounts = self.split.to_bytes().unwrap_or([0xFF; 12]);
        let (terminal, time) = (self.terminal.to_bytes(), self.time.to_bytes());
        let term_seq = self.terminal_seq.to_be_bytes();
        let seq = self.seq.to_be_bytes();
        let balance = balance_after.to_card().unwrap_or([0xFF; 4]);
        let extra: [&[u8]; 2] = if suite == SuiteId::Aes {
            [&seq, &balance]
        } else {
            [&[], &[]]
        };
        mtk.tac_key(suite).mac4(&[
            &amounts,
            &[VISIT],
            &terminal,
            &term_seq,
            &time,
            extra[0],
            extra[1],
        ])
    }
}

/// One load of the personal account, in every fact that a MAC covers: the purse's formulas with
/// type [`LOAD`], keys MLK and MTK (this project's choice).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Load {
    /// Amount.
    pub amount: Fen,
    /// SAM or terminal number of the loading point.
    pub terminal: SamNo,
    /// Online sequence of the medical purse, before its increment.
    pub seq: u16,
    /// The card's random number.
    pub rnd: [u8; 4],
    /// Personal account before the load.
    pub balance_before: Fen,
}

impl Load {
    fn session(&self, suite: SuiteId, mlk: &Key) -> MacKey {
        let [a, b, c, d] = self.rnd;
        let [high, low] = self.seq.to_be_bytes();
        mlk.session(suite, &[a, b, c, d, high, low, 0x80, 0x00])
    }

    fn fields(&self) -> [u8; 11] {
        let mut out = [0; 11];
        out[..4].copy_from_slice(&self.amount.to_card().unwrap_or([0xFF; 4]));
        out[4] = LOAD;
        out[5..].copy_from_slice(&self.terminal.to_bytes());
        out
    }

    /// MAC1, from the card to the HSM: `balance | amount | type | terminal`.
    pub fn mac1(&self, suite: SuiteId, mlk: &Key) -> [u8; 4] {
        let balance = self.balance_before.to_card().unwrap_or([0xFF; 4]);
        self.session(suite, mlk).mac4(&[&balance, &self.fields()])
    }

    /// MAC2, from the HSM to the card: `amount | type | terminal | time`.
    pub fn mac2(&self, suite: SuiteId, mlk: &Key, time: CardTime) -> [u8; 4] {
        self.session(suite, mlk)
            .mac4(&[&self.fields(), &time.to_bytes()])
    }

    /// TAC: `new balance | seq | amount | type | terminal | time`.
    pub fn tac(&self, suite: SuiteId, mtk: &Key, time: CardTime) -> [u8; 4] {
        let after = (self.balance_before + self.amount)
            .to_card()
            .unwrap_or([0xFF; 4]);
        mtk.tac_key(suite).mac4(&[
            &after,
            &self.seq.to_be_bytes(),
            &self.fields(),
            &time.to_bytes(),
        ])
    }
}

/// What a medical PSAM needs for MAC1 (`80 70 01 00 2C`):
/// `rnd4 seq2 3 x amount4 type1 time7 ver1 alg1 F1(8) F2(8)`; answers `termseq4 MAC1`.
pub fn psam_init(
    init: &PurchaseInit,
    split: Split,
    time: CardTime,
    f1: [u8; 8],
    region: crate::id::RegionCode,
) -> Result<Apdu, FormatError> {
    let mut data = heapless::Vec::<u8, 44>::new();
    for part in [
        &init.rnd[..],
        &init.seq.to_be_bytes(),
        &split.to_bytes()?,
        &[VISIT],
        &time.to_bytes(),
        &[init.key_version, init.suite as u8],
        &f1,
        &ssse_f2(region),
    ] {
        data.extend_from_slice(part)
            .map_err(|_| FormatError::Length)?;
    }
    Ok(apdu::build(0x80, 0x70, 0x01, 0x00, &data, Some(8)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_those_of_the_field() {
        let split = Split {
            personal: Fen(452),
            self_paid: Fen(23),
            pooled: Fen(0),
        };
        let terminal = "350100000009".parse().expect("digits");
        let init = init_purchase(1, split, terminal).expect("amounts");
        assert_eq!(init[..5], [0xB0, 0x28, 0x01, 0x01, 0x13]);
        assert_eq!(init.last(), Some(&0x16));
        let answer = PurchaseInit {
            balance: Fen(137_815),
            self_paid_total: Fen(1),
            pooled_total: Fen(2),
            year: 2026,
            seq: 7,
            key_version: 1,
            suite: SuiteId::Aes,
            rnd: [1, 2, 3, 4],
        };
        assert_eq!(answer.to_bytes()[14..16], [0, 7]);
        assert_eq!(PurchaseInit::from_bytes(&answer.to_bytes()), Ok(answer));
        let time = "2026-11-23T08:15:00".parse().expect("time");
        let region = "350100".parse().expect("region");
        let psam = psam_init(&answer, split, time, [0; 8], region).expect("fits");
        assert_eq!(psam[..5], [0x80, 0x70, 0x01, 0x00, 0x2C]);
    }
}
