//! What a verification found, as data and as text.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::Serialize;

use super::place::SqlPlace;
use crate::asset::definitions::Definitions;
use crate::asset::spec::AssetSpec;
use crate::core::count::counted;
use crate::core::key::AssetKey;

/// Which columns an asset's `select` reads of each upstream. An upstream of which only rows are counted has no columns.
pub type ColumnReads = BTreeMap<AssetKey, BTreeSet<String>>;

/// What a verification found. Its text is for people; serialized, it is for programs.
///
/// ```text
/// lake.daily (assets/lake/daily.rs)
///   error: column "usr" does not exist
///     SQL, line 2, column 8
///       2 | select usr
///         |        ^
///     PostgreSQL: SQLSTATE 42703; hint: Perhaps you meant to reference the column "events.user".
///     correct the name
///
/// 1 error in 2 assets
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct VerificationReport {
    /// How many assets were verified.
    pub assets: usize,
    /// What is wrong or doubtful, in the order of the assets' keys, and for each asset errors before warnings.
    pub problems: Vec<Problem>,
    /// What each sql asset reads: reader → upstream → columns. Assets whose SQL PostgreSQL refuses are not in it; neither
    /// are rust assets, which read whole rows.
    pub lineage: BTreeMap<AssetKey, ColumnReads>,
    /// The migrations that the database lacks. They were applied for the verification and rolled back with it.
    pub pending_migrations: Vec<String>,
}

impl VerificationReport {
    /// Puts the problems in order.
    pub(super) fn new(
        assets: usize,
        mut problems: Vec<Problem>,
        lineage: BTreeMap<AssetKey, ColumnReads>,
        pending_migrations: Vec<String>,
    ) -> Self {
        problems.sort_by(|left, right| (&left.asset, left.severity).cmp(&(&right.asset, right.severity)));
        Self { assets, problems, lineage, pending_migrations }
    }

    /// Adds as warnings that these tables (each after its asset's key) lack triggers.
    pub(crate) fn add_unmarked<'t>(
        &mut self,
        definitions: &Definitions,
        tables: impl Iterator<Item = (&'t str, &'t str)>,
    ) {
        self.problems.extend(tables.filter_map(|(key, table)| {
            let asset = definitions.asset(&key.parse().ok()?)?;
            Some(Problem::warning(
                ProblemKind::UnmarkedWrites,
                asset,
                format!("the table {table} lacks triggers: rows that other programs write there make nothing stale"),
                "let `migrate` install them, as a user who may create triggers on the table",
            ))
        }));
        self.problems.sort_by(|left, right| (&left.asset, left.severity).cmp(&(&right.asset, right.severity)));
    }

    /// How many of the problems are errors.
    #[must_use]
    pub fn error_count(&self) -> usize {
        self.problems.iter().filter(|problem| problem.severity == Severity::Error).count()
    }

    /// How many of the problems are warnings.
    #[must_use]
    pub fn warning_count(&self) -> usize {
        self.problems.len() - self.error_count()
    }

    /// Whether nothing stands in the way of using the definitions; warnings do not.
    #[must_use]
    pub fn is_passed(&self) -> bool {
        self.error_count() == 0
    }
}

impl fmt::Display for VerificationReport {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        for problems in self.problems.chunk_by(|left, right| left.asset == right.asset) {
            let first = &problems[0];
            writeln!(formatter, "{} ({})", first.asset, first.file)?;
            for problem in problems {
                writeln!(formatter, "{problem}")?;
            }
            writeln!(formatter)?;
        }
        if !self.pending_migrations.is_empty() {
            let names = self.pending_migrations.join(", ");
            writeln!(
                formatter,
                "Verified as if these migrations had been applied, which the database lacks: {names}\n"
            )?;
        }
        match (self.error_count(), self.warning_count()) {
            (0, 0) => write!(formatter, "no errors")?,
            (0, warnings) => write!(formatter, "no errors, {}", counted(warnings, "warning"))?,
            (errors, 0) => write!(formatter, "{}", counted(errors, "error"))?,
            (errors, warnings) => {
                write!(formatter, "{}, {}", counted(errors, "error"), counted(warnings, "warning"))?;
            }
        }
        write!(formatter, " in {}", counted(self.assets, "asset"))
    }
}

/// How much a problem matters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// An attempt would fail, or publish what the declaration does not say.
    Error,
    /// It works, but hardly as it is meant.
    Warning,
}

