//! Expected answers: bytes, wildcards, captures, and the status word.

use super::{
    error::hex,
    item::{Item, Reader, is_name},
    value::{ValueError, Values},
};

/// `balance:4 01 ?? * 9000`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Pattern {
    data: Vec<Part>,
    /// One of these, nibble by nibble.
    status: Vec<Mask>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Part {
    Value(Item),
    /// `??`, `6?`.
    Masked(Mask),
    /// `name:4`, `name:*`.
    Capture {
        name: String,
        length: Option<usize>,
    },
    /// `*`.
    Rest,
}

/// Characters of hex digits and `?`.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Mask(String);

impl Mask {
    fn new(word: &str) -> Option<Self> {
        let fits = !word.is_empty()
            && word.len().is_multiple_of(2)
            && word.chars().all(|c| c.is_ascii_hexdigit() || c == '?');
        fits.then(|| Self(word.to_ascii_uppercase()))
    }

    const fn bytes(&self) -> usize {
        self.0.len() / 2
    }

    fn matches(&self, bytes: &[u8]) -> bool {
        let given: String = bytes.iter().map(|b| format!("{b:02X}")).collect();
        given.len() == self.0.len()
            && self
                .0
                .chars()
                .zip(given.chars())
                .all(|(m, c)| m == '?' || m == c)
    }
}

impl Pattern {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        const STATUS: &str = "an expected answer ends with a status word, four digits such as 9000";
        let text = text.trim_end();
        let (data, status) = text.rsplit_once(char::is_whitespace).unwrap_or(("", text));
        let status: Option<Vec<_>> = status.split('|').map(Mask::new).collect();
        let status = status
            .filter(|all| all.iter().all(|m| m.bytes() == 2))
            .ok_or(STATUS)?;
        let mut reader = Reader::new(data);
        let mut parts = Vec::new();
        while !reader.is_empty() {
            parts.push(part(&mut reader)?);
        }
        let open = parts.iter().position(Part::is_open);
        if open.is_some_and(|at| at + 1 < parts.len()) {
            return Err("`*` takes all the data that is left: nothing can follow".to_owned());
        }
        Ok(Self {
            data: parts,
            status,
        })
    }

    /// Compares an answer and keeps what it captures. The error is the expectation in words.
    pub(super) fn matches(
        &self,
        answer: &[u8],
        values: &mut Values,
    ) -> Result<Result<(), String>, ValueError> {
        let expected = self.expected(values)?;
        let Some((mut data, sw)) = answer.split_last_chunk::<2>() else {
            return Ok(Err(expected));
        };
        if !self.status.iter().any(|mask| mask.matches(sw)) {
            return Ok(Err(expected));
        }
        let mut captured = Vec::new();
        for part in &self.data {
            let wanted = match part {
                Part::Value(item) => values.item(item)?.len(),
                Part::Masked(mask) => mask.bytes(),
                Part::Capture { length, .. } => length.unwrap_or(data.len()),
                Part::Rest => data.len(),
            };
            let Some((these, rest)) = data.split_at_checked(wanted) else {
                return Ok(Err(expected));
            };
            data = rest;
            let right = match part {
                Part::Value(item) => values.item(item)? == these,
                Part::Masked(mask) => mask.matches(these),
                Part::Capture { name, .. } => {
                    captured.push((name, these.to_vec()));
                    true
                }
                Part::Rest => true,
            };
            if !right {
                return Ok(Err(expected));
            }
        }
        if !data.is_empty() {
            return Ok(Err(expected));
        }
        for (name, bytes) in captured {
            values.set(name, bytes);
        }
        Ok(Ok(()))
    }

    /// The pattern with its values filled in.
    fn expected(&self, values: &Values) -> Result<String, ValueError> {
        let mut words = Vec::new();
        for part in &self.data {
            words.push(match part {
                Part::Value(item) => hex(&values.item(item)?),
                Part::Masked(mask) => mask.0.clone(),
                Part::Capture { name, length } => match length {
                    Some(length) => format!("{name}:{length}"),
                    None => format!("{name}:*"),
                },
                Part::Rest => "*".to_owned(),
            });
        }
        let status: Vec<_> = self.status.iter().map(|mask| mask.0.as_str()).collect();
        words.push(status.join("|"));
        Ok(words.join(" "))
    }
}

impl Part {
    const fn is_open(&self) -> bool {
        matches!(self, Self::Rest | Self::Capture { length: None, .. })
    }
}

fn part(reader: &mut Reader<'_>) -> Result<Part, String> {
    if reader.eat('*') {
        *reader = Reader::new(reader.text());
        return Ok(Part::Rest);
    }
    let mut ahead = Reader::new(reader.text());
    let word = ahead.word("?");
    if word.contains('?') {
        let mask = Mask::new(word).ok_or_else(|| format!("`{word}` is not whole bytes"))?;
        *reader = Reader::new(ahead.text());
        return Ok(Part::Masked(mask));
    }
    if is_name(word) && ahead.eat(':') {
        let length = ahead.word("*");
        let length = match length.parse() {
            Ok(length) => Some(length),
            Err(_) if length == "*" => None,
            Err(_) => return Err(format!("`{word}:` wants a number of bytes, or *")),
        };
        let name = word.to_owned();
        *reader = Reader::new(ahead.text());
        return Ok(Part::Capture { name, length });
    }
    reader.item().map(Part::Value)
}
