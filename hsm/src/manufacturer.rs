//! The card maker's side of the transport keys.

use card_spec::{perso::KVN_TRANSPORT, scp03::StaticKeys};
use hsm_client::Result;

use crate::vault::{IsdMasters, serial};

/// The card maker's copy of the transport masters: it makes the keys of blank cards and nothing
/// else. Cards leave the maker with these keys; personalisation replaces them at once, and the HSM
/// wraps no key under them. Demonstrations and tests make their blanks through it.
pub struct Manufacturer {
    masters: IsdMasters,
}

impl Manufacturer {
    pub(crate) const fn new(masters: IsdMasters) -> Self {
        Self { masters }
    }

    /// The key set 01 of a blank card with this serial number, ten packed decimal bytes (the key
    /// diversification data that the card will answer).
    pub fn transport_keys(&self, chip_serial: [u8; 10]) -> Result<StaticKeys> {
        Ok(self.masters.card_set(KVN_TRANSPORT, serial(chip_serial)?))
    }
}
