//! How far down each place is: as near to its neighbours as the others of its column let it.

use super::order::Columns;

/// How often the columns are gone through.
const SWEEPS: usize = 12;

/// What a place needs.
#[derive(Clone, Copy, Debug)]
pub(super) struct Place {
    pub(super) height: f64,
    /// Above and below, to a place that needs no more.
    pub(super) gap: f64,
    /// How much it counts where it wants to be.
    pub(super) weight: f64,
}

/// The middle of each place, counted from the uppermost edge.
pub(super) fn settled(columns: &Columns, place: impl Fn(usize) -> Place) -> Vec<f64> {
    let mut middles = vec![0.0; columns.left.len()];
    let distances: Vec<Vec<f64>> = columns.places.iter().map(|column| distances(column, &place)).collect();
    for (column, distances) in columns.places.iter().zip(&distances) {
        let middle = distances.last().copied().unwrap_or(0.0) / 2.0;
        for (slot, distance) in column.iter().zip(distances) {
            middles[*slot] = distance - middle;
        }
    }
    for sweep in 0..SWEEPS {
        let count = columns.places.len();
        for step in 0..count {
            let index = if sweep.is_multiple_of(2) { step } else { count - 1 - step };
            let column = &columns.places[index];
            let wanted: Vec<(f64, f64)> = column
                .iter()
                .map(|slot| {
                    let neighbours = || columns.left[*slot].iter().chain(&columns.right[*slot]);
                    let weight = |slot: &usize| place(*slot).weight;
                    let sum: f64 = neighbours().map(|neighbour| middles[*neighbour] * weight(neighbour)).sum();
                    let weights: f64 = neighbours().map(weight).sum();
                    // What is alone goes where there is room.
                    if weights == 0.0 { (middles[*slot], 0.01) } else { (sum / weights, weight(slot)) }
                })
                .collect();
            for (slot, middle) in column.iter().zip(apart(&wanted, &distances[index])) {
                middles[*slot] = middle;
            }
        }
    }
    let top = (0..middles.len()).map(|slot| middles[slot] - place(slot).height / 2.0).fold(f64::INFINITY, f64::min);
    middles.into_iter().map(|middle| middle - top).collect()
}

/// How far below the first place of the column each is at least.
fn distances(column: &[usize], place: &impl Fn(usize) -> Place) -> Vec<f64> {
    let mut distance = 0.0;
    let mut before: Option<Place> = None;
    column
        .iter()
        .map(|slot| {
            let place = place(*slot);
            if let Some(before) = before {
                distance += (before.height + place.height) / 2.0 + before.gap.min(place.gap);
            }
            before = Some(place);
            distance
        })
        .collect()
}

/// The places nearest to those that are wanted (by the squares of the distances, weighted) which keep the distances: places
/// that would come too near stand together at the middle of what they want.
fn apart(wanted: &[(f64, f64)], distances: &[f64]) -> Vec<f64> {
    // Without the distances only the order must be kept. A block: where it is, its weight, how many places it has.
    let mut blocks: Vec<(f64, f64, usize)> = Vec::new();
    for ((middle, weight), distance) in wanted.iter().zip(distances) {
        let mut block = (middle - distance, *weight, 1);
        while let Some(above) = blocks.pop_if(|above| above.0 >= block.0) {
            let weight = above.1 + block.1;
            block = ((above.0 * above.1 + block.0 * block.1) / weight, weight, above.2 + block.2);
        }
        blocks.push(block);
    }
    let shifts = blocks.into_iter().flat_map(|(shift, _, count)| std::iter::repeat_n(shift, count));
    shifts.zip(distances).map(|(shift, distance)| shift + distance).collect()
}
