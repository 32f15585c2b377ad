//! A device's profile: one TOML file that says what it is, where it stands and whom it asks.

mod example;

pub use example::example;

use std::path::{Path, PathBuf};

use card_spec::{
    id::{DeviceNo, RegionCode, SamNo},
    keys::class,
};
pub use clearing_api::limits::Limits;
use clearing_api::{Client, Tls, TlsError};
use ed25519_dalek::SigningKey;
use serde::{Deserialize, Serialize};

use crate::{
    admit::Acceptance,
    machine::{Operator, Text},
    names::Names,
    tap::Setup,
};

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// Bus validator.
    Bus,
    /// Metro entry gate.
    MetroEntry,
    /// Metro exit gate.
    MetroExit,
    /// Taxi meter.
    Taxi,
    /// Kerb-side parking meter.
    ParkingMeter,
    /// Car park entry barrier.
    CarParkEntry,
    /// Car park exit barrier.
    CarParkExit,
    /// Point of sale.
    Pos,
    /// Hospital window.
    Hospital,
    /// Self-service kiosk.
    Kiosk,
    /// Fare-adjustment desk of a metro.
    FareDesk,
    /// Inspector's hand-held.
    Inspector,
}

impl Kind {
    /// Every kind.
    pub const ALL: [Self; 12] = [
        Self::Bus,
        Self::MetroEntry,
        Self::MetroExit,
        Self::Taxi,
        Self::ParkingMeter,
        Self::CarParkEntry,
        Self::CarParkExit,
        Self::Pos,
        Self::Hospital,
        Self::Kiosk,
        Self::FareDesk,
        Self::Inspector,
    ];

    /// The name on command lines and in profiles.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Bus => "bus",
            Self::MetroEntry => "metro-entry",
            Self::MetroExit => "metro-exit",
            Self::Taxi => "taxi",
            Self::ParkingMeter => "parking-meter",
            Self::CarParkEntry => "car-park-entry",
            Self::CarParkExit => "car-park-exit",
            Self::Pos => "pos",
            Self::Hospital => "hospital",
            Self::Kiosk => "kiosk",
            Self::FareDesk => "fare-desk",
            Self::Inspector => "inspector",
        }
    }

    /// What it is called, Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::Bus => "公交车载机",
            Self::MetroEntry => "进站闸机",
            Self::MetroExit => "出站闸机",
            Self::Taxi => "出租车计价器",
            Self::ParkingMeter => "泊车计时表",
            Self::CarParkEntry => "停车场入口",
            Self::CarParkExit => "停车场出口",
            Self::Pos => "销售终端",
            Self::Hospital => "医院窗口",
            Self::Kiosk => "自助终端",
            Self::FareDesk => "补票亭",
            Self::Inspector => "稽查终端",
        }
    }

    /// What it is called, English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::Bus => "Bus validator",
            Self::MetroEntry => "Entry gate",
            Self::MetroExit => "Exit gate",
            Self::Taxi => "Taxi meter",
            Self::ParkingMeter => "Parking meter",
            Self::CarParkEntry => "Car park entry",
            Self::CarParkExit => "Car park exit",
            Self::Pos => "Point of sale",
            Self::Hospital => "Hospital window",
            Self::Kiosk => "Self-service kiosk",
            Self::FareDesk => "Fare desk",
            Self::Inspector => "Inspector",
        }
    }

    /// The purchase class whose key the device uses.
    pub const fn class(self) -> u8 {
        match self {
            Self::Taxi | Self::ParkingMeter | Self::CarParkEntry | Self::CarParkExit => {
                class::PARKING_TAXI
            }
            Self::Pos => class::RETAIL,
            _ => class::TRANSIT,
        }
    }
}

impl std::str::FromStr for Kind {
    type Err = ProfileError;
    fn from_str(text: &str) -> Result<Self, ProfileError> {
        let kind = Self::ALL.into_iter().find(|kind| kind.name() == text);
        kind.ok_or_else(|| ProfileError::Kind {
            given: text.to_owned(),
            known: Self::ALL.map(Self::name).join(", "),
        })
    }
}

