//! Commands, their exit codes and what bad input gets.

use std::{
    path::{Path, PathBuf},
    process::{Command, Output, Stdio},
    sync::{Mutex, MutexGuard, PoisonError},
};

/// Runs the executable from the project's directory.
pub(crate) fn onecard(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_onecard"))
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .output()
        .expect("the executable runs")
}

/// A machine has one pcscd: tests that use it take turns, however long each of them is.
pub(crate) fn pcscd() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    // A test that failed has no state to leave behind.
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

pub(crate) fn temporary() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary directory")
}

fn fails(arguments: &[&str], code: i32, says: &str) {
    let output = onecard(arguments);
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{arguments:?}: {errors}");
    assert!(errors.contains(says), "{arguments:?}: {errors}");
}

#[test]
fn bad_input_names_the_remedy_and_has_its_exit_code() {
    let directory = temporary();
    let path = |name: &str| {
        directory
            .path()
            .join(name)
            .to_str()
            .expect("UTF-8")
            .to_owned()
    };
    fails(
        &["hsm", "status", "--config", "/nonexistent.toml"],
        3,
        "onecard config example",
    );
    let broken = path("broken.toml");
    std::fs::write(&broken, "[hsm]\naddress = 7\n").expect("written");
    fails(&["hsm", "status", "--config", &broken], 2, "broken.toml");
    let empty = path("empty.toml");
    std::fs::write(&empty, "").expect("written");
    fails(&["clearing", "serve", "--config", &empty], 2, "[clearing]");
    fails(
        &["issuance", "intake", "/nonexistent.csv"],
        3,
        "/nonexistent.csv",
    );
    fails(&["demo", "--data", "/nonexistent"], 3, "--data");
    fails(
        &["demo", "--json", "/nonexistent/a.json"],
        2,
        "/nonexistent/a.json",
    );
    fails(&["bench", "card", "--reader", "No such reader"], 5, "card");
    fails(&["card", "attach"], 2, "--sample");
    fails(
        &["card", "attach", "--sample", "--suite", "rot13"],
        2,
        "aes, sm4 or tdes",
    );
    fails(&["terminal", "tram", "--profile", "x"], 2, "metro-entry");
    std::fs::write(path("full"), "x").expect("written");
    fails(
        &["demo", "--keep", &directory.path().display().to_string()],
        2,
        "not empty",
    );
}

#[test]
fn wrong_rows_are_reported_by_row_and_field() {
    let output = onecard(&["issuance", "intake", "data/samples/persons.csv", "--json"]);
    assert_eq!(output.status.code(), Some(7), "part of a batch failed");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["accepted"], 540);
    assert_eq!(report["refused"], 23);
    assert!(
        report["errors"]
            .as_array()
            .is_some_and(|all| all.iter().all(|e| e["line"].is_u64()))
    );
}

#[test]
fn a_feed_is_checked_and_priced() {
    let feed = "terminal/fare/tests/fixtures/metra.zip";
    assert!(onecard(&["fare", "check", feed]).status.success());
    let quote = ["fare", "quote", "--feed", feed, "--from", "AURORA", "--to"];
    let answer = onecard(&[&quote[..], &["CUS", "--json"]].concat());
    let answer: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    assert_eq!(answer["amount_minor"], 825);
    fails(&[&quote[..], &["CUSS"]].concat(), 3, "near it: CUS");
    fails(&[&quote[..], &["AURORA"]].concat(), 2, "both start and end");
    let table = onecard(&[
        "fare",
        "table",
        "--feed",
        "terminal/fare/tests/fixtures/translink",
        "--csv",
    ]);
    let table = String::from_utf8_lossy(&table.stdout).into_owned();
    let mut lines = table.lines();
    let header = "from_stop_id,to_stop_id,rider,media,product,amount_minor,currency";
    assert_eq!(lines.next(), Some(header));
    assert_eq!(
        lines.next(),
        Some("8039,8066,adult,cash,bus_flat_fare,320,CAD")
    );
    assert_eq!(lines.count(), 35);
    // An empty folder lacks all five required files; nothing of it is priced.
    let empty = temporary();
    let path = empty.path().to_str().expect("UTF-8");
    let checked = onecard(&["fare", "check", path, "--json"]);
    assert_eq!(checked.status.code(), Some(1));
    let checked: serde_json::Value = serde_json::from_slice(&checked.stdout).expect("JSON");
    assert_eq!(checked["errors"].as_array().map(Vec::len), Some(5));
    fails(&["fare", "table", "--feed", path], 1, "onecard fare check");
    fails(&["fare", "check", "/nonexistent.zip"], 3, "no feed at");
}

