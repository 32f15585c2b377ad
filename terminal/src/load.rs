//! Online top-up 圈存, at a point of sale or a kiosk.

use card_spec::{
    Channel, Fen,
    id::SamNo,
    keys::class,
    purse::{LoadInit, TxType, files::Public},
    time::CardTime,
};
use clearing_api::{
    ClientError,
    client::sign_body,
    record::CardFacts,
    topup::{TopUpConfirm, TopUpRequest},
};
use ed25519_dalek::SigningKey;

use crate::{
    admit::Acceptance,
    card::{CardError, purse::PurseSession},
    code::Code,
    hotlist::Hotlist,
    journal::{Journal, LoadNote, Storage},
    machine::TopUp,
    online::{TopUps, no_answer},
    result::{Note, Refusal, TapResult},
};

/// The rules of a device that loads cards.
#[derive(Debug, Clone)]
pub struct LoadDesk {
    /// Which cards are accepted.
    pub acceptance: Acceptance,
    /// Terminal number that goes into INIT FOR LOAD and every MAC of a load.
    pub terminal: SamNo,
    /// Highest single top-up.
    pub load_max: Fen,
    /// Signs its requests.
    pub key: SigningKey,
}

/// A device's load desk at work: its journal keeps loads between CREDIT FOR LOAD and their
/// confirmation.
pub(crate) struct Loading<'d, S> {
    pub(crate) desk: &'d LoadDesk,
    pub(crate) journal: &'d mut Journal<S>,
    pub(crate) hotlist: &'d Hotlist,
}

