//! What a key store holds, before it is encrypted.
//!
//! ```text
//! 05 | demo 1 | created 7 | change 4
//! n 2 | n x header 4                     masters on their way to the token: no key yet
//! n 2 | n x (header 4 | KCV 3 | life | value)      application masters
//! n 1 | n x (purpose 1 | version 1 | life | value)       signing keys
//! n 1 | n x (service key 1 | version 1 | life | value)
//! life: n 1 | n x (state 1 | time 7)
//! value: 00 of a destroyed key, 01 | 16 or 32 bytes, 02 of a master on the token, 03 of the storage
//! key (it is in the envelope)
//! ```
//! Content 04, of before a change had two steps, has neither change nor masters on their way, and
//! no storage key.
//! Contents 02 and 03, of before keys had states, are `demo 1 | created 7 | n 2 | n x (header 4 |
//! value 16, or KCV 3 of a master on the token) | n 1 | n x (purpose 1 | value 32) | n 1 | n x
//! (service key 1 | value 32)`: they open with every key active since their creation, and the first
//! change writes them as 05.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use card_spec::{keys::KeyHeader, suite::Key, time::CardTime};
use hsm_client::{KeyEvent, KeyState, Result, ServiceKey, SignPurpose};
use zeroize::Zeroizing;

use crate::{
    backend::{Backend, Place},
    hierarchy::FIRST_VERSION,
    lifecycle::{EVENTS_MAX, Held, Life},
    service::key_byte,
    signing::{Signer, purpose_byte},
    vault::{Record, Vault},
};

const CONTENT: u8 = 5;
/// Of before the store said what was on its way to the token.
const WITHOUT_CHANGES: u8 = 4;
const WITHOUT_STATES: [u8; 2] = [2, 3];
/// Every index of every type in every suite, many times over.
const MASTERS_MAX: usize = 16 * 1024;

const fn state_byte(state: KeyState) -> u8 {
    match state {
        KeyState::PreActive => 1,
        KeyState::Active => 2,
        KeyState::VerifyOnly => 3,
        KeyState::Retired => 4,
        KeyState::Compromised => 5,
        KeyState::Destroyed => 6,
    }
}

/// Longest form of one key: name, check value, life, value.
const ENTRY_MAX: usize = 7 + 1 + EVENTS_MAX * 8 + 1 + 32;

pub(crate) fn encode(vault: &Vault) -> Result<Zeroizing<Vec<u8>>> {
    let keys = vault.masters.len() + vault.signing.len() + vault.service.len();
    // Enough, so that no reallocation leaves a copy behind.
    let mut out = Zeroizing::new(Vec::with_capacity(
        32 + vault.arriving.len() * 4 + keys * ENTRY_MAX,
    ));
    out.extend_from_slice(&[CONTENT, u8::from(vault.demo)]);
    out.extend_from_slice(&vault.created.to_bytes());
    out.extend_from_slice(&vault.change.to_be_bytes());
    let arriving =
        u16::try_from(vault.arriving.len()).map_err(|_| super::store("too many keys"))?;
    out.extend_from_slice(&arriving.to_be_bytes());
    for header in &vault.arriving {
        out.extend_from_slice(&header.to_bytes());
    }
    let count = |n: usize| u8::try_from(n).map_err(|_| super::store("too many keys"));
    let masters = u16::try_from(vault.masters.len()).map_err(|_| super::store("too many keys"))?;
    out.extend_from_slice(&masters.to_be_bytes());
    for (header, record) in &vault.masters {
        out.extend_from_slice(&header.to_bytes());
        out.extend_from_slice(&record.check);
        put_life(&mut out, &record.life);
        match (record.life.state(), vault.backend.place()) {
            (KeyState::Destroyed, _) => out.push(0),
            (_, Place::Token(_)) => out.push(2),
            (_, Place::File) => {
                out.push(1);
                out.extend_from_slice(vault.backend.export(*header)?.expose());
            }
        }
    }
    out.push(count(vault.signing.len())?);
    for ((purpose, version), held) in &vault.signing {
        out.extend_from_slice(&[purpose_byte(*purpose), *version]);
        put_life(&mut out, &held.life);
        put_value(&mut out, held.value.as_deref().map(Signer::secret));
    }
    out.push(count(vault.service.len())?);
    for ((key, version), held) in &vault.service {
        out.extend_from_slice(&[key_byte(*key), *version]);
        put_life(&mut out, &held.life);
        match (key, held.life.state()) {
            (ServiceKey::Storage, KeyState::Active) => out.push(3),
            _ => put_value(&mut out, held.value.as_ref().map(|key| &***key)),
        }
    }
    Ok(out)
}

