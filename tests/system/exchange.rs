//! Two machines: backup, restore, and keys that travel between them, as people do it in a terminal.

use std::path::Path;

use crate::{
    ceremony::{Person, configuration},
    commands::{onecard, temporary},
};

const OFFICERS: [&str; 4] = ["--officer1", "Lin Mei", "--officer2", "Chen Guo"];

/// What needs two officers and no terminal.
fn officers_run(arguments: &[&str]) {
    let output = onecard(&[arguments, &OFFICERS].concat());
    let stderr = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {stderr}");
}

/// A machine is lost; two of three custodians bring it back elsewhere with what its log says since the
/// backup, and it follows the first one's keys from then on.
#[test]
fn backup_restore_and_follow_in_a_terminal() {
    let directory = temporary();
    let events = directory.path().join("events");
    let (first, second) = (directory.path().join("a"), directory.path().join("b"));
    std::fs::create_dir_all(&first).unwrap();
    std::fs::create_dir_all(&second).unwrap();
    let ((a, a_store), (b, b_store)) = (configuration(&first), configuration(&second));
    let components = first.join("components").display().to_string();
    officers_run(&["hsm", "init", "--config", &a, "--components", &components]);
    let file = directory.path().join("backup").display().to_string();
    let names = ["Wu", "Zheng", "Huang"];
    let mut person = Person::run(
        &[
            "hsm", "backup", "--config", &a, "--out", &file, "--shares", "2/3",
        ],
        &events,
    );
    person.names(&names);
    let mut shares = Vec::new();
    for _ in names {
        person.types("press Enter when ready:", "");
        let screen = person.sees("the screen is cleared:");
        let lines = screen
            .lines()
            .map(str::trim)
            .filter(|l| l.starts_with(|c: char| c.is_ascii_digit()) && l.len() > 20);
        let share: Vec<String> = lines.map(str::to_owned).collect();
        assert_eq!(share.len(), 6, "{screen}");
        shares.push(share);
        person.session.send_line("").unwrap();
    }
    person.sees("Keep a copy at another site.");
    assert_eq!(person.ends(), 0, "{}", person.seen);

    // After the backup: a key is compromised, another one rotated.
    let state = |config: &str, key: &[&str], to| {
        let act = ["hsm", "key", "state", "--stopped", "--config", config];
        officers_run(&[&act[..], key, &[to]].concat());
    };
    let dtk = ["--key", "DTK", "--index", "01", "--suite", "aes"];
    state(
        &a,
        &["--key", "hotlist", "--key-version", "1"],
        "compromised",
    );
    let rotate = [
        "hsm",
        "key",
        "rotate",
        "--stopped",
        "--config",
        &a,
        "--components",
        &components,
    ];
    officers_run(&[&rotate[..], &dtk].concat());
    let dtk2 = [&dtk[..], &["--key-version", "2"]].concat();
    state(&a, &dtk2, "active");

    let log = a_store.join("audit.jsonl").display().to_string();
    let mut person = Person::run(
        &[
            "hsm", "restore", "--config", &b, "--from", &file, "--lost", &log,
        ],
        &events,
    );
    person.names(&[]);
    for (name, share) in [("Huang", &shares[2]), ("Zheng", &shares[1])] {
        person.types("who is next:", name);
        for (number, line) in (1..).zip(share) {
            person.types_hidden(&format!("line {number}:"), line);
        }
    }
    person.types("Lin Mei or Chen Guo types their own name:", "Lin Mei");
    person.types("if they agree, Chen Guo types their own name:", "Chen Guo");
    let shown = person.sees("to restore this, Lin Mei types their own name:");
    for said in [
        "sign:hotlist:1",
        "active -> compromised",
        "version 2 aes: not in the backup",
    ] {
        assert!(shown.contains(said), "{said}: {shown}");
    }
    person.session.send_line("Lin Mei").unwrap();
    person.types(
        "to restore this, Chen Guo types their own name:",
        "Chen Guo",
    );
    person.sees("Reconcile with clearing");
    assert_eq!(person.ends(), 0, "{}", person.seen);
    assert!(b_store.join("keystore.bin").exists());
    assert!(
        onecard(&["hsm", "audit", "verify", "--config", &b])
            .status
            .success()
    );

    // The officers have new certificates, of the same authority.
    let ca = |machine: &Path| std::fs::read(machine.join("certificates/ca.pem")).unwrap();
    assert_eq!(ca(&first), ca(&second));
    officers_run(&["hsm", "reopen", "--config", &b]);

    // B follows A: the version that the backup lacks, in its state; then its compromise.
    let export = |name: &str| {
        let bundle = directory.path().join(name).display().to_string();
        let arguments = [
            "hsm", "export", "--config", &a, "--key", "all", "--out", &bundle,
        ];
        let mut person = Person::run(&arguments, &events);
        person.names(&[]);
        person.sees("KEK KCV");
        assert_eq!(person.ends(), 0, "{}", person.seen);
        bundle
    };
    let import = |bundle: &str, expected: &str, sees: &[&str], code: i32| {
        let arguments = [
            "hsm", "import", "--config", &b, "--from", bundle, "--expect", expected,
        ];
        let mut person = Person::run(&arguments, &events);
        person.names(&[]);
        for text in sees {
            person.sees(text);
        }
        assert_eq!(person.ends(), code, "{}", person.seen);
    };
    let first = export("bundle-1");
    import(
        &first,
        "DTK:01:1:aes",
        &["HSM 2", "the officers expect other keys"],
        1,
    );
    import(&first, "all", &["+ DTK:01:2:aes", "1 new,"], 0);
    import(
        &first,
        "all",
        &["0 new,", "0 of them in another state now"],
        0,
    );
    state(&a, &dtk2, "compromised");
    let second = export("bundle-2");
    import(&second, "all", &["> DTK:01:2:aes compromised", "0 new,"], 0);
    import(
        &first,
        "all",
        &["0 new,", "0 of them in another state now"],
        0,
    );
}

