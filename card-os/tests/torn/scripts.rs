//! Every script, cut off at every write of every command: what the memory has committed afterwards
//! is exactly what was committed before that write, or, if the write was the one that commits, what
//! is committed after it. That covers balances, sequences, counters, logs, files and keys.

use crate::{
    Cuts,
    day::{MarkFirst, Memory},
    flash,
};
use card_os::{Card, Interface, Nvm, NvmError};
use card_spec::{Channel, ChannelError, SuiteId, Sw};
use std::path::Path;
use virtual_card::{
    CutMode, ImageNvm, PowerCut, SeededEntropy, VirtualCard,
    script::{Powered, Script},
};

/// A memory that notes after which write something new was committed.
pub(crate) struct Noted<N> {
    inner: N,
    writes: u64,
    committed: Vec<(u64, u64)>,
}

impl<N: Memory> Nvm for Noted<N> {
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError> {
        self.inner.read(at, out)
    }
    fn program(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError> {
        self.inner.program(at, data)?;
        self.writes += 1;
        if flash::ends_transaction(data) {
            let now = flash::committed(self.inner.image().bytes());
            self.committed.push((self.writes, now));
        }
        Ok(())
    }
    fn erase(&mut self, page: usize) -> Result<(), NvmError> {
        self.writes += 1;
        self.inner.erase(page)
    }
    fn sync(&mut self) -> Result<(), NvmError> {
        self.inner.sync()
    }
}

impl<N: Memory> Memory for Noted<N> {
    fn image(&mut self) -> &mut ImageNvm {
        self.inner.image()
    }
}

struct Torn<N>(Card<N, SeededEntropy>);

impl<N: Memory> Channel for Torn<N> {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let n = self.0.transmit(command, response);
        if self.0.nvm_mut().image().is_dead() {
            return Err(ChannelError::CardRemoved);
        }
        Ok(n)
    }
    fn atr(&self) -> &[u8] {
        self.0.atr()
    }
}

impl<N: Memory> Powered for Torn<N> {
    fn reset(&mut self) -> Result<(), ChannelError> {
        self.0.power_on();
        if self.0.nvm_mut().image().is_dead() {
            return Err(ChannelError::CardRemoved);
        }
        Ok(())
    }
    fn contactless(&mut self, on: bool) -> Result<(), ChannelError> {
        self.0.set_interface(if on {
            Interface::Contactless
        } else {
            Interface::Contact
        });
        Ok(())
    }
}

fn torn<N: Memory>(image: &[u8], wrap: impl Fn(ImageNvm) -> N, cut: Option<PowerCut>) -> Torn<N> {
    let mut card = Card::new(
        wrap(ImageNvm::from_image(image.to_vec()).unwrap()),
        SeededEntropy::new([3; 32]),
    );
    card.nvm_mut().image().arm(cut);
    Torn(card)
}

/// A script with the images that it starts from.
struct Stage<'a> {
    script: &'a Script,
    suite: SuiteId,
    card: Vec<u8>,
    sam: Option<Vec<u8>>,
}

impl Stage<'_> {
    /// Runs the script; false when the power went.
    fn run<C: Memory, S: Memory>(&self, card: &mut Torn<C>, sam: Option<&mut Torn<S>>) -> bool {
        let sam = sam.map(|sam| sam as &mut dyn Powered);
        match self.script.run(self.suite, card, sam) {
            Ok(_) => true,
            Err(error) if error.channel() == Some(ChannelError::CardRemoved) => false,
            Err(error) => panic!("{error}"),
        }
    }

    /// Cuts the card, or the SAM, at each of its writes.
    fn cut<N: Memory>(
        &self,
        wrap: impl Fn(ImageNvm) -> N + Copy,
        of_sam: bool,
        wrong: &mut Vec<String>,
    ) -> Cuts {
        let start = if of_sam {
            self.sam.as_deref().unwrap()
        } else {
            &self.card
        };
        let mut noted = torn(
            start,
            |image| Noted {
                inner: wrap(image),
                writes: 0,
                committed: Vec::new(),
            },
            None,
        );
        assert!(self.run_with(&mut noted, of_sam), "an uncut run");
        let noted = noted.0.nvm();
        let mut cuts = Cuts::default();
        for n in 1..=noted.writes {
            let before = noted.committed.iter().rev().find(|(write, _)| *write < n);
            let before = before.map_or_else(|| flash::committed(start), |(_, state)| *state);
            let commits = noted.committed.iter().find(|(write, _)| *write == n);
            for mode in CutMode::ALL {
                let mut card = torn(start, wrap, Some(PowerCut::At(n, mode)));
                assert!(
                    !self.run_with(&mut card, of_sam),
                    "write {n} is not reached"
                );
                let image = card.0.nvm_mut().image().bytes().to_vec();
                cuts.tried += 1;
                let expected = match (mode, commits) {
                    (CutMode::Done, Some((_, after))) => *after,
                    _ => before,
                };
                for now in powered_up(&image, &mut cuts) {
                    if now != Some(expected) {
                        let file = self.script.file();
                        wrong.push(format!("{file}: write {n}, {mode:?}"));
                    }
                }
            }
        }
        cuts
    }

    fn run_with<N: Memory>(&self, card: &mut Torn<N>, of_sam: bool) -> bool {
        let whole = |image: &[u8]| torn(image, |image| image, None);
        if of_sam {
            self.run(&mut whole(&self.card), Some(card))
        } else {
            let mut sam = self.sam.as_deref().map(whole);
            self.run(card, sam.as_mut())
        }
    }
}

