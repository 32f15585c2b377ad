//! A small world: operators, devices, SAMs, cards, persons; and records as terminals make them.

use crate::fake_hsm::{FakeHsm, key_of, presence};
use card_spec::{
    Fen, SuiteId,
    id::{CitizenId, DeviceNo, Generation, Pan, RegionCode, SamNo},
    keys::KeyType,
    medical::{self, Split},
    purse::{TxType, files::CardKind, mac},
    time::{CardDate, CardTime},
};
use clearing::{Clock, House, Rules, SimClock, SqliteStore, TopUpLimits, store::Registered};
use clearing_api::{
    Batch, BatchAnswer, Outcome, Record,
    client::sign_body,
    day::DayReport,
    record::{
        CardFacts, Debit, Event, LossReport, ProofOfLife, Purchase, Service, Visit, loss_challenge,
        presence_challenge,
    },
    registry::{Card, Device, Insured, Operator, OperatorKind, Sam},
    topup::{TopUpConfirm, TopUpGrant, TopUpRequest},
};
use ed25519_dalek::SigningKey;
use hsm_client::{CardRef, Hsm};
use std::path::PathBuf;
use std::sync::{Arc, OnceLock};

pub(crate) const LEDGER: [u8; 32] = [0x1E; 32];
pub(crate) const BUS: &str = "FZBUS";
pub(crate) const POS: &str = "FZPOS";
pub(crate) const HOSPITAL: &str = "HSYN35010001";
pub(crate) const AGENCY: &str = "FZHRSS";

pub(crate) fn data() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../data/fujian")
}

pub(crate) fn rules() -> Arc<Rules> {
    static RULES: OnceLock<Arc<Rules>> = OnceLock::new();
    Arc::clone(RULES.get_or_init(|| Arc::new(Rules::load(&data()).expect("data/fujian"))))
}

pub(crate) fn time(text: &str) -> CardTime {
    text.parse().unwrap()
}

pub(crate) fn date(text: &str) -> CardDate {
    text.parse().unwrap()
}

pub(crate) fn today() -> CardDate {
    date("2026-11-23")
}

pub(crate) fn region() -> RegionCode {
    "350100".parse().unwrap()
}

pub(crate) fn pan(n: u32) -> Pan {
    format!("0350{n:016}").parse().unwrap()
}

pub(crate) fn sam(n: u32) -> SamNo {
    format!("3501{n:08}").parse().unwrap()
}

pub(crate) fn device(n: u32) -> DeviceNo {
    format!("{n:016}").parse().unwrap()
}

pub(crate) fn device_key(n: u32) -> SigningKey {
    SigningKey::from_bytes(&[n as u8; 32])
}

pub(crate) fn psn(n: u32) -> String {
    format!("3501P{n:07}")
}

/// A valid identity number in the reserved area 990001.
pub(crate) fn certno(n: u32, birth: &str) -> CitizenId {
    let digits = format!("990001{birth}{:03}", n % 1000);
    let bytes: [u8; 17] = digits.as_bytes().try_into().unwrap();
    let check = CitizenId::check_character(&bytes).unwrap() as char;
    format!("{digits}{check}").parse().unwrap()
}

pub(crate) fn card_facts(n: u32) -> CardFacts {
    CardFacts {
        pan: pan(n),
        generation: Generation(1),
        region: region(),
        suite: SuiteId::Aes,
        key_version: 1,
    }
}

pub(crate) fn card_ref(n: u32) -> CardRef {
    CardRef {
        pan: pan(n),
        generation: Generation(1),
        region: region(),
    }
}

/// One bus tap with everything that decides it.
#[derive(Clone, Copy)]
pub(crate) struct Tap {
    pub(crate) card: u32,
    pub(crate) seq: u16,
    pub(crate) before: i64,
    pub(crate) amount: i64,
    pub(crate) sam: u32,
    pub(crate) terminal_seq: u32,
}

pub(crate) fn fare() -> i64 {
    let ride = fare::BusRide {
        operator: BUS.into(),
        route: "FZB106".into(),
        ridden: fare::Ridden::Unknown,
        at: time("2026-11-23T08:15:00"),
        rider: fare::Rider::of_kind(CardKind::Normal),
        prior: None,
        state: None,
    };
    rules().tariffs.quote_bus(&ride).expect("route").amount.0
}

/// The purchase with its right TAC.
pub(crate) fn purchase(tap: Tap) -> Purchase {
    let facts = card_facts(tap.card);
    let at = time("2026-11-23T08:15:00");
    let (amount, after) = (Fen(tap.amount), Fen(tap.before - tap.amount));
    let context = mac::Context {
        h0: [1; 8],
        h1: [2; 8],
    };
    let tac = mac::Purchase {
        amount,
        tx: TxType::Capp,
        terminal: sam(tap.sam),
        terminal_seq: tap.terminal_seq,
        time: at,
        seq: tap.seq,
        rnd: [0; 4],
        context,
    }
    .tac(
        facts.suite,
        &key_of(KeyType::Dtk, card_ref(tap.card), facts.suite),
        after,
    );
    Purchase {
        card: facts,
        sam: sam(tap.sam),
        terminal_seq: tap.terminal_seq,
        key_index: 1,
        tx: TxType::Capp,
        seq: tap.seq,
        amount,
        balance_before: Fen(tap.before),
        balance_after: after,
        time: at,
        context,
        debit: Debit::Done { tac },
        service: Service::Bus {
            operator: BUS.into(),
            route: "FZB106".into(),
            sections: None,
            prior: None,
            state: None,
            age: None,
            kind: CardKind::Normal,
            companion: false,
        },
    }
}

