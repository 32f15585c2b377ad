//! Transactions over the memory, and the view of it that one application gets.

use crate::{
    error::Error,
    keystore::{self, Slot},
    layout::{self, App, MAGIC, REGIONS, Region, region_crc},
    nvm::Nvm,
};
use card_spec::keys::KeyType;

/// The memory with at most one open transaction. A write opens it; the dispatcher commits when
/// the command succeeded and rolls back when it did not.
pub(crate) struct Store<N> {
    nvm: N,
    open: bool,
    dirty: u8,
}

impl<N: Nvm> Store<N> {
    pub(crate) const fn new(nvm: N) -> Self {
        Self {
            nvm,
            open: false,
            dirty: 0,
        }
    }

    pub(crate) const fn nvm(&self) -> &N {
        &self.nvm
    }

    pub(crate) fn nvm_mut(&mut self) -> &mut N {
        &mut self.nvm
    }

    pub(crate) fn into_nvm(self) -> N {
        self.nvm
    }

    /// Whether header and every checksum are right.
    pub(crate) fn is_sound(&self) -> bool {
        self.check().unwrap_or(false)
    }

    fn check(&self) -> Result<bool, Error> {
        let mut header = [0u8; 8];
        self.nvm.read(0, &mut header)?;
        let [a, b, c, d, version @ .., _, _] = header;
        if [a, b, c, d] != MAGIC || u16::from_be_bytes(version) != layout::IMAGE_VERSION {
            return Ok(false);
        }
        for region in REGIONS {
            let mut stored = [0u8; 4];
            self.nvm.read(region.base + region.len, &mut stored)?;
            if u32::from_be_bytes(stored) != region_crc(&self.nvm, region)? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    pub(crate) fn read(&self, at: usize, out: &mut [u8]) -> Result<(), Error> {
        Ok(self.nvm.read(at, out)?)
    }

    fn begin(&mut self) -> Result<(), Error> {
        if !self.open {
            self.nvm.begin()?;
            self.open = true;
        }
        Ok(())
    }

    pub(crate) fn write(&mut self, region: Region, at: usize, data: &[u8]) -> Result<(), Error> {
        if at
            .checked_add(data.len())
            .is_none_or(|end| end > region.len)
        {
            return Err(Error::Memory);
        }
        self.begin()?;
        if let Some(bit) = REGIONS.iter().position(|r| *r == region) {
            self.dirty |= 1 << bit;
        }
        Ok(self.nvm.write(region.base + at, data)?)
    }

    /// Writes into the staging area, which has no checksum.
    pub(crate) fn stage(&mut self, at: usize, data: &[u8]) -> Result<(), Error> {
        if at + data.len() > layout::STAGING_SIZE {
            return Err(Error::Space);
        }
        self.begin()?;
        Ok(self.nvm.write(layout::STAGING + at, data)?)
    }

    pub(crate) fn staged(&self, at: usize, out: &mut [u8]) -> Result<(), Error> {
        if at + out.len() > layout::STAGING_SIZE {
            return Err(Error::Data);
        }
        self.read(layout::STAGING + at, out)
    }

    /// Makes what was written since the last commit durable, with its checksums.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        if !self.open {
            return Ok(());
        }
        for (bit, region) in REGIONS.into_iter().enumerate() {
            if self.dirty & (1 << bit) != 0 {
                let crc = region_crc(&self.nvm, region)?;
                self.nvm
                    .write(region.base + region.len, &crc.to_be_bytes())?;
            }
        }
        self.nvm.commit()?;
        self.open = false;
        self.dirty = 0;
        Ok(())
    }

    pub(crate) fn rollback(&mut self) {
        if self.open {
            self.nvm.rollback();
            self.open = false;
            self.dirty = 0;
        }
    }

    pub(crate) fn area(&mut self, app: App) -> Area<'_, N> {
        Area { store: self, app }
    }
}

/// One application's view: its own area and its own keys. There is no way from here to another's.
pub(crate) struct Area<'a, N> {
    store: &'a mut Store<N>,
    app: App,
}

impl<N: Nvm> Area<'_, N> {
    pub(crate) fn read(&self, at: usize, out: &mut [u8]) -> Result<(), Error> {
        let region = self.app.region();
        if at.checked_add(out.len()).is_none_or(|end| end > region.len) {
            return Err(Error::Memory);
        }
        self.store.read(region.base + at, out)
    }

    pub(crate) fn array<const L: usize>(&self, at: usize) -> Result<[u8; L], Error> {
        let mut out = [0; L];
        self.read(at, &mut out)?;
        Ok(out)
    }

    pub(crate) fn byte(&self, at: usize) -> Result<u8, Error> {
        let [byte] = self.array(at)?;
        Ok(byte)
    }

    pub(crate) fn u16(&self, at: usize) -> Result<u16, Error> {
        Ok(u16::from_be_bytes(self.array(at)?))
    }

    pub(crate) fn u32(&self, at: usize) -> Result<u32, Error> {
        Ok(u32::from_be_bytes(self.array(at)?))
    }

    pub(crate) fn write(&mut self, at: usize, data: &[u8]) -> Result<(), Error> {
        self.store.write(self.app.region(), at, data)
    }

    /// For security counters: durable now, before anything else happens.
    pub(crate) fn commit(&mut self) -> Result<(), Error> {
        self.store.commit()
    }

    /// The first key that satisfies the condition, among this application's own.
    pub(crate) fn key(&self, wanted: impl Fn(&Slot) -> bool) -> Result<Option<Slot>, Error> {
        keystore::find(self.store, self.app, wanted)
    }

    /// The key of a type with an index.
    pub(crate) fn key_by_index(&self, key_type: KeyType, index: u8) -> Result<Slot, Error> {
        self.key(|slot| slot.header.key_type == key_type && slot.header.index == index)?
            .ok_or(Error::KeyIndex)
    }

    /// Copies staged bytes into the area, a piece at a time.
    pub(crate) fn copy_staged(&mut self, from: usize, len: usize, to: usize) -> Result<(), Error> {
        let mut chunk = [0u8; 64];
        let mut done = 0;
        while done < len {
            let n = chunk.len().min(len - done);
            let piece = &mut chunk[..n];
            self.store.staged(from + done, piece)?;
            self.store.write(self.app.region(), to + done, piece)?;
            done += n;
        }
        Ok(())
    }
}
