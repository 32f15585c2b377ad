//! Logical channels 0 to 3 (ISO 7816-4, 5.4.2): each with its own selected application, security
//! status and challenge. An application is selected on one channel at a time; the issuer domain,
//! where a channel starts, may be on all of them.

use crate::{
    apdu::Number,
    select::{Challenge, Place, Selected},
};

/// What one channel remembers.
pub(crate) struct Channel {
    pub(crate) selected: Selected,
    /// The DF name it was selected by, for "next occurrence".
    pub(crate) place: Place,
    pub(crate) challenge: Option<Challenge>,
}

impl Channel {
    pub(crate) const fn new(selected: Selected) -> Self {
        Self {
            selected,
            place: Place::ISD,
            challenge: None,
        }
    }
}

/// The basic channel, always open, and three more.
pub(crate) struct Channels {
    channels: [Channel; 4],
    open: [bool; 4],
}

impl Channels {
    /// As after reset: the basic channel alone.
    pub(crate) const fn new(selected: Selected) -> Self {
        const CLOSED: Channel = Channel::new(Selected::Isd);
        Self {
            channels: [Channel::new(selected), CLOSED, CLOSED, CLOSED],
            open: [true, false, false, false],
        }
    }

    /// The channel, if it is open.
    #[inline(never)]
    pub(crate) fn get(&mut self, number: Number) -> Option<&mut Channel> {
        let number = number as usize;
        self.channels.get_mut(number).filter(|_| self.open[number])
    }

    /// Opens a channel on the issuer domain; false if it is open already.
    pub(crate) fn open(&mut self, number: Number) -> bool {
        !core::mem::replace(&mut self.open[number as usize], true)
    }

    /// Closes a channel and forgets what it held; false if it was not open. The basic channel
    /// stays.
    pub(crate) fn close(&mut self, number: Number) -> bool {
        let Some(channel) = self.get(number).filter(|_| number != Number::Basic) else {
            return false;
        };
        *channel = Channel::new(Selected::Isd);
        self.open[number as usize] = false;
        true
    }

    /// Whether another channel than this has an application that satisfies the condition. A closed
    /// one has the issuer domain.
    pub(crate) fn elsewhere(&self, number: Number, is: impl Fn(&Selected) -> bool) -> bool {
        let mut channels = self.channels.iter().enumerate();
        channels.any(|(n, channel)| n != number as usize && is(&channel.selected))
    }

    /// Puts every channel but this back on the issuer domain: its card or its data changed.
    pub(crate) fn deselect_others(&mut self, number: Number) {
        for (n, channel) in self.channels.iter_mut().enumerate() {
            if n != number as usize {
                *channel = Channel::new(Selected::Isd);
            }
        }
    }
}
