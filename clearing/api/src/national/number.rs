//! Decimal numbers of the national interface, exact: JSON numbers and strings, never a float.
//!
//! Public hospital clients send the same field as `4.52`, `"4.52"`, `4.520` or `"null"`; all of them
//! are read, one form is written: a JSON number with every place of the field.

use card_spec::Fen;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de::Error as _, ser::Error as _};
use serde_json::value::RawValue;

/// Why a decimal was refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum DecimalError {
    /// Not digits, a point and at most an exponent.
    #[error("not a decimal number: send digits with a point, e.g. 12.50")]
    NotANumber,
    /// More places than the field has.
    #[error("too many decimal places: this field has {0}")]
    Places(u32),
    /// Beyond sixteen digits.
    #[error("the number is too large for this field (16 digits)")]
    Range,
}

/// A decimal with `PLACES` places, held as an integer of its smallest unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Decimal<const PLACES: u32>(pub i64);

/// An amount of money in yuan on the wire, fen in here.
pub type Yuan = Decimal<2>;
/// A quantity (16,4).
pub type Quantity = Decimal<4>;
/// A unit price (16,6).
pub type UnitPrice = Decimal<6>;
/// A proportion (5,4).
pub type Proportion = Decimal<4>;

impl From<Fen> for Yuan {
    fn from(fen: Fen) -> Self {
        Self(fen.0)
    }
}

impl From<Yuan> for Fen {
    fn from(yuan: Yuan) -> Self {
        Self(yuan.0)
    }
}

impl Yuan {
    /// The amount in fen.
    pub const fn fen(self) -> Fen {
        Fen(self.0)
    }
}

/// Largest magnitude in smallest units: sixteen digits.
const LIMIT: i128 = 9_999_999_999_999_999;

impl<const PLACES: u32> core::str::FromStr for Decimal<PLACES> {
    type Err = DecimalError;

    fn from_str(text: &str) -> Result<Self, DecimalError> {
        let text = text.trim();
        let (text, exponent) = match text.split_once(['e', 'E']) {
            None => (text, 0),
            Some((mantissa, exponent)) => {
                let exponent = exponent.strip_prefix('+').unwrap_or(exponent);
                let exponent: i32 = exponent.parse().map_err(|_| DecimalError::NotANumber)?;
                (mantissa, exponent)
            }
        };
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || whole.len() + fraction.len() > 32 || !(-32..=32).contains(&exponent)
        {
            return Err(DecimalError::NotANumber);
        }
        let mut value: i128 = 0;
        for byte in whole.bytes().chain(fraction.bytes()) {
            if !byte.is_ascii_digit() {
                return Err(DecimalError::NotANumber);
            }
            value = value * 10 + i128::from(byte - b'0');
        }
        // Decimal point: shift to PLACES places, exactly.
        let fraction_places = i32::try_from(fraction.len()).map_err(|_| DecimalError::Range)?;
        let places = i32::try_from(PLACES).map_err(|_| DecimalError::Range)?;
        let mut shift = places + exponent - fraction_places;
        while shift > 0 {
            value = value.checked_mul(10).ok_or(DecimalError::Range)?;
            shift -= 1;
        }
        while shift < 0 {
            if value % 10 != 0 {
                return Err(DecimalError::Places(PLACES));
            }
            value /= 10;
            shift += 1;
        }
        if value > LIMIT {
            return Err(DecimalError::Range);
        }
        let value = i64::try_from(value).map_err(|_| DecimalError::Range)?;
        Ok(Self(if negative { -value } else { value }))
    }
}

impl<const PLACES: u32> core::fmt::Display for Decimal<PLACES> {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let unit = 10u64.pow(PLACES);
        let sign = if self.0 < 0 { "-" } else { "" };
        let abs = self.0.unsigned_abs();
        let width = PLACES as usize;
        write!(f, "{sign}{}.{:0width$}", abs / unit, abs % unit)
    }
}

impl<const PLACES: u32> Serialize for Decimal<PLACES> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        RawValue::from_string(self.to_string())
            .map_err(S::Error::custom)?
            .serialize(serializer)
    }
}

