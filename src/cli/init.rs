//! `tidegate init`.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, bail};

/// Where to write.
#[derive(Debug, clap::Args)]
pub(super) struct InitArgs {
    /// The folder to write into: usually a clone of the spec repository.
    #[arg(default_value = ".")]
    folder: PathBuf,
}

pub(super) fn init(args: &InitArgs) -> anyhow::Result<ExitCode> {
    let files = [
        (args.folder.join("controller/spec.yaml"), crate::spec::STARTER),
        (args.folder.join("tidegate.yaml"), crate::config::STARTER),
    ];
    if let Some((path, _)) = files.iter().find(|(path, _)| path.exists()) {
        bail!("`{}` exists already; nothing was written", path.display());
    }
    for (path, content) in &files {
        write_new(path, content).with_context(|| format!("write `{}`", path.display()))?;
        println!("wrote {}", path.display());
    }
    println!(
        "\nNext:\n  1. edit both files; tidegate.yaml belongs to the operator, not into the spec repository\n  \
         2. tidegate validate {0}\n  3. commit and push controller/spec.yaml\n  \
         4. tidegate doctor --config {1}\n  5. tidegate plan --config {1}, then tidegate run --config {1}",
        args.folder.display(),
        args.folder.join("tidegate.yaml").display()
    );
    Ok(ExitCode::SUCCESS)
}

/// Writes a file that must not exist: what somebody else wrote is never replaced.
fn write_new(path: &Path, content: &str) -> std::io::Result<()> {
    if let Some(folder) = path.parent() {
        match std::fs::create_dir_all(folder) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
    }
    let mut file = OpenOptions::new().write(true).create_new(true).open(path)?;
    file.write_all(content.as_bytes())
}
