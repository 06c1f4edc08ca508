//! One kind of event, one file per renderer.

mod coverage;
mod engines;
mod event;
mod human;
mod injected;
mod jsonl;
mod junit;
mod summary;
mod table;

pub use coverage::CoverageSum;
pub use engines::{Disagreed, EnginesSum};
pub use event::{Event, Failed, Filter, Seen, TestDone, TestTotals};
pub use human::Human;
pub use injected::{InjectedSum, InjectedTable};
pub use jsonl::JsonLines;
pub use junit::Junit;
pub use summary::{Counts, Difference, FaultGroup, Files, FilterSum, MAX_ROUTES, Summary};

pub(crate) use event::shown;
pub(crate) use human::{gap_word, plural, tally_details, tally_line};
pub(crate) use jsonl::tally as tally_json;

/// A table of values and their counts, the most frequent first.
pub(crate) fn counts_table(title: &str, all: &[(String, u64)], rows: usize) -> String {
    let row = |(name, n): &(String, u64)| vec![table::cut(name, 70), table::number(*n)];
    let mut shown: Vec<_> = all.iter().take(rows).map(row).collect();
    if all.len() > rows {
        let rest = all.iter().skip(rows).map(|(_, n)| n).sum();
        shown.push(vec![format!("({} more)", all.len() - rows), table::number(rest)]);
    }
    table::table(&[title, "exchanges"], &shown)
}

use crate::args::{ReportKind, ReportTo};
use crate::failure::{Code, Failure, Result};
use crate::ui::Ui;
use std::fs::File;
use std::io::{self, BufWriter};

/// Turns events into something to read.
pub trait Sink {
    /// Whether it wants [`Event::Exchange`]; making those costs an allocation or two each.
    fn wants_exchanges(&self) -> bool {
        false
    }

    /// Takes one event.
    ///
    /// # Errors
    /// When it cannot be written.
    fn on(&mut self, event: &Event<'_>) -> io::Result<()>;

    /// Writes what is still held back. Called once, also after an interrupt.
    ///
    /// # Errors
    /// When it cannot be written.
    fn finish(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// All renderers of one run.
pub struct Reports {
    sinks: Vec<(String, Box<dyn Sink>)>,
    exchanges: bool,
}

impl Reports {
    /// The renderer of stdout and one for each file that was asked for.
    ///
    /// # Errors
    /// When a file cannot be made; nothing has run then.
    pub fn open(ui: &mut Ui, files: &[ReportTo]) -> Result<Self> {
        let on_screen: Box<dyn Sink> = if ui.json() {
            ui.open_json()?;
            Box::new(JsonLines::continued(ui.stdout()))
        } else {
            Box::new(Human::new(ui.stdout(), ui.paint()))
        };
        let mut sinks = vec![("stdout".to_owned(), on_screen)];
        for to in files {
            let path = to.path.display().to_string();
            let file = File::create(&to.path).map_err(|e| {
                Failure::because(Code::CannotWrite, format!("cannot write report `{path}`"), e)
            })?;
            let file = BufWriter::new(file);
            sinks.push((
                path,
                match to.kind {
                    ReportKind::Json => Box::new(JsonLines::new(file)?),
                    ReportKind::Junit => Box::new(Junit::new(file)),
                },
            ));
        }
        let exchanges = sinks.iter().any(|(_, s)| s.wants_exchanges());
        Ok(Self { sinks, exchanges })
    }

    /// Whether anybody wants [`Event::Exchange`].
    pub fn wants_exchanges(&self) -> bool {
        self.exchanges
    }

    /// Passes an event on.
    ///
    /// # Errors
    /// When a renderer cannot write.
    pub fn on(&mut self, event: &Event<'_>) -> Result<()> {
        self.each(|sink| sink.on(event))
    }

    /// Ends all renderers.
    ///
    /// # Errors
    /// When one cannot write.
    pub fn finish(mut self) -> Result<()> {
        self.each(|sink| sink.finish())
    }

    fn each(&mut self, mut work: impl FnMut(&mut dyn Sink) -> io::Result<()>) -> Result<()> {
        for (name, sink) in &mut self.sinks {
            work(sink.as_mut()).map_err(|e| match e.kind() {
                io::ErrorKind::BrokenPipe => Failure::from(e),
                _ => Failure::because(Code::CannotWrite, format!("cannot write to `{name}`"), e),
            })?;
        }
        Ok(())
    }
}
