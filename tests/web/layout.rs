//! Where the boxes and lines of a graph are.

use std::time::Instant;

use karat::service::{GraphView, graph};
use karat::web::lineage::layout::{AssetBox, Layout, Line, Measures, lay_out};

use crate::generated::{asset, community, definitions};

fn graph_of(assets: &[(&str, &[&str])]) -> GraphView {
    let specs = assets.iter().map(|(name, upstreams)| asset(name, upstreams)).collect();
    graph(&definitions(specs), None).unwrap()
}

fn laid_out(assets: &[(&str, &[&str])]) -> Layout {
    lay_out(&graph_of(assets), &Measures::ROOMY)
}

fn generated(count: usize) -> GraphView {
    graph(&definitions(community(count)), None).unwrap()
}

/// Points along a line, close to each other.
fn points(line: &Line) -> Vec<(f64, f64)> {
    let pairs = line.points.windows(2).enumerate();
    let along = pairs.flat_map(|(index, pair)| {
        let [(from_x, from_y), (to_x, to_y)] = *pair else { unreachable!() };
        let middle = (from_x + to_x) / 2.0;
        (0..=40).map(move |step| {
            let t = f64::from(step) / 40.0;
            let curve = |a: f64, b: f64, c: f64, d: f64| {
                let u = 1.0 - t;
                u * u * u * a + 3.0 * u * u * t * b + 3.0 * u * t * t * c + t * t * t * d
            };
            if index % 2 == 0 {
                (curve(from_x, middle, middle, to_x), curve(from_y, from_y, to_y, to_y))
            } else {
                (from_x + (to_x - from_x) * t, from_y + (to_y - from_y) * t)
            }
        })
    });
    along.collect()
}

fn is_inside(place: &AssetBox, (x, y): (f64, f64)) -> bool {
    x > place.x && x < place.x + place.width && y > place.y && y < place.y + place.height
}

/// What must be true of every picture.
fn assert_is_readable(graph: &GraphView, layout: &Layout) {
    assert_eq!((layout.boxes.len(), layout.lines.len()), (graph.assets.len(), graph.edges.len()));
    for (index, one) in layout.boxes.iter().enumerate() {
        assert!(one.x >= 0.0 && one.y >= 0.0, "{one:?}");
        assert!(one.x + one.width <= layout.width && one.y + one.height <= layout.height, "{one:?}");
        let lane =
            layout.lanes.iter().find(|lane| lane.schemas.iter().any(|schema| schema == one.asset.schema())).unwrap();
        assert!(one.x >= lane.x && one.x + one.width <= lane.x + lane.width, "{one:?} is not in {lane:?}");
        for other in &layout.boxes[index + 1..] {
            let apart = one.x + one.width <= other.x
                || other.x + other.width <= one.x
                || one.y + one.height < other.y
                || other.y + other.height < one.y;
            assert!(apart, "{one:?} meets {other:?}");
        }
    }
    for pair in layout.lanes.windows(2) {
        assert!(pair[0].x + pair[0].width < pair[1].x, "{pair:?}");
    }
    for (line, edge) in layout.lines.iter().zip(&graph.edges) {
        let (from, to) = (&layout.boxes[line.from], &layout.boxes[line.to]);
        assert_eq!((&from.asset, &to.asset), (&edge.upstream, &edge.downstream));
        assert_eq!(line.points.first(), Some(&(from.x + from.width, from.y + from.height / 2.0)));
        assert_eq!(line.points.last(), Some(&(to.x, to.y + to.height / 2.0)));
        let points = points(line);
        assert!(points.windows(2).all(|pair| pair[0].0 <= pair[1].0), "{line:?} leads back");
        for place in &layout.boxes {
            // Only boxes that the line may meet at all are looked at point by point.
            if place.x + place.width < line.points[0].0 {
                continue;
            }
            let met = points.iter().find(|point| is_inside(place, **point));
            assert_eq!(met, None, "the line from {} to {} meets {}", from.asset, to.asset, place.asset);
        }
    }
}

