//! The life of a card as values: which event may follow which state.

use serde::{Deserialize, Serialize};

/// Where a card is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardState {
    /// Order approved, number allocated, waiting for a blank 待制卡.
    Queued,
    /// Being personalised on a blank 制卡中.
    Writing,
    /// Written, secured, read back and found equal 已质检.
    Checked,
    /// With the holder, still sealed 已交付.
    Delivered,
    /// In use 已启用.
    Active,
    /// Reported lost by telephone or counter, reversible 临时挂失.
    Suspended,
    /// Formally reported lost or damaged, not reversible 正式挂失.
    Lost,
    /// Another card took its place 已补换.
    Replaced,
    /// Withdrawn for good 已注销.
    Retired,
    /// The blank was spoiled at personalisation; its number is never used again 废卡.
    Spoiled,
}

/// What happens to a card.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CardEvent {
    /// A blank was put in and personalisation began.
    Start,
    /// Personalisation ended and every file was read back equal.
    Check,
    /// The blank cannot be completed.
    Spoil,
    /// Handed over.
    Deliver,
    /// The holder enabled it at a counter.
    Activate,
    /// Reported lost, for now.
    Suspend,
    /// Found again.
    Resume,
    /// Formally lost or damaged.
    ReportLost,
    /// Its replacement was ordered and approved.
    Replace,
    /// Given back, holder died or moved away.
    Retire,
}

/// An event that does not go with a card's state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a card that is {state:?} cannot {event:?}: it can {}", Allowed(*state))]
pub struct Refused {
    /// Its state.
    pub state: CardState,
    /// What was asked.
    pub event: CardEvent,
}

struct Allowed(CardState);

impl core::fmt::Display for Allowed {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let mut any = false;
        for event in CardEvent::ALL {
            if self.0.next(event).is_ok() {
                write!(f, "{}{event:?}", if any { ", " } else { "" })?;
                any = true;
            }
        }
        f.write_str(if any { "" } else { "do nothing more" })
    }
}

impl CardEvent {
    /// Every event.
    pub const ALL: [Self; 10] = [
        Self::Start,
        Self::Check,
        Self::Spoil,
        Self::Deliver,
        Self::Activate,
        Self::Suspend,
        Self::Resume,
        Self::ReportLost,
        Self::Replace,
        Self::Retire,
    ];
}

impl CardState {
    /// The state after an event.
    pub const fn next(self, event: CardEvent) -> Result<Self, Refused> {
        use CardEvent as E;
        Ok(match (self, event) {
            // Writing again is a torn card that came back.
            (Self::Queued | Self::Writing, E::Start) => Self::Writing,
            (Self::Writing, E::Check) => Self::Checked,
            (Self::Writing, E::Spoil) => Self::Spoiled,
            (Self::Checked, E::Deliver) => Self::Delivered,
            (Self::Delivered, E::Activate) => Self::Active,
            (Self::Active, E::Suspend) => Self::Suspended,
            (Self::Suspended, E::Resume) => Self::Active,
            // A card may also be lost on its way to the holder.
            (Self::Checked | Self::Delivered | Self::Active | Self::Suspended, E::ReportLost) => {
                Self::Lost
            }
            (Self::Lost, E::Replace) => Self::Replaced,
            (
                Self::Checked | Self::Delivered | Self::Active | Self::Suspended | Self::Lost,
                E::Retire,
            ) => Self::Retired,
            _ => return Err(Refused { state: self, event }),
        })
    }

    /// Whether the holder may not get another first card while this one is in this state.
    pub const fn is_live(self) -> bool {
        !matches!(self, Self::Replaced | Self::Retired | Self::Spoiled)
    }

    /// Reason for the hotlist, when terminals must refuse a card in this state.
    pub const fn hotlist_reason(self) -> Option<&'static str> {
        match self {
            Self::Suspended | Self::Lost => Some("lost"),
            Self::Replaced => Some("replaced"),
            Self::Retired => Some("retired"),
            _ => None,
        }
    }

    /// The name used in the database and on the wire.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Writing => "writing",
            Self::Checked => "checked",
            Self::Delivered => "delivered",
            Self::Active => "active",
            Self::Suspended => "suspended",
            Self::Lost => "lost",
            Self::Replaced => "replaced",
            Self::Retired => "retired",
            Self::Spoiled => "spoiled",
        }
    }

    /// Every state.
    pub const ALL: [Self; 10] = [
        Self::Queued,
        Self::Writing,
        Self::Checked,
        Self::Delivered,
        Self::Active,
        Self::Suspended,
        Self::Lost,
        Self::Replaced,
        Self::Retired,
        Self::Spoiled,
    ];

    /// From [`Self::name`].
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|s| s.name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The whole table: every allowed step, and by omission every refused one.
    #[test]
    fn exactly_these_steps_exist() {
        use CardEvent as E;
        use CardState as S;
        let steps = [
            (S::Queued, E::Start, S::Writing),
            (S::Writing, E::Start, S::Writing),
            (S::Writing, E::Check, S::Checked),
            (S::Writing, E::Spoil, S::Spoiled),
            (S::Checked, E::Deliver, S::Delivered),
            (S::Checked, E::ReportLost, S::Lost),
            (S::Checked, E::Retire, S::Retired),
            (S::Delivered, E::Activate, S::Active),
            (S::Delivered, E::ReportLost, S::Lost),
            (S::Delivered, E::Retire, S::Retired),
            (S::Active, E::Suspend, S::Suspended),
            (S::Active, E::ReportLost, S::Lost),
            (S::Active, E::Retire, S::Retired),
            (S::Suspended, E::Resume, S::Active),
            (S::Suspended, E::ReportLost, S::Lost),
            (S::Suspended, E::Retire, S::Retired),
            (S::Lost, E::Replace, S::Replaced),
            (S::Lost, E::Retire, S::Retired),
        ];
        for state in S::ALL {
            for event in E::ALL {
                let expected = steps.iter().find(|(s, e, _)| (*s, *e) == (state, event));
                assert_eq!(state.next(event).ok(), expected.map(|(_, _, to)| *to));
            }
            assert_eq!(S::from_name(state.name()), Some(state));
        }
    }

    #[test]
    fn the_message_names_what_is_possible() {
        let refused = CardState::Lost
            .next(CardEvent::Resume)
            .expect_err("formal loss");
        assert_eq!(
            refused.to_string(),
            "a card that is Lost cannot Resume: it can Replace, Retire"
        );
        let end = CardState::Retired
            .next(CardEvent::Activate)
            .expect_err("end");
        assert!(end.to_string().ends_with("it can do nothing more"));
    }
}
