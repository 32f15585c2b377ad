//! Whole ceremonies as people hold them: `onecard hsm ceremony` in a terminal.

use crate::commands::{onecard, temporary};
use card_reader::PcscReader;
use card_spec::id::Pan;
use rexpect::{reader::Options, session::PtySession};
use std::{
    path::{Path, PathBuf},
    process::Command,
    time::Duration,
};
use virtual_card::{VirtualCard, sample, vpcd};

/// Longest silence of the executable; only a failure waits for it.
const PATIENCE_MS: u64 = 60_000;

/// A person at a terminal that echoes what is typed, unless the program forbids it.
pub(crate) struct Person {
    pub(crate) session: PtySession,
    terminal: String,
    pub(crate) seen: String,
}

impl Person {
    pub(crate) fn run(arguments: &[&str], stdout: &Path) -> Self {
        let mut command = Command::new("sh");
        // rexpect switches the echo off; people's terminals have it.
        let script = "stty echo; tty; out=$1; shift; \"$@\" > \"$out\"; echo \"exit code $?.\"";
        command.args(["-c", script, "sh"]);
        command.arg(stdout).arg(env!("CARGO_BIN_EXE_onecard"));
        command.args(arguments);
        let options = Options::new()
            .timeout_ms(Some(PATIENCE_MS))
            .strip_ansi_escape_codes(true);
        let mut session = rexpect::session::spawn_with_options(command, options).unwrap();
        let terminal = session.read_line().unwrap().trim().to_owned();
        assert!(terminal.starts_with("/dev/"), "{terminal}");
        Self {
            session,
            terminal,
            seen: String::new(),
        }
    }

    /// Reads on until this is on the screen; returns what came before.
    pub(crate) fn sees(&mut self, text: &str) -> String {
        // rexpect takes each byte for a character.
        let needle: String = text.bytes().map(char::from).collect();
        let before = self.session.exp_string(&needle);
        let before =
            before.unwrap_or_else(|e| panic!("waiting for {text:?}: {e}\nseen: {}", self.seen));
        let before: Vec<u8> = before.chars().map(|c| c as u8).collect();
        let before = String::from_utf8(before).unwrap();
        self.seen.push_str(&before);
        self.seen.push_str(text);
        before
    }

    pub(crate) fn types(&mut self, prompt: &str, text: &str) {
        self.sees(prompt);
        self.session.send_line(text).unwrap();
    }

    /// Types what must not be shown, once the terminal does not show it.
    pub(crate) fn types_hidden(&mut self, prompt: &str, text: &str) {
        self.sees(prompt);
        loop {
            let mut stty = Command::new("stty");
            let state = stty.args(["-F", &self.terminal, "-a"]).output().unwrap();
            let state = state.stdout;
            if String::from_utf8_lossy(&state).contains(" -echo ") {
                break;
            }
        }
        self.session.send_line(text).unwrap();
    }

    /// The end of the program, and its exit code.
    pub(crate) fn ends(&mut self) -> i32 {
        let rest = self.sees("exit code ");
        let before = self.seen.len() - "exit code ".len();
        self.seen.truncate(before);
        let code = self.session.exp_string(".").unwrap();
        code.parse().unwrap_or_else(|_| panic!("{code}: {rest}"))
    }

    pub(crate) fn names(&mut self, custodians: &[&str]) {
        self.types("name of the first officer:", "Lin Mei");
        self.types("name of the second officer:", "Chen Guo");
        for (i, custodian) in (1..).zip(custodians) {
            self.types(&format!("name of custodian {i}:"), custodian);
        }
    }
}

pub(crate) fn configuration(directory: &Path) -> (String, PathBuf) {
    let at = |name: &str| directory.join(name).display().to_string();
    std::fs::write(at("passphrase"), "open sesame\n").unwrap();
    // The public half of RFC 8032, 7.1, test 1: any Ed25519 key will do.
    let ledger = "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a\n";
    std::fs::write(at("ledger.pub"), ledger).unwrap();
    let text = format!(
        "[hsm]\naddress = \"127.0.0.1:1\"\ncertificates = {:?}\nstore = {:?}\npassphrase_file = {:?}\nledger_public_key_file = {:?}\n",
        at("certificates"),
        at("hsm"),
        at("passphrase"),
        at("ledger.pub"),
    );
    std::fs::write(at("onecard.toml"), text).unwrap();
    (at("onecard.toml"), directory.join("hsm"))
}

