//! Text to statements.

use super::{
    ParseError, Script, Start,
    error::Side,
    item::{Items, Reader, hex, is_name},
    pattern::Pattern,
    sam_kind,
};
use card_spec::{SuiteId, ssse::Profile};

/// One statement and where it stands.
#[derive(Debug)]
pub(super) struct Line {
    pub(super) number: usize,
    pub(super) text: String,
    pub(super) suites: Vec<SuiteId>,
    pub(super) statement: Statement,
}

#[derive(Debug, PartialEq, Eq)]
pub(super) enum Statement {
    /// `> ..`, or `>> ..` inside the secure channel.
    Send { command: Items, wrapped: bool },
    /// `< ..`
    Expect(Pattern),
    /// `let name = ..`
    Let(String, Items),
    /// `check .. = ..`
    Check(Items, Items),
    /// `card`, `sam`
    Ask(Side),
    /// `reset`
    Reset,
    /// `contactless`, `contacts`
    Contactless(bool),
    /// `scp03 33 30`: security level and key version number.
    OpenChannel { level: u8, kvn: u8 },
}

impl Script {
    /// Reads a script.
    pub fn parse(file: &str, text: &str) -> Result<Self, ParseError> {
        let mut script = Self {
            file: file.to_owned(),
            title: String::new(),
            suites: SuiteId::ALL.to_vec(),
            start: Start::Sample,
            profile: Profile::V2,
            sam: None,
            pki: false,
            lines: Vec::new(),
        };
        let error = |line, message| ParseError {
            file: file.to_owned(),
            line,
            message,
        };
        if let Some(first) = text.lines().next() {
            let title = first.strip_prefix('#').map(str::trim).unwrap_or_default();
            script.title = title.to_owned();
        }
        if script.title.is_empty() {
            let message = "the first line is a comment: `# what this script shows`".to_owned();
            return Err(error(1, message));
        }
        for (number, line) in joined(text) {
            script
                .line(number, &line)
                .map_err(|message| error(number, message))?;
        }
        script
            .every_answer_is_expected()
            .map_err(|(line, message)| error(line, message))?;
        Ok(script)
    }

    fn line(&mut self, number: usize, text: &str) -> Result<(), String> {
        if let Some(rest) = text.strip_prefix("with ") {
            return match self.lines.is_empty() {
                true => self.with(rest),
                false => Err("`with` lines stand before all others".to_owned()),
            };
        }
        let (suites, text) = condition(text, &self.suites);
        let statement = statement(text)?;
        if statement == Statement::Ask(Side::Sam) && self.sam.is_none() {
            return Err("say which SAM first: `with sam transit`".to_owned());
        }
        self.lines.push(Line {
            number,
            text: text.to_owned(),
            suites,
            statement,
        });
        Ok(())
    }

    fn with(&mut self, text: &str) -> Result<(), String> {
        let (what, value) = text.split_once(' ').unwrap_or((text, ""));
        let value = value.trim();
        match what {
            "suites" => {
                let suites: Result<Vec<_>, _> = value.split_whitespace().map(str::parse).collect();
                self.suites = suites
                    .ok()
                    .filter(|suites| !suites.is_empty())
                    .ok_or("the suites are aes, sm4 and tdes")?;
            }
            "profile" => self.profile = value.parse().map_err(|_| "a profile is v1, v2 or v3")?,
            "sam" => {
                let kind = sam_kind(value);
                self.sam = Some(kind.ok_or("a SAM is transit, parking, retail or social")?);
            }
            "card" => {
                self.start = match value {
                    "sample" => Start::Sample,
                    "full" => Start::Full,
                    "blank" => Start::Blank,
                    _ => return Err("a card is sample, full or blank".to_owned()),
                }
            }
            "pki" => self.pki = true,
            _ => return Err("`with` names suites, profile, sam, card or pki".to_owned()),
        }
        Ok(())
    }

