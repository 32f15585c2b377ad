//! The PBOC e-purse and the T-Union transit purse: commands, answers, files and MAC inputs.

pub mod files;
pub mod mac;
pub mod overdraft;

use crate::{
    Fen, FormatError, SuiteId,
    apdu::{self, Apdu},
    id::SamNo,
    time::CardTime,
};

/// Short file identifiers of the purse application.
pub mod sfi {
    /// Public application data, 30 bytes.
    pub const PUBLIC: u8 = 0x15;
    /// Holder data, 55 bytes.
    pub const HOLDER: u8 = 0x16;
    /// Regional data and card kind, 60 bytes.
    pub const REGION: u8 = 0x17;
    /// Transaction log, cyclic, 23 bytes.
    pub const LOG: u8 = 0x18;
    /// Metro and special records, 128 bytes each.
    pub const METRO: u8 = 0x1A;
    /// Travel record, 24 bytes, this project's own: what the next terminal must know.
    pub const TRAVEL: u8 = 0x1B;
    /// Journey log, cyclic, 48 bytes.
    pub const JOURNEY: u8 = 0x1E;
}

/// Transaction types, as logged and as MACed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "kebab-case")
)]
#[repr(u8)]
pub enum TxType {
    /// Load of the e-deposit (ED).
    LoadEd = 0x01,
    /// Load of the e-purse (EP).
    Load = 0x02,
    /// ED purchase.
    PurchaseEd = 0x05,
    /// EP purchase.
    Purchase = 0x06,
    /// Change of the overdraft limit.
    Overdraft = 0x07,
    /// Compound (CAPP) purchase.
    Capp = 0x09,
}

impl TxType {
    /// From the logged byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            0x01 => Some(Self::LoadEd),
            0x02 => Some(Self::Load),
            0x05 => Some(Self::PurchaseEd),
            0x06 => Some(Self::Purchase),
            0x07 => Some(Self::Overdraft),
            0x09 => Some(Self::Capp),
            _ => None,
        }
    }
}

/// What INITIALIZE FOR LOAD and FOR PURCHASE ask.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct InitRequest {
    /// Key index.
    pub kid: u8,
    /// Amount.
    pub amount: Fen,
    /// SAM (terminal) number.
    pub terminal: SamNo,
}

impl InitRequest {
    /// The eleven data bytes `kid | amount4 | terminal6`.
    pub fn to_bytes(self) -> Result<[u8; 11], FormatError> {
        let mut out = [0; 11];
        out[0] = self.kid;
        out[1..5].copy_from_slice(&self.amount.to_card()?);
        out[5..].copy_from_slice(&self.terminal.to_bytes());
        Ok(out)
    }

    /// Parses the eleven data bytes.
    pub fn from_bytes(data: &[u8]) -> Result<Self, FormatError> {
        let data: &[u8; 11] = data.try_into().map_err(|_| FormatError::Length)?;
        let [kid, a, b, c, d, terminal @ ..] = *data;
        Ok(Self {
            kid,
            amount: Fen::from_card([a, b, c, d]),
            terminal: SamNo::from_bytes(terminal)?,
        })
    }

    /// INITIALIZE FOR LOAD of the purse (`80 50 00 02`).
    pub fn load(self) -> Result<Apdu, FormatError> {
        Ok(apdu::build(
            0x80,
            0x50,
            0x00,
            0x02,
            &self.to_bytes()?,
            Some(0x10),
        ))
    }

    /// INITIALIZE FOR PURCHASE (`80 50 01 02`).
    pub fn purchase(self) -> Result<Apdu, FormatError> {
        Ok(apdu::build(
            0x80,
            0x50,
            0x01,
            0x02,
            &self.to_bytes()?,
            Some(0x0F),
        ))
    }

    /// INITIALIZE FOR CAPP PURCHASE (`80 50 03 02`).
    pub fn capp_purchase(self) -> Result<Apdu, FormatError> {
        Ok(apdu::build(
            0x80,
            0x50,
            0x03,
            0x02,
            &self.to_bytes()?,
            Some(0x0F),
        ))
    }
}

/// Answer to INITIALIZE FOR LOAD, 16 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadInit {
    /// Balance before the load.
    pub balance: Fen,
    /// Online transaction sequence, before its increment.
    pub seq: u16,
    /// Version of the DLK.
    pub key_version: u8,
    /// Algorithm of the DLK.
    pub suite: SuiteId,
    /// The card's random number.
    pub rnd: [u8; 4],
    /// MAC1, the card's proof towards the issuer.
    pub mac1: [u8; 4],
}

impl LoadInit {
    /// Parses `balance4 seq2 ver1 alg1 rnd4 MAC1`.
    pub fn from_bytes(data: &[u8]) -> Result<Self, FormatError> {
        let d: &[u8; 16] = data.try_into().map_err(|_| FormatError::Length)?;
        Ok(Self {
            balance: Fen::from_card([d[0], d[1], d[2], d[3]]),
            seq: u16::from_be_bytes([d[4], d[5]]),
            key_version: d[6],
            suite: SuiteId::from_byte(d[7]).ok_or(FormatError::Range)?,
            rnd: [d[8], d[9], d[10], d[11]],
            mac1: [d[12], d[13], d[14], d[15]],
        })
    }
}

