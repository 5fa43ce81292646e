//! What a statement reads, compared with what is declared upstream.

use super::catalog::Read;
use super::place;
use super::report::{ColumnReads, Problem, ProblemKind};
use crate::asset::definitions::Definitions;
use crate::asset::spec::{AssetKind, AssetSpec};
use crate::core::key::AssetKey;
use crate::core::suggest::did_you_mean;

/// The statement that reads.
pub(super) struct Reader<'a> {
    pub(super) definitions: &'a Definitions,
    pub(super) asset: &'a AssetSpec,
    /// The check whose statement it is; otherwise it is the asset's own.
    pub(super) check: Option<&'a str>,
    /// Its text, if a person wrote it.
    pub(super) sql: Option<&'a str>,
}

/// The reads that are not declared, and those that are.
pub(super) fn read_problems(reader: &Reader<'_>, reads: &[Read]) -> (Vec<Problem>, ColumnReads) {
    let mut problems = Vec::new();
    let mut declared = ColumnReads::new();
    for read in reads {
        let name = format!("{}.{}", read.schema_name, read.table_name);
        let asset = name.parse::<AssetKey>().ok().and_then(|key| reader.definitions.asset(&key));
        match asset {
            None => problems.push(reader.foreign(&name, read)),
            Some(own) if own.key == reader.asset.key => {
                if reader.check.is_none() {
                    problems.push(reader.own(read));
                }
            }
            Some(upstream) if reader.asset.upstreams.iter().any(|declared| declared.key == upstream.key) => {
                let unknown = read.columns.iter().filter(|column| upstream.column(column).is_none());
                problems.extend(unknown.map(|column| reader.undeclared_column(upstream, column)));
                declared.entry(upstream.key.clone()).or_default().extend(read.columns.iter().cloned());
            }
            Some(other) => problems.push(reader.undeclared(other, read)),
        }
    }
    (problems, declared)
}

impl Reader<'_> {
    fn subject(&self) -> String {
        self.check.map_or_else(|| "its SQL".to_owned(), |check| format!("check `{check}`"))
    }

    fn problem(&self, kind: ProblemKind, problem: String, remedy: String) -> Problem {
        Problem { check: self.check.map(str::to_owned), ..Problem::error(kind, self.asset, problem, remedy) }
    }

    fn table_problem(&self, kind: ProblemKind, read: &Read, problem: String, remedy: String) -> Problem {
        let place = self.sql.and_then(|sql| place::find_table(sql, &read.schema_name, &read.table_name));
        self.problem(kind, problem, remedy).at(place)
    }

    fn undeclared(&self, other: &AssetSpec, read: &Read) -> Problem {
        let key = &other.key;
        let is_downstream = self.definitions.graph().descendants([&self.asset.key], None).contains(key);
        let remedy = if is_downstream {
            format!("take the read away: `{key}` itself reads `{}`, directly or through others", self.asset.key)
        } else if self.asset.kind == AssetKind::External {
            "take the read away: an external asset has no upstreams".to_owned()
        } else {
            format!("declare it: add `{}` to `type Upstream` of `{}`", other.type_name, self.asset.type_name)
        };
        let problem = format!("{} reads `{key}`, which is not declared upstream", self.subject());
        self.table_problem(ProblemKind::UndeclaredRead, read, problem, remedy)
    }

    fn own(&self, read: &Read) -> Problem {
        let problem = "its SQL reads the asset's own table, whose rows it is about to replace".to_owned();
        let remedy =
            "compute the rows from the upstreams alone: then a partition can be built at any time, in any order";
        self.table_problem(ProblemKind::OwnRead, read, problem, remedy.to_owned())
    }

    fn foreign(&self, name: &str, read: &Read) -> Problem {
        let subject = self.subject();
        let (kind, problem, remedy) = match read.schema_name.as_str() {
            "karat" => (
                ProblemKind::StateRead,
                format!("{subject} reads `{name}`, which is Karat's own state"),
                "read assets: the state changes with every run and its tables with every version".to_owned(),
            ),
            "pg_catalog" | "information_schema" => (
                ProblemKind::ForeignRead,
                format!("{subject} reads `{name}`, which is PostgreSQL's own and no asset"),
                "read assets: nobody would notice when it changes".to_owned(),
            ),
            _ => {
                let what = match read.kind.as_str() {
                    "v" | "m" => "a view and no asset",
                    _ => "the table of no asset",
                };
                let near = did_you_mean(name, self.definitions.assets().map(|asset| asset.key.as_str()));
                let otherwise = match read.kind.as_str() {
                    "v" | "m" => "read the tables behind it, or make it an asset",
                    _ => "declare it as an external asset if its rows come from outside",
                };
                let remedy = match near {
                    Some(near) => format!("did you mean `{near}`? Otherwise {otherwise}"),
                    None => format!("{otherwise}: of what is no asset nobody would notice a change"),
                };
                (ProblemKind::ForeignRead, format!("{subject} reads `{name}`, which is {what}"), remedy)
            }
        };
        self.table_problem(kind, read, problem, remedy)
    }

    fn undeclared_column(&self, upstream: &AssetSpec, column: &str) -> Problem {
        let key = &upstream.key;
        let near = did_you_mean(column, upstream.columns.iter().map(|column| column.name.as_str()));
        let add = format!("add the field to `{}`, or read only what it declares", upstream.type_name);
        let remedy = near.map_or_else(|| add.clone(), |near| format!("did you mean `{near}`? Otherwise {add}"));
        let problem = format!(
            "{} reads column `{column}` of `{key}`, which is no field of `{}`",
            self.subject(),
            upstream.type_name
        );
        let place = self.sql.and_then(|sql| place::find_column(sql, column));
        self.problem(ProblemKind::UndeclaredColumn, problem, remedy).at(place)
    }
}

/// Warnings about upstreams that a sql asset declares and neither its `select` nor its checks read.
pub(super) fn unread_upstreams<'a>(
    asset: &'a AssetSpec,
    read: &'a [ColumnReads],
) -> impl Iterator<Item = Problem> + 'a {
    let is_read = |key: &AssetKey| read.iter().any(|reads| reads.contains_key(key));
    asset.upstreams.iter().filter(move |upstream| !is_read(&upstream.key)).map(|upstream| {
        Problem::warning(
            ProblemKind::UnreadUpstream,
            asset,
            format!("`{}` is declared upstream but not read", upstream.key),
            "take it out of `type Upstream`: it is waited for, and its changes rebuild this asset, for nothing",
        )
    })
}