/// What sort of problem it is, for programs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ProblemKind {
    /// The asset has no table.
    TableMissing,
    /// What bears the asset's name is a view or something else that is no table of this database.
    NotATable,
    /// The table lacks a column of the row struct.
    ColumnMissing,
    /// The table has a column that must be filled and that the row struct has not.
    ColumnUnfilled,
    /// PostgreSQL computes the column itself and accepts no value.
    ColumnGenerated,
    /// The column has another type than the field.
    ColumnType,
    /// The column may be null and the field may not, or the other way round.
    ColumnNullability,
    /// No unique index tells whether a natural key is there already.
    NaturalKeyIndex,
    /// No index finds the rows of a partition.
    PartitionIndex,
    /// PostgreSQL refuses the asset's SQL.
    Sql,
    /// The result lacks a column of the row struct.
    ResultColumnMissing,
    /// The result has a column that the row struct has not.
    ResultColumnExtra,
    /// A column of the result has another type than the field.
    ResultColumnType,
    /// An asset is read that is not declared upstream.
    UndeclaredRead,
    /// The asset reads its own table.
    OwnRead,
    /// A table or view is read that is no asset.
    ForeignRead,
    /// Karat's own state is read.
    StateRead,
    /// A column is read that the upstream's row struct has not.
    UndeclaredColumn,
    /// A declared upstream is not read.
    UnreadUpstream,
    /// The result depends on when the SQL runs, or on chance.
    Unrepeatable,
    /// A function is called of which nobody knows what it reads.
    OpaqueFunction,
    /// PostgreSQL refuses a check.
    Check,
    /// The table of an external asset lacks the triggers that leave marks.
    UnmarkedWrites,
}

/// One thing that is wrong or doubtful: where, what, and what to do.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Problem {
    /// How much it matters.
    pub severity: Severity,
    /// What sort of problem it is.
    pub kind: ProblemKind,
    /// The asset it concerns.
    pub asset: AssetKey,
    /// The source file of the asset's declaration.
    pub file: String,
    /// The check it concerns, if any; a place is then one in the check's SQL.
    pub check: Option<String>,
    /// What is wrong. For what PostgreSQL refuses, its message.
    pub problem: String,
    /// Where in the SQL, if it is in the SQL and the place is known.
    pub place: Option<SqlPlace>,
    /// What else PostgreSQL said, if it was PostgreSQL.
    pub database: Option<DatabaseReason>,
    /// What to do, or the statements that put it right.
    pub remedy: String,
}

impl Problem {
    /// Something that must be put right.
    pub(super) fn error(
        kind: ProblemKind,
        asset: &AssetSpec,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self {
            severity: Severity::Error,
            kind,
            asset: asset.key.clone(),
            file: asset.source_file.to_owned(),
            check: None,
            problem: problem.into(),
            place: None,
            database: None,
            remedy: remedy.into(),
        }
    }

    /// Something that should be put right.
    pub(super) fn warning(
        kind: ProblemKind,
        asset: &AssetSpec,
        problem: impl Into<String>,
        remedy: impl Into<String>,
    ) -> Self {
        Self { severity: Severity::Warning, ..Self::error(kind, asset, problem, remedy) }
    }

    /// The same problem at a place.
    pub(super) fn at(self, place: Option<SqlPlace>) -> Self {
        Self { place, ..self }
    }
}

/// The rest of an error of PostgreSQL.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct DatabaseReason {
    /// The five-character code.
    pub sql_state: String,
    /// More about it.
    pub detail: Option<String>,
    /// What PostgreSQL suggests.
    pub hint: Option<String>,
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Error => "error",
            Severity::Warning => "warning",
        };
        write!(formatter, "  {severity}: {}", self.problem)?;
        if let Some(place) = &self.place {
            let sql = self.check.as_ref().map_or_else(|| "SQL".to_owned(), |check| format!("SQL of check `{check}`"));
            write!(formatter, "\n    {sql}, line {}, column {}", place.line, place.column)?;
            let number = place.line.to_string();
            write!(formatter, "\n      {number} | {}", place.excerpt)?;
            write!(formatter, "\n      {:1$} | {2:>3$}", "", number.len(), "^", place.caret + 1)?;
        }
        if let Some(reason) = &self.database {
            write!(formatter, "\n    PostgreSQL: SQLSTATE {}", reason.sql_state)?;
            for (name, text) in [("detail", &reason.detail), ("hint", &reason.hint)] {
                if let Some(text) = text {
                    write!(formatter, "; {name}: {}", text.replace('\n', "\n      "))?;
                }
            }
        }
        write!(formatter, "\n    {}", self.remedy.replace('\n', "\n    "))
    }
}
