//! The card's memory: flash in the process, optionally kept in a file, with scripted power cuts.

use card_os::{NVM_SIZE, NotAnImage, Nvm, NvmError, PAGE, PAGES, V1_SIZE, WORD};
use std::{
    fs::{self, File, OpenOptions},
    io,
    os::unix::fs::{FileExt, MetadataExt},
    path::{Path, PathBuf},
};

/// Why an image cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ImageError {
    /// The file is not there, not readable or not writable.
    #[error("card image {path}: {source}; check the path, its permissions and the free space")]
    Io {
        /// The image file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Not an image of this or an earlier version's size.
    #[error(
        "{actual} bytes is not a card image ({NVM_SIZE} bytes, or {V1_SIZE} of layout 1): make a new card"
    )]
    Size {
        /// Bytes found.
        actual: usize,
    },
    /// An image of an earlier layout that cannot be upgraded.
    #[error("{0}: restore the file from a copy, or make a new card")]
    Upgrade(NotAnImage),
    /// The memory refused to be formatted.
    #[error("the blank card could not be written: {0}")]
    Nvm(#[from] NvmError),
}

/// What a power cut leaves of the operation that it hits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CutMode {
    /// Nothing was written or erased.
    Nothing,
    /// Programming: some bits of the first word. Erasing: the first half of the page.
    PartOfWord,
    /// Programming: half of the words, and some bits of the next. Erasing: every other word, and
    /// undefined bits in some of the others.
    PartOfPage,
    /// All of it, but the card never learned so.
    Done,
    /// Programming: all but the last word. Erasing: all but the first half of the page.
    FrontOnly,
}

impl CutMode {
    /// Every mode.
    pub const ALL: [Self; 5] = [
        Self::Nothing,
        Self::PartOfWord,
        Self::PartOfPage,
        Self::Done,
        Self::FrontOnly,
    ];
}

/// When the supply fails, counted from the moment of arming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerCut {
    /// In the n-th program or erase operation (1 = the next).
    At(u64, CutMode),
    /// Before the last entry of the n-th commit: everything since its begin is lost.
    BeforeCommit(u64),
    /// Right after the n-th commit took effect.
    AfterCommit(u64),
}

/// Erase-page, write-once memory of one card: programming a word that is not erased is a fault.
#[derive(Debug)]
pub struct ImageNvm {
    bytes: Vec<u8>,
    file: Option<(PathBuf, File)>,
    cut: Option<PowerCut>,
    dead: bool,
    /// Calls of `sync`: two a commit.
    syncs: u64,
    programs: u64,
    erases: Vec<u32>,
}

impl ImageNvm {
    /// Erased memory, not yet a card.
    pub fn empty() -> Self {
        Self::from_bytes(vec![0xFF; NVM_SIZE])
    }

    fn from_bytes(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            file: None,
            cut: None,
            dead: false,
            syncs: 0,
            programs: 0,
            erases: vec![0; PAGES],
        }
    }

    /// The memory of a saved card, or a card of an earlier layout put into a new memory.
    pub fn from_image(bytes: Vec<u8>) -> Result<Self, ImageError> {
        match bytes.len() {
            _ if card_os::is_older(&bytes) => {
                card_os::upgrade(&bytes, Self::empty()).map_err(ImageError::Upgrade)
            }
            NVM_SIZE => Ok(Self::from_bytes(bytes)),
            actual => Err(ImageError::Size { actual }),
        }
    }

    /// The memory in an image file, which follows every change from now on. A file of an earlier
    /// layout is replaced by the upgraded card.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let bytes = fs::read(path).map_err(|source| io_error(path, source))?;
        let upgraded = card_os::is_older(&bytes);
        let mut nvm = Self::from_image(bytes)?;
        if upgraded {
            nvm.keep_in(path)?;
            return Ok(nvm);
        }
        let file = OpenOptions::new().write(true).open(path);
        let file = file.map_err(|source| io_error(path, source))?;
        nvm.file = Some((path.to_owned(), file));
        Ok(nvm)
    }

    /// Writes the image to a file, which follows every change from now on.
    pub fn keep_in(&mut self, path: &Path) -> Result<(), ImageError> {
        let file = replace(path, &self.bytes).map_err(|source| io_error(path, source))?;
        self.file = Some((path.to_owned(), file));
        Ok(())
    }

    /// The bytes as they are now.
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to damage them in a test of corrupt images.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Commits that took effect.
    pub const fn commits(&self) -> u64 {
        self.syncs / 2
    }

    /// Program and erase operations since the memory was made.
    pub fn operations(&self) -> u64 {
        self.programs + self.erases.iter().map(|n| u64::from(*n)).sum::<u64>()
    }

    /// How often each page was erased since the memory was made.
    pub fn erases(&self) -> &[u32] {
        &self.erases
    }

    /// Arms a power cut; counting starts now. `None` disarms.
    pub const fn arm(&mut self, cut: Option<PowerCut>) {
        // Whatever came before, the next sync is the one before a commit's last entry.
        self.syncs += self.syncs % 2;
        self.cut = cut;
    }

    /// Whether the armed cut happened; nothing works until [`Self::restore_power`].
    pub const fn is_dead(&self) -> bool {
        self.dead
    }

    /// Power returns.
    pub const fn restore_power(&mut self) {
        self.dead = false;
        self.arm(None);
    }

    fn alive(&self) -> Result<(), NvmError> {
        if self.dead {
            Err(NvmError::PowerLost)
        } else {
            Ok(())
        }
    }

    fn die(&mut self) -> NvmError {
        self.dead = true;
        self.cut = None;
        NvmError::PowerLost
    }

    /// The mode of the cut that is due in this operation.
    fn due(&mut self) -> Option<CutMode> {
        match &mut self.cut {
            Some(PowerCut::At(left, mode)) => {
                *left = left.saturating_sub(1);
                (*left == 0).then_some(*mode)
            }
            _ => None,
        }
    }

    fn store(&mut self, at: usize) -> Result<(), NvmError> {
        let Some((_, file)) = &self.file else {
            return Ok(());
        };
        let page = at - at % PAGE;
        let bytes = self.bytes.get(page..page + PAGE).ok_or(NvmError::Range)?;
        file.write_all_at(bytes, page as u64)
            .map_err(|_| NvmError::Fault)
    }
}

