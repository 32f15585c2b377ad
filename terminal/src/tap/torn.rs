//! Torn debits: the card left between DEBIT and its answer.
//!
//! First while the transaction is still open in the SAM (the same card, again, now), later from the
//! journal (the same card, some day). An answer to GET TRANSACTION PROVE alone opens nothing: an
//! emulator can answer it with anything. Only the SAM's check of a MAC2 does.

use card_spec::{
    Channel, ChannelError, Fen,
    id::SamNo,
    purse::{PurchaseInit, TxType, files::Public},
    time::CardTime,
};
use clearing_api::{
    Record,
    record::{Debit, Event, Purchase},
};

use super::{PurseTerminal, Torn};
use crate::{
    card::{CardError, purse::PurseSession},
    clock,
    code::Code,
    device::{CardView, Offer},
    journal::Storage,
    result::{Note, Refusal},
    sam::{SamError, SamUnit},
};

/// Whether a debit was taken from this card: a replacement with its number is another.
fn is_of(purchase: &Purchase, card: &Public) -> bool {
    (purchase.card.pan, purchase.card.generation) == (card.pan, card.generation)
}

/// What a returned card's counter and balance say about a debit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Found {
    /// Nothing happened.
    Unchanged,
    /// It happened, and nothing after it.
    Advanced,
    /// Neither: other transactions lie between.
    Other,
}

/// Debits move the counter, loads do not: a card may have been topped up since.
fn compare(purchase: &Purchase, init: &PurchaseInit) -> Found {
    if init.seq == purchase.seq && init.balance >= purchase.balance_before {
        Found::Unchanged
    } else if Some(init.seq) == purchase.seq.checked_add(1)
        && init.balance >= purchase.balance_after
    {
        Found::Advanced
    } else {
        Found::Other
    }
}

/// What became of a debit that the card refused, by its counter and balance. `None` when it was
/// taken all the same, or when the card does not tell: then it is as good as torn.
pub(super) fn refused<C: Channel + ?Sized>(
    purse: &mut PurseSession<'_, C>,
    purchase: &Purchase,
    terminal: SamNo,
) -> Option<Debit> {
    let init = purse
        .init_purchase(purchase.key_index, Fen::ZERO, terminal, TxType::Capp)
        .ok()?;
    match compare(purchase, &init) {
        Found::Unchanged => Some(Debit::NotDone),
        Found::Advanced => None,
        // It told another counter before: what it does with debits nobody knows.
        Found::Other => Some(Debit::Unknown),
    }
}

/// An exchange that failed because the card left once more: the debit stays torn.
fn torn_again(error: CardError) -> Refusal {
    match error {
        CardError::Channel(ChannelError::CardRemoved) => Refusal::new(Code::SameCardAgain, error),
        other => other.into(),
    }
}

impl<S: Storage> PurseTerminal<S> {
    /// Closes what can only be closed as unknown: a sale whose commit failed, and a torn debit whose
    /// card stayed away longer than the device waits.
    pub(super) fn close_unknown(&mut self, at: CardTime, note: &mut Note) -> Result<(), Refusal> {
        if self.torn.is_none() && self.journal.pending().is_some() {
            // The disk failed at an earlier commit: nothing may be sold before that sale is closed.
            self.commit(Debit::Unknown, note)?;
        }
        let wait = i64::from(self.setup.same_card_seconds);
        let over = self.torn.as_mut().is_some_and(|torn| {
            // A clock that was set back must not end the wait, nor lengthen it by what it was set.
            torn.at = torn.at.min(at);
            clock::elapsed(torn.at, at) > wait
        });
        if over && let Some(record) = self.give_up()? {
            note.journal.push(record.journal_seq);
        }
        Ok(())
    }

