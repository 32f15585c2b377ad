//! The lives of a vault's keys, whatever their kind.

use hsm_client::{KeyId, KeyState, ServiceKey};

use crate::{
    lifecycle::{Held, Life},
    vault::Vault,
};

impl Vault {
    /// Every key but the storage key, which is this store's alone.
    pub(crate) fn ids(&self) -> Vec<KeyId> {
        let masters = self.masters.keys().map(|header| KeyId::Master(*header));
        let service = self.service.keys();
        let service = service.filter(|(key, _)| *key != ServiceKey::Storage);
        let service = service.map(|&(key, version)| KeyId::Service { key, version });
        let signing = self.signing.keys();
        let signing = signing.map(|&(purpose, version)| KeyId::Signing { purpose, version });
        masters.chain(service).chain(signing).collect()
    }

    /// The life of a key that is here.
    pub(crate) fn life(&self, key: KeyId) -> Option<&Life> {
        match key {
            KeyId::Master(header) => self.masters.get(&header).map(|record| &record.life),
            KeyId::Service { key, version } => self.service.get(&(key, version)).map(|h| &h.life),
            KeyId::Signing { purpose, version } => {
                self.signing.get(&(purpose, version)).map(|h| &h.life)
            }
        }
    }

    /// Gives a key that is here another life. The value of a destroyed master is the backend's, and
    /// is wiped there once this is durable.
    pub(crate) fn set_life(&mut self, key: KeyId, life: Life) {
        fn put<T>(held: Option<&mut Held<T>>, life: Life) {
            if let Some(held) = held {
                if life.state() == KeyState::Destroyed {
                    held.value = None;
                }
                held.life = life;
            }
        }
        match key {
            KeyId::Master(header) => {
                if let Some(record) = self.masters.get_mut(&header) {
                    record.life = life;
                }
            }
            KeyId::Service { key, version } => put(self.service.get_mut(&(key, version)), life),
            KeyId::Signing { purpose, version } => {
                put(self.signing.get_mut(&(purpose, version)), life);
            }
        }
    }
}
