//! Personalisation end to end: soft HSM, virtual cards, virtual SAMs, and then the commands that
//! terminals send.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{
    Channel, ChannelError, Fen, SuiteId, Sw, aid, apdu,
    channel::exchange,
    id::{RegionCode, SamNo},
    keys::{class, ssse_f2, ssse_kid},
    medical::{self, Split},
    purse::{
        self, Debited, InitRequest, LoadInit, PurchaseInit, TxType, files::Public, mac::Context,
    },
    sam::{self, InitForPurchase, Mac1},
    ssse::{self, Profile, record_value, tag},
};
use clearing_api::registry;
use common::{FIFTY, Rig, chip, persons};
use ed25519_dalek::Signer;
use hsm_client::{Account, CardRef, Hold, Hsm, LoadRequest, ProofCheck};
use issuance::{
    Issued,
    intake::Rules,
    life::CardState,
    order::CardOptions,
    personalise::{ChipSerial, Expect, PersonaliseError, Station},
    plan::{CardPlan, SamKind, SamPlan},
    register::Registry,
    store::Work,
};
use std::cell::RefCell;
use virtual_card::VirtualCard;

fn ask(channel: &mut dyn Channel, command: &[u8]) -> Vec<u8> {
    let reply = exchange(channel, command).unwrap();
    assert_eq!(
        reply.sw,
        Sw::OK,
        "{:02X?}",
        &command[..5.min(command.len())]
    );
    reply.data.to_vec()
}

fn make_sam(rig: &Rig, n: u16, kind: SamKind, suites: &[SuiteId]) -> (VirtualCard, SamPlan) {
    let number: SamNo = format!("3501000000{n:02}").parse().unwrap();
    let regions: Vec<RegionCode> = Rules::fujian(rig.now.date()).regions.into_iter().collect();
    let plan = SamPlan::new(number, kind, suites, &regions, 1000).unwrap();
    let mut card = rig.blank(n);
    let mut count = 0u64;
    let mut challenge = || {
        count += 1;
        count.to_be_bytes()
    };
    let finished = Station::new(&*rig.hsm, &mut challenge, &mut ())
        .sam(&mut card, &plan, Expect::Blank)
        .unwrap();
    assert_eq!((finished.compared, finished.letter), (3, None));
    card.power_cycle();
    (card, plan)
}

fn card_ref(issued: &Issued) -> CardRef {
    issued.plan.card_ref()
}

fn pin(issued: &Issued) -> Vec<u8> {
    hex::decode(issued.finished.letter.as_ref().unwrap().reveal()).unwrap()
}

/// Loads fifty yuan as a POS does: PIN, INIT, hold, MAC2 from the HSM, CREDIT.
fn load(rig: &Rig, card: &mut VirtualCard, issued: &Issued, suite: SuiteId) {
    let terminal: SamNo = "350100000099".parse().unwrap();
    ask(card, &apdu::select(aid::T_UNION));
    ask(card, &apdu::verify(0, &pin(issued)));
    let request = InitRequest {
        kid: 1,
        amount: FIFTY,
        terminal,
    };
    let init = LoadInit::from_bytes(&ask(card, &request.load().unwrap())).unwrap();
    assert_eq!((init.suite, init.balance), (suite, Fen::ZERO));
    let hold = Hold {
        hold_id: "h1".to_owned(),
        pan: issued.plan.pan,
        account: Account::Purse,
        seq: init.seq,
        amount: FIFTY,
        time: rig.now,
    };
    let signature = rig.ledger.sign(&hold.signing_bytes()).to_bytes().to_vec();
    let mac2 = rig
        .hsm
        .authorize_load(&LoadRequest {
            card: card_ref(issued),
            suite,
            version: init.key_version,
            terminal,
            rnd: init.rnd,
            balance_before: init.balance,
            mac1: init.mac1,
            hold,
            hold_signature: signature,
        })
        .unwrap();
    ask(card, &purse::credit_for_load(rig.now, mac2));
}

