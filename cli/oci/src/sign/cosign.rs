//! Signatures without a key of one's own: an installed cosign makes and checks them, since they take a login in a
//! browser or of a pipeline, a certificate of an hour and a public log. Read and run with cosign 3.1.3.

use crate::error::{Error, Kind};
use crate::reference::Reference;
use crate::remote::{Login, Options};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitStatus};

/// Whose signature is wanted: cosign's flags of the same names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// A mail address, or the address of a pipeline.
    pub identity: Option<String>,
    /// A regular expression for it.
    pub identity_regexp: Option<String>,
    /// Who vouched for the identity.
    pub issuer: Option<String>,
    /// A regular expression for it.
    pub issuer_regexp: Option<String>,
}

/// An installed cosign.
#[derive(Debug, Clone)]
pub struct Cosign(PathBuf);

impl Cosign {
    /// The program that is named, else the first `cosign` in these folders.
    ///
    /// # Errors
    /// When there is none.
    pub fn find(named: Option<&Path>, mut folders: impl Iterator<Item = PathBuf>) -> Result<Self, Error> {
        let found = match named {
            Some(path) => Some(path.to_owned()).filter(|p| p.is_file()),
            None => folders.find_map(|f| Some(f.join("cosign")).filter(|p| p.is_file())),
        };
        found.map(Self).ok_or_else(|| {
            let text = match named {
                Some(path) => format!("no cosign at `{}`", path.display()),
                None => "no `cosign` on the path".to_owned(),
            };
            Error::new(Kind::NoCosign, text)
                .hint("signatures without a key are made and checked by cosign 3: install it, or name it with `TAMIS_COSIGN`")
                .hint("a key of your own needs no cosign: `--key FILE`")
        })
    }

    /// The command that signs this digest; `yes` agrees beforehand that name and mail address go into a public log.
    pub fn sign(&self, image: &Reference, options: &Options, yes: bool) -> Command {
        let mut command = self.command("sign", options);
        if yes {
            command.arg("--yes");
        }
        command.arg(image.to_string());
        command
    }

    /// The command that looks for a signature of this digest by this identity.
    pub fn verify(&self, image: &Reference, options: &Options, by: &Identity) -> Command {
        let mut command = self.command("verify", options);
        command.arg("--output=json");
        for (flag, value) in [
            ("certificate-identity", &by.identity),
            ("certificate-identity-regexp", &by.identity_regexp),
            ("certificate-oidc-issuer", &by.issuer),
            ("certificate-oidc-issuer-regexp", &by.issuer_regexp),
        ] {
            if let Some(value) = value {
                command.arg(format!("--{flag}={value}"));
            }
        }
        command.arg(image.to_string());
        command
    }

    fn command(&self, verb: &str, options: &Options) -> Command {
        let mut command = Command::new(&self.0);
        command.arg(verb);
        if options.plain_http {
            command.arg("--allow-http-registry");
        }
        for (flag, file) in [
            ("--registry-cacert", &options.ca_file),
            ("--registry-client-cert", &options.cert_file),
            ("--registry-client-key", &options.key_file),
        ] {
            if let Some(file) = file {
                command.arg(flag).arg(file);
            }
        }
        // Everybody on the machine can read arguments; cosign reads each of its flags from a variable too. Logins of
        // Docker and Podman it finds by itself.
        match &options.login {
            Some(Login::Password(user, password)) => {
                command.env("COSIGN_REGISTRY_USERNAME", user);
                command.env("COSIGN_REGISTRY_PASSWORD", password.reveal());
            }
            Some(Login::Bearer(token)) => {
                command.env("COSIGN_REGISTRY_TOKEN", token.reveal());
            }
            // cosign has no flag for a token that is exchanged first.
            Some(Login::Identity(_)) | None => {}
        }
        command
    }
}

/// What the end of cosign means; its own words went where its stderr goes.
///
/// # Errors
/// When it did not end well.
pub fn ended(status: ExitStatus, image: &Reference, checking: bool) -> Result<(), Error> {
    let code = match status.code() {
        Some(0) => return Ok(()),
        Some(code) => format!("it ended with {code}"),
        None => "it was killed".to_owned(),
    };
    // Exit codes of cosign 3 ("ImageWithoutSignature", "NoMatchingSignature", "NoCertificateFoundOnSignature").
    Err(match status.code() {
        Some(10) if checking => Error::new(Kind::NotSigned, format!("nobody signed {image}")),
        Some(12 | 13) if checking => {
            Error::new(Kind::BadSignature, format!("no signature of {image} is by this identity"))
        }
        _ if checking => Error::new(Kind::CosignFailed, format!("cosign does not verify {image}")),
        _ => Error::new(Kind::CosignFailed, format!("cosign did not sign {image}")),
    }
    .because(code)
    .hint("what it says stands above"))
}
