//! Who a card is for.

use card_spec::{
    Fen, FormatError,
    id::{CitizenId, RegionCode},
    purse::files::CardKind,
    ssse,
    time::CardDate,
};
use serde::{Deserialize, Serialize};

/// Person number 人员编号: 1 to 30 digits or capital letters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PersonNo(String);

impl PersonNo {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PersonNo {
    type Error = FormatError;
    fn try_from(text: String) -> Result<Self, FormatError> {
        if text.is_empty() || text.len() > 30 {
            return Err(FormatError::Length);
        }
        let allowed = |b: u8| b.is_ascii_digit() || b.is_ascii_uppercase();
        if !text.bytes().all(allowed) {
            return Err(FormatError::Digit);
        }
        Ok(Self(text))
    }
}

impl From<PersonNo> for String {
    fn from(no: PersonNo) -> Self {
        no.0
    }
}

impl core::fmt::Display for PersonNo {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.0)
    }
}

/// Bytes that the social-security application has for a name: record 09 and its extension 4E.
pub const NAME_BYTES: usize = ssse::tag::NAME.1 + ssse::tag::NAME_EXT.1;

/// Why a name cannot go on a card.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Nothing, or only spaces.
    #[error("the name is missing")]
    Missing,
    /// A control character or a line break.
    #[error("the name holds a control character: type it again")]
    Control,
    /// A private-use character, whose meaning differs between fonts and editions of GB 18030.
    #[error("the name holds the private-use character U+{0:04X}: use its Unicode code point")]
    PrivateUse(u32),
    /// Too many bytes.
    #[error(
        "the name takes {bytes} bytes of GB 18030 and the card holds {room}: agree a short form with the holder"
    )]
    TooLong {
        /// Bytes it takes.
        bytes: usize,
        /// Bytes there are.
        room: usize,
    },
    /// No code in GB 18030.
    #[error("the name holds U+{0:04X}, which GB 18030 has no code for")]
    NoCode(u32),
}

/// A name 姓名 that fits on a card.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

impl Name {
    /// Checks a name: present, printable, encodable, at most [`NAME_BYTES`] of GB 18030.
    pub fn new(text: &str) -> Result<Self, NameError> {
        let text = text.trim();
        if text.is_empty() {
            return Err(NameError::Missing);
        }
        let mut bytes = 0;
        for c in text.chars() {
            if c.is_control() || matches!(c, '\u{2028}' | '\u{2029}' | '\u{FEFF}' | '\u{FFFD}') {
                return Err(NameError::Control);
            }
            let code = u32::from(c);
            if matches!(code, 0xE000..=0xF8FF | 0xF_0000..) {
                return Err(NameError::PrivateUse(code));
            }
            bytes += encode(c).ok_or(NameError::NoCode(code))?.len();
        }
        if bytes > NAME_BYTES {
            return Err(NameError::TooLong {
                bytes,
                room: NAME_BYTES,
            });
        }
        Ok(Self(text.to_owned()))
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// GB 18030 in a field of `N` bytes, 00-padded, cut between characters, and the characters
    /// that did not fit. (A character of four bytes is never cut in two.)
    pub fn field<const N: usize>(text: &str) -> ([u8; N], &str) {
        let mut out = [0; N];
        let mut used = 0;
        for (at, c) in text.char_indices() {
            let code = encode(c).unwrap_or_default();
            let Some(target) = out.get_mut(used..used + code.len()) else {
                return (out, text.get(at..).unwrap_or_default());
            };
            target.copy_from_slice(&code);
            used += code.len();
        }
        (out, "")
    }
}

fn encode(c: char) -> Option<Vec<u8>> {
    let mut utf8 = [0; 4];
    let (bytes, _, failed) = encoding_rs::GB18030.encode(c.encode_utf8(&mut utf8));
    (!failed).then(|| bytes.into_owned())
}

impl TryFrom<String> for Name {
    type Error = NameError;
    fn try_from(text: String) -> Result<Self, NameError> {
        Self::new(&text)
    }
}

impl From<Name> for String {
    fn from(name: Name) -> Self {
        name.0
    }
}

/// Sex as the card and the national interface code it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Sex {
    /// 1.
    Male,
    /// 2.
    Female,
}

impl Sex {
    /// The ASCII code on the card.
    pub const fn code(self) -> u8 {
        match self {
            Self::Male => b'1',
            Self::Female => b'2',
        }
    }
}

/// Insurance scheme 险种 (insutype) that a person is enrolled in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Scheme {
    /// 310 employee 职工.
    #[serde(rename = "310")]
    Employee,
    /// 380 new rural cooperative 新农合.
    #[serde(rename = "380")]
    RuralCooperative,
    /// 390 resident 城乡居民.
    #[serde(rename = "390")]
    Resident,
}

impl Scheme {
    /// From the national code.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "310" => Some(Self::Employee),
            "380" => Some(Self::RuralCooperative),
            "390" => Some(Self::Resident),
            _ => None,
        }
    }
    /// The national code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Employee => "310",
            Self::RuralCooperative => "380",
            Self::Resident => "390",
        }
    }
}

/// Kind of insured person 人员类别 (psn_type).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum PersonType {
    /// 11 in work 在职.
    #[serde(rename = "11")]
    Active,
    /// 12 retired 退休.
    #[serde(rename = "12")]
    Retired,
    /// 13 veteran 离休.
    #[serde(rename = "13")]
    Veteran,
    /// 15 resident 居民.
    #[serde(rename = "15")]
    Resident,
}

