//! Which assets a person means.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};

use karat::core::graph::AssetGraph;
use karat::core::key::AssetKey;
use karat::core::selection::{SelectionCatalog, SelectionError, SelectionState, evaluate, parse};

/// A small platform:
///
/// ```text
/// bronze.messages ─► silver.activity ─► gold.users ─► gold.report
/// bronze.voice ────► silver.sessions ─┘            silver.users (alone)
/// ```
struct Catalog {
    graph: AssetGraph,
    tags: BTreeMap<&'static str, Vec<String>>,
    states_asked: RefCell<Vec<SelectionState>>,
}

const ALL: &str = "bronze.messages bronze.voice gold.report gold.users silver.activity silver.sessions silver.users";

impl Catalog {
    fn new() -> Self {
        let reads = [
            ("bronze.messages", vec![]),
            ("bronze.voice", vec![]),
            ("silver.activity", vec!["bronze.messages"]),
            ("silver.sessions", vec!["bronze.voice"]),
            ("silver.users", vec![]),
            ("gold.users", vec!["silver.activity", "silver.sessions"]),
            ("gold.report", vec!["gold.users"]),
        ];
        let key = |text: &str| text.parse::<AssetKey>().unwrap();
        Self {
            graph: AssetGraph::build(
                reads.iter().map(|(asset, reads)| (key(asset), reads.iter().map(|read| key(read)).collect::<Vec<_>>())),
            )
            .unwrap(),
            tags: BTreeMap::from([
                ("gold.users", vec!["nightly".to_owned(), "kpi".to_owned()]),
                ("gold.report", vec!["nightly".to_owned()]),
                ("silver.sessions", vec!["night-owl".to_owned()]),
            ]),
            states_asked: RefCell::default(),
        }
    }
}

impl SelectionCatalog for Catalog {
    fn graph(&self) -> &AssetGraph {
        &self.graph
    }

    fn kind(&self, key: &AssetKey) -> &str {
        match (key.schema(), key.table()) {
            ("bronze", _) => "external",
            (_, "sessions") => "rust",
            _ => "sql",
        }
    }

    fn tags(&self, key: &AssetKey) -> &[String] {
        self.tags.get(key.as_str()).map_or(&[], Vec::as_slice)
    }

    fn owner(&self, key: &AssetKey) -> Option<&str> {
        (key.schema() == "gold").then_some("Data Team")
    }

    fn assets_in_state(&self, state: SelectionState) -> BTreeSet<AssetKey> {
        self.states_asked.borrow_mut().push(state);
        let keys: &[&str] = match state {
            SelectionState::Stale => &["gold.users", "silver.activity", "gold.no_longer_declared"],
            SelectionState::Missing => &["gold.report"],
            SelectionState::Fresh => &["silver.sessions", "silver.users"],
            SelectionState::Failed => &[],
        };
        keys.iter().map(|key| key.parse().unwrap()).collect()
    }
}

fn select(text: &str) -> Result<String, SelectionError> {
    let keys = evaluate(&parse(text)?, &Catalog::new())?;
    Ok(keys.iter().map(AssetKey::as_str).collect::<Vec<_>>().join(" "))
}

fn error(text: &str) -> String {
    match select(text) {
        Err(error) => error.to_string(),
        Ok(keys) => panic!("`{text}` selected {keys}"),
    }
}

#[track_caller]
fn selects(text: &str, expected: &str) {
    assert_eq!(select(text).as_deref(), Ok(expected), "{text}");
}

#[test]
fn names_and_shapes() {
    selects("gold.users", "gold.users");
    selects("report", "gold.report");
    selects("*", ALL);
    selects("*.*", ALL);
    selects("gold.*", "gold.report gold.users");
    selects("*.users", "gold.users silver.users");
    selects("users*", "gold.users silver.users");
    selects("*s", "bronze.messages gold.users silver.sessions silver.users");
    selects("s*s", "silver.sessions");
    selects("?eport", "gold.report");
    selects("silver.*s*i*", "silver.sessions");
    selects("gold.users*", "gold.users");
}

