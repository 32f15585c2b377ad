//! The words of a script: bytes, variables, keys, functions, length brackets.

use card_spec::keys::KeyType;

/// A piece of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Item {
    /// `80 5C`, `"text"`, `00*48`.
    Bytes(Vec<u8>),
    /// `{name}` or `{name[from..to]}`.
    Variable {
        name: String,
        part: Option<(usize, usize)>,
    },
    /// `DPK:01`: that key of the sample card, 16 bytes.
    Key(KeyType, u8),
    /// `name(a, b)`.
    Call { name: String, arguments: Vec<Items> },
    /// `[ .. ]`: the number of bytes inside, then they.
    Counted(Items),
}

pub(super) type Items = Vec<Item>;

/// One line's characters, read from the left.
pub(super) struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    pub(super) fn new(text: &'a str) -> Self {
        let mut this = Self { rest: text };
        this.skip();
        this
    }

    fn skip(&mut self) {
        self.rest = self.rest.trim_start();
    }

    /// What is left.
    pub(super) const fn text(&self) -> &'a str {
        self.rest
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn eat(&mut self, c: char) -> bool {
        match self.rest.strip_prefix(c) {
            Some(rest) => {
                self.rest = rest;
                true
            }
            None => false,
        }
    }

    /// Characters up to the next that does not belong to words.
    pub(super) fn word(&mut self, more: &str) -> &'a str {
        let end = self
            .rest
            .find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || more.contains(c)))
            .unwrap_or(self.rest.len());
        let (word, rest) = self.rest.split_at(end);
        self.rest = rest;
        word
    }

    fn until(&mut self, close: char) -> Result<&'a str, String> {
        let (inside, rest) = self
            .rest
            .split_once(close)
            .ok_or_else(|| format!("`{close}` is missing"))?;
        self.rest = rest;
        Ok(inside)
    }

    /// The rest of the line as one value.
    pub(super) fn value(&mut self) -> Result<Items, String> {
        let items = self.items(&[])?;
        match self.is_empty() {
            true => Ok(items),
            false => Err(format!("not understood: `{}`", self.rest)),
        }
    }

    /// Items up to one of these characters, which stays.
    pub(super) fn items(&mut self, stops: &[char]) -> Result<Items, String> {
        let mut items = Items::new();
        loop {
            self.skip();
            if self.is_empty() || self.rest.starts_with(stops) {
                return Ok(items);
            }
            items.push(self.item()?);
        }
    }

    pub(super) fn item(&mut self) -> Result<Item, String> {
        let item = self.bare_item();
        self.skip();
        item
    }

    fn bare_item(&mut self) -> Result<Item, String> {
        if self.eat('"') {
            return Ok(Item::Bytes(self.until('"')?.as_bytes().to_vec()));
        }
        if self.eat('{') {
            return variable(self.until('}')?);
        }
        if self.eat('[') {
            let inside = self.items(&[']'])?;
            return match self.eat(']') {
                true => Ok(Item::Counted(inside)),
                false => Err("`]` is missing".to_owned()),
            };
        }
        let word = self.word("");
        if word.is_empty() {
            return Err(format!("not understood: `{}`", self.rest));
        }
        if self.eat('(') {
            return self.call(word);
        }
        if self.eat(':') {
            return key(word, self.word(""));
        }
        let bytes = hex(word)?;
        if !self.eat('*') {
            return Ok(Item::Bytes(bytes));
        }
        match self.word("").parse() {
            Ok(times @ 1..=512) => Ok(Item::Bytes(bytes.repeat(times))),
            _ => Err("a decimal number from 1 to 512 belongs behind `*`".to_owned()),
        }
    }

    fn call(&mut self, name: &str) -> Result<Item, String> {
        let mut arguments = Vec::new();
        loop {
            arguments.push(self.items(&[',', ')'])?);
            if self.eat(')') {
                let name = name.to_owned();
                return Ok(Item::Call { name, arguments });
            }
            if !self.eat(',') {
                return Err(format!("`)` is missing behind `{name}(`"));
            }
        }
    }
}

fn variable(inside: &str) -> Result<Item, String> {
    let (name, part) = match inside.split_once('[') {
        None => (inside, None),
        Some((name, range)) => {
            let range = range.strip_suffix(']').and_then(|r| r.split_once(".."));
            let bounds = range.and_then(|(from, to)| Some((from.parse().ok()?, to.parse().ok()?)));
            let bounds = bounds.filter(|(from, to)| from < to);
            (
                name,
                Some(bounds.ok_or("a part is written `{name[from..to]}`, counted from 0")?),
            )
        }
    };
    if !is_name(name) {
        return Err(format!("`{name}` is not a name: small letters, digits, -"));
    }
    let name = name.to_owned();
    Ok(Item::Variable { name, part })
}

pub(super) fn is_name(text: &str) -> bool {
    text.starts_with(|c: char| c.is_ascii_lowercase())
        && text
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
}

fn key(name: &str, index: &str) -> Result<Item, String> {
    let key_type = KeyType::ALL.into_iter().find(|t| t.name() == name);
    let key_type = key_type.ok_or_else(|| format!("no key type is called `{name}`"))?;
    match hex(index)?.as_slice() {
        [index] => Ok(Item::Key(key_type, *index)),
        _ => Err("a key index is one byte".to_owned()),
    }
}

pub(super) fn hex(word: &str) -> Result<Vec<u8>, String> {
    let wrong = || format!("`{word}` is not whole bytes in hex");
    if !word.len().is_multiple_of(2) {
        return Err(wrong());
    }
    (0..word.len())
        .step_by(2)
        .map(|i| {
            let byte = word
                .get(i..i + 2)
                .filter(|b| b.chars().all(|c| c.is_ascii_hexdigit()));
            byte.and_then(|byte| u8::from_str_radix(byte, 16).ok())
                .ok_or_else(wrong)
        })
        .collect()
}