    /// A card is presented while a debit is torn. `Some` opens for the completed debit. `None`: the
    /// debit did not happen and may be sold again, or only the journal can complete it.
    pub(super) fn resume_torn<C: Channel + ?Sized, P: Channel>(
        &mut self,
        purse: &mut PurseSession<'_, C>,
        sam: &mut SamUnit<P>,
        at: CardTime,
        note: &mut Note,
    ) -> Result<Option<Code>, Refusal> {
        let Some(Torn { purchase, code, .. }) = self.torn.clone() else {
            return Ok(None);
        };
        if !is_of(&purchase, purse.public()) {
            return Err(Refusal::new(Code::SameCardAgain, "this is another card"));
        }
        let init = purse
            .init_purchase(purchase.key_index, Fen::ZERO, sam.number(), TxType::Capp)
            .map_err(torn_again)?;
        match compare(&purchase, &init) {
            Found::Unchanged => {
                self.commit(Debit::NotDone, note)?;
                self.torn = None;
                return Ok(None);
            }
            // Another SAM, or this one opened anew: the transaction is gone. From here on it is a
            // debit that the journal remembers.
            Found::Advanced if !sam.has_open(purchase.sam, purchase.terminal_seq) => {
                self.commit(Debit::Unknown, note)?;
                self.torn = None;
                return Ok(None);
            }
            Found::Advanced => {}
            Found::Other => return Err(self.not_proved(note, "other transactions came between")),
        }
        let debited = match purse.prove(purchase.tx, init.seq) {
            Ok(debited) => debited,
            Err(error @ CardError::Channel(_)) => return Err(torn_again(error)),
            Err(error) => return Err(self.not_proved(note, error)),
        };
        match sam.credit(debited.mac2) {
            Ok(true) => {
                self.commit(Debit::Done { tac: debited.tac }, note)?;
                self.torn = None;
                self.passback
                    .note(purchase.card.pan, at, self.setup.passback_seconds);
                note.amount = Some(purchase.amount);
                note.balance = Some(init.balance);
                Ok(Some(if code == Code::Entered {
                    code
                } else {
                    Code::TornCompleted
                }))
            }
            Ok(false) => Err(self.not_proved(note, "the MAC2 that the card proves is wrong")),
            Err(error) => {
                self.torn = None;
                Err(self.sam_failed(note, error))
            }
        }
    }

    /// The card is debited and its SAM failed before MAC2 was checked: the record stays unknown
    /// until the same card comes back, which another SAM may check.
    pub(super) fn sam_failed(&mut self, note: &mut Note, error: SamError) -> Refusal {
        self.unknown(note, Code::SameCardAgain, error)
    }

    /// The torn debit stays unknown; the gate stays shut.
    fn not_proved(&mut self, note: &mut Note, why: impl ToString) -> Refusal {
        self.torn = None;
        self.unknown(note, Code::NotProved, why)
    }

    fn unknown(&mut self, note: &mut Note, code: Code, why: impl ToString) -> Refusal {
        match self.commit(Debit::Unknown, note) {
            Ok(()) => Refusal::new(code, why),
            Err(fault) => fault,
        }
    }

    /// A card returns that the journal knows torn debits of. Completes or closes by a new record
    /// the one that the card's counter tells of.
    pub(super) fn complete_late<C: Channel + ?Sized, P: Channel>(
        &mut self,
        purse: &mut PurseSession<'_, C>,
        sam: &mut SamUnit<P>,
        at: CardTime,
        view: &mut CardView,
        note: &mut Note,
    ) -> Result<Option<Code>, Refusal> {
        let torn = |record: &Record| match &record.event {
            Event::Purchase(purchase) if is_of(purchase, &view.public) => {
                Some((record.journal_seq, record.at, purchase.clone()))
            }
            _ => None,
        };
        let torn: Vec<_> = self
            .journal
            .unresolved(view.public.pan)
            .filter_map(torn)
            .collect();
        let Some((_, _, newest)) = torn.first() else {
            return Ok(None);
        };
        // What a card tells in its FCI spares the sale this reading; the torn debit needs it.
        if newest.tx == TxType::Capp && view.journeys.is_empty() {
            view.journeys = purse.journeys(1)?;
        }
        let init = purse.init_purchase(newest.key_index, Fen::ZERO, sam.number(), TxType::Capp)?;
        for (torn_seq, torn_at, purchase) in torn {
            match compare(&purchase, &init) {
                Found::Other => {}
                // The same step of the counter, but for another device.
                Found::Advanced if !self.is_newest(&purchase, view) => {}
                Found::Unchanged => {
                    let closed = Purchase {
                        debit: Debit::NotDone,
                        ..purchase
                    };
                    self.complete(at, torn_seq, closed, note)?;
                }
                Found::Advanced => {
                    let torn = (torn_seq, torn_at, purchase);
                    return self.complete_advanced(purse, sam, at, view, note, torn);
                }
            }
        }
        Ok(None)
    }

