//! SCP03 from the issuer's side: sessions with cards being personalised.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use card_spec::{
    SuiteId, apdu,
    keys::{KcvKind, kcv},
    perso::{InitializeUpdateAnswer, KVN_ISSUER, KVN_TRANSPORT},
    scp03::{Handshake, Session, StaticKeys, level, pad},
    suite::Key,
};
use hsm_client::{HsmError, Opened, Result, Role, SessionId};
use subtle::ConstantTimeEq;

use crate::caller::Caller;

/// Most sessions at once.
pub(crate) const SESSIONS_MAX: usize = 256;
/// Most sessions of one client; its oldest goes when one more opens, so that stations that died do
/// not block its others.
pub(crate) const CLIENT_MAX: usize = 32;
/// A session that nothing was asked of for so long is closed, its keys wiped.
const IDLE_MAX: Duration = Duration::from_secs(300);
/// Most commands protected in one call.
const COMMANDS_MAX: usize = 1024;
/// Bytes of a C-MAC.
const MAC_LENGTH: usize = 8;

/// One open session.
pub(crate) struct OpenSession {
    /// Ten bytes that the card diversifies by.
    pub(crate) diversification: [u8; 10],
    /// Key set that opened the session.
    pub(crate) kvn: u8,
    /// The card's challenge: names this handshake.
    pub(crate) challenge: [u8; 8],
    /// PINs drawn so far.
    pub(crate) pins: u64,
    dek: Key,
    level: u8,
    session: Session,
}

/// All open sessions.
#[derive(Default)]
pub(crate) struct Sessions {
    last: u64,
    /// Boxed: a map that grows leaves copies of its entries behind.
    open: BTreeMap<u64, Box<Owned>>,
}

/// A session and whose it is: the client that opened it alone may use it.
struct Owned {
    owner: Owner,
    used: Instant,
    session: OpenSession,
}

/// A client, whichever of its connections it speaks on.
#[derive(Clone, PartialEq, Eq)]
struct Owner(String, Option<Role>);

impl From<&Caller> for Owner {
    fn from(caller: &Caller) -> Self {
        Self(caller.name.clone(), caller.role())
    }
}

impl Sessions {
    pub(crate) fn insert(
        &mut self,
        caller: &Caller,
        now: Instant,
        session: OpenSession,
    ) -> Result<SessionId> {
        self.close_idle(now);
        let owner = Owner::from(caller);
        let mut own = self.open.iter().filter(|(_, s)| s.owner == owner);
        let oldest = own.next().map(|(id, _)| *id);
        if let Some(oldest) = oldest.filter(|_| own.count() + 1 >= CLIENT_MAX) {
            self.open.remove(&oldest);
        }
        if self.open.len() >= SESSIONS_MAX {
            return Err(HsmError::Unavailable {
                why: format!("{SESSIONS_MAX} personalisation sessions are open"),
            });
        }
        self.last += 1;
        let owned = Owned {
            owner,
            used: now,
            session,
        };
        self.open.insert(self.last, Box::new(owned));
        Ok(SessionId(self.last))
    }

    /// The session, if it is this caller's. Whether another has it is not said.
    pub(crate) fn get(
        &mut self,
        caller: &Caller,
        now: Instant,
        id: SessionId,
    ) -> Result<&mut OpenSession> {
        self.close_idle(now);
        let owned = self
            .open
            .get_mut(&id.0)
            .filter(|s| s.owner == Owner::from(caller))
            .ok_or(HsmError::UnknownSession)?;
        owned.used = now;
        Ok(&mut owned.session)
    }

    /// Closes it; says with which card it was.
    pub(crate) fn remove(
        &mut self,
        caller: &Caller,
        now: Instant,
        id: SessionId,
    ) -> Result<[u8; 10]> {
        let card = self.get(caller, now, id)?.diversification;
        self.open.remove(&id.0);
        Ok(card)
    }

    fn close_idle(&mut self, now: Instant) {
        self.open
            .retain(|_, s| now.saturating_duration_since(s.used) < IDLE_MAX);
    }
}

