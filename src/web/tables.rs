//! Every asset's table: its rows, to look at and to take away.

use std::sync::Arc;

use askama::Template;
use axum::Router;
use axum::extract::{Path, Query, State};
use axum::response::Response;
use axum::routing::get;
use serde_json::Value;

use super::App;
use super::access::Viewer;
use super::address::address;
use super::dashboards::shown::{Cell, Table, rows_of};
use super::download::{Format, download};
use super::failure::PageError;
use super::page::{Page, PageResult, rendered};
use crate::core::key::AssetKey;
use crate::service::{AssetPicture, RowsRequest, RowsView};

/// Rows of a page.
const ROWS: u32 = 50;

/// What comes before a column's name in a parameter that says what its value must be.
const WHERE: &str = "where.";

type Parameters = Vec<(String, String)>;

#[derive(Template)]
#[template(path = "tables.html")]
struct List {
    page: Page,
    tables: Vec<(AssetKey, Arc<AssetPicture>)>,
}

#[derive(Template)]
#[template(path = "table.html")]
struct One {
    page: Page,
    rows: RowsView,
    description: String,
    table: Table,
    columns: Vec<Column>,
    partitions: String,
    /// Whether rows can be chosen by partition.
    is_partitioned: bool,
    /// What is chosen besides, to be kept by the form for partitions.
    kept: Vec<(String, String)>,
    filters: Vec<Filter>,
    first: Option<String>,
    next: Option<String>,
    csv: String,
    json: String,
}

/// A column's heading: a click puts the rows in its order.
struct Column {
    name: String,
    description: String,
    sql_type: &'static str,
    is_number: bool,
    address: String,
    /// `ascending` or `descending` when the rows are in its order.
    order: Option<&'static str>,
}

/// A value that a column must have, and how to do without.
struct Filter {
    column: String,
    value: String,
    without: String,
}

async fn list(_: Viewer, State(app): State<Arc<App>>, page: Page) -> PageResult {
    let definitions = app.service.definitions();
    let picture = app.picture.current();
    let order = definitions.graph().topological_order().iter();
    let tables = order.filter_map(|key| Some((key.clone(), picture.asset(key)?.clone()))).collect();
    rendered(&List { page, tables })
}

async fn one(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path(name): Path<String>,
    Query(parameters): Query<Parameters>,
    page: Page,
) -> PageResult {
    let request = RowsRequest { limit: Some(ROWS), ..request(&parameters) };
    let rows = app.service.rows(&app.picture.current(), &name, &request).await?;
    let spec = app.service.definitions().asset(&rows.asset);
    let place = format!("/tables/{}", rows.asset);
    // A link keeps what is chosen, but begins again where the order changes.
    let with = |changed: &[(&str, &str)], place: &str| {
        let kept = parameters.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        let kept = kept.filter(|(name, _)| *name != "cursor" && !changed.iter().any(|(other, _)| other == name));
        address(place, kept.chain(changed.iter().copied()))
    };
    let (sorted_by, is_descending) = match rows.sort.strip_prefix('-') {
        Some(name) => (name, true),
        None => (rows.sort.as_str(), false),
    };
    let table = rows_of(&page, &rows);
    let columns = rows.columns.iter().zip(&table.columns).map(|(column, heading)| {
        let is_order = column.name == sorted_by;
        let sign = if is_order && !is_descending { "-" } else { "" };
        Column {
            name: column.name.clone(),
            description: column.description.clone(),
            sql_type: column.sql_type,
            is_number: heading.is_number,
            address: with(&[("sort", &format!("{sign}{}", column.name))], &place),
            order: is_order.then_some(if is_descending { "descending" } else { "ascending" }),
        }
    });
    let filters = request.equals.iter().map(|(column, value)| Filter {
        column: column.clone(),
        value: value.clone(),
        without: with(&[(&format!("{WHERE}{column}"), "")], &place),
    });
    let is_chosen = |name: &str| name == "sort" || name.starts_with(WHERE);
    let view = One {
        description: spec.map(|spec| spec.description.clone()).unwrap_or_default(),
        is_partitioned: spec.is_some_and(|spec| spec.partition_column.is_some()),
        columns: columns.collect(),
        partitions: request.partitions.clone().unwrap_or_default(),
        kept: parameters.iter().filter(|(name, _)| is_chosen(name)).cloned().collect(),
        filters: filters.collect(),
        first: request.cursor.is_some().then(|| with(&[], &place)),
        next: rows.next_cursor.as_deref().map(|cursor| with(&[("cursor", cursor)], &place)),
        csv: with(&[], &format!("{place}/rows.csv")),
        json: with(&[], &format!("{place}/rows.json")),
        table,
        rows,
        page,
    };
    rendered(&view)
}

async fn rows(
    _: Viewer,
    State(app): State<Arc<App>>,
    Path((name, file)): Path<(String, String)>,
    Query(parameters): Query<Parameters>,
) -> Result<Response, PageError> {
    let format = Format::of(&file)?;
    let request = RowsRequest { cursor: None, ..request(&parameters) };
    let (columns, rows) = app.service.all_rows(&name, &request)?;
    download(format, &name, columns, rows).await
}

/// What the parameters of an address ask for; those that mean nothing are overlooked.
fn request(parameters: &[(String, String)]) -> RowsRequest {
    let mut request = RowsRequest::default();
    for (name, value) in parameters.iter().filter(|(_, value)| !value.is_empty()) {
        match name.as_str() {
            "partitions" => request.partitions = Some(value.clone()),
            "sort" => request.sort = Some(value.clone()),
            "cursor" => request.cursor = Some(value.clone()),
            name => {
                if let Some(column) = name.strip_prefix(WHERE) {
                    request.equals.push((column.to_owned(), value.clone()));
                }
            }
        }
    }
    request
}

impl One {
    /// Where only rows with this value are, for short texts.
    fn only(&self, column: &usize, row: &usize) -> Option<String> {
        let name = &self.rows.columns.get(*column)?.name;
        let value = self.rows.rows.get(*row)?.values.get(*column)?;
        let Value::String(text) = value else { return None };
        let is_short =
            self.rows.columns.get(*column)?.sql_type == "text" && !text.is_empty() && text.chars().count() <= 60;
        let parameter = format!("{WHERE}{name}");
        let kept = self.kept.iter().filter(|(other, _)| *other != parameter);
        let kept = kept.map(|(name, value)| (name.as_str(), value.as_str()));
        let chosen = [("partitions", self.partitions.as_str()), (parameter.as_str(), text.as_str())];
        is_short.then(|| address(&format!("/tables/{}", self.rows.asset), kept.chain(chosen)))
    }
}

pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/tables", get(list))
        .route("/tables/{asset}", get(one))
        .route("/tables/{asset}/{file}", get(rows))
}
