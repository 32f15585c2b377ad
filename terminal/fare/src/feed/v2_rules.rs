//! GTFS-Fares V2: what its files say, as values.

use std::collections::{BTreeMap, BTreeSet};

use super::{money::Currency, network::StopIx, timeframes::Timeframes};

/// A row of fare_products.txt.
#[derive(Debug)]
pub(super) struct Product {
    pub(super) line: u64,
    /// `None`: any rider category.
    pub(super) rider: Option<Box<str>>,
    /// `None`: the medium is unknown.
    pub(super) media: Option<Box<str>>,
    pub(super) minor: i64,
    pub(super) currency: Currency,
}

/// A row of fare_leg_rules.txt.
#[derive(Debug)]
pub(super) struct LegRule {
    pub(super) line: u64,
    pub(super) group: Option<Box<str>>,
    pub(super) network: Option<Box<str>>,
    pub(super) from: Option<Box<str>>,
    pub(super) to: Option<Box<str>>,
    pub(super) from_frame: Option<Box<str>>,
    pub(super) to_frame: Option<Box<str>>,
    pub(super) product: Box<str>,
    pub(super) priority: u32,
}

/// A row of fare_transfer_rules.txt.
#[derive(Debug)]
pub(super) struct TransferRule {
    pub(super) line: u64,
    pub(super) from: Option<Box<str>>,
    pub(super) to: Option<Box<str>>,
    /// Most consecutive transfers; `None`: no limit.
    pub(super) count: Option<u32>,
    /// Seconds, and which events they lie between (`duration_limit_type`).
    pub(super) limit: Option<(u32, Limit)>,
    pub(super) kind: TransferKind,
    pub(super) product: Option<Box<str>>,
}

/// `duration_limit_type`: which validations the limit lies between.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Limit {
    pub(super) from_arrival: bool,
    pub(super) to_arrival: bool,
}

/// `fare_transfer_type`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TransferKind {
    /// 0: A + AB.
    FromPlusTransfer,
    /// 1: A + AB + B.
    Both,
    /// 2: AB.
    TransferOnly,
}

/// A row of fare_leg_join_rules.txt.
#[derive(Debug)]
pub(super) struct JoinRule {
    pub(super) from_network: Box<str>,
    pub(super) to_network: Box<str>,
    pub(super) stops: Option<(StopIx, StopIx)>,
}

/// Values that some leg rule names: without priorities an empty field means all others.
#[derive(Debug, Default)]
pub(super) struct Listed {
    pub(super) networks: BTreeSet<Box<str>>,
    pub(super) from: BTreeSet<Box<str>>,
    pub(super) to: BTreeSet<Box<str>>,
}

/// The fares of a feed.
#[derive(Debug, Default)]
pub(super) struct Fares {
    /// Areas of each stop that has any, those of its station where it has none of its own.
    pub(super) areas: BTreeMap<StopIx, BTreeSet<Box<str>>>,
    pub(super) frames: Timeframes,
    pub(super) riders: BTreeMap<Box<str>, bool>,
    pub(super) media: BTreeSet<Box<str>>,
    pub(super) products: BTreeMap<Box<str>, Vec<Product>>,
    pub(super) currencies: Vec<Currency>,
    pub(super) legs: Vec<LegRule>,
    pub(super) listed: Listed,
    /// Whether fare_leg_rules.txt has the column `rule_priority`: it changes what empty means.
    pub(super) by_priority: bool,
    pub(super) transfers: Vec<TransferRule>,
    pub(super) joins: Vec<JoinRule>,
}
