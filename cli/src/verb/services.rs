//! `--callouts`: what the services of filters answer, and which clusters a real Envoy needs for that.

use super::play::{Select, start};
use super::replay::{open, unreadable};
use crate::failure::{Code, Failure, Result};
use crate::interrupt;
use crate::ui::Ui;
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{SystemTime, UNIX_EPOCH};
use tamis_host::StageBuilder;
use tamis_referee::Cluster;
use tamis_traffic::answers::{Answers, Recorded};
use tamis_traffic::{Callout, CalloutKind, Exchange, Playback};

/// The answers that captures hold; what does not fit into memory is said and left out.
pub(super) fn recorded(captures: &[PathBuf], ui: &mut Ui) -> Result<Recorded> {
    let mut reader = open(captures)?;
    let (mut answers, mut exchange) = (Recorded::new(), Exchange::default());
    while reader.next(&mut exchange).map_err(unreadable)? {
        if !answers.learn(&exchange) {
            ui.warn(&format!(
                "`--callouts` is too large: exchange #{} and later do not answer",
                exchange.place.number
            ));
            break;
        }
    }
    Ok(answers)
}

/// The clusters that the filters call. Envoy has to be told of them before it starts, and only the filters know:
/// the test host plays the traffic once, in the present time that Envoy will have.
pub(super) fn clusters(
    captures: &[PathBuf],
    select: &Select,
    builder: StageBuilder,
    answers: Recorded,
    ui: &mut Ui,
) -> Result<Vec<Cluster>> {
    if let Some(pipe) = captures.iter().find(|path| std::fs::metadata(path).is_ok_and(|m| !m.is_file())) {
        let text = format!("`{}` is no file, and a capture is read twice here", pipe.display());
        return Err(Failure::new(Code::Usage, text)
            .hint("with `--callouts` a real Envoy is told the clusters that a first play finds"));
    }
    ui.status("Rehearsing", "for the clusters of the filters' callouts");
    let seen = Arc::new(Mutex::new(BTreeMap::new()));
    let mut stage = start(builder.answers(Box::new(noting(answers, &seen))), ui)?;
    let mut reader = open(captures)?;
    let (mut exchange, mut playback) = (Exchange::default(), Playback::default());
    let mut played = 0;
    while !select.enough(played) && !interrupt::asked() {
        match reader.next(&mut exchange) {
            Ok(true) if select.takes(&exchange)? => {}
            // What cannot be read is told when it is played.
            Ok(true) | Err(_) => continue,
            Ok(false) => break,
        }
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        exchange.started = u64::try_from(now.as_nanos()).ok();
        stage.play(&exchange, &mut playback);
        played += 1;
    }
    stage.shutdown(&mut playback);
    let seen = std::mem::take(&mut *seen.lock().unwrap_or_else(PoisonError::into_inner));
    Ok(seen.into_iter().map(|(name, http2)| Cluster { http2, ..Cluster::new(name) }).collect())
}

type Seen = Arc<Mutex<BTreeMap<String, bool>>>;

/// Notes the clusters, and which of them are called with gRPC.
fn noting(mut answers: Recorded, seen: &Seen) -> impl Answers + use<> {
    let seen = Arc::clone(seen);
    move |callout: &Callout| {
        if callout.kind != CalloutKind::Resolve {
            let mut seen = seen.lock().unwrap_or_else(PoisonError::into_inner);
            *seen.entry(callout.cluster.clone()).or_default() |= callout.kind.is_grpc();
        }
        answers.answer(callout)
    }
}
