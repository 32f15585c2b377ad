//! [`SoftHsm`]: the HSM in one process, its keys in memory and its files in one directory.

mod administration;
mod backup;
mod calls;
mod changes;
mod controlled;
mod exchange;
mod founding;
mod keys;
mod ledger;
mod orders;
mod record;
mod refusals;

use changes::Changes;
pub use exchange::{BlockKek, Imported, Kek};
use founding::Founding;

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock, atomic::AtomicU64},
    time::{Instant, SystemTime},
};

use card_spec::{
    SuiteId,
    keys::kcv,
    perso::{KVN_TRANSPORT, kcv_kind},
    time::CardTime,
};
use ed25519_dalek::VerifyingKey;
use hsm_client::{
    Administration as _, Approval, CertificateRequest, Credential, HsmError, LeafKey, Result, Role,
    SignPurpose, Subject as Holder,
};
use rustls::RootCertStore;
use serde_json::{Value, json};
use zeroize::{Zeroize, Zeroizing};

use crate::{
    Entropy, KdfCost, LoadLimits, Manufacturer, Officers, Roots,
    audit::{Audit, Entry},
    authority::{Authorised, Authority},
    backend::{Backend, News, Place, Token},
    caller::Caller,
    ceremony::{Subject, Transcript},
    certificates,
    loads::Loads,
    memory::WipeStack,
    recovery::Recovery,
    refusals::Refusals,
    registry::Registry,
    sessions::{Sessions, malformed},
    store::{self, Disk, Envelope, Real, StoreFile},
    vault::Vault,
};

/// Local time (Asia/Shanghai): simulated in a demonstration, the system's in production.
pub type Clock = Arc<dyn Fn() -> CardTime + Send + Sync>;

/// File names inside the HSM's directory.
const AUDIT: &str = "audit.jsonl";
const LOADS: &str = "loads.jsonl";
const LOCK: &str = "lock";
/// How long officers at this machine stay authorised.
const MINUTES: u8 = 15;

/// What an HSM needs to run.
pub struct Config {
    /// Directory of the key store, the audit log and the load memory; one process at a time.
    pub directory: PathBuf,
    /// Opens the key store.
    pub passphrase: Zeroizing<String>,
    /// To whom the audit log attributes ordinary calls: the operator or service that opened it.
    pub actor: String,
    /// Randomness.
    pub entropy: Entropy,
    /// Time.
    pub clock: Clock,
    /// Ed25519 public key of the ledger, whose holds authorise loads. Without it none is.
    pub ledger_key: Option<[u8; 32]>,
    /// Limits of loads.
    pub limits: LoadLimits,
    /// The token that holds the masters; without one the key store's file does.
    pub token: Option<Token>,
}

/// The HSM in software, on behalf of one caller. A clone is the same HSM.
#[derive(Clone)]
pub struct SoftHsm {
    core: Arc<Core>,
    caller: Caller,
}

/// What all callers share.
pub struct Core {
    vault: RwLock<Arc<Vault>>,
    directory: PathBuf,
    /// One change of keys at a time.
    changes: Mutex<Changes>,
    entropy: Entropy,
    clock: Clock,
    ledger_key: Option<VerifyingKey>,
    limits: LoadLimits,
    sessions: Mutex<Sessions>,
    /// The log and the load memory, or why they cannot be trusted.
    health: core::result::Result<Mutex<Logs>, String>,
    authority: Mutex<Authority>,
    registry: Mutex<Registry>,
    /// What each client may still add to the log by being refused.
    refusals: Mutex<BTreeMap<String, Refusals>>,
    randoms: AtomicU64,
    /// Held until the end: one process a directory.
    _lock: File,
}

