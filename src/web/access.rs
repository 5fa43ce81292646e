//! Who may do what. Every handler takes exactly one of [`Viewer`], [`Operator`] and [`Admin`]; nothing else decides.
//!
//! Each gives the service in the name of whoever asks: what is changed by it is recorded with their name.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;

use super::App;
use super::failure::PageError;
use super::identity::Asked;
use super::page::Page;
pub(crate) use crate::service::{Caller, Role};
use crate::service::{Identified, Service};

impl Role {
    /// In words.
    pub(crate) fn title(self, page: &Page) -> &'static str {
        match self {
            Self::Viewer => page.t("Viewer", "Lesend"),
            Self::Operator => page.t("Operator", "Bedienend"),
            Self::Admin => page.t("Administrator", "Verwaltend"),
        }
    }

    /// What it allows, in words.
    pub(crate) fn meaning(self, page: &Page) -> &'static str {
        match self {
            Self::Viewer => page.t("look at everything", "alles ansehen"),
            Self::Operator => {
                page.t("also launch, steer, switch and mark", "auch starten, steuern, schalten, markieren")
            }
            Self::Admin => page.t("also decide who may do what", "auch bestimmen, wer was darf"),
        }
    }
}

/// Somebody who may look.
pub(crate) struct Viewer(pub(crate) Caller);

/// Somebody who may launch, cancel, mark and switch.
pub(crate) struct Operator(pub(crate) Caller);

/// Somebody who may do everything.
pub(crate) struct Admin(pub(crate) Caller);

/// The caller, if it is known who asks and they may do what `role` may.
fn authorized(parts: &Parts, role: Role) -> Result<Caller, PageError> {
    match parts.extensions.get::<Asked>() {
        None => Err(PageError::LoginNeeded),
        Some(Asked::Unavailable(sentence)) => Err(PageError::Unavailable(sentence.clone())),
        Some(Asked::Known(Identified::LoginNeeded)) => Err(PageError::LoginNeeded),
        Some(Asked::Known(Identified::WrongToken)) => Err(PageError::WrongToken),
        Some(Asked::Known(Identified::Elsewhere)) => Err(PageError::Elsewhere),
        Some(Asked::Known(Identified::Caller(caller))) if caller.may(role) => Ok(caller.clone()),
        Some(Asked::Known(Identified::Caller(_))) => Err(PageError::NotAllowed),
    }
}

macro_rules! extractor {
    ($name:ident) => {
        impl $name {
            /// The service in the name of whoever asks.
            #[allow(dead_code)]
            pub(crate) fn service(&self, app: &App) -> Service {
                app.service.acting(self.0.clone())
            }
        }

        impl<S: Send + Sync> FromRequestParts<S> for $name {
            type Rejection = PageError;

            async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
                authorized(parts, Role::$name).map(Self)
            }
        }
    };
}

extractor!(Viewer);
extractor!(Operator);
extractor!(Admin);

/// For what is shown to everybody, and more of it to those who may look.
impl<S: Send + Sync> OptionalFromRequestParts<S> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(authorized(parts, Role::Viewer).ok().map(Self))
    }
}
