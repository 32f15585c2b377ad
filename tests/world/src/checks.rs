//! What the day must come to, from the cards themselves, the journals, the ledger and the auditors.

use crate::{
    Result, WorldError,
    day::Driver,
    issue::CardHolder,
    report::{Check, Report},
    setup::Options,
};
use card_spec::{
    Channel, Fen, aid, apdu, channel,
    keys::class,
    purse::{InitRequest, PurchaseInit, get_balance},
};
use clearing_api::{
    Outcome,
    day::{DayReport, Pending},
};
use hsm_client::Hsm as _;
use std::collections::BTreeMap;
use terminal::Code;

/// What a card says of itself.
struct OnCard {
    balance: Fen,
    /// Offline sequence; `None` on a locked card.
    seq: Option<u16>,
}

fn read_card(card: &mut dyn Channel) -> Result<OnCard> {
    let broken = || WorldError::at("reading a card's balance")("the card does not answer");
    let mut ask = |command: &[u8]| {
        channel::exchange(card, command).map_err(WorldError::at("reading a card's balance"))
    };
    ask(&apdu::select(aid::T_UNION))?;
    let reply = ask(&get_balance())?;
    let bytes: [u8; 4] = reply.data.as_slice().try_into().map_err(|_| broken())?;
    let probe = InitRequest {
        kid: class::TRANSIT,
        amount: Fen::ZERO,
        terminal: "350100000000"
            .parse()
            .map_err(WorldError::at("naming a terminal"))?,
    };
    let init = ask(&probe
        .purchase()
        .map_err(WorldError::at("asking for a sequence"))?)?;
    let seq = PurchaseInit::from_bytes(&init.data)
        .ok()
        .map(|init| init.seq);
    Ok(OnCard {
        balance: Fen::from_card(bytes),
        seq,
    })
}

/// Whether a pending event happened on its card, as the card itself tells.
fn happened(pending: &Pending, on_card: Option<&OnCard>) -> bool {
    pending.kind == "torn-debit"
        && on_card
            .and_then(|c| c.seq)
            .is_some_and(|seq| seq > pending.seq)
}

/// A card swap behind pcscd costs most of a second, so a day keeps below this many.
const SWAPS_MAX: u64 = 80;

struct Checks(Vec<Check>);

fn none_or<T: AsRef<str>>(names: &[T]) -> String {
    if names.is_empty() {
        return "none".to_owned();
    }
    names
        .iter()
        .map(AsRef::as_ref)
        .collect::<Vec<_>>()
        .join(", ")
}

impl Checks {
    fn add(&mut self, name: &str, ok: bool, detail: String) {
        self.0.push(Check {
            name: name.to_owned(),
            ok,
            detail,
        });
    }

    fn equal<T: PartialEq + core::fmt::Display>(&mut self, name: &str, left: T, right: T) {
        self.add(name, left == right, format!("{left} = {right}"));
    }
}

