//! What a bundle holds, checked whole before any of it is used.

use std::{
    fs, io,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use clearing_api::parameters::Bundle;
use fare::Tariffs;

use crate::profile::Limits;

/// Why a bundle cannot be used on this device.
#[derive(Debug, thiserror::Error)]
pub enum ContentError {
    /// A limit is unknown or has an impossible value.
    #[error("limits: {0}")]
    Limits(serde_json::Error),
    /// A file's name would leave the folder.
    #[error("`{0}` is no path below the tariff folder")]
    Path(String),
    /// The tariffs do not load.
    #[error("tariffs: {0}")]
    Tariffs(#[from] fare::FareError),
    /// The tariff files could not be unpacked here. The bundle may be good.
    #[error("unpacking tariffs: {0}; check the disk")]
    Io(#[from] io::Error),
    /// The device could not take it over.
    #[error("{0}")]
    Device(String),
}

impl ContentError {
    /// Whether the bundle itself is at fault, so that trying again helps nothing.
    pub const fn is_final(&self) -> bool {
        !matches!(self, Self::Io(_))
    }
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

    /// A bundle over the profile's limits; its tariffs are unpacked in `folder` and loaded.
    pub fn load(bundle: &Bundle, limits: Limits, folder: &Path) -> Result<Self, ContentError> {
        let tariffs = match bundle.tariffs.is_empty() {
            true => None,
            false => Some(Arc::new(tariffs(bundle, folder)?)),
        };
        Ok(Self {
            version: bundle.version,
            limits: overlaid(limits, bundle)?,
            tariffs,
        })
    }
}

fn overlaid(limits: Limits, bundle: &Bundle) -> Result<Limits, ContentError> {
    let mut all = serde_json::to_value(limits).map_err(ContentError::Limits)?;
    if let Some(all) = all.as_object_mut() {
        all.extend(bundle.limits.clone());
    }
    serde_json::from_value(all).map_err(ContentError::Limits)
}

fn tariffs(bundle: &Bundle, folder: &Path) -> Result<Tariffs, ContentError> {
    // What an interrupted attempt left is not mixed in.
    match fs::remove_dir_all(folder) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error.into()),
        _ => {}
    }
    for (name, text) in &bundle.tariffs {
        let path = below(folder, name).ok_or_else(|| ContentError::Path(name.clone()))?;
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    let loaded = Tariffs::load(folder);
    fs::remove_dir_all(folder)?;
    Ok(loaded?)
}

/// The path of `name` below `folder`, if it is nothing but names.
fn below(folder: &Path, name: &str) -> Option<PathBuf> {
    let path = Path::new(name);
    let is_plain = |c: Component<'_>| matches!(c, Component::Normal(_));
    (!name.is_empty() && path.components().all(is_plain)).then(|| folder.join(path))
}
