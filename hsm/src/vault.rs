//! Which application masters there are, and every derivation below them.
//!
//! Their values are the [`Backend`]'s; here are their names and check values.

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, PoisonError, RwLock},
};

use card_spec::{
    SuiteId,
    id::{Generation, Pan, RegionCode, SamNo},
    keys::{self, Factor, KcvKind, KeyHeader, KeyType, class},
    scp03::StaticKeys,
    ssse,
    suite::{Diversifier, Key},
    time::CardTime,
};
use hsm_client::{CURRENT, CardRef, HsmError, KeyState, Result, ServiceKey, SignPurpose};

use crate::{
    Entropy, Roots,
    backend::{Backend, CheckValue},
    hierarchy::{FIRST_VERSION, Family, application_master, catalog, family, name},
    lifecycle::{Held, Life},
    service::{self, Key256, PersonalData},
    signing::Signer,
    usage::{KeyName, Personalise, Usage, Use},
};

/// Region keys kept ready. A province has a few dozen regions and a few keys each that are used
/// all the time; beyond this the cache starts afresh.
const REGIONS_MAX: usize = 2048;

/// Everything secret that the HSM holds. A change is made on a copy that takes the place of this
/// one once the store has it.
#[derive(Clone)]
pub(crate) struct Vault {
    pub(crate) demo: bool,
    pub(crate) created: CardTime,
    /// Number of the last change; the audit log's lines of changes name it.
    pub(crate) change: u32,
    /// Masters that the next change was bringing to the token when this was written. They are in
    /// force when a store without them, but with their records, is written.
    pub(crate) arriving: BTreeSet<KeyHeader>,
    /// Every master; the values are the backend's.
    pub(crate) masters: BTreeMap<KeyHeader, Record>,
    pub(crate) backend: Arc<dyn Backend>,
    /// By key and version.
    pub(crate) service: BTreeMap<(ServiceKey, u8), Held<Key256>>,
    /// By purpose and version.
    pub(crate) signing: BTreeMap<(SignPurpose, u8), Held<Signer>>,
    pub(crate) regions: Arc<Regions>,
}

