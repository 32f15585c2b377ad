//! `onecard hsm`: the key service.

use super::{interrupted, json, secret};
use crate::out::say;
use crate::{
    config,
    exit::{Code, Done, Stop},
    tables,
};
use card_spec::time::{CardDate, CardTime};
use clap::Subcommand;
use hsm::{Entropy, KdfCost, LoadLimits, Officers, SoftHsm};
use hsm_client::{Hsm as _, HsmError, TcpHsm};
use std::{path::PathBuf, sync::Arc};

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
            json,
        } => init(config, officer1, officer2, *json),
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
        HsmError::Store { .. } | HsmError::NotAuthentic { .. } => Code::Auth,
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

fn settings(path: &std::path::Path) -> Done<config::Hsm> {
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
    })
}

fn init(path: &std::path::Path, officer1: &str, officer2: &str, as_json: bool) -> Done {
    let settings = settings(path)?;
    let officers = Officers::new(officer1, officer2).map_err(stop)?;
    let entropy = Entropy::os();
    let custodians = ["custodian-1", "custodian-2", "custodian-3"];
    let (roots, transcript) = hsm::ceremony::run(&entropy, &officers, &custodians, now())
        .map_err(Stop::because("key ceremony"))?;
    let config = open_config(&settings, "onecard hsm init")?;
    SoftHsm::create(config, KdfCost::PRODUCTION, roots, &transcript).map_err(stop)?;
    if as_json {
        return json(&transcript);
    }
    say!("Key store created in {}", settings.store.display());
    for root in &transcript.roots {
        let components: Vec<String> = root
            .components
            .iter()
            .map(|c| format!("{}:{}", c.custodian, c.kcv))
            .collect();
        say!(
            "root {}  components {}  KCV {}",
            root.suite.name(),
            components.join(" "),
            root.kcv.as_deref().unwrap_or("-")
        );
    }
    say!("Next: onecard hsm serve --config {}", path.display());
    Ok(())
}

fn serve(path: &std::path::Path) -> Done {
    let settings = settings(path)?;
    let listener =
        hsm::server::bind(settings.address).map_err(|error| Stop::new(Code::Failure, error))?;
    let hsm = SoftHsm::open(open_config(&settings, "onecard hsm serve")?).map_err(stop)?;
    let flag = interrupted()?;
    eprintln!(
        "HSM 密钥机 serving on {}; stop with Ctrl-C",
        settings.address
    );
    hsm::server::serve(listener, Arc::new(hsm), flag).map_err(Stop::because("serving"))
}

/// A client of the running service.
pub fn connect(settings: &config::Hsm) -> Done<TcpHsm> {
    TcpHsm::connect(&settings.address.to_string()).map_err(stop)
}

fn status(path: &std::path::Path, as_json: bool) -> Done {
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

fn keys(path: &std::path::Path, as_json: bool) -> Done {
    let keys = connect(&settings(path)?)?.keys().map_err(stop)?;
    if as_json {
        return json(&keys);
    }
    let mut table = tables::new(&[
        "key 密钥",
        "index 索引",
        "version 版本",
        "suite 算法",
        "KCV",
        "kind",
    ]);
    for key in keys {
        table.add_row([
            key.key_type.name().to_owned(),
            format!("{:02X}", key.index),
            key.version.to_string(),
            key.suite.name().to_owned(),
            key.kcv,
            format!("{:?}", key.kcv_kind),
        ]);
    }
    say!("{table}");
    Ok(())
}

fn audit(path: &std::path::Path, as_json: bool) -> Done {
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
