//! What a running device prints and reads: one JSON object a line.

use card_spec::{id::DeviceNo, id::SamNo, time::CardTime};
use serde::{Deserialize, Serialize};

use crate::{
    hospital::Slip,
    machine::{Barrier, Event, Key, Mode, ModeOrder, Screen, Shift, Task},
    meter::Cost,
    parameters::clock::ClockEvent,
    profile::Kind,
    result::TapResult,
};

/// One event of a running device.
#[derive(Debug, Serialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Line<'a> {
    /// The device is ready.
    Ready {
        /// Kind.
        kind: &'a str,
        /// Device number.
        device: DeviceNo,
        /// Numbers of the SAMs that are ready.
        sams: Vec<SamNo>,
        /// Records waiting for upload.
        waiting: usize,
    },
    /// The screen changed.
    Screen(&'a Screen),
    /// The device works in another mode.
    Mode {
        /// Which.
        mode: Mode,
    },
    /// A shift was opened or closed.
    Shift(&'a Shift),
    /// The barrier moves.
    Barrier {
        /// How.
        barrier: Barrier,
    },
    /// A card was presented.
    Tap {
        /// What came of it.
        #[serde(flatten)]
        result: &'a TapResult,
        /// What it cost, where the card was reached.
        #[serde(skip_serializing_if = "Option::is_none")]
        cost: Option<Cost>,
    },
    /// A settlement slip.
    Slip(&'a Slip),
    /// Records went up.
    Upload {
        /// Records answered.
        records: usize,
        /// Records still waiting.
        waiting: usize,
    },
    /// Parameters came, began or failed.
    Parameters(ParametersNews),
    /// The clock was corrected, or should be.
    Clock {
        /// Seconds: how far it was moved, or would have to be; negative is back.
        seconds: i64,
        /// What happened.
        message: String,
    },
    /// Something failed that the device survives.
    Fault {
        /// What, and what to do.
        message: String,
    },
}

impl Line<'_> {
    /// What the clock tells.
    pub(super) fn clock(event: ClockEvent) -> Self {
        let (ClockEvent::WallSet(seconds)
        | ClockEvent::Corrected(seconds)
        | ClockEvent::Beyond(seconds)) = event;
        let message = event.to_string();
        Line::Clock { seconds, message }
    }
}

/// What became of parameters.
#[derive(Debug, Serialize)]
#[serde(tag = "state", rename_all = "kebab-case")]
pub enum ParametersNews {
    /// They came and wait for their start.
    Waiting {
        /// Version.
        version: u64,
        /// When they start.
        starts: CardTime,
    },
    /// The device works by them.
    InEffect {
        /// Version.
        version: u64,
    },
    /// They came and cannot be used here. What was in effect still is.
    Refused {
        /// Version.
        version: u64,
        /// Why.
        why: String,
    },
    /// The device could not work by them; what was in effect before is again.
    RolledBack {
        /// Version that failed.
        version: u64,
        /// Version in effect; 0: the profile.
        to: u64,
        /// Why.
        why: String,
    },
}

/// What a line of standard input means.
#[derive(Debug)]
pub(super) enum Input {
    /// An event at once.
    Now(Event),
    /// A request, for when the device is free.
    Request(Box<Task>),
}

/// Lines that every kind understands.
#[derive(Deserialize)]
#[serde(untagged, deny_unknown_fields)]
enum Control {
    Key { key: String },
    Mode { mode: Mode, from: Option<CardTime> },
    Driven { driven: u32 },
}

/// Reads one line; a message says why it means nothing. No message repeats a PIN.
pub(super) fn read(line: &str, kind: Kind, now: CardTime) -> Result<Input, String> {
    match serde_json::from_str(line) {
        Ok(Control::Key { key }) => {
            let key: Key = key.parse().map_err(|unknown| format!("{unknown}"))?;
            Ok(Input::Now(Event::Key(key)))
        }
        Ok(Control::Mode { mode, from }) => Ok(Input::Now(Event::Mode(ModeOrder {
            mode,
            from: from.unwrap_or(now),
        }))),
        Ok(Control::Driven { driven: metres }) => Ok(Input::Now(Event::Driven { metres })),
        Err(_) => request(line, kind)
            .map(|task| Input::Request(Box::new(task)))
            .map_err(|error| format!("request line: {error}")),
    }
}

fn request(line: &str, kind: Kind) -> Result<Task, serde_json::Error> {
    match kind {
        Kind::Taxi => serde_json::from_str(line).map(Task::Trip),
        Kind::ParkingMeter => serde_json::from_str(line).map(Task::Stay),
        Kind::Pos => serde_json::from_str(line)
            .map(Task::Goods)
            .or_else(|_| serde_json::from_str(line).map(Task::Pass))
            .or_else(|_| serde_json::from_str(line).map(Task::TopUp)),
        Kind::Kiosk => serde_json::from_str(line)
            .map(Task::ProofOfLife)
            .or_else(|_| serde_json::from_str(line).map(Task::LossReport))
            .or_else(|_| serde_json::from_str(line).map(Task::TopUp)),
        Kind::Hospital => serde_json::from_str(line).map(|bill| Task::Bill(Box::new(bill))),
        Kind::Bus
        | Kind::MetroEntry
        | Kind::MetroExit
        | Kind::CarParkEntry
        | Kind::CarParkExit
        | Kind::FareDesk
        | Kind::Inspector => Err(serde::de::Error::custom(
            "this device takes key, mode and driven lines only",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bad_line_is_explained_and_a_pin_is_not_repeated() {
        let now = "2026-11-23T08:15:00".parse().expect("time");
        for line in [
            r#"{"amount_fen":1,"paid_by":"cash","pin":8642975}"#,
            r#"{"amount_fen":1,"paid_by":"cash","pin":"8642975"}"#,
            r#"{"amount_fen":1,"paid_by":"cash","pin":[8642975]}"#,
        ] {
            let error = read(line, Kind::Pos, now).expect_err("no PIN");
            assert!(error.contains("six digits"), "{error}");
            assert!(!error.contains("8642975"), "{error}");
        }
        let error = read(r#"{"key":"f1"}"#, Kind::Bus, now).expect_err("no key");
        assert!(error.contains("soft0"), "{error}");
    }
}