struct Logs {
    audit: Audit,
    loads: Loads,
    /// Whether the load memory is as old as a backup.
    recovery: Recovery,
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // A poisoned lock means that a thread of another call died; what it guards is checked again at
    // its use (a session by the card's MAC, the logs by their chain).
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl SoftHsm {
    /// Makes a new HSM from the roots of a ceremony: derives every application master, draws the
    /// signing keys, writes the store. An existing store is never overwritten.
    pub fn create(
        mut config: Config,
        cost: KdfCost,
        roots: Roots,
        transcript: &Transcript,
    ) -> Result<Self> {
        let token = config.token.take();
        let place = match token {
            Some(_) => Place::Token(config.entropy.stream("store-id", &[], 0).array()?),
            None => Place::File,
        };
        let open = |place| store::backend(place, token);
        Self::created(config, cost, roots, transcript, place, Box::new(Real), open)
    }

    fn created(
        config: Config,
        cost: KdfCost,
        roots: Roots,
        transcript: &Transcript,
        place: Place,
        disk: Box<dyn Disk + Send>,
        open: impl FnOnce(Place) -> Result<Box<dyn Backend>>,
    ) -> Result<Self> {
        let _wipe = WipeStack;
        check_transcript(&roots, transcript)?;
        let directory = config.directory.clone();
        store::own_directory(&directory)?;
        let lock = lock(&directory)?;
        let founding = Founding::begin(&directory, place, disk, open)?;
        let (vault, logs, file) = founding.finish(&config, cost, &roots)?;
        drop(roots);
        let [a, b] = &transcript.officers;
        let authority = Authority::after_ceremony(Officers::new(a, b)?, Instant::now());
        let hsm = Self::assemble(config, (vault, file), Ok(Mutex::new(logs)), authority, lock)?;
        hsm.keep_transcript(transcript)?;
        hsm.note(
            "created",
            json!({ "masters": hsm.vault().masters.len(), "left_out": hsm.vault().left_out() }),
        )?;
        hsm.sync()?;
        Ok(hsm)
    }

    /// Opens an existing HSM. A log that does not verify opens as [`State::Tampered`]; otherwise what
    /// a cut left between key store and token is put right first.
    ///
    /// [`State::Tampered`]: hsm_client::State::Tampered
    pub fn open(mut config: Config) -> Result<Self> {
        let token = config.token.take();
        let hsm = Self::opened(config, Box::new(Real), |place| store::backend(place, token))?;
        hsm.reconcile()?;
        Ok(hsm)
    }

    /// Opened, and not compared with its token yet.
    fn opened(
        config: Config,
        disk: Box<dyn Disk + Send>,
        open: impl FnOnce(Place) -> Result<Box<dyn Backend>>,
    ) -> Result<Self> {
        let _wipe = WipeStack;
        let directory = config.directory.clone();
        let lock = lock(&directory)?;
        crate::backup::must_be_whole(&directory)?;
        let sealed = store::read(&directory.join(StoreFile::NAME))?;
        let unsealed = store::unseal(&sealed, &config.passphrase, open)?;
        Self::opened_with(config, disk, unsealed, lock)
    }

    /// Opened, with the key store unsealed already.
    fn opened_with(
        config: Config,
        disk: Box<dyn Disk + Send>,
        (vault, envelope): (Vault, Envelope),
        lock: File,
    ) -> Result<Self> {
        let directory = config.directory.clone();
        let mut recovery = Recovery::default();
        let (mut in_force, mut remembered, mut registry) = (0, 0, Registry::default());
        let audit = Audit::open(&directory.join(AUDIT), &vault.audit_keys(), |line| {
            in_force = in_force.max(changes::in_force(line));
            remembered = remembered.max(line.detail[ledger::MEMORY].as_u64().unwrap_or(0));
            recovery.follow(line);
            registry.read(line);
        });
        let audit = audit.map_err(|e| e.to_string()).and_then(|audit| {
            if u64::from(vault.change) >= in_force {
                return Ok(audit);
            }
            Err(format!(
                "key store: it is of before change {in_force}, which the audit log says was in force; put the newer one back, or restore a backup"
            ))
        });
        let loads = Loads::open(&directory.join(LOADS)).map_err(|e| {
            format!(
                "load memory {}: {e}; restore the copy from the backup",
                directory.join(LOADS).display()
            )
        });
        let loads = loads.and_then(|loads| match loads.lines() < remembered {
            true => Err(format!(
                "load memory {}: it has {} lines where the audit log saw {remembered}; put the newer one back, or restore a backup",
                directory.join(LOADS).display(),
                loads.lines()
            )),
            false => Ok(loads),
        });
        let logs = |audit, loads| Logs {
            audit,
            loads,
            recovery,
        };
        let health = audit.and_then(|audit| loads.map(|loads| Mutex::new(logs(audit, loads))));
        let sound = health.is_ok();
        let file = StoreFile {
            directory,
            envelope,
            disk,
        };
        let hsm = Self::assemble(config, (vault, file), health, Authority::default(), lock)?;
        *locked(&hsm.registry) = registry;
        if sound {
            let vault = hsm.vault();
            hsm.note(
                "opened",
                json!({ "masters": vault.masters.len(), "change": vault.change }),
            )?;
            hsm.sync()?;
        }
        Ok(hsm)
    }

    fn assemble(
        mut config: Config,
        (vault, file): (Vault, StoreFile),
        health: core::result::Result<Mutex<Logs>, String>,
        authority: Authority,
        lock: File,
    ) -> Result<Self> {
        config.passphrase.zeroize();
        let ledger_key = config
            .ledger_key
            .map(|key| VerifyingKey::from_bytes(&key))
            .transpose()
            .map_err(|_| malformed("the ledger's public key is no Ed25519 key"))?;
        let core = Core {
            vault: RwLock::new(Arc::new(vault)),
            directory: config.directory,
            changes: Mutex::new(Changes::of(file)),
            entropy: config.entropy,
            clock: config.clock,
            ledger_key,
            limits: config.limits,
            sessions: Mutex::default(),
            health,
            authority: Mutex::new(authority),
            registry: Mutex::default(),
            refusals: Mutex::default(),
            randoms: AtomicU64::new(0),
            _lock: lock,
        };
        Ok(Self {
            core: Arc::new(core),
            caller: Caller::process(config.actor),
        })
    }

    /// The same HSM on behalf of another caller: the audit log names that one.
    pub(crate) fn on_behalf_of(&self, caller: Caller) -> Self {
        Self {
            core: Arc::clone(&self.core),
            caller,
        }
    }

    /// That two officers approve what is done now, if the HSM is in the authorised state. The
    /// officers of a key ceremony are authorised for fifteen minutes after it.
    pub fn authorised(&self) -> Result<Authorised> {
        self.sound()?;
        let control = locked(&self.authority).authorised(Instant::now())?;
        match self.caller.role() {
            Some(_) if !control.names().contains(&self.caller.name.as_str()) => {
                Err(HsmError::Refused {
                    why: format!(
                        "{} approved, and one of them carries it out, not {}",
                        control.actor(),
                        self.caller.name
                    ),
                })
            }
            _ => Ok(control),
        }
    }

    /// Two officers at this machine approve what this process does next, by their certificates: for
    /// work on a key store that is not served.
    pub fn authorise(&self, officers: [&Credential; 2], reason: &str) -> Result<Authorised> {
        let signed = officers
            .into_iter()
            .try_for_each(|credential| self.signed_by(credential, reason));
        // A first approval alone waits for nobody here.
        signed.inspect_err(|_| locked(&self.authority).withdraw())?;
        self.authorised()
    }

    /// One officer's approval, by the certificate.
    fn signed_by(&self, credential: &Credential, reason: &str) -> Result<()> {
        let caller = certificates::verified_caller(
            self.vault().signer(SignPurpose::ClientCa)?,
            credential.certificate(),
            SystemTime::now(),
        )?;
        let officer = self.on_behalf_of(caller);
        officer.check_certificate()?;
        let challenge = officer.approval_challenge()?;
        let signed = Approval::signing_bytes(&challenge, MINUTES, reason);
        let approval = Approval {
            challenge,
            reason: reason.to_owned(),
            minutes: MINUTES,
            signature: credential.sign(&signed)?,
        };
        officer.approve(&approval).map(drop)
    }

    /// Draws a key pair and issues its certificate: for parties whose keys are made here. Needs the
    /// authorised state.
    pub fn credential(&self, subject: Holder, days: u16) -> Result<Credential> {
        let key = LeafKey::draw()?;
        let certificate = self.certify(&CertificateRequest {
            subject,
            public_key: key.public_key(),
            days,
        })?;
        key.certified(self.authority_certificate()?, certificate)
    }

    /// That the caller's certificate was not revoked.
    pub(crate) fn check_certificate(&self) -> Result<()> {
        match &self.caller.serial {
            Some(serial) => locked(&self.registry).check(serial, &self.caller.name),
            None => Ok(()),
        }
    }

    /// Certificate of the authority that servers and clients trust, DER.
    pub fn authority_certificate(&self) -> Result<Vec<u8>> {
        self.sound()?;
        certificates::authority(self.vault().signer(SignPurpose::ClientCa)?)
    }

    /// Whose certificates clients may show: every version of the authority that is in use.
    pub(crate) fn client_roots(&self) -> Result<RootCertStore> {
        let vault = self.vault();
        let mut roots = RootCertStore::empty();
        for signer in vault.verifying(SignPurpose::ClientCa) {
            let certificate = certificates::authority(signer)?;
            roots
                .add(certificate.into())
                .map_err(|e| malformed(&format!("the authority's certificate: {e}")))?;
        }
        Ok(roots)
    }

    /// The card maker's copy of the transport masters. Exporting it takes two officers.
    pub fn manufacturer(&self, control: &Authorised) -> Result<Manufacturer> {
        let masters = self.vault().isd_masters(KVN_TRANSPORT)?;
        self.note_as(
            &control.actor(),
            "transport-masters-exported",
            json!({ "keys": ["transport"], "key_version": KVN_TRANSPORT }),
        )?;
        self.sync()?;
        Ok(Manufacturer::new(masters))
    }

    /// Suites of which this HSM has no master, because its token cannot hold them.
    pub fn left_out(&self) -> Vec<SuiteId> {
        self.vault().left_out()
    }

    /// Notes what happened to the token, and passes a result on.
    fn noting<T>(&self, result: Result<T>) -> Result<T> {
        let news = self.vault().backend.news();
        for event in &news {
            match event {
                News::Lost(why) => self.note("token-lost", json!({ "why": why }))?,
                News::Recovered => self.note("token-recovered", json!({}))?,
            }
        }
        if !news.is_empty() {
            self.sync()?;
        }
        result
    }

    fn note(&self, act: &str, detail: Value) -> Result<()> {
        self.note_outcome(act, 0, detail)
    }

    /// With the number of an error.
    fn note_outcome(&self, act: &str, outcome: u16, detail: Value) -> Result<()> {
        let role = self.caller.role().map_or("", Role::name);
        self.core
            .write(&self.caller.name, role, act, outcome, detail)
    }

    /// What two officers did together, and which of them carried it out.
    fn note_as(&self, actor: &str, act: &str, mut detail: Value) -> Result<()> {
        if let (Some(_), Some(detail)) = (self.caller.role(), detail.as_object_mut()) {
            detail.insert("by".to_owned(), json!(self.caller.name));
        }
        self.core.write(actor, Role::Officer.name(), act, 0, detail)
    }

    fn sync(&self) -> Result<()> {
        self.logs()?.audit.sync()
    }
}

impl core::ops::Deref for SoftHsm {
    type Target = Core;