/// Why a profile cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ProfileError {
    /// A file could not be read.
    #[error("cannot read {}: {error}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// Not a profile.
    #[error("{}: {error}", path.display())]
    Syntax {
        /// The file.
        path: PathBuf,
        /// Where and what.
        error: Box<toml::de::Error>,
    },
    /// No such kind of device.
    #[error("no device kind `{given}`; known: {known}")]
    Kind {
        /// What was given.
        given: String,
        /// The known names.
        known: String,
    },
    /// The profile is for another kind.
    #[error("this is the profile of a {profile}, not of a {asked}")]
    OtherKind {
        /// Kind in the profile.
        profile: &'static str,
        /// Kind asked for.
        asked: &'static str,
    },
    /// A field that this kind needs.
    #[error("a {kind} needs `{field}` in its profile")]
    Missing {
        /// Kind.
        kind: &'static str,
        /// Field.
        field: &'static str,
    },
    /// The certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// The key file does not hold a key.
    #[error("{}: an upload key is 32 bytes as 64 hex digits", path.display())]
    Key {
        /// The file.
        path: PathBuf,
    },
}

/// The profile of one device. Relative paths start at the profile's own folder.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DeviceProfile {
    /// What it is.
    pub kind: Kind,
    /// Device number, 16 digits.
    pub device: DeviceNo,
    /// Operator: agency id of the tariff data; of hospitals their 12-character code.
    pub operator: String,
    /// Region, six digits.
    pub region: RegionCode,
    /// Folder of the tariff data (buses, metro, taxi, parking).
    pub tariffs: Option<PathBuf>,
    /// Address of the clearing house, e.g. `https://clearing.example:7801`.
    pub clearing: String,
    /// Journal file.
    pub journal: PathBuf,
    /// Folder that keeps hotlist, parameters, modes and the open shift over a restart; without it the
    /// hotlist is fetched again.
    pub state: Option<PathBuf>,
    /// File with the device's Ed25519 upload key, 64 hex digits.
    pub key_file: PathBuf,
    /// The HSM's hotlist key, 64 hex digits. Without it the device holds no hotlist.
    pub hotlist_key: Option<String>,
    /// The HSM's parameter key, 64 hex digits: limits, tariffs, modes and time are taken from the
    /// clearing house, and kept under `state`. Without it the device works by its profile alone.
    pub parameters_key: Option<String>,
    /// PC/SC name of the card reader, or of several.
    pub reader: Names,
    /// PC/SC name of the SAM's reader, or of several; points of sale that do not sell have none.
    pub sam_reader: Option<Names>,
    /// Serve sample and test cards: only on published keys, never in production.
    #[serde(default)]
    pub sample_cards: bool,
    /// Bus route, or metro line.
    pub route: Option<String>,
    /// Metro stop.
    pub stop: Option<String>,
    /// Car park id.
    pub park: Option<String>,
    /// Class of kerb-side spaces.
    pub zone: Option<String>,
    /// Vehicle class at car parks and meters.
    pub vehicle_class: Option<fare::VehicleClass>,
    /// Plate of the taxi.
    pub plate: Option<String>,
    /// Terminal number of a point of sale or kiosk, 12 digits.
    pub terminal: Option<SamNo>,
    /// Hospital: name, operator and access keys.
    pub hospital: Option<HospitalProfile>,
    /// Bus: the driver may let several riders pay with one card.
    #[serde(default)]
    pub companions: bool,
    /// Who may open a shift here; where nobody is named, any number may, and none is needed.
    #[serde(default)]
    pub operators: Vec<Operator>,
    /// Certificate of the device, for an `https` address.
    pub tls: Option<Tls>,
    /// Limits.
    #[serde(default)]
    pub limits: Limits,
}

/// What a hospital window adds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct HospitalProfile {
    /// Institution name.
    pub name: String,
    /// Operator's number at the platform.
    pub opter: String,
    /// Operator's name.
    pub opter_name: String,
    /// Access key of the national interface.
    pub access_key: String,
    /// File with its secret key.
    pub secret_key_file: PathBuf,
}

impl DeviceProfile {
    /// Reads a profile and resolves its paths.
    pub fn read(path: &Path) -> Result<Self, ProfileError> {
        let text = read_text(path)?;
        let mut profile = Self::parse(&text).map_err(|error| ProfileError::Syntax {
            path: path.to_owned(),
            error: Box::new(error),
        })?;
        profile.resolve(path.parent().unwrap_or(Path::new("")));
        Ok(profile)
    }

    /// Parses a profile's text; paths stay as they are.
    pub fn parse(text: &str) -> Result<Self, toml::de::Error> {
        toml::from_str(text)
    }

    /// The clearing house, by the device's certificate if it has one.
    pub fn client(&self) -> Result<Client, ProfileError> {
        Ok(Client::open(&self.clearing, self.tls.as_ref())?)
    }

