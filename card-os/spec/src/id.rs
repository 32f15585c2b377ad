//! Identifiers, each its own type.

use crate::{FormatError, bcd};

/// Implements serde through `Display` and `FromStr`; a type with packed bytes is those bytes in
/// formats that nobody reads.
#[cfg(feature = "serde")]
macro_rules! serde_as_text {
    (@read $name:ident, $deserializer:ident) => {{
        struct Text;
        impl serde::de::Visitor<'_> for Text {
            type Value = $name;
            fn expecting(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(stringify!($name))
            }
            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<$name, E> {
                text.parse().map_err(E::custom)
            }
        }
        $deserializer.deserialize_str(Text)
    }};
    ($name:ident) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                crate::id::serde_as_text!(@read $name, deserializer)
            }
        }
    };
    ($name:ident, $bytes:literal) => {
        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                if serializer.is_human_readable() {
                    serializer.collect_str(self)
                } else {
                    self.to_bytes().serialize(serializer)
                }
            }
        }
        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                if deserializer.is_human_readable() {
                    crate::id::serde_as_text!(@read $name, deserializer)
                } else {
                    let bytes = <[u8; $bytes]>::deserialize(deserializer)?;
                    Self::from_bytes(bytes).map_err(serde::de::Error::custom)
                }
            }
        }
    };
}
#[cfg(feature = "serde")]
pub(crate) use serde_as_text;

macro_rules! decimal_id {
    ($(#[$doc:meta])* $name:ident, $bytes:literal) => {
        $(#[$doc])*
        #[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name([u8; $bytes]);

        impl $name {
            /// From packed decimal bytes.
            pub fn from_bytes(bytes: [u8; $bytes]) -> Result<Self, FormatError> {
                if bcd::is_decimal(&bytes) { Ok(Self(bytes)) } else { Err(FormatError::Digit) }
            }
            /// The packed decimal bytes.
            pub const fn to_bytes(self) -> [u8; $bytes] {
                self.0
            }
        }
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                bcd::write_hex(f, &self.0)
            }
        }
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                write!(f, concat!(stringify!($name), "({})"), self)
            }
        }
        impl core::str::FromStr for $name {
            type Err = FormatError;
            fn from_str(text: &str) -> Result<Self, FormatError> {
                Ok(Self(bcd::pack_digits(text)?))
            }
        }
        #[cfg(feature = "serde")]
        serde_as_text!($name, $bytes);
    };
}

decimal_id!(
    /// Card number (PAN, 卡号) as file 15 holds it: 20 digits of which the first is a 0 filler.
    /// The first two bytes are the issuer's IIN; [`Pan::SAMPLE_IIN`] marks sample cards.
    Pan, 10
);
decimal_id!(
    /// SAM (PSAM) terminal number 终端机编号, six bytes; the `terminal` field of every MAC.
    SamNo, 6
);
decimal_id!(
    /// A device's own number (validator, gate, POS): the 8-byte terminal field of record 1E.
    DeviceNo, 8
);
decimal_id!(
    /// SAM serial number, ten bytes.
    SamSerial, 10
);
decimal_id!(
    /// GB/T 2260 administrative division code, six digits (统筹区 / 城市代码).
    RegionCode, 3
);

impl Pan {
    /// IIN of sample cards: published keys, refused by every production path.
    pub const SAMPLE_IIN: [u8; 2] = [0x09, 0x99];

    /// The last eight bytes: PBOC's card-level diversification factor and the PSAM's `serial8`.
    pub const fn serial8(self) -> [u8; 8] {
        let [_, _, a, b, c, d, e, f, g, h] = self.0;
        [a, b, c, d, e, f, g, h]
    }

    /// The issuer identification number, the first two bytes.
    pub const fn iin(self) -> [u8; 2] {
        [self.0[0], self.0[1]]
    }

    /// Whether this is a sample card's number.
    pub fn is_sample(self) -> bool {
        self.iin() == Self::SAMPLE_IIN
    }
}

/// Which issue of a person's card this is (补换卡代次): 1 for the first, byte 29 of file 15.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct Generation(pub u8);

/// The eight-byte issuer identifier 发卡方标识, bytes 0-7 of file 15 and the PSAM's `issuer8`.
///
/// IIN (2) | city (2) | region code (3) | generation (1). The IIN repeats the first two bytes of
/// the PAN and the last byte repeats byte 29, so that the 16 bytes a PSAM receives hold everything
/// the AES suite's key derivation needs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct IssuerId(pub [u8; 8]);

impl IssuerId {
    /// Composes the identifier.
    pub const fn new(pan: Pan, region: RegionCode, generation: Generation) -> Self {
        let iin = pan.iin();
        let r = region.to_bytes();
        Self([iin[0], iin[1], r[0], r[1], r[0], r[1], r[2], generation.0])
    }

