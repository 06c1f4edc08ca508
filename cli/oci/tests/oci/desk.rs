//! The client's side of the tests: an environment of its own, and a watch that notes instead of waiting.

use crate::shelf::image;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::time::Duration;
use tamis_oci::remote::{Login, Options, Push, Pushed, Registry, Secret, push};
use tamis_oci::{Error, Fetched, Image, Layout, Reference, Watch, fetch};

/// Notes all that it is told; waits never.
#[derive(Default)]
pub(crate) struct Desk {
    /// Variables of the environment; there are no others.
    pub(crate) env: BTreeMap<String, String>,
    pub(crate) options: Options,
    pub(crate) notes: RefCell<Vec<String>>,
    pub(crate) waits: RefCell<Vec<Duration>>,
    pub(crate) sent: RefCell<u64>,
    /// Stop after so many bytes.
    pub(crate) patience: Option<u64>,
}

impl Watch for Desk {
    fn advance(&self, bytes: u64) {
        *self.sent.borrow_mut() += bytes;
    }

    fn note(&self, text: &str) {
        self.notes.borrow_mut().push(text.to_owned());
    }

    fn stopped(&self) -> bool {
        self.patience.is_some_and(|most| *self.sent.borrow() >= most)
    }

    fn wait(&self, time: Duration) {
        self.waits.borrow_mut().push(time);
    }
}

/// The password in all tests: nothing that is shown may have it.
pub(crate) const PASSWORD: &str = "s3cret-of-alice";

impl Desk {
    pub(crate) fn login(user: &str, password: &str) -> Self {
        let login = Some(Login::Password(user.to_owned(), Secret::new(password)));
        Self { options: Options { login, ..Options::default() }, ..Self::default() }
    }

    pub(crate) fn with_env(vars: &[(&str, &str)]) -> Self {
        let env = vars.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Self { env, ..Self::default() }
    }

    pub(crate) fn open(&self, at: &str) -> Result<Registry<'_>, Error> {
        let reference: Reference = format!("{at}/team/filter").parse().unwrap();
        Registry::open(&reference, &self.options, &|name| self.env.get(name).cloned(), self)
    }

    /// Pushes an image under these tags to `team/filter`.
    pub(crate) fn push_as(
        &self,
        at: &str,
        image: &Image,
        tags: &[&str],
        overwrite: bool,
    ) -> Result<Pushed, Error> {
        let tags: Vec<_> = tags.iter().map(|t| (*t).to_owned()).collect();
        let pushed = self.open(at).and_then(|r| push(&r, &Push { image, tags: &tags, overwrite }));
        if let Err(error) = &pushed {
            self.keeps_quiet(error);
        }
        pushed
    }

    /// Pushes a filter in the compat layout as `v1`.
    pub(crate) fn push(&self, at: &str, wasm: &[u8]) -> Result<Pushed, Error> {
        self.push_as(at, &image(Layout::Compat, wasm), &["v1"], false)
    }

    pub(crate) fn pull(&self, at: &str, target: &str) -> Result<Fetched, Error> {
        let fetched = self.open(at).and_then(|r| fetch(&r, target));
        if let Err(error) = &fetched {
            self.keeps_quiet(error);
        }
        fetched
    }

    /// No secret stands in an error or a note, in any spelling.
    pub(crate) fn keeps_quiet(&self, error: &Error) {
        let told = format!("{error:?} {} {:?} {:?}", chain(error), self.notes.borrow(), self.options);
        // `alice:s3cret-of-alice` as `Authorization` has it.
        for secret in [PASSWORD, "YWxpY2U6czNjcmV0LW9mLWFsaWNl"] {
            assert!(!told.contains(secret), "{told}");
        }
    }
}

/// An error with its causes and hints in one line.
pub(crate) fn chain(error: &Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(inner) = cause {
        text += &format!(": {inner}");
        cause = inner.source();
    }
    format!("{text} ({})", error.hints.join("; "))
}
