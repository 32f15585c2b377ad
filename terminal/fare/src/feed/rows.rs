//! Rows of one file, each held to [`super::schema`]. Every field is looked at, so that a row with
//! two mistakes gives two findings; serde's row types (those of `gtfs-structures` too) stop at the
//! first.

use csv::StringRecord;

use super::{
    findings::{Findings, Place},
    lines::{Lines, MAX_LINE_BYTES, line_at, too_long},
    money::{self, Currency},
    schema::{Column, FileSpec, Kind, Need},
    source::Files,
    values::{date, misfit, time},
};

/// The header of a file: where each column stands.
struct Header {
    spec: &'static FileSpec,
    names: Vec<String>,
    /// Positions of the specification's columns.
    known: Vec<(&'static Column, usize)>,
}

/// One row.
pub(super) struct Row<'a> {
    header: &'a Header,
    record: &'a StringRecord,
    pub(super) line: u64,
}

impl<'a> Row<'a> {
    /// A field's text, trimmed; empty where the column is missing.
    pub(super) fn text(&self, column: &str) -> &'a str {
        self.header
            .known
            .iter()
            .find(|(known, _)| known.name == column)
            .and_then(|(_, index)| self.record.get(*index))
            .map_or("", str::trim)
    }

    /// A field's text, `None` where it is empty.
    pub(super) fn some(&self, column: &str) -> Option<Box<str>> {
        Some(self.text(column))
            .filter(|text| !text.is_empty())
            .map(Into::into)
    }

    /// Whether the file has the column at all.
    pub(super) fn has(&self, column: &str) -> bool {
        self.header.known.iter().any(|(c, _)| c.name == column)
    }

    /// A number; `None` where it is empty.
    pub(super) fn number(&self, column: &str) -> Option<u32> {
        self.text(column).parse().ok()
    }

    /// A time of day or of a service day in seconds.
    pub(super) fn time(&self, column: &str) -> Option<u32> {
        time(self.text(column))
    }

    /// A date in days since 1970-01-01.
    pub(super) fn day(&self, column: &str) -> Option<i64> {
        date(self.text(column))
    }

    /// The place of a field, for a finding.
    pub(super) fn at<'b>(&'b self, field: &'b str) -> Place<'b> {
        Place {
            file: self.header.spec.name,
            line: Some(self.line),
            field,
            value: self.text(field),
        }
    }
}

/// Checks the form of every field and hands every row to `each`; the caller uses nothing of a feed
/// with errors. Whether the file is there is answered.
pub(super) fn read(
    files: &Files,
    spec: &'static FileSpec,
    findings: &mut Findings,
    mut each: impl FnMut(&Row<'_>, &mut Findings),
) -> bool {
    let Some(bytes) = files.texts.get(spec.name) else {
        if spec.required {
            findings.error(
                Place::file(spec.name),
                "is missing",
                "add it: the reference requires it in every feed",
            );
        }
        return false;
    };
    let Some(text) = utf8(spec, bytes, findings) else {
        return true;
    };
    if let Some(begins) = too_long(text) {
        let at = Place {
            line: Some(line_at(text.as_bytes(), begins)),
            ..Place::file(spec.name)
        };
        let problem = format!("the line is longer than {MAX_LINE_BYTES} bytes");
        findings.error(at, problem, "write each row in a line of its own");
        return true;
    }
    let mut reader = csv::ReaderBuilder::new()
        .flexible(true)
        .has_headers(false)
        .from_reader(text.as_bytes());
    let mut record = StringRecord::new();
    let mut lines = Lines::new(text);
    let mut header: Option<Header> = None;
    loop {
        match reader.read_record(&mut record) {
            Ok(true) => {}
            Ok(false) => break,
            Err(error) => {
                let line = error.position().map(csv::Position::line);
                let at = Place {
                    line,
                    ..Place::file(spec.name)
                };
                findings.error(at, error.to_string(), "write the file as CSV, RFC 4180");
                break;
            }
        }
        let line = lines.of(&record);
        let Some(header) = &header else {
            header = Some(open(spec, &record, findings));
            continue;
        };
        if record.iter().all(|field| field.trim().is_empty()) {
            continue;
        }
        let row = Row {
            header,
            record: &record,
            line,
        };
        // A row with a mistake still names what others refer to: without it, one mistake would
        // be followed by a finding for every row that does.
        check(&row, findings);
        each(&row, findings);
    }
    if header.is_none() {
        let remedy = "write the names of the columns in its first line";
        findings.error(Place::file(spec.name), "is empty", remedy);
    }
    true
}

fn utf8<'a>(spec: &FileSpec, bytes: &'a [u8], findings: &mut Findings) -> Option<&'a str> {
    match core::str::from_utf8(bytes) {
        // File Requirements: a byte-order mark is acceptable.
        Ok(text) => Some(text.strip_prefix('\u{feff}').unwrap_or(text)),
        Err(error) => {
            let at = Place {
                line: Some(line_at(bytes, error.valid_up_to())),
                ..Place::file(spec.name)
            };
            findings.error(at, "is not UTF-8 here", "save the file as UTF-8");
            None
        }
    }
}

