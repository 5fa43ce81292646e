//! The table of contents and the migrations fit together.

use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;
use community::definitions::migrations;
use karat::engine::verify::verify;

use crate::support::Platform;

#[tokio::test]
async fn postgresql_agrees_with_every_declaration() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-10T12:00:00Z").await;
    let mut connection = platform.pool.acquire().await.unwrap();
    let report = verify(&mut connection, &platform.definitions, &migrations()).await.unwrap();
    assert!(report.problems.is_empty(), "{:#?}", report.problems);
}

#[tokio::test]
async fn natural_keys_are_the_primary_keys() {
    let platform = Platform::new(Tz::UTC, "2026-01-01", "2026-01-10T12:00:00Z").await;
    for asset in platform.definitions.assets() {
        let karat::core::policy::WriteMode::Append { natural_key } = &asset.write_mode else { continue };
        let primary: Vec<String> = sqlx::query_scalar(
            "select a.attname::text from pg_index as i, unnest(i.indkey) with ordinality as k (number, position)
             join pg_attribute as a on a.attnum = k.number
             where i.indrelid = $1::regclass and a.attrelid = i.indrelid and i.indisprimary
             order by k.position",
        )
        .bind(asset.key.as_str())
        .fetch_all(&platform.pool)
        .await
        .unwrap();
        assert_eq!(&primary, natural_key, "{}", asset.key);
        // What lets a table be distributed by account and be cut by time.
        if asset.partition_column.is_some() {
            assert!(primary.iter().any(|column| column == "at"), "{}", asset.key);
        }
    }
}

#[tokio::test]
async fn an_empty_community_builds() {
    let platform = Platform::new(Berlin, "2026-03-27", "2026-04-02T12:00:00Z").await;
    platform.build().await;
    assert!(platform.row_counts().await.values().all(|&count| count == 0));
}
