//! How a registry is spoken to, from flags, `TAMIS_*` and stdin.

use crate::args::RemoteArgs;
use crate::failure::{Code, Failure, Result};
use std::cell::OnceCell;
use std::io::Read as _;
use tamis_oci::remote::{Login, Options, Secret};

/// The variable with the password that goes with `--username`.
const PASSWORD: &str = "TAMIS_PASSWORD";

/// Longest password that is read from stdin, bytes: tokens of clouds have a few thousand.
const MAX_PASSWORD: u64 = 64 << 10;

/// A variable of the environment.
pub(crate) fn environment(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

/// The settings of a registry for the filters of a run: stdin is asked for a password once, however many there are.
#[derive(Debug, Clone, Default)]
pub struct Remote {
    args: RemoteArgs,
    known: OnceCell<Options>,
}

impl From<&RemoteArgs> for Remote {
    fn from(args: &RemoteArgs) -> Self {
        Self { args: args.clone(), known: OnceCell::new() }
    }
}

impl Remote {
    /// The settings.
    ///
    /// # Errors
    /// As [`options`].
    pub(crate) fn options(&self) -> Result<&Options> {
        if let Some(known) = self.known.get() {
            return Ok(known);
        }
        let options = options(&self.args)?;
        Ok(self.known.get_or_init(|| options))
    }
}

/// The settings of a registry.
///
/// # Errors
/// When a name has no password, or stdin has none.
pub(crate) fn options(args: &RemoteArgs) -> Result<Options> {
    // Pipelines set a variable that nobody gave a value to the empty text.
    let login = match args.username.as_deref().filter(|name| !name.is_empty()) {
        None => None,
        Some(user) if args.password_stdin => {
            let mut text = String::new();
            std::io::stdin()
                .take(MAX_PASSWORD)
                .read_to_string(&mut text)
                .map_err(|e| Failure::because(Code::Usage, "cannot read the password from stdin", e))?;
            let password = text.trim_end_matches(['\r', '\n']);
            if password.is_empty() {
                return Err(Failure::new(Code::Usage, "stdin has no password"));
            }
            Some(Login::Password(user.to_owned(), Secret::new(password)))
        }
        Some(user) => {
            let password = environment(PASSWORD).filter(|p| !p.is_empty());
            let password = password.ok_or_else(|| {
                Failure::new(Code::Usage, format!("no password for `{user}`"))
                    .hint(format!("give `--password-stdin`, or set `{PASSWORD}`"))
            })?;
            Some(Login::Password(user.to_owned(), Secret::new(password)))
        }
    };
    Ok(Options {
        plain_http: args.plain_http,
        ca_file: args.ca_file.clone(),
        cert_file: args.cert_file.clone(),
        key_file: args.key_file.clone(),
        login,
    })
}