    fn deref(&self) -> &Core {
        &self.core
    }
}

impl Core {
    fn write(&self, actor: &str, role: &str, act: &str, outcome: u16, detail: Value) -> Result<()> {
        let time = (self.clock)();
        let mut logs = self.logs()?;
        logs.audit.note(
            self.vault().signer(SignPurpose::Audit)?,
            Entry {
                time,
                actor,
                role,
                act,
                outcome,
                detail,
            },
        )
    }

    /// Logs, or the refusal of a tampered HSM. Every call passes here.
    fn logs(&self) -> Result<MutexGuard<'_, Logs>> {
        self.sound().map(locked)
    }

    /// Without waiting for a log that is being written.
    fn sound(&self) -> Result<&Mutex<Logs>> {
        self.health.as_ref().map_err(|why| HsmError::WrongState {
            state: format!("tampered ({why})"),
            needs: "intact logs".to_owned(),
        })
    }
}

impl Drop for Core {
    fn drop(&mut self) {
        // Best effort: what had to be durable was made durable before its answer.
        let change = self.vault().change;
        let _ = self.write("hsm", "", "closed", 0, json!({ "change": change }));
        if let (Ok(mut logs), Ok(signer)) = (self.logs(), self.vault().signer(SignPurpose::Audit)) {
            let _ = logs.audit.checkpoint(signer, (self.clock)());
            let _ = logs.audit.sync();
        }
    }
}

