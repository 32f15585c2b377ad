//! Journal records as a device uploads them, and the answers.

use crate::{BatchOutcome, Outcome};
use card_spec::{
    Fen, SuiteId,
    id::{DeviceNo, Generation, Pan, RegionCode, SamNo},
    medical::Split,
    purse::{TxType, mac::Context},
    time::CardTime,
};
use serde::{Deserialize, Serialize};

/// Most records in one batch.
pub const MAX_BATCH: usize = 1_000;

/// One signed upload: the journal records of one device, sequences `first..=last` without a hole.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// The device.
    pub device: DeviceNo,
    /// First journal sequence in the batch.
    pub first: u64,
    /// Last journal sequence in the batch.
    pub last: u64,
    /// The records, in journal order.
    pub records: Vec<Record>,
}

/// One durable journal record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Journal sequence of the device, counted from 1.
    pub journal_seq: u64,
    /// Device time of the event.
    pub at: CardTime,
    /// A torn record that this one completes, by its journal sequence.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub completes: Option<u64>,
    /// Version of the hotlist that the device held.
    pub hotlist_version: u64,
    /// What happened.
    pub event: Event,
}

/// What a record tells.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Event {
    /// A purse debit (purchase or CAPP), done or torn.
    Purchase(Purchase),
    /// A medical-purse debit.
    Visit(Visit),
    /// The card was authenticated here for the yearly proof of life 资格认证.
    ProofOfLife(ProofOfLife),
    /// The holder reported the card at a device: it is stopped 挂失.
    LossReport(LossReport),
    /// A listed card was locked in the field.
    CardLocked {
        /// The card.
        card: CardFacts,
    },
}

/// What every record says of its card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CardFacts {
    /// Card number.
    pub pan: Pan,
    /// Generation.
    pub generation: Generation,
    /// Region.
    pub region: RegionCode,
    /// Suite of the keys used.
    pub suite: SuiteId,
    /// Version of the keys used.
    pub key_version: u8,
}

/// What the device knows about the outcome of a debit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Debit {
    /// MAC2 verified in the SAM (or proved later); here is the TAC.
    Done {
        /// The TAC.
        tac: [u8; 4],
    },
    /// The card was torn out between intent and answer and did not come back.
    Unknown,
    /// The card came back unchanged: the debit did not happen.
    NotDone,
}

/// A purse debit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Purchase {
    /// The card.
    pub card: CardFacts,
    /// SAM number.
    pub sam: SamNo,
    /// Terminal transaction sequence of the SAM.
    pub terminal_seq: u32,
    /// Purchase class (DPK index).
    pub key_index: u8,
    /// Purchase or CAPP.
    pub tx: TxType,
    /// Offline sequence before its increment.
    pub seq: u16,
    /// Amount.
    pub amount: Fen,
    /// Balance before.
    pub balance_before: Fen,
    /// Balance after (before minus amount; counts overdraft as the card does).
    pub balance_after: Fen,
    /// Time in the debit.
    pub time: CardTime,
    /// Journey context; zeros in PBOC suites.
    pub context: Context,
    /// Outcome at the device.
    pub debit: Debit,
    /// What was sold: everything the back office needs to re-rate it.
    pub service: Service,
}

/// What a purchase paid for. The back office re-rates from these facts with the same fare engine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "mode", rename_all = "kebab-case", deny_unknown_fields)]
pub enum Service {
    /// A bus ride.
    Bus {
        /// Operator (agency id of the tariff data).
        operator: String,
        /// Route id.
        route: String,
        /// Sections that the driver keyed in, on a sectional route.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sections: Option<u8>,
        /// Leg the card's last journey record told of, as its 48 bytes in hex (for the transfer).
        prior: Option<String>,
        /// The city's fare state on the card before the tap, as its 32 bytes in hex (for passes and
        /// caps); absent where the terminal read none.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<String>,
        /// Age in years, if the concession needed it.
        age: Option<u8>,
        /// Card kind the terminal priced by.
        kind: card_spec::purse::files::CardKind,
        /// Paid for a companion of the holder: at the ordinary price, whoever holds the card.
        #[serde(default, skip_serializing_if = "core::ops::Not::not")]
        companion: bool,
    },
    /// Metro entry: amount zero.
    MetroEntry {
        /// Operator.
        operator: String,
        /// Entry stop id.
        stop: String,
    },
    /// Metro exit.
    MetroExit {
        /// Operator.
        operator: String,
        /// Entry stop id, from the card.
        from: String,
        /// Exit stop id.
        to: String,
        /// Entry time, from the card.
        entered: CardTime,
        /// Leg before the entry, as its 48 bytes in hex.
        prior: Option<String>,
        /// The city's fare state on the card before the exit, as its 32 bytes in hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<String>,
        /// Age in years.
        age: Option<u8>,
        /// Card kind.
        kind: card_spec::purse::files::CardKind,
    },
    /// A journey that a fare-adjustment desk 补票亭 closed.
    MetroDesk {
        /// Operator.
        operator: String,
        /// Stop id of the desk.
        desk: String,
        /// Inside the gates.
        paid_area: bool,
        /// Entry stop id and time on the card; `None` without an entry.
        entry: Option<(String, CardTime)>,
        /// The stop that the rider named.
        named: Option<String>,
        /// Leg before the entry, as its 48 bytes in hex.
        prior: Option<String>,
        /// The city's fare state on the card before the desk, as its 32 bytes in hex.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        state: Option<String>,
        /// Age in years.
        age: Option<u8>,
        /// Card kind.
        kind: card_spec::purse::files::CardKind,
    },
    /// A pass or a multi-ride ticket 月票, written into the card's fare state.
    Pass {
        /// Operator that sold it.
        operator: String,
        /// Region whose city's pass it is.
        city: RegionCode,
        /// Its id in the city's contracts.
        pass: String,
        /// A time on its first day; of a calendar month any.
        from: CardTime,
        /// The city's fare state on the card before the sale, as its 32 bytes in hex.
        state: String,
        /// Age in years.
        age: Option<u8>,
        /// Card kind.
        kind: card_spec::purse::files::CardKind,
    },
    /// A sale at a point of sale 消费.
    Retail {
        /// Operator.
        operator: String,
        /// The till's receipt number.
        receipt: String,
    },
    /// A taxi trip.
    Taxi {
        /// Operator.
        operator: String,
        /// Vehicle plate or meter number.
        vehicle: String,
        /// Metres driven.
        metres: u32,
        /// Seconds below the speed limit of the tariff.
        waiting_seconds: u32,
        /// Start of the trip.
        started: CardTime,
    },
    /// An on-street parking meter 泊车电子计时表.
    ParkingMeter {
        /// Operator.
        operator: String,
        /// Road class id of the tariff.
        class: String,
        /// Vehicle class id of the tariff.
        vehicle: String,
        /// Arrival.
        from: CardTime,
    },
    /// A car park 停车场.
    CarPark {
        /// Operator.
        operator: String,
        /// Car park id of the tariff.
        park: String,
        /// Vehicle class id of the tariff.
        vehicle: String,
        /// Entry time.
        from: CardTime,
    },
}

