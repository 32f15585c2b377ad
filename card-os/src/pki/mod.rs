//! The PKI application: a signing key that is made here and never leaves, the PIN that each
//! signature takes, and the certificate. The commands are in [`card_spec::pki`].
//!
//! A key that was replaced is no longer reachable, but its bytes stay in the memory's old pages
//! until the store uses them again, as those of every key and PIN do.

mod certificate;
mod command;
mod sm2;

pub(crate) use certificate::personalise;

use crate::{
    apdu::{self, Answer, Out, Outcome, put},
    card::Interface,
    counter::{ROW, Row},
    error::Error,
    file::{self, Access, Action, Current, File, Kind, Line, Secured},
    nvm::{Entropy, Nvm},
    pin,
    select::Challenge,
    store::Area,
};
use card_spec::{
    keys::{KeyType, class},
    pki::{
        CERTIFICATE, CERTIFICATE_MAX, COORDINATE, Digest, KEY_TEMPLATE_HEAD, PUBLIC_KEY,
        PUBLIC_KEY_HEAD, SIGN_PUBLIC_KEY,
    },
    sm,
};
use command::{COMMANDS, Op, part};

mod at {
    use super::{CERTIFICATE_MAX, COORDINATE, PUBLIC_FILE, ROW, Row, pin};

    /// Its maximum of tries is 0 until the application is personalised.
    /// Its maximum of tries comes first and is never zero.
    pub(super) const PIN: usize = crate::layout::PRESENT;
    pub(super) const UPDATE_ROW: Row = Row::mac(PIN + pin::PIN);
    pub(super) const PRIVATE: usize = PIN + pin::PIN + ROW;
    /// `length 2 | file 0012`; the length is 0 until there is a key.
    pub(super) const PUBLIC: usize = PRIVATE + COORDINATE;
    /// Signatures made with the key.
    pub(super) const USED: usize = PUBLIC + 2 + PUBLIC_FILE;
    /// Bytes of the certificate that were written.
    pub(super) const WRITTEN: usize = USED + 4;
    /// `length 2 | file 0018`; the length is 0 until the certificate is whole.
    pub(super) const CERTIFICATE: usize = WRITTEN + 2;
    pub(super) const END: usize = CERTIFICATE + 2 + CERTIFICATE_MAX;
}
const _: () = assert!(at::END <= crate::layout::PKI_AREA);

/// Bytes of file 0012.
const PUBLIC_FILE: usize = PUBLIC_KEY_HEAD.len() + PUBLIC_KEY;

const fn readable(fid: u16, at: usize, capacity: usize, write: Access) -> File {
    File {
        fid,
        kind: Kind::Transparent { at, capacity },
        read: Access::Contacts,
        write,
        line: Line::Mac,
    }
}

/// The public key is written by nothing but the making of a key.
pub(crate) static FILES: [File; 2] = [
    readable(SIGN_PUBLIC_KEY, at::PUBLIC, PUBLIC_FILE, Access::Never),
    readable(
        CERTIFICATE,
        at::CERTIFICATE,
        CERTIFICATE_MAX,
        Access::Key(KeyType::Uk, class::ONLY),
    ),
];

/// What the application remembers while it is selected.
#[derive(Default)]
pub(crate) struct Ram {
    pub(crate) current: Current,
    /// A verified PIN that nothing was done with yet.
    pin: Option<pin::Verified>,
    message: Message,
}

/// The message to sign.
#[derive(Default)]
enum Message {
    #[default]
    None,
    /// Parts came, and more will.
    Open(sm2::Hashing),
    Whole(Digest),
}

/// The application at work on one command.
pub(crate) struct Pki<'a, N> {
    pub(crate) area: Area<'a, N>,
    pub(crate) entropy: &'a mut dyn Entropy,
    pub(crate) ram: &'a mut Ram,
    pub(crate) challenge: &'a mut Option<Challenge>,
    pub(crate) interface: Interface,
}

/// Whether the application was personalised.
pub(crate) fn set_pin<N: Nvm>(
    area: &mut Area<'_, N>,
    tries: u8,
    value: &[u8],
) -> Result<(), Error> {
    pin::set(area, at::PIN, tries, value)
}

/// A key from the issuer makes the row that guards it new.
pub(crate) fn key_stored<N: Nvm>(area: &mut Area<'_, N>) {
    at::UPDATE_ROW.renew(area);
}

/// X | Y, if there is a key.
fn public_key<N: Nvm>(area: &Area<'_, N>) -> Option<[u8; PUBLIC_KEY]> {
    (area.u16(at::PUBLIC) != 0).then(|| area.array(at::PUBLIC + 2 + PUBLIC_KEY_HEAD.len()))
}

