//! The terminal, looking on while a registry works.

use crate::interrupt;
use crate::ui::Ui;
use indicatif::ProgressBar;
use std::cell::RefCell;
use std::time::{Duration, Instant};
use tamis_oci::Watch;

/// How often a wait looks whether the user wants to stop.
const LOOK: Duration = Duration::from_millis(100);

/// The terminal, looking on.
pub(crate) struct Screen<'a> {
    ui: RefCell<&'a mut Ui>,
    bar: RefCell<Option<ProgressBar>>,
}

impl<'a> Screen<'a> {
    pub(crate) fn new(ui: &'a mut Ui) -> Self {
        Self { ui: RefCell::new(ui), bar: RefCell::new(None) }
    }
}

impl Watch for Screen<'_> {
    fn begin(&self, what: &str, bytes: u64) {
        *self.bar.borrow_mut() = Some(self.ui.borrow().progress(what, Some(bytes)));
    }

    fn advance(&self, bytes: u64) {
        if let Some(bar) = &*self.bar.borrow() {
            bar.inc(bytes);
        }
    }

    fn end(&self) {
        if let Some(bar) = self.bar.borrow_mut().take() {
            bar.finish_and_clear();
        }
    }

    fn note(&self, text: &str) {
        self.ui.borrow_mut().note(text);
    }

    fn stopped(&self) -> bool {
        interrupt::asked()
    }

    fn wait(&self, time: Duration) {
        let end = Instant::now() + time;
        while !interrupt::asked() && Instant::now() < end {
            std::thread::sleep(LOOK.min(end.saturating_duration_since(Instant::now())));
        }
    }
}
