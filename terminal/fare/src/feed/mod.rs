//! Any GTFS feed's fares: read, checked, priced.
//!
//! Follows the GTFS Schedule reference (revised 27 April 2026; gtfs.org/documentation/schedule/
//! reference), whose sections are named where they are implemented. [`Feed::open`] reads a folder
//! or a ZIP and gives every finding; a feed with an error is refused whole. [`Feed::quote`] answers one question with reasons, [`Feed::table`] all
//! pairs of stops. Where a feed has fares of both versions, V2 is used (reference,
//! fare_attributes.txt, Versions). Money is integer minor units; nothing reads a clock.

mod archive;
mod ask;
mod beside;
mod calendar;
mod city;
mod findings;
mod journeys;
mod lacks;
mod lines;
mod money;
mod network;
mod notes;
mod price;
mod quote;
mod ride;
mod rows;
mod schema;
mod source;
mod table;
mod timeframes;
mod timetable;
mod v1;
mod v2;
mod v2_match;
mod v2_rules;
mod v2_transfer;
mod values;

use std::path::Path;

pub use ask::{Ask, AskError};
use calendar::Services;
pub use findings::{Finding, Findings};
use journeys::Journeys;
pub use money::Currency;
use network::Network;
pub use quote::{FeedQuote, QuotedRide, QuotedStep};
use source::Files;
pub use source::SourceError;
pub use table::TableRow;

use crate::Tariffs;

/// The fares of a feed, of one version.
#[derive(Debug)]
enum Fares {
    V1(Box<v1::Fares>),
    V2(Box<v2_rules::Fares>),
}

/// A feed without errors.
#[derive(Debug)]
pub struct Feed {
    network: Network,
    services: Services,
    fares: Fares,
    journeys: Journeys,
    /// Class of each stop: stops of one class cost the same.
    classes: Vec<u32>,
    /// What stands beside the feed in TOML, in a city's folder.
    tariffs: Option<Box<Tariffs>>,
    /// What may run where no trip does.
    silent: Vec<ride::Run>,
    /// States of the timeframes, for questions without a time.
    states: Vec<timeframes::When>,
}

impl Feed {
    /// Reads and checks a folder or a ZIP. The feed is there exactly when nothing is an error.
    pub fn open(path: &Path) -> Result<(Option<Self>, Findings), SourceError> {
        let mut findings = Findings::default();
        let files = Files::open(path, &mut findings)?;
        let (tariffs, beside) = beside::read(path);
        Ok(Self::from_files(&files, findings, (tariffs, beside)))
    }

    /// The years whose holidays are known, where tariffs stand beside the feed.
    pub fn holiday_years(&self) -> Option<String> {
        Some(self.tariffs.as_ref()?.holiday_years())
    }

    /// Reads and checks file contents by their names (`stops.txt`).
    pub fn from_bytes<'a>(
        files: impl IntoIterator<Item = (&'a str, &'a [u8])>,
    ) -> (Option<Self>, Findings) {
        let files = Files {
            texts: files
                .into_iter()
                .map(|(name, bytes)| (name.to_owned(), bytes.to_vec()))
                .collect(),
        };
        Self::from_files(&files, Findings::default(), (None, Vec::new()))
    }

    /// `beside`: what is wrong with the tariffs of the city's folder, where it is one.
    fn from_files(
        files: &Files,
        mut findings: Findings,
        (tariffs, mut beside): (Option<Box<Tariffs>>, Vec<Finding>),
    ) -> (Option<Self>, Findings) {
        let services = Services::read(files, &mut findings);
        let network = Network::read(files, &services, &mut findings);
        // Both versions are checked, whichever prices.
        let v1 = v1::Fares::read(files, &network, &mut findings);
        let v2 = v2_rules::Fares::read(files, &network, &services, &mut findings);
        // What is wrong by the reference is said once.
        beside.retain(|b| {
            let same = |f: &Finding| (&f.file, f.line) == (&b.file, b.line);
            !findings.errors.iter().any(same)
        });
        findings.errors.append(&mut beside);
        if findings.is_ok() {
            let fares = v1.any() || !v2.legs.is_empty();
            lacks::check(&network, fares, tariffs.as_deref(), &mut findings);
        }
        findings.sort();
        if !findings.is_ok() {
            return (None, findings);
        }
        let classes = price::classes(&network, &v2);
        let by_zones_passed = v2.legs.is_empty() && v1.by_zones_passed;
        let journeys = Journeys::new(&network, by_zones_passed);
        let (states, fares) = match v2.legs.is_empty() {
            true => (
                vec![timeframes::When::Some(Default::default())],
                Fares::V1(Box::new(v1)),
            ),
            false => (v2.frames.states(&services), Fares::V2(Box::new(v2))),
        };
        let feed = Self {
            tariffs,
            silent: price::silent(&network, &fares),
            network,
            services,
            fares,
            journeys,
            classes,
            states,
        };
        (Some(feed), findings)
    }
}
