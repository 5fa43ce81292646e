//! Dashboards: which figures of which tables are shown, and how. Declared beside the assets, in plain data.
//!
//! A chart shows rows of one asset's table as they are: what is drawn, what the table behind it says and what is
//! downloaded are the same figures. A chart may name an asset that is not declared (yet): it appears when the asset is.

mod chart;

use std::panic::Location;

use serde::Serialize;

pub use self::chart::{Chart, ChartKind, Seasonal, Series, Unit};

/// A text in the languages of the pages.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Serialize)]
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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
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
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Switch {
    /// Its name, in addresses.
    pub name: String,
    /// What is chosen.
    pub title: Text,
    /// The choices, the first of which is made until the reader makes another.
    pub choices: Vec<Choice>,
}

/// One of a switch's choices.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
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
