//! Words and figures that several pages share, in both languages.

use askama::Template;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::page::{Page, TimeText};
use super::words;
use crate::core::id::short_id;

/// What to say after something was done, by the word in the address the browser was sent to.
const DONE: [(&str, &str, &str); 20] = [
    ("launched", "Launched. Workers carry it out.", "Gestartet. Worker führen es aus."),
    ("nothing", "There was nothing to build.", "Es gab nichts zu bauen."),
    (
        "paused",
        "Paused: nothing new begins; what runs goes on.",
        "Pausiert: Nichts Neues beginnt; was läuft, läuft weiter.",
    ),
    ("resumed", "It goes on.", "Es geht weiter."),
    (
        "canceled",
        "Canceled: what runs is stopped, what was built stays.",
        "Abgebrochen: Was läuft, wird angehalten; was gebaut wurde, bleibt.",
    ),
    ("retried", "What failed is being built again.", "Was fehlschlug, wird erneut gebaut."),
    ("limited", "The limit holds from the next partition on.", "Die Grenze gilt ab der nächsten Partition."),
    ("unchanged", "It was so already.", "Das war bereits so."),
    (
        "switched-off",
        "Switched off: nothing fires until it is resumed.",
        "Ausgeschaltet: Nichts wird ausgelöst, bis es fortgesetzt wird.",
    ),
    (
        "switched-on",
        "Switched on. What fell into the pause never fires.",
        "Eingeschaltet. Was in die Pause fiel, wird nie ausgelöst.",
    ),
    ("sensor-on", "Switched on. It is evaluated at once.", "Eingeschaltet. Er wird sofort ausgewertet."),
    ("evaluated", "It is evaluated at once.", "Er wird sofort ausgewertet."),
    (
        "cursor",
        "The cursor was changed. It is evaluated at once.",
        "Der Cursor wurde geändert. Er wird sofort ausgewertet.",
    ),
    (
        "released",
        "Released: the rows are in their table, and what reads them becomes stale.",
        "Freigegeben: Die Zeilen sind in ihrer Tabelle, und was sie liest, gilt als veraltet.",
    ),
    ("discarded", "Discarded for good.", "Endgültig verworfen."),
    ("delivered", "The test message arrived.", "Die Testnachricht ist angekommen."),
    ("undelivered", "The test message did not arrive.", "Die Testnachricht ist nicht angekommen."),
    ("tick-failed", "It could not be made out what to build.", "Es ließ sich nicht ermitteln, was zu bauen ist."),
    ("removed", "Removed.", "Entfernt."),
    ("saved", "Saved.", "Gespeichert."),
];

/// A number that templates hand over by value or by reference.
pub(crate) trait Whole {
    /// As the one kind that figures are written from; what does not fit is the largest there is.
    fn whole(&self) -> i64;
}

impl<W: Whole> Whole for &W {
    fn whole(&self) -> i64 {
        W::whole(self)
    }
}

macro_rules! whole {
    ($($number:ty),*) => {$(
        impl Whole for $number {
            fn whole(&self) -> i64 {
                i64::try_from(*self).unwrap_or(i64::MAX)
            }
        }
    )*};
}

whole!(i32, i64, u32, u64, usize);

