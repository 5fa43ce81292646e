//! The rules that declared dashboards must obey.

use std::collections::BTreeSet;

use super::assets::Assets;
use super::dashboard::{Chart, ChartKind, Dashboard, Text};
use super::problems::DefinitionError;
use super::schedules::is_name;
use super::spec::{AssetSpec, ColumnSpec};
use super::statement::{DATE_TYPE, INSTANT_TYPE, TEXT_TYPE};
use crate::core::count::counted;
use crate::core::suggest::did_you_mean;

/// Names that the pages' addresses give another meaning.
const RESERVED: [&str; 5] = ["from", "to", "span", "sort", "cursor"];

const NUMBER_TYPES: [&str; 5] = ["smallint", "integer", "bigint", "real", "double precision"];

/// More lines or bars than this nobody tells apart.
const MAXIMUM_SERIES: usize = 8;

/// An anomaly needs some weeks to be one, and more than two years are another community.
const WEEKS: std::ops::RangeInclusive<u32> = 3..=104;

/// The dashboards as declared; what is wrong with them goes to `errors`. Every rule reports. What a chart says of an
/// asset that is not declared cannot be checked.
pub(super) fn checked_dashboards(
    dashboards: Vec<Dashboard>,
    assets: &Assets,
    errors: &mut Vec<DefinitionError>,
) -> Vec<Dashboard> {
    let mut names = BTreeSet::new();
    for dashboard in &dashboards {
        let mut review = Review { dashboard, place: format!("dashboard `{}`", dashboard.name), errors };
        review.name(&dashboard.name);
        if !names.insert(&dashboard.name) {
            review.problem("it is declared twice", "give each dashboard its own name");
        }
        review.dashboard(assets);
    }
    dashboards
}

struct Review<'r> {
    dashboard: &'r Dashboard,
    place: String,
    errors: &'r mut Vec<DefinitionError>,
}

