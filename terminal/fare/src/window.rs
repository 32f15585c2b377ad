//! Times of a week at which a price or a concession holds.

use card_spec::time::CardTime;
use serde::Deserialize;

use crate::{
    calendar::Calendar,
    clock::{self, DailyWindow, TimeOfDay},
};

/// Days on which a window holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Days {
    All,
    Workdays,
    #[serde(rename = "rest-days")]
    Rest,
}

/// `{ days, from, to }`: from inclusive, to exclusive; past midnight the day is that of the tap.
#[derive(Debug, Clone, Copy, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct TimeWindow {
    days: Days,
    from: TimeOfDay,
    to: TimeOfDay,
}

/// Whether any of some windows holds.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Held {
    pub(crate) holds: bool,
    /// Whether the answer depends on what day is a workday.
    pub(crate) uses_calendar: bool,
}

/// Whether a tap at `at` lies in one of the windows.
pub(crate) fn any(windows: &[TimeWindow], calendar: &Calendar, at: CardTime) -> Held {
    let seconds = clock::seconds(at);
    let mut held = Held::default();
    for window in windows {
        let daily = DailyWindow {
            from: window.from,
            to: window.to,
        };
        if !daily.holds(seconds) {
            continue;
        }
        held.uses_calendar |= window.days != Days::All;
        held.holds |= match window.days {
            Days::All => true,
            Days::Workdays => calendar.is_workday(at.date()),
            Days::Rest => !calendar.is_workday(at.date()),
        };
    }
    held
}
