//! The store's rules, on a real SQLite file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;

use card_spec::time::CardTime;
use common::{persons, soft_hsm};
use hsm::SoftHsm;
use issuance::{
    Office,
    life::{CardEvent, CardState},
    order::{AnyOrder, CardOptions, OrderId, Purpose, StaffId},
    person::PersonNo,
    personalise::ChipSerial,
    store::{SqliteStore, StoreError},
};
use std::sync::Arc;

struct Desk {
    office: Office,
    hsm: Arc<SoftHsm>,
    lin: StaffId,
    chen: StaffId,
    now: CardTime,
    directory: tempfile::TempDir,
}

impl Desk {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let (hsm, _) = soft_hsm(directory.path());
        let desk = Self {
            office: Office::open(&directory.path().join("issuance.db"), hsm.clone()).unwrap(),
            hsm,
            lin: "lin".parse().unwrap(),
            chen: "chen".parse().unwrap(),
            now: "2026-03-16T09:00:00".parse().unwrap(),
            directory,
        };
        let report = desk
            .office
            .wait(
                desk.office
                    .store()
                    .import(&persons()[..20], &desk.lin, desk.now),
            )
            .unwrap();
        assert_eq!((report.added, report.conflicts.len()), (20, 0));
        desk
    }

    fn first(&self, who: &[usize]) -> Result<OrderId, StoreError> {
        let all = persons();
        let purpose = Purpose::First {
            persons: who.iter().map(|n| all[*n].psn_no.clone()).collect(),
        };
        self.draft(purpose)
    }

    fn draft(&self, purpose: Purpose) -> Result<OrderId, StoreError> {
        let store = self.office.store();
        let order =
            self.office
                .wait(store.draft(purpose, CardOptions::default(), &self.lin, self.now));
        order.map(|o| o.id)
    }

    fn approve(
        &self,
        id: OrderId,
        by: &StaffId,
    ) -> Result<Vec<issuance::store::CardRow>, StoreError> {
        let store = self.office.store();
        self.office
            .wait(store.approve(id, by, self.now))
            .map(|(_, cards)| cards)
    }

    fn event(&self, pan: card_spec::id::Pan, event: CardEvent) -> Result<CardState, StoreError> {
        let store = self.office.store();
        self.office
            .wait(store.event(pan, event, &self.lin, self.now))
            .map(|c| c.state)
    }

    /// A card in a holder's hand.
    fn issued(&self, who: usize) -> card_spec::id::Pan {
        let store = self.office.store();
        let id = self.first(&[who]).unwrap();
        let pan = self.approve(id, &self.chen).unwrap()[0].pan;
        self.office
            .wait(store.receive_blanks(1, &self.lin, self.now))
            .unwrap();
        let chip = ChipSerial([0x88, 0, 0, 0, 0, 0, 0, 0, 0, who as u8]);
        self.office
            .wait(store.start(pan, chip, &self.lin, self.now))
            .unwrap();
        for event in [CardEvent::Check, CardEvent::Deliver, CardEvent::Activate] {
            self.event(pan, event).unwrap();
        }
        pan
    }
}

#[test]
fn an_import_repeated_changes_nothing_and_never_overwrites() {
    let desk = Desk::new();
    let store = desk.office.store();
    let mut again = persons()[..20].to_vec();
    again[0].employer = "另一单位".to_owned();
    // The same citizen under another person number.
    again[1].psn_no = PersonNo::try_from("X1".to_owned()).unwrap();
    let report = desk
        .office
        .wait(store.import(&again, &desk.lin, desk.now))
        .unwrap();
    assert_eq!(
        (report.added, report.unchanged, report.conflicts.len()),
        (0, 18, 2)
    );
    assert!(
        report.conflicts[1]
            .why
            .contains(persons()[1].psn_no.as_str())
    );
    let kept = desk
        .office
        .wait(store.person(&persons()[0].psn_no))
        .unwrap()
        .unwrap();
    assert_eq!(kept, persons()[0]);
    let page = desk
        .office
        .wait(store.persons(Some(kept.psn_no), 5))
        .unwrap();
    assert_eq!(page.len(), 5);
}

#[test]
fn four_eyes_hold_in_the_store_and_in_the_table() {
    let desk = Desk::new();
    let id = desk.first(&[0, 1]).unwrap();
    assert!(matches!(
        desk.approve(id, &desk.lin),
        Err(StoreError::SelfApproval(_))
    ));
    let queue = desk.office.wait(desk.office.store().queue(id, 10)).unwrap();
    assert!(queue.is_empty(), "nothing to make before approval");
    let cards = desk.approve(id, &desk.chen).unwrap();
    assert_eq!(
        cards.iter().map(|c| c.generation.0).collect::<Vec<_>>(),
        [1, 1]
    );
    assert!(matches!(
        desk.approve(id, &desk.chen),
        Err(StoreError::Conflict(_))
    ));
    let orders = desk
        .office
        .wait(desk.office.store().orders(None, 10))
        .unwrap();
    assert!(matches!(&orders[..], [AnyOrder::Approved(o)] if o.state.by.author() == &desk.lin));
    // Not even by hand.
    let path = desk.directory.path().join("issuance.db");
    desk.office.wait(async {
        use sqlx::Connection;
        let url = format!("sqlite:{}", path.display());
        let mut raw = sqlx::SqliteConnection::connect(&url).await.unwrap();
        let forged = sqlx::raw_sql("UPDATE orders SET approver = 'LIN'")
            .execute(&mut raw)
            .await;
        assert!(forged.unwrap_err().to_string().contains("CHECK"));
    });
}

