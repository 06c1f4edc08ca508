//! Logins that `docker login`, `podman login` and credential helpers left on this machine.

use super::secret::{Login, Secret};
use crate::error::{Error, Kind};
use base64::Engine as _;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Where variables come from: the process, or a test.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Docker Hub's name in Docker's files.
const HUB_KEY: &str = "https://index.docker.io/v1/";

/// What was found, or where it was looked for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Search {
    /// The login; none: the registry is asked anonymously.
    pub login: Option<Login>,
    /// Where it was found: a file or a helper.
    pub from: String,
    /// All places that were looked at.
    pub looked: Vec<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct File {
    auths: BTreeMap<String, Entry>,
    cred_helpers: BTreeMap<String, String>,
    creds_store: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Entry {
    auth: String,
    username: String,
    password: String,
    identitytoken: String,
    registrytoken: String,
}

/// Looks for a login for a repository, in this order: `DOCKER_CONFIG/config.json` or `~/.docker/config.json`,
/// `REGISTRY_AUTH_FILE`, `$XDG_RUNTIME_DIR/containers/auth.json`, `~/.config/containers/auth.json`.
///
/// # Errors
/// When a file is there and cannot be understood, or a helper is named and does not work. A helper that knows
/// no login is no error.
pub fn search(registry: &str, repository: &str, env: Env<'_>) -> Result<Search, Error> {
    let mut search = Search::default();
    for path in files(env) {
        let shown = path.display().to_string();
        search.looked.push(shown.clone());
        let text = match std::fs::read(&path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => continue,
            Err(e) => return Err(bad(&path, "cannot be read").because(e)),
        };
        // The parser's message may quote a line with a password.
        let file: File = serde_json::from_slice(&text).map_err(|e| {
            let what = if e.is_data() { "has another form than expected" } else { "is no JSON" };
            bad(&path, what).because(format!("line {}, column {}", e.line(), e.column()))
        })?;
        let helper = keys(registry).iter().find_map(|k| file.cred_helpers.get(k)).cloned();
        let store = Some(file.creds_store.clone()).filter(|s| !s.is_empty());
        if let Some(name) = helper.or(store)
            && let Some(login) = ask(&name, registry, env)?
        {
            search.login = Some(login);
            search.from = format!("`docker-credential-{name}` of {shown}");
            return Ok(search);
        }
        if let Some((key, entry)) = find(&file.auths, registry, repository)
            && let Some(login) = entry.login().map_err(|why| bad(&path, &format!("{why} under `{key}`")))?
        {
            search.login = Some(login);
            search.from = shown;
            return Ok(search);
        }
    }
    Ok(search)
}

fn files(env: Env<'_>) -> Vec<PathBuf> {
    let set = |name: &str| env(name).filter(|v| !v.is_empty()).map(PathBuf::from);
    let docker = set("DOCKER_CONFIG").or_else(|| set("HOME").map(|h| h.join(".docker")));
    let home = set("XDG_CONFIG_HOME").or_else(|| set("HOME").map(|h| h.join(".config")));
    let podman = "containers/auth.json";
    let all = [
        docker.map(|d| d.join("config.json")),
        set("REGISTRY_AUTH_FILE"),
        set("XDG_RUNTIME_DIR").map(|d| d.join(podman)),
        home.map(|d| d.join(podman)),
    ];
    all.into_iter().flatten().collect()
}

/// The names by which files know a registry.
fn keys(registry: &str) -> Vec<String> {
    match registry {
        "index.docker.io" => [HUB_KEY, "index.docker.io", "docker.io"].map(str::to_owned).to_vec(),
        other => vec![other.to_owned()],
    }
}

/// The entry for a repository: the longest path that covers it, as Podman has them, then the whole registry,
/// also under an address as old versions of Docker wrote it.
fn find<'a>(
    auths: &'a BTreeMap<String, Entry>,
    registry: &str,
    repository: &str,
) -> Option<(&'a str, &'a Entry)> {
    let bare = |key: &'a str| {
        let rest = key.split_once("://").map_or(key, |(_, rest)| rest);
        let rest = rest.trim_end_matches('/');
        rest.strip_suffix("/v1").or_else(|| rest.strip_suffix("/v2")).unwrap_or(rest)
    };
    let mut path = Some(repository);
    while let Some(scope) = path {
        for key in keys(registry) {
            let scoped = format!("{key}/{scope}");
            if let Some((key, entry)) = auths.get_key_value(&scoped) {
                return Some((key, entry));
            }
        }
        path = scope.rsplit_once('/').map(|(front, _)| front);
    }
    let names: Vec<_> = keys(registry);
    names
        .iter()
        .find_map(|k| auths.get_key_value(k))
        .or_else(|| auths.iter().find(|(key, _)| names.iter().any(|n| n == bare(key))))
        .map(|(key, entry)| (key.as_str(), entry))
}

