//! The settlement day 清算日: closed once, reproducibly; ingest never waits for it.

mod report;
mod statement;

pub use report::report;
pub use statement::statement;

use crate::error::{ClearingError, Refusal, Result};
use crate::house::House;
use crate::store::Store;
use card_spec::time::CardDate;
use clearing_api::day::DayReport;

fn parse(json: &str) -> Result<DayReport> {
    serde_json::from_str(json).map_err(|why| ClearingError::Damaged {
        what: "day report",
        why: why.to_string(),
    })
}

impl<S: Store> House<S> {
    /// The day as it stands, or its final report.
    pub async fn day(&self, day: CardDate) -> Result<DayReport> {
        let data = self.store.day(day).await?;
        match &data.report {
            Some(json) => parse(json),
            None => Ok(report(day, false, &data)),
        }
    }

    /// Closes a day: cut-off first (later records go to a later day), then everything admitted before
    /// it is applied, then the report is kept. Each step can be repeated after a failure.
    pub async fn close_day(&self, day: CardDate) -> Result<DayReport> {
        if day > self.today() {
            return Err(Refusal::conflict(format!(
                "{day} has not begun: today is {}",
                self.today()
            ))
            .into());
        }
        self.store.cut_off(day).await?;
        self.sweep().await?;
        let data = self.store.day(day).await?;
        if let Some(json) = &data.report {
            return parse(json);
        }
        let json = serde_json::to_string(&report(day, true, &data)).map_err(|why| {
            ClearingError::Damaged {
                what: "day report",
                why: why.to_string(),
            }
        })?;
        parse(&self.store.close(day, &json).await?)
    }

    /// The statement of one party for a closed day, CSV.
    pub async fn statement(&self, day: CardDate, party: &str) -> Result<String> {
        let data = self.store.day(day).await?;
        let Some(json) = &data.report else {
            return Err(
                Refusal::conflict(format!("{day} is not closed yet: close it first")).into(),
            );
        };
        let report = parse(json)?;
        let Some(position) = report.positions.iter().find(|p| p.party == party) else {
            return Err(Refusal::not_found(format!(
                "{party} has no position on {day}; the day's report lists the parties"
            ))
            .into());
        };
        Ok(statement(day, position, &data))
    }
}
