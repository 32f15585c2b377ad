//! What a card that was torn out can still prove, and what tearing does not buy. That no command is
//! ever half done is shown by `torn`, which cuts the power at every write.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    ChannelError, Fen, SuiteId, Sw, apdu,
    channel::exchange,
    keys::class,
    purse::{self, TxType, files::LogRecord, mac::Context, sfi},
    sam,
};
use common::time;
use virtual_card::{Cut, PowerCut, VirtualCard, sample};

/// A torn DEBIT that took place is provable: PROVE answers its MAC2 and TAC.
#[test]
fn a_debit_whose_answer_was_lost_can_be_proved() {
    let mut card = common::card(SuiteId::Aes);
    let mut sam = common::sam_for(class::TRANSIT);
    common::select_purse(&mut card);
    let tap = common::Tap::new(Fen(100));
    let init = tap.init(&mut card).unwrap();
    let mac1 = tap.mac1(&mut card, &mut sam, &init, Context::default());
    card.script(Some(Cut::AfterApdu {
        cla: 0x80,
        ins: 0x54,
        nth: 1,
    }));
    let debit = purse::debit(mac1.terminal_seq, time(), mac1.mac1);
    assert_eq!(
        exchange(&mut card, &debit).unwrap_err(),
        ChannelError::CardRemoved
    );
    common::select_purse(&mut card);
    let proof = common::ask(&mut card, &purse::prove(TxType::Purchase, init.seq + 1));
    let proof = purse::Debited::from_prove(&proof).unwrap();
    common::put(&mut sam, &sam::credit(proof.mac2));
    let record = common::ask(&mut card, &apdu::read_record(sfi::LOG, 1, 23));
    assert_eq!(LogRecord::from_bytes(&record).unwrap().amount, Fen(100));
}

/// Pulling the card out before the answer buys no free guess: not of a PIN, not of a MAC.
#[test]
fn security_counters_commit_first() {
    let image = common::card(SuiteId::Aes).image().to_vec();
    let mut card = VirtualCard::from_image(image.clone(), [3; 32]).unwrap();
    for _ in 0..3 {
        common::select_purse(&mut card);
        card.script(Some(Cut::Power(PowerCut::AfterCommit(1))));
        let guess = exchange(&mut card, &apdu::verify(0, &[0; 3]));
        assert_eq!(guess.unwrap_err(), ChannelError::CardRemoved);
    }
    common::select_purse(&mut card);
    let right = common::send(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    assert_eq!(right.sw, Sw::AUTH_BLOCKED);

    let mut card = VirtualCard::from_image(image, [3; 32]).unwrap();
    let load = common::Tap::new(Fen(1)).request().load().unwrap();
    for _ in 0..3 {
        common::select_purse(&mut card);
        common::put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
        common::put(&mut card, &load);
        card.script(Some(Cut::Power(PowerCut::AfterCommit(1))));
        let guess = exchange(&mut card, &purse::credit_for_load(time(), [0; 4]));
        assert_eq!(guess.unwrap_err(), ChannelError::CardRemoved);
    }
    common::select_purse(&mut card);
    common::put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    assert_eq!(common::send(&mut card, &load).sw, Sw::AUTH_BLOCKED);
}
