//! Modes of stations that come with the tariffs: `modes.toml` of a city.

use std::borrow::Cow;

use card_spec::id::RegionCode;
use serde::Deserialize;

use super::{ModeHistory, ModeSpan};
use crate::{
    OperatorId, Provenance, StopId, TariffId, Tariffs, problems::Problems, schema::FileKind,
};

/// `modes.toml`
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ModesFile {
    #[serde(rename = "kind")]
    _kind: FileKind,
    pub(crate) id: TariffId,
    pub(crate) city: RegionCode,
    #[serde(rename = "provenance")]
    _provenance: Provenance,
    span: Vec<ModeSpan>,
}

impl Tariffs {
    /// Takes a file of modes over; every network of the set is loaded by then.
    pub(crate) fn take_modes(&mut self, problems: &mut Problems<'_>, raw: ModesFile) {
        for (n, span) in raw.span.iter().enumerate() {
            let mut wrong = |field, problem| problems.add(format!("span {n}, {field}"), problem);
            let operator = &span.operator;
            let Some(network) = self.metro.get(operator) else {
                wrong(
                    "operator",
                    format!("`{operator}` has no network with gates"),
                );
                continue;
            };
            if network.city != raw.city.into() {
                wrong("operator", format!("`{operator}` is not of this city"));
            } else if let Some(stop) = span.stops.iter().find(|stop| network.stop(stop).is_err()) {
                wrong("stops", format!("`{stop}` is no station of `{operator}`"));
            }
            if span.to.is_some_and(|to| to <= span.from) {
                wrong("to", "must be later than `from`".to_owned());
            }
        }
        self.modes.0.extend(raw.span);
    }

    /// The published modes and those that a device was told of besides.
    pub(super) fn modes<'h>(&'h self, told: &'h ModeHistory) -> Cow<'h, ModeHistory> {
        match (self.modes.0.is_empty(), told.0.is_empty()) {
            (true, _) => Cow::Borrowed(told),
            (_, true) => Cow::Borrowed(&self.modes),
            _ => Cow::Owned(ModeHistory([&self.modes.0[..], &told.0].concat())),
        }
    }

    /// The published modes of one station.
    pub fn modes_of<'t>(
        &'t self,
        operator: &'t OperatorId,
        stop: &'t StopId,
    ) -> impl Iterator<Item = &'t ModeSpan> {
        let here = |span: &&ModeSpan| span.stops.is_empty() || span.stops.contains(stop);
        let own = self.modes.0.iter().filter(move |s| s.operator == *operator);
        own.filter(here)
    }
}
