//! Text put together while compiling, for the messages of `panic!` in constants.

/// The longest message, in bytes.
const CAPACITY: usize = 1024;

/// A text of limited length; what does not fit is left out piece by piece.
#[derive(Clone, Copy)]
pub(super) struct Sentence {
    bytes: [u8; CAPACITY],
    length: usize,
}

impl Sentence {
    pub(super) const fn new() -> Self {
        Self { bytes: [0; CAPACITY], length: 0 }
    }

    /// The sentence with `text` at its end.
    pub(super) const fn text(mut self, text: &str) -> Self {
        let text = text.as_bytes();
        if self.length + text.len() > CAPACITY {
            return self;
        }
        let mut index = 0;
        while index < text.len() {
            self.bytes[self.length + index] = text[index];
            index += 1;
        }
        self.length += text.len();
        self
    }

    pub(super) const fn as_str(&self) -> &str {
        // Only whole texts are added, so the bytes are always UTF-8.
        match std::str::from_utf8(self.bytes.split_at(self.length).0) {
            Ok(text) => text,
            Err(_) => "",
        }
    }
}

/// Whether two texts are equal; `==` on texts cannot be used in constants.
pub(super) const fn same(left: &str, right: &str) -> bool {
    let (left, right) = (left.as_bytes(), right.as_bytes());
    if left.len() != right.len() {
        return false;
    }
    let mut index = 0;
    while index < left.len() {
        if left[index] != right[index] {
            return false;
        }
        index += 1;
    }
    true
}