/// The transcript to be kept is that of these roots.
fn check_transcript(roots: &Roots, transcript: &Transcript) -> Result<()> {
    let same = roots.0.len() == transcript.keys.len()
        && roots
            .0
            .iter()
            .zip(&transcript.keys)
            .all(|((suite, key), line)| {
                let check = hex::encode_upper(kcv(key, *suite, kcv_kind(*suite)));
                line.subject == Subject::Root(*suite) && line.kcv.as_ref() == Some(&check)
            });
    let confirmed = transcript.confirmed.len() == transcript.officers.len();
    if same && confirmed && transcript.aborted.is_none() {
        return Ok(());
    }
    Err(malformed("the transcript is of another ceremony"))
}

const LOCK_TRIES: u32 = 20;
const LOCK_PAUSE: std::time::Duration = std::time::Duration::from_millis(10);

fn lock(directory: &Path) -> Result<File> {
    let path = directory.join(LOCK);
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(false);
    store::restrict(&mut options);
    let file = options
        .open(&path)
        .map_err(|e| store::io_error(&path, "cannot open", &e))?;
    // A child that some thread has just forked keeps the last owner's lock until it runs its program.
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            Err(fs::TryLockError::WouldBlock) => std::thread::sleep(LOCK_PAUSE),
            Err(fs::TryLockError::Error(e)) => {
                return Err(store::io_error(&path, "cannot lock", &e));
            }
        }
    }
    Err(store::store(&format!(
        "{} is in use by another process: stop that one, or connect to it",
        directory.display()
    )))
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
mod cuts;
