use super::*;
use proptest::prelude::*;

fn dealt(form: Form) -> Vec<Sheet> {
    let subjects = Subject::ALL;
    deal(
        &Entropy::seeded([3; 32]),
        form,
        &subjects,
        &["Wu", "Zheng", "Huang"],
    )
    .expect("dealt")
}

#[test]
fn parts_survive_their_bytes_and_no_changed_bit_does() {
    let two_of_three = Form::Shares(Quorum::new(2, 3).expect("quorum"));
    for sheet in dealt(Form::Components(3))
        .iter()
        .chain(&dealt(two_of_three))
    {
        for part in &sheet.parts {
            let bytes = part.to_bytes();
            assert_eq!(bytes.len(), 16 + part.subject.length());
            let read = Part::from_bytes(&bytes).expect("own bytes");
            assert_eq!(read.fingerprint(), part.fingerprint());
            assert_eq!(read.to_bytes(), bytes);
            for at in 0..bytes.len() * 8 {
                let mut changed = bytes.clone();
                changed[at / 8] ^= 1 << (at % 8);
                assert_eq!(
                    Part::from_bytes(&changed).err(),
                    Some(CeremonyError::Mistyped)
                );
            }
        }
    }
}

#[test]
fn names_come_back() {
    for subject in Subject::ALL {
        assert_eq!(Subject::try_from(String::from(subject)), Ok(subject));
    }
    assert!(Subject::try_from("root-des".to_owned()).is_err());
}

proptest! {
    #[test]
    fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60)) {
        prop_assert!(Part::from_bytes(&bytes).is_err());
        // An attacker who repairs the digest meets the bounds.
        let mut repaired = bytes;
        let digest = fingerprint(&repaired);
        repaired.extend_from_slice(&digest[..DIGEST]);
        let _ = Part::from_bytes(&repaired);
    }
}
