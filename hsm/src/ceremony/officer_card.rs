//! Officer cards 保管人卡: a part on a card of our own kind, behind a PIN.
//!
//! A blank becomes one over SCP03: its transport keys are replaced by keys that nobody keeps, so
//! that no one can write it again. The parts lie in EF07 of the social-security application, which
//! the card gives out only after EXTERNAL AUTHENTICATE with the reading key (RK 0A); here that key
//! is Argon2id of the custodian's PIN and the card's serial. The card locks it after 15 wrong
//! proofs in a row, and the PIN never crosses the reader.
//!
//! EF07: `n 1 | n x (length 1 | part)`.

use card_spec::{
    SuiteId, Sw, aid, apdu,
    channel::{Channel, Reply, exchange},
    keys::{KeyHeader, KeyType, kcv, ssse_kid, ssse_process_key},
    perso::{
        self, CardState, Dgi, InitializeUpdateAnswer, KVN_ISSUER, KVN_TRANSPORT, card_key, kcv_kind,
    },
    scp03::{StaticKeys, level},
    ssse::{self, Profile, fid},
    suite::Key,
};
use zeroize::Zeroizing;

use super::{CeremonyError, Medium, MediumError, Part};
use crate::{Entropy, KdfCost, sessions::OpenSession};

/// Most bytes of EF07.
const FILE_MAX: usize = 512;
/// Bytes of STORE DATA that fit a command at the highest level.
const BLOCK: usize = 239;

/// A card in a reader, with the PIN that its custodian typed.
pub struct OfficerCard<'a, C: Channel + ?Sized> {
    card: &'a mut C,
    pin: Zeroizing<String>,
    cost: KdfCost,
    blank: Option<Blank<'a>>,
}

/// What writing a blank takes.
struct Blank<'a> {
    transport: &'a StaticKeys,
    entropy: &'a Entropy,
}

impl<'a, C: Channel + ?Sized> OfficerCard<'a, C> {
    /// A card that has its parts.
    pub fn new(
        card: &'a mut C,
        pin: Zeroizing<String>,
        cost: KdfCost,
    ) -> Result<Self, MediumError> {
        if !(6..=64).contains(&pin.chars().count()) {
            return Err(MediumError::WeakPin);
        }
        Ok(Self {
            card,
            pin,
            cost,
            blank: None,
        })
    }

    /// A blank to be written, with the transport keys that its maker sent.
    #[must_use]
    pub fn blank(mut self, transport: &'a StaticKeys, entropy: &'a Entropy) -> Self {
        self.blank = Some(Blank { transport, entropy });
        self
    }

    fn ask(&mut self, step: &'static str, command: &[u8]) -> Result<Reply, MediumError> {
        let reply = exchange(self.card, command)?;
        match reply.sw {
            Sw(0x9000) => Ok(reply),
            sw => Err(MediumError::Status { step, sw }),
        }
    }

    fn reading_key(&self) -> Result<Key, MediumError> {
        let serial = ssse::f1_from_atr(self.card.atr())?;
        let mut salt = *b"officer\0\0\0\0\0\0\0\0\0";
        salt[8..].copy_from_slice(&serial);
        let derived = self.cost.key(&self.pin, &salt)?;
        let (left, _) = derived.split_at(16);
        let left: &[u8; 16] = left.as_array().ok_or(MediumError::Format)?;
        Ok(Key::new(*left))
    }

    fn open(
        &mut self,
        keys: &StaticKeys,
        kvn: u8,
        entropy: &Entropy,
    ) -> Result<OpenSession, MediumError> {
        self.ask("SELECT", &apdu::select(aid::ISD))?;
        let serial = ssse::f1_from_atr(self.card.atr())?;
        let host = entropy
            .stream("officer-card-host", &serial, u64::from(kvn))
            .array()?;
        let reply = self.ask("INITIALIZE UPDATE", &perso::initialize_update(kvn, host))?;
        let answer = InitializeUpdateAnswer::from_bytes(&reply.data)?;
        let (session, command) = OpenSession::open(keys, &host, &answer, level::C_DEC_MAC)?;
        self.ask("EXTERNAL AUTHENTICATE", &command)?;
        Ok(session)
    }

    fn protected(
        &mut self,
        session: &mut OpenSession,
        step: &'static str,
        command: &[u8],
    ) -> Result<(), MediumError> {
        for command in session.wrap(&[command.to_vec()])? {
            self.ask(step, &command)?;
        }
        Ok(())
    }
}

