//! A guided procedure in a terminal: one step a screen, two languages, hidden input. People read
//! standard error; with `--json`, every event is a line on standard output.

use crate::{
    cli::secret,
    exit::{Code, Done, Stop},
    out::say,
};
use std::io::{BufRead as _, IsTerminal as _, Write as _};
use zeroize::Zeroizing;

/// What everybody may type instead of an answer.
const ABORT: [&str; 2] = ["abort", "中止"];

/// The terminal of a procedure.
pub struct Console {
    dry_run: bool,
    json: bool,
    step: u32,
}

/// An answer, or the wish to end everything.
pub enum Answer<T> {
    /// The answer.
    Given(T),
    /// `abort` was typed, or the terminal was closed.
    Abort,
}

impl Console {
    /// Needs a terminal: secrets are not read from pipes. Protects the process's memory.
    pub fn new(dry_run: bool, json: bool) -> Done<Self> {
        if !std::io::stdin().is_terminal() || !std::io::stderr().is_terminal() {
            return Err(Stop::new(
                Code::Usage,
                "people take part in this: run it in a terminal, not in a pipe",
            ));
        }
        let console = Self {
            dry_run,
            json,
            step: 0,
        };
        if let Some(advice) = hsm::memory::protect().advice() {
            console.line(&format!("内存保护 · memory protection: {advice}"));
        }
        Ok(console)
    }

    /// One line.
    pub fn line(&self, text: &str) {
        eprintln!("{}{text}", self.mark());
    }

    const fn mark(&self) -> &'static str {
        if self.dry_run {
            "DRY RUN 演练 | "
        } else {
            ""
        }
    }

    /// Both languages, one line each.
    pub fn both(&self, chinese: &str, english: &str) {
        self.line(chinese);
        self.line(english);
    }

    /// A new screen: what was on the last one goes, for it may have been somebody's secret.
    pub fn screen(&mut self, chinese: &str, english: &str) {
        self.step += 1;
        // Clear the screen and what scrolled away.
        eprint!("\x1b[3J\x1b[2J\x1b[H");
        let _ = std::io::stderr().flush();
        self.line(&format!("── {} ─ {chinese} · {english}", self.step));
        self.line("");
    }

    /// A visible answer.
    pub fn ask(&self, chinese: &str, english: &str) -> Done<Answer<String>> {
        eprint!("{}{chinese} · {english}: ", self.mark());
        let _ = std::io::stderr().flush();
        let mut text = String::new();
        let read = std::io::stdin().lock().read_line(&mut text);
        let length = read.map_err(Stop::because("reading the answer"))?;
        let text = text.trim();
        if length == 0 || ABORT.contains(&text) {
            return Ok(Answer::Abort);
        }
        Ok(Answer::Given(text.to_owned()))
    }

    /// An answer that the screen does not show.
    pub fn secret(&self, chinese: &str, english: &str) -> Done<Answer<Zeroizing<String>>> {
        let prompt = format!("{}{chinese} · {english}: ", self.mark());
        let text = secret::hidden(&prompt)?;
        if ABORT.contains(&text.trim()) {
            return Ok(Answer::Abort);
        }
        Ok(Answer::Given(text))
    }

    /// A refusal: what is wrong; the step is asked again.
    pub fn refused(&self, why: &dyn std::fmt::Display) {
        self.line(&format!("✗ 未接受 · not accepted: {why}"));
        self.event(&serde_json::json!({ "event": "refused", "why": why.to_string() }));
    }

    /// A line of JSON on standard output.
    pub fn event(&self, event: &serde_json::Value) {
        if self.json {
            let mut event = event.clone();
            if let (true, Some(object)) = (self.dry_run, event.as_object_mut()) {
                object.insert("dry_run".to_owned(), true.into());
            }
            say!("{event}");
        }
    }
}