/// One bus tap as a validator does it.
fn debit(rig: &Rig, card: &mut VirtualCard, psam: &mut VirtualCard, issued: &Issued, kid: u8) {
    let amount = Fen(200);
    let terminal = sam::terminal_no(&ask(psam, &sam::read_terminal_no())).unwrap();
    let public = Public::from_fci(&ask(card, &apdu::select(aid::T_UNION))).unwrap();
    assert_eq!(public.pan, issued.plan.pan);
    let request = InitRequest {
        kid,
        amount,
        terminal,
    };
    let init = PurchaseInit::from_bytes(&ask(card, &request.purchase().unwrap())).unwrap();
    let ask_sam = InitForPurchase::new(
        &init,
        amount,
        TxType::Purchase,
        rig.now,
        public.pan.serial8(),
        public.issuer,
        Context::default(),
    );
    let mac1 = Mac1::from_bytes(&ask(psam, &ask_sam.to_apdu().unwrap())).unwrap();
    let debit = purse::debit(mac1.terminal_seq, rig.now, mac1.mac1);
    let debited = Debited::from_debit(&ask(card, &debit)).unwrap();
    ask(psam, &sam::credit(debited.mac2));
    let balance_after = Fen(init.balance.0 - amount.0);
    let check = ProofCheck::Purchase {
        card: card_ref(issued),
        suite: init.suite,
        version: 1,
        amount,
        tx: TxType::Purchase,
        terminal,
        terminal_seq: mac1.terminal_seq,
        time: rig.now,
        seq: init.seq,
        balance_after,
        context: Context::default(),
        tac: debited.tac,
    };
    assert_eq!(rig.hsm.verify(&[check]).unwrap(), [Ok(true)]);
    assert_eq!(
        ask(card, &purse::get_balance()),
        balance_after.to_card().unwrap()
    );
}

/// Proves a reading key to the card through a social-security SAM.
fn authenticate(card: &mut VirtualCard, psam: &mut VirtualCard, region: RegionCode) {
    ask(card, &apdu::select(aid::SSSE));
    let f1 = ssse::f1_from_atr(card.atr()).unwrap();
    let challenge: [u8; 8] = ask(card, &apdu::get_challenge(8)).try_into().unwrap();
    ask(psam, &apdu::select(aid::SSSE_SAM));
    ask(
        psam,
        &sam::ssse_deliver(ssse_kid::READ_V3, f1, ssse_f2(region), challenge, None),
    );
    let terminal = [1, 2, 3, 4, 5, 6, 7, 8];
    let cryptogram = ask(psam, &sam::encrypt(terminal)).try_into().unwrap();
    ask(
        card,
        &ssse::external_authenticate(ssse_kid::READ_V3, cryptogram, terminal),
    );
}

#[test]
fn a_v3_aes_card_serves_bus_shop_window_and_hospital() {
    let rig = Rig::new();
    let people = persons();
    let work = rig.order(&people[..1], CardOptions::default());
    let mut card = rig.blank(1);
    let issued = rig.issue(&work[0], &mut card, Expect::Blank).unwrap();
    // Files 15 16 17 and balance; seven records in EF05 and in EF06; the medical balance; two and
    // five records of the health data, read under its key.
    assert_eq!(issued.finished.compared, 4 + 14 + 1 + 7);
    assert_eq!(issued.finished.chip, ChipSerial(chip(1)));
    assert_eq!(state(&rig, &work[0]), CardState::Checked);
    card.power_cycle();
    assert_eq!(card.atr(), ssse::atr(work[0].pan.serial8()));

    // The holder makes the signing key under the PIN of the letter.
    ask(&mut card, &apdu::select(aid::PKI_CERTIFICATES));
    ask(&mut card, &apdu::verify(0, &pin(&issued)));
    ask(&mut card, &card_spec::pki::generate_key_pair());

    load(&rig, &mut card, &issued, SuiteId::Aes);
    let (mut bus, _) = make_sam(&rig, 11, SamKind::Purchase(class::TRANSIT), &[SuiteId::Aes]);
    debit(&rig, &mut card, &mut bus, &issued, class::TRANSIT);
    let (mut shop, _) = make_sam(&rig, 12, SamKind::Purchase(class::RETAIL), &SuiteId::ALL);
    debit(&rig, &mut card, &mut shop, &issued, class::RETAIL);

    let (mut window, _) = make_sam(&rig, 13, SamKind::Social, &[SuiteId::Aes]);
    let read = ssse::read_by_number(6, 1, tag::SSN);
    ask(&mut card, &apdu::select(aid::SSSE));
    assert_eq!(exchange(&mut card, &read).unwrap().sw, Sw::SECURITY);
    authenticate(&mut card, &mut window, issued.plan.region);
    let ssn = ask(&mut card, &read);
    assert_eq!(
        record_value(&ssn, tag::SSN.0),
        Ok(&people[0].certno.as_bytes()[..])
    );
    hospital(&rig, &mut card, &mut window, &issued);
}

