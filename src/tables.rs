//! A day's report as tables, Chinese beside English.

use crate::out::say;
use card_spec::{Fen, SuiteId};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};
use hsm_client::{KeyEvent, KeyInfo, KeyState, OwnKeys, ServiceKey, SignPurpose};

/// An empty table in the house style.
pub fn new(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(Cell::new));
    if !std::io::stdout().is_terminal() {
        table.set_width(120);
    }
    table
}
use std::io::IsTerminal;
use world::report::Report;

/// Prints every table of the report to standard output.
pub fn print(report: &Report) {
    say!(
        "\nDEMO 演示  OneCard 一卡通  settlement day 清算日 {}  seed {}  readers {}",
        report.day,
        report.seed,
        report.readers
    );
    ceremony(report);
    persons_and_cards(report);
    modes(report);
    medical(report);
    refused(report);
    trial_balance(report);
    positions(report);
    checks(report);
}

fn table(title: &str, header: &[&str]) -> Table {
    say!("\n{title}");
    new(header)
}

fn right(text: impl ToString) -> Cell {
    Cell::new(text.to_string()).set_alignment(CellAlignment::Right)
}

fn yuan(fen: i64) -> Cell {
    right(Fen(fen))
}

fn ceremony(report: &Report) {
    let mut t = table(
        "Key ceremony 密钥仪式 (check values only)",
        &["root 根密钥", "component 分量", "custodian 保管人", "KCV"],
    );
    for key in &report.ceremony.keys {
        for part in &key.parts {
            t.add_row([
                key.subject.name().to_owned(),
                part.number.to_string(),
                part.custodian.clone(),
                part.check.clone(),
            ]);
        }
        let kcv = key.kcv.clone().unwrap_or_default();
        t.add_row([key.subject.name(), "formed 合成", "", &kcv]);
    }
    say!("{t}");
    say!("\nApplication masters 应用主密钥, KCV by suite");
    say!("{}", masters(&report.keys));
    say!("\nKeys that no card holds 密钥机自用密钥");
    say!("{}", own_keys(&report.own_keys));
}

/// Application masters, one row a key and state, the suites' check values side by side.
pub fn masters(keys: &[KeyInfo]) -> Table {
    let mut t = new(&[
        "key 密钥",
        "index 索引",
        "version 版本",
        "state 状态",
        "since 起",
        "aes",
        "sm4",
        "tdes",
    ]);
    let mut rows: Vec<(String, [String; 3])> = Vec::new();
    for key in keys {
        let name = format!(
            "{}|{:02X}|{}|{}|{}",
            key.key_type.name(),
            key.index,
            key.version,
            state(key.state),
            since(&key.history)
        );
        let column = match key.suite {
            SuiteId::Aes => 0,
            SuiteId::Sm4 => 1,
            SuiteId::Tdes => 2,
        };
        if rows.last().is_none_or(|(last, _)| *last != name) {
            rows.push((name, Default::default()));
        }
        if let Some((_, columns)) = rows.last_mut() {
            columns[column].clone_from(&key.kcv);
        }
    }
    for (name, columns) in rows {
        t.add_row(name.split('|').map(str::to_owned).chain(columns));
    }
    t
}

/// Keys of the HSM's own: check values, and fingerprints of public keys.
pub fn own_keys(keys: &OwnKeys) -> Table {
    let mut t = new(&[
        "key 密钥",
        "version 版本",
        "state 状态",
        "use 用途",
        "algorithm 算法",
        "KCV / public key SHA-256 校验值/公钥指纹",
    ]);
    for key in &keys.service {
        t.add_row([
            key.key.name(),
            &key.version.to_string(),
            state(key.state),
            service_use(key.key),
            "aes-256",
            &key.kcv,
        ]);
    }
    for key in &keys.signing {
        let shown = key.fingerprint.get(..16).unwrap_or_default();
        t.add_row([
            key.purpose.name(),
            &key.version.to_string(),
            state(key.state),
            signing_use(key.purpose),
            key.algorithm.name(),
            &format!("{shown}..."),
        ]);
    }
    t
}

const fn state(state: KeyState) -> &'static str {
    match state {
        KeyState::PreActive => "pre-active 待用",
        KeyState::Active => "active 使用",
        KeyState::VerifyOnly => "verify-only 仅验证",
        KeyState::Retired => "retired 退役",
        KeyState::Compromised => "compromised 泄露",
        KeyState::Destroyed => "destroyed 销毁",
    }
}

/// Day on which the present state began.
fn since(history: &[KeyEvent]) -> String {
    let day = history.last().map(|event| event.at.date().to_string());
    day.unwrap_or_default()
}

const fn service_use(key: ServiceKey) -> &'static str {
    match key {
        ServiceKey::Storage => "key store 本地主密钥",
        ServiceKey::Transport => "key exchange 传输密钥",
        ServiceKey::Pin => "PIN blocks PIN 密钥",
        ServiceKey::PersonalData => "personal data at rest 个人信息加密",
    }
}

const fn signing_use(purpose: SignPurpose) -> &'static str {
    match purpose {
        SignPurpose::Hotlist => "hotlist 黑名单签名",
        SignPurpose::Parameters => "terminal parameters 终端参数签名",
        SignPurpose::Audit => "audit checkpoints 审计签名",
        SignPurpose::Settlement => "settlement 清算签名",
        SignPurpose::ClientCa => "certificates for mTLS 通信证书签发",
        SignPurpose::CardCa => "card certificates 卡证书签发",
    }
}

