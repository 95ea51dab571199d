//! What a replica's process finds in its environment, and how the values get there.
//!
//! The values travel from controller to supervisor in the supervisor's own environment, each name behind
//! a prefix, so that they act on the replica and not on the supervisor. They are on no disk and in no
//! argument list.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use super::leftovers::MARK;
use super::record::Record;
use crate::model::Secret;

/// What a replica inherits from the controller's environment: nothing else, because the rest may hold
/// the controller's credentials.
pub(super) const INHERITED: [&str; 4] = ["PATH", "HOME", "LANG", "TZ"];
/// Put before each name on the way through the supervisor.
const PREFIX: &[u8] = b"TIDEGATE_CHILD_";

/// Whether this can be the name of an environment variable.
pub(super) fn is_name(name: &str) -> bool {
    !name.is_empty() && !name.contains(['=', '\0'])
}

/// The supervisor's whole environment.
pub(super) fn wrap<'a>(
    inherited: impl Iterator<Item = (&'a str, &'a OsStr)>,
    template: &'a [(String, Secret)],
) -> Vec<(OsString, OsString)> {
    let given = template.iter().map(|(name, value)| (name.as_str(), OsStr::new(value.expose())));
    inherited
        .chain(given)
        .map(|(name, value)| {
            (OsString::from_vec([PREFIX, name.as_bytes()].concat()), value.to_owned())
        })
        .collect()
}

/// A replica's environment as its supervisor keeps it, for every start.
pub(super) struct Environment(Vec<(OsString, OsString)>);

impl std::fmt::Debug for Environment {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list().entries(self.0.iter().map(|(name, _)| name)).finish()
    }
}

impl Environment {
    /// What was wrapped for the replica, and what its record adds: ports, identity and mark.
    pub(super) fn unwrap_from(
        own: impl Iterator<Item = (OsString, OsString)>,
        record: &Record,
        folder: &Path,
    ) -> Self {
        let mut variables: Vec<_> = own
            .filter_map(|(name, value)| {
                let name = name.as_bytes().strip_prefix(PREFIX)?;
                Some((OsStr::from_bytes(name).to_owned(), value))
            })
            .collect();
        let mut add = |name: &str, value: OsString| variables.push((name.into(), value));
        for given in &record.ports {
            if let Some(name) = &given.env {
                add(name, given.port.to_string().into());
            }
        }
        add("TIDEGATE_SERVICE", record.service.as_str().into());
        add("TIDEGATE_REGION", record.region.as_str().into());
        add("TIDEGATE_ORDINAL", record.ordinal.to_string().into());
        add(MARK, folder.into());
        Self(variables)
    }

    /// Names and values, in the order in which the later ones win.
    pub(super) fn variables(&self) -> impl Iterator<Item = (&OsStr, &OsStr)> {
        self.0.iter().map(|(name, value)| (name.as_os_str(), value.as_os_str()))
    }

    /// The value of one variable.
    pub(super) fn get(&self, name: &str) -> Option<&OsStr> {
        self.variables().filter(|(n, _)| *n == OsStr::new(name)).last().map(|(_, value)| value)
    }
}
