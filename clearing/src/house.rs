//! The clearing house: a store, an HSM, a clock, the rules, and the use cases on them.

use crate::clock::Clock;
use crate::error::{ClearingError, Refusal, Result};
use crate::store::{PersonKey, Registered, Store};
use crate::tariffs::Timeline;
use actix_web::web::Bytes;
use card_spec::{Fen, id::Pan, time::CardDate};
use clearing_api::{
    day::CardShadow,
    hotlist::{Base, Key},
    mode::SignedOrders,
    pension::Pension,
    registry::{Hotlist, HotlistEntry, ListCard},
};
use ed25519_dalek::SigningKey;
use hsm_client::{Hsm, SignPurpose};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Why the rules could not be read.
#[derive(Debug, thiserror::Error)]
pub enum RulesError {
    /// Tariffs.
    #[error(transparent)]
    Fare(#[from] fare::FareError),
    /// Benefit policies, catalogue or institutions.
    #[error(transparent)]
    Benefit(#[from] benefit::DataError),
    /// Social policies.
    #[error(transparent)]
    Social(#[from] social::PolicyError),
}

/// What things cost and who pays, read once from dated and sourced files.
#[derive(Debug)]
pub struct Rules {
    /// Tariffs for re-rating.
    pub tariffs: Arc<fare::Tariffs>,
    /// Benefit policies.
    pub policies: benefit::PolicySet,
    /// Medical catalogue.
    pub catalogue: benefit::Catalogue,
    /// Designated institutions.
    pub institutions: benefit::Institutions,
    /// Pension policy.
    pub social: social::SocialPolicy,
}

impl Rules {
    /// Reads a province's data folder, e.g. `data/fujian`.
    pub fn load(folder: &Path) -> core::result::Result<Self, RulesError> {
        Ok(Self {
            tariffs: Arc::new(fare::Tariffs::load(folder)?),
            policies: benefit::PolicySet::load_dir(&folder.join("benefits"))?,
            catalogue: benefit::Catalogue::load(&folder.join("catalogue.csv"))?,
            institutions: benefit::Institutions::load(&folder.join("institutions.toml"))?,
            social: social::SocialPolicy::load(&folder.join("social.toml"))?,
        })
    }
}

/// How many versions of the hotlist behind is still answered with what changed; bounds the answers
/// kept.
const BEHIND: u64 = 256;
/// Longest hotlist that is answered whole; of a longer one there is a base.
const WHOLE: usize = 4_096;

/// Limits of one top-up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TopUpLimits {
    /// Highest amount of one top-up.
    pub per_load: Fen,
    /// Highest balance afterwards.
    pub max_balance: Fen,
}

impl Default for TopUpLimits {
    /// 1,000 yuan each, the limit of an unregistered PBOC e-purse.
    fn default() -> Self {
        Self {
            per_load: Fen::yuan(1_000),
            max_balance: Fen::yuan(1_000),
        }
    }
}

/// The clearing house.
pub struct House<S> {
    pub(crate) store: S,
    hsm: Arc<dyn Hsm>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) rules: Arc<Rules>,
    pub(crate) ledger_key: SigningKey,
    pub(crate) limits: TopUpLimits,
    /// What prices sales again. One publication at a time writes it.
    pub(crate) tariffs: tokio::sync::RwLock<Timeline>,
    pub(crate) publishing: tokio::sync::Mutex<()>,
    /// The mode orders of the newest version, signed.
    pub(crate) signed_orders: tokio::sync::Mutex<Option<(u64, SignedOrders)>>,
    /// One top-up at a time between hold and grant.
    pub(crate) loading: tokio::sync::Mutex<()>,
    /// One national call at a time, so that a double click waits for its first answer.
    pub(crate) national: tokio::sync::Mutex<()>,
    /// Signed hotlists of the newest version, by the version they start after.
    signed_hotlists: tokio::sync::Mutex<BTreeMap<u64, Hotlist>>,
    /// The newest hotlist base made: its version and file.
    hotlist_base: tokio::sync::Mutex<Option<(u64, Bytes)>>,
    stopping: AtomicBool,
}

impl<S: Store> House<S> {
    /// Puts the parts together. `ledger_key` signs holds; the HSM knows its public half.
    pub fn new(
        store: S,
        hsm: Arc<dyn Hsm>,
        clock: Arc<dyn Clock>,
        rules: Arc<Rules>,
        ledger_key: SigningKey,
        limits: TopUpLimits,
    ) -> Self {
        Self {
            store,
            hsm,
            clock,
            tariffs: tokio::sync::RwLock::new(Timeline::new(Arc::clone(&rules.tariffs))),
            rules,
            ledger_key,
            limits,
            publishing: tokio::sync::Mutex::new(()),
            signed_orders: tokio::sync::Mutex::new(None),
            loading: tokio::sync::Mutex::new(()),
            national: tokio::sync::Mutex::new(()),
            signed_hotlists: tokio::sync::Mutex::default(),
            hotlist_base: tokio::sync::Mutex::default(),
            stopping: AtomicBool::new(false),
        }
    }

