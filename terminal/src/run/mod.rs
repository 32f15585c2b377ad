//! The edge: a device on real readers, files, network and wall clock.
//!
//! One JSON line for every event on the output. Lines on standard input are keys, mode orders, and
//! for devices that need more than a card (a taxi's trip, a parking stay, a top-up, a bill, a PIN)
//! one request a service: [`crate::machine::Trip`] and its neighbours.

mod adopt;
mod certificate;
mod courier;
mod downlink;
mod kept;
mod line;
mod pool;
mod read;
mod serve;
mod slot;
mod trade;
mod work;

pub use line::{Line, ParametersNews};
pub use serve::{Surroundings, serve};
pub use slot::{Place, Slot, Slots};
pub use work::Device;

use std::{
    io::{self, BufRead, Write},
    sync::{atomic::AtomicBool, mpsc},
    thread::Thread,
    time::{SystemTime, UNIX_EPOCH},
};

use card_reader::{PcscReader, ReaderError};
use card_spec::time::CardTime;
use rustix::time::{ClockId, clock_gettime};

use crate::{
    journal::{FileStorage, Journal, JournalError},
    machine::{Action, Key},
    meter::Meter,
    names::Names,
    profile::{DeviceProfile, Kind, ProfileError},
    result::{Refusal, TapResult},
    sam::SamError,
};

/// Why a device cannot go on.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// The profile or a file it names.
    #[error(transparent)]
    Profile(#[from] ProfileError),
    /// The tariff data.
    #[error("tariffs: {0}")]
    Tariffs(#[from] fare::FareError),
    /// The tariff data does not know the device's place.
    #[error("the profile's place is not in the tariff data: {}", .0.detail)]
    Place(Refusal),
    /// The hotlist key.
    #[error(transparent)]
    Hotlist(#[from] crate::hotlist::HotlistError),
    /// The parameter key, or the parameters kept.
    #[error(transparent)]
    Parameters(#[from] crate::parameters::ParametersError),
    /// A reader.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The SAM.
    #[error(transparent)]
    Sam(#[from] SamError),
    /// The journal.
    #[error(transparent)]
    Journal(#[from] JournalError),
    /// Reading requests or writing results.
    #[error("standard input or output: {0}")]
    Io(#[from] io::Error),
}

impl RunError {
    /// The exit code: 2 profile or data, 5 reader or SAM, 1 anything else.
    pub const fn exit_code(&self) -> u8 {
        match self {
            Self::Profile(_)
            | Self::Tariffs(_)
            | Self::Place(_)
            | Self::Hotlist(_)
            | Self::Parameters(_) => 2,
            Self::Reader(_) | Self::Sam(_) => 5,
            Self::Journal(_) | Self::Io(_) => 1,
        }
    }
}

/// Runs a device on PC/SC readers until `stop` is set or its standard input ends (for devices that
/// read requests). Answers the last result.
pub fn run(
    kind: Kind,
    profile: &DeviceProfile,
    stop: &AtomicBool,
    output: &mut dyn Write,
) -> Result<Option<TapResult>, RunError> {
    let (lines, requests) = lines();
    lines.read_standard_input();
    run_with(kind, profile, stop, output, requests, &mut |_| {})
}

/// The same with its lines from anywhere, and with somebody who sees every action: a window.
pub fn run_with(
    kind: Kind,
    profile: &DeviceProfile,
    stop: &AtomicBool,
    output: &mut dyn Write,
    requests: mpsc::Receiver<String>,
    watch: &mut dyn FnMut(&Action),
) -> Result<Option<TapResult>, RunError> {
    profile.must_be(kind)?;
    let key = profile.signing_key()?;
    let meter = Meter::default();
    let storage = FileStorage::open(&profile.journal).map_err(JournalError::from)?;
    let journal = Journal::open(
        meter.storage(storage),
        profile.device,
        profile.limits.journal_bytes,
    )?;
    let mut device = work::Device::new(profile, journal, key)?;
    let open = |names: &Names| names.iter().map(PcscReader::open).collect::<Result<_, _>>();
    let sams = match device.needs_sam() {
        true => Some(profile.need("sam_reader", profile.sam_reader.as_ref())?),
        false => None,
    };
    let readers = profile.reader.iter().enumerate();
    let readers = readers.map(|(at, name)| (Place::Reader(at), name.to_owned()));
    let slots = sams.into_iter().flat_map(Names::iter).enumerate();
    let slots = slots.map(|(at, name)| (Place::Sam(at), name.to_owned()));
    let (changes, _watching) = card_reader::watch(readers.chain(slots).collect());
    let slots = Slots {
        readers: open(&profile.reader)?,
        sams: sams.map_or_else(|| Ok(Vec::new()), open)?,
        changes,
    };
    let client = profile.client()?;
    let mut surroundings = Surroundings {
        now: &wall_clock,
        meter,
        steady: &steady_clock,
        random: &mut || {
            let mut bytes = [0; 16];
            getrandom::fill(&mut bytes).map_err(io::Error::other)?;
            Ok(bytes)
        },
        requests,
        output,
        watch,
        stop,
    };
    serve(profile, &mut device, slots, client, &mut surroundings)
}

/// Sends request lines to a device, from any thread. When all its clones are gone, no more lines
/// come.
#[derive(Debug, Clone)]
pub struct Lines {
    sender: mpsc::SyncSender<String>,
    device: Thread,
}

/// Lines for the device that runs on the calling thread.
pub fn lines() -> (Lines, mpsc::Receiver<String>) {
    let (sender, receiver) = mpsc::sync_channel(16);
    let device = std::thread::current();
    (Lines { sender, device }, receiver)
}

impl Lines {
    /// Sends a line and wakes the device; false when the device is gone. Waits while it is busy with
    /// sixteen earlier ones.
    pub fn send(&self, line: String) -> bool {
        let is_sent = self.sender.send(line).is_ok();
        self.device.unpark();
        is_sent
    }

    /// Sends a key as [`Self::send`] would, unless the device is too busy: then the key is lost, as
    /// on any keypad.
    pub fn press(&self, key: Key) {
        let line = serde_json::json!({ "key": key.to_string() });
        let _lost = self.sender.try_send(line.to_string());
        self.device.unpark();
    }

    /// Sends the lines of standard input, by a thread of their own: reading cannot be interrupted,
    /// the device can.
    pub fn read_standard_input(self) {
        std::thread::spawn(move || {
            for line in io::stdin().lock().lines() {
                if !line.is_ok_and(|line| self.send(line)) {
                    break;
                }
            }
            // The device learns of the end by the drop, and has to be awake for it.
            drop(self.sender);
            self.device.unpark();
        });
    }
}

/// Seconds since the machine was started, asleep or awake.
fn steady_clock() -> i64 {
    clock_gettime(ClockId::Boottime).tv_sec
}

/// Local time in Fujian, UTC+8 all year.
fn wall_clock() -> io::Result<CardTime> {
    let utc = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .map_err(io::Error::other)?
        .as_secs();
    let local = i64::try_from(utc)
        .ok()
        .and_then(|utc| utc.checked_add(8 * 3_600));
    local
        .and_then(CardTime::from_seconds)
        .ok_or_else(|| io::Error::other("the computer's clock is beyond the year 9999: set it"))
}