impl Service {
    /// The operator that sold it.
    pub fn operator(&self) -> &str {
        match self {
            Self::Bus { operator, .. }
            | Self::MetroEntry { operator, .. }
            | Self::MetroExit { operator, .. }
            | Self::MetroDesk { operator, .. }
            | Self::Pass { operator, .. }
            | Self::Retail { operator, .. }
            | Self::Taxi { operator, .. }
            | Self::ParkingMeter { operator, .. }
            | Self::CarPark { operator, .. } => operator,
        }
    }

    /// Name of the mode in reports: `bus`, `metro`, `pass`, `taxi`, `parking_meter`, `car_park`,
    /// `retail`.
    pub const fn mode(&self) -> &'static str {
        match self {
            Self::Bus { .. } => "bus",
            Self::MetroEntry { .. } | Self::MetroExit { .. } | Self::MetroDesk { .. } => "metro",
            Self::Pass { .. } => "pass",
            Self::Retail { .. } => "retail",
            Self::Taxi { .. } => "taxi",
            Self::ParkingMeter { .. } => "parking_meter",
            Self::CarPark { .. } => "car_park",
        }
    }
}

/// A medical-purse debit, after a settlement (2207).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Visit {
    /// The card.
    pub card: CardFacts,
    /// SAM number of the window.
    pub sam: SamNo,
    /// Terminal sequence.
    pub terminal_seq: u32,
    /// Offline sequence of the medical purse before its increment.
    pub seq: u16,
    /// The three amounts.
    pub split: Split,
    /// Personal account before.
    pub balance_before: Fen,
    /// Personal account after.
    pub balance_after: Fen,
    /// Time in the debit.
    pub time: CardTime,
    /// Outcome at the device.
    pub debit: Debit,
    /// Institution code.
    pub institution: String,
    /// The settlement it pays (setl_id of 2207).
    pub setl_id: String,
}

/// A yearly proof of life at a device.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ProofOfLife {
    /// The card (suite and version of its IRK).
    pub card: CardFacts,
    /// Challenge: the first eight bytes of SHA-256 over device, journal sequence and time
    /// ([`presence_challenge`]), so that an answer cannot be moved to another day.
    pub cryptogram: [u8; 8],
    /// Whether the PIN was verified on the card.
    pub pin_verified: bool,
}

/// A holder's report 挂失, proved by the card after its PIN.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LossReport {
    /// The card (suite and version of its IRK).
    pub card: CardFacts,
    /// The card's answer to [`loss_challenge`].
    pub cryptogram: [u8; 8],
}

/// The challenge of a proof of life.
pub fn presence_challenge(device: DeviceNo, journal_seq: u64, at: CardTime) -> [u8; 8] {
    challenge(b"onecard-presence-v1", device, journal_seq, at)
}

/// The challenge of a report: no proof of life can be turned into one.
pub fn loss_challenge(device: DeviceNo, journal_seq: u64, at: CardTime) -> [u8; 8] {
    challenge(b"onecard-loss-v1", device, journal_seq, at)
}

fn challenge(domain: &[u8], device: DeviceNo, journal_seq: u64, at: CardTime) -> [u8; 8] {
    use sha2::Digest;
    let mut hash = sha2::Sha256::new();
    hash.update(domain);
    hash.update(device.to_bytes());
    hash.update(journal_seq.to_be_bytes());
    hash.update(at.to_bytes());
    let digest = hash.finalize();
    let mut out = [0; 8];
    out.copy_from_slice(&digest[..8]);
    out
}

/// Answer to an upload.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BatchAnswer {
    /// What became of the batch.
    pub outcome: BatchOutcome,
    /// Receipt number of the admitted batch.
    pub batch_id: Option<u64>,
    /// One answer a record, in order; empty when the batch was refused.
    pub items: Vec<ItemAnswer>,
}

/// Answer to one record.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ItemAnswer {
    /// Journal sequence.
    pub journal_seq: u64,
    /// Outcome.
    pub outcome: Outcome,
    /// Its number.
    pub number: u16,
    /// What is wrong, when something is.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub detail: String,
}