impl Page {
    /// What was just done, when the browser was sent here because of it.
    pub(crate) fn done(&self) -> Option<&'static str> {
        let query = self.address.split_once('?')?.1;
        let word = query.split('&').find_map(|pair| pair.strip_prefix("done="))?;
        DONE.iter().find(|(name, ..)| *name == word).map(|(_, english, german)| self.t(english, german))
    }

    /// Whether it did not come to what was asked for.
    pub(crate) fn did_not(&self) -> bool {
        ["done=tick-failed", "done=undelivered", "done=unchanged", "done=nothing"]
            .iter()
            .any(|done| self.address.ends_with(done))
    }

    /// The local date of an instant.
    pub(crate) fn date(&self, instant: &DateTime<Utc>) -> chrono::NaiveDate {
        instant.with_timezone(&self.zone).date_naive()
    }

    /// The path of this page without what was asked for.
    pub(crate) fn path(&self) -> &str {
        self.address.split('?').next().unwrap_or_default()
    }

    /// This page's address without what was just done: what is asked for again when something changed.
    pub(crate) fn again(&self) -> String {
        match self.address.split_once('?') {
            None => self.address.clone(),
            Some((path, query)) => {
                let kept: Vec<&str> = query.split('&').filter(|pair| !pair.starts_with("done=")).collect();
                if kept.is_empty() { path.to_owned() } else { format!("{path}?{}", kept.join("&")) }
            }
        }
    }

    /// The instant with its offset from UTC in sight: `2026-03-29 03:15 +02:00`.
    pub(crate) fn time_offset(&self, instant: &DateTime<Utc>) -> TimeText {
        self.written(instant, instant.with_timezone(&self.zone).format("%Y-%m-%d %H:%M %:z").to_string())
    }

    /// The same with the day of the week before it.
    pub(crate) fn time_weekday(&self, instant: &DateTime<Utc>) -> TimeText {
        let local = instant.with_timezone(&self.zone);
        let weekday = match chrono::Datelike::weekday(&local) {
            chrono::Weekday::Mon => self.t("Mon", "Mo"),
            chrono::Weekday::Tue => self.t("Tue", "Di"),
            chrono::Weekday::Wed => self.t("Wed", "Mi"),
            chrono::Weekday::Thu => self.t("Thu", "Do"),
            chrono::Weekday::Fri => self.t("Fri", "Fr"),
            chrono::Weekday::Sat => self.t("Sat", "Sa"),
            chrono::Weekday::Sun => self.t("Sun", "So"),
        };
        self.written(instant, format!("{weekday} {}", local.format("%Y-%m-%d %H:%M %:z")))
    }

    /// A size: `512 B`, `3.4 MB`.
    pub(crate) fn bytes(&self, bytes: &u64) -> String {
        const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
        let point = self.t(".", ",");
        let mut rest = *bytes;
        if rest < 1_000 {
            return format!("{rest} B");
        }
        let mut unit = 0;
        while rest >= 999_950 && unit + 1 < UNITS.len() {
            rest /= 1_000;
            unit += 1;
        }
        let tenths = (rest + 50) / 100;
        let name = UNITS.get(unit).copied().unwrap_or_default();
        if tenths >= 100 {
            format!("{} {name}", (tenths + 5) / 10)
        } else {
            format!("{}{point}{} {name}", tenths / 10, tenths % 10)
        }
    }

    /// A length of time that is only roughly known, in seconds.
    pub(crate) fn about(&self, seconds: &f64) -> String {
        if *seconds < 1.0 {
            return self.t("less than a second", "weniger als eine Sekunde").to_owned();
        }
        let whole = std::time::Duration::try_from_secs_f64(*seconds).map_or(u64::MAX, |length| length.as_secs());
        // Two figures are more than enough.
        let rough = match whole {
            0..60 => whole,
            60..600 => whole / 10 * 10,
            600..36_000 => whole / 60 * 60,
            _ => whole / 3_600 * 3_600,
        };
        format!("{} {}", self.t("about", "etwa"), self.duration(i64::try_from(rough).unwrap_or(i64::MAX)))
    }

    /// How long one of many takes, in seconds: down to milliseconds.
    pub(crate) fn each(&self, seconds: &f64) -> String {
        let length = std::time::Duration::try_from_secs_f64(*seconds).unwrap_or_default();
        self.duration_precise(chrono::TimeDelta::from_std(length).unwrap_or_default())
    }

    /// A length of time, as [`Self::duration`].
    pub(crate) fn span(&self, length: std::time::Duration) -> String {
        self.duration(i64::try_from(length.as_secs()).unwrap_or(i64::MAX))
    }

    /// A length of time in whole seconds, as [`Self::duration`].
    pub(crate) fn span_of(&self, seconds: impl Whole) -> String {
        self.duration(seconds.whole())
    }

    /// The end of an id, by which people name it.
    pub(crate) fn short(&self, id: &Uuid) -> String {
        short_id(*id)
    }

    /// At most so many characters of a text.
    pub(crate) fn shortened(&self, text: &str, characters: usize) -> String {
        match text.char_indices().nth(characters) {
            Some((end, _)) => format!("{}…", text.get(..end).unwrap_or_default()),
            None => text.to_owned(),
        }
    }

    /// JSON for people, its first characters.
    pub(crate) fn json(&self, value: &serde_json::Value, characters: usize) -> String {
        self.shortened(&serde_json::to_string_pretty(value).unwrap_or_default(), characters)
    }

    /// So many of something: `1 row`, `2 rows`.
    pub(crate) fn so_many(&self, number: impl Whole, one: &str, several: &str) -> String {
        let number = number.whole();
        format!("{} {}", self.number(number), if number == 1 { one } else { several })
    }

    /// So many rows, in words.
    pub(crate) fn row_count(&self, count: impl Whole) -> String {
        self.so_many(count, self.t("row", "Zeile"), self.t("rows", "Zeilen"))
    }

    /// A share of a whole as a percentage that is 100 only when nothing is left.
    pub(crate) fn percent(&self, part: impl Whole, whole: impl Whole) -> i64 {
        let whole = whole.whole();
        if whole <= 0 { 100 } else { part.whole().saturating_mul(100) / whole }
    }

    /// How something stands, in a word.
    pub(crate) fn state_word<'a>(&self, state: &'a str) -> &'a str {
        words::state(self, state)
    }
}

