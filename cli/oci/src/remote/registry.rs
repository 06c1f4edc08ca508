//! One repository of a registry: requests with login, redirects and patience.

use super::auth::{Auth, Want, patient};
use super::credentials::{Env, Search, search};
use super::http::{Answer, Call, Failed, Http};
use super::refusal::{self, Doing};
use super::retry::Retry;
use super::secret::Login;
use super::tls;
use super::url::Url;
use crate::error::{Error, Kind};
use crate::fetch::checked;
use crate::manifest::{Descriptor, MAX_MANIFEST, types};
use crate::reference::Reference;
use crate::watch::{Silent, Watch};
use crate::{Digest, MAX_MODULE, Store};
use std::cell::RefCell;
use std::path::PathBuf;

/// Redirects that one request follows.
const MAX_REDIRECTS: usize = 5;

/// What the caller decides about a registry.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// No TLS, wherever the registry is.
    pub plain_http: bool,
    /// PEM file with authorities to trust besides the system's.
    pub ca_file: Option<PathBuf>,
    /// PEM file with our certificate.
    pub cert_file: Option<PathBuf>,
    /// PEM file with its key.
    pub key_file: Option<PathBuf>,
    /// A login that wins over those on this machine.
    pub login: Option<Login>,
}

/// A repository. All requests of a push or pull go through one.
pub struct Registry<'w> {
    http: Http,
    base: Url,
    pub(crate) repository: String,
    auth: RefCell<Auth>,
    warned: RefCell<Vec<String>>,
    pub(crate) watch: &'w dyn Watch,
}

impl<'w> Registry<'w> {
    /// Reads settings and login; on this machine it also finds out whether the registry speaks TLS. Plain HTTP
    /// is spoken only to this machine or when asked for.
    ///
    /// # Errors
    /// When a certificate, a key, a credential file or a helper cannot be used, or nothing answers.
    pub fn open(
        reference: &Reference,
        options: &Options,
        env: Env<'_>,
        watch: &'w dyn Watch,
    ) -> Result<Self, Error> {
        let files = tls::Files {
            ca: options.ca_file.clone(),
            cert: options.cert_file.clone(),
            key: options.key_file.clone(),
        };
        if options.plain_http && files.any() {
            return Err(Error::new(Kind::Tls, "certificates and `--plain-http` contradict each other"));
        }
        let mut base = Url::new(!options.plain_http, reference.host(), "/v2/");
        let http = Http::new(&files, base.is_loopback(), concat!("tamis/", env!("CARGO_PKG_VERSION")))?;
        let search = match &options.login {
            Some(login) => Search {
                login: Some(login.clone()),
                from: "the command line or environment".into(),
                looked: vec![],
            },
            None => search(&reference.registry, &reference.repository, env)?,
        };
        if base.https && base.is_loopback() && !files.any() {
            base.https = speaks_tls(&http, &base, watch)?;
        }
        Ok(Self {
            http,
            base,
            repository: reference.repository.clone(),
            auth: RefCell::new(Auth::new(search, &reference.repository)),
            warned: RefCell::default(),
            watch,
        })
    }

    /// Asks once more although the user asked to stop: for tidying up.
    pub(crate) fn tidy(&self, call: &Call<'_>) {
        let mut call = call.clone();
        let header = self.auth.borrow().header(Want::Push).map(str::to_owned);
        if let Some(header) = header.filter(|_| call.url.same_origin(&self.base)) {
            call = call.header("authorization", header);
        }
        // Nobody waits for the outcome.
        let _ = self.http.send(&call, &Silent);
    }

    /// An address in the repository.
    pub(crate) fn url(&self, rest: &str) -> Url {
        Url { path: format!("/v2/{}/{rest}", self.repository), ..self.base.clone() }
    }

    /// Sends a request until there is an answer that is neither a challenge nor "not now".
    pub(crate) fn call(&self, call: Call<'_>, want: Want, what: &str) -> Result<Answer, Error> {
        let mut retry = Retry::default();
        loop {
            match self.once(call.clone(), want)? {
                Ok(answer) if Retry::worth(&answer) => {
                    retry.again(what, answer.status.to_string(), answer.retry_after(), self.watch)?;
                }
                Ok(answer) => return Ok(answer),
                Err(why) => retry.again(what, why, None, self.watch)?,
            }
        }
    }

    /// One attempt, with login and redirects. The inner error says how the connection was lost.
    pub(crate) fn once(&self, mut call: Call<'_>, want: Want) -> Result<Result<Answer, String>, Error> {
        let mut tried = false;
        let mut redirects = 0;
        loop {
            let mut sent = call.clone();
            // A login is for the registry alone, wherever it sends us.
            let home = call.url.same_origin(&self.base);
            if home && let Some(header) = self.auth.borrow().header(want) {
                sent = sent.header("authorization", header);
            }
            let answer = match self.http.send(&sent, self.watch) {
                Ok(answer) => answer,
                Err(Failed::Cut(why)) => return Ok(Err(why)),
                Err(Failed::Plain(error) | Failed::Final(error)) => return Err(error),
            };
            self.warnings(&answer);
            match answer.status {
                401 if home => {
                    let mut auth = self.auth.borrow_mut();
                    auth.answer(&answer, tried, &self.base, want, &self.http, self.watch)?;
                    tried = true;
                }
                301 | 302 | 303 | 307 | 308 if matches!(call.method, "GET" | "HEAD") => {
                    let to = answer.header("location").map(|l| call.url.join(l)).transpose()?;
                    let Some(to) = to else { return Ok(Ok(answer)) };
                    redirects += 1;
                    if redirects > MAX_REDIRECTS {
                        return Err(Error::new(
                            Kind::Broken,
                            format!("{} redirects without end", self.base.authority),
                        ));
                    }
                    self.keeps_tls(&to)?;
                    call.url = to;
                }
                _ => return Ok(Ok(answer)),
            }
        }
    }

