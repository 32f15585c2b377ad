//! The social-security application (SSSE): records, files, access profiles, authentication.

use crate::{
    Fen, FormatError,
    apdu::{self, Apdu},
    id::{Pan, RegionCode},
    time::CardDate,
};

/// File identifiers under the SSSE.
pub mod fid {
    /// Card data.
    pub const EF05: u16 = 0xEF05;
    /// Holder data.
    pub const EF06: u16 = 0xEF06;
    /// Fingerprint.
    pub const EF07: u16 = 0xEF07;
    /// Photo, up to 20 KiB.
    pub const EF08: u16 = 0xEF08;
    /// How to reach the holder. The field is only known to read and write it with key 07; the
    /// contents ([`super::contact`](super::contact)) are ours.
    pub const EF0C: u16 = 0xEF0C;
    /// Log of services. The field is only known to write it with key 0D; the contents
    /// ([`super::ServiceRecord`]) are ours.
    pub const EF0D: u16 = 0xEF0D;
}

/// Record tags and value lengths.
pub mod tag {
    /// Card identifier 卡识别码, 16 bytes; the first three are the region code.
    pub const CARD_ID: (u8, usize) = (0x01, 16);
    /// Card type, 1 an.
    pub const CARD_TYPE: (u8, usize) = (0x02, 1);
    /// Specification version, 4 an.
    pub const VERSION: (u8, usize) = (0x03, 4);
    /// Initialising institution, 12 bytes.
    pub const INSTITUTION: (u8, usize) = (0x04, 12);
    /// Issue date, 4 cn.
    pub const ISSUED: (u8, usize) = (0x05, 4);
    /// Expiry, 4 cn.
    pub const EXPIRES: (u8, usize) = (0x06, 4);
    /// Card number, 9 an.
    pub const CARD_NO: (u8, usize) = (0x07, 9);
    /// Social security number 社会保障号码, 18 an.
    pub const SSN: (u8, usize) = (0x08, 18);
    /// Name 姓名, 30 bytes GB 18030.
    pub const NAME: (u8, usize) = (0x09, 30);
    /// Name extension, 20 bytes.
    pub const NAME_EXT: (u8, usize) = (0x4E, 20);
    /// Sex: '1' male, '2' female.
    pub const SEX: (u8, usize) = (0x0A, 1);
    /// Ethnicity, 1 cn.
    pub const ETHNICITY: (u8, usize) = (0x0B, 1);
    /// Birthplace, 3 cn.
    pub const BIRTHPLACE: (u8, usize) = (0x0C, 3);
    /// Birthday, 4 cn.
    pub const BIRTHDAY: (u8, usize) = (0x0D, 4);
}

/// Tags of EF0C. Values have any length up to 60 bytes.
pub mod contact {
    /// Telephone, digits.
    pub const TELEPHONE: u8 = 0x21;
    /// Address, GB 18030.
    pub const ADDRESS: u8 = 0x22;
    /// Postal code, digits.
    pub const POSTAL_CODE: u8 = 0x23;
}

/// What a service of the social-security side was about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum Service {
    /// Pension 养老.
    Pension = 1,
    /// Medical care 医疗.
    Medical = 2,
    /// Unemployment 失业.
    Unemployment = 3,
    /// Relief 救助.
    Relief = 4,
    /// Family planning 计生.
    FamilyPlanning = 5,
}

/// A record of EF0D: `service 1 | date 4 | region 3 | amount 4 | serial 4`. Ten are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServiceRecord {
    /// What it was about.
    pub service: Service,
    /// Day of the service.
    pub date: CardDate,
    /// Region of the office.
    pub region: RegionCode,
    /// Money granted, zero if none.
    pub amount: Fen,
    /// The office's own number for it.
    pub serial: u32,
}

impl ServiceRecord {
    /// Bytes of a record.
    pub const LEN: usize = 16;

    /// The record's bytes.
    pub fn to_bytes(&self) -> Result<[u8; Self::LEN], FormatError> {
        let mut out = [0; Self::LEN];
        out[0] = self.service as u8;
        out[1..5].copy_from_slice(&self.date.to_bytes());
        out[5..8].copy_from_slice(&self.region.to_bytes());
        out[8..12].copy_from_slice(&self.amount.to_card()?);
        out[12..].copy_from_slice(&self.serial.to_be_bytes());
        Ok(out)
    }
}

/// Records of EF05, in order.
pub const EF05_RECORDS: [(u8, usize); 7] = [
    tag::CARD_ID,
    tag::CARD_TYPE,
    tag::VERSION,
    tag::INSTITUTION,
    tag::ISSUED,
    tag::EXPIRES,
    tag::CARD_NO,
];

/// Records of EF06 from version 2 on.
pub const EF06_RECORDS: [(u8, usize); 7] = [
    tag::SSN,
    tag::NAME,
    tag::NAME_EXT,
    tag::SEX,
    tag::ETHNICITY,
    tag::BIRTHPLACE,
    tag::BIRTHDAY,
];

/// Records of EF06 in version 1 (no name extension).
pub const EF06_RECORDS_V1: [(u8, usize); 6] = [
    tag::SSN,
    tag::NAME,
    tag::SEX,
    tag::ETHNICITY,
    tag::BIRTHPLACE,
    tag::BIRTHDAY,
];

/// Which generation of the specification a card follows; decides records and access.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(rename_all = "lowercase")
)]
#[repr(u8)]
pub enum Profile {
    /// "1.00": EF05 and EF06 free to read; EF06 without name extension.
    V1 = 1,
    /// "2.00": EF05 and EF06 free to read.
    V2 = 2,
    /// "3.00": EF05-EF07 only after EXTERNAL AUTHENTICATE with key 0A. The production default.
    V3 = 3,
}

