//! Secrets made by chance.

use std::fmt;

use sha2::{Digest, Sha256};

/// A secret that does not show itself.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// 256 bits by chance, in hexadecimal digits after `prefix`.
    ///
    /// # Panics
    /// When the operating system gives no random numbers, without which nothing is secret.
    #[must_use]
    pub(super) fn random(prefix: &str) -> Self {
        let mut text = prefix.to_owned();
        for byte in random_bytes::<32>() {
            text.push_str(&format!("{byte:02x}"));
        }
        Self(text)
    }

    pub(super) const fn new(text: String) -> Self {
        Self(text)
    }

    /// The secret itself: to be handed to whom it belongs, and not to be kept or printed anywhere else.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Secret(…)")
    }
}

/// What of a secret is kept. It has 256 bits by chance, so that nothing slower is needed.
pub(super) fn hash_of(secret: &str) -> Vec<u8> {
    Sha256::digest(secret.as_bytes()).to_vec()
}

/// Bytes by chance.
#[allow(clippy::expect_used)]
pub(super) fn random_bytes<const COUNT: usize>() -> [u8; COUNT] {
    let mut bytes = [0; COUNT];
    getrandom::fill(&mut bytes).expect("the operating system gives random numbers");
    bytes
}
