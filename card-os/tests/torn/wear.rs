//! How fast the memory wears out: CAPP taps, the commands that write most.

use crate::{Cuts, common};
use card_spec::{
    Fen, SuiteId, aid, apdu,
    keys::{KeyType, class},
    purse::{
        self, InitRequest, PurchaseInit, TxType,
        mac::{ContextBuilder, Purchase},
        sfi,
    },
};
use virtual_card::sample;

const TAPS: u32 = 5_000;

/// Prints how often the busiest page is erased in 100,000 taps, and that the pages share the load.
pub(crate) fn the_pages_share_the_wear() -> Cuts {
    let mut card = common::card(SuiteId::Aes);
    let dpk = sample::card_key(sample::header(KeyType::Dpk, class::TRANSIT, SuiteId::Aes)).unwrap();
    let before = card.nvm_mut().erases().to_vec();
    let fci = common::ask(&mut card, &apdu::select(aid::T_UNION));
    for tap in 0..TAPS {
        let request = InitRequest {
            kid: class::TRANSIT,
            amount: Fen(0),
            terminal: common::sam_no(),
        };
        let init = common::ask(&mut card, &request.capp_purchase().unwrap());
        let init = PurchaseInit::from_bytes(&init).unwrap();
        let (journey, metro) = ([tap as u8; 48], [tap as u8; 128]);
        let mut builder = ContextBuilder::new(&fci);
        common::put(
            &mut card,
            &purse::update_capp_cache(sfi::JOURNEY, 0, &journey),
        );
        builder.update(0, sfi::JOURNEY << 3, &journey);
        builder.read_1a(&[(tap.wrapping_sub(1)) as u8; 128].map(|b| if tap == 0 { 0 } else { b }));
        common::put(&mut card, &purse::update_capp_cache(sfi::METRO, 1, &metro));
        builder.update(1, (sfi::METRO << 3) | 4, &metro);
        let purchase = Purchase {
            amount: Fen(0),
            tx: TxType::Capp,
            terminal: common::sam_no(),
            terminal_seq: tap,
            time: common::time(),
            seq: init.seq,
            rnd: init.rnd,
            context: builder.finish(),
        };
        let mac1 = purchase.mac1(SuiteId::Aes, &dpk);
        common::put(&mut card, &purse::debit(tap, common::time(), mac1));
    }
    let worn = card
        .nvm_mut()
        .erases()
        .iter()
        .zip(&before)
        .map(|(now, then)| now - then);
    let worn: Vec<u32> = worn.collect();
    let turning = || worn.iter().filter(|erases| **erases > 0);
    let most = turning().max().unwrap();
    println!(
        "wear: the busiest page is erased {} times in 100,000 CAPP taps; {} of {} pages take turns",
        most * (100_000 / TAPS),
        turning().count(),
        worn.len()
    );
    // The others hold what is never rewritten.
    assert!(
        turning().count() >= 50 && most - turning().min().unwrap() <= 2,
        "{worn:?}"
    );
    Cuts::default()
}
