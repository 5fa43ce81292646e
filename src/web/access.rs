//! Who asks, and what they may do. Every handler takes exactly one of [`Viewer`], [`Operator`] and [`Admin`]; nothing
//! else decides.

use std::convert::Infallible;

use axum::extract::{FromRequestParts, OptionalFromRequestParts};
use axum::http::request::Parts;

use super::failure::PageError;
use super::page::Page;

/// What somebody may do. Each role may do what those before it may.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Role {
    /// Look.
    Viewer,
    /// Launch, cancel, mark, switch.
    Operator,
    /// Everything, users and settings included.
    Admin,
}

impl Role {
    /// In words.
    pub(crate) fn title(self, page: &Page) -> &'static str {
        match self {
            Self::Viewer => page.t("Viewer", "Lesend"),
            Self::Operator => page.t("Operator", "Bedienend"),
            Self::Admin => page.t("Administrator", "Verwaltend"),
        }
    }
}

/// Who asks.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Caller {
    /// The account's name.
    pub(crate) name: String,
    /// What they may do.
    pub(crate) role: Role,
}

impl Caller {
    /// Whoever has an account on this machine: there is no login on loopback.
    pub(crate) fn local() -> Self {
        Self { name: "local".to_owned(), role: Role::Admin }
    }

    pub(crate) fn may(&self, role: Role) -> bool {
        self.role >= role
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
    match parts.extensions.get::<Caller>() {
        None => Err(PageError::LoginNeeded),
        Some(caller) if caller.may(role) => Ok(caller.clone()),
        Some(_) => Err(PageError::NotAllowed),
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Viewer {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        authorized(parts, Role::Viewer).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Operator {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        authorized(parts, Role::Operator).map(Self)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Admin {
    type Rejection = PageError;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, PageError> {
        authorized(parts, Role::Admin).map(Self)
    }
}

impl<S: Send + Sync> OptionalFromRequestParts<S> for Viewer {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Option<Self>, Infallible> {
        Ok(authorized(parts, Role::Viewer).ok().map(Self))
    }
}
