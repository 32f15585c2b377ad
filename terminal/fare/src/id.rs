//! Identifiers and the numeric codes that stand for them on the card.

use card_spec::id::RegionCode;
use serde::{Deserialize, Serialize};

macro_rules! text_id {
    ($($(#[$doc:meta])* $name:ident;)+) => {$(
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(transparent)]
        pub struct $name(Box<str>);

        impl $name {
            /// The identifier's text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl From<&str> for $name {
            fn from(text: &str) -> Self {
                Self(text.into())
            }
        }
        impl core::fmt::Display for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.pad(&self.0)
            }
        }
    )+};
}

text_id! {
    /// An operator: the `agency_id` of the GTFS feeds, the `id` of `operators.toml`.
    OperatorId;
    /// A route or line: GTFS `route_id`.
    RouteId;
    /// A stop or station: GTFS `stop_id`.
    StopId;
    /// A car park.
    ParkId;
    /// A class of kerb-side parking spaces (一类区 = `I`).
    ZoneClass;
    /// A fare zone of a network.
    ZoneId;
    /// A tariff file's `id`.
    TariffId;
}

/// The number of a line or route on the card: the first two bytes of a journey record's place.
/// Unique within an operator. Metro lines stay below 256, because record 1A has one byte for them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct LineCode(pub u16);

impl LineCode {
    /// The line byte of record 1A, or `None` when the number does not fit.
    pub fn metro_byte(self) -> Option<u8> {
        u8::try_from(self.0).ok()
    }
}

/// The number of a station or stop on the card, GTFS `stop_code`: bytes 2-3 of a journey record's
/// place, and the first two of the eight station bytes of record 1A. Unique within a city's feed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct StationCode(pub u16);

impl StationCode {
    /// The eight station bytes of record 1A: the code big-endian, then zeros.
    pub fn to_metro_field(self) -> [u8; 8] {
        let [hi, lo] = self.0.to_be_bytes();
        [hi, lo, 0, 0, 0, 0, 0, 0]
    }

    /// From the station bytes of record 1A; `None` for bytes that this system did not write.
    pub fn from_metro_field(bytes: [u8; 8]) -> Option<Self> {
        match bytes {
            [hi, lo, 0, 0, 0, 0, 0, 0] => Some(Self(u16::from_be_bytes([hi, lo]))),
            _ => None,
        }
    }
}

/// A city as journey records name it: the first two bytes of the division code (3501 is Fuzhou).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct CityCode([u8; 2]);

impl CityCode {
    /// The two bytes of a journey record's city field.
    pub const fn to_bytes(self) -> [u8; 2] {
        self.0
    }

    /// From the two bytes of a journey record.
    pub const fn from_bytes(bytes: [u8; 2]) -> Self {
        Self(bytes)
    }
}

impl From<RegionCode> for CityCode {
    fn from(region: RegionCode) -> Self {
        let [a, b, _] = region.to_bytes();
        Self([a, b])
    }
}

/// Four hexadecimal digits, `3501`: decimal wherever the card holds what the standard says.
impl From<CityCode> for String {
    fn from(city: CityCode) -> Self {
        let [a, b] = city.0;
        format!("{a:02x}{b:02x}")
    }
}

impl TryFrom<String> for CityCode {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match (text.len(), u16::from_str_radix(&text, 16)) {
            (4, Ok(code)) => Ok(Self(code.to_be_bytes())),
            _ => Err(format!("`{text}` is not a city code of four digits")),
        }
    }
}