#[test]
fn methods() {
    selects("layer:gold", "gold.report gold.users");
    selects("layer:*er", "silver.activity silver.sessions silver.users");
    selects("tag:nightly", "gold.report gold.users");
    selects("tag:kpi", "gold.users");
    selects("tag:night*", "gold.report gold.users silver.sessions");
    selects("kind:external", "bronze.messages bronze.voice");
    selects("kind:rust", "silver.sessions");
    selects("owner:Data?Team", "gold.report gold.users");
    selects("state:stale", "gold.users silver.activity");
    selects("state:missing", "gold.report");
    selects("state:fresh", "silver.sessions silver.users");
}

#[test]
fn ancestors_and_descendants() {
    selects("+gold.users", "bronze.messages bronze.voice gold.users silver.activity silver.sessions");
    selects("1+gold.users", "gold.users silver.activity silver.sessions");
    selects("0+gold.users", "gold.users");
    selects("99999999999999999999999+silver.activity", "bronze.messages silver.activity");
    selects("bronze.voice+", "bronze.voice gold.report gold.users silver.sessions");
    selects("bronze.voice+2", "bronze.voice gold.users silver.sessions");
    selects("1+silver.sessions+1", "bronze.voice gold.users silver.sessions");
    selects("+silver.sessions+", "bronze.voice gold.report gold.users silver.sessions");
    selects("layer:bronze+1", "bronze.messages bronze.voice silver.activity silver.sessions");
    selects("1+tag:kpi", "gold.users silver.activity silver.sessions");
    selects("state:missing+", "gold.report");
}

#[test]
fn union_intersection_and_removal() {
    selects("gold.users silver.users", "gold.users silver.users");
    selects("  gold.users\t gold.users\n", "gold.users");
    selects("gold.*,tag:kpi", "gold.users");
    selects("+gold.report,layer:silver,kind:sql", "silver.activity");
    selects("layer:silver !silver.users", "silver.activity silver.sessions");
    selects("!silver.users layer:silver", "silver.activity silver.sessions");
    selects("layer:silver,!silver.users bronze.voice", "bronze.voice silver.activity silver.sessions");
    selects("layer:silver,!silver.users silver.users", ALL.split_once("gold.users ").unwrap().1);
    selects("!layer:silver !layer:bronze", "gold.report gold.users");
    selects("* --exclude layer:silver layer:bronze", "gold.report gold.users");
    selects("--exclude layer:silver,tag:night-owl", &ALL.replace(" silver.sessions", ""));
    selects("* !+gold.users", "gold.report silver.users");
    selects("gold.* --exclude state:missing", "gold.users");
    selects("gold.* !state:failed", "gold.report gold.users");
    selects("gold.* state:failed", "gold.report gold.users");
}

#[test]
fn shows_itself_as_written() {
    assert_eq!(parse(" +gold.users   !tag:kpi ").unwrap().to_string(), "+gold.users !tag:kpi");
    assert_eq!("gold.*".parse(), parse("gold.*"));
}

#[test]
fn states_are_looked_up_only_when_asked_for() {
    let catalog = Catalog::new();
    evaluate(&parse("gold.* tag:kpi").unwrap(), &catalog).unwrap();
    assert_eq!(*catalog.states_asked.borrow(), []);
    evaluate(&parse("gold.*,state:stale").unwrap(), &catalog).unwrap();
    assert_eq!(*catalog.states_asked.borrow(), [SelectionState::Stale]);
}

#[test]
fn unknown_names_are_errors_with_a_suggestion() {
    assert_eq!(error("gold.user"), "there is no asset `gold.user`: did you mean `gold.users`?");
    assert_eq!(error("sesions"), "there is no asset `sesions`: did you mean `silver.sessions`?");
    assert_eq!(error("gold-users"), "there is no asset `gold-users`: did you mean `gold.users`?");
    assert_eq!(error("weather"), "there is no asset `weather`: `ls` lists all assets");
    assert_eq!(error("a.b.c"), "there is no asset `a.b.c`: `ls` lists all assets");
    assert_eq!(
        error("users"),
        "`users` could be any of `gold.users` or `silver.users`: write the one you mean with its schema"
    );
    assert_eq!(error("tag:nigthly"), "no asset has the tag `nigthly`: did you mean `nightly`?");
    assert_eq!(error("tag:x"), "no asset has the tag `x`: there is `kpi`, `night-owl` or `nightly`");
    assert_eq!(error("layer:glod"), "no asset has the layer `glod`: did you mean `gold`?");
    assert_eq!(error("kind:python"), "no asset has the kind `python`: there is `external`, `rust` or `sql`");
    assert_eq!(error("owner:nobody"), "no asset has the owner `nobody`: there is `Data Team`");
    assert_eq!(error("sliver.*"), "no asset has a name like `sliver.*`: did you mean `silver.*`?");
    assert_eq!(error("gold.*x"), "no asset has a name like `gold.*x`");
    assert_eq!(error("tag:x*"), "no asset has the tag `x*`");
    assert_eq!(
        error("gold.* !gold.repotr"),
        "there is no asset `gold.repotr`: did you mean `gold.report`?",
        "a misspelt removal would select too much"
    );
}

