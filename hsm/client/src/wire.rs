//! Frames between [`crate::TcpHsm`] and `onecard hsm serve`.
//!
//! A frame is `version(1) | length(4, big-endian) | body`; the body is one JSON [`Request`] or
//! [`Response`]. A frame of another version or above [`MAX_FRAME`] ends the connection.

use std::io::{self, Read, Write};

use serde::{Deserialize, Serialize};

use crate::{
    AuthenticateRequest, CardCommand, DataItem, HsmError, KeyInfo, KeyOrder, LoadRequest, Opened,
    OverdraftRequest, OwnKeys, PinBlock, PinCheck, PinLetter, ProofCheck, ReadyCommand, Result,
    SamKeyRequest, SessionId, SignPurpose, Status,
};

/// First byte of every frame.
pub const FRAME_VERSION: u8 = 1;
/// Longest body, in bytes.
pub const MAX_FRAME: usize = 16 * 1024 * 1024;

/// One call of [`crate::Hsm`], with its arguments.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "call", rename_all = "kebab-case")]
pub enum Request {
    /// [`crate::Hsm::status`].
    Status,
    /// [`crate::Hsm::keys`].
    Keys,
    /// [`crate::Hsm::own_keys`].
    OwnKeys,
    /// [`crate::Hsm::scp03_open`].
    Scp03Open {
        /// Host challenge.
        host: [u8; 8],
        /// Answer to INITIALIZE UPDATE.
        init_update: Vec<u8>,
        /// Security level.
        level: u8,
    },
    /// [`crate::Hsm::scp03_wrap`].
    Scp03Wrap {
        /// Session.
        session: SessionId,
        /// Plain APDUs.
        commands: Vec<Vec<u8>>,
    },
    /// [`crate::Hsm::put_issuer_keys`].
    PutIssuerKeys {
        /// Session.
        session: SessionId,
    },
    /// [`crate::Hsm::wrap_keys`].
    WrapKeys {
        /// Session.
        session: SessionId,
        /// Which keys.
        order: KeyOrder,
    },
    /// [`crate::Hsm::first_pin`].
    FirstPin {
        /// Session.
        session: SessionId,
    },
    /// [`crate::Hsm::scp03_close`].
    Scp03Close {
        /// Session.
        session: SessionId,
    },
    /// [`crate::Hsm::verify`].
    Verify {
        /// Proofs.
        checks: Vec<ProofCheck>,
    },
    /// [`crate::Hsm::authorize_load`].
    AuthorizeLoad {
        /// The load.
        request: Box<LoadRequest>,
    },
    /// [`crate::Hsm::sam_ceiling_mac`].
    SamCeilingMac {
        /// SAM number.
        sam: card_spec::id::SamNo,
        /// Version of its ceiling key.
        version: u8,
        /// The SAM's challenge.
        challenge: [u8; 8],
        /// New ceiling.
        ceiling: u32,
    },
    /// [`crate::Hsm::wrap_data`].
    WrapData {
        /// Plain data.
        items: Vec<DataItem>,
    },
    /// [`crate::Hsm::unwrap_data`].
    UnwrapData {
        /// Blobs.
        items: Vec<DataItem>,
    },
    /// [`crate::Hsm::index_data`].
    IndexData {
        /// Column.
        field: String,
        /// Its values.
        values: Vec<String>,
    },
    /// [`crate::Hsm::sign`].
    Sign {
        /// Which key.
        purpose: SignPurpose,
        /// What is signed.
        message: Vec<u8>,
    },
    /// [`crate::Hsm::public_key`].
    PublicKey {
        /// Which key.
        purpose: SignPurpose,
    },
    /// [`crate::Hsm::random`].
    Random {
        /// Bytes wanted.
        length: usize,
    },
    /// [`crate::Hsm::card_command`].
    CardCommand {
        /// The order.
        request: Box<CardCommand>,
    },
    /// [`crate::Hsm::authorize_overdraft`].
    AuthorizeOverdraft {
        /// The change.
        request: Box<OverdraftRequest>,
    },
    /// [`crate::Hsm::authenticate_to_card`].
    AuthenticateToCard {
        /// Which card, which key.
        request: AuthenticateRequest,
    },
    /// [`crate::Hsm::sam_write_key`].
    SamWriteKey {
        /// Which SAM, which key.
        request: SamKeyRequest,
    },
    /// [`crate::Hsm::translate_pin`].
    TranslatePin {
        /// Card number.
        pan: card_spec::id::Pan,
        /// The block.
        block: PinBlock,
        /// Version wanted.
        to: u8,
    },
    /// [`crate::Hsm::verify_pin`].
    VerifyPin {
        /// Both blocks.
        check: PinCheck,
    },
}

