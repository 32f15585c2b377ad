//! Cards that leave the reader in the middle of personalisation.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::{Channel, ChannelError, Sw, apdu, channel::exchange};
use common::{Rig, chip, persons};
use issuance::{
    IssueError,
    life::CardState,
    order::CardOptions,
    personalise::{ChipSerial, Expect, PersonaliseError},
    plan::{CardPlan, Readable},
    store::Work,
};
use virtual_card::{Cut, PowerCut, VirtualCard};

/// Takes the card out at the n-th command: before the card got it, or before the reader got the
/// answer.
struct Tearing<'a> {
    card: &'a mut VirtualCard,
    left: u32,
    before: bool,
}

impl Channel for Tearing<'_> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        self.left = self.left.saturating_sub(1);
        let answer = if self.left == 0 && self.before {
            Err(ChannelError::CardRemoved)
        } else {
            self.card.transmit(command, response)
        };
        if self.left == 0 {
            self.card.power_cycle();
            return Err(ChannelError::CardRemoved);
        }
        answer
    }
    fn atr(&self) -> &[u8] {
        self.card.atr()
    }
}

fn plan(rig: &Rig, work: &Work) -> CardPlan {
    let Work {
        person,
        pan,
        generation,
        options,
        valid_from,
    } = work;
    CardPlan::new(
        person,
        *pan,
        *generation,
        *options,
        *valid_from,
        &rig.policy,
    )
    .unwrap()
}

/// Every application answers nothing at all or exactly what was planned.
fn nothing_half_visible(card: &mut VirtualCard, plan: &CardPlan, at: &str) {
    for application in &plan.applications {
        let selected = exchange(card, &apdu::select(application.aid)).unwrap();
        if selected.sw != Sw::OK {
            assert_eq!(selected.sw, Sw::NOT_FOUND, "{at}");
            continue;
        }
        for readable in application.readable() {
            let (command, planned) = match readable {
                Readable::File { sfi, contents } => (apdu::read_binary(sfi, 0, 256), contents),
                Readable::Record {
                    sfi,
                    number,
                    contents,
                } => (apdu::read_record(sfi, number, 256), contents),
            };
            let found = exchange(card, &command).unwrap();
            // A finished V3 card shows nothing.
            if found.sw != Sw::SECURITY {
                assert_eq!((found.sw, &found.data[..]), (Sw::OK, planned), "{at}");
            }
        }
    }
}

/// Tears one personalisation by `tear`; true when the script ran out before the work did.
fn torn_once(
    rig: &Rig,
    work: &Work,
    n: u16,
    at: &str,
    tear: impl FnOnce(&mut VirtualCard) -> Result<(), IssueError>,
) -> bool {
    let mut card = rig.blank(n);
    let store = rig.office.store();
    let used = rig.office.wait(store.stock()).unwrap().used;
    let Err(error) = tear(&mut card) else {
        return true;
    };
    assert!(error.resumable(), "{at}: {error}");
    nothing_half_visible(&mut card, &plan(rig, work), at);
    let begun = rig.line().chip(work.pan).unwrap();
    assert_eq!(begun.is_none(), error.untouched(), "{at}");
    let expect = begun.map_or(Expect::Blank, Expect::Torn);
    let issued = rig.issue(work, &mut card, expect);
    let issued = issued.unwrap_or_else(|e| panic!("{at}: {e}"));
    assert_eq!(issued.finished.compared, 26, "{at}");
    let row = rig.office.wait(store.card(work.pan)).unwrap().unwrap();
    assert_eq!(
        (row.state, row.chip),
        (CardState::Checked, Some(ChipSerial(chip(n))))
    );
    // However often it was torn, it is one blank.
    assert_eq!(
        rig.office.wait(store.stock()).unwrap().used,
        used + 1,
        "{at}"
    );
    false
}

