//! How cards reach terminals: straight in memory, or through the operating system's PC/SC stack.

use card_reader::{PcscReader, ReaderError, pcscd::Pcscd};
use card_spec::{Channel, ChannelError};
use std::time::Duration;
use virtual_card::{VirtualCard, vpcd};

/// Why the PC/SC bench failed. A failure ends the run: there is no silent way back to memory.
#[derive(Debug, thiserror::Error)]
pub enum BenchError {
    /// pcscd or a reader.
    #[error(transparent)]
    Reader(#[from] ReaderError),
    /// The virtual reader's socket.
    #[error(
        "the virtual reader did not take or return the card: {0}. Is another program using vpcd?"
    )]
    Slot(#[from] vpcd::SlotError),
    /// Connecting to an inserted card.
    #[error("pcscd shows no card in the virtual reader: {0}")]
    Channel(#[from] ChannelError),
}

const WAIT: Duration = Duration::from_secs(10);

/// One virtual slot and pcscd's reader for it.
struct Place {
    slot: vpcd::Slot,
    reader: PcscReader,
}

impl Place {
    fn run<R>(
        &mut self,
        card: &mut Option<VirtualCard>,
        work: impl FnOnce(&mut dyn Channel) -> R,
    ) -> Result<R, BenchError> {
        let Some(inserted) = card.take() else {
            return Err(BenchError::Channel(ChannelError::CardRemoved));
        };
        self.slot
            .insert(inserted)
            .map_err(|refused| refused.reason)?;
        self.reader.wait_for_card(WAIT)?;
        let mut channel = self.reader.connect()?;
        let result = work(&mut channel);
        drop(channel);
        *card = Some(self.slot.remove()?);
        self.reader.wait_for_removal(WAIT)?;
        Ok(result)
    }
}

/// Two virtual slots behind pcscd: card left, SAM right.
pub struct Bench {
    left: Place,
    right: Place,
    /// Insertions so far: each costs most of a second.
    pub swaps: u64,
    // Last: pcscd must outlive the readers.
    _pcscd: Pcscd,
}

impl Bench {
    /// On a pcscd with the virtual readers.
    pub fn new(pcscd: Pcscd) -> Result<Self, BenchError> {
        let place = |index: usize, name: &str| -> Result<Place, BenchError> {
            Ok(Place {
                slot: vpcd::Slot::new(vpcd::PORTS[index]),
                reader: PcscReader::open(name)?,
            })
        };
        Ok(Self {
            left: place(0, "Virtual PCD 00 00")?,
            right: place(1, "Virtual PCD 00 01")?,
            swaps: 0,
            _pcscd: pcscd,
        })
    }

    /// Inserts a card, works with it, takes it out again.
    pub fn with_card<R>(
        &mut self,
        card: &mut Option<VirtualCard>,
        work: impl FnOnce(&mut dyn Channel) -> R,
    ) -> Result<R, BenchError> {
        self.swaps += 1;
        self.left.run(card, work)
    }

    /// The same with a SAM in the second slot.
    pub fn with_both<R>(
        &mut self,
        card: &mut Option<VirtualCard>,
        sam: &mut Option<VirtualCard>,
        work: impl FnOnce(&mut dyn Channel, &mut dyn Channel) -> R,
    ) -> Result<R, BenchError> {
        self.swaps += 2;
        let right = &mut self.right;
        self.left
            .run(card, |card| right.run(sam, |sam| work(card, sam)))?
    }
}
