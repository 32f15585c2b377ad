//! `onecard fare`: checks and prices GTFS feeds.

use super::json;
use crate::{
    exit::{Code, Done, Stop},
    out::{say, write},
    tables,
};
use card_spec::time::CardTime;
use clap::Subcommand;
use fare::feed::{Ask, AskError, Feed, FeedQuote, Finding, Findings, SourceError, TableRow};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// Fares of GTFS feeds 票价
#[derive(Subcommand)]
pub enum Fare {
    /// Report every error of a GTFS feed with file, line and field 检查
    ///
    /// Exit code 1 when there is an error: such a feed is refused whole. Warnings are what the GTFS
    /// reference asks for and no price depends on.
    Check {
        /// Folder or ZIP
        feed: PathBuf,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
    /// The cheapest legal price of a journey, with reasons 询价
    Quote(Quote),
    /// The cheapest single ride between all pairs of stops 票价表
    ///
    /// One row for each ordered pair of different stops (location_type 0), rider category and
    /// medium that the feed prices. A single ride is one leg on one vehicle: where trips run from
    /// the one stop to the other, on one of them; where none does, what the rules price without
    /// asking for a route or network, or on one that has no timetable in the feed. Prices that
    /// depend on time are the cheapest time's. Of equal prices the rule that stands first is named.
    Table {
        /// Folder or ZIP with GTFS files
        #[arg(long, value_name = "DIR|ZIP")]
        feed: PathBuf,
        /// Comma-separated
        #[arg(long, conflicts_with = "json")]
        csv: bool,
        /// Machine-readable output
        #[arg(long)]
        json: bool,
    },
}

#[derive(clap::Args)]
pub struct Quote {
    /// Folder or ZIP with GTFS files
    #[arg(long, value_name = "DIR|ZIP")]
    feed: PathBuf,
    /// Where the journey begins, a stop_id 起点
    #[arg(long, value_name = "STOP")]
    from: String,
    /// Where it ends 终点
    #[arg(long, value_name = "STOP")]
    to: String,
    /// Where to change, in order, 8 stops at most; without it anywhere, twice at most 换乘
    #[arg(long, value_name = "STOP")]
    via: Vec<String>,
    /// On this route only, a route_id 线路
    #[arg(long)]
    route: Option<String>,
    /// When the journey begins, local, 2026-11-23T08:15; without it at the cheapest time
    #[arg(long, value_name = "TIME", value_parser = time)]
    at: Option<CardTime>,
    /// Rider category; without it the feed's default one 乘客类别
    #[arg(long, value_name = "CAT")]
    rider: Option<String>,
    /// Completed years, for concessions by age in a city's folder; without it they are decided by
    /// the card's kind, and the answer says so 年龄
    #[arg(long, value_name = "YEARS")]
    age: Option<u8>,
    /// Fare medium; without it the cheapest 支付介质
    #[arg(long)]
    media: Option<String>,
    /// Machine-readable output
    #[arg(long)]
    json: bool,
}

fn time(text: &str) -> Result<CardTime, String> {
    let with_seconds = if text.len() == 16 { ":00" } else { "" };
    format!("{text}{with_seconds}")
        .parse()
        .map_err(|_| "write a local time as 2026-11-23T08:15 or 2026-11-23T08:15:30".to_owned())
}

/// Runs one.
pub fn run(command: &Fare) -> Done {
    match command {
        Fare::Check { feed, json } => check(feed, *json),
        Fare::Quote(question) => quote(question),
        Fare::Table { feed, csv, json } => table(feed, *csv, *json),
    }
}

fn source(error: SourceError) -> Stop {
    let code = match error {
        SourceError::NotFound(_) => Code::NotFound,
        _ => Code::Failure,
    };
    Stop::new(code, error)
}

#[derive(Serialize)]
struct Checked<'a> {
    feed: String,
    ok: bool,
    /// Years whose holidays are known, of a city's folder.
    holiday_years: Option<String>,
    #[serde(flatten)]
    findings: &'a Findings,
}

fn check(path: &Path, as_json: bool) -> Done {
    let (feed, findings) = Feed::open(path).map_err(source)?;
    let holiday_years = feed.as_ref().and_then(Feed::holiday_years);
    if as_json {
        json(&Checked {
            feed: path.display().to_string(),
            ok: findings.is_ok(),
            holiday_years,
            findings: &findings,
        })?;
    } else {
        list("Errors 错误", &findings.errors);
        list("Warnings 警告", &findings.warnings);
        if let Some(years) = holiday_years {
            say!("Holidays 节假日 are known of {years}; other years go by weekday");
        }
    }
    let (errors, warnings) = (findings.errors.len(), findings.warnings.len());
    if findings.is_ok() {
        if !as_json {
            say!("{} is good 合格 ({warnings} warnings)", path.display());
        }
        return Ok(());
    }
    Err(Stop::new(
        Code::Failure,
        format!(
            "{} is refused: {errors} errors, {warnings} warnings",
            path.display()
        ),
    ))
}

fn list(title: &str, findings: &[Finding]) {
    if findings.is_empty() {
        return;
    }
    let mut t = tables::new(&[
        "file 文件",
        "line 行",
        "field 字段",
        "value 值",
        "problem 问题",
        "what to do 处理",
        "rows 行数",
    ]);
    for f in findings {
        t.add_row([
            f.file.clone(),
            f.line.map_or_else(String::new, |line| line.to_string()),
            f.field.clone(),
            f.value.clone(),
            f.problem.clone(),
            f.remedy.clone(),
            f.times.to_string(),
        ]);
    }
    say!("{title}\n{t}");
}

