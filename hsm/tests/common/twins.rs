//! Two HSMs of one province, and keys formed for an exchange.

use std::path::Path;

use card_spec::{
    Fen,
    keys::KeyHeader,
    purse::{
        TxType,
        mac::{Context, Purchase},
    },
};
use hsm::{
    Entropy, Quorum, SoftHsm, Zeroizing,
    ceremony::{Ceremony, Form, Formed, FormedKey, Plan, Subject, deal},
};
use hsm_client::{Hsm, KeyOrder, ProofCheck};

use super::{NOW, ReferenceCard, card, config, create, issuer_session, key_of, officers};

/// A KEK formed from shares, as two sites do it.
pub fn kek(seed: u8) -> FormedKey {
    let names = ["Wu", "Zheng", "Huang"];
    let form = Form::Shares(Quorum::new(2, 3).unwrap());
    let entropy = Entropy::seeded([seed; 32]);
    let sheets = deal(&entropy, form, &[Subject::Transport], &names).unwrap();
    let plan = Plan::single(Subject::Transport, form, &names).unwrap();
    let mut ceremony = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
    for sheet in &sheets[1..] {
        ceremony.enter(&sheet.custodian, &sheet.parts[0]).unwrap();
    }
    for officer in officers().names() {
        ceremony.confirm(officer).unwrap();
    }
    let (formed, _) = ceremony.finish().unwrap();
    formed.single(Subject::Transport).unwrap()
}

/// Two HSMs of one province: B is A's restored backup.
pub fn twins(a: &Path, b: &Path) -> [SoftHsm; 2] {
    let hsm = create(a);
    let backup = hsm
        .backup(Quorum::new(2, 2).unwrap(), &["Wu", "Zheng"])
        .unwrap();
    let plan = backup.header.plan().unwrap();
    let mut ceremony = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
    for sheet in &backup.sheets {
        ceremony.enter(&sheet.custodian, &sheet.parts[0]).unwrap();
    }
    for officer in officers().names() {
        ceremony.confirm(officer).unwrap();
    }
    let (formed, transcript) = ceremony.finish().unwrap();
    let twin = SoftHsm::restore(config(b), &backup.file, formed, &transcript, None, |_| {
        Ok(())
    })
    .unwrap();
    [hsm, twin]
}

/// A TAC made by a card that carries a DTK of this version.
pub fn tac_of_a_card(hsm: &SoftHsm, header: KeyHeader) -> ProofCheck {
    let mut blank = ReferenceCard::blank(hsm, "00000000000000000042".parse().unwrap());
    let session = issuer_session(hsm, &mut blank);
    let order = KeyOrder::Card {
        card: card(),
        headers: vec![header],
    };
    let items = hsm.wrap_keys(session, &order).unwrap();
    let (_, key) = key_of(&blank, &items[0]);
    let purchase = Purchase {
        amount: Fen(200),
        tx: TxType::Capp,
        terminal: "350200000001".parse().unwrap(),
        terminal_seq: 77,
        time: NOW.parse().unwrap(),
        seq: 5,
        rnd: [1, 2, 3, 4],
        context: Context {
            h0: [3; 8],
            h1: [4; 8],
        },
    };
    ProofCheck::Purchase {
        card: card(),
        suite: header.suite,
        version: header.version,
        amount: purchase.amount,
        tx: purchase.tx,
        terminal: purchase.terminal,
        terminal_seq: purchase.terminal_seq,
        time: purchase.time,
        seq: purchase.seq,
        balance_after: Fen(800),
        context: purchase.context,
        tac: purchase.tac(header.suite, &key, Fen(800)),
    }
}

/// Opened, with two officers' signed approvals.
pub fn opened(place: &Path) -> SoftHsm {
    let hsm = SoftHsm::open(config(place)).unwrap();
    super::forged::authorised(&hsm);
    hsm
}

/// A key formed from components on paper.
pub fn formed(subject: Subject, components: &[[u8; 16]; 3]) -> Formed {
    let names = ["Wu", "Zheng", "Huang"];
    let plan = Plan::single(subject, Form::Components(3), &names).unwrap();
    let mut ceremony = Ceremony::new(plan, &officers(), NOW.parse().unwrap());
    for (name, component) in names.iter().zip(components) {
        let check = subject.check_value(component).unwrap();
        let component = Zeroizing::new(component.to_vec());
        ceremony.enter_component(name, component, check).unwrap();
    }
    for officer in officers().names() {
        ceremony.confirm(officer).unwrap();
    }
    ceremony.finish().unwrap().0
}