/// Powers a torn card up, in peace and with the recovery cut at each of its own writes; what it has
/// committed each time, `None` if it calls itself damaged.
fn powered_up(image: &[u8], cuts: &mut Cuts) -> Vec<Option<u64>> {
    let committed = |image: &[u8]| {
        let nvm = ImageNvm::from_image(image.to_vec()).unwrap();
        let mut card = Card::new(nvm, SeededEntropy::new([3; 32]));
        let mut answer = [0; 258];
        let n = card.transmit(&[0x00, 0x70, 0x00, 0x01], &mut answer);
        let sound = answer[..n] != Sw::MUTE.to_bytes();
        sound.then(|| flash::committed(card.nvm().bytes()))
    };
    let mut seen = vec![committed(image)];
    cuts.of_recovery(image, |torn| seen.push(committed(torn)));
    seen
}

fn all() -> Vec<Script> {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/scripts");
    Script::all(&directory).unwrap_or_else(|error| panic!("{error}"))
}

fn stage(script: &Script, suite: SuiteId) -> Stage<'_> {
    let bytes = |card: VirtualCard| card.image().to_vec();
    Stage {
        script,
        suite,
        card: bytes(script.card(suite, [7; 32]).expect("the card is made")),
        sam: script
            .sam(suite, [8; 32])
            .expect("the SAM is made")
            .map(bytes),
    }
}

/// Cuts every script, on two threads.
pub(crate) fn every_write_of_every_script() -> Cuts {
    let scripts = all();
    let results: Vec<_> = std::thread::scope(|scope| {
        let halves: Vec<_> = (0..2)
            .map(|half| {
                let scripts = &scripts;
                scope.spawn(move || {
                    let (mut cuts, mut wrong) = (Cuts::default(), Vec::new());
                    for script in scripts.iter().skip(half).step_by(2) {
                        for suite in script.suites() {
                            let stage = stage(script, *suite);
                            cuts.add(&stage.cut(|image| image, false, &mut wrong));
                            if stage.sam.is_some() {
                                cuts.add(&stage.cut(|image| image, true, &mut wrong));
                            }
                        }
                    }
                    (cuts, wrong)
                })
            })
            .collect();
        halves
            .into_iter()
            .map(|half| half.join().unwrap())
            .collect()
    });
    let mut total = Cuts::default();
    for (cuts, wrong) in results {
        assert!(wrong.is_empty(), "{}", wrong.join("\n"));
        total.add(&cuts);
    }
    println!(
        "{} scripts, in every suite, cut at {} writes in {} modes",
        scripts.len(),
        (total.tried - total.in_recovery) / CutMode::ALL.len(),
        CutMode::ALL.len()
    );
    assert!(
        total.tried - total.in_recovery > 1_500,
        "the scripts do not reach the memory"
    );
    total
}

/// The above can fail: with the entry that commits programmed first it does.
pub(crate) fn a_wrong_commit_order_is_found_out() -> Cuts {
    let scripts = all();
    let script = scripts
        .iter()
        .find(|script| script.file().contains("capp"))
        .expect("a CAPP script");
    let mut wrong = Vec::new();
    stage(script, script.suites()[0]).cut(
        |image| MarkFirst {
            image,
            held_back: Vec::new(),
        },
        false,
        &mut wrong,
    );
    assert!(wrong.len() >= 6, "{wrong:?}");
    Cuts::default()
}
