//! `onecard hsm audit`: the log of a key store, verified and searched where it lies; or asked for at a
//! running server and verified here.

use super::{connect, settings, stop};
use crate::{
    cli::json,
    exit::{Code, Done, Stop},
    out::say,
    tables,
};
use card_spec::time::{CardDate, CardTime};
use clap::{Args, Subcommand};
use hsm::audit::{Head, Line, Query, ReadError, public_keys, query, query_server, verify_with};
use hsm_client::Role;
use std::path::{Path, PathBuf};

/// `onecard hsm audit`
#[derive(Subcommand)]
pub enum Audit {
    /// Verify every line and every signed checkpoint; names the first line that is wrong
    Verify(Verify),
    /// Lines by officer, key, operation and time
    Query(Ask),
}

/// Which log.
#[derive(Args)]
struct Log {
    /// Configuration file
    #[arg(long, default_value = "onecard.toml")]
    config: PathBuf,
    /// Log file; the configured key store's by default
    #[arg(long, value_name = "FILE")]
    log: Option<PathBuf>,
}

impl Log {
    fn path(&self) -> Done<PathBuf> {
        match &self.log {
            Some(path) => Ok(path.clone()),
            None => Ok(settings(&self.config)?.store.join("audit.jsonl")),
        }
    }
}

/// `onecard hsm audit verify`
#[derive(Args)]
pub struct Verify {
    #[command(flatten)]
    log: Log,
    /// File with the audit key (hex), kept elsewhere; the one beside the log by default
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
    /// Head of an earlier audit, LINES:HASH: the log must still hold it
    #[arg(long, value_name = "LINES:HASH")]
    head: Option<Head>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

/// `onecard hsm audit query`
#[derive(Args)]
pub struct Ask {
    #[command(flatten)]
    log: Log,
    /// Ask a running server with the auditor's certificate: this one, or the configuration's first.
    /// Every line is verified here, by the audit key
    #[arg(long, value_name = "HOST:PORT", num_args = 0..=1, conflicts_with = "log")]
    server: Option<Option<String>>,
    /// File with the audit key (hex), for `--server`; audit.pub beside the certificates by default
    #[arg(long, value_name = "FILE", requires = "server")]
    audit_key: Option<PathBuf>,
    /// Part of an officer's or client's name
    #[arg(long, value_name = "NAME")]
    officer: Option<String>,
    /// Part of a key's name, e.g. "DLK" or "hotlist"
    #[arg(long)]
    key: Option<String>,
    /// Operation, e.g. sign
    #[arg(long)]
    operation: Option<String>,
    /// From this day or time on: 2026-03-16 or 2026-03-16T08:00:00
    #[arg(long, value_name = "TIME", value_parser = start)]
    from: Option<CardTime>,
    /// To the end of this day or to this time
    #[arg(long, value_name = "TIME", value_parser = end)]
    to: Option<CardTime>,
    /// Machine-readable output: one JSON object a line
    #[arg(long)]
    json: bool,
}

fn moment(text: &str, hour: u8, rest: u8) -> Result<CardTime, String> {
    let day: Result<CardDate, _> = text.parse();
    day.and_then(|day| day.at(hour, rest, rest))
        .or_else(|_| text.parse())
        .map_err(|_| "write 2026-03-16 or 2026-03-16T08:00:00".to_owned())
}

fn start(text: &str) -> Result<CardTime, String> {
    moment(text, 0, 0)
}

fn end(text: &str) -> Result<CardTime, String> {
    moment(text, 23, 59)
}

pub(super) fn run(command: &Audit) -> Done {
    match command {
        Audit::Verify(args) => verify(args),
        Audit::Query(args) => search(args),
    }
}

fn verify(args: &Verify) -> Done {
    let log = args.log.path()?;
    let keys = args.key.as_deref().map(audit_keys).transpose()?;
    let report = verify_with(&log, keys, args.head.as_ref()).map_err(Stop::because("audit log"))?;
    if args.json {
        return json(&serde_json::json!({
            "ok": true, "lines": report.lines, "head": report.head,
            "checkpoints": report.checkpoints, "unsigned": report.unsigned,
        }));
    }
    say!(
        "{}: {} lines, chain intact, {} signed checkpoints, {} lines after the last",
        log.display(),
        report.lines,
        report.checkpoints,
        report.unsigned
    );
    say!(
        "Keep this for the next audit: --head {}:{}",
        report.lines,
        report.head
    );
    Ok(())
}

fn audit_keys(path: &Path) -> Done<Vec<[u8; 32]>> {
    let text = std::fs::read_to_string(path).map_err(|error| {
        Stop::new(
            Code::NotFound,
            format!("cannot read {}: {error}", path.display()),
        )
    })?;
    let wrong = "the audit key's file holds 64 hex digits a line";
    public_keys(&text).ok_or_else(|| Stop::new(Code::Auth, wrong))
}

/// The lines of a server that runs; its head, for the next audit, goes to standard error.
fn ask(args: &Ask, server: Option<&str>, wanted: &Query, mut each: impl FnMut(&Line)) -> Done<u64> {
    let mut settings = settings(&args.log.config)?;
    if let Some(server) = server {
        settings.servers = vec![server.to_owned()];
    }
    let beside = settings.certificates.join("audit.pub");
    let keys = audit_keys(args.audit_key.as_deref().unwrap_or(&beside))?;
    let auditor = connect(&settings, Role::Auditor.name())?;
    let mut found = 0;
    let head = query_server(&auditor, &keys, wanted, |line| {
        found += 1;
        each(line);
    });
    let (lines, hash) = head.map_err(|error| match error {
        ReadError::Hsm(error) => stop(error),
        wrong => Stop::new(Code::Failure, wrong),
    })?;
    eprintln!("Verified; keep this for the next audit: --head {lines}:{hash}");
    Ok(found)
}

fn search(args: &Ask) -> Done {
    let wanted = Query {
        officer: args.officer.clone(),
        key: args.key.clone(),
        operation: args.operation.clone(),
        from: args.from,
        to: args.to,
    };
    let mut table = tables::new(&[
        "line 行",
        "time 时间",
        "who 谁",
        "role 角色",
        "operation 操作",
        "outcome 结果",
        "keys 密钥",
        "detail 详情",
    ]);
    let each = |line: &Line| {
        if args.json {
            if let Ok(text) = serde_json::to_string(line) {
                say!("{text}");
            }
            return;
        }
        table.add_row([
            line.n.to_string(),
            line.time.to_string(),
            line.actor.clone(),
            line.role.clone(),
            line.act.clone(),
            line.outcome.to_string(),
            line.keys.join(", "),
            line.detail.to_string(),
        ]);
    };
    let found = match &args.server {
        Some(server) => ask(args, server.as_deref(), &wanted, each)?,
        None => query(&args.log.path()?, &wanted, each).map_err(Stop::because("audit log"))?,
    };
    if !args.json {
        say!("{table}");
        say!("{found} lines");
    }
    if found == 0 {
        return Err(Stop::new(Code::NotFound, "no line matches"));
    }
    Ok(())
}
