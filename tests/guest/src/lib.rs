//! A filter without a will: every callback runs a small script and logs what the host answered.
//!
//! The configuration is `NAME` or `NAME | block | …` (see `script`): the name under which the filter logs,
//! and what its callbacks do. A request may bring its own script in `x-script-NAME` or `x-script`, which
//! goes before the configuration's.
//!
//! Phases: `create vm conf tick queue call log done delete`, `rqh rqb rqt` for the request's headers, body and
//! trailers, `rsh rsb rst` for the response's, `rqm rsm` for frames of HTTP/2 metadata, `ginit gmsg gtrail gend` for
//! what a gRPC peer sent, `dns` for a resolved name; of a TCP connection `new`, `down` and `up` for data of either
//! side, `downclose` and `upclose`.
//! Beyond the plain host calls (see `ops`) there are: `ret N` (what the callback returns), `hush` (as the first one:
//! the callback does not say that it came), `trap`, `loop`, `call CLUSTER TIMEOUT PAIRS BODY`, `props PATH…` (what
//! changed since the context's last `props`: each value on a line of its own, paths without one on a line for their
//! status; a map of headers is sorted, since Envoy's order is not defined), `eff last|other|root|N`, where `last` is
//! the stream whose call was answered and `other` the youngest stream beside this one, and those of `callout`. The word
//! `$` is the number that came last in this context: of a metric, of a queue, of a version of shared data.
#![cfg(target_family = "wasm")]

mod abi;
mod callout;
mod ops;
mod script;

use std::cell::RefCell;
use std::collections::BTreeMap;

/// Most bytes of an operation that its log line repeats: keys and signatures are longer than a line.
const SHOWN: usize = 120;

/// A root context.
#[derive(Default)]
struct Root {
    name: String,
    script: String,
    /// How often each phase came that belongs to no stream.
    counts: BTreeMap<&'static str, u32>,
}

/// A stream context. Kept after its end: an answer may come late.
#[derive(Default)]
struct Stream {
    root: u32,
    script: String,
    counts: BTreeMap<&'static str, u32>,
}

#[derive(Default)]
struct State {
    roots: BTreeMap<u32, Root>,
    streams: BTreeMap<u32, Stream>,
    /// What `props` showed last, by context and path.
    seen: BTreeMap<u32, BTreeMap<String, (u32, String)>>,
    /// Which context made the call with this token.
    calls: BTreeMap<u32, u32>,
    /// The number that an operation gave last, by context: `$`.
    numbers: BTreeMap<u32, u32>,
}

thread_local!(static STATE: RefCell<State> = RefCell::default());

fn with<T>(f: impl FnOnce(&mut State) -> T) -> T {
    STATE.with(|s| f(&mut s.borrow_mut()))
}

