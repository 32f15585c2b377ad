//! A sample card behind the operating system's real PC/SC stack: pcscd, vpcd, two readers.
//! One test, because the machine has one pcscd.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use card_reader::{PcscReader, ReaderError, pcscd};
use card_spec::{
    Channel, ChannelError, SuiteId, aid, apdu,
    channel::exchange,
    ssse::{self, Profile},
};
use std::time::{Duration, Instant};
use virtual_card::{
    Cut, VirtualCard,
    sample::{Sample, SampleSam, sample_sam},
    vpcd::{PORTS, Slot, SlotError, attach},
};

const WAIT: Duration = Duration::from_secs(10);

fn sample() -> VirtualCard {
    Sample::new(SuiteId::Aes, Profile::V2)
        .card([1; 32])
        .expect("a sample card")
}

#[test]
fn sample_card_through_pcscd() {
    let pcscd = pcscd::ensure().expect("pcscd with virtual readers");
    let name = pcscd.readers()[0].clone();
    let reader = PcscReader::open(&name).unwrap();
    assert!(matches!(
        PcscReader::open("no such reader"),
        Err(ReaderError::UnknownReader { .. })
    ));
    assert!(!reader.has_card().unwrap());
    assert!(matches!(
        reader.wait_for_card(Duration::from_millis(20)),
        Err(ReaderError::NoCard { .. })
    ));

    let card = sample();
    let atr = card.atr().to_vec();
    let mut slot = attach(card, PORTS[0]).expect("the slot is empty");
    assert!(matches!(
        slot.insert(sample()),
        Err(refused) if matches!(refused.reason, SlotError::Occupied { .. })
    ));
    reader.wait_for_card(WAIT).unwrap();
    let mut channel = reader.connect().unwrap();
    assert_eq!(channel.atr(), atr);

    // The reads of public readers, Le present or not.
    let mut hex = |bytes: &[u8]| {
        let reply = exchange(&mut channel, bytes).unwrap();
        assert!(reply.sw.is_ok(), "{bytes:02X?} {}", reply.sw);
        reply.data.to_vec()
    };
    let fci = hex(&apdu::select(aid::T_UNION)[..13]);
    // T-Union's 51 bytes, and `C1 01 kind`.
    assert_eq!(fci.len(), 54);
    assert_eq!(
        hex(&[0x80, 0x5C, 0x00, 0x02, 0x04]),
        10_000u32.to_be_bytes()
    );
    hex(&apdu::select(aid::SSSE));
    hex(&[0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x05]);
    let number = hex(&[0x00, 0xB2, 0x07, 0x2C, 0x0B]);
    assert_eq!(ssse::record_value(&number, 0x07).unwrap(), b"S00000001");
    hex(&[0x00, 0xA4, 0x02, 0x00, 0x02, 0xEF, 0x06]);
    let ssn = hex(&[0x00, 0xB2, 0x08, 0x00, 0x14]);
    assert_eq!(
        ssse::record_value(&ssn, 0x08).unwrap(),
        virtual_card::sample::SOCIAL_SECURITY_NO
    );

    // Delayed acknowledgements would make this 48 ms an APDU.
    hex(&apdu::select(aid::T_UNION));
    let start = Instant::now();
    const ROUNDS: u32 = 300;
    for _ in 0..ROUNDS {
        hex(&[0x80, 0x5C, 0x00, 0x02, 0x04]);
    }
    let mean = start.elapsed() / ROUNDS;
    println!("APDU round trip through pcscd: {mean:?}");
    assert!(
        mean < Duration::from_millis(5),
        "{mean:?} an APDU: TCP_QUICKACK is not working"
    );

    // A scripted cut pulls the card out; everybody sees a removed card, nothing else.
    drop(channel);
    let mut card = slot.remove().unwrap();
    assert!(matches!(slot.remove(), Err(SlotError::Empty { .. })));
    reader.wait_for_removal(WAIT).unwrap();
    card.script(Some(Cut::AfterApdu {
        cla: 0x80,
        ins: 0x5C,
        nth: 2,
    }));
    slot.insert(card).unwrap();
    reader.wait_for_card(WAIT).unwrap();
    let mut channel = reader.connect().unwrap();
    exchange(&mut channel, &apdu::select(aid::T_UNION)).unwrap();
    exchange(&mut channel, &[0x80, 0x5C, 0x00, 0x02, 0x04]).unwrap();
    let torn = exchange(&mut channel, &[0x80, 0x5C, 0x00, 0x02, 0x04]);
    assert_eq!(torn.unwrap_err(), ChannelError::CardRemoved);
    // Another card in the same slot: first seen as removed, then as inserted.
    let number = "350100000009".parse().unwrap();
    let sam = sample_sam(SampleSam::Purse(1), number, [2; 32]).unwrap();
    let sam_atr = sam.atr().to_vec();
    let card = slot.swap(sam).unwrap();
    reader.wait_for_swap(WAIT).unwrap();
    channel.reconnect().unwrap();
    assert_eq!(channel.atr(), sam_atr);
    let sam = slot.swap(card).unwrap();
    reader.wait_for_swap(WAIT).unwrap();
    channel.reconnect().unwrap();
    exchange(&mut channel, &apdu::select(aid::T_UNION)).unwrap();

    // A SAM in the second reader at the same time.
    let second = PcscReader::open(&pcscd.readers()[1]).unwrap();
    let mut sam_slot = Slot::new(PORTS[1]);
    sam_slot.insert(sam).unwrap();
    second.wait_for_card(WAIT).unwrap();
    let mut sam = second.connect().unwrap();
    exchange(&mut sam, &[0x00, 0xA4, 0x00, 0x00, 0x02, 0x80, 0x11]).unwrap();
    let reply = exchange(&mut sam, &[0x00, 0xB0, 0x96, 0x00, 0x06]).unwrap();
    assert_eq!(reply.data, number.to_bytes());
}
