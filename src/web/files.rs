//! The files of the pages: embedded into the program, and kept by browsers for as long as they do not change.

use std::borrow::Cow;
use std::sync::LazyLock;
use std::{collections::BTreeMap, fmt::Write as _};

use axum::extract::Path;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use rust_embed::{Embed, EmbeddedFile};

#[derive(Embed)]
#[folder = "web/static"]
struct Files;

/// Sixteen hexadecimal digits that change with the content of any file.
static VERSIONS: LazyLock<BTreeMap<String, String>> =
    LazyLock::new(|| Files::iter().filter_map(|name| Some((name.to_string(), version(&Files::get(&name)?)))).collect());

fn version(file: &EmbeddedFile) -> String {
    file.metadata.sha256_hash().iter().take(8).fold(String::new(), |mut text, byte| {
        // Writing to a string does not fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Where a page finds the file: an address that changes with its content.
pub(super) fn address(name: &str) -> String {
    VERSIONS.get(name).map_or_else(|| format!("/static/{name}"), |version| format!("/static/{name}?v={version}"))
}

/// A file. It may be kept for a year, since [`address`] gives another one when it changes.
pub(super) async fn file(Path(name): Path<String>, headers: HeaderMap) -> Response {
    let (Some(file), Some(version)) = (Files::get(&name), VERSIONS.get(&name)) else {
        return (StatusCode::NOT_FOUND, "there is no such file\n").into_response();
    };
    let tag = format!("\"{version}\"");
    let keep = [(header::CACHE_CONTROL, "public, max-age=31536000, immutable".to_owned()), (header::ETAG, tag.clone())];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|known| known.split(',').any(|one| one.trim() == tag)) {
        return (StatusCode::NOT_MODIFIED, keep).into_response();
    }
    let bytes: Cow<'static, [u8]> = file.data;
    (keep, [(header::CONTENT_TYPE, media_type(&name))], bytes.into_owned()).into_response()
}

fn media_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}
