//! No secret in what the HSM prints or writes, over a whole session with its masters on a token.

use super::commands::{Service, temporary};
use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

const PIN: &str = "pin-86420-nip";
const PASSPHRASE: &str = "a long test passphrase";
const NEXT_PASSPHRASE: &str = "another test passphrase";

/// The executable with a SoftHSM of its own.
fn onecard(root: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_onecard"));
    command
        .args(arguments)
        .arg("--config")
        .arg(root.join("onecard.toml"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .env("SOFTHSM2_CONF", root.join("softhsm2.conf"))
        .env("RUST_LOG", "trace")
        .env("RUST_BACKTRACE", "full")
        .stdin(Stdio::null());
    command
}

fn prepare(root: &Path) {
    let free = || {
        let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        free.local_addr().expect("address").to_string()
    };
    let example = Command::new(env!("CARGO_BIN_EXE_onecard"))
        .args(["config", "example"])
        .output()
        .expect("runs");
    let config = String::from_utf8(example.stdout)
        .expect("UTF-8")
        .replace("127.0.0.1:7401", &free())
        .replace("127.0.0.1:7411", &free())
        .replace("# [hsm.token]", "[hsm.token]")
        .replace("# module =", "module =")
        .replace("# label =", "label =")
        .replace("# pin_file =", "pin_file =")
        .replace("\"var/", &format!("\"{}/", root.display()));
    fs::write(root.join("onecard.toml"), config).expect("written");
    for directory in ["secrets", "tokens"] {
        fs::create_dir_all(root.join(directory)).expect("made");
    }
    fs::write(root.join("secrets/hsm.passphrase"), PASSPHRASE).expect("written");
    fs::write(root.join("secrets/token.pin"), PIN).expect("written");
    let softhsm = format!("directories.tokendir = {}/tokens\n", root.display());
    fs::write(root.join("softhsm2.conf"), softhsm).expect("written");
    let token = Command::new("softhsm2-util")
        .args(["--init-token", "--free", "--label", "onecard"])
        .args(["--so-pin", "security-officer", "--pin", PIN])
        .env("SOFTHSM2_CONF", root.join("softhsm2.conf"))
        .output()
        .expect("softhsm2-util: run deploy/setup.sh");
    assert!(token.status.success(), "{token:?}");
}

/// The custodians' components and the roots that they make, as hex.
fn secrets(components: &Path) -> Vec<String> {
    let mut roots = std::collections::BTreeMap::new();
    let mut all = [PIN, PASSPHRASE, NEXT_PASSPHRASE]
        .map(str::to_owned)
        .to_vec();
    for file in fs::read_dir(components).expect("components") {
        let text = fs::read_to_string(file.expect("entry").path()).expect("read");
        for line in text.lines() {
            let words: Vec<&str> = line.split(' ').collect();
            let value = hex::decode(words[1]).expect("hex");
            let root = roots
                .entry(words[0].to_owned())
                .or_insert_with(|| vec![0; 16]);
            root.iter_mut().zip(&value).for_each(|(r, v)| *r ^= v);
            all.push(words[1].to_owned());
        }
    }
    all.extend(roots.values().map(hex::encode));
    assert_eq!(all.len(), 3 + 3 * 3 + 3);
    all
}

fn shows(what: &str, bytes: &[u8], secrets: &[String]) {
    let text = String::from_utf8_lossy(bytes).to_lowercase();
    for (n, secret) in secrets.iter().enumerate() {
        let raw = hex::decode(secret).unwrap_or_else(|_| secret.clone().into_bytes());
        let found = text.contains(&secret.to_lowercase())
            || bytes.windows(raw.len()).any(|window| window == raw);
        assert!(!found, "{what} shows secret {n}");
    }
}

#[test]
fn a_session_on_a_token_prints_and_writes_no_secret() {
    let directory = temporary();
    let root = directory.path();
    prepare(root);
    let run = |arguments: &[&str]| onecard(root, arguments).output().expect("runs");
    let good = |output: Output| {
        let errors = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{errors}");
        output
    };
    good(run(&["clearing", "init"]));
    let components = root.join("components");
    let folder = components.to_str().expect("UTF-8");
    let init = good(run(&[
        "hsm",
        "init",
        "--officer1",
        "Lin",
        "--officer2",
        "Chen",
        "--components",
        folder,
    ]));
    let said = String::from_utf8_lossy(&init.stderr).into_owned();
    assert!(said.contains("cannot hold sm4 keys"), "{said}");
    let secrets = secrets(&components);

    let mut served = onecard(root, &["hsm", "serve"]);
    let log = fs::File::create(root.join("serve.log")).expect("made");
    served.stdout(log.try_clone().expect("shared")).stderr(log);
    let service = Service(served.spawn().expect("serves"));
    let keys = good(run(&["hsm", "keys", "--json"]));
    let value: serde_json::Value = serde_json::from_slice(&keys.stdout).expect("JSON");
    let masters = value["masters"].as_array().expect("masters");
    assert!(masters.len() > 40, "{}", masters.len());
    assert!(masters.iter().all(|m| m["suite"] != "sm4"));
    let status = good(run(&["hsm", "status"]));

    // A crash would leave no core.
    let limits = format!("/proc/{}/limits", service.0.id());
    let limits = fs::read_to_string(limits).expect("running");
    let core = limits
        .lines()
        .find(|l| l.starts_with("Max core"))
        .expect("core");
    let numbers: Vec<&str> = core.split_whitespace().skip(4).take(2).collect();
    assert_eq!(numbers, ["0", "0"], "{core}");
    drop(service);

    // A new storage key: the old passphrase opens nothing any more.
    let next = root.join("secrets/next");
    fs::write(&next, NEXT_PASSPHRASE).expect("written");
    let rotate = [
        "hsm",
        "key",
        "rotate-store",
        "--officer1",
        "Lin",
        "--officer2",
        "Chen",
        "--new-passphrase-file",
        next.to_str().expect("UTF-8"),
    ];
    let rotated = good(run(&rotate));
    let old = run(&rotate);
    assert_eq!(old.status.code(), Some(4), "{old:?}");
    assert!(String::from_utf8_lossy(&old.stderr).contains("wrong passphrase"));
    fs::write(root.join("secrets/hsm.passphrase"), NEXT_PASSPHRASE).expect("written");

    fs::write(root.join("secrets/token.pin"), "guessed-pin").expect("written");
    let refused = run(&["hsm", "serve"]);
    assert_eq!(refused.status.code(), Some(4), "{refused:?}");
    assert!(String::from_utf8_lossy(&refused.stderr).contains("HSM 30"));

    for output in [&init, &keys, &status, &rotated, &old, &refused] {
        shows("output", &output.stdout, &secrets);
        shows("errors", &output.stderr, &secrets);
    }
    shows(
        "log",
        &fs::read(root.join("serve.log")).expect("log"),
        &secrets,
    );
    for file in fs::read_dir(root.join("hsm")).expect("store") {
        let path = file.expect("entry").path();
        shows(
            &path.display().to_string(),
            &fs::read(&path).expect("read"),
            &secrets,
        );
    }
}