pub(crate) fn record(journal_seq: u64, event: Event) -> Record {
    Record {
        journal_seq,
        at: time("2026-11-23T08:15:00"),
        completes: None,
        hotlist_version: 0,
        event,
    }
}

pub(crate) fn tap(journal_seq: u64, tap: Tap) -> Record {
    record(journal_seq, Event::Purchase(purchase(tap)))
}

pub(crate) fn visit(
    journal_seq: u64,
    card: u32,
    seq: u16,
    split: Split,
    before: Fen,
    setl_id: &str,
) -> Record {
    let facts = card_facts(card);
    let at = time("2026-11-23T09:30:00");
    let after = before - split.personal;
    let tac = medical::Visit {
        split,
        terminal: sam(90),
        terminal_seq: journal_seq as u32,
        time: at,
        seq,
        rnd: [0; 4],
    }
    .tac(
        facts.suite,
        &key_of(KeyType::Mtk, card_ref(card), facts.suite),
        after,
    );
    record(
        journal_seq,
        Event::Visit(Visit {
            card: facts,
            sam: sam(90),
            terminal_seq: journal_seq as u32,
            seq,
            split,
            balance_before: before,
            balance_after: after,
            time: at,
            debit: Debit::Done { tac },
            institution: HOSPITAL.into(),
            setl_id: setl_id.into(),
        }),
    )
}

pub(crate) fn proof_of_life(journal_seq: u64, at: CardTime, card: u32, at_device: u32) -> Record {
    let facts = card_facts(card);
    let challenge = presence_challenge(device(at_device), journal_seq, at);
    Record {
        at,
        ..record(
            journal_seq,
            Event::ProofOfLife(ProofOfLife {
                card: facts,
                cryptogram: presence(card_ref(card), facts.suite, challenge),
                pin_verified: true,
            }),
        )
    }
}

pub(crate) fn loss_report(journal_seq: u64, at: CardTime, card: u32, at_device: u32) -> Record {
    let facts = card_facts(card);
    let challenge = loss_challenge(device(at_device), journal_seq, at);
    let cryptogram = presence(card_ref(card), facts.suite, challenge);
    let card = facts;
    Record {
        at,
        ..record(
            journal_seq,
            Event::LossReport(LossReport { card, cryptogram }),
        )
    }
}

pub(crate) fn batch(device_n: u32, records: Vec<Record>) -> Batch {
    Batch {
        device: device(device_n),
        first: records.first().unwrap().journal_seq,
        last: records.last().unwrap().journal_seq,
        records,
    }
}

pub(crate) struct World {
    pub(crate) house: House<SqliteStore>,
    pub(crate) hsm: Arc<FakeHsm>,
    pub(crate) clock: Arc<SimClock>,
}

/// Everything registered: devices 1-8 buses, 20 POS, 30 hospital, 40 agency; SAMs 1-8 transit, 90
/// hospital, 66 revoked; cards 1-9.
pub(crate) fn registry() -> Vec<Registered> {
    let operator = |id: &str, kind| {
        Registered::Operator(Operator {
            id: id.into(),
            name_zh: format!("{id}公司"),
            name_en: format!("{id} company"),
            kind,
            region: region(),
        })
    };
    let device = |n: u32, operator: &str| {
        Registered::Device(Device {
            device: device(n),
            operator: operator.into(),
            public_key: hex::encode(device_key(n).verifying_key().to_bytes()),
        })
    };
    let sam = |n: u32, class, operator: &str, revoked| {
        Registered::Sam(Sam {
            sam: sam(n),
            class,
            operator: operator.into(),
            revoked,
        })
    };
    let mut all = vec![
        operator(BUS, OperatorKind::Bus),
        operator(POS, OperatorKind::TopUp),
        operator(HOSPITAL, OperatorKind::Hospital),
        operator(AGENCY, OperatorKind::Agency),
        device(20, POS),
        device(30, HOSPITAL),
        device(40, AGENCY),
        sam(90, 0, HOSPITAL, false),
        sam(66, 1, BUS, true),
    ];
    for n in 1..=8 {
        all.push(device(n, BUS));
        all.push(sam(n, 1, BUS, false));
    }
    for n in 1..=9 {
        all.push(Registered::Card(Card {
            pan: pan(n),
            generation: Generation(1),
            region: region(),
            kind: CardKind::Normal,
            psn_no: psn(n),
            medical_balance: Fen(100_000),
            valid_from: date("2026-01-01"),
            valid_to: date("2036-01-01"),
        }));
        let retired = n == 9;
        all.push(Registered::Insured(Box::new(Insured {
            psn_no: psn(n),
            certno: certno(n, if retired { "19550501" } else { "19900501" }),
            name: format!("测试{n}"),
            insuplc_admdvs: region(),
            insutype: "310".into(),
            psn_type: if retired { "12" } else { "11" }.into(),
            civil_servant: false,
            assistance: false,
            employer: "示例单位".into(),
            account: Fen(100_000),
            pension: retired.then_some(Fen(350_000)),
        })));
    }
    all
}

