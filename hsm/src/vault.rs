//! Which application masters there are, and every derivation below them.
//!
//! Their values are the [`Backend`]'s; here are their names and check values.

use std::{
    collections::{BTreeMap, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use card_spec::{
    SuiteId,
    id::{Generation, Pan, RegionCode, SamNo},
    keys::{self, Factor, KeyHeader, KeyType, class},
    scp03::StaticKeys,
    ssse,
    suite::{Diversifier, Key},
    time::CardTime,
};
use hsm_client::{CardRef, HsmError, Result, ServiceKey, SignPurpose};

use crate::{
    Entropy, Roots,
    backend::{Backend, CheckValue},
    hierarchy::{FIRST_VERSION, Family, application_master, catalog, family, name},
    service::{self, Key256, PersonalData},
    signing::Signer,
    store,
};

/// Region keys kept ready. A province has a few dozen regions and a few keys each that are used
/// all the time; beyond this the cache starts afresh.
const REGIONS_MAX: usize = 2048;

/// Everything secret that the HSM holds.
pub(crate) struct Vault {
    pub(crate) demo: bool,
    pub(crate) created: CardTime,
    /// Every master with its check value; the values are the backend's.
    pub(crate) masters: BTreeMap<KeyHeader, CheckValue>,
    pub(crate) backend: Box<dyn Backend>,
    pub(crate) service: BTreeMap<ServiceKey, Key256>,
    pub(crate) signing: BTreeMap<SignPurpose, Signer>,
    pub(crate) regions: Regions,
}

/// Region keys derived so far, read by many threads at once: `(key, region, IIN)`. Shared pointers,
/// because a map that grows leaves copies of its entries behind.
#[derive(Default)]
pub(crate) struct Regions(RwLock<HashMap<Region, Arc<RegionKey>>>);

type Region = (KeyHeader, [u8; 3], [u8; 2]);

/// A region key; of the AES suite also set up for the cards of its region, because key set-up is
/// half the work of a TAC.
pub(crate) struct RegionKey {
    key: Key,
    ready: Option<Box<Diversifier>>,
}

impl RegionKey {
    fn new(suite: SuiteId, key: Key) -> Self {
        let ready = (suite == SuiteId::Aes).then(|| Box::new(Diversifier::new(&key)));
        Self { key, ready }
    }

    /// A key one level below.
    fn card_key(&self, factor: &Factor) -> Key {
        match (&self.ready, factor) {
            (Some(ready), Factor::An10922 { input, length }) => {
                ready.an10922(input.get(..usize::from(*length)).unwrap_or(input))
            }
            _ => self.key.diversify(factor),
        }
    }
}

impl core::ops::Deref for RegionKey {
    type Target = Key;

    fn deref(&self) -> &Key {
        &self.key
    }
}

impl Regions {
    fn get(&self, at: &Region) -> Option<Arc<RegionKey>> {
        let keys = self.0.read().unwrap_or_else(PoisonError::into_inner);
        keys.get(at).cloned()
    }

    fn put(&self, at: Region, key: Arc<RegionKey>) {
        let mut keys = self.0.write().unwrap_or_else(PoisonError::into_inner);
        if keys.len() >= REGIONS_MAX {
            keys.clear();
        }
        keys.insert(at, key);
    }
}

impl Vault {
    /// Derives every master of the catalog into the backend and the service keys; draws the storage
    /// key and the signing keys.
    pub(crate) fn form(
        roots: &Roots,
        entropy: &Entropy,
        created: CardTime,
        backend: Box<dyn Backend>,
    ) -> Result<Self> {
        let mut service = BTreeMap::new();
        for key in ServiceKey::ALL {
            let value = match key {
                ServiceKey::Storage => service::drawn(entropy)?,
                _ => {
                    let root = root_of(roots, SuiteId::Aes).ok_or_else(|| no_service_key(key))?;
                    service::derived(root, key)
                }
            };
            service.insert(key, value);
        }
        let mut signing = BTreeMap::new();
        for purpose in SignPurpose::ALL {
            signing.insert(purpose, Signer::draw(entropy, purpose)?);
        }
        // Last: what fails before leaves nothing on a token.
        let masters = import_catalog(roots, &*backend)?;
        Ok(Self {
            demo: entropy.is_seeded(),
            created,
            masters,
            backend,
            service,
            signing,
            regions: Regions::default(),
        })
    }

    /// Wipes every master: the store that would name them could not be written.
    pub(crate) fn discard(&self) {
        // Best effort, on the way out with an error that says more.
        for header in self.masters.keys() {
            let _ = self.backend.destroy(*header);
        }
        let _ = self.backend.discard();
    }

    /// The key one level below a master.
    fn below(&self, header: KeyHeader, factor: &Factor) -> Result<Key> {
        self.holds(header)?;
        self.backend.diversify(header, factor)
    }

    /// Whether there is such a master; that its suite is beyond the backend is said so.
    fn holds(&self, header: KeyHeader) -> Result<()> {
        if self.masters.contains_key(&header) {
            return Ok(());
        }
        self.backend.supports(header.suite)?;
        Err(unknown(header))
    }

    /// Suites of which there is no master, because the backend cannot hold them.
    pub(crate) fn left_out(&self) -> Vec<SuiteId> {
        let mut suites = SuiteId::ALL.to_vec();
        suites.retain(|suite| self.masters.keys().all(|header| header.suite != *suite));
        suites
    }

    /// Whether the backend holds the very masters that the store names.
    pub(crate) fn check_backend(&self) -> Result<()> {
        for (header, check) in &self.masters {
            if self.backend.check_value(*header)? != *check {
                return Err(store::store(&format!(
                    "key {} is another one than this store's: restore the token that belongs to it",
                    name(*header)
                )));
            }
        }
        Ok(())
    }

    pub(crate) fn service_key(&self, key: ServiceKey) -> Result<&Key256> {
        self.service.get(&key).ok_or_else(|| no_service_key(key))
    }

    /// The operations under the PDK.
    pub(crate) fn personal_data(&self) -> Result<PersonalData> {
        self.service_key(ServiceKey::PersonalData)
            .map(PersonalData::new)
    }

    /// The region key of a purse, social-security or medical master.
    pub(crate) fn region_key(
        &self,
        header: KeyHeader,
        region: RegionCode,
        iin: [u8; 2],
    ) -> Result<Arc<RegionKey>> {
        let at = (header, region.to_bytes(), iin);
        if let Some(key) = self.regions.get(&at) {
            return Ok(key);
        }
        let factor = match family(header.key_type) {
            Family::Purse => keys::region_factor(header.suite, region, iin),
            Family::Social => keys::ssse_region_factor(header.suite, region),
            Family::IssuerDomain | Family::Sam => {
                return Err(wrong_usage(header, "region keys"));
            }
        };
        let key = self.below(header, &factor)?;
        let key = Arc::new(RegionKey::new(header.suite, key));
        self.regions.put(at, Arc::clone(&key));
        Ok(key)
    }

    /// The key of one card.
    pub(crate) fn card_key(&self, header: KeyHeader, card: &CardRef) -> Result<Key> {
        if card.pan.is_sample() {
            return Err(HsmError::Refused {
                why: format!("{} is a sample card: its keys are published", card.pan),
            });
        }
        let region = self.region_key(header, card.region, card.pan.iin())?;
        Ok(region.card_key(&match family(header.key_type) {
            Family::Social => keys::ssse_card_factor(header.suite, &ssse::f1(card.pan)),
            _ => keys::card_factor(header, card.pan, card.generation),
        }))
    }

    /// A SAM's own key: AN10922 over `SAM number(6) | type | index` under its master (AES only).
    pub(crate) fn sam_own_key(&self, header: KeyHeader, sam: SamNo) -> Result<Key> {
        if family(header.key_type) != Family::Sam {
            return Err(wrong_usage(header, "a SAM's own keys"));
        }
        let [a, b, c, d, e, f] = sam.to_bytes();
        let factor = [a, b, c, d, e, f, header.key_type as u8, header.index];
        self.below(header, &Factor::an10922(factor))
    }

    /// The static keys of one card of an issuer-domain key set: one level over the ten bytes of
    /// diversification data, in the place of the PAN, generation 0.
    pub(crate) fn isd_card_set(&self, kvn: u8, serial: Pan) -> Result<StaticKeys> {
        let derive = |key_type| {
            let header = isd_header(key_type, kvn);
            self.below(header, &isd_factor(header, serial))
        };
        Ok(StaticKeys {
            enc: derive(KeyType::IsdEnc)?,
            mac: derive(KeyType::IsdMac)?,
            dek: derive(KeyType::IsdDek)?,
        })
    }

    /// The values of the masters of an issuer-domain key set, for whoever must have them.
    pub(crate) fn isd_masters(&self, kvn: u8) -> Result<IsdMasters> {
        let export = |key_type| {
            let header = isd_header(key_type, kvn);
            self.holds(header)?;
            self.backend.export(header)
        };
        Ok(IsdMasters {
            enc: export(KeyType::IsdEnc)?,
            mac: export(KeyType::IsdMac)?,
            dek: export(KeyType::IsdDek)?,
        })
    }
}

/// Imports every master of the catalog that the backend can hold, or none.
fn import_catalog(roots: &Roots, backend: &dyn Backend) -> Result<BTreeMap<KeyHeader, CheckValue>> {
    let mut masters = BTreeMap::new();
    let mut held = catalog();
    held.retain(|header| backend.supports(header.suite).is_ok());
    let imported = held.into_iter().try_for_each(|header| {
        let root = root_of(roots, header.suite).ok_or_else(|| unknown(header))?;
        backend.import(header, &application_master(root, header))?;
        masters.insert(header, CheckValue::default());
        masters.insert(header, backend.check_value(header)?);
        Ok(())
    });
    if imported.is_err() {
        for header in masters.keys() {
            let _ = backend.destroy(*header);
        }
        let _ = backend.discard();
    }
    imported.map(|()| masters)
}

/// Header of a key without classes.
pub(crate) const fn only(key_type: KeyType, suite: SuiteId, version: u8) -> KeyHeader {
    KeyHeader {
        key_type,
        index: class::ONLY,
        version,
        suite,
    }
}

const fn isd_header(key_type: KeyType, kvn: u8) -> KeyHeader {
    KeyHeader {
        key_type,
        index: kvn,
        version: FIRST_VERSION,
        suite: SuiteId::Aes,
    }
}

fn isd_factor(header: KeyHeader, serial: Pan) -> Factor {
    keys::card_factor(header, serial, Generation(0))
}

/// The three masters of one issuer-domain key set, outside the vault.
pub(crate) struct IsdMasters {
    enc: Key,
    mac: Key,
    dek: Key,
}

impl IsdMasters {
    /// As [`Vault::isd_card_set`].
    pub(crate) fn card_set(&self, kvn: u8, serial: Pan) -> StaticKeys {
        let derive = |master: &Key, key_type| {
            master.diversify(&isd_factor(isd_header(key_type, kvn), serial))
        };
        StaticKeys {
            enc: derive(&self.enc, KeyType::IsdEnc),
            mac: derive(&self.mac, KeyType::IsdMac),
            dek: derive(&self.dek, KeyType::IsdDek),
        }
    }
}

/// Diversification data: ten packed decimal bytes.
pub(crate) fn serial(bytes: [u8; 10]) -> Result<Pan> {
    Pan::from_bytes(bytes).map_err(|_| HsmError::Malformed {
        why: "key diversification data are ten packed decimal bytes (a card or SAM serial)"
            .to_owned(),
    })
}

fn root_of(roots: &Roots, suite: SuiteId) -> Option<&Key> {
    roots.0.iter().find(|(s, _)| *s == suite).map(|(_, k)| k)
}

fn no_service_key(key: ServiceKey) -> HsmError {
    HsmError::UnknownKey {
        key: key.name().to_owned(),
    }
}

pub(crate) fn unknown(header: KeyHeader) -> HsmError {
    HsmError::UnknownKey { key: name(header) }
}

pub(crate) fn wrong_usage(header: KeyHeader, operation: &str) -> HsmError {
    HsmError::WrongUsage {
        key: name(header),
        operation: operation.to_owned(),
    }
}
