//! [`Begun`] as the transit purse uses it: with its overdraft and its log.

use super::{Purse, at};
use crate::{
    apdu::Out,
    error::Error,
    nvm::{Entropy, Nvm},
    transaction::{Begun, Kind},
};
use card_spec::{Fen, keys::KeyType, purse::files::LogRecord, suite::Key};

pub(super) static PURCHASE: Kind = kind(KeyType::Dpk, at::OFFLINE_SEQ, at::PROVE_PURCHASE);
pub(super) static LOAD: Kind = kind(KeyType::Dlk, at::ONLINE_SEQ, at::PROVE_LOAD);
pub(super) static OVERDRAFT: Kind = kind(KeyType::Duk, at::ONLINE_SEQ, at::PROVE_OVERDRAFT);

const fn kind(key: KeyType, seq: usize, proof: usize) -> Kind {
    Kind {
        key,
        tac_key: KeyType::Dtk,
        seq: seq as u16,
        proof: proof as u16,
    }
}

impl<N: Nvm, R: Entropy> Purse<'_, N, R> {
    pub(super) fn begin(&mut self, kind: &'static Kind, kid: u8) -> Result<Begun, Error> {
        let balance = self.available();
        Begun::new(&self.area, self.entropy, kind, kid, balance)
    }

    pub(super) fn answer_with_limit(begun: &Begun, limit: Fen, out: &mut Out) {
        let [_, limit3 @ ..] = (limit.0 as u32).to_be_bytes();
        begun.answer(&[], &limit3, out);
    }

    pub(super) fn resume(&self, begun: &Begun) -> Result<Key, Error> {
        begun.resume(&self.area, self.available())
    }

    /// The sequence, the log and the proof.
    pub(super) fn book(
        &mut self,
        begun: &Begun,
        record: &LogRecord,
        mac2: [u8; 4],
        tac: [u8; 4],
    ) -> Result<(), Error> {
        let tx = record.tx as u8;
        begun.book(&mut self.area, tx, mac2, tac);
        at::LOG.append(&mut self.area, &record.to_bytes())
    }
}
