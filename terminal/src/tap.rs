//! One tap on a purse device: the driver that carries a device's decisions to card, SAM and
//! journal, and brings a torn debit to its end.

mod left;
mod torn;

use card_spec::{
    Channel, ChannelError, Fen, SuiteId,
    id::SamNo,
    purse::{PurchaseInit, TxType, files::CardKind, mac::Context},
    sam::InitForPurchase,
    time::CardTime,
};
use clearing_api::{
    Record,
    record::{CardFacts, Debit, Event, Purchase},
};

use crate::{
    admit::Acceptance,
    card::{
        CardError,
        purse::{PurseSession, context},
    },
    clock,
    code::Code,
    device::{CardView, Offer, Seller},
    hotlist::Hotlist,
    journal::{Journal, Storage},
    passback::Passback,
    result::{Note, Refusal, TapResult},
    sam::SamUnit,
};

/// Limits and rules of a purse device.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Setup {
    /// Which cards are accepted.
    pub acceptance: Acceptance,
    /// Purchase class: the DPK index (`card_spec::keys::class`).
    pub class: u8,
    /// Highest single price.
    pub per_tap_max: Fen,
    /// Passback interval; 0 for none.
    pub passback_seconds: u32,
    /// How long "same card again" is shown before the torn debit is given up.
    pub same_card_seconds: u32,
    /// How long after a torn debit was given up the returning card is still let through for it.
    pub torn_ride_seconds: u32,
}

/// A purse device: validator, gate, meter, barrier.
#[derive(Debug)]
pub struct PurseTerminal<S> {
    setup: Setup,
    journal: Journal<S>,
    hotlist: Hotlist,
    passback: Passback,
    torn: Option<Torn>,
}

/// A debit whose answer never came; its transaction is still open in the SAM.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Torn {
    purchase: Purchase,
    at: CardTime,
    code: Code,
}

impl<S: Storage> PurseTerminal<S> {
    /// A device over its opened journal.
    pub fn new(setup: Setup, journal: Journal<S>) -> Self {
        let passback = Passback::of(journal.waiting(), setup.passback_seconds);
        Self {
            setup,
            journal,
            hotlist: Hotlist::default(),
            passback,
            torn: None,
        }
    }

    /// Works by other limits from the next card on. A torn debit stays as it is.
    pub const fn adopt(&mut self, setup: Setup) {
        self.setup = setup;
    }

    /// The journal, to upload from.
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

    /// Journal and hotlist, for what is not a sale.
    pub(crate) const fn books(&mut self) -> (&mut Journal<S>, &Hotlist) {
        (&mut self.journal, &self.hotlist)
    }

    /// The hotlist held.
    pub const fn hotlist(&self) -> &Hotlist {
        &self.hotlist
    }

    /// Whether the device waits for the same card again.
    pub const fn is_waiting(&self) -> bool {
        self.torn.is_some()
    }

    /// The SAM that holds the transaction of a torn debit: only in this one can it be ended at once.
    pub fn awaited_sam(&self) -> Option<SamNo> {
        self.torn.as_ref().map(|torn| torn.purchase.sam)
    }