/// What is known of a master beside its name and value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Record {
    /// Stays when the value is gone.
    pub(crate) check: CheckValue,
    pub(crate) life: Life,
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
        backend: Arc<dyn Backend>,
    ) -> Result<Self> {
        let mut service = BTreeMap::new();
        for key in ServiceKey::ALL {
            let value = match key {
                ServiceKey::Storage => service::drawn(entropy, FIRST_VERSION)?,
                _ => {
                    let root = root_of(roots, SuiteId::Aes).ok_or_else(|| no_service_key(key))?;
                    service::derived(root, key, FIRST_VERSION)
                }
            };
            service.insert((key, FIRST_VERSION), Held::active(value, created));
        }
        let mut signing = BTreeMap::new();
        for purpose in SignPurpose::ALL {
            let signer = Signer::draw(entropy, purpose, FIRST_VERSION)?;
            signing.insert((purpose, FIRST_VERSION), Held::active(signer, created));
        }
        let masters = import_catalog(roots, &*backend, created)?;
        Ok(Self {
            demo: entropy.is_seeded(),
            created,
            change: 0,
            arriving: BTreeSet::new(),
            masters,
            backend,
            service,
            signing,
            regions: Arc::default(),
        })
    }

    /// The same keys, and masters that a change is bringing.
    pub(crate) fn expecting(&self, arriving: &BTreeSet<KeyHeader>) -> Self {
        Self {
            arriving: arriving.clone(),
            ..self.clone()
        }
    }

    /// Suites of which there is no master, because the backend cannot hold them.
    pub(crate) fn left_out(&self) -> Vec<SuiteId> {
        let mut suites = SuiteId::ALL.to_vec();
        suites.retain(|suite| self.masters.keys().all(|header| header.suite != *suite));
        suites
    }

    pub(crate) fn record(&self, header: KeyHeader) -> Result<&Record> {
        match self.masters.get(&header) {
            Some(record) => Ok(record),
            None => Err(self.missing(header)),
        }
    }

    /// The check value of a master, computed from what is held now.
    pub(crate) fn check_value(&self, header: KeyHeader, kind: KcvKind) -> Result<[u8; 3]> {
        let header = self.resolve(header)?;
        let state = self.record(header)?.life.state();
        if state == KeyState::Destroyed {
            return Err(HsmError::Refused {
                why: format!(
                    "key {} is destroyed: its record keeps its check value",
                    name(header)
                ),
            });
        }
        self.backend.check_value_of(header, kind)
    }

    /// There is no such master; that its suite is beyond the backend is said so.
    fn missing(&self, header: KeyHeader) -> HsmError {
        self.backend
            .supports(header.suite)
            .err()
            .unwrap_or_else(|| unknown(header))
    }

    /// The key named, once its state allows the use.
    fn ready<U: Usage>(&self, name: KeyName<U>) -> Result<KeyHeader> {
        let header = name.header();
        let state = self.record(header)?.life.state();
        if U::USE.allowed_in(state) {
            return Ok(header);
        }
        Err(not_in_state(header, state, U::USE))
    }

    /// The key one level below a master.
    fn below<U: Usage>(&self, name: KeyName<U>, factor: &Factor) -> Result<Key> {
        self.backend.diversify(self.ready(name)?, factor)
    }

    /// The version of a key that new cards get: the newest active one.
    pub(crate) fn current(&self, header: KeyHeader) -> Result<KeyHeader> {
        let version = |version| KeyHeader { version, ..header };
        let all = self.masters.range(version(0)..=version(u8::MAX));
        let same = all.rev().filter(|(h, _)| version(h.version) == **h);
        same.filter(|(_, record)| record.life.state() == KeyState::Active)
            .map(|(h, _)| *h)
            .next()
            .ok_or_else(|| match self.backend.supports(header.suite) {
                Ok(()) => HsmError::UnknownKey {
                    key: format!("{} that is active", name(header)),
                },
                Err(beyond) => beyond,
            })
    }

    /// Every version of a key that SAMs get.
    pub(crate) fn for_sams(&self, header: KeyHeader) -> Result<Vec<KeyHeader>> {
        self.current(header)?;
        let same = self.masters.iter().filter(|(h, record)| {
            KeyHeader {
                version: header.version,
                ..**h
            } == header
                && Use::IssueSam.allowed_in(record.life.state())
        });
        Ok(same.map(|(h, _)| *h).collect())
    }

    /// The header with the version that [`CURRENT`] stands for.
    pub(crate) fn resolve(&self, header: KeyHeader) -> Result<KeyHeader> {
        match header.version {
            CURRENT => self.current(header),
            _ => Ok(header),
        }
    }

    /// The newest active version of a service key.
    pub(crate) fn service_key(&self, key: ServiceKey) -> Result<&Key256> {
        newest(&self.service, key).ok_or_else(|| no_service_key(key))
    }

    /// A version of a service key that opens what it protected: active or verify-only.
    pub(crate) fn service_version(&self, key: ServiceKey, version: u8) -> Result<&Key256> {
        let held = self.service.get(&(key, version));
        held.filter(|h| matches!(h.life.state(), KeyState::Active | KeyState::VerifyOnly))
            .and_then(|h| h.value.as_deref())
            .ok_or_else(|| HsmError::UnknownKey {
                key: format!("{} version {version} that is in use", key.name()),
            })
    }

    /// The version of a service key that new things go under: the newest active one, or the one
    /// named if it is active.
    pub(crate) fn newest_version(&self, key: ServiceKey, wanted: u8) -> Result<u8> {
        self.service
            .range((key, 0)..=(key, u8::MAX))
            .rev()
            .filter(|(_, held)| held.life.state() == KeyState::Active)
            .map(|((_, version), _)| *version)
            .find(|version| wanted == CURRENT || wanted == *version)
            .ok_or_else(|| no_service_key(key))
    }

    /// Public keys of every version of the audit key, destroyed ones excepted: each signed its part
    /// of the log.
    pub(crate) fn audit_keys(&self) -> Vec<[u8; 32]> {
        let all = self.signing.iter();
        all.filter(|((purpose, _), _)| *purpose == SignPurpose::Audit)
            .filter_map(|(_, held)| held.value.as_ref()?.public_key().ok()?.try_into().ok())
            .collect()
    }

    /// Every version of a signing key whose signatures count.
    pub(crate) fn verifying(&self, purpose: SignPurpose) -> impl Iterator<Item = &Signer> {
        let all = self.signing.range((purpose, 0)..=(purpose, u8::MAX));
        all.filter(|(_, held)| matches!(held.life.state(), KeyState::Active | KeyState::VerifyOnly))
            .filter_map(|(_, held)| held.value.as_deref())
    }

    /// The newest active version of a signing key.
    pub(crate) fn signer(&self, purpose: SignPurpose) -> Result<&Signer> {
        newest(&self.signing, purpose).ok_or_else(|| HsmError::UnknownKey {
            key: format!("signing key {} that is active", purpose.name()),
        })
    }

    /// The operations under the PDK.
    pub(crate) fn personal_data(&self) -> PersonalData {
        let versions = self
            .service
            .range((ServiceKey::PersonalData, 0)..=(ServiceKey::PersonalData, u8::MAX));
        PersonalData::new(versions.filter_map(|((_, version), held)| {
            let value = held.value.as_deref()?;
            Some((*version, held.life.state(), value))
        }))
    }

    /// The region key of a purse, social-security or medical master, for one use.
    pub(crate) fn region_key<U: Usage>(
        &self,
        key: KeyName<U>,
        region: RegionCode,
        iin: [u8; 2],
    ) -> Result<Arc<RegionKey>> {
        let header = self.ready(key)?;
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
        let key = self.backend.diversify(header, &factor)?;
        let key = Arc::new(RegionKey::new(header.suite, key));
        self.regions.put(at, Arc::clone(&key));
        Ok(key)
    }

    /// The key of one card, for one use.
    pub(crate) fn card_key<U: Usage>(&self, key: KeyName<U>, card: &CardRef) -> Result<CardKey<U>> {
        if card.pan.is_sample() {
            return Err(HsmError::Refused {
                why: format!("{} is a sample card: its keys are published", card.pan),
            });
        }
        let header = key.header();
        let region = self.region_key(key, card.region, card.pan.iin())?;
        let value = region.card_key(&match family(header.key_type) {
            Family::Social => keys::ssse_card_factor(header.suite, &ssse::f1(card.pan)),
            _ => keys::card_factor(header, card.pan, card.generation),
        });
        Ok(CardKey { name: key, value })
    }

    /// A SAM's own key: AN10922 over `SAM number(6) | type | index` under its master (AES only).
    pub(crate) fn sam_own_key<U: Usage>(&self, key: KeyName<U>, sam: SamNo) -> Result<Key> {
        let header = key.header();
        if family(header.key_type) != Family::Sam {
            return Err(wrong_usage(header, "a SAM's own keys"));
        }
        let [a, b, c, d, e, f] = sam.to_bytes();
        let factor = [a, b, c, d, e, f, header.key_type as u8, header.index];
        self.below(key, &Factor::an10922(factor))
    }

    /// The issuer-domain versions of a key set that are in use, newest first. A card names the set
    /// (KVN), not the version of its masters: whoever meets a card tries them.
    pub(crate) fn isd_versions(&self, kvn: u8) -> Vec<u8> {
        let of_set = |header: &KeyHeader| header.key_type == KeyType::IsdEnc && header.index == kvn;
        let all = self.masters.iter().rev();
        all.filter(|(header, record)| of_set(header) && record.life.state() == KeyState::Active)
            .map(|(header, _)| header.version)
            .collect()
    }

    /// The static keys of one card of an issuer-domain key set: one level over the ten bytes of
    /// diversification data, in the place of the PAN, generation 0.
    pub(crate) fn isd_card_set(&self, kvn: u8, version: u8, serial: Pan) -> Result<StaticKeys> {
        let derive = |key_type| {
            let header = self.resolve(isd_header(key_type, kvn, version))?;
            let name = KeyName::<Personalise>::new(header)?;
            self.below(name, &isd_factor(header, serial))
        };
        Ok(StaticKeys {
            enc: derive(KeyType::IsdEnc)?,
            mac: derive(KeyType::IsdMac)?,
            dek: derive(KeyType::IsdDek)?,
        })
    }

    /// The values of the newest masters of an issuer-domain key set, for whoever must have them.
    pub(crate) fn isd_masters(&self, kvn: u8) -> Result<IsdMasters> {
        let export = |key_type| {
            let header = self.current(isd_header(key_type, kvn, CURRENT))?;
            self.backend.export(header)
        };
        Ok(IsdMasters {
            enc: export(KeyType::IsdEnc)?,
            mac: export(KeyType::IsdMac)?,
            dek: export(KeyType::IsdDek)?,
        })
    }
}

