//! The files and fields of the GTFS reference (revised 27 April 2026) that pricing reads: which
//! must be there, and what a value looks like. One table; [`super::rows`] holds every row to it.

/// What a value must look like (reference, Field Types and Field Signs).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// An identifier.
    Id,
    /// For people; no price depends on it.
    Text,
    /// Of the reference, not looked at.
    Unread,
    /// One of these.
    Enum(&'static [&'static str]),
    /// `routes.route_type`: the reference's modes and the extended ones.
    Mode,
    /// Non-negative integer.
    Count,
    /// Integer, -1 or at least 1.
    Transfers,
    /// YYYYMMDD.
    Date,
    /// HH:MM:SS, beyond 24:00:00 too.
    Time,
    /// HH:MM:SS up to 24:00:00.
    LocalTime,
    /// Decimal.
    Decimal,
    /// Degrees up to this many either way; its absence is a warning, because no price needs it.
    Degrees(u8),
    /// ISO 4217 code.
    Currency,
}

/// Presence of a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Need {
    /// In the header, and with a value in every row.
    Required,
    /// In the header, values may be empty.
    Column,
    /// Neither.
    Optional,
}

#[derive(Debug, Clone, Copy)]
pub(super) struct Column {
    pub(super) name: &'static str,
    pub(super) need: Need,
    pub(super) kind: Kind,
}

#[derive(Debug)]
pub(super) struct FileSpec {
    pub(super) name: &'static str,
    /// Whether a feed without it is refused.
    pub(super) required: bool,
    pub(super) columns: &'static [Column],
}

const fn must(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        need: Need::Required,
        kind,
    }
}

const fn may(name: &'static str, kind: Kind) -> Column {
    Column {
        name,
        need: Need::Optional,
        kind,
    }
}

const fn text(name: &'static str) -> Column {
    may(name, Kind::Text)
}

const fn unread(name: &'static str) -> Column {
    may(name, Kind::Unread)
}

use Kind::{
    Count, Currency, Date, Decimal, Degrees, Enum, Id, LocalTime, Mode, Text, Time, Transfers,
};

const YES_NO: Kind = Enum(&["0", "1"]);
const BOARDING: Kind = Enum(&["0", "1", "2", "3"]);