#[test]
fn numbers_are_sequential_over_orders_and_a_person_has_one_live_card() {
    let desk = Desk::new();
    let (one, two) = (desk.first(&[0, 1]).unwrap(), desk.first(&[1, 2]).unwrap());
    let first = desk.approve(one, &desk.chen).unwrap();
    let seq = |pan| issuance::pan::parse(pan).unwrap().get();
    assert_eq!(first.iter().map(|c| seq(c.pan)).collect::<Vec<_>>(), [1, 2]);
    // Person 1 got a card in the meantime: the whole second approval is undone.
    let refused = desk.approve(two, &desk.chen).unwrap_err();
    assert!(refused.to_string().contains("replacement"), "{refused}");
    assert!(
        desk.office
            .wait(desk.office.store().queue(two, 10))
            .unwrap()
            .is_empty()
    );
    let three = desk.first(&[2]).unwrap();
    assert_eq!(seq(desk.approve(three, &desk.chen).unwrap()[0].pan), 3);
    assert!(matches!(desk.first(&[3, 3]), Err(StoreError::Conflict(_))));
    assert!(matches!(desk.first(&[]), Err(StoreError::Conflict(_))));
    let nobody = Purpose::First {
        persons: vec![PersonNo::try_from("NOBODY".to_owned()).unwrap()],
    };
    assert!(matches!(
        desk.draft(nobody),
        Err(StoreError::NotFound { .. })
    ));
}

#[test]
fn a_lost_card_is_replaced_by_the_next_generation_with_another_number() {
    let desk = Desk::new();
    let pan = desk.issued(5);
    let replacement = || desk.draft(Purpose::Replacement { of: pan });
    assert!(
        matches!(replacement(), Err(StoreError::State(_))),
        "not lost yet"
    );
    assert_eq!(
        desk.event(pan, CardEvent::Suspend).unwrap(),
        CardState::Suspended
    );
    assert_eq!(
        desk.event(pan, CardEvent::Resume).unwrap(),
        CardState::Active
    );
    assert_eq!(
        desk.event(pan, CardEvent::ReportLost).unwrap(),
        CardState::Lost
    );
    assert!(
        desk.event(pan, CardEvent::Resume).is_err(),
        "formal loss is final"
    );
    // A replacement goes through an order, never by itself.
    assert!(matches!(
        desk.event(pan, CardEvent::Replace),
        Err(StoreError::Conflict(_))
    ));
    let id = replacement().unwrap();
    let new = &desk.approve(id, &desk.chen).unwrap()[0];
    assert_eq!((new.generation.0, new.state), (2, CardState::Queued));
    assert_ne!(new.pan, pan);
    let old = desk
        .office
        .wait(desk.office.store().card(pan))
        .unwrap()
        .unwrap();
    assert_eq!(old.state, CardState::Replaced);
    assert_eq!(old.state.hotlist_reason(), Some("replaced"));
    assert!(replacement().is_err(), "only once");
}

#[test]
fn blanks_run_out() {
    let desk = Desk::new();
    let store = desk.office.store();
    let id = desk.first(&[0]).unwrap();
    let pan = desk.approve(id, &desk.chen).unwrap()[0].pan;
    let begun = desk
        .office
        .wait(store.start(pan, ChipSerial([0; 10]), &desk.lin, desk.now));
    assert!(begun.unwrap_err().to_string().contains("no blanks"));
    let row = desk.office.wait(store.card(pan)).unwrap().unwrap();
    assert_eq!((row.state, row.chip), (CardState::Queued, None));
    assert!(
        desk.office
            .wait(store.receive_blanks(0, &desk.lin, desk.now))
            .is_err()
    );
}

#[test]
fn everything_survives_reopening_and_the_audit_chain_notices_a_change() {
    let mut desk = Desk::new();
    let pan = desk.issued(5);
    let path = desk.directory.path().join("issuance.db");
    let head = desk
        .office
        .wait(desk.office.store().verify_audit())
        .unwrap();
    desk.office = Office::open(&path, desk.hsm.clone()).unwrap();
    let store = desk.office.store();
    assert_eq!(desk.office.wait(store.verify_audit()).unwrap(), head);
    let row = desk.office.wait(store.card(pan)).unwrap().unwrap();
    assert_eq!(row.state, CardState::Active);
    let lines = desk.office.wait(store.audit(0, 100)).unwrap();
    let actions: Vec<&str> = lines.iter().map(|l| l.action.as_str()).collect();
    assert_eq!(
        actions,
        [
            "import",
            "draft",
            "approve",
            "blanks",
            "card.writing",
            "card.checked",
            "card.delivered",
            "card.active"
        ]
    );
    // No identity number or name is in the log.
    let text = format!("{lines:?}");
    assert!(
        !text.contains(persons()[5].certno.as_str()) && !text.contains(persons()[5].name.as_str())
    );
    desk.office.wait(async {
        use sqlx::Connection;
        let url = format!("sqlite:{}", path.display());
        let mut raw = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("UPDATE audit SET actor = 'chen' WHERE line = 6")
            .execute(&mut raw)
            .await
            .unwrap();
    });
    assert!(matches!(
        desk.office.wait(store.verify_audit()),
        Err(StoreError::Tampered { line: 6 })
    ));
}