impl OpenSession {
    /// Checks the card cryptogram and makes EXTERNAL AUTHENTICATE. The answer's session number is
    /// given by [`Sessions::insert`].
    pub(crate) fn open(
        keys: &StaticKeys,
        host: &[u8; 8],
        answer: &InitializeUpdateAnswer,
        security: u8,
    ) -> Result<(Self, Vec<u8>)> {
        if !level::ALL.contains(&security) {
            return Err(malformed(
                "the security level is none of 01, 03, 11, 13, 33",
            ));
        }
        let Handshake {
            card_cryptogram,
            host_cryptogram,
            mut session,
        } = Handshake::derive(keys, host, &answer.challenge);
        if !bool::from(card_cryptogram.ct_eq(&answer.cryptogram)) {
            return Err(HsmError::NotAuthentic {
                what: "the card's cryptogram (another key set, or not our card)".to_owned(),
            });
        }
        let header = [0x84, 0x82, security, 0x00, 0x10];
        let mac = session.c_mac(header, &host_cryptogram);
        let mut command = header.to_vec();
        command.extend_from_slice(&host_cryptogram);
        command.extend_from_slice(&mac);
        let open = Self {
            diversification: answer.diversification,
            kvn: answer.kvn,
            challenge: answer.challenge,
            pins: 0,
            dek: keys.dek.clone(),
            level: security,
            session,
        };
        Ok((open, command))
    }

    /// Protects commands in order. All are checked first: a refused list moves nothing.
    pub(crate) fn wrap(&mut self, commands: &[Vec<u8>]) -> Result<Vec<Vec<u8>>> {
        if commands.len() > COMMANDS_MAX {
            return Err(malformed("more than 1024 commands in one call"));
        }
        let encrypts = self.level & level::C_DEC_MAC == level::C_DEC_MAC;
        let parsed: Vec<Plain<'_>> = commands
            .iter()
            .map(|c| Plain::parse(c, encrypts))
            .collect::<Result<_>>()?;
        parsed.iter().map(|p| self.protect(p, encrypts)).collect()
    }

    fn protect(&mut self, plain: &Plain<'_>, encrypts: bool) -> Result<Vec<u8>> {
        self.session.next_command();
        let mut buffer = [0; 256];
        let mut length = plain.data.len();
        let too_long = || malformed("the command is too long for its C-MAC");
        buffer
            .get_mut(..length)
            .ok_or_else(too_long)?
            .copy_from_slice(plain.data);
        if encrypts && length > 0 {
            length = pad(&mut buffer, length).ok_or_else(too_long)?;
            if let Some(data) = buffer.get_mut(..length) {
                self.session.encrypt_command(data);
            }
        }
        let data = buffer.get(..length).ok_or_else(too_long)?;
        let lc = u8::try_from(length + MAC_LENGTH).map_err(|_| too_long())?;
        let [cla, ins, p1, p2] = plain.header;
        let header = [cla | 0x04, ins, p1, p2, lc];
        let mac = self.session.c_mac(header, data);
        let mut out = Vec::with_capacity(5 + length + MAC_LENGTH + 1);
        out.extend_from_slice(&header);
        out.extend_from_slice(data);
        out.extend_from_slice(&mac);
        out.extend(plain.le);
        Ok(out)
    }

    /// The session must have been opened with the issuer's own keys.
    pub(crate) fn needs_issuer_set(&self) -> Result<()> {
        if self.kvn == KVN_ISSUER {
            return Ok(());
        }
        Err(HsmError::WrongState {
            state: "in a session under transport keys, which the card maker knows".to_owned(),
            needs: "a session under the issuer's keys: put_issuer_keys, then open again with key version 30".to_owned(),
        })
    }

    /// PUT KEY of the issuer's set in place of the transport set: `80 D8 01 81 | 30 |
    /// 3 x (88 11 10 | E_DEK(key) | 03 | KCV)`.
    pub(crate) fn put_key(&self, issuer: &StaticKeys) -> Result<Vec<u8>> {
        if self.kvn != KVN_TRANSPORT {
            return Err(HsmError::WrongState {
                state: "in a session under the issuer's keys".to_owned(),
                needs: "a blank card: its transport set was replaced already".to_owned(),
            });
        }
        let mut data = vec![KVN_ISSUER];
        for key in [&issuer.enc, &issuer.mac, &issuer.dek] {
            data.extend_from_slice(&[0x88, 0x11, 0x10]);
            data.extend_from_slice(&self.encrypt(*key.expose()));
            data.push(3);
            data.extend_from_slice(&kcv(key, SuiteId::Aes, KcvKind::GlobalPlatform));
        }
        Ok(apdu::build(0x80, 0xD8, KVN_TRANSPORT, 0x81, &data, Some(256)).to_vec())
    }

