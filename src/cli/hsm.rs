//! `onecard hsm`: the key service.

use super::{
    interrupted, json,
    secret::{self, NewFiles},
};
use crate::out::say;
use crate::{
    config,
    exit::{Code, Done, Stop},
    tables,
};
use card_spec::{
    SuiteId,
    keys::kcv,
    perso::kcv_kind,
    suite::Key,
    time::{CardDate, CardTime},
};
use clap::Subcommand;
use hsm::{
    Entropy, KdfCost, LoadLimits, Officers, Roots, SoftHsm,
    ceremony::{Ceremony, CeremonyError, Form, Plan, Step, Subject, Transcript},
};
use hsm_client::{Hsm as _, HsmError, TcpHsm};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};
use zeroize::Zeroizing;

/// Key service 密钥机
#[derive(Subcommand)]
pub enum Hsm {
    /// Form the roots from three components each and create the key store 密钥仪式
    Init {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
        /// First officer
        #[arg(long)]
        officer1: String,
        /// Second officer; another person
        #[arg(long)]
        officer2: String,
        /// Custodian of a component; three or more different people
        #[arg(long = "custodian", value_name = "NAME", default_values = ["custodian-1", "custodian-2", "custodian-3"])]
        custodians: Vec<String>,
        /// Directory of the components, one file a custodian: read where a file exists (the roots
        /// are formed again), drawn and written where not. Hand each file to its custodian
        #[arg(long, value_name = "DIR")]
        components: PathBuf,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// Serve clearing and issuance on a loopback address
    Serve {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
    },
    /// State and audit head of a running service
    Status {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// Keys of a running service with their check values; never their values
    Keys {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// Verify the audit log of a key store
    Audit {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
}

/// Runs one.
pub fn run(command: &Hsm) -> Done {
    match command {
        Hsm::Init {
            config,
            officer1,
            officer2,
            custodians,
            components,
            json,
        } => {
            let officers =
                Officers::new(officer1, officer2).map_err(|error| Stop::new(Code::Usage, error))?;
            init(config, &officers, custodians, components, *json)
        }
        Hsm::Serve { config } => serve(config),
        Hsm::Status {
            config,
            json: as_json,
        } => status(config, *as_json),
        Hsm::Keys {
            config,
            json: as_json,
        } => keys(config, *as_json),
        Hsm::Audit {
            config,
            json: as_json,
        } => audit(config, *as_json),
    }
}

/// The HSM's error with its exit code.
pub fn stop(error: HsmError) -> Stop {
    let code = match &error {
        HsmError::Store { .. } | HsmError::NotAuthentic { .. } | HsmError::Backend { .. } => {
            Code::Auth
        }
        HsmError::UnknownKey { .. } => Code::NotFound,
        _ => Code::Failure,
    };
    Stop::new(code, error)
}

/// Local time now (Asia/Shanghai), to the second.
pub fn now() -> CardTime {
    let now = jiff::Timestamp::now();
    let local = jiff::tz::Offset::constant(8).to_datetime(now);
    let part = |v: i8| u8::try_from(v).unwrap_or_default();
    u16::try_from(local.year())
        .ok()
        .and_then(|year| CardDate::new(year, part(local.month()), part(local.day())).ok())
        .and_then(|d| {
            d.at(
                part(local.hour()),
                part(local.minute()),
                part(local.second()),
            )
            .ok()
        })
        .unwrap_or(CardTime::MIN)
}

fn settings(path: &Path) -> Done<config::Hsm> {
    let config = config::load(path)?;
    config::section(config.hsm.as_ref(), "hsm", path).cloned()
}

fn open_config(settings: &config::Hsm, actor: &str) -> Done<hsm::Config> {
    let ledger = secret::bytes32(&settings.ledger_public_key_file, "the ledger's public key")?;
    Ok(hsm::Config {
        directory: settings.store.clone(),
        passphrase: secret::passphrase(settings.passphrase_file.as_deref())?,
        actor: actor.to_owned(),
        entropy: Entropy::os(),
        clock: Arc::new(now),
        ledger_key: Some(*ledger),
        limits: LoadLimits::default(),
        token: settings.token.as_ref().map(open_token).transpose()?,
    })
}

fn open_token(token: &config::Token) -> Done<hsm::Token> {
    Ok(hsm::Token {
        module: token.module.clone(),
        label: token.label.clone(),
        pin: secret::token_pin(token.pin_file.as_deref())?,
    })
}

fn init(
    path: &Path,
    officers: &Officers,
    custodians: &[String],
    components: &Path,
    as_json: bool,
) -> Done {
    protect();
    let settings = settings(path)?;
    let names: Vec<&str> = custodians.iter().map(String::as_str).collect();
    let mut files = NewFiles::default();
    let (roots, transcript) = ceremony(officers, &names, components, &mut files)?;
    let config = open_config(&settings, "onecard hsm init")?;
    let hsm = SoftHsm::create(config, KdfCost::PRODUCTION, roots, &transcript)
        .map_err(|error| Stop::new(Code::Failure, error))?;
    files.keep();
    for suite in hsm.left_out() {
        eprintln!(
            "The token cannot hold {} keys: this HSM has none, and refuses what needs them.",
            suite.name()
        );
    }
    if as_json {
        return json(&transcript);
    }
    say!("Key store created in {}", settings.store.display());
    for key in &transcript.keys {
        let parts: Vec<String> = key
            .parts
            .iter()
            .map(|p| format!("{}:{}", p.custodian, p.check))
            .collect();
        say!(
            "{}  components {}  KCV {}",
            key.subject,
            parts.join(" "),
            key.kcv.as_deref().unwrap_or("-")
        );
    }
    say!("Hand each file in the components directory to its custodian and keep none here.");
    say!("Next: onecard hsm serve --config {}", path.display());
    Ok(())
}

/// Every custodian enters one component of every root, from a file or freshly drawn.
fn ceremony(
    officers: &Officers,
    names: &[&str],
    folder: &Path,
    files: &mut NewFiles,
) -> Done<(Roots, Transcript)> {
    let failed = |error: CeremonyError| Stop::new(Code::Auth, format!("key ceremony: {error}"));
    let of = u8::try_from(names.len()).unwrap_or(u8::MAX);
    let plan = Plan::roots(Form::Components(of), names).map_err(failed)?;
    let mut ceremony = Ceremony::new(plan, officers, now());
    for name in names {
        for component in component_file(folder, name, files)? {
            let Step::Part { subject, .. } = ceremony.next() else {
                break;
            };
            if subject != Subject::Root(component.suite) {
                let wrong = format!("{name}'s file has no {subject} component where it belongs");
                return Err(Stop::new(Code::Auth, wrong));
            }
            let value = Zeroizing::new(component.value.to_vec());
            ceremony
                .enter_component(name, value, component.kcv)
                .map_err(failed)?;
        }
    }
    for officer in officers.names() {
        ceremony.confirm(officer).map_err(failed)?;
    }
    let (formed, transcript) = ceremony.finish().map_err(failed)?;
    Ok((formed.roots().map_err(failed)?, transcript))
}

/// One component of one root, as a custodian's file holds it.
struct Component {
    suite: SuiteId,
    value: Zeroizing<[u8; 16]>,
    kcv: [u8; 3],
}

/// Reads a custodian's file, or draws its components and writes it.
fn component_file(folder: &Path, name: &str, files: &mut NewFiles) -> Done<Vec<Component>> {
    let path = folder.join(format!("{name}.component"));
    if !path.exists() {
        let mut text = Zeroizing::new(String::new());
        for suite in SuiteId::ALL {
            let mut value = Zeroizing::new([0; 16]);
            getrandom::fill(&mut value[..]).map_err(Stop::because("drawing a component"))?;
            let check = kcv(&Key::new(*value), suite, kcv_kind(suite));
            let line = format!(
                "{} {} {}\n",
                suite.name(),
                hex::encode(*value),
                hex::encode(check)
            );
            text.push_str(&line);
        }
        files.write(&path, &text)?;
    }
    let wrong = || {
        Stop::new(
            Code::Auth,
            format!(
                "{}: every line must be `suite component kcv`",
                path.display()
            ),
        )
    };
    let mut components = Vec::new();
    for words in secret::pairs(&path, "a key component")? {
        let [suite, value, check] = words.as_slice() else {
            return Err(wrong());
        };
        let mut component = Component {
            suite: suite.parse().map_err(|_| wrong())?,
            value: Zeroizing::new([0; 16]),
            kcv: [0; 3],
        };
        hex::decode_to_slice(value, &mut component.value[..]).map_err(|_| wrong())?;
        hex::decode_to_slice(check, &mut component.kcv).map_err(|_| wrong())?;
        components.push(component);
    }
    Ok(components)
}

/// Before the first secret is read.
fn protect() {
    if let Some(advice) = hsm::memory::protect().advice() {
        eprintln!("Memory protection 内存保护: {advice}");
    }
}

fn serve(path: &Path) -> Done {
    protect();
    let settings = settings(path)?;
    let listener =
        hsm::server::bind(settings.address).map_err(|error| Stop::new(Code::Usage, error))?;
    let hsm = SoftHsm::open(open_config(&settings, "onecard hsm serve")?).map_err(stop)?;
    let flag = interrupted()?;
    eprintln!(
        "HSM 密钥机 serving on {}; stop with Ctrl-C",
        settings.address
    );
    hsm::server::serve(listener, Arc::new(hsm), flag).map_err(Stop::because("serving"))
}

/// A client of the running service. A service that was started a moment ago is waited for.
pub fn connect(settings: &config::Hsm) -> Done<TcpHsm> {
    let address = settings.address.to_string();
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match TcpHsm::connect(&address) {
            Err(HsmError::Unreachable { .. }) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(100));
            }
            result => return result.map_err(stop),
        }
    }
}

fn status(path: &Path, as_json: bool) -> Done {
    let status = connect(&settings(path)?)?.status().map_err(stop)?;
    if as_json {
        return json(&status);
    }
    say!(
        "state {:?}  keys {}  audit lines {}  head {}{}",
        status.state,
        status.keys,
        status.audit_lines,
        status.audit_head,
        if status.demo { "  DEMO 演示" } else { "" }
    );
    Ok(())
}

fn keys(path: &Path, as_json: bool) -> Done {
    let hsm = connect(&settings(path)?)?;
    let (masters, own) = (hsm.keys().map_err(stop)?, hsm.own_keys().map_err(stop)?);
    if as_json {
        return json(&serde_json::json!({ "masters": masters, "own": own }));
    }
    say!("{}", tables::masters(&masters));
    say!("{}", tables::own_keys(&own));
    Ok(())
}

fn audit(path: &Path, as_json: bool) -> Done {
    let settings = settings(path)?;
    let log = settings.store.join("audit.jsonl");
    let report = hsm::audit::verify(&log).map_err(Stop::because("audit log"))?;
    if as_json {
        return json(
            &serde_json::json!({ "ok": true, "lines": report.lines, "head": report.head }),
        );
    }
    say!(
        "{}: {} lines, chain intact, head {}",
        log.display(),
        report.lines,
        report.head
    );
    Ok(())
}