/// Three components of three roots, with check values that `openssl` computes: AES as E(01 x 16)
/// (GlobalPlatform), SM4 and 3DES as E(00 x block).
const COMPONENTS: [[(&str, &str); 3]; 3] = [
    [
        ("e6a80f08731e560f8d756ac996221706", "f0eec8"),
        ("7006ac9b80fd99ee855b47c5226317fb", "8c96a7"),
        ("ac75186e140b138d787e3d1a925d44e4", "5e8e4d"),
    ],
    [
        ("5d8645d831641d05153da37c0f855d52", "197a08"),
        ("dfa6367896739dea399ea55cfb4a333d", "83da6c"),
        ("101c950b6d20e65640211fdbe6fb0fb8", "f8fb2d"),
    ],
    [
        ("1bb431214b5349bfe5df1d48350bddb6", "185e86"),
        ("a7529edfdde26395f317145f7da070c1", "c16cfe"),
        ("867685ca980122b7cb6bbd062eafef88", "333c7b"),
    ],
];

#[test]
fn a_whole_ceremony_with_components() {
    let directory = temporary();
    let (config, store) = configuration(directory.path());
    let events = directory.path().join("events");
    let arguments = ["hsm", "ceremony", "--json", "--config", &config];
    let mut person = Person::run(&arguments, &events);
    person.types("name of the first officer:", "Lin Mei");
    // The same person twice is no dual control.
    person.types("name of the second officer:", "lin mei");
    person.sees("not accepted");
    person.names(&["Wu", "Zheng", "Wu"]);
    person.sees("Wu is named twice");
    for (i, custodian) in (1..).zip(["Wu", "chen guo", "Huang"]) {
        person.types(&format!("name of custodian {i}:"), custodian);
    }
    person.sees("chen guo is an officer");
    for (i, custodian) in (1..).zip(["Wu", "Zheng", "Huang"]) {
        person.types(&format!("name of custodian {i}:"), custodian);
    }
    for (sheet, name) in COMPONENTS.iter().zip(["Wu", "Zheng", "Huang"]) {
        person.sees(&format!("{name} alone at the terminal"));
        person.types("press Enter when ready:", "");
        for ((component, kcv), root) in sheet.iter().zip(["root-aes", "root-sm4", "root-tdes"]) {
            person.sees(root);
            if (name, root) == ("Zheng", "root-sm4") {
                // A wrong check value, then no hex at all; then the right ones.
                person.types_hidden("component (hex):", component);
                person.types("check value KCV:", "000000");
                person.sees("does not have the check value 000000");
                person.types_hidden("component (hex):", "not hex");
                person.types("check value KCV:", kcv);
                person.sees("not accepted");
            }
            person.types_hidden("component (hex):", component);
            person.types("check value KCV:", kcv);
            person.sees("accepted");
        }
    }
    let shown = person.sees("Lin Mei or Chen Guo types their own name:");
    for root in ["root-aes", "root-sm4", "root-tdes"] {
        assert!(shown.contains(root), "{shown}");
    }
    person.session.send_line("Wu").unwrap();
    person.sees("Wu cannot confirm");
    person.types("Lin Mei or Chen Guo types their own name:", "Chen Guo");
    person.types("if they agree, Lin Mei types their own name:", "Lin Mei");
    person.sees("The key store is in");
    assert_eq!(person.ends(), 0, "{}", person.seen);
    // The terminal never showed a component, and the events and files have none.
    let mut written = person.seen.clone();
    written += &std::fs::read_to_string(&events).unwrap();
    written += &std::fs::read_to_string(store.join("audit.jsonl")).unwrap();
    written += &std::fs::read_to_string(store.join("ceremony-1.json")).unwrap();
    for (component, kcv) in COMPONENTS.iter().flatten() {
        assert!(!written.to_lowercase().contains(component));
        assert!(written.contains(&kcv.to_uppercase()));
    }
    let events = std::fs::read_to_string(events).unwrap();
    let kinds: Vec<String> = events
        .lines()
        .map(|line| {
            let event: serde_json::Value = serde_json::from_str(line).unwrap();
            event["event"].as_str().unwrap().to_owned()
        })
        .collect();
    assert_eq!(kinds.iter().filter(|k| *k == "accepted").count(), 9);
    assert_eq!(kinds.last().unwrap(), "created");
    assert!(
        onecard(&["hsm", "audit", "verify", "--config", &config])
            .status
            .success()
    );
    // A second ceremony never overwrites the first.
    let again = directory.path().join("again");
    let mut person = Person::run(&["hsm", "ceremony", "--config", &config], &again);
    person.sees("holds an HSM already");
    assert_eq!(person.ends(), 2);
}