    /// E_DEK: AES-CBC with zero IV under the static DEK.
    pub(crate) fn encrypt(&self, mut block: [u8; 16]) -> [u8; 16] {
        self.dek.encrypt_cbc(SuiteId::Aes, &[0; 16], &mut block);
        block
    }
}

/// The answer to `scp03_open`.
pub(crate) const fn opened(session: SessionId, external_authenticate: Vec<u8>) -> Opened {
    Opened {
        session,
        external_authenticate,
    }
}

/// A short command APDU taken apart.
struct Plain<'a> {
    header: [u8; 4],
    data: &'a [u8],
    le: Option<u8>,
}

impl<'a> Plain<'a> {
    fn parse(command: &'a [u8], encrypts: bool) -> Result<Self> {
        let (header, body) = command
            .split_first_chunk::<4>()
            .ok_or_else(|| malformed("a command has at least four bytes"))?;
        let (data, le): (&[u8], _) = match body {
            [] => (&[], None),
            [le] => (&[], Some(*le)),
            [lc, rest @ ..] => match rest.split_at_checked(usize::from(*lc)) {
                Some((data, [])) if !data.is_empty() => (data, None),
                Some((data, [le])) if !data.is_empty() => (data, Some(*le)),
                _ => return Err(malformed("a command's Lc does not fit its length")),
            },
        };
        let most = if encrypts { 239 } else { 247 };
        if data.len() > most {
            return Err(HsmError::Malformed {
                why: format!("a command carries at most {most} bytes at this security level"),
            });
        }
        if header[0] & 0x04 != 0 {
            return Err(malformed(
                "the command is already marked as protected (CLA bit 3)",
            ));
        }
        Ok(Self {
            header: *header,
            data,
            le,
        })
    }
}

