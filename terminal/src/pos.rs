//! The point of sale 销售与充值终端: sales, and online top-up 圈存.

use card_spec::{Channel, Fen, id::SamNo, time::CardTime};

use crate::{
    hotlist::Hotlist,
    journal::{Journal, Storage},
    load::{LoadDesk, Loading},
    machine::TopUp,
    online::TopUps,
    result::{Refusal, TapResult},
    tap::{PurseTerminal, Setup},
};

/// A point of sale. Its journal keeps sales, and loads between CREDIT FOR LOAD and their confirmation.
#[derive(Debug)]
pub struct Pos<S> {
    loads: LoadDesk,
    till: PurseTerminal<S>,
}

impl<S: Storage> Pos<S> {
    /// A point of sale over its opened journal: the rules of its sales and of its loads.
    pub fn new(sale: Setup, loads: LoadDesk, journal: Journal<S>) -> Self {
        Self {
            loads,
            till: PurseTerminal::new(sale, journal),
        }
    }

    /// Works by other limits from the next card on.
    pub const fn adopt(&mut self, sale: Setup, load_max: Fen) {
        self.till.adopt(sale);
        self.loads.load_max = load_max;
    }

    /// The hotlist, to update.
    pub const fn hotlist_mut(&mut self) -> &mut Hotlist {
        self.till.hotlist_mut()
    }

    /// The journal.
    pub const fn journal(&self) -> &Journal<S> {
        self.till.journal()
    }

    /// The journal, for its upload.
    pub const fn journal_mut(&mut self) -> &mut Journal<S> {
        self.till.journal_mut()
    }

    /// As [`PurseTerminal::awaited_sam`].
    pub fn awaited_sam(&self) -> Option<SamNo> {
        self.till.awaited_sam()
    }

    /// The till, that sells.
    pub const fn till(&mut self) -> &mut PurseTerminal<S> {
        &mut self.till
    }

    /// Loads the card: PIN, INIT FOR LOAD, authorisation, CREDIT FOR LOAD, confirmation. When the
    /// journal holds a load of this card that the card took and nobody saw, that one is finished
    /// instead and no money is taken again.
    pub fn top_up<C: Channel + ?Sized>(
        &mut self,
        card: &mut C,
        wish: &TopUp,
        at: CardTime,
        online: &mut dyn TopUps,
    ) -> TapResult {
        self.loading().top_up(card, wish, at, online)
    }

    /// Sends the confirmations that are still outstanding; answers how many went through.
    pub fn confirm_open(&mut self, online: &mut dyn TopUps) -> Result<usize, Refusal> {
        self.loading().confirm_open(online)
    }

    const fn loading(&mut self) -> Loading<'_, S> {
        let (journal, hotlist) = self.till.books();
        Loading {
            desk: &self.loads,
            journal,
            hotlist,
        }
    }
}
