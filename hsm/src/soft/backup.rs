//! Backup and restore of a [`SoftHsm`].

use std::{fs, time::Instant};

use hsm_client::{HsmError, Result};
use serde_json::json;

use super::{Config, LOCK, SoftHsm, locked};
use crate::{
    Officers, Quorum,
    authority::{Authorised, Authority},
    backup::{self, Backup, Header},
    ceremony::{CeremonyError, Dealing, Form, Formed, Subject, Transcript, divide},
    service::{Key256, check_value},
    store,
};

impl SoftHsm {
    /// Everything in the HSM's directory, encrypted under a new key of which each custodian gets a
    /// share: M of them restore it. Dual control.
    pub fn backup(&self, quorum: Quorum, custodians: &[&str]) -> Result<Backup> {
        let control = self.authorised()?;
        self.settled(|| self.copy(&control, quorum, custodians))
    }

    fn copy(&self, control: &Authorised, quorum: Quorum, custodians: &[&str]) -> Result<Backup> {
        let entropy = &self.entropy;
        let lines = self.logs()?.audit.lines();
        let mut stream = entropy.stream("backup", &lines.to_be_bytes(), 0);
        let key = Key256::new(stream.array()?);
        let sheets = divide(entropy, quorum, custodians, Subject::Backup, key.as_slice())
            .map_err(refused)?;
        let dealing = Dealing::of(Form::Shares(quorum), &sheets);
        let kcv = hex::encode_upper(check_value(&key));
        // Noted before the copy, so that the copy tells of itself.
        self.note_as(
            &control.actor(),
            "backup",
            json!({ "kcv": kcv, "dealing": dealing }),
        )?;
        // Nothing is written between the note and the copy: the logs stay locked.
        let mut logs = self.logs()?;
        logs.audit.sync()?;
        let header = Header {
            at: (self.clock)(),
            kcv,
            dealing,
            audit_lines: logs.audit.lines(),
            audit_head: logs.audit.head(),
        };
        let files = backup::collect(&self.directory, LOCK)?;
        drop(logs);
        let file = backup::seal(&header, &files, &key, &stream.array()?)?;
        Ok(Backup {
            file,
            header,
            sheets,
        })
    }

    /// A new HSM from a backup, in an empty directory. The key was formed in a ceremony by
    /// [`Header::plan`]; its transcript goes into the audit log. What was done between the backup
    /// and the loss is not in it: see the handbook on loads.
    pub fn restore(
        mut config: Config,
        file: &[u8],
        formed: Formed,
        transcript: &Transcript,
    ) -> Result<Self> {
        let key = formed.single(Subject::Backup).map_err(refused)?;
        let header = Header::of(file)?;
        let files = backup::open(file, &key)?;
        let directory = config.directory.clone();
        backup::write_files(&directory, &files)?;
        let token = config.token.take();
        let open = |place| store::backend(place, token);
        let opened = Self::opened(config, Box::new(store::Real), open);
        let hsm = opened.inspect_err(|_| {
            // A wrong passphrase must not leave half a restore behind.
            for name in files.iter().map(|(name, _)| name.as_str()).chain([LOCK]) {
                let _ = fs::remove_file(directory.join(name));
            }
        })?;
        hsm.note(
            "restored",
            json!({ "backup": header.at, "audit_lines": header.audit_lines, "audit_head": header.audit_head }),
        )?;
        hsm.keep_transcript(transcript)?;
        // As after the first ceremony: its officers are there.
        let [a, b] = &transcript.officers;
        let officers = Officers::new(a, b)?;
        *locked(&hsm.authority) = Authority::after_ceremony(officers, Instant::now());
        hsm.reconcile_restored(&hsm.authorised()?)?;
        Ok(hsm)
    }
}

/// A refusal of the ceremony as one of the HSM.
pub(super) fn refused(error: CeremonyError) -> HsmError {
    match error {
        CeremonyError::Hsm(error) => error,
        other => HsmError::Refused {
            why: other.to_string(),
        },
    }
}
