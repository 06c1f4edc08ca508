//! A registry on loopback that does what a script says, for what the real one cannot do: to each request an honest
//! answer, another one, or none.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use tamis_oci::Digest;

/// A request.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) method: String,
    /// With the query.
    pub(crate) path: String,
    headers: BTreeMap<String, String>,
    pub(crate) body: Vec<u8>,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    /// A method of `""` is any.
    pub(crate) fn is(&self, method: &str, path: &str) -> bool {
        (method.is_empty() || self.method == method) && self.path.contains(path)
    }
}

/// What the script has the registry do.
#[derive(Debug, Clone)]
pub(crate) enum Say {
    /// As a registry should.
    Honest,
    /// This instead; nothing is stored.
    Instead(Told),
    /// Store honestly, answer with these headers on top; an empty value takes one away.
    Adorned(Vec<(String, String)>),
    /// Hang up after so many bytes of the request's body, storing nothing.
    CutRequest(usize),
    /// Keep so many bytes of a piece of an upload and hang up.
    CutPiece(usize),
    /// Store honestly and hang up after so many bytes of the answer.
    CutAnswer(usize),
}

/// An answer.
#[derive(Debug, Clone, Default)]
pub(crate) struct Told {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Vec<u8>,
}

impl Told {
    pub(crate) fn new(status: u16) -> Self {
        Self { status, ..Self::default() }
    }

    pub(crate) fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }

    pub(crate) fn error(status: u16, code: &str, message: &str) -> Self {
        let body = format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#).into_bytes();
        Self { status, headers: Vec::new(), body }
    }
}

type Script = Box<dyn FnMut(&Asked) -> Say + Send>;

#[derive(Default)]
struct Kept {
    blobs: BTreeMap<String, Vec<u8>>,
    /// By tag and by digest: media type and bytes.
    manifests: BTreeMap<String, (String, Vec<u8>)>,
    /// Uploads that are under way, by path.
    uploads: BTreeMap<String, Vec<u8>>,
    asked: Vec<Asked>,
}

/// The registry.
pub(crate) struct Scripted {
    /// `127.0.0.1:PORT`.
    pub(crate) at: String,
    kept: Arc<Mutex<Kept>>,
}

impl Scripted {
    /// Starts it. The script sees each request before its body is read.
    pub(crate) fn start(script: impl FnMut(&Asked) -> Say + Send + 'static) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let at = listener.local_addr().unwrap().to_string();
        let kept = Arc::new(Mutex::new(Kept::default()));
        let script: Arc<Mutex<Script>> = Arc::new(Mutex::new(Box::new(script)));
        let ours = Arc::clone(&kept);
        // Ends with the test's process; each connection has a thread.
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let (kept, script) = (Arc::clone(&ours), Arc::clone(&script));
                std::thread::spawn(move || serve(&stream, &kept, &script));
            }
        });
        Self { at, kept }
    }

    /// All requests so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.kept.lock().unwrap().asked.clone()
    }

    /// Requests of this kind.
    pub(crate) fn count(&self, method: &str, path: &str) -> usize {
        self.asked().iter().filter(|a| a.is(method, path)).count()
    }

    /// The digest that a tag stands for.
    pub(crate) fn tag(&self, tag: &str) -> Option<Digest> {
        self.kept.lock().unwrap().manifests.get(tag).map(|(_, bytes)| Digest::of(bytes))
    }

    /// True when all that the manifest of a tag names is there.
    pub(crate) fn whole(&self, tag: &str) -> bool {
        let kept = self.kept.lock().unwrap();
        let Some((_, bytes)) = kept.manifests.get(tag) else { return false };
        let manifest: tamis_oci::Manifest = serde_json::from_slice(bytes).unwrap();
        let mut all = [&manifest.config].into_iter().chain(&manifest.layers);
        all.all(|d| kept.blobs.get(d.digest.as_str()).is_some_and(|b| Digest::of(b) == d.digest))
    }

    /// Forgets all blobs, as a garbage collector may.
    pub(crate) fn lose_blobs(kept: &Self) {
        kept.kept.lock().unwrap().blobs.clear();
    }

    /// For scripts that lose blobs in the middle.
    pub(crate) fn handle(&self) -> Self {
        Self { at: self.at.clone(), kept: Arc::clone(&self.kept) }
    }
}

