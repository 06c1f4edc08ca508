//! A real docker-registry on loopback, stopped when its owner is dropped, and the tools that judge it.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

/// A program that setup installs: the one that the variable names, else what lies in cargo's target folder,
/// else the path's.
pub(crate) fn program(name: &str, variable: &str) -> PathBuf {
    if let Some(named) = std::env::var_os(variable) {
        return named.into();
    }
    let own = std::env::current_exe().unwrap();
    let tools = own.ancestors().map(|a| a.join("tools/registry/bin").join(name)).find(|p| p.is_file());
    tools.unwrap_or_else(|| name.into())
}

/// How the registry is set up.
#[derive(Default)]
pub(crate) struct Setup {
    /// YAML behind the first lines of the configuration.
    pub(crate) more: String,
    /// YAML in the `http` section.
    pub(crate) http: String,
    /// YAML in the `storage` section.
    pub(crate) storage: String,
}

/// A running registry.
pub(crate) struct Real {
    child: Child,
    /// `127.0.0.1:PORT`.
    pub(crate) at: String,
    /// Files of this registry.
    pub(crate) folder: tempfile::TempDir,
    log: Arc<Mutex<Vec<String>>>,
}

impl Real {
    /// Everybody may push and pull.
    pub(crate) fn open() -> Self {
        Self::start(&Setup::default())
    }

    pub(crate) fn start(setup: &Setup) -> Self {
        Self::start_in(tempfile::tempdir().unwrap(), setup)
    }

    /// Starts it with its images in this folder.
    pub(crate) fn start_in(folder: tempfile::TempDir, setup: &Setup) -> Self {
        let at = folder.path().display();
        let Setup { more, http, storage } = setup;
        let config = format!(
            "version: 0.1\nlog: {{ level: info, formatter: json }}\nstorage:\n  filesystem: {{ rootdirectory: {at}/data }}\n  \
             delete: {{ enabled: true }}\n{storage}\nhttp:\n  addr: \"127.0.0.1:0\"\n  secret: tests\n{http}\n{more}\n"
        );
        let file = folder.path().join("config.yml");
        std::fs::write(&file, config).unwrap();
        let program = program("docker-registry", "TAMIS_REGISTRY");
        let mut child = Command::new(&program)
            .arg("serve")
            .arg(&file)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|e| {
                panic!("no docker-registry at {}: {e}; `cargo xtask setup` installs it", program.display())
            });
        let log = Arc::new(Mutex::new(Vec::new()));
        // Its log comes on stderr, its access log on stdout.
        let pipes: [Box<dyn std::io::Read + Send>; 2] =
            [Box::new(child.stdout.take().unwrap()), Box::new(child.stderr.take().unwrap())];
        for pipe in pipes {
            let log = Arc::clone(&log);
            std::thread::spawn(move || {
                for line in BufReader::new(pipe).lines().map_while(Result::ok) {
                    log.lock().unwrap().push(line);
                }
            });
        }
        let end = Instant::now() + Duration::from_secs(30);
        let port = loop {
            let found = log.lock().unwrap().iter().find_map(|l| {
                let rest = l.split("listening on 127.0.0.1:").nth(1)?;
                Some(rest.chars().take_while(char::is_ascii_digit).collect::<String>())
            });
            if let Some(port) = found {
                break port;
            }
            let ended = child.try_wait().unwrap();
            assert!(
                ended.is_none() && Instant::now() < end,
                "the registry does not start: {:?}",
                log.lock().unwrap()
            );
            std::thread::sleep(Duration::from_millis(5));
        };
        Self { child, at: format!("127.0.0.1:{port}"), folder, log }
    }

    /// The port alone.
    pub(crate) fn port(&self) -> &str {
        self.at.split(':').next_back().unwrap()
    }

    /// Requests in the registry's access log with this method and a path with this text.
    pub(crate) fn requests(&self, method: &str, path: &str) -> usize {
        let log = self.log.lock().unwrap();
        log.iter().filter(|l| l.contains(&format!("\"{method} /")) && l.contains(path)).count()
    }

    /// Ends it at once and gives its folder back.
    pub(crate) fn kill(mut self) -> tempfile::TempDir {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
        std::mem::replace(&mut self.folder, tempfile::tempdir().unwrap())
    }

    /// The file in which it keeps a blob.
    pub(crate) fn blob_file(&self, hex: &str) -> PathBuf {
        let data = self.folder.path().join("data/docker/registry/v2/blobs/sha256");
        data.join(&hex[..2]).join(hex).join("data")
    }
}

impl Drop for Real {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs `skopeo` in a home of its own; what it prints.
pub(crate) fn skopeo(home: &Path, args: &[&str]) -> String {
    let program = program("skopeo", "TAMIS_SKOPEO");
    let mut command = Command::new(&program);
    command.arg("--insecure-policy").args(args);
    run(command, home)
}

/// Runs `buildah pull` of an image; it unpacks what it pulls.
pub(crate) fn buildah_pull(home: &Path, image: &str) -> String {
    let policy = home.join("policy.json");
    std::fs::write(&policy, r#"{"default":[{"type":"insecureAcceptAnything"}]}"#).unwrap();
    let mut command = Command::new(program("buildah", "TAMIS_BUILDAH"));
    let folder = |name: &str| home.join(name).display().to_string();
    command.args(["--storage-driver", "vfs", "--root", &folder("root"), "--runroot", &folder("run"), "pull"]);
    command.args(["--tls-verify=false", "--signature-policy"]).arg(&policy).arg(image);
    run(command, home)
}

fn run(mut command: Command, home: &Path) -> String {
    command.env("HOME", home).env("XDG_RUNTIME_DIR", home);
    command.env_remove("REGISTRY_AUTH_FILE").env_remove("DOCKER_CONFIG");
    let output =
        command.output().unwrap_or_else(|e| panic!("{command:?}: {e}; `cargo xtask setup` installs it"));
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}
