//! Fetching the hotlist: the changes since the version held, or a base when they are too many.

use clearing_api::{Client, ClientError, registry::Hotlist as Signed};
use ed25519_dalek::VerifyingKey;

use super::{Base, Hotlist, HotlistError, HotlistStore};

/// Gives hotlists out.
pub trait Hotlists {
    /// What changed after a version.
    fn changes(&mut self, since: u64) -> Result<Signed, ClientError>;
    /// The file of a base.
    fn base(&mut self) -> Result<Vec<u8>, ClientError>;
}

impl Hotlists for Client {
    fn changes(&mut self, since: u64) -> Result<Signed, ClientError> {
        self.hotlist(since)
    }
    fn base(&mut self) -> Result<Vec<u8>, ClientError> {
        self.hotlist_base()
    }
}

/// Why a fetch changed nothing.
#[derive(Debug, thiserror::Error)]
pub enum FetchError {
    /// No answer, or a refusal.
    #[error(transparent)]
    Client(#[from] ClientError),
    /// What came is not to be used.
    #[error(transparent)]
    Hotlist(#[from] HotlistError),
    /// It cannot be kept. It is not used either: the next start would not know it.
    #[error("the hotlist cannot be kept: {0}; check the disk")]
    Keep(#[from] std::io::Error),
}

/// The list that takes `held`'s place, on the disk already where there is a store.
pub fn fetch(
    from: &mut dyn Hotlists,
    held: &Hotlist,
    key: &VerifyingKey,
    store: Option<&HotlistStore>,
) -> Result<Hotlist, FetchError> {
    let mut list = held.clone();
    let change = match from.changes(list.version()) {
        Ok(change) => change,
        Err(ClientError::Refused(problem)) if problem.code == clearing_api::hotlist::BASE_DUE => {
            return base(from, list, key, store);
        }
        Err(error) => return Err(error.into()),
    };
    let has_news = change.version != list.version() || change.since == 0;
    match list.apply(&change, key) {
        Err(HotlistError::BaseDue) => return base(from, list, key, store),
        applied => applied?,
    }
    if has_news && let Some(store) = store {
        store.keep_change(&change)?;
    }
    Ok(list)
}

fn base(
    from: &mut dyn Hotlists,
    mut list: Hotlist,
    key: &VerifyingKey,
    store: Option<&HotlistStore>,
) -> Result<Hotlist, FetchError> {
    let file = from.base()?;
    let base = Base::read(file.as_slice(), key).map_err(HotlistError::from)?;
    list.rebase(base)?;
    if let Some(store) = store {
        store.keep_base(&file)?;
    }
    Ok(list)
}
