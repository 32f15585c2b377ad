//! Components of a trial installation, one file a custodian.

use crate::{
    cli::secret::{self, NewFiles},
    exit::{Code, Done, Stop},
};
use card_spec::{SuiteId, keys::kcv, perso::kcv_kind, suite::Key};
use hsm_client::RootComponent;
use std::path::Path;
use zeroize::Zeroizing;

/// One component of every root from each custodian, out of a file or freshly drawn.
pub fn read(names: &[&str], folder: &Path, files: &mut NewFiles) -> Done<Vec<RootComponent>> {
    let mut all = Vec::with_capacity(names.len() * SuiteId::ALL.len());
    for name in names {
        all.extend(component_file(folder, name, files)?);
    }
    Ok(all)
}

/// Reads a custodian's file, or draws its components and writes it.
fn component_file(folder: &Path, name: &str, files: &mut NewFiles) -> Done<Vec<RootComponent>> {
    let path = folder.join(format!("{name}.component"));
    if !path.exists() {
        let mut text = Zeroizing::new(String::new());
        for suite in SuiteId::ALL {
            let mut value = Zeroizing::new([0; 16]);
            getrandom::fill(&mut value[..]).map_err(Stop::because("drawing a component"))?;
            let check = kcv(&Key::new(*value), suite, kcv_kind(suite));
            let line = format!(
                "{} {} {}\n",
                suite.name(),
                hex::encode(*value),
                hex::encode(check)
            );
            text.push_str(&line);
        }
        files.write(&path, &text)?;
    }
    let wrong = || {
        Stop::new(
            Code::Auth,
            format!(
                "{}: every line must be `suite component kcv`",
                path.display()
            ),
        )
    };
    let mut components = Vec::new();
    for words in secret::pairs(&path, "a key component")? {
        let [suite, value, check] = words.as_slice() else {
            return Err(wrong());
        };
        let mut component = RootComponent {
            custodian: name.to_owned(),
            suite: suite.parse().map_err(|_| wrong())?,
            value: Zeroizing::new([0; 16]),
            check: [0; 3],
        };
        hex::decode_to_slice(value, &mut component.value[..]).map_err(|_| wrong())?;
        hex::decode_to_slice(check, &mut component.check).map_err(|_| wrong())?;
        components.push(component);
    }
    Ok(components)
}
