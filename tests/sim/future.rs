//! A later version of tanist, as far as bytes go: fields and messages that this version does not know.

/// Adds two fields to the outermost map of a message.
pub(crate) fn more_fields(bytes: &mut Vec<u8>) {
    let short = bytes.len() + 24 <= tanist::wire::DATAGRAM_MAX;
    if bytes.first().is_some_and(|b| (0x80..0x8e).contains(b)) && short {
        bytes[0] += 2;
        text(bytes, "mood");
        bytes.push(0xc0);
        text(bytes, "colours");
        bytes.extend([0x92, 0x01, 0x81]);
        text(bytes, "a");
        bytes.push(0xc3);
    }
}

fn text(out: &mut Vec<u8>, text: &str) {
    out.push(0xa0 | u8::try_from(text.len()).expect("short"));
    out.extend(text.bytes());
}

/// A frame that only later versions know.
pub(crate) fn unknown_frame(cluster: &str) -> Vec<u8> {
    let mut out = vec![0x84];
    text(&mut out, "v");
    out.push(1);
    text(&mut out, "c");
    text(&mut out, cluster);
    text(&mut out, "t");
    text(&mut out, "telepathy");
    text(&mut out, "b");
    out.extend([0x81]);
    text(&mut out, "thought");
    out.push(42);
    out
}