    /// Completes a torn debit that happened. Within the ride's time it also opens, after a
    /// zero-amount CAPP whose MAC2 the SAM checked: the SAM's own transaction of then is gone.
    fn complete_advanced<C: Channel + ?Sized, P: Channel>(
        &mut self,
        purse: &mut PurseSession<'_, C>,
        sam: &mut SamUnit<P>,
        at: CardTime,
        view: &mut CardView,
        note: &mut Note,
        (torn_seq, torn_at, purchase): (u64, CardTime, Purchase),
    ) -> Result<Option<Code>, Refusal> {
        let pan = view.public.pan;
        let tac = match purse.prove(purchase.tx, purchase.seq.saturating_add(1)) {
            Ok(debited) => debited.tac,
            Err(CardError::Status { .. }) => return Ok(None),
            Err(error) => return Err(error.into()),
        };
        let ride = i64::from(self.setup.torn_ride_seconds);
        // A clock that went back does not charge the ride again.
        let opens = clock::elapsed(torn_at, at) <= ride;
        if opens {
            let (service, amount) = (purchase.service.clone(), purchase.amount);
            let offer = zero_offer(view, purchase.tx, service).ok_or_else(|| {
                Refusal::new(
                    Code::NotProved,
                    "the card holds no journey record of the torn debit",
                )
            })?;
            self.sell(purse, sam, at, view, &offer, note)?;
            // Its MAC2 vouches for the counter that the card only told before.
            if self.last_seq() != purchase.seq.checked_add(1) {
                let why = "the card's counter is not where the torn debit left it";
                return Err(Refusal::new(Code::NotProved, why));
            }
            note.amount = Some(amount);
        }
        // The clearing house checks this TAC; only the opening needed a proof here.
        self.complete(
            at,
            torn_seq,
            Purchase {
                debit: Debit::Done { tac },
                ..purchase
            },
            note,
        )?;
        if opens {
            self.passback.note(pan, at, self.setup.passback_seconds);
        }
        Ok(opens.then_some(Code::TornCompleted))
    }

    /// Whether the card's newest journey is the one that `purchase` wrote; the zero-amount proof of
    /// an earlier return wrote that one once more. A plain purchase writes none.
    fn is_newest(&self, purchase: &Purchase, view: &CardView) -> bool {
        let device = self.journal.device();
        purchase.tx != TxType::Capp
            || view.journeys.first().is_some_and(|newest| {
                newest.record.device == device
                    && (newest.record.time == purchase.time || purchase.amount == Fen::ZERO)
            })
    }

    /// The card's counter at the newest sale in the journal.
    fn last_seq(&self) -> Option<u16> {
        match self.journal.waiting().last()?.event {
            Event::Purchase(ref purchase) => Some(purchase.seq),
            _ => None,
        }
    }

    fn complete(
        &mut self,
        at: CardTime,
        torn_seq: u64,
        purchase: Purchase,
        note: &mut Note,
    ) -> Result<(), Refusal> {
        let version = self.hotlist.version();
        let event = Event::Purchase(purchase);
        let record = self.journal.record(at, Some(torn_seq), version, event)?;
        note.journal.push(record.journal_seq);
        Ok(())
    }
}

/// A zero-amount transaction like the torn one: a CAPP writes the newest journey record once more
/// and changes nothing else.
fn zero_offer(
    view: &CardView,
    tx: TxType,
    service: clearing_api::record::Service,
) -> Option<Offer> {
    let newest = match tx {
        TxType::Capp => Some(view.journeys.first()?.record),
        _ => None,
    };
    Some(Offer {
        amount: Fen::ZERO,
        least_balance: Fen::ZERO,
        journey: newest,
        metro: None,
        state: None,
        service,
        code: Code::TornCompleted,
        price: Vec::new(),
    })
}
