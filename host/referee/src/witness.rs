//! What Envoy wrote while an exchange was played, read: header lists at every cut of the chain, filters' log
//! lines, traps, and how the stream ended.

use crate::bootstrap::BARRIER_LINE;
use crate::chain::Filter;
use crate::lines::Line;
use crate::pack::unpack;
use tamis_traffic::{Headers, Log, LogLevel};

/// A trap that Envoy logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Trap {
    /// The callback.
    pub(crate) phase: String,
    /// The engine's own words.
    pub(crate) text: String,
    /// Cuts that the request, and the response on its way back, had passed by then.
    pub(crate) passed: (Option<usize>, Option<usize>),
}

/// The story of one exchange.
#[derive(Debug, Default)]
pub(crate) struct Story {
    /// The request at each cut: before the first filter, between two, behind the last.
    pub(crate) request: Vec<Option<Headers>>,
    /// The response at each cut, in the same order.
    pub(crate) response: Vec<Option<Headers>>,
    /// When the filters began, microseconds since the Unix epoch.
    pub(crate) began: Option<u64>,
    pub(crate) logs: Vec<Log>,
    pub(crate) traps: Vec<Trap>,
}

impl Story {
    /// Reads the worker's lines.
    pub(crate) fn read(lines: &[Line], filters: &[Filter]) -> Self {
        let cuts = filters.len() + 1;
        let mut story = Self { request: vec![None; cuts], response: vec![None; cuts], ..Self::default() };
        for line in lines.iter().filter(|l| !l.main_thread) {
            match line.logger.as_str() {
                "lua" => story.witness(&line.text),
                "wasm" => story.wasm(line, filters),
                _ => {}
            }
        }
        story
    }

    /// `script log: tamis 0 > 1795616079528323 :path=/&…`
    fn witness(&mut self, text: &str) {
        let Some(text) = text.strip_prefix("script log: tamis ") else { return };
        let mut words = text.splitn(4, ' ');
        let (Some(cut), Some(way), Some(time)) = (words.next(), words.next(), words.next()) else { return };
        let list = words.next().unwrap_or_default();
        let side = if way == ">" { &mut self.request } else { &mut self.response };
        let Some(place) = cut.parse::<usize>().ok().and_then(|cut| side.get_mut(cut)) else { return };
        *place = Some(unpack(list));
        if way == ">" && cut == "0" {
            self.began = time.parse().ok();
        }
    }

    fn wasm(&mut self, line: &Line, filters: &[Filter]) {
        if let Some((phase, text)) = trap(&line.text) {
            let passed = (self.deepest(), self.nearest());
            return self.traps.push(Trap { phase, text, passed });
        }
        let Some((filter, at)) = whose(&line.bytes, filters) else { return };
        self.logs.push(Log { filter, level: level(&line.level), text: line.bytes[at..].to_vec() });
    }

    /// How far the request came: the last cut that it passed.
    pub(crate) fn deepest(&self) -> Option<usize> {
        self.request.iter().rposition(Option::is_some)
    }

    /// How far the response came: the cut nearest to the client.
    pub(crate) fn nearest(&self) -> Option<usize> {
        self.response.iter().position(Option::is_some)
    }
}

/// True for the line of the first witness about a request.
pub(crate) fn is_begin(line: &Line) -> bool {
    line.logger == "lua" && line.text.starts_with("script log: tamis 0 > ")
}

/// True for the line of the barrier.
pub(crate) fn is_barrier(line: &Line) -> bool {
    line.logger == "lua" && line.text.ends_with(BARRIER_LINE)
}

/// `Function: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable`, with a stack behind it.
fn trap(text: &str) -> Option<(String, String)> {
    let (phase, text) = text.strip_prefix("Function: ")?.split_once(" failed: ")?;
    Some((phase.to_owned(), text.lines().next().unwrap_or_default().to_owned()))
}

