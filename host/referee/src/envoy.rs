//! A real Envoy as a child process on loopback.

use crate::error::{Error, Last};
use crate::find;
use crate::h1::Wire;
use crate::lines::{FORMAT, Lines};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};

pub use crate::lines::Line;

/// Loading many modules on a busy machine takes its time; a start that hangs must still end.
const START_LIMIT: Duration = Duration::from_secs(60);

/// An answer of the admin interface.
const ADMIN_LIMIT: Duration = Duration::from_secs(5);

/// File with the address of the admin interface.
const ADMIN: &str = "admin";

/// Log lines that go with an error.
const LAST: usize = 8;

/// How long Envoy keeps a line of the access log back, milliseconds: whoever plays waits for that line.
const FLUSH: &str = "2";

/// A running Envoy. Killed when dropped, and when this process dies.
pub struct Envoy {
    child: Child,
    watch: Option<Child>,
    lines: Arc<Lines>,
    ports: BTreeMap<String, SocketAddr>,
    /// Its configuration lies here, and where its admin interface is.
    folder: tempfile::TempDir,
}

impl Envoy {
    /// Starts one with these listeners and clusters (as in a bootstrap) and waits until it serves.
    ///
    /// # Errors
    /// When there is no Envoy, or it refuses the configuration: then its last log lines are in the error.
    pub fn start(listeners: &[Value], clusters: &[Value]) -> Result<Self, Error> {
        Self::start_with_workers(listeners, clusters, 1)
    }

    /// As [`Envoy::start`], with several workers. The kernel deals connections to them.
    ///
    /// # Errors
    /// As there.
    pub fn start_with_workers(
        listeners: &[Value],
        clusters: &[Value],
        workers: usize,
    ) -> Result<Self, Error> {
        let folder = tempfile::tempdir().map_err(Error::Folder)?;
        Self::start_in(folder, None, listeners, clusters, "warn", workers)
    }

    /// As [`Envoy::start`], one that is this `node` of a mesh.
    ///
    /// # Errors
    /// As there.
    pub fn start_as(node: &Value, listeners: &[Value], clusters: &[Value]) -> Result<Self, Error> {
        let folder = tempfile::tempdir().map_err(Error::Folder)?;
        Self::start_in(folder, Some(node), listeners, clusters, "warn", 1)
    }

