//! Which devices stand where in the simulated province: a small part of the network in the data.

use card_spec::keys::class;

/// What a device is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceKind {
    /// Bus validator on a route.
    Bus,
    /// Metro gate at a stop, both ways.
    Gate,
    /// Taxi meter terminal.
    Taxi,
    /// On-street parking meter.
    Meter,
    /// Car-park barriers, in and out.
    CarPark,
    /// Hospital window.
    Window,
    /// Kiosk of the social-insurance agency.
    Kiosk,
    /// Top-up point; has no SAM, loading is online.
    Pos,
}

/// One device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Post {
    /// What it is.
    pub kind: DeviceKind,
    /// Operator id (tariff data), institution code, or party id.
    pub operator: &'static str,
    /// Route, stop, zone class, car park, or empty.
    pub place: &'static str,
}

impl Post {
    /// Purchase class of its SAM: `None` for a social-security SAM or no SAM.
    pub const fn class(&self) -> Option<u8> {
        match self.kind {
            DeviceKind::Bus | DeviceKind::Gate => Some(class::TRANSIT),
            DeviceKind::Taxi | DeviceKind::Meter | DeviceKind::CarPark => Some(class::PARKING_TAXI),
            DeviceKind::Window | DeviceKind::Kiosk | DeviceKind::Pos => None,
        }
    }

    /// Whether it holds a SAM.
    pub const fn has_sam(&self) -> bool {
        !matches!(self.kind, DeviceKind::Pos)
    }
}

/// Party id of the top-up network (synthetic).
pub const TOPUP: &str = "TOPUP1";
/// Party id of the social-insurance agency (synthetic).
pub const AGENCY: &str = "SSAGENCY";

const fn post(kind: DeviceKind, operator: &'static str, place: &'static str) -> Post {
    Post {
        kind,
        operator,
        place,
    }
}

/// Every device.
pub const POSTS: &[Post] = &[
    post(DeviceKind::Bus, "FZBUS", "FZB5"),
    post(DeviceKind::Bus, "FZBUS", "FZB17"),
    post(DeviceKind::Bus, "FZBUS", "FZB51"),
    post(DeviceKind::Bus, "FZBUS", "FZB106"),
    post(DeviceKind::Bus, "FZBUS", "FZB129"),
    post(DeviceKind::Bus, "XMBUS", "XMB1"),
    post(DeviceKind::Bus, "XMBUS", "XMB954"),
    post(DeviceKind::Gate, "FZMTR", "FZM101"),
    post(DeviceKind::Gate, "FZMTR", "FZM104"),
    post(DeviceKind::Gate, "FZMTR", "FZM109"),
    post(DeviceKind::Gate, "FZMTR", "FZM118"),
    post(DeviceKind::Gate, "FZMTR", "FZM125"),
    post(DeviceKind::Gate, "FZMTR", "FZM205"),
    post(DeviceKind::Gate, "XMMTR", "XMM101"),
    post(DeviceKind::Gate, "XMMTR", "XMM110"),
    post(DeviceKind::Gate, "XMMTR", "XMM124"),
    post(DeviceKind::Taxi, "FZTAXI", ""),
    post(DeviceKind::Meter, "FZSTREET", "I"),
    post(DeviceKind::Meter, "FZSTREET", "III"),
    post(DeviceKind::CarPark, "FZPARK", "FZP-DJK"),
    post(DeviceKind::CarPark, "FZPARK", "FZP-STATION"),
    post(DeviceKind::Window, "HSYN35010001", ""),
    post(DeviceKind::Window, "HSYN35020001", ""),
    post(DeviceKind::Window, "HSYN35010003", ""),
    post(DeviceKind::Window, "HSYN35020003", ""),
    post(DeviceKind::Kiosk, AGENCY, ""),
    post(DeviceKind::Pos, TOPUP, "1"),
    post(DeviceKind::Pos, TOPUP, "2"),
];

/// Indexes of the devices of a kind and operator (any operator when empty).
pub fn posts(kind: DeviceKind, operator: &str) -> Vec<usize> {
    POSTS
        .iter()
        .enumerate()
        .filter(|(_, p)| p.kind == kind && (operator.is_empty() || p.operator == operator))
        .map(|(i, _)| i)
        .collect()
}