/// Registration to settlement, as far as the card takes part.
fn hospital(rig: &Rig, card: &mut VirtualCard, window: &mut VirtualCard, issued: &Issued) {
    let split = Split {
        personal: Fen(452),
        self_paid: Fen(0),
        pooled: Fen(100),
    };
    ask(card, &apdu::select(aid::SSSE));
    ask(card, &apdu::verify(0, &pin(issued)));
    ask(card, &apdu::select(aid::SSSE_MEDICAL));
    let terminal = sam::terminal_no(&ask(window, &sam::read_terminal_no())).unwrap();
    let init = ask(card, &medical::init_purchase(1, split, terminal).unwrap());
    let init = medical::PurchaseInit::from_bytes(&init).unwrap();
    assert_eq!(init.balance, issued.plan.medical_balance);
    let f1 = ssse::f1(issued.plan.pan);
    let command = medical::psam_init(&init, split, rig.now, f1, issued.plan.region).unwrap();
    let mac1 = Mac1::from_bytes(&ask(window, &command)).unwrap();
    let debit = medical::debit(mac1.terminal_seq, rig.now, mac1.mac1);
    let debited = Debited::from_debit(&ask(card, &debit)).unwrap();
    ask(window, &sam::credit(debited.mac2));
    let check = ProofCheck::Visit {
        card: card_ref(issued),
        suite: init.suite,
        version: init.key_version,
        split,
        terminal,
        terminal_seq: mac1.terminal_seq,
        time: rig.now,
        seq: init.seq,
        balance_after: Fen(init.balance.0 - 452),
        tac: debited.tac,
    };
    assert_eq!(rig.hsm.verify(&[check]).unwrap(), [Ok(true)]);
}

#[test]
fn every_suite_and_profile_is_issued_and_pays() {
    let rig = Rig::new();
    let people = persons();
    let mut n = 0;
    for suite in SuiteId::ALL {
        let (mut psam, _) = make_sam(
            &rig,
            60 + suite as u16,
            SamKind::Purchase(class::PARKING_TAXI),
            &[suite],
        );
        for profile in [Profile::V1, Profile::V2, Profile::V3] {
            let options = CardOptions { suite, profile };
            let work = rig.order(&people[n..=n], options);
            n += 1;
            let mut card = rig.blank(20 + n as u16);
            let issued = rig.issue(&work[0], &mut card, Expect::Blank).unwrap();
            card.power_cycle();
            load(&rig, &mut card, &issued, suite);
            debit(&rig, &mut card, &mut psam, &issued, class::PARKING_TAXI);
            ask(&mut card, &apdu::select(aid::SSSE));
            let sex = exchange(&mut card, &ssse::read_by_number(6, 1, tag::SSN)).unwrap();
            assert_eq!(sex.sw == Sw::OK, profile != Profile::V3);
        }
    }
}

