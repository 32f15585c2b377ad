//! Command APDUs, built by the sender's side. (The card decodes with the `iso7816` crate.)

use heapless::Vec;

/// A short command APDU: header, optional Lc and data, optional Le.
pub type Apdu = Vec<u8, 261>;

/// Case 1 or 2: no data. `le` 256 is sent as 00; `None` sends no Le.
pub fn read(cla: u8, ins: u8, p1: u8, p2: u8, le: Option<u16>) -> Apdu {
    build(cla, ins, p1, p2, &[], le)
}

/// Case 3 or 4: with data (at most 255 bytes; longer data is cut, which no caller does).
pub fn build(cla: u8, ins: u8, p1: u8, p2: u8, data: &[u8], le: Option<u16>) -> Apdu {
    debug_assert!(data.len() <= 255, "short APDU");
    let data = &data[..data.len().min(255)];
    let mut apdu = Apdu::new();
    // Capacity: 4 + 1 + 255 + 1 = 261, so none of these can fail.
    let _ = apdu.extend_from_slice(&[cla, ins, p1, p2]);
    if !data.is_empty() {
        let _ = apdu.push(data.len() as u8);
        let _ = apdu.extend_from_slice(data);
    }
    if let Some(le) = le {
        let _ = apdu.push((le & 0xFF) as u8);
    }
    apdu
}

/// SELECT by DF name (AID).
pub fn select(aid: &[u8]) -> Apdu {
    build(0x00, 0xA4, 0x04, 0x00, aid, Some(256))
}

/// SELECT an elementary file under the current DF, as social-security readers do (`00A4020002`).
pub fn select_ef(fid: u16) -> Apdu {
    build(0x00, 0xA4, 0x02, 0x00, &fid.to_be_bytes(), Some(256))
}

/// READ BINARY of a short file identifier from offset 0.
pub fn read_binary(sfi: u8, offset: u8, le: u16) -> Apdu {
    read(0x00, 0xB0, 0x80 | sfi, offset, Some(le))
}

/// READ RECORD by number.
pub fn read_record(sfi: u8, number: u8, le: u16) -> Apdu {
    read(0x00, 0xB2, number, (sfi << 3) | 4, Some(le))
}

/// APPEND RECORD.
pub fn append_record(sfi: u8, record: &[u8]) -> Apdu {
    build(0x00, 0xE2, 0x00, sfi << 3, record, None)
}

/// SEARCH RECORD, forward from a record number (1: all).
pub fn search_record(sfi: u8, from: u8, wanted: &[u8]) -> Apdu {
    build(0x00, 0xA2, from, sfi << 3 | 4, wanted, Some(256))
}

/// GET CHALLENGE.
pub fn get_challenge(length: u8) -> Apdu {
    read(0x00, 0x84, 0, 0, Some(u16::from(length)))
}

/// GET RESPONSE.
pub fn get_response(length: u16) -> Apdu {
    read(0x00, 0xC0, 0, 0, Some(length))
}

/// VERIFY a PIN: two to six packed bytes.
pub fn verify(pin_id: u8, pin: &[u8]) -> Apdu {
    build(0x00, 0x20, 0x00, pin_id, pin, None)
}
