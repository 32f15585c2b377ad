//! What a running device prints: one JSON object a line.

use card_spec::{id::DeviceNo, id::SamNo};
use serde::Serialize;

use crate::{hospital::Slip, result::TapResult};

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
        /// SAM number, where there is a SAM.
        sam: Option<SamNo>,
        /// Records waiting for upload.
        waiting: usize,
    },
    /// A card was presented.
    Tap(&'a TapResult),
    /// A settlement slip.
    Slip(&'a Slip),
    /// Records went up.
    Upload {
        /// Records answered.
        records: usize,
        /// Records still waiting.
        waiting: usize,
    },
    /// Something failed that the device survives.
    Fault {
        /// What, and what to do.
        message: String,
    },
}
