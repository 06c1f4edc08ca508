//! Requests over kept connections, a known number of them, each as long as the one before.

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// Connections, each with one request in hand.
const CONNECTIONS: usize = 16;
/// How long an answer may take.
const PATIENCE: Duration = Duration::from_secs(30);

/// A request as a browser behind a gateway sends it.
const REQUEST: &str = "GET /api/v1/items?id=42 HTTP/1.1\r\n\
    host: shop.example.com\r\n\
    user-agent: Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0\r\n\
    accept: application/json, text/plain, */*\r\n\
    accept-encoding: gzip, deflate, br\r\n\
    accept-language: en-GB,en;q=0.9\r\n\
    x-forwarded-for: 10.0.0.1\r\n\
    x-forwarded-proto: https\r\n\
    x-request-id: 5a1d5c0e-0e55-4b5c-8a0e-7f1c6b1f2d3e\r\n\
    x-tenant: acme-eu\r\n\
    traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01\r\n\
    cookie: session=0123456789abcdef0123456789abcdef; theme=dark\r\n\r\n";

/// One side's connections.
pub(crate) struct Load {
    connections: Vec<TcpStream>,
    /// An answer, but for its date.
    answer: Vec<u8>,
}

impl Load {
    pub(crate) fn connect(address: SocketAddr) -> Result<Self> {
        let mut connections = Vec::new();
        for _ in 0..CONNECTIONS {
            let connection = TcpStream::connect(address)?;
            connection.set_nodelay(true)?;
            connection.set_read_timeout(Some(PATIENCE))?;
            connections.push(connection);
        }
        let mut answer = Vec::new();
        let first = connections.first_mut().context("no connection")?;
        first.write_all(REQUEST.as_bytes())?;
        while !ends(&answer) {
            let mut piece = [0; 4096];
            let count = first.read(&mut piece)?;
            ensure!(count > 0, "Envoy closed the connection");
            answer.extend_from_slice(&piece[..count]);
        }
        ensure!(answer.starts_with(b"HTTP/1.1 200 "), "Envoy said {}", answer.escape_ascii());
        Ok(Self { connections, answer })
    }

    /// Sends so many and waits for the answers.
    pub(crate) fn send(&mut self, count: usize) -> Result<()> {
        let mut answer = vec![0; self.answer.len()];
        for _ in 0..count / CONNECTIONS {
            for connection in &mut self.connections {
                connection.write_all(REQUEST.as_bytes())?;
            }
            for connection in &mut self.connections {
                connection.read_exact(&mut answer)?;
                ensure!(answer.starts_with(&self.answer[..15]), "Envoy said {}", answer.escape_ascii());
            }
        }
        Ok(())
    }
}

/// True when the body is there: 128 bytes, as the listener is told.
fn ends(answer: &[u8]) -> bool {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    head.is_some_and(|head| answer.len() == head + 4 + 128)
}
