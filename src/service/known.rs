//! How partitions stand for whoever plans: as the database says, or as a picture of it shows.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::{AssetPicture, Picture, Service, ServiceError};
use crate::asset::spec::AssetSpec;
use crate::core::key::AssetKey;
use crate::core::plan::{PartitionSets, missing_inputs};
use crate::engine::launch::{missing_upstream, present};
use crate::engine::status::asset_statuses;

/// Where it is looked up how partitions stand. Both places give the same answers to what was committed before the picture.
#[derive(Clone, Copy)]
pub(super) struct Known<'a> {
    service: &'a Service,
    picture: Option<&'a Picture>,
}

impl<'a> Known<'a> {
    /// What the database says, which reads the versions of all partitions in question.
    pub(super) const fn by_database(service: &'a Service) -> Self {
        Self { service, picture: None }
    }

    /// What the picture shows, without SQL; what the database says while the picture is not complete or not kept up to
    /// date.
    pub(super) fn by_picture(service: &'a Service, picture: &'a Picture) -> Self {
        let is_usable = !picture.loading && picture.problem.is_none();
        Self { service, picture: is_usable.then_some(picture) }
    }

    /// The assets that `selection` means, as [`Service::select`].
    pub(super) async fn select(self, selection: &str) -> Result<Vec<Arc<AssetSpec>>, ServiceError> {
        match self.picture {
            Some(picture) => picture.select(&self.service.definitions, selection),
            None => self.service.select(selection).await,
        }
    }

    /// How the partitions of `assets` stand.
    pub(super) async fn standings(
        self,
        assets: &[Arc<AssetSpec>],
    ) -> Result<BTreeMap<AssetKey, Arc<AssetPicture>>, ServiceError> {
        if let Some(picture) = self.picture {
            let shown = assets.iter().filter_map(|spec| Some((spec.key.clone(), picture.asset(&spec.key)?.clone())));
            return Ok(shown.collect());
        }
        let Service { store, definitions, .. } = self.service;
        let keys: Vec<AssetKey> = assets.iter().map(|spec| spec.key.clone()).collect();
        let statuses = asset_statuses(store, definitions, &keys, self.service.now()).await?;
        Ok(statuses.into_iter().map(|(key, status)| (key, Arc::new(AssetPicture::new(status, None)))).collect())
    }

    /// The partitions of these assets that have been built.
    pub(super) async fn built(self, keys: &BTreeSet<AssetKey>) -> Result<PartitionSets, ServiceError> {
        let Service { store, definitions, .. } = self.service;
        let Some(picture) = self.picture else { return Ok(present(store, definitions, keys).await?) };
        let built = keys.iter().filter(|key| definitions.asset(key).is_some_and(|spec| spec.is_materializable()));
        Ok(built.filter_map(|key| Some((key.clone(), picture.asset(key)?.materialized.clone()))).collect())
    }

    /// What is missing upstream of a plan.
    pub(super) async fn missing_upstream(
        self,
        plan: &PartitionSets,
        now: DateTime<Utc>,
    ) -> Result<PartitionSets, ServiceError> {
        let Service { store, definitions, .. } = self.service;
        if self.picture.is_none() {
            return Ok(missing_upstream(store, definitions, plan, now).await?);
        }
        let upstream = plan.keys().flat_map(|key| definitions.graph().upstream(key)).cloned().collect();
        let built = self.built(&upstream).await?;
        Ok(missing_inputs(&**definitions, plan, &built, now))
    }
}
