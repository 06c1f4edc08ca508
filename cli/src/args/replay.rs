//! Arguments of `tamis replay`.

use super::remote::RemoteArgs;
use super::values::{Bytes, ClockArg, EngineArg, FailOn, Policy, ReportTo};
use clap::{ArgMatches, Args};
use std::path::PathBuf;
use tamis_host::Profile;

/// `tamis replay`.
#[derive(Debug, Args)]
pub struct ReplayArgs {
    /// Recorded traffic: Envoy tap, Istio JSON access log, JSON lines; gzipped or not
    #[arg(required = true, value_name = "CAPTURE")]
    pub captures: Vec<PathBuf>,
    /// A wasm file, the folder of a filter package, which is built, or an image, `oci://REF`; may be repeated, in chain
    /// order [default: the package in the current folder]
    #[arg(long, value_name = "WASM|PACKAGE|oci://REF", env = "TAMIS_FILTER")]
    filter: Vec<String>,
    /// Configuration of the filter named before it: a file, or text such as `{"a":1}`
    #[arg(long, value_name = "FILE|JSON")]
    config: Vec<String>,
    /// A chain of filters as YAML
    #[arg(long, value_name = "FILE", conflicts_with_all = ["filter", "config"], env = "TAMIS_CHAIN")]
    pub chain: Option<PathBuf>,
    /// Envoy's `root_id` of the filter: which one of a module that has several [default: the package's `root-id`]
    #[arg(long, value_name = "NAME", conflicts_with = "chain")]
    pub root_id: Option<String>,
    /// Recorded traffic of the services that filters call: answers their HTTP and gRPC calls; may be repeated
    #[arg(long, value_name = "CAPTURE")]
    pub callouts: Vec<PathBuf>,
    /// Which exchanges
    #[command(flatten)]
    pub select: SelectArgs,
    /// The host that plays
    #[command(flatten)]
    pub host: HostArgs,
    /// What plays
    #[arg(long, value_name = "ENGINE", env = "TAMIS_ENGINE", default_value = "wasmtime")]
    pub engine: EngineArg,
    /// Inject a fault: `KIND[@PHASE[:N]][:RATE%][/FILTER]`, for instance `trap@request_headers:3/auth` or
    /// `odd-header-bytes:10%`; may be repeated
    #[arg(long, value_name = "SPEC", long_help = INJECT_HELP)]
    pub inject: Vec<String>,
    /// Count which lines of the filters' own code the traffic reaches, and write that as LCOV; packages are built
    /// with debug information for it
    #[arg(long, value_name = "PATH")]
    pub coverage: Option<PathBuf>,
    /// Wasm target for packages that are built
    #[arg(long, value_name = "TARGET", env = "TAMIS_TARGET", value_parser = ["wasm32-wasip1", "wasm32-unknown-unknown"])]
    pub target: Option<String>,
    /// Write a report file: `json=PATH` or `junit=PATH`; may be repeated
    #[arg(long, value_name = "KIND=PATH")]
    pub report: Vec<ReportTo>,
    /// What makes the exit code 1
    #[arg(long, value_name = "WHAT", value_delimiter = ',', default_value = "broke")]
    pub fail_on: Vec<FailOn>,
    /// How many differences to show
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub show: usize,
    /// Show credentials and cookies in differences instead of hiding them
    #[arg(long)]
    pub secrets: bool,
    /// The registry of filters that are images
    #[command(flatten)]
    pub remote: RemoteArgs,
    /// The filters with the configuration given for each; filled after parsing.
    #[arg(skip)]
    pub filters: Vec<(String, Option<String>)>,
    /// A configuration without a filter: for the package in the current folder.
    #[arg(skip)]
    pub package_config: Option<String>,
}

const INJECT_HELP: &str = "\
Inject a fault; may be repeated. SPEC is KIND[@PHASE[:N]][:RATE%][/FILTER]:

  trap@PHASE:N        the filter traps at its Nth entry into PHASE (N: 1)
  oom@PHASE:N         it gets no memory from that entry on (request_headers:1)
  slow-callout        a callout takes longer than its timeout
  callout-503         a callout is answered with 503
  callout-reset       a callout is reset in the middle of its answer
  odd-header-bytes    a request header has a value that is no UTF-8
  dup-header          a request header comes twice, with two values
  split-chunks        bodies arrive in other pieces
  client-abort@PHASE  the client leaves after request_headers, request_body,
                      response_headers or response_body; without @PHASE
                      while it waits for the response

PHASE is a callback without `proxy_on_`, for instance request_headers or log. \
RATE is a share of the exchanges or callouts (all of them). FILTER names one filter \
of a chain, for trap, oom and callouts. `--seed` decides which exchanges are struck. \
The same traffic is played without the faults as well: the report says what clients \
would have got instead, under the `--policy` in force.

  --inject trap@request_headers:3/auth --inject odd-header-bytes:10%";

/// Which exchanges of a capture.
#[derive(Debug, Clone, Default, Args)]
pub struct SelectArgs {
    /// Only exchanges for which this CEL expression holds, for instance `request.path == "/cart"`
    #[arg(long = "where", value_name = "EXPR")]
    pub condition: Option<String>,
    /// Stop after so many exchanges
    #[arg(long, value_name = "N")]
    pub limit: Option<u64>,
}

