//! Power is cut at every write: of a day in the card's life, of every script, and of the recovery
//! from each of those cuts. A program and not a test harness, because its last line is the count.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "../common/mod.rs"]
mod common;
mod day;
mod flash;
mod scripts;
mod wear;

use card_os::Card;
use std::collections::BTreeSet;
use virtual_card::{CutMode, ImageNvm, PowerCut, SeededEntropy};

/// Recoveries that are cut one after another.
const DEEPEST: usize = 3;

/// Where power was cut.
#[derive(Debug, Default)]
pub(crate) struct Cuts {
    /// All of them.
    pub(crate) tried: usize,
    /// Those in a recovery from another.
    pub(crate) in_recovery: usize,
    /// Commands of the day that were torn.
    pub(crate) torn: BTreeSet<usize>,
    /// Chooses which recoveries are cut more than once; the same in every run.
    dice: u32,
}

impl Cuts {
    fn add(&mut self, other: &Self) {
        self.tried += other.tried;
        self.in_recovery += other.in_recovery;
    }

    /// Cuts the recovery from a torn image at each of its writes, in each mode, and shows what each
    /// cut leaves; for one in 64 of these, also the recovery from that, and from the cut there.
    fn of_recovery(&mut self, image: &[u8], mut show: impl FnMut(&[u8])) {
        self.recovery_at_depth(1, image, &mut show);
    }

    fn recovery_at_depth(&mut self, depth: usize, image: &[u8], show: &mut dyn FnMut(&[u8])) {
        for mode in CutMode::ALL {
            for n in 1.. {
                let mut nvm = ImageNvm::from_image(image.to_vec()).unwrap();
                nvm.arm(Some(PowerCut::At(n, mode)));
                let mut card = Card::new(nvm, SeededEntropy::new([3; 32]));
                if !card.nvm_mut().is_dead() {
                    break;
                }
                self.tried += 1;
                self.in_recovery += 1;
                let torn = card.nvm().bytes();
                show(torn);
                self.dice = self
                    .dice
                    .wrapping_mul(1_664_525)
                    .wrapping_add(1_013_904_223);
                if depth < DEEPEST && self.dice >> 26 == 0 {
                    self.recovery_at_depth(depth + 1, torn, show);
                }
            }
        }
    }
}

fn every_write_of_a_day() -> Cuts {
    let mut total = Cuts::default();
    for bench in [day::Bench::new(), day::Bench::worn()] {
        let (cuts, wrong) = day::violations(&bench, |nvm| nvm);
        assert!(
            cuts.tried >= CutMode::ALL.len() * 45
                && cuts.torn.len() >= 14
                && 2 * cuts.in_recovery >= cuts.tried,
            "the day does not reach the card's memory: {cuts:?}"
        );
        assert!(wrong.is_empty(), "{wrong:#?}");
        total.add(&cuts);
    }
    total
}

/// The above can fail: with a wrong order of programming it finds half-done commands.
fn a_wrong_commit_order_breaks_the_day() -> Cuts {
    let (_, wrong) = day::violations(&day::Bench::new(), |image| day::MarkFirst {
        image,
        held_back: Vec::new(),
    });
    assert!(wrong.len() >= 6, "{wrong:?}");
    Cuts::default()
}

type Check = (&'static str, fn() -> Cuts);

fn main() {
    let wanted = std::env::args().skip(1).find(|arg| !arg.starts_with('-'));
    let mut total = Cuts::default();
    let checks: [Check; 5] = [
        ("the_pages_share_the_wear", wear::the_pages_share_the_wear),
        (
            "a_wrong_commit_order_breaks_the_day",
            a_wrong_commit_order_breaks_the_day,
        ),
        (
            "a_wrong_commit_order_is_found_out",
            scripts::a_wrong_commit_order_is_found_out,
        ),
        ("every_write_of_a_day", every_write_of_a_day),
        (
            "every_write_of_every_script",
            scripts::every_write_of_every_script,
        ),
    ];
    for (name, check) in checks {
        if wanted
            .as_ref()
            .is_some_and(|wanted| !name.contains(wanted.as_str()))
        {
            continue;
        }
        total.add(&check());
        println!("test {name} ... ok");
    }
    println!(
        "power cuts tried: {}, of them during recovery: {}",
        total.tried, total.in_recovery
    );
}