impl Nvm for ImageNvm {
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError> {
        self.alive()?;
        let end = at.checked_add(out.len()).ok_or(NvmError::Range)?;
        out.copy_from_slice(self.bytes.get(at..end).ok_or(NvmError::Range)?);
        Ok(())
    }

    fn program(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError> {
        self.alive()?;
        let end = at.checked_add(data.len()).ok_or(NvmError::Range)?;
        let whole = at.is_multiple_of(WORD) && data.len().is_multiple_of(WORD);
        let cut = self.due();
        let place = self.bytes.get_mut(at..end).filter(|_| whole);
        let place = place.ok_or(NvmError::Range)?;
        if place.iter().any(|byte| *byte != 0xFF) {
            return Err(NvmError::Fault);
        }
        let words = match cut {
            None | Some(CutMode::Done) => data.len() / WORD,
            Some(CutMode::Nothing | CutMode::PartOfWord) => 0,
            Some(CutMode::PartOfPage) => data.len() / WORD / 2,
            Some(CutMode::FrontOnly) => (data.len() / WORD).saturating_sub(1),
        };
        let (whole, rest) = place.split_at_mut(words * WORD);
        whole.copy_from_slice(&data[..words * WORD]);
        if matches!(cut, Some(CutMode::PartOfWord | CutMode::PartOfPage)) {
            // Programming clears bits; some of them are not cleared yet.
            let part = rest.iter_mut().zip(&data[words * WORD..]).take(WORD);
            for (to, from) in part {
                *to = from | 0x5A;
            }
        }
        self.programs += 1;
        self.store(at)?;
        if cut.is_some() {
            Err(self.die())
        } else {
            Ok(())
        }
    }

    fn erase(&mut self, page: usize) -> Result<(), NvmError> {
        self.alive()?;
        let cut = self.due();
        let at = page.checked_mul(PAGE).ok_or(NvmError::Range)?;
        let place = self.bytes.get_mut(at..at + PAGE).ok_or(NvmError::Range)?;
        for (i, word) in place.chunks_exact_mut(WORD).enumerate() {
            match cut {
                None | Some(CutMode::Done) => word.fill(0xFF),
                Some(CutMode::Nothing) => {}
                Some(CutMode::PartOfWord) if i < PAGE / WORD / 2 => word.fill(0xFF),
                Some(CutMode::FrontOnly) if i >= PAGE / WORD / 2 => word.fill(0xFF),
                Some(CutMode::PartOfPage) if i % 2 == 1 => word.fill(0xFF),
                Some(CutMode::PartOfPage) if i % 3 == 0 => word.iter_mut().for_each(|b| *b |= 0x66),
                Some(CutMode::PartOfWord | CutMode::PartOfPage | CutMode::FrontOnly) => {}
            }
        }
        if let Some(erases) = self.erases.get_mut(page) {
            *erases += 1;
        }
        self.store(at)?;
        if cut.is_some() {
            Err(self.die())
        } else {
            Ok(())
        }
    }

    fn sync(&mut self) -> Result<(), NvmError> {
        self.alive()?;
        if let Some((_, file)) = &self.file {
            file.sync_data().map_err(|_| NvmError::Fault)?;
            // A removed file still takes bytes, which nobody will find again.
            if file.metadata().map_err(|_| NvmError::Fault)?.nlink() == 0 {
                return Err(NvmError::Fault);
            }
        }
        let before = self.syncs.is_multiple_of(2);
        self.syncs += 1;
        let left = match &mut self.cut {
            Some(PowerCut::BeforeCommit(left)) if before => left,
            Some(PowerCut::AfterCommit(left)) if !before => left,
            _ => return Ok(()),
        };
        *left = left.saturating_sub(1);
        if *left == 0 { Err(self.die()) } else { Ok(()) }
    }
}

/// New file, synced, then renamed over the old one, then the directory synced: at every moment the
/// path names a whole image.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<File> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let written = File::create(&new).and_then(|file| {
        file.write_all_at(bytes, 0)?;
        file.sync_all()?;
        fs::rename(&new, path)?;
        Ok(file)
    });
    let file = written.inspect_err(|_| {
        // A full disk: what is half written only takes more of it.
        let _ = fs::remove_file(&new);
    })?;
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()?;
    Ok(file)
}

fn io_error(path: &Path, source: io::Error) -> ImageError {
    ImageError::Io {
        path: path.to_owned(),
        source,
    }
}
