//! Access keys of the national interface: headers and HMAC-SHA1 signature.

use base64::{Engine, engine::general_purpose::STANDARD};
use hmac::{Hmac, KeyInit, Mac};
use sha1::Sha1;

/// Header: number of the call (infno).
pub const API_NAME: &str = "_api_name";
/// Header: version of the interface.
pub const API_VERSION: &str = "_api_version";
/// Header: milliseconds since 1970 UTC, 13 digits.
pub const API_TIMESTAMP: &str = "_api_timestamp";
/// Header: access key.
pub const API_ACCESS_KEY: &str = "_api_access_key";
/// Header: signature.
pub const API_SIGNATURE: &str = "_api_signature";
/// Version sent.
pub const VERSION: &str = "1.0.0";
/// A call is accepted this many milliseconds before and after its timestamp.
pub const WINDOW_MS: u64 = 30 * 60 * 1000;

/// Access key and secret key of one institution.
#[derive(Clone, PartialEq, Eq)]
pub struct Credentials {
    /// Access key (public).
    pub access_key: String,
    /// Secret key.
    pub secret_key: String,
}

impl core::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        write!(f, "Credentials({}, ******)", self.access_key)
    }
}

impl Credentials {
    fn mac(&self, api_name: &str, api_version: &str, timestamp_ms: u64) -> Option<Hmac<Sha1>> {
        // "k=v&..." with the keys sorted.
        let text = format!(
            "{API_ACCESS_KEY}={}&{API_NAME}={api_name}&{API_TIMESTAMP}={timestamp_ms}&{API_VERSION}={api_version}",
            self.access_key
        );
        // HMAC takes keys of any length; the constructor's error cannot happen.
        let mut mac = Hmac::<Sha1>::new_from_slice(self.secret_key.as_bytes()).ok()?;
        mac.update(text.as_bytes());
        Some(mac)
    }

    /// The signature header: Base64(HmacSHA1(SK, sorted "k=v&...")).
    pub fn sign(&self, api_name: &str, api_version: &str, timestamp_ms: u64) -> String {
        self.mac(api_name, api_version, timestamp_ms)
            .map(|mac| STANDARD.encode(mac.finalize().into_bytes()))
            .unwrap_or_default()
    }

    /// Checks a signature in constant time.
    pub fn verify(
        &self,
        api_name: &str,
        api_version: &str,
        timestamp_ms: u64,
        signature: &str,
    ) -> bool {
        let Ok(bytes) = STANDARD.decode(signature) else {
            return false;
        };
        self.mac(api_name, api_version, timestamp_ms)
            .is_some_and(|mac| mac.verify_slice(&bytes).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Published vector of the national interface's signature.
    #[test]
    fn published_vector() {
        let credentials = Credentials {
            access_key: "AKTEST0001".into(),
            secret_key: "SKTEST-secret".into(),
        };
        let signature = credentials.sign("1101", "1.0.0", 1_700_000_000_000);
        assert_eq!(signature, "88U5UtnNMIIV9iMKWhbqCp0LVzs=");
        assert!(credentials.verify("1101", "1.0.0", 1_700_000_000_000, &signature));
        assert!(!credentials.verify("2207", "1.0.0", 1_700_000_000_000, &signature));
        assert!(!credentials.verify("1101", "1.0.0", 1_700_000_000_001, &signature));
        assert!(!credentials.verify("1101", "1.0.0", 1_700_000_000_000, "not base64!"));
    }
}
