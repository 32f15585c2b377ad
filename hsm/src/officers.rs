//! Dual control: two different people.

use hsm_client::{HsmError, Result};

/// Two different officers, both present. Whoever holds this value claims it; the audit log names
/// them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Officers {
    first: String,
    second: String,
}

impl Officers {
    /// Names of 1 to 64 characters, not the same twice.
    pub fn new(first: &str, second: &str) -> Result<Self> {
        let (first, second) = (person(first)?, person(second)?);
        if first.to_lowercase() == second.to_lowercase() {
            return Err(HsmError::Refused {
                why: format!("dual control needs two different officers, not {first} twice"),
            });
        }
        Ok(Self { first, second })
    }

    /// Both names.
    pub fn names(&self) -> [&str; 2] {
        [&self.first, &self.second]
    }

    /// How the audit log names them.
    pub(crate) fn actor(&self) -> String {
        format!("{} + {}", self.first, self.second)
    }
}

/// A usable name: trimmed, 1 to 64 characters, no control characters.
pub(crate) fn person(name: &str) -> Result<String> {
    let name = name.trim();
    if name.is_empty() || name.chars().count() > 64 || name.chars().any(char::is_control) {
        return Err(HsmError::Malformed {
            why: "a person's name has 1 to 64 printable characters".to_owned(),
        });
    }
    Ok(name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_different_people() {
        assert!(Officers::new("Lin", "Chen").is_ok());
        assert!(Officers::new("Lin", " Lin ").is_err());
        assert!(Officers::new("", "Chen").is_err());
        assert!(Officers::new("Lin\n", "Chen\u{7}x").is_err());
    }
}
