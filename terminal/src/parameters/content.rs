//! What a bundle holds, checked whole before any of it is used.

use std::sync::Arc;

use clearing_api::{limits::LimitsError, parameters::Bundle};
use fare::Tariffs;

use crate::profile::Limits;

/// Why a bundle cannot be used on this device. Trying again helps nothing.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// A limit is unknown or has an impossible value.
    #[error(transparent)]
    Limits(#[from] LimitsError),
    /// The tariffs do not load.
    #[error("tariffs: {0}")]
    Tariffs(#[from] fare::FareError),
    /// The device could not take it over.
    #[error("{0}")]
    Device(String),
}

/// A bundle as this device uses it.
#[derive(Debug, Clone)]
pub struct Content {
    /// Its version; 0: what the profile says.
    pub version: u64,
    /// Limits.
    pub limits: Limits,
    /// Tariffs, where the bundle brings any.
    pub tariffs: Option<Arc<Tariffs>>,
}

impl Content {
    /// What the profile says.
    pub const fn of_profile(limits: Limits) -> Self {
        Self {
            version: 0,
            limits,
            tariffs: None,
        }
    }

    /// A bundle over the profile's limits.
    pub fn load(bundle: &Bundle, limits: Limits) -> Result<Self, ContentError> {
        let tariffs = match bundle.tariffs.is_empty() {
            true => None,
            false => Some(Arc::new(Tariffs::from_texts(&bundle.tariffs)?)),
        };
        Ok(Self {
            version: bundle.version,
            limits: limits.overlaid(&bundle.limits)?,
            tariffs,
        })
    }
}
