//! Watches a protocol of lines: a client that sends a forbidden command is cut off before the upstream sees it.

use schemars::JsonSchema;
use serde::Deserialize;
use tamis_sdk::prelude::*;
use tamis_sdk::tcp::{Close, Connection, Piece, TcpFilter};

/// What `config.json` holds. An unknown key is an error, so that a typing mistake cannot pass in silence.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Config {
    /// Commands that nobody may send: the first word of a line, in any case.
    pub deny: Vec<String>,
}

/// The filter: one for each configuration, shared by all its connections.
pub struct Gate {
    config: Config,
}

impl Gate {
    /// The first line that is forbidden.
    fn forbidden<'a>(&self, lines: &'a [u8]) -> Option<&'a [u8]> {
        lines.split(|byte| *byte == b'\n').find(|line| {
            let command = line
                .split(|byte| byte.is_ascii_whitespace())
                .next()
                .unwrap_or_default();
            self.config
                .deny
                .iter()
                .any(|word| command.eq_ignore_ascii_case(word.as_bytes()))
        })
    }

    fn check(&self, lines: &[u8]) -> Result<()> {
        let Some(line) = self.forbidden(lines) else {
            return Ok(());
        };
        tamis_sdk::log::warn!("forbidden: {}", line.escape_ascii());
        Err(Close.into())
    }
}

impl TcpFilter for Gate {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        Ok(Self { config })
    }

    async fn handle(self: Rc<Self>, mut connection: Connection) -> Result<()> {
        // What was read and is no whole line yet. As long as it is in hand, the proxy holds it.
        let mut held: Option<Piece> = None;
        while let Some(piece) = connection.read().await? {
            let lines = match held.take() {
                None => piece,
                Some(mut begun) => {
                    begun.extend_from_slice(&piece);
                    begun
                }
            };
            if !lines.ends_with(b"\n") {
                held = Some(lines);
                continue;
            }
            self.check(&lines)?;
            connection.forward(lines);
        }
        if let Some(rest) = held {
            self.check(&rest)?;
            connection.forward(rest);
        }
        Ok(())
    }
}

export!(tcp Gate);

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_sdk::testing::{Act, PlayedConnection, Proxy};

    fn play(acts: &[Act<'_>]) -> PlayedConnection {
        let proxy = Proxy::start_tcp::<Gate>(r#"{ "deny": ["drop"] }"#);
        proxy.expect("good configuration").play_connection(acts)
    }

    #[test]
    fn whole_lines_pass_and_half_ones_wait() {
        let acts = [
            Act::Client(b"GET a\nGE"),
            Act::Client(b"T b\n"),
            Act::Upstream(b"+OK\n"),
            Act::ClientEnds,
        ];
        let played = play(&acts);
        assert_eq!(played.upstream.as_deref(), Some(&b"GET a\nGET b\n"[..]));
        assert_eq!(played.client, b"+OK\n");
        assert!(!played.closed);
    }

    #[test]
    fn a_forbidden_command_closes_the_connection_also_in_two_pieces() {
        let played = play(&[
            Act::Client(b"GET a\n"),
            Act::Client(b"DR"),
            Act::Client(b"OP all\n"),
        ]);
        assert_eq!(
            (played.upstream.as_deref(), played.closed),
            (Some(&b"GET a\n"[..]), true)
        );
        assert_eq!(played.logs[0].1, "forbidden: DROP all");
    }

    #[test]
    fn the_shipped_configuration_is_a_configuration() {
        assert!(Proxy::start_tcp::<Gate>(include_str!("../config.json")).is_ok());
    }
}