    /// An address that the registry gives must not lose the protection that it has itself.
    pub(crate) fn keeps_tls(&self, to: &Url) -> Result<(), Error> {
        if !self.base.https || to.https {
            return Ok(());
        }
        let text = format!("{} sends us from https on to {to}", self.base.authority);
        Err(Error::new(Kind::Unsafe, text)
            .hint("a proxy in front of it may not tell it that it is reached by https"))
    }

    /// `Warning: 299 - "text"` (distribution specification, "Warnings"): shown once each.
    fn warnings(&self, answer: &Answer) {
        for value in answer.all("warning") {
            let Some(text) = value.strip_prefix("299 ").and_then(|rest| rest.split('"').nth(1)) else {
                continue;
            };
            let text = self.auth.borrow().secrets.scrub(text);
            let mut warned = self.warned.borrow_mut();
            if !warned.contains(&text) {
                self.watch.note(&format!("{} says: {text}", self.base.authority));
                warned.push(text);
            }
        }
    }

    /// The error for an answer.
    pub(crate) fn refusal(&self, answer: &Answer, doing: Doing, what: &str) -> Error {
        // In plain to a port for TLS, Go's servers say 400; what is wrong stands in the body, which HEAD has not.
        if answer.status == 400
            && !self.base.https
            && let Ok(told) = self.http.send(&Call::new("GET", self.base.clone()), self.watch)
            && told.body.starts_with(b"Client sent an HTTP request to an HTTPS server")
        {
            let text = format!("{} wants TLS", self.base.authority);
            return Error::new(Kind::Tls, text).hint("leave `--plain-http` out");
        }
        refusal::read(answer, doing, what, &self.auth.borrow().secrets)
    }

    /// The digest that a tag stands for; none when there is no such tag, or no such repository yet.
    pub(crate) fn resolve(&self, tag: &str, want: Want) -> Result<Option<Digest>, Error> {
        let url = self.url(&format!("manifests/{tag}"));
        let what = format!("{}:{tag}", self.repository);
        let answer = self.call(Call::new("HEAD", url).header("accept", types::ACCEPT), want, &what)?;
        match answer.status {
            404 => Ok(None),
            _ if !answer.ok() => Err(self.refusal(&answer, Doing::Look, &what)),
            _ => match answer.header("docker-content-digest").and_then(|d| d.parse().ok()) {
                Some(digest) => Ok(Some(digest)),
                // Not all registries say it.
                None => Ok(Some(Digest::of(&self.manifest(tag)?.0))),
            },
        }
    }
}

impl Store for Registry<'_> {
    fn manifest(&self, reference: &str) -> Result<(Vec<u8>, Option<String>), Error> {
        let what = match reference.contains(':') {
            true => format!("{}@{reference}", self.repository),
            false => format!("{}:{reference}", self.repository),
        };
        let mut call =
            Call::new("GET", self.url(&format!("manifests/{reference}"))).header("accept", types::ACCEPT);
        call.limit = MAX_MANIFEST as u64;
        let answer = self.call(call, Want::Pull, &what)?;
        if !answer.ok() {
            return Err(self.refusal(&answer, Doing::Fetch, &what));
        }
        if let Ok(want) = reference.parse::<Digest>()
            && Digest::of(&answer.body) != want
        {
            return Err(Error::new(
                Kind::Broken,
                format!("asked for {want}, got {}", Digest::of(&answer.body)),
            ));
        }
        let said =
            answer.header("content-type").map(|t| t.split(';').next().unwrap_or_default().trim().to_owned());
        Ok((answer.body, said))
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Vec<u8>, Error> {
        let what = format!("blob {}", descriptor.digest);
        if descriptor.size > MAX_MODULE {
            return Err(Error::new(
                Kind::BadImage,
                format!("{what} has {} bytes, too many", descriptor.size),
            ));
        }
        let mut call = Call::new("GET", self.url(&format!("blobs/{}", descriptor.digest)));
        call.limit = descriptor.size;
        call.label = "Fetching".to_owned();
        let answer = self.call(call, Want::Pull, &what)?;
        if !answer.ok() {
            return Err(self.refusal(&answer, Doing::Fetch, &what));
        }
        checked(descriptor, answer.body)
    }
}

/// Asks a registry on this machine in TLS first. No login is sent.
fn speaks_tls(http: &Http, base: &Url, watch: &dyn Watch) -> Result<bool, Error> {
    match http.send(&Call::new("GET", base.clone()), watch) {
        Ok(_) => Ok(true),
        Err(Failed::Final(error)) => Err(error),
        // Who speaks no TLS may also just hang up: a word in plain decides.
        Err(Failed::Plain(_) | Failed::Cut(_)) => {
            let plain = Url { https: false, ..base.clone() };
            patient(&Call::new("GET", plain), &format!("asking {}", base.authority), http, watch)
                .map(|_| false)
        }
    }
}
