//! `onecard hsm`: the key service.

mod audit;
mod cards;
mod ceremony;
mod certificate;
mod components;
mod console;
mod exchange;
mod keeping;
mod key;
mod people;
mod restore;
mod store_key;

use super::{
    interrupted, json,
    secret::{self, NewFiles},
    wait_for,
};
use crate::out::say;
use crate::{
    config,
    exit::{Code, Done, Stop},
    tables,
};
use card_spec::time::{CardDate, CardTime};
use clap::Subcommand;
use hsm::{
    Entropy, KdfCost, LoadLimits, Officers, Roots, SoftHsm,
    ceremony::{Transcript, from_components},
    server::{self, limits::Limits},
};
use hsm_client::{Credential, Hsm as _, HsmError, RemoteHsm, Role};
use std::{
    path::{Path, PathBuf},
    sync::Arc,
    time::{Duration, Instant},
};

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
    /// Form keys from the parts that custodians carry, step by step, in a terminal 密钥仪式
    ///
    /// Two officers and the custodians take part. The roots make a new HSM; a transport key is
    /// formed once to prove its parts, and again by `export` and `import`. Try `--dry-run` first.
    Ceremony(keeping::CeremonyArgs),
    /// Write everything to one encrypted file that M of N custodians can open 备份
    ///
    /// The service must be stopped for it. Each custodian is shown a share, to be written down.
    Backup(keeping::BackupArgs),
    /// Make the HSM again from a backup, with M custodians and the passphrase 恢复
    ///
    /// Shows what the backup would turn back, beside the lost machine's audit log where that is at
    /// hand; both officers confirm. Loads stay closed until `reopen`.
    Restore(restore::RestoreArgs),
    /// Open loads, overdraft limits and PIN checks of a restored HSM again 恢复圈存
    ///
    /// Only after clearing has closed every hold that was open at the loss: older holds stay refused.
    /// The service must be stopped for it.
    Reopen(restore::ReopenArgs),
    /// Wrap keys for another HSM 导出
    ///
    /// The service must be stopped for it. Two officers answer for it.
    Export(exchange::ExportArgs),
    /// Take keys in that another HSM wrapped 导入
    ///
    /// The service must be stopped for it. Only what `--expect` names is taken, all of it or nothing.
    Import(exchange::ImportArgs),
    /// Serve clearing, issuance and terminals over TLS
    Serve {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
    },
    /// Approve the authorised state, as one of two officers 双人授权
    Approve(people::Approve),
    /// Issue, revoke and list certificates of clients and servers 证书
    #[command(subcommand)]
    Certificate(certificate::Certificate),
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
    #[command(subcommand)]
    Key(key::Key),
    /// Verify and search the audit log of a key store 审计日志
    #[command(subcommand)]
    Audit(audit::Audit),
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
        Hsm::Ceremony(args) => keeping::ceremony(args),
        Hsm::Backup(args) => keeping::backup(args),
        Hsm::Restore(args) => restore::restore(args),
        Hsm::Reopen(args) => restore::reopen(args),
        Hsm::Export(args) => exchange::export(args),
        Hsm::Import(args) => exchange::import(args),
        Hsm::Serve { config } => serve(config),
        Hsm::Approve(args) => people::approve(args),
        Hsm::Certificate(command) => certificate::run(command),
        Hsm::Status {
            config,
            json: as_json,
        } => status(config, *as_json),
        Hsm::Keys {
            config,
            json: as_json,
        } => keys(config, *as_json),
        Hsm::Key(command) => key::run(command),
        Hsm::Audit(command) => audit::run(command),
    }
}

