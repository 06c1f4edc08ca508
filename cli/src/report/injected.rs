//! Counts of what injected faults did to clients.

use super::event::Filter;
use super::human::plural;
use super::table::{cell, cut, number, table};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use tamis_traffic::inject::What;
use tamis_traffic::{Change, Changes, Fault, FaultKind, Half, Message, Outcome, Playback, compare_playbacks};

/// Answers that are told apart for each fault; the rest counts as one. Statuses are few unless a filter makes
/// them up.
const ANSWERS: usize = 20;

/// What one injected fault did.
#[derive(Debug, Clone, Default)]
pub struct InjectedSum {
    /// As it was asked for.
    pub fault: String,
    /// Exchanges that it struck.
    pub exchanges: u64,
    /// Of them: the client got the answer that it gets without the fault.
    pub same: u64,
    /// Another answer, by what it was.
    pub other: BTreeMap<String, u64>,
    /// The connection was reset.
    pub reset: u64,
    /// Nothing: no answer, or the client was gone.
    pub nothing: u64,
    /// A filter broke by itself: a fault of its own followed.
    pub broke: u64,
    /// The filter that did not live on.
    pub killed: Option<usize>,
    /// Later exchanges that its dead VM answered.
    pub refused: u64,
    /// Later exchanges that passed without it.
    pub skipped: u64,
    /// It served again.
    pub revived: bool,
}

/// What all injected faults of a replay did.
#[derive(Debug, Clone, Default)]
pub struct InjectedTable {
    /// In the order of the command line.
    pub faults: Vec<InjectedSum>,
    filters: Vec<(String, &'static str)>,
    /// For each filter the fault that killed its VM, while it is dead.
    dead: Vec<Option<usize>>,
    last: Option<usize>,
    changes: Changes,
}

/// What a client got, against what it would have got.
enum Got {
    Same,
    Other(String),
    Reset,
    Nothing,
}

impl InjectedTable {
    /// Empty, for these faults and this chain.
    pub fn new(faults: &[String], filters: &[Filter], policies: impl Iterator<Item = &'static str>) -> Self {
        let sum = |fault: &String| InjectedSum { fault: fault.clone(), ..InjectedSum::default() };
        Self {
            faults: faults.iter().map(sum).collect(),
            filters: filters.iter().map(|f| f.name.clone()).zip(policies).collect(),
            dead: vec![None; filters.len()],
            ..Self::default()
        }
    }

    /// Counts one exchange: played without faults, and played with them.
    pub fn add(&mut self, plain: &Playback, played: &Playback) {
        self.afterwards(played);
        if played.injected.is_empty() {
            return;
        }
        let got = self.got(plain, played);
        let broke = |p: &Playback| p.filters.iter().any(|f| f.broke);
        let broke = broke(played) && !broke(plain);
        for number in &played.injected {
            let Some(sum) = self.faults.get_mut(*number) else { continue };
            sum.exchanges += 1;
            sum.broke += u64::from(broke);
            match &got {
                Got::Same => sum.same += 1,
                Got::Reset => sum.reset += 1,
                Got::Nothing => sum.nothing += 1,
                Got::Other(answer) => {
                    let many = sum.other.len() >= ANSWERS && !sum.other.contains_key(answer);
                    let answer = if many { "other answers" } else { answer.as_str() };
                    *sum.other.entry(answer.to_owned()).or_default() += 1;
                }
            }
        }
        self.deaths(played);
    }

    /// Whose VM died with this exchange, and by which fault.
    fn deaths(&mut self, played: &Playback) {
        for (filter, trace) in played.filters.iter().enumerate() {
            // By a fault of its own, not by that of a filter in the same VM or of an earlier exchange.
            let own = |f: &Fault| {
                f.filter == Some(filter) && !matches!(f.kind, FaultKind::InjectedDeadVm | FaultKind::DeadVm)
            };
            let died = (trace.injected || trace.broke) && played.faults.iter().any(own);
            if !died || self.dead[filter].is_some() {
                continue;
            }
            let mine = |n: &&usize| self.faults.get(**n).is_some_and(|s| kills(&s.fault, trace.injected));
            let Some(by) = played.injected.iter().find(mine).copied() else { continue };
            self.dead[filter] = Some(by);
            self.last = Some(by);
            self.faults[by].killed.get_or_insert(filter);
        }
    }

