//! The table of contents and the migrations fit together.

use std::collections::BTreeMap;

use chrono_tz::Europe::Berlin;
use chrono_tz::Tz;

use crate::support::Platform;

#[tokio::test]
async fn every_asset_has_its_table_with_exactly_its_columns() {
    let platform = Platform::new(Berlin, "2026-01-01", "2026-01-10T12:00:00Z").await;
    let columns: Vec<(String, String, String, bool)> = sqlx::query_as(
        "select a.attrelid::regclass::text, a.attname::text, format_type(a.atttypid, a.atttypmod), not a.attnotnull
         from pg_attribute as a
         join pg_class as c on c.oid = a.attrelid and c.relkind in ('r', 'p')
         join pg_namespace as n on n.oid = c.relnamespace and n.nspname in ('bronze', 'silver', 'gold')
         where a.attnum > 0 and not a.attisdropped
         order by a.attrelid, a.attnum",
    )
    .fetch_all(&platform.pool)
    .await
    .unwrap();
    let mut found: BTreeMap<String, Vec<(String, String, bool)>> = BTreeMap::new();
    for (table, column, sql_type, nullable) in columns {
        found.entry(table).or_default().push((column, sql_type, nullable));
    }
    let mut declared = BTreeMap::new();
    for asset in platform.definitions.assets() {
        let columns: Vec<_> = asset
            .columns
            .iter()
            .map(|column| (column.name.clone(), column.sql_type.to_owned(), column.nullable))
            .collect();
        declared.insert(asset.key.to_string(), columns);
    }
    for columns in found.values_mut().chain(declared.values_mut()) {
        columns.sort();
    }
    assert_eq!(declared, found);
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
