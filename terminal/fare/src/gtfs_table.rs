//! The files of a city's feed, row by row, so that an error names its line.

use serde::de::DeserializeOwned;

use crate::{FareError, load::Texts};

/// A row and its line.
pub(crate) struct Row<T> {
    pub(crate) line: u64,
    pub(crate) value: T,
}

/// The rows of a file that have their form.
pub(crate) struct Table<T> {
    file: String,
    pub(crate) rows: Vec<Row<T>>,
}

impl<T> Table<T> {
    pub(crate) fn error(&self, row: &Row<T>, field: &str, problem: impl Into<String>) -> FareError {
        wrong(&self.file, row.line, field, problem)
    }
}

fn wrong(file: &str, line: u64, field: &str, problem: impl Into<String>) -> FareError {
    FareError::Wrong {
        file: file.to_owned(),
        line: usize::try_from(line).ok(),
        field: field.to_owned(),
        problem: problem.into(),
    }
}

pub(crate) type Errors = Vec<FareError>;

pub(crate) fn optional<T: DeserializeOwned>(
    texts: &Texts,
    dir: &str,
    name: &str,
    errors: &mut Errors,
) -> Table<T> {
    let file = format!("{dir}{name}");
    let text = texts.get(&file).map_or("", String::as_str);
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut reader = csv::ReaderBuilder::new()
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes());
    let headers = reader.headers().cloned().unwrap_or_default();
    let mut rows = Vec::new();
    for record in reader.records() {
        let row = record.and_then(|record| {
            let line = record.position().map_or(0, csv::Position::line);
            let value = record.deserialize(Some(&headers))?;
            Ok(Row { line, value })
        });
        match row {
            Ok(row) => rows.push(row),
            Err(error) => errors.push(syntax(&file, &headers, &error)),
        }
    }
    Table { file, rows }
}

/// The complaint of the csv crate, with the column's name in place of its number.
fn syntax(file: &str, headers: &csv::StringRecord, error: &csv::Error) -> FareError {
    let line = error.position().map_or(1, csv::Position::line);
    let (field, problem) = match error.kind() {
        csv::ErrorKind::Deserialize { err, .. } => {
            let index = err.field().and_then(|i| usize::try_from(i).ok());
            let column = index.and_then(|i| headers.get(i)).unwrap_or_default();
            (column, err.kind().to_string())
        }
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => {
            let problem = format!("has {len} fields where the header has {expected_len}");
            ("", problem)
        }
        _ => ("", error.to_string()),
    };
    wrong(file, line, field, problem)
}

pub(crate) fn required<T: DeserializeOwned>(
    texts: &Texts,
    dir: &str,
    name: &str,
    errors: &mut Errors,
) -> Table<T> {
    let file = format!("{dir}{name}");
    if !texts.contains_key(&file) {
        errors.push(FareError::Missing { file });
    }
    optional(texts, dir, name, errors)
}
