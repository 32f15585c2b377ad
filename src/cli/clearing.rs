//! `onecard clearing`: the clearing house.

mod publish;

use super::{hsm as hsm_cli, interrupted, json, secret, wait_for};
use crate::out::say;
use crate::{
    config,
    exit::{Code, Done, Stop},
    tables,
};
use card_spec::time::CardDate;
use clap::Subcommand;
use clearing::{Config, HospitalKey, Role, StartError, SystemClock, Token, TopUpLimits};
use clearing_api::{Client, ClientError, Tls, national::Credentials};
use std::{
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

/// Clearing house 清算
#[derive(Subcommand)]
pub enum Clearing {
    /// Draw the ledger's key, access tokens and hospital keys; refuses to replace any
    Init {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
    },
    /// Serve devices, hospitals and staff
    Serve {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
    },
    /// Recompute the ledger from the immutable rows, independently of the posting code 审计
    Audit {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
        /// Audit this database instead of the configured one
        #[arg(long, value_name = "FILE")]
        database: Option<PathBuf>,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// A settlement day's report, from the running service 清算日报
    Day {
        /// Day, YYYY-MM-DD
        day: CardDate,
        /// Close the day first 日终
        #[arg(long)]
        close: bool,
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// Propose limits and tariffs for every device 参数发布
    #[command(disable_version_flag = true)]
    Publish(publish::Publish),
    /// Propose a mode for every device 运营模式
    Mode(publish::Order),
    /// Propose to take a card off the hotlist 解除黑名单
    Unlist(publish::Unlist),
    /// Agree to another person's proposal, which is carried out 复核
    Approve(publish::Approve),
    /// What each device told last: parameters in effect and refused, its clock 设备参数
    Devices {
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// A party's statement of a day, as CSV 对账单
    Statement {
        /// Day, YYYY-MM-DD
        day: CardDate,
        /// Party as in the day's report, e.g. operator:FZBUS
        party: String,
        /// Configuration file
        #[arg(long, default_value = "onecard.toml")]
        config: PathBuf,
    },
}

/// Runs one.
pub fn run(command: &Clearing) -> Done {
    match command {
        Clearing::Init { config } => init(config),
        Clearing::Serve { config } => serve(config),
        Clearing::Audit {
            config,
            database,
            json,
        } => audit(config, database.as_deref(), *json),
        Clearing::Day {
            day,
            close,
            config,
            json,
        } => report(config, *day, *close, *json),
        Clearing::Devices { config, json } => publish::devices(config, *json),
        Clearing::Publish(args) => publish::publish(args),
        Clearing::Mode(args) => publish::mode_order(args),
        Clearing::Unlist(args) => publish::unlist(args),
        Clearing::Approve(args) => publish::approve(args),
        Clearing::Statement { day, party, config } => {
            let text = client(config, 1)?.statement(*day, party).map_err(stop)?;
            crate::out::write(format_args!("{text}"));
            Ok(())
        }
    }
}

fn stop(error: ClientError) -> Stop {
    let code = match &error {
        ClientError::Refused(problem) if matches!(problem.status, 401 | 403) => Code::Auth,
        ClientError::Refused(problem) if problem.status == 404 => Code::NotFound,
        _ => Code::Failure,
    };
    Stop::new(code, error)
}

fn settings(path: &Path) -> Done<config::Clearing> {
    let config = config::load(path)?;
    config::section(config.clearing.as_ref(), "clearing", path).cloned()
}

fn word() -> Done<String> {
    let mut bytes = [0; 24];
    getrandom::fill(&mut bytes).map_err(Stop::because("drawing a secret"))?;
    Ok(hex::encode(bytes))
}

fn init(path: &Path) -> Done {
    let config = config::load(path)?;
    let clearing = config::section(config.clearing.as_ref(), "clearing", path)?;
    let hsm = config::section(config.hsm.as_ref(), "hsm", path)?;
    let mut key = [0; 32];
    getrandom::fill(&mut key).map_err(Stop::because("drawing the ledger's key"))?;
    let public = ed25519_dalek::SigningKey::from_bytes(&key).verifying_key();
    let mut files = secret::NewFiles::default();
    files.write(
        &clearing.ledger_key_file,
        &format!("{}\n", hex::encode(key)),
    )?;
    files.write(
        &hsm.ledger_public_key_file,
        &format!("{}\n", hex::encode(public.to_bytes())),
    )?;
    let mut tokens = String::new();
    for role in ["issuance", "staff", "staff", "auditor"] {
        tokens.push_str(&format!("{role} {}\n", word()?));
    }
    files.write(&clearing.tokens_file, &tokens)?;
    let rules =
        clearing::Rules::load(&clearing.data).map_err(|error| Stop::new(Code::Usage, error))?;
    let mut hospitals = String::new();
    for institution in rules.institutions.iter() {
        hospitals.push_str(&format!(
            "{} {} {}\n",
            institution.fixmedins_code,
            word()?,
            word()?
        ));
    }
    files.write(&clearing.hospitals_file, &hospitals)?;
    files.keep();
    say!(
        "ledger key, tokens and hospital keys written beside {}",
        clearing.ledger_key_file.display()
    );
    say!(
        "Next: onecard hsm init --officer1 NAME --officer2 NAME --config {}",
        path.display()
    );
    Ok(())
}

fn role(name: &str) -> Option<Role> {
    match name {
        "issuance" => Some(Role::Issuance),
        "staff" => Some(Role::Staff),
        "auditor" => Some(Role::Auditor),
        _ => None,
    }
}

fn tokens(path: &Path) -> Done<Vec<(String, String)>> {
    secret::pairs(path, "access tokens")?
        .into_iter()
        .map(|words| match words.as_slice() {
            [role, token] => Ok((role.clone(), token.clone())),
            _ => Err(wrong_line(path, "role token")),
        })
        .collect()
}

fn wrong_line(path: &Path, form: &str) -> Stop {
    Stop::new(
        Code::Usage,
        format!("{}: every line must be `{form}`", path.display()),
    )
}

fn serve(path: &Path) -> Done {
    let config = config::load(path)?;
    let clearing = config::section(config.clearing.as_ref(), "clearing", path)?;
    let hsm = hsm_cli::connect(
        config::section(config.hsm.as_ref(), "hsm", path)?,
        hsm_client::Role::Clearing.name(),
    )?;
    let mut roles = Vec::new();
    for (name, token) in tokens(&clearing.tokens_file)? {
        let role = role(&name)
            .ok_or_else(|| wrong_line(&clearing.tokens_file, "issuance|staff|auditor token"))?;
        roles.push(Token::new(role, &token));
    }
    let mut hospitals = Vec::new();
    for words in secret::pairs(&clearing.hospitals_file, "hospital keys")? {
        let [institution, access_key, secret_key] = words.as_slice() else {
            return Err(wrong_line(
                &clearing.hospitals_file,
                "institution access-key secret-key",
            ));
        };
        hospitals.push(HospitalKey {
            institution: institution.clone(),
            credentials: Credentials {
                access_key: access_key.clone(),
                secret_key: secret_key.clone(),
            },
        });
    }
    let service = Config {
        address: clearing.address,
        tls: clearing.tls.clone(),
        database: Some(clearing.database.clone()),
        data: clearing.data.clone(),
        ledger_key: *secret::bytes32(&clearing.ledger_key_file, "the ledger's key")?,
        limits: TopUpLimits::default(),
        tokens: roles,
        hospitals,
    };
    let flag = interrupted()?;
    let running = clearing::start(service, Arc::new(hsm), Arc::new(SystemClock))
        .map_err(|error: StartError| Stop::new(Code::Failure, error))?;
    eprintln!(
        "clearing house 清算中心 on {}; stop with Ctrl-C",
        running.url()
    );
    wait_for(&flag);
    running.stop();
    Ok(())
}

/// With the token of the n-th person of the staff, from 1.
fn client(path: &Path, person: usize) -> Done<Client> {
    let config = config::load(path)?;
    let settings = config::section(config.clearing.as_ref(), "clearing", path)?;
    let token = tokens(&settings.tokens_file)?
        .into_iter()
        .filter(|(role, _)| role == "staff")
        .nth(person.saturating_sub(1))
        .ok_or_else(|| {
            let text = format!("the tokens file has no staff token number {person}");
            Stop::new(Code::Auth, text)
        })?;
    let mut address = settings.address;
    if address.ip().is_unspecified() {
        address.set_ip(Ipv4Addr::LOCALHOST.into());
    }
    let client = match &settings.tls {
        None => Client::open(&format!("http://{address}"), None),
        Some(tls) => {
            let hsm = config::section(config.hsm.as_ref(), "hsm", path)?;
            let own = hsm.certificates.join(hsm_client::Role::Clearing.name());
            let own = Tls {
                ca: tls.ca.clone(),
                certificate: own.with_extension("pem"),
                key: own.with_extension("key"),
            };
            Client::open(&format!("https://{address}"), Some(&own))
        }
    };
    let client = client.map_err(|error| Stop::new(Code::Usage, error))?;
    Ok(client.with_token(&token.1))
}

fn report(path: &Path, day: CardDate, close: bool, as_json: bool) -> Done {
    let client = client(path, 1)?;
    let report = if close {
        client.close_day(day)
    } else {
        client.day(day)
    }
    .map_err(stop)?;
    if as_json {
        return json(&report);
    }
    let state = if report.closed {
        "closed 已清算"
    } else {
        "open 未清算"
    };
    say!(
        "settlement day 清算日 {} ({state}), digest {}",
        report.day,
        report.digest
    );
    let mut table = tables::new(&["account 科目", "debit 借方", "credit 贷方", "balance 余额"]);
    for row in &report.trial_balance {
        table.add_row([
            row.account.clone(),
            row.debit.to_string(),
            row.credit.to_string(),
            row.balance.to_string(),
        ]);
    }
    say!("{table}\nsum 合计 {}", report.trial_sum);
    Ok(())
}

fn audit(path: &Path, database: Option<&Path>, as_json: bool) -> Done {
    let database = match database {
        Some(path) => path.to_path_buf(),
        None => settings(path)?.database,
    };
    if !database.exists() {
        return Err(Stop::new(
            Code::NotFound,
            format!(
                "no clearing database at {}: the service makes it when it first starts",
                database.display()
            ),
        ));
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(Stop::because("starting the auditor"))?;
    let report = runtime
        .block_on(clearing::audit::run(&database))
        .map_err(Stop::because("auditing"))?;
    if as_json {
        json(&report)?;
    } else {
        let mut table = tables::new(&["", "check 检查", "detail"]);
        for check in &report.checks {
            let mark = if check.ok { "ok" } else { "WRONG" };
            table.add_row([mark, check.name, &check.detail]);
        }
        say!("{table}");
    }
    if report.ok() {
        Ok(())
    } else {
        Err(Stop::new(
            Code::Failure,
            "the books do not agree with the rows: see the table",
        ))
    }
}
