//! Chat metadata becomes chat messages and identity links.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use super::Collector;
use super::batch::Batch;
use super::tally::Tally;
use crate::account::AccountId;
use crate::bronze::{ChatMessages, IdentityLinks};
use crate::parse::Parsed;
use crate::parse::irc::{self, Record};

/// Collects a chat log.
///
/// Messages of one account in one minute are told apart by counting them within the file: a file gives the same rows
/// however often it is read. A minute must not be spread over two files.
#[derive(Default)]
pub struct ChatCollector {
    counts: HashMap<(AccountId, DateTime<Utc>), i32>,
}

impl Collector for ChatCollector {
    fn line_limit_bytes(&self) -> usize {
        4 * 1024
    }

    fn line(&mut self, number: u64, text: &str, batch: &mut Batch, tally: &mut Tally) {
        match irc::parse(text) {
            Ok(Parsed::Record(Record::Message { at, account })) => {
                tally.data();
                let account_id = account.as_str().to_owned();
                let count = self.counts.entry((account, at)).or_default();
                *count = count.saturating_add(1);
                batch.chat_messages.push(ChatMessages { account_id, at, sequence: *count });
            }
            Ok(Parsed::Record(Record::Rename { account, same_as })) => {
                tally.data();
                batch.identity_links.push(IdentityLinks {
                    account_id: account.into_string(),
                    same_as: same_as.into_string(),
                    source: "irc_rename".to_owned(),
                });
            }
            Ok(Parsed::Ignored(reason)) => tally.ignored(reason),
            Err(problem) => tally.bad(number, problem),
        }
    }

    fn end_of_file(&mut self, _: &mut Batch) {
        self.counts = HashMap::new();
    }
}