impl Profile {
    /// From the personalised byte.
    pub const fn from_byte(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::V1),
            2 => Some(Self::V2),
            3 => Some(Self::V3),
            _ => None,
        }
    }

    /// The value of EF05's version record.
    pub const fn version_text(self) -> &'static [u8; 4] {
        match self {
            Self::V1 => b"1.00",
            Self::V2 => b"2.00",
            Self::V3 => b"3.00",
        }
    }

    /// The records of EF06, in this profile's order.
    pub const fn ef06(self) -> &'static [(u8, usize)] {
        match self {
            Self::V1 => &EF06_RECORDS_V1,
            Self::V2 | Self::V3 => &EF06_RECORDS,
        }
    }
}

impl core::str::FromStr for Profile {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        match text {
            "v1" => Ok(Self::V1),
            "v2" => Ok(Self::V2),
            "v3" => Ok(Self::V3),
            _ => Err(FormatError::Range),
        }
    }
}

/// The card's ATR: T=1 only, historical bytes `"OC" 01 serial8`, and the check byte.
pub fn atr(serial8: [u8; 8]) -> [u8; 15] {
    let mut atr = [0; 15];
    atr[..6].copy_from_slice(&[0x3B, 0x8B, 0x01, b'O', b'C', 0x01]);
    atr[6..14].copy_from_slice(&serial8);
    atr[14] = atr[1..14].iter().fold(0, |x, b| x ^ b);
    atr
}

/// F1, the card-level factor of social-security keys: the last eight bytes of an ATR.
pub fn f1_from_atr(atr: &[u8]) -> Result<[u8; 8], FormatError> {
    atr.last_chunk::<8>().copied().ok_or(FormatError::Length)
}

/// F1 of one of our own cards, from its PAN.
pub fn f1(pan: Pan) -> [u8; 8] {
    let [_, _, _, _, _, _, _, f1 @ ..] = atr(pan.serial8());
    f1
}

/// READ RECORD by tag of the selected file (`00 B2 tag 00`), as most readers do. Le counts tag and
/// length.
pub fn read_by_tag((tag, length): (u8, usize)) -> Apdu {
    apdu::read(0x00, 0xB2, tag, 0x00, Some(length as u16 + 2))
}

/// READ RECORD by number and SFI (`00 B2 nn SFI<<3|4`).
pub fn read_by_number(sfi: u8, number: u8, (_, length): (u8, usize)) -> Apdu {
    apdu::read_record(sfi, number, length as u16 + 2)
}

/// UPDATE RECORD by tag: `00 DC tag (SFI<<3) Lc tag len value`.
pub fn update_by_tag(sfi: u8, tag: u8, value: &[u8]) -> Result<Apdu, FormatError> {
    let mut data = heapless::Vec::<u8, 255>::new();
    let length = u8::try_from(value.len()).map_err(|_| FormatError::Length)?;
    data.extend_from_slice(&[tag, length])
        .and_then(|()| data.extend_from_slice(value))
        .map_err(|_| FormatError::Length)?;
    Ok(apdu::build(0x00, 0xDC, tag, sfi << 3, &data, None))
}

/// The value inside a record's `tag | len | value`, checked against the tag asked for.
pub fn record_value(record: &[u8], tag: u8) -> Result<&[u8], FormatError> {
    match record {
        [t, length, value @ ..] if *t == tag && usize::from(*length) <= value.len() => {
            Ok(&value[..usize::from(*length)])
        }
        _ => Err(FormatError::Length),
    }
}

/// EXTERNAL AUTHENTICATE of the social-security application: `00 82 00 kid 10 E | T`.
pub fn external_authenticate(kid: u8, cryptogram: [u8; 8], terminal: [u8; 8]) -> Apdu {
    let mut data = [0; 16];
    data[..8].copy_from_slice(&cryptogram);
    data[8..].copy_from_slice(&terminal);
    apdu::build(0x00, 0x82, 0x00, kid, &data, None)
}

/// MUTUAL AUTHENTICATE: EXTERNAL AUTHENTICATE with Le. The card answers the cryptogram of its
/// challenge under the process key for T.
pub fn mutual_authenticate(kid: u8, cryptogram: [u8; 8], terminal: [u8; 8]) -> Apdu {
    let mut apdu = external_authenticate(kid, cryptogram, terminal);
    let _ = apdu.push(8);
    apdu
}

/// INTERNAL AUTHENTICATE: `00 88 00 kid 08 R`; the card answers [`crate::suite::Key::cryptogram8`]
/// of R under its process key for that challenge.
pub fn internal_authenticate(kid: u8, challenge: [u8; 8]) -> Apdu {
    apdu::build(0x00, 0x88, 0x00, kid, &challenge, Some(8))
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;

    #[test]
    fn reads_are_those_of_public_readers() {
        // EF05 record 7 by number; tag 08 (18 + 2 bytes) by tag.
        assert_eq!(
            read_by_number(5, 7, tag::CARD_NO).as_slice(),
            hex!("00B2072C0B")
        );
        assert_eq!(read_by_tag(tag::SSN).as_slice(), hex!("00B2080014"));
        assert_eq!(apdu::select_ef(fid::EF05)[..7], hex!("00A4020002EF05"));
    }

    #[test]
    fn f1_of_a_pan_is_the_end_of_its_atr() {
        let pan: Pan = "03500000000000001234".parse().expect("digits");
        let atr = atr(pan.serial8());
        assert_eq!(f1_from_atr(&atr), Ok(f1(pan)));
        // ISO 7816-3: T0..TCK XOR to zero when a protocol other than T=0 is offered.
        assert_eq!(atr[1..].iter().fold(0, |x, b| x ^ b), 0);
    }
}
