//! The rules that declared schedules must obey.

use std::collections::{BTreeMap, BTreeSet};

use super::definitions::Definitions;
use super::problems::DefinitionError;
use crate::core::cron::CronExpression;
use crate::core::key::AssetKey;
use crate::core::plan::Extent;
use crate::core::schedule::{Schedule, ScheduleSpec};
use crate::core::selection;

/// The longest name: what PostgreSQL takes as the name of anything.
const NAME_BYTES: usize = 63;

/// The schedules that are sound, by name; what is wrong with the others goes to `errors`. Every rule reports.
pub(super) fn checked_schedules(
    schedules: Vec<Schedule>,
    definitions: &Definitions,
    errors: &mut Vec<DefinitionError>,
) -> Vec<ScheduleSpec> {
    let mut names = BTreeSet::new();
    let mut sound = Vec::new();
    for schedule in schedules {
        let mut problem = |problem: String, remedy: &str| {
            errors.push(DefinitionError {
                asset: None,
                file: schedule.source_file.to_owned(),
                problem: format!("schedule `{}`: {problem}", schedule.name),
                remedy: remedy.to_owned(),
            });
        };
        if !is_name(&schedule.name) {
            problem(
                "its name cannot be".to_owned(),
                "begin with a lower-case letter and go on with lower-case letters, digits, `_` and `-`, 63 at most",
            );
        }
        if !names.insert(schedule.name.clone()) {
            problem("it is declared twice".to_owned(), "give each schedule its own name");
        }
        let expression = CronExpression::parse(&schedule.expression)
            .map_err(|error| problem(error.to_string(), "correct the cron expression"))
            .ok();
        if let Extent::Text(text) = &schedule.partitions
            && text.trim().is_empty()
        {
            problem("its partitions are blank".to_owned(), "name partitions, or leave `partitions` out");
        }
        let selection = selection::parse(&schedule.selection)
            .map_err(|error| problem(error.to_string(), "correct the selection"))
            .ok();
        let Some(selection) = selection else { continue };
        if schedule.selection.contains("state:") {
            problem(
                format!("its selection `{selection}` asks for states"),
                "leave them out: what is fresh is not built again anyway",
            );
            continue;
        }
        let assets: Vec<AssetKey> = match definitions.select(&selection, &BTreeMap::new()) {
            Ok(selected) => {
                selected.iter().filter(|spec| spec.is_materializable()).map(|spec| spec.key.clone()).collect()
            }
            Err(error) => {
                problem(error.to_string(), "correct the selection");
                continue;
            }
        };
        if assets.is_empty() {
            problem(
                format!("its selection `{selection}` means external assets only, which Karat does not build"),
                "select what reads them, for example with `+` behind the name",
            );
        }
        if let Some(expression) = expression {
            sound.push(ScheduleSpec {
                name: schedule.name,
                expression,
                selection,
                assets,
                partitions: schedule.partitions,
                catch_up: schedule.catch_up,
                enabled_by_default: schedule.enabled_by_default,
                description: schedule.description,
            });
        }
    }
    sound.sort_by(|left, right| left.name.cmp(&right.name));
    sound
}

pub(super) fn is_name(name: &str) -> bool {
    let tail = |char: char| char.is_ascii_lowercase() || char.is_ascii_digit() || char == '_' || char == '-';
    name.len() <= NAME_BYTES && name.starts_with(|char: char| char.is_ascii_lowercase()) && name.chars().all(tail)
}
