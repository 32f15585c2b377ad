//! A bus validator behind a real pcscd while card, SAM and pcscd itself come and go.

use crate::{
    commands::{Service, pcscd, temporary},
    reader::bus_profile,
};
use card_reader::pcscd::{self, Origin};
use card_spec::{SuiteId, keys::class, ssse::Profile};
use serde_json::Value;
use std::{
    io::{BufRead, BufReader},
    path::Path,
    process::{Command, Stdio},
    sync::mpsc::{Receiver, channel},
    time::Duration,
};
use virtual_card::{
    Cut, VirtualCard,
    sample::{Sample, SampleSam, sample_sam},
    vpcd::{PORTS, Slot},
};

const WAIT: Duration = Duration::from_secs(30);

/// The lines of a running device.
pub(crate) struct Lines(Receiver<Value>);

impl Lines {
    pub(crate) fn of(service: &mut Service) -> Self {
        let output = BufReader::new(service.0.stdout.take().expect("output"));
        let (sender, receiver) = channel();
        std::thread::spawn(move || {
            for line in output.lines().map_while(Result::ok) {
                let line = serde_json::from_str(&line).expect("a JSON line");
                if sender.send(line).is_err() {
                    break;
                }
            }
        });
        Self(receiver)
    }

    /// The next line of this kind.
    pub(crate) fn line(&self, event: &str) -> Value {
        loop {
            let line = self.0.recv_timeout(WAIT).expect("the device says more");
            if line["event"] == event {
                return line;
            }
        }
    }

    /// The code of the next line of this kind; 0 for a screen without one.
    fn next(&self, event: &str) -> u64 {
        self.line(event)["code"].as_u64().unwrap_or(0)
    }

    /// Waits for a screen with this code.
    fn shows(&self, code: u64) {
        while self.next("screen") != code {}
    }
}

#[test]
fn a_terminal_outlives_its_card_its_sam_and_pcscd() {
    let _turn = pcscd();
    let service = pcscd::ensure().expect("pcscd with virtual readers");
    let directory = temporary();
    let profile = bus_profile(directory.path());
    let text = std::fs::read_to_string(&profile).expect("the profile");
    let text = text.replace("passback_seconds = 3", "passback_seconds = 0");
    std::fs::write(&profile, text).expect("written");
    let mut card: Slot<VirtualCard> = Slot::new(PORTS[0]);
    let mut sam: Slot<VirtualCard> = Slot::new(PORTS[1]);
    sam.insert(transit_sam()).expect("the SAM's slot");
    let mut terminal = start(&profile);
    let lines = Lines::of(&mut terminal);
    lines.next("ready");

    // Torn out of its debit and back: one ride, paid once.
    let mut holder = Sample::new(SuiteId::Aes, Profile::V2)
        .card([1; 32])
        .expect("a card");
    let (cla, ins, nth) = (0x80, 0x54, 1);
    holder.script(Some(Cut::AfterApdu { cla, ins, nth }));
    card.insert(holder).expect("the card's slot");
    assert_eq!(lines.next("tap"), 202);
    let holder = card.remove().expect("the card");
    std::thread::sleep(Duration::from_secs(1));
    card.insert(holder).expect("the card's slot");
    assert_eq!(lines.next("tap"), 11);

    // The SAM is pulled out and put back.
    let holder = card.remove().expect("the card");
    let psam = sam.remove().expect("the SAM");
    lines.shows(303);
    sam.insert(psam).expect("the SAM's slot");
    lines.shows(0);
    card.insert(holder).expect("the card's slot");
    assert_eq!(lines.next("tap"), 3);

    // pcscd is stopped and started again. (One that was running before is not ours to stop.)
    if service.origin() == Origin::Started {
        drop(service);
        lines.shows(305);
        let (holder, _) = card.eject().expect("the card");
        let (psam, _) = sam.eject().expect("the SAM");
        let _service = pcscd::ensure().expect("pcscd starts again");
        sam.insert(psam).expect("the SAM's slot");
        lines.shows(0);
        card.insert(holder).expect("the card's slot");
        assert_eq!(lines.next("tap"), 3);
        stop(&mut terminal);
    } else {
        stop(&mut terminal);
    }
}

pub(crate) fn transit_sam() -> VirtualCard {
    let number = "350100000017".parse().expect("a SAM number");
    sample_sam(SampleSam::Purse(class::TRANSIT), number, [2; 32]).expect("a SAM")
}

pub(crate) fn start(profile: &Path) -> Service {
    let terminal = Command::new(env!("CARGO_BIN_EXE_onecard"))
        .args(["terminal", "bus", "--profile"])
        .arg(profile)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn();
    Service(terminal.expect("the terminal starts"))
}

pub(crate) fn stop(terminal: &mut Service) {
    let pid = terminal.0.id().to_string();
    let _ = Command::new("kill").args(["-TERM", &pid]).status();
    assert!(terminal.0.wait().expect("ends").success());
}
