//! Who may do what, and who did: users, tokens and the audit log.
//!
//! Users, passwords and tokens are made on pages and the command line only: whoever got hold of a token could otherwise
//! stay when it is revoked, and no request or answer here has a secret in it that could be remembered with a key.

use std::sync::Arc;

use axum::Json;
use axum::extract::{Path, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use super::input::{Body, Listed, Paging, Parameters};
use super::{Answer, acting};
use crate::service::{AccountView, AuditQuery, AuditView, ChangedAccountView, Role, TokenView};
use crate::web::App;
use crate::web::access::Admin;

/// The users
#[utoipa::path(get, path = "/users", tag = "accounts",
    responses((status = 200, description = "The users", body = Listed<AccountView>)),
    extensions(("x-command" = json!("user ls")), ("x-role" = json!("admin"))))]
async fn users(Admin(caller): Admin, State(app): State<Arc<App>>) -> Answer<Listed<AccountView>> {
    Ok(Json(Listed::whole(acting(&app, caller).list_accounts().await?)))
}

/// What a user may do from now on.
#[derive(Debug, Deserialize, Serialize, ToSchema)]
#[schema(example = json!({ "role": "operator" }))]
struct NewRole {
    /// The role.
    role: Role,
}

/// Give a user another role
#[utoipa::path(post, path = "/users/{user}/role", tag = "accounts", request_body(content = NewRole, description = "The role"),
    params(("user" = String, Path, description = "The user's name", example = "ada")),
    responses((status = 200, description = "The user, and whether this changed anything", body = ChangedAccountView)),
    extensions(("x-command" = json!("user role USER ROLE")), ("x-role" = json!("admin"))))]
async fn role(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(user): Path<String>,
    Body(wanted): Body<NewRole>,
) -> Answer<ChangedAccountView> {
    Ok(Json(acting(&app, caller).set_role(&user, wanted.role).await?))
}

/// Let a user do nothing any more
///
/// Its sessions end, and its tokens are worth nothing until it is let in again.
#[utoipa::path(post, path = "/users/{user}/disable", tag = "accounts",
    params(("user" = String, Path, description = "The user's name", example = "ada")),
    responses((status = 200, description = "The user, and whether this changed anything", body = ChangedAccountView)),
    extensions(("x-command" = json!("user disable USER")), ("x-role" = json!("admin"))))]
async fn disable(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(user): Path<String>,
) -> Answer<ChangedAccountView> {
    Ok(Json(acting(&app, caller).disable_account(&user).await?))
}

/// Let a user in again
#[utoipa::path(post, path = "/users/{user}/enable", tag = "accounts",
    params(("user" = String, Path, description = "The user's name", example = "ada")),
    responses((status = 200, description = "The user, and whether this changed anything", body = ChangedAccountView)),
    extensions(("x-command" = json!("user enable USER")), ("x-role" = json!("admin"))))]
async fn enable(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Path(user): Path<String>,
) -> Answer<ChangedAccountView> {
    Ok(Json(acting(&app, caller).enable_account(&user).await?))
}

/// How many sessions ended.
#[derive(Debug, Serialize, ToSchema)]
#[schema(example = json!({ "ended": 2 }))]
struct EndedSessions {
    /// So many.
    ended: u64,
}

/// End all sessions of a user
///
/// Its tokens stay, and whoever knows the password may log in again.
#[utoipa::path(post, path = "/users/{user}/logout", tag = "accounts",
    params(("user" = String, Path, description = "The user's name", example = "ada")),
    responses((status = 200, description = "How many sessions ended", body = EndedSessions)),
    extensions(("x-command" = json!("user logout USER")), ("x-role" = json!("admin"))))]
async fn logout(Admin(caller): Admin, State(app): State<Arc<App>>, Path(user): Path<String>) -> Answer<EndedSessions> {
    Ok(Json(EndedSessions { ended: acting(&app, caller).end_sessions(&user).await? }))
}

/// Whose tokens.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct TokensWanted {
    /// Only those of this user.
    user: Option<String>,
}

/// The tokens
///
/// Without their secrets, which nobody knows; also those that are worth nothing any more.
#[utoipa::path(get, path = "/tokens", tag = "accounts", params(TokensWanted),
    responses((status = 200, description = "The tokens", body = Listed<TokenView>)),
    extensions(("x-command" = json!("user token ls")), ("x-role" = json!("admin"))))]
async fn tokens(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<TokensWanted>,
) -> Answer<Listed<TokenView>> {
    Ok(Json(Listed::whole(acting(&app, caller).tokens(wanted.user.as_deref()).await?)))
}

/// Make a token worthless
#[utoipa::path(post, path = "/tokens/{token}/revoke", tag = "accounts",
    params(("token" = i64, Path, description = "The token's number", example = 3)),
    responses((status = 200, description = "The token", body = TokenView)),
    extensions(("x-command" = json!("user token revoke TOKEN")), ("x-role" = json!("admin"))))]
async fn revoke(Admin(caller): Admin, State(app): State<Arc<App>>, Path(token): Path<i64>) -> Answer<TokenView> {
    Ok(Json(acting(&app, caller).revoke_token(token).await?))
}

/// Which records.
#[derive(Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
struct AuditWanted {
    /// Only of this account, or user of an operating system.
    who: Option<String>,
    /// Only of this action, or of those that begin with this word: `user` for all about users.
    action: Option<String>,
    /// Only about this run: its id, or at least four characters of its beginning or end.
    run: Option<String>,
    /// Only those with numbers below.
    before: Option<i64>,
}

/// Who did what
///
/// The newest first.
#[utoipa::path(get, path = "/audit", tag = "accounts", params(AuditWanted, Paging),
    responses((status = 200, description = "A page of records", body = Listed<AuditView>)),
    extensions(("x-command" = json!("audit")), ("x-role" = json!("admin"))))]
async fn audit(
    Admin(caller): Admin,
    State(app): State<Arc<App>>,
    Parameters(wanted): Parameters<AuditWanted>,
    Parameters(paging): Parameters<Paging>,
) -> Answer<Listed<AuditView>> {
    let service = acting(&app, caller);
    let run_id = match &wanted.run {
        Some(run) => Some(service.run_id(run).await?),
        None => None,
    };
    let query = AuditQuery {
        who: wanted.who,
        action: wanted.action,
        run_id,
        before: paging.after("audit")?.or(wanted.before),
        limit: paging.one_more(),
    };
    let records = service.audit(&query).await?;
    Ok(Json(paging.page("audit", records, |record| record.audit_id)))
}

pub(super) fn routes() -> OpenApiRouter<Arc<App>> {
    OpenApiRouter::new()
        .routes(routes!(users))
        .routes(routes!(role))
        .routes(routes!(disable))
        .routes(routes!(enable))
        .routes(routes!(logout))
        .routes(routes!(tokens))
        .routes(routes!(revoke))
        .routes(routes!(audit))
}
