//! Frames between [`crate::RemoteHsm`] and `onecard hsm serve`, inside TLS.
//!
//! ```text
//! version 1 | kind 1 | operation 2 | id 4 | word 4 | length 4 | body
//! ```
//! Integers are big-endian. Kind 01 is a request: `word` is how many milliseconds its caller still
//! waits. Kind 02 is an answer: operation and id are the request's, `word` is the outcome (0, or
//! the number of the [`HsmError`]). The body is a [`Request`] or [`Response`] in postcard's
//! encoding; a request's first byte is its operation again. What is no frame ends the connection.

use std::io::{self, Read, Write};

use serde::{Serialize, de::DeserializeOwned};

use crate::{HsmError, Operation, Request, Response, Result};

/// First byte of every frame.
pub const FRAME_VERSION: u8 = 2;
/// Longest body, in bytes.
pub const BODY_MAX: usize = 4 * 1024 * 1024;
/// Length of a header.
pub const HEADER_LENGTH: usize = 16;

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// From the client.
    Request,
    /// From the server.
    Answer,
}

/// Everything of a frame but its body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// Request or answer.
    pub kind: Kind,
    /// Number of the operation; an unknown one is answered, not cut off.
    pub operation: u16,
    /// Chosen by the client, repeated in the answer.
    pub id: u32,
    /// Request: milliseconds left. Answer: outcome.
    pub word: u32,
    /// Length of the body, at most [`BODY_MAX`].
    pub length: u32,
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
    /// Neither request nor answer, or not what was expected.
    #[error("frame kind {0}: the peer does not speak the HSM's protocol")]
    Kind(u8),
    /// Longer than [`BODY_MAX`].
    #[error("frame of {0} bytes, at most {BODY_MAX}: send fewer items in one call")]
    TooLong(usize),
}

impl Header {
    /// Parses and checks a header.
    pub fn parse(bytes: [u8; HEADER_LENGTH]) -> core::result::Result<Self, FrameError> {
        let [
            version,
            kind,
            o0,
            o1,
            i0,
            i1,
            i2,
            i3,
            w0,
            w1,
            w2,
            w3,
            l0,
            l1,
            l2,
            l3,
        ] = bytes;
        if version != FRAME_VERSION {
            return Err(FrameError::Version(version));
        }
        let kind = match kind {
            1 => Kind::Request,
            2 => Kind::Answer,
            other => return Err(FrameError::Kind(other)),
        };
        let length = u32::from_be_bytes([l0, l1, l2, l3]);
        if length as usize > BODY_MAX {
            return Err(FrameError::TooLong(length as usize));
        }
        Ok(Self {
            kind,
            operation: u16::from_be_bytes([o0, o1]),
            id: u32::from_be_bytes([i0, i1, i2, i3]),
            word: u32::from_be_bytes([w0, w1, w2, w3]),
            length,
        })
    }

    /// The bytes of a header.
    pub fn to_bytes(self) -> [u8; HEADER_LENGTH] {
        let kind = match self.kind {
            Kind::Request => 1,
            Kind::Answer => 2,
        };
        let [o0, o1] = self.operation.to_be_bytes();
        let [i0, i1, i2, i3] = self.id.to_be_bytes();
        let [w0, w1, w2, w3] = self.word.to_be_bytes();
        let [l0, l1, l2, l3] = self.length.to_be_bytes();
        [
            FRAME_VERSION,
            kind,
            o0,
            o1,
            i0,
            i1,
            i2,
            i3,
            w0,
            w1,
            w2,
            w3,
            l0,
            l1,
            l2,
            l3,
        ]
    }
}

/// A whole frame: the header with the body's length, and the body.
fn frame(kind: Kind, operation: u16, id: u32, word: u32, body: &impl Serialize) -> Result<Vec<u8>> {
    let malformed = |e: postcard::Error| HsmError::Malformed { why: e.to_string() };
    let mut out = postcard::to_extend(body, vec![0; HEADER_LENGTH]).map_err(malformed)?;
    let length = out.len() - HEADER_LENGTH;
    let length = u32::try_from(length)
        .ok()
        .filter(|_| length <= BODY_MAX)
        .ok_or_else(|| HsmError::Malformed {
            why: FrameError::TooLong(length).to_string(),
        })?;
    let header = Header {
        kind,
        operation,
        id,
        word,
        length,
    };
    if let Some(head) = out.first_chunk_mut() {
        *head = header.to_bytes();
    }
    Ok(out)
}

/// The frame of a request whose caller waits `millis` more.
pub fn request_frame(id: u32, millis: u32, request: &Request) -> Result<Vec<u8>> {
    let operation = request.operation().number();
    frame(Kind::Request, operation, id, millis, request)
}

/// The frame of an answer; when it does not fit, the frame that says so.
pub fn answer_frame(asked: &Header, response: &Response) -> Vec<u8> {
    let of = |response: &Response| {
        let outcome = match response {
            Response::Failed(error) => u32::from(error.code()),
            _ => 0,
        };
        frame(Kind::Answer, asked.operation, asked.id, outcome, response)
    };
    of(response)
        .or_else(|error| of(&Response::Failed(error)))
        .unwrap_or_default()
}

/// The request of a body, which is the header's operation and nothing after it.
pub fn parse_request(operation: Operation, body: &[u8]) -> Result<Request> {
    let request: Request = parse(body)?;
    if request.operation() == operation {
        return Ok(request);
    }
    Err(HsmError::Malformed {
        why: "the body is of another operation than its header".to_owned(),
    })
}

