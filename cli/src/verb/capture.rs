//! `tamis capture`.

mod show;
mod stats;

use super::play::Select;
use super::replay::{nothing_ran, open};
use crate::args::{CaptureArgs, CaptureVerb};
use crate::exit::Exit;
use crate::failure::Result;
use crate::interrupt;
use crate::report::Files;
use crate::ui::Ui;
use tamis_traffic::Exchange;
use tamis_traffic::read::Reader;

pub(super) fn run(verb: &CaptureVerb, ui: &mut Ui) -> Result<Exit> {
    match verb {
        CaptureVerb::Show(args) => show::run(args, ui),
        CaptureVerb::Stats(args) => stats::run(args, ui),
    }
}

/// What a walk over captures came to.
struct Walked {
    reader: Reader,
    files: Files,
    taken: u64,
    unselected: u64,
    interrupted: bool,
}

/// Gives each selected exchange to `each`; a capture that ends badly ends the walk with its error.
fn walk(args: &CaptureArgs, mut each: impl FnMut(&mut Exchange, &Files) -> Result<()>) -> Result<Walked> {
    let select = Select::new(&args.select)?;
    let mut reader = open(&args.captures)?;
    let files = Files::new(reader.files());
    let mut walked = (0, 0, false);
    let mut exchange = Exchange::default();
    while !select.enough(walked.0) {
        if interrupt::asked() {
            walked.2 = true;
            break;
        }
        if !reader.next(&mut exchange).map_err(super::replay::unreadable)? {
            break;
        }
        if select.takes(&exchange)? {
            walked.0 += 1;
            each(&mut exchange, &files)?;
        } else {
            walked.1 += 1;
        }
    }
    Ok(Walked { reader, files, taken: walked.0, unselected: walked.1, interrupted: walked.2 })
}

impl Walked {
    fn exit(&self) -> Result<Exit> {
        match (self.interrupted, self.taken) {
            (true, _) => Ok(Exit::Interrupted),
            (false, 0) => Err(nothing_ran(self.unselected)),
            (false, _) => Ok(Exit::Ok),
        }
    }
}