#[test]
fn every_command_explains_itself() {
    for command in [
        "demo", "card", "bench", "hsm", "clearing", "issuance", "fare", "terminal", "config",
    ] {
        let output = onecard(&[command, "--help"]);
        assert!(output.status.success(), "{command}");
        assert!(output.stdout.len() > 100, "{command}");
    }
}

/// Two officers authorise the running HSM, a certificate is issued, and the log tells of it.
fn officers_issue_a_certificate(run: &dyn Fn(&[&str]) -> Output, folder: &Path) {
    let out = folder.to_str().expect("UTF-8");
    let certificate = || {
        let issue = [
            "hsm",
            "certificate",
            "issue",
            "clearing-2",
            "--role",
            "clearing",
        ];
        run(&[&issue[..], &["--out", out, "--officer", "Lin"]].concat())
    };
    let approve = |officer: &str| {
        let approve = ["hsm", "approve", "--reason", "another clearing house"];
        run(&[&approve[..], &["--officer", officer]].concat())
    };
    let early = certificate();
    assert!(!early.status.success(), "nobody has approved");
    assert!(String::from_utf8_lossy(&early.stderr).contains("HSM 6"));
    assert!(approve("Lin").status.success());
    assert!(!approve("Lin").status.success(), "one person twice");
    assert_eq!(approve("Nobody").status.code(), Some(3));
    assert!(approve("Chen").status.success());
    assert!(certificate().status.success());
    assert!(folder.join("clearing-2.key").is_file());
    let end = run(&["hsm", "approve", "--end", "--officer", "Chen"]);
    assert!(end.status.success());
    let log = run(&[
        "hsm",
        "audit",
        "query",
        "--operation",
        "certify",
        "--officer",
        "Chen",
        "--json",
    ]);
    let text = String::from_utf8_lossy(&log.stdout).into_owned();
    let last: serde_json::Value =
        serde_json::from_str(text.lines().last().expect("a line")).expect("JSON");
    assert_eq!(last["detail"]["subject"], "clearing-2");
    assert_eq!(last["actor"], "Lin + Chen");
    let none = run(&["hsm", "audit", "query", "--key", "no such key"]);
    assert_eq!(none.status.code(), Some(3));
    // The same, asked of the server and verified here.
    let at_server = |more: &[&str]| {
        let asked = ["hsm", "audit", "query", "--server"];
        run(&[
            &asked[..],
            more,
            &["--operation", "certify", "--officer", "Chen", "--json"],
        ]
        .concat())
    };
    let lines = at_server(&[]);
    assert_eq!(String::from_utf8_lossy(&lines.stdout), text);
    assert!(String::from_utf8_lossy(&lines.stderr).contains("--head "));
    let other = folder.join("other.pub");
    std::fs::write(
        &other,
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
    )
    .unwrap();
    let unsigned = at_server(&["--audit-key", &other.display().to_string()]);
    assert_eq!(unsigned.status.code(), Some(1));
    assert!(unsigned.stdout.is_empty(), "nothing that is not proved");
}

fn free() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("address").to_string()
}

/// The example configuration below `root`, on free ports, with a passphrase.
pub(crate) fn configure(root: &Path) -> PathBuf {
    let example = String::from_utf8(onecard(&["config", "example"]).stdout).expect("UTF-8");
    let config = example
        .replace("127.0.0.1:7401", &free())
        .replace("127.0.0.1:7402", &free())
        .replace("127.0.0.1:7403", &free())
        .replace("127.0.0.1:7411", &free())
        .replace("\"var/", &format!("\"{}/", root.display()));
    let file = root.join("onecard.toml");
    std::fs::write(&file, config).expect("written");
    let secrets = root.join("secrets");
    std::fs::create_dir_all(&secrets).expect("made");
    std::fs::write(secrets.join("hsm.passphrase"), "a long test passphrase\n").expect("written");
    file
}

