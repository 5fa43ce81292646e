//! Staleness across a restore on another server.

use chrono::{DateTime, Utc};

use super::status::asset_statuses;
use crate::asset::definitions::Definitions;
use crate::core::status::Staleness;
use crate::store::{Store, StoreError};

/// Makes sure that the state's transaction numbers are those of the server it is on, and returns whether they were not.
///
/// Before anything is written on the new server the old numbers still agree among themselves: what they call stale stays
/// stale, everything else stays fresh, and from then on the new server's numbers count. One query when nothing has
/// changed; nothing at all when the database user may not know which server it is.
///
/// # Errors
/// When the state cannot be used; nothing was changed then.
pub async fn adopt_cluster(store: &Store, definitions: &Definitions, now: DateTime<Utc>) -> Result<bool, StoreError> {
    let Some(identity) = store.cluster_identity().await? else { return Ok(false) };
    let Some(noted) = identity.noted else {
        store.note_cluster(identity.present).await?;
        return Ok(false);
    };
    if noted == identity.present {
        return Ok(false);
    }
    let keys = definitions.graph().topological_order();
    let mut late = Vec::new();
    for (key, status) in asset_statuses(store, definitions, keys, now).await? {
        let Some(spec) = definitions.asset(&key) else { continue };
        let is_late = |reasons: &[Staleness]| reasons.iter().any(|reason| matches!(reason, Staleness::LateRows { .. }));
        let ordinals = status.stale.iter().filter(|(_, reasons)| is_late(reasons)).map(|(&ordinal, _)| ordinal);
        late.extend(ordinals.map(|ordinal| (key.to_string(), spec.partitions.key(ordinal).to_string())));
    }
    store.renumber(noted, identity.present, &late).await
}
