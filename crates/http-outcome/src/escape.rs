//! Any text, made fit for JSON and for a gRPC message.

use std::fmt::Write as _;

/// How much of a text goes into `grpc-message`: peers refuse a block of headers of more than a few kilobytes, and with it
/// the whole answer. Percent-encoded, this is at most 3 KiB.
const LONGEST_MESSAGE: usize = 1_024;

/// Appends a JSON string, quotes and all: RFC 8259, section 7.
pub(crate) fn json_string(out: &mut String, text: &str) {
    out.push('"');
    for c in text.chars() {
        match c {
            '"' => out.push_str("\\\""),
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            // U+007F and above are fine in JSON as they are; C0 controls are not.
            '\0'..='\u{1f}' => {
                let _ = write!(out, "\\u{:04x}", u32::from(c));
            }
            _ => out.push(c),
        }
    }
    out.push('"');
}

/// Percent-encodes as "gRPC over HTTP2" asks of `grpc-message`: all but printable ASCII, and `%` itself.
pub(crate) fn grpc_message(text: &str) -> String {
    let text = &text[..floor_char_boundary(text, LONGEST_MESSAGE)];
    let mut out = String::with_capacity(text.len());
    for byte in text.bytes() {
        if matches!(byte, b' '..=b'~') && byte != b'%' {
            out.push(char::from(byte));
        } else {
            let _ = write!(out, "%{byte:02X}");
        }
    }
    out
}

/// The last boundary between characters at or before `at`.
fn floor_char_boundary(text: &str, at: usize) -> usize {
    if at >= text.len() {
        return text.len();
    }
    (0..=at).rev().find(|&i| text.is_char_boundary(i)).unwrap_or(0)
}
