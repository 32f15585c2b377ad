//! `onecard hsm key`: states and versions of keys, under two officers.

use super::{
    auditor, components, connect,
    keeping::{open, strs},
    people, protect, settings, stop, store_key,
};
use crate::{
    cli::{json, secret::NewFiles},
    exit::{Code, Done, Stop},
    out::say,
};
use card_spec::{
    SuiteId,
    keys::{KeyHeader, KeyType, class},
};
use clap::{Args, Subcommand};
use hsm::Officers;
use hsm_client::{
    Administration, Hsm as _, HsmError, KeyId, KeySource, KeyState, Rotation, RotationOrder,
    ServiceKey, SignPurpose,
};
use std::path::PathBuf;

/// States and versions of keys, in a running HSM or a stopped one 密钥状态与版本
#[derive(Subcommand)]
pub enum Key {
    /// Change the state of a key: active, verify-only, retired, compromised, destroyed
    State {
        /// Which key
        #[command(flatten)]
        key: Named,
        /// Its version
        #[arg(long)]
        key_version: u8,
        /// The state that begins
        #[arg(value_parser = state)]
        state: KeyState,
        /// Who and where
        #[command(flatten)]
        with: With,
    },
    /// Make the next version of a key from the custodians' components; it waits as pre-active
    Rotate {
        /// Which key; without --suite or --index every suite or index of the type
        #[command(flatten)]
        key: Named,
        /// Custodian of a component; three or more different people
        #[arg(long = "custodian", value_name = "NAME", default_values = ["custodian-1", "custodian-2", "custodian-3"])]
        custodians: Vec<String>,
        /// Directory of the components, one file a custodian: read where a file exists, drawn and
        /// written where not
        #[arg(long, value_name = "DIR")]
        components: PathBuf,
        /// Who and where
        #[command(flatten)]
        with: With,
    },
    /// Make the next version of a key from values that the HSM draws: no custodian can form it again,
    /// only a backup or an export brings it back; it waits as pre-active 生成密钥
    Generate {
        /// Which key; without --suite or --index every suite or index of the type
        #[command(flatten)]
        key: Named,
        /// Who and where
        #[command(flatten)]
        with: With,
    },
    /// Print a public signing key as profiles take it: hotlist, parameters 公钥
    Public {
        /// What it signs
        #[arg(value_parser = purpose)]
        purpose: SignPurpose,
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
    },
    /// Draw a new storage key, and write the key store under it and a new passphrase 更换存储密钥与口令
    RotateStore(store_key::RotateStore),
}

/// Which key.
#[derive(Args)]
pub struct Named {
    /// Key type (DTK, DPK ...), service key (KEK, PIN, PDK) or signing purpose (hotlist ...)
    #[arg(long)]
    key: String,
    /// Index: class or key id, hexadecimal
    #[arg(long, value_parser = index)]
    index: Option<u8>,
    /// Suite: aes, sm4 or tdes
    #[arg(long)]
    suite: Option<SuiteId>,
}

/// Who and where.
#[derive(Args)]
pub struct With {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Officer whose certificate carries the call to the running HSM, which two have authorised
    /// with `onecard hsm approve`
    #[arg(long, value_name = "NAME", required_unless_present = "stopped")]
    officer: Option<String>,
    /// The service is stopped: both officers sign here, with their certificates
    #[arg(long, conflicts_with = "officer", requires_all = ["officer1", "officer2"])]
    stopped: bool,
    /// With --stopped: the first officer
    #[arg(long, value_name = "NAME", requires = "stopped")]
    officer1: Option<String>,
    /// With --stopped: the second officer; another person
    #[arg(long, value_name = "NAME", requires = "stopped")]
    officer2: Option<String>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

fn state(text: &str) -> Result<KeyState, String> {
    let mut all = KeyState::ALL.into_iter();
    all.find(|s| s.name() == text).ok_or_else(|| {
        let names = KeyState::ALL.map(KeyState::name).join(", ");
        format!("one of {names}")
    })
}

fn purpose(text: &str) -> Result<SignPurpose, String> {
    let mut all = SignPurpose::ALL.into_iter();
    all.find(|p| p.name() == text).ok_or_else(|| {
        let names = SignPurpose::ALL.map(SignPurpose::name).join(", ");
        format!("one of {names}")
    })
}

fn index(text: &str) -> Result<u8, String> {
    u8::from_str_radix(text, 16).map_err(|_| "two hexadecimal digits".to_owned())
}

enum Kind {
    Master(KeyType),
    Service(ServiceKey),
    Signing(SignPurpose),
}

impl Named {
    fn kind(&self) -> Done<Kind> {
        let same = |name: &str| name.eq_ignore_ascii_case(&self.key);
        let master = KeyType::ALL.into_iter().find(|t| same(t.name()));
        let service = ServiceKey::ALL.into_iter().find(|k| same(k.name()));
        let signing = SignPurpose::ALL.into_iter().find(|p| same(p.name()));
        master
            .map(Kind::Master)
            .or(service.map(Kind::Service))
            .or(signing.map(Kind::Signing))
            .ok_or_else(|| {
                let why = format!("no key is called {}: see `onecard hsm keys`", self.key);
                Stop::new(Code::Usage, why)
            })
    }