const READING: KeyHeader = KeyHeader {
    key_type: KeyType::Rk,
    index: ssse_kid::READ_V3,
    version: 1,
    suite: SuiteId::Aes,
};

impl<C: Channel + ?Sized> Medium for OfficerCard<'_, C> {
    fn keep(&mut self, parts: &[Part]) -> Result<(), MediumError> {
        let Some(Blank { transport, entropy }) = self.blank.take() else {
            return Err(MediumError::Format);
        };
        let mut file = Zeroizing::new(Vec::with_capacity(FILE_MAX));
        file.push(u8::try_from(parts.len()).map_err(|_| MediumError::Format)?);
        for part in parts {
            let bytes = part.to_bytes();
            file.push(u8::try_from(bytes.len()).map_err(|_| MediumError::Format)?);
            file.extend_from_slice(&bytes);
        }
        // Keys that nobody keeps: the card is written once.
        let serial = ssse::f1_from_atr(self.card.atr())?;
        let mut stream = entropy.stream("officer-card", &serial, 0);
        let mut forgotten = || stream.array().map(Key::new);
        let issuer = StaticKeys {
            enc: forgotten()?,
            mac: forgotten()?,
            dek: forgotten()?,
        };
        let mut session = self.open(transport, KVN_TRANSPORT, entropy)?;
        let put = session.put_key(&issuer)?;
        self.protected(&mut session, "PUT KEY", &put)?;
        let mut session = self.open(&issuer, KVN_ISSUER, entropy)?;
        let key = self.reading_key()?;
        let check = kcv(&key, READING.suite, kcv_kind(READING.suite));
        let wrapped = session.encrypt(*key.expose());
        let mut groups = Zeroizing::new(Vec::with_capacity(2 * FILE_MAX));
        for (dgi, data) in [
            (Dgi::PROFILE, &[Profile::V3 as u8][..]),
            (Dgi::KEY, &card_key(READING, wrapped, check)),
            (Dgi::file((fid::EF07 & 0x1F) as u8), &file),
        ] {
            let mut group = heapless::Vec::<u8, { FILE_MAX + 8 }>::new();
            perso::push_dgi(&mut group, dgi, data)?;
            groups.extend_from_slice(&group);
            zeroize::Zeroize::zeroize(&mut *group);
        }
        let install = perso::install_for_personalization(aid::SSSE);
        self.protected(&mut session, "INSTALL", &install)?;
        let last = groups.len().div_ceil(BLOCK);
        for (number, block) in (1..).zip(groups.chunks(BLOCK)) {
            let index = u8::try_from(number - 1).map_err(|_| MediumError::Format)?;
            let command = perso::store_data(number == last, index, block);
            self.protected(&mut session, "STORE DATA", &command)?;
        }
        for state in [CardState::Initialized, CardState::Secured] {
            self.protected(&mut session, "SET STATUS", &perso::set_card_status(state))?;
        }
        Ok(())
    }

    fn parts(&mut self) -> Result<Vec<Part>, MediumError> {
        self.ask("SELECT", &apdu::select(aid::SSSE))?;
        let challenge = self.ask("GET CHALLENGE", &apdu::get_challenge(8))?;
        let challenge: &[u8; 8] = challenge.data.as_array().ok_or(MediumError::Format)?;
        // The terminal's half of the proof may be anything: the card answers nothing to it.
        let terminal = [0; 8];
        let process = ssse_process_key(&self.reading_key()?, READING.suite, challenge);
        let proof = process.cryptogram8(READING.suite, &terminal);
        let command = ssse::external_authenticate(READING.index, proof, terminal);
        let reply = exchange(self.card, &command)?;
        if reply.sw != Sw(0x9000) {
            return Err(MediumError::Pin(reply.sw));
        }
        let read = apdu::read_binary((fid::EF07 & 0x1F) as u8, 0, 256);
        let file = Zeroizing::new(self.ask("READ BINARY", &read)?.data.to_vec());
        parse(&file).map_err(MediumError::from)
    }
}

/// `n 1 | n x (length 1 | part)`; what follows is the file's rest.
fn parse(file: &[u8]) -> Result<Vec<Part>, CeremonyError> {
    let (count, mut rest) = file.split_first().ok_or(CeremonyError::NoPart)?;
    let mut parts = Vec::new();
    for _ in 0..*count {
        let (length, after) = rest.split_first().ok_or(CeremonyError::NoPart)?;
        let (part, after) = after
            .split_at_checked(usize::from(*length))
            .ok_or(CeremonyError::NoPart)?;
        parts.push(Part::from_bytes(part)?);
        rest = after;
    }
    Ok(parts)
}