#[test]
fn torn_at_every_command_it_resumes_and_nothing_is_half_visible() {
    for before in [true, false] {
        let rig = Rig::new();
        let works = rig.order(&persons()[..120], CardOptions::default());
        let mut finished = false;
        for (n, work) in (1..).zip(&works) {
            let at = format!("command {n}, before {before}");
            finished = torn_once(&rig, work, n, &at, |card| {
                let mut tearing = Tearing {
                    card,
                    left: u32::from(n),
                    before,
                };
                rig.issue(work, &mut tearing, Expect::Blank).map(drop)
            });
            if finished {
                assert!(n > 40, "{n} commands");
                break;
            }
        }
        assert!(finished, "the loop covers the whole work");
    }
}

#[test]
fn power_lost_at_every_commit_it_resumes() {
    for after in [false, true] {
        let rig = Rig::new();
        let works = rig.order(&persons()[..120], CardOptions::default());
        let mut finished = false;
        for (n, work) in (1u16..).zip(&works) {
            let cut = if after {
                PowerCut::AfterCommit(u64::from(n))
            } else {
                PowerCut::BeforeCommit(u64::from(n))
            };
            finished = torn_once(&rig, work, n, &format!("{cut:?}"), |card| {
                card.script(Some(Cut::Power(cut)));
                rig.issue(work, card, Expect::Blank).map(drop)
            });
            if finished {
                break;
            }
        }
        assert!(finished);
    }
}

#[test]
fn another_chip_is_not_the_torn_one_and_a_spoiled_card_gets_another_number() {
    let rig = Rig::new();
    let works = rig.order(&persons()[..1], CardOptions::default());
    let work = &works[0];
    let store = rig.office.store();
    let mut torn = rig.blank(1);
    let mut tearing = Tearing {
        card: &mut torn,
        left: 30,
        before: false,
    };
    assert!(
        rig.issue(work, &mut tearing, Expect::Blank)
            .unwrap_err()
            .resumable()
    );
    let begun = rig.line().chip(work.pan).unwrap().unwrap();

    let mut other = rig.blank(2);
    let image = other.image().to_vec();
    let refused = rig
        .issue(work, &mut other, Expect::Torn(begun))
        .unwrap_err();
    assert!(
        matches!(
            &refused,
            IssueError::Station(PersonaliseError::OtherChip { .. })
        ),
        "{refused}"
    );
    // Not even as a blank: the books know which chip this number is on.
    let refused = rig.issue(work, &mut other, Expect::Blank).unwrap_err();
    assert!(
        matches!(
            &refused,
            IssueError::Station(PersonaliseError::NotRecorded { .. })
        ),
        "{refused}"
    );
    assert_eq!(other.image(), image, "nothing was written");

    let again = rig.line().spoil(work, rig.now).unwrap();
    assert_ne!(again.pan, work.pan);
    assert_eq!(again.generation, work.generation);
    let old = rig.office.wait(store.card(work.pan)).unwrap().unwrap();
    assert_eq!(old.state, CardState::Spoiled);
    let issued = rig.issue(&again, &mut other, Expect::Blank).unwrap();
    assert_eq!(issued.plan.pan, again.pan);
    let stock = rig.office.wait(store.stock()).unwrap();
    assert_eq!((stock.used, stock.spoiled, stock.remaining), (2, 1, 998));
    rig.office.wait(store.verify_audit()).unwrap();
    // The spoiled chip is refused for every other card.
    let work = rig.order(&persons()[1..2], CardOptions::default());
    assert!(
        rig.issue(&work[0], &mut torn, Expect::Blank)
            .unwrap_err()
            .untouched()
    );
}

/// A terminated blank refuses every command: spoiled, not resumable.
#[test]
fn a_dead_blank_is_spoiled() {
    let rig = Rig::new();
    let work = rig.order(&persons()[..1], CardOptions::default());
    let mut card = rig.blank(1);
    // In the first entry of the memory, behind its page's head of 16 bytes.
    let image = card.nvm_mut().bytes_mut();
    let used = |page: &[u8]| page[16..].iter().any(|byte| *byte != 0xFF);
    let page = image.chunks(2048).position(used).unwrap();
    image[2048 * page + 16 + 20] ^= 1;
    card.power_cycle();
    let error = rig.issue(&work[0], &mut card, Expect::Blank).unwrap_err();
    assert!(error.untouched() && !error.resumable(), "{error}");
}
