//! Logins: where they are found, what is said when there is none, and where they never go.

use crate::desk::{Desk, PASSWORD, chain};
use crate::real::{Real, Setup, skopeo};
use crate::scripted::{Say, Scripted, Told};
use crate::shelf::filter;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use tamis_oci::Kind;

/// `alice` with the tests' password, bcrypt at its lowest cost.
pub(crate) const HTPASSWD: &str = "alice:$2b$05$abcdefghijklmnopqrstuu6SdaO4ukD0CMVhd6QMDsUq2nFZ4PrJS\n";

fn with_password() -> Real {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("htpasswd");
    std::fs::write(&path, HTPASSWD).unwrap();
    let more = format!("auth: {{ htpasswd: {{ realm: lab, path: \"{}\" }} }}", path.display());
    Real::start_in(folder, &Setup { more, ..Setup::default() })
}

#[test]
fn nobody_is_told_where_it_was_looked_9() {
    let registry = with_password();
    let home = tempfile::tempdir().unwrap();
    let desk =
        Desk::with_env(&[("HOME", home.path().to_str().unwrap()), ("DOCKER_CONFIG", "/nowhere/docker")]);
    let error = desk.push(&registry.at, &filter()).unwrap_err();
    assert_eq!(error.kind, Kind::NotLoggedIn);
    let told = chain(&error);
    for part in [
        &registry.at,
        "/nowhere/docker/config.json",
        ".config/containers/auth.json",
        "docker login",
        "--password-stdin",
    ] {
        assert!(told.contains(part), "no {part}: {told}");
    }
}

#[test]
fn a_good_login_pushes_and_a_wrong_one_is_told_10() {
    let registry = with_password();
    Desk::login("alice", PASSWORD).push(&registry.at, &filter()).unwrap();
    let error = Desk::login("alice", "wrong-password").push(&registry.at, &filter()).unwrap_err();
    assert_eq!(error.kind, Kind::WrongLogin, "{}", chain(&error));
    assert!(chain(&error).contains("the command line or environment"), "{}", chain(&error));
    assert!(!chain(&error).contains("wrong-password"));
}

#[test]
fn logins_of_other_tools_are_used_14() {
    let registry = with_password();
    let home = tempfile::tempdir().unwrap();
    let file = home.path().join("auth.json");
    let file = file.to_str().unwrap();
    let args =
        ["login", "--authfile", file, "--tls-verify=false", "-u", "alice", "-p", PASSWORD, &registry.at];
    skopeo(home.path(), &args);
    Desk::with_env(&[("REGISTRY_AUTH_FILE", file)]).push(&registry.at, &filter()).unwrap();
}

/// A Docker configuration in a folder of its own, and a desk that sees it.
fn docker(at: &Path, config: &str) -> Desk {
    std::fs::write(at.join("config.json"), config).unwrap();
    let at = at.to_str().unwrap();
    Desk::with_env(&[("DOCKER_CONFIG", at), ("PATH", &format!("{at}:/usr/bin:/bin"))])
}

