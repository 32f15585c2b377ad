//! Blank cards of card-os personalised through the HSM: the real card agrees with every key.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod common;
#[path = "common/issue.rs"]
mod issue;

use card_spec::{
    Channel, Fen, SuiteId, aid, apdu,
    keys::{KeyType, ssse_kid},
    perso::{CardState, Dgi, pin, set_card_status},
    purse::{InitRequest, LoadInit, credit_for_load, get_balance, sfi},
    sam, ssse,
    time::CardTime,
};
use common::{NOW, card, create, header, ledger};
use ed25519_dalek::Signer;
use hsm_client::{Account, Hold, Hsm, KeyOrder, LoadRequest, ProofCheck};
use issue::{
    SERIAL, ask, blank, keys, personalise, pin_group, protected, purse_of_card, take_over,
};

#[test]
fn a_card_is_issued_loaded_and_recognised() {
    for suite in SuiteId::ALL {
        let directory = tempfile::tempdir().unwrap();
        let hsm = create(directory.path());
        let mut holder = blank(&hsm);
        let session = take_over(&hsm, &mut holder);
        let who = card();
        let (public, limits) = purse_of_card();
        let letter = hsm.first_pin(session).unwrap();
        let mut purse = vec![
            (Dgi::file(sfi::PUBLIC), public.to_bytes().to_vec()),
            (Dgi::LIMITS, limits.to_bytes().unwrap().to_vec()),
            pin_group(&letter.wrapped),
        ];
        let purse_types = [KeyType::Dpk, KeyType::Dlk, KeyType::Dtk];
        purse.extend(keys(
            &hsm,
            session,
            purse_types.map(|t| header(t, 1, suite)).to_vec(),
        ));
        personalise(&hsm, &mut holder, session, aid::T_UNION, &purse);
        let mut social = vec![(Dgi::PROFILE, vec![ssse::Profile::V2 as u8])];
        social.extend(keys(
            &hsm,
            session,
            vec![header(KeyType::Irk, ssse_kid::INTERNAL, suite)],
        ));
        personalise(&hsm, &mut holder, session, aid::SSSE, &social);
        let states = [CardState::Initialized, CardState::Secured];
        let states = states.map(|s| set_card_status(s).to_vec());
        protected(&hsm, &mut holder, session, &states);
        hsm.scp03_close(session).unwrap();

        // A load, authorised by the HSM under the PIN of the letter.
        holder.power_cycle();
        ask(&mut holder, &apdu::select(aid::T_UNION));
        let pin = hex::decode(&letter.letter).unwrap();
        ask(&mut holder, &apdu::verify(pin::HOLDER, &pin));
        let (amount, terminal) = (Fen::yuan(50), "350200000001".parse().unwrap());
        let request = InitRequest {
            kid: 1,
            amount,
            terminal,
        };
        let init = LoadInit::from_bytes(&ask(&mut holder, &request.load().unwrap())).unwrap();
        let time: CardTime = NOW.parse().unwrap();
        let hold = Hold {
            hold_id: "1".to_owned(),
            pan: who.pan,
            account: Account::Purse,
            seq: init.seq,
            amount,
            time,
        };
        let request = LoadRequest {
            card: who,
            suite: init.suite,
            version: init.key_version,
            terminal,
            rnd: init.rnd,
            balance_before: init.balance,
            mac1: init.mac1,
            hold_signature: ledger().sign(&hold.signing_bytes()).to_bytes().to_vec(),
            hold,
        };
        let mac2 = hsm.authorize_load(&request).unwrap();
        let tac = ask(&mut holder, &credit_for_load(time, mac2));
        assert_eq!(ask(&mut holder, &get_balance()), amount.to_card().unwrap());

        // Presence, as a proof of life asks for it.
        ask(&mut holder, &apdu::select(aid::SSSE));
        let challenge = [0x5A; 8];
        let command = ssse::internal_authenticate(ssse_kid::INTERNAL, challenge);
        let cryptogram: [u8; 8] = ask(&mut holder, &command).try_into().unwrap();
        let load = ProofCheck::Load {
            card: who,
            suite,
            version: 1,
            amount,
            terminal,
            time,
            seq: init.seq,
            balance_before: init.balance,
            tac: tac.try_into().unwrap(),
        };
        let presence = ProofCheck::Presence {
            card: who,
            suite,
            version: 1,
            challenge,
            cryptogram,
        };
        assert_eq!(hsm.verify(&[load, presence]), Ok(vec![Ok(true), Ok(true)]));
    }
}

#[test]
fn a_sam_takes_its_keys_and_a_higher_ceiling() {
    let directory = tempfile::tempdir().unwrap();
    let hsm = create(directory.path());
    let mut module = blank(&hsm);
    let session = take_over(&hsm, &mut module);
    let number = "350200000001".parse().unwrap();
    let order = KeyOrder::Sam {
        sam: number,
        iin: card().pan.iin(),
        regions: vec![card().region],
        headers: vec![
            header(KeyType::Dpk, 1, SuiteId::Aes),
            header(KeyType::SamCeiling, 1, SuiteId::Aes),
        ],
    };
    let mut groups = vec![
        (Dgi::file(sam::SFI_SERIAL), SERIAL.to_vec()),
        (Dgi::file(sam::SFI_TERMINAL_NO), number.to_bytes().to_vec()),
        (Dgi::file(sam::SFI_KEY_INDEX), vec![1]),
        (Dgi::SAM_CEILING, 10u32.to_be_bytes().to_vec()),
    ];
    let items = hsm.wrap_keys(session, &order).unwrap();
    groups.extend(items.into_iter().map(|i| (Dgi::SAM_KEY, i)));
    personalise(&hsm, &mut module, session, aid::T_UNION_SAM, &groups);
    hsm.scp03_close(session).unwrap();
    module.power_cycle();
    ask(&mut module, &apdu::select(aid::T_UNION_SAM));
    let challenge = ask(&mut module, &apdu::get_challenge(8))
        .try_into()
        .unwrap();
    let mac = hsm.sam_ceiling_mac(number, 1, challenge, 1000).unwrap();
    ask(&mut module, &sam::raise_ceiling(1000, mac));
    // The same MAC with another ceiling is refused.
    let challenge = ask(&mut module, &apdu::get_challenge(8))
        .try_into()
        .unwrap();
    let mac = hsm.sam_ceiling_mac(number, 1, challenge, 2000).unwrap();
    let mut buffer = [0; 258];
    let n = module
        .transmit(&sam::raise_ceiling(3000, mac), &mut buffer)
        .unwrap();
    assert_ne!(buffer[..n], [0x90, 0x00]);
}