impl Entry {
    fn login(&self) -> Result<Option<Login>, &'static str> {
        let filled = |text: &str| Some(text.to_owned()).filter(|t| !t.is_empty());
        if let Some(token) = filled(&self.identitytoken) {
            return Ok(Some(Login::Identity(Secret::new(token))));
        }
        if let Some(token) = filled(&self.registrytoken) {
            return Ok(Some(Login::Bearer(Secret::new(token))));
        }
        if !self.auth.is_empty() {
            let bytes = base64::engine::general_purpose::STANDARD.decode(self.auth.trim());
            let text = bytes.ok().and_then(|b| String::from_utf8(b).ok());
            let text = text.ok_or("`auth` is no base64")?;
            let (user, password) = text.split_once(':').ok_or("`auth` holds no name and password")?;
            // Docker pads the password with zero bytes.
            let password = password.trim_end_matches('\0');
            return Ok(Some(Login::Password(user.to_owned(), Secret::new(password))));
        }
        let both = filled(&self.username).zip(filled(&self.password));
        Ok(both.map(|(user, password)| Login::Password(user, Secret::new(password))))
    }
}

#[derive(Deserialize)]
struct Told {
    #[serde(rename = "Username")]
    user: String,
    #[serde(rename = "Secret")]
    secret: String,
}

/// Asks a credential helper; none when it knows no login.
fn ask(name: &str, registry: &str, env: Env<'_>) -> Result<Option<Login>, Error> {
    let program = format!("docker-credential-{name}");
    let fail = |why: String| {
        Error::new(
            Kind::Credentials,
            format!("the credential helper `{}` does not work", program.escape_debug()),
        )
        .because(why)
        .hint("repair it, or take it out of `credHelpers` and `credsStore`")
    };
    if !name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(fail("its name is none of a program".to_owned()));
    }
    let path = env("PATH").unwrap_or_default();
    let found = std::env::split_paths(&path).map(|d| d.join(&program)).find(|p| p.is_file());
    let found = found.ok_or_else(|| fail("it is not on the path".to_owned()))?;
    let started = Command::new(found)
        .arg("get")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let mut child = started.map_err(|e| fail(e.to_string()))?;
    let server = if registry == "index.docker.io" { HUB_KEY } else { registry };
    if let Some(mut stdin) = child.stdin.take() {
        // A helper that does not read says why in its answer.
        let _ = stdin.write_all(server.as_bytes());
    }
    let output = child.wait_with_output().map_err(|e| fail(e.to_string()))?;
    if !output.status.success() {
        let said =
            format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
        // The wording of Docker's own helpers, which others copy.
        if said.contains("credentials not found") {
            return Ok(None);
        }
        let line: String =
            said.lines().next().unwrap_or_default().chars().filter(|c| !c.is_control()).collect();
        let line: String = line.chars().take(200).collect();
        return Err(fail(if line.is_empty() { output.status.to_string() } else { line }));
    }
    let told: Told =
        serde_json::from_slice(&output.stdout).map_err(|_| fail("its answer is no login".to_owned()))?;
    if told.secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(match told.user.as_str() {
        "<token>" => Login::Identity(Secret::new(told.secret)),
        _ => Login::Password(told.user, Secret::new(told.secret)),
    }))
}

fn bad(path: &Path, what: &str) -> Error {
    Error::new(Kind::Credentials, format!("`{}` {what}", path.display()))
        .hint("`docker login` or `podman login` writes it anew")
}
