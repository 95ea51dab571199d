//! The stable codes of every finding about a spec, and what each means.
//!
//! One file in `examples/broken/` shows each; a test keeps the two lists equal.

use crate::model::Code;

macro_rules! codes {
    ($($(#[$doc:meta])* $name:ident = $text:literal;)*) => {
        $($(#[$doc])* pub const $name: Code = Code($text);)*

        /// Every code, in the order of this file.
        pub const ALL: &[Code] = &[$($name),*];
    };
}

codes! {
    // The text.
    /// The file is not UTF-8.
    BAD_ENCODING = "bad-encoding";
    /// The file is not YAML.
    BAD_YAML = "bad-yaml";
    /// The file has too many bytes, or too many values once its aliases are expanded.
    TOO_LARGE = "too-large";
    /// Lists and mappings are nested too deeply.
    TOO_DEEP = "too-deep";
    /// A mapping has the same key twice.
    DUPLICATE_KEY = "duplicate-key";
    /// The file has more than one YAML document.
    MULTIPLE_DOCUMENTS = "multiple-documents";
    /// A YAML tag that is not one of the core schema.
    UNSUPPORTED_TAG = "unsupported-tag";
    /// A mapping key that is not a text.
    BAD_KEY = "bad-key";
    /// There is nothing in the file.
    EMPTY_SPEC = "empty-spec";
    /// There are more findings than are worth listing.
    TOO_MANY_FINDINGS = "too-many-findings";

    // The schema.
    /// A key that has no meaning at this place.
    UNKNOWN_KEY = "unknown-key";
    /// A key that this place cannot do without.
    MISSING_KEY = "missing-key";
    /// Keys that exclude each other.
    CONFLICTING_KEYS = "conflicting-keys";
    /// A value of another kind than is expected.
    WRONG_TYPE = "wrong-type";
    /// A value that is not one of the possible ones.
    UNKNOWN_VALUE = "unknown-value";
    /// A text that does not have the form it should.
    BAD_FORMAT = "bad-format";
    /// A number that is too small or too large, or a list that is too short or too long.
    OUT_OF_RANGE = "out-of-range";
    /// A text that is not a duration.
    BAD_DURATION = "bad-duration";
    /// A text that is not an amount of processor or memory.
    BAD_QUANTITY = "bad-quantity";
    /// A text that cannot be the name of an environment variable.
    BAD_ENV_NAME = "bad-env-name";

    // The meaning.
    /// Not `min <= desired <= max`.
    BOUNDS_ORDER = "bounds-order";
    /// Two services have the same id.
    DUPLICATE_ID = "duplicate-id";
    /// A service names a region twice.
    DUPLICATE_REGION = "duplicate-region";
    /// Two policies have the same name.
    DUPLICATE_POLICY = "duplicate-policy";
    /// Two ports of a template have the same name, number or environment variable.
    DUPLICATE_PORT = "duplicate-port";
    /// A service names a policy that does not exist.
    UNKNOWN_POLICY = "unknown-policy";
    /// A policy names a signal that it does not have.
    UNKNOWN_SIGNAL = "unknown-signal";
    /// A `start` or an `end` of a schedule is no cron expression that ever matches.
    BAD_CRON = "bad-cron";
    /// A time zone that does not exist.
    UNKNOWN_ZONE = "unknown-zone";
    /// A schedule stays open over days on which it was to close.
    WINDOW_LEFT_OPEN = "window-left-open";
    /// A schedule never closes.
    ALWAYS_OPEN = "always-open";
    /// A schedule asks for more replicas than a region may have.
    SCHEDULE_ABOVE_MAX = "schedule-above-max";
    /// An expression cannot be read, or does not give a number.
    BAD_EXPRESSION = "bad-expression";
    /// Two rules, or two schedules, of a policy have the same name.
    DUPLICATE_NAME = "duplicate-name";
    /// A condition that no value meets.
    NEVER_HOLDS = "never-holds";
    /// A part of a policy that changes nothing.
    NO_EFFECT = "no-effect";
    /// `autoscale: metrics` with a policy that never votes for a count.
    NEVER_VOTES = "never-votes";
    /// A policy that no service uses.
    UNUSED_POLICY = "unused-policy";
    /// Only memory could lower the count, and memory does not fall when replicas are added.
    MEMORY_ALONE = "memory-alone";
    /// `idle` where no region may have zero replicas.
    IDLE_WITHOUT_ZERO = "idle-without-zero";
    /// A time so long that it was hardly meant.
    LONG_WAIT = "long-wait";
    /// A service that says it is not scalable may have more than one replica.
    NOT_SCALABLE = "not-scalable";
    /// Replicas on one host would fight over a fixed port.
    FIXED_PORT = "fixed-port";
    /// A service has no region.
    NO_REGIONS = "no-regions";

    // The controller's configuration.
    /// A service names a provider that is not configured.
    UNKNOWN_PROVIDER = "unknown-provider";
    /// A service names no provider and there is no default for its strategy.
    NO_DEFAULT_PROVIDER = "no-default-provider";
    /// The provider does not serve the region.
    UNKNOWN_REGION = "unknown-region";
    /// The provider cannot make a replica without this template key.
    MISSING_TEMPLATE_KEY = "missing-template-key";
    /// The provider does not use this template key.
    IGNORED_TEMPLATE_KEY = "ignored-template-key";
    /// A health probe asks a port that the template does not declare, on a host that replicas share.
    UNKNOWN_PORT = "unknown-port";
    /// The controller's configuration has no secret of this name.
    UNKNOWN_SECRET = "unknown-secret";
    /// The minimum alone costs more than the cap.
    COST_CAP_UNDER_MIN = "cost-cap-under-min";
    /// Routing is validated, and nothing acts on it.
    UNMANAGED_ROUTING = "unmanaged-routing";
    /// Storage is validated, and nothing acts on it.
    UNMANAGED_STORAGE = "unmanaged-storage";
    /// A signal is read from a metric source that is not configured.
    UNKNOWN_SOURCE = "unknown-source";
    /// A signal reads a metric that its source does not have.
    UNKNOWN_METRIC = "unknown-metric";
    /// `autoscale: metrics` without a policy rests at `desired`.
    NO_POLICY = "no-policy";
}
