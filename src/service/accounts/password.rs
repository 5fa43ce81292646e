//! Passwords, and what is kept of them.

use std::fmt;

use argon2::Argon2;
use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use tokio::task::spawn_blocking;

use super::secret::random_bytes;
use crate::service::{Service, ServiceError};

/// How many characters a password has at least.
pub const MINIMUM_PASSWORD_CHARACTERS: usize = 12;

/// How many bytes a password has at most.
const MAXIMUM_PASSWORD_BYTES: usize = 1024;

/// The hash of no password, with the parameters of all others: an unknown name costs as much as a wrong password.
const NOBODYS_HASH: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// The letters and digits of generated passwords: none looks like another.
const LETTERS: &[u8; 32] = b"abcdefghjkmnpqrstuvwxyz023456789";

/// A password. It does not show itself.
#[derive(Clone)]
pub struct Password(String);

impl Password {
    /// What somebody typed to log in, whatever it is.
    #[must_use]
    pub const fn typed(text: String) -> Self {
        Self(text)
    }

    /// One that an account may have from now on.
    ///
    /// # Errors
    /// When it is too short, too long, or nothing but one character again and again.
    pub fn chosen(text: String) -> Result<Self, ServiceError> {
        let refused = |why: String| Err(ServiceError::Input(why));
        let mut characters = text.chars();
        let first = characters.next();
        if text.chars().count() < MINIMUM_PASSWORD_CHARACTERS {
            return refused(format!(
                "a password has at least {MINIMUM_PASSWORD_CHARACTERS} characters: take several words"
            ));
        }
        if text.len() > MAXIMUM_PASSWORD_BYTES {
            return refused(format!("a password has at most {MAXIMUM_PASSWORD_BYTES} bytes"));
        }
        if characters.all(|character| Some(character) == first) {
            return refused("one character again and again is no password: take several words".to_owned());
        }
        Ok(Self(text))
    }

    /// One by chance, of 100 bits: five groups of four letters and digits.
    #[must_use]
    pub fn generated() -> Self {
        let letters = random_bytes::<20>().map(|byte| char::from(LETTERS[usize::from(byte) % LETTERS.len()]));
        let groups: Vec<String> = letters.chunks(4).map(|group| group.iter().collect()).collect();
        Self(groups.join("-"))
    }

    /// The password itself, to be shown once to whom it belongs.
    #[must_use]
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Password {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("Password(…)")
    }
}

impl Service {
    /// What is kept of a password: argon2id with its parameters and a salt by chance.
    pub(super) async fn password_hash(&self, password: &Password) -> Result<String, ServiceError> {
        let password = password.clone();
        let permit = self.accounts.hashing.clone().acquire_owned().await;
        let hashed = spawn_blocking(move || {
            let _permit = permit;
            Argon2::default().hash_password(password.0.as_bytes()).map(|hash| hash.to_string())
        });
        match hashed.await {
            Ok(Ok(hash)) => Ok(hash),
            // Neither the parameters nor the length can be wrong.
            _ => Err(ServiceError::Refused("the password could not be hashed: try again".to_owned())),
        }
    }
}

/// Whether `password` has this hash; never without one, which takes just as long. The permit to hash is given back when
/// that is done, also for somebody who no longer waits for it.
pub(super) async fn is_password(password: &Password, hash: Option<String>, permit: impl Send + 'static) -> bool {
    let password = password.clone();
    let verified = spawn_blocking(move || {
        let _permit = permit;
        let text = hash.as_deref().unwrap_or(NOBODYS_HASH);
        let verified = PasswordHash::new(text)
            .is_ok_and(|parsed| Argon2::default().verify_password(password.0.as_bytes(), &parsed).is_ok());
        verified && hash.is_some()
    });
    verified.await.unwrap_or(false)
}