fn open(spec: &'static FileSpec, record: &StringRecord, findings: &mut Findings) -> Header {
    let names: Vec<String> = record.iter().map(|name| name.trim().to_owned()).collect();
    let mut known = Vec::new();
    for (index, name) in names.iter().enumerate() {
        let at = Place {
            file: spec.name,
            line: Some(1),
            field: name,
            value: "",
        };
        match spec.column(name) {
            Some(column) if known.iter().any(|(c, _): &(&Column, _)| c.name == name) => {
                let problem = format!("column {} appears twice", column.name);
                findings.error(at, problem, "remove one of them");
            }
            Some(column) => known.push((column, index)),
            None => findings.warn(at, "is no column of this file", "it is left unread"),
        }
    }
    for column in spec.columns.iter().filter(|c| c.need != Need::Optional) {
        if !known.iter().any(|(c, _)| c.name == column.name) {
            let at = Place {
                file: spec.name,
                line: Some(1),
                field: column.name,
                value: "",
            };
            findings.error(at, "the column is missing", "add it: it is required");
        }
    }
    Header { spec, names, known }
}

/// Whether every field of a row has its form.
fn check(row: &Row<'_>, findings: &mut Findings) {
    length(row, findings);
    if row.record.iter().any(|field| field.contains(['\n', '\r'])) {
        let at = Place {
            field: "",
            value: "",
            ..row.at("")
        };
        let problem = "a value holds a line break: perhaps a quotation mark is not closed";
        findings.error(at, problem, "close it, or write the value in one line");
    }
    for (column, index) in &row.header.known {
        let Some(raw) = row.record.get(*index) else {
            if column.need == Need::Required {
                let remedy = "write it: it is required";
                findings.error(row.at(column.name), "the value is missing", remedy);
            }
            continue;
        };
        let value = raw.trim();
        if raw != value {
            let at = Place {
                field: "",
                value: "",
                ..row.at("")
            };
            let problem = "values have spaces or tabs around them";
            findings.warn(at, problem, "they are taken off; remove them from the file");
        }
        if value.is_empty() {
            if column.need == Need::Required {
                let remedy = "write it: it is required";
                findings.error(row.at(column.name), "the value is missing", remedy);
            }
        } else if let Some(wanted) = misfit(column.kind, value) {
            findings.error(row.at(column.name), "has the wrong form", wanted);
        }
    }
}

/// A row of another length than the header. A short one lacks the last columns, which then are
/// empty. In a long one a comma stands unquoted somewhere and all behind it is out of place: that
/// is harmless only where nothing that is read stands behind the first column for people.
fn length(row: &Row<'_>, findings: &mut Findings) {
    let (has, wanted) = (row.record.len(), row.header.names.len());
    let at = Place {
        field: "",
        value: "",
        ..row.at("")
    };
    if has < wanted {
        let problem = "the row has fewer fields than the header";
        findings.warn(at, problem, "the last ones are taken as empty; write them");
    }
    if has <= wanted || row.record.iter().skip(wanted).all(|f| f.trim().is_empty()) {
        return;
    }
    let loose = |kind| matches!(kind, Kind::Text | Kind::Unread);
    let known = &row.header.known;
    let first_text = known
        .iter()
        .filter(|(c, _)| c.kind == Kind::Text)
        .map(|(_, i)| *i)
        .min();
    let last_read = known
        .iter()
        .filter(|(c, _)| !loose(c.kind))
        .map(|(_, i)| *i)
        .max();
    let problem = format!("the row has {has} fields, the header {wanted}");
    let remedy = "put values with commas in quotation marks";
    match (last_read, first_text) {
        (Some(read), Some(text)) if read < text => {
            findings.warn(at, "the row has more fields than the header", remedy);
        }
        _ => findings.error(at, problem, remedy),
    }
}

/// An amount in minor units beside its currency; `exact` asks for the decimals of ISO 4217
/// (fare_products.txt; `fare_attributes.price` is a plain number).
pub(super) fn amount(
    row: &Row<'_>,
    (column, currency_column): (&str, &str),
    exact: bool,
    findings: &mut Findings,
) -> Option<(i64, Currency)> {
    let currency = Currency::new(row.text(currency_column))?;
    let places = currency.decimals();
    let remedy = format!("{currency} has {places} decimals; write the amount with them");
    match money::parse(row.text(column), currency) {
        Ok(written) => {
            if exact && written.decimals != places {
                let problem = "has not the decimals of its currency";
                if written.minor != 0 {
                    findings.error(row.at(column), problem, remedy);
                    return None;
                }
                // Nought is nought in every currency.
                findings.warn(row.at(column), problem, remedy);
            }
            Some((written.minor, currency))
        }
        Err(money::NoAmount::TooFine) => {
            findings.error(row.at(column), "is finer than anyone can pay", remedy);
            None
        }
        Err(money::NoAmount::TooLarge) => {
            findings.error(row.at(column), "is beyond any fare", "check it");
            None
        }
        // Its form is checked with every field's.
        Err(money::NoAmount::Malformed) => None,
    }
}
