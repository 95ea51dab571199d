//! Numbers to bytes and back: the alphabet of [`super::block`]. Pure.
//!
//! Times are differences of differences and values are compared bit by bit with the one before, as in
//! Facebook's Gorilla (Pelkonen et al., VLDB 2015), but in whole bytes: half as dense and far simpler, and a
//! damaged byte is found by length checks.

/// A block whose bytes do not say what a block must say: the file is damaged.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a block of recorded samples is damaged")]
pub(super) struct DamagedBlock;

/// Bits of a byte of a varint that carry the number.
const VARINT_BITS: u32 = 7;
/// Bytes of the longest varint: 64 bits at seven each.
const VARINT_BYTES_MAX: u32 = 10;

/// Writes a number in as many bytes as it needs, seven bits each, the lowest first.
pub(super) fn put_varint(out: &mut Vec<u8>, mut number: u64) {
    while number >= 1 << VARINT_BITS {
        out.push((number & 0x7f) as u8 | 0x80);
        number >>= VARINT_BITS;
    }
    out.push(number as u8);
}

/// Writes a signed number so that small ones of either sign are short.
pub(super) fn put_signed(out: &mut Vec<u8>, number: i64) {
    put_varint(out, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Writes how a value differs from the one before: a byte with the number of leading zero bytes (high half)
/// and of the bytes that follow (low half), then those. An equal value is one zero byte.
pub(super) fn put_value(out: &mut Vec<u8>, value: f64, before: f64) {
    let differs = value.to_bits() ^ before.to_bits();
    if differs == 0 {
        out.push(0);
        return;
    }
    let leading = differs.leading_zeros() / 8;
    let trailing = differs.trailing_zeros() / 8;
    let length = 8 - leading - trailing;
    out.push((leading << 4 | length) as u8);
    let bytes = differs.to_be_bytes();
    out.extend(bytes.iter().skip(leading as usize).take(length as usize));
}

/// The largest first byte that [`put_value`] writes; those above are free for other meanings.
pub(super) const VALUE_TAG_MAX: u8 = 0x78;

/// Reads what the functions above wrote.
#[derive(Debug)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Bytes<'a> {
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn byte(&mut self) -> Result<u8, DamagedBlock> {
        let (first, rest) = self.0.split_first().ok_or(DamagedBlock)?;
        self.0 = rest;
        Ok(*first)
    }

    pub(super) fn take(&mut self, length: u64) -> Result<&'a [u8], DamagedBlock> {
        let length = usize::try_from(length).map_err(|_| DamagedBlock)?;
        let (taken, rest) = self.0.split_at_checked(length).ok_or(DamagedBlock)?;
        self.0 = rest;
        Ok(taken)
    }

    pub(super) fn varint(&mut self) -> Result<u64, DamagedBlock> {
        let mut number = 0u64;
        for place in 0..VARINT_BYTES_MAX {
            let byte = self.byte()?;
            number |= u64::from(byte & 0x7f) << (place * VARINT_BITS);
            if byte & 0x80 == 0 {
                return Ok(number);
            }
        }
        Err(DamagedBlock)
    }

    pub(super) fn signed(&mut self) -> Result<i64, DamagedBlock> {
        let number = self.varint()?;
        Ok((number >> 1).cast_signed() ^ -((number & 1).cast_signed()))
    }

    pub(super) fn value(&mut self, before: f64) -> Result<f64, DamagedBlock> {
        let tag = self.byte()?;
        self.value_after(tag, before)
    }

    /// A value whose first byte has been read.
    pub(super) fn value_after(&mut self, tag: u8, before: f64) -> Result<f64, DamagedBlock> {
        let (leading, length) = (u32::from(tag >> 4), u32::from(tag & 0xf));
        if leading + length > 8 {
            return Err(DamagedBlock);
        }
        let mut differs = 0u64;
        for byte in self.take(u64::from(length))? {
            differs = differs << 8 | u64::from(*byte);
        }
        if length > 0 {
            differs <<= 8 * (8 - leading - length);
        }
        Ok(f64::from_bits(before.to_bits() ^ differs))
    }
}

/// Bits of the fraction that are cut from a number by [`rounded`].
const CUT_BITS: u32 = 32;

/// The value to 20 binary digits after the first (one part in two million), which is far finer than loads are
/// measured and keeps whole numbers below two million exact. What is left of the number takes half the bytes.
pub(super) fn rounded(value: f64) -> f64 {
    let keep = |bits: u64| f64::from_bits(bits >> CUT_BITS << CUT_BITS);
    let up = keep(value.to_bits().wrapping_add(1 << (CUT_BITS - 1)));
    if up.is_finite() { up } else { keep(value.to_bits()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    proptest::proptest! {
        #[test]
        fn what_is_written_is_read(number: u64, signed: i64, value: f64, before: f64) {
            let mut out = Vec::new();
            put_varint(&mut out, number);
            put_signed(&mut out, signed);
            put_value(&mut out, value, before);
            let mut bytes = Bytes(&out);
            proptest::prop_assert_eq!(bytes.varint(), Ok(number));
            proptest::prop_assert_eq!(bytes.signed(), Ok(signed));
            let read = bytes.value(before).map(f64::to_bits);
            proptest::prop_assert_eq!(read, Ok(value.to_bits()));
            proptest::prop_assert!(bytes.is_empty());
        }

        #[test]
        fn damaged_bytes_are_an_error_and_never_a_panic(bytes: Vec<u8>) {
            let mut bytes = Bytes(&bytes);
            while !bytes.is_empty() {
                if bytes.varint().is_err() || bytes.value(0.0).is_err() {
                    break;
                }
            }
        }

        #[test]
        fn rounding_keeps_the_order_and_the_size(a in -1e300f64..1e300, b in -1e300f64..1e300) {
            let (low, high) = if a <= b { (a, b) } else { (b, a) };
            proptest::prop_assert!(rounded(low) <= rounded(high));
            proptest::prop_assert!((rounded(a) - a).abs() <= a.abs() * 5e-7);
        }
    }

    #[test]
    fn equal_and_round_numbers_are_short() {
        let length = |value: f64, before: f64| {
            let mut out = Vec::new();
            put_value(&mut out, value, before);
            out.len()
        };
        assert_eq!(length(7.0, 7.0), 1);
        assert_eq!(length(8.0, 7.0), 2);
        assert_eq!(length(0.1, 7.0), 9);
        assert_eq!(rounded(1_999_999.0), 1_999_999.0);
    }
}
