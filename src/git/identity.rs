//! Who somebody is to git on this machine: `user.name` and `user.email` of their configuration files.
//!
//! Only read for the name under which a person asks for something. It never takes part in reading or writing
//! a repository, which are cut off from every configuration of the machine's.

use std::path::PathBuf;

use git2::{Config, ConfigLevel};

/// `Name <address>` as the given configuration files say, the last one counting most; what of the two is
/// missing is left out. `None` when they say neither, or cannot be read.
#[must_use]
pub fn configured_identity(files: &[PathBuf]) -> Option<String> {
    let mut config = Config::new().ok()?;
    let levels = [ConfigLevel::System, ConfigLevel::XDG, ConfigLevel::Global];
    for (file, level) in files.iter().filter(|file| file.is_file()).zip(levels) {
        // A file that git itself would stumble over is no reason not to ask for a burst.
        let _added = config.add_file(file, level, false);
    }
    let get = |key: &str| config.get_string(key).ok().filter(|text| !text.trim().is_empty());
    match (get("user.name"), get("user.email")) {
        (Some(name), Some(email)) => Some(format!("{name} <{email}>")),
        (Some(one), None) | (None, Some(one)) => Some(one),
        (None, None) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_file_counts_most() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            let path = dir.path().join(name);
            std::fs::write(&path, text).unwrap();
            path
        };
        let system = file("system", "[user]\n\tname = Box\n\temail = box@example.com\n");
        let own = file("own", "[user]\n\tname = Ann Bee\n");
        let files = [system, dir.path().join("none"), own];
        assert_eq!(configured_identity(&files).unwrap(), "Ann Bee <box@example.com>");
        assert_eq!(configured_identity(&[dir.path().join("none")]), None);
    }
}