/// Three parts of a key-encryption key, with the check values that `openssl enc -aes-256-ecb` computes
/// of 01 x 16.
const KEK: [(&str, &str); 3] = [("11", "05d2b6"), ("22", "06ad98"), ("44", "a740fd")];

/// RFC 3394 under a formed key, and components on paper: out and in again, and wrong ones.
#[test]
fn key_wrap_and_components_in_a_terminal() {
    let directory = temporary();
    let events = directory.path().join("events");
    let (config, _) = configuration(directory.path());
    let drawn = directory.path().join("drawn").display().to_string();
    officers_run(&["hsm", "init", "--config", &config, "--components", &drawn]);
    let bundle = directory.path().join("bundle").display().to_string();
    let names = ["Wu", "Zheng", "Huang"];
    let form = |person: &mut Person, last: (&str, &str)| {
        person.names(&names);
        for (name, (fill, kcv)) in names.iter().zip([KEK[0], KEK[1], last]) {
            person.sees(&format!("{name} alone at the terminal"));
            person.types("press Enter when ready:", "");
            person.types_hidden("component (hex):", &fill.repeat(32));
            person.types("check value KCV:", kcv);
        }
        person.types("Lin Mei or Chen Guo types their own name:", "Lin Mei");
        person.types("if they agree, Chen Guo types their own name:", "Chen Guo");
    };
    let dtk = "DTK:01:1:aes";
    let export = ["hsm", "export", "--config", &config, "--key", dtk];
    let wrapped = ["--as", "key-wrap", "--kek", "3", "--out", &bundle];
    let mut person = Person::run(&[&export[..], &wrapped].concat(), &events);
    form(&mut person, KEK[2]);
    person.sees("KEK KCV");
    assert_eq!(person.ends(), 0, "{}", person.seen);
    let import = ["hsm", "import", "--config", &config, "--expect"];
    // The right parts; then one of another key.
    for (last, sees, code) in [
        (KEK[2], "0 new, 1 known", 0),
        (("66", "da098c"), "HSM 3", 4),
    ] {
        let arguments = [&import[..], &[dtk, "--from", &bundle, "--kek", "3"]].concat();
        let mut person = Person::run(&arguments, &events);
        form(&mut person, last);
        person.sees(sees);
        assert_eq!(person.ends(), code, "{}", person.seen);
    }

    let mut person = Person::run(&[&export[..], &["--parts", "3"]].concat(), &events);
    person.names(&names);
    let mut paper: Vec<[String; 2]> = Vec::new();
    for _ in names {
        person.types("press Enter when ready:", "");
        let screen = person.sees("the screen is cleared:");
        let lines: Vec<&str> = screen.lines().map(str::trim).collect();
        let at = lines
            .iter()
            .position(|line| line.starts_with("KCV "))
            .unwrap();
        paper.push([lines[at - 1].to_owned(), lines[at][4..].to_owned()]);
        person.session.send_line("").unwrap();
    }
    person.sees("DTK:01:1:aes KCV ");
    person.sees("\n");
    assert_eq!(person.ends(), 0, "{}", person.seen);
    let kcv = person.seen.split("DTK:01:1:aes KCV ").nth(1).unwrap()[..6].to_owned();
    let enter = |paper: &[[String; 2]], sees: &str, code: i32| {
        let arguments = [&import[..], &["DTK:01:2:aes", "--parts", "3"]].concat();
        let mut person = Person::run(&arguments, &events);
        person.names(&names);
        for [component, check] in paper {
            person.types_hidden("component (hex):", component);
            person.types("its check value KCV:", check);
        }
        person.types("check value KCV of the whole key:", &kcv);
        person.sees(sees);
        assert_eq!(person.ends(), code, "{}", person.seen);
    };
    // One component with another's check value, one instead of another, and the right ones.
    let mut wrong = paper.clone();
    wrong[0][1].clone_from(&paper[1][1]);
    enter(&wrong, "HSM 4", 1);
    wrong[0].clone_from(&paper[1]);
    enter(&wrong, "HSM 3", 4);
    enter(&paper, "+ DTK:01:2:aes", 0);
}
