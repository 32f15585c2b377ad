//! The card's scripts behind a real pcscd: the same files that run in memory and on the firmware.

use crate::commands::{onecard, pcscd};
use card_reader::{PcscChannel, PcscReader};
use card_spec::{Channel, ChannelError};
use std::{
    path::Path,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};
use virtual_card::{
    VirtualCard,
    script::{Powered, Script},
    vpcd::{self, Attachable},
};

const SCRIPTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/card-os/tests/scripts");

/// A card in a slot that the test can change for another without taking it out, which would cost
/// 0.7 s a script. All have the same ATR.
#[derive(Debug, Clone)]
struct Changeable {
    card: Arc<Mutex<VirtualCard>>,
    atr: Vec<u8>,
}

impl Changeable {
    fn with<T>(&self, act: impl FnOnce(&mut VirtualCard) -> T) -> T {
        act(&mut self.card.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Channel for Changeable {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        self.with(|card| card.transmit(command, response))
    }
    fn atr(&self) -> &[u8] {
        &self.atr
    }
}

impl Attachable for Changeable {
    fn power_cycle(&mut self) {
        self.with(VirtualCard::power_cycle);
    }
}

/// Commands go through PC/SC; power and air are the slot's.
struct InSlot {
    channel: PcscChannel,
    slot: Changeable,
}

impl Channel for InSlot {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        self.channel.transmit(command, response)
    }
    fn atr(&self) -> &[u8] {
        self.channel.atr()
    }
}

impl Powered for InSlot {
    fn reset(&mut self) -> Result<(), ChannelError> {
        self.channel
            .reconnect()
            .map_err(|_| ChannelError::CardRemoved)
    }
    fn contactless(&mut self, on: bool) -> Result<(), ChannelError> {
        self.slot.with(|card| card.contactless(on))
    }
}

#[test]
fn every_script_holds_behind_pcscd() {
    let _turn = pcscd();
    let scripts = Script::all(Path::new(SCRIPTS)).unwrap_or_else(|error| panic!("{error}"));
    let first = scripts[0].card(scripts[0].suites()[0], [7; 32]).unwrap();
    let slot = Changeable {
        atr: first.atr().to_vec(),
        card: Arc::new(Mutex::new(first)),
    };
    let service = card_reader::pcscd::ensure().expect("pcscd");
    let mut inside = vpcd::attach(slot.clone(), vpcd::PORTS[0]).expect("the slot is free");
    let reader = PcscReader::open(&service.readers()[0]).expect("the reader");
    reader
        .wait_for_card(Duration::from_secs(10))
        .expect("a card");
    let channel = reader.connect().expect("a connection");
    let mut card = InSlot { channel, slot };
    let mut runs = 0;
    for script in &scripts {
        for suite in script.suites() {
            let new = script.card(*suite, [7; 32]).expect("the card is made");
            card.slot.with(|old| *old = new);
            let mut sam = script.sam(*suite, [8; 32]).expect("the SAM is made");
            let sam = sam.as_mut().map(|sam| sam as &mut dyn Powered);
            script
                .run(*suite, &mut card, sam)
                .unwrap_or_else(|error| panic!("{error}"));
            runs += 1;
        }
    }
    drop(card);
    inside.remove().expect("the card comes out");
    println!("scripts behind pcscd: {runs} runs");
}

#[test]
fn the_command_says_what_ran_and_fails_with_its_exit_code() {
    let directory = crate::commands::temporary();
    let write = |name: &str, text: &str| {
        let path = directory.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.to_str().expect("UTF-8").to_owned()
    };
    let good = write(
        "good.apdu",
        "# Good\nwith suites sm4\n> 00 A4 04 00 00\n< 6F * 9000\n",
    );
    let bad = write(
        "bad.apdu",
        "# Bad\nwith suites aes\n> 00 A4 04 00 00\n< 6A82\n",
    );
    let output = onecard(&["card", "script", &good, &bad, "--json"]);
    assert_eq!(output.status.code(), Some(6));
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(
        (&report["passed"], &report["failed"]),
        (&1.into(), &1.into())
    );
    let error = report["runs"][1]["error"].as_str().expect("an error");
    assert!(error.starts_with("bad.apdu:4 (aes)"), "{error}");
    let broken = write("broken.apdu", "# Broken\n> 00 A4\n");
    for (arguments, code) in [
        (&["card", "script", &broken][..], 2),
        (&["card", "script", "/nonexistent.apdu"], 3),
        (&["card", "script", &good, "--reader", "No such reader"], 5),
        (&["card", "script", &good, "--firmware=/nonexistent"], 1),
    ] {
        assert_eq!(
            onecard(arguments).status.code(),
            Some(code),
            "{arguments:?}"
        );
    }
}
