//! Connections: what a filter may do to either side.

use crate::Config;
use tamis_sdk::prelude::*;
use tamis_sdk::property;
use tamis_sdk::tcp::{Close, Connection, Flow, Piece, TcpFilter};

pub(crate) struct Tcp(Config);

impl TcpFilter for Tcp {
    type Config = Config;

    fn new(config: Config, _root: &Root) -> Result<Self> {
        Ok(Self(config))
    }

    fn on_error(&self) -> OnError {
        self.0.on_error()
    }

    async fn handle(self: Rc<Self>, mut connection: Connection) -> Result<()> {
        let me = self.clone();
        connection.upstream(move |bytes, end| {
            me.0.say(format_args!("up \"{}\" end={end}", bytes.escape_ascii()));
            match me.0.does.as_str() {
                "change" => bytes.make_ascii_uppercase(),
                "lines" if !bytes.ends_with(b"\n") => return Ok(Flow::Hold),
                "fail-up" => return Err(Error::msg("odd answer")),
                "close-up" => return Err(Close.into()),
                _ => {}
            }
            Ok(Flow::On)
        });
        let mut held: Vec<Piece> = Vec::new();
        match self.0.does.as_str() {
            // Before anything is read.
            "peer" => {
                let there = property::text(&["source", "address"]).is_ok();
                let status = self.0.ask("/peer").send().await?.status();
                self.0.say(format_args!("peer {there} {status}"));
                if status != 200 {
                    return Err(Close.into());
                }
            }
            "close-new" => return Err(Close.into()),
            "fail-new" => return Err(Error::msg("broken")),
            "done" => return Ok(()),
            _ => {}
        }
        while let Some(mut piece) = connection.read().await? {
            self.0.say(format_args!("down \"{}\"", piece.escape_ascii()));
            match self.0.does.as_str() {
                "change" => {
                    piece.make_ascii_uppercase();
                    piece.extend_from_slice(b"+");
                    connection.forward(piece);
                }
                "lines" => {
                    let ends = piece.ends_with(b"\n");
                    held.push(piece);
                    if ends {
                        held.drain(..).for_each(|piece| connection.forward(piece));
                    }
                }
                "turn" => {
                    held.push(piece);
                    if held.len() == 2 {
                        held.drain(..).rev().for_each(|piece| connection.forward(piece));
                    }
                }
                "drop" if piece.starts_with(b"bad") => {}
                "ask" => {
                    let status = self.0.ask("/piece").send().await?.status();
                    self.0.say(format_args!("asked {status}"));
                    piece.extend(format!("<{status}>").bytes());
                    connection.forward(piece);
                }
                "close" => {
                    if piece.starts_with(b"bad") {
                        return Err(Close.into());
                    }
                    connection.forward(piece);
                }
                "close-late" => {
                    self.0.ask("/piece").send().await?;
                    return Err(Close.into());
                }
                "fail" => return Err(Error::msg("broken")),
                "fail-late" => {
                    self.0.ask("/piece").send().await?;
                    return Err(Error::msg("broken"));
                }
                "first" => {
                    connection.forward(piece);
                    return Ok(());
                }
                _ => connection.forward(piece),
            }
        }
        self.0.say(format_args!("client ended"));
        if self.0.does == "ask" {
            let status = self.0.ask("/end").send().await?.status();
            self.0.say(format_args!("asked {status} after the end"));
        }
        Ok(())
    }
}