fn persons_and_cards(report: &Report) {
    let mut t = table(
        "Persons and cards 人员与卡",
        &[
            "persons 人员",
            "refused rows 拒收行",
            "cards 卡",
            "via pcscd",
            "SAMs",
            "via pcscd",
        ],
    );
    t.add_row(
        [
            report.persons_accepted,
            report.persons_refused,
            report.cards_issued,
            report.cards_issued_pcsc,
            report.sams_issued,
            report.sams_issued_pcsc,
        ]
        .map(right),
    );
    say!("{t}");
    let mut t = table(
        "Refused rows of the sample file 采集错误行",
        &["row 行", "field 字段", "what is wrong and what to do 原因"],
    );
    for error in &report.intake_errors {
        t.add_row([
            right(error.row),
            Cell::new(&error.field),
            Cell::new(&error.message),
        ]);
    }
    say!("{t}");
}

fn modes(report: &Report) {
    let mut t = table(
        "The day by mode 各业务当日",
        &[
            "mode 业务",
            "rows answered 笔数",
            "amount posted 入账金额 (yuan 元)",
        ],
    );
    for (mode, events) in &report.events_by_mode {
        let amount = report.amounts_by_mode_fen.get(mode).copied().unwrap_or(0);
        t.add_row([Cell::new(mode_name(mode)), right(events), yuan(amount)]);
    }
    t.add_row([
        Cell::new("total 合计"),
        right(report.events_total),
        Cell::new(""),
    ]);
    say!("{t}");
}

fn mode_name(mode: &str) -> String {
    let zh = match mode {
        "bus" => "公交",
        "metro" => "地铁",
        "taxi" => "出租车",
        "parking_meter" => "泊车计时表",
        "car_park" => "停车场",
        "retail" => "消费",
        "top_up" => "充值",
        "medical" => "就医",
        "pension" => "养老资格认证",
        _ => "",
    };
    format!("{mode} {zh}")
}

fn medical(report: &Report) {
    let mut t = table(
        "Medical split by fund 医保费用构成",
        &["fund 基金", "amount 金额 (yuan 元)"],
    );
    for (fund, amount) in &report.medical_split_fen {
        t.add_row([Cell::new(fund_name(fund)), yuan(*amount)]);
    }
    say!("{t}");
}

fn fund_name(fund: &str) -> String {
    let name = match fund {
        "310100" => "职工统筹 employee pool",
        "320100" => "公务员补助 civil-servant subsidy",
        "330100" => "大额 large amount",
        "390100" => "居民统筹 resident pool",
        "390200" => "大病 serious illness",
        "610100" => "医疗救助 medical assistance",
        "acct" => "个人账户 personal account",
        "cash" => "现金 cash",
        "hospital" => "医院负担 borne by the hospital",
        _ => "",
    };
    format!("{fund} {name}")
}

fn refused(report: &Report) {
    let mut t = table(
        "What became of every row and batch 处理结果",
        &["outcome 结果", "count 笔数"],
    );
    for (outcome, count) in &report.outcomes {
        t.add_row([Cell::new(outcome), right(count)]);
    }
    for (outcome, count) in &report.batches {
        t.add_row([Cell::new(format!("batch: {outcome}")), right(count)]);
    }
    for (code, count) in &report.refused_at_terminal {
        t.add_row([Cell::new(format!("at the terminal: {code}")), right(count)]);
    }
    say!("{t}");
}

fn trial_balance(report: &Report) {
    let mut t = table(
        "Trial balance 试算平衡 (yuan 元; cumulative, cash included 累计, 含现金)",
        &["account 科目", "debit 借方", "credit 贷方", "balance 余额"],
    );
    for row in &report.trial_balance {
        t.add_row([
            Cell::new(&row.account),
            right(row.debit),
            right(row.credit),
            right(row.balance),
        ]);
    }
    t.add_row([
        Cell::new("sum 合计"),
        Cell::new(""),
        Cell::new(""),
        yuan(report.trial_balance_fen),
    ]);
    say!("{t}");
}

fn positions(report: &Report) {
    let mut t = table(
        "Net positions 清算净额 (yuan 元; this day only, without cash 仅当日, 不含现金; positive is paid to the party 正数为应收)",
        &["party 参与方", "name 名称", "net 净额"],
    );
    for position in &report.net_positions {
        t.add_row([
            Cell::new(&position.party),
            Cell::new(format!("{} {}", position.name_zh, position.name_en)),
            right(position.net),
        ]);
    }
    say!("{t}");
    let mut t = table(
        "Cards and float 卡内余额与备付金 (yuan 元)",
        &[
            "purse float 账面",
            "sum of cards 卡内合计",
            "pending 待定",
            "difference 差额",
        ],
    );
    t.add_row([
        yuan(report.purse_float_fen),
        yuan(report.card_balances_fen),
        yuan(report.pending_fen),
        yuan(report.float_difference_fen),
    ]);
    say!("{t}");
}

fn checks(report: &Report) {
    let mut t = table("Checks 检查", &["", "check 项目", "figures 数字"]);
    for check in &report.checks {
        t.add_row([
            Cell::new(if check.ok { "ok" } else { "FAILED" }),
            Cell::new(&check.name),
            Cell::new(&check.detail),
        ]);
    }
    say!("{t}");
}