/// Settings of the host that plays.
#[derive(Debug, Clone, Default, Args)]
pub struct HostArgs {
    /// The host whose rules hold, `envoy-1.33` to `envoy-1.40`; only the newest is compared with a real Envoy
    /// [default: envoy-1.40]
    #[arg(long, value_name = "HOST", env = "TAMIS_HOST_PROFILE", value_parser = Profile::parse)]
    pub profile: Option<Profile>,
    /// Most body bytes that are held back for a filter, for instance `32KiB` [default: 1MiB]
    #[arg(long, value_name = "SIZE", env = "TAMIS_BUFFER_LIMIT")]
    pub buffer_limit: Option<Bytes>,
    /// Run body callbacks while headers are held, as Envoy's filter setting of this name does
    #[arg(long)]
    pub allow_on_headers_stop_iteration: bool,
    /// Properties of the proxy that no recording tells: a file, or JSON such as `{"xds":{"node":{"id":"a"}}}`
    #[arg(long, value_name = "FILE|JSON")]
    pub properties: Option<String>,
    /// What happens to traffic once a filter broke [default: closed]
    #[arg(long, value_name = "POLICY", env = "TAMIS_POLICY")]
    pub policy: Option<Policy>,
    /// The filters' clock: `recorded`, or a time at which it stands still [default: recorded]
    #[arg(long, value_name = "TIME", env = "TAMIS_CLOCK")]
    pub clock: Option<ClockArg>,
    /// Seed of the filters' randomness [default: 0]
    #[arg(long, value_name = "N", env = "TAMIS_SEED")]
    pub seed: Option<u64>,
    /// Fuel for each callback; a filter that needs more is stopped
    #[arg(long, value_name = "FUEL", env = "TAMIS_FUEL_LIMIT")]
    pub fuel_limit: Option<u64>,
    /// Memory for each filter, for instance `64MiB`
    #[arg(long, value_name = "SIZE", env = "TAMIS_MEMORY_LIMIT")]
    pub memory_limit: Option<Bytes>,
}

impl ReplayArgs {
    /// Gives each `--config` to the `--filter` before it.
    ///
    /// # Errors
    /// Two configurations for one filter, or one before several filters.
    pub(super) fn pair(&mut self, matches: &ArgMatches) -> Result<(), String> {
        let from_command_line =
            |id: &str| matches.value_source(id) == Some(clap::parser::ValueSource::CommandLine);
        let at = |id: &str| -> Vec<usize> {
            if from_command_line(id) {
                matches.indices_of(id).into_iter().flatten().collect()
            } else {
                vec![0; 1]
            }
        };
        let filters = at("filter");
        self.filters = self.filter.drain(..).map(|f| (f, None)).collect();
        let configs = if from_command_line("config") { at("config") } else { Vec::new() };
        for (config, index) in self.config.drain(..).zip(configs) {
            let slot = match filters.iter().rposition(|f| *f < index).or(Some(0)) {
                Some(i) if !self.filters.is_empty() => {
                    if filters[i] > index && self.filters.len() > 1 {
                        return Err("`--config` stands after the `--filter` that it is for".to_owned());
                    }
                    &mut self.filters[i].1
                }
                _ => &mut self.package_config,
            };
            if slot.replace(config).is_some() {
                return Err("two `--config` for one filter".to_owned());
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::args::{Verb, parse};

    #[test]
    fn the_help_has_every_kind_of_fault() {
        for (kind, _) in tamis_traffic::inject::KINDS {
            assert!(super::INJECT_HELP.contains(&format!("\n  {kind} ")), "{kind}");
        }
    }

    type Pairs = (Vec<(String, Option<String>)>, Option<String>);

    fn pairs(args: &str) -> Result<Pairs, String> {
        let args = format!("tamis replay x {args}");
        match parse(args.split_whitespace().map(Into::into)).map_err(|e| e.to_string())?.verb {
            Verb::Replay(replay) => Ok((replay.filters, replay.package_config)),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_config_belongs_to_the_filter_before_it() {
        let own = |pairs: &[(&str, Option<&str>)]| -> Vec<(String, Option<String>)> {
            pairs.iter().map(|(f, c)| ((*f).to_owned(), c.map(str::to_owned))).collect()
        };
        assert_eq!(
            pairs("--filter a --filter b --config 2"),
            Ok((own(&[("a", None), ("b", Some("2"))]), None))
        );
        assert_eq!(
            pairs("--filter a --config 1 --filter b"),
            Ok((own(&[("a", Some("1")), ("b", None)]), None))
        );
        assert_eq!(pairs("--config 1 --filter a"), Ok((own(&[("a", Some("1"))]), None)));
        assert_eq!(pairs("--config 1"), Ok((vec![], Some("1".to_owned()))));
        assert!(pairs("--config 1 --filter a --filter b").is_err());
        assert!(pairs("--filter a --config 1 --config 2").is_err());
    }
}