impl<N: Nvm> Pki<'_, N> {
    pub(crate) fn run(&mut self, c: &apdu::Command<'_>, out: &mut Out) -> Outcome {
        if self.interface == Interface::Contactless {
            return Err(Error::CONDITIONS);
        }
        // Parts of a message are one after the other, or the message is not what its sender thinks.
        let message = core::mem::take(&mut self.ram.message);
        if let Some(command) = file::Command::decode(c) {
            return self.file(command?, out);
        }
        let op = COMMANDS.find(c)?;
        if matches!(op, Op::GenerateKey | Op::PublicKey) && !matches!(c.data, [] | [0xB6, 0x00]) {
            return Err(Error::DATA);
        }
        match op {
            Op::HashPart => {
                self.ram.message = Message::Open(self.hash(message, part(c.data)?)?);
                Ok(Answer::Done)
            }
            Op::HashLast => {
                let digest = self.hash(message, c.data)?.end();
                self.ram.message = Message::Whole(digest);
                put(out, &digest);
                Ok(Answer::Done)
            }
            Op::Sign => {
                let Message::Whole(digest) = message else {
                    return Err(Error::CONDITIONS);
                };
                self.sign(&digest, out)
            }
            Op::Verify => {
                if let Message::Whole(_) = message {
                    self.ram.message = message;
                }
                self.verify(c.data)
            }
            Op::ChangePin => {
                self.ram.pin = None;
                pin::change(&mut self.area, at::PIN, c.data, self.interface)?;
                Ok(Answer::Done)
            }
            Op::GenerateKey => self.generate(out),
            Op::PublicKey => {
                let public = public_key(&self.area).ok_or(Error::REFERENCE)?;
                put(out, &KEY_TEMPLATE_HEAD);
                put(out, &public);
                Ok(Answer::Done)
            }
            Op::SignaturesMade => {
                put(out, &self.area.array::<4>(at::USED));
                Ok(Answer::Exact)
            }
            Op::NoSuchData => Err(Error::REFERENCE),
        }
    }

    fn verify(&mut self, candidate: &[u8]) -> Outcome {
        if candidate.is_empty() {
            return Err(pin::tries(&self.area, at::PIN));
        }
        self.ram.pin = None;
        let verified = pin::verify(&mut self.area, at::PIN, candidate, self.interface)?;
        self.ram.pin = Some(verified);
        Ok(Answer::Done)
    }

    /// Private key, public key, counter and the end of the old certificate are one commit.
    #[inline(never)]
    fn generate(&mut self, out: &mut Out) -> Outcome {
        self.ram.pin.take().ok_or(Error::SECURITY)?;
        let key = sm2::PrivateKey::generate(self.entropy)?;
        let public = key.public()?;
        self.area.write(at::PRIVATE, key.to_bytes().as_ref());
        let [c, l] = PUBLIC_KEY_HEAD;
        let head = [0, PUBLIC_FILE as u8, c, l];
        self.area.write(at::PUBLIC, &head);
        self.area.write(at::PUBLIC + head.len(), &public);
        self.area.write(at::USED, &[0; 4]);
        certificate::forget(&mut self.area);
        put(out, &KEY_TEMPLATE_HEAD);
        put(out, &public);
        Ok(Answer::Done)
    }

    fn hash(&self, message: Message, part: &[u8]) -> Result<sm2::Hashing, Error> {
        let mut hashing = match message {
            Message::Open(hashing) => hashing,
            Message::None | Message::Whole(_) => {
                sm2::Hashing::begin(&public_key(&self.area).ok_or(Error::REFERENCE)?)
            }
        };
        hashing.add(part);
        Ok(hashing)
    }

    /// The signature is counted before it is computed: whoever pulls the card out to watch it
    /// compute again and again is counted too.
    #[inline(never)]
    fn sign(&mut self, digest: &Digest, out: &mut Out) -> Outcome {
        let verified = self.ram.pin.take().ok_or(Error::SECURITY)?;
        let used = self.area.u32(at::USED);
        let used = used.checked_add(1).ok_or(Error::COUNTER)?;
        self.area.write(at::USED, &used.to_be_bytes());
        self.area.commit()?;
        let key = self.private_key(verified)?;
        put(out, &key.sign(digest, self.entropy)?);
        Ok(Answer::Done)
    }

    /// The private key, for one use of the PIN.
    fn private_key(&self, _used_up: pin::Verified) -> Result<sm2::PrivateKey, Error> {
        let bytes = zeroize::Zeroizing::new(self.area.array(at::PRIVATE));
        sm2::PrivateKey::from_bytes(&bytes).ok_or(Error::REFERENCE)
    }

    /// Reads in clear; writes under secure messaging.
    fn file(&mut self, command: file::Command<'_>, out: &mut Out) -> Outcome {
        let file = self.ram.current.file(&FILES, command.sfi)?;
        file.suits(command.action)?;
        match (command.action, command.secured) {
            (Action::UpdateBinary { offset }, Some(secured)) if file.fid == CERTIFICATE => {
                self.update_certificate(secured, offset, command.data)
            }
            (action, None) if !action.writes() => {
                let room = out.capacity();
                file.run(
                    &mut self.area,
                    &mut self.ram.current,
                    action,
                    command.data,
                    room,
                    out,
                )
            }
            _ => Err(Error::SECURITY),
        }
    }

    fn update_certificate(&mut self, secured: Secured, offset: usize, data: &[u8]) -> Outcome {
        let challenge = self.challenge.take().ok_or(Error::NO_CHALLENGE)?.as_iv();
        let slot = self.area.key_by_index(KeyType::Uk, class::ONLY)?;
        let expected = sm::mac(
            slot.header.suite,
            &slot.key,
            challenge,
            secured.header,
            data,
        );
        at::UPDATE_ROW.guard(&mut self.area, &expected, &secured.mac, Error::SM_WRONG)?;
        // The MAC was right, whatever is wrong with what it covers.
        self.area.commit()?;
        certificate::add(&mut self.area, offset, data)?;
        Ok(Answer::Done)
    }
}