impl PersonType {
    /// From the national code.
    pub fn from_code(code: &str) -> Option<Self> {
        match code {
            "11" => Some(Self::Active),
            "12" => Some(Self::Retired),
            "13" => Some(Self::Veteran),
            "15" => Some(Self::Resident),
            _ => None,
        }
    }
    /// The national code.
    pub const fn code(self) -> &'static str {
        match self {
            Self::Active => "11",
            Self::Retired => "12",
            Self::Veteran => "13",
            Self::Resident => "15",
        }
    }
    /// Whether a scheme insures this kind of person.
    pub fn belongs_to(self, scheme: Scheme) -> bool {
        (self == Self::Resident) != (scheme == Scheme::Employee)
    }
}

/// A person whose every field was checked ([`crate::intake`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Person {
    /// Person number.
    pub psn_no: PersonNo,
    /// Name.
    pub name: Name,
    /// Sex; agrees with the identity number.
    pub sex: Sex,
    /// Ethnicity, GB/T 3304, 1 to 56.
    pub ethnicity: u8,
    /// Date of birth; agrees with the identity number.
    pub birth: CardDate,
    /// Identity number.
    pub certno: CitizenId,
    /// Insuring region 参保地.
    pub region: RegionCode,
    /// Scheme.
    pub scheme: Scheme,
    /// Kind of insured person; belongs to the scheme.
    pub person_type: PersonType,
    /// Civil servant.
    pub civil_servant: bool,
    /// Entitled to medical assistance.
    pub assistance: bool,
    /// Disabled.
    pub disabled: bool,
    /// Student.
    pub student: bool,
    /// Employer, or empty.
    pub employer: String,
    /// Opening balance of the personal medical account.
    pub account: Fen,
    /// Monthly pension in payment.
    pub pension: Option<Fen>,
}

/// Completed years of age on a day.
pub fn age_on(birth: CardDate, day: CardDate) -> u16 {
    let had_birthday = (birth.month(), birth.day()) <= (day.month(), day.day());
    let years = day.year().saturating_sub(birth.year());
    years.saturating_sub(u16::from(!had_birthday))
}

impl Person {
    /// The kind a card of this person carries from a day on: disabled before elderly before
    /// student. Provisional: the back office re-prices.
    pub fn kind(&self, day: CardDate, elderly_from: u16) -> CardKind {
        if self.disabled {
            CardKind::Disabled
        } else if age_on(self.birth, day) >= elderly_from {
            CardKind::Elderly
        } else if self.student {
            CardKind::Student
        } else {
            CardKind::Normal
        }
    }

    /// The person as the social-insurance registry tells the clearing house.
    pub fn insured(&self) -> clearing_api::registry::Insured {
        clearing_api::registry::Insured {
            psn_no: self.psn_no.to_string(),
            certno: self.certno,
            name: self.name.as_str().to_owned(),
            insuplc_admdvs: self.region,
            insutype: self.scheme.code().to_owned(),
            psn_type: self.person_type.code().to_owned(),
            civil_servant: self.civil_servant,
            assistance: self.assistance,
            employer: self.employer.clone(),
            account: self.account,
            pension: self.pension,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// GB 18030 codes of the standard's own table: 社 C9E7, U+20087 95 32 90 31... the four-byte
    /// area starts at 0x30 in its second byte.
    #[test]
    fn names_are_cut_between_characters() {
        let name = Name::new("社保\u{20087}").expect("valid");
        let (field, rest) = Name::field::<6>(name.as_str());
        assert_eq!(field, [0xC9, 0xE7, 0xB1, 0xA3, 0, 0]);
        assert_eq!(rest, "\u{20087}");
        let (field, rest) = Name::field::<8>(name.as_str());
        assert_eq!(field, [0xC9, 0xE7, 0xB1, 0xA3, 0x95, 0x32, 0x90, 0x31]);
        assert_eq!(rest, "");
    }

    #[test]
    fn names_that_no_card_can_hold() {
        assert_eq!(Name::new("  "), Err(NameError::Missing));
        assert_eq!(Name::new("样\u{7}"), Err(NameError::Control));
        assert_eq!(Name::new("样\u{E5E5}"), Err(NameError::PrivateUse(0xE5E5)));
        assert_eq!(
            Name::new(&"样".repeat(26)),
            Err(NameError::TooLong {
                bytes: 52,
                room: 50
            })
        );
        assert!(Name::new(&"样".repeat(25)).is_ok());
        // Thirteen four-byte characters take 52 bytes although they are few.
        assert!(Name::new(&"\u{20BB7}".repeat(13)).is_err());
    }

    #[test]
    fn age_changes_on_the_birthday() {
        let day = |y, m, d| CardDate::new(y, m, d).expect("date");
        assert_eq!(age_on(day(1966, 3, 16), day(2026, 3, 16)), 60);
        assert_eq!(age_on(day(1966, 3, 17), day(2026, 3, 16)), 59);
        assert_eq!(age_on(day(2030, 1, 1), day(2026, 3, 16)), 0);
    }

    proptest::proptest! {
        #[test]
        fn field_and_rest_lose_nothing(text in "[a-z样例·\u{20BB7}]{1,12}") {
            let (field, rest) = Name::field::<20>(&text);
            let end = field.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
            let (back, _) = encoding_rs::GB18030.decode_without_bom_handling(&field[..end]);
            proptest::prop_assert_eq!(format!("{back}{rest}"), text);
        }
    }
}
