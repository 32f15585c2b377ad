//! The card at its reader: power, chains of commands, and how answers meet the reader's habits.

use crate::{
    apdu::{Answer, Command, Number, Out},
    card::{Interface, Os},
    error::Error,
    isd,
    layout::Blank,
    nvm::{Entropy, Nvm, NvmError},
};
use card_spec::{Sw, activation::Activation};
use zeroize::Zeroize;

/// Bytes that one chain of commands may carry.
pub(crate) const CHAIN: usize = 512;

/// A card (or SAM) on some memory and some source of chance.
pub struct Card<N, R> {
    os: Os<N, R>,
    held: Held,
}

/// What the card keeps between two commands: never a chain and a response at once.
#[derive(Default)]
#[expect(
    clippy::large_enum_variant,
    reason = "one value per card, no heap to box into"
)]
enum Held {
    #[default]
    Nothing,
    Chain(Chain),
    Pending(Pending),
}

/// A command of which more is to come (ISO 7816-4, 5.3.3).
struct Chain {
    /// Class, instruction, P1, P2 and channel, the same in every part.
    header: (u8, u8, u8, u8),
    channel: Number,
    data: heapless::Vec<u8, CHAIN>,
}

impl Chain {
    const fn new(first: &Command<'_>) -> Self {
        Self {
            header: first.header(),
            channel: first.channel,
            data: heapless::Vec::new(),
        }
    }

    fn link(&mut self, next: &Command<'_>) -> Result<(), Error> {
        if (next.header(), next.channel) != (self.header, self.channel) {
            return Err(Error::CHAIN_OPEN);
        }
        self.data
            .extend_from_slice(next.data)
            .map_err(|_| Error::LENGTH)
    }
}

/// A chain may have carried a PIN.
impl Drop for Chain {
    fn drop(&mut self) {
        self.data.zeroize();
    }
}

/// Response bytes that wait for GET RESPONSE, and the status word that follows them.
struct Pending {
    channel: Number,
    data: heapless::Vec<u8, 256>,
    at: usize,
    sw: Sw,
}

impl Pending {
    fn rest(&self) -> &[u8] {
        self.data.get(self.at..).unwrap_or_default()
    }
}

impl<N: Nvm, R: Entropy> Card<N, R> {
    /// Puts the operating system on a memory and powers it up. On a memory that [`Self::format`]
    /// never prepared the card is dead.
    pub fn new(nvm: N, entropy: R) -> Self {
        let mut card = Self {
            os: Os::new(nvm, entropy),
            held: Held::Nothing,
        };
        card.power_on();
        card
    }

    /// Makes the memory a blank card. Whatever was there is gone; this is the chip maker's step,
    /// before which there is nothing that a power cut could harm.
    pub fn format(&mut self, blank: &Blank) -> Result<(), NvmError> {
        self.os
            .store
            .format(&isd::blank_area(blank))
            .map_err(|_| NvmError::Fault)?;
        self.power_on();
        Ok(())
    }

    /// Power-up or reset: checks the image, forgets every session and channel, answers the ATR.
    /// Works from every state, also a corrupt one.
    pub fn power_on(&mut self) -> &[u8] {
        self.held = Held::Nothing;
        self.os.power_on();
        self.os.atr()
    }

    /// The answer to reset of the last power-up.
    pub const fn atr(&self) -> &[u8] {
        self.os.atr()
    }

    /// What the card answers when a contactless reader activates it. A new random UID each time,
    /// so that nobody is followed by the number of his card.
    pub fn activation(&mut self) -> Activation {
        self.os.activation()
    }

    /// Tells the card which interface it is used through. Takes effect at once.
    pub const fn set_interface(&mut self, interface: Interface) {
        self.os.interface = interface;
    }

    /// The memory, to look at or to save.
    pub const fn nvm(&self) -> &N {
        self.os.store.nvm()
    }

    /// The memory, for its own controls (scripted power cuts). Writing to it behind the card's
    /// back makes the image corrupt, which the next power-up finds.
    pub fn nvm_mut(&mut self) -> &mut N {
        self.os.store.nvm_mut()
    }

