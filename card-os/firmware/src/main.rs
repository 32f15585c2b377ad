//! The card OS on a Cortex-M33. Frames on the UART, see `frame`; the memory, see `nvm`; how deep
//! the stack went, see `stack`.
//!
//! The emulation differs from a chip in three places, each named where it is: the pages live in
//! RAM, chance comes from a seed that the host sends, and the host may cut the power.
#![no_std]
#![no_main]

mod frame;
mod mem;
mod nvm;
mod stack;
mod timer;
mod uart;

use core::{
    mem::MaybeUninit,
    sync::atomic::{AtomicU8, AtomicU32, Ordering::Relaxed},
};

use card_os::{Blank, Card, Entropy, Interface};
use card_spec::{SuiteId, scp03::StaticKeys, suite::Key};
use frame::{Frame, Kind};
use nvm::{PageNvm, Pages};

/// Chance for the emulation: AES of a counter under the seed, reproducible and therefore no secret.
/// A chip has a true generator.
struct EmulatedChance;

/// A byte each: single accesses, with nothing to interrupt them.
static SEED: [AtomicU8; 16] = [const { AtomicU8::new(0) }; 16];
static COUNTER: AtomicU32 = AtomicU32::new(0);

impl Entropy for EmulatedChance {
    fn fill(&mut self, out: &mut [u8]) {
        let key = Key::new(core::array::from_fn(|i| SEED[i].load(Relaxed)));
        for piece in out.chunks_mut(16) {
            let counter = COUNTER.load(Relaxed).wrapping_add(1);
            COUNTER.store(counter, Relaxed);
            let mut block = [0; 16];
            block[..4].copy_from_slice(&counter.to_be_bytes());
            key.encrypt_ecb(SuiteId::Aes, &mut block);
            for (to, from) in piece.iter_mut().zip(block) {
                *to = from;
            }
        }
    }
}

fn seed(bytes: &[u8]) {
    let bytes = bytes.iter().copied().chain(core::iter::repeat(0));
    for (to, from) in SEED.iter().zip(bytes) {
        to.store(from, Relaxed);
    }
    COUNTER.store(0, Relaxed);
}

/// Nothing here is driven by interrupts: the table of their handlers has one empty entry, the least
/// that cortex-m-rt links.
#[unsafe(link_section = ".vector_table.interrupts")]
#[unsafe(no_mangle)]
static __INTERRUPTS: [usize; 1] = [0];

type TheCard = Card<PageNvm, EmulatedChance>;

/// The card lies in static memory, so that `ram_bytes` counts it and the stack does not.
#[inline(never)]
fn card() -> &'static mut TheCard {
    static mut CARD: MaybeUninit<TheCard> = MaybeUninit::uninit();
    // SAFETY: `Pages::take` lets this happen once only.
    #[expect(static_mut_refs, reason = "one owner for the life of the program")]
    unsafe {
        CARD.write(Card::new(PageNvm::new(Pages::take()), EmulatedChance))
    }
}

#[cortex_m_rt::entry]
fn main() -> ! {
    uart::start();
    timer::start();
    seed(&[]);
    let card = card();
    stack::paint();
    serve(card)
}

#[inline(never)]
fn serve(card: &mut TheCard) -> ! {
    let mut buffer = [0; frame::LONGEST];
    loop {
        let Some(Frame { kind, data }) = frame::receive(&mut buffer) else {
            frame::send(Kind::Broken, &[], &[]);
            continue;
        };
        match kind {
            Kind::Apdu => {
                let mut answer = [0; 258];
                let before = timer::now();
                let n = card.transmit(data, &mut answer);
                let ticks = before.wrapping_sub(timer::now());
                if card.nvm().is_dead() {
                    frame::send(Kind::Removed, &[], &[]);
                } else {
                    let answer = answer.get(..n).unwrap_or_default();
                    frame::send(Kind::Apdu, &ticks.to_be_bytes(), answer);
                }
            }
            Kind::Reset => {
                card.nvm_mut().restore_power();
                let before = timer::now();
                card.power_on();
                let ticks = before.wrapping_sub(timer::now());
                frame::send(Kind::Reset, &ticks.to_be_bytes(), card.atr());
            }
            Kind::Interface => {
                card.set_interface(match data {
                    [1] => Interface::Contactless,
                    _ => Interface::Contact,
                });
                frame::send(kind, &[], &[]);
            }
            Kind::Format => {
                let done = blank(data).map(|blank| card.format(&blank));
                seed(data.get(26..).unwrap_or_default());
                frame::send(kind, &[u8::from(matches!(done, Some(Ok(()))))], &[]);
            }
            Kind::Cut => {
                card.nvm_mut().arm(data);
                frame::send(kind, &[], &[]);
            }
            Kind::Counters => {
                let nvm = card.nvm();
                let counters = [
                    stack::deepest(),
                    nvm.words_programmed(),
                    nvm.pages_erased(),
                    nvm.bytes_used(),
                ];
                let mut bytes = [0; 16];
                for (to, from) in bytes.chunks_exact_mut(4).zip(counters) {
                    to.copy_from_slice(&from.to_be_bytes());
                }
                frame::send(kind, &bytes, &[]);
            }
            Kind::Removed | Kind::Broken => frame::send(Kind::Broken, &[], &[]),
        }
    }
}

/// `chip serial 10 | transport key 16 | seed`: three equal keys, as sample blanks have.
fn blank(data: &[u8]) -> Option<Blank> {
    let (serial, rest) = data.split_first_chunk::<10>()?;
    let key = rest.first_chunk::<16>()?;
    let key = || Key::new(*key);
    Some(Blank {
        chip_serial: *serial,
        transport_keys: StaticKeys {
            enc: key(),
            mac: key(),
            dek: key(),
        },
    })
}

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    // Nothing reachable from outside panics; if something does, the card is mute until reset.
    loop {
        cortex_m::asm::wfi();
    }
}
