//! Dashboards: which figures of which tables are shown, and how. Declared beside the assets, in plain data.
//!
//! A chart shows rows of one asset's table as they are: what is drawn, what the table behind it says and what is
//! downloaded are the same figures. A chart may name an asset that is not declared (yet): it appears when the asset is.

use std::panic::Location;

use serde::Serialize;

use crate::core::key::AssetKey;

/// A text in the languages of the pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Text {
    /// English.
    pub en: String,
    /// German.
    pub de: String,
}

impl Text {
    /// The same text in both languages.
    pub fn same(text: impl Into<String>) -> Self {
        let en = text.into();
        Self { de: en.clone(), en }
    }
}

/// English and German, in this order.
impl From<(&str, &str)> for Text {
    fn from((en, de): (&str, &str)) -> Self {
        Self { en: en.to_owned(), de: de.to_owned() }
    }
}

/// A page of charts.
///
/// ```
/// use karat::prelude::*;
///
/// Dashboard::new("visitors", ("Visitors", "Besuch"))
///     .switch(
///         Switch::new("kind", ("Who", "Wer"))
///             .choice("all", ("Everybody", "Alle"))
///             .choice("members", ("Members", "Mitglieder")),
///     )
///     .chart(
///         Chart::line("per_day", ("Per day", "Pro Tag"), AssetKey::new("gold.visitors"))
///             .series(Series::by_choice(("Visitors", "Besuch"), ["visitors", "members"]))
///             .unit(("people", "Personen")),
///     );
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Dashboard {
    /// Its name, in addresses.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// What it is good for.
    pub about: Option<Text>,
    /// Lets the reader choose which columns the charts show.
    pub switch: Option<Switch>,
    /// The time that is shown until the reader chooses another.
    pub span: Span,
    /// What is shown, in order.
    pub charts: Vec<Chart>,
    /// The source file of the declaration, for error messages.
    pub source_file: &'static str,
}

impl Dashboard {
    /// A dashboard without charts.
    #[track_caller]
    pub fn new(name: impl Into<String>, title: impl Into<Text>) -> Self {
        Self {
            name: name.into(),
            title: title.into(),
            about: None,
            switch: None,
            span: Span::default(),
            charts: Vec::new(),
            source_file: Location::caller().file(),
        }
    }

    /// Says in a sentence what it is good for.
    #[must_use]
    pub fn about(mut self, about: impl Into<Text>) -> Self {
        self.about = Some(about.into());
        self
    }

    /// Lets the reader choose; what the charts make of a choice is said by [`Series::by_choice`].
    #[must_use]
    pub fn switch(mut self, switch: Switch) -> Self {
        self.switch = Some(switch);
        self
    }

    /// Shows this time until the reader chooses another.
    #[must_use]
    pub fn span(mut self, span: Span) -> Self {
        self.span = span;
        self
    }

    /// Adds a chart.
    #[must_use]
    pub fn chart(mut self, chart: Chart) -> Self {
        self.charts.push(chart);
        self
    }
}

/// A time that ends with the newest figures.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub enum Span {
    /// 30 days.
    #[serde(rename = "30d")]
    Month,
    /// 90 days.
    #[default]
    #[serde(rename = "90d")]
    Quarter,
    /// 365 days.
    #[serde(rename = "1y")]
    Year,
    /// From the beginning.
    #[serde(rename = "all")]
    All,
}

impl Span {
    /// All there are, the shortest first.
    pub const ALL: [Self; 4] = [Self::Month, Self::Quarter, Self::Year, Self::All];

    /// Its name in addresses: `30d`.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Month => "30d",
            Self::Quarter => "90d",
            Self::Year => "1y",
            Self::All => "all",
        }
    }

    /// How many days it has; `None` is all.
    #[must_use]
    pub const fn days(self) -> Option<u64> {
        match self {
            Self::Month => Some(30),
            Self::Quarter => Some(90),
            Self::Year => Some(365),
            Self::All => None,
        }
    }
}

/// What the reader of a dashboard can choose.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Switch {
    /// Its name, in addresses.
    pub name: String,
    /// What is chosen.
    pub title: Text,
    /// The choices, the first of which is made until the reader makes another.
    pub choices: Vec<Choice>,
}

