//! The numbers behind a picture, for who does not see it or wants to read them.

use askama::Template;

/// A folded table of the numbers of a picture.
#[derive(Clone, Debug, Template)]
#[template(path = "chart/table.html")]
pub struct ChartTable {
    /// The words to open it with.
    pub(super) summary: String,
    /// What it holds.
    pub(super) caption: String,
    /// The heading of each column.
    pub(super) columns: Vec<String>,
    /// The rows: a heading and the values as they are written.
    pub(super) rows: Vec<(String, Vec<String>)>,
}

impl askama::filters::HtmlSafe for ChartTable {}
