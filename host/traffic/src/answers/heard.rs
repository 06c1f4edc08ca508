//! What one engine was answered, so that another one is answered the same.

use super::{Answer, Answers};
use crate::Callout;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The answers of the first engine, for the second one. Which of several recorded answers is next and which call an
/// injected fault strikes depends on all calls before; calls that only one engine makes must not move the other.
/// Clones share it.
#[derive(Debug, Default, Clone)]
pub struct Heard(Arc<Mutex<Vec<(Callout, Answer)>>>);

impl Heard {
    /// Answers for the first engine.
    pub fn note(&self, mut answers: Box<dyn Answers + Send>) -> Box<dyn Answers + Send> {
        let heard = self.clone();
        Box::new(move |callout: &Callout| {
            let answer = answers.answer(callout);
            heard.lock().push((callout.clone(), answer.clone()));
            answer
        })
    }

    /// Answers for the second engine: what the first one got for a call of the same kind, cluster, authority and path,
    /// each once; a call that the first one did not make is answered by `otherwise`.
    pub fn repeat(&self, mut otherwise: Box<dyn Answers>) -> Box<dyn Answers> {
        let heard = self.clone();
        Box::new(move |callout: &Callout| {
            let mut known = heard.lock();
            match known.iter().position(|(other, _)| alike(callout, other)) {
                Some(at) => known.remove(at).1,
                None => otherwise.answer(callout),
            }
        })
    }

    /// Forgets what nobody asked for.
    pub fn forget(&self) {
        self.lock().clear();
    }

    fn lock(&self) -> MutexGuard<'_, Vec<(Callout, Answer)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn alike(a: &Callout, b: &Callout) -> bool {
    let field = |name: &[u8]| a.request.headers.get(name) == b.request.headers.get(name);
    a.kind == b.kind && a.cluster == b.cluster && field(b":path") && field(b":authority")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Message;

    fn call(path: &str) -> Callout {
        let request = Message { headers: [(":path", path)].into_iter().collect(), ..Message::default() };
        Callout { request, ..Callout::default() }
    }

    #[test]
    fn the_second_engine_is_told_what_the_first_was_and_else_asks() {
        let heard = Heard::default();
        let mut answers = [Answer::Timeout, Answer::NoHosts].into_iter();
        let mut first = heard.note(Box::new(move |_: &Callout| answers.next().unwrap_or(Answer::Unanswered)));
        let mut second = heard.repeat(Box::new(|_: &Callout| Answer::UnknownCluster));
        first.answer(&call("/a"));
        first.answer(&call("/b"));
        assert_eq!(second.answer(&call("/b")), Answer::NoHosts);
        assert_eq!(second.answer(&call("/a")), Answer::Timeout);
        assert_eq!(second.answer(&call("/a")), Answer::UnknownCluster);
        first.answer(&call("/c"));
        heard.forget();
        assert_eq!(second.answer(&call("/c")), Answer::UnknownCluster);
    }
}
