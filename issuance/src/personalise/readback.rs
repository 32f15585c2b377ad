//! Reading a written application back and comparing it with the plan.

use super::{PersonaliseError, Step, session};
use crate::plan::{ApplicationPlan, Readable};
use card_spec::{
    Channel, Fen, Sw, aid, apdu, medical,
    perso::Dgi,
    purse,
    ssse::{self, fid},
};
use hsm_client::HsmError;

/// Compares every file, record and opening balance of an application; answers how many. `prove`
/// answers EXTERNAL AUTHENTICATE for a card's challenge.
pub(super) fn compare(
    channel: &mut dyn Channel,
    plan: &ApplicationPlan,
    prove: &dyn Fn([u8; 8]) -> Result<Vec<u8>, HsmError>,
    step: Step,
) -> Result<usize, PersonaliseError> {
    // The medical DF is reached through its DDF, as every reader does it.
    if plan.aid == aid::SSSE_MEDICAL {
        session::plain(channel, &apdu::select(aid::SSSE), "SELECT", step)?;
    }
    session::plain(channel, &apdu::select(plan.aid), "SELECT", step)?;
    if plan.aid == aid::HEALTH {
        // Nobody reads it who proved nothing, not even before the card is in use.
        let reply = session::plain(channel, &apdu::get_challenge(8), "GET CHALLENGE", step)?;
        let malformed = |_| PersonaliseError::Malformed {
            step,
            what: "GET CHALLENGE",
        };
        let challenge = reply.data[..].try_into().map_err(malformed)?;
        let command = prove(challenge).map_err(|source| PersonaliseError::Hsm { step, source })?;
        session::plain(channel, &command, "EXTERNAL AUTHENTICATE", step)?;
    }
    let mut compared = 0;
    for readable in plan.readable() {
        let (what, command, expected) = match readable {
            Readable::File { sfi, contents } => (
                format!("file {sfi:02X}"),
                apdu::read_binary(sfi, 0, contents.len() as u16),
                contents,
            ),
            Readable::Record {
                sfi,
                number,
                contents,
            } => (
                format!("EF{sfi:02X} record {number}"),
                apdu::read_record(sfi, number, contents.len() as u16),
                contents,
            ),
        };
        let reply = session::plain(channel, &command, "READ", step)?;
        equal(plan.name, &what, &reply.data, expected)?;
        compared += 1;
    }
    if plan.aid == aid::T_UNION {
        // Money enters by a load only: a new purse is empty.
        let reply = session::plain(channel, &purse::get_balance(), "GET BALANCE", step)?;
        equal(
            plan.name,
            "balance",
            &reply.data,
            &Fen::ZERO.to_card().unwrap_or_default(),
        )?;
        compared += 1;
    }
    if let Some((_, balance)) = plan.groups.iter().find(|(d, _)| *d == Dgi::MEDICAL_BALANCE) {
        let command = medical::get_balance(medical::Balance::Personal);
        let reply = session::plain(channel, &command, "GET BALANCE", step)?;
        equal(plan.name, "personal account", &reply.data, balance)?;
        compared += 1;
    }
    Ok(compared)
}

fn equal(
    application: &'static str,
    what: &str,
    found: &[u8],
    expected: &[u8],
) -> Result<(), PersonaliseError> {
    if found == expected {
        return Ok(());
    }
    let same = found.iter().zip(expected).take_while(|(a, b)| a == b);
    Err(PersonaliseError::Differs {
        application,
        what: what.to_owned(),
        at: same.count(),
    })
}

/// A finished V3 card refuses EF06 to a reader that proved nothing.
pub(super) fn refuses_holder_data(
    channel: &mut dyn Channel,
    step: Step,
) -> Result<(), PersonaliseError> {
    session::plain(channel, &apdu::select(aid::SSSE), "SELECT", step)?;
    let command = ssse::read_by_number((fid::EF06 & 0x1F) as u8, 1, ssse::tag::SSN);
    let reply = session::answer(channel, &command, step)?;
    if reply.sw == Sw::SECURITY && reply.data.is_empty() {
        return Ok(());
    }
    Err(PersonaliseError::Differs {
        application: "social security 社会保障",
        what: "access profile V3: EF06 is readable without authentication".to_owned(),
        at: 0,
    })
}
