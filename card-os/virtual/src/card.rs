//! A card as a channel, with scripted tearing.

use crate::{
    entropy::SeededEntropy,
    nvm::{ImageError, ImageNvm, PowerCut},
};
use card_os::{Blank, Card, Interface};
use card_spec::{Channel, ChannelError, scp03::StaticKeys};
use std::path::Path;

/// When the card leaves the reader. Counting starts when the cut is scripted; after it the card is
/// powered up again and the script is empty.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cut {
    /// After the n-th command (1 = the next) of this class and instruction: the card did it, the
    /// reader never sees the answer.
    AfterApdu {
        /// Class byte.
        cla: u8,
        /// Instruction byte.
        ins: u8,
        /// Which one, from 1.
        nth: u32,
    },
    /// Before the n-th command of this class and instruction reaches the card.
    BeforeApdu {
        /// Class byte.
        cla: u8,
        /// Instruction byte.
        ins: u8,
        /// Which one, from 1.
        nth: u32,
    },
    /// Inside a command, at a write or commit of its memory.
    Power(PowerCut),
}

/// What went over the channel since the card was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Counters {
    /// Commands.
    pub apdus: u64,
    /// Bytes to the card.
    pub sent: u64,
    /// Bytes from the card.
    pub received: u64,
}

/// A card or SAM in this process.
pub struct VirtualCard {
    card: Card<ImageNvm, SeededEntropy>,
    cut: Option<Cut>,
    counters: Counters,
}

impl VirtualCard {
    /// A blank card with its transport key set (KVN 01) and ten bytes of chip serial, which it
    /// answers as key diversification data.
    pub fn blank(
        chip_serial: [u8; 10],
        transport_keys: StaticKeys,
        seed: [u8; 32],
    ) -> Result<Self, ImageError> {
        let mut card = Self::with_nvm(ImageNvm::empty(), seed);
        card.card.format(&Blank {
            chip_serial,
            transport_keys,
        })?;
        Ok(card)
    }

    /// A saved card. A damaged image of the right size is accepted, as it is by a real reader: the
    /// card answers a diagnostic status word to everything.
    pub fn from_image(image: Vec<u8>, seed: [u8; 32]) -> Result<Self, ImageError> {
        Ok(Self::with_nvm(ImageNvm::from_image(image)?, seed))
    }

    /// A card on an image file, which every commit replaces atomically.
    pub fn open(path: &Path, seed: [u8; 32]) -> Result<Self, ImageError> {
        Ok(Self::with_nvm(ImageNvm::open(path)?, seed))
    }

    fn with_nvm(nvm: ImageNvm, seed: [u8; 32]) -> Self {
        let card = Card::new(nvm, SeededEntropy::new(seed));
        Self {
            card,
            cut: None,
            counters: Counters::default(),
        }
    }

    /// Saves the card to a file now and after every commit from now on.
    pub fn keep_in(&mut self, path: &Path) -> Result<(), ImageError> {
        self.card.nvm_mut().keep_in(path)
    }

    /// The image.
    pub fn image(&self) -> &[u8] {
        self.card.nvm().bytes()
    }

    /// The memory, for tests.
    pub fn nvm_mut(&mut self) -> &mut ImageNvm {
        self.card.nvm_mut()
    }

    /// Takes the card out of the field and puts it back: every session is gone.
    pub fn power_cycle(&mut self) {
        self.card.nvm_mut().restore_power();
        self.card.power_on();
    }

    /// Contact (the start) or contactless.
    pub fn set_interface(&mut self, interface: Interface) {
        self.card.set_interface(interface);
    }

    /// Scripts the next tearing; `None` removes the script.
    pub fn script(&mut self, cut: Option<Cut>) {
        self.cut = cut;
        self.card.nvm_mut().arm(match cut {
            Some(Cut::Power(power)) => Some(power),
            _ => None,
        });
    }

    /// Commands and bytes so far.
    pub const fn counters(&self) -> Counters {
        self.counters
    }

    fn torn(&mut self) -> ChannelError {
        self.cut = None;
        self.power_cycle();
        ChannelError::CardRemoved
    }

    /// Counts the command against the script; true when the cut is due.
    fn due(&mut self, command: &[u8], before: bool) -> bool {
        let (cla, ins, nth) = match &mut self.cut {
            Some(Cut::BeforeApdu { cla, ins, nth }) if before => (*cla, *ins, nth),
            Some(Cut::AfterApdu { cla, ins, nth }) if !before => (*cla, *ins, nth),
            _ => return false,
        };
        if !command.starts_with(&[cla, ins]) {
            return false;
        }
        *nth = nth.saturating_sub(1);
        *nth == 0
    }
}

impl Channel for VirtualCard {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        if response.len() < 2 {
            return Err(ChannelError::Malformed);
        }
        if self.due(command, true) {
            return Err(self.torn());
        }
        let length = self.card.transmit(command, response);
        self.counters.apdus += 1;
        self.counters.sent += command.len() as u64;
        if self.card.nvm().is_dead() || self.due(command, false) {
            return Err(self.torn());
        }
        self.counters.received += length as u64;
        Ok(length)
    }

    fn atr(&self) -> &[u8] {
        self.card.atr()
    }
}

/// Names the card by its ATR; never its memory, which holds keys.
impl core::fmt::Debug for VirtualCard {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_struct("VirtualCard")
            .field("atr", &self.atr())
            .finish_non_exhaustive()
    }
}
