//! `onecard issuance`: persons, orders, cards.

use super::{hsm::now, interrupted, json, secret, wait_for};
use crate::out::say;
use crate::{
    config,
    exit::{Code, Done, Stop},
    tables,
};
use clap::Subcommand;
use issuance::{
    Office,
    intake::{self, Rules},
    service,
};
use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Issuance 发卡
#[derive(Subcommand)]
pub enum Issuance {
    /// Draw access tokens, one for each role; refuses to replace any
    Init {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
    },
    /// Serve staff and their tools on a loopback address
    Serve {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
    },
    /// Check a file of persons: what would be taken in and what is wrong, by row and field 采集检查
    Intake {
        /// CSV file; data/samples/README.md describes the columns
        file: PathBuf,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
}

/// Runs one.
pub fn run(command: &Issuance) -> Done {
    match command {
        Issuance::Init { config } => init(config),
        Issuance::Serve { config } => serve(config),
        Issuance::Intake { file, json } => check(file, *json),
    }
}

const ROLES: [(&str, service::Role); 5] = [
    ("maker", service::Role::Maker),
    ("reviewer", service::Role::Reviewer),
    ("loss-clerk", service::Role::LossClerk),
    ("auditor", service::Role::Auditor),
    ("administrator", service::Role::Administrator),
];

fn settings(path: &Path) -> Done<config::Issuance> {
    let config = config::load(path)?;
    config::section(config.issuance.as_ref(), "issuance", path).cloned()
}

/// Personal data rest sealed by the HSM.
fn key_service(path: &Path) -> Done<hsm_client::RemoteHsm> {
    let config = config::load(path)?;
    super::hsm::connect(
        config::section(config.hsm.as_ref(), "hsm", path)?,
        hsm_client::Role::Issuance.name(),
    )
}

fn init(path: &Path) -> Done {
    let settings = settings(path)?;
    let mut text = String::new();
    for (role, _) in ROLES {
        let mut bytes = [0; 24];
        getrandom::fill(&mut bytes).map_err(Stop::because("drawing a token"))?;
        text.push_str(&format!("{role} staff-{role} {}\n", hex::encode(bytes)));
    }
    let mut files = secret::NewFiles::default();
    files.write(&settings.tokens_file, &text)?;
    files.keep();
    say!("tokens written to {}", settings.tokens_file.display());
    Ok(())
}

fn serve(path: &Path) -> Done {
    let settings = settings(path)?;
    let mut tokens = BTreeMap::new();
    for words in secret::pairs(&settings.tokens_file, "access tokens")? {
        let wrong = || {
            Stop::new(
                Code::Usage,
                format!(
                    "{}: every line must be `role staff token`",
                    settings.tokens_file.display()
                ),
            )
        };
        let [role, staff, token] = words.as_slice() else {
            return Err(wrong());
        };
        let (_, role) = ROLES
            .iter()
            .find(|(name, _)| name == role)
            .ok_or_else(wrong)?;
        let staff = staff.parse().map_err(|_| wrong())?;
        tokens.insert(token.clone(), (staff, *role));
    }
    let office = Office::open(&settings.database, Arc::new(key_service(path)?))
        .map_err(|error| Stop::new(Code::Failure, error))?;
    let flag = interrupted()?;
    let config = service::Config {
        listen: settings.address,
        tokens,
        clock: Arc::new(now),
    };
    let running = issuance::start(config, Arc::clone(office.store()))
        .map_err(|error| Stop::new(Code::Failure, error))?;
    eprintln!(
        "issuance 发卡 on http://{}; stop with Ctrl-C",
        running.address()
    );
    wait_for(&flag);
    running.stop();
    Ok(())
}

fn check(file: &Path, as_json: bool) -> Done {
    let bytes = std::fs::read(file).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!("cannot read {}: {error}", file.display()),
        )
    })?;
    let report = intake::read(&bytes, &Rules::fujian(now().date()))
        .map_err(|error| Stop::new(Code::Failure, format!("{}: {error}", file.display())))?;
    if as_json {
        json(&serde_json::json!({
            "rows": report.rows, "accepted": report.persons.len(), "refused": report.refused(),
            "errors": report.errors,
        }))?;
    } else {
        let mut table = tables::new(&["row 行", "field 字段", "what is wrong and what to do 原因"]);
        for error in &report.errors {
            table.add_row([
                error.line.to_string(),
                error.field.to_owned(),
                format!("{} {}", error.zh, error.en),
            ]);
        }
        say!("{table}");
        say!(
            "{} rows, {} persons, {} refused",
            report.rows,
            report.persons.len(),
            report.refused()
        );
    }
    if report.errors.is_empty() {
        Ok(())
    } else {
        Err(Stop::new(
            Code::Partial,
            "some rows were refused; the others can be taken in",
        ))
    }
}