fn helper(at: &Path, name: &str, script: &str) {
    let path = at.join(format!("docker-credential-{name}"));
    std::fs::write(&path, format!("#!/bin/sh\n{script}\n")).unwrap();
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn files_of_docker_and_podman_14() {
    let registry = with_password();
    let (folder, at) = (tempfile::tempdir().unwrap(), &registry.at);
    // base64 of `alice:` and the password.
    let auth = "YWxpY2U6czNjcmV0LW9mLWFsaWNl";
    for config in [
        format!(r#"{{"auths":{{"{at}":{{"auth":"{auth}"}}}}}}"#),
        format!(r#"{{"auths":{{"{at}/team":{{"auth":"{auth}"}},"{at}":{{"auth":"Ym9iOng="}}}}}}"#),
        format!(r#"{{"auths":{{"https://{at}/v1/":{{"auth":"{auth}"}}}}}}"#),
        format!(r#"{{"auths":{{"{at}":{{"username":"alice","password":"{PASSWORD}"}}}},"other":[1]}}"#),
    ] {
        docker(folder.path(), &config)
            .push(at, &filter())
            .unwrap_or_else(|e| panic!("{config}: {}", chain(&e)));
    }
    for (config, want) in [
        (format!(r#"{{"auths":{{"{at}":{{"auth":"not base64!"}}}}}}"#), Kind::Credentials),
        (format!(r#"{{"auths":{{"{at}":{{"auth":"YWxpY2U="}}}}}}"#), Kind::Credentials),
        (r#"{"auths":[]}"#.to_owned(), Kind::Credentials),
        (format!(r#"{{"auths": {PASSWORD}"#), Kind::Credentials),
        (r#"{"auths":{"elsewhere.example":{"auth":"not base64!"}}}"#.to_owned(), Kind::NotLoggedIn),
    ] {
        let error = docker(folder.path(), &config).push(at, &filter()).unwrap_err();
        assert_eq!(error.kind, want, "{config}: {}", chain(&error));
        assert!(chain(&error).contains("config.json"), "{}", chain(&error));
    }
}

#[test]
fn credential_helpers_14() {
    let registry = with_password();
    let (folder, at) = (tempfile::tempdir().unwrap(), &registry.at);
    let here = folder.path();
    let answer = format!(
        r#"[ "$1" = get ] && [ "$(cat)" = "{at}" ] && echo '{{"ServerURL":"x","Username":"alice","Secret":"{PASSWORD}"}}'"#
    );
    helper(here, "good", &answer);
    helper(here, "empty", "cat >/dev/null; echo 'credentials not found in native keychain'; exit 1");
    helper(
        here,
        "sick",
        &format!(
            "cat >/dev/null; echo 'the keychain is locked' >&2; echo '{{\"Secret\":\"{PASSWORD}\"'; exit 0"
        ),
    );
    helper(here, "dead", "echo 'cannot open the keychain' >&2; exit 3");
    let by_host = |name: &str| docker(here, &format!(r#"{{"credHelpers":{{"{at}":"{name}"}}}}"#));
    by_host("good").push(at, &filter()).unwrap();
    docker(here, r#"{"credsStore":"good"}"#).push(at, &filter()).unwrap();
    // Not in the keychain is nobody, not a failure; then the file itself counts.
    assert_eq!(by_host("empty").push(at, &filter()).unwrap_err().kind, Kind::NotLoggedIn);
    let both =
        format!(r#"{{"credsStore":"empty","auths":{{"{at}":{{"auth":"YWxpY2U6czNjcmV0LW9mLWFsaWNl"}}}}}}"#);
    docker(here, &both).push(at, &filter()).unwrap();
    for (name, why) in [
        ("missing", "not on the path"),
        ("sick", "no login"),
        ("dead", "cannot open the keychain"),
        ("../../bin/sh", "none of a program"),
    ] {
        let error = by_host(name).push(at, &filter()).unwrap_err();
        assert_eq!(error.kind, Kind::Credentials);
        assert!(chain(&error).contains(why), "{}", chain(&error));
    }
}

/// A registry that wants tokens from another server, and that server. It hands out `pushing` or `pulling` by the
/// scope, as far as `grant` allows.
fn tokens(scope: &'static str, grant: fn(&crate::scripted::Asked) -> Told) -> (Scripted, Scripted) {
    let server = Scripted::start(move |asked| Say::Instead(grant(asked)));
    let realm = format!("http://{}/token", server.at);
    let registry = Scripted::start(move |asked| {
        let writes = matches!(asked.method.as_str(), "POST" | "PUT" | "PATCH");
        let challenge = |error: &str| {
            let value = format!(
                "Bearer realm=\"{realm}\",service=\"lab\",scope=\"repository:team/filter:{scope}\"{error}"
            );
            Say::Instead(
                Told::error(401, "UNAUTHORIZED", "authentication required")
                    .header("www-authenticate", &value),
            )
        };
        match asked.header("authorization") {
            _ if asked.path == "/v2/" => Say::Honest,
            Some("Bearer pushing") => Say::Honest,
            Some("Bearer pulling") if !writes => Say::Honest,
            Some(_) => challenge(",error=\"insufficient_scope\""),
            None => challenge(""),
        }
    });
    (registry, server)
}

fn token(name: &str) -> Told {
    Told {
        status: 200,
        headers: vec![],
        body: format!(r#"{{"token":"{name}","expires_in":60}}"#).into_bytes(),
    }
}

#[test]
fn a_push_asks_for_the_right_to_push_even_when_the_registry_does_not_11() {
    let grant = |asked: &crate::scripted::Asked| {
        token(if asked.path.contains("scope=repository%3Ateam%2Ffilter%3Apull%2Cpush") {
            "pushing"
        } else {
            "pulling"
        })
    };
    let (registry, server) = tokens("pull", grant);
    Desk::login("alice", PASSWORD).push(&registry.at, &filter()).unwrap();
    assert!(registry.whole("v1"));
    // One token for all of it; the password goes to the token server alone.
    assert_eq!(server.asked().len(), 1);
    assert!(server.asked()[0].path.contains("service=lab"));
    assert_eq!(server.asked()[0].header("authorization"), Some("Basic YWxpY2U6czNjcmV0LW9mLWFsaWNl"));
    assert!(
        registry.asked().iter().all(|a| a.header("authorization").is_none_or(|h| h.starts_with("Bearer ")))
    );
}

#[test]
fn a_login_without_the_right_is_told_from_a_wrong_one_10() {
    let (registry, _server) = tokens("pull,push", |_| token("pulling"));
    let error = Desk::login("alice", PASSWORD).push(&registry.at, &filter()).unwrap_err();
    assert_eq!(error.kind, Kind::Denied, "{}", chain(&error));
    let (registry, _server) = tokens("pull,push", |_| {
        // It tells back what it was sent.
        Told::error(401, "UNAUTHORIZED", &format!("no {PASSWORD} YWxpY2U6czNjcmV0LW9mLWFsaWNl"))
    });
    let error = Desk::login("alice", PASSWORD).push(&registry.at, &filter()).unwrap_err();
    assert_eq!(error.kind, Kind::WrongLogin, "{}", chain(&error));
    assert!(chain(&error).contains("no *** ***"), "{}", chain(&error));
    let (registry, _server) = tokens("pull,push", |_| Told::error(401, "UNAUTHORIZED", "who are you"));
    let error = Desk::default().push(&registry.at, &filter()).unwrap_err();
    assert_eq!(error.kind, Kind::NotLoggedIn, "{}", chain(&error));
}

#[test]
fn a_token_that_expires_on_the_way_is_renewed_once_12() {
    let grants = std::sync::atomic::AtomicUsize::new(0);
    let server = Scripted::start(move |_| {
        let number = grants.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        Say::Instead(token(&format!("number{number}")))
    });
    let realm = format!("http://{}/token", server.at);
    let mut manifest = false;
    let registry = Scripted::start(move |asked| {
        // The first token is good until the manifest comes.
        manifest |= asked.is("PUT", "/manifests/");
        let good = if manifest { "Bearer number1" } else { "Bearer number0" };
        if asked.path == "/v2/" || asked.header("authorization") == Some(good) {
            return Say::Honest;
        }
        let value = format!("Bearer realm=\"{realm}\",error=\"invalid_token\"");
        Say::Instead(Told::new(401).header("www-authenticate", &value))
    });
    Desk::login("alice", PASSWORD).push(&registry.at, &filter()).unwrap();
    assert_eq!(server.asked().len(), 2);
}

#[test]
fn a_refresh_token_is_exchanged_13() {
    let (registry, server) =
        tokens("pull,push", |asked| if asked.method == "POST" { token("pushing") } else { Told::new(405) });
    let folder = tempfile::tempdir().unwrap();
    helper(
        folder.path(),
        "acr",
        &format!(r#"cat >/dev/null; echo '{{"Username":"<token>","Secret":"{PASSWORD}"}}'"#),
    );
    docker(folder.path(), r#"{"credsStore":"acr"}"#).push(&registry.at, &filter()).unwrap();
    let asked = server.asked();
    assert_eq!(asked.len(), 1);
    let form = String::from_utf8(asked[0].body.clone()).unwrap_or_default();
    // The script answers before the body is read; the request's form is what counts.
    assert_eq!(asked[0].header("content-type"), Some("application/x-www-form-urlencoded"));
    assert!(form.contains("grant_type=refresh_token") && form.contains(PASSWORD), "{form}");
}

#[test]
fn a_token_server_elsewhere_without_tls_gets_nothing_17() {
    // The name is of this machine for the resolver, but not to be known from the name.
    let registry = Scripted::start(|asked| match asked.path.as_str() {
        "/v2/" => Say::Honest,
        _ => Say::Instead(
            Told::new(401).header("www-authenticate", "Bearer realm=\"http://auth.example/token\""),
        ),
    });
    let desk = Desk::login("alice", PASSWORD);
    let error = desk.push(&registry.at, &filter()).unwrap_err();
    assert_eq!(error.kind, Kind::Unsafe, "{}", chain(&error));
    assert!(registry.asked().iter().all(|a| a.header("authorization").is_none()));
}

#[test]
fn what_a_token_server_may_say() {
    for body in ["", "{}", r#"{"token":"two\r\nlines: x"}"#, r#"{"token":""}"#] {
        let server = Scripted::start(move |_| {
            Say::Instead(Told { status: 200, headers: vec![], body: body.as_bytes().to_vec() })
        });
        let challenge = format!("Bearer realm=\"http://{}/token\"", server.at);
        let registry = Scripted::start(move |asked| match asked.path.as_str() {
            "/v2/" => Say::Honest,
            _ => Say::Instead(Told::new(401).header("www-authenticate", &challenge)),
        });
        assert_eq!(Desk::default().push(&registry.at, &filter()).unwrap_err().kind, Kind::Broken, "{body}");
    }
    let registry = Scripted::start(|asked| match asked.path.as_str() {
        "/v2/" => Say::Honest,
        _ => Say::Instead(Told::new(401).header("www-authenticate", "Negotiate")),
    });
    assert_eq!(Desk::login("a", "b").push(&registry.at, &filter()).unwrap_err().kind, Kind::Broken);
}
