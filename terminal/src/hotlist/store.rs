//! The hotlist on the device's disk: the base as it came, signed, and the signed changes since.
//!
//! Nothing replaces what is there before it is whole and verified. After a power cut anywhere there
//! is an earlier version of the list at worst, never a mixture: the next fetch goes on from it.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufReader, Write},
    path::{Path, PathBuf},
};

use clearing_api::{hotlist::Base, registry::Hotlist as Signed};
use ed25519_dalek::VerifyingKey;

use super::{Hotlist, HotlistError};

/// Folder of one device's hotlist.
#[derive(Debug, Clone)]
pub struct HotlistStore {
    folder: PathBuf,
    key: VerifyingKey,
}

impl HotlistStore {
    /// Keeps in `folder`, which is made when it is not there.
    pub fn open(folder: &Path, key: VerifyingKey) -> io::Result<Self> {
        fs::create_dir_all(folder)?;
        Ok(Self {
            folder: folder.to_owned(),
            key,
        })
    }

    fn base(&self) -> PathBuf {
        self.folder.join("hotlist.base")
    }

    fn changes(&self) -> PathBuf {
        self.folder.join("hotlist.changes")
    }

    /// The newest list that is whole, and what was wrong with anything newer.
    pub fn load(&self) -> (Hotlist, Option<HotlistError>) {
        let mut list = Hotlist::default();
        let mut fault = None;
        match File::open(self.base()) {
            Ok(file) => match Base::read(BufReader::new(file), &self.key) {
                Ok(base) => list = Hotlist::from_base(base),
                Err(error) => fault = Some(error.into()),
            },
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => fault = Some(HotlistError::Base(error.into())),
        }
        let lines = fs::read(self.changes()).unwrap_or_default();
        let mut good = 0;
        for line in lines.split_inclusive(|byte| *byte == b'\n') {
            // A line without its end was never acknowledged, whole as it may look.
            let text = line.strip_suffix(b"\n").unwrap_or_default();
            let Ok(change) = serde_json::from_slice::<Signed>(text) else {
                break;
            };
            // Older ones are left from before the base.
            if change.version > list.version || change.since == 0 {
                match list.apply(&change, &self.key) {
                    Ok(()) | Err(HotlistError::Older { .. }) => {}
                    Err(error) => {
                        fault.get_or_insert(error);
                        break;
                    }
                }
            }
            good += line.len();
        }
        if good < lines.len() {
            // The next change must follow a whole one.
            let file = OpenOptions::new().write(true).open(self.changes());
            let cut = file.and_then(|f| f.set_len(good as u64).and_then(|()| f.sync_all()));
            if let Err(error) = cut {
                fault.get_or_insert(HotlistError::Base(error.into()));
            }
        }
        (list, fault)
    }

    /// Keeps a change that the list took over.
    pub fn keep_change(&self, change: &Signed) -> io::Result<()> {
        let mut line = serde_json::to_vec(change).map_err(io::Error::other)?;
        line.push(b'\n');
        if change.since == 0 {
            // The whole list: it stands alone.
            self.replace(&self.changes(), &line)?;
            return remove(&self.base());
        }
        let mut file = OpenOptions::new()
            .append(true)
            .create(true)
            .open(self.changes())?;
        file.write_all(&line)?;
        file.sync_data()?;
        self.sync()
    }

    /// Keeps a base, read back from the disk and verified before it takes the old one's place.
    pub fn keep_base(&self, bytes: &[u8]) -> Result<Base, HotlistError> {
        let new = self.folder.join("hotlist.base.new");
        let kept = (|| {
            write_synced(&new, bytes)?;
            let base = Base::read(BufReader::new(File::open(&new)?), &self.key)?;
            fs::rename(&new, self.base())?;
            self.sync()?;
            Ok(base)
        })();
        if kept.is_err() {
            // What cannot be used need not stay; a failure here changes nothing.
            let _ = fs::remove_file(&new);
        }
        let base = kept.map_err(HotlistError::Base)?;
        // Left behind by a power cut, they are older than the base and passed over.
        remove(&self.changes()).map_err(|error| HotlistError::Base(error.into()))?;
        Ok(base)
    }

    fn replace(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        let new = path.with_extension("new");
        write_synced(&new, bytes)?;
        fs::rename(&new, path)?;
        self.sync()
    }

    /// A name is durable when its folder is.
    fn sync(&self) -> io::Result<()> {
        File::open(&self.folder)?.sync_all()
    }
}

fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}