/// Whose line it is, and where the text begins: a stream's line names plugin, root id and VM id, a root's
/// line root id and VM id (docs/envoy.md 1.5). Of filters that look alike, the first.
fn whose(line: &[u8], filters: &[Filter]) -> Option<(usize, usize)> {
    let prefix = |words: [&str; 3]| {
        let words: Vec<&str> = words.into_iter().filter(|w| !w.is_empty()).collect();
        let space = if words.is_empty() { "" } else { " " };
        format!("wasm log{space}{}: ", words.join(" "))
    };
    let named = filters.iter().map(|f| prefix([&f.name, &f.root_id, &f.vm_id]));
    let roots = filters.iter().map(|f| prefix(["", &f.root_id, &f.vm_id]));
    let found = named.enumerate().chain(roots.enumerate()).find(|(_, p)| line.starts_with(p.as_bytes()));
    found.map(|(filter, prefix)| (filter, prefix.len()))
}

fn level(word: &str) -> LogLevel {
    match word {
        "trace" => LogLevel::Trace,
        "debug" => LogLevel::Debug,
        "info" => LogLevel::Info,
        "warning" => LogLevel::Warn,
        "error" => LogLevel::Error,
        _ => LogLevel::Critical,
    }
}

/// A line of the access log.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(crate) struct Ending {
    pub(crate) flags: String,
    pub(crate) source: String,
    pub(crate) destination: String,
    pub(crate) upstream: String,
    /// Last in the line, since it may hold the separator.
    pub(crate) details: String,
}

impl Ending {
    pub(crate) fn read(line: &str) -> Self {
        let mut words = line.splitn(5, '|').map(|w| if w == "-" { "" } else { w }.to_owned());
        let mut word = || words.next().unwrap_or_default();
        Self { flags: word(), source: word(), destination: word(), upstream: word(), details: word() }
    }

    pub(crate) fn has_flag(&self, flag: &str) -> bool {
        self.flags.split(',').any(|f| f == flag)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(logger: &str, text: &str) -> Line {
        Line {
            main_thread: false,
            thread: String::new(),
            level: "warning".into(),
            logger: logger.into(),
            text: text.into(),
            bytes: text.into(),
        }
    }

    #[test]
    fn lines_become_a_story() {
        let filter =
            |name: &str, vm: &str| Filter { name: name.into(), vm_id: vm.into(), ..Filter::default() };
        let lines = [
            line("lua", "script log: tamis 0 > 17 :path=/a%3Fb&x=1"),
            line("wasm", "wasm log a v: tamis 1 > 18 no witness"),
            line("lua", "script log: tamis 1 > 19 :path=/"),
            line(
                "wasm",
                "Function: proxy_on_request_headers failed: Uncaught RuntimeError: unreachable\nmore",
            ),
            line("wasm", "wasm log v: of a root"),
            line("lua", "script log: tamis 0 < 0 :status=503"),
        ];
        let story = Story::read(&lines, &[filter("a", "v"), filter("b", "")]);
        assert_eq!(story.request[0].as_ref().unwrap().text(":path"), Some("/a?b"));
        assert_eq!((story.deepest(), story.nearest(), story.began), (Some(1), Some(0), Some(17)));
        assert_eq!(story.logs[0].text, b"tamis 1 > 18 no witness");
        assert_eq!((story.logs[1].filter, story.logs[1].text.as_slice()), (0, &b"of a root"[..]));
        assert_eq!(story.traps[0].phase, "proxy_on_request_headers");
        assert_eq!(story.traps[0].passed, (Some(1), None));
    }

    #[test]
    fn details_may_hold_the_separator() {
        let ending = Ending::read("UF,URX|1.2.3.4:5|-|x:1|reset{a|b}");
        assert!(ending.has_flag("URX") && !ending.has_flag("U"));
        assert_eq!((ending.destination.as_str(), ending.details.as_str()), ("", "reset{a|b}"));
    }
}
