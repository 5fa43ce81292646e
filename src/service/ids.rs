//! Runs and backfills by the part of their id that a person typed.

use uuid::Uuid;

use super::{Service, ServiceError};
use crate::core::id::short_id;
use crate::core::shown::shown;
use crate::core::suggest::did_you_mean;
use crate::store::run_list::RunFilter;

/// The fewest characters that name something.
const FEWEST_CHARACTERS: usize = 4;

/// How many of the newest ids are looked at for a suggestion.
const SUGGESTED_FROM: i64 = 50;

/// How many candidates an error lists.
const LISTED: usize = 5;

/// What kind of thing an id is of.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Thing {
    Run,
    Backfill,
}

impl Thing {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Run => "run",
            Self::Backfill => "backfill",
        }
    }

    const fn other(self) -> Self {
        match self {
            Self::Run => Self::Backfill,
            Self::Backfill => Self::Run,
        }
    }
}

impl Service {
    /// The run that `text` names: its id, or any beginning or end of at least four characters that fits no other.
    ///
    /// # Errors
    /// When no run fits, with the one that was probably meant, or several do, with their ids.
    pub async fn run_id(&self, text: &str) -> Result<Uuid, ServiceError> {
        self.id_of(Thing::Run, text).await
    }

    /// The backfill that `text` names, as [`run_id`](Self::run_id).
    ///
    /// # Errors
    /// As [`run_id`](Self::run_id).
    pub async fn backfill_id(&self, text: &str) -> Result<Uuid, ServiceError> {
        self.id_of(Thing::Backfill, text).await
    }

    async fn id_of(&self, thing: Thing, text: &str) -> Result<Uuid, ServiceError> {
        let name = thing.as_str();
        let text = text.trim().to_ascii_lowercase();
        let whole = Uuid::parse_str(&text).map(|id| id.to_string());
        let text = whole.unwrap_or(text);
        if let Some(stray) = text.chars().find(|char| !(char.is_ascii_hexdigit() || *char == '-')) {
            return Err(ServiceError::Id(format!(
                "`{}` is no id of a {name}: ids are made of the digits 0-9 and a-f, and `{}` is none of them. `{name} ls` lists them",
                shown(&text),
                stray.escape_debug()
            )));
        }
        if text.len() < FEWEST_CHARACTERS {
            return Err(ServiceError::Id(format!(
                "`{text}` is too short for an id of a {name}: write at least {FEWEST_CHARACTERS} characters from its beginning or end. `{name} ls` lists them"
            )));
        }
        match self.named(thing, &text).await?.as_slice() {
            [one] => Ok(*one),
            [] => Err(self.unknown(thing, &text).await?),
            several => {
                let listed: Vec<String> = several.iter().take(LISTED).map(|id| format!("`{id}`")).collect();
                let more = if several.len() > LISTED { " and others" } else { "" };
                Err(ServiceError::Id(format!(
                    "`{text}` can be any of several {name}s, {}{more}: write more of the id",
                    listed.join(", ")
                )))
            }
        }
    }

    async fn named(&self, thing: Thing, text: &str) -> Result<Vec<Uuid>, ServiceError> {
        Ok(match thing {
            Thing::Run => self.store.runs_named(text).await?,
            Thing::Backfill => self.store.backfills_named(text).await?,
        })
    }

    async fn unknown(&self, thing: Thing, text: &str) -> Result<ServiceError, ServiceError> {
        let (name, other) = (thing.as_str(), thing.other());
        if self.named(other, text).await?.len() == 1 {
            let other = other.as_str();
            return Ok(ServiceError::Id(format!("`{text}` is a {other}, not a {name}: use `{other} show {text}`")));
        }
        let newest: Vec<Uuid> = match thing {
            Thing::Run => {
                let filter = RunFilter { limit: SUGGESTED_FROM, ..RunFilter::default() };
                self.store.runs(&filter).await?.into_iter().map(|run| run.run_id).collect()
            }
            Thing::Backfill => {
                let backfills = self.store.backfills(None, None, SUGGESTED_FROM).await?;
                backfills.into_iter().map(|backfill| backfill.backfill_id).collect()
            }
        };
        let hint = match did_you_mean(text, newest.iter().map(|id| short_id(*id))) {
            Some(near) => format!(": did you mean `{near}`?"),
            None if newest.is_empty() => format!(": there is no {name} yet"),
            None => format!(": `{name} ls` lists them"),
        };
        Ok(ServiceError::Id(format!("there is no {name} `{}`{hint}", shown(text))))
    }
}
