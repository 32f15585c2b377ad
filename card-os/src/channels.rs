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
    basic: Channel,
    further: [Option<Channel>; 3],
}

impl Channels {
    /// As after reset: the basic channel alone.
    pub(crate) const fn new(selected: Selected) -> Self {
        Self {
            basic: Channel::new(selected),
            further: [const { None }; 3],
        }
    }

    fn slot(&mut self, number: Number) -> Option<&mut Option<Channel>> {
        self.further.get_mut((number as usize).checked_sub(1)?)
    }

    /// The channel, if it is open.
    pub(crate) fn get(&mut self, number: Number) -> Option<&mut Channel> {
        match (number as usize).checked_sub(1) {
            None => Some(&mut self.basic),
            Some(further) => self.further.get_mut(further)?.as_mut(),
        }
    }

    /// Opens a channel on the issuer domain; false if it is open already.
    pub(crate) fn open(&mut self, number: Number) -> bool {
        match self.slot(number) {
            Some(slot @ None) => {
                *slot = Some(Channel::new(Selected::Isd));
                true
            }
            _ => false,
        }
    }

    /// Closes a channel and forgets what it held; false if it was not open. The basic channel
    /// stays.
    pub(crate) fn close(&mut self, number: Number) -> bool {
        self.slot(number).and_then(Option::take).is_some()
    }

    /// Whether another channel than this has an application that satisfies the condition.
    pub(crate) fn elsewhere(&self, number: Number, is: impl Fn(&Selected) -> bool) -> bool {
        let further = self.further.iter().zip(1..);
        let channels = further.filter_map(|(slot, n)| slot.as_ref().map(|c| (c, n)));
        [(&self.basic, 0)]
            .into_iter()
            .chain(channels)
            .any(|(channel, n)| n != number as usize && is(&channel.selected))
    }

    /// Puts every channel but this back on the issuer domain: its card or its data changed.
    pub(crate) fn deselect_others(&mut self, number: Number) {
        for other in [Number::Basic, Number::One, Number::Two, Number::Three] {
            if other != number
                && let Some(channel) = self.get(other)
            {
                *channel = Channel::new(Selected::Isd);
            }
        }
    }
}