fn serve(stream: &TcpStream, kept: &Mutex<Kept>, script: &Mutex<Script>) {
    let mut reader = BufReader::new(stream);
    while let Some(mut asked) = head(&mut reader) {
        let say = script.lock().unwrap()(&asked);
        let length = asked.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0_usize);
        if let Say::CutRequest(after) | Say::CutPiece(after) = say {
            let mut some = vec![0; after.min(length)];
            let whole = reader.read_exact(&mut some).is_ok();
            let mut kept = kept.lock().unwrap();
            if whole && matches!(say, Say::CutPiece(_)) {
                let path = asked.path.split('?').next().unwrap();
                kept.uploads.get_mut(path).unwrap().extend(some);
            }
            kept.asked.push(asked);
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
        asked.body = vec![0; length];
        if reader.read_exact(&mut asked.body).is_err() {
            return;
        }
        let mut kept = kept.lock().unwrap();
        kept.asked.push(asked.clone());
        let mut told = match &say {
            Say::Instead(told) => told.clone(),
            _ => honest(&mut kept, &asked),
        };
        drop(kept);
        if let Say::Adorned(headers) = &say {
            for (name, value) in headers {
                told.headers.retain(|(n, _)| n != name);
                if !value.is_empty() {
                    told.headers.push((name.clone(), value.clone()));
                }
            }
        }
        let bytes = bytes(&told, asked.method == "HEAD");
        let end = if let Say::CutAnswer(after) = say { after.min(bytes.len()) } else { bytes.len() };
        if (&*stream).write_all(&bytes[..end]).is_err()
            || end < bytes.len()
            || matches!(say, Say::CutAnswer(_))
        {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
    }
}

fn head(reader: &mut impl BufRead) -> Option<Asked> {
    let mut line = String::new();
    reader.read_line(&mut line).ok()?;
    let mut words = line.split_whitespace();
    let mut asked =
        Asked { method: words.next()?.to_owned(), path: words.next()?.to_owned(), ..Asked::default() };
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        let Some((name, value)) = line.trim_end().split_once(':') else { return Some(asked) };
        asked.headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
}

fn bytes(told: &Told, head: bool) -> Vec<u8> {
    let mut text = format!("HTTP/1.1 {} X\r\n", told.status);
    for (name, value) in &told.headers {
        text += &format!("{name}: {value}\r\n");
    }
    if !told.headers.iter().any(|(name, _)| name == "content-length") {
        text += &format!("content-length: {}\r\n", told.body.len());
    }
    let mut bytes = (text + "\r\n").into_bytes();
    if !head {
        bytes.extend(&told.body);
    }
    bytes
}

/// Distribution specification, as far as a push and a pull go.
fn honest(kept: &mut Kept, asked: &Asked) -> Told {
    let (path, query) = asked.path.split_once('?').unwrap_or((&asked.path, ""));
    let last = path.rsplit('/').next().unwrap_or_default().to_owned();
    let digest = query.split('&').find_map(|p| p.strip_prefix("digest=")).map(|d| d.replace("%3A", ":"));
    match (asked.method.as_str(), path) {
        ("GET", "/v2/") => Told::new(200),
        ("POST", p) if p.ends_with("/blobs/uploads/") => {
            let at = format!("{p}{}", kept.asked.len());
            kept.uploads.insert(at.clone(), Vec::new());
            Told::new(202).header("location", &format!("{at}?state=a%2Fb"))
        }
        ("PATCH" | "GET", p) if p.contains("/blobs/uploads/") => {
            let Some(upload) = kept.uploads.get_mut(p) else {
                return Told::error(404, "BLOB_UPLOAD_UNKNOWN", "blob upload unknown to registry");
            };
            let mut status = 204;
            if asked.method == "PATCH" {
                let from = asked.header("content-range").and_then(|r| r.split('-').next()?.parse().ok());
                let fits = from == Some(upload.len());
                status = if fits { 202 } else { 416 };
                if fits {
                    upload.extend_from_slice(&asked.body);
                }
            }
            let range = format!("0-{}", upload.len().saturating_sub(1));
            // Another address after each piece, as docker-registry has it.
            Told::new(status)
                .header("location", &format!("{p}?state={}", upload.len()))
                .header("range", &range)
        }
        ("DELETE", p) if p.contains("/blobs/uploads/") => Told::new(204),
        ("PUT", p) if p.contains("/blobs/uploads/") => {
            let mut whole = kept.uploads.remove(p).unwrap_or_default();
            whole.extend(&asked.body);
            let is = Digest::of(&whole);
            if digest.as_deref() != Some(is.as_str()) {
                return Told::error(400, "DIGEST_INVALID", "provided digest did not match uploaded content");
            }
            kept.blobs.insert(is.to_string(), whole);
            Told::new(201).header("docker-content-digest", is.as_str())
        }
        ("HEAD" | "GET", p) if p.contains("/blobs/") => match kept.blobs.get(&last) {
            Some(blob) => Told { status: 200, headers: Vec::new(), body: blob.clone() },
            None => Told::error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
        },
        ("PUT", p) if p.contains("/manifests/") => {
            let kind = asked.header("content-type").unwrap_or_default().to_owned();
            let manifest: tamis_oci::Manifest = serde_json::from_slice(&asked.body).unwrap();
            let mut parts = [&manifest.config].into_iter().chain(&manifest.layers);
            if parts.any(|d| !kept.blobs.contains_key(d.digest.as_str())) {
                return Told::error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
            }
            let digest = Digest::of(&asked.body).to_string();
            for name in [last, digest.clone()] {
                kept.manifests.insert(name, (kind.clone(), asked.body.clone()));
            }
            Told::new(201).header("docker-content-digest", &digest)
        }
        ("HEAD" | "GET", p) if p.contains("/manifests/") => match kept.manifests.get(&last) {
            Some((kind, body)) => Told { status: 200, headers: Vec::new(), body: body.clone() }
                .header("content-type", kind)
                .header("docker-content-digest", Digest::of(body).as_str()),
            None => Told::error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
        },
        _ => Told::new(404),
    }
}