impl Driver<'_> {
    /// Reads every card, runs the auditors, and states what held.
    pub(crate) fn report(
        &mut self,
        options: &Options,
        readers: &str,
        eve: &DayReport,
        closed: &DayReport,
        again: &DayReport,
    ) -> Result<Report> {
        let on_cards = self.read_cards()?;
        let cards: Fen = on_cards.values().map(|c| c.balance).sum();
        // Torn debits that the ledger still counts and the card does not hold any more.
        let pending: Fen = closed
            .pending
            .iter()
            .filter(|p| happened(p, on_cards.get(&p.pan.to_string())))
            .map(|p| -p.amount)
            .sum();
        let mut report = self.figures(options, readers, eve, closed)?;
        report.card_balances_fen = cards.0;
        report.pending_fen = pending.0;
        report.float_difference_fen = (closed.purse_float - cards - pending).0;
        let mut checks = Checks(Vec::new());
        self.check_people(&report, &mut checks);
        self.check_books(&report, closed, again, &mut checks)?;
        self.check_faults(closed, &mut checks);
        self.check_auditors(&mut checks)?;
        report.checks = checks.0;
        Ok(report)
    }

    fn read_cards(&mut self) -> Result<BTreeMap<String, OnCard>> {
        let mut out = BTreeMap::new();
        for CardHolder { pan, card, .. } in &mut self.roster.holders {
            let card = card
                .as_mut()
                .ok_or_else(|| WorldError::at("reading a card's balance")("still in a reader"))?;
            out.insert(pan.to_string(), read_card(card)?);
        }
        Ok(out)
    }

    fn figures(
        &self,
        options: &Options,
        readers: &str,
        eve: &DayReport,
        closed: &DayReport,
    ) -> Result<Report> {
        let mut events = BTreeMap::new();
        let mut amounts = BTreeMap::new();
        let mut outcomes = BTreeMap::new();
        let mut split = BTreeMap::new();
        for day in [eve, closed] {
            for (mode, total) in &day.modes {
                *events.entry(mode.clone()).or_insert(0) += total.events;
                *amounts.entry(mode.clone()).or_insert(0) += total.amount.0;
            }
            for (outcome, count) in &day.outcomes {
                let key = format!(
                    "{:02} {} {}",
                    outcome.number(),
                    outcome.text(),
                    outcome.zh()
                );
                *outcomes.entry(key).or_insert(0) += count;
            }
            for (fund, amount) in &day.medical_split {
                *split.entry(fund.clone()).or_insert(0) += amount.0;
            }
        }
        let roster = &self.roster;
        Ok(Report {
            demo: true,
            seed: options.seed,
            readers: readers.to_owned(),
            day: closed.day.to_string(),
            ceremony: self.house.transcript.clone(),
            keys: self
                .house
                .hsm
                .keys()
                .map_err(WorldError::at("listing keys"))?,
            own_keys: self
                .house
                .hsm
                .own_keys()
                .map_err(WorldError::at("listing keys"))?,
            persons_accepted: roster.holders.len() as u64,
            persons_refused: roster.refused,
            intake_errors: roster.errors.clone(),
            cards_issued: roster.holders.len() as u64,
            cards_issued_pcsc: roster.via_pcsc,
            sams_issued: 0,
            sams_issued_pcsc: 0,
            events_total: events.values().sum(),
            events_by_mode: events,
            amounts_by_mode_fen: amounts,
            events_by_reader: self.tally.by_reader.clone(),
            outcomes,
            batches: self.tally.batches.clone(),
            refused_at_terminal: self.tally.refused.clone(),
            trial_balance_fen: closed.trial_sum.0,
            trial_balance: closed.trial_balance.clone(),
            purse_float_fen: closed.purse_float.0,
            card_balances_fen: 0,
            pending_fen: 0,
            float_difference_fen: 0,
            medical_split_fen: split,
            net_positions_fen: closed
                .positions
                .iter()
                .map(|p| (p.party.clone(), p.net.0))
                .collect(),
            net_positions: closed.positions.clone(),
            digest: closed.digest.clone(),
            checks: Vec::new(),
            measured: BTreeMap::new(),
        })
    }

    fn check_people(&self, report: &Report, checks: &mut Checks) {
        let (accepted, refused) = (report.persons_accepted, report.persons_refused);
        checks.add(
            "at least 500 persons; wrong rows refused by row and field 人员采集",
            accepted >= 500 && refused > 0 && report.intake_errors.len() as u64 >= refused,
            format!("{accepted} accepted, {refused} refused"),
        );
        checks.add(
            "every card read back equal 个人化回读",
            self.roster.compared > 0 && report.cards_issued == accepted,
            format!(
                "{} cards, {} files and records compared",
                report.cards_issued, self.roster.compared
            ),
        );
        if report.readers == "pcsc" {
            let modes = self.tally.pcsc_modes.len();
            let swaps = self.bench.as_ref().map_or(0, |bench| bench.swaps);
            checks.add(
                "20 cards and every mode through pcscd 经操作系统读卡",
                report.cards_issued_pcsc >= 20
                    && modes == report.events_by_mode.len()
                    && swaps < SWAPS_MAX,
                format!(
                    "{} cards, {modes} modes, {swaps} insertions",
                    report.cards_issued_pcsc
                ),
            );
        }
        let empty: Vec<&str> = report
            .events_by_mode
            .iter()
            .filter(|(_, events)| **events == 0)
            .map(|(mode, _)| mode.as_str())
            .collect();
        checks.add(
            "at least 2,000 rows, every mode among them 业务笔数",
            report.events_total >= 2_000 && empty.is_empty(),
            format!(
                "{} rows; without any: {}",
                report.events_total,
                none_or(&empty)
            ),
        );
        checks.equal(
            "rows counted at the readers = rows in the books 笔数一致",
            report.events_by_reader.values().sum::<u64>(),
            report.events_total,
        );
    }

    fn check_books(
        &mut self,
        report: &Report,
        closed: &DayReport,
        again: &DayReport,
        checks: &mut Checks,
    ) -> Result<()> {
        checks.equal(
            "trial balance sums to zero 试算平衡",
            report.trial_balance_fen,
            0,
        );
        checks.equal(
            "card balances equal the float 卡内余额等于备付金",
            report.float_difference_fen,
            0,
        );
        let sold: i64 = ["bus", "metro", "taxi", "parking_meter", "car_park"]
            .iter()
            .filter_map(|mode| report.amounts_by_mode_fen.get(*mode))
            .sum();
        let operators = report
            .trial_balance
            .iter()
            .filter(|a| a.account.starts_with("operator:"));
        let credited: Fen = operators.map(|a| a.balance).sum();
        checks.equal(
            "operators were credited what their rows say 运营商入账",
            credited.0,
            sold,
        );
        checks.add(
            "closing again changes nothing 重复清算无变化",
            closed == again && closed.closed,
            format!("digest {}", closed.digest.get(..16).unwrap_or_default()),
        );
        let parts: i64 = report.medical_split_fen.values().sum();
        let bills = report
            .trial_balance
            .iter()
            .filter(|a| a.account.starts_with("hospital:"));
        let earned: Fen = bills.map(|a| a.balance).sum();
        checks.equal(
            "medical split adds up to what hospitals earned 医保费用构成",
            parts,
            earned.0,
        );
        let waiting: usize = self.devices.iter_mut().map(|d| d.waiting().len()).sum();
        checks.equal(
            "every journal record was answered 终端记录全部应答",
            waiting,
            0,
        );
        let mut wrong = Vec::new();
        for holder in &self.roster.holders {
            let shadow = self
                .house
                .staff
                .card(holder.pan)
                .map_err(WorldError::at("asking for a card's shadow"))?;
            if !shadow.gaps.is_empty() && wrong.len() < 5 {
                wrong.push(holder.pan.to_string());
            }
        }
        // The torn debit that never came back leaves the only gap that may remain: none, because
        // no later record of that card exists.
        checks.add(
            "no card has a missing record 无缺失交易",
            wrong.is_empty(),
            format!("cards with gaps: {}", none_or(&wrong)),
        );
        Ok(())
    }

    fn check_faults(&self, closed: &DayReport, checks: &mut Checks) {
        let count = |outcome: Outcome| closed.outcomes.get(&outcome).copied().unwrap_or(0);
        checks.add(
            "a repeated upload got its first answer 重复上传",
            self.repeated,
            "bus validator 2".to_owned(),
        );
        checks.add(
            "an upload out of order was admitted 乱序上传",
            self.reordered,
            "bus validator 3".to_owned(),
        );
        checks.add(
            "forged records were refused: TAC, unknown SAM 伪造记录",
            self.forged == [Outcome::WrongTac, Outcome::UnknownSam],
            self.forged
                .iter()
                .map(|o| o.text())
                .collect::<Vec<_>>()
                .join(", "),
        );
        checks.add(
            "late records went to the day they arrived 迟到记录",
            self.late > 0,
            format!("{} records of the evening before", self.late),
        );
        checks.add(
            "torn cards: completed, sold again, held 断卡",
            self.torn.first() == Some(&Code::SameCardAgain)
                && self.torn.get(1) == Some(&Code::TornCompleted)
                && self.torn.get(2) == Some(&Code::SameCardAgain)
                && self.torn.get(3).is_some_and(|c| c.number() < 100)
                && self.torn.get(4) == Some(&Code::SameCardAgain)
                && count(Outcome::HeldUnknown) == 1,
            format!(
                "{}; {} held",
                self.torn
                    .iter()
                    .map(|code| code.en())
                    .collect::<Vec<_>>()
                    .join(", "),
                count(Outcome::HeldUnknown)
            ),
        );
        let listed = self
            .tally
            .codes
            .get(&Code::Hotlisted.number())
            .copied()
            .unwrap_or(0);
        checks.add(
            "a lost card was locked in the field 黑名单锁卡",
            listed >= 1,
            format!("{listed}"),
        );
    }

    fn check_auditors(&self, checks: &mut Checks) -> Result<()> {
        let database = self.house.dir.join("clearing.db");
        let audit = self
            .house
            .office
            .wait(clearing::audit::run(&database))
            .map_err(WorldError::at("auditing the ledger"))?;
        let failed: Vec<String> = audit
            .checks
            .iter()
            .filter(|check| !check.ok)
            .map(|check| format!("{}: {}", check.name, check.detail))
            .collect();
        checks.add(
            "independent audit of the ledger 独立审计",
            audit.ok(),
            format!("{} checks {}", audit.checks.len(), failed.join("; ")),
        );
        let log = self.house.dir.join("hsm").join("audit.jsonl");
        let head = hsm::audit::verify(&log).map_err(WorldError::at("auditing the key service"))?;
        checks.add(
            "audit chain of the key service 密钥机审计链",
            head.lines > 0,
            format!("{} lines", head.lines),
        );
        let books = self
            .house
            .office
            .wait(self.house.office.store().verify_audit())
            .map_err(WorldError::at("auditing issuance"))?;
        checks.add(
            "audit chain of issuance 发卡审计链",
            books.lines > 0,
            format!("{} lines", books.lines),
        );
        Ok(())
    }
}
