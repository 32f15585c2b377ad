//! What the card needs from its hardware: memory that survives, and chance.

/// Why the memory did not do what it was asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NvmError {
    /// The address range is outside the memory.
    Range,
    /// The supply failed; nothing works until the next power-up.
    PowerLost,
    /// The device reported a fault (worn out, file system full).
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

/// Byte-addressed non-volatile memory with one open transaction at a time.
///
/// An implementation guarantees that [`Self::commit`] is atomic: after a power cut at any moment
/// the memory holds either everything or nothing of the transaction. Reads inside a transaction
/// see its own writes.
pub trait Nvm {
    /// Reads `out.len()` bytes from `at`.
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError>;
    /// Opens a transaction. Called only when none is open.
    fn begin(&mut self) -> Result<(), NvmError>;
    /// Writes inside the open transaction.
    fn write(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError>;
    /// Makes everything since [`Self::begin`] durable, in one step.
    fn commit(&mut self) -> Result<(), NvmError>;
    /// Forgets everything since [`Self::begin`].
    fn rollback(&mut self);
}

/// A source of random bytes.
pub trait Entropy {
    /// Fills the buffer.
    fn fill(&mut self, out: &mut [u8]);
}
