//! Hospital window and kiosk on sample card and social-security SAM; the platform is a small fake
//! that answers with the published message (bill 4.52, all from the personal account).
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Fen, SuiteId,
    keys::{KeyHeader, KeyType, class, ssse_kid, ssse_process_key},
    medical::{self, Split},
    ssse::Profile,
};
use clearing_api::record::{Debit, Event, loss_challenge, presence_challenge};
use common::{
    ward::{AT, Ward, pin, randoms},
    *,
};
use serde_json::json;
use terminal::{Code, Verdict};
use virtual_card::{
    Cut, VirtualCard,
    sample::{self, Sample},
};

#[test]
fn a_visit_from_card_to_slip_in_every_profile() {
    for profile in [Profile::V1, Profile::V2, Profile::V3] {
        let mut ward = Ward::new(profile);
        let mut quoted = ward.quote().unwrap();
        assert_eq!(quoted.setlinfo.acct_pay.fen(), Fen(452));
        assert_eq!(
            ward.balance(),
            Fen::yuan(500),
            "nothing is paid before the PIN"
        );
        let settlement = ward.settle(&mut quoted, sample::PIN);
        assert_eq!(
            settlement.result.code,
            Code::Settled,
            "{:?}",
            settlement.result
        );
        let slip = settlement.slip.unwrap();
        assert_eq!(slip.card_balance, Some(Fen(50_000 - 452)));
        assert_eq!((slip.name.as_str(), slip.lines.len()), ("样卡", 1));
        assert_eq!(ward.balance(), Fen(50_000 - 452));
        assert_eq!(
            ward.platform.infnos(),
            ["9001", "1101", "2201", "2204", "2206", "2207"]
        );
        // The card identifies itself by number and generation.
        let person = &ward.platform.calls[1].1["data"];
        assert_eq!(person["mdtrt_cert_no"], sample::PAN);
        assert_eq!(
            (&person["mdtrt_cert_type"], &person["card_sn"]),
            (&json!("03"), &json!("1"))
        );

        let record = ward.window.journal().waiting().next().unwrap().clone();
        let Event::Visit(visit) = record.event else {
            panic!("visit")
        };
        assert_eq!(visit.setl_id, "SETL1");
        assert_eq!(
            visit.split,
            Split {
                personal: Fen(452),
                ..Split::default()
            }
        );
        let Debit::Done { tac } = visit.debit else {
            panic!("done")
        };
        let header = KeyHeader {
            key_type: KeyType::Mtk,
            index: class::ONLY,
            version: 1,
            suite: SuiteId::Aes,
        };
        let facts = medical::Visit {
            split: visit.split,
            terminal: visit.sam,
            terminal_seq: visit.terminal_seq,
            time: visit.time,
            seq: visit.seq,
            rnd: [0; 4],
        };
        let mtk = sample::card_key(header).unwrap();
        assert_eq!(facts.tac(SuiteId::Aes, &mtk, visit.balance_after), tac);
    }
}

#[test]
fn a_wrong_pin_settles_nothing_and_may_be_repeated() {
    let mut ward = Ward::new(Profile::V3);
    let mut quoted = ward.quote().unwrap();
    let wrong = ward.settle(&mut quoted, "000000");
    assert_eq!((wrong.result.code, wrong.slip), (Code::PinWrong, None));
    assert!(!ward.platform.infnos().contains(&"2207"));
    assert_eq!(
        ward.settle(&mut quoted, sample::PIN).result.code,
        Code::Settled
    );
}

#[test]
fn a_debit_that_the_card_refuses_reverses_the_settlement() {
    let mut ward = Ward::new(Profile::V3);
    ward.platform.acct_pay = "500.01";
    let mut quoted = ward.quote().unwrap();
    let settlement = ward.settle(&mut quoted, sample::PIN);
    assert_eq!(
        settlement.result.code,
        Code::Insufficient,
        "{:?}",
        settlement.result
    );
    assert_eq!(settlement.slip, None);
    let (infno, input) = ward.platform.calls.last().unwrap();
    assert_eq!(
        (infno.as_str(), &input["data"]["setl_id"]),
        ("2208", &json!("SETL1"))
    );
    assert_eq!(ward.balance(), Fen::yuan(500));
    assert_eq!(ward.window.journal().waiting().len(), 0);
    // The message is used up: settling it again would pay a reversed bill.
    assert_eq!(
        ward.settle(&mut quoted, sample::PIN).result.code,
        Code::MedicalRefused
    );
}

#[test]
fn a_lost_answer_is_asked_for_with_the_same_message_id() {
    let mut ward = Ward::new(Profile::V3);
    ward.platform.lose = Some("2207");
    let mut quoted = ward.quote().unwrap();
    assert_eq!(
        ward.settle(&mut quoted, sample::PIN).result.code,
        Code::Settled
    );
    let ids = &ward.platform.msgids;
    assert_eq!(ids[ids.len() - 1], ids[ids.len() - 2]);
}

