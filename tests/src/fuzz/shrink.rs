//! Smaller rows that still differ.

use crate::row::{Answer, Filter, Piece, Policy, Row, Step};

/// The smallest row that `differs` still says true of, by cutting one thing after the other; at most `tries`.
pub fn shrink(mut row: Row, mut tries: usize, mut differs: impl FnMut(&Row) -> bool) -> Row {
    loop {
        let smaller = cuts(&row).into_iter().find(|cut| {
            tries = tries.saturating_sub(1);
            tries > 0 && differs(cut)
        });
        match smaller {
            Some(smaller) => row = smaller,
            None => return row,
        }
    }
}

/// All rows that are one step smaller, the largest steps first.
fn cuts(row: &Row) -> Vec<Row> {
    let mut all = Vec::new();
    let mut with = |edit: &dyn Fn(&mut Row)| {
        let mut smaller = row.clone();
        edit(&mut smaller);
        let some = !smaller.exchanges.is_empty() && !smaller.chain.is_empty();
        if smaller != *row && some && (waits(&smaller) || !waits(row)) {
            all.push(smaller);
        }
    };
    for at in 0..row.exchanges.len() {
        with(&|row| drop(row.exchanges.remove(at)));
    }
    for at in 0..row.chain.len() {
        with(&|row| {
            let Filter { name, .. } = row.chain.remove(at);
            row.exchanges.iter_mut().for_each(|step| drop(step.script.remove(&name)));
        });
        with(&|row| row.chain[at].policy = Default::default());
        with(&|row| row.chain[at].allow_on_headers_stop_iteration = false);
        with(&|row| row.chain[at].vm = None);
    }
    if row.chain.iter().all(|filter| filter.policy != Policy::Reload) {
        with(&|row| row.reload_backoff = None);
    }
    let called = |cluster: &str| {
        let scripts = row.exchanges.iter().flat_map(|step| step.script.values());
        scripts.into_iter().any(|script| script.contains(cluster))
    };
    with(&|row| row.callouts.retain(|cluster, _| called(cluster)));
    for (at, step) in row.exchanges.iter().enumerate() {
        for smaller in scripts(step).into_iter().chain(messages(step)) {
            with(&|row| row.exchanges[at] = smaller.clone());
        }
    }
    all
}

/// Every stream waits for the calls that it makes: else what comes first is a matter of chance.
fn waits(row: &Row) -> bool {
    let mut blocks = row.exchanges.iter().flat_map(|step| step.script.values()).flat_map(|s| s.split(" | "));
    blocks.all(|block| !block.contains(" call ") || block.contains("; ret 1"))
}

/// Without a script, a block, an operation.
fn scripts(step: &Step) -> Vec<Step> {
    let mut all = Vec::new();
    let mut put = |name: &str, script: Option<String>| {
        let mut smaller = step.clone();
        match script {
            Some(script) => drop(smaller.script.insert(name.into(), script)),
            None => drop(smaller.script.remove(name)),
        }
        all.push(smaller);
    };
    for (name, script) in &step.script {
        put(name, None);
        let blocks: Vec<&str> = script.split(" | ").collect();
        for at in (0..blocks.len()).filter(|_| blocks.len() > 1) {
            put(name, Some(but(&blocks, at).join(" | ")));
        }
        for at in 0..blocks.len() {
            let Some((phase, ops)) = blocks[at].split_once(": ") else { continue };
            let ops: Vec<&str> = ops.split("; ").collect();
            for op in (0..ops.len()).filter(|_| ops.len() > 1) {
                let block = format!("{phase}: {}", but(&ops, op).join("; "));
                let mut blocks = blocks.clone();
                blocks[at] = &block;
                put(name, Some(blocks.join(" | ")));
            }
        }
    }
    all
}

/// Simpler requests and answers.
fn messages(step: &Step) -> Vec<Step> {
    let mut all = Vec::new();
    let mut with = |edit: &dyn Fn(&mut Step)| {
        let mut smaller = step.clone();
        edit(&mut smaller);
        if smaller != *step {
            all.push(smaller);
        }
    };
    with(&|s| s.answer = Answer::default());
    with(&|s| (s.body, s.trailers, s.chunked) = (Vec::new(), Vec::new(), false));
    with(&|s| (s.answer.body, s.answer.trailers, s.answer.chunked) = (Vec::new(), Vec::new(), false));
    with(&|s| s.trailers.clear());
    with(&|s| s.answer.trailers.clear());
    with(&|s| (s.chunked, s.trailers) = (false, Vec::new()));
    with(&|s| (s.answer.chunked, s.answer.trailers) = (false, Vec::new()));
    with(&|s| s.http2 = false);
    with(&|s| s.method = None);
    with(&|s| s.path = None);
    with(&|s| s.answer.status = 200);
    with(&|s| s.hex_headers.clear());
    with(&|s| s.headers.clear());
    with(&|s| s.answer.headers.clear());
    for at in 0..step.headers.len() {
        with(&|s| drop(s.headers.remove(at)));
    }
    for at in 0..step.answer.headers.len() {
        with(&|s| drop(s.answer.headers.remove(at)));
    }
    for at in 0..step.trailers.len() {
        with(&|s| drop(s.trailers.remove(at)));
    }
    for at in 0..step.answer.trailers.len() {
        with(&|s| drop(s.answer.trailers.remove(at)));
    }
    for at in 0..step.body.len() {
        with(&|s| drop(s.body.remove(at)));
        with(&|s| s.body[at] = Piece::from("a"));
    }
    for at in 0..step.answer.body.len() {
        with(&|s| drop(s.answer.body.remove(at)));
        with(&|s| s.answer.body[at] = Piece::from("a"));
    }
    all
}

fn but<'a>(all: &[&'a str], without: usize) -> Vec<&'a str> {
    all.iter().enumerate().filter(|(at, _)| *at != without).map(|(_, one)| *one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fuzz::{case, yaml};

    #[test]
    fn what_is_left_is_what_differs() {
        let has = |row: &Row| yaml(row).unwrap_or_default().contains("get 0 x-a");
        let found = (0..1000).map(|number| case(1, number).row).find(&has).unwrap_or_default();
        let small = shrink(found, 10_000, has);
        assert_eq!((small.chain.len(), small.exchanges.len()), (1, 1));
        let step = &small.exchanges[0];
        assert_eq!(step.script.values().map(|s| s.split(' ').count()).sum::<usize>(), 4, "{:?}", step.script);
        assert_eq!(*step, Step { script: step.script.clone(), ..Step::default() });
    }

    #[test]
    fn a_row_on_paper_is_read_as_the_same_row() {
        for number in 0..300 {
            let row = case(2, number).row;
            let text = yaml(&row).unwrap_or_else(|e| panic!("{e}"));
            let read: Row = serde_saphyr::from_str(&text).unwrap_or_else(|e| panic!("{e}\n{text}"));
            assert_eq!(read, row, "{text}");
        }
    }
}