    /// A command whose answer nobody looks at tests nothing.
    fn every_answer_is_expected(&self) -> Result<(), (usize, String)> {
        for suite in &self.suites {
            let mut open = None;
            for line in self.lines.iter().filter(|line| line.suites.contains(suite)) {
                match (&line.statement, open) {
                    (Statement::Send { .. }, None) => open = Some(line.number),
                    (Statement::Expect(_), Some(_)) => open = None,
                    (Statement::Expect(_), None) => {
                        return Err((line.number, "no command stands before it".to_owned()));
                    }
                    (_, Some(number)) => return Err((number, unanswered(*suite))),
                    (_, None) => {}
                }
            }
            if let Some(number) = open {
                return Err((number, unanswered(*suite)));
            }
        }
        Ok(())
    }
}

fn unanswered(suite: SuiteId) -> String {
    format!(
        "no expected answer follows (`< ..`) in suite {}",
        suite.name()
    )
}

/// Lines without comments; a line that begins with a blank continues the one before it.
fn joined(text: &str) -> Vec<(usize, String)> {
    let mut out: Vec<(usize, String)> = Vec::new();
    for (number, line) in (1..).zip(text.lines()) {
        let code = without_comment(line).trim_end();
        if code.trim().is_empty() {
            continue;
        }
        match out.last_mut() {
            Some((_, before)) if code.starts_with(char::is_whitespace) => {
                before.push(' ');
                before.push_str(code.trim());
            }
            _ => out.push((number, code.to_owned())),
        }
    }
    out
}

fn without_comment(line: &str) -> &str {
    let mut quoted = false;
    for (at, c) in line.char_indices() {
        match c {
            '"' => quoted = !quoted,
            '#' if !quoted => return line.get(..at).unwrap_or(line),
            _ => {}
        }
    }
    line
}

/// `aes sm4: ..`: only in these suites.
fn condition<'a>(text: &'a str, all: &[SuiteId]) -> (Vec<SuiteId>, &'a str) {
    if let Some((before, after)) = text.split_once(':') {
        let suites: Result<Vec<SuiteId>, _> = before.split_whitespace().map(str::parse).collect();
        if let Ok(suites) = suites {
            return (suites, after.trim());
        }
    }
    (all.to_vec(), text)
}

fn statement(text: &str) -> Result<Statement, String> {
    let send = |rest: &str, wrapped| {
        let command = Reader::new(rest).value()?;
        Ok(Statement::Send { command, wrapped })
    };
    if let Some(rest) = text.strip_prefix(">>") {
        return send(rest, true);
    }
    if let Some(rest) = text.strip_prefix('>') {
        return send(rest, false);
    }
    if let Some(rest) = text.strip_prefix('<') {
        return Pattern::parse(rest.trim()).map(Statement::Expect);
    }
    if let Some(rest) = text.strip_prefix("let ") {
        let (name, value) = rest.split_once('=').ok_or("write `let name = value`")?;
        let name = name.trim();
        if !is_name(name) {
            return Err(format!("`{name}` is not a name: small letters, digits, -"));
        }
        return Ok(Statement::Let(name.to_owned(), Reader::new(value).value()?));
    }
    if let Some(rest) = text.strip_prefix("check ") {
        let (left, right) = rest.split_once('=').ok_or("write `check value = value`")?;
        let (left, right) = (Reader::new(left).value()?, Reader::new(right).value()?);
        return Ok(Statement::Check(left, right));
    }
    if let Some(rest) = text.strip_prefix("scp03 ") {
        let bytes = hex(&rest.replace(' ', ""))?;
        return match bytes.as_slice() {
            [level, kvn] => Ok(Statement::OpenChannel {
                level: *level,
                kvn: *kvn,
            }),
            _ => Err("write security level and key version: `scp03 33 30`".to_owned()),
        };
    }
    match text {
        "card" => Ok(Statement::Ask(Side::Card)),
        "sam" => Ok(Statement::Ask(Side::Sam)),
        "reset" => Ok(Statement::Reset),
        "contactless" => Ok(Statement::Contactless(true)),
        "contacts" => Ok(Statement::Contactless(false)),
        _ => Err(format!("not understood: `{text}`")),
    }
}