#[test]
fn rare_names_reach_the_card_whole() {
    let rig = Rig::new();
    let mut rare: Vec<_> = persons();
    rare.retain(|p| {
        p.name
            .as_str()
            .chars()
            .any(|c| u32::from(c) > 0xFFFF || c == '\u{3447}')
    });
    let mut long = persons();
    long.retain(|p| p.name.as_str().chars().count() > 14);
    assert!(
        rare.len() >= 3 && long.len() >= 3,
        "the sample has such names"
    );
    let v2 = CardOptions {
        profile: Profile::V2,
        ..CardOptions::default()
    };
    for (n, person) in (30..).zip([&rare[0], &rare[1], &long[0]]) {
        let work = rig.order(core::slice::from_ref(person), v2);
        let mut card = rig.blank(n);
        rig.issue(&work[0], &mut card, Expect::Blank).unwrap();
        ask(&mut card, &apdu::select(aid::SSSE));
        let mut bytes = Vec::new();
        for (number, field) in [(2, tag::NAME), (3, tag::NAME_EXT)] {
            let record = ask(&mut card, &ssse::read_by_number(6, number, field));
            let value = record_value(&record, field.0).unwrap();
            let end = value.iter().rposition(|b| *b != 0).map_or(0, |n| n + 1);
            bytes.extend_from_slice(&value[..end]);
        }
        let (text, _) = encoding_rs::GB18030.decode_without_bom_handling(&bytes);
        assert_eq!(text, person.name.as_str());
    }
}

#[test]
fn what_is_not_a_blank_is_refused_before_anything_is_written() {
    let rig = Rig::new();
    let people = persons();
    let work = rig.order(&people[..2], CardOptions::default());
    let mut card = rig.blank(40);
    rig.issue(&work[0], &mut card, Expect::Blank).unwrap();
    let image = card.image().to_vec();
    let again = rig.issue(&work[1], &mut card, Expect::Blank).unwrap_err();
    assert!(
        again.untouched() && again.to_string().contains(&work[0].pan.to_string()),
        "{again}"
    );
    assert_eq!(card.image(), image);
    let same = rig.issue(&work[0], &mut card, Expect::Blank).unwrap_err();
    assert!(
        same.untouched() && same.to_string().contains("personalised before"),
        "{same}"
    );
    assert_eq!(card.image(), image);
    let (mut psam, _) = make_sam(&rig, 41, SamKind::Social, &[SuiteId::Aes]);
    let sam = rig.issue(&work[1], &mut psam, Expect::Blank).unwrap_err();
    assert!(sam.untouched(), "{sam}");
}

#[test]
fn a_sample_card_and_foreign_transport_keys_are_refused() {
    let rig = Rig::new();
    let work = rig.order(&persons()[..1], CardOptions::default());
    let mut sample = virtual_card::sample::Sample::new(SuiteId::Aes, Profile::V2)
        .card([1; 32])
        .unwrap();
    let refused = rig.issue(&work[0], &mut sample, Expect::Blank).unwrap_err();
    assert!(
        matches!(
            &refused,
            issuance::IssueError::Station(PersonaliseError::Sample { .. })
        ),
        "{refused}"
    );
    // A blank of another maker: its cryptogram does not verify in the HSM.
    let keys = rig.maker.transport_keys(chip(50)).unwrap();
    let mut foreign = VirtualCard::blank(chip(51), keys, [1; 32]).unwrap();
    let refused = rig
        .issue(&work[0], &mut foreign, Expect::Blank)
        .unwrap_err();
    assert!(refused.to_string().contains("HSM 3"), "{refused}");
}

/// Changes one byte of the answer to the n-th READ RECORD.
struct Worn<'a>(&'a mut VirtualCard, u32);

impl Channel for Worn<'_> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let n = self.0.transmit(command, response)?;
        if command.starts_with(&[0x00, 0xB2]) {
            self.1 = self.1.wrapping_sub(1);
            if self.1 == 0 {
                response[2] ^= 0x01;
            }
        }
        Ok(n)
    }
    fn atr(&self) -> &[u8] {
        self.0.atr()
    }
}

