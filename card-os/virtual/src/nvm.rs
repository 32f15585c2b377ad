//! The card's memory: bytes in the process, optionally kept in an image file.

use card_os::{IMAGE_SIZE, Nvm, NvmError};
use std::{
    fs::{self, File},
    io::{self, Write},
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
    /// Not an image of this version's size.
    #[error(
        "{actual} bytes is not a card image of this version ({IMAGE_SIZE} bytes): make a new card"
    )]
    Size {
        /// Bytes found.
        actual: usize,
    },
    /// The memory refused to be formatted.
    #[error("the blank card could not be written: {0}")]
    Nvm(#[from] NvmError),
}

/// When the supply fails, counted from the moment of arming.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PowerCut {
    /// Instead of the n-th write (1 = the next).
    AtWrite(u64),
    /// Before the n-th commit takes effect: everything since its begin is lost.
    BeforeCommit(u64),
    /// Right after the n-th commit took effect.
    AfterCommit(u64),
}

/// Memory of one card. A commit is atomic: in the process by an undo list, on disk by writing a
/// new file beside the old one and renaming it.
#[derive(Debug)]
pub struct ImageNvm {
    bytes: Vec<u8>,
    undo: Vec<(usize, Vec<u8>)>,
    path: Option<PathBuf>,
    cut: Option<PowerCut>,
    dead: bool,
    commits: u64,
}

impl ImageNvm {
    /// Empty memory, not yet a card.
    pub fn empty() -> Self {
        Self::from_bytes(vec![0; IMAGE_SIZE])
    }

    fn from_bytes(bytes: Vec<u8>) -> Self {
        Self {
            bytes,
            undo: Vec::new(),
            path: None,
            cut: None,
            dead: false,
            commits: 0,
        }
    }

    /// The memory of a saved card.
    pub fn from_image(bytes: Vec<u8>) -> Result<Self, ImageError> {
        if bytes.len() != IMAGE_SIZE {
            return Err(ImageError::Size {
                actual: bytes.len(),
            });
        }
        Ok(Self::from_bytes(bytes))
    }

    /// The memory in an image file; every commit renews the file.
    pub fn open(path: &Path) -> Result<Self, ImageError> {
        let bytes = fs::read(path).map_err(|source| io_error(path, source))?;
        let mut nvm = Self::from_image(bytes)?;
        nvm.path = Some(path.to_owned());
        Ok(nvm)
    }

    /// Writes the image to a file now and after every commit from now on.
    pub fn keep_in(&mut self, path: &Path) -> Result<(), ImageError> {
        replace(path, &self.bytes).map_err(|source| io_error(path, source))?;
        self.path = Some(path.to_owned());
        Ok(())
    }

    /// The bytes, as the last commit left them (uncommitted writes included while one is open).
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The bytes, to damage them in a test of corrupt images.
    pub fn bytes_mut(&mut self) -> &mut [u8] {
        &mut self.bytes
    }

    /// Commits that took effect.
    pub const fn commits(&self) -> u64 {
        self.commits
    }

    /// Arms a power cut; counting starts now. `None` disarms.
    pub const fn arm(&mut self, cut: Option<PowerCut>) {
        self.cut = cut;
    }

    /// Whether the armed cut happened; nothing works until [`Self::restore_power`].
    pub const fn is_dead(&self) -> bool {
        self.dead
    }

    /// Power returns: what was not committed is gone.
    pub fn restore_power(&mut self) {
        self.revert();
        self.dead = false;
        self.cut = None;
    }

    fn revert(&mut self) {
        while let Some((at, old)) = self.undo.pop() {
            if let Some(place) = self.bytes.get_mut(at..at + old.len()) {
                place.copy_from_slice(&old);
            }
        }
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
}

/// Counts down; true when this is the event.
const fn due(left: &mut u64) -> bool {
    *left = left.saturating_sub(1);
    *left == 0
}

impl Nvm for ImageNvm {
    fn read(&self, at: usize, out: &mut [u8]) -> Result<(), NvmError> {
        self.alive()?;
        let end = at.checked_add(out.len()).ok_or(NvmError::Range)?;
        out.copy_from_slice(self.bytes.get(at..end).ok_or(NvmError::Range)?);
        Ok(())
    }

    fn begin(&mut self) -> Result<(), NvmError> {
        self.alive()
    }

    fn write(&mut self, at: usize, data: &[u8]) -> Result<(), NvmError> {
        self.alive()?;
        if let Some(PowerCut::AtWrite(left)) = &mut self.cut
            && due(left)
        {
            return Err(self.die());
        }
        let end = at.checked_add(data.len()).ok_or(NvmError::Range)?;
        let place = self.bytes.get_mut(at..end).ok_or(NvmError::Range)?;
        self.undo.push((at, place.to_vec()));
        place.copy_from_slice(data);
        Ok(())
    }

    fn commit(&mut self) -> Result<(), NvmError> {
        self.alive()?;
        if let Some(PowerCut::BeforeCommit(left)) = &mut self.cut
            && due(left)
        {
            return Err(self.die());
        }
        if let Some(path) = &self.path {
            replace(path, &self.bytes).map_err(|_| NvmError::Fault)?;
        }
        self.undo.clear();
        self.commits += 1;
        if let Some(PowerCut::AfterCommit(left)) = &mut self.cut
            && due(left)
        {
            return Err(self.die());
        }
        Ok(())
    }

    fn rollback(&mut self) {
        if !self.dead {
            self.revert();
        }
    }
}

/// New file, synced, then renamed over the old one, then the directory synced: at every moment the
/// path names a whole image.
fn replace(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut name = path.file_name().unwrap_or_default().to_owned();
    name.push(".new");
    let new = path.with_file_name(name);
    let written = File::create(&new).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&new, path)
    });
    if let Err(error) = written {
        // A full disk: what is half written only takes more of it.
        let _ = fs::remove_file(&new);
        return Err(error);
    }
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty());
    File::open(parent.unwrap_or(Path::new(".")))?.sync_all()
}

fn io_error(path: &Path, source: io::Error) -> ImageError {
    ImageError::Io {
        path: path.to_owned(),
        source,
    }
}
