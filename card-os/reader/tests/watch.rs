//! The watch over pcscd's readers: cards, a card that does not answer, readers that are not there,
//! and pcscd itself stopped and started again.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use card_reader::{
    PcscReader, ReaderError, Seen,
    pcscd::{self, Origin},
    watch,
};
use card_spec::{Channel, ChannelError, SuiteId, aid, apdu, channel::exchange, ssse::Profile};
use std::{
    sync::mpsc::Receiver,
    time::{Duration, Instant},
};
use virtual_card::{
    VirtualCard,
    sample::Sample,
    vpcd::{Attachable, PORTS, Slot},
};

const WAIT: Duration = Duration::from_secs(15);

/// Answers its reset with bytes that are no ATR. (vpcd takes a card that says nothing at all for none.)
#[derive(Debug)]
struct Dead;

impl Channel for Dead {
    fn transmit(&mut self, _: &[u8], _: &mut [u8]) -> Result<usize, ChannelError> {
        Err(ChannelError::CardRemoved)
    }
    fn atr(&self) -> &[u8] {
        &[0x00, 0x00]
    }
}

impl Attachable for Dead {
    fn power_cycle(&mut self) {}
}

fn card() -> VirtualCard {
    let sample = Sample::new(SuiteId::Aes, Profile::V2);
    sample.card([1; 32]).expect("a sample card")
}

/// The next changes, in any order among different readers.
fn expect(changes: &Receiver<(usize, Seen)>, expected: &[(usize, Seen)]) {
    let mut open = expected.to_vec();
    while !open.is_empty() {
        let change = changes
            .recv_timeout(WAIT)
            .unwrap_or_else(|_| panic!("nothing more comes; still expected: {open:?}"));
        let at = open.iter().position(|expected| *expected == change);
        open.remove(at.unwrap_or_else(|| panic!("{change:?} instead of {open:?}")));
    }
}

#[test]
fn everything_that_changes_in_the_readers_is_told() {
    let service = pcscd::ensure().expect("pcscd with virtual readers");
    let names = service.readers().to_vec();
    let watched = [&names[0], &names[1], "no such reader"];
    let watched = watched.into_iter().map(ToString::to_string).enumerate();
    let (changes, watching) = watch(watched.collect());
    expect(
        &changes,
        &[(0, Seen::Empty), (1, Seen::Empty), (2, Seen::Lost)],
    );
    let mut slot = Slot::new(PORTS[0]);
    slot.insert(card()).unwrap();
    expect(&changes, &[(0, Seen::Card)]);
    let reader = PcscReader::open(&names[0]).unwrap();
    let mut channel = reader.connect().unwrap();
    exchange(&mut channel, &apdu::select(aid::T_UNION)).unwrap();
    slot.remove().unwrap();
    expect(&changes, &[(0, Seen::Empty)]);
    drop(channel);

    let mut broken = Slot::new(PORTS[1]);
    broken.insert(Dead).unwrap();
    expect(&changes, &[(1, Seen::Card)]);
    let second = PcscReader::open(&names[1]).unwrap();
    assert!(matches!(second.connect(), Err(ReaderError::Mute)));
    broken.remove().unwrap();
    expect(&changes, &[(1, Seen::Empty)]);

    // A pcscd that was running before stays.
    if service.origin() == Origin::Started {
        slot.insert(card()).unwrap();
        expect(&changes, &[(0, Seen::Card)]);
        let mut channel = reader.connect().unwrap();
        drop(service);
        expect(&changes, &[(0, Seen::Lost), (1, Seen::Lost)]);
        let stopped = exchange(&mut channel, &apdu::select(aid::T_UNION)).unwrap_err();
        assert_eq!(stopped, ChannelError::ReaderLost, "no card was removed");
        assert!(reader.connect().err().unwrap().is_lost());
        let _again = pcscd::ensure().expect("pcscd starts again");
        expect(&changes, &[(0, Seen::Empty), (1, Seen::Empty)]);
        // The old connection to pcscd stays dead, and says so.
        assert!(reader.connect().err().unwrap().is_lost());
        drop(watching);
        let start = Instant::now();
        while changes.recv_timeout(Duration::from_secs(3)).is_ok() {}
        assert!(start.elapsed() < Duration::from_secs(3), "the watch ends");
    }
}
