//! A day's report as tables, Chinese beside English.

use crate::out::say;
use card_spec::{Fen, SuiteId};
use comfy_table::{Cell, CellAlignment, ContentArrangement, Table, presets};

/// An empty table in the house style.
pub fn new(header: &[&str]) -> Table {
    let mut table = Table::new();
    table
        .load_style(presets::UTF8_FULL_CONDENSED)
        .set_content_arrangement(ContentArrangement::Dynamic)
        .set_header(header.iter().map(Cell::new));
    table
}
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
    for root in &report.ceremony.roots {
        for component in &root.components {
            t.add_row([
                root.suite.name().to_owned(),
                component.number.to_string(),
                component.custodian.clone(),
                component.kcv.clone(),
            ]);
        }
        let kcv = root.kcv.clone().unwrap_or_default();
        t.add_row([root.suite.name(), "formed 合成", "", &kcv]);
    }
    say!("{t}");
    let mut t = table(
        "Application masters 应用主密钥, KCV by suite",
        &[
            "key 密钥",
            "index 索引",
            "version 版本",
            "aes",
            "sm4",
            "tdes",
        ],
    );
    let mut rows: Vec<(String, [String; 3])> = Vec::new();
    for key in &report.keys {
        let name = format!("{}|{:02X}|{}", key.key_type.name(), key.index, key.version);
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
    say!("{t}");
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
        t.add_row([Cell::new(fund), yuan(*amount)]);
    }
    say!("{t}");
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
        "Trial balance 试算平衡 (yuan 元)",
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
        "Net positions 清算净额 (yuan 元; positive is paid to the party 正数为应收)",
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
