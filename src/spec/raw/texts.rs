//! Forms of text that several documents use.

use crate::spec::formats::text_type;

text_type!(
    /// A duration.
    DurationText,
    "tidegate-duration",
    "^([0-9]+(ms|s|m|h|d))+$",
    ["30s", "5m", "1h30m"]
);
text_type!(
    /// A DNS label.
    Label,
    "tidegate-label",
    "^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$",
    ["web"]
);
text_type!(
    /// A plain name.
    Name,
    "tidegate-name",
    "^[A-Za-z0-9._/-]{1,128}$",
    ["http"]
);
text_type!(
    /// The name of a secret of the controller's configuration.
    SecretNameText,
    "tidegate-secret-name",
    "^[A-Za-z0-9._/-]{1,128}$",
    ["web/database-url"]
);
text_type!(
    /// The name of an environment variable.
    EnvName,
    "tidegate-env-name",
    "^[A-Za-z_][A-Za-z0-9_]*$",
    ["PORT"]
);
text_type!(
    /// An instant: a date or an RFC 3339 timestamp.
    InstantText,
    "tidegate-instant",
    "^[0-9]{4}-[0-9]{2}-[0-9]{2}(T.+)?$",
    ["2026-12-01", "2026-12-01T09:00:00Z"]
);
text_type!(
    /// A percentage.
    Percent,
    "tidegate-percent",
    "^[+-]?[0-9]+(\\.[0-9]+)?%$",
    ["50%"]
);
text_type!(
    /// A cron expression of five fields.
    Cron,
    "tidegate-cron",
    r"^\s*[^\s@]\S*(\s+\S+){4}\s*$",
    ["0 8 * * 1-5"]
);
text_type!(
    /// An absolute URL path.
    UrlPath,
    "tidegate-absolute-path",
    "^/",
    ["/healthz"]
);
text_type!(
    /// A share of processor cores as a text.
    CpuText,
    "tidegate-cpu",
    "^[0-9]+(\\.[0-9]+)?m?$",
    ["500m", "0.5"]
);
text_type!(
    /// An amount of memory as a text.
    MemoryText,
    "tidegate-memory",
    "^[0-9]+(\\.[0-9]+)?([kKMGT]i?)?B?$",
    ["512Mi", "1Gi"]
);