    /// The region whose key diversifies this card's keys.
    pub fn region(self) -> Result<RegionCode, FormatError> {
        RegionCode::from_bytes([self.0[4], self.0[5], self.0[6]])
    }

    /// The card's generation.
    pub const fn generation(self) -> Generation {
        Generation(self.0[7])
    }

    /// PBOC suites diversify the region key with these bytes; the generation is left out because
    /// one region key serves every generation.
    pub const fn region_factor(self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, _] = self.0;
        [a, b, c, d, e, f, g, 0]
    }

    /// The PAN that goes with this issuer identifier and an eight-byte serial.
    pub fn pan(self, serial8: [u8; 8]) -> Result<Pan, FormatError> {
        let mut bytes = [0; 10];
        bytes[..2].copy_from_slice(&self.0[..2]);
        bytes[2..].copy_from_slice(&serial8);
        Pan::from_bytes(bytes)
    }
}

/// Citizen identity number 公民身份号码 (GB 11643-1999): 17 digits and a check character.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct CitizenId([u8; 18]);

impl CitizenId {
    /// The check character for the first 17 digits (ISO 7064 MOD 11-2).
    pub fn check_character(digits: &[u8; 17]) -> Result<u8, FormatError> {
        const WEIGHTS: [u32; 17] = [7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2];
        let mut sum = 0;
        for (digit, weight) in digits.iter().zip(WEIGHTS) {
            if !digit.is_ascii_digit() {
                return Err(FormatError::Digit);
            }
            sum += u32::from(digit - b'0') * weight;
        }
        Ok(b"10X98765432"[(sum % 11) as usize])
    }

    /// The 18 ASCII characters.
    pub const fn as_bytes(&self) -> &[u8; 18] {
        &self.0
    }

    /// The text.
    pub fn as_str(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// The six-digit area code.
    pub fn area(&self) -> &str {
        self.as_str().get(..6).unwrap_or_default()
    }

    /// Date of birth.
    pub fn birth(&self) -> Result<crate::time::CardDate, FormatError> {
        let text = self.as_str().get(6..14).unwrap_or_default();
        crate::time::CardDate::from_bytes(bcd::pack_digits(text)?)
    }

    /// Whether the sequence digit says male (odd).
    pub const fn is_male(&self) -> bool {
        self.0[16] % 2 == 1
    }
}

impl core::str::FromStr for CitizenId {
    type Err = FormatError;
    fn from_str(text: &str) -> Result<Self, FormatError> {
        let bytes: [u8; 18] = text
            .as_bytes()
            .try_into()
            .map_err(|_| FormatError::Length)?;
        let mut digits = [0; 17];
        digits.copy_from_slice(&bytes[..17]);
        if Self::check_character(&digits)? != bytes[17].to_ascii_uppercase() {
            return Err(FormatError::CheckDigit);
        }
        let mut id = Self(bytes);
        id.0[17] = bytes[17].to_ascii_uppercase();
        id.birth()?;
        Ok(id)
    }
}

impl core::fmt::Display for CitizenId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Masked: an identity number never reaches a log whole.
impl core::fmt::Debug for CitizenId {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(
            f,
            "CitizenId({}********{})",
            self.area(),
            &self.as_str()[14..]
        )
    }
}

#[cfg(feature = "serde")]
serde_as_text!(CitizenId);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn citizen_number_checks() {
        // GB 11643-1999, worked example of the annex (a widely printed specimen number).
        assert!("11010519491231002X".parse::<CitizenId>().is_ok());
        assert_eq!(
            "110105194912310021".parse::<CitizenId>(),
            Err(FormatError::CheckDigit)
        );
        // 30 February with a correct check character is still refused.
        let digits = *b"35010219900230001";
        let check = CitizenId::check_character(&digits).expect("digits");
        extern crate std;
        let text = std::format!("35010219900230001{}", check as char);
        assert_eq!(text.parse::<CitizenId>(), Err(FormatError::Range));
        assert_eq!("1".parse::<CitizenId>(), Err(FormatError::Length));
    }

    #[test]
    fn issuer_identifier_carries_what_the_psam_needs() {
        let pan: Pan = "03500000000000001234".parse().expect("digits");
        let region: RegionCode = "350128".parse().expect("digits");
        let issuer = IssuerId::new(pan, region, Generation(2));
        assert_eq!(issuer.0, [0x03, 0x50, 0x35, 0x01, 0x35, 0x01, 0x28, 0x02]);
        assert_eq!(issuer.pan(pan.serial8()), Ok(pan));
        assert_eq!(issuer.region(), Ok(region));
    }
}
