//! Limits of devices: in their profiles, and as they come down with parameters.

use card_spec::Fen;
use serde::{Deserialize, Serialize};

/// Size of a journal that nobody limits otherwise: about 60,000 taps not yet uploaded.
pub const JOURNAL_BYTES: u64 = 64 << 20;

/// Limits of a device.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// Highest single price, fen.
    pub per_tap_max_fen: Fen,
    /// Highest single top-up, fen.
    pub load_max_fen: Fen,
    /// Passback interval.
    pub passback_seconds: u32,
    /// How long "same card again" is shown.
    pub same_card_seconds: u32,
    /// How long a returning torn card is let through for its old ride.
    pub torn_ride_seconds: u32,
    /// Size of the journal.
    pub journal_bytes: u64,
    /// Most records in one upload.
    pub batch_records: usize,
    /// Pause between uploads.
    pub upload_seconds: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            per_tap_max_fen: Fen::yuan(200),
            load_max_fen: Fen::yuan(1_000),
            passback_seconds: 3,
            same_card_seconds: 15,
            torn_ride_seconds: 1_800,
            journal_bytes: JOURNAL_BYTES,
            batch_records: 200,
            upload_seconds: 30,
        }
    }
}

/// Why limits cannot be set.
#[derive(Debug, thiserror::Error)]
pub enum LimitsError {
    /// Unknown, or no value of its kind.
    #[error("limits: {name}: {why}")]
    Form {
        /// The limit.
        name: String,
        /// What is wrong.
        why: serde_json::Error,
    },
    /// A value that no device could work by, or from which nothing would bring it back.
    #[error("limits: {name} must be {low} to {high}")]
    Range {
        /// The limit.
        name: &'static str,
        /// Lowest.
        low: i64,
        /// Highest.
        high: i64,
    },
    /// Of the disk of each device.
    #[error("limits: journal_bytes is of each device's disk: set it in the profile")]
    Journal,
}

impl Limits {
    /// These with those that a bundle sets.
    pub fn overlaid(
        self,
        set: &serde_json::Map<String, serde_json::Value>,
    ) -> Result<Self, LimitsError> {
        if set.contains_key("journal_bytes") {
            return Err(LimitsError::Journal);
        }
        let mut limits = self;
        for (name, value) in set {
            let form = |why| LimitsError::Form {
                name: name.clone(),
                why,
            };
            let mut all = serde_json::to_value(limits).map_err(form)?;
            if let Some(all) = all.as_object_mut() {
                all.insert(name.clone(), value.clone());
            }
            limits = serde_json::from_value(all).map_err(form)?;
        }
        let batch = i64::try_from(limits.batch_records).unwrap_or(i64::MAX);
        let within = [
            ("per_tap_max_fen", limits.per_tap_max_fen.0, 1, 1_000_000),
            ("load_max_fen", limits.load_max_fen.0, 0, 1_000_000),
            ("passback_seconds", limits.passback_seconds.into(), 0, 3_600),
            ("same_card_seconds", limits.same_card_seconds.into(), 1, 120),
            (
                "torn_ride_seconds",
                limits.torn_ride_seconds.into(),
                0,
                86_400,
            ),
            ("batch_records", batch, 1, 1_000),
            ("upload_seconds", limits.upload_seconds.into(), 1, 3_600),
        ];
        for (name, value, low, high) in within {
            if set.contains_key(name) && !(low..=high).contains(&value) {
                return Err(LimitsError::Range { name, low, high });
            }
        }
        Ok(limits)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_would_stop_a_device_is_refused() {
        let set = |name: &str, value: i64| {
            let mut set = serde_json::Map::new();
            set.insert(name.to_owned(), value.into());
            Limits::default().overlaid(&set)
        };
        assert_eq!(
            set("upload_seconds", 60).map(|l| l.upload_seconds).ok(),
            Some(60)
        );
        for (name, value) in [
            ("upload_seconds", 0),
            ("upload_seconds", 4_000_000_000),
            ("same_card_seconds", 100_000),
            ("per_tap_max_fen", 0),
            ("batch_records", 0),
            ("journal_bytes", 1 << 20),
            ("per_tap_max_fenn", 1),
            ("passback_seconds", -1),
        ] {
            let error = set(name, value).err().map(|e| e.to_string());
            assert!(error.is_some_and(|e| e.contains(name)), "{name} {value}");
        }
    }
}
