//! `tidegate schema`.

use std::process::ExitCode;

use clap::ValueEnum;

/// Which schema.
#[derive(Debug, clap::Args)]
pub(super) struct SchemaArgs {
    /// The document that the schema describes.
    #[arg(value_enum, default_value_t = Document::Spec)]
    document: Document,
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Document {
    /// `controller/spec.yaml`.
    Spec,
    /// `tidegate.yaml`.
    Config,
    /// `status.yaml` of the status branch.
    Status,
    /// `plans/<commit>.json`, and `tidegate plan --output json`.
    Plan,
    /// `tidegate backtest --output json`.
    Backtest,
}

pub(super) fn schema(args: &SchemaArgs) -> anyhow::Result<ExitCode> {
    let schema = match args.document {
        Document::Spec => crate::spec::schema(),
        Document::Config => crate::config::schema(),
        Document::Status => crate::record::status_schema(),
        Document::Plan => crate::plan::render::json::schema(),
        Document::Backtest => crate::backtest::document::schema(),
    };
    println!("{}", serde_json::to_string_pretty(&schema)?);
    Ok(ExitCode::SUCCESS)
}
