//! The self-service kiosk: yearly proof of life 养老待遇资格认证.

use card_spec::{Channel, time::CardTime};
use clearing_api::record::{Event, ProofOfLife, presence_challenge};

use crate::{
    admit::Acceptance,
    card::{Pin, ssse::SsseSession},
    code::Code,
    hotlist::Hotlist,
    journal::{Journal, Storage},
    person::{self, Randoms},
    result::{Note, Refusal, TapResult},
    sam::SamUnit,
};

/// A kiosk.
#[derive(Debug)]
pub struct Kiosk<S> {
    acceptance: Acceptance,
    journal: Journal<S>,
    hotlist: Hotlist,
}

impl<S: Storage> Kiosk<S> {
    /// A kiosk over its opened journal.
    pub fn new(acceptance: Acceptance, journal: Journal<S>) -> Self {
        Self {
            acceptance,
            journal,
            hotlist: Hotlist::default(),
        }
    }

    /// The journal.
    pub const fn journal(&self) -> &Journal<S> {
        &self.journal
    }

    /// The journal, for its upload.
    pub const fn journal_mut(&mut self) -> &mut Journal<S> {
        &mut self.journal
    }

    /// The hotlist, to update.
    pub const fn hotlist_mut(&mut self) -> &mut Hotlist {
        &mut self.hotlist
    }

    /// Proof of life: mutual authentication, PIN, and the card's cryptogram over a challenge that
    /// is bound to this device, journal record and time.
    pub fn proof_of_life<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        pin: Pin,
        at: CardTime,
        randoms: Randoms,
    ) -> TapResult {
        let mut note = Note::default();
        let outcome = self.serve(card, sam, pin, at, randoms, &mut note);
        note.finish(self.journal.device(), at, outcome)
    }

    fn serve<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        pin: Pin,
        at: CardTime,
        randoms: Randoms,
        note: &mut Note,
    ) -> Result<Code, Refusal> {
        let proved = person::prove(card, sam, &self.acceptance, at, randoms, note)?;
        if let Some(reason) = self
            .hotlist
            .reason(proved.facts.pan, proved.facts.generation)
        {
            return Err(Refusal::new(Code::Blocked, format!("listed as {reason}")));
        }
        let mut session = SsseSession::select(card)?;
        session.verify_pin(pin)?;
        let challenge = presence_challenge(self.journal.device(), self.journal.next_seq(), at);
        let (suite, region) = (proved.facts.suite, proved.facts.region);
        let cryptogram = session.proof(sam, suite, region, challenge)?;
        let event = Event::ProofOfLife(ProofOfLife {
            card: proved.facts,
            cryptogram,
            pin_verified: true,
        });
        let record = self
            .journal
            .record(at, None, self.hotlist.version(), event)?;
        note.journal.push(record.journal_seq);
        Ok(Code::PresenceProved)
    }
}
