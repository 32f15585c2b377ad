//! What a feed's check found: all of it, each with its place and what to do.

use serde::Serialize;

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// File inside the feed.
    pub file: String,
    /// Line, from 1; `None` when the file as a whole is meant.
    pub line: Option<u64>,
    /// Column; empty when the row or file as a whole is meant.
    pub field: String,
    /// What stands there.
    pub value: String,
    /// What is wrong.
    pub problem: String,
    /// What to do.
    pub remedy: String,
    /// On how many rows; the place is the first one. Errors are never put together.
    pub times: u64,
}

impl core::fmt::Display for Finding {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.file)?;
        if let Some(line) = self.line {
            write!(f, ", line {line}")?;
        }
        if !self.field.is_empty() {
            write!(f, ", {} `{}`", self.field, self.value)?;
        }
        write!(f, ": {}; {}", self.problem, self.remedy)
    }
}

/// Where something was found.
#[derive(Debug, Clone, Copy)]
pub(super) struct Place<'a> {
    pub(super) file: &'a str,
    pub(super) line: Option<u64>,
    pub(super) field: &'a str,
    pub(super) value: &'a str,
}

impl<'a> Place<'a> {
    pub(super) fn file(file: &'a str) -> Self {
        Self {
            file,
            line: None,
            field: "",
            value: "",
        }
    }
}

/// All findings of a feed.
///
/// An *error* makes a price wrong or unknowable, or breaks what the reference requires of a row
/// that is read; the feed is refused whole. A *warning* is anything else that the reference asks
/// for and no price depends on.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Findings {
    /// Errors, by file and line.
    pub errors: Vec<Finding>,
    /// Warnings, by file and line; those that differ only in their line are one.
    pub warnings: Vec<Finding>,
}

impl Findings {
    /// Whether the feed may be used.
    pub fn is_ok(&self) -> bool {
        self.errors.is_empty()
    }

    pub(super) fn error(
        &mut self,
        at: Place<'_>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        self.errors.push(finding(at, problem, remedy));
    }

    pub(super) fn warn(
        &mut self,
        at: Place<'_>,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) {
        let problem = problem.into();
        let same = self.warnings.iter_mut().find(|known| {
            (&*known.file, &*known.field, &*known.problem) == (at.file, at.field, &*problem)
        });
        match same {
            Some(known) => known.times += 1,
            None => self.warnings.push(finding(at, problem, remedy)),
        }
    }

    pub(super) fn sort(&mut self) {
        let key = |f: &Finding| (f.file.clone(), f.line);
        self.errors.sort_by_cached_key(key);
        self.warnings.sort_by_cached_key(key);
    }
}

fn finding(at: Place<'_>, problem: impl Into<String>, remedy: impl Into<String>) -> Finding {
    // A value may be a whole broken file; its beginning is enough to find it.
    const SHOWN: usize = 60;
    let value = match at.value.char_indices().nth(SHOWN) {
        Some((end, _)) => format!("{}…", &at.value[..end]),
        None => at.value.to_owned(),
    };
    Finding {
        file: at.file.to_owned(),
        line: at.line,
        field: at.field.to_owned(),
        value,
        problem: problem.into(),
        remedy: remedy.into(),
        times: 1,
    }
}
