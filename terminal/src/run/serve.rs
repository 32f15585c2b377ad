//! The loop of a running device: wait, serve, print, upload.

use std::{
    io::{self, Write},
    sync::{
        atomic::{AtomicBool, Ordering},
        mpsc::{Receiver, RecvTimeoutError},
    },
    time::Duration,
};

use card_reader::ReaderError;
use card_spec::{ChannelError, time::CardTime};
use clearing_api::Client;

use super::{
    Line, RunError, Slot,
    courier::Courier,
    work::{Device, Done},
};
use crate::{
    code::{Code, Verdict},
    hotlist::HotlistStore,
    journal::Storage,
    profile::DeviceProfile,
    result::{Note, Refusal, TapResult},
    sam::SamUnit,
};

/// How long one wait lasts before the device looks around (stop, uploads).
const GLANCE: Duration = Duration::from_millis(200);

/// What a device takes from outside.
pub struct Surroundings<'a> {
    /// The clock.
    pub now: &'a dyn Fn() -> io::Result<CardTime>,
    /// Random bytes for mutual authentication.
    pub random: &'a mut dyn FnMut() -> io::Result<[u8; 16]>,
    /// Request lines.
    pub requests: Receiver<String>,
    /// Where the JSON lines go.
    pub output: &'a mut dyn Write,
    /// Set to stop.
    pub stop: &'a AtomicBool,
}

impl Surroundings<'_> {
    pub(super) fn print(&mut self, line: &Line<'_>) -> Result<(), RunError> {
        let text = serde_json::to_string(line).map_err(io::Error::other)?;
        writeln!(self.output, "{text}")?;
        Ok(self.output.flush()?)
    }

    fn is_stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }
}

/// Runs a device on its slots until it is stopped or its requests end; answers the last result.
pub fn serve<S: Storage, R: Slot, M: Slot>(
    profile: &DeviceProfile,
    device: &mut Device<S>,
    reader: &mut R,
    mut sam_reader: Option<&mut M>,
    client: Client,
    around: &mut Surroundings<'_>,
) -> Result<Option<TapResult>, RunError> {
    let mut sam = match &mut sam_reader {
        Some(slot) => Some(device.open_sam(slot.connect()?)?),
        None => None,
    };
    around.print(&Line::Ready {
        kind: profile.kind.name(),
        device: profile.device,
        sam: sam.as_ref().map(SamUnit::number),
        waiting: device.journal().waiting().len(),
    })?;
    let store = match (&profile.state, device.hotlist_key) {
        (Some(folder), Some(key)) => Some(HotlistStore::open(folder, key)?),
        _ => None,
    };
    if let Some(store) = &store {
        let (list, fault) = store.load();
        *device.hotlist_mut() = list;
        if let Some(fault) = fault {
            around.print(&Line::Fault {
                message: fault.to_string(),
            })?;
        }
    }
    let mut courier = Courier::new(client.clone(), profile, store);
    let mut client = client;
    let mut last = None;
    'services: while let Some(request) = next_request(device, &mut courier, around)? {
        // "Again" keeps the request: the same service, the same card or its next try.
        loop {
            if !wait_for(reader, true, device, &mut courier, around)? {
                break 'services;
            }
            let at = (around.now)()?;
            let random = (around.random)()?;
            let outcome = match reader.connect() {
                Ok(mut card) => {
                    device.present(&mut card, sam.as_mut(), &request, at, random, &mut client)
                }
                Err(ReaderError::Channel(error)) if error != ChannelError::ReaderLost => {
                    Ok(refuse(profile, at, Refusal::new(Code::PresentAgain, error)))
                }
                Err(error) => return Err(error.into()),
            };
            // An unusable request line is refused for good, whatever its verdict.
            let is_usable = outcome.is_ok();
            let done = outcome.unwrap_or_else(|refusal| refuse(profile, at, refusal));
            around.print(&Line::Tap(&done.result))?;
            if let Some(slip) = &done.slip {
                around.print(&Line::Slip(slip))?;
            }
            if done.result.code == Code::SamFault
                && let Some(slot) = &mut sam_reader
            {
                // The SAM was reset or reseated: open it again.
                sam = Some(device.open_sam(slot.connect()?)?);
            }
            let again = is_usable && done.result.verdict == Verdict::Again;
            last = Some(done.result);
            if !wait_for(reader, false, device, &mut courier, around)? {
                break 'services;
            }
            if !again {
                break;
            }
        }
    }
    courier.finish(device, &mut client, around)?;
    Ok(last)
}

fn refuse(profile: &DeviceProfile, at: CardTime, refusal: Refusal) -> Done {
    Note::default()
        .finish(profile.device, at, Err(refusal))
        .into()
}

/// The next request line; an empty one at once for devices that need none. `None`: stopped or over.
fn next_request<S: Storage>(
    device: &mut Device<S>,
    courier: &mut Courier,
    around: &mut Surroundings<'_>,
) -> Result<Option<String>, RunError> {
    if !device.needs_request() {
        return Ok((!around.is_stopped()).then(String::new));
    }
    loop {
        if around.is_stopped() {
            return Ok(None);
        }
        match around.requests.recv_timeout(GLANCE) {
            Ok(line) if line.trim().is_empty() => {}
            Ok(line) => return Ok(Some(line)),
            Err(RecvTimeoutError::Timeout) => courier.tick(device, around)?,
            Err(RecvTimeoutError::Disconnected) => return Ok(None),
        }
    }
}

/// Waits for a card to come or go; false when the device was stopped meanwhile.
fn wait_for<S: Storage, R: Slot>(
    reader: &mut R,
    present: bool,
    device: &mut Device<S>,
    courier: &mut Courier,
    around: &mut Surroundings<'_>,
) -> Result<bool, RunError> {
    loop {
        if around.is_stopped() {
            return Ok(false);
        }
        if reader.wait(present, GLANCE)? {
            return Ok(true);
        }
        courier.tick(device, around)?;
    }
}
