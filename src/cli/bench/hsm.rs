//! `onecard bench hsm`: TACs verified a second, against the same work in a plain loop.

use super::super::json;
use crate::{
    exit::{Code, Done, Stop},
    out::say,
    tables,
};
use card_spec::SuiteId;
use hsm::{
    SoftHsm,
    bench::{Bench, DERIVATIONS, Workload},
    server::{Running, Settings, bind, limits::Limits},
};
use hsm_client::{Hsm, HsmError, RemoteHsm, Role, Subject};
use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Instant,
};
use zeroize::Zeroizing;

/// Where distributions put SoftHSM.
const SOFTHSM: [&str; 3] = [
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/softhsm/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
];
const LABEL: &str = "onecard bench";
/// Of a token that lives as long as one measurement.
const PIN: &str = "13579246";

/// What is measured: one thread, everything else idle.
#[derive(clap::Args)]
pub struct Args {
    /// TACs in one call
    #[arg(long, default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    items: u32,
    /// Calls of each kind; the fastest tenth counts, so that what else the machine does counts little
    #[arg(long, default_value_t = 300, value_parser = clap::value_parser!(u32).range(1..=100_000))]
    rounds: u32,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
    /// Measures the SoftHSM token that this command made for itself
    #[arg(long, hide = true, value_name = "DIR")]
    on_token: Option<PathBuf>,
}

#[derive(Serialize)]
struct Report {
    items: u32,
    rounds: u32,
    suites: Vec<Line>,
    /// Absent when SoftHSM is not installed.
    softhsm: Option<OnToken>,
}

/// TACs a second of one suite: card key derived, key set up, MAC compared.
#[derive(Serialize)]
struct Line {
    suite: &'static str,
    plain_per_second: u64,
    in_process_per_second: u64,
    in_process_percent: u64,
    server_per_second: u64,
    server_percent: u64,
}

/// With the masters on a token.
#[derive(Serialize, Deserialize)]
struct OnToken {
    /// AES TACs of regions whose keys were derived before.
    aes_per_second: u64,
    /// The same in a plain loop, in the same run.
    plain_per_second: u64,
    aes_percent: u64,
    /// Region keys derived from a master on the token.
    region_keys_per_second: u64,
}

fn stop(error: HsmError) -> Stop {
    Stop::new(Code::Failure, error)
}

/// Measures.
pub fn run(args: &Args) -> Done {
    if let Some(directory) = &args.on_token {
        return json(&on_token(args, directory)?);
    }
    let directory = tempfile::tempdir().map_err(Stop::because("making a key store"))?;
    let bench = Bench::new(directory.path(), None).map_err(stop)?;
    let bar = ProgressBar::new(4);
    if let Ok(style) = ProgressStyle::with_template("{spinner} {pos}/{len} {msg}") {
        bar.set_style(style);
    }
    let hsm = bench.hsm();
    let server = Server::start(&hsm)?;
    let mut suites = Vec::new();
    for suite in SuiteId::ALL {
        bar.set_message(format!("TACs of suite {}", suite.name()));
        let work = bench.workload(suite, args.items).map_err(stop)?;
        suites.push(measure(args, &work, &*hsm, &server.client)?);
        bar.inc(1);
    }
    server.end();
    bar.set_message("masters on a SoftHSM token");
    let softhsm = measure_token(args)?;
    bar.finish_and_clear();
    let report = Report {
        items: args.items,
        rounds: args.rounds,
        suites,
        softhsm,
    };
    if args.json {
        return json(&report);
    }
    print(&report);
    Ok(())
}

fn print(report: &Report) {
    let mut table = tables::new(&[
        "suite",
        "plain loop 1/s",
        "in process 1/s",
        "%",
        "server 1/s",
        "%",
    ]);
    for line in &report.suites {
        table.add_row([
            line.suite.to_owned(),
            line.plain_per_second.to_string(),
            line.in_process_per_second.to_string(),
            line.in_process_percent.to_string(),
            line.server_per_second.to_string(),
            line.server_percent.to_string(),
        ]);
    }
    say!(
        "TACs verified 验证 TAC, one thread, {} a call, fastest tenth of {} calls\n{table}",
        report.items,
        report.rounds
    );
    match &report.softhsm {
        Some(token) => say!(
            "Masters on a SoftHSM token: {} AES TACs/s ({} % of the plain loop), {} region keys derived/s",
            token.aes_per_second,
            token.aes_percent,
            token.region_keys_per_second
        ),
        None => say!("SoftHSM is not installed (deploy/setup.sh): no token was measured"),
    }
}

/// Plain loop, HSM in process and HSM behind its server take turns, so that whatever else the
/// machine does concerns all three.
fn measure(args: &Args, work: &Workload, hsm: &dyn Hsm, client: &dyn Hsm) -> Done<Line> {
    let mut times = [Vec::new(), Vec::new(), Vec::new()];
    for _ in 0..args.rounds {
        let kinds: [&dyn Fn() -> hsm_client::Result<()>; 3] =
            [&|| work.plain(), &|| work.ask(hsm), &|| work.ask(client)];
        for (times, kind) in times.iter_mut().zip(kinds) {
            times.push(timed(kind)?);
        }
    }
    let [plain, process, server] = times.map(|times| rate(args.items, times));
    Ok(Line {
        suite: work.suite.name(),
        plain_per_second: plain,
        in_process_per_second: process,
        in_process_percent: percent(process, plain),
        server_per_second: server,
        server_percent: percent(server, plain),
    })
}