/// The lines of the envelopes on the screen, by custodian.
fn envelope(screen: &str) -> Vec<Vec<String>> {
    let mut parts: Vec<Vec<String>> = Vec::new();
    for line in screen.lines() {
        let line = line.trim_start_matches("DRY RUN 演练 | ").trim();
        if line.starts_with("root-") {
            parts.push(Vec::new());
        } else if line.starts_with(|c: char| ('1'..='4').contains(&c)) && line.len() > 20 {
            parts.last_mut().unwrap().push(line.to_owned());
        }
    }
    parts
}

#[test]
fn a_dry_run_with_shares_says_so_on_every_line() {
    let directory = temporary();
    let events = directory.path().join("events");
    let arguments = [
        "hsm",
        "ceremony",
        "--dry-run",
        "--draw",
        "--parts",
        "2/3",
        "--json",
    ];
    let mut person = Person::run(&arguments, &events);
    person.names(&["Wu", "Zheng", "Huang"]);
    let mut sheets = Vec::new();
    for name in ["Wu", "Zheng", "Huang"] {
        person.sees(&format!("{name} alone looks at the screen"));
        person.types("press Enter when ready:", "");
        let screen = person.sees("the screen is cleared:");
        let parts = envelope(&screen);
        assert_eq!(
            parts.iter().map(Vec::len).collect::<Vec<_>>(),
            [4, 4, 4],
            "{screen}"
        );
        sheets.push(parts);
        person.session.send_line("").unwrap();
    }
    let enter = |person: &mut Person, part: &[String]| {
        for (number, line) in (1..).zip(part) {
            person.types_hidden(&format!("line {number}:"), line);
        }
    };
    // Any two of the three, in any order: Huang, then Wu.
    person.types("who is next:", "Su");
    person.sees("is not one of them");
    person.types("who is next:", "Huang");
    person.sees("root-aes");
    // A mistyped line is asked again, alone.
    person.types_hidden("line 1:", &sheets[2][0][1]);
    person.sees("line 1 is mistyped");
    for part in &sheets[2] {
        enter(&mut person, part);
        person.sees("accepted");
    }
    person.types("who is next:", "Wu");
    // A share of another key, and another custodian's share, are refused by name.
    enter(&mut person, &sheets[0][1]);
    person.sees("this part is of root-sm4; one of root-aes is wanted");
    enter(&mut person, &sheets[2][0]);
    person.sees("share 3 was entered already, by Huang");
    for part in &sheets[0] {
        enter(&mut person, part);
        person.sees("✓");
    }
    person.types("Lin Mei or Chen Guo types their own name:", "Lin Mei");
    person.types("if they agree, Chen Guo types their own name:", "Chen Guo");
    person.sees("No real key was made.");
    assert_eq!(person.ends(), 0, "{}", person.seen);
    for line in person.seen.lines().filter(|line| !line.trim().is_empty()) {
        assert!(
            line.trim_start_matches('\r').starts_with("DRY RUN 演练 | "),
            "{line:?}"
        );
    }
    for line in std::fs::read_to_string(events).unwrap().lines() {
        let event: serde_json::Value = serde_json::from_str(line).unwrap();
        assert_eq!(event["dry_run"], true, "{line}");
    }
}

#[test]
fn an_aborted_ceremony_leaves_nothing() {
    let directory = temporary();
    let (config, store) = configuration(directory.path());
    let events = directory.path().join("events");
    let mut person = Person::run(&["hsm", "ceremony", "--json", "--config", &config], &events);
    person.names(&["Wu", "Zheng", "Huang"]);
    person.types("press Enter when ready:", "");
    person.types_hidden("component (hex):", COMPONENTS[0][0].0);
    person.types("check value KCV:", COMPONENTS[0][0].1);
    person.sees("✓");
    person.types_hidden("component (hex):", "中止");
    person.sees("Everything that was entered is wiped");
    assert_eq!(person.ends(), 130, "{}", person.seen);
    assert!(!store.exists());
    let events = std::fs::read_to_string(events).unwrap();
    assert!(events.lines().last().unwrap().contains("aborted"));
    assert!(!events.contains(COMPONENTS[0][0].0));
}

