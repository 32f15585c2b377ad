//! A bus validator in a real window, on a real X server, behind a real pcscd.

use crate::{
    commands::{Service, pcscd, temporary},
    hotplug::transit_sam,
    reader::bus_profile,
};
use card_reader::pcscd;
use card_spec::{SuiteId, ssse::Profile};
use std::{
    io::{BufRead, BufReader},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::{Duration, Instant},
};
use virtual_card::{
    VirtualCard,
    sample::Sample,
    vpcd::{PORTS, Slot},
};

const WAIT: Duration = Duration::from_secs(30);

const BLUE: [u8; 3] = [0x0B, 0x4F, 0x9C];
const GREEN: [u8; 3] = [0x0B, 0x73, 0x3A];
const PAPER: [u8; 3] = [0xF7, 0xF8, 0xFA];

/// An X server whose screen is a file.
struct Display {
    _server: Service,
    name: String,
    screen: PathBuf,
}

impl Display {
    fn start(folder: &Path) -> Self {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "800x480x24", "-fbdir"])
            .arg(folder)
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("Xvfb starts: `make setup` installs it");
        let mut number = String::new();
        let output = server.stdout.as_mut().expect("output");
        BufReader::new(output)
            .read_line(&mut number)
            .expect("the display's number");
        Self {
            _server: Service(server),
            name: format!(":{}", number.trim()),
            screen: folder.join("Xvfb_screen0"),
        }
    }

    /// Pixels of a colour. The file is an XWD dump: a head of big-endian words, colours, pixels.
    fn count(&self, [r, g, b]: [u8; 3]) -> usize {
        let bytes = std::fs::read(&self.screen).expect("the screen");
        let word = |n: usize| {
            let four = bytes[4 * n..4 * n + 4].try_into().expect("a word");
            u32::from_be_bytes(four) as usize
        };
        let (head, colours) = (word(0), word(19));
        let pixels = bytes[head + 12 * colours..].chunks_exact(4);
        pixels.filter(|pixel| pixel[..3] == [b, g, r]).count()
    }

    /// Waits until most of the screen has a colour.
    fn fills(&self, colour: [u8; 3], least: usize) {
        let begun = Instant::now();
        while self.count(colour) < least {
            let count = self.count(colour);
            assert!(
                begun.elapsed() < WAIT,
                "only {count} pixels of {colour:02X?}"
            );
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn xdotool(&self, args: &[&str]) {
        let done = Command::new("xdotool")
            .args(args)
            .env("DISPLAY", &self.name)
            .status();
        assert!(done.expect("xdotool: `make setup` installs it").success());
    }
}

/// `onecard-terminal` stands beside `onecard`.
fn program() -> PathBuf {
    Path::new(env!("CARGO_BIN_EXE_onecard")).with_file_name("onecard-terminal")
}

#[test]
fn a_validator_shows_what_happens_and_is_touched() {
    let _turn = pcscd();
    let _service = pcscd::ensure().expect("pcscd with virtual readers");
    let directory = temporary();
    let display = Display::start(directory.path());
    let mut card: Slot<VirtualCard> = Slot::new(PORTS[0]);
    let mut sam: Slot<VirtualCard> = Slot::new(PORTS[1]);
    sam.insert(transit_sam()).expect("the SAM's slot");
    let mut terminal = Service(
        Command::new(program())
            .args(["bus", "--profile"])
            .arg(bus_profile(directory.path()))
            .env("DISPLAY", &display.name)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .expect("onecard-terminal: `cargo build --workspace` builds it"),
    );
    display.fills(BLUE, 150_000);

    let holder = Sample::new(SuiteId::Aes, Profile::V2)
        .card([1; 32])
        .expect("a card");
    card.insert(holder).expect("the card's slot");
    display.fills(GREEN, 70_000);
    // Taken away, its result fades; the key "shift" is touched and opens a field.
    card.remove().expect("the card");
    display.fills(BLUE, 150_000);
    display.xdotool(&["mousemove", "400", "440"]);
    std::thread::sleep(Duration::from_millis(300));
    display.xdotool(&["click", "1"]);
    display.fills(PAPER, 60_000);

    let pid = terminal.0.id().to_string();
    let _ = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(terminal.0.wait().expect("ends").success());
    let output = terminal.0.stdout.take().expect("output");
    let taps = BufReader::new(output).lines().map_while(Result::ok);
    let taps = taps
        .filter(|line| line.contains(r#""event":"tap""#))
        .count();
    assert_eq!(taps, 1, "the window prints the lines of the device too");
}

#[test]
fn without_a_display_it_says_what_to_do() {
    let directory = temporary();
    let output = Command::new(program())
        .args(["bus", "--profile"])
        .arg(bus_profile(directory.path()))
        .env_remove("DISPLAY")
        .env_remove("WAYLAND_DISPLAY")
        .output()
        .expect("onecard-terminal runs");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(said.contains("set DISPLAY"), "{said}");
}
