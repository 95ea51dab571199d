//! A changed configuration, taken into use while the controller runs.

use super::{Controller, Setup};
use crate::model::Secret;
use crate::observe::signals::Signals;

impl Controller {
    /// Takes a changed configuration into use. What cannot change while running is refused.
    ///
    /// # Errors
    /// A sentence that says what needs a restart.
    pub async fn reload(&mut self, setup: Setup) -> Result<(), String> {
        let (old, new) = (&self.setup.config, &setup.config);
        if old.dry_run != new.dry_run || self.setup.owner != setup.owner {
            return Err(
                "`dryRun` or the owner of the replicas changed: restart the controller to use it"
                    .to_owned(),
            );
        }
        if old.state_dir != new.state_dir
            || old.store_file() != new.store_file()
            || old.store != new.store
            || old.repository.url != new.repository.url
            || old.repository.branch != new.repository.branch
            || old.repository.path != new.repository.path
            || old.status.branch != new.status.branch
        {
            return Err(
                "the repository, the status branch, the state folder or the store changed: restart \
                        the controller to use it"
                    .to_owned(),
            );
        }
        if old.api != new.api
            || !is_same(self.setup.webhook_secret.as_ref(), setup.webhook_secret.as_ref())
        {
            return Err(
                "`api.listen` or the webhooks' secret changed: restart the controller to use it"
                    .to_owned(),
            );
        }
        let remote = setup.remote.clone();
        self.source
            .with_mirror(move |mirror| {
                mirror.set_remote(remote);
                Ok(())
            })
            .await
            .map_err(|error| error.to_string())?;
        if let Some(publisher) = &mut self.publisher {
            publisher.set_remote(setup.status_remote.clone());
            publisher.set_batch(setup.config.status.batch);
        }
        self.deciding.signals = Signals::new(setup.sources.clone(), setup.config.interval);
        self.setup = setup;
        self.source.forget_seen();
        Ok(())
    }
}

fn is_same(old: Option<&Secret>, new: Option<&Secret>) -> bool {
    old.map(Secret::expose) == new.map(Secret::expose)
}