    /// The store.
    pub const fn store(&self) -> &S {
        &self.store
    }

    /// Tells loops to end.
    pub fn stop(&self) {
        self.stopping.store(true, Ordering::SeqCst);
    }

    pub(crate) fn stopping(&self) -> bool {
        self.stopping.load(Ordering::SeqCst)
    }

    /// One blocking HSM call on the blocking pool.
    pub(crate) async fn hsm<T: Send + 'static>(
        &self,
        call: impl FnOnce(&dyn Hsm) -> hsm_client::Result<T> + Send + 'static,
    ) -> Result<T> {
        let hsm = Arc::clone(&self.hsm);
        let answer = tokio::task::spawn_blocking(move || call(hsm.as_ref())).await;
        Ok(answer.map_err(|_| ClearingError::Stopping)??)
    }

    /// Writes down who asks for a privileged act, before it is done: a refused one is in the log too.
    pub async fn attribute(&self, who: &str, what: &str) -> Result<()> {
        self.store.note_act(who, what, self.clock.now()).await
    }

    /// Registers or changes something.
    pub async fn register(&self, item: &Registered) -> Result<()> {
        check_registered(item)?;
        self.store.put(item, self.clock.now().date()).await
    }

    /// Lists a card generation.
    pub async fn list_card(&self, entry: &ListCard) -> Result<HotlistEntry> {
        const REASONS: [&str; 4] = ["lost", "clone", "replaced", "retired"];
        if !REASONS.contains(&entry.reason.as_str()) {
            return Err(Refusal::invalid("reason must be lost, clone, replaced or retired").into());
        }
        self.store.list(entry, self.clock.now().date()).await
    }

    /// The hotlist's base as a file, signed by the HSM: every listed card, as devices search it. It is
    /// made anew when what changed since could no longer be asked for.
    pub async fn hotlist_base(&self) -> Result<Bytes> {
        let mut kept = self.hotlist_base.lock().await;
        let version = self.store.hotlist_version().await?;
        if let Some((of, file)) = kept.as_ref()
            && version
                .checked_sub(*of)
                .is_some_and(|behind| behind <= BEHIND)
        {
            return Ok(file.clone());
        }
        let list = self.store.hotlist(0).await?;
        let made = tokio::task::spawn_blocking(move || {
            let listed = list.entries.iter().filter(|entry| !entry.removed);
            let listed = listed.map(|e| (Key::new(e.pan, e.generation), e.reason.as_str()));
            Base::build(list.version, listed).map(|base| (base.version(), base.encode()))
        });
        let made = made.await.map_err(|_| ClearingError::Stopping)?;
        let (version, (mut file, signed)) =
            made.map_err(|why| Refusal::conflict(why.to_string()))?;
        let signature = self
            .hsm(move |hsm| hsm.sign(SignPurpose::Hotlist, &signed))
            .await?;
        file.extend(signature);
        let file = Bytes::from(file);
        *kept = Some((version, file.clone()));
        Ok(file)
    }

