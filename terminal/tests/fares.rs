//! What a card remembers of fares, from tap to tap: transfers, passes, caps, other cities; and the
//! commands that each flow sends, in order.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use std::sync::Arc;

use card_spec::{
    Channel, ChannelError, Fen, SuiteId, aid, apdu,
    keys::class,
    purse::files::{Brief, Metro},
    ssse::Profile,
    time::CardTime,
};
use clearing_api::record::{Debit, Service};
use common::*;
use fare::{CityCode, FareState, FareStates, Tariffs, Travel};
use terminal::{
    Code, Verdict,
    device::{
        BusValidator, CardView, MetroEntryGate, MetroExitGate, Offer, PassSale, Reads, Seller, Site,
    },
    result::Refusal,
};
use virtual_card::{Cut, VirtualCard, sample::Sample};

/// Instruction and P2 of each command.
struct Log<'a> {
    card: &'a mut VirtualCard,
    seen: Vec<(u8, u8)>,
}

impl Channel for Log<'_> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        self.seen.push((command[1], command[3]));
        self.card.transmit(command, response)
    }
    fn atr(&self) -> &[u8] {
        self.card.atr()
    }
}

fn commands(rig: &mut Rig, at: &str, seller: &dyn Seller) -> Vec<(u8, u8)> {
    let mut log = Log {
        card: &mut rig.card,
        seen: Vec::new(),
    };
    let result = rig.terminal.tap(&mut log, &mut rig.sam, time(at), seller);
    assert_eq!(result.verdict, Verdict::Open, "{result:?}");
    log.seen
}

const SELECT: (u8, u8) = (0xA4, 0x00);
const INIT: (u8, u8) = (0x50, 0x02);
const DEBIT: (u8, u8) = (0x54, 0x00);
/// READ RECORD of file 1A, and UPDATE CAPP DATA CACHE of files 1A, 1B, 1E.
const READ_1A: (u8, u8) = (0xB2, 0xD4);
const READ_1E: (u8, u8) = (0xB2, 0xF4);
const WRITE_1A: (u8, u8) = (0xDC, 0xD4);
const WRITE_1B: (u8, u8) = (0xDC, 0xD8);
const WRITE_1E: (u8, u8) = (0xDC, 0xF0);

fn xiamen() -> Site {
    Site {
        region: "350200".parse().unwrap(),
        ..site("XMBUS")
    }
}

fn xiamen_bus(route: &str) -> BusValidator {
    BusValidator::new(xiamen(), tariffs(), route.into()).unwrap()
}

fn entry() -> MetroEntryGate {
    MetroEntryGate::new(site("FZMTR"), tariffs(), &"FZM1".into(), "FZM101".into()).unwrap()
}

fn exit() -> MetroExitGate {
    MetroExitGate::new(site("FZMTR"), tariffs(), &"FZM1".into(), "FZM103".into()).unwrap()
}

fn pass(tariffs: Arc<Tariffs>, pass: &str) -> PassSale {
    PassSale {
        site: site("FZBUS"),
        tariffs,
        pass: pass.to_owned(),
        from: time("2026-11-01T12:00:00"),
    }
}

/// What the card holds for a city, whichever record it is in.
fn state(card: &mut VirtualCard, city: &str) -> FareState {
    let mut response = [0; 258];
    let length = card
        .transmit(&apdu::select(aid::T_UNION), &mut response)
        .unwrap();
    let brief = Brief::from_fci(&response[..length - 2]).unwrap();
    let travel = Travel::from_bytes(brief.travel);
    let mut record = [0; 258];
    card.transmit(&apdu::read_record(0x1A, 2, 128), &mut record)
        .unwrap();
    let states = FareStates::from_bytes(record[..128].try_into().unwrap());
    let city: card_spec::id::RegionCode = city.parse().unwrap();
    travel.state(city.into(), Some(&states)).unwrap()
}

