//! The line reader against hostile files.

use std::io::{self, Cursor, Read, Write};

use community::parse::lines::{Content, Ending, LineReader};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

const LIMIT_BYTES: usize = 64 * 1024;

/// Every line as text, `<too long>` or `<cut off>`, and the ending.
fn read(bytes: impl Into<Vec<u8>>) -> (Vec<String>, Ending) {
    read_from(Cursor::new(bytes.into()))
}

fn read_from(input: impl Read + Send + 'static) -> (Vec<String>, Ending) {
    let mut reader = LineReader::new(input, LIMIT_BYTES).unwrap();
    let mut lines = Vec::new();
    while let Some(line) = reader.next_line() {
        assert_eq!(line.number, lines.len() as u64 + 1);
        lines.push(match line.content {
            Content::Text { text, .. } => text.into_owned(),
            Content::TooLong => "<too long>".to_owned(),
            Content::CutOff => "<cut off>".to_owned(),
        });
    }
    assert!(reader.next_line().is_none());
    (lines, reader.ending().unwrap().clone())
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

#[test]
fn line_ends_and_marks() {
    assert_eq!(read("").0, Vec::<String>::new());
    assert_eq!(read("\n").0, [""]);
    assert_eq!(read("a").0, ["a"]);
    assert_eq!(read("a\nb\r\n\nc").0, ["a", "b", "", "c"]);
    assert_eq!(read("\u{feff}a\r\nb").0, ["a", "b"]);
    assert_eq!(read("a\u{feff}\n").0, ["a\u{feff}"]);
}

#[test]
fn bytes_that_are_not_text_are_repaired_and_said() {
    let mut reader = LineReader::new(Cursor::new(b"ok\nb\xffd\0\x07\n".to_vec()), LIMIT_BYTES).unwrap();
    assert!(matches!(reader.next_line().unwrap().content, Content::Text { repaired: false, .. }));
    let Content::Text { text, repaired: true } = reader.next_line().unwrap().content else { panic!("not repaired") };
    assert_eq!(text, "b\u{fffd}d\0\u{7}");
}

#[test]
fn a_line_over_the_limit_costs_no_memory_and_no_neighbour() {
    let just = "x".repeat(LIMIT_BYTES);
    let over = "x".repeat(LIMIT_BYTES + 1);
    assert_eq!(read(format!("{just}\r\n{over}\nafter")).0, [just.as_str(), "<too long>", "after"]);
    let endless = Cursor::new(b"before\n".to_vec())
        .chain(io::repeat(b'x').take(40_000_000))
        .chain(Cursor::new(b"\nafter\n".to_vec()));
    assert_eq!(read_from(endless).0, ["before", "<too long>", "after"]);
}

#[test]
fn gzip_is_told_by_its_bytes_and_may_have_several_members() {
    assert_eq!(read(gzip(b"a\nb\n")), (vec!["a".to_owned(), "b".to_owned()], Ending::Complete));
    let two = [gzip(b"a\nb"), gzip(b"c\n")].concat();
    assert_eq!(read(two), (vec!["a".to_owned(), "bc".to_owned()], Ending::Complete));
}

#[test]
fn a_cut_gzip_gives_what_was_there_and_says_so() {
    let text: String = (0..20_000).map(|number| format!("line {number}\n")).collect();
    let whole = gzip(text.as_bytes());
    for length in [3, 20, whole.len() / 2, whole.len() - 1] {
        let (lines, ending) = read(whole.get(..length).unwrap());
        assert_eq!(ending, Ending::Truncated, "{length}");
        for (number, line) in lines.iter().enumerate() {
            let last = number + 1 == lines.len();
            assert!(*line == format!("line {number}") || last && line == "<cut off>", "{number}: {line}");
        }
        if length > 10_000 {
            assert!(lines.len() > 1_000);
        }
    }
    let mut damaged = whole;
    let middle = damaged.len() / 2;
    for byte in damaged.get_mut(middle..middle + 64).unwrap() {
        *byte ^= 0xff;
    }
    assert!(matches!(read(damaged).1, Ending::Damaged | Ending::Truncated));
}

#[test]
fn an_error_of_the_file_is_an_ending_and_not_a_panic() {
    struct Failing;
    impl Read for Failing {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("the disk is gone"))
        }
    }
    let (lines, ending) = read_from(Cursor::new(b"a\nb".to_vec()).chain(Failing));
    assert_eq!(lines, ["a", "<cut off>"]);
    assert_eq!(ending, Ending::Unreadable("the disk is gone".to_owned()));
}

proptest! {
    #[test]
    fn plain_and_compressed_read_alike(lines in prop::collection::vec("[^\r\n]{0,40}", 0..40)) {
        let text = lines.iter().fold(String::new(), |text, line| text + line + "\n");
        prop_assume!(!text.starts_with('\u{feff}'));
        prop_assert_eq!(&read(text.as_bytes()).0, &lines);
        prop_assert_eq!(&read(gzip(text.as_bytes())).0, &lines);
    }

    #[test]
    fn any_bytes_come_to_an_end(bytes in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let lines = read(bytes.clone()).0;
        prop_assert!(lines.len() <= bytes.len());
        let gzip_like = [&[0x1f, 0x8b, 8, 0][..], &bytes].concat();
        read(gzip_like);
    }
}
