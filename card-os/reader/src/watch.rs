//! All readers of a program under one watch: one thread waits in PC/SC for what changes in any of
//! them, readers that come and go and pcscd itself included.

use pcsc::{Context, Error, PNP_NOTIFICATION, ReaderState, Scope, State};
use std::{
    ffi::CString,
    sync::{
        Arc, Weak,
        mpsc::{Receiver, Sender, channel},
    },
    thread,
    time::Duration,
};

/// What is in a reader.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Seen {
    /// There is no such reader: unplugged, or pcscd is not running.
    Lost,
    /// No card.
    Empty,
    /// A card that does not answer: the wrong way round, broken, or of another kind.
    Mute,
    /// A card that answered the reset.
    Card,
}

/// Keeps a watch going; it ends within a second of the drop of this.
#[derive(Debug)]
pub struct Watching {
    _alive: Arc<()>,
}

/// How long one wait lasts before the thread looks whether anybody still listens.
const LOOK: Duration = Duration::from_secs(1);

/// Pause before pcscd, or a reader that it calls unavailable, is asked again.
const RETRY: Duration = Duration::from_millis(200);

/// Watches readers, each by its PC/SC name and the key by which its changes are told. First comes
/// what is in each of them, then every change; each one unparks the calling thread. A card that was
/// changed for another between two looks is told as gone and come.
pub fn watch<K: Copy + Send + 'static>(
    readers: Vec<(K, String)>,
) -> (Receiver<(K, Seen)>, Watching) {
    let (sender, receiver) = channel();
    let alive = Arc::new(());
    let mut watch = Watch {
        readers: readers.into_iter().map(Watched::new).collect(),
        sender,
        listener: thread::current(),
        alive: Arc::downgrade(&alive),
    };
    thread::spawn(move || watch.run());
    (receiver, Watching { _alive: alive })
}

struct Watched<K> {
    key: K,
    name: String,
    told: Option<Seen>,
    /// PC/SC's count of insertions and removals.
    count: u32,
}

impl<K> Watched<K> {
    fn new((key, name): (K, String)) -> Self {
        Self {
            key,
            name,
            told: None,
            count: 0,
        }
    }
}

struct Watch<K> {
    readers: Vec<Watched<K>>,
    sender: Sender<(K, Seen)>,
    listener: thread::Thread,
    alive: Weak<()>,
}

impl<K: Copy> Watch<K> {
    fn is_wanted(&self) -> bool {
        self.alive.strong_count() > 0
    }

    fn run(&mut self) {
        while self.is_wanted() {
            // A pcscd that went away takes every context of its clients along.
            if let Ok(context) = Context::establish(Scope::System) {
                while self.is_wanted() && self.follow(&context).is_ok() {}
            }
            for index in 0..self.readers.len() {
                self.tell(index, Seen::Lost, 0);
            }
            thread::sleep(RETRY);
        }
    }

    /// Follows the readers that are there now, until readers come or go.
    fn follow(&mut self, context: &Context) -> Result<(), Error> {
        let names = match context.list_readers_owned() {
            Err(Error::NoReadersAvailable) => Vec::new(),
            other => other?,
        };
        let mut followed = Vec::new();
        let mut states = vec![ReaderState::new(PNP_NOTIFICATION(), State::UNAWARE)];
        for index in 0..self.readers.len() {
            let name = CString::new(self.readers[index].name.as_str()).unwrap_or_default();
            if names.contains(&name) {
                followed.push(index);
                states.push(ReaderState::new(name, State::UNAWARE));
            } else {
                self.tell(index, Seen::Lost, 0);
            }
        }
        // The first answer says how many readers there are, which is no change.
        let mut is_first = true;
        while self.is_wanted() {
            match context.get_status_change(LOOK, &mut states) {
                Ok(()) | Err(Error::Timeout) => {}
                // It left since the list was made.
                Err(Error::UnknownReader) => return Ok(()),
                Err(error) => return Err(error),
            }
            let (plugs, rest) = states.split_at(1);
            let plugged = plugs
                .iter()
                .any(|p| p.event_state().contains(State::CHANGED));
            let mut lost = false;
            for (state, index) in rest.iter().zip(&followed) {
                let seen = seen(state.event_state());
                lost |= seen == Seen::Lost;
                self.tell(*index, seen, state.event_count());
            }
            if lost {
                thread::sleep(RETRY);
            }
            if lost || (plugged && !is_first) {
                return Ok(());
            }
            is_first = false;
            states.iter_mut().for_each(ReaderState::sync_current_state);
        }
        Ok(())
    }

    fn tell(&mut self, index: usize, seen: Seen, count: u32) {
        let reader = &mut self.readers[index];
        let changed = reader.told != Some(seen);
        let swapped = !changed && seen != Seen::Lost && reader.count != count;
        (reader.told, reader.count) = (Some(seen), count);
        if !changed && !swapped {
            return;
        }
        // Whoever does not listen any more will be noticed by `is_wanted`.
        if swapped && seen != Seen::Empty {
            let _ = self.sender.send((reader.key, Seen::Empty));
        }
        if changed || seen != Seen::Empty {
            let _ = self.sender.send((reader.key, seen));
        }
        self.listener.unpark();
    }
}

fn seen(state: State) -> Seen {
    if state.intersects(State::UNKNOWN | State::UNAVAILABLE) {
        Seen::Lost
    } else if !state.contains(State::PRESENT) {
        Seen::Empty
    } else if state.contains(State::MUTE) {
        Seen::Mute
    } else {
        Seen::Card
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_told_once_and_a_swap_as_gone_and_come() {
        let (sender, receiver) = channel();
        let alive = Arc::new(());
        let mut watch = Watch {
            readers: vec![Watched::new(('a', "A".to_owned()))],
            sender,
            listener: thread::current(),
            alive: Arc::downgrade(&alive),
        };
        let script = [
            (Seen::Empty, 0),
            (Seen::Empty, 0),
            (Seen::Card, 1),
            // Taken up by a program: nothing of ours.
            (Seen::Card, 1),
            // Out and another one in between two looks.
            (Seen::Card, 3),
            // In and out between two looks.
            (Seen::Empty, 4),
            (Seen::Empty, 6),
            (Seen::Lost, 0),
            (Seen::Lost, 0),
        ];
        for (seen, count) in script {
            watch.tell(0, seen, count);
        }
        let told: Vec<_> = receiver.try_iter().map(|(_, seen)| seen).collect();
        use Seen::{Card, Empty, Lost};
        assert_eq!(told, [Empty, Card, Empty, Card, Empty, Lost]);
    }

    #[test]
    fn a_mute_card_is_neither_empty_nor_a_card() {
        assert_eq!(seen(State::PRESENT | State::MUTE), Seen::Mute);
        assert_eq!(
            seen(State::PRESENT | State::INUSE | State::EXCLUSIVE),
            Seen::Card
        );
        assert_eq!(seen(State::UNKNOWN | State::UNAVAILABLE), Seen::Lost);
        assert_eq!(seen(State::EMPTY), Seen::Empty);
    }
}