#[test]
fn each_flow_sends_these_commands_and_no_others() {
    let mut rig = Rig::transit(SuiteId::Aes);
    // A suburban route takes part in nothing: nothing is left for the next tap.
    let flat = bus("FZB39");
    for at in ["2026-11-23T06:00:00", "2026-11-23T07:00:00"] {
        assert_eq!(
            commands(&mut rig, at, &flat),
            [SELECT, INIT, WRITE_1E, DEBIT]
        );
    }
    let with_state = [SELECT, INIT, WRITE_1B, WRITE_1E, DEBIT];
    let first = commands(&mut rig, "2026-11-23T08:00:00", &bus("FZB17"));
    assert_eq!(first, with_state);
    let transfer = commands(&mut rig, "2026-11-23T08:10:00", &bus("FZB51"));
    assert_eq!(transfer, with_state);
    // An entry leaves the open window alone.
    let entered = commands(&mut rig, "2026-11-23T08:20:00", &entry());
    assert_eq!(entered, [SELECT, READ_1A, INIT, WRITE_1A, WRITE_1E, DEBIT]);
    let left = commands(&mut rig, "2026-11-23T08:40:00", &exit());
    assert_eq!(
        left,
        [SELECT, READ_1A, INIT, WRITE_1A, WRITE_1B, WRITE_1E, DEBIT]
    );
    // Another city: its state is looked for in record 2, and the first city's goes there.
    let away = [SELECT, READ_1A, INIT, WRITE_1A, WRITE_1B, WRITE_1E, DEBIT];
    let xiamen = commands(&mut rig, "2026-11-23T18:00:00", &xiamen_bus("XMB1"));
    assert_eq!(xiamen, away);
    let again = commands(&mut rig, "2026-11-23T18:30:00", &xiamen_bus("XMB21"));
    assert_eq!(again, with_state);
}

#[test]
fn a_card_that_tells_nothing_in_its_fci_goes_the_long_way() {
    // The suites of PBOC do not prove the FCI, so a changed one still pays.
    let mut rig = Rig::transit(SuiteId::Tdes);
    let tap = |rig: &mut Rig, at: &str, route: &str| {
        let change = |command: &[u8], answer: &mut Vec<u8>| {
            // File 15 ends at byte 51; there the brief begins.
            if command[1] == 0xA4 && answer[51] == 0xC1 {
                let gone = 2 + usize::from(answer[52]);
                answer.drain(51..51 + gone);
                answer[1] -= gone as u8;
            }
        };
        let mut card = Meddler {
            card: &mut rig.card,
            change,
        };
        rig.terminal
            .tap(&mut card, &mut rig.sam, time(at), &bus(route))
    };
    let first = tap(&mut rig, "2026-11-23T08:00:00", "FZB17");
    assert_eq!(first.amount, Some(Fen(90)), "{first:?}");
    let second = tap(&mut rig, "2026-11-23T08:10:00", "FZB51");
    assert_eq!(second.amount, Some(Fen(40)), "{second:?}");
    let Service::Bus { prior, state, .. } = &rig.purchases()[1].service else {
        panic!("bus")
    };
    assert_eq!((prior.as_ref().map(String::len), state), (Some(96), &None));
    // The same card, telling of itself, is read short.
    let mut log = Log {
        card: &mut rig.card,
        seen: Vec::new(),
    };
    let at = time("2026-11-23T12:00:00");
    let _ = rig.terminal.tap(&mut log, &mut rig.sam, at, &bus("FZB17"));
    assert!(!log.seen.contains(&READ_1E), "a card of ours is read short");
}

#[test]
fn a_pass_is_bought_ridden_and_used_up() {
    let mut counter = Rig::new(SuiteId::Aes, class::RETAIL);
    let sold = counter.tap("2026-11-02T08:00:00", &pass(tariffs(), "adult-100"));
    assert_eq!(
        (sold.code, sold.amount, sold.balance),
        (Code::PassSold, Some(Fen::yuan(50)), Some(Fen::yuan(50))),
        "{sold:?}"
    );
    assert!(counter.purchases().iter().all(tac_is_right));
    let again = counter.tap("2026-11-02T08:01:00", &pass(tariffs(), "adult-100"));
    assert_eq!(again.code, Code::NoPass, "{again:?}");
    let other = counter.tap("2026-11-02T08:02:00", &pass(tariffs(), "student-100"));
    assert_eq!(other.code, Code::NoPass, "not a student's card");
    let none = counter.tap("2026-11-02T08:03:00", &pass(tariffs(), "nonsense"));
    assert_eq!(none.code, Code::TariffFault, "{none:?}");

    let mut rig = Rig::transit(SuiteId::Aes);
    rig.card = counter.card;
    for ride in 0..100 {
        let at = format!("2026-11-{:02}T{:02}:00:00", 3 + ride / 10, 8 + ride % 10);
        let result = rig.tap(&at, &bus("FZB17"));
        assert_eq!(
            (result.code, result.amount),
            (Code::PaidPass, Some(Fen::ZERO)),
            "ride {ride}: {result:?}"
        );
        let state = state(&mut rig.card, "350100");
        let left: Vec<_> = state.passes().map(|pass| pass.rides_left).collect();
        assert_eq!(left, [Some(99 - ride as u8)]);
    }
    let paid = rig.tap("2026-11-13T08:00:00", &bus("FZB17"));
    assert_eq!(
        (paid.code, paid.amount),
        (Code::PaidConcession, Some(Fen(90)))
    );
    assert_eq!(rig.balance(), Fen(4_910));
}

