//! The recipe of docs/recording.md on a real Envoy: its tap filter stands in the chain, the admin interface is asked as
//! the page says, and what comes is a capture.

use anyhow::{Context, Result, ensure};
use serde_json::Value;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};
use tamis_referee::envoy::{Envoy, cluster, listener};
use tamis_tests::peer::{Upstream, exchange};
use tamis_tests::row::{Answer, Piece, Step};
use tamis_tests::tree;
use tamis_traffic::Exchange;
use tamis_traffic::read::{self, ReadOptions};

/// How long the recording may take.
const LIMIT: Duration = Duration::from_secs(20);

/// The blocks of a page in YAML, which stand in a list there.
fn blocks(page: &str) -> Vec<String> {
    const INDENT: &str = "   ";
    let bodies = page.split("   ```yaml\n").skip(1).filter_map(|rest| rest.split("   ```\n").next());
    let plain = |line: &str| format!("{}\n", line.strip_prefix(INDENT).unwrap_or(line));
    bodies.map(|body| body.lines().map(plain).collect()).collect()
}

/// What `curl --data-binary` sends.
fn ask(admin: SocketAddr, tap: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(admin)?;
    stream.set_read_timeout(Some(Duration::from_millis(100)))?;
    write!(stream, "POST /tap HTTP/1.1\r\nhost: admin\r\ncontent-length: {}\r\n\r\n{tap}", tap.len())?;
    Ok(stream)
}

/// Reads on until what came has this text.
fn until(stream: &mut TcpStream, came: &mut Vec<u8>, text: &str) -> Result<()> {
    let end = Instant::now() + LIMIT;
    while !came.windows(text.len()).any(|window| window == text.as_bytes()) {
        ensure!(Instant::now() < end, "no `{text}` in {}", String::from_utf8_lossy(came));
        let mut piece = [0; 4096];
        match stream.read(&mut piece) {
            Ok(0) => anyhow::bail!("the proxy hung up after {}", String::from_utf8_lossy(came)),
            Ok(size) => came.extend_from_slice(&piece[..size]),
            Err(error) if matches!(error.kind(), std::io::ErrorKind::WouldBlock) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

/// The body of an answer in chunks, as far as it came whole.
fn body(came: &[u8]) -> Vec<u8> {
    let start = came.windows(4).position(|window| window == b"\r\n\r\n").map_or(came.len(), |at| at + 4);
    let (mut rest, mut body) = (&came[start..], Vec::new());
    while let Some(at) = rest.windows(2).position(|window| window == b"\r\n") {
        let size = std::str::from_utf8(&rest[..at]).ok().and_then(|hex| usize::from_str_radix(hex, 16).ok());
        let Some(chunk) = size.and_then(|size| rest.get(at + 2..at + 2 + size)) else { break };
        body.extend_from_slice(chunk);
        rest = rest.get(at + 2 + chunk.len() + 2..).unwrap_or_default();
    }
    body
}

#[test]
fn what_the_page_says_gives_a_capture() -> Result<()> {
    let page = std::fs::read_to_string(tree::root().join("docs/recording.md"))?;
    let blocks = blocks(&page);
    let [patch, tap] = &blocks[..] else { anyhow::bail!("the page has {} blocks of YAML", blocks.len()) };
    let patch: Value = serde_saphyr::from_str(patch).context("the EnvoyFilter")?;
    let filter = patch["spec"]["configPatches"][0]["patch"]["value"].clone();
    let answer = Answer { body: vec![Piece::Text("two".into())], ..Answer::default() };
    let upstream = Upstream::start(vec![answer])?;
    let envoy = Envoy::start(
        &[listener("shop", &[filter], "upstream")],
        &[cluster("upstream", Some(upstream.address()))],
    )?;

    let mut stream = ask(envoy.admin().context("it has an admin interface")?, tap)?;
    let mut came = Vec::new();
    until(&mut stream, &mut came, "\r\n\r\n")?;
    let step = Step {
        method: Some("POST".into()),
        path: Some("/cart?id=7".into()),
        headers: vec![("x-shop".into(), "yes".into())],
        body: vec![Piece::Text("one".into())],
        ..Step::default()
    };
    let proxy = envoy.listener("shop")?;
    exchange(proxy, &step)?;
    // When the next one comes, this one is whole.
    exchange(proxy, &Step { path: Some("/next".into()), ..Step::default() })?;
    until(&mut stream, &mut came, "/next")?;

    let mut reader = read::from_reader(std::io::Cursor::new(body(&came)), &ReadOptions::default())?;
    let mut exchange = Exchange::default();
    ensure!(reader.next(&mut exchange)?, "no exchange in {}", String::from_utf8_lossy(&came));
    let (request, response) = (exchange.request.get(), exchange.response.get());
    let request = request.context("its request was recorded")?;
    let text = |value: Option<&[u8]>| value.map(|v| String::from_utf8_lossy(v).into_owned());
    assert_eq!(text(request.headers.get(b":path")).as_deref(), Some("/cart?id=7"));
    assert_eq!(text(request.headers.get(b"x-shop")).as_deref(), Some("yes"));
    assert_eq!(request.body.bytes, b"one");
    assert_eq!(response.context("its response was recorded")?.body.bytes, b"two");
    Ok(())
}
