//! Amounts as GTFS writes them: decimals in, integer minor units out, never a float.

use serde::Serialize;

/// Active alphabetic codes of ISO 4217 list one (funds, metals and test codes left out).
const ACTIVE: &str = "AED AFN ALL AMD AOA ARS AUD AWG AZN BAM BBD BDT BHD BIF BMD BND BOB BOV BRL \
BSD BTN BWP BYN BZD CAD CDF CHE CHF CHW CLF CLP CNY COP COU CRC CUP CVE CZK DJF DKK DOP DZD EGP \
ERN ETB EUR FJD FKP GBP GEL GHS GIP GMD GNF GTQ GYD HKD HNL HTG HUF IDR ILS INR IQD IRR ISK JMD \
JOD JPY KES KGS KHR KMF KPW KRW KWD KYD KZT LAK LBP LKR LRD LSL LYD MAD MDL MGA MKD MMK MNT MOP \
MRU MUR MVR MWK MXN MXV MYR MZN NAD NGN NIO NOK NPR NZD OMR PAB PEN PGK PHP PKR PLN PYG QAR RON \
RSD RUB RWF SAR SBD SCR SDG SEK SGD SHP SLE SOS SRD SSP STN SVC SYP SZL THB TJS TMT TND TOP TRY \
TTD TWD TZS UAH UGX USD USN UYI UYU UYW UZS VED VES VND VUV WST XAF XCD XCG XOF XPF YER ZAR ZMW \
ZWG ANG BGN CUC HRK SLL ZWL";

const NO_DECIMALS: &str = "BIF CLP DJF GNF ISK JPY KMF KRW PYG RWF UGX UYI VND VUV XAF XOF XPF";
const THREE_DECIMALS: &str = "BHD IQD JOD KWD LYD OMR TND";
const FOUR_DECIMALS: &str = "CLF UYW";

/// A currency by its ISO 4217 code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// Stands where a currency could not be read; a feed with it is refused.
    pub(super) const NONE: Self = Self(*b"XXX");

    /// Renminbi 人民币, of all tariffs that stand in TOML.
    pub(super) const CNY: Self = Self(*b"CNY");

    /// By its three letters; `None` when ISO 4217 has no such currency. Codes retired since 2020
    /// are known too, so that an older feed still prices.
    pub fn new(code: &str) -> Option<Self> {
        let bytes = code.as_bytes().try_into().ok()?;
        ACTIVE
            .split_ascii_whitespace()
            .any(|known| known == code)
            .then_some(Self(bytes))
    }

    /// The three letters.
    pub fn code(&self) -> &str {
        core::str::from_utf8(&self.0).unwrap_or_default()
    }

    /// Decimal places of the minor unit, ISO 4217.
    pub fn decimals(&self) -> usize {
        let among = |list: &str| list.split_ascii_whitespace().any(|c| c == self.code());
        if among(NO_DECIMALS) {
            0
        } else if among(THREE_DECIMALS) {
            3
        } else if among(FOUR_DECIMALS) {
            4
        } else {
            2
        }
    }

    /// An amount of minor units in decimals: `320` of CAD is `3.20`.
    pub fn decimal(&self, minor: i64) -> String {
        let places = self.decimals();
        let sign = if minor < 0 { "-" } else { "" };
        let digits = format!("{:0width$}", minor.unsigned_abs(), width = places + 1);
        let (whole, part) = digits.split_at(digits.len() - places);
        match part {
            "" => format!("{sign}{whole}"),
            _ => format!("{sign}{whole}.{part}"),
        }
    }
}

impl Serialize for Currency {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.code())
    }
}

impl core::fmt::Display for Currency {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(self.code())
    }
}

/// A decimal as written: its value in minor units, and how many decimals it was written with.
pub(super) struct Written {
    pub(super) minor: i64,
    pub(super) decimals: usize,
}

/// Why a text is no amount.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoAmount {
    Malformed,
    /// Digits below the minor unit: nobody can pay them.
    TooFine,
    TooLarge,
}

/// `12`, `12.5`, `-0.50`, `.5`.
pub(super) fn parse(text: &str, currency: Currency) -> Result<Written, NoAmount> {
    let (sign, digits) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text),
    };
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let decimal = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    if !decimal(whole) || !decimal(part) || (whole.is_empty() && part.is_empty()) {
        return Err(NoAmount::Malformed);
    }
    let places = currency.decimals();
    let (kept, finer) = part.split_at(part.len().min(places));
    if finer.bytes().any(|b| b != b'0') {
        return Err(NoAmount::TooFine);
    }
    format!("{whole}{kept:0<places$}")
        .parse::<i64>()
        .ok()
        .filter(|minor| *minor <= 1_000_000_000_000)
        .map(|minor| Written {
            minor: sign * minor,
            decimals: part.len(),
        })
        .ok_or(NoAmount::TooLarge)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn minor(text: &str, code: &str) -> Result<i64, NoAmount> {
        let currency = Currency::new(code).expect("currency");
        parse(text, currency).map(|written| written.minor)
    }

    #[test]
    fn amounts_are_exact_in_every_minor_unit() {
        assert_eq!(minor("3.2", "CAD"), Ok(320));
        assert_eq!(minor("0.29", "USD"), Ok(29));
        assert_eq!(minor(".5", "CNY"), Ok(50));
        assert_eq!(minor("-0.50", "CNY"), Ok(-50));
        assert_eq!(minor("210", "JPY"), Ok(210));
        assert_eq!(minor("210.00", "JPY"), Ok(210));
        assert_eq!(minor("1.250", "KWD"), Ok(1250));
        assert_eq!(minor("3.205", "CAD"), Err(NoAmount::TooFine));
        assert_eq!(minor("210.5", "JPY"), Err(NoAmount::TooFine));
        for text in ["", ".", "-", "1e3", "1,5", "+1", "1.2.3", "NaN", "--1"] {
            assert_eq!(minor(text, "CAD"), Err(NoAmount::Malformed), "{text}");
        }
        assert_eq!(
            minor("99999999999999999999", "CAD"),
            Err(NoAmount::TooLarge)
        );
    }

    #[test]
    fn decimals_are_those_of_iso_4217() {
        let decimal = |code, n| Currency::new(code).map(|c| c.decimal(n));
        assert_eq!(decimal("CAD", -5).as_deref(), Some("-0.05"));
        assert_eq!(decimal("JPY", 210).as_deref(), Some("210"));
        assert_eq!(decimal("TND", 1250).as_deref(), Some("1.250"));
        assert_eq!(decimal("cad", 1), None);
        assert_eq!(decimal("XXX", 1), None);
    }
}