pub(crate) fn malformed(why: &str) -> HsmError {
    HsmError::Malformed {
        why: why.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use hex_literal::hex;
    use proptest::prelude::*;

    fn keys() -> StaticKeys {
        StaticKeys {
            enc: Key::new(hex!("000102030405060708090a0b0c0d0e0f")),
            mac: Key::new(hex!("101112131415161718191a1b1c1d1e1f")),
            dek: Key::new(hex!("202122232425262728292a2b2c2d2e2f")),
        }
    }

    fn answer() -> InitializeUpdateAnswer {
        InitializeUpdateAnswer {
            diversification: [0; 10],
            kvn: 0x30,
            i: 0x70,
            challenge: hex!("3b1aca81e821f219"),
            cryptogram: hex!("081cdc01c26b372d"),
            sequence: [0; 3],
        }
    }

    /// The published SCP03 session (keys 00..0f / 10..1f / 20..2f, KVN 30, i = 70).
    #[test]
    fn published_external_authenticate() {
        let host = hex!("fdf38259a1e0de44");
        let (_, command) = OpenSession::open(&keys(), &host, &answer(), 0x33).expect("opens");
        assert_eq!(command, hex!("84823300108c36f96bcc00724a4e13ad591d7da3f0"));
        let mut wrong = answer();
        wrong.cryptogram[7] ^= 1;
        assert!(matches!(
            OpenSession::open(&keys(), &host, &wrong, 0x33),
            Err(HsmError::NotAuthentic { .. })
        ));
        assert!(OpenSession::open(&keys(), &host, &answer(), 0x02).is_err());
    }

    fn open(level: u8) -> OpenSession {
        OpenSession::open(&keys(), &hex!("fdf38259a1e0de44"), &answer(), level)
            .expect("opens")
            .0
    }

    /// The card's side, computed here from card-spec: MAC over what arrived, then decryption.
    #[test]
    fn a_card_undoes_every_level() {
        for level in level::ALL {
            let host = hex!("fdf38259a1e0de44");
            let mut card = Handshake::derive(&keys(), &host, &answer().challenge);
            let _ = card
                .session
                .c_mac([0x84, 0x82, level, 0, 0x10], &card.host_cryptogram);
            let plain: Vec<Vec<u8>> = vec![
                hex!("80E28800 03 010203").to_vec(),
                hex!("80F24000 00").to_vec(),
                hex!("80E28801 10 000102030405060708090a0b0c0d0e0f 00").to_vec(),
            ];
            let sent = open(level).wrap(&plain).expect("wrapped");
            for (sent, plain) in sent.iter().zip(&plain) {
                card.session.next_command();
                let lc = usize::from(sent[4]);
                let (data, mac) = sent[5..5 + lc].split_at(lc - 8);
                let header: [u8; 5] = sent[..5].try_into().expect("five");
                let chain = card.session.peek_c_mac(header, data);
                assert_eq!(mac, &chain[..8]);
                card.session.accept(chain);
                let mut data = data.to_vec();
                if level & 2 != 0 && !data.is_empty() {
                    card.session.decrypt_command(&mut data);
                    let n = card_spec::scp03::unpad(&data).expect("padding");
                    data.truncate(n);
                }
                assert_eq!(header[0], 0x84);
                let expected = if plain.len() > 5 {
                    &plain[5..5 + usize::from(plain[4])]
                } else {
                    &[]
                };
                assert_eq!(data, expected);
                let le = if plain.len() == 5 || plain[5..].len() > expected.len() {
                    plain.last()
                } else {
                    None
                };
                assert_eq!(sent.get(5 + lc), le);
            }
        }
    }

    #[test]
    fn a_refused_list_moves_nothing() {
        let good = vec![hex!("80E28800 03 010203").to_vec()];
        let mut bad = good.clone();
        bad.push(vec![0x80, 0xE2, 0x88]);
        let (mut a, mut b) = (open(0x03), open(0x03));
        assert!(a.wrap(&bad).is_err());
        assert_eq!(a.wrap(&good), b.wrap(&good));
    }

    fn client(name: &str, role: Role) -> Caller {
        Caller {
            name: name.to_owned(),
            certified: Some((role, [1; 32])),
            serial: None,
        }
    }

    #[test]
    fn a_session_is_its_clients_alone() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let one = client("issuance", Role::Issuance);
        let id = sessions.insert(&one, now, open(0x01)).expect("room");
        for other in [
            client("issuance-2", Role::Issuance),
            client("issuance", Role::Officer),
            Caller::process("issuance".to_owned()),
        ] {
            let got = sessions.get(&other, now, id).map(|_| ());
            assert_eq!(got, Err(HsmError::UnknownSession));
            let removed = sessions.remove(&other, now, id);
            assert_eq!(removed, Err(HsmError::UnknownSession));
        }
        assert!(sessions.remove(&one, now, id).is_ok());
        let again = sessions.remove(&one, now, id);
        assert_eq!(again, Err(HsmError::UnknownSession));
    }

    #[test]
    fn a_session_that_is_not_used_ends() {
        let (mut sessions, start) = (Sessions::default(), Instant::now());
        let one = client("issuance", Role::Issuance);
        let id = sessions.insert(&one, start, open(0x01)).expect("room");
        let almost = Duration::from_secs(299);
        assert!(sessions.get(&one, start + almost, id).is_ok());
        // Every use begins the time anew.
        assert!(sessions.get(&one, start + almost * 2, id).is_ok());
        let late = start + almost * 2 + IDLE_MAX;
        let got = sessions.get(&one, late, id).map(|_| ());
        assert_eq!(got, Err(HsmError::UnknownSession));
        assert!(sessions.open.is_empty(), "its keys are gone");
    }

    #[test]
    fn sessions_are_bounded() {
        let (mut sessions, now) = (Sessions::default(), Instant::now());
        let mut fill = |name: &str, count: usize| {
            let client = client(name, Role::Issuance);
            let ids = (0..count).map(|_| sessions.insert(&client, now, open(0x01)));
            ids.collect::<Result<Vec<_>>>()
        };
        let first = fill("a", CLIENT_MAX).expect("room");
        let more = fill("a", 1).expect("its oldest goes");
        for name in ["b", "c", "d", "e", "f", "g", "h"] {
            fill(name, CLIENT_MAX).expect("room");
        }
        // Nobody takes another's place: who has none yet waits.
        assert!(matches!(fill("i", 1), Err(HsmError::Unavailable { .. })));
        let a = client("a", Role::Issuance);
        assert!(sessions.get(&a, now, first[0]).is_err());
        assert!(sessions.get(&a, now, first[1]).is_ok());
        assert!(sessions.get(&a, now, more[0]).is_ok());
        // Until some are idle.
        let later = now + IDLE_MAX;
        let i = client("i", Role::Issuance);
        assert!(sessions.insert(&i, later, open(0x01)).is_ok());
    }

    proptest! {
        #[test]
        fn foreign_commands_never_panic(
            commands in proptest::collection::vec(proptest::collection::vec(any::<u8>(), 0..300), 0..4),
            level in prop::sample::select(level::ALL.to_vec()),
        ) {
            let _ = open(level).wrap(&commands);
        }
    }
}