#[test]
fn what_cannot_be_read_is_named() {
    let cases = [
        ("state:stael", "did you mean `state:stale`?"),
        ("state:sleepy", "the states are missing, stale, failed, fresh"),
        ("tga:kpi", "did you mean `tag:kpi`?"),
        ("colour:red", "before a `:` stands one of tag, layer, kind, owner, state"),
        ("tag:", "nothing follows `tag:`"),
        ("!", "nothing follows the `!`"),
        ("a,", "nothing stands before or after a `,`"),
        (",", "nothing stands before or after a `,`"),
        ("+", "a `+` needs an asset beside it"),
        ("2+", "a `+` needs an asset beside it"),
        ("+a+b", "`+` is no part of a name or of a selection"),
        ("@gold.users", "`@` is no part of a name or of a selection"),
        ("gold/users", "`/` is no part of a name or of a selection"),
        ("!a,!b", "a `,` narrows something down: write `!a !b` to take both away"),
        ("--exclude !a", "after `--exclude` everything is taken away already: leave the `!` out"),
    ];
    for (text, reason) in cases {
        let part = text.strip_prefix("--exclude ").unwrap_or(text);
        assert_eq!(error(text), format!("cannot read `{part}` in the selection: {reason}"));
    }
    let empty = "the selection is empty: name assets, for example `gold.*` or `tag:nightly`, or `*` for all of them";
    assert_eq!(error(""), empty);
    assert_eq!(error("  --exclude "), empty);
    assert!(error(&"x".repeat(100_000)).len() < 200);
    assert!(error(&format!("{}/", "x".repeat(100_000))).len() < 200);
}

#[test]
fn a_selection_that_matches_nothing_names_the_part_to_blame() {
    let cases = [
        ("state:failed", "state:failed", "no asset is failed (`state:failed`)"),
        ("gold.*,state:failed", "state:failed", "no asset is failed (`state:failed`)"),
        ("layer:gold,kind:rust", "layer:gold,kind:rust", "no asset is in all of `layer:gold,kind:rust`"),
        ("layer:gold,!nightly*,!gold.*", "", ""),
        ("layer:gold,!gold.*", "layer:gold,!gold.*", "no asset is in all of `layer:gold,!gold.*`"),
        ("gold.users !silver.users !tag:kpi", "!tag:kpi", "taking `!tag:kpi` away leaves nothing"),
        ("* --exclude *", "*", "taking `*` away leaves nothing"),
    ];
    for (text, part, reason) in cases {
        match select(text) {
            Err(SelectionError::NothingMatches { part: named, reason: given }) => {
                assert_eq!((named.as_str(), given.as_str()), (part, reason), "{text}");
            }
            other => assert!(
                part.is_empty() && matches!(other, Err(SelectionError::UnknownValue { .. })),
                "{text}: {other:?}"
            ),
        }
    }
    let nothing = Catalog { graph: AssetGraph::default(), tags: BTreeMap::new(), states_asked: RefCell::default() };
    let sentence = evaluate(&parse("!state:stale").unwrap(), &nothing).unwrap_err().to_string();
    assert_eq!(sentence, "the selection matches no asset: no asset is declared");
}

#[test]
fn a_shape_of_many_stars_takes_no_time() {
    let pattern = format!("{}x", "*a".repeat(40));
    assert!(matches!(select(&pattern), Err(SelectionError::UnknownValue { .. })));
}
