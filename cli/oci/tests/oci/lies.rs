//! Registries that lie, lose connections, or send us elsewhere.

use crate::desk::{Desk, PASSWORD, chain};
use crate::logins::HTPASSWD;
use crate::real::{Real, Setup};
use crate::scripted::{Asked, Say, Scripted, Told};
use crate::shelf::{filter, image, variant};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tamis_oci::{Digest, Kind, Layout};

/// Says this to the first so many requests of a kind, and is honest otherwise.
fn at_first(
    count: usize,
    method: &'static str,
    path: &'static str,
    say: Say,
) -> impl FnMut(&Asked) -> Say + Send {
    let mut left = count;
    move |asked| {
        if left > 0 && asked.is(method, path) {
            left -= 1;
            return say.clone();
        }
        Say::Honest
    }
}

/// Pushes to a registry that says this to each request of a kind; the error.
fn refused(method: &'static str, path: &'static str, say: Say) -> (Kind, String) {
    let registry = Scripted::start(at_first(usize::MAX, method, path, say));
    let error = Desk::default().push(&registry.at, &filter()).unwrap_err();
    (error.kind, chain(&error))
}

#[test]
fn an_upload_that_breaks_off_begins_anew_18() {
    for bytes in [0, 1, 100] {
        let registry = Scripted::start(at_first(2, "PUT", "/blobs/uploads/", Say::CutRequest(bytes)));
        let desk = Desk::default();
        desk.push(&registry.at, &variant(18)).unwrap();
        assert!(registry.whole("v1"));
        assert_eq!(registry.count("POST", "/blobs/uploads/"), 4, "two lost, two that count");
        assert!(!desk.notes.borrow().is_empty());
    }
    let error = refused("PUT", "/blobs/uploads/", Say::CutRequest(10));
    assert_eq!(error.0, Kind::Unreachable, "{}", error.1);
}

#[test]
fn an_answer_that_is_lost_is_not_a_blob_that_is_lost_18() {
    let registry = Scripted::start(at_first(2, "PUT", "/blobs/uploads/", Say::CutAnswer(9)));
    Desk::default().push(&registry.at, &filter()).unwrap();
    assert_eq!(registry.count("PUT", "/blobs/uploads/"), 2, "each blob once");
}

#[test]
fn a_busy_registry_is_waited_for_20() {
    let busy = Told::error(429, "TOOMANYREQUESTS", "slow down").header("retry-after", "7");
    let registry = Scripted::start(at_first(2, "HEAD", "/manifests/", Say::Instead(busy)));
    let desk = Desk::default();
    desk.push(&registry.at, &filter()).unwrap();
    assert_eq!(*desk.waits.borrow(), [Duration::from_secs(7); 2]);
    let registry = Scripted::start(at_first(2, "PUT", "/manifests/", Say::Instead(Told::new(503))));
    let desk = Desk::default();
    desk.push(&registry.at, &filter()).unwrap();
    assert_eq!(*desk.waits.borrow(), [250, 500].map(Duration::from_millis));
    let (kind, text) = refused("PUT", "/manifests/", Say::Instead(Told::new(503)));
    assert_eq!(kind, Kind::Busy);
    assert!(text.contains("503, 503, 503, 503, 503"), "{text}");
}

#[test]
fn a_no_is_not_asked_again_20() {
    for (status, want) in [(400, Kind::Refused), (403, Kind::Denied), (404, Kind::NoRepository)] {
        let told = Told::error(status, "NAME_UNKNOWN", "x");
        let registry = Scripted::start(at_first(9, "POST", "/uploads/", Say::Instead(told)));
        let desk = Desk::default();
        let error = desk.push(&registry.at, &filter()).unwrap_err();
        assert_eq!(error.kind, want, "{}", chain(&error));
        assert_eq!((registry.count("POST", ""), desk.waits.borrow().len()), (1, 0));
    }
}

