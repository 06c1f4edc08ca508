//! What happens to exchanges after a filter broke.

/// What the host does with exchanges once a filter's VM is dead (docs/envoy.md 2.12).
///
/// In every case the trap kills the VM for all filters that share it, and the stream that trapped sees no
/// further callback of it, not even `proxy_on_log`.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq, Hash)]
pub enum FailurePolicy {
    /// The request that trapped and all later ones get 503 with an empty body. Envoy's default.
    #[default]
    Closed,
    /// The request that trapped still gets 503; later ones skip the filter.
    Open,
    /// The request that trapped gets 503; the next one builds a new VM if the back-off (1 s) has passed
    /// since the last load, else it gets 503 as well.
    Reload,
    /// The deprecated `fail_open: true`: the request that trapped goes on too, with the edits made before.
    LegacyOpen,
}
