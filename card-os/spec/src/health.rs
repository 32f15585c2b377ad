//! Health data 健康信息 of the holder, after the resident health card 居民健康卡 (WS/T 543).
//!
//! The tags of EF05, EF06 and EF08 are the standard's; its lengths were not at hand, so values have
//! any length up to the room of their record. Emergency set and visits are ours. The photo is the
//! social-security application's EF08: a card has one.

use crate::{FormatError, time::CardTime};

/// File identifiers.
pub mod fid {
    /// Card data, tags 1 to 6, 8 to 10 and 57 (city). Free to read through the contacts.
    pub const CARD: u16 = 0xEF05;
    /// Holder data, tags 11 to 15: name, sex, ethnicity, birth date, identity number.
    pub const HOLDER: u16 = 0xEF06;
    /// Addresses and telephones, tags 7 and 16 to 20.
    pub const CONTACT: u16 = 0xEF08;
    /// Emergency set ([`super::emergency`]).
    pub const EMERGENCY: u16 = 0xEF0E;
    /// Last visits, cyclic ([`super::Visit`]).
    pub const VISITS: u16 = 0xEF12;
}

/// Key ids.
pub mod kid {
    /// Internal authentication (the IRK).
    pub const INTERNAL: u8 = 0x21;
    /// Writes every file (a UK).
    pub const WRITE: u8 = 0x24;
    /// Reads every file (an RK): hospitals.
    pub const READ: u8 = 0x2A;
    /// Reads the emergency set (an RK): ambulances.
    pub const EMERGENCY: u8 = 0x2E;
}

/// Tags of EF06 (decimal 11 to 15 in the standard).
pub mod holder {
    /// Name, GB 18030.
    pub const NAME: u8 = 11;
    /// Sex, `1` or `2`.
    pub const SEX: u8 = 12;
    /// Ethnicity, 1 cn.
    pub const ETHNICITY: u8 = 13;
    /// Birth date, 4 cn.
    pub const BIRTH_DATE: u8 = 14;
    /// Identity number, 18 an.
    pub const ID_NUMBER: u8 = 15;
}

/// Tags of the emergency set. Allergies, conditions and contacts may come more than once: "next
/// occurrence" reads the others.
pub mod emergency {
    /// Blood group 血型: [`super::BloodGroup`], then `+`, `-` or `?` for Rh.
    pub const BLOOD_GROUP: u8 = 0x41;
    /// Allergy 过敏, GB 18030.
    pub const ALLERGY: u8 = 0x42;
    /// Chronic condition or implant 慢性病, GB 18030.
    pub const CONDITION: u8 = 0x43;
    /// Whom to call 紧急联系人: telephone in ASCII, a comma, name in GB 18030.
    pub const CONTACT: u8 = 0x44;
}

/// ABO blood group, as its ASCII letter (O is `O`, AB is `C`; unknown is `?`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum BloodGroup {
    /// A.
    A = b'A',
    /// B.
    B = b'B',
    /// AB.
    Ab = b'C',
    /// O.
    O = b'O',
    /// Not known.
    Unknown = b'?',
}

/// A record of the visits: `time 7 | institution 6 | department 2 | kind 1 | diagnosis 10 |
/// reserved 6`. Twelve are kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Visit {
    /// When.
    pub time: CardTime,
    /// Institution 医疗机构, 12 digits packed.
    pub institution: [u8; 6],
    /// Department 科室, a code of the national list, 2 cn.
    pub department: [u8; 2],
    /// What kind of visit.
    pub kind: VisitKind,
    /// Main diagnosis, ICD-10, padded with 00.
    pub diagnosis: [u8; 10],
}

/// Kind of a visit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum VisitKind {
    /// Out-patient 门诊.
    OutPatient = 1,
    /// Emergency 急诊.
    Emergency = 2,
    /// In-patient 住院.
    InPatient = 3,
}

impl Visit {
    /// Bytes of a record.
    pub const LEN: usize = 32;

    /// The record's bytes.
    pub fn to_bytes(&self) -> [u8; Self::LEN] {
        let mut out = [0; Self::LEN];
        out[..7].copy_from_slice(&self.time.to_bytes());
        out[7..13].copy_from_slice(&self.institution);
        out[13..15].copy_from_slice(&self.department);
        out[15] = self.kind as u8;
        out[16..26].copy_from_slice(&self.diagnosis);
        out
    }

    /// Parses a record.
    pub fn from_bytes(bytes: &[u8; Self::LEN]) -> Result<Self, FormatError> {
        let [
            t0,
            t1,
            t2,
            t3,
            t4,
            t5,
            t6,
            i0,
            i1,
            i2,
            i3,
            i4,
            i5,
            d0,
            d1,
            kind,
            rest @ ..,
        ] = *bytes;
        let mut diagnosis = [0; 10];
        diagnosis.copy_from_slice(&rest[..10]);
        Ok(Self {
            time: CardTime::from_bytes([t0, t1, t2, t3, t4, t5, t6])?,
            institution: [i0, i1, i2, i3, i4, i5],
            department: [d0, d1],
            kind: match kind {
                1 => VisitKind::OutPatient,
                2 => VisitKind::Emergency,
                3 => VisitKind::InPatient,
                _ => return Err(FormatError::Range),
            },
            diagnosis,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::CardDate;

    #[test]
    fn visits_round_trip() {
        let visit = Visit {
            time: CardDate::new(2026, 3, 16)
                .and_then(|d| d.at(9, 30, 0))
                .expect("a time"),
            institution: [0x35, 0x01, 0x00, 0x00, 0x12, 0x34],
            department: [0x03, 0x01],
            kind: VisitKind::OutPatient,
            diagnosis: *b"J45.900\0\0\0",
        };
        let mut bytes = visit.to_bytes();
        assert_eq!(Visit::from_bytes(&bytes), Ok(visit));
        bytes[15] = 9;
        assert_eq!(Visit::from_bytes(&bytes), Err(FormatError::Range));
    }
}