/// The province's data with a daily cap of 2.00 on Fuzhou's city buses.
fn capped() -> (tempfile::TempDir, Arc<Tariffs>) {
    let folder = tempfile::tempdir().unwrap();
    let from = concat!(env!("CARGO_MANIFEST_DIR"), "/../data/fujian/.");
    let copied = std::process::Command::new("cp")
        .args(["-r", from])
        .arg(folder.path())
        .status();
    assert!(copied.unwrap().success());
    let file = folder.path().join("transit/fuzhou/contracts.toml");
    let mut text = std::fs::read_to_string(&file).unwrap();
    text.push_str(
        "\n[[cap]]\nid = \"city\"\nzh = \"日封顶\"\nen = \"daily cap\"\ncounter = 1\nday = \"2.00\"\n\
         scope = { operators = [\"FZBUS\"], classes = [\"city-bus\"] }\n",
    );
    std::fs::write(&file, text).unwrap();
    let tariffs = Arc::new(Tariffs::load(folder.path()).unwrap());
    (folder, tariffs)
}

#[test]
fn a_daily_cap_ends_at_half_past_four() {
    let (_folder, tariffs) = capped();
    let bus = BusValidator::new(site("FZBUS"), tariffs, "FZB17".into()).unwrap();
    let mut rig = Rig::transit(SuiteId::Aes);
    let mut ride = |at: &str| {
        let result = rig.tap(at, &bus);
        assert_eq!(result.verdict, Verdict::Open, "{result:?}");
        (result.code, result.amount.unwrap())
    };
    // Two hours apart: no transfer. 0.90 and 0.90, then 0.20 is left of 2.00.
    assert_eq!(ride("2026-11-23T18:00:00"), (Code::PaidConcession, Fen(90)));
    assert_eq!(ride("2026-11-23T20:00:00"), (Code::PaidConcession, Fen(90)));
    assert_eq!(ride("2026-11-23T22:00:00"), (Code::PaidCapped, Fen(20)));
    assert_eq!(ride("2026-11-24T00:00:00"), (Code::PaidCapped, Fen(0)));
    assert_eq!(ride("2026-11-24T04:29:50"), (Code::PaidCapped, Fen(0)));
    assert_eq!(ride("2026-11-24T04:30:00").1, Fen(90), "a new day");
}

#[test]
fn a_torn_debit_counts_once_or_not_at_all() {
    for (cut, happened) in [
        (
            Cut::BeforeApdu {
                cla: 0x80,
                ins: 0x54,
                nth: 1,
            },
            false,
        ),
        (
            Cut::AfterApdu {
                cla: 0x80,
                ins: 0x54,
                nth: 1,
            },
            true,
        ),
    ] {
        let (_folder, tariffs) = capped();
        let bus = BusValidator::new(site("FZBUS"), tariffs, "FZB17".into()).unwrap();
        let mut rig = Rig::transit(SuiteId::Aes);
        rig.card.script(Some(cut));
        let torn = rig.tap("2026-11-23T08:15:00", &bus);
        assert_eq!(torn.verdict, Verdict::Again, "{torn:?}");
        let counted = state(&mut rig.card, "350100").counters()[0].day;
        assert_eq!(counted, if happened { Fen(90) } else { Fen::ZERO });
        let again = rig.tap("2026-11-23T08:15:05", &bus);
        assert_eq!(
            (again.verdict, again.amount),
            (Verdict::Open, Some(Fen(90)))
        );
        assert_eq!(state(&mut rig.card, "350100").counters()[0].day, Fen(90));
        let done = rig.purchases();
        let done = done
            .iter()
            .filter(|p| matches!(p.debit, Debit::Done { .. }));
        assert_eq!(done.count(), 1);
    }
}