/// A word about a state, in its badge.
#[derive(Template)]
#[template(source = r#"<span class="badge {{ class }}">{{ text }}</span>"#, ext = "html")]
pub(crate) struct Badge<'a> {
    class: &'static str,
    text: &'a str,
}

// It is rendered, and so escaped, by its own template.
impl askama::filters::HtmlSafe for Badge<'_> {}

impl Page {
    /// How something stands, in its badge.
    pub(crate) fn badge<'a>(&self, state: &'a str) -> Badge<'a> {
        Badge { class: words::state_class(state), text: self.state_word(state) }
    }
}

impl TimeText {
    /// The words alone, where no mark-up may stand.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

/// Something to press: a form that posts to `path`, with the command line that does the same. Whoever may not press it is
/// told why.
#[derive(Template)]
#[template(path = "operations/action.html")]
pub(crate) struct Action<'a> {
    page: &'a Page,
    allowed: bool,
    path: String,
    title: &'static str,
    look: &'static str,
    confirm: Option<&'static str>,
    command: String,
    fields: Vec<(&'static str, String)>,
}

impl askama::filters::HtmlSafe for Action<'_> {}

impl<'a> Action<'a> {
    /// What whoever operates may do; `command` comes after the program's name.
    pub(crate) fn new(page: &'a Page, path: String, title: &'static str, command: &str) -> Self {
        Self {
            page,
            allowed: page.may_operate(),
            path,
            title,
            look: "",
            confirm: None,
            command: page.command(command),
            fields: Vec::new(),
        }
    }

    /// Only an administrator may.
    pub(crate) fn for_administrators(self) -> Self {
        Self { allowed: self.page.may_administer(), ..self }
    }

    /// The thing one came for.
    pub(crate) fn primary(self) -> Self {
        Self { look: "primary", ..self }
    }

    /// It cannot be undone: it asks first.
    pub(crate) fn dangerous(self, confirm: &'static str) -> Self {
        Self { look: "danger", confirm: Some(confirm), ..self }
    }

    /// It also says so.
    pub(crate) fn with(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.fields.push((name, value.into()));
        self
    }
}
