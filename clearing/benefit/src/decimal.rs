//! Exact decimals of the national interface: unit price (16,6), quantity (16,4), ratio (5,4).

use std::fmt;
use std::str::FromStr;

use card_spec::FormatError;

/// Parses an unsigned decimal with at most `scale` fraction digits into units of 10^-scale.
/// Trailing zeros beyond the scale are accepted: some senders pad.
fn parse_scaled(text: &str, scale: usize, max: u64) -> Result<u64, FormatError> {
    let (whole, fraction) = text.split_once('.').unwrap_or((text, ""));
    let kept = fraction.get(..scale.min(fraction.len()));
    let (Some(kept), false) = (kept, whole.is_empty() || text.ends_with('.')) else {
        return Err(FormatError::Length);
    };
    if fraction.bytes().skip(scale).any(|b| b != b'0') {
        return Err(FormatError::Length);
    }
    let padding = std::iter::repeat_n(b'0', scale - kept.len());
    let mut value: u64 = 0;
    for byte in whole.bytes().chain(kept.bytes()).chain(padding) {
        if !byte.is_ascii_digit() {
            return Err(FormatError::Digit);
        }
        value = value
            .checked_mul(10)
            .and_then(|v| v.checked_add(u64::from(byte - b'0')))
            .filter(|v| *v <= max)
            .ok_or(FormatError::Range)?;
    }
    Ok(value)
}

macro_rules! scaled {
    ($(#[$doc:meta])* $name:ident($inner:ty), scale $scale:literal, one $one:literal, max $max:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
        pub struct $name($inner);

        impl $name {
            /// Nothing.
            pub const ZERO: Self = Self(0);
            /// One.
            pub const ONE: Self = Self($one);

            /// From units of the last decimal place.
            pub fn from_units(units: $inner) -> Result<Self, FormatError> {
                if units <= $max { Ok(Self(units)) } else { Err(FormatError::Range) }
            }

            /// Units of the last decimal place.
            pub const fn units(self) -> $inner {
                self.0
            }
        }

        impl FromStr for $name {
            type Err = FormatError;
            fn from_str(text: &str) -> Result<Self, FormatError> {
                let units = parse_scaled(text, $scale, $max)?;
                <$inner>::try_from(units).map(Self).map_err(|_| FormatError::Range)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "{}.{:0width$}", self.0 / $one, self.0 % $one, width = $scale)
            }
        }

        impl serde::Serialize for $name {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> serde::Deserialize<'de> for $name {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(|e| {
                    serde::de::Error::custom(format!(concat!(stringify!($name), " `{}`: {}"), text, e))
                })
            }
        }
    };
}

scaled!(
    /// Unit price `pric`, yuan with six decimals.
    UnitPrice(u64), scale 6, one 1_000_000, max 9_999_999_999_999_999
);
scaled!(
    /// Quantity `cnt`, four decimals.
    Quantity(u64), scale 4, one 10_000, max 9_999_999_999_999_999
);
scaled!(
    /// A share between 0 and 1 with four decimals: `selfpay_prop`, `pool_prop_selfpay`.
    /// Its unit is the basis point (1/10000).
    Ratio(u32), scale 4, one 10_000, max 10_000
);

impl Ratio {
    /// This share of an amount, half rounded away from zero (四舍五入).
    pub(crate) fn of(self, amount: card_spec::Fen) -> card_spec::Fen {
        // A share of at most one never overflows, so the fallback cannot be reached.
        amount
            .ratio_half_up(i64::from(self.0), 10_000)
            .unwrap_or(amount)
    }

    /// Product rounded half up to four decimals, the precision in which the slip reports a ratio,
    /// so that every amount on it can be recomputed from what it shows.
    pub(crate) fn times(self, other: Self) -> Self {
        Self((self.0 * other.0 + 5_000) / 10_000)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_prints_exactly() {
        assert_eq!("4.52".parse(), Ok(UnitPrice(4_520_000)));
        assert_eq!("0.05".parse(), Ok(Ratio(500)));
        assert_eq!("1".parse(), Ok(Ratio::ONE));
        assert_eq!("12.50000000".parse(), Ok(Quantity(125_000)));
        assert_eq!(Ratio(500).to_string(), "0.0500");
        assert_eq!(UnitPrice(4_520_000).to_string(), "4.520000");
        for bad in ["", ".", "1.", ".5", "-1", "1e3", "1.00001", "１", "1.0000é"] {
            assert!(bad.parse::<Quantity>().is_err(), "{bad}");
        }
        assert_eq!("1.0001".parse::<Ratio>(), Err(FormatError::Range));
        assert_eq!(
            "99999999999999999999".parse::<UnitPrice>(),
            Err(FormatError::Range)
        );
    }

    #[test]
    fn a_product_keeps_four_decimals() {
        assert_eq!(Ratio(8_500).times(Ratio(7_000)), Ratio(5_950));
        assert_eq!(Ratio(3_333).times(Ratio(5_000)), Ratio(1_667));
    }
}
