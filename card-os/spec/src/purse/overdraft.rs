//! UPDATE OVERDRAFT LIMIT 修改透支限额: commands, answers and MAC inputs.
//!
//! The headers and lengths (`80 50 04 01 07` Le 13, `80 58 00 00 0E`) are those of the field; the
//! contents follow PBOC e-deposit and e-purse, INITIALIZE FOR UPDATE and UPDATE OVERDRAFT LIMIT,
//! whose text was not at hand: the fields are the ones whose lengths fill the two Lc and Le. The
//! MACs cover them in PBOC's order, under DUK 修改密钥 with the session key of a load. The same in
//! all suites: sequence and balance are in the TAC already.
//!
//! P2 is 01 because PBOC knows an overdraft of the e-deposit only. T-Union gives its one purse the
//! overdraft, so the command keeps its bytes and acts on that purse.

use super::TxType;
use crate::{
    Fen, FormatError, SuiteId,
    apdu::{self, Apdu},
    id::SamNo,
    suite::{Key, MacKey},
    time::CardTime,
};

/// INITIALIZE FOR UPDATE (`80 50 04 01 07 kid | terminal6`).
pub fn init(kid: u8, terminal: SamNo) -> Apdu {
    let mut data = [kid; 7];
    data[1..].copy_from_slice(&terminal.to_bytes());
    apdu::build(0x80, 0x50, 0x04, 0x01, &data, Some(0x13))
}

/// UPDATE OVERDRAFT LIMIT (`80 58 00 00 0E limit3 | time7 | MAC2`); answers the TAC.
pub fn update(limit: Fen, time: CardTime, mac2: [u8; 4]) -> Result<Apdu, FormatError> {
    let mut data = [0; 14];
    data[..3].copy_from_slice(&limit3(limit)?);
    data[3..10].copy_from_slice(&time.to_bytes());
    data[10..].copy_from_slice(&mac2);
    Ok(apdu::build(0x80, 0x58, 0x00, 0x00, &data, Some(4)))
}

/// An overdraft limit as the wire has it.
pub fn limit3(limit: Fen) -> Result<[u8; 3], FormatError> {
    match limit.to_card()? {
        [0, a, b, c] => Ok([a, b, c]),
        _ => Err(FormatError::Range),
    }
}

/// Answer to INITIALIZE FOR UPDATE, 19 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverdraftInit {
    /// Balance, the present overdraft limit counted in.
    pub balance: Fen,
    /// Online transaction sequence, before its increment.
    pub seq: u16,
    /// The present limit.
    pub limit: Fen,
    /// Version of the DUK.
    pub key_version: u8,
    /// Algorithm of the DUK.
    pub suite: SuiteId,
    /// The card's random number.
    pub rnd: [u8; 4],
    /// MAC1, the card's proof towards the issuer.
    pub mac1: [u8; 4],
}

impl OverdraftInit {
    /// Parses `balance4 seq2 limit3 ver1 alg1 rnd4 MAC1`.
    pub fn from_bytes(data: &[u8]) -> Result<Self, FormatError> {
        let (init, mac1) = data.split_last_chunk::<4>().ok_or(FormatError::Length)?;
        // All but the MAC is the answer to INITIALIZE FOR PURCHASE.
        let init = super::PurchaseInit::from_bytes(init)?;
        Ok(Self {
            balance: init.balance,
            seq: init.seq,
            limit: init.overdraft,
            key_version: init.key_version,
            suite: init.suite,
            rnd: init.rnd,
            mac1: *mac1,
        })
    }
}

/// One change of the limit, in every fact that a MAC covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OverdraftUpdate {
    /// The limit before the change.
    pub old_limit: Fen,
    /// Terminal number of the place where it is changed.
    pub terminal: SamNo,
    /// Online sequence, before its increment.
    pub seq: u16,
    /// The card's random number.
    pub rnd: [u8; 4],
    /// Balance before the change, the old limit counted in.
    pub balance_before: Fen,
}

impl OverdraftUpdate {
    fn session(&self, suite: SuiteId, duk: &Key) -> MacKey {
        let ([a, b, c, d], [high, low]) = (self.rnd, self.seq.to_be_bytes());
        duk.session(suite, &[a, b, c, d, high, low, 0x80, 0x00])
    }

    /// `limit3 | type | terminal6`.
    fn fields(&self, limit: Fen) -> [u8; 10] {
        let mut out = [0; 10];
        out[..3].copy_from_slice(&limit3(limit).unwrap_or([0xFF; 3]));
        out[3] = TxType::Overdraft as u8;
        out[4..].copy_from_slice(&self.terminal.to_bytes());
        out
    }

    /// MAC1, from the card to the HSM: `balance | old limit | type | terminal`.
    pub fn mac1(&self, suite: SuiteId, duk: &Key) -> [u8; 4] {
        let balance = self.balance_before.to_card().unwrap_or([0xFF; 4]);
        self.session(suite, duk)
            .mac4(&[&balance, &self.fields(self.old_limit)])
    }

    /// MAC2, from the HSM to the card: `new limit | type | terminal | time`.
    pub fn mac2(&self, suite: SuiteId, duk: &Key, new_limit: Fen, time: CardTime) -> [u8; 4] {
        self.session(suite, duk)
            .mac4(&[&self.fields(new_limit), &time.to_bytes()])
    }

    /// TAC: `new balance | seq | new limit | type | terminal | time`.
    pub fn tac(&self, suite: SuiteId, dtk: &Key, new_limit: Fen, time: CardTime) -> [u8; 4] {
        let after = self.balance_before - self.old_limit + new_limit;
        dtk.tac_key(suite).mac4(&[
            &after.to_card().unwrap_or([0xFF; 4]),
            &self.seq.to_be_bytes(),
            &self.fields(new_limit),
            &time.to_bytes(),
        ])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn headers_and_lengths_are_those_of_the_field() {
        let terminal = "350100000001".parse().expect("digits");
        assert_eq!(
            init(1, terminal).as_slice(),
            hex!("8050040107 01 350100000001 13")
        );
        let time = "2026-11-23T08:15:00".parse().expect("time");
        let update = update(Fen(0x010203), time, [9; 4]).expect("three bytes");
        assert_eq!(update[..8], hex!("805800000E 010203"));
        assert_eq!(update.len(), 5 + 14 + 1);
        assert!(super::update(Fen(0x100_0000), time, [9; 4]).is_err());
    }
}
