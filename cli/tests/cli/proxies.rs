//! Real proxies with filters, and servers that are none.

use serde_json::{Value, json};
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

const KIND: &str = "type.googleapis.com/envoy.extensions.filters";

/// Long enough for a busy machine; a start that hangs must still end.
const START: Duration = Duration::from_secs(60);

/// A running Envoy; ends with its owner.
pub(crate) struct Proxy {
    child: Child,
    folder: tempfile::TempDir,
    pub(crate) admin: String,
}

impl Proxy {
    /// One with this bootstrap, to which an admin interface is added; it serves.
    pub(crate) fn start(mut bootstrap: Value) -> Self {
        let folder = tempfile::tempdir().unwrap();
        bootstrap["admin"] = json!({"address": address()});
        let (config, admin) = (folder.path().join("envoy.json"), folder.path().join("admin"));
        std::fs::write(&config, bootstrap.to_string()).unwrap();
        let log = std::fs::File::create(folder.path().join("log")).unwrap();
        let child = Command::new(tamis_referee::find::binary().expect("an Envoy"))
            .arg("-c")
            .arg(&config)
            .arg("--admin-address-path")
            .arg(&admin)
            .args(["--concurrency", "1", "--disable-hot-restart", "--log-level", "warn"])
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut proxy = Self { child, folder, admin: String::new() };
        let end = Instant::now() + START;
        loop {
            if let Ok(at) = std::fs::read_to_string(&admin)
                && page(at.trim(), "/ready").contains("LIVE")
            {
                proxy.admin = at.trim().to_owned();
                return proxy;
            }
            let gone = proxy.child.try_wait().unwrap();
            let log = || std::fs::read_to_string(proxy.folder.path().join("log")).unwrap_or_default();
            assert!(gone.is_none() && Instant::now() < end, "Envoy does not serve: {gone:?}\n{}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// Where a listener listens.
    pub(crate) fn listener(&self, name: &str) -> String {
        let said = page(&self.admin, "/listeners?format=json");
        let said: Value = serde_json::from_str(said.split_once("\r\n\r\n").unwrap().1).unwrap();
        let all = said["listener_statuses"].as_array().unwrap();
        let one = all.iter().find(|l| l["name"] == name).unwrap_or_else(|| panic!("no {name}: {said}"));
        format!("127.0.0.1:{}", one["local_address"]["socket_address"]["port_value"])
    }

    /// The status of a request through a listener.
    pub(crate) fn get(&self, listener: &str) -> u16 {
        let answer = page(&self.listener(listener), "/");
        answer.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or_else(|| panic!("{answer}"))
    }

    /// Waits until a statistic has this value.
    pub(crate) fn wait(&self, statistic: &str, value: u64) {
        let end = Instant::now() + START;
        let line = format!("{statistic}: {value}\n");
        while !page(&self.admin, "/stats").contains(&line) {
            assert!(Instant::now() < end, "{statistic} does not become {value}");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// An answer: its head and, put together when it came in chunks, its body.
fn page(at: &str, path: &str) -> String {
    let Ok(mut stream) = TcpStream::connect(at) else { return String::new() };
    stream.set_read_timeout(Some(START)).unwrap();
    write!(stream, "GET {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").unwrap();
    let mut answer = Vec::new();
    let _ = stream.read_to_end(&mut answer);
    let answer = String::from_utf8_lossy(&answer).into_owned();
    let Some((head, mut rest)) = answer.split_once("\r\n\r\n") else { return answer };
    if !head.contains("chunked") {
        return answer;
    }
    let mut whole = format!("{head}\r\n\r\n");
    while let Some((length, chunk)) = rest.split_once("\r\n") {
        let length = usize::from_str_radix(length, 16).unwrap();
        whole += &chunk[..length];
        rest = chunk.get(length + 2..).unwrap_or_default();
    }
    whole
}

/// This machine, a port of the kernel's choice.
fn address() -> Value {
    json!({"socket_address": {"address": "127.0.0.1", "port_value": 0}})
}

/// A Wasm filter with code from a file.
pub(crate) fn wasm(name: &str, file: &Path, config: &str, policy: &str) -> Value {
    let code = json!({"local": {"filename": file}});
    json!({"name": name, "typed_config": {"@type": format!("{KIND}.http.wasm.v3.Wasm"), "config": {
        "name": name, "vm_config": {"vm_id": name, "runtime": "envoy.wasm.runtime.v8", "code": code},
        "configuration": {"@type": "type.googleapis.com/google.protobuf.StringValue", "value": config},
        "failure_policy": policy,
    }}})
}

/// A filter that is fetched by itself, from a file.
pub(crate) fn fetched(name: &str, file: &Path) -> Value {
    json!({"name": name, "config_discovery": {
        "config_source": {"path_config_source": {"path": file}, "resource_api_version": "V3", "initial_fetch_timeout": "1s"},
        "type_urls": [format!("{KIND}.http.wasm.v3.Wasm"), format!("{KIND}.http.rbac.v3.RBAC")],
    }})
}

/// What such a file holds.
pub(crate) fn resource(name: &str, typed_config: &Value) -> Value {
    let kind = "type.googleapis.com/envoy.config.core.v3.TypedExtensionConfig";
    json!({"resources": [{"@type": kind, "name": name, "typed_config": typed_config}]})
}

/// A listener with these filters; it answers 200 by itself.
pub(crate) fn listener(name: &str, filters: &[Value]) -> Value {
    let router =
        json!({"name": "router", "typed_config": {"@type": format!("{KIND}.http.router.v3.Router")}});
    let filters: Vec<_> = filters.iter().cloned().chain([router]).collect();
    let answer = json!({"match": {"prefix": "/"}, "direct_response": {"status": 200}});
    json!({"name": name, "address": address(), "filter_chains": [{"filters": [{"name": "manager", "typed_config": {
        "@type": format!("{KIND}.network.http_connection_manager.v3.HttpConnectionManager"),
        "stat_prefix": name, "http_filters": filters,
        "route_config": {"virtual_hosts": [{"name": "all", "domains": ["*"], "routes": [answer]}]},
    }}]}]})
}

/// A bootstrap with these listeners.
pub(crate) fn bootstrap(listeners: &[Value]) -> Value {
    json!({"node": {"id": "n", "cluster": "c"}, "static_resources": {"listeners": listeners}})
}

/// A server behind a proxy, which answers 200: its port, and what it was asked.
pub(crate) fn upstream() -> (u16, std::sync::mpsc::Receiver<String>) {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = server.local_addr().unwrap().port();
    let (tell, told) = std::sync::mpsc::channel();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for mut client in server.incoming().map_while(Result::ok) {
            let mut head = Vec::new();
            let mut piece = [0; 1024];
            while !head.ends_with(b"\r\n\r\n") {
                match client.read(&mut piece) {
                    Ok(count) if count > 0 => head.extend_from_slice(&piece[..count]),
                    _ => break,
                }
            }
            let _ = client.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
            let _ = tell.send(String::from_utf8_lossy(&head).into_owned());
        }
    });
    (port, told)
}

/// A server that is no Envoy: to each path that contains a word it answers the bytes beside it, else 404. Gives its address.
pub(crate) fn pretender(answers: Vec<(&'static str, Vec<u8>)>) -> String {
    let server = TcpListener::bind("127.0.0.1:0").unwrap();
    let at = server.local_addr().unwrap().to_string();
    // Ends with the test's process.
    std::thread::spawn(move || {
        for mut client in server.incoming().map_while(Result::ok) {
            let mut asked = [0; 4096];
            let count = client.read(&mut asked).unwrap_or(0);
            let asked = String::from_utf8_lossy(&asked[..count]).into_owned();
            let path = asked.split(' ').nth(1).unwrap_or_default();
            let answer = answers.iter().find(|(word, _)| path.contains(word));
            let missing = b"HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\n\r\n".to_vec();
            let _ = client.write_all(answer.map_or(&missing, |(_, bytes)| bytes));
        }
    });
    at
}

/// An answer of a pretender.
pub(crate) fn ok(body: &[u8]) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n", body].concat()
}
