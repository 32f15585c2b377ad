//! The sample card behind a real pcscd, asked by programs that know nothing of this project.

use crate::commands::{Service, onecard, pcscd, temporary};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

fn attach(arguments: &[&str]) -> Service {
    let mut child = Command::new(env!("CARGO_BIN_EXE_onecard"))
        .args(["card", "attach", "--sample", "--json"])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdout(Stdio::piped())
        .spawn()
        .expect("attach starts");
    let mut lines = BufReader::new(child.stdout.take().expect("output")).lines();
    let ready = lines.find(|line| line.as_ref().is_ok_and(|line| line == "}"));
    assert!(ready.is_some(), "attach ended without a card");
    Service(child)
}

/// Stops the holder of the reader as Ctrl-C does, so that a pcscd it started ends with it.
fn detach(mut service: Service) {
    let pid = service.0.id().to_string();
    let _ = Command::new("kill").args(["-INT", &pid]).status();
    assert!(service.0.wait().expect("ends").success());
}

fn opensc(apdus: &[&str]) -> String {
    let mut command = Command::new("opensc-tool");
    for apdu in apdus {
        command.args(["-s", apdu]);
    }
    // pcscd shows a new card a moment after it was inserted.
    let mut text = String::new();
    for _ in 0..30 {
        let output = command
            .output()
            .expect("opensc-tool runs: make setup installs it");
        text = String::from_utf8_lossy(&output.stdout).into_owned();
        text.push_str(&String::from_utf8_lossy(&output.stderr));
        if output.status.success() {
            return text;
        }
        std::thread::sleep(std::time::Duration::from_millis(200));
    }
    text
}

const SSSE: &str = "00:A4:04:00:0F:73:78:31:2E:73:68:2E:C9:E7:BB:E1:B1:A3:D5:CF";

/// Exactly what public readers send: purse balance, SSSE card number by record number, social
/// security number by tag.
#[test]
fn public_reader_tools_read_the_sample_card() {
    let _turn = pcscd();
    let card = attach(&["--suite", "aes", "--profile", "v2"]);
    let purse = opensc(&["00:A4:04:00:08:A0:00:00:06:32:01:01:05", "80:5C:00:02:04"]);
    assert!(purse.contains("00 00 27 10"), "100.00 yuan: {purse}");
    let social = opensc(&[
        SSSE,
        "00:A4:02:00:02:EF:05",
        "00:B2:07:2C:0B",
        "00:A4:02:00:02:EF:06",
        "00:B2:08:00:14",
    ]);
    assert_eq!(social.matches("SW1=0x90, SW2=0x00").count(), 5, "{social}");
    assert!(social.contains("08 12"), "tag 08, 18 bytes: {social}");
    detach(card);
}

/// A third-generation card tells nothing of its holder before authentication.
#[test]
fn a_v3_card_keeps_its_holder_to_itself() {
    let _turn = pcscd();
    let card = attach(&["--profile", "v3", "--suite", "sm4"]);
    let social = opensc(&[SSSE, "00:A4:02:00:02:EF:06", "00:B2:08:00:14"]);
    assert!(social.contains("SW1=0x69, SW2=0x82"), "{social}");
    detach(card);
}

/// The example profile in a directory of its own, with its key.
pub(crate) fn bus_profile(directory: &Path) -> PathBuf {
    let example = String::from_utf8(onecard(&["config", "terminal"]).stdout).expect("UTF-8");
    let data = concat!(env!("CARGO_MANIFEST_DIR"), "/data/fujian");
    let profile = directory.join("bus.toml");
    std::fs::write(&profile, example.replace("data/fujian", data)).expect("written");
    std::fs::create_dir_all(directory.join("var/secrets")).expect("made");
    let key = directory.join("var/secrets/bus.key");
    std::fs::write(key, "07".repeat(32)).expect("written");
    profile
}

/// A bus validator on two PC/SC readers: the sample card pays, the journal keeps it.
#[test]
fn a_terminal_taps_the_sample_card_through_pcscd() {
    taps(&["--suite", "tdes", "--with-sam", "transit"]);
}

/// The same on the card's own microcontroller.
#[test]
#[ignore = "needs the image of `make firmware`, which runs this"]
fn a_terminal_taps_the_firmware_through_pcscd() {
    let image = "--firmware=target/firmware/thumbv8m.main-none-eabi/release/card-firmware";
    taps(&["--suite", "aes", "--with-sam", "transit", image]);
}

fn taps(attached: &[&str]) {
    let _turn = pcscd();
    let directory = temporary();
    let profile = bus_profile(directory.path());
    let card = attach(attached);
    let mut terminal = Command::new(env!("CARGO_BIN_EXE_onecard"))
        .args([
            "terminal",
            "bus",
            "--profile",
            profile.to_str().expect("UTF-8"),
        ])
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the terminal starts");
    let mut lines = BufReader::new(terminal.stdout.take().expect("output")).lines();
    let tap = lines
        .by_ref()
        .map_while(Result::ok)
        .find(|line| line.contains("\"event\":\"tap\""))
        .expect("a tap");
    let tap: serde_json::Value = serde_json::from_str(&tap).expect("JSON");
    assert_eq!(
        (&tap["verdict"], &tap["amount"]),
        (&"open".into(), &90.into()),
        "{tap}"
    );
    assert_eq!(tap["balance"], 9_910);
    let pid = terminal.id().to_string();
    let _ = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(terminal.wait().expect("ends").success());
    detach(card);
}