/// Runs one callback: says that it came, plays its block, gives the return value.
/// `owner` is the context whose script is played, `last` the stream that `eff last` means.
fn play(id: u32, owner: u32, phase: &'static str, facts: &str, otherwise: u32, last: u32) -> u32 {
    let (name, block) = with(|s| {
        let root = s.streams.get(&owner).map_or(owner, |stream| stream.root);
        let (mut text, mut count) = (String::new(), 1);
        if let Some(stream) = s.streams.get_mut(&owner) {
            if id == owner {
                let seen = stream.counts.entry(phase).or_default();
                *seen += 1;
                count = *seen;
            }
            text.clone_from(&stream.script);
        }
        let root = s.roots.entry(root).or_default();
        if matches!(phase, "tick" | "queue" | "call" | "ginit" | "gmsg" | "gtrail" | "gend" | "dns") {
            let seen = root.counts.entry(phase).or_default();
            *seen += 1;
            count = *seen;
        }
        let own = script::block(&text, phase, count).or_else(|| script::block(&root.script, phase, count));
        (root.name.clone(), own.unwrap_or("").to_owned())
    });
    let me = if with(|s| s.streams.contains_key(&id)) { id.to_string() } else { "root".into() };
    if !block.trim_start().starts_with("hush") {
        ops::log(&format!("~{name}/{me} {phase}{facts}"));
    }
    let mut value = otherwise;
    for op in block.split(';').map(str::trim).filter(|op| !op.is_empty()) {
        let given = with(|s| s.numbers.get(&owner).copied().unwrap_or(0)).to_string();
        let word = |w| if w == "$" { given.as_str() } else { w };
        let words: Vec<&str> = op.split(' ').filter(|w| !w.is_empty()).map(word).collect();
        let (verb, rest) = (words[0], &words[1..]);
        let done = match verb {
            "ret" => {
                value = rest.first().and_then(|w| w.parse().ok()).unwrap_or(0);
                continue;
            }
            "hush" => continue,
            "trap" => {
                ops::log(&format!("~{name}/{me}   trap"));
                core::arch::wasm32::unreachable()
            }
            "props" => {
                let mut without = BTreeMap::<u32, Vec<&str>>::new();
                let mut same = true;
                for path in rest {
                    let Some(done) = ops::run("prop", &[path]) else { continue };
                    let known = with(|s| {
                        let known = s.seen.entry(id).or_default();
                        known.insert((*path).to_owned(), (done.status, done.value.clone()))
                    });
                    if known.is_some_and(|known| known == (done.status, done.value.clone())) {
                        continue;
                    }
                    same = false;
                    match done.status {
                        0 => ops::log(&format!("~{name}/{me}   {path} = {}", done.value)),
                        status => without.entry(status).or_default().push(path),
                    }
                }
                for (status, paths) in without {
                    ops::log(&format!("~{name}/{me}   {status}: {}", paths.join(" ")));
                }
                if same {
                    ops::log(&format!("~{name}/{me}   as before"));
                }
                continue;
            }
            "loop" => loop {
                core::hint::black_box(());
            },
            "eff" => {
                let to = match rest.first() {
                    Some(&"last") => last,
                    Some(&"other") => {
                        with(|s| s.streams.keys().rev().copied().find(|other| *other != id).unwrap_or(0))
                    }
                    Some(&"root") => with(|s| s.streams.get(&owner).map_or(owner, |stream| stream.root)),
                    Some(n) => n.parse().unwrap_or(0),
                    None => 0,
                };
                ops::effective(to).into()
            }
            "call" | "gcall" | "gstream" | "dns" => {
                let (status, token) = match verb {
                    "call" => ops::http_call(rest),
                    "gcall" => callout::grpc_call(rest),
                    "gstream" => callout::grpc_stream(rest),
                    _ => callout::resolve(rest),
                };
                if token != 0 && verb != "dns" {
                    with(|s| s.calls.insert(token, owner));
                }
                if verb == "gstream" {
                    // `gsend $`: nobody knows the token before.
                    with(|s| s.numbers.insert(owner, token));
                }
                ops::Done::new(status, format!("token={token}"))
            }
            _ => match ops::run(verb, rest) {
                Some(done) => done,
                None => {
                    ops::log(&format!("~{name}/{me}   no such operation: {op}"));
                    continue;
                }
            },
        };
        if let Some(number) = done.number.filter(|_| done.status == 0) {
            with(|s| s.numbers.insert(owner, number));
        }
        let space = if done.value.is_empty() { "" } else { " " };
        let (shown, more) = op.split_at_checked(SHOWN).map_or((op, ""), |(start, _)| (start, "…"));
        ops::log(&format!("~{name}/{me}   {shown}{more} -> {}{space}{}", done.status, done.value));
    }
    value
}

/// Marks the version of the ABI.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_abi_version_0_2_1() {}

/// Gives the host room for what it returns.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_memory_allocate(size: usize) -> *mut u8 {
    let mut room = std::mem::ManuallyDrop::new(Vec::<u8>::with_capacity(size));
    room.as_mut_ptr()
}

/// A new root or stream.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_context_create(id: u32, parent: u32) {
    if parent == 0 {
        with(|s| s.roots.insert(id, Root::default()));
        return;
    }
    with(|s| s.streams.insert(id, Stream { root: parent, ..Stream::default() }));
    play(id, id, "create", "", 0, 0);
}