#[test]
fn uploads_go_where_the_registry_says_21() {
    // Everything that is sent to the other one is honest; it shares nothing with the first.
    let other = Scripted::start(|_| Say::Honest);
    let elsewhere = format!("http://{}/v2/team/filter/blobs/uploads/1", other.at);
    let auth = Told::new(401).header("www-authenticate", "Basic realm=\"x\"");
    let registry = Scripted::start(move |asked| match asked.header("authorization") {
        None if asked.path != "/v2/" => Say::Instead(auth.clone()),
        _ if asked.is("POST", "/uploads/") => Say::Instead(Told::new(202).header("location", &elsewhere)),
        _ => Say::Honest,
    });
    let error = Desk::login("alice", PASSWORD).push(&registry.at, &filter()).unwrap_err();
    // The blobs went to the other one, so the manifest has none; no login went along.
    assert_eq!(error.kind, Kind::Refused, "{}", chain(&error));
    assert!(other.count("PUT", "digest=sha256%3A") >= 2);
    assert!(other.asked().iter().all(|a| a.header("authorization").is_none()));
    assert!(registry.asked().iter().any(|a| a.header("authorization").is_some()));

    for location in ["7?state=x", "?state=x", "/v2/team/filter/blobs/uploads/7"] {
        let adorned = Say::Adorned(vec![("location".into(), location.into())]);
        let registry = Scripted::start(at_first(9, "POST", "/uploads/", adorned));
        Desk::default().push(&registry.at, &filter()).unwrap();
        assert!(registry.whole("v1"), "{location}");
    }
    for location in ["", "ftp://x/", "http://me:pw@localhost/"] {
        let (kind, text) =
            refused("POST", "/uploads/", Say::Adorned(vec![("location".into(), location.into())]));
        assert!(matches!(kind, Kind::Broken | Kind::Unsafe), "{location}: {text}");
    }
}

#[test]
fn a_redirect_takes_no_login_along_22() {
    let made = image(Layout::Compat, &filter());
    let other = Scripted::start(|_| Say::Honest);
    Desk::default().push_as(&other.at, &made, &["v1"], false).unwrap();
    let store = other.at.clone();
    let auth = Told::new(401).header("www-authenticate", "Basic realm=\"x\"");
    let registry = Scripted::start(move |asked| match asked.header("authorization") {
        None if asked.path != "/v2/" => Say::Instead(auth.clone()),
        _ if asked.is("GET", "/blobs/") => {
            let to = format!("http://{store}{}?X-Signature=very-signed", asked.path);
            Say::Instead(Told::new(307).header("location", &to))
        }
        _ => Say::Honest,
    });
    let desk = Desk::login("alice", PASSWORD);
    desk.push_as(&registry.at, &made, &["v1"], false).unwrap();
    let pulled = desk.pull(&registry.at, "v1").unwrap();
    assert!(pulled.child.unwrap().found().is_some());
    let signed: Vec<_> = other.asked().into_iter().filter(|a| a.path.contains("X-Signature")).collect();
    assert!(!signed.is_empty());
    assert!(signed.iter().all(|a| a.header("authorization").is_none()));

    let around = Told::new(302).header("location", "/v2/team/filter/blobs/round");
    let registry = Scripted::start(at_first(usize::MAX, "GET", "/blobs/", Say::Instead(around)));
    let error = desk.push_as(&registry.at, &made, &["v1"], false).unwrap_err();
    assert_eq!(error.kind, Kind::Broken);
    assert_eq!(registry.count("GET", "/blobs/"), 6);
}

/// docker-registry's own redirect, as it sends to a storage of a cloud.
#[test]
fn a_real_registry_sends_to_its_storage_22() {
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("data");
    let storage =
        Scripted::start(move |asked| match std::fs::read(data.join(asked.path.trim_start_matches('/'))) {
            Ok(body) => Say::Instead(Told { status: 200, headers: vec![], body }),
            Err(_) => Say::Instead(Told::new(404)),
        });
    std::fs::write(folder.path().join("htpasswd"), HTPASSWD).unwrap();
    let more = format!(
        "auth: {{ htpasswd: {{ realm: lab, path: \"{}/htpasswd\" }} }}\nmiddleware:\n  storage:\n    - name: redirect\n      \
         options: {{ baseurl: \"http://{}/\" }}",
        folder.path().display(),
        storage.at
    );
    let registry = Real::start_in(folder, &Setup { more, ..Setup::default() });
    let desk = Desk::login("alice", PASSWORD);
    desk.push(&registry.at, &filter()).unwrap();
    assert!(desk.pull(&registry.at, "v1").unwrap().child.unwrap().found().is_some());
    assert!(storage.count("GET", "/docker/registry/v2/blobs/sha256/") >= 2);
    assert!(storage.asked().iter().all(|a| a.header("authorization").is_none()));
}

