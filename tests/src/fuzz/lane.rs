//! One Envoy with all chains, and our host beside it.

use super::alike;
use super::{Case, kinds};
use crate::engine::{Referee, play_on_host};
use crate::peer::{BRISK, SOON_IDLE};
use crate::row::Row;
use anyhow::Result;
use std::path::Path;
use tamis_host::{Engine, Module};

/// Cases for which an Envoy lives: its VMs remember every stream.
const LIFE: usize = 20_000;

/// What came of a case.
pub(super) enum Came {
    /// Both did the same.
    Alike,
    /// Our host reports a finding of this code: not played by Envoy.
    Found(String),
    /// The two did not do the same: both texts beside each other.
    Differs(String),
    /// Envoy is gone, or nobody answers.
    Broke,
}

/// Plays cases, one after the other.
pub(super) struct Lane<'a> {
    engine: &'a Engine,
    module: &'a Module,
    guest: &'a Path,
    envoy: Option<(Referee, usize)>,
}

impl<'a> Lane<'a> {
    pub(super) fn new(engine: &'a Engine, module: &'a Module, guest: &'a Path) -> Self {
        Self { engine, module, guest, envoy: None }
    }

    /// Plays a case on both.
    ///
    /// # Errors
    /// When one of the two does not start.
    pub(super) fn play(&mut self, case: &Case) -> Result<Came> {
        let host = play_on_host(self.engine, self.module, &case.kind, &case.row)?;
        if let Some(code) = alike::found(&host) {
            return Ok(Came::Found(code.to_owned()));
        }
        let (mut referee, age) = match self.envoy.take() {
            Some(envoy) => envoy,
            None => (Referee::start_at(BRISK, &kinds::all(), self.guest)?, 0),
        };
        match referee.play(&case.kind, &case.row) {
            Ok(envoy) => {
                self.envoy = Some((referee, age + 1)).filter(|(_, age)| *age < LIFE);
                Ok(alike::difference(&host, &envoy).map_or(Came::Alike, Came::Differs))
            }
            // What it says does not matter: the case is played again alone.
            Err(_) => Ok(Came::Broke),
        }
    }

    /// Plays a row alone in an Envoy of its own, slowly, as the conformance suite does: how the two differ.
    ///
    /// # Errors
    /// As [`Lane::play`].
    pub(super) fn alone(&self, name: &str, row: &Row) -> Result<Option<String>> {
        let host = play_on_host(self.engine, self.module, name, row)?;
        if alike::found(&host).is_some() {
            return Ok(None);
        }
        let rows = [(name.to_owned(), row.clone())];
        let mut referee = Referee::start_at(SOON_IDLE, &rows, self.guest)?;
        let envoy = referee.play(name, row)?;
        Ok(alike::difference(&host, &envoy))
    }
}
