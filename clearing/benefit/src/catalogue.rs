//! The medical catalogue (医保目录): what a fee line's item is, and how much of it counts.

use std::collections::BTreeMap;
use std::path::Path;

use card_spec::Fen;
use serde::{Deserialize, Serialize};

use crate::code::ChargeClass;
use crate::decimal::Ratio;
use crate::error::DataError;
use crate::line::MAX_AMOUNT;

/// Catalogue code `med_list_codg`, 1 to 50 ASCII letters, digits, `-` or `_`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ListCode(String);

impl ListCode {
    /// The text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for ListCode {
    type Error = String;
    fn try_from(text: String) -> Result<Self, String> {
        let fits = (1..=50).contains(&text.len())
            && text
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if fits {
            Ok(Self(text))
        } else {
            Err(format!(
                "list code `{text}` must be 1 to 50 letters, digits, - or _"
            ))
        }
    }
}

impl From<ListCode> for String {
    fn from(code: ListCode) -> Self {
        code.0
    }
}

impl std::borrow::Borrow<str> for ListCode {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Display for ListCode {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.0)
    }
}

/// One catalogue entry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct CatalogueItem {
    /// `med_list_codg`.
    pub code: ListCode,
    /// Chinese name.
    pub name_zh: String,
    /// English name.
    pub name_en: String,
    /// `chrgitm_lv`.
    pub class: ChargeClass,
    /// `selfpay_prop`: 0 for class A, 1 for class C.
    pub selfpay_prop: Ratio,
    /// `pric_uplmt_amt`, the unit-price limit; `None` where there is none.
    pub price_limit: Option<Fen>,
}

/// A row of the file, before its rules are checked.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Row {
    list_code: String,
    name_zh: String,
    name_en: String,
    class: String,
    selfpay_prop: String,
    price_limit_fen: Option<i64>,
}

/// The catalogue, by code.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Catalogue(BTreeMap<ListCode, CatalogueItem>);

impl Catalogue {
    /// Reads a catalogue CSV: `list_code,name_zh,name_en,class,selfpay_prop,price_limit_fen`;
    /// class `A`, `B` or `C`, an empty limit for none; lines that begin with `#` are comments.
    pub fn load(path: &Path) -> Result<Self, DataError> {
        let file = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|source| DataError::Read {
            file: file.clone(),
            source,
        })?;
        Self::parse(&text, &file)
    }

    /// As [`Catalogue::load`], from text; `file` names it in errors.
    pub fn parse(text: &str, file: &str) -> Result<Self, DataError> {
        let mut reader = csv::ReaderBuilder::new()
            .comment(Some(b'#'))
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let mut items = BTreeMap::new();
        for (index, row) in reader.deserialize::<Row>().enumerate() {
            let row = row.map_err(|e| DataError::Form {
                file: file.to_owned(),
                problem: e.to_string(),
            })?;
            let item = row.check().map_err(|(field, problem)| DataError::Field {
                file: file.to_owned(),
                field: format!("row {}, {field}", index + 1),
                problem,
            })?;
            if let Some(first) = items.insert(item.code.clone(), item) {
                return Err(DataError::Field {
                    file: file.to_owned(),
                    field: format!("row {}, list_code", index + 1),
                    problem: format!("{} occurs twice; keep one of them", first.code),
                });
            }
        }
        Ok(Self(items))
    }

    /// The item with this code.
    pub fn get(&self, code: &str) -> Option<&CatalogueItem> {
        self.0.get(code)
    }

    /// Every item, by code.
    pub fn iter(&self) -> impl Iterator<Item = &CatalogueItem> {
        self.0.values()
    }

    /// How many items.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl Row {
    fn check(self) -> Result<CatalogueItem, (&'static str, String)> {
        let class = match self.class.as_str() {
            "A" => ChargeClass::A,
            "B" => ChargeClass::B,
            "C" => ChargeClass::C,
            other => return Err(("class", format!("`{other}` is not A, B or C"))),
        };
        let selfpay_prop: Ratio = self
            .selfpay_prop
            .parse()
            .map_err(|e| ("selfpay_prop", format!("`{}`: {e}", self.selfpay_prop)))?;
        match class {
            ChargeClass::A if selfpay_prop != Ratio::ZERO => {
                return Err(("selfpay_prop", "must be 0 for class A".to_owned()));
            }
            ChargeClass::C if selfpay_prop != Ratio::ONE => {
                return Err(("selfpay_prop", "must be 1 for class C".to_owned()));
            }
            _ => {}
        }
        let price_limit = self.price_limit_fen.map(Fen);
        if price_limit.is_some_and(|limit| limit < Fen::ZERO || limit > MAX_AMOUNT) {
            return Err(("price_limit_fen", "must not be negative".to_owned()));
        }
        for (field, name) in [("name_zh", &self.name_zh), ("name_en", &self.name_en)] {
            if name.is_empty() {
                return Err((field, "must not be empty".to_owned()));
            }
        }
        Ok(CatalogueItem {
            code: ListCode::try_from(self.list_code).map_err(|e| ("list_code", e))?,
            name_zh: self.name_zh,
            name_en: self.name_en,
            class,
            selfpay_prop,
            price_limit,
        })
    }
}
