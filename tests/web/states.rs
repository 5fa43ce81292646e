//! Every state that every page can be in, each with its snapshot.

use std::collections::BTreeSet;
use std::path::Path;

use crate::routes;

/// Pages with the states they can be in: `ROUTE NAME: STATES`. The snapshot of a state is called `NAME_STATE`. A page that
/// is missing here fails the tests, and so does a state without its snapshot or a snapshot without its state.
const PAGES: &str = "
    / home: loading no_assets nothing_built fresh under_way failing unwell database_away viewer part_german
    /alerts alerts: none none_open none_older open all german
    /alerts/{id} alert: open over unknown
    /api api: page
    /assets assets: loading none none_match some
    /assets/{name} asset: loading missing fresh running failing external unpartitioned viewer external_viewer \
        partitions_none columns columns_refused checks checks_none checks_unevaluated checks_failed metadata \
        metadata_none policies policies_external standing_part partitions_part database_away unknown
    /assets/{name}/mark mark: preview nothing_built refused viewer
    /assets/{name}/plan plan: possible missing_upstream nothing_to_do bad_range refused viewer german
    /assets/{name}/why why: external running queued failed blocked stale fresh missing not_due refused \
        failed_german stale_german queued_german
    /audit audit: none none_match some
    /automation automation: loading none some
    /automation/{asset} automated: waiting nothing unknown german
    /automation/{asset}/evaluations evaluations: waiting nothing
    /backfills backfills: none none_older some viewer
    /backfills/new backfill_new: blank plan missing_upstream nothing_to_do refused launch_refused viewer
    /backfills/{id} backfill: queued running paused canceling canceled failed succeeded refused viewer unknown
    /dashboards dashboards: none waiting some
    /dashboards/{dashboard} dashboard: lines_bars_numbers hours anomalies retention nothing_built hours_empty \
        line_empty retention_empty table_away waiting refused unknown
    /dashboards/{dashboard}/{chart}/{file} dashboard_file: unknown
    /lineage lineage: loading none one_asset graph german selected only_selected no_match bad_grammar too_long \
        with_panel
    /lineage/panel/{asset} panel: never failing external unknown
    /login login: form providers wrong disabled throttled
    /login/from/{provider} login_from: stranger taken broken
    /login/with/{provider} login_with: unknown
    /quarantine quarantine: none some of_asset discarded refused viewer
    /quarantine/{id} quarantined: waiting released discarded viewer unknown
    /runs runs: none none_match some part canceled none_picked retry_refused refused viewer german
    /runs/{run_id} run: queued running paused canceling canceled failed succeeded of_retry retry_refused viewer unknown
    /runs/{run_id}/log log: nothing_yet lines none_match gone
    /schedules schedules: none some viewer
    /schedules/{name} schedule: on off unchanged triggered ticks gone german viewer unknown
    /schedules/{name}/trigger trigger: plan nothing refused viewer german
    /sensors sensors: none some failing
    /sensors/{name} sensor: new skipped off failing_viewer unknown
    /settings settings: alone busy delivered operator
    /settings/account account: local own refused changed
    /settings/tokens tokens: local none secret revoked refused
    /settings/users users: none some secret disabled refused unknown
    /tables tables: none some
    /tables/{asset} table: loading empty rows filtered no_match refused unknown
    /tables/{asset}/{file} table_file: refused
    /timeline timeline: empty full
    /workers workers: none busy lost
";

/// What stands on many pages.
const EVERYWHERE: &str = "
    chart: line bars heat gantt
    failure: bad_request login_needed wrong_token not_allowed elsewhere cross_site nothing_here part_german database \
        who_asks_unknown who_asks_unknown_to_strangers
    frame: local german_dark stranger session
";

/// Routes whose answers nobody looks at in a browser.
const NO_PAGES: [&str; 9] = [
    "/api/openapi.json",
    "/healthz",
    "/lineage/states",
    "/live",
    "/metrics",
    "/readyz",
    "/runs/{run_id}/log.txt",
    "/runs/{run_id}/log/live",
    "/static/{*name}",
];

/// The routes of pages.
pub(crate) fn pages() -> BTreeSet<&'static str> {
    PAGES.lines().filter_map(|line| line.split_whitespace().next()).collect()
}

/// The names of all snapshots there should be.
fn names() -> BTreeSet<String> {
    let tables = PAGES.lines().chain(EVERYWHERE.lines()).filter_map(|line| line.split_once(": "));
    let names = tables.flat_map(|(page, states)| {
        let name = page.split_whitespace().last().unwrap();
        states.split_whitespace().map(move |state| format!("{name}_{state}"))
    });
    let mut found = BTreeSet::new();
    for name in names {
        assert!(found.insert(name.clone()), "two states have the snapshot {name}");
    }
    found
}

fn differing<T: Ord + Clone>(all: &BTreeSet<T>, without: &BTreeSet<T>) -> Vec<T> {
    all.difference(without).cloned().collect()
}

#[test]
fn every_page_is_in_the_table() {
    let declared = routes::declared();
    let answers: BTreeSet<&str> = declared
        .iter()
        .filter_map(|route| route.strip_prefix("GET "))
        .filter(|path| !path.starts_with("/api/v1") && !NO_PAGES.contains(path))
        .collect();
    let missing = differing(&answers, &pages());
    assert!(missing.is_empty(), "say in the table of tests/web/states.rs which states these have: {missing:#?}");
    let gone = differing(&pages(), &answers);
    assert!(gone.is_empty(), "these are no pages any more: {gone:#?}");
}

#[test]
fn every_state_has_a_snapshot_and_every_snapshot_is_of_a_state() {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/web");
    let files: BTreeSet<String> = std::fs::read_dir(tests.join("snapshots"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "snap"))
        .map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    let names = names();
    let missing = differing(&names, &files);
    assert!(missing.is_empty(), "these states have no snapshot: {missing:#?}");
    let orphaned = differing(&files, &names);
    assert!(orphaned.is_empty(), "say in the table of tests/web/states.rs what these show: {orphaned:#?}");
    // A snapshot that no test takes any more is none.
    let sources: String = std::fs::read_dir(&tests)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    let untaken: Vec<&String> = names.iter().filter(|name| !sources.contains(&format!("\"{name}\""))).collect();
    assert!(untaken.is_empty(), "no test takes these: {untaken:#?}");
}