/// One of a switch's choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Choice {
    /// Its name, in addresses.
    pub name: String,
    /// What it is called.
    pub title: Text,
}

impl Switch {
    /// A switch without choices.
    pub fn new(name: impl Into<String>, title: impl Into<Text>) -> Self {
        Self { name: name.into(), title: title.into(), choices: Vec::new() }
    }

    /// Adds a choice.
    #[must_use]
    pub fn choice(mut self, name: impl Into<String>, title: impl Into<Text>) -> Self {
        self.choices.push(Choice { name: name.into(), title: title.into() });
        self
    }
}

/// Figures of one table, drawn in one way.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Chart {
    /// Its name, in addresses.
    pub name: String,
    /// What it is called.
    pub title: Text,
    /// Whose rows it shows.
    pub asset: AssetKey,
    /// How they are drawn.
    pub kind: ChartKind,
    /// The column of dates or instants that the rows are in the order of; `None` is the partition column.
    pub over: Option<String>,
    /// The column of which one value at a time is looked at, such as the server of a table of all servers.
    pub by: Option<String>,
    /// The figures.
    pub series: Vec<Series>,
    /// What the figures are counted in.
    pub unit: Unit,
    /// What the chart says, in a sentence; the series say for themselves what they are.
    pub definition: Option<Text>,
}

/// How figures are drawn.
#[derive(Clone, Debug, PartialEq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "chart")]
pub enum ChartKind {
    /// A line for each series.
    Line {
        /// How figures far from what is usual are found and marked, if they are.
        anomalies: Option<Seasonal>,
    },
    /// Bars, those of several series on top of each other.
    Bars,
    /// Of those who came in a period, how many were there so many periods later. The one series is how many were there;
    /// the row of offset 0 says how many came.
    RetentionTriangle {
        /// The column with the period in which people came.
        cohort: String,
        /// The column with the number of periods since.
        offset: String,
        /// The offset whose figure is told in large.
        highlight: u32,
    },
    /// The mean of the one series by weekday and hour in the calendar's zone; [`Chart::over`] is a column of instants.
    WeekdayHourHeat,
    /// The rows themselves, the last first. Without series, all columns.
    Table,
    /// The newest figure of each series, and the one before.
    BigNumber,
}

impl ChartKind {
    /// The word for it in listings.
    #[must_use]
    pub const fn as_str(&self) -> &'static str {
        match self {
            Self::Line { .. } => "line",
            Self::Bars => "bars",
            Self::RetentionTriangle { .. } => "retention_triangle",
            Self::WeekdayHourHeat => "weekday_hour_heat",
            Self::Table => "table",
            Self::BigNumber => "big_number",
        }
    }
}

/// With what a figure is compared to find out whether it is an anomaly: see [`crate::core::anomaly`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, utoipa::ToSchema)]
pub struct Seasonal {
    /// How many weeks back figures of the same weekday and hour count.
    pub weeks: u32,
    /// How many times the usual deviation a figure must be away.
    pub threshold: f64,
}

impl Default for Seasonal {
    fn default() -> Self {
        Self { weeks: 8, threshold: 5.0 }
    }
}

/// A figure over time, or in a table a column.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, utoipa::ToSchema)]
pub struct Series {
    /// What it is called.
    pub title: Text,
    /// The column it is in: one, or one for each choice of the dashboard's switch.
    pub columns: Vec<String>,
    /// What the figure is, in a sentence; `None` is the column's own description.
    pub definition: Option<Text>,
}

impl Series {
    /// The figure in that column.
    pub fn new(title: impl Into<Text>, column: impl Into<String>) -> Self {
        Self { title: title.into(), columns: vec![column.into()], definition: None }
    }

    /// A figure that is in another column for each choice of the dashboard's switch, in the order of the choices.
    pub fn by_choice<const N: usize>(title: impl Into<Text>, columns: [&str; N]) -> Self {
        Self { title: title.into(), columns: columns.map(str::to_owned).into(), definition: None }
    }

    /// Says in a sentence what the figure is.
    #[must_use]
    pub fn definition(mut self, definition: impl Into<Text>) -> Self {
        self.definition = Some(definition.into());
        self
    }

