//! The end of the device's certificate, told while there is time for another.

use card_spec::time::{CardDate, CardTime};

use crate::{
    clock,
    profile::{DeviceProfile, ProfileError},
};

/// How long before its end, in days.
const WARNING_DAYS: i64 = 30;
const DAY: i64 = 86_400;
/// Fujian is that much ahead of UTC.
const OFFSET: i64 = 8 * 3_600;

#[derive(Debug, Default)]
pub(super) struct Certificate {
    ends: Option<CardTime>,
    told: Option<CardDate>,
}

impl Certificate {
    pub(super) fn of(profile: &DeviceProfile) -> Result<Self, ProfileError> {
        let identity = profile.tls.as_ref().map(|tls| tls.load()).transpose()?;
        let ends = identity.and_then(|identity| identity.ends());
        Ok(Self {
            ends: ends.and_then(|utc| CardTime::from_seconds(utc + OFFSET)),
            told: None,
        })
    }

    /// A warning, once a day.
    pub(super) fn warning(&mut self, now: CardTime) -> Option<String> {
        let ends = self.ends?;
        if clock::elapsed(now, ends) > WARNING_DAYS * DAY
            || self.told.replace(now.date()) == Some(now.date())
        {
            return None;
        }
        Some(format!(
            "the device's certificate ends {ends}: have another one issued with `onecard hsm certificate issue --device`, put it in place and start the device again"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn its_end_is_told_once_a_day_from_thirty_days_before() {
        let at = |text: &str| text.parse().expect("time");
        let mut certificate = Certificate {
            ends: Some(at("2026-12-31T00:00:00")),
            told: None,
        };
        assert_eq!(certificate.warning(at("2026-11-30T23:59:59")), None);
        let told = certificate.warning(at("2026-12-01T00:00:00"));
        assert!(told.is_some_and(|told| told.contains("2026-12-31")));
        assert_eq!(certificate.warning(at("2026-12-01T23:59:59")), None);
        assert!(certificate.warning(at("2026-12-02T00:00:00")).is_some());
        assert_eq!(
            Certificate::default().warning(at("2026-12-02T00:00:00")),
            None
        );
    }
}