/// The HSM's error with its exit code.
pub fn stop(error: HsmError) -> Stop {
    let code = match &error {
        HsmError::Store { .. }
        | HsmError::NotAuthentic { .. }
        | HsmError::Backend { .. }
        | HsmError::Forbidden { .. }
        | HsmError::Untrusted { .. }
        | HsmError::Revoked { .. } => Code::Auth,
        HsmError::UnknownKey { .. } | HsmError::Credential { .. } => Code::NotFound,
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
    let config = founding(&settings, "onecard hsm init", officers)?;
    let names: Vec<&str> = custodians.iter().map(String::as_str).collect();
    let mut files = NewFiles::default();
    let parts = components::read(&names, components, &mut files)?;
    let (roots, transcript) = from_components(officers, &parts, now()).map_err(keeping::failed)?;
    found(&settings, config, roots, &transcript)?;
    files.keep();
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
    say!(
        "Certificates are in {}: each machine gets ca.pem and its own pair, each officer the own one.",
        settings.certificates.display()
    );
    say!("Hand each file in the components directory to its custodian and keep none here.");
    say!("Next: onecard hsm serve --config {}", path.display());
    Ok(())
}

/// What a new HSM needs beside its keys: what is missing is told before the first part is typed.
fn founding(settings: &config::Hsm, actor: &str, officers: &Officers) -> Done<hsm::Config> {
    let [first, second] = officers.names();
    people::place_for_certificates(settings, [first, second])?;
    open_config(settings, actor)
}

/// Makes the HSM that a ceremony was held for.
fn found(
    settings: &config::Hsm,
    config: hsm::Config,
    roots: Roots,
    transcript: &Transcript,
) -> Done {
    let [first, second] = &transcript.officers;
    let hsm = SoftHsm::create(config, KdfCost::PRODUCTION, roots, transcript)
        .map_err(|error| Stop::new(Code::Failure, error))?;
    for suite in hsm.left_out() {
        eprintln!(
            "The token cannot hold {} keys: this HSM has none, and refuses what needs them.",
            suite.name()
        );
    }
    let mut files = NewFiles::default();
    people::first_certificates(&hsm, settings, [first, second], &mut files)?;
    files.keep();
    Ok(())
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
    let credential = Credential::load(&settings.certificates, "server").map_err(stop)?;
    let places = server::Settings {
        address: settings.address,
        health: settings.health,
        limits: Limits::default(),
    };
    let offline = server::bind(places).map_err(|error| Stop::new(Code::Usage, error))?;
    let hsm = SoftHsm::open(open_config(&settings, "onecard hsm serve")?).map_err(stop)?;
    let flag = interrupted()?;
    let running = offline
        .serve(hsm, &credential)
        .map_err(Stop::because("serving"))?;
    eprintln!(
        "HSM 密钥机 serving on {}; stop with Ctrl-C",
        running.address()
    );
    wait_for(&flag);
    running.stop();
    Ok(())
}

/// A client of the running service, by the certificate of that name. A service that was started a
/// moment ago is waited for.
pub fn connect(settings: &config::Hsm, name: &str) -> Done<RemoteHsm> {
    let credential = Credential::load(&settings.certificates, name).map_err(stop)?;
    let mut servers = settings.servers.clone();
    if servers.is_empty() {
        servers.push(settings.address.to_string());
    }
    let until = Instant::now() + Duration::from_secs(5);
    loop {
        match RemoteHsm::connect(&servers, &credential) {
            Err(HsmError::Unreachable { .. }) if Instant::now() < until => {
                std::thread::sleep(Duration::from_millis(100));
            }
            result => return result.map_err(stop),
        }
    }
}

/// A client that looks and changes nothing.
fn auditor(path: &Path) -> Done<RemoteHsm> {
    connect(&settings(path)?, Role::Auditor.name())
}

fn status(path: &Path, as_json: bool) -> Done {
    let status = auditor(path)?.status().map_err(stop)?;
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
    let hsm = auditor(path)?;
    let (masters, own) = (hsm.keys().map_err(stop)?, hsm.own_keys().map_err(stop)?);
    if as_json {
        return json(&serde_json::json!({ "masters": masters, "own": own }));
    }
    say!("{}", tables::masters(&masters));
    say!("{}", tables::own_keys(&own));
    Ok(())
}
