//! A connected card.

use crate::error::{ReaderError, channel_error};
use card_spec::{Channel, ChannelError};
use pcsc::{
    Card, Context, Disposition, Error, MAX_ATR_SIZE, Protocols, ReaderState, ShareMode, State,
};
use std::{
    ffi::CString,
    time::{Duration, Instant},
};

/// A card in a reader. Dropping it resets the card, so that no verified PIN stays behind.
pub struct PcscChannel {
    context: Context,
    reader: CString,
    card: Card,
    atr: Vec<u8>,
}

impl PcscChannel {
    pub(crate) fn connect(context: Context, reader: CString) -> Result<Self, ReaderError> {
        let card = context.connect(&reader, ShareMode::Shared, Protocols::ANY)?;
        let atr = read_atr(&card)?;
        Ok(Self {
            context,
            reader,
            card,
            atr,
        })
    }

    /// Takes up the connection again after the card was removed and presented again, or reset. The
    /// card is reset; it may be another card: compare the ATR.
    pub fn reconnect(&mut self) -> Result<(), ReaderError> {
        let reset = self
            .card
            .reconnect(ShareMode::Shared, Protocols::ANY, Disposition::ResetCard);
        if reset.is_err() {
            // The handle died with the card: connect anew.
            self.card = self
                .context
                .connect(&self.reader, ShareMode::Shared, Protocols::ANY)?;
        }
        self.atr = read_atr(&self.card)?;
        Ok(())
    }

    /// Ends the connection; the card is reset.
    pub fn disconnect(self) -> Result<(), ReaderError> {
        self.card
            .disconnect(Disposition::ResetCard)
            .map_err(|(_, error)| error.into())
    }
}

fn read_atr(card: &Card) -> Result<Vec<u8>, Error> {
    let mut names = [0u8; 256];
    let mut atr = [0u8; MAX_ATR_SIZE];
    Ok(card.status2(&mut names, &mut atr)?.atr().to_vec())
}

/// How long a reader may take to notice that its card is gone; vpcd looks every 400 ms.
const NOTICE: Duration = Duration::from_millis(1200);

impl PcscChannel {
    /// After a failed transfer: whether it failed because the card is gone. Drivers report a card
    /// torn out in the middle as a failed or an empty transfer, and only later as removed.
    fn is_gone(&self) -> bool {
        let mut states = [ReaderState::new(self.reader.clone(), State::PRESENT)];
        let deadline = Instant::now() + NOTICE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            if self.context.get_status_change(left, &mut states).is_err() {
                return false;
            }
            for state in &mut states {
                if state.event_state().contains(State::EMPTY) {
                    return true;
                }
                state.sync_current_state();
            }
            if left.is_zero() {
                return false;
            }
        }
    }
}

impl Channel for PcscChannel {
    fn transmit(&mut self, command: &[u8], response: &mut [u8]) -> Result<usize, ChannelError> {
        let error = match self.card.transmit(command, response) {
            Ok(answer) if answer.len() >= 2 => return Ok(answer.len()),
            Ok(_) => ChannelError::Malformed,
            Err(error) => channel_error(error),
        };
        let unclear = matches!(error, ChannelError::Malformed | ChannelError::Transport(_));
        Err(if unclear && self.is_gone() {
            ChannelError::CardRemoved
        } else {
            error
        })
    }

    fn atr(&self) -> &[u8] {
        &self.atr
    }
}
