//! The installation that is asked: here through its database, or elsewhere through its server.

use serde::de::DeserializeOwned;

use super::exit::Failure;
use super::remote::{Call, Remote};
use super::session::{Connected, Session};
use crate::service::{Service, ServiceError};

/// The installation that is asked.
pub(super) enum Instance {
    /// Through its database.
    Here(Box<Connected>),
    /// Through its server.
    There(Remote),
}

impl Session {
    /// Does `work` with the installation that the options mean, and leaves it properly, whatever comes of it.
    pub(super) async fn instance<T>(
        &self,
        work: impl AsyncFnOnce(&Instance) -> Result<T, Failure>,
    ) -> Result<T, Failure> {
        if let Some(remote) = Remote::of(&self.options)? {
            return work(&Instance::There(remote)).await;
        }
        let instance = Instance::Here(Box::new(self.connect().await?));
        let result = work(&instance).await;
        if let Instance::Here(connected) = instance {
            connected.close().await;
        }
        result
    }

    /// What one question comes to: `here` asks the service, `there` is the same question to a server.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        here: impl AsyncFnOnce(&Service) -> Result<T, ServiceError>,
        there: Call,
    ) -> Result<T, Failure> {
        self.instance(async |instance| instance.ask(here, there).await).await
    }

    /// What a list comes to, at most `limit` entries of it, as [`ask`](Self::ask).
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        limit: Option<u32>,
        here: impl AsyncFnOnce(&Service) -> Result<Vec<T>, ServiceError>,
        there: Call,
    ) -> Result<Vec<T>, Failure> {
        self.instance(async |instance| instance.list(limit, here, there).await).await
    }
}

impl Instance {
    /// What one question comes to.
    pub(super) async fn ask<T: DeserializeOwned>(
        &self,
        here: impl AsyncFnOnce(&Service) -> Result<T, ServiceError>,
        there: Call,
    ) -> Result<T, Failure> {
        match self {
            Self::Here(connected) => Ok(here(&connected.service).await?),
            Self::There(remote) => remote.call(&there).await,
        }
    }

    /// What a list comes to, at most `limit` entries of it; without a limit it comes as a whole.
    pub(super) async fn list<T: DeserializeOwned>(
        &self,
        limit: Option<u32>,
        here: impl AsyncFnOnce(&Service) -> Result<Vec<T>, ServiceError>,
        there: Call,
    ) -> Result<Vec<T>, Failure> {
        match self {
            Self::Here(connected) => Ok(here(&connected.service).await?),
            Self::There(remote) => remote.list(&there, limit).await,
        }
    }
}
