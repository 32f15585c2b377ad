//! The card's pages. QEMU's machine has no flash of a card's kind, so they lie in RAM of their own,
//! and keep a chip's rules: a word is programmed once, a page erased whole.

use card_os::{NVM_SIZE, Nvm, NvmError, PAGE, WORD};
use core::sync::atomic::{AtomicBool, Ordering};

/// Far behind the 64 KiB of RAM that the linker hands out. Whoever starts QEMU puts a card's image
/// there (`-device loader`) and resets the card.
const PAGES_AT: usize = 0x3810_0000;

/// All pages.
pub struct Pages(&'static mut [u8; NVM_SIZE]);

impl Pages {
    /// Once.
    pub fn take() -> Self {
        static TAKEN: AtomicBool = AtomicBool::new(false);
        assert!(!TAKEN.swap(true, Ordering::Relaxed));
        // SAFETY: RAM behind the region that the linker knows; the flag lets this reference be
        // made once only.
        Self(unsafe { &mut *(PAGES_AT as *mut [u8; NVM_SIZE]) })
    }
}

pub struct PageNvm {
    pages: Pages,
    /// Operations until the power is cut, and how.
    cut: Option<(u32, u8)>,
    dead: bool,
    words: u32,
    erases: u32,
}

impl PageNvm {
    pub const fn new(pages: Pages) -> Self {
        Self {
            pages,
            cut: None,
            dead: false,
            words: 0,
            erases: 0,
        }
    }

    pub const fn is_dead(&self) -> bool {
        self.dead
    }

    pub const fn restore_power(&mut self) {
        self.dead = false;
        self.cut = None;
    }

    pub fn arm(&mut self, data: &[u8]) {
        self.cut = match *data {
            [a, b, c, d, mode] => Some((u32::from_be_bytes([a, b, c, d]), mode)),
            _ => None,
        };
    }

    pub const fn words_programmed(&self) -> u32 {
        self.words
    }

    pub const fn pages_erased(&self) -> u32 {
        self.erases
    }

    /// Bytes up to the last programmed page: what the card needs of its memory.
    pub fn bytes_used(&self) -> u32 {
        let used = self
            .pages
            .0
            .chunks_exact(PAGE)
            .filter(|page| page.iter().skip(16).any(|byte| *byte != 0xFF));
        (used.count() * PAGE) as u32
    }

    /// The cut that is due now, in the modes of `virtual_card::CutMode`: 0 nothing, 1 part of a
    /// word (of a page: its first half), 2 half and part of the next word, 3 done,
    /// 4 all but the last word (of a page: its second half).
    fn due(&mut self) -> Result<Option<u8>, NvmError> {
        if self.dead {
            return Err(NvmError::PowerLost);
        }
        match &mut self.cut {
            Some((left, mode)) if *left <= 1 => {
                let mode = *mode;
                self.dead = true;
                self.cut = None;
                Ok(Some(mode))
            }
            Some((left, _)) => {
                *left -= 1;
                Ok(None)
            }
            None => Ok(None),
        }
    }
}

const fn share(length: usize, cut: Option<u8>) -> usize {
    match cut {
        Some(0 | 1) => 0,
        Some(2) => length / WORD / 2 * WORD,
        Some(4) => length - WORD,
        _ => length,
    }
}

const fn ended(cut: Option<u8>) -> Result<(), NvmError> {
    match cut {
        Some(_) => Err(NvmError::PowerLost),
        None => Ok(()),
    }
}

impl Nvm for PageNvm {
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError> {
        if self.dead {
            return Err(NvmError::PowerLost);
        }
        let end = at.checked_add(out.len()).ok_or(NvmError::Range)?;
        let bytes = self.pages.0.get(at..end).ok_or(NvmError::Range)?;
        out.copy_from_slice(bytes);
        Ok(())
    }

    fn program(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError> {
        let cut = self.due()?;
        let end = at.checked_add(data.len()).ok_or(NvmError::Range)?;
        let place = self.pages.0.get_mut(at..end).ok_or(NvmError::Range)?;
        if place.iter().any(|byte| *byte != 0xFF) {
            return Err(NvmError::Fault);
        }
        let n = share(data.len(), cut);
        for (i, (to, from)) in place.iter_mut().zip(data).enumerate() {
            if i < n {
                *to = *from;
            } else if i < n + WORD && matches!(cut, Some(1 | 2)) {
                // Programming clears bits; some of them are not cleared yet.
                *to = from | 0x5A;
            }
        }
        self.words += (n / WORD) as u32;
        ended(cut)
    }

    fn erase(&mut self, page: usize) -> Result<(), NvmError> {
        let cut = self.due()?;
        let at = page.checked_mul(PAGE).ok_or(NvmError::Range)?;
        let place = self.pages.0.get_mut(at..at + PAGE).ok_or(NvmError::Range)?;
        for (i, byte) in place.iter_mut().enumerate() {
            *byte = match cut {
                Some(0) => *byte,
                Some(1) if i >= PAGE / 2 => *byte,
                Some(4) if i < PAGE / 2 => *byte,
                Some(2) if i / WORD % 2 == 0 => *byte | 0x66,
                _ => 0xFF,
            };
        }
        self.erases += 1;
        ended(cut)
    }
}
