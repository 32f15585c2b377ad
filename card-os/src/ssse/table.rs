//! The files of the social-security application.

use super::{PinPlan, Plan};
use crate::{
    counter::{ROW, Row},
    file::{Access, Cyclic, File, Kind, Line, Tlv},
    pin,
};
use card_spec::{
    keys::{KeyType, ssse_kid},
    ssse::{ServiceRecord, fid},
};

/// EF05 and EF06: seven records; the longest is the name, 30 bytes with tag and length.
const EF05: Tlv = Tlv {
    at: at::PROFILE + 1,
    longest: 32,
    count: 7,
    kept: true,
};
const EF06: Tlv = Tlv {
    at: EF05.end(),
    ..EF05
};
const EF07: usize = 512;
/// A photo of 20 KiB.
const EF08: usize = 20 * 1024;
const EF0C: Tlv = Tlv {
    at: at::SECURE_ROW + ROW,
    longest: 62,
    count: 6,
    kept: false,
};
const EF0D: Cyclic = Cyclic::new(EF0C.end(), ServiceRecord::LEN, 10);

pub(super) mod at {
    use super::{EF06, EF07, EF08, ROW, pin};

    /// The profile; 0 until personalised.
    pub(crate) const PROFILE: usize = crate::layout::PRESENT;
    pub(super) const PIN: usize = EF06.end();
    pub(super) const PIN_ROW: usize = PIN + pin::PIN;
    pub(super) const AUTH_ROW: usize = PIN_ROW + ROW;
    /// `length 2 | contents`.
    pub(super) const EF07_FILE: usize = AUTH_ROW + ROW;
    pub(super) const EF08_FILE: usize = EF07_FILE + 2 + EF07;
    pub(super) const SECURE_ROW: usize = EF08_FILE + 2 + EF08;
}
pub(crate) const AREA: usize = EF0D.end();

const READ: Access = Access::Profile(KeyType::Rk, ssse_kid::READ_V3);
/// Fingerprint and photo always need the proof: no profile is known to show them freely.
const READ_PROVED: Access = Access::Key(KeyType::Rk, ssse_kid::READ_V3);
const WRITE: Access = Access::Key(KeyType::Uk, ssse_kid::WRITE_BASIC);

static FILES: [File; 6] = [
    File {
        fid: fid::EF05,
        kind: Kind::Tlv(EF05),
        read: READ,
        write: WRITE,
        line: Line::Mac,
    },
    File {
        fid: fid::EF06,
        kind: Kind::Tlv(EF06),
        read: READ,
        write: WRITE,
        line: Line::Enciphered,
    },
    File {
        fid: fid::EF07,
        kind: Kind::Transparent {
            at: at::EF07_FILE,
            capacity: EF07,
        },
        read: READ_PROVED,
        write: WRITE,
        line: Line::Enciphered,
    },
    File {
        fid: fid::EF08,
        kind: Kind::Transparent {
            at: at::EF08_FILE,
            capacity: EF08,
        },
        read: READ_PROVED,
        write: WRITE,
        line: Line::Enciphered,
    },
    File {
        fid: fid::EF0C,
        kind: Kind::Tlv(EF0C),
        read: Access::Key(KeyType::Uk, ssse_kid::EF0C),
        write: Access::Key(KeyType::Uk, ssse_kid::EF0C),
        line: Line::Enciphered,
    },
    File {
        fid: fid::EF0D,
        kind: Kind::Cyclic(EF0D),
        read: READ_PROVED,
        write: Access::Key(KeyType::Uk, ssse_kid::EF0D),
        line: Line::Mac,
    },
];

pub(crate) static PLAN: Plan = Plan {
    files: &FILES,
    authentications: Row::cryptogram(at::AUTH_ROW, 15),
    secure: Row::mac(at::SECURE_ROW),
    pin: Some(PinPlan {
        at: at::PIN,
        unblock: Row::mac(at::PIN_ROW),
    }),
};