#[test]
fn a_byte_that_reads_back_differently_is_found_and_the_card_is_not_secured() {
    let rig = Rig::new();
    let works = rig.order(&persons()[..14], CardOptions::default());
    for (n, work) in (1u16..).zip(&works) {
        let mut card = rig.blank(n);
        let error = rig
            .issue(work, &mut Worn(&mut card, n.into()), Expect::Blank)
            .unwrap_err();
        assert!(
            error
                .to_string()
                .contains("differs from the plan at byte 2"),
            "{error}"
        );
        assert!(!error.resumable() && !error.untouched());
        // Not SECURED: an opening balance is still taken, as it is when the work is done again.
        let begun = Expect::Torn(ChipSerial(chip(n)));
        rig.issue(work, &mut card, begun).unwrap();
        assert_eq!(state(&rig, work), CardState::Checked);
    }
}

fn state(rig: &Rig, work: &Work) -> CardState {
    rig.office
        .wait(rig.office.store().card(work.pan))
        .unwrap()
        .unwrap()
        .state
}

/// Keeps what it is told.
#[derive(Default)]
struct Ledger(RefCell<Vec<String>>, Option<usize>);

impl Ledger {
    fn note(&self, what: String) -> Result<(), String> {
        if self.1 == Some(self.0.borrow().len()) {
            return Err("closed for the night".to_owned());
        }
        self.0.borrow_mut().push(what);
        Ok(())
    }
}

impl Registry for Ledger {
    fn insured(&self, insured: &registry::Insured) -> Result<(), String> {
        self.note(format!("{} {}", insured.psn_no, insured.insutype))
    }
    fn card(&self, card: &registry::Card) -> Result<(), String> {
        self.note(format!(
            "{} {} {}",
            card.pan, card.generation.0, card.psn_no
        ))
    }
    fn sam(&self, sam: &registry::Sam) -> Result<(), String> {
        self.note(format!("{} {} {}", sam.sam, sam.class, sam.operator))
    }
}

#[test]
fn clearing_hears_of_holders_before_their_cards() {
    let rig = Rig::new();
    let people = persons();
    let works = rig.order(&people[..2], CardOptions::default());
    let issued: Vec<Issued> = (1u16..)
        .zip(&works)
        .map(|(n, work)| rig.issue(work, &mut rig.blank(n), Expect::Blank).unwrap())
        .collect();
    let ledger = Ledger::default();
    assert_eq!(issuance::register::all(&ledger, &issued), Ok(2));
    let told = ledger.0.borrow().clone();
    assert_eq!(told[0], format!("{} 310", people[0].psn_no));
    assert_eq!(told[1], format!("{} 1 {}", works[0].pan, people[0].psn_no));
    let closing = Ledger(RefCell::default(), Some(3));
    let stopped = issuance::register::all(&closing, &issued).unwrap_err();
    assert_eq!((stopped.what, stopped.done), (works[1].pan.to_string(), 1));
}

#[test]
fn two_runs_from_the_same_seeds_give_the_same_card() {
    let image = || {
        let rig = Rig::new();
        let work = rig.order(&persons()[..1], CardOptions::default());
        let mut card = rig.blank(1);
        let issued = rig.issue(&work[0], &mut card, Expect::Blank).unwrap();
        (
            card.image().to_vec(),
            issued.finished.letter.unwrap().reveal().to_owned(),
        )
    };
    assert_eq!(image(), image());
}

/// Intake promises that whoever it accepts can have a card; the profile with most room is issued.
#[test]
fn every_accepted_sample_person_can_have_a_card() {
    let rig = Rig::new();
    let works = rig.order(&persons(), CardOptions::default());
    assert_eq!(works.len(), 540);
    for work in works {
        let plan = CardPlan::new(
            &work.person,
            work.pan,
            work.generation,
            work.options,
            work.valid_from,
            &rig.policy,
        );
        assert!(plan.is_ok(), "{}: {:?}", work.person.psn_no, plan.err());
    }
}