/// The VM starts; the name is not known yet, so nothing is played.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_vm_start(_root: u32, _size: usize) -> u32 {
    1
}

/// Takes name and script from the configuration.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_configure(root: u32, _size: usize) -> u32 {
    let text = String::from_utf8_lossy(&ops::configuration()).into_owned();
    let (name, script) = text.split_once('|').unwrap_or((&text, ""));
    with(|s| {
        let root = s.roots.entry(root).or_default();
        root.name = name.trim().to_owned();
        root.script = script.to_owned();
    });
    play(root, root, "conf", "", 1, 0)
}

/// A timer fired.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_tick(root: u32) {
    play(root, root, "tick", "", 0, 0);
}

/// A queue has something.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_queue_ready(root: u32, token: u32) {
    play(root, root, "queue", &format!(" token={token}"), 0, 0);
}

/// A call was answered. Plays the script of the stream that made it, on the context that the host names.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_http_call_response(id: u32, token: u32, headers: u32, body: u32, trailers: u32) {
    let caller = with(|s| s.calls.remove(&token)).unwrap_or(id);
    let facts = format!(" token={token} headers={headers} body={body} trailers={trailers}");
    play(id, caller, "call", &facts, 0, caller);
}

/// Request headers; takes the request's script.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_headers(id: u32, count: u32, end: u32) -> u32 {
    let name = with(|s| {
        let root = s.streams.get(&id).map_or(0, |stream| stream.root);
        s.roots.get(&root).map(|r| r.name.clone()).unwrap_or_default()
    });
    let text = ops::request_header(&format!("x-script-{name}")).or_else(|| ops::request_header("x-script"));
    if let Some(text) = text {
        with(|s| s.streams.entry(id).or_default().script = String::from_utf8_lossy(&text).into_owned());
    }
    play(id, id, "rqh", &format!(" n={count} eos={end}"), 0, id)
}

macro_rules! phases {
    ($($name:ident = $phase:literal, $fact:literal;)*) => {
        $(
            #[doc = concat!("Phase `", $phase, "`.")]
            #[unsafe(no_mangle)]
            pub extern "C" fn $name(id: u32, size: u32, end: u32) -> u32 {
                play(id, id, $phase, &format!(concat!(" ", $fact, "={} eos={}"), size, end), 0, id)
            }
        )*
    };
}

phases! {
    proxy_on_request_body = "rqb", "size";
    proxy_on_response_headers = "rsh", "n";
    proxy_on_response_body = "rsb", "size";
    proxy_on_downstream_data = "down", "size";
    proxy_on_upstream_data = "up", "size";
}

/// Request trailers.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_trailers(id: u32, count: u32) -> u32 {
    play(id, id, "rqt", &format!(" n={count}"), 0, id)
}

/// Response trailers.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_trailers(id: u32, count: u32) -> u32 {
    play(id, id, "rst", &format!(" n={count}"), 0, id)
}

/// Metadata of the request.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_request_metadata(id: u32, count: u32) -> u32 {
    play(id, id, "rqm", &format!(" n={count}"), 0, id)
}

/// Metadata of the response.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_response_metadata(id: u32, count: u32) -> u32 {
    play(id, id, "rsm", &format!(" n={count}"), 0, id)
}

/// A TCP connection.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_new_connection(id: u32) -> u32 {
    play(id, id, "new", "", 0, id)
}

/// The downstream connection is closed.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_downstream_connection_close(id: u32, peer: u32) {
    play(id, id, "downclose", &format!(" peer={peer}"), 0, id);
}

/// The upstream connection is closed.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_upstream_connection_close(id: u32, peer: u32) {
    play(id, id, "upclose", &format!(" peer={peer}"), 0, id);
}

/// The stream or root is about to end.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_done(id: u32) -> u32 {
    play(id, id, "done", "", 1, id)
}

/// The stream is over, all maps readable.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_log(id: u32) {
    play(id, id, "log", "", 0, id);
}

/// The context goes.
#[unsafe(no_mangle)]
pub extern "C" fn proxy_on_delete(id: u32) {
    play(id, id, "delete", "", 0, id);
}
