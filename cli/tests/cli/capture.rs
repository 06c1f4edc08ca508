//! `tamis capture`.

use crate::support::{Place, boutique};

#[test]
fn stats_count_what_is_there() {
    let place = Place::new();
    let ran = place.run(&["capture", "stats", &boutique(), "--format", "json"]);
    let stats = ran.exit(0).event("stats");
    assert_eq!(stats["exchanges"], 1238);
    assert_eq!(stats["protocols"][0]["value"], "HTTP/2");
    assert_eq!(stats["routes"][0]["value"], "/hipstershop.CurrencyService/Convert");
    assert_eq!(stats["routes"][0]["count"], 313);
    assert_eq!(stats["capture"]["gaps"][0]["count"], 5);
    let ran = place.run(&["capture", "stats", &boutique()]);
    ran.exit(0).says("currencyservice:7000").says("1,238 taken, 5 incomplete").says("5 without response");
}

#[test]
fn show_is_readable_and_hides_secrets() {
    let place = Place::new();
    let line = r#"{"tamis":1,"request":{"headers":[[":method","GET"],[":path","/a?token=s3cret"],[":authority","x"],["authorization","Bearer s3cret"]]},"response":{"headers":[[":status","200"],["set-cookie","id=s3cret"]]}}"#;
    place.file("c.jsonl", format!("{line}\n"));
    let ran = place.run(&["capture", "show", "c.jsonl"]);
    ran.exit(0).says("> authorization: Bearer").says("< :status: 200").talks("1 taken");
    assert!(!ran.out.contains("s3cret"), "{}", ran.out);
    place.run(&["capture", "show", "c.jsonl", "--secrets"]).exit(0).says("Bearer s3cret").says("id=s3cret");
    let ran = place.run(&["capture", "show", "c.jsonl", "--format", "json"]);
    assert_eq!(ran.exit(0).json().len(), 1);
    assert!(!ran.out.contains("s3cret"), "{}", ran.out);
}

#[test]
fn json_is_a_capture_again() {
    let place = Place::new();
    let ran = place.run(&["capture", "show", &boutique(), "--secrets", "--format", "json", "--limit", "50"]);
    place.file("again.jsonl", &ran.exit(0).out);
    let again = place.run(&["capture", "show", "again.jsonl", "--secrets", "--format", "json"]);
    assert_eq!(again.exit(0).out, ran.out);
}

#[test]
fn a_closed_pipe_ends_the_work() {
    let place = Place::new();
    let mut child = place
        .command(&["capture", "show", &boutique()])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{output:?}");
}
