//! Money: integer fen (分, 1/100 yuan) in a type. Never a float.

use crate::FormatError;

/// An amount in fen. May be negative in ledgers and reversals; the wire and the
/// card carry non-negative amounts in four bytes ([`Fen::to_card`]).
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
#[cfg_attr(
    feature = "serde",
    derive(serde::Serialize, serde::Deserialize),
    serde(transparent)
)]
pub struct Fen(pub i64);

impl Fen {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// Whole yuan.
    pub const fn yuan(yuan: i64) -> Self {
        Self(yuan * 100)
    }

    /// Sum, or `None` on overflow.
    pub const fn checked_add(self, other: Self) -> Option<Self> {
        match self.0.checked_add(other.0) {
            Some(v) => Some(Self(v)),
            None => None,
        }
    }

    /// Difference, or `None` on overflow.
    pub const fn checked_sub(self, other: Self) -> Option<Self> {
        match self.0.checked_sub(other.0) {
            Some(v) => Some(Self(v)),
            None => None,
        }
    }

    /// `self * numerator / denominator`, half rounded away from zero (四舍五入).
    /// `None` when the denominator is zero or the result does not fit.
    pub fn ratio_half_up(self, numerator: i64, denominator: i64) -> Option<Self> {
        if denominator == 0 {
            return None;
        }
        let product = i128::from(self.0) * i128::from(numerator);
        let den = i128::from(denominator);
        let (product, den) = if den < 0 {
            (-product, -den)
        } else {
            (product, den)
        };
        let rounded = if product >= 0 {
            (product * 2 + den) / (den * 2)
        } else {
            -((-product * 2 + den) / (den * 2))
        };
        i64::try_from(rounded).ok().map(Self)
    }

    /// Four big-endian bytes as the card stores and MACs amounts.
    pub fn to_card(self) -> Result<[u8; 4], FormatError> {
        u32::try_from(self.0)
            .map(u32::to_be_bytes)
            .map_err(|_| FormatError::Range)
    }

    /// From the card's four big-endian bytes.
    pub const fn from_card(bytes: [u8; 4]) -> Self {
        Self(u32::from_be_bytes(bytes) as i64)
    }

    /// The smaller of two amounts.
    pub fn min(self, other: Self) -> Self {
        core::cmp::Ord::min(self, other)
    }

    /// The larger of two amounts.
    pub fn max(self, other: Self) -> Self {
        core::cmp::Ord::max(self, other)
    }
}

impl core::ops::Add for Fen {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }
}
impl core::ops::Sub for Fen {
    type Output = Self;
    fn sub(self, other: Self) -> Self {
        Self(self.0 - other.0)
    }
}
impl core::ops::Neg for Fen {
    type Output = Self;
    fn neg(self) -> Self {
        Self(-self.0)
    }
}
impl core::ops::AddAssign for Fen {
    fn add_assign(&mut self, other: Self) {
        self.0 += other.0;
    }
}
impl core::ops::SubAssign for Fen {
    fn sub_assign(&mut self, other: Self) {
        self.0 -= other.0;
    }
}
impl core::iter::Sum for Fen {
    fn sum<I: Iterator<Item = Self>>(iter: I) -> Self {
        iter.fold(Self::ZERO, core::ops::Add::add)
    }
}

/// Yuan with two decimals: `-12.05`.
impl core::fmt::Display for Fen {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let abs = self.0.unsigned_abs();
        let mut text = heapless::String::<32>::new();
        core::fmt::write(
            &mut text,
            format_args!("{sign}{}.{:02}", abs / 100, abs % 100),
        )?;
        f.pad(&text)
    }
}

impl core::str::FromStr for Fen {
    type Err = FormatError;

    /// Yuan with at most two decimals: `12`, `12.5`, `-0.05`.
    fn from_str(text: &str) -> Result<Self, FormatError> {
        let (negative, digits) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
        if whole.is_empty() || fraction.len() > 2 || (digits.ends_with('.')) {
            return Err(FormatError::Length);
        }
        let mut value: i64 = 0;
        let padded = [0, 1].map(|i| fraction.as_bytes().get(i).copied().unwrap_or(b'0'));
        for byte in whole.bytes().chain(padded) {
            if !byte.is_ascii_digit() {
                return Err(FormatError::Digit);
            }
            value = value
                .checked_mul(10)
                .and_then(|v| v.checked_add(i64::from(byte - b'0')))
                .ok_or(FormatError::Range)?;
        }
        Ok(Self(if negative { -value } else { value }))
    }
}

#[cfg(test)]
mod tests {
    use super::Fen;

    #[test]
    fn half_up_rounds_away_from_zero() {
        // 2.25 yuan at 10 %: 22.5 fen -> 23 (the published class-B line rounds this way).
        assert_eq!(Fen(225).ratio_half_up(1, 10), Some(Fen(23)));
        assert_eq!(Fen(-225).ratio_half_up(1, 10), Some(Fen(-23)));
        assert_eq!(Fen(224).ratio_half_up(1, 10), Some(Fen(22)));
        assert_eq!(Fen(1).ratio_half_up(1, 0), None);
    }

    #[test]
    fn parses_and_prints_yuan() {
        for (text, fen) in [
            ("0", 0),
            ("12.5", 1250),
            ("-0.05", -5),
            ("1378.15", 137_815),
        ] {
            assert_eq!(text.parse::<Fen>(), Ok(Fen(fen)));
        }
        for bad in ["", ".", "1.", "1.234", "1,2", "--1", "x"] {
            assert!(bad.parse::<Fen>().is_err(), "{bad}");
        }
        extern crate std;
        assert_eq!(std::format!("{:>8}", Fen(-5)), "   -0.05");
    }
}
