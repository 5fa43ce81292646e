//! Rows to take away, as CSV and JSON, sent page by page as they are read.

use axum::body::Body;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::Value;

use super::failure::PageError;
use crate::asset::spec::ColumnSpec;
use crate::service::{RowStream, ServiceError};

/// What rows are written as.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    Csv,
    Json,
}

impl Format {
    /// By the end of a file's name.
    pub(super) fn of(name: &str) -> Result<Self, PageError> {
        match name {
            "rows.csv" => Ok(Self::Csv),
            "rows.json" => Ok(Self::Json),
            _ => Err(PageError::NothingHere),
        }
    }
}

/// The rows as a file of that name, without its ending.
pub(super) async fn download(
    format: Format,
    name: &str,
    columns: Vec<ColumnSpec>,
    mut rows: RowStream,
) -> Result<Response, PageError> {
    // What cannot be read at all is answered with a sentence and not with half a file.
    let first = match rows.next().await {
        Some(page) => page?,
        None => Vec::new(),
    };
    let pages = stream::iter([Ok(first)]).chain(rows);
    let (media_type, ending, head, foot) = match format {
        Format::Csv => {
            ("text/csv; charset=utf-8; header=present", "csv", csv_line(columns.iter().map(|c| quoted(&c.name))), "")
        }
        Format::Json => ("application/json", "json", "[".to_owned(), "\n]\n"),
    };
    let mut is_first = true;
    let body = pages.map_ok(move |rows| {
        let mut text = String::new();
        for row in &rows {
            match format {
                Format::Csv => text.push_str(&csv_line(row.iter().map(csv_value))),
                Format::Json => {
                    text.push_str(if is_first { "\n" } else { ",\n" });
                    text.push_str(&json_object(&columns, row));
                }
            }
            is_first = false;
        }
        text
    });
    let body = stream::iter([Ok::<_, ServiceError>(head)]).chain(body).chain(stream::iter([Ok(foot.to_owned())]));
    let mut response = Body::from_stream(body).into_response();
    let name: String =
        name.chars().filter(|letter| letter.is_ascii_alphanumeric() || "._-".contains(*letter)).collect();
    let disposition = HeaderValue::from_str(&format!("attachment; filename=\"{name}.{ending}\""));
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    response.headers_mut().extend(disposition.map(|value| (header::CONTENT_DISPOSITION, value)));
    Ok(response)
}

/// A line as RFC 4180 has it.
fn csv_line(values: impl Iterator<Item = String>) -> String {
    let mut line = values.collect::<Vec<_>>().join(",");
    line.push_str("\r\n");
    line
}

/// Null is nothing; an empty text is a quoted one.
fn csv_value(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => quoted(text),
        value @ (Value::Bool(_) | Value::Number(_)) => value.to_string(),
        value => quoted(&value.to_string()),
    }
}

fn quoted(text: &str) -> String {
    if text.is_empty() || text.contains([',', '"', '\n', '\r']) {
        format!("\"{}\"", text.replace('"', "\"\""))
    } else {
        text.to_owned()
    }
}

/// The columns in their order, which a map of JSON values would not keep.
fn json_object(columns: &[ColumnSpec], row: &[Value]) -> String {
    let pairs =
        columns.iter().zip(row).map(|(column, value)| format!("{}: {value}", Value::String(column.name.clone())));
    format!("{{{}}}", pairs.collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn csv_has_quotes_where_they_are_needed() {
        let row = [json!(1), json!(null), json!(""), json!("a,b"), json!("\"x\"\r\ny"), json!({"a": [1]}), json!(0.1)];
        assert_eq!(
            csv_line(row.iter().map(csv_value)),
            "1,,\"\",\"a,b\",\"\"\"x\"\"\r\ny\",\"{\"\"a\"\":[1]}\",0.1\r\n"
        );
    }
}
