//! Link lines become identity links.

use super::Collector;
use super::batch::Batch;
use super::tally::Tally;
use crate::bronze::IdentityLinks;
use crate::parse::{Parsed, links};

/// Collects identity links.
#[derive(Clone, Copy, Debug, Default)]
pub struct LinksCollector;

impl Collector for LinksCollector {
    fn line_limit_bytes(&self) -> usize {
        4 * 1024
    }

    fn line(&mut self, number: u64, text: &str, batch: &mut Batch, tally: &mut Tally) {
        match links::parse(text) {
            Ok(Parsed::Record(link)) => {
                tally.data();
                batch.identity_links.push(IdentityLinks {
                    account_id: link.account.into_string(),
                    same_as: link.same_as.into_string(),
                    source: link.source,
                });
            }
            Ok(Parsed::Ignored(reason)) => tally.ignored(reason),
            Err(problem) => tally.bad(number, problem),
        }
    }

    fn end_of_file(&mut self, _: &mut Batch) {}
}