    fn id(&self, version: u8) -> Done<KeyId> {
        Ok(match self.kind()? {
            Kind::Master(key_type) => KeyId::Master(KeyHeader {
                key_type,
                index: self.index.unwrap_or(class::ONLY),
                version,
                suite: self.suite.ok_or_else(|| {
                    Stop::new(Code::Usage, "a master is named with its suite: --suite")
                })?,
            }),
            Kind::Service(key) => KeyId::Service { key, version },
            Kind::Signing(purpose) => KeyId::Signing { purpose, version },
        })
    }

    fn rotation(&self) -> Done<Rotation> {
        Ok(match self.kind()? {
            Kind::Master(key_type) => Rotation::Masters {
                key_type,
                index: self.index,
                suite: self.suite,
            },
            Kind::Service(key) => Rotation::Service(key),
            Kind::Signing(purpose) => Rotation::Signing(purpose),
        })
    }
}

impl With {
    /// The HSM, running or opened here with both officers' signatures.
    fn hsm(&self, act: &str) -> Done<Box<dyn Administration>> {
        let settings = settings(&self.config)?;
        match (&self.officer, &self.officer1, &self.officer2) {
            (Some(officer), ..) => {
                let hsm = connect(&settings, &people::officer_file(officer))?;
                Ok(Box::new(hsm))
            }
            (None, Some(first), Some(second)) => {
                let officers =
                    Officers::new(first, second).map_err(|e| Stop::new(Code::Usage, e))?;
                let signers = people::credentials(&settings, &officers)?;
                let hsm = open(&settings, act)?;
                people::authorise(&hsm, &signers, act)?;
                Ok(Box::new(hsm))
            }
            _ => Err(Stop::new(
                Code::Usage,
                "with --stopped, name --officer1 and --officer2",
            )),
        }
    }
}

/// Runs one.
pub fn run(command: &Key) -> Done {
    protect();
    match command {
        Key::RotateStore(args) => store_key::run(args),
        Key::Public { purpose, config } => {
            let key = auditor(config)?.public_key(*purpose).map_err(stop)?;
            say!("{}", hex::encode(key));
            Ok(())
        }
        Key::State {
            key,
            key_version,
            state,
            with,
        } => {
            let id = key.id(*key_version)?;
            let hsm = with.hsm("onecard hsm key state")?;
            hsm.set_key_state(id, *state).map_err(stop)?;
            if with.json {
                return json(&serde_json::json!({ "key": id, "state": state }));
            }
            say!("{} version {key_version} is {} now", key.key, state.name());
            Ok(())
        }
        Key::Rotate {
            key,
            custodians,
            components: folder,
            with,
        } => {
            let rotation = key.rotation()?;
            let hsm = with.hsm("onecard hsm key rotate")?;
            let mut files = NewFiles::default();
            let components = components::read(&strs(custodians), folder, &mut files)?;
            let order = RotationOrder {
                rotation,
                source: KeySource::Components(components),
            };
            let made = match hsm.rotate(&order) {
                // It may be done: what was drawn for it must not be lost.
                Err(error @ HsmError::Unanswered { .. }) => {
                    files.keep();
                    return Err(stop(error));
                }
                result => result.map_err(stop)?,
            };
            files.keep();
            made_known(&made, with)
        }
        Key::Generate { key, with } => {
            let order = RotationOrder {
                rotation: key.rotation()?,
                source: KeySource::Drawn,
            };
            let made = with.hsm("onecard hsm key generate")?.rotate(&order);
            made_known(&made.map_err(stop)?, with)
        }
    }
}

fn made_known(made: &[KeyId], with: &With) -> Done {
    if with.json {
        return json(&made);
    }
    say!("{} keys made, pre-active. Next:", made.len());
    say!("  1. give them to the SAMs (a new order, or WRITE KEY in the field)");
    say!("  2. onecard hsm key state ... active: from then on cards get them");
    say!("  3. onecard hsm key state ... verify-only for the version before, once no card has it");
    Ok(())
}