    /// The column that is shown when the choice of that number is made.
    #[must_use]
    pub fn column(&self, choice: usize) -> &str {
        self.columns.get(choice).or_else(|| self.columns.first()).map_or("", String::as_str)
    }
}

/// What figures are counted in.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, utoipa::ToSchema)]
#[serde(rename_all = "snake_case", tag = "unit", content = "of")]
pub enum Unit {
    /// Nothing in particular.
    #[default]
    Number,
    /// These things.
    Of(Text),
    /// 1 is the whole: shown in percent.
    Share,
    /// Seconds: shown in hours and minutes.
    Seconds,
}

impl Chart {
    fn new(name: &str, title: Text, asset: AssetKey, kind: ChartKind) -> Self {
        Self {
            name: name.to_owned(),
            title,
            asset,
            kind,
            over: None,
            by: None,
            series: Vec::new(),
            unit: Unit::default(),
            definition: None,
        }
    }

    /// A line for each series.
    pub fn line(name: &str, title: impl Into<Text>, asset: AssetKey) -> Self {
        Self::new(name, title.into(), asset, ChartKind::Line { anomalies: None })
    }

    /// Bars, those of several series on top of each other.
    pub fn bars(name: &str, title: impl Into<Text>, asset: AssetKey) -> Self {
        Self::new(name, title.into(), asset, ChartKind::Bars)
    }

    /// Who came back: the columns with the period in which people came, the number of periods since, and how many of
    /// them were there. The figure of the third period after is told in large.
    pub fn retention(name: &str, title: impl Into<Text>, asset: AssetKey, columns: [&str; 3]) -> Self {
        let [cohort, offset, active] = columns.map(str::to_owned);
        let title = title.into();
        let series = Series::new(title.clone(), active);
        Self::new(name, title, asset, ChartKind::RetentionTriangle { cohort, offset, highlight: 3 }).series(series)
    }

    /// The mean by weekday and hour.
    pub fn weekday_hours(name: &str, title: impl Into<Text>, asset: AssetKey) -> Self {
        Self::new(name, title.into(), asset, ChartKind::WeekdayHourHeat)
    }

    /// The rows themselves.
    pub fn table(name: &str, title: impl Into<Text>, asset: AssetKey) -> Self {
        Self::new(name, title.into(), asset, ChartKind::Table)
    }

    /// The newest figure of each series.
    pub fn big_number(name: &str, title: impl Into<Text>, asset: AssetKey) -> Self {
        Self::new(name, title.into(), asset, ChartKind::BigNumber)
    }

    /// Adds a figure.
    #[must_use]
    pub fn series(mut self, series: Series) -> Self {
        self.series.push(series);
        self
    }

    /// Puts the rows in the order of this column of dates or instants instead of the partition column.
    #[must_use]
    pub fn over(mut self, column: &str) -> Self {
        self.over = Some(column.to_owned());
        self
    }

    /// Lets the reader choose one value of this column, whose rows alone are shown.
    #[must_use]
    pub fn by(mut self, column: &str) -> Self {
        self.by = Some(column.to_owned());
        self
    }

    /// Counts the figures in these things.
    #[must_use]
    pub fn unit(mut self, things: impl Into<Text>) -> Self {
        self.unit = Unit::Of(things.into());
        self
    }

    /// The figures are shares of 1.
    #[must_use]
    pub fn share(mut self) -> Self {
        self.unit = Unit::Share;
        self
    }

    /// The figures are seconds.
    #[must_use]
    pub fn seconds(mut self) -> Self {
        self.unit = Unit::Seconds;
        self
    }

    /// Says in a sentence what the chart shows.
    #[must_use]
    pub fn definition(mut self, definition: impl Into<Text>) -> Self {
        self.definition = Some(definition.into());
        self
    }

    /// Marks figures far from what is usual at that weekday and hour. Only lines have anomalies.
    #[must_use]
    pub fn anomalies(mut self, seasonal: Seasonal) -> Self {
        if let ChartKind::Line { anomalies } = &mut self.kind {
            *anomalies = Some(seasonal);
        }
        self
    }
}
