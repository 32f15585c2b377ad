//! What arrives on the HSM's connection. A header is refused or says the same when written again. A
//! body is refused or is a call (an answer) that, written again, is read as the same; it is of its
//! header's operation, and no longer than a frame. Written by us, nothing is refused.
//!
//! The input is a stream: frames one after another, to the first that is none.

use hsm_client::{
    Operation,
    frame::{
        BODY_MAX, HEADER_LENGTH, Header, Kind, answer_frame, parse_request, parse_response,
        request_frame,
    },
};

/// Runs one input.
pub fn run(mut bytes: &[u8]) {
    while let Some((head, rest)) = bytes.split_first_chunk::<HEADER_LENGTH>() {
        let Ok(header) = Header::parse(*head) else {
            return;
        };
        assert_eq!(header.to_bytes(), *head, "a header has one form");
        assert!(header.length as usize <= BODY_MAX);
        // As much of the body as there is: a cut one is an error, never a wait.
        let (body, rest) = rest.split_at((header.length as usize).min(rest.len()));
        match header.kind {
            Kind::Request => request(&header, body),
            Kind::Answer => answer(&header, body),
        }
        bytes = rest;
    }
}

/// The body of a frame of ours.
fn own(frame: &[u8]) -> &[u8] {
    let (head, body) = frame
        .split_first_chunk::<HEADER_LENGTH>()
        .expect("a whole header");
    let header = Header::parse(*head).expect("our own header");
    assert_eq!(header.length as usize, body.len());
    body
}

fn request(header: &Header, body: &[u8]) {
    let Some(operation) = Operation::from_number(header.operation) else {
        return;
    };
    let Ok(request) = parse_request(operation, body) else {
        return;
    };
    assert_eq!(request.operation(), operation);
    assert!(request.items() <= body.len(), "items out of nothing");
    let frame = request_frame(header.id, header.word, &request).expect("as long as what we read");
    assert_eq!(parse_request(operation, own(&frame)), Ok(request));
}

fn answer(header: &Header, body: &[u8]) {
    let Ok(response) = parse_response(body) else {
        return;
    };
    let frame = answer_frame(header, &response);
    assert_eq!(parse_response(own(&frame)), Ok(response));
}