/// The response of a body.
pub fn parse_response(body: &[u8]) -> Result<Response> {
    parse(body)
}

fn parse<T: DeserializeOwned>(body: &[u8]) -> Result<T> {
    match postcard::take_from_bytes(body) {
        Ok((value, [])) => Ok(value),
        Ok(_) => Err(HsmError::Malformed {
            why: "bytes follow the end of the body".to_owned(),
        }),
        Err(error) => Err(HsmError::Malformed {
            why: error.to_string(),
        }),
    }
}

/// Reads one frame.
pub(crate) fn read_frame(
    reader: &mut impl Read,
) -> core::result::Result<(Header, Vec<u8>), FrameError> {
    let mut head = [0; HEADER_LENGTH];
    reader.read_exact(&mut head)?;
    let header = Header::parse(head)?;
    let length = header.length as usize;
    // The buffer grows with what arrives, not with what was announced.
    let mut body = Vec::new();
    reader.by_ref().take(length as u64).read_to_end(&mut body)?;
    if body.len() < length {
        return Err(io::Error::from(io::ErrorKind::UnexpectedEof).into());
    }
    Ok((header, body))
}

/// Writes a whole frame and flushes.
pub(crate) fn write_frame(writer: &mut impl Write, frame: &[u8]) -> io::Result<()> {
    writer.write_all(frame)?;
    writer.flush()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::SignPurpose;
    use proptest::prelude::*;

    /// Byte for byte: what is on the wire does not change unnoticed.
    #[test]
    fn layout_of_a_request_and_an_answer() {
        let request = Request::Sign {
            purpose: SignPurpose::Hotlist,
            message: vec![0xAA, 0xBB],
        };
        let frame = request_frame(0x0102_0304, 30_000, &request).expect("fits");
        // Operation 15; 30,000 ms; body: operation, purpose 0, two bytes.
        let expected = [
            2, 1, 0, 15, 1, 2, 3, 4, 0, 0, 0x75, 0x30, 0, 0, 0, 5, 15, 0, 2, 0xAA, 0xBB,
        ];
        assert_eq!(frame, expected);
        let (header, body) = read_frame(&mut &frame[..]).expect("frame");
        assert_eq!(parse_request(Operation::Sign, &body), Ok(request));
        let error = HsmError::UnknownSession;
        let answer = answer_frame(&header, &Response::Failed(error));
        // Outcome 5; body: the variant of a failure, the variant of the error.
        let expected = [2, 2, 0, 15, 1, 2, 3, 4, 0, 0, 0, 5, 0, 0, 0, 2, 14, 4];
        assert_eq!(answer, expected);
    }

    #[test]
    fn every_cut_is_an_end_and_every_foreign_header_an_error() {
        let frame = request_frame(1, 1, &Request::Status).expect("fits");
        for cut in 0..frame.len() {
            let error = read_frame(&mut &frame[..cut]).expect_err("cut");
            assert!(matches!(error, FrameError::Io(_)), "{cut}");
        }
        let with = |at: usize, value: u8| {
            let mut frame = frame.clone();
            frame[at] = value;
            read_frame(&mut &frame[..])
        };
        assert!(matches!(with(0, 1), Err(FrameError::Version(1))));
        assert!(matches!(with(1, 0), Err(FrameError::Kind(0))));
        assert!(matches!(with(12, 0xFF), Err(FrameError::TooLong(_))));
    }

    #[test]
    fn a_body_is_its_headers_operation_and_nothing_more() {
        let frame = request_frame(1, 1, &Request::Random { length: 8 }).expect("fits");
        let body = &frame[HEADER_LENGTH..];
        assert!(parse_request(Operation::Random, body).is_ok());
        assert!(parse_request(Operation::Status, body).is_err());
        let mut longer = body.to_vec();
        longer.push(0);
        assert!(parse_request(Operation::Random, &longer).is_err());
    }

    /// An answer that does not fit is an answer that says so, to the same question.
    #[test]
    fn an_answer_too_long_says_so() {
        let asked = Header {
            kind: Kind::Request,
            operation: Operation::Random.number(),
            id: 9,
            word: 0,
            length: 0,
        };
        let frame = answer_frame(&asked, &Response::Bytes(vec![0; BODY_MAX]));
        let (header, body) = read_frame(&mut &frame[..]).expect("frame");
        assert_eq!((header.id, header.word), (9, 7));
        assert!(matches!(
            parse_response(&body),
            Ok(Response::Failed(HsmError::Malformed { .. }))
        ));
    }

    #[test]
    fn errors_and_answers_survive_the_wire() {
        let refused = HsmError::Refused { why: "x".into() };
        for response in [
            Response::Done,
            Response::Verified(vec![Ok(true), Err(HsmError::UnknownSession)]),
            Response::Mac([1, 2, 3, 4]),
            Response::Failed(refused),
        ] {
            let body = postcard::to_stdvec(&response).expect("serialisable");
            assert_eq!(parse_response(&body), Ok(response));
        }
    }

    proptest! {
        #[test]
        fn foreign_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _ = read_frame(&mut &bytes[..]);
            let _ = parse_request(Operation::Verify, &bytes);
            let _ = parse_response(&bytes);
        }
    }
}
