//! Planning 10,000 partitions and writing them down.

use std::sync::Arc;
use std::time::Instant;

use karat::prelude::*;

use crate::lake::{self, Karat};
use crate::report::{Report, milliseconds};
use crate::rounds::median_duration;
use crate::server::{Server, ZONE};

const ROUNDS: usize = 5;

const PARTITIONS: i64 = 10_000;

pub(crate) async fn measure(server: &Server, report: &mut Report) -> anyhow::Result<()> {
    let pool = server.pool(2).await?;
    let first_day = NaiveDate::from_ymd_opt(1990, 1, 1).unwrap_or_default();
    let definitions =
        Definitions::builder(Calendar { zone: ZONE, first_day }).rust::<crate::no_op::Nothing>().build()?;
    let karat = Karat::new(server, &pool, Arc::new(definitions), 1);
    let mut times = Vec::new();
    for _ in 0..ROUNDS {
        server.forget(&pool).await?;
        let begun = Instant::now();
        karat.launch(lake::plan(&karat.definitions, PARTITIONS), true).await?;
        times.push(begun.elapsed());
    }
    server.forget(&pool).await?;
    let median = median_duration(&times);
    let detail = format!("median of {ROUNDS}: {}", milliseconds(median));
    report.add(format!("{PARTITIONS} partitions planned and inserted"), median.as_secs_f64(), "s", Some(1.0), detail);
    Ok(())
}
