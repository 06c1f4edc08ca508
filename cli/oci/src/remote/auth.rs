//! Answering a registry's challenge: basic, or a token from a token server.

use super::challenge::{Challenge, parse};
use super::credentials::Search;
use super::http::{Answer, Call, Failed, Http};
use super::retry::Retry;
use super::secret::{Login, Secrets};
use super::url::{Url, escape};
use crate::error::{Error, Kind};
use crate::watch::Watch;
use base64::Engine as _;
use serde::Deserialize;

/// What a request is for; decides the scope of a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Want {
    Pull,
    Push,
}

impl Want {
    const fn actions(self) -> &'static str {
        match self {
            Want::Pull => "pull",
            Want::Push => "pull,push",
        }
    }
}

/// The login of a session, and the header that it has come to.
pub(crate) struct Auth {
    search: Search,
    repository: String,
    header: Option<(String, Want)>,
    pub(crate) secrets: Secrets,
}

#[derive(Deserialize)]
struct Token {
    #[serde(default)]
    token: String,
    #[serde(default)]
    access_token: String,
}

impl Auth {
    pub(crate) fn new(search: Search, repository: &str) -> Self {
        let mut secrets = Secrets::default();
        match &search.login {
            Some(Login::Password(user, password)) => {
                secrets.add(password.reveal());
                secrets.add(&basic(user, password.reveal()));
            }
            Some(Login::Identity(token) | Login::Bearer(token)) => secrets.add(token.reveal()),
            None => {}
        }
        Self { search, repository: repository.to_owned(), header: None, secrets }
    }

    /// The `Authorization` header for the next request, when it is known. A token for pushing is also one for
    /// pulling, not the other way round.
    pub(crate) fn header(&self, want: Want) -> Option<&str> {
        let (header, had) = self.header.as_ref()?;
        (*had == want || *had == Want::Push).then_some(header)
    }

    /// Makes a header that answers this refusal. `tried`: the refused request had one made for it.
    ///
    /// # Errors
    /// When there is no answer: not logged in, a wrong login, a right that is missing.
    pub(crate) fn answer(
        &mut self,
        refused: &Answer,
        tried: bool,
        from: &Url,
        want: Want,
        http: &Http,
        watch: &dyn Watch,
    ) -> Result<(), Error> {
        let challenges: Vec<_> = refused.all("www-authenticate").flat_map(parse).collect();
        let find = |scheme: &str| challenges.iter().find(|c| c.scheme == scheme);
        if tried {
            let bearer = find("bearer").is_some();
            return Err(if bearer { self.denied(from, want, refused) } else { self.wrong(from, refused) });
        }
        if let Some(challenge) = find("bearer") {
            let token = match &self.search.login {
                Some(Login::Bearer(token)) => token.reveal().to_owned(),
                _ => self.token(challenge, from, want, http, watch)?,
            };
            self.secrets.add(&token);
            self.header = Some((format!("Bearer {token}"), want));
            return Ok(());
        }
        match (find("basic"), &self.search.login) {
            (Some(_), Some(Login::Password(user, password))) => {
                let header = format!("Basic {}", basic(user, password.reveal()));
                self.header = Some((header, Want::Push));
                Ok(())
            }
            (Some(_), Some(_)) => Err(self
                .wrong(from, refused)
                .hint("the registry wants a name and a password, and the login is a token")),
            (Some(_), None) => Err(self.nobody(from)),
            (None, _) => {
                let text = format!("{} wants a login of a kind that is not known", from.host());
                Err(Error::new(Kind::Broken, text))
            }
        }
    }