/// Parts on officer cards, through the operating system's PC/SC: written to blanks, then read for the
/// ceremony with their PINs.
#[test]
fn a_dry_run_with_officer_cards() {
    let _turn = crate::commands::pcscd();
    let _pcscd = card_reader::pcscd::ensure().unwrap();
    let directory = temporary();
    let keys = directory.path().join("transport").display().to_string();
    // The published transport key of sample blanks.
    let line = format!("{}\n", hex::encode(sample::transport_keys().enc.expose()));
    std::fs::write(&keys, line.repeat(3)).unwrap();
    const READER: &str = "Virtual PCD 00 00";
    let reader = PcscReader::open(READER).unwrap();
    let mut slot = vpcd::Slot::new(vpcd::PORTS[0]);
    let arguments = [
        "hsm",
        "ceremony",
        "--dry-run",
        "--draw",
        "--parts",
        "2/3",
        "--reader",
        READER,
        "--transport-keys",
        &keys,
    ];
    let mut person = Person::run(&arguments, &directory.path().join("events"));
    let names = ["Wu", "Zheng", "Huang"];
    person.names(&names);
    let wait = Duration::from_secs(30);
    let mut cards = Vec::new();
    for (number, name) in (1u8..).zip(names) {
        person.sees(&format!("{name} puts a blank officer card in"));
        let serial: Pan = format!("035000000000000088{number:02}").parse().unwrap();
        let blank =
            VirtualCard::blank(serial.to_bytes(), sample::transport_keys(), [number; 32]).unwrap();
        slot.insert(blank).unwrap();
        reader.wait_for_card(wait).unwrap();
        person.types("press Enter when the card is in:", "");
        let pin = format!("pin of {name}");
        person.types_hidden("new PIN:", &pin);
        if number == 1 {
            person.types_hidden("the same again:", "another");
            person.sees("the two PINs differ");
            person.types("press Enter when the card is in:", "");
            person.types_hidden("new PIN:", &pin);
        }
        person.types_hidden("the same again:", &pin);
        // The next screen comes when the card is written.
        person.sees("──");
        cards.push(slot.remove().unwrap());
        reader.wait_for_removal(wait).unwrap();
    }
    for (name, card) in [("Zheng", cards.remove(1)), ("Wu", cards.remove(0))] {
        person.types("who is next:", name);
        slot.insert(card).unwrap();
        reader.wait_for_card(wait).unwrap();
        person.types("press Enter when the card is in:", "");
        person.types_hidden("PIN:", "a guess");
        person.sees("wrong PIN");
        person.types("press Enter when the card is in:", "");
        person.types_hidden("PIN:", &format!("pin of {name}"));
        person.sees("root-tdes");
        person.sees("✓");
        slot.remove().unwrap();
        reader.wait_for_removal(wait).unwrap();
    }
    person.types("Lin Mei or Chen Guo types their own name:", "Lin Mei");
    person.types("if they agree, Chen Guo types their own name:", "Chen Guo");
    person.sees("No real key was made.");
    assert_eq!(person.ends(), 0, "{}", person.seen);
}

/// Every command says what it does in both languages, and how its options are written.
#[test]
fn help_reads_well() {
    let help = |arguments: &[&str]| {
        let output = onecard(&[&["hsm"], arguments, &["--help"]].concat());
        assert!(output.status.success());
        String::from_utf8(output.stdout).unwrap()
    };
    let all = help(&[]);
    for command in [
        "ceremony", "backup", "restore", "export", "import", "serve", "audit",
    ] {
        assert!(all.contains(command), "{command}");
        help(&[command]);
    }
    let ceremony = help(&["ceremony"]);
    for said in ["密钥仪式", "N or M/N", "--dry-run", "Try `--dry-run` first"] {
        assert!(ceremony.contains(said), "{said}\n{ceremony}");
    }
    assert!(help(&["restore"]).contains("恢复"));
}

/// People take part: a pipe is refused, and says why.
#[test]
fn a_ceremony_wants_a_terminal() {
    let output = onecard(&["hsm", "ceremony", "--dry-run"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("terminal"));
}