#[test]
fn cities_keep_their_states_apart() {
    let mut counter = Rig::new(SuiteId::Aes, class::RETAIL);
    let sold = counter.tap("2026-11-02T08:00:00", &pass(tariffs(), "adult-100"));
    assert_eq!(sold.code, Code::PassSold);
    let mut rig = Rig::transit(SuiteId::Aes);
    rig.card = counter.card;
    let ride = rig.tap("2026-11-03T08:00:00", &bus("FZB17"));
    assert_eq!(ride.code, Code::PaidPass);
    let away = rig.tap("2026-11-03T12:00:00", &xiamen_bus("XMB1"));
    assert_eq!(away.verdict, Verdict::Open, "{away:?}");
    assert!(away.amount.unwrap() > Fen::ZERO, "no pass of another city");
    // Within Xiamen's hour: its own transfer, although Fuzhou's state went to record 2.
    let transfer = rig.tap("2026-11-03T12:20:00", &xiamen_bus("XMB21"));
    assert_eq!(transfer.code, Code::PaidTransfer, "{transfer:?}");
    let home = rig.tap("2026-11-03T18:00:00", &bus("FZB17"));
    assert_eq!((home.code, home.amount), (Code::PaidPass, Some(Fen::ZERO)));
    let left: Vec<_> = state(&mut rig.card, "350100")
        .passes()
        .map(|pass| pass.rides_left)
        .collect();
    assert_eq!(left, [Some(98)]);
}

#[test]
fn a_companion_leaves_the_holders_memory_alone() {
    let mut rig = Rig::transit(SuiteId::Aes);
    let holder = rig.tap("2026-11-23T08:00:00", &bus("FZB17"));
    assert_eq!(holder.amount, Some(Fen(90)));
    let before = state(&mut rig.card, "350100");
    let companion = rig.tap("2026-11-23T08:00:10", &bus("FZB17").for_companion(true));
    assert_eq!(companion.verdict, Verdict::Open, "{companion:?}");
    assert_eq!(state(&mut rig.card, "350100"), before);
    let transfer = rig.tap("2026-11-23T08:20:00", &bus("FZB51"));
    assert_eq!(transfer.amount, Some(Fen(40)));
}

#[test]
fn a_new_card_of_each_suite_is_read_short() {
    for suite in SuiteId::ALL {
        let mut rig = Rig::transit(suite);
        rig.card = Sample::new(suite, Profile::V3).card([9; 32]).unwrap();
        let seen = commands(&mut rig, "2026-11-23T08:00:00", &bus("FZB39"));
        assert_eq!(seen, [SELECT, INIT, WRITE_1E, DEBIT], "{suite:?}");
    }
}

/// Leaves a pass of 100 rides in a city.
struct Gives(&'static str);

impl Seller for Gives {
    fn reads(&self) -> Reads {
        Reads {
            fares: Some(self.city()),
            ..Reads::default()
        }
    }
    fn repeats(&self) -> bool {
        true
    }
    fn offer(&self, at: CardTime, card: &CardView) -> Result<Offer, Refusal> {
        let mut bytes = card.state(self.city()).unwrap().to_bytes();
        // Product 1 of 100 rides, for three weeks.
        let last = at.date().day_number() - 10_957 + 20;
        bytes[22] = 1;
        bytes[23..25].copy_from_slice(&(last as u16).to_be_bytes());
        bytes[25] = 100;
        let till = terminal::device::Till {
            site: site("FZBUS"),
            amount: Fen(1),
            receipt: "1".into(),
        };
        let plain = till.offer(at, card)?;
        Ok(Offer {
            metro: Some(Metro::EMPTY),
            state: FareState::from_bytes(&bytes),
            ..plain
        })
    }
}

impl Gives {
    fn city(&self) -> CityCode {
        let region: card_spec::id::RegionCode = self.0.parse().unwrap();
        region.into()
    }
}

#[test]
fn a_pass_ride_that_finds_no_place_to_be_counted_is_no_ride() {
    let mut rig = Rig::transit(SuiteId::Tdes);
    // Five cities with passes: four in record 2, the last in the travel record.
    for (minute, region) in ["350100", "350200", "350300", "350400", "350500"]
        .into_iter()
        .enumerate()
    {
        let at = format!("2026-11-02T08:{minute:02}:00");
        let given = rig.tap(&at, &Gives(region));
        assert_eq!(given.verdict, Verdict::Open, "{region}: {given:?}");
    }
    let ride = rig.tap("2026-11-03T08:00:00", &bus("FZB17"));
    assert_eq!((ride.code, ride.amount), (Code::NoPass, None), "{ride:?}");
}
