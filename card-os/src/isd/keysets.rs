//! The issuer domain's key sets: up to three, told apart by key version number (KVN).

use super::at;
use crate::{error::Error, nvm::Nvm, store::Area};
use card_spec::{perso::KVN_TRANSPORT, scp03::StaticKeys, suite::Key};

/// The place of one key set; only a search for its KVN or for a free place makes one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct KeySet(usize);

/// Sets that fit.
pub(super) const SETS: usize = 3;
/// `KVN 1 | ENC 16 | MAC 16 | DEK 16`.
pub(super) const SET: usize = 1 + 3 * 16;

impl KeySet {
    fn all() -> impl Iterator<Item = Self> {
        (0..SETS).map(Self)
    }

    /// The first set lies where it lay when there was only one.
    const fn at(self) -> usize {
        match self.0 {
            0 => at::KVN,
            n => at::MORE_SETS + (n - 1) * SET,
        }
    }

    /// The set with this KVN; 00 asks for the first there is.
    pub(super) fn find<N: Nvm>(area: &Area<'_, N>, kvn: u8) -> Option<Self> {
        Self::all().find(|set| {
            let present = set.kvn(area);
            present != 0 && (kvn == 0 || present == kvn)
        })
    }

    /// Where a new set goes: over the transport set, which must not outlive the first key set of
    /// the issuer, else into a free place.
    pub(super) fn free<N: Nvm>(area: &Area<'_, N>) -> Result<Self, Error> {
        Self::find(area, KVN_TRANSPORT)
            .or_else(|| Self::all().find(|set| set.kvn(area) == 0))
            .ok_or(Error::SPACE)
    }

    /// The KVNs that are there.
    pub(super) fn kvns<N: Nvm>(area: &Area<'_, N>) -> heapless::Vec<u8, SETS> {
        Self::all()
            .map(|set| set.kvn(area))
            .filter(|kvn| *kvn != 0)
            .collect()
    }

    pub(super) fn kvn<N: Nvm>(self, area: &Area<'_, N>) -> u8 {
        area.byte(self.at())
    }

    pub(super) fn keys<N: Nvm>(self, area: &Area<'_, N>) -> StaticKeys {
        let key = |i: usize| Key::new(area.array(self.at() + 1 + 16 * i));
        StaticKeys {
            enc: key(0),
            mac: key(1),
            dek: key(2),
        }
    }

    /// One key: ENC, MAC, DEK are 0, 1, 2. All three are written in one transaction.
    pub(super) fn put<N: Nvm>(self, area: &mut Area<'_, N>, kvn: u8, place: usize, key: &Key) {
        area.write(self.at(), &[kvn]);
        area.write(self.at() + 1 + 16 * place, key.expose());
    }

    pub(super) fn delete<N: Nvm>(self, area: &mut Area<'_, N>) {
        area.write(self.at(), &[0; SET]);
    }
}
