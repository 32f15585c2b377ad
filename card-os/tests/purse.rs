//! The purse with a SAM, in every suite, through channels.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Channel, Fen, SuiteId, Sw, aid, apdu,
    keys::{KeyType, class},
    purse::{self, Debited, InitRequest, PurchaseInit, TxType, files, mac, sfi},
    sam,
};
use common::{Tap, ask, card, put, sam_for, select_purse, send, time};
use virtual_card::{host, sample};

#[test]
fn load_and_purchase_in_every_suite() {
    for suite in SuiteId::ALL {
        let mut card = card(suite);
        let mut sam = sam_for(class::TRANSIT);
        select_purse(&mut card);
        assert_eq!(host::balance(&mut card).unwrap(), Fen::yuan(100));
        let tap = Tap::new(Fen(200));
        let done = tap.pay(&mut card, &mut sam);
        assert_eq!(host::balance(&mut card).unwrap(), Fen(9_800));

        // The clearing house recomputes the TAC.
        let dtk = sample::card_key(sample::header(KeyType::Dtk, class::ONLY, suite)).unwrap();
        assert_eq!(
            done.debited.tac,
            done.purchase.tac(suite, &dtk, Fen(9_800)),
            "{suite:?}"
        );
        // The log's newest record is the purchase, the one before it the load.
        let record = ask(&mut card, &apdu::read_record(sfi::LOG, 1, 23));
        let record = files::LogRecord::from_bytes(&record).unwrap();
        assert_eq!((record.amount, record.tx), (Fen(200), TxType::Purchase));
        let record = ask(&mut card, &apdu::read_record(sfi::LOG, 2, 23));
        assert_eq!(
            files::LogRecord::from_bytes(&record).unwrap().tx,
            TxType::Load
        );

        // PROVE answers MAC2 and TAC of exactly that transaction, again after power was lost.
        card.power_cycle();
        select_purse(&mut card);
        let proof = ask(
            &mut card,
            &purse::prove(TxType::Purchase, done.purchase.seq + 1),
        );
        assert_eq!(Debited::from_prove(&proof).unwrap(), done.debited);
        let other = send(
            &mut card,
            &purse::prove(TxType::Purchase, done.purchase.seq),
        );
        assert_eq!(other.sw, Sw::NO_PROVE);
    }
}

#[test]
fn every_class_and_its_spare_have_their_own_key() {
    let classes = [class::TRANSIT, class::PARKING_TAXI, class::RETAIL];
    for suite in SuiteId::ALL {
        for kid in classes {
            let mut card = card(suite);
            let mut sam = sam_for(kid);
            select_purse(&mut card);
            Tap {
                kid,
                ..Tap::new(Fen(1))
            }
            .pay(&mut card, &mut sam);
            let spare = Tap {
                kid: kid | class::SPARE,
                ..Tap::new(Fen(1))
            };
            spare.pay(&mut card, &mut sam);
            // The spare is another key than the class's own.
            let init = spare.init(&mut card).unwrap();
            let mac1 = Tap::new(Fen(1)).mac1(&mut card, &mut sam, &init, mac::Context::default());
            let debit = purse::debit(mac1.terminal_seq, time(), mac1.mac1);
            assert_eq!(send(&mut card, &debit).sw, Sw::MAC_WRONG);
            // A SAM of another class makes a MAC1 that this key does not accept.
            for other in classes.into_iter().filter(|other| *other != kid) {
                card.power_cycle();
                select_purse(&mut card);
                let refused = Tap {
                    kid,
                    ..Tap::new(Fen(1))
                }
                .try_pay(&mut card, &mut sam_for(other));
                assert_eq!(refused, Err(Sw::MAC_WRONG), "{suite:?} {kid} {other}");
            }
        }
    }
    let mut card = card(SuiteId::Aes);
    select_purse(&mut card);
    let init = InitRequest {
        kid: 0x04,
        ..Tap::new(Fen(1)).request()
    };
    assert_eq!(send(&mut card, &init.purchase().unwrap()).sw, Sw::KEY_INDEX);
}

#[test]
fn capp_writes_its_records_with_the_debit_and_binds_them() {
    for suite in SuiteId::ALL {
        let mut card = card(suite);
        let mut sam = sam_for(class::TRANSIT);
        select_purse(&mut card);
        let journey = [0x5A; 48];
        let metro = [0xA5; 128];
        // Outside a CAPP transaction the cache is closed.
        let update = purse::update_capp_cache(sfi::JOURNEY, 0, &journey);
        assert_eq!(send(&mut card, &update).sw, Sw::CONDITIONS);

        let tap = Tap {
            capp: true,
            ..Tap::new(Fen(300))
        };
        let init = tap.init(&mut card).unwrap();
        // No update, no DEBIT.
        let bare = tap.mac1(&mut card, &mut sam, &init, mac::Context::default());
        let debit = purse::debit(bare.terminal_seq, time(), bare.mac1);
        assert_eq!(send(&mut card, &debit).sw, Sw::CONDITIONS);

        let init = tap.init(&mut card).unwrap();
        let fci = tap.fci(&card);
        let mut context = mac::ContextBuilder::new(&fci);
        put(&mut card, &update);
        context.update(0, sfi::JOURNEY << 3, &journey);
        // As deployed terminals write it: 80DC01D080.
        put(
            &mut card,
            &apdu::build(0x80, 0xDC, 0x01, 0xD0, &metro, None),
        );
        context.read_1a(&[0; 128]);
        context.update(0x01, 0xD0, &metro);
        // Nothing is visible yet, and a read in between is allowed.
        assert_eq!(
            send(&mut card, &apdu::read_record(sfi::JOURNEY, 1, 48)).sw,
            Sw::RECORD_NOT_FOUND
        );
        let mac1 = tap.mac1(&mut card, &mut sam, &init, context.finish());
        let debit = purse::debit(mac1.terminal_seq, time(), mac1.mac1);
        let debited = Debited::from_debit(&ask(&mut card, &debit)).unwrap();
        put(&mut sam, &sam::credit(debited.mac2));
        assert_eq!(
            ask(&mut card, &apdu::read_record(sfi::JOURNEY, 1, 48)),
            journey
        );
        assert_eq!(
            ask(&mut card, &apdu::read_record(sfi::METRO, 1, 128)),
            metro
        );
        assert_eq!(host::balance(&mut card).unwrap(), Fen(9_700));
    }
}

