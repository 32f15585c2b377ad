//! The self-service kiosk: yearly proof of life 养老待遇资格认证, top-up 圈存,
//! report of a card 挂失.

use card_spec::{Channel, Fen, time::CardTime};
use clearing_api::record::{Event, LossReport, ProofOfLife, loss_challenge, presence_challenge};

use crate::{
    card::{Pin, ssse::SsseSession},
    code::Code,
    hotlist::Hotlist,
    journal::{Journal, Storage},
    load::{LoadDesk, Loading},
    machine::TopUp,
    online::TopUps,
    person::{self, Randoms},
    result::{Note, Refusal, TapResult},
    sam::SamUnit,
};

/// How a kiosk is paid: it has no cash box.
const PAID_BY: [&str; 2] = ["bank", "mobile"];

/// A kiosk.
#[derive(Debug)]
pub struct Kiosk<S> {
    loads: LoadDesk,
    journal: Journal<S>,
    hotlist: Hotlist,
}

impl<S: Storage> Kiosk<S> {
    /// A kiosk over its opened journal.
    pub fn new(loads: LoadDesk, journal: Journal<S>) -> Self {
        Self {
            loads,
            journal,
            hotlist: Hotlist::default(),
        }
    }

    /// Loads up to another limit from the next card on.
    pub const fn adopt(&mut self, load_max: Fen) {
        self.loads.load_max = load_max;
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

    /// As [`crate::Pos::top_up`], paid by bank or mobile.
    pub fn top_up<C: Channel + ?Sized>(
        &mut self,
        card: &mut C,
        wish: &TopUp,
        at: CardTime,
        online: &mut dyn TopUps,
    ) -> TapResult {
        if !PAID_BY.contains(&wish.paid_by.as_str()) {
            let why = format!("a kiosk takes no {}: pay by bank or mobile", wish.paid_by);
            let refusal = Refusal::new(Code::TopUpRefused, why);
            return Note::default().finish(self.journal.device(), at, Err(refusal));
        }
        self.loading().top_up(card, wish, at, online)
    }

    /// As [`crate::Pos::confirm_open`].
    pub fn confirm_open(&mut self, online: &mut dyn TopUps) -> Result<usize, Refusal> {
        self.loading().confirm_open(online)
    }

    const fn loading(&mut self) -> Loading<'_, S> {
        Loading {
            desk: &self.loads,
            journal: &mut self.journal,
            hotlist: &self.hotlist,
        }
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
        self.serve(Service::ProofOfLife, card, sam, pin, at, randoms)
    }

    /// The holder reports this card 挂失, proved as a proof of life is. The clearing house lists it
    /// when the record arrives; the record's number is the receipt.
    pub fn report_loss<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        pin: Pin,
        at: CardTime,
        randoms: Randoms,
    ) -> TapResult {
        self.serve(Service::LossReport, card, sam, pin, at, randoms)
    }

    fn serve<C: Channel + ?Sized, P: Channel>(
        &mut self,
        service: Service,
        card: &mut C,
        sam: &mut SamUnit<P>,
        pin: Pin,
        at: CardTime,
        randoms: Randoms,
    ) -> TapResult {
        let mut note = Note::default();
        let outcome = self.try_serve(service, card, sam, pin, at, randoms, &mut note);
        note.finish(self.journal.device(), at, outcome)
    }

    #[expect(clippy::too_many_arguments, reason = "clock and chance are arguments")]
    fn try_serve<C: Channel + ?Sized, P: Channel>(
        &mut self,
        service: Service,
        card: &mut C,
        sam: &mut SamUnit<P>,
        pin: Pin,
        at: CardTime,
        randoms: Randoms,
        note: &mut Note,
    ) -> Result<Code, Refusal> {
        let proved = person::prove(card, sam, &self.loads.acceptance, at, randoms, note)?;
        let card_facts = proved.facts;
        if let Some(reason) = self.hotlist.reason(card_facts.pan, card_facts.generation) {
            return Err(Refusal::new(Code::Blocked, format!("listed as {reason}")));
        }
        let mut session = SsseSession::select(card)?;
        session.verify_pin(pin)?;
        let (device, seq) = (self.journal.device(), self.journal.next_seq());
        let challenge = match service {
            Service::ProofOfLife => presence_challenge(device, seq, at),
            Service::LossReport => loss_challenge(device, seq, at),
        };
        let (suite, region) = (card_facts.suite, card_facts.region);
        let cryptogram = session.proof(sam, suite, region, challenge)?;
        let (event, code) = match service {
            Service::ProofOfLife => (
                Event::ProofOfLife(ProofOfLife {
                    card: card_facts,
                    cryptogram,
                    pin_verified: true,
                }),
                Code::PresenceProved,
            ),
            Service::LossReport => (
                Event::LossReport(LossReport {
                    card: card_facts,
                    cryptogram,
                }),
                Code::Reported,
            ),
        };
        let version = self.hotlist.version();
        let record = self.journal.record(at, None, version, event)?;
        note.journal.push(record.journal_seq);
        Ok(code)
    }
}

/// What the holder is proved for.
#[derive(Debug, Clone, Copy)]
enum Service {
    ProofOfLife,
    LossReport,
}