/// The answer to one [`Request`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "answer", content = "value", rename_all = "kebab-case")]
pub enum Response {
    /// To `Status`.
    Status(Status),
    /// To `Keys`.
    Keys(Vec<KeyInfo>),
    /// To `OwnKeys`.
    OwnKeys(OwnKeys),
    /// To `Scp03Open`.
    Opened(Opened),
    /// To `Scp03Wrap`, `WrapKeys`, `WrapData` and `UnwrapData`.
    Many(Vec<Vec<u8>>),
    /// To `PutIssuerKeys`, `Sign`, `PublicKey`, `Random`, `AuthorizeOverdraft`,
    /// `AuthenticateToCard` and `SamWriteKey`.
    Bytes(Vec<u8>),
    /// To `FirstPin`.
    Pin(PinLetter),
    /// To `Scp03Close`.
    Done,
    /// To `Verify`.
    Verified(Vec<Result<bool>>),
    /// To `IndexData`.
    Hashes(Vec<[u8; 32]>),
    /// To `AuthorizeLoad` and `SamCeilingMac`.
    Mac([u8; 4]),
    /// To `CardCommand`.
    Ready(ReadyCommand),
    /// To `TranslatePin`.
    Block(PinBlock),
    /// To `VerifyPin`.
    Yes(bool),
    /// The call failed.
    Failed(HsmError),
}

impl Request {
    /// The body of a frame.
    pub fn to_body(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| malformed(&e))
    }

    /// From the body of a frame.
    pub fn from_body(body: &[u8]) -> Result<Self> {
        serde_json::from_slice(body).map_err(|e| malformed(&e))
    }
}

impl Response {
    /// The body of a frame.
    pub fn to_body(&self) -> Result<Vec<u8>> {
        serde_json::to_vec(self).map_err(|e| malformed(&e))
    }

    /// From the body of a frame.
    pub fn from_body(body: &[u8]) -> Result<Self> {
        serde_json::from_slice(body).map_err(|e| malformed(&e))
    }
}

fn malformed(error: &serde_json::Error) -> HsmError {
    HsmError::Malformed {
        why: error.to_string(),
    }
}

/// Why a frame could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// The connection failed, or ended inside a frame.
    #[error("connection: {0}")]
    Io(#[from] io::Error),
    /// The peer speaks another version.
    #[error(
        "frame version {0}, expected {FRAME_VERSION}: client and HSM are of different releases"
    )]
    Version(u8),
    /// Longer than [`MAX_FRAME`].
    #[error("frame of {0} bytes, at most {MAX_FRAME}: send fewer items in one call")]
    TooLong(usize),
}

/// Writes one frame and flushes.
pub fn write_frame(writer: &mut impl Write, body: &[u8]) -> core::result::Result<(), FrameError> {
    let length = u32::try_from(body.len())
        .ok()
        .filter(|_| body.len() <= MAX_FRAME)
        .ok_or(FrameError::TooLong(body.len()))?;
    let [a, b, c, d] = length.to_be_bytes();
    writer.write_all(&[FRAME_VERSION, a, b, c, d])?;
    writer.write_all(body)?;
    writer.flush()?;
    Ok(())
}

/// Reads one frame's body; `None` when the peer closed between frames.
pub fn read_frame(reader: &mut impl Read) -> core::result::Result<Option<Vec<u8>>, FrameError> {
    let mut version = [0; 1];
    loop {
        match reader.read(&mut version) {
            Ok(0) => return Ok(None),
            Ok(_) => break,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e.into()),
        }
    }
    let [version] = version;
    if version != FRAME_VERSION {
        return Err(FrameError::Version(version));
    }
    let mut length = [0; 4];
    reader.read_exact(&mut length)?;
    let length = usize::try_from(u32::from_be_bytes(length)).unwrap_or(usize::MAX);
    if length > MAX_FRAME {
        return Err(FrameError::TooLong(length));
    }
    // The buffer grows with what arrives, not with what was announced.
    let mut body = Vec::new();
    reader.by_ref().take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok(Some(body))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn frame_layout() {
        let mut out = Vec::new();
        write_frame(&mut out, b"{}").expect("memory");
        assert_eq!(out, [1, 0, 0, 0, 2, b'{', b'}']);
        assert_eq!(
            read_frame(&mut &out[..]).expect("frame"),
            Some(b"{}".to_vec())
        );
        assert_eq!(read_frame(&mut &[][..]).expect("closed"), None);
    }

    #[test]
    fn refuses_other_versions_lengths_and_torn_frames() {
        assert!(matches!(
            read_frame(&mut &[2, 0, 0, 0, 0][..]),
            Err(FrameError::Version(2))
        ));
        assert!(matches!(
            read_frame(&mut &[1, 0xFF, 0xFF, 0xFF, 0xFF][..]),
            Err(FrameError::TooLong(_))
        ));
        for cut in [1, 3, 5, 6] {
            let frame = [1, 0, 0, 0, 2, b'{', b'}'];
            assert!(matches!(
                read_frame(&mut &frame[..cut]),
                Err(FrameError::Io(_))
            ));
        }
    }

    #[test]
    fn errors_and_answers_survive_the_wire() {
        for response in [
            Response::Done,
            Response::Verified(vec![Ok(true), Err(HsmError::UnknownSession)]),
            Response::Mac([1, 2, 3, 4]),
            Response::Failed(HsmError::Refused { why: "x".into() }),
        ] {
            let body = response.to_body().expect("serialisable");
            assert_eq!(Response::from_body(&body), Ok(response));
        }
        let request = Request::Sign {
            purpose: SignPurpose::Hotlist,
            message: vec![0, 255],
        };
        let body = request.to_body().expect("serialisable");
        assert_eq!(Request::from_body(&body), Ok(request));
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read_frame(&mut &bytes[..]);
            let _ = Request::from_body(&bytes);
            let _ = Response::from_body(&bytes);
        }
    }
}
