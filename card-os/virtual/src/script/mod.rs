//! Conversations with a card as readable text: `card-os/tests/scripts/*.apdu`, whose `README.md`
//! describes the language.
//!
//! A script knows nothing of what carries its bytes. The same file runs on a card in memory, behind
//! pcscd and on the microcontroller, and a second time in every suite it names.

mod error;
mod item;
mod parse;
mod pattern;
mod run;
mod value;

pub use error::{Fault, ParseError, ScriptError, Side};
pub use value::ValueError;

use crate::{
    VirtualCard,
    firmware::Firmware,
    host::HostError,
    sample::{self, Sample, SampleSam},
};
use card_os::Interface;
use card_spec::{Channel, ChannelError, SuiteId, id::Pan, keys::class, ssse::Profile};
use std::path::Path;

/// A card whose reader can switch it off and move it between contacts and air.
pub trait Powered: Channel {
    /// Power off and on.
    fn reset(&mut self) -> Result<(), ChannelError>;

    /// Takes the card to the air, or back to the contacts. A reader that cannot answers an error;
    /// [`Script::needs_air`] tells beforehand.
    fn contactless(&mut self, on: bool) -> Result<(), ChannelError>;
}

impl Powered for VirtualCard {
    fn reset(&mut self) -> Result<(), ChannelError> {
        self.power_cycle();
        Ok(())
    }

    fn contactless(&mut self, on: bool) -> Result<(), ChannelError> {
        self.set_interface(if on {
            Interface::Contactless
        } else {
            Interface::Contact
        });
        Ok(())
    }
}

impl Powered for Firmware {
    fn reset(&mut self) -> Result<(), ChannelError> {
        Self::reset(self).map_err(|_| ChannelError::ReaderLost)
    }

    fn contactless(&mut self, on: bool) -> Result<(), ChannelError> {
        self.set_contactless(on)
            .map_err(|_| ChannelError::ReaderLost)
    }
}

/// The card that a script starts with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Start {
    /// The published sample card (`docs/sample-card.md`).
    Sample,
    /// The same with a photo of 20 KiB.
    Full,
    /// A blank with the transport keys.
    Blank,
}

/// One script.
#[derive(Debug)]
pub struct Script {
    file: String,
    title: String,
    suites: Vec<SuiteId>,
    start: Start,
    profile: Profile,
    sam: Option<SampleSam>,
    pki: bool,
    lines: Vec<parse::Line>,
}

/// What a script did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ran {
    /// Commands whose answers were compared.
    pub commands: usize,
}

impl Script {
    /// Reads a script from a file.
    pub fn open(path: &Path) -> Result<Self, ParseError> {
        let file = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        let text = std::fs::read_to_string(path).map_err(|error| ParseError {
            file: path.display().to_string(),
            line: 0,
            message: error.to_string(),
        })?;
        Self::parse(&file, &text)
    }

    /// Every script of a directory, by name.
    pub fn all(directory: &Path) -> Result<Vec<Self>, ParseError> {
        let unreadable = |error: std::io::Error| ParseError {
            file: directory.display().to_string(),
            line: 0,
            message: error.to_string(),
        };
        let mut paths = Vec::new();
        for entry in std::fs::read_dir(directory).map_err(unreadable)? {
            let path = entry.map_err(unreadable)?.path();
            if path.extension().is_some_and(|e| e == "apdu") {
                paths.push(path);
            }
        }
        paths.sort();
        paths.iter().map(|path| Self::open(path)).collect()
    }

    /// The file's name.
    pub fn file(&self) -> &str {
        &self.file
    }

    /// The first comment line: what the script shows.
    pub fn title(&self) -> &str {
        &self.title
    }

    /// The suites it is written for.
    pub fn suites(&self) -> &[SuiteId] {
        &self.suites
    }

    /// The card it starts with.
    pub const fn start(&self) -> Start {
        self.start
    }

    /// The social-security profile of that card.
    pub const fn profile(&self) -> Profile {
        self.profile
    }

    /// Whether it takes the card to the air, which a PC/SC reader cannot be told to do.
    pub fn needs_air(&self) -> bool {
        self.lines
            .iter()
            .any(|line| line.statement == parse::Statement::Contactless(true))
    }

    /// Whether it asks the PKI application, which not every card has.
    pub const fn needs_pki(&self) -> bool {
        self.pki
    }

    /// Whether it asks a SAM.
    pub const fn needs_sam(&self) -> bool {
        self.sam.is_some()
    }

    /// The commands it sends in a suite: line number and text.
    pub fn commands(&self, suite: SuiteId) -> impl Iterator<Item = (usize, &str)> {
        self.lines
            .iter()
            .filter(move |line| line.suites.contains(&suite))
            .filter(|line| matches!(line.statement, parse::Statement::Send { .. }))
            .map(|line| (line.number, line.text.as_str()))
    }

    /// The card it starts with, in memory.
    pub fn card(&self, suite: SuiteId, seed: [u8; 32]) -> Result<VirtualCard, HostError> {
        let sample = Sample::new(suite, self.profile);
        match self.start {
            Start::Sample => sample.card(seed),
            Start::Full => sample.full_card(seed),
            Start::Blank => {
                let pan: Pan = sample::PAN
                    .parse()
                    .map_err(|_| HostError::Format { step: "PAN" })?;
                Ok(VirtualCard::blank(
                    pan.to_bytes(),
                    sample::transport_keys(),
                    seed,
                )?)
            }
        }
    }

    /// The SAM it asks, in memory, with the keys of the one suite.
    pub fn sam(&self, suite: SuiteId, seed: [u8; 32]) -> Result<Option<VirtualCard>, HostError> {
        let Some(kind) = self.sam else {
            return Ok(None);
        };
        let number = SAM_NO
            .parse()
            .map_err(|_| HostError::Format { step: "SAM number" })?;
        sample::sample_sam_of(kind, &[suite], number, seed).map(Some)
    }
}

/// Terminal number of the SAM that scripts ask.
pub const SAM_NO: &str = "350100009001";

/// SAM kinds by the names that scripts give them.
fn sam_kind(name: &str) -> Option<SampleSam> {
    match name {
        "transit" => Some(SampleSam::Purse(class::TRANSIT)),
        "parking" => Some(SampleSam::Purse(class::PARKING_TAXI)),
        "retail" => Some(SampleSam::Purse(class::RETAIL)),
        "social" => Some(SampleSam::Social),
        _ => None,
    }
}
