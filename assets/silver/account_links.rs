//! Accounts and the people behind them.

use std::collections::HashMap;

use karat::prelude::*;

use crate::bronze::IdentityLinks;

table! {
    /// The person behind each linked account. An account without a link is its own person and has no row here.
    pub struct AccountLinks {
        pub account_id: String,
        /// The smallest account id among all accounts that links connect, directly or through others.
        pub person_id: String,
    }
}

impl Asset for AccountLinks {
    const KEY: AssetKey = AssetKey::new("silver.account_links");
    type Partitions = Unpartitioned;
    type Upstream = (IdentityLinks,);
    const AUTOMATION: Automation = Automation::eager();
    const TAGS: &'static [&'static str] = &["identity"];

    fn checks() -> Vec<AssetCheck> {
        vec![unique(&["account_id"])]
    }
}

impl RustAsset for AccountLinks {
    const VERSION: u32 = 1;

    async fn materialize(context: &Context<Self>) -> Result<(), AssetError> {
        let mut people = People::default();
        let mut links = IdentityLinks::read(context);
        while let Some(link) = links.next().await? {
            people.link(&link.account_id, &link.same_as);
        }
        context.extend(people.rows()).await
    }
}

/// Accounts joined into people (a union-find).
#[derive(Debug, Default)]
pub struct People {
    numbers: HashMap<String, usize>,
    accounts: Vec<String>,
    /// For each account the number of another of the same person; its own for the one that stands for all.
    parents: Vec<usize>,
}

impl People {
    /// Says that two accounts are one person's.
    pub fn link(&mut self, account: &str, same_as: &str) {
        let (left, right) = (self.number(account), self.number(same_as));
        let (left, right) = (self.root(left), self.root(right));
        // The smaller id stands for both, so that roots need no second pass. Halving paths keeps it fast enough.
        if self.accounts[left] <= self.accounts[right] {
            self.parents[right] = left;
        } else {
            self.parents[left] = right;
        }
    }

    /// One row for every account that was linked, ordered by account.
    #[must_use]
    pub fn rows(mut self) -> Vec<AccountLinks> {
        let mut rows: Vec<AccountLinks> = (0..self.accounts.len())
            .map(|number| {
                let root = self.root(number);
                AccountLinks { account_id: self.accounts[number].clone(), person_id: self.accounts[root].clone() }
            })
            .collect();
        rows.sort_by(|left, right| left.account_id.cmp(&right.account_id));
        rows
    }

    fn number(&mut self, account: &str) -> usize {
        if let Some(&number) = self.numbers.get(account) {
            return number;
        }
        let number = self.accounts.len();
        self.numbers.insert(account.to_owned(), number);
        self.accounts.push(account.to_owned());
        self.parents.push(number);
        number
    }

    fn root(&mut self, mut number: usize) -> usize {
        while self.parents[number] != number {
            self.parents[number] = self.parents[self.parents[number]];
            number = self.parents[number];
        }
        number
    }
}
