//! Backup and restore of a [`SoftHsm`].

use std::{path::Path, time::Instant};

use hsm_client::{HsmError, Result};
use serde_json::json;

use super::{Config, LOCK, SoftHsm, StoreFile, locked};
use crate::{
    Officers, Quorum,
    authority::{Authorised, Authority},
    backup::{self, Backup, Header},
    ceremony::{CeremonyError, Dealing, Form, Formed, Subject, Transcript, divide},
    comparison::{self, Comparison},
    memory::WipeStack,
    recovery::{REOPENED, RESTORED, Recovery},
    rotation::label,
    service::{Key256, check_value},
    sessions::malformed,
    store,
};

impl SoftHsm {
    /// Everything in the HSM's directory, encrypted under a new key of which each custodian gets a
    /// share: M of them restore it. Dual control.
    pub(super) fn try_backup(&self, quorum: Quorum, custodians: &[&str]) -> Result<Backup> {
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
    /// [`Header::plan`]; its transcript goes into the audit log.
    ///
    /// `lost` is the audit log of the lost machine, or a later copy of it: keys take the states that
    /// it says. `confirm` shows the officers what the backup would turn back; nothing is written
    /// before it agrees. Loads are closed until [`Self::reopen_loads`].
    pub fn restore(
        mut config: Config,
        file: &[u8],
        formed: Formed,
        transcript: &Transcript,
        lost: Option<&Path>,
        confirm: impl FnOnce(&Comparison) -> Result<()>,
    ) -> Result<Self> {
        let _wipe = WipeStack;
        let key = formed.single(Subject::Backup).map_err(refused)?;
        let header = Header::of(file)?;
        let mut files = backup::open(file, &key)?;
        check_transcript(&header, transcript)?;
        let directory = config.directory.clone();
        backup::must_be_empty(&directory)?;
        let token = config.token.take();
        let sealed = files.iter_mut().find(|(name, _)| name == StoreFile::NAME);
        let sealed = sealed.map(|(_, bytes)| bytes);
        let sealed =
            sealed.ok_or_else(|| store::store("the backup holds no key store: take another"))?;
        let (mut vault, envelope) = store::unseal(sealed, &config.passphrase, |place| {
            store::backend(place, token)
        })?;
        let (comparison, later) = comparison::compare(&vault, &header, lost)?;
        confirm(&comparison)?;
        let lives: Vec<_> = later
            .iter()
            .map(|(key, life)| json!({ "key": label(*key), "life": life.events() }))
            .collect();
        for (key, life) in later {
            vault.set_life(key, life);
        }
        // The first store that is written has the later states already.
        *sealed = envelope.seal(&vault, &config.entropy)?;
        backup::write_files(&directory, &files)?;
        let lock = super::lock(&directory)?;
        let hsm = Self::opened_with(config, Box::new(store::Real), (vault, envelope), lock)?;
        let named: Vec<String> = comparison
            .keys
            .iter()
            .filter(|key| key.later.is_some())
            .map(|key| label(key.key))
            .collect();
        hsm.note(
            RESTORED,
            json!({
                "keys": named,
                "backup": header.at,
                "audit_lines": header.audit_lines,
                "audit_head": header.audit_head,
                "later": comparison.later,
                "lives": lives,
                "absent": comparison.absent,
                "loads": "closed",
            }),
        )?;
        hsm.sync()?;
        hsm.logs()?.recovery = Recovery::Closed;
        backup::restored(&directory)?;
        hsm.keep_transcript(transcript)?;
        // As after the first ceremony: its officers are there.
        let [a, b] = &transcript.officers;
        let officers = Officers::new(a, b)?;
        *locked(&hsm.authority) = Authority::after_ceremony(officers, Instant::now());
        hsm.reconcile_restored(&hsm.authorised()?)?;
        Ok(hsm)
    }

    /// Opens loads, overdraft limits and PIN checks of a restored HSM again: two officers say that
    /// clearing has closed every hold that was open at the loss. Holds of before now stay refused.
    pub fn reopen_loads(&self) -> Result<()> {
        let control = self.authorised()?;
        if self.logs()?.recovery != Recovery::Closed {
            return Err(HsmError::WrongState {
                state: "open for loads".to_owned(),
                needs: "nothing: only a restore closes them".to_owned(),
            });
        }
        let at = (self.clock)();
        self.note_as(&control.actor(), REOPENED, json!({}))?;
        self.sync()?;
        self.logs()?.recovery = Recovery::Reopened(at);
        Ok(())
    }
}

/// The transcript to be kept is that of this backup's key.
fn check_transcript(header: &Header, transcript: &Transcript) -> Result<()> {
    let same = matches!(transcript.keys.as_slice(), [line]
        if line.subject == Subject::Backup && line.kcv.as_ref() == Some(&header.kcv));
    let confirmed = transcript.confirmed.len() == transcript.officers.len();
    if same && confirmed && transcript.aborted.is_none() {
        return Ok(());
    }
    Err(malformed("the transcript is of another ceremony"))
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
