use super::*;
use redb::backends::InMemoryBackend;

/// A file with these bytes.
fn file(bytes: &[u8]) -> InMemoryBackend {
    let file = InMemoryBackend::new();
    file.set_len(bytes.len() as u64).expect("memory");
    file.write(0, bytes).expect("memory");
    file
}

fn written(generation: u64, synced: u64, contents: &[&[u8]]) -> Vec<u8> {
    let mut records = Records::new(HEADER, generation, synced);
    contents.iter().for_each(|content| records.push(Kind::Batch, content));
    let mut bytes = vec![0; HEADER as usize];
    bytes.append(&mut records.bytes);
    bytes
}

#[test]
fn what_is_written_is_read() {
    let long = vec![7; WINDOW + 5];
    let contents: [&[u8]; 5] = [b"", b"1", b"12345678", &long, b"last"];
    let file = file(&written(3, 99, &contents));
    let mut scan = Scan::new(&file).expect("it has a length");
    let mut at = HEADER;
    for content in contents {
        let record = scan.record(at).expect("it can be read").expect("it is there");
        assert_eq!((record.kind, record.generation, record.synced), (Kind::Batch, 3, 99));
        assert_eq!((record.content.as_ref(), record.end), (content, at + size(content.len()) as u64));
        at = record.end;
    }
    assert_eq!(scan.record(at).expect("it can be read"), None);
}

#[test]
fn any_other_byte_or_place_makes_it_unreadable() {
    let good = written(3, 0, &[b"content"]);
    for at in HEADER as usize..good.len() - 1 {
        let mut bytes = good.clone();
        bytes[at] ^= 0x10;
        let file = file(&bytes);
        let read = Scan::new(&file).expect("it has a length").record(HEADER).expect("it can be read");
        assert_eq!(read, None, "byte {at}");
    }
    let mut moved = vec![0; ALIGNED];
    moved.extend_from_slice(&good);
    let file = file(&moved);
    let mut scan = Scan::new(&file).expect("it has a length");
    assert_eq!(scan.record(HEADER + ALIGNED as u64).expect("it can be read"), None);
}

#[test]
fn a_header_is_read_when_it_is_whole() {
    let header = Header { generation: 5, begun: 640, base: Revision::new(ReignId(9), 7) };
    let form = header.to_bytes();
    let read = |form: &[u8]| Scan::new(&file(form)).expect("it has a length").header();
    assert_eq!(read(&form).expect("it can be read"), Some(header));
    assert_eq!(read(&form[..63]).expect("it can be read"), None);
    for at in 0..form.len() {
        let mut other = form;
        other[at] ^= 1;
        assert_eq!(read(&other).expect("it can be read"), None, "byte {at}");
    }
}

#[test]
fn what_stands_behind_the_end_vouches_for_what_stood_there() {
    let file = file(&written(7, 200, &[b"a", b"b"]));
    let rest = |behind, generation| {
        let rest = Scan::new(&file).expect("it has a length").rest(behind, generation).expect("it can be read");
        (rest.highest, rest.witness)
    };
    assert_eq!(rest(0, 1), (7, 7));
    assert_eq!(rest(HEADER, 7), (7, 7));
    assert_eq!(rest(HEADER + 8, 7), (7, 7), "the second one");
    assert_eq!(rest(HEADER, 8), (7, 0), "one of an earlier use says nothing");
    assert_eq!(rest(200, 1), (0, 0), "it was not synced so far");
}
