//! A ceremony whose components arrive all at once: from files, or in a call.

use card_spec::time::CardTime;
use hsm_client::RootComponent;
use zeroize::Zeroizing;

use super::{Ceremony, CeremonyError, Form, Plan, Roots, Step, Subject, Transcript};
use crate::Officers;

/// Forms the roots. The components stand custodian by custodian, of each one of every root; the two
/// officers answer for the whole, so both confirm.
pub fn from_components(
    officers: &Officers,
    components: &[RootComponent],
    at: CardTime,
) -> Result<(Roots, Transcript), CeremonyError> {
    let mut names: Vec<&str> = Vec::new();
    for component in components {
        if names.last() != Some(&component.custodian.as_str()) {
            names.push(&component.custodian);
        }
    }
    let of = u8::try_from(names.len()).unwrap_or(u8::MAX);
    let plan = Plan::roots(Form::Components(of), &names)?;
    let mut ceremony = Ceremony::new(plan, officers, at);
    for component in components {
        let found = Subject::Root(component.suite);
        match ceremony.next() {
            Step::Part { subject, .. } if subject != found => {
                return Err(CeremonyError::Foreign {
                    found: format!("{}'s component of {found}", component.custodian),
                    wanted: format!("one of {subject}"),
                });
            }
            _ => {}
        }
        let value = Zeroizing::new(component.value.to_vec());
        ceremony.enter_component(&component.custodian, value, component.check)?;
    }
    for officer in officers.names() {
        ceremony.confirm(officer)?;
    }
    let (formed, transcript) = ceremony.finish()?;
    Ok((formed.roots()?, transcript))
}