fn put_life(out: &mut Vec<u8>, life: &Life) {
    let events = life.events();
    out.push(events.len() as u8);
    for event in events {
        out.push(state_byte(event.state));
        out.extend_from_slice(&event.at.to_bytes());
    }
}

fn put_value(out: &mut Vec<u8>, value: Option<&[u8; 32]>) {
    out.push(u8::from(value.is_some()));
    out.extend_from_slice(value.map_or(&[], |v| &v[..]));
}

pub(crate) fn decode(content: &[u8], backend: Box<dyn Backend>) -> Option<Vault> {
    let mut reader = Reader(content);
    let [format, demo] = reader.array()?;
    let states = matches!(format, CONTENT | WITHOUT_CHANGES);
    if (!states && !WITHOUT_STATES.contains(&format)) || demo > 1 {
        return None;
    }
    let created = CardTime::from_bytes(reader.array()?).ok()?;
    let (mut change, mut arriving) = (0, BTreeSet::new());
    if format == CONTENT {
        change = u32::from_be_bytes(reader.array()?);
        let n = usize::from(u16::from_be_bytes(reader.array()?));
        for _ in 0..n {
            let header = KeyHeader::from_bytes(reader.array()?).ok()?;
            if !arriving.insert(header) {
                return None;
            }
        }
    }
    let mut reader = Entries {
        reader,
        states,
        created,
    };
    let n = usize::from(u16::from_be_bytes(reader.reader.array()?));
    if n > MASTERS_MAX {
        return None;
    }
    let on_token = matches!(backend.place(), Place::Token(_));
    let mut masters = BTreeMap::new();
    for _ in 0..n {
        let header = KeyHeader::from_bytes(reader.reader.array()?).ok()?;
        let named = if reader.states || on_token {
            Some(reader.reader.array()?)
        } else {
            None
        };
        let life = reader.maybe_life()?;
        let destroyed = life.state() == KeyState::Destroyed;
        let value = match reader.states {
            true => reader.reader.array::<1>()?[0],
            false if on_token => 2,
            false => 1,
        };
        let check = match (value, named) {
            (0, Some(named)) if destroyed => named,
            (2, Some(named)) if on_token && !destroyed => named,
            (1, named) if !on_token && !destroyed => {
                backend
                    .import(header, &Key::new(reader.reader.array()?))
                    .ok()?;
                let computed = backend.check_value(header).ok()?;
                if named.is_some_and(|n| n != computed) {
                    return None;
                }
                computed
            }
            _ => return None,
        };
        // A header twice is a damaged store; with two values the backend has said so already. One
        // that is on its way is not here yet.
        let twice = masters.insert(header, Record { check, life }).is_some();
        if twice || arriving.contains(&header) {
            return None;
        }
    }
    let [n] = reader.reader.array()?;
    let mut signing = BTreeMap::new();
    for _ in 0..n {
        let [purpose] = reader.reader.array()?;
        let purpose = SignPurpose::ALL
            .into_iter()
            .find(|p| purpose_byte(*p) == purpose)?;
        let version = reader.version()?;
        let life = reader.maybe_life()?;
        let value = match reader.value::<32>(&life)? {
            Some(secret) => Some(Box::new(Signer::from_secret(purpose, secret)?)),
            None => None,
        };
        if signing
            .insert((purpose, version), Held { life, value })
            .is_some()
        {
            return None;
        }
    }
    let [n] = reader.reader.array()?;
    let mut service = BTreeMap::new();
    for _ in 0..n {
        let [key] = reader.reader.array()?;
        let key = ServiceKey::ALL.into_iter().find(|k| key_byte(*k) == key)?;
        let version = reader.version()?;
        let life = reader.maybe_life()?;
        let value = match (key, life.state()) {
            (ServiceKey::Storage, KeyState::Active) => {
                let [3] = reader.reader.array()? else {
                    return None;
                };
                None
            }
            (ServiceKey::Storage, state) if state != KeyState::Destroyed => return None,
            _ => reader.value::<32>(&life)?.map(Box::new),
        };
        if service
            .insert((key, version), Held { life, value })
            .is_some()
        {
            return None;
        }
    }
    if format != CONTENT {
        let (key, life) = (ServiceKey::Storage, Life::begun(KeyState::Active, created));
        let held = Held { life, value: None };
        if service.insert((key, FIRST_VERSION), held).is_some() {
            return None;
        }
    }
    let sealing = service.iter().filter(|((key, _), held)| {
        *key == ServiceKey::Storage && held.life.state() == KeyState::Active
    });
    if sealing.count() != 1 {
        return None;
    }
    reader.reader.0.is_empty().then_some(Vault {
        demo: demo == 1,
        created,
        change,
        arriving,
        masters,
        backend: Arc::from(backend),
        service,
        signing,
        regions: Arc::default(),
    })
}

