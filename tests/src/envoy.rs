//! A real Envoy as a child process on loopback.

use crate::proxy::node;
use crate::{artifact, peer};
use anyhow::{Context, Result, bail};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// Loading many modules on a busy machine takes its time; a start that hangs must still end.
const START_LIMIT: Duration = Duration::from_secs(60);

/// An answer of the admin interface.
const ADMIN_LIMIT: Duration = Duration::from_secs(5);

/// A line that Envoy logged.
#[derive(Debug, Clone)]
pub struct Line {
    /// Logged by the main thread: the canary VM and the main thread's own VM live there. Requests are
    /// served by the worker.
    pub main_thread: bool,
    /// The thread, as Envoy numbers it.
    pub thread: String,
    /// The message.
    pub text: String,
}

/// A running Envoy. Killed when dropped.
pub struct Envoy {
    child: Child,
    lines: Arc<Mutex<Vec<Line>>>,
    ports: BTreeMap<String, SocketAddr>,
    /// Its configuration lies here.
    _folder: tempfile::TempDir,
}

impl Envoy {
    /// Starts one with these listeners and clusters (as in a bootstrap) and waits until it serves.
    ///
    /// # Errors
    /// When there is no Envoy, or it refuses the configuration: then its last log lines are in the error.
    pub fn start(listeners: &[Value], clusters: &[Value]) -> Result<Self> {
        Self::start_with_workers(listeners, clusters, 1)
    }

    /// As [`Envoy::start`], with several workers. The kernel deals connections to them.
    ///
    /// # Errors
    /// As there.
    pub fn start_with_workers(listeners: &[Value], clusters: &[Value], workers: usize) -> Result<Self> {
        let binary = binary()?;
        let folder = tempfile::tempdir()?;
        let config = folder.path().join("envoy.json");
        let admin = folder.path().join("admin");
        let bootstrap = json!({
            "node": node(),
            "admin": { "address": address(0) },
            "static_resources": { "listeners": listeners, "clusters": clusters },
        });
        std::fs::write(&config, bootstrap.to_string())?;
        let mut child = Command::new(&binary)
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--concurrency", &workers.to_string(), "--disable-hot-restart"])
            .args(["--log-level", "warn", "--log-format", "%t|%v"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        let lines = Arc::new(Mutex::new(Vec::new()));
        let stderr = child.stderr.take().context("Envoy has no stderr")?;
        let (into, pid) = (Arc::clone(&lines), child.id());
        std::thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n').map_while(Result::ok) {
                let line = String::from_utf8_lossy(&line).into_owned();
                let (thread, text) = line.split_once('|').unwrap_or(("", &line));
                let main_thread = thread == pid.to_string();
                let line = Line { main_thread, thread: thread.into(), text: text.into() };
                into.lock().unwrap_or_else(|e| e.into_inner()).push(line);
            }
        });
        let mut envoy = Self { child, lines, ports: BTreeMap::new(), _folder: folder };
        envoy.wait_ready(&admin)?;
        Ok(envoy)
    }

    /// Where the listener of this name listens.
    ///
    /// # Errors
    /// When there is no such listener.
    pub fn listener(&self, name: &str) -> Result<SocketAddr> {
        self.ports.get(name).copied().with_context(|| format!("Envoy has no listener {name}"))
    }

    /// All lines so far.
    pub fn lines(&self) -> Vec<Line> {
        self.lines.lock().unwrap_or_else(|e| e.into_inner()).clone()
    }

    /// How it ended, if it ends by itself within this time.
    ///
    /// # Errors
    /// When the system does not say.
    pub fn ended(&mut self, limit: Duration) -> Result<Option<ExitStatus>> {
        let end = Instant::now() + limit;
        loop {
            match self.child.try_wait()? {
                None if Instant::now() < end => std::thread::sleep(Duration::from_millis(20)),
                status => return Ok(status),
            }
        }
    }

    fn wait_ready(&mut self, admin: &Path) -> Result<()> {
        let end = Instant::now() + START_LIMIT;
        loop {
            if let Some(status) = self.child.try_wait()? {
                // The reader thread may still hold the last lines.
                std::thread::sleep(Duration::from_millis(100));
                let lines = self.lines();
                let tail: Vec<&str> = lines.iter().rev().take(8).rev().map(|l| l.text.as_str()).collect();
                bail!("Envoy refused to start ({status}):\n{}", tail.join("\n"));
            }
            if let Some(ports) = listeners(admin) {
                self.ports = ports;
                return Ok(());
            }
            if Instant::now() > end {
                bail!("Envoy was not ready after {} s", START_LIMIT.as_secs());
            }
            std::thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Envoy {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// `TAMIS_ENVOY`, else what setup installed, else `envoy` on the path.
fn binary() -> Result<PathBuf> {
    if let Some(named) = std::env::var_os("TAMIS_ENVOY") {
        return Ok(named.into());
    }
    let installed = artifact::target_folder()?.join("tools/envoy/envoy/_bin/envoy");
    if installed.exists() {
        return Ok(installed);
    }
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path)
        .map(|folder| folder.join("envoy"))
        .find(|file| file.exists())
        .context("no Envoy: run `cargo xtask setup`, or name one with `TAMIS_ENVOY`")
}

/// Listeners by name once all workers serve; `None` before.
fn listeners(admin: &Path) -> Option<BTreeMap<String, SocketAddr>> {
    let admin: SocketAddr = std::fs::read_to_string(admin).ok()?.trim().parse().ok()?;
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
    Some(String::from_utf8_lossy(&peer::answer(&mut stream, ADMIN_LIMIT).body).into_owned())
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