impl Review<'_> {
    fn problem(&mut self, problem: impl AsRef<str>, remedy: impl Into<String>) {
        self.errors.push(DefinitionError {
            asset: None,
            file: self.dashboard.source_file.to_owned(),
            problem: format!("{}: {}", self.place, problem.as_ref()),
            remedy: remedy.into(),
        });
    }

    fn name(&mut self, name: &str) {
        if !is_name(name) {
            self.problem(
                format!("the name `{}` cannot be", name.escape_debug()),
                "begin with a lower-case letter and go on with lower-case letters, digits, `_` and `-`, 63 at most",
            );
        }
    }

    fn text(&mut self, what: &str, text: &Text) {
        for (language, text) in [("English", &text.en), ("German", &text.de)] {
            if text.trim().is_empty() {
                self.problem(format!("{what} has no {language} text"), "write it in both languages");
            }
        }
    }

    fn dashboard(&mut self, assets: &Assets) {
        let dashboard = self.dashboard;
        self.text("its title", &dashboard.title);
        if let Some(about) = &dashboard.about {
            self.text("what it is about", about);
        }
        self.switch();
        if dashboard.charts.is_empty() {
            self.problem("it has no charts", "give it at least one with `.chart(…)`");
        }
        let mut names = BTreeSet::new();
        for chart in &dashboard.charts {
            self.place = format!("dashboard `{}`, chart `{}`", dashboard.name, chart.name);
            self.name(&chart.name);
            if !names.insert(&chart.name) {
                self.problem("it is declared twice", "give each chart of a dashboard its own name");
            }
            self.chart(chart);
            if let Some(asset) = assets.get(&chart.asset) {
                self.columns(chart, asset);
            }
        }
    }

    fn switch(&mut self) {
        let Some(switch) = &self.dashboard.switch else { return };
        self.name(&switch.name);
        if RESERVED.contains(&switch.name.as_str()) {
            self.problem(
                format!("a switch cannot be named `{}`", switch.name),
                "addresses use this word: take another",
            );
        }
        self.text("the title of its switch", &switch.title);
        if switch.choices.len() < 2 {
            self.problem("its switch leaves no choice", "give it two choices at least, or remove it");
        }
        let mut names = BTreeSet::new();
        for choice in &switch.choices {
            self.name(&choice.name);
            self.text("a choice of its switch", &choice.title);
            if !names.insert(&choice.name) {
                self.problem(format!("its switch has two choices `{}`", choice.name), "give each its own name");
            }
        }
    }

    /// What can be said of a chart without its asset.
    fn chart(&mut self, chart: &Chart) {
        self.text("its title", &chart.title);
        if let Some(definition) = &chart.definition {
            self.text("its definition", definition);
        }
        let choices = self.dashboard.switch.as_ref().map_or(1, |switch| switch.choices.len());
        for series in &chart.series {
            self.text("a series", &series.title);
            if let Some(definition) = &series.definition {
                self.text("the definition of a series", definition);
            }
            if series.columns.len() != 1 && series.columns.len() != choices {
                self.problem(
                    format!("series `{}` has {} columns", series.title.en, series.columns.len()),
                    format!("name one, or one for each of the switch's choices, which are {choices}"),
                );
            }
        }
        let count = chart.series.len();
        match &chart.kind {
            ChartKind::Table => {}
            ChartKind::RetentionTriangle { .. } | ChartKind::WeekdayHourHeat if count != 1 => {
                self.problem(format!("it has {count} series"), "it shows exactly one figure");
            }
            _ if count == 0 => self.problem("it has no series", "say with `.series(…)` which column it shows"),
            _ if count > MAXIMUM_SERIES => {
                self.problem(format!("it has {count} series"), format!("use at most {MAXIMUM_SERIES}, or a table"));
            }
            _ => {}
        }
        if let ChartKind::Line { anomalies: Some(seasonal) } = &chart.kind {
            if !WEEKS.contains(&seasonal.weeks) {
                self.problem(
                    format!("anomalies cannot be told from {}", counted(seasonal.weeks, "week")),
                    format!("use {} to {}", WEEKS.start(), WEEKS.end()),
                );
            }
            if !(seasonal.threshold.is_finite() && seasonal.threshold > 0.0) {
                self.problem(
                    format!("anomalies have the threshold {}", seasonal.threshold),
                    "use a number above 0, such as 5",
                );
            }
        }
    }

    /// What a chart says of its asset.
    fn columns(&mut self, chart: &Chart, asset: &AssetSpec) {
        let is_table = matches!(chart.kind, ChartKind::Table);
        for column in chart.series.iter().flat_map(|series| &series.columns) {
            let Some(found) = self.column(asset, column) else { continue };
            if !is_table && !NUMBER_TYPES.contains(&found.sql_type) {
                self.wrong_type(found, "figures are numbers: use a column of integers or floats");
            }
        }
        match (&chart.over, &asset.partition_column) {
            (Some(column), _) | (None, Some(column)) => {
                let instants_only = matches!(chart.kind, ChartKind::WeekdayHourHeat);
                let found = self.column(asset, column);
                match found {
                    Some(found) if instants_only && found.sql_type != INSTANT_TYPE => {
                        self.wrong_type(
                            found,
                            "hours are told from instants (`DateTime<Utc>`): name one with `.over(…)`",
                        );
                    }
                    Some(found) if !is_table && ![DATE_TYPE, INSTANT_TYPE].contains(&found.sql_type) => {
                        self.wrong_type(found, "name a column of dates or instants with `.over(…)`");
                    }
                    _ => {}
                }
            }
            (None, None) if is_table => {}
            (None, None) => self.problem(
                format!("`{}` is not partitioned: no column says when its rows are of", asset.key),
                "name a column of dates or instants with `.over(…)`",
            ),
        }
        if let Some(by) = &chart.by
            && let Some(found) = self.column(asset, by)
            && found.sql_type != TEXT_TYPE
        {
            self.wrong_type(found, "values to choose from are texts: use a column of texts");
        }
        if let ChartKind::RetentionTriangle { cohort, offset, .. } = &chart.kind {
            if let Some(found) = self.column(asset, cohort)
                && found.sql_type != DATE_TYPE
            {
                self.wrong_type(found, "a cohort is the date with which its period began");
            }
            if let Some(found) = self.column(asset, offset)
                && !["smallint", "integer", "bigint"].contains(&found.sql_type)
            {
                self.wrong_type(found, "an offset is a number of periods: use a column of integers");
            }
        }
    }

    fn column<'a>(&mut self, asset: &'a AssetSpec, name: &str) -> Option<&'a ColumnSpec> {
        let found = asset.column(name);
        if found.is_none() {
            let names = || asset.columns.iter().map(|column| column.name.as_str());
            let remedy = match did_you_mean(name, names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("its columns are {}", names().collect::<Vec<_>>().join(", ")),
            };
            self.problem(format!("`{name}` is no column of `{}`", asset.key), remedy);
        }
        found
    }

    fn wrong_type(&mut self, column: &ColumnSpec, remedy: &str) {
        self.problem(format!("column `{}` is a `{}`", column.name, column.sql_type), remedy);
    }
}