    /// What became of the filters that died before.
    fn afterwards(&mut self, played: &Playback) {
        // Filters of one VM meet one fault: an exchange counts once.
        let mut counted = None;
        for (filter, trace) in played.filters.iter().enumerate() {
            let dead_vm = |f: &Fault| {
                f.filter == Some(filter) && matches!(f.kind, FaultKind::InjectedDeadVm | FaultKind::DeadVm)
            };
            let refused = played.faults.iter().any(dead_vm);
            // A filter that shares the VM of one that died goes with it.
            let by =
                self.dead.get(filter).copied().flatten().or(self.last.filter(|_| refused || trace.skipped));
            let Some(sum) = by.and_then(|by| self.faults.get_mut(by)) else { continue };
            if trace.skipped || refused {
                if counted.replace(by) != Some(by) {
                    sum.skipped += u64::from(trace.skipped);
                    sum.refused += u64::from(!trace.skipped);
                }
            } else if trace.reached {
                sum.revived = true;
                self.dead[filter] = None;
            }
        }
    }

    fn got(&mut self, plain: &Playback, played: &Playback) -> Got {
        if played.faults.iter().any(|f| f.kind == FaultKind::ClientAbort) {
            return Got::Nothing;
        }
        self.changes.clear();
        compare_playbacks(plain, played, &mut self.changes);
        let differs = self.changes.iter().any(|c: Change<'_>| c.half() == Half::Response);
        let reset = |p: &Playback| p.outcome == Outcome::Reset;
        if !differs && reset(plain) == reset(played) {
            return Got::Same;
        }
        if reset(played) {
            return Got::Reset;
        }
        match (plain.reply.get().map(label), played.reply.get().map(label)) {
            (_, None) => Got::Nothing,
            (Some(old), Some(new)) if old == new => Got::Other(format!("{new} with other content")),
            (_, Some(new)) => Got::Other(new),
        }
    }

    /// Rows and remarks for people.
    pub(super) fn human(&self) -> String {
        let rows: Vec<Vec<String>> = self
            .faults
            .iter()
            .map(|s| {
                let other = s.other.values().sum();
                let counts = [s.exchanges, s.same, other, s.reset, s.nothing].map(cell);
                std::iter::once(cut(&s.fault, 48)).chain(counts).collect()
            })
            .collect();
        let mut text =
            table(&["fault", "exchanges", "same answer", "other answer", "reset", "nothing"], &rows);
        for sum in &self.faults {
            for remark in self.remarks(sum) {
                let _ = writeln!(text, "  {}: {remark}", cut(&sum.fault, 48));
            }
        }
        text
    }

    fn remarks(&self, sum: &InjectedSum) -> Vec<String> {
        if sum.exchanges == 0 {
            return vec!["struck nothing, so this replay says nothing about it".to_owned()];
        }
        let mut remarks = Vec::new();
        if !sum.other.is_empty() {
            let list: Vec<_> = sum.other.iter().map(|(a, n)| format!("{a} ×{}", number(*n))).collect();
            remarks.push(format!("clients got {}", list.join(", ")));
        }
        if sum.broke > 0 {
            remarks.push(format!("a filter broke by itself in {}", plural(sum.broke, "exchange")));
        }
        let (name, policy) = sum.killed.and_then(|f| self.filters.get(f)).map_or(("", ""), |(n, p)| (n, p));
        let mut after = match sum.killed {
            None => "the filters kept serving".to_owned(),
            Some(_) if sum.refused + sum.skipped == 0 => {
                format!("`{name}` was dead afterwards, and nothing came")
            }
            Some(_) => {
                let refused = format!("{} answered by its dead VM", plural(sum.refused, "exchange"));
                let skipped = format!("{} passed without it", plural(sum.skipped, "exchange"));
                let both = [(sum.refused, refused), (sum.skipped, skipped)];
                let parts: Vec<_> = both.into_iter().filter(|(n, _)| *n > 0).map(|(_, t)| t).collect();
                format!("`{name}` was dead afterwards (policy {policy}): {}", parts.join(", "))
            }
        };
        if sum.revived {
            after.push_str("; then it served again");
        }
        remarks.push(after);
        remarks
    }

    /// For programs.
    pub(super) fn json(&self) -> Value {
        let one = |s: &InjectedSum| {
            let killed = s.killed.and_then(|f| self.filters.get(f));
            json!({
                "fault": s.fault, "exchanges": s.exchanges, "same": s.same, "other": s.other, "reset": s.reset,
                "nothing": s.nothing, "broke": s.broke,
                "killed": killed.map(|(name, policy)| json!({"filter": name, "policy": policy,
                    "refused": s.refused, "skipped": s.skipped, "revived": s.revived})),
            })
        };
        self.faults.iter().map(one).collect()
    }
}

/// Whether this fault can be what a filter died of: a trap that was injected, or any other when it broke itself.
fn kills(fault: &str, injected: bool) -> bool {
    let what = fault.parse::<tamis_traffic::inject::Injection>().map(|i| i.what);
    !injected || matches!(what, Ok(What::Trap(_) | What::OutOfMemory(_)))
}

/// The status, and the gRPC status where there is one that is not 0.
fn label(reply: &Message) -> String {
    let status = reply.headers.get(b":status").map(|s| tamis_traffic::redact::show(s).to_string());
    let status = status.unwrap_or_else(|| "no status".to_owned());
    let grpc = reply.trailers.get().and_then(|t| t.text("grpc-status"));
    match grpc.or_else(|| reply.headers.text("grpc-status")) {
        Some(code) if code != "0" => {
            format!("{status} with grpc-status {}", tamis_traffic::redact::show(code.as_bytes()))
        }
        _ => status,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tamis_traffic::{FilterTrace, Slot};

    fn played(status: &str, injected: &[usize], filters: Vec<FilterTrace>, faults: Vec<Fault>) -> Playback {
        let mut reply = Message::default();
        reply.headers.push(b":status", status.as_bytes());
        Playback {
            reply: Slot::some(reply),
            injected: injected.to_vec(),
            filters,
            faults,
            ..Playback::default()
        }
    }

    fn table(policy: &'static str) -> InjectedTable {
        let filter = |name: &str| Filter { name: name.to_owned(), size: 0, abi: String::new() };
        let faults = ["trap@log:1/b".to_owned(), "dup-header".to_owned()];
        InjectedTable::new(&faults, &[filter("a"), filter("b")], [policy; 2].into_iter())
    }

    fn fault(kind: FaultKind, filter: usize) -> Fault {
        Fault { kind, filter: Some(filter), phase: "proxy_on_log", text: String::new() }
    }

    const SERVED: FilterTrace = FilterTrace {
        reached: true,
        request_changed: false,
        response_changed: false,
        answered: false,
        broke: false,
        injected: false,
        skipped: false,
        cost: tamis_traffic::Cost { fuel: 0, host_calls: 0, memory_grown: 0 },
    };

    #[test]
    fn the_filters_of_one_vm_die_together_and_an_exchange_counts_once() {
        let mut table = table("open");
        let plain = played("200", &[], vec![SERVED; 2], vec![]);
        let struck = FilterTrace { injected: true, ..SERVED };
        let faults = vec![fault(FaultKind::InjectedTrap, 1), fault(FaultKind::InjectedDeadVm, 0)];
        table.add(&plain, &played("503", &[0, 1], vec![struck.clone(), struck], faults));
        let skipped = FilterTrace { reached: false, skipped: true, ..SERVED };
        table.add(&plain, &played("200", &[], vec![skipped.clone(), skipped], vec![]));
        let [trap, twice] = &table.faults[..] else { panic!() };
        assert_eq!((trap.killed, trap.skipped, trap.refused, trap.broke), (Some(1), 1, 0, 0));
        assert_eq!(trap.other, [("503".to_owned(), 1)].into());
        // What else struck in that exchange has its share of what the client got, and killed nobody.
        assert_eq!((twice.exchanges, twice.killed), (1, None));
        let want = "`b` was dead afterwards (policy open): 1 exchange passed without it";
        assert_eq!(table.remarks(trap).last().map(String::as_str), Some(want));
    }

    #[test]
    fn a_filter_that_is_made_anew_has_served_again() {
        let mut table = table("reload");
        let plain = played("200", &[], vec![SERVED; 2], vec![]);
        let dead = FilterTrace { injected: true, ..SERVED };
        let struck = vec![fault(FaultKind::InjectedTrap, 1)];
        table.add(&plain, &played("503", &[0], vec![SERVED, dead.clone()], struck));
        let refused = vec![fault(FaultKind::InjectedDeadVm, 1)];
        table.add(&plain, &played("503", &[], vec![SERVED, dead], refused));
        table.add(&plain, &plain.clone());
        let trap = &table.faults[0];
        assert_eq!((trap.refused, trap.revived), (1, true));
        assert!(table.remarks(trap).last().is_some_and(|r| r.ends_with("; then it served again")));
    }

    #[test]
    fn answers_without_end_are_told_apart_up_to_a_limit() {
        let mut table = table("closed");
        let plain = played("200", &[], vec![SERVED; 2], vec![]);
        for status in 0..1000 {
            table.add(&plain, &played(&status.to_string(), &[1], vec![SERVED; 2], vec![]));
        }
        let sum = &table.faults[1];
        assert_eq!((sum.exchanges, sum.same, sum.other.len()), (1000, 1, ANSWERS + 1));
        assert_eq!(sum.other.values().sum::<u64>(), 999);
    }
}
