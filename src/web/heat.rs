//! Heat bars: how partitions stand, in colours and in shapes.

use askama::Template;

use super::page::Page;
use super::words;
use crate::service::{HeatCell, HeatState};

/// The size of a cell, in the units of the picture.
const CELL: u64 = 5;
const HEIGHT: u64 = 20;

/// Bars to pick ranges on are as wide as the page unless they have so few cells; these are then so wide.
const FEW_CELLS: u64 = 40;
const WIDE_CELL: u64 = 20;

/// A heat bar.
#[derive(Template)]
#[template(path = "parts/heat.html")]
pub(crate) struct HeatBar {
    width: u64,
    height: u64,
    /// How wide it is shown: many cells take what there is.
    shown_width: String,
    /// What it shows, in words.
    label: String,
    cells: Vec<Cell>,
    /// Whether ranges of it can be picked; its cells then say which partitions they are.
    is_picker: bool,
}

// It is rendered, and so escaped, by its own template.
impl askama::filters::HtmlSafe for HeatBar {}

struct Cell {
    shape: String,
    state: &'static str,
    title: String,
    first: String,
    last: String,
}

impl HeatBar {
    /// The cells, neighbours that stand alike drawn as one: for showing many bars on a page.
    pub(crate) fn small(page: &Page, cells: &[HeatCell]) -> Self {
        let mut groups: Vec<(u64, Vec<&HeatCell>)> = Vec::new();
        for (index, cell) in (0..).zip(cells) {
            match groups.last_mut() {
                Some((_, group)) if group.last().is_some_and(|last| last.worst == cell.worst) => group.push(cell),
                _ => groups.push((index, vec![cell])),
            }
        }
        let drawn = groups.iter().map(|(index, group)| Cell::new(page, *index, group, 1.0)).collect();
        Self::of(page, cells, drawn, false)
    }

    /// The cells one by one, so that ranges can be picked.
    pub(crate) fn picker(page: &Page, cells: &[HeatCell]) -> Self {
        let gap = if u64::try_from(cells.len()).is_ok_and(|count| count <= FEW_CELLS) { 0.4 } else { 0.6 };
        let drawn = (0..).zip(cells).map(|(index, cell)| Cell::new(page, index, &[cell], gap)).collect();
        Self::of(page, cells, drawn, true)
    }

    fn of(page: &Page, all: &[HeatCell], cells: Vec<Cell>, is_picker: bool) -> Self {
        let partitions = all.iter().map(|cell| cell.counts.total()).sum::<u64>();
        let (first, last) = (all.first().map(|cell| &cell.first), all.last().map(|cell| &cell.last));
        let range = match first.zip(last) {
            Some((first, last)) if first != last => format!("{first} – {last}, "),
            Some((first, _)) => format!("{first}, "),
            None => String::new(),
        };
        let count = u64::try_from(all.len().max(1)).unwrap_or(1);
        Self {
            width: CELL * count,
            height: HEIGHT,
            shown_width: match (is_picker, count) {
                (false, count) => (CELL * count).to_string(),
                (true, ..=FEW_CELLS) => (WIDE_CELL * count).to_string(),
                (true, _) => "100%".to_owned(),
            },
            label: format!(
                "{range}{}: {}",
                page.so_many(partitions, page.t("partition", "Partition"), page.t("partitions", "Partitionen")),
                standing(page, all.iter())
            ),
            cells,
            is_picker,
        }
    }
}

impl Cell {
    fn new(page: &Page, index: u64, group: &[&HeatCell], gap: f64) -> Self {
        let state = group.first().map_or(HeatState::Empty, |cell| cell.worst);
        let first = group.first().map(|cell| cell.first.to_string()).unwrap_or_default();
        let last = group.last().map(|cell| cell.last.to_string()).unwrap_or_default();
        let range = if first == last { first.clone() } else { format!("{first} – {last}") };
        let title = format!("{range}: {}", standing(page, group.iter().copied()));
        let width = CELL as f64 * group.len() as f64 - gap;
        Self { shape: shape(state, CELL * index, width), state: state.as_str(), title, first, last }
    }
}

/// `28 fresh, 1 failed`; of a single partition the state alone.
fn standing<'a>(page: &Page, cells: impl Iterator<Item = &'a HeatCell> + Clone) -> String {
    let count = |state| cells.clone().map(|cell| cell.counts.get(state)).sum::<u64>();
    let counts: Vec<(HeatState, u64)> =
        HeatState::ALL.into_iter().map(|state| (state, count(state))).filter(|(_, count)| *count > 0).collect();
    match counts.as_slice() {
        [(state, 1)] => words::heat(page, *state).to_owned(),
        counts => {
            let words =
                counts.iter().map(|(state, count)| format!("{} {}", page.number(*count), words::heat(page, *state)));
            words.collect::<Vec<_>>().join(", ")
        }
    }
}

/// The outline of a cell: each state has a height and place of its own, so that colours are not needed to read it.
fn shape(state: HeatState, x: u64, width: f64) -> String {
    let piece = |top: u64, height: u64| format!("M{x} {top}h{width}v{height}h-{width}z");
    match state {
        HeatState::Failed => piece(0, 8) + &piece(12, 8),
        HeatState::Missing => piece(15, 5),
        HeatState::Stale => piece(0, 4) + &piece(7, 13),
        HeatState::Running => piece(6, 8),
        HeatState::Queued => piece(8, 4),
        HeatState::Open => piece(4, 3) + &piece(10, 10),
        HeatState::Fresh => piece(0, 20),
        HeatState::Landed => piece(3, 17),
        HeatState::Empty => piece(18, 2),
    }
}

/// What the shapes of a heat bar mean.
#[derive(Template)]
#[template(path = "parts/heat_legend.html")]
pub(crate) struct HeatLegend {
    entries: Vec<(String, &'static str, &'static str)>,
}

impl askama::filters::HtmlSafe for HeatLegend {}

impl HeatLegend {
    /// Of the states that the cells have.
    pub(crate) fn new(page: &Page, cells: &[HeatCell]) -> Self {
        let has = |state: &HeatState| cells.iter().any(|cell| cell.counts.get(*state) > 0);
        let entry = |state| (shape(state, 0, CELL as f64 * 2.0), state.as_str(), words::heat(page, state));
        Self { entries: HeatState::ALL.into_iter().filter(has).map(entry).collect() }
    }
}
