//! The graph of the assets: the page, what a selection does to it, the panel, and where columns come from.

use std::time::Duration;

use karat::asset::calendar::Calendar;
use karat::asset::spec::{AssetSpec, ColumnSpec};
use reqwest::Method;

use crate::generated::{asset, community, definitions};
use crate::look::shot;
use crate::server::{Answer, Server};
use crate::service_lake::{APPLICATION, Lake, assets};

/// How long a server has to find out how the assets stand.
const PATIENCE: Duration = Duration::from_secs(30);

/// The answer, as soon as it is as it should be: the server looks at the state in the background.
async fn until(server: &Server, path: &str, is_so: impl Fn(&Answer) -> bool) -> Answer {
    let begun = std::time::Instant::now();
    loop {
        let answer = server.get(path).await;
        if is_so(&answer) {
            return answer;
        }
        assert!(begun.elapsed() < PATIENCE, "{}", answer.text);
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// The page, when it is known how all assets stand.
async fn known(server: &Server, path: &str) -> Answer {
    let assets = server.service.definitions().assets().len();
    until(server, "/lineage/states", |states| {
        let known: serde_json::Value = serde_json::from_str(&states.text).unwrap();
        known.as_object().unwrap().len() == assets
    })
    .await;
    server.get(path).await
}

async fn generated(specs: Vec<AssetSpec>) -> Server {
    Server::with(Lake::new().await, definitions(specs)).await
}

/// The picture of the graph.
fn picture(answer: &Answer) -> &str {
    let from = answer.text.find("<svg id=\"lineage-graph\"").unwrap_or_else(|| panic!("{}", answer.text));
    &answer.text[from..from + answer.text[from..].find("</svg>").unwrap()]
}

/// The assets whose boxes have a class.
fn with_class(answer: &Answer, class: &str) -> Vec<String> {
    let boxes = picture(answer).split("<a class=\"").skip(1);
    let with = boxes.filter(|node| node.split('"').next().unwrap().split(' ').any(|one| one == class));
    with.map(|node| node.split("/assets/").nth(1).unwrap().split('"').next().unwrap().to_owned()).collect()
}

#[tokio::test]
async fn the_graph_is_a_picture_of_links_that_needs_no_script() {
    let server = Server::new().await;
    server.lake.record(1, 19, 3).await;
    server.lake.says("materialize lake.daily --all").await;
    let is_built = |answer: &Answer| answer.text.contains("<title>lake.daily: fresh</title>");
    let page = until(&server, "/lineage", is_built).await;
    assert_eq!(page.status, 200);
    shot("lineage_graph", &page);
    assert!(!page.text.contains(" style=") && !page.main().contains("<script"), "{}", page.text);
    assert!(page.text.contains("<li class=\"state-fresh\" data-state=\"state-fresh\""), "{}", page.main());
}

#[tokio::test]
async fn a_selection_is_highlighted_and_the_rest_steps_back() {
    let server = Server::new().await;
    let page = known(&server, "/lineage?select=%2Blake.weekly").await;
    assert_eq!(with_class(&page, "is-member"), ["lake.events", "lake.daily", "lake.weekly"]);
    assert_eq!(with_class(&page, "node").len(), 5);
    assert!(picture(&page).contains("class=\"graph is-divided\""));
    assert_eq!(picture(&page).split("member-lines").nth(1).unwrap().matches("<path").count(), 2);
    assert!(
        page.main().contains("3 of 5 assets <code class=\"cli\">lake graph '+lake.weekly'</code>"),
        "{}",
        page.main()
    );
    shot("lineage_selected", &page);
    let only = server.get("/lineage?select=%2Blake.weekly&only=1").await;
    shot("lineage_only_selected", &only);
    assert_eq!(with_class(&only, "node"), ["lake.events", "lake.daily", "lake.weekly"]);
    assert!(!picture(&only).contains("is-divided"));
    // States are those that the page shows: nothing was built yet.
    let missing = server.get("/lineage?select=state:missing").await;
    assert_eq!(with_class(&missing, "is-member"), ["lake.daily", "lake.regions", "lake.weekly", "lake.summary"]);
}

#[tokio::test]
async fn a_selection_of_nothing_says_why_and_what_was_probably_meant() {
    let server = Server::new().await;
    let problem = async |query: &str| {
        let page = server.get(&format!("/lineage?select={query}")).await;
        assert_eq!((page.status, with_class(&page, "node").len()), (200, 5), "{query}");
        let banner = page.text.split("id=\"lineage-problem\" role=\"alert\">").nth(1).unwrap();
        banner.split("</div>").next().unwrap().to_owned()
    };
    insta::assert_snapshot!(problem("%2Blake.dayly").await, @r#"<p>there is no asset `lake.dayly`: did you mean `lake.daily`?</p><p><a href="/lineage?select=%2Blake.daily">+lake.daily</a></p>"#);
    insta::assert_snapshot!(problem("state:fail").await, @"<p>cannot read `state:fail` in the selection: did you mean `state:failed`?</p>");
    insta::assert_snapshot!(problem("lake.daily,lake.weekly").await, @"<p>the selection matches no asset: no asset is in all of `lake.daily,lake.weekly`</p>");
    insta::assert_snapshot!(problem("%2B%2B").await, @"<p>cannot read `++` in the selection: a `+` needs an asset beside it</p>");
    insta::assert_snapshot!(problem("%3Cscript%3Ealert(1)%3C/script%3E").await, @"<p>cannot read `&#60;script&#62;alert(1)&#60;/script&#62;` in the selection: `&#60;` is no part of a name or of a selection</p>");
    shot("lineage_no_match", &known(&server, "/lineage?select=lake.daily,lake.weekly").await);
    shot("lineage_bad_grammar", &server.get("/lineage?select=%2B%2B").await);
    shot("lineage_too_long", &server.get(&format!("/lineage?select={}", "a".repeat(3_000))).await);
}

#[tokio::test]
async fn the_panel_tells_how_an_asset_is_doing() {
    let server = Server::new().await;
    server.lake.record(1, 18, 3).await;
    server.lake.record(19, 19, 60).await;
    server.lake.says("materialize lake.daily --all").await;
    let is_done = |part: &Answer| part.text.contains("1 failed</span>") && !part.text.contains("under way");
    let part = until(&server, "/lineage/panel/lake.daily", is_done).await;
    shot("panel_failing", &part);
    shot("panel_external", &server.get("/lineage/panel/lake.events").await);
    shot("panel_never", &server.get("/lineage/panel/lake.summary").await);
    let page = server.get("/lineage?asset=lake.daily").await;
    assert_eq!(with_class(&page, "is-center"), ["lake.daily"]);
    shot("lineage_with_panel", &page);
    shot("panel_unknown", &server.get("/lineage/panel/lake.dayly").await);
}

#[tokio::test]
async fn states_are_told_by_the_classes_of_the_boxes() {
    let server = Server::new().await;
    known(&server, "/lineage").await;
    insta::assert_snapshot!(server.get("/lineage/states").await.text, @r#"{"lake.daily":"state-late","lake.events":"state-empty","lake.regions":"state-empty","lake.summary":"state-empty","lake.weekly":"state-empty"}"#);
}

#[tokio::test]
async fn the_page_speaks_german() {
    let server = Server::new().await;
    known(&server, "/lineage").await;
    let request = server.request(Method::GET, "/lineage?asset=lake.daily").header("accept-language", "de");
    let page = server.send(request).await;
    shot("lineage_german", &page);
}

#[tokio::test]
async fn one_asset_is_a_graph() {
    let server = generated(vec![asset("low.only", &[])]).await;
    let page = known(&server, "/lineage").await;
    assert_eq!(with_class(&page, "state-empty"), ["low.only"]);
    shot("lineage_one_asset", &page);
}

#[tokio::test]
async fn pages_of_many_assets_are_small() {
    for (count, most) in [(200, 100_000), (500, 200_000)] {
        let server = generated(community(count)).await;
        let page = known(&server, "/lineage").await;
        assert_eq!((page.status, with_class(&page, "node").len()), (200, count));
        assert!(page.text.len() <= most, "{count} assets: {} bytes", page.text.len());
        let selected = server.get("/lineage?select=%2Bgold.*&only=1").await;
        assert!(selected.status == 200 && selected.text.len() <= most, "{}", selected.text.len());
    }
}

#[tokio::test]
async fn long_names_are_shortened_and_told_in_full() {
    let name = "low.a_table_with_a_name_that_is_as_long_as_any_table_may_have_one";
    let server = generated(vec![asset(name, &[])]).await;
    let page = known(&server, "/lineage").await;
    let text = picture(&page).split("<text x=\"31\" y=\"19\">").nth(1).unwrap().split('<').next().unwrap();
    assert_eq!(text, "a_table_with_a_name…_have_one");
    assert!(picture(&page).contains(&format!("<title>{name}: never</title>")));
}

#[tokio::test]
async fn hostile_text_is_text() {
    let hostile = "<script>alert(1)</script>\"'";
    let server = generated(vec![AssetSpec { description: hostile.to_owned(), ..asset("low.only", &[]) }]).await;
    for path in ["/lineage?asset=low.only", "/lineage/panel/low.only"] {
        let page = known(&server, path).await;
        assert!(page.text.contains("&#60;script&#62;alert(1)&#60;/script&#62;&#34;&#39;"), "{}", page.text);
        assert!(!page.main().contains("<script"), "{}", page.text);
    }
}

#[tokio::test]
async fn columns_are_taken_over_or_computed_from_what_is_read() {
    let calendar = Calendar { zone: chrono_tz::Europe::Berlin, first_day: APPLICATION.first_day };
    let lake = assets::definitions(calendar).unwrap();
    let column = |name: &str, sql_type| ColumnSpec {
        name: name.to_owned(),
        sql_type,
        nullable: false,
        description: String::new(),
    };
    let passed_on = AssetSpec {
        columns: vec![column("day", "date"), column("who", "bigint"), column("place", "text")],
        sql: Some(
            "with late as (select * from lake.events where occurred_at >= $1 and occurred_at < $2)
             select occurred_at::date as day, e.person as who, upper(region) as place
             from (select person, occurred_at, region from late) e join lake.daily d on d.day = $3;"
                .to_owned(),
        ),
        ..asset("lake.passed_on", &["lake.events", "lake.daily"])
    };
    let specs = lake.assets().map(|spec| AssetSpec::clone(spec)).chain([passed_on]).collect();
    let server = generated(specs).await;
    let sources = server.service.column_lineage("passed_on").await.unwrap();
    insta::assert_json_snapshot!(&*sources, @r#"
        {
          "asset": "lake.passed_on",
          "columns": [
            {
              "column": "day",
              "taken_from": null
            },
            {
              "column": "who",
              "taken_from": {
                "asset": "lake.events",
                "column": "person"
              }
            },
            {
              "column": "place",
              "taken_from": null
            }
          ],
          "reads": [
            {
              "asset": "lake.daily",
              "columns": [
                "day"
              ]
            },
            {
              "asset": "lake.events",
              "columns": [
                "event_id",
                "occurred_at",
                "person",
                "region"
              ]
            }
          ],
          "is_refused": false
        }
    "#);
    // What was found is known from then on.
    let again = server.service.column_lineage("lake.passed_on").await.unwrap();
    assert!(std::sync::Arc::ptr_eq(&sources, &again));
    // A rust asset reads whole rows, an external one nothing.
    let weekly = server.service.column_lineage("lake.weekly").await.unwrap();
    assert_eq!(weekly.reads[0].columns, ["day", "people", "events"]);
    assert!(weekly.columns.iter().all(|column| column.taken_from.is_none()));
    assert!(server.service.column_lineage("lake.events").await.unwrap().reads.is_empty());
    assert!(server.service.column_lineage("lake.nothing").await.is_err());
}

#[tokio::test]
async fn what_postgresql_refuses_has_no_known_sources() {
    let server = generated(vec![asset("low.raw", &[]), asset("low.made", &["low.raw"])]).await;
    let sources = server.service.column_lineage("low.made").await.unwrap();
    assert!(sources.is_refused && sources.reads.is_empty(), "{sources:?}");
    known(&server, "/lineage").await;
    shot("asset_columns_refused", &server.get("/assets/low.made?view=columns").await);
}