/// Published worked examples of PBOC, answered by the card itself: load MAC1 (key 3F01 x 8) and a
/// purchase with key 11223344..11 whose MAC1 the card must accept and whose MAC2 it must answer.
#[test]
fn published_pboc_vectors_through_the_card() {
    use hex_literal::hex;
    let mut card = common::vector_card();
    put(&mut card, &apdu::select(aid::T_UNION));
    put(&mut card, &apdu::verify(0, &sample::PIN_BYTES));
    let load = InitRequest {
        kid: 1,
        amount: Fen(0x1234),
        terminal: "000000000001".parse().unwrap(),
    };
    let answer = ask(&mut card, &load.load().unwrap());
    assert_eq!(answer, hex!("00000000 0000 01 00 F9CABA91 6C394D64"));
    let dlk = card_spec::suite::Key::new(hex!("3F013F013F013F013F013F013F013F01"));
    let facts = mac::Load {
        amount: load.amount,
        tx: TxType::Load,
        terminal: load.terminal,
        seq: 0,
        rnd: hex!("F9CABA91"),
        balance_before: Fen::ZERO,
    };
    let mac2 = facts.mac2(SuiteId::Tdes, &dlk, time());
    put(&mut card, &purse::credit_for_load(time(), mac2));

    let purchase = InitRequest {
        kid: 1,
        amount: Fen(0x1000),
        terminal: "001122334455".parse().unwrap(),
    };
    let answer = ask(&mut card, &purchase.purchase().unwrap());
    assert_eq!(
        PurchaseInit::from_bytes(&answer).unwrap().rnd,
        hex!("11223344")
    );
    let time = "2012-02-29T13:51:00".parse().unwrap();
    let answer = ask(&mut card, &purse::debit(1, time, hex!("F15CAB75")));
    assert_eq!(Debited::from_debit(&answer).unwrap().mac2, hex!("56988A13"));
}

#[test]
fn fci_and_files_as_readers_ask_for_them() {
    let mut card = card(SuiteId::Aes);
    let fci = ask(&mut card, &apdu::select(aid::T_UNION));
    assert_eq!(fci[..4], [0x6F, 0x34, 0x84, 0x08]);
    let file15 = ask(&mut card, &apdu::read_binary(sfi::PUBLIC, 0, 30));
    assert_eq!(fci[21..51], file15);
    assert_eq!(fci[51..], [0xC1, 0x01, 0x84], "interoperable, a test card");
    assert_eq!(
        ask(&mut card, &apdu::read_binary(sfi::REGION, 0, 11)).len(),
        11
    );
    assert_eq!(
        ask(&mut card, &apdu::read_binary(sfi::REGION, 0, 60)).len(),
        60
    );
    assert_eq!(
        ask(&mut card, &apdu::read_binary(sfi::HOLDER, 0, 256)).len(),
        55
    );
    for (p1, expected) in [(0, 10_000), (1, 0), (2, 0), (3, 10_000)] {
        let balance = ask(&mut card, &apdu::read(0x80, 0x5C, p1, 2, Some(4)));
        assert_eq!(
            u32::from_be_bytes(balance.try_into().unwrap()),
            expected,
            "P1 {p1:02X}"
        );
    }
    let mut buffer = [0; 258];
    // Le of one more than there is, Le 00, no Le at all: data; Le too short for a record: 6C.
    for command in [
        &[0x80, 0x5C, 0, 2, 5][..],
        &[0x80, 0x5C, 0, 2, 0],
        &[0x80, 0x5C, 0, 2],
    ] {
        assert_eq!(card.transmit(command, &mut buffer), Ok(6));
    }
    assert_eq!(
        card.transmit(&[0x00, 0xB2, 1, 0xC4, 0x10], &mut buffer),
        Ok(2)
    );
    assert_eq!(buffer[..2], [0x6C, 23]);
}

#[test]
fn cyclic_files_keep_the_last_ten() {
    let mut card = card(SuiteId::Aes);
    let mut sam = sam_for(class::TRANSIT);
    select_purse(&mut card);
    for amount in 1..=12 {
        Tap::new(Fen(amount)).pay(&mut card, &mut sam);
    }
    for number in 1..=10u8 {
        let record = ask(&mut card, &apdu::read_record(sfi::LOG, number, 23));
        let record = files::LogRecord::from_bytes(&record).unwrap();
        assert_eq!(record.amount, Fen(13 - i64::from(number)));
    }
    let beyond = send(&mut card, &apdu::read_record(sfi::LOG, 11, 23));
    assert_eq!(beyond.sw, Sw::RECORD_NOT_FOUND);
}
