//! Data groups -> STORE DATA commands.

use super::PersonaliseError;
use crate::plan::ApplicationPlan;
use card_spec::{
    perso::{self, CardState, Dgi, pin},
    ssse::Profile,
};
use hsm_client::PinLetter;

/// Plain bytes of one block: padded and with its MAC it stays below 255.
const BLOCK: usize = 200;
/// Bytes of one sequence: what the card can stage.
const SEQUENCE: usize = 4096;

/// INSTALL [for personalization] and the STORE DATA blocks of an application.
///
/// The profile is left open (V2) here, so that what was written can be read back; [`profile`] sets
/// the planned one.
pub(super) fn application(
    plan: &ApplicationPlan,
    key_dgi: Dgi,
    keys: &[Vec<u8>],
    letter: Option<&PinLetter>,
    state: CardState,
) -> Result<Vec<Vec<u8>>, PersonaliseError> {
    let mut stream = heapless::Vec::<u8, SEQUENCE>::new();
    let mut total = 0;
    let mut push = |dgi: Dgi, data: &[u8]| {
        total += data.len() + 5;
        perso::push_dgi(&mut stream, dgi, data).map_err(|_| PersonaliseError::TooLong {
            application: plan.name,
            bytes: total,
        })
    };
    for (dgi, data) in &plan.groups {
        match *dgi {
            Dgi::PROFILE => push(*dgi, &[Profile::V2 as u8])?,
            // A card torn in its very last command is SECURED already and takes no opening balance
            // again: the one it has is compared instead.
            Dgi::MEDICAL_BALANCE if state == CardState::Secured => {}
            _ => push(*dgi, data)?,
        }
    }
    for key in keys {
        push(key_dgi, key)?;
    }
    if let Some(letter) = letter {
        let mut data = vec![pin::HOLDER, pin::TRIES];
        data.extend_from_slice(&letter.wrapped);
        push(Dgi::PIN, &data)?;
    }
    Ok(sequence(plan.aid, &stream))
}

/// The sequence that sets the access profile of the social-security application.
pub(super) fn profile(aid: &[u8], profile: Profile) -> Vec<Vec<u8>> {
    let [high, low] = Dgi::PROFILE.0.to_be_bytes();
    sequence(aid, &[high, low, 1, profile as u8])
}

fn sequence(aid: &[u8], stream: &[u8]) -> Vec<Vec<u8>> {
    let blocks = stream.chunks(BLOCK);
    let last = blocks.len().saturating_sub(1);
    let mut commands = vec![perso::install_for_personalization(aid).to_vec()];
    // At most SEQUENCE / BLOCK = 21 blocks, so the number fits a byte.
    commands.extend(
        blocks
            .enumerate()
            .map(|(n, block)| perso::store_data(n == last, n as u8, block).to_vec()),
    );
    commands
}

#[cfg(test)]
mod tests {
    use super::*;

    fn plan(groups: Vec<(Dgi, Vec<u8>)>) -> ApplicationPlan {
        ApplicationPlan {
            aid: card_spec::aid::SSSE,
            name: "test",
            groups,
            keys: vec![],
            pin: false,
        }
    }

    #[test]
    fn blocks_are_numbered_and_the_last_says_so() {
        let plan = plan(vec![(Dgi::file(7), vec![7; 390]), (Dgi::PROFILE, vec![3])]);
        let commands = application(
            &plan,
            Dgi::KEY,
            &[vec![1; 23]],
            None,
            CardState::Initialized,
        )
        .expect("fits");
        let heads: Vec<[u8; 4]> = commands.iter().map(|c| [c[0], c[1], c[2], c[3]]).collect();
        assert_eq!(
            heads,
            [
                [0x80, 0xE6, 0x20, 0x00],
                [0x80, 0xE2, 0x08, 0],
                [0x80, 0xE2, 0x08, 1],
                [0x80, 0xE2, 0x88, 2],
            ]
        );
        let stream: Vec<u8> = commands[1..].iter().flat_map(|c| c[5..].to_vec()).collect();
        assert_eq!(stream[..5], [0x01, 0x07, 0xFF, 0x01, 0x86]);
        // Open for reading until compared, whatever the plan says.
        assert_eq!(stream[395..399], [0x03, 0x02, 1, Profile::V2 as u8]);
        assert_eq!(stream[399..402], [0x80, 0x00, 23]);
        assert!(commands.iter().all(|c| c.len() <= 5 + BLOCK));
    }

    #[test]
    fn what_the_card_cannot_stage_is_refused() {
        let plan = plan(vec![(Dgi::file(8), vec![0; SEQUENCE])]);
        let refused = application(&plan, Dgi::KEY, &[], None, CardState::Initialized);
        assert!(matches!(refused, Err(PersonaliseError::TooLong { .. })));
    }
}
