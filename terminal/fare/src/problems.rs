//! What is wrong with one file: all of it, each with its line.

use std::borrow::Cow;

use serde::de::DeserializeOwned;
use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use crate::FareError;

/// Most errors of form that are reported for one file.
const MOST_OF_FORM: usize = 50;

/// Collects what is wrong with a file.
pub(crate) struct Problems<'a> {
    pub(crate) file: &'a str,
    text: &'a str,
    errors: &'a mut Vec<FareError>,
}

impl<'a> Problems<'a> {
    pub(crate) const fn new(file: &'a str, text: &'a str, errors: &'a mut Vec<FareError>) -> Self {
        Self { file, text, errors }
    }

    /// A field is a path of keys, numbers and names in backquotes: ``route `FZB17`, code``.
    pub(crate) fn add(&mut self, field: impl Into<String>, problem: impl Into<String>) {
        let field = field.into();
        self.errors.push(FareError::Wrong {
            file: self.file.to_owned(),
            line: locate(self.text, &field),
            field,
            problem: problem.into(),
        });
    }

    /// Parses TOML. After an error the record (`[[route]]`) or value that has it is left out, so
    /// that the others are found too.
    pub(crate) fn parse<T: DeserializeOwned>(&mut self) -> Option<T> {
        let mut text = Cow::Borrowed(self.text);
        for round in 0..MOST_OF_FORM {
            let error = match toml::from_str(&text) {
                Ok(value) => return (round == 0).then_some(value),
                Err(error) => error,
            };
            let at = error.span().map_or(0, |span| span.start);
            let line = line_of(&text, at);
            let rest = without(&text, line);
            // What was left out is not missing.
            let missing = error.message().starts_with("missing field");
            let in_record = rest.as_ref().is_some_and(|(in_record, _)| *in_record);
            if round == 0 || in_record || !missing {
                self.errors.push(FareError::Wrong {
                    file: self.file.to_owned(),
                    line: Some(line),
                    field: key_at(&text, at).to_owned(),
                    problem: error.message().to_owned(),
                });
            }
            let (_, rest) = rest.filter(|_| in_record || !missing)?;
            text = rest.into();
        }
        None
    }
}

fn line_of(text: &str, at: usize) -> usize {
    let before = text.as_bytes().get(..at).unwrap_or_default();
    1 + before.iter().filter(|byte| **byte == b'\n').count()
}

/// The key of the value, or the key itself, at a position.
fn key_at(text: &str, at: usize) -> &str {
    let (before, after) = text.split_at_checked(at).unwrap_or_default();
    let before = before.rsplit('\n').next().unwrap_or_default();
    let key = match before.rsplit_once('=') {
        Some((key, _)) => key.trim_end(),
        None => match after.split('\n').next().and_then(|l| l.split_once('=')) {
            Some((key, _)) => key.trim_end(),
            None => return "",
        },
    };
    key.rsplit([' ', '{', ',']).next().unwrap_or_default()
}

/// The text with the lines of the record (true) or value that has a line (from 1) emptied.
fn without(text: &str, line: usize) -> Option<(bool, String)> {
    let mut lines: Vec<&str> = text.lines().collect();
    let last = |begins: fn(&str) -> bool| lines.iter().take(line).rposition(|l| begins(l));
    let header = last(|l| l.starts_with('['));
    let record = header.and_then(|i| lines.get(i)?.strip_prefix("[["));
    let (begins, below) = match record {
        Some(name) => (header?, format!("[[{}.", name.split(']').next()?.trim())),
        None => (last(is_key)?, String::new()),
    };
    let ends = |l: &&str| match record {
        Some(_) => l.starts_with('[') && !l.starts_with(&below),
        None => l.starts_with('[') || is_key(l),
    };
    let length = 1 + lines
        .iter()
        .skip(begins + 1)
        .take_while(|l| !ends(l))
        .count();
    let in_record = record.is_some();
    lines.get_mut(begins..begins + length)?.fill("");
    Some((in_record, lines.join("\n")))
}

fn is_key(line: &str) -> bool {
    line.starts_with(|c: char| c.is_ascii_alphabetic())
}

/// The line that a path of [`Problems::add`] leads to, as far as it leads.
fn locate(text: &str, field: &str) -> Option<usize> {
    let (root, _) = DeTable::parse_recoverable(text);
    let (mut table, mut list): (Option<&DeTable<'_>>, &[Spanned<DeValue<'_>>]) =
        (Some(root.get_ref()), &[]);
    let mut found = None;
    for word in field
        .split([' ', ',', '.', '[', ']'])
        .filter(|w| !w.is_empty())
    {
        let name = word.strip_prefix('`').and_then(|w| w.strip_suffix('`'));
        let next = match (name, word.parse::<usize>()) {
            (Some(name), _) => list.iter().rev().find_map(|record| {
                let mut values = record.get_ref().as_table()?.values();
                let named = values.find(|value| value.get_ref().as_str() == Some(name))?;
                Some((record, named))
            }),
            (None, Ok(index)) => list.get(index).map(|next| (next, next)),
            (None, Err(_)) => table.and_then(|t| t.get(word)).map(|next| (next, next)),
        };
        let Some((next, shown)) = next else { break };
        found = Some(line_of(text, shown.span().start));
        table = next.get_ref().as_table();
        list = next.get_ref().as_array().map_or(&[], |array| array);
    }
    found
}
