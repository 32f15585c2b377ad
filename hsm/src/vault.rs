//! The application masters in memory, and every derivation below them.

use std::collections::BTreeMap;

use card_spec::{
    SuiteId,
    id::{Generation, Pan, RegionCode, SamNo},
    keys::{self, KeyHeader, KeyType, class},
    scp03::StaticKeys,
    ssse,
    suite::Key,
    time::CardTime,
};
use hsm_client::{CardRef, HsmError, Result, ServiceKey, SignPurpose};

use crate::{
    Entropy, Roots,
    hierarchy::{FIRST_VERSION, Family, application_master, catalog, family, name},
    service::{self, Key256, PersonalData},
    signing::Signer,
};

/// Region keys kept ready. A province has a few dozen regions and a few keys each that are used
/// all the time; beyond this the cache starts afresh.
const REGIONS_MAX: usize = 2048;

/// Everything secret that rests in the store.
pub(crate) struct Vault {
    pub(crate) demo: bool,
    pub(crate) created: CardTime,
    pub(crate) masters: BTreeMap<KeyHeader, Key>,
    pub(crate) service: BTreeMap<ServiceKey, Key256>,
    pub(crate) signing: BTreeMap<SignPurpose, Signer>,
}

/// Region keys derived so far: `(key, region, IIN)`.
pub(crate) type RegionCache = BTreeMap<(KeyHeader, [u8; 3], [u8; 2]), Key>;

impl Vault {
    /// Derives every master of the catalog and the service keys; draws the storage key and the
    /// signing keys.
    pub(crate) fn form(roots: &Roots, entropy: &Entropy, created: CardTime) -> Result<Self> {
        let mut masters = BTreeMap::new();
        for header in catalog() {
            let root = root_of(roots, header.suite).ok_or_else(|| unknown(header))?;
            masters.insert(header, application_master(root, header));
        }
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
        Ok(Self {
            demo: entropy.is_seeded(),
            created,
            masters,
            service,
            signing,
        })
    }

    pub(crate) fn master(&self, header: KeyHeader) -> Result<&Key> {
        self.masters.get(&header).ok_or_else(|| unknown(header))
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
    pub(crate) fn region_key<'c>(
        &self,
        cache: &'c mut RegionCache,
        header: KeyHeader,
        region: RegionCode,
        iin: [u8; 2],
    ) -> Result<&'c Key> {
        let at = (header, region.to_bytes(), iin);
        if cache.len() >= REGIONS_MAX && !cache.contains_key(&at) {
            cache.clear();
        }
        match cache.entry(at) {
            std::collections::btree_map::Entry::Occupied(entry) => Ok(entry.into_mut()),
            std::collections::btree_map::Entry::Vacant(entry) => {
                let master = self.master(header)?;
                let key = match family(header.key_type) {
                    Family::Purse => keys::region_key(master, header.suite, region, iin),
                    Family::Social => keys::ssse_region_key(master, header.suite, region),
                    Family::IssuerDomain | Family::Sam => {
                        return Err(wrong_usage(header, "region keys"));
                    }
                };
                Ok(entry.insert(key))
            }
        }
    }

    /// The key of one card.
    pub(crate) fn card_key(
        &self,
        cache: &mut RegionCache,
        header: KeyHeader,
        card: &CardRef,
    ) -> Result<Key> {
        if card.pan.is_sample() {
            return Err(HsmError::Refused {
                why: format!("{} is a sample card: its keys are published", card.pan),
            });
        }
        let region = self.region_key(cache, header, card.region, card.pan.iin())?;
        Ok(match family(header.key_type) {
            Family::Social => keys::ssse_card_key(region, header.suite, &ssse::f1(card.pan)),
            _ => keys::card_key(region, header, card.pan, card.generation),
        })
    }

    /// A SAM's own key: AN10922 over `SAM number(6) | type | index` under its master (AES only).
    pub(crate) fn sam_own_key(&self, header: KeyHeader, sam: SamNo) -> Result<Key> {
        if family(header.key_type) != Family::Sam {
            return Err(wrong_usage(header, "a SAM's own keys"));
        }
        let [a, b, c, d, e, f] = sam.to_bytes();
        let factor = [a, b, c, d, e, f, header.key_type as u8, header.index];
        Ok(self.master(header)?.diversify_an10922(&factor))
    }

    /// The masters of an issuer-domain key set.
    pub(crate) fn isd_masters(&self, kvn: u8) -> Result<IsdMasters> {
        let master = |key_type| self.master(isd_header(key_type, kvn)).cloned();
        Ok(IsdMasters {
            enc: master(KeyType::IsdEnc)?,
            mac: master(KeyType::IsdMac)?,
            dek: master(KeyType::IsdDek)?,
        })
    }
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

/// The three masters of one issuer-domain key set.
pub(crate) struct IsdMasters {
    enc: Key,
    mac: Key,
    dek: Key,
}

impl IsdMasters {
    /// The static keys of one card: one level over the ten bytes of diversification data, in the
    /// place of the PAN, generation 0.
    pub(crate) fn card_set(&self, kvn: u8, serial: Pan) -> StaticKeys {
        let derive = |master: &Key, key_type| {
            keys::card_key(master, isd_header(key_type, kvn), serial, Generation(0))
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