impl World {
    pub(crate) async fn new() -> Self {
        Self::with_store(SqliteStore::open(None).await.unwrap()).await
    }

    pub(crate) async fn with_store(store: SqliteStore) -> Self {
        let ledger = SigningKey::from_bytes(&LEDGER);
        let hsm = Arc::new(FakeHsm::new(ledger.verifying_key()));
        let clock = Arc::new(SimClock::at(time("2026-11-23T10:00:00")));
        let house = House::new(
            store,
            Arc::clone(&hsm) as Arc<dyn Hsm>,
            Arc::clone(&clock) as Arc<dyn Clock>,
            rules(),
            ledger,
            TopUpLimits::default(),
        );
        for item in registry() {
            house.register(&item).await.unwrap();
        }
        Self { house, hsm, clock }
    }

    pub(crate) async fn upload(&self, device_n: u32, records: Vec<Record>) -> BatchAnswer {
        let body = serde_json::to_vec(&batch(device_n, records)).unwrap();
        self.upload_bytes(device_n, &body).await
    }

    pub(crate) async fn upload_bytes(&self, device_n: u32, body: &[u8]) -> BatchAnswer {
        let signature = sign_body(&device_key(device_n), body);
        self.house.upload(body, &signature).await.unwrap()
    }

    /// Uploads one record and tells its outcome.
    pub(crate) async fn outcome(&self, device_n: u32, record: Record) -> Outcome {
        let answer = self.upload(device_n, vec![record]).await;
        answer
            .items
            .first()
            .unwrap_or_else(|| panic!("{answer:?}"))
            .outcome
    }

    pub(crate) async fn report(&self) -> DayReport {
        self.house.day(today()).await.unwrap()
    }

    pub(crate) async fn balance(&self, account: &str) -> i64 {
        self.balance_on(account, "2026-11-23").await
    }

    pub(crate) async fn balance_on(&self, account: &str, day: &str) -> i64 {
        let report = self.house.day(date(day)).await.unwrap();
        assert_eq!(report.trial_sum, Fen::ZERO);
        let line = report
            .trial_balance
            .iter()
            .find(|line| line.account == account);
        line.map_or(0, |line| line.balance.0)
    }

    pub(crate) fn top_up_request(&self, card: u32, seq: u16, amount: i64, rnd: u8) -> TopUpRequest {
        let facts = card_facts(card);
        let load = mac::Load {
            amount: Fen(amount),
            tx: TxType::Load,
            terminal: sam(20),
            seq,
            rnd: [rnd; 4],
            balance_before: Fen(0),
        };
        TopUpRequest {
            device: device(20),
            terminal: sam(20),
            card: facts,
            amount: Fen(amount),
            seq,
            rnd: [rnd; 4],
            balance_before: Fen(0),
            mac1: load.mac1(
                facts.suite,
                &key_of(KeyType::Dlk, card_ref(card), facts.suite),
            ),
            at: time("2026-11-23T09:00:00"),
            paid_by: "cash".into(),
        }
    }

    pub(crate) async fn top_up(&self, request: &TopUpRequest) -> Result<TopUpGrant, String> {
        let body = serde_json::to_vec(request).unwrap();
        let signature = sign_body(&device_key(20), &body);
        self.house
            .top_up(&body, &signature)
            .await
            .map_err(|why| why.to_string())
    }

    pub(crate) fn load_tac(request: &TopUpRequest, grant: &TopUpGrant, card: u32) -> [u8; 4] {
        mac::Load {
            amount: request.amount,
            tx: TxType::Load,
            terminal: request.terminal,
            seq: request.seq,
            rnd: request.rnd,
            balance_before: request.balance_before,
        }
        .tac(
            SuiteId::Aes,
            &key_of(KeyType::Dtk, card_ref(card), SuiteId::Aes),
            grant.time,
        )
    }

    pub(crate) async fn confirm(
        &self,
        id: u64,
        tac: [u8; 4],
    ) -> Result<clearing_api::topup::TopUp, String> {
        let body = serde_json::to_vec(&TopUpConfirm {
            device: device(20),
            id,
            tac,
        })
        .unwrap();
        let signature = sign_body(&device_key(20), &body);
        self.house
            .confirm_top_up(id, &body, &signature)
            .await
            .map_err(|why| why.to_string())
    }

    /// A confirmed load.
    pub(crate) async fn load(&self, card: u32, seq: u16, amount: i64) {
        let request = self.top_up_request(card, seq, amount, seq as u8 + 1);
        let grant = self.top_up(&request).await.unwrap();
        self.confirm(grant.id, Self::load_tac(&request, &grant, card))
            .await
            .unwrap();
    }
}
