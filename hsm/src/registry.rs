//! Certificates that were issued and revoked: what the audit log says of them.
//!
//! The log is the only record: every line of it is verified when the HSM opens, and a revocation is
//! durable there before it counts. So it survives a restart and comes with a backup.

use std::collections::{BTreeMap, BTreeSet};

use card_spec::time::CardTime;
use hsm_client::{CertificateInfo, HsmError, Issued, Result, Revocation, Role, Serial};

use crate::audit::Line;

/// The act of an issued certificate.
pub(crate) const CERTIFY: &str = "certify";
/// The act of a revocation.
pub(crate) const REVOKE: &str = "revoke-certificate";

/// What is known of each number.
#[derive(Default)]
pub(crate) struct Registry(BTreeMap<Serial, Known>);

#[derive(Default)]
struct Known {
    issued: Option<Issued>,
    revoked: Option<CardTime>,
}

impl Registry {
    /// Takes a line of the log into account.
    pub(crate) fn read(&mut self, line: &Line) {
        let detail = &line.detail;
        match line.act.as_str() {
            CERTIFY if line.outcome == 0 => {
                let text = |name: &str| detail[name].as_str().unwrap_or_default().to_owned();
                // A line of before numbers were noted has none.
                let Ok(serial) = text("serial").parse() else {
                    return;
                };
                let issued = Issued {
                    subject: text("subject"),
                    role: text("role"),
                    at: line.time,
                    days: detail["days"]
                        .as_u64()
                        .and_then(|days| days.try_into().ok())
                        .unwrap_or_default(),
                };
                self.issued(serial, issued);
            }
            REVOKE if line.outcome == 0 => {
                let serials = detail["serials"].as_array().into_iter().flatten();
                for serial in serials.filter_map(|s| s.as_str()?.parse().ok()) {
                    self.revoked(serial, line.time);
                }
            }
            _ => {}
        }
    }

    pub(crate) fn issued(&mut self, serial: Serial, issued: Issued) {
        self.0.entry(serial).or_default().issued = Some(issued);
    }

    pub(crate) fn revoked(&mut self, serial: Serial, at: CardTime) {
        self.0.entry(serial).or_default().revoked.get_or_insert(at);
    }

    /// Refuses a revoked one.
    pub(crate) fn check(&self, serial: &Serial, name: &str) -> Result<()> {
        match self.0.get(serial).and_then(|known| known.revoked) {
            None => Ok(()),
            Some(at) => Err(HsmError::Revoked {
                subject: name.to_owned(),
                serial: serial.to_string(),
                at: at.to_string(),
            }),
        }
    }

    /// The numbers that a revocation ends, if it may.
    pub(crate) fn meant(&self, revocation: &Revocation) -> Result<Vec<Serial>> {
        let counts = |known: &Known| known.revoked.is_none();
        let meant: Vec<Serial> = match revocation {
            Revocation::Serial(serial) => match self.0.get(serial) {
                Some(known) if !counts(known) => Vec::new(),
                _ => vec![serial.clone()],
            },
            Revocation::Subject(subject) => {
                let of = |known: &Known| {
                    let issued = known.issued.as_ref();
                    counts(known) && issued.is_some_and(|issued| issued.subject == *subject)
                };
                let all = self.0.iter().filter(|(_, known)| of(known));
                all.map(|(serial, _)| serial.clone()).collect()
            }
        };
        if meant.is_empty() {
            return Err(HsmError::Refused {
                why: "no certificate that counts is meant: see `onecard hsm certificate list`, and name one that another server issued by its serial number".to_owned(),
            });
        }
        self.two_officers_left(&meant)?;
        Ok(meant)
    }

    /// With fewer, nobody could authorise anything any more, not even another officer.
    fn two_officers_left(&self, meant: &[Serial]) -> Result<()> {
        let officers = |without: &[Serial]| {
            let left = self
                .0
                .iter()
                .filter(|(serial, known)| known.revoked.is_none() && !without.contains(serial));
            let issued = left.filter_map(|(_, known)| known.issued.as_ref());
            let officers = issued.filter(|issued| issued.role == Role::Officer.name());
            officers
                .map(|issued| issued.subject.to_lowercase())
                .collect::<BTreeSet<_>>()
                .len()
        };
        let (now, then) = (officers(&[]), officers(meant));
        if then < now && then < 2 {
            return Err(HsmError::Refused {
                why: "fewer than two officers would be left: issue the new officer's certificate first".to_owned(),
            });
        }
        Ok(())
    }

    /// Whether it is an officer's, as far as is known here.
    pub(crate) fn may_be_officers(&self, serial: &Serial) -> bool {
        let issued = self.0.get(serial).and_then(|known| known.issued.as_ref());
        issued.is_none_or(|issued| issued.role == Role::Officer.name())
    }

    pub(crate) fn list(&self) -> Vec<CertificateInfo> {
        let info = |(serial, known): (&Serial, &Known)| CertificateInfo {
            serial: serial.clone(),
            issued: known.issued.clone(),
            revoked: known.revoked,
        };
        self.0.iter().map(info).collect()
    }
}
