//! The medical purse (DF04) of a presented card.

use card_spec::{
    Channel, aid, apdu,
    id::SamNo,
    medical::{self, PurchaseInit, Split},
    purse::Debited,
    sam::Mac1,
    time::CardTime,
};

use super::{CardError, Pin, ask, format, verify_pin};

/// A selected medical application.
#[derive(Debug)]
pub struct MedicalSession<'c, C: Channel + ?Sized> {
    channel: &'c mut C,
}

impl<'c, C: Channel + ?Sized> MedicalSession<'c, C> {
    /// SELECT of DF04.
    pub fn select(channel: &'c mut C) -> Result<Self, CardError> {
        ask(
            channel,
            "SELECT medical application",
            &apdu::select(aid::SSSE_MEDICAL),
        )?;
        Ok(Self { channel })
    }

    /// Verifies the PIN; a debit needs it.
    pub fn verify_pin(&mut self, pin: Pin) -> Result<(), CardError> {
        verify_pin(self.channel, pin)
    }

    /// INITIALIZE FOR PURCHASE with the three amounts.
    pub fn init_purchase(
        &mut self,
        kid: u8,
        split: Split,
        terminal: SamNo,
    ) -> Result<PurchaseInit, CardError> {
        let step = "INITIALIZE FOR MEDICAL PURCHASE";
        let command = medical::init_purchase(kid, split, terminal).map_err(format(step))?;
        let reply = ask(self.channel, step, &command)?;
        PurchaseInit::from_bytes(&reply.data).map_err(format(step))
    }

    /// DEBIT.
    pub fn debit(&mut self, mac1: Mac1, time: CardTime) -> Result<Debited, CardError> {
        let step = "MEDICAL DEBIT";
        let command = medical::debit(mac1.terminal_seq, time, mac1.mac1);
        let reply = ask(self.channel, step, &command)?;
        Debited::from_debit(&reply.data).map_err(format(step))
    }
}