/// Entries of either content.
struct Entries<'a> {
    reader: Reader<'a>,
    /// Whether keys have lives.
    states: bool,
    created: CardTime,
}

impl Entries<'_> {
    fn version(&mut self) -> Option<u8> {
        if !self.states {
            return Some(FIRST_VERSION);
        }
        let [version] = self.reader.array()?;
        Some(version)
    }

    fn maybe_life(&mut self) -> Option<Life> {
        if !self.states {
            return Some(Life::begun(KeyState::Active, self.created));
        }
        self.life()
    }

    fn life(&mut self) -> Option<Life> {
        let [n] = self.reader.array()?;
        let mut events = Vec::with_capacity(n.into());
        for _ in 0..n {
            let [state] = self.reader.array()?;
            let state = KeyState::ALL
                .into_iter()
                .find(|s| state_byte(*s) == state)?;
            let at = CardTime::from_bytes(self.reader.array()?).ok()?;
            events.push(KeyEvent { state, at });
        }
        Life::from_events(&events)
    }

    /// `Some(None)`: there is none, as there must be of a destroyed key and of no other.
    fn value<const N: usize>(&mut self, life: &Life) -> Option<Option<Zeroizing<[u8; N]>>> {
        let there = if self.states {
            let [there] = self.reader.array()?;
            there
        } else {
            1
        };
        let expected = life.state() != KeyState::Destroyed;
        match (there, expected) {
            (0, false) => Some(None),
            (1, true) => Some(Some(Zeroizing::new(self.reader.array()?))),
            _ => None,
        }
    }
}

/// What is left of the input.
pub(crate) struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    pub(crate) const fn new(input: &'a [u8]) -> Self {
        Self(input)
    }

    pub(crate) const fn rest(&self) -> &'a [u8] {
        self.0
    }

    pub(crate) fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, rest) = self.0.split_first_chunk::<N>()?;
        self.0 = rest;
        Some(*head)
    }

    /// What was read of `whole`, whose tail `self` is.
    pub(crate) fn read_so_far<'b>(&self, whole: &'b [u8]) -> &'b [u8] {
        whole
            .get(..whole.len().saturating_sub(self.0.len()))
            .unwrap_or_default()
    }
}
