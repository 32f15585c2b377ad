//! The TOML files, as written. Checked and resolved by the modules that use them.

use card_spec::{Fen, id::RegionCode, time::CardDate};
use serde::Deserialize;

use crate::{
    LegClass, LineCode, Operator, OperatorId, ParkId, Provenance, QuoteError, RouteId, Status,
    StopId, TariffId, VehicleClass, ZoneClass, ZoneId,
    clock::{DailyWindow, TimeOfDay},
    discount::Discount,
    permit::PermitRule,
    transfer::TransferRule,
    window::TimeWindow,
};

/// Highest amount a tariff file may name, so that no sum of a bounded stay can overflow.
const MAX_FEN: i64 = 1_000_000;

/// An amount in a file: a string in yuan, `"2.00"`, between 0 and 10,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(try_from = "String")]
pub(crate) struct Yuan(pub(crate) Fen);

impl TryFrom<String> for Yuan {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        match text.parse::<Fen>() {
            Ok(fen) if (0..=MAX_FEN).contains(&fen.0) => Ok(Self(fen)),
            _ => Err(format!(
                "`{text}` is not an amount; write yuan such as \"2.00\", from 0 to 10000"
            )),
        }
    }
}

/// The first line of every tariff file.
#[derive(Debug, Deserialize)]
pub(crate) struct Kind {
    pub(crate) kind: FileKind,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum FileKind {
    Bus,
    Metro,
    Transfer,
    Contracts,
    Modes,
    Taxi,
    StreetParking,
    CarPark,
    Calendar,
}

/// `operators.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct OperatorsFile {
    #[serde(rename = "provenance")]
    _provenance: Provenance,
    pub(crate) operator: Vec<Operator>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct DateSpan {
    pub(crate) from: CardDate,
    pub(crate) to: CardDate,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CalendarFile {
    #[serde(rename = "kind")]
    _kind: FileKind,
    pub(crate) id: TariffId,
    pub(crate) provenance: Provenance,
    pub(crate) years: Vec<u16>,
    pub(crate) holidays: Vec<DateSpan>,
    pub(crate) worked: Vec<CardDate>,
}

/// What every tariff file with an operator says first.
pub(crate) trait Head {
    fn head(&self) -> (&TariffId, &OperatorId, RegionCode);
}

/// A tariff file's head, common to all kinds with an operator.
macro_rules! tariff_file {
    ($(#[$doc:meta])* $name:ident { $($(#[$attr:meta])* $field:ident: $ty:ty,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub(crate) struct $name {
            #[serde(rename = "kind")]
            _kind: FileKind,
            pub(crate) id: TariffId,
            pub(crate) operator: OperatorId,
            pub(crate) city: RegionCode,
            pub(crate) provenance: Provenance,
            $($(#[$attr])* pub(crate) $field: $ty,)*
        }

        impl Head for $name {
            fn head(&self) -> (&TariffId, &OperatorId, RegionCode) {
                (&self.id, &self.operator, self.city)
            }
        }
    };
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TransferFile {
    #[serde(rename = "kind")]
    _kind: FileKind,
    pub(crate) id: TariffId,
    pub(crate) city: RegionCode,
    pub(crate) provenance: Provenance,
    /// Two bytes each, because the age of a window is written on the card in two bytes.
    pub(crate) min_gap_seconds: u16,
    pub(crate) max_gap_seconds: u16,
    pub(crate) rule: Vec<TransferRule>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct BusRoute {
    pub(crate) id: RouteId,
    pub(crate) code: LineCode,
    pub(crate) class: LegClass,
    /// First stop of each section, in the order of the feed's first trip; empty for a flat fare.
    #[serde(default)]
    pub(crate) section_stops: Vec<StopId>,
    /// The fare for riding in one section, in two, ...
    #[serde(default)]
    pub(crate) section_fares: Vec<Yuan>,
}

tariff_file! {
    /// `kind = "bus"`
    BusFile {
        route: Vec<BusRoute>,
        #[serde(default)]
        discount: Vec<Discount>,
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Band {
    pub(crate) up_to_m: u32,
    pub(crate) fare: Yuan,
    pub(crate) peak_fare: Option<Yuan>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Tail {
    pub(crate) every_m: u32,
    pub(crate) add: Yuan,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Zone {
    pub(crate) id: ZoneId,
    pub(crate) stops: Vec<StopId>,
}

/// The fare between two zones, either way.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ZoneFare {
    pub(crate) zones: [ZoneId; 2],
    pub(crate) fare: Yuan,
    pub(crate) peak_fare: Option<Yuan>,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Segment {
    pub(crate) from: StopId,
    pub(crate) to: StopId,
    pub(crate) metres: u32,
    pub(crate) status: Status,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct MetroLine {
    pub(crate) route: RouteId,
    pub(crate) code: LineCode,
    /// Absent where zones and not metres make the fare.
    #[serde(default)]
    pub(crate) segment: Vec<Segment>,
}

/// What a gated network is to transfer rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum GateClass {
    Metro,
    Brt,
}

/// What leaving at the station of entry costs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum SameStation {
    /// The lowest fare.
    Lowest,
    /// Nothing.
    Free,
}

/// What the card must hold at entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum EntryBalance {
    /// The lowest fare.
    Lowest,
    /// The highest, which the exit settles (暂扣最高票价).
    Highest,
}

tariff_file! {
    /// `kind = "metro"`: a network with gates, priced by distance or by zones.
    MetroFile {
        class: GateClass,
        #[serde(default)]
        band: Vec<Band>,
        tail: Option<Tail>,
        #[serde(default)]
        zone: Vec<Zone>,
        #[serde(default)]
        zone_fare: Vec<ZoneFare>,
        /// When `peak_fare` holds, by the time of entry.
        #[serde(default)]
        peak: Vec<TimeWindow>,
        entry_balance: EntryBalance,
        stay_limit_minutes: Option<u16>,
        /// A second tap at the same gate line within this time is a mistake, not a journey.
        double_tap_seconds: u16,
        /// How long a desk corrects the highest fare that a missing exit cost.
        correction_days: u16,
        same_station: SameStation,
        line: Vec<MetroLine>,
        #[serde(default)]
        discount: Vec<Discount>,
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FlagFare {
    pub(crate) fare: Yuan,
    pub(crate) metres: u32,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct EmptyReturn {
    pub(crate) beyond_m: u32,
    pub(crate) add_percent: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Night {
    pub(crate) from: TimeOfDay,
    pub(crate) to: TimeOfDay,
    pub(crate) add_percent: u8,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Reading {
    pub(crate) id: String,
    pub(crate) unit_seconds: u32,
    pub(crate) fare: Yuan,
    /// Who says so.
    pub(crate) source: String,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct LowSpeed {
    pub(crate) below_kmh: u16,
    pub(crate) chosen: String,
    pub(crate) reading: Vec<Reading>,
}

tariff_file! {
    /// `kind = "taxi"`
    TaxiFile {
        flag: FlagFare,
        unit: FlagFare,
        empty_return: EmptyReturn,
        night: Night,
        low_speed: LowSpeed,
    }
}

/// By what a small car's fares are multiplied; absent: not admitted.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct VehicleFactors {
    small: Option<u8>,
    medium: Option<u8>,
    large: Option<u8>,
}

impl VehicleFactors {
    pub(crate) fn of(&self, vehicle: VehicleClass) -> Result<i64, QuoteError> {
        let factor = match vehicle {
            VehicleClass::Small => self.small,
            VehicleClass::Medium => self.medium,
            VehicleClass::Large => self.large,
        };
        factor.map(i64::from).ok_or(QuoteError::Vehicle(vehicle))
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StreetClass {
    pub(crate) id: ZoneClass,
    pub(crate) unit_fare: Yuan,
    pub(crate) cap_24h: Yuan,
}

tariff_file! {
    /// `kind = "street-parking"`
    StreetParkingFile {
        paid: DailyWindow,
        unit_minutes: u16,
        vehicle: VehicleFactors,
        class: Vec<StreetClass>,
        #[serde(default)]
        permit: Vec<PermitRule>,
    }
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct FirstBlock {
    pub(crate) fare: Yuan,
    pub(crate) minutes: u16,
}

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Park {
    pub(crate) id: ParkId,
    pub(crate) zh: String,
    pub(crate) en: String,
    pub(crate) class: String,
    pub(crate) free_minutes: u16,
    pub(crate) first: FirstBlock,
    pub(crate) unit_minutes: u16,
    pub(crate) day_unit_fare: Yuan,
    pub(crate) night_unit_fare: Yuan,
    pub(crate) cap_24h: Option<Yuan>,
}

tariff_file! {
    /// `kind = "car-park"`
    CarParkFile {
        day: DailyWindow,
        vehicle: VehicleFactors,
        park: Vec<Park>,
        #[serde(default)]
        permit: Vec<PermitRule>,
    }
}