/// A feed to price with; one with an error is refused whole.
fn open(path: &Path) -> Done<Feed> {
    let (feed, findings) = Feed::open(path).map_err(source)?;
    feed.ok_or_else(|| {
        let first = findings
            .errors
            .first()
            .map_or_else(String::new, Finding::to_string);
        Stop::new(
            Code::Failure,
            format!(
                "{} is refused: {} errors, the first: {first}. See `onecard fare check`",
                path.display(),
                findings.errors.len()
            ),
        )
    })
}

fn quote(question: &Quote) -> Done {
    let feed = open(&question.feed)?;
    let ask = Ask {
        from: &question.from,
        to: &question.to,
        via: &question.via,
        route: question.route.as_deref(),
        at: question.at,
        rider: question.rider.as_deref(),
        age: question.age,
        media: question.media.as_deref(),
    };
    let answer = feed.quote(&ask).map_err(|error| {
        let code = match error {
            AskError::NoTravel(_) | AskError::NoPlatform(_) | AskError::TooManyVia(_) => {
                Code::Usage
            }
            _ => Code::NotFound,
        };
        Stop::new(code, error)
    })?;
    if question.json {
        return json(&answer);
    }
    print(&answer);
    Ok(())
}

fn print(quote: &FeedQuote) {
    let mut t = tables::new(&["from 起", "to 止", "on 乘"]);
    for ride in &quote.rides {
        t.add_row([
            format!("{} {}", ride.from, ride.from_name),
            format!("{} {}", ride.to, ride.to_name),
            match &ride.route {
                Some(id) if *id != ride.on => format!("{id} {}", ride.on),
                _ => ride.on.clone(),
            },
        ]);
    }
    say!("{t}");
    let money = |minor: i64| quote.currency.decimal(minor);
    let mut t = tables::new(&["rule 规则", "product 产品", "why 原因", "amount 金额"]);
    for step in &quote.steps {
        t.add_row([
            match step.line {
                Some(line) => format!("{}, line {line}", step.file),
                None => step.file.clone(),
            },
            step.product.clone(),
            step.why.clone(),
            money(step.amount_minor),
        ]);
    }
    say!("{t}");
    let named = |what: &str, name: &str| match name {
        "" => String::new(),
        _ => format!("  {what} {name}"),
    };
    say!(
        "{} {}{}{}",
        quote.amount,
        quote.currency,
        named("rider 乘客", &quote.rider),
        named("medium 介质", &quote.media),
    );
    say!(
        "each ride for itself 单独计 {}; concessions and transfers took off 节省 {}; {} prices compared",
        money(quote.separate_minor),
        money(quote.saved_minor),
        quote.compared,
    );
    for note in &quote.notes {
        say!("note: {note}");
    }
}

/// Most rows that are shown as a table for people.
const MOST_SHOWN: usize = 1_000;
/// Rows written at once.
const CHUNK: usize = 1_000;

fn table(path: &Path, as_csv: bool, as_json: bool) -> Done {
    let feed = open(path)?;
    let mut rows = feed.table().peekable();
    if as_csv {
        let mut first = true;
        while rows.peek().is_some() || first {
            let mut writer = csv::WriterBuilder::new()
                .has_headers(false)
                .from_writer(Vec::new());
            if first {
                writer
                    .write_record(HEADER)
                    .map_err(Stop::because("writing CSV"))?;
                first = false;
            }
            for row in rows.by_ref().take(CHUNK) {
                writer
                    .serialize(row)
                    .map_err(Stop::because("writing CSV"))?;
            }
            let bytes = writer.into_inner().map_err(Stop::because("writing CSV"))?;
            write(format_args!("{}", String::from_utf8_lossy(&bytes)));
        }
        return Ok(());
    }
    if as_json {
        let mut lead = "[";
        while rows.peek().is_some() {
            let mut text = String::new();
            for row in rows.by_ref().take(CHUNK) {
                let row = serde_json::to_string(&row).map_err(Stop::because("writing JSON"))?;
                text.push_str(lead);
                text.push_str("\n  ");
                text.push_str(&row);
                lead = ",";
            }
            write(format_args!("{text}"));
        }
        say!("{}", if lead == "[" { "[]" } else { "\n]" });
        return Ok(());
    }
    let mut t = tables::new(&[
        "from 起",
        "to 止",
        "rider 乘客",
        "medium 介质",
        "product 产品",
        "amount 金额",
    ]);
    for row in rows.by_ref().take(MOST_SHOWN) {
        let TableRow {
            amount_minor,
            currency,
            ..
        } = row;
        t.add_row([
            row.from_stop_id,
            row.to_stop_id,
            row.rider,
            row.media,
            &*row.product,
            &format!("{} {currency}", currency.decimal(amount_minor)),
        ]);
    }
    say!("{t}");
    let left = rows.count();
    if left > 0 {
        say!("{left} rows more: use --csv or --json for all");
    }
    Ok(())
}

const HEADER: [&str; 7] = [
    "from_stop_id",
    "to_stop_id",
    "rider",
    "media",
    "product",
    "amount_minor",
    "currency",
];
