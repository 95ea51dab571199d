//! As whom requests are sent: with the token of the configuration, or with one that an App gets for its
//! installation, keeps while it is good, and changes once where GitHub refuses it.

use hyper::{Method, StatusCode};
use tokio::sync::Mutex as AsyncMutex;

use super::app::{AppKey, Token};
use super::client::{Answer, Ask, Client};
use super::wire::{InstallationToken, Made};
use crate::forge::ForgeError;
use crate::model::Secret;

/// How requests are signed.
#[derive(Debug)]
pub(super) enum Credentials {
    Token(Secret),
    App { key: Box<AppKey>, installation_id: Option<u64>, token: AsyncMutex<Option<Token>> },
}

impl Client {
    /// Sends a request as the configured identity. A token of an App that is refused is changed once.
    pub(super) async fn send(&self, ask: &Ask<'_>) -> Result<Answer, ForgeError> {
        let is_content = ask.method != Method::GET;
        let (key, token) = match &self.credentials {
            Credentials::Token(token) => {
                return self.send_as(ask, token, is_content).await.map_err(|failed| failed.error);
            }
            Credentials::App { key, token, .. } => (key, token),
        };
        let first = self.installation_token(key, token, None).await?;
        match self.send_as(ask, &first, is_content).await {
            Err(failed) if failed.status == Some(StatusCode::UNAUTHORIZED) => {
                let second = self.installation_token(key, token, Some(&first)).await?;
                self.send_as(ask, &second, is_content).await.map_err(|failed| failed.error)
            }
            answer => answer.map_err(|failed| failed.error),
        }
    }

    /// Sends a request as the App itself, which may ask only about itself.
    pub(super) async fn send_as_app(
        &self,
        ask: &Ask<'_>,
        key: &AppKey,
    ) -> Result<Answer, ForgeError> {
        let statement = key.statement((self.now)()).ok_or_else(|| {
            self.asked(ask.doing, &[])
                .unavailable("the system gives no random numbers to sign with")
        })?;
        self.send_as(ask, &statement, false).await.map_err(|failed| failed.error)
    }

    /// The token of the installation; `refused` is one that GitHub no longer takes.
    async fn installation_token(
        &self,
        key: &AppKey,
        held: &AsyncMutex<Option<Token>>,
        refused: Option<&Secret>,
    ) -> Result<Secret, ForgeError> {
        // Held while asking, so that many requests that need a token ask for one.
        let mut held = held.lock().await;
        if let Some(token) = held.as_ref()
            && token.is_good((self.now)())
            && Some(&token.value) != refused
        {
            return Ok(token.value.clone());
        }
        *held = None;
        let id = self.installation_id(key).await?;
        let doing = "get a token of the App's installation";
        let url = format!("{}/app/installations/{id}/access_tokens", self.place.api);
        // No more than this one repository, whatever else the App is installed on.
        let body = serde_json::json!({ "repositories": [self.place.repo] });
        let ask = Ask { method: Method::POST, url: &url, body: Some(&body), etag: None, doing };
        let answer = self.send_as_app(&ask, key).await?;
        let token: InstallationToken = self.read(doing, &answer)?;
        let value = Secret::new(token.token);
        *held = Some(Token { value: value.clone(), expires_at: token.expires_at });
        Ok(value)
    }

    async fn installation_id(&self, key: &AppKey) -> Result<u64, ForgeError> {
        if let Credentials::App { installation_id: Some(id), .. } = &self.credentials {
            return Ok(*id);
        }
        let doing = "find the App's installation on the repository";
        let url = format!("{}/installation", self.place.repo_api());
        let ask = Ask { method: Method::GET, url: &url, body: None, etag: None, doing };
        let made: Made = self.read(doing, &self.send_as_app(&ask, key).await?)?;
        Ok(made.id)
    }

    /// What must not be repeated, but for the secret of the request itself.
    pub(super) fn secrets(&self) -> Vec<Secret> {
        match &self.credentials {
            Credentials::Token(token) => vec![token.clone()],
            Credentials::App { token, .. } => token
                .try_lock()
                .ok()
                .and_then(|token| token.as_ref().map(|token| token.value.clone()))
                .into_iter()
                .collect(),
        }
    }
}