    /// The hotlist after a version, signed by the HSM. Whoever is too far behind, or ahead of us, gets
    /// the whole list, or, when that is long, is sent for the base. Anybody may ask: each answer is signed once a version and kept.
    pub async fn hotlist(&self, since: u64) -> Result<Hotlist> {
        if i64::try_from(since).is_err() {
            return Err(Refusal::malformed("since is no version of the hotlist").into());
        }
        let mut signed = self.signed_hotlists.lock().await;
        let version = self.store.hotlist_version().await?;
        let since = match version.checked_sub(since) {
            Some(behind) if behind <= BEHIND => since,
            _ => 0,
        };
        if let Some(kept) = signed.get(&since).filter(|kept| kept.version == version) {
            return Ok(kept.clone());
        }
        let mut hotlist = self.store.hotlist(since).await?;
        if since == 0 && hotlist.entries.len() > WHOLE {
            return Err(Refusal::hotlist_base_due(
                "the whole list is too long: fetch /v1/hotlist/base, then what changed since",
            )
            .into());
        }
        let bytes = hotlist.signing_bytes();
        let signature = self
            .hsm(move |hsm| hsm.sign(SignPurpose::Hotlist, &bytes))
            .await?;
        hotlist.signature = hex::encode(signature);
        signed.retain(|_, kept| kept.version == hotlist.version);
        signed.insert(since, hotlist.clone());
        Ok(hotlist)
    }

    /// What clearing knows of a card.
    pub async fn card_shadow(&self, pan: Pan) -> Result<CardShadow> {
        /// Most gaps named.
        const GAPS: usize = 1_000;
        let Some((_, listing)) = self.store.card(pan).await? else {
            return Err(Refusal::not_found("no card with this number was handed out").into());
        };
        let trail = self.store.purse_trail(pan).await?;
        let mut gaps = Vec::new();
        // A new card's offline sequence starts at 0.
        let mut expected = 0u16;
        for (seq, _) in &trail.seqs {
            gaps.extend((expected..*seq).take(GAPS - gaps.len()));
            expected = seq.saturating_add(1);
        }
        let authenticated = trail.seqs.iter().rev().find(|(_, proved)| *proved);
        let mut conflicts: Vec<u16> = trail
            .seqs
            .iter()
            .zip(trail.seqs.iter().skip(1))
            .filter(|((seq, _), (next, _))| seq == next)
            .map(|((seq, _), _)| *seq)
            .take(GAPS)
            .collect();
        conflicts.dedup();
        Ok(CardShadow {
            pan,
            last_seq: trail.seqs.last().map(|(seq, _)| *seq),
            last_seq_authenticated: authenticated.map(|(seq, _)| *seq),
            conflicts,
            balance: trail.balance,
            gaps,
            hotlisted: listing.is_some(),
        })
    }

    /// One person's pension on the present day.
    pub async fn pension(&self, psn_no: &str) -> Result<Pension> {
        let Some(trail) = self.store.pension(psn_no).await? else {
            return Err(match self.store.insured(PersonKey::PsnNo(psn_no)).await? {
                Some(_) => Refusal::not_found("this person draws no pension"),
                None => Refusal::not_found("no person with this number is registered"),
            }
            .into());
        };
        crate::pension::state(&self.rules.social, psn_no, &trail, self.today())
    }

    pub(crate) fn today(&self) -> CardDate {
        self.clock.now().date()
    }
}

/// Fields that would break something later.
fn check_registered(item: &Registered) -> Result<()> {
    let id_like = |text: &str| {
        !text.is_empty()
            && text.len() <= 40
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b))
    };
    let problem = match item {
        Registered::Operator(operator) if !id_like(&operator.id) => {
            Some("id must be 1 to 40 letters, digits, - _ or .")
        }
        Registered::Device(device)
            if hex::decode(&device.public_key).map(|k| k.len()) != Ok(32) =>
        {
            Some("public_key must be 32 bytes in hex")
        }
        Registered::Card(card) if card.pan.is_sample() => {
            Some("sample cards are refused by every production path")
        }
        Registered::Insured(insured) if !id_like(&insured.psn_no) => {
            Some("psn_no must be 1 to 40 letters, digits, - _ or .")
        }
        Registered::Insured(insured)
            if insured.account < Fen::ZERO || insured.pension.is_some_and(|p| p < Fen::ZERO) =>
        {
            Some("account and pension must not be negative")
        }
        _ => None,
    };
    problem.map_or(Ok(()), |why| Err(Refusal::invalid(why).into()))
}