#[test]
fn another_digest_than_was_sent_is_an_error_24() {
    let lie = Say::Adorned(vec![("docker-content-digest".into(), Digest::of(b"other").to_string())]);
    for path in ["/manifests/", "/blobs/uploads/"] {
        let (kind, text) = refused("PUT", path, lie.clone());
        assert_eq!(kind, Kind::Broken, "{text}");
        assert!(text.contains("was sent sha256:"), "{text}");
    }
    // The tag is said to stand for something else: it is left alone.
    let registry = Scripted::start(at_first(usize::MAX, "HEAD", "/manifests/", lie));
    let desk = Desk::default();
    desk.push(&registry.at, &filter()).unwrap();
    assert_eq!(desk.push(&registry.at, &filter()).unwrap_err().kind, Kind::TagTaken);
    // Nothing is said: the manifest itself is looked at.
    let silent = Say::Adorned(vec![("docker-content-digest".into(), String::new())]);
    let registry = Scripted::start(at_first(usize::MAX, "", "/manifests/", silent));
    desk.push(&registry.at, &filter()).unwrap();
    assert_eq!(desk.push(&registry.at, &filter()).unwrap().uploaded, 0);
}

#[test]
fn what_is_read_back_must_be_what_was_sent_24() {
    let body = Told { status: 200, headers: vec![], body: br#"{"schemaVersion":2}"#.to_vec() };
    let (kind, text) = refused("GET", "/manifests/", Say::Instead(body));
    assert_eq!(kind, Kind::Broken, "{text}");
    let long = Told { status: 200, headers: vec![], body: vec![b'x'; 5 << 20] };
    assert_eq!(refused("GET", "/manifests/", Say::Instead(long.clone())).0, Kind::Broken);
    assert_eq!(refused("GET", "/blobs/", Say::Instead(long)).0, Kind::Broken);
}

#[test]
fn a_stop_ends_the_upload_and_tells_the_registry_25() {
    let registry = Scripted::start(|_| Say::Honest);
    let wasm = variant(25);
    let desk = Desk { patience: Some(2_000), ..Desk::default() };
    let error = desk.push(&registry.at, &wasm).unwrap_err();
    assert_eq!(error.kind, Kind::Interrupted);
    assert_eq!(registry.count("DELETE", "/blobs/uploads/"), 1);
    assert_eq!(registry.tag("v1"), None);
    Desk::default().push(&registry.at, &wasm).unwrap();
    assert!(registry.whole("v1"));
}

#[test]
fn refusals_say_what_is_meant_27_28_29_31_32() {
    let no = |status, code: &str, text: &str| Say::Instead(Told::error(status, code, text));
    for (path, say, want) in [
        ("/manifests/", no(413, "SIZE_INVALID", "x"), Kind::Refused),
        ("/manifests/", no(400, "TAG_INVALID", "the image tag v1 is immutable"), Kind::TagImmutable),
        ("/manifests/", no(409, "ARTIFACT_LOCKED", "x"), Kind::TagImmutable),
        ("/manifests/", no(412, "PRECONDITION", "x"), Kind::TagImmutable),
        ("/manifests/", no(400, "MANIFEST_INVALID", "unknown media type"), Kind::Refused),
        ("/manifests/", no(405, "UNSUPPORTED", "x"), Kind::ReadOnly),
        ("/blobs/uploads/", no(404, "NAME_UNKNOWN", "x"), Kind::NoRepository),
    ] {
        let method = if path == "/manifests/" { "PUT" } else { "POST" };
        let (kind, text) = refused(method, path, say);
        assert_eq!(kind, want, "{text}");
    }
    // Amazon's registry hangs up instead of saying that there is no repository.
    let (kind, _) = refused("POST", "/blobs/uploads/", Say::CutRequest(0));
    assert_eq!(kind, Kind::Unreachable);
}

#[test]
fn a_blob_that_was_collected_is_sent_again_34() {
    let slot: Arc<Mutex<Option<Scripted>>> = Arc::default();
    let inner = Arc::clone(&slot);
    let mut lost = false;
    let registry = Scripted::start(move |asked| {
        if asked.is("PUT", "/manifests/") && !lost {
            lost = true;
            Scripted::lose_blobs(inner.lock().unwrap().as_ref().unwrap());
        }
        Say::Honest
    });
    *slot.lock().unwrap() = Some(registry.handle());
    let pushed = Desk::default().push(&registry.at, &filter()).unwrap();
    assert_eq!(pushed.uploaded, 4);
    assert!(registry.whole("v1"));
}

#[test]
fn warnings_are_shown_once() {
    let warn = Say::Adorned(vec![("warning".into(), "299 - \"this repository moves next week\"".into())]);
    let registry = Scripted::start(at_first(usize::MAX, "", "", warn));
    let desk = Desk::default();
    desk.push(&registry.at, &filter()).unwrap();
    let notes = desk.notes.borrow();
    assert_eq!(notes.iter().filter(|n| n.contains("moves")).count(), 1, "{notes:?}");
}

/// A published sequence (splitmix64), so that each seed is the same everywhere.
struct Dice(u64);

impl Dice {
    fn roll(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % sides
    }
}

#[test]
fn fifty_seeded_faults_end_well_or_in_one_clear_error() {
    let (old, new) = (image(Layout::Compat, &filter()), image(Layout::Compat, &variant(50)));
    let mut outcomes = [0, 0];
    for seed in 0..50 {
        let mut dice = Dice(seed);
        // From a rare fault to a registry that hardly ever works.
        let odds = 1 + dice.roll(4);
        let armed = Arc::new(Mutex::new(false));
        let ours = Arc::clone(&armed);
        let registry = Scripted::start(move |asked| {
            if !*ours.lock().unwrap() || dice.roll(5) >= odds {
                return Say::Honest;
            }
            let length = asked.header("content-length").and_then(|l| l.parse().ok()).unwrap_or(0_u64);
            match dice.roll(5) {
                0 => Say::CutRequest(usize::try_from(dice.roll(length + 1)).unwrap()),
                1 => Say::CutAnswer(usize::try_from(dice.roll(200)).unwrap()),
                2 => Say::Instead(Told::new(503)),
                3 => Say::Instead(Told::new(429).header("retry-after", "1")),
                _ => Say::Instead(Told::new(500)),
            }
        });
        let desk = Desk::default();
        desk.push_as(&registry.at, &old, &["moving"], false).unwrap();
        *armed.lock().unwrap() = true;
        let outcome = desk.push_as(&registry.at, &new, &["fresh", "moving"], true);
        // Whatever happened, a tag stands for a whole image: the old or the new one.
        for tag in ["fresh", "moving"] {
            if let Some(digest) = registry.tag(tag) {
                assert!(
                    digest == *new.digest() || (tag == "moving" && digest == *old.digest()),
                    "seed {seed}"
                );
                assert!(registry.whole(tag), "seed {seed}");
            }
        }
        match outcome {
            Ok(_) => {
                outcomes[0] += 1;
                assert_eq!(registry.tag("fresh").as_ref(), Some(new.digest()), "seed {seed}");
                assert_eq!(registry.tag("moving").as_ref(), Some(new.digest()), "seed {seed}");
            }
            Err(error) => {
                outcomes[1] += 1;
                assert!(
                    matches!(error.kind, Kind::Busy | Kind::Unreachable),
                    "seed {seed}: {}",
                    chain(&error)
                );
                assert!(!error.hints.is_empty());
            }
        }
    }
    assert!(outcomes[0] >= 10 && outcomes[1] >= 5, "the faults do not bite: {outcomes:?}");
}