    /// Asks the token server (distribution project, "Token Authentication Specification"; with a refresh
    /// token as its OAuth2 variant).
    fn token(
        &mut self,
        challenge: &Challenge,
        from: &Url,
        want: Want,
        http: &Http,
        watch: &dyn Watch,
    ) -> Result<String, Error> {
        let broken = |text: &str| Error::new(Kind::Broken, format!("{} {text}", from.host()));
        let realm = challenge.get("realm").ok_or_else(|| broken("names no token server"))?;
        let realm = from.join(realm)?;
        safe(&realm, from)?;
        let scope = scope(challenge.get("scope"), &self.repository, want);
        let service = challenge.get("service").unwrap_or_default();
        let form;
        let call = match &self.search.login {
            Some(Login::Identity(token)) => {
                form = format!(
                    "grant_type=refresh_token&client_id=tamis&service={}&scope={}&refresh_token={}",
                    escape(service),
                    escape(&scope),
                    escape(token.reveal())
                );
                Call::new("POST", realm.clone()).body("application/x-www-form-urlencoded", form.as_bytes())
            }
            login => {
                let mut url = realm.clone();
                if !service.is_empty() {
                    url = url.with("service", service);
                }
                let call = Call::new("GET", url.with("scope", &scope));
                match login {
                    Some(Login::Password(user, password)) => {
                        call.header("authorization", format!("Basic {}", basic(user, password.reveal())))
                    }
                    _ => call,
                }
            }
        };
        let answer = patient(&call, &format!("asking {} for a token", realm.host()), http, watch)?;
        if !answer.ok() {
            let why = self.secrets.scrub(&super::refusal::said(&answer));
            return Err(match answer.status {
                400 | 401 | 403 if self.search.login.is_none() => self.nobody(from).because(why),
                401 | 400 => self.refused(from).because(why),
                403 => self.denied(from, want, &answer),
                _ => broken("has a token server that does not work").because(why),
            });
        }
        let token: Token = serde_json::from_slice(&answer.body)
            .map_err(|_| broken("has a token server whose answer is no token"))?;
        let token = if token.token.is_empty() { token.access_token } else { token.token };
        // What stands in a header must not end it.
        if token.is_empty() || !token.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(broken("has a token server whose answer is no token"));
        }
        Ok(token)
    }

    fn places(&self) -> String {
        let looked = self.search.looked.join(", ");
        if looked.is_empty() {
            "no file could be looked at".to_owned()
        } else {
            format!("looked in {looked}")
        }
    }

    fn nobody(&self, from: &Url) -> Error {
        let text = format!("not logged in to {}", from.authority);
        Error::new(Kind::NotLoggedIn, text)
            .because(self.places())
            .hint(format!("run `docker login {}`", from.authority))
            .hint("or give `--username NAME --password-stdin`, or set `TAMIS_USERNAME` and `TAMIS_PASSWORD`")
    }

    fn refused(&self, from: &Url) -> Error {
        Error::new(Kind::WrongLogin, format!("{} refuses the login", from.authority))
            .hint(format!("it is the one of {}", self.search.from))
            .hint("logins of some registries last only hours: log in again")
    }

    fn wrong(&self, from: &Url, answer: &Answer) -> Error {
        self.refused(from).because(self.secrets.scrub(&super::refusal::said(answer)))
    }

    fn denied(&self, from: &Url, want: Want, answer: &Answer) -> Error {
        let right = if want == Want::Push { "push to" } else { "pull from" };
        let who = if self.search.login.is_some() { "this login" } else { "nobody without a login" };
        let may = if self.search.login.is_some() { "may not" } else { "may" };
        let error = Error::new(
            if self.search.login.is_some() { Kind::Denied } else { Kind::NotLoggedIn },
            format!("{who} {may} {right} {}/{}", from.authority, self.repository),
        );
        let error = error.because(self.secrets.scrub(&super::refusal::said(answer)));
        match &self.search.login {
            Some(_) => error.hint(format!("the login is the one of {}", self.search.from)),
            None => error.hint(self.places()).hint(format!("run `docker login {}`", from.authority)),
        }
    }
}

fn basic(user: &str, password: &str) -> String {
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

/// The scope of the challenge, with the right to push when that is wanted: some registries name only `pull`
/// even in answer to an upload.
fn scope(challenge: Option<&str>, repository: &str, want: Want) -> String {
    let own = format!("repository:{repository}:{}", want.actions());
    match challenge {
        None | Some("") => own,
        Some(scope) if want == Want::Push && !scope.contains("push") => own,
        Some(scope) => scope.to_owned(),
    }
}

/// A token server may be another host, as the protocol has it; then it must speak TLS, or be as near as the
/// registry itself.
fn safe(realm: &Url, registry: &Url) -> Result<(), Error> {
    let near = !registry.https
        && (realm.host() == registry.host() || (realm.is_loopback() && registry.is_loopback()));
    if realm.https || near {
        return Ok(());
    }
    let text = format!("{} sends logins to {realm}, without TLS", registry.authority);
    Err(Error::new(Kind::Unsafe, text).hint("nothing was sent there"))
}

/// Sends until there is an answer that is worth reading.
pub(crate) fn patient(call: &Call<'_>, what: &str, http: &Http, watch: &dyn Watch) -> Result<Answer, Error> {
    let mut retry = Retry::default();
    loop {
        match http.send(call, watch) {
            Ok(answer) if Retry::worth(&answer) => {
                retry.again(what, answer.status.to_string(), answer.retry_after(), watch)?;
            }
            Ok(answer) => return Ok(answer),
            Err(Failed::Cut(why)) => retry.again(what, why, None, watch)?,
            Err(Failed::Plain(error) | Failed::Final(error)) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_push_asks_for_the_right_to_push_11() {
        assert_eq!(scope(Some("repository:f:pull"), "f", Want::Push), "repository:f:pull,push");
        assert_eq!(
            scope(Some("repository:f:pull,push,delete"), "f", Want::Push),
            "repository:f:pull,push,delete"
        );
        assert_eq!(scope(Some("x:y:pull"), "f", Want::Pull), "x:y:pull");
        assert_eq!(scope(None, "f", Want::Pull), "repository:f:pull");
    }

    #[test]
    fn logins_go_to_token_servers_with_tls_or_next_door_17() {
        let safe = |realm: &str, registry: &str| {
            safe(&Url::parse(realm).unwrap(), &Url::parse(registry).unwrap()).is_ok()
        };
        assert!(safe("https://auth.example/token", "https://r.example/"));
        assert!(safe("https://auth.example/token", "http://r.example/"));
        assert!(safe("http://r.example:5001/token", "http://r.example:5000/"));
        assert!(safe("http://localhost:5001/token", "http://127.0.0.1:5000/"));
        assert!(!safe("http://r.example/token", "https://r.example/"));
        assert!(!safe("http://auth.example/token", "http://r.example/"));
        assert!(!safe("http://localhost/token", "http://r.example/"));
        assert!(!safe("http://auth.example/token", "http://localhost:5000/"));
    }
}