#[test]
fn a_database_of_a_later_version_is_left_alone() {
    let desk = Desk::new();
    let path = desk.directory.path().join("issuance.db");
    desk.office.wait(async {
        use sqlx::Connection;
        let url = format!("sqlite:{}", path.display());
        let mut raw = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::raw_sql("PRAGMA user_version = 99")
            .execute(&mut raw)
            .await
            .unwrap();
    });
    let refused = desk
        .office
        .wait(SqliteStore::open(&path, desk.hsm.clone()))
        .unwrap_err();
    assert!(matches!(refused, StoreError::Newer { found: 99, .. }));
}

/// Every byte of the database, its write-ahead log included.
fn bytes_of(directory: &std::path::Path) -> Vec<u8> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(directory).unwrap() {
        let entry = entry.unwrap();
        if entry
            .file_name()
            .to_string_lossy()
            .starts_with("issuance.db")
        {
            all.extend(std::fs::read(entry.path()).unwrap());
        }
    }
    all
}

/// Which personal data of a person lie in the bytes in clear.
fn found<'a>(all: &[u8], person: &'a issuance::person::Person) -> Vec<&'a str> {
    [
        person.name.as_str(),
        person.certno.as_str(),
        &person.employer,
    ]
    .into_iter()
    .filter(|text| !text.is_empty())
    .filter(|text| all.windows(text.len()).any(|w| w == text.as_bytes()))
    .collect()
}

#[test]
fn the_database_file_holds_nobody_in_clear() {
    let desk = Desk::new();
    desk.issued(5);
    let all = bytes_of(desk.directory.path());
    for person in &persons()[..20] {
        // The search works: person numbers are there.
        let number = person.psn_no.as_str().as_bytes();
        assert!(all.windows(number.len()).any(|w| w == number));
        assert_eq!(found(&all, person), Vec::<&str>::new());
    }
}

#[test]
fn a_row_moved_to_another_person_does_not_open() {
    let desk = Desk::new();
    let path = desk.directory.path().join("issuance.db");
    let all = persons();
    desk.office.wait(async {
        use sqlx::Connection;
        let url = format!("sqlite:{}", path.display());
        let mut raw = sqlx::SqliteConnection::connect(&url).await.unwrap();
        sqlx::query("UPDATE persons SET body = (SELECT body FROM persons WHERE psn_no = $1) WHERE psn_no = $2")
            .bind(all[0].psn_no.as_str())
            .bind(all[1].psn_no.as_str())
            .execute(&mut raw)
            .await
            .unwrap();
    });
    let store = desk.office.store();
    assert_eq!(
        desk.office
            .wait(store.person(&all[0].psn_no))
            .unwrap()
            .as_ref(),
        Some(&all[0])
    );
    assert!(matches!(
        desk.office.wait(store.person(&all[1].psn_no)),
        Err(StoreError::Hsm(_))
    ));
}

#[test]
fn a_database_from_before_sealing_is_sealed_when_it_is_opened() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("issuance.db");
    let person = &persons()[5];
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        use sqlx::Connection;
        let url = format!("sqlite:{}?mode=rwc", path.display());
        let mut raw = sqlx::SqliteConnection::connect(&url).await.unwrap();
        for sql in [
            include_str!("../migrations/0001_persons.sql"),
            include_str!("../migrations/0002_orders.sql"),
            include_str!("../migrations/0003_cards.sql"),
            include_str!("../migrations/0004_blanks.sql"),
            include_str!("../migrations/0005_audit.sql"),
            "PRAGMA user_version = 5",
        ] {
            sqlx::raw_sql(sql).execute(&mut raw).await.unwrap();
        }
        sqlx::query("INSERT INTO persons VALUES ($1, $2, $3)")
            .bind(person.psn_no.as_str())
            .bind(person.certno.as_str())
            .bind(serde_json::to_string(person).unwrap())
            .execute(&mut raw)
            .await
            .unwrap();
        raw.close().await.unwrap();
    });
    assert!(!found(&bytes_of(directory.path()), person).is_empty());
    let (hsm, _) = soft_hsm(directory.path());
    let office = Office::open(&path, hsm).unwrap();
    let kept = office.wait(office.store().person(&person.psn_no)).unwrap();
    assert_eq!(kept.as_ref(), Some(person));
    assert_eq!(
        found(&bytes_of(directory.path()), person),
        Vec::<&str>::new()
    );
}
