//! What an installed cosign is asked for. The arguments are those that cosign 3.1.3 takes; that no secret is among them
//! is ours to hold.

use crate::desk::{PASSWORD, chain};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus};
use tamis_oci::remote::{Login, Options, Secret};
use tamis_oci::sign::cosign::{Cosign, Identity, ended};
use tamis_oci::{Kind, Reference};

const HEX: &str = "6b0b609c8d4dda24325f08bfe96ae5aeda0a1cc1bbe47e0af98a7f4469265b75";

fn cosign(folder: &tempfile::TempDir) -> Cosign {
    let path = folder.path().join("cosign");
    std::fs::write(&path, "").unwrap();
    Cosign::find(Some(&path), std::iter::empty()).unwrap()
}

fn image() -> Reference {
    format!("registry.example/team/hello@sha256:{HEX}").parse().unwrap()
}

fn args(command: &Command) -> Vec<String> {
    command.get_args().map(|a| a.to_str().unwrap().to_owned()).collect()
}

fn vars(command: &Command) -> Vec<(&str, &str)> {
    command.get_envs().filter_map(|(k, v)| Some((k.to_str()?, v?.to_str()?))).collect()
}

#[test]
fn a_login_goes_by_the_environment_and_never_by_arguments() {
    let folder = tempfile::tempdir().unwrap();
    let login = Some(Login::Password("alice".into(), Secret::new(PASSWORD)));
    let options = Options {
        ca_file: Some("ca.pem".into()),
        cert_file: Some("me.pem".into()),
        key_file: Some("me.key".into()),
        login,
        ..Options::default()
    };
    let command = cosign(&folder).sign(&image(), &options, true);
    let want = format!(
        "sign --registry-cacert ca.pem --registry-client-cert me.pem --registry-client-key me.key --yes \
         registry.example/team/hello@sha256:{HEX}"
    );
    assert_eq!(args(&command).join(" "), want);
    assert_eq!(
        vars(&command),
        [("COSIGN_REGISTRY_PASSWORD", PASSWORD), ("COSIGN_REGISTRY_USERNAME", "alice")]
    );
    let token = Options { login: Some(Login::Bearer(Secret::new(PASSWORD))), ..Options::default() };
    let command = cosign(&folder).verify(&image(), &token, &Identity::default());
    assert_eq!(vars(&command), [("COSIGN_REGISTRY_TOKEN", PASSWORD)]);
    assert!(args(&command).iter().all(|a| !a.contains(PASSWORD)));
}

#[test]
fn an_identity_is_passed_on_as_it_is() {
    let folder = tempfile::tempdir().unwrap();
    let by = Identity {
        identity: Some("--me@example.org".into()),
        issuer_regexp: Some("https://.* x".into()),
        ..Identity::default()
    };
    let plain = Options { plain_http: true, ..Options::default() };
    let command = cosign(&folder).verify(&image(), &plain, &by);
    assert_eq!(
        args(&command)[..5],
        [
            "verify",
            "--allow-http-registry",
            "--output=json",
            "--certificate-identity=--me@example.org",
            "--certificate-oidc-issuer-regexp=https://.* x"
        ]
    );
    assert!(vars(&command).is_empty());
}

#[test]
fn no_cosign_is_told_with_a_way_out() {
    let folder = tempfile::tempdir().unwrap();
    for (named, want) in [(None, "on the path"), (Some(folder.path().join("none")), "none`")] {
        let error = Cosign::find(named.as_deref(), [folder.path().to_owned()].into_iter()).unwrap_err();
        assert_eq!(error.kind, Kind::NoCosign);
        let told = chain(&error);
        assert!(told.contains(want) && told.contains("TAMIS_COSIGN") && told.contains("--key"), "{told}");
    }
}

#[test]
fn how_cosign_ends_is_told_apart() {
    // The high byte is the exit code (wait(2)).
    let end =
        |code: i32, checking| ended(ExitStatus::from_raw(code << 8), &image(), checking).map_err(|e| e.kind);
    assert_eq!(end(0, true), Ok(()));
    assert_eq!(end(10, true), Err(Kind::NotSigned));
    assert_eq!(end(12, true), Err(Kind::BadSignature));
    assert_eq!(end(13, true), Err(Kind::BadSignature));
    assert_eq!(end(1, true), Err(Kind::CosignFailed));
    assert_eq!(end(10, false), Err(Kind::CosignFailed));
    let killed = ended(ExitStatus::from_raw(9), &image(), false).unwrap_err();
    assert!(chain(&killed).contains("killed"), "{}", chain(&killed));
}