#[test]
fn a_torn_medical_debit_is_paid_once() {
    for after in [false, true] {
        let mut ward = Ward::new(Profile::V3);
        let mut quoted = ward.quote().unwrap();
        let (cla, ins, nth) = (0xB0, 0x2C, 1);
        ward.card.script(Some(match after {
            true => Cut::AfterApdu { cla, ins, nth },
            false => Cut::BeforeApdu { cla, ins, nth },
        }));
        let torn = ward.settle(&mut quoted, sample::PIN);
        assert_eq!(torn.result.code, Code::SameCardAgain);
        assert!(torn.slip.is_some(), "the settlement exists");
        assert!(ward.window.is_waiting());
        assert!(ward.quote().is_err(), "one card at a time");
        let (card, sam) = (&mut ward.card, &mut ward.sam);
        let back = ward.window.resume(card, sam, pin(sample::PIN), time(AT));
        let debits: Vec<Debit> = ward
            .window
            .journal()
            .waiting()
            .map(|r| match &r.event {
                Event::Visit(visit) => visit.debit,
                other => panic!("{other:?}"),
            })
            .collect();
        if after {
            assert_eq!(
                (back.code, debits.as_slice()),
                (Code::NotProved, &[Debit::Unknown][..])
            );
        } else {
            assert_eq!(back.code, Code::Settled, "{back:?}");
            assert_eq!(debits[0], Debit::NotDone);
            assert!(matches!(debits[1], Debit::Done { .. }));
        }
        assert_eq!(ward.balance(), Fen(50_000 - 452));
        assert!(!ward.platform.infnos().contains(&"2208"));
    }
}

#[test]
fn the_platform_must_know_the_holder() {
    let mut ward = Ward::new(Profile::V3);
    ward.platform.certno = "110105194912310022".into();
    let refused = ward.quote().unwrap_err();
    assert_eq!(refused.code, Code::OtherPerson);
    assert_eq!(ward.platform.infnos(), ["9001", "1101"]);
}

#[test]
fn proof_of_life_is_bound_to_device_record_and_time() {
    let mut kiosk = issuer::kiosk();
    let mut card = Sample::new(SuiteId::Aes, Profile::V3)
        .card([6; 32])
        .unwrap();
    let mut sam = social_sam();
    let mut prove = |card: &mut VirtualCard, digits: &str| {
        kiosk.proof_of_life(card, &mut sam, pin(digits), time(AT), randoms())
    };
    assert_eq!(prove(&mut card, "111111").code, Code::PinWrong);
    let result = prove(&mut card, sample::PIN);
    assert_eq!(
        (result.code, result.verdict),
        (Code::PresenceProved, Verdict::Open),
        "{result:?}"
    );
    let records: Vec<_> = kiosk.journal().waiting().cloned().collect();
    assert_eq!(records.len(), 1);
    let Event::ProofOfLife(proof) = &records[0].event else {
        panic!("proof")
    };
    assert!(proof.pin_verified);
    let header = KeyHeader {
        key_type: KeyType::Irk,
        index: ssse_kid::INTERNAL,
        version: 1,
        suite: SuiteId::Aes,
    };
    let challenge = presence_challenge(site("").device, 1, time(AT));
    let irk = sample::card_key(header).unwrap();
    let process = ssse_process_key(&irk, SuiteId::Aes, &challenge);
    assert_eq!(
        process.cryptogram8(SuiteId::Aes, &challenge),
        proof.cryptogram
    );
}

#[test]
fn a_report_of_the_card_needs_its_pin_and_is_no_proof_of_life() {
    let (mut kiosk, mut sam) = (issuer::kiosk(), social_sam());
    let mut card = Sample::new(SuiteId::Sm4, Profile::V3)
        .card([6; 32])
        .unwrap();
    let mut report =
        |digits: &str| kiosk.report_loss(&mut card, &mut sam, pin(digits), time(AT), randoms());
    assert_eq!(report("111111").code, Code::PinWrong);
    let reported = report(sample::PIN);
    assert_eq!(
        (reported.code, &*reported.journal),
        (Code::Reported, &[1][..])
    );
    let records: Vec<_> = kiosk.journal().waiting().cloned().collect();
    let [Event::LossReport(report)] = records.iter().map(|r| &r.event).collect::<Vec<_>>()[..]
    else {
        panic!("one report: {records:?}")
    };
    let header = KeyHeader {
        key_type: KeyType::Irk,
        index: ssse_kid::INTERNAL,
        version: 1,
        suite: SuiteId::Sm4,
    };
    let irk = sample::card_key(header).unwrap();
    let answer = |challenge| {
        ssse_process_key(&irk, SuiteId::Sm4, &challenge).cryptogram8(SuiteId::Sm4, &challenge)
    };
    let device = site("").device;
    assert_eq!(
        answer(loss_challenge(device, 1, time(AT))),
        report.cryptogram
    );
    assert_ne!(
        answer(presence_challenge(device, 1, time(AT))),
        report.cryptogram
    );
}

#[test]
fn a_card_without_the_issuers_key_is_not_authentic() {
    let mut kiosk = issuer::kiosk();
    let mut genuine = Sample::new(SuiteId::Aes, Profile::V2)
        .card([6; 32])
        .unwrap();
    let change = |command: &[u8], answer: &mut Vec<u8>| {
        if command.starts_with(&[0x00, 0x88]) {
            answer[0] ^= 0x80;
        }
    };
    let mut emulator = Meddler {
        card: &mut genuine,
        change,
    };
    let mut sam = social_sam();
    let result = kiosk.proof_of_life(
        &mut emulator,
        &mut sam,
        pin(sample::PIN),
        time(AT),
        randoms(),
    );
    assert_eq!(result.code, Code::NotAuthentic, "{result:?}");
    assert_eq!(kiosk.journal().waiting().len(), 0);
}
