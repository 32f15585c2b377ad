//! Degraded modes of stations (降级模式) and their history.
//!
//! A gate learns the modes of all stations of its network. What happened to a card before, at a
//! station in a mode, is judged by the history, for seven days after the mode ended.

use card_spec::{Fen, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    OperatorId, Step, StopId, TariffId,
    clock::{self, DAY},
};

/// A mode other than the normal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum StationMode {
    /// Train failure 列车故障: riders leave without paying.
    TrainFailure,
    /// Entry-exit order bypass 进出站次序免检: a missing entry or exit is not asked for.
    OrderBypass,
    /// Time bypass 时间免检: no overstay.
    TimeBypass,
    /// Fare bypass 车费免检: exit gates take nothing.
    FareBypass,
    /// Emergency release 紧急放行: gates stand open and write nothing.
    EmergencyRelease,
}

impl StationMode {
    /// Its name in rules.
    const fn id(self) -> &'static str {
        match self {
            Self::TrainFailure => "train-failure",
            Self::OrderBypass => "order-bypass",
            Self::TimeBypass => "time-bypass",
            Self::FareBypass => "fare-bypass",
            Self::EmergencyRelease => "emergency-release",
        }
    }

    /// The step that takes a price off.
    pub(super) fn step(self, tariff: &TariffId, delta: Fen) -> Step {
        Step {
            rule: format!("{tariff}/mode/{}", self.id()),
            zh: format!("{}，免收车费", self.zh()),
            en: format!("{}: nothing is charged", self.en()),
            delta,
        }
    }

    /// Name in Chinese.
    pub const fn zh(self) -> &'static str {
        match self {
            Self::TrainFailure => "列车故障模式",
            Self::OrderBypass => "进出站次序免检",
            Self::TimeBypass => "时间免检",
            Self::FareBypass => "车费免检",
            Self::EmergencyRelease => "紧急放行",
        }
    }

    /// Name in English.
    pub const fn en(self) -> &'static str {
        match self {
            Self::TrainFailure => "train failure",
            Self::OrderBypass => "entry-exit order bypass",
            Self::TimeBypass => "time bypass",
            Self::FareBypass => "fare bypass",
            Self::EmergencyRelease => "emergency release",
        }
    }
}

/// A mode at stations, from a time to a time.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ModeSpan {
    /// Whose stations.
    pub operator: OperatorId,
    /// Which; empty for the whole network.
    #[serde(default)]
    pub stops: Vec<StopId>,
    /// The mode.
    pub mode: StationMode,
    /// Its beginning, included.
    pub from: CardTime,
    /// Its end, excluded; `None` while it lasts.
    pub to: Option<CardTime>,
}

/// The modes of a network's stations, those that last and those of the last days.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ModeHistory(pub Vec<ModeSpan>);

impl ModeHistory {
    /// The modes of a whole network by orders, oldest first, each until the next; `None` is normal.
    pub fn of_orders(
        operator: &OperatorId,
        orders: impl DoubleEndedIterator<Item = (Option<StationMode>, CardTime)>,
    ) -> Self {
        let mut to = None;
        let spans = orders.rev().filter_map(|(mode, from)| {
            let to = to.replace(from);
            mode.map(|mode| ModeSpan {
                operator: operator.clone(),
                stops: Vec::new(),
                mode,
                from,
                to,
            })
        });
        let mut spans: Vec<_> = spans.collect();
        spans.reverse();
        Self(spans)
    }

    /// For how many days after a mode cards are judged by it.
    pub const DAYS: u16 = 7;

    /// Whether `mode` is on at a station at `at`.
    pub fn is_on(
        &self,
        operator: &OperatorId,
        stop: &StopId,
        mode: StationMode,
        at: CardTime,
    ) -> bool {
        self.of(operator, mode).any(|span| {
            (span.stops.is_empty() || span.stops.contains(stop))
                && span.from <= at
                && span.to.is_none_or(|to| at < to)
        })
    }

    fn of(&self, operator: &OperatorId, mode: StationMode) -> impl Iterator<Item = &ModeSpan> {
        let operator = operator.clone();
        self.0
            .iter()
            .filter(move |span| span.mode == mode && span.operator == operator)
    }

    /// Whether a journey begun at `entered` may have been cut short by `mode`: anywhere in the
    /// network the mode was on after the entry and within a day of it, and ended at most seven
    /// days before `at`.
    pub(super) fn cut_short(
        &self,
        operator: &OperatorId,
        mode: StationMode,
        entered: CardTime,
        at: CardTime,
    ) -> bool {
        let [entered, at] = [entered, at].map(clock::seconds);
        self.of(operator, mode).any(|span| {
            let from = clock::seconds(span.from);
            let to = span.to.map_or(i64::MAX, clock::seconds);
            from <= at
                && to > entered
                && from <= entered + DAY
                && at <= to.saturating_add(i64::from(Self::DAYS) * DAY)
        })
    }

    /// The mode that closes a journey without an exit for nothing.
    pub(super) fn forgives(
        &self,
        operator: &OperatorId,
        entered: CardTime,
        at: CardTime,
    ) -> Option<StationMode> {
        [StationMode::EmergencyRelease, StationMode::TrainFailure]
            .into_iter()
            .find(|mode| self.cut_short(operator, *mode, entered, at))
    }

    /// Whether a rider who leaves at `at` without an entry may have come through open gates:
    /// anywhere in the network `mode` was on within the day before.
    pub(super) fn let_in(&self, operator: &OperatorId, mode: StationMode, at: CardTime) -> bool {
        let at = clock::seconds(at);
        self.of(operator, mode).any(|span| {
            clock::seconds(span.from) <= at
                && span.to.is_none_or(|to| at <= clock::seconds(to) + DAY)
        })
    }
}
