//! The life of each key that the HSM holds: states, dates, and what may follow what.

use card_spec::time::CardTime;
use hsm_client::{HsmError, KeyEvent, KeyState, Result};

/// Changes kept of one key. Six states and a few corrections fit many times.
pub(crate) const EVENTS_MAX: usize = 64;

/// The states of a key, in order; the last is the present one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Life {
    first: KeyEvent,
    later: Vec<KeyEvent>,
}

impl Life {
    /// A key that is formed now.
    pub(crate) const fn begun(state: KeyState, at: CardTime) -> Self {
        Self {
            first: KeyEvent { state, at },
            later: Vec::new(),
        }
    }

    /// From the store; `None` when no key lives so.
    pub(crate) fn from_events(events: &[KeyEvent]) -> Option<Self> {
        let (first, later) = events.split_first()?;
        if !matches!(first.state, KeyState::PreActive | KeyState::Active) {
            return None;
        }
        let mut life = Self::begun(first.state, first.at);
        for event in later {
            life.advance("", event.state, event.at).ok()?;
        }
        Some(life)
    }

    pub(crate) fn state(&self) -> KeyState {
        self.last().state
    }

    pub(crate) fn events(&self) -> Vec<KeyEvent> {
        let mut all = vec![self.first];
        all.extend_from_slice(&self.later);
        all
    }

    /// Whether these states come after the other's, as another HSM knows them. Nothing comes back
    /// from retired, compromised or destroyed, whatever the clocks say; between active and
    /// verify-only the later change counts.
    pub(crate) fn later_than(&self, other: &Self) -> bool {
        const fn rank(state: KeyState) -> u8 {
            match state {
                KeyState::PreActive => 0,
                KeyState::Active | KeyState::VerifyOnly => 1,
                KeyState::Retired => 2,
                KeyState::Compromised => 3,
                KeyState::Destroyed => 4,
            }
        }
        let (ours, theirs) = (self.last(), other.last());
        let order = rank(ours.state).cmp(&rank(theirs.state));
        ours.state != theirs.state && order.then(ours.at.cmp(&theirs.at)).is_gt()
    }

    fn last(&self) -> KeyEvent {
        *self.later.last().unwrap_or(&self.first)
    }

    /// The next state, if it may follow the present one.
    pub(crate) fn advance(&mut self, key: &str, to: KeyState, at: CardTime) -> Result<()> {
        let now = self.state();
        if !now.next().contains(&to) {
            let legal: Vec<&str> = now.next().iter().map(|s| s.name()).collect();
            let legal = match legal.as_slice() {
                [] => "nothing follows it".to_owned(),
                legal => format!("it may become {}", legal.join(" or ")),
            };
            return Err(HsmError::Refused {
                why: format!(
                    "key {key} is {} and cannot become {}: {legal}",
                    now.name(),
                    to.name()
                ),
            });
        }
        if self.later.len() + 1 >= EVENTS_MAX && to != KeyState::Destroyed {
            return Err(HsmError::Refused {
                why: format!("key {key} changed its state {EVENTS_MAX} times: rotate it"),
            });
        }
        self.later.push(KeyEvent { state: to, at });
        Ok(())
    }
}

impl Life {
    /// To its end, by the states that nobody can skip: the value is gone already.
    pub(crate) fn end(&mut self, key: &str, at: CardTime) -> Result<()> {
        while self.state() != KeyState::Destroyed {
            let next = match self.state() {
                KeyState::Active => KeyState::VerifyOnly,
                KeyState::VerifyOnly => KeyState::Retired,
                _ => KeyState::Destroyed,
            };
            self.advance(key, next, at)?;
        }
        Ok(())
    }
}

/// A key in this process with its life; without a value once it is destroyed. Boxed, because maps
/// leave copies behind when they move their entries.
#[derive(Clone)]
pub(crate) struct Held<T> {
    pub(crate) life: Life,
    pub(crate) value: Option<Box<T>>,
}

impl<T> Held<T> {
    pub(crate) fn active(value: T, at: CardTime) -> Self {
        Self {
            life: Life::begun(KeyState::Active, at),
            value: Some(Box::new(value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(hour: u8) -> CardTime {
        format!("2026-11-23T{hour:02}:00:00").parse().expect("time")
    }

    /// Every pair of states: what NIST SP 800-57 part 1, 7.2 draws, and the way back from
    /// verify-only to active.
    #[test]
    fn only_the_drawn_transitions_exist() {
        use KeyState::{Active, Compromised, Destroyed, PreActive, Retired, VerifyOnly};
        let drawn = [
            (PreActive, Active),
            (PreActive, Compromised),
            (PreActive, Destroyed),
            (Active, VerifyOnly),
            (Active, Compromised),
            (VerifyOnly, Active),
            (VerifyOnly, Retired),
            (VerifyOnly, Compromised),
            (Retired, Compromised),
            (Retired, Destroyed),
            (Compromised, Destroyed),
        ];
        for from in KeyState::ALL {
            for to in KeyState::ALL {
                let mut life = Life::begun(from, at(8));
                let result = life.advance("DTK", to, at(9));
                assert_eq!(
                    result.is_ok(),
                    drawn.contains(&(from, to)),
                    "{from:?} {to:?}"
                );
                match result {
                    Ok(()) => assert_eq!(life.state(), to),
                    Err(error) => {
                        assert_eq!(life.state(), from);
                        for legal in from.next() {
                            assert!(error.to_string().contains(legal.name()), "{error}");
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn a_life_that_nobody_lives_is_no_life() {
        let event = |state| KeyEvent { state, at: at(8) };
        assert!(Life::from_events(&[]).is_none());
        assert!(Life::from_events(&[event(KeyState::Retired)]).is_none());
        let torn = [event(KeyState::Active), event(KeyState::Destroyed)];
        assert!(Life::from_events(&torn).is_none());
        let whole = [event(KeyState::Active), event(KeyState::VerifyOnly)];
        let life = Life::from_events(&whole).expect("lived");
        assert_eq!(life.events(), whole);
    }

    #[test]
    fn a_life_ends_from_every_state() {
        for state in KeyState::ALL {
            let mut life = Life::begun(state, at(8));
            life.end("k", at(9)).expect("legal");
            assert_eq!(life.state(), KeyState::Destroyed, "{state:?}");
        }
    }

    /// However often a key changes, it can still be destroyed.
    #[test]
    fn changes_are_bounded() {
        let mut life = Life::begun(KeyState::Active, at(8));
        while life
            .advance("k", *life.state().next().first().expect("next"), at(8))
            .is_ok()
        {}
        assert!(life.events().len() <= EVENTS_MAX);
    }
}
