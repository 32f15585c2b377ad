//! Components of a trial installation, one file a custodian.

use super::now;
use crate::{
    cli::secret::{self, NewFiles},
    exit::{Code, Done, Stop},
};
use card_spec::{SuiteId, keys::kcv, perso::kcv_kind, suite::Key};
use hsm::{
    Officers, Roots,
    ceremony::{Ceremony, CeremonyError, Form, Plan, Step, Subject, Transcript},
};
use std::path::Path;
use zeroize::Zeroizing;

/// Every custodian enters one component of every root, from a file or freshly drawn.
pub fn ceremony(
    officers: &Officers,
    names: &[&str],
    folder: &Path,
    files: &mut NewFiles,
) -> Done<(Roots, Transcript)> {
    let failed = |error: CeremonyError| Stop::new(Code::Auth, format!("key ceremony: {error}"));
    let of = u8::try_from(names.len()).unwrap_or(u8::MAX);
    let plan = Plan::roots(Form::Components(of), names).map_err(failed)?;
    let mut ceremony = Ceremony::new(plan, officers, now());
    for name in names {
        for component in component_file(folder, name, files)? {
            let Step::Part { subject, .. } = ceremony.next() else {
                break;
            };
            if subject != Subject::Root(component.suite) {
                let wrong = format!("{name}'s file has no {subject} component where it belongs");
                return Err(Stop::new(Code::Auth, wrong));
            }
            let value = Zeroizing::new(component.value.to_vec());
            ceremony
                .enter_component(name, value, component.kcv)
                .map_err(failed)?;
        }
    }
    for officer in officers.names() {
        ceremony.confirm(officer).map_err(failed)?;
    }
    let (formed, transcript) = ceremony.finish().map_err(failed)?;
    Ok((formed.roots().map_err(failed)?, transcript))
}

/// One component of one root, as a custodian's file holds it.
struct Component {
    suite: SuiteId,
    value: Zeroizing<[u8; 16]>,
    kcv: [u8; 3],
}

/// Reads a custodian's file, or draws its components and writes it.
fn component_file(folder: &Path, name: &str, files: &mut NewFiles) -> Done<Vec<Component>> {
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
        let mut component = Component {
            suite: suite.parse().map_err(|_| wrong())?,
            value: Zeroizing::new([0; 16]),
            kcv: [0; 3],
        };
        hex::decode_to_slice(value, &mut component.value[..]).map_err(|_| wrong())?;
        hex::decode_to_slice(check, &mut component.kcv).map_err(|_| wrong())?;
        components.push(component);
    }
    Ok(components)
}
