//! Certificates as people speak of them: by number, by holder.

use core::{fmt, str::FromStr};

use card_spec::time::CardTime;
use serde::{Deserialize, Serialize};

use crate::HsmError;

/// Serial number of a certificate, as lower-case hex (`openssl x509 -serial` prints it in upper
/// case). RFC 5280, 4.1.2.2: at most 20 bytes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Serial(String);

impl Serial {
    /// From the bytes of the certificate, without leading zeros.
    pub fn from_bytes(bytes: &[u8]) -> Self {
        let significant = bytes.iter().skip_while(|b| **b == 0);
        Self(significant.map(|b| format!("{b:02x}")).collect())
    }
}

impl fmt::Display for Serial {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for Serial {
    type Err = HsmError;

    /// Hex, in either case, with or without colons between the bytes.
    fn from_str(text: &str) -> Result<Self, HsmError> {
        let text: String = text.trim().replace(':', "").to_ascii_lowercase();
        let text = text.trim_start_matches('0');
        let digits = text.bytes().all(|b| b.is_ascii_hexdigit());
        if text.is_empty() || text.len() > 40 || !digits {
            return Err(HsmError::Malformed {
                why: "the serial number of a certificate is 1 to 20 bytes in hex, as `onecard hsm certificate list` shows it".to_owned(),
            });
        }
        let odd = if text.len() % 2 == 1 { "0" } else { "" };
        Ok(Self(format!("{odd}{text}")))
    }
}

impl TryFrom<String> for Serial {
    type Error = HsmError;

    fn try_from(text: String) -> Result<Self, HsmError> {
        text.parse()
    }
}

impl From<Serial> for String {
    fn from(serial: Serial) -> Self {
        serial.0
    }
}

/// Which certificates end before their time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Revocation {
    /// This one, wherever it was issued.
    Serial(Serial),
    /// Every one that this HSM has issued to a subject so far; a later one counts again.
    Subject(String),
}

/// A certificate that the HSM knows of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CertificateInfo {
    /// Its number.
    pub serial: Serial,
    /// For whom this HSM issued it; absent for one of another server that was revoked here.
    pub issued: Option<Issued>,
    /// Since when it does not count.
    pub revoked: Option<CardTime>,
}

/// What was issued.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Issued {
    /// Name of the client; hosts of a server.
    pub subject: String,
    /// Role of the client, or `server`.
    pub role: String,
    /// When.
    pub at: CardTime,
    /// Validity, in days.
    pub days: u16,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_has_one_form() {
        let bytes = Serial::from_bytes(&[0, 0x0A, 0xBC]);
        for text in ["0ABC", "abc", "00:0a:BC", " 0abc\n"] {
            assert_eq!(text.parse(), Ok(bytes.clone()), "{text}");
        }
        assert_eq!(bytes.to_string(), "0abc");
        for wrong in ["", "0", "xy", &"1".repeat(41)] {
            assert!(wrong.parse::<Serial>().is_err(), "{wrong}");
        }
    }
}