/// The files that are read.
pub(super) const FILES: &[FileSpec] = &[
    FileSpec {
        name: "agency.txt",
        required: true,
        columns: &[
            may("agency_id", Id),
            must("agency_name", Text),
            must("agency_url", Text),
            must("agency_timezone", Id),
            text("agency_lang"),
            text("agency_phone"),
            text("agency_fare_url"),
            text("agency_email"),
            unread("cemv_support"),
        ],
    },
    FileSpec {
        name: "stops.txt",
        required: true,
        columns: &[
            must("stop_id", Id),
            text("stop_code"),
            text("stop_name"),
            text("tts_stop_name"),
            text("stop_desc"),
            may("stop_lat", Degrees(90)),
            may("stop_lon", Degrees(180)),
            may("zone_id", Id),
            text("stop_url"),
            may("location_type", Enum(&["0", "1", "2", "3", "4"])),
            may("parent_station", Id),
            may("stop_timezone", Id),
            unread("wheelchair_boarding"),
            unread("level_id"),
            text("platform_code"),
            unread("stop_access"),
        ],
    },
    FileSpec {
        name: "routes.txt",
        required: true,
        columns: &[
            must("route_id", Id),
            may("agency_id", Id),
            text("route_short_name"),
            text("route_long_name"),
            text("route_desc"),
            must("route_type", Mode),
            text("route_url"),
            unread("route_color"),
            unread("route_text_color"),
            unread("route_sort_order"),
            unread("continuous_pickup"),
            unread("continuous_drop_off"),
            may("network_id", Id),
            unread("cemv_support"),
        ],
    },
    FileSpec {
        name: "trips.txt",
        required: true,
        columns: &[
            must("route_id", Id),
            must("service_id", Id),
            must("trip_id", Id),
            text("trip_headsign"),
            text("trip_short_name"),
            may("direction_id", YES_NO),
            unread("block_id"),
            unread("shape_id"),
            unread("wheelchair_accessible"),
            unread("bikes_allowed"),
            unread("cars_allowed"),
            unread("safe_duration_factor"),
            unread("safe_duration_offset"),
        ],
    },
    FileSpec {
        name: "stop_times.txt",
        required: true,
        columns: &[
            must("trip_id", Id),
            may("arrival_time", Time),
            may("departure_time", Time),
            may("stop_id", Id),
            may("location_group_id", Id),
            may("location_id", Id),
            must("stop_sequence", Count),
            text("stop_headsign"),
            may("start_pickup_drop_off_window", Time),
            may("end_pickup_drop_off_window", Time),
            may("pickup_type", BOARDING),
            may("drop_off_type", BOARDING),
            unread("continuous_pickup"),
            unread("continuous_drop_off"),
            unread("shape_dist_traveled"),
            unread("timepoint"),
            unread("pickup_booking_rule_id"),
            unread("drop_off_booking_rule_id"),
        ],
    },
    FileSpec {
        name: "calendar.txt",
        required: false,
        columns: &[
            must("service_id", Id),
            must("monday", YES_NO),
            must("tuesday", YES_NO),
            must("wednesday", YES_NO),
            must("thursday", YES_NO),
            must("friday", YES_NO),
            must("saturday", YES_NO),
            must("sunday", YES_NO),
            must("start_date", Date),
            must("end_date", Date),
        ],
    },
    FileSpec {
        name: "calendar_dates.txt",
        required: false,
        columns: &[
            must("service_id", Id),
            must("date", Date),
            must("exception_type", Enum(&["1", "2"])),
        ],
    },
    FileSpec {
        name: "fare_attributes.txt",
        required: false,
        columns: &[
            must("fare_id", Id),
            must("price", Decimal),
            must("currency_type", Currency),
            must("payment_method", YES_NO),
            Column {
                name: "transfers",
                need: Need::Column,
                kind: Enum(&["0", "1", "2"]),
            },
            may("agency_id", Id),
            may("transfer_duration", Count),
        ],
    },
    FileSpec {
        name: "fare_rules.txt",
        required: false,
        columns: &[
            must("fare_id", Id),
            may("route_id", Id),
            may("origin_id", Id),
            may("destination_id", Id),
            may("contains_id", Id),
        ],
    },
    FileSpec {
        name: "timeframes.txt",
        required: false,
        columns: &[
            must("timeframe_group_id", Id),
            may("start_time", LocalTime),
            may("end_time", LocalTime),
            must("service_id", Id),
        ],
    },
    FileSpec {
        name: "rider_categories.txt",
        required: false,
        columns: &[
            must("rider_category_id", Id),
            must("rider_category_name", Text),
            Column {
                name: "is_default_fare_category",
                need: Need::Column,
                kind: YES_NO,
            },
            text("eligibility_url"),
        ],
    },
    FileSpec {
        name: "fare_media.txt",
        required: false,
        columns: &[
            must("fare_media_id", Id),
            text("fare_media_name"),
            must("fare_media_type", Enum(&["0", "1", "2", "3", "4"])),
        ],
    },
    FileSpec {
        name: "fare_products.txt",
        required: false,
        columns: &[
            must("fare_product_id", Id),
            text("fare_product_name"),
            may("rider_category_id", Id),
            may("fare_media_id", Id),
            must("amount", Decimal),
            must("currency", Currency),
        ],
    },
    FileSpec {
        name: "fare_leg_rules.txt",
        required: false,
        columns: &[
            may("leg_group_id", Id),
            may("network_id", Id),
            may("from_area_id", Id),
            may("to_area_id", Id),
            may("from_timeframe_group_id", Id),
            may("to_timeframe_group_id", Id),
            must("fare_product_id", Id),
            may("rule_priority", Count),
        ],
    },
    FileSpec {
        name: "fare_leg_join_rules.txt",
        required: false,
        columns: &[
            must("from_network_id", Id),
            must("to_network_id", Id),
            may("from_stop_id", Id),
            may("to_stop_id", Id),
        ],
    },
    FileSpec {
        name: "fare_transfer_rules.txt",
        required: false,
        columns: &[
            may("from_leg_group_id", Id),
            may("to_leg_group_id", Id),
            may("transfer_count", Transfers),
            may("duration_limit", Count),
            may("duration_limit_type", Enum(&["0", "1", "2", "3"])),
            must("fare_transfer_type", Enum(&["0", "1", "2"])),
            may("fare_product_id", Id),
        ],
    },
    FileSpec {
        name: "areas.txt",
        required: false,
        columns: &[must("area_id", Id), text("area_name")],
    },
    FileSpec {
        name: "stop_areas.txt",
        required: false,
        columns: &[must("area_id", Id), must("stop_id", Id)],
    },
    FileSpec {
        name: "networks.txt",
        required: false,
        columns: &[must("network_id", Id), text("network_name")],
    },
    FileSpec {
        name: "route_networks.txt",
        required: false,
        columns: &[must("network_id", Id), must("route_id", Id)],
    },
    FileSpec {
        name: "transfers.txt",
        required: false,
        columns: &[
            may("from_stop_id", Id),
            may("to_stop_id", Id),
            unread("from_route_id"),
            unread("to_route_id"),
            unread("from_trip_id"),
            unread("to_trip_id"),
            may("transfer_type", Enum(&["0", "1", "2", "3", "4", "5"])),
            unread("min_transfer_time"),
        ],
    },
];

/// Files of the reference that no price depends on: they are left unread.
pub(super) const OTHER_FILES: &[&str] = &[
    "attributions.txt",
    "booking_rules.txt",
    "feed_info.txt",
    "frequencies.txt",
    "levels.txt",
    "location_group_stops.txt",
    "location_groups.txt",
    "locations.geojson",
    "pathways.txt",
    "shapes.txt",
    "translations.txt",
];

/// The specification of a file that is read.
pub(super) fn find(name: &str) -> Option<&'static FileSpec> {
    FILES.iter().find(|file| file.name == name)
}

impl FileSpec {
    pub(super) fn column(&self, name: &str) -> Option<&'static Column> {
        self.columns.iter().find(|column| column.name == name)
    }
}