    /// A card is presented at `at`. While a torn debit is open, this resumes it when the same card
    /// returns (and sells again at once if the debit did not happen), and answers
    /// [`Code::SameCardAgain`] to any other card until the wait is over.
    pub fn tap<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        at: CardTime,
        seller: &dyn Seller,
    ) -> TapResult {
        let mut note = Note::default();
        let outcome = self.serve(card, sam, at, seller, &mut note);
        note.finish(self.journal.device(), at, outcome)
    }

    /// Resumes a torn debit with the card that returned: the same as [`Self::tap`], named for what
    /// it does while [`Self::is_waiting`].
    pub fn resume<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        at: CardTime,
        seller: &dyn Seller,
    ) -> TapResult {
        self.tap(card, sam, at, seller)
    }

    /// The torn card did not come back: its record goes to the clearing house as unknown.
    /// `None` when no debit is torn.
    pub fn give_up(&mut self) -> Result<Option<Record>, Refusal> {
        match self.torn.take() {
            Some(_) => Ok(Some(self.journal.commit(Debit::Unknown)?)),
            None => Ok(None),
        }
    }

    fn serve<C: Channel + ?Sized, P: Channel>(
        &mut self,
        card: &mut C,
        sam: &mut SamUnit<P>,
        at: CardTime,
        seller: &dyn Seller,
        note: &mut Note,
    ) -> Result<Code, Refusal> {
        self.close_unknown(at, note)?;
        let mut purse = match PurseSession::select(card) {
            // While a card is awaited, one that leaves again changes nothing.
            Err(CardError::Channel(ChannelError::CardRemoved)) if self.torn.is_some() => {
                return Err(Code::SameCardAgain.into());
            }
            other => other?,
        };
        let public = *purse.public();
        note.pan = Some(public.pan);
        if self.torn.is_some()
            && let Some(code) = self.resume_torn(&mut purse, sam, at, note)?
        {
            return Ok(code);
        }
        self.setup.acceptance.check_public(&public, at.date())?;
        let region = purse.region()?;
        note.card_kind = Some(region.kind);
        self.setup.acceptance.check_region(&region)?;
        if let Some(reason) = self.hotlist.reason(public.pan, public.generation) {
            let reason = reason.to_owned();
            return Err(self.lock(&mut purse, sam, at, &reason, note));
        }
        let reads = seller.reads();
        let birth = if reads.age && region.kind == CardKind::Elderly {
            purse.birth()?
        } else {
            None
        };
        let fares = purse.fares(reads.fares)?;
        // Another system's card tells of a transfer in its newest journey record only.
        let journeys = match fares {
            Some(_) => reads.journeys,
            None => reads.journeys.max(1),
        };
        let mut view = CardView {
            public,
            region,
            age: birth.and_then(|birth| clock::age(birth, at.date())),
            journeys: purse.journeys(journeys)?,
            metro: if reads.metro { purse.metro()? } else { None },
            fares,
        };
        if let Some(code) = self.complete_late(&mut purse, sam, at, &mut view, note)? {
            return Ok(code);
        }
        let interval = self.setup.passback_seconds;
        if !seller.repeats() && self.passback.is_too_soon(public.pan, at, interval) {
            return Err(Code::TooSoon.into());
        }
        let offer = seller.offer(at, &view)?;
        if offer.amount > self.setup.per_tap_max {
            return Err(Refusal::new(
                Code::OverLimit,
                format!(
                    "{} is above the device's limit {}",
                    offer.amount, self.setup.per_tap_max
                ),
            ));
        }
        let code = self.sell(&mut purse, sam, at, &view, &offer, note)?;
        self.passback
            .note(public.pan, at, self.setup.passback_seconds);
        Ok(code)
    }

    /// INIT, MAC1, cache updates, intent, DEBIT, MAC2, commit: in this order and no other.
    fn sell<C: Channel + ?Sized, P: Channel>(
        &mut self,
        purse: &mut PurseSession<'_, C>,
        sam: &mut SamUnit<P>,
        at: CardTime,
        view: &CardView,
        offer: &Offer,
        note: &mut Note,
    ) -> Result<Code, Refusal> {
        let class = self.setup.class;
        let left = left::Left::by(purse, view, offer, at)?;
        let tx = match (&offer.journey, &offer.metro) {
            (None, None) => TxType::Purchase,
            _ => TxType::Capp,
        };
        let init = purse.init_purchase(class, offer.amount, sam.number(), tx)?;
        note.balance = Some(init.balance);
        if init.balance < offer.least_balance || init.balance < offer.amount {
            return Err(Code::Insufficient.into());
        }
        let balance_after = init.balance - offer.amount;
        let updates = offer.updates(balance_after, left.travel.as_ref());
        let context = match (init.suite, tx) {
            (SuiteId::Aes, TxType::Capp) => context(purse.fci(), &left.before, &updates),
            // Neither the PBOC suites nor plain purchases have a journey context.
            _ => Context::default(),
        };
        let public = view.public;
        let request = InitForPurchase::new(
            &init,
            offer.amount,
            tx,
            at,
            public.pan.serial8(),
            public.issuer,
            context,
        );
        let mac1 = sam.init_purchase(&request)?;
        purse.update_cache(&updates)?;
        let purchase = Purchase {
            card: facts(view, &init),
            sam: sam.number(),
            terminal_seq: mac1.terminal_seq,
            key_index: class,
            tx,
            seq: init.seq,
            amount: offer.amount,
            balance_before: init.balance,
            balance_after,
            time: at,
            context,
            debit: Debit::Unknown,
            service: offer.service.clone(),
        };
        let record = Record {
            journal_seq: self.journal.next_seq(),
            at,
            completes: None,
            hotlist_version: self.hotlist.version(),
            event: Event::Purchase(purchase.clone()),
        };
        let cache: Vec<Vec<u8>> = updates.into_iter().map(|u| u.data).collect();
        self.journal.intent(record, &cache)?;
        // From here on only the card's counter or a proved MAC2 ends the sale.
        match purse.debit(mac1, at) {
            Ok(debited) => {
                match sam.credit(debited.mac2) {
                    Ok(true) => self.commit(Debit::Done { tac: debited.tac }, note)?,
                    Ok(false) => {
                        self.commit(Debit::Unknown, note)?;
                        return Err(Refusal::new(Code::NotProved, "the card's MAC2 is wrong"));
                    }
                    Err(error) => return Err(self.sam_failed(note, error)),
                }
                note.amount = Some(offer.amount);
                note.balance = Some(balance_after);
                note.price.clone_from(&offer.price);
                Ok(offer.code)
            }
            Err(error) => {
                // A status word alone is no proof that nothing was taken: the counter tells.
                let refused = matches!(error, CardError::Status { .. })
                    .then(|| torn::refused(purse, &purchase, sam.number()));
                if let Some(debit) = refused.flatten() {
                    self.commit(debit, note)?;
                    return Err(error.into());
                }
                self.torn = Some(Torn {
                    purchase,
                    at,
                    code: offer.code,
                });
                Err(Refusal::new(Code::SameCardAgain, error))
            }
        }
    }

    fn commit(&mut self, debit: Debit, note: &mut Note) -> Result<(), Refusal> {
        let record = self.journal.commit(debit)?;
        note.journal.push(record.journal_seq);
        Ok(())
    }

    /// Locks a listed card with the SAM's MAC and records it. Whatever happens, the card is refused.
    fn lock<C: Channel + ?Sized, P: Channel>(
        &mut self,
        purse: &mut PurseSession<'_, C>,
        sam: &mut SamUnit<P>,
        at: CardTime,
        reason: &str,
        note: &mut Note,
    ) -> Refusal {
        match self.try_lock(purse, sam, at, note) {
            Ok(()) => Refusal::new(Code::Hotlisted, format!("listed as {reason}; locked")),
            // A fault of the device itself must not hide behind the card's.
            Err(fault) if matches!(fault.code, Code::JournalFull | Code::JournalFault) => fault,
            Err(why) => Refusal::new(
                Code::Hotlisted,
                format!("listed as {reason}; could not be locked: {}", why.detail),
            ),
        }
    }

    fn try_lock<C: Channel + ?Sized, P: Channel>(
        &mut self,
        purse: &mut PurseSession<'_, C>,
        sam: &mut SamUnit<P>,
        at: CardTime,
        note: &mut Note,
    ) -> Result<(), Refusal> {
        let public = *purse.public();
        // INIT tells the suite and key version that the record names.
        let init =
            purse.init_purchase(self.setup.class, Fen::ZERO, sam.number(), TxType::Purchase)?;
        let region = public
            .issuer
            .region()
            .map_err(|error| Refusal::new(Code::BadCard, format!("region of file 15: {error}")))?;
        let challenge = purse.lock_challenge()?;
        let mac = sam.lock_mac(public.pan.serial8(), public.issuer, init.suite, challenge)?;
        purse.lock(mac)?;
        let card = CardFacts {
            pan: public.pan,
            generation: public.generation,
            region,
            suite: init.suite,
            key_version: init.key_version,
        };
        let event = Event::CardLocked { card };
        let record = self
            .journal
            .record(at, None, self.hotlist.version(), event)?;
        note.journal.push(record.journal_seq);
        Ok(())
    }
}

fn facts(view: &CardView, init: &PurchaseInit) -> CardFacts {
    CardFacts {
        pan: view.public.pan,
        generation: view.public.generation,
        // The region whose keys the card holds; file 17 may only name the city.
        region: view.public.issuer.region().unwrap_or(view.region.region),
        suite: init.suite,
        key_version: init.key_version,
    }
}
