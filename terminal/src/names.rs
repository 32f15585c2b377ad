//! Names of readers in a profile: one, or a list.

use serde::{Deserialize, Serialize};

/// One or more PC/SC reader names, each once.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "OneOrMany", into = "OneOrMany")]
pub struct Names(Vec<String>);

impl Names {
    /// The names, in the profile's order; at least one.
    pub fn iter(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(String::as_str)
    }
}

#[derive(Clone, Serialize, Deserialize)]
#[serde(untagged)]
enum OneOrMany {
    One(String),
    Many(Vec<String>),
}

impl From<Names> for OneOrMany {
    fn from(Names(mut names): Names) -> Self {
        match (names.pop(), names.is_empty()) {
            (Some(one), true) => Self::One(one),
            (last, _) => Self::Many(names.into_iter().chain(last).collect()),
        }
    }
}

impl TryFrom<OneOrMany> for Names {
    type Error = String;

    fn try_from(given: OneOrMany) -> Result<Self, String> {
        let names = match given {
            OneOrMany::One(name) => vec![name],
            OneOrMany::Many(names) => names,
        };
        if names.is_empty() {
            return Err("name at least one reader".to_owned());
        }
        let twice = names
            .iter()
            .enumerate()
            .find(|(i, name)| names[..*i].contains(name));
        match twice {
            Some((_, name)) => Err(format!("reader \"{name}\" is named twice")),
            None => Ok(Self(names)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Serialize, Deserialize)]
    struct Profile {
        reader: Names,
    }

    #[test]
    fn one_name_or_several_but_none_twice() {
        for (text, names) in [
            ("reader = \"A\"\n", vec!["A"]),
            ("reader = [\"B\", \"A\"]\n", vec!["B", "A"]),
        ] {
            let profile: Profile = toml::from_str(text).expect("names");
            assert_eq!(profile.reader.iter().collect::<Vec<_>>(), names);
            assert_eq!(toml::to_string(&profile).expect("text"), text);
        }
        for (text, why) in [
            ("reader = []", "at least one"),
            ("reader = [\"A\", \"B\", \"A\"]", "\"A\" is named twice"),
        ] {
            let error = toml::from_str::<Profile>(text)
                .expect_err("refused")
                .to_string();
            assert!(error.contains(why), "{error}");
        }
    }
}
