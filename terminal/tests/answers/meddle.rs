//! Cards and SAMs one of whose answers is another than they gave.

use std::{
    cell::RefCell,
    panic::{AssertUnwindSafe, catch_unwind},
    rc::Rc,
};

use card_spec::{Channel, ChannelError};
use virtual_card::VirtualCard;

/// Whose answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Side {
    Card,
    Sam,
}

/// The `nth` answer of one side is `answer`.
#[derive(Debug, Clone)]
pub(crate) struct Hit {
    pub(crate) side: Side,
    pub(crate) nth: usize,
    pub(crate) answer: Vec<u8>,
}

/// A command and what was answered to it, in truth.
pub(crate) type Exchange = (Vec<u8>, Vec<u8>);

struct Inner {
    card: VirtualCard,
    hit: Option<(usize, Vec<u8>)>,
    /// Lies to every third question or so.
    liar: Option<Chance>,
    log: Vec<Exchange>,
}

/// A card or SAM on a wire that can be meddled with; the test keeps a second handle.
#[derive(Clone)]
pub(crate) struct Wire(Rc<RefCell<Inner>>, Vec<u8>);

impl Wire {
    pub(crate) fn new(card: VirtualCard) -> Self {
        let atr = card.atr().to_vec();
        let inner = Inner {
            card,
            hit: None,
            liar: None,
            log: Vec::new(),
        };
        Self(Rc::new(RefCell::new(inner)), atr)
    }

    /// Forgets what was said; from here on the `nth` answer is replaced.
    pub(crate) fn arm(&self, side: Side, hit: Option<&Hit>) {
        let mut inner = self.0.borrow_mut();
        inner.log.clear();
        inner.hit = hit
            .filter(|hit| hit.side == side)
            .map(|hit| (hit.nth, hit.answer.clone()));
    }

    /// From here on every third answer or so is another.
    pub(crate) fn lie(&self, chance: Chance) {
        self.0.borrow_mut().liar = Some(chance);
    }

    /// What was said since; from here on all is true.
    pub(crate) fn disarm(&self) -> Vec<Exchange> {
        let mut inner = self.0.borrow_mut();
        (inner.hit, inner.liar) = (None, None);
        std::mem::take(&mut inner.log)
    }

    /// The card itself, unmeddled.
    pub(crate) fn with<T>(&self, act: impl FnOnce(&mut VirtualCard) -> T) -> T {
        act(&mut self.0.borrow_mut().card)
    }
}

impl Channel for Wire {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let mut inner = self.0.borrow_mut();
        let length = inner.card.transmit(command, response)?;
        let said = response[..length].to_vec();
        let nth = inner.log.len();
        let hit = inner.hit.clone().filter(|(n, _)| *n == nth);
        let lie = inner.liar.as_mut().and_then(|chance| {
            let mut lies = instead_of(&said, chance);
            let which = chance.next() as usize % lies.len();
            (chance.next() % 3 == 0).then(|| lies.swap_remove(which))
        });
        inner.log.push((command.to_vec(), said));
        let Some(lie) = hit.map(|(_, answer)| answer).or(lie) else {
            return Ok(length);
        };
        response[..lie.len()].copy_from_slice(&lie);
        Ok(lie.len())
    }
    fn atr(&self) -> &[u8] {
        &self.1
    }
}

/// Status words that cards and SAMs give, warnings and habits (61xx, 6Cxx) among them.
const STATUS: [u16; 30] = [
    0x6100, 0x6110, 0x6283, 0x6300, 0x63C0, 0x63C3, 0x6581, 0x6700, 0x6901, 0x6982, 0x6983, 0x6984,
    0x6985, 0x6986, 0x6988, 0x6A80, 0x6A81, 0x6A82, 0x6A83, 0x6A86, 0x6A88, 0x6B00, 0x6C10, 0x6D00,
    0x6E00, 0x6F00, 0x9302, 0x9303, 0x9401, 0x9403,
];

/// Random answers to each exchange.
const RANDOM: usize = 16;

/// A repeatable source of bytes (splitmix64).
pub(crate) struct Chance(pub(crate) u64);

impl Chance {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn bytes(&mut self, length: usize) -> Vec<u8> {
        (0..length).map(|_| self.next() as u8).collect()
    }
}

/// Everything that is said in place of `honest`; none of it is `honest`.
pub(crate) fn instead_of(honest: &[u8], chance: &mut Chance) -> Vec<Vec<u8>> {
    let (data, sw) = honest.split_at(honest.len() - 2);
    let ok = |data: &[u8]| [data, &[0x90, 0x00]].concat();
    let mut out = vec![Vec::new(), vec![0x90], vec![0x00; honest.len()]];
    out.push(vec![0xFF; honest.len()]);
    out.push([data, &[0xFF], sw].concat());
    out.extend([ok(&vec![0x00; data.len()]), ok(&vec![0xFF; data.len()])]);
    let n = data.len();
    for length in [0, 1, n / 4, n / 2, 3 * n / 4, n.saturating_sub(1)] {
        out.push(ok(&data[..length.min(n)]));
        out.push(honest[..length.min(n)].to_vec());
    }
    for word in STATUS.into_iter().chain([0x9402, 0x9406]) {
        out.push(word.to_be_bytes().to_vec());
        out.push([data, &word.to_be_bytes()].concat());
    }
    for at in 0..honest.len() {
        let mut flipped = honest.to_vec();
        flipped[at] ^= 1 << (chance.next() % 8);
        out.push(flipped);
    }
    for n in 0..RANDOM {
        let length = match n % 3 {
            0 => data.len(),
            1 => chance.next() as usize % (data.len() + 16),
            _ => chance.next() as usize % 250,
        };
        let random = chance.bytes(length);
        out.push(ok(&random));
    }
    out.retain(|answer| answer != honest);
    out.sort();
    out.dedup();
    out
}

/// Plays once undisturbed, then once for every answer that can stand in the place of every answer.
/// `play` judges what happened, under a name for messages, and tells what card and SAM said.
pub(crate) fn every_answer(
    name: &str,
    seed: u64,
    mut play: impl FnMut(Option<&Hit>, &str) -> [Vec<Exchange>; 2],
) -> usize {
    let mut chance = Chance(seed);
    let (mut count, mut wrong) = (0, Vec::new());
    let [card, sam] = play(None, name);
    for (side, log) in [(Side::Card, card), (Side::Sam, sam)] {
        for (nth, (command, honest)) in log.iter().enumerate() {
            for answer in instead_of(honest, &mut chance) {
                let head = hex::encode(&command[..command.len().min(6)]);
                let what = format!(
                    "{name}: {side:?} answer {nth} (to {head}): {} instead of {}",
                    hex::encode(&answer),
                    hex::encode(honest)
                );
                let hit = Hit { side, nth, answer };
                let played = AssertUnwindSafe(|| play(Some(&hit), &what));
                if catch_unwind(played).is_err() {
                    wrong.push(what);
                }
                count += 1;
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "{} of {count} answers are taken wrongly (see above), as {}",
        wrong.len(),
        wrong[0]
    );
    count
}
