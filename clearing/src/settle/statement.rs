//! Statements: CSV, the same bytes whenever they are asked for.

use crate::store::{DayData, DaySettlement};
use benefit::FundPayType;
use card_spec::{Fen, time::CardDate};
use clearing_api::day::NetPosition;

/// A field of a CSV line; quoted when it has to be.
fn field(text: &str) -> String {
    if text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

fn line(out: &mut String, fields: &[&str]) {
    let fields: Vec<String> = fields.iter().map(|text| field(text)).collect();
    out.push_str(&fields.join(","));
    out.push_str("\r\n");
}

/// The statement of one party: every event of the day that concerns it, then its net position.
/// Amounts are fen.
pub fn statement(day: CardDate, position: &NetPosition, data: &DayData) -> String {
    let mut out = String::new();
    line(
        &mut out,
        &[
            "day",
            "party",
            "kind",
            "reference",
            "time",
            "mode",
            "outcome",
            "amount_fen",
        ],
    );
    let day = day.to_string();
    let party = position.party.as_str();
    let (kind, id) = party.split_once(':').unwrap_or((party, ""));
    match kind {
        "fund" | "medical" => {
            for settled in &data.settlements {
                if let Some(amount) = part_of(kind, id, settled) {
                    let reference = format!("settlement|{}|{}", settled.id, settled.institution);
                    let amount = (-amount).0.to_string();
                    line(
                        &mut out,
                        &[
                            &day,
                            party,
                            "event",
                            &reference,
                            &settled.at,
                            "medical",
                            "0",
                            &amount,
                        ],
                    );
                }
            }
        }
        _ => {
            let top_ups = kind == "topup";
            for row in data
                .rows
                .iter()
                .filter(|row| row.party == id && (row.mode == "top_up") == top_ups)
            {
                let outcome = row.outcome.number().to_string();
                let amount = row.amount.0.to_string();
                line(
                    &mut out,
                    &[
                        &day, party, "event", &row.key, &row.at, &row.mode, &outcome, &amount,
                    ],
                );
            }
        }
    }
    let net = position.net.0.to_string();
    line(&mut out, &[&day, party, "net", "", "", "", "", &net]);
    out
}

/// What a fund or a city's personal accounts paid in one settlement.
fn part_of(kind: &str, id: &str, settled: &DaySettlement) -> Option<Fen> {
    let city = settled.city.to_string();
    let of = |wanted: FundPayType| {
        settled
            .settlement
            .details
            .iter()
            .filter(|row| row.fund_pay_type == wanted)
            .map(|row| row.fund_payamt)
            .sum::<Fen>()
    };
    let paid = match (kind, id.split_once(':')) {
        ("medical", None) if id == city => of(FundPayType::PersonalAccount),
        ("fund", Some((code, place))) if place == city => of(FundPayType::from_code(code)?),
        _ => return None,
    };
    (paid != Fen::ZERO).then_some(paid)
}