/// The newest active version of a key that is in this process.
fn newest<K: Copy + Ord, T>(all: &BTreeMap<(K, u8), Held<T>>, key: K) -> Option<&T> {
    all.range((key, 0)..=(key, u8::MAX))
        .rev()
        .filter(|(_, held)| held.life.state() == KeyState::Active)
        .find_map(|(_, held)| held.value.as_deref())
}

/// The key of one card, got for the use `U` and good for nothing else.
pub(crate) struct CardKey<U> {
    name: KeyName<U>,
    value: Key,
}

impl<U: Usage> CardKey<U> {
    pub(crate) fn suite(&self) -> SuiteId {
        self.name.header().suite
    }

    /// The value, for the one computation of its use.
    pub(crate) const fn expose(&self) -> &Key {
        &self.value
    }
}

fn not_in_state(header: KeyHeader, state: KeyState, wanted: Use) -> HsmError {
    let advice = match state {
        KeyState::PreActive => "two officers activate it",
        KeyState::Active | KeyState::VerifyOnly => "a newer version takes its place",
        _ => "it stays out of use",
    };
    HsmError::Refused {
        why: format!(
            "key {} is {} and serves no {}: {advice}",
            name(header),
            state.name(),
            wanted.name()
        ),
    }
}

/// Imports every master of the catalog that the backend can hold.
fn import_catalog(
    roots: &Roots,
    backend: &dyn Backend,
    at: CardTime,
) -> Result<BTreeMap<KeyHeader, Record>> {
    let mut masters = BTreeMap::new();
    let mut held = catalog();
    held.retain(|header| backend.supports(header.suite).is_ok());
    for header in held {
        let root = root_of(roots, header.suite).ok_or_else(|| unknown(header))?;
        backend.import(header, &application_master(root, header))?;
        let life = Life::begun(KeyState::Active, at);
        let check = backend.check_value(header)?;
        masters.insert(header, Record { check, life });
    }
    Ok(masters)
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

const fn isd_header(key_type: KeyType, kvn: u8, version: u8) -> KeyHeader {
    KeyHeader {
        key_type,
        index: kvn,
        version,
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
            master.diversify(&isd_factor(isd_header(key_type, kvn, CURRENT), serial))
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

pub(crate) fn root_of(roots: &Roots, suite: SuiteId) -> Option<&Key> {
    roots.0.iter().find(|(s, _)| *s == suite).map(|(_, k)| k)
}

pub(crate) fn no_service_key(key: ServiceKey) -> HsmError {
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
