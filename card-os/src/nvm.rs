//! What the card needs from its hardware: memory that survives, and chance.

/// Bytes of a word: what is programmed at once, and only once between two erases of its page.
pub const WORD: usize = 8;
/// Bytes of a page: what is erased at once.
pub const PAGE: usize = 2048;
/// Pages of the card's memory.
pub const PAGES: usize = 64;
/// Bytes of the card's memory.
pub const NVM_SIZE: usize = PAGE * PAGES;

/// Why the memory did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NvmError {
    /// The address range is outside the memory, or not whole words.
    Range,
    /// The supply failed; nothing works until the next power-up.
    PowerLost,
    /// The device reported a fault (worn out, programmed twice, disk full).
    Fault,
}

impl core::fmt::Display for NvmError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Range => "address outside the card's memory",
            Self::PowerLost => "the card lost power",
            Self::Fault => "the card's memory reported a fault: check the image file and its disk",
        })
    }
}

impl core::error::Error for NvmError {}

/// Erase-page, write-once memory, as the flash of a microcontroller: [`PAGES`] pages of [`PAGE`]
/// bytes; an erased byte reads FF.
///
/// Nothing is promised about a power cut: a torn [`Self::program`] may leave nothing, some words
/// and part of a word, or all of it; a torn [`Self::erase`] leaves any mixture of old, erased and
/// undefined words. The store above makes whole transactions of that.
pub trait Nvm {
    /// Reads `out.len()` bytes from `at`.
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError>;
    /// Programs whole erased words, in ascending order; `at` and the length are multiples of
    /// [`WORD`].
    fn program(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError>;
    /// Erases a page.
    fn erase(&mut self, page: usize) -> Result<(), NvmError>;
    /// Everything programmed so far is durable before anything programmed later. Called twice a
    /// commit: before its last entry, and behind it. On a chip this costs nothing.
    fn sync(&mut self) -> Result<(), NvmError> {
        Ok(())
    }
}

/// A source of random bytes.
pub trait Entropy {
    /// Fills the buffer.
    fn fill(&mut self, out: &mut [u8]);
}