fn timed(f: impl FnOnce() -> hsm_client::Result<()>) -> Done<u64> {
    let began = Instant::now();
    f().map_err(stop)?;
    Ok(u64::try_from(began.elapsed().as_nanos()).unwrap_or(u64::MAX))
}

/// A second's worth at the tenth percentile.
fn rate(items: u32, mut nanoseconds: Vec<u64>) -> u64 {
    nanoseconds.sort_unstable();
    let fast = nanoseconds.get(nanoseconds.len() / 10).copied();
    u64::from(items) * 1_000_000_000 / fast.unwrap_or(1).max(1)
}

fn percent(rate: u64, of: u64) -> u64 {
    rate * 100 / of.max(1)
}

/// The HSM's own server on a free loopback port, and its client.
struct Server {
    client: RemoteHsm,
    running: Running,
}

impl Server {
    fn start(hsm: &SoftHsm) -> Done<Self> {
        let failed = "serving on a loopback port";
        let settings = Settings {
            address: ([127, 0, 0, 1], 0).into(),
            health: None,
            limits: Limits::default(),
        };
        // The officers of the ceremony that made the HSM are there.
        let hosts = vec!["127.0.0.1".to_owned()];
        let server = hsm.credential(Subject::Server { hosts }, 1).map_err(stop)?;
        let client = Subject::Client {
            name: "bench".to_owned(),
            role: Role::Clearing,
        };
        let client = hsm.credential(client, 1).map_err(stop)?;
        let running = bind(settings)
            .and_then(|offline| offline.serve(hsm.clone(), &server))
            .map_err(Stop::because(failed))?;
        let address = running.address().to_string();
        Ok(Self {
            client: RemoteHsm::connect(&[address], &client).map_err(stop)?,
            running,
        })
    }

    fn end(self) {
        drop(self.client);
        self.running.stop();
    }
}

/// Makes a SoftHSM token and measures it in a process of its own: the module reads where its tokens
/// are from the environment.
fn measure_token(args: &Args) -> Done<Option<OnToken>> {
    if softhsm().is_none() {
        return Ok(None);
    }
    let failed = "measuring a SoftHSM token";
    let directory = tempfile::tempdir().map_err(Stop::because(failed))?;
    let conf = directory.path().join("softhsm2.conf");
    let text = format!(
        "directories.tokendir = {}\nobjectstore.backend = file\nlog.level = ERROR\n",
        directory.path().display()
    );
    std::fs::write(&conf, text).map_err(Stop::because(failed))?;
    let init = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", LABEL])
        .args(["--so-pin", PIN, "--pin", PIN])
        .env("SOFTHSM2_CONF", &conf)
        .stdin(Stdio::null())
        .output();
    if !init.is_ok_and(|output| output.status.success()) {
        return Ok(None);
    }
    let program = std::env::current_exe().map_err(Stop::because(failed))?;
    let output = Command::new(program)
        .args(["bench", "hsm", "--rounds", &args.rounds.to_string()])
        .args(["--items", &args.items.to_string()])
        .arg("--on-token")
        .arg(directory.path().join("hsm"))
        .env("SOFTHSM2_CONF", &conf)
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .map_err(Stop::because(failed))?;
    serde_json::from_slice(&output.stdout)
        .map(Some)
        .map_err(Stop::because(failed))
}

fn softhsm() -> Option<&'static Path> {
    SOFTHSM.into_iter().map(Path::new).find(|p| p.exists())
}

/// In the process that [`measure_token`] starts.
fn on_token(args: &Args, directory: &Path) -> Done<OnToken> {
    let module = softhsm().ok_or_else(|| Stop::new(Code::NotFound, "SoftHSM is not installed"))?;
    let token = hsm::Token {
        module: module.to_owned(),
        label: LABEL.to_owned(),
        pin: Zeroizing::new(PIN.to_owned()),
    };
    let mut bench = Bench::new(directory, Some(token)).map_err(stop)?;
    let hsm = bench.hsm();
    let work = bench.workload(SuiteId::Aes, args.items).map_err(stop)?;
    let (mut plain, mut asked, mut derived) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..args.rounds {
        plain.push(timed(|| work.plain())?);
        asked.push(timed(|| work.ask(&*hsm))?);
    }
    for _ in 0..args.rounds.div_ceil(20) {
        derived.push(timed(|| bench.derive())?);
    }
    let (plain, asked) = (rate(args.items, plain), rate(args.items, asked));
    Ok(OnToken {
        aes_per_second: asked,
        plain_per_second: plain,
        aes_percent: percent(asked, plain),
        region_keys_per_second: rate(DERIVATIONS, derived),
    })
}
