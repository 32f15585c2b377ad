//! What hospital windows and kiosks do first: the card and its holder, proved to each other.

use card_spec::{
    Channel, Fen,
    keys::class,
    purse::{TxType, files::Public},
    time::CardTime,
};
use clearing_api::record::CardFacts;

use crate::{
    admit::Acceptance,
    card::{
        purse::PurseSession,
        ssse::{Identity, SsseSession},
    },
    code::Code,
    result::{Note, Refusal},
    sam::SamUnit,
};

/// Random bytes for one mutual authentication, from the caller's source.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Randoms {
    /// T, the terminal's part of EXTERNAL AUTHENTICATE.
    pub terminal: [u8; 8],
    /// The challenge of INTERNAL AUTHENTICATE.
    pub challenge: [u8; 8],
}

/// A card that proved itself and told who its holder is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProvedCard {
    /// What records say of the card.
    pub facts: CardFacts,
    /// File 15.
    pub public: Public,
    /// EF05 and EF06.
    pub identity: Identity,
    /// F1.
    pub f1: [u8; 8],
}

/// Reads the card's number, authenticates card and terminal to each other, reads the holder.
/// The social-security application stays selected and authenticated.
pub(crate) fn prove<C: Channel + ?Sized, P: Channel>(
    card: &mut C,
    sam: &mut SamUnit<P>,
    acceptance: &Acceptance,
    at: CardTime,
    randoms: Randoms,
    note: &mut Note,
) -> Result<ProvedCard, Refusal> {
    let mut purse = PurseSession::select(card)?;
    let public = *purse.public();
    note.pan = Some(public.pan);
    acceptance.check_public(&public, at.date())?;
    // INIT tells suite and key version; nothing is bought.
    let init = purse.init_purchase(class::TRANSIT, Fen::ZERO, sam.number(), TxType::Purchase)?;
    let region = public
        .issuer
        .region()
        .map_err(|error| Refusal::new(Code::BadCard, format!("region of file 15: {error}")))?;
    let facts = CardFacts {
        pan: public.pan,
        generation: public.generation,
        region,
        suite: init.suite,
        key_version: init.key_version,
    };
    let mut session = SsseSession::select(card)?;
    session.mutual_authenticate(sam, init.suite, region, randoms)?;
    let identity = session.identity()?;
    if identity.region != region {
        return Err(Refusal::new(
            Code::BadCard,
            "EF05 and file 15 name different regions",
        ));
    }
    Ok(ProvedCard {
        facts,
        public,
        identity,
        f1: session.f1(),
    })
}