impl<'de, const PLACES: u32> Deserialize<'de> for Decimal<PLACES> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let raw = Box::<RawValue>::deserialize(deserializer)?;
        scalar_text(raw.get())
            .map_err(D::Error::custom)?
            .ok_or_else(|| D::Error::custom("a number is required here"))?
            .parse()
            .map_err(D::Error::custom)
    }
}

/// The text of a JSON scalar; `null`, `""`, `"null"` and `"NULL"` are nothing.
fn scalar_text(raw: &str) -> Result<Option<String>, serde_json::Error> {
    let text = match raw.as_bytes().first() {
        Some(b'"') => serde_json::from_str::<String>(raw)?,
        Some(b'{' | b'[') => return Err(serde::de::Error::custom("a plain value is required")),
        _ => raw.to_owned(),
    };
    let empty = text.is_empty() || text.eq_ignore_ascii_case("null");
    Ok(if empty { None } else { Some(text) })
}

/// For `#[serde(deserialize_with)]`: a text that may come as a number.
pub(super) fn text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<String, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    scalar_text(raw.get())
        .map_err(D::Error::custom)?
        .ok_or_else(|| D::Error::custom("a value is required here"))
}

/// For `#[serde(default, deserialize_with)]`: a text that may be missing, empty, "null" or a number.
pub(super) fn optional_text<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Option<String>, D::Error> {
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    scalar_text(raw.get()).map_err(D::Error::custom)
}

/// For `#[serde(default, deserialize_with)]`: a decimal that may be missing, empty or "null".
pub(super) fn optional_decimal<'de, D: Deserializer<'de>, const PLACES: u32>(
    deserializer: D,
) -> Result<Option<Decimal<PLACES>>, D::Error> {
    optional_text(deserializer)?
        .map(|text| text.parse().map_err(D::Error::custom))
        .transpose()
}

/// For `#[serde(deserialize_with)]`: an array, or a single object where senders forget the array.
pub(super) fn one_or_many<'de, D, T>(deserializer: D) -> Result<Vec<T>, D::Error>
where
    D: Deserializer<'de>,
    T: serde::de::DeserializeOwned,
{
    let raw = Box::<RawValue>::deserialize(deserializer)?;
    let parsed = match raw.get().as_bytes().first() {
        Some(b'[') => serde_json::from_str(raw.get()),
        Some(b'{') => serde_json::from_str(raw.get()).map(|one| vec![one]),
        _ => Ok(Vec::new()),
    };
    parsed.map_err(D::Error::custom)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_and_strings_are_the_same_amount() {
        for wire in ["4.52", "\"4.52\"", "4.520", "452e-2", "\"4.520\""] {
            assert_eq!(serde_json::from_str::<Yuan>(wire).unwrap(), Decimal(452));
        }
        assert_eq!(serde_json::from_str::<Yuan>("-0.05").unwrap(), Decimal(-5));
        assert_eq!(serde_json::from_str::<Yuan>("3").unwrap(), Decimal(300));
        assert_eq!(serde_json::to_string(&Decimal::<2>(-5)).unwrap(), "-0.05");
        assert_eq!(serde_json::to_string(&Decimal::<4>(500)).unwrap(), "0.0500");
        for bad in [
            "4.525",
            "\"\"",
            "\"null\"",
            "null",
            "1e99",
            "\"1,2\"",
            "[1]",
            "99999999999999999",
        ] {
            assert!(serde_json::from_str::<Yuan>(bad).is_err(), "{bad}");
        }
    }

    proptest::proptest! {
        #[test]
        fn every_amount_round_trips(fen in -9_999_999_999_999_999i64..=9_999_999_999_999_999) {
            let json = serde_json::to_string(&Decimal::<2>(fen)).unwrap();
            proptest::prop_assert_eq!(serde_json::from_str::<Yuan>(&json).unwrap(), Decimal(fen));
        }

        #[test]
        fn no_text_panics(text in ".{0,40}") {
            let _ = text.parse::<Decimal<6>>();
        }
    }
}
