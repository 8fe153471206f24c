//! Whole numbers as headers carry them.

/// The number in a field of digits alone, `None` for anything else. One too large to hold is the largest there is, as
/// RFC 9111, section 1.2.2, has it.
///
/// `str::parse` would take a plus sign, and refuse a large number like garbage.
pub(crate) fn parse(field: &[u8]) -> Option<u64> {
    if field.is_empty() || !field.iter().all(u8::is_ascii_digit) {
        return None;
    }
    Some(field.iter().fold(0_u64, |number, digit| {
        number.saturating_mul(10).saturating_add(u64::from(digit - b'0'))
    }))
}
