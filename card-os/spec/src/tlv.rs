//! BER-TLV as the card uses it: one- and two-byte tags, definite lengths up to 65,535.

/// Reads TLV objects from a byte string, one level at a time.
#[derive(Debug, Clone)]
pub struct Tlv<'a> {
    rest: &'a [u8],
}

impl<'a> Tlv<'a> {
    /// Starts at the first object.
    pub const fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// The value of the first object with this tag, at this level.
    pub fn find(bytes: &'a [u8], tag: u16) -> Option<&'a [u8]> {
        Self::new(bytes).find_map(|(t, value)| (t == tag).then_some(value))
    }
}

impl<'a> Iterator for Tlv<'a> {
    type Item = (u16, &'a [u8]);

    /// The next object; `None` at the end and at the first malformed byte.
    fn next(&mut self) -> Option<Self::Item> {
        let (&first, mut rest) = self.rest.split_first()?;
        let mut tag = u16::from(first);
        if first & 0x1F == 0x1F {
            let (&second, after) = rest.split_first()?;
            if second & 0x80 != 0 {
                return None;
            }
            tag = tag << 8 | u16::from(second);
            rest = after;
        }
        let (&length, after) = rest.split_first()?;
        let (length, after) = match length {
            0..=0x7F => (usize::from(length), after),
            0x81 => {
                let (&l, after) = after.split_first()?;
                (usize::from(l), after)
            }
            0x82 => {
                let (l, after) = after.split_first_chunk::<2>()?;
                (usize::from(u16::from_be_bytes(*l)), after)
            }
            _ => return None,
        };
        let (value, rest) = after.split_at_checked(length)?;
        self.rest = rest;
        Some((tag, value))
    }
}

#[cfg(test)]
mod tests {
    use super::Tlv;

    #[test]
    fn finds_two_byte_tags_and_stops_at_garbage() {
        let bytes = [0x9F, 0x0C, 0x02, 0xAA, 0xBB, 0x84, 0x01, 0x01];
        assert_eq!(Tlv::find(&bytes, 0x9F0C), Some(&[0xAA, 0xBB][..]));
        assert_eq!(Tlv::find(&bytes, 0x84), Some(&[0x01][..]));
        assert_eq!(Tlv::new(&[0x84, 0x05, 0x00]).next(), None);
        assert_eq!(Tlv::new(&[0x9F]).next(), None);
    }
}
