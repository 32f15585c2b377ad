//! Packed decimal (`cn`): two digits a byte.

use crate::FormatError;

/// Packs a number below 100.
pub const fn pack(value: u8) -> u8 {
    ((value / 10) << 4) | (value % 10)
}

/// Unpacks one byte; both nibbles must be decimal.
pub const fn unpack(byte: u8) -> Result<u8, FormatError> {
    if byte >> 4 > 9 || byte & 0x0F > 9 {
        return Err(FormatError::Digit);
    }
    Ok((byte >> 4) * 10 + (byte & 0x0F))
}

/// Packs ASCII digits; the text must have exactly `2 * N` of them.
pub fn pack_digits<const N: usize>(text: &str) -> Result<[u8; N], FormatError> {
    let bytes = text.as_bytes();
    if bytes.len() != 2 * N {
        return Err(FormatError::Length);
    }
    let mut out = [0; N];
    for (target, pair) in out.iter_mut().zip(bytes.chunks_exact(2)) {
        if !pair.iter().all(u8::is_ascii_digit) {
            return Err(FormatError::Digit);
        }
        *target = ((pair[0] - b'0') << 4) | (pair[1] - b'0');
    }
    Ok(out)
}

/// Whether every nibble is a decimal digit.
pub fn is_decimal(bytes: &[u8]) -> bool {
    bytes.iter().all(|b| unpack(*b).is_ok())
}

/// Writes the bytes as hexadecimal digits, which for packed decimal are the digits.
pub(crate) fn write_hex(f: &mut core::fmt::Formatter<'_>, bytes: &[u8]) -> core::fmt::Result {
    bytes.iter().try_for_each(|b| write!(f, "{b:02X}"))
}