/// The services alone, as README's tour starts them: they find each other by one file.
#[test]
fn services_run_alone_and_find_each_other() {
    let directory = temporary();
    let root = directory.path();
    let file = configure(root);
    let config = ["--config", file.to_str().expect("UTF-8")];
    let run = |arguments: &[&str]| {
        let all: Vec<&str> = arguments.iter().chain(&config).copied().collect();
        onecard(&all)
    };
    assert!(run(&["clearing", "init"]).status.success());
    assert_eq!(
        run(&["clearing", "init"]).status.code(),
        Some(1),
        "never replaces a key"
    );
    assert!(run(&["issuance", "init"]).status.success());
    let folder = root.join("components");
    let folder = folder.to_str().expect("UTF-8");
    let same = run(&[
        "hsm",
        "init",
        "--officer1",
        "Lin",
        "--officer2",
        "lin",
        "--components",
        folder,
    ]);
    assert!(!same.status.success(), "two officers are two persons");
    let made = run(&[
        "hsm",
        "init",
        "--officer1",
        "Lin",
        "--officer2",
        "Chen",
        "--components",
        folder,
    ]);
    assert!(
        made.status.success(),
        "{}",
        String::from_utf8_lossy(&made.stderr)
    );

    let start = |service: &str| {
        Service(
            Command::new(env!("CARGO_BIN_EXE_onecard"))
                .args([service, "serve"])
                .args(config)
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .stderr(Stdio::null())
                .spawn()
                .expect("the service starts"),
        )
    };
    let _hsm = start("hsm");
    let keys = until(|| run(&["hsm", "keys", "--json"]));
    let keys: serde_json::Value = serde_json::from_slice(&keys.stdout).expect("JSON");
    assert!(
        keys["masters"]
            .as_array()
            .is_some_and(|keys| keys.len() > 50)
    );
    let _clearing = start("clearing");
    let _issuance = start("issuance");
    let day = until(|| run(&["clearing", "day", "2026-03-16", "--json"]));
    let day: serde_json::Value = serde_json::from_slice(&day.stdout).expect("JSON");
    assert_eq!(day["trial_sum"], 0);
    assert!(until(|| run(&["clearing", "audit"])).status.success());
    officers_issue_a_certificate(&run, &root.join("new"));
    assert!(run(&["hsm", "audit", "verify"]).status.success());

    // A wrong passphrase opens nothing and says so.
    std::fs::write(root.join("secrets/hsm.passphrase"), "another passphrase\n").expect("written");
    let other = root.join("other.toml");
    let text = std::fs::read_to_string(&file)
        .expect("read")
        .replace(config_address(&file, "hsm").as_str(), &free());
    std::fs::write(&other, text).expect("written");
    drop(_hsm);
    let wrong = onecard(&["hsm", "serve", "--config", other.to_str().expect("UTF-8")]);
    assert_eq!(
        wrong.status.code(),
        Some(4),
        "{}",
        String::from_utf8_lossy(&wrong.stderr)
    );
}

pub(crate) fn config_address(file: &Path, section: &str) -> String {
    let text = std::fs::read_to_string(file).expect("read");
    let value: toml::Value = toml::from_str(&text).expect("TOML");
    value[section]["address"]
        .as_str()
        .expect("address")
        .to_owned()
}

/// A service that ends with the test.
pub(crate) struct Service(pub(crate) std::process::Child);

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

pub(crate) fn until(attempt: impl Fn() -> Output) -> Output {
    for _ in 0..100 {
        let output = attempt();
        if output.status.success() {
            return output;
        }
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    attempt()
}

/// Every TAC of the workload must verify, in every suite, in process, through the server and with
/// masters on a token; the figures of an unoptimised build say nothing.
#[test]
fn the_hsm_benchmark_runs_and_every_tac_verifies() {
    let output = onecard(&["bench", "hsm", "--json", "--items", "20", "--rounds", "2"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    let suites = report["suites"].as_array().expect("suites");
    let names: Vec<_> = suites
        .iter()
        .map(|s| s["suite"].as_str().expect("name"))
        .collect();
    assert_eq!(names, ["aes", "sm4", "tdes"]);
    for suite in suites {
        for rate in ["plain", "in_process", "server"] {
            assert!(
                suite[format!("{rate}_per_second")].as_u64() > Some(0),
                "{suite}"
            );
        }
    }
    assert!(
        report["softhsm"]["region_keys_per_second"].as_u64() > Some(0),
        "{report}"
    );
}

#[test]
fn the_hotlist_benchmark_has_its_keys() {
    let output = onecard(&[
        "bench",
        "hotlist",
        "--json",
        "--entries",
        "20000",
        "--rounds",
        "2000",
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(0), "{errors}");
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["entries"], 20_000);
    // Number, filter and reason of each card, and little more.
    let bytes = report["bytes"].as_u64().expect("bytes");
    assert!((200_000..230_000).contains(&bytes), "{bytes}");
    for key in ["lookup_ns", "sorted_lookup_ns"] {
        assert!(report[key].as_u64().is_some(), "{key}");
    }
}