    /// Takes the memory out.
    pub fn into_nvm(self) -> N {
        self.os.store.into_nvm()
    }

    /// Runs one command APDU; returns the number of response bytes, at least 2 (0 only when the
    /// buffer cannot take a status word).
    pub fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> usize {
        let room = match response.len().checked_sub(2) {
            Some(room) => room,
            None => return 0,
        };
        let mut out = Out::default();
        let sw = self.exchange(command, room, &mut out);
        let n = out.len().min(room);
        for (to, from) in response
            .iter_mut()
            .zip(out.iter().take(n).chain(&sw.to_bytes()))
        {
            *to = *from;
        }
        n + 2
    }

    fn exchange(&mut self, bytes: &[u8], room: usize, out: &mut Out) -> Sw {
        if let Err(error) = self.os.alive() {
            return error.sw();
        }
        let command = match Command::try_from(bytes) {
            Ok(command) => command,
            Err(error) => {
                self.held = Held::Nothing;
                return error.sw();
            }
        };
        if !self.os.is_open(command.channel) {
            self.held = Held::Nothing;
            return Error::CHANNEL.sw();
        }
        if is_get_response(&command) && !matches!(self.held, Held::Chain(_)) {
            return self.get_response(command, room, out);
        }
        // Any other command cancels a response that nobody fetched.
        if command.chained && !matches!(self.held, Held::Chain(_)) {
            self.held = Held::Chain(Chain::new(&command));
        }
        let result = match &mut self.held {
            Held::Chain(chain) => match chain.link(&command) {
                // The command that broke in is not done either: its sender learns that two
                // conversations were mixed.
                Err(error) => Err(error),
                Ok(()) if command.chained => return Sw::OK,
                Ok(()) => {
                    let whole = Command {
                        data: &chain.data,
                        ..command
                    };
                    self.os.run(whole, out)
                }
            },
            _ => self.os.run(command, out),
        };
        self.held = Held::Nothing;
        match result {
            Ok(answer) => self.deliver(answer, command, room, out),
            Err(error) => {
                out.clear();
                error.sw()
            }
        }
    }

    /// Fits the data to Le: longer Le is fine, a missing Le gets everything, a short one gets
    /// 6Cxx (reads) or the beginning and 61xx.
    fn deliver(&mut self, answer: Answer, command: Command<'_>, room: usize, out: &mut Out) -> Sw {
        let sw = match answer {
            Answer::Warning(sw) => sw,
            Answer::Done | Answer::Exact | Answer::Fetch => Sw::OK,
        };
        let now = match (answer, command.le) {
            (Answer::Fetch, None) => 0,
            (Answer::Exact, Some(le)) if le < out.len() => {
                let exact = Sw::exact(out.len());
                out.clear();
                return exact;
            }
            (_, le) => le.unwrap_or(out.len()).min(room),
        };
        if now >= out.len() {
            return sw;
        }
        let more = Sw::more(out.len() - now);
        self.held = Held::Pending(Pending {
            channel: command.channel,
            data: (**out).clone(),
            at: now,
            sw,
        });
        out.truncate(now);
        more
    }

    /// The next piece, on the channel that was answered. Elsewhere there is nothing to fetch, and
    /// then nothing is left either.
    fn get_response(&mut self, command: Command<'_>, room: usize, out: &mut Out) -> Sw {
        let pending = match &mut self.held {
            Held::Pending(pending) if pending.channel == command.channel => pending,
            _ => {
                self.held = Held::Nothing;
                return Sw::CONDITIONS;
            }
        };
        let rest = pending.rest();
        let n = command.le.unwrap_or(rest.len()).min(rest.len()).min(room);
        let _ = out.extend_from_slice(rest.get(..n).unwrap_or_default());
        pending.at += n;
        match pending.rest().len() {
            0 => {
                let sw = pending.sw;
                self.held = Held::Nothing;
                sw
            }
            left => Sw::more(left),
        }
    }
}

const fn is_get_response(command: &Command<'_>) -> bool {
    matches!(
        (command.cla, command.ins, command.chained),
        (0x00, 0xC0, false)
    )
}
