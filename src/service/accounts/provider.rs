//! Logins by somebody else who knows people: an OAuth 2 server, asked with a code and a proof (PKCE).

use std::sync::Arc;

use base64ct::{Base64UrlUnpadded, Encoding};
use futures_util::future::BoxFuture;
use sha2::{Digest, Sha256};

use super::login::Identity;
use super::secret::Secret;

/// Somebody else who knows people, and says who they are and what they may do here.
pub trait LoginProvider: Send + Sync {
    /// Its name in addresses and in the state: one word.
    fn name(&self) -> &str;

    /// What it is called on the login page.
    fn title(&self) -> &str;

    /// Where a browser is sent to, with these parameters among its own.
    fn authorize_url(&self, attempt: &LoginAttempt) -> String;

    /// Who came back with `code`; `None` for somebody who may do nothing here. An error is a sentence for the log.
    fn identify<'a>(
        &'a self,
        code: &'a str,
        attempt: &'a LoginAttempt,
    ) -> BoxFuture<'a, Result<Option<Identity>, String>>;
}

/// The providers of a program, as its environment says; an error is a sentence for whoever set the environment.
pub type LoginProviders = fn() -> Result<Vec<Arc<dyn LoginProvider>>, String>;

/// One attempt to log in by a provider. Only the browser that began it knows its secrets: they travel in a signed cookie.
#[derive(Clone, Debug)]
pub struct LoginAttempt {
    state: Secret,
    verifier: Secret,
}

impl LoginAttempt {
    /// An attempt that begins.
    #[must_use]
    pub fn begin() -> Self {
        Self { state: Secret::random(""), verifier: Secret::random("") }
    }

    /// An attempt that goes on with what [`kept`](Self::kept) gave; `None` for anything else.
    #[must_use]
    pub fn resumed(kept: &str) -> Option<Self> {
        let (state, verifier) = kept.split_once('.')?;
        let is_secret = |text: &str| text.len() == 64 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        (is_secret(state) && is_secret(verifier))
            .then(|| Self { state: Secret::new(state.to_owned()), verifier: Secret::new(verifier.to_owned()) })
    }

    /// What the browser keeps meanwhile.
    #[must_use]
    pub fn kept(&self) -> Secret {
        Secret::new(format!("{}.{}", self.state.reveal(), self.verifier.reveal()))
    }

    /// What the provider gives back unchanged.
    #[must_use]
    pub fn state(&self) -> &str {
        self.state.reveal()
    }

    /// What proves to the provider that whoever comes with the code is who began.
    #[must_use]
    pub fn verifier(&self) -> &str {
        self.verifier.reveal()
    }

    /// What the provider is told of the proof in the beginning: its hash, in the alphabet of addresses.
    #[must_use]
    pub fn challenge(&self) -> String {
        Base64UrlUnpadded::encode_string(&Sha256::digest(self.verifier.reveal().as_bytes()))
    }
}