#[test]
fn lanes_follow_who_reads_whom() {
    let layout = laid_out(&[
        ("zebra.raw", &[]),
        ("middle.clean", &["zebra.raw"]),
        ("middle.cleaner", &["middle.clean"]),
        ("alpha.report", &["middle.cleaner", "zebra.raw"]),
    ]);
    let lanes: Vec<(&str, usize)> = layout.lanes.iter().map(|lane| (lane.schemas[0].as_str(), lane.assets)).collect();
    assert_eq!(lanes, [("zebra", 1), ("middle", 2), ("alpha", 1)]);
    let [raw, clean, cleaner, report] = &layout.boxes[..] else { panic!("{:?}", layout.boxes) };
    assert!(raw.x < clean.x && clean.x < cleaner.x && cleaner.x < report.x, "{:?}", layout.boxes);
    // The line past the middle has two places there.
    assert_eq!(layout.lines.iter().map(|line| line.points.len()).max(), Some(6));
}

#[test]
fn schemas_that_read_each_other_share_a_lane() {
    let graph = graph_of(&[("a.one", &[]), ("b.two", &["a.one"]), ("a.three", &["b.two"]), ("c.four", &["a.three"])]);
    let layout = lay_out(&graph, &Measures::ROOMY);
    assert_is_readable(&graph, &layout);
    let lanes: Vec<String> = layout.lanes.iter().map(|lane| lane.schemas.join(" ")).collect();
    assert_eq!(lanes, ["a b", "c"]);
}

#[test]
fn few_lines_cross() {
    // Drawn in the order of their names, all three would cross.
    let layout = laid_out(&[
        ("low.a", &[]),
        ("low.b", &[]),
        ("low.c", &[]),
        ("top.a", &["low.c"]),
        ("top.b", &["low.b"]),
        ("top.c", &["low.a"]),
    ]);
    assert!(layout.lines.iter().all(|line| line.points[0].1 == line.points[1].1), "{:?}", layout.lines);
}

#[test]
fn one_asset_and_none_are_pictures_too() {
    let none = lay_out(&GraphView { assets: Vec::new(), edges: Vec::new() }, &Measures::ROOMY);
    assert!(none.boxes.is_empty() && none.lanes.is_empty());
    let graph = graph_of(&[("low.only", &[])]);
    let layout = lay_out(&graph, &Measures::ROOMY);
    assert_is_readable(&graph, &layout);
    assert_eq!((layout.boxes.len(), layout.fans.len()), (1, 0));
}

#[test]
fn every_graph_is_readable_and_always_the_same() {
    for (count, measures) in
        [(7, Measures::ROOMY), (40, Measures::ROOMY), (200, Measures::DENSE), (500, Measures::DENSE)]
    {
        let graph = generated(count);
        let begun = Instant::now();
        let layout = lay_out(&graph, &measures);
        println!(
            "{count} assets, {} dependencies: {:?}, {} x {}",
            graph.edges.len(),
            begun.elapsed(),
            layout.width,
            layout.height
        );
        assert_is_readable(&graph, &layout);
        assert_eq!(lay_out(&graph, &measures), layout);
    }
}

#[test]
fn lines_of_an_asset_share_their_way() {
    let layout = laid_out(&[
        ("low.raw", &[]),
        ("mid.one", &["low.raw"]),
        ("mid.two", &["mid.one"]),
        ("top.a", &["low.raw", "mid.two"]),
        ("top.b", &["low.raw", "mid.two"]),
    ]);
    let long: Vec<&Line> = layout.lines.iter().filter(|line| line.points.len() == 6).collect();
    let [one, other] = long[..] else { panic!("{:?}", layout.lines) };
    assert_eq!(one.points[..5], other.points[..5]);
    // Each piece once: three ways out of the box or past a column, and the last bends.
    assert_eq!(layout.fans[0].matches('M').count(), 1 + 1 + 1 + 1 + 1 + 2, "{}", layout.fans[0]);
}
