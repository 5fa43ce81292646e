//! The order of the places in each column, so that few lines cross.

/// How often the columns are gone through, at most, and how often without getting better.
const SWEEPS: usize = 24;
const PATIENCE: usize = 6;

/// Places in columns, and which places are joined with which of the next column to each side.
#[derive(Clone, Debug)]
pub(super) struct Columns {
    /// For each column its places, from above.
    pub(super) places: Vec<Vec<usize>>,
    /// For each place its neighbours in the column to the left.
    pub(super) left: Vec<Vec<usize>>,
    /// For each place its neighbours in the column to the right.
    pub(super) right: Vec<Vec<usize>>,
}

/// The same columns in the best order that was found; what is alone stands below.
pub(super) fn ordered(columns: &Columns, is_alone: &[bool]) -> Columns {
    let mut present = columns.clone();
    for column in &mut present.places {
        column.sort_by_key(|place| is_alone[*place]);
    }
    let mut positions = positions(&present);
    let mut best = (crossings(&present, &positions), present.places.clone());
    let mut since = 0;
    for sweep in 0..SWEEPS {
        if since == PATIENCE || best.0 == 0 {
            break;
        }
        let rightwards = sweep.is_multiple_of(2);
        let count = present.places.len();
        for step in 0..count {
            let column = if rightwards { step } else { count - 1 - step };
            let neighbours = if rightwards { &present.left } else { &present.right };
            let key = |place: usize| {
                let sum: usize = neighbours[place].iter().map(|neighbour| positions[*neighbour]).sum();
                match neighbours[place].len() {
                    // What has no neighbours on this side stays where it is.
                    0 => positions[place] as f64,
                    count => sum as f64 / count as f64,
                }
            };
            let mut keyed: Vec<(bool, f64, usize)> =
                present.places[column].iter().map(|place| (is_alone[*place], key(*place), *place)).collect();
            keyed.sort_by(|left, right| left.0.cmp(&right.0).then(left.1.total_cmp(&right.1)));
            present.places[column] = keyed.into_iter().map(|(_, _, place)| place).collect();
            for (position, place) in present.places[column].iter().enumerate() {
                positions[*place] = position;
            }
        }
        let found = crossings(&present, &positions);
        if found < best.0 {
            best = (found, present.places.clone());
            since = 0;
        } else {
            since += 1;
        }
    }
    Columns { places: best.1, ..present }
}

fn positions(columns: &Columns) -> Vec<usize> {
    let mut positions = vec![0; columns.left.len()];
    for column in &columns.places {
        for (position, place) in column.iter().enumerate() {
            positions[*place] = position;
        }
    }
    positions
}

/// How many pairs of lines cross.
fn crossings(columns: &Columns, positions: &[usize]) -> usize {
    columns.places.iter().map(|column| crossings_right_of(column, columns, positions)).sum()
}

/// Lines are taken from above by where they begin. One crosses those before it that end further below: they are counted in
/// a binary indexed tree.
fn crossings_right_of(column: &[usize], columns: &Columns, positions: &[usize]) -> usize {
    let mut ends: Vec<usize> = Vec::new();
    for place in column {
        let from = ends.len();
        ends.extend(columns.right[*place].iter().map(|neighbour| positions[*neighbour]));
        ends[from..].sort_unstable();
    }
    let size = ends.iter().max().map_or(0, |last| last + 1);
    let mut tree = vec![0_usize; size + 1];
    let mut crossings = 0;
    for (before, end) in ends.iter().enumerate() {
        let mut not_below = 0;
        let mut index = end + 1;
        while index > 0 {
            not_below += tree[index];
            index &= index - 1;
        }
        crossings += before - not_below;
        let mut index = end + 1;
        while index <= size {
            tree[index] += 1;
            index += index & index.wrapping_neg();
        }
    }
    crossings
}