impl<S: Storage> Loading<'_, S> {
    /// Loads the card: PIN, INIT FOR LOAD, authorisation, CREDIT FOR LOAD, confirmation. When the
    /// journal holds a load of this card that the card took and nobody saw, that one is finished
    /// instead and no money is taken again.
    pub(crate) fn top_up<C: Channel + ?Sized>(
        &mut self,
        card: &mut C,
        wish: &TopUp,
        at: CardTime,
        online: &mut dyn TopUps,
    ) -> TapResult {
        let mut note = Note::default();
        let outcome = self.serve(card, wish, at, online, &mut note);
        note.finish(self.journal.device(), at, outcome)
    }

    fn serve<C: Channel + ?Sized>(
        &mut self,
        card: &mut C,
        wish: &TopUp,
        at: CardTime,
        online: &mut dyn TopUps,
        note: &mut Note,
    ) -> Result<Code, Refusal> {
        if wish.amount_fen <= Fen::ZERO || wish.amount_fen > self.desk.load_max {
            return Err(Refusal::new(
                Code::OverLimit,
                format!("a top-up is 0.01 to {}", self.desk.load_max),
            ));
        }
        let mut purse = PurseSession::select(card)?;
        let public = *purse.public();
        note.pan = Some(public.pan);
        self.desk.acceptance.check_public(&public, at.date())?;
        self.desk.acceptance.check_region(&purse.region()?)?;
        if let Some(reason) = self.hotlist.reason(public.pan, public.generation) {
            return Err(Refusal::new(Code::Blocked, format!("listed as {reason}")));
        }
        purse.verify_pin(wish.pin)?;
        let init = purse.init_load(class::ONLY, wish.amount_fen, self.desk.terminal)?;
        note.balance = Some(init.balance);
        if let Some(code) = self.finish_earlier(&mut purse, &init, online, note)? {
            return Ok(code);
        }
        let request = TopUpRequest {
            device: self.journal.device(),
            terminal: self.desk.terminal,
            card: facts(&public, &init)?,
            amount: wish.amount_fen,
            seq: init.seq,
            rnd: init.rnd,
            balance_before: init.balance,
            mac1: init.mac1,
            at,
            paid_by: wish.paid_by.clone(),
        };
        let body = encode(&request)?;
        let grant = online
            .authorise(&body, &sign_body(&self.desk.key, &body))
            .map_err(|error| no_answer(&error, Code::TopUpRefused))?;
        let mut load = LoadNote {
            id: grant.id,
            pan: public.pan,
            seq: init.seq,
            amount: wish.amount_fen,
            tac: None,
        };
        self.journal.load(load)?;
        match purse.credit_load(grant.time, grant.mac2) {
            Ok(tac) => load.tac = Some(tac),
            Err(error @ CardError::Status { .. }) if self.is_untouched(&mut purse, &load) => {
                // The card said no: the clearing house returns the money at the next INIT.
                self.journal.load_closed(load.id)?;
                return Err(error.into());
            }
            Err(error) => return Err(Refusal::new(Code::SameCardAgain, error)),
        }
        self.journal.load(load)?;
        note.amount = Some(wish.amount_fen);
        note.balance = init.balance.checked_add(wish.amount_fen);
        self.confirm(load, online)
    }

    /// An earlier load of this card whose end was not seen: the online sequence tells.
    fn finish_earlier<C: Channel + ?Sized>(
        &mut self,
        purse: &mut PurseSession<'_, C>,
        init: &LoadInit,
        online: &mut dyn TopUps,
        note: &mut Note,
    ) -> Result<Option<Code>, Refusal> {
        let pan = purse.public().pan;
        let Some(mut load) = self
            .journal
            .open_loads()
            .find(|l| l.pan == pan && l.tac.is_none())
            .copied()
        else {
            return Ok(None);
        };
        if Some(init.seq) != load.seq.checked_add(1) {
            // Not taken (the same sequence), or long past: the clearing house decides from the
            // request that follows, which carries the card's own MAC1 over that sequence.
            self.journal.load_closed(load.id)?;
            return Ok(None);
        }
        load.tac = Some(purse.prove(TxType::Load, init.seq)?.tac);
        self.journal.load(load)?;
        note.amount = Some(load.amount);
        self.confirm(load, online).map(Some)
    }

    /// Whether a card that refused a load says by its online sequence too that it did not take it.
    fn is_untouched<C: Channel + ?Sized>(
        &self,
        purse: &mut PurseSession<'_, C>,
        load: &LoadNote,
    ) -> bool {
        purse
            .init_load(class::ONLY, load.amount, self.desk.terminal)
            .is_ok_and(|init| init.seq == load.seq)
    }

    fn confirm(&mut self, load: LoadNote, online: &mut dyn TopUps) -> Result<Code, Refusal> {
        match self.try_confirm(load, online)? {
            Ok(()) => Ok(Code::ToppedUp),
            Err(refused @ ClientError::Refused(_)) => {
                Err(Refusal::new(Code::TopUpRefused, refused))
            }
            // The money is on the card: the holder may go, the confirmation waits here.
            Err(_) => Ok(Code::ConfirmLater),
        }
    }

    fn try_confirm(
        &mut self,
        load: LoadNote,
        online: &mut dyn TopUps,
    ) -> Result<Result<(), ClientError>, Refusal> {
        let Some(tac) = load.tac else {
            return Ok(Ok(()));
        };
        let body = encode(&TopUpConfirm {
            device: self.journal.device(),
            id: load.id,
            tac,
        })?;
        let answer = online.confirm(load.id, &body, &sign_body(&self.desk.key, &body));
        match &answer {
            Ok(_) => self.journal.load_closed(load.id)?,
            // No use in saying it again: the card is asked for its TAC once more when it is back.
            Err(ClientError::Refused(_)) => {
                let unproved = LoadNote { tac: None, ..load };
                self.journal.load(unproved)?;
            }
            Err(_) => {}
        }
        Ok(answer.map(|_| ()))
    }

    /// Sends the confirmations that are still outstanding; answers how many went through.
    pub(crate) fn confirm_open(&mut self, online: &mut dyn TopUps) -> Result<usize, Refusal> {
        let open: Vec<LoadNote> = self
            .journal
            .open_loads()
            .filter(|l| l.tac.is_some())
            .copied()
            .collect();
        let mut confirmed = 0;
        for load in open {
            match self.try_confirm(load, online)? {
                Ok(()) => confirmed += 1,
                Err(error) => return Err(no_answer(&error, Code::TopUpRefused)),
            }
        }
        Ok(confirmed)
    }
}

fn encode<T: serde::Serialize>(value: &T) -> Result<Vec<u8>, Refusal> {
    serde_json::to_vec(value).map_err(|error| Refusal::new(Code::JournalFault, error))
}

fn facts(public: &Public, init: &LoadInit) -> Result<CardFacts, Refusal> {
    Ok(CardFacts {
        pan: public.pan,
        generation: public.generation,
        region: public
            .issuer
            .region()
            .map_err(|error| Refusal::new(Code::BadCard, format!("region of file 15: {error}")))?,
        suite: init.suite,
        key_version: init.key_version,
    })
}