    fn resolve(&mut self, folder: &Path) {
        if let Some(tls) = &mut self.tls {
            tls.resolve(folder);
        }
        let optional = [
            self.tariffs.as_mut(),
            self.state.as_mut(),
            self.hospital.as_mut().map(|h| &mut h.secret_key_file),
        ];
        let paths = [&mut self.journal, &mut self.key_file].into_iter();
        for path in paths.chain(optional.into_iter().flatten()) {
            *path = folder.join(&*path);
        }
    }

    /// That the profile is for this kind.
    pub const fn must_be(&self, kind: Kind) -> Result<(), ProfileError> {
        if self.kind as u8 == kind as u8 {
            return Ok(());
        }
        Err(ProfileError::OtherKind {
            profile: self.kind.name(),
            asked: kind.name(),
        })
    }

    /// A field that this kind needs.
    pub fn need<'a, T: ?Sized>(
        &self,
        field: &'static str,
        value: Option<&'a T>,
    ) -> Result<&'a T, ProfileError> {
        value.ok_or(ProfileError::Missing {
            kind: self.kind.name(),
            field,
        })
    }

    /// The device's upload key.
    pub fn signing_key(&self) -> Result<SigningKey, ProfileError> {
        let text = read_text(&self.key_file)?;
        let bytes: Option<[u8; 32]> = hex::decode(text.trim())
            .ok()
            .and_then(|bytes| bytes.try_into().ok());
        bytes
            .map(|bytes| SigningKey::from_bytes(&bytes))
            .ok_or_else(|| ProfileError::Key {
                path: self.key_file.clone(),
            })
    }

    /// What it is and where it stands, for its screen.
    pub fn place_text(&self) -> Text {
        let spots = [&self.route, &self.stop, &self.park, &self.zone, &self.plate];
        let spot: Vec<&str> = spots.into_iter().flatten().map(String::as_str).collect();
        let spot = spot.join(" ");
        Text::new(
            format!("{} {spot}", self.kind.zh()).trim_end(),
            format!("{} {spot}", self.kind.en()).trim_end(),
        )
    }

    /// Which cards the device accepts.
    pub const fn acceptance(&self) -> Acceptance {
        Acceptance {
            region: self.region,
            sample_cards: self.sample_cards,
        }
    }

    /// The rules of a purse device.
    pub const fn setup(&self) -> Setup {
        Setup {
            acceptance: self.acceptance(),
            class: self.kind.class(),
            per_tap_max: self.limits.per_tap_max_fen,
            passback_seconds: self.limits.passback_seconds,
            same_card_seconds: self.limits.same_card_seconds,
            torn_ride_seconds: self.limits.torn_ride_seconds,
        }
    }
}

pub(crate) fn read_text(path: &Path) -> Result<String, ProfileError> {
    std::fs::read_to_string(path).map_err(|error| ProfileError::Read {
        path: path.to_owned(),
        error,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUS: &str = r#"
        kind = "bus"
        device = "0000350100000017"
        operator = "FZBUS"
        region = "350100"
        tariffs = "fujian"
        clearing = "http://127.0.0.1:7801"
        journal = "bus.journal"
        key_file = "bus.key"
        reader = "Virtual PCD 00 00"
        sam_reader = "Virtual PCD 00 01"
        route = "FZB17"

        [limits]
        passback_seconds = 5
    "#;

    #[test]
    fn a_profile_is_strict_and_complete() {
        let mut profile = DeviceProfile::parse(BUS).expect("valid");
        assert_eq!(profile.limits.passback_seconds, 5);
        assert_eq!(
            profile.limits.batch_records,
            Limits::default().batch_records
        );
        assert!(!profile.sample_cards, "production is the default");
        profile.resolve(Path::new("/etc/onecard"));
        assert_eq!(profile.journal, Path::new("/etc/onecard/bus.journal"));
        assert!(profile.must_be(Kind::Bus).is_ok());
        let wrong = profile
            .must_be(Kind::Pos)
            .expect_err("not a POS")
            .to_string();
        assert_eq!(wrong, "this is the profile of a bus, not of a pos");
        let unknown = DeviceProfile::parse(&format!("{BUS}\nretries = 3")).expect_err("unknown");
        assert!(unknown.to_string().contains("retries"), "{unknown}");
        let no_device = BUS.replace("0000350100000017", "17");
        assert!(DeviceProfile::parse(&no_device).is_err());
    }

    #[test]
    fn every_kind_has_one_name() {
        for kind in Kind::ALL {
            assert_eq!(kind.name().parse::<Kind>().expect("own name"), kind);
        }
        let error = "tram".parse::<Kind>().expect_err("unknown").to_string();
        assert!(error.contains("metro-entry"), "{error}");
    }
}