    /// Starts one whose files (modules, for instance) lie in `folder`, with this level for the loggers of
    /// filters.
    pub(crate) fn start_in(
        folder: tempfile::TempDir,
        node: Option<&Value>,
        listeners: &[Value],
        clusters: &[Value],
        level: &str,
        workers: usize,
    ) -> Result<Self, Error> {
        let binary = find::binary()?;
        let config = folder.path().join("envoy.json");
        let admin = folder.path().join(ADMIN);
        let mut bootstrap = json!({
            "admin": { "address": address(0) },
            "static_resources": { "listeners": listeners, "clusters": clusters },
        });
        if let Some(node) = node {
            bootstrap["node"] = node.clone();
        }
        std::fs::write(&config, bootstrap.to_string()).map_err(Error::Folder)?;
        let mut command = Command::new(&binary);
        command
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--concurrency", &workers.to_string(), "--disable-hot-restart", "--log-level", "warn"])
            .args(["--component-log-level", &format!("wasm:{level},lua:{level}")])
            .args(["--log-format", FORMAT, "--log-format-escaped", "--file-flush-interval-msec", FLUSH])
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped());
        // Ctrl-C is for us: Envoy still has to finish the exchange that is under way.
        #[cfg(unix)]
        std::os::unix::process::CommandExt::process_group(&mut command, 0);
        let mut child = command.spawn().map_err(|source| Error::Start { binary, source })?;
        let (lines, pid) = (Arc::new(Lines::default()), child.id());
        if let Some(stderr) = child.stderr.take() {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || lines.read_log(stderr, pid));
        }
        if let Some(stdout) = child.stdout.take() {
            let lines = Arc::clone(&lines);
            std::thread::spawn(move || lines.read_access(stdout));
        }
        let mut envoy = Self { child, watch: watch(pid), lines, ports: BTreeMap::new(), folder };
        envoy.wait_ready(&admin)?;
        Ok(envoy)
    }

    /// Its process, to be measured.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Where the listener of this name listens.
    ///
    /// # Errors
    /// When there is no such listener.
    pub fn listener(&self, name: &str) -> Result<SocketAddr, Error> {
        self.ports.get(name).copied().ok_or_else(|| Error::NoListener(name.to_owned()))
    }

    /// Where its admin interface listens.
    pub fn admin(&self) -> Option<SocketAddr> {
        admin(&self.folder.path().join(ADMIN))
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.log()
    }

    /// Takes the lines that nobody took, so that [`Envoy::lines`] has them no longer; waits up to `limit` for one
    /// when there is none.
    pub fn take_lines(&self, limit: Duration) -> Vec<Line> {
        self.lines.next_log(limit)
    }

    pub(crate) fn written(&self) -> &Lines {
        &self.lines
    }

    /// How it ended, if it ends by itself within this time.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self, limit: Duration) -> io::Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            match self.child.try_wait()? {
                None if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                status => return Ok(status),
            }
        }
    }

    /// How it ended, if it did.
    pub(crate) fn gone(&mut self) -> Option<ExitStatus> {
        self.child.try_wait().ok().flatten()
    }

    pub(crate) fn last(&self) -> Last {
        let lines = self.lines.log();
        Last(lines.iter().rev().take(LAST).rev().map(|l| l.text.clone()).collect())
    }

    fn wait_ready(&mut self, admin: &Path) -> Result<(), Error> {
        let end = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = self.gone() {
                // The reader thread may still hold the last lines.
                std::thread::sleep(Duration::from_millis(100));
                return Err(Error::Refused { status, last: self.last() });
            }
            if let Some(ports) = listeners(admin) {
                self.ports = ports;
                return Ok(());
            }
            if Instant::now() > end {
                return Err(Error::NotReady { seconds: START_LIMIT.as_secs(), last: self.last() });
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // The watch first: once Envoy is gone, its number may be another process's.
        for child in self.watch.iter_mut().chain([&mut self.child]) {
            // It may have ended by itself.
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// A process that outlives us by a moment: it reads from a pipe that only we hold, and kills Envoy when that
/// pipe ends. None where there is no shell; then Envoy only ends with its owner.
fn watch(pid: u32) -> Option<Child> {
    let mut command = Command::new("sh");
    command
        .args(["-c", &format!("read -r _; kill -9 {pid}")])
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    #[cfg(unix)]
    std::os::unix::process::CommandExt::process_group(&mut command, 0);
    command.spawn().ok()
}

/// What Envoy wrote about its admin interface.
fn admin(file: &Path) -> Option<SocketAddr> {
    std::fs::read_to_string(file).ok()?.trim().parse().ok()
}

/// Listeners by name once all workers serve; `None` before.
fn listeners(admin: &Path) -> Option<BTreeMap<String, SocketAddr>> {
    let admin = self::admin(admin)?;
    if !get(admin, "/ready")?.starts_with("LIVE") {
        return None;
    }
    let said: Value = serde_json::from_str(&get(admin, "/listeners?format=json")?).ok()?;
    let listener = |l: &Value| {
        let at = &l["local_address"]["socket_address"];
        let port = at["port_value"].as_u64().and_then(|p| u16::try_from(p).ok()).filter(|p| *p > 0)?;
        Some((l["name"].as_str()?.to_owned(), SocketAddr::from(([127, 0, 0, 1], port))))
    };
    said["listener_statuses"].as_array().map(Vec::as_slice).unwrap_or_default().iter().map(listener).collect()
}

fn get(admin: SocketAddr, path: &str) -> Option<String> {
    let mut stream = TcpStream::connect_timeout(&admin, ADMIN_LIMIT).ok()?;
    write!(stream, "GET {path} HTTP/1.1\r\nhost: admin\r\nconnection: close\r\n\r\n").ok()?;
    let mut wire = Wire::new(&stream, ADMIN_LIMIT);
    let head = wire.head().ok()?;
    Some(String::from_utf8_lossy(&wire.tail(head.framing(true)).body).into_owned())
}

/// A loopback address in the form of the bootstrap; port 0 lets the kernel pick.
pub fn address(port: u16) -> Value {
    json!({ "socket_address": { "address": "127.0.0.1", "port_value": port } })
}

/// A cluster with one host, or with none.
pub fn cluster(name: &str, at: Option<SocketAddr>) -> Value {
    let hosts: Vec<Value> =
        at.iter().map(|a| json!({ "endpoint": { "address": address(a.port()) } })).collect();
    let http1 = json!({ "explicit_http_config": { "http_protocol_options": { "enable_trailers": true } },
        "@type": "type.googleapis.com/envoy.extensions.upstreams.http.v3.HttpProtocolOptions" });
    json!({
        "name": name,
        "type": "STATIC",
        "connect_timeout": "2s",
        "typed_extension_protocol_options": {
            "envoy.extensions.upstreams.http.v3.HttpProtocolOptions": http1,
        },
        "load_assignment": { "cluster_name": name, "endpoints": [{ "lb_endpoints": hosts }] },
    })
}

/// The same, and the proxy speaks HTTP/2 to it.
pub fn cluster_http2(name: &str, at: Option<SocketAddr>) -> Value {
    let kind = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions";
    let mut cluster = cluster(name, at);
    cluster["typed_extension_protocol_options"] = json!({ kind: {
        "@type": format!("type.googleapis.com/{kind}"),
        "explicit_http_config": { "http2_protocol_options": {} },
    }});
    cluster
}

/// An HTTP listener with these filters in front of `cluster`. Envoy adds as little of its own as it can:
/// no request id, no timing headers.
pub fn listener(name: &str, filters: &[Value], cluster: &str) -> Value {
    listener_with_limit(name, filters, cluster, None)
}

/// As [`listener`], holding back at most `limit` bytes for a filter (`per_connection_buffer_limit_bytes`).
pub fn listener_with_limit(name: &str, filters: &[Value], cluster: &str, limit: Option<u32>) -> Value {
    let kind = "type.googleapis.com/envoy.extensions.filters";
    let mut filters = filters.to_vec();
    filters.push(json!({ "name": "router", "typed_config": {
        "@type": format!("{kind}.http.router.v3.Router"), "suppress_envoy_headers": true,
    }}));
    let route = json!({ "match": { "prefix": "/" }, "route": { "cluster": cluster, "timeout": "10s" } });
    let mut listener = json!({
        "name": name,
        "address": address(0),
        "filter_chains": [{ "filters": [{ "name": "hcm", "typed_config": {
            "@type": format!("{kind}.network.http_connection_manager.v3.HttpConnectionManager"),
            "stat_prefix": name,
            "generate_request_id": false,
            "server_header_transformation": "PASS_THROUGH",
            "stream_idle_timeout": "1s",
            "http_protocol_options": { "enable_trailers": true },
            "route_config": { "virtual_hosts": [{ "name": "all", "domains": ["*"], "routes": [route] }] },
            "http_filters": filters,
        }}]}],
    });
    if let Some(limit) = limit {
        listener["per_connection_buffer_limit_bytes"] = json!(limit);
    }
    listener
}

/// A TCP listener with these network filters in front of `cluster`.
pub fn tcp_listener(name: &str, filters: &[Value], cluster: &str) -> Value {
    let mut filters = filters.to_vec();
    filters.push(json!({ "name": "tcp", "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.network.tcp_proxy.v3.TcpProxy",
        "stat_prefix": name,
        "cluster": cluster,
    }}));
    json!({ "name": name, "address": address(0), "filter_chains": [{ "filters": filters }] })
}

/// A filter of [`filter`] as one for TCP connections.
pub fn network(mut filter: Value) -> Value {
    filter["typed_config"]["@type"] =
        "type.googleapis.com/envoy.extensions.filters.network.wasm.v3.Wasm".into();
    filter
}

/// A Wasm filter of the chain. `extra` holds further fields of its `PluginConfig`.
pub fn filter(name: &str, vm_id: &str, wasm: &Path, config: &str, extra: &Value) -> Value {
    let mut plugin = json!({
        "name": name,
        "root_id": name,
        "vm_config": {
            "vm_id": vm_id,
            "runtime": "envoy.wasm.runtime.v8",
            "code": { "local": { "filename": wasm } },
        },
        "configuration": { "@type": "type.googleapis.com/google.protobuf.StringValue", "value": config },
    });
    for (key, value) in extra.as_object().into_iter().flatten() {
        plugin[key] = value.clone();
    }
    json!({ "name": name, "typed_config": {
        "@type": "type.googleapis.com/envoy.extensions.filters.http.wasm.v3.Wasm", "config": plugin,
    }})
}