/// Answer to INITIALIZE FOR (CAPP) PURCHASE, 15 bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PurchaseInit {
    /// Balance before the purchase (overdraft counted in).
    pub balance: Fen,
    /// Offline transaction sequence, before its increment.
    pub seq: u16,
    /// Overdraft limit, three bytes on the wire.
    pub overdraft: Fen,
    /// Version of the DPK.
    pub key_version: u8,
    /// Algorithm of the DPK.
    pub suite: SuiteId,
    /// The card's random number.
    pub rnd: [u8; 4],
}

impl PurchaseInit {
    /// Parses `balance4 seq2 overdraft3 ver1 alg1 rnd4`.
    pub fn from_bytes(data: &[u8]) -> Result<Self, FormatError> {
        let d: &[u8; 15] = data.try_into().map_err(|_| FormatError::Length)?;
        Ok(Self {
            balance: Fen::from_card([d[0], d[1], d[2], d[3]]),
            seq: u16::from_be_bytes([d[4], d[5]]),
            overdraft: Fen::from_card([0, d[6], d[7], d[8]]),
            key_version: d[9],
            suite: SuiteId::from_byte(d[10]).ok_or(FormatError::Range)?,
            rnd: [d[11], d[12], d[13], d[14]],
        })
    }
}

/// Answer to DEBIT: `TAC4 MAC2(4)`. PROVE answers the same two in the other order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Debited {
    /// Transaction authentication code, checked by the clearing house.
    pub tac: [u8; 4],
    /// The card's proof towards the SAM.
    pub mac2: [u8; 4],
}

impl Debited {
    /// From DEBIT's eight bytes.
    pub fn from_debit(data: &[u8]) -> Result<Self, FormatError> {
        let d: &[u8; 8] = data.try_into().map_err(|_| FormatError::Length)?;
        Ok(Self {
            tac: [d[0], d[1], d[2], d[3]],
            mac2: [d[4], d[5], d[6], d[7]],
        })
    }

    /// From GET TRANSACTION PROVE's eight bytes.
    pub fn from_prove(data: &[u8]) -> Result<Self, FormatError> {
        let other = Self::from_debit(data)?;
        Ok(Self {
            tac: other.mac2,
            mac2: other.tac,
        })
    }
}

/// GET BALANCE (`80 5C 00 02 04`).
pub fn get_balance() -> Apdu {
    apdu::read(0x80, 0x5C, 0x00, 0x02, Some(4))
}

/// CREDIT FOR LOAD: `date4 time3 MAC2`.
pub fn credit_for_load(time: CardTime, mac2: [u8; 4]) -> Apdu {
    let mut data = [0; 11];
    data[..7].copy_from_slice(&time.to_bytes());
    data[7..].copy_from_slice(&mac2);
    apdu::build(0x80, 0x52, 0x00, 0x00, &data, Some(4))
}

/// DEBIT FOR (CAPP) PURCHASE: `termseq4 date4 time3 MAC1`.
pub fn debit(terminal_seq: u32, time: CardTime, mac1: [u8; 4]) -> Apdu {
    apdu::build(
        0x80,
        0x54,
        0x01,
        0x00,
        &debit_data(terminal_seq, time, mac1),
        Some(8),
    )
}

/// The fifteen data bytes that the purse's and the medical purse's DEBIT share.
pub fn debit_data(terminal_seq: u32, time: CardTime, mac1: [u8; 4]) -> [u8; 15] {
    let mut data = [0; 15];
    data[..4].copy_from_slice(&terminal_seq.to_be_bytes());
    data[4..11].copy_from_slice(&time.to_bytes());
    data[11..].copy_from_slice(&mac1);
    data
}

/// UPDATE CAPP DATA CACHE by record number: `80 DC nn (SFI<<3|4)`; `number` 0 is the record that
/// a cyclic file appends (as deployed terminals write 1E: `80DC00F030`).
pub fn update_capp_cache(sfi: u8, number: u8, data: &[u8]) -> Apdu {
    let mode = if number == 0 { 0 } else { 4 };
    apdu::build(0x80, 0xDC, number, (sfi << 3) | mode, data, None)
}

/// GET TRANSACTION PROVE for a transaction type and the sequence after its increment
/// (the sequence of INIT plus one).
pub fn prove(tx: TxType, seq_after: u16) -> Apdu {
    apdu::build(
        0x80,
        0x5A,
        0x00,
        tx as u8,
        &seq_after.to_be_bytes(),
        Some(8),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    /// A real bus tap (Tianjin), as captured by a public reader.
    #[test]
    fn field_exchange_parses_and_rebuilds() {
        let request = InitRequest {
            kid: 1,
            amount: Fen(0),
            terminal: "413101210198".parse().expect("digits"),
        };
        assert_eq!(
            request.capp_purchase().expect("amount").as_slice(),
            hex!("805003020b 01 00000000 413101210198 0f")
        );
        let init = PurchaseInit::from_bytes(&hex!("0000471c 0059 000000 01 00 62020ec1"));
        let init = init.expect("field answer");
        assert_eq!(
            (init.balance, init.seq, init.suite),
            (Fen(0x471C), 0x59, SuiteId::Tdes)
        );
        let time = CardTime::from_bytes(hex!("20190108151751")).expect("time");
        assert_eq!(
            debit(0x1E7, time, hex!("b915cae7")).as_slice(),
            hex!("805401000f 000001e7 20190108151751 b915cae7 08")
        );
        let debited = Debited::from_debit(&hex!("4fe3d8dd 046bf062")).expect("eight bytes");
        assert_eq!(debited.mac2, hex!("046bf062"));
        assert_eq!(
            update_capp_cache(sfi::JOURNEY, 0, &[0; 48])[..5],
            hex!("80DC00F030")
        );
    }
}
