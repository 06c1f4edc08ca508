//! The operations of a script, one host call each.

use crate::abi::*;
use crate::script::{bytes, pairs, show, show_map, show_pairs};

/// What an operation did: the status and what came with it.
#[derive(Default)]
pub(crate) struct Done {
    pub(crate) status: u32,
    pub(crate) value: String,
    /// The number that it gave: of a metric, of a queue, of a version of shared data.
    pub(crate) number: Option<u32>,
}

impl From<u32> for Done {
    fn from(status: u32) -> Self {
        Self { status, ..Self::default() }
    }
}

impl Done {
    /// A status and what came with it.
    pub(crate) fn new(status: u32, value: String) -> Self {
        Self { status, value, number: None }
    }
}

/// Runs one operation that is a plain host call; `None` when there is no such operation.
pub(crate) fn run(op: &str, words: &[&str]) -> Option<Done> {
    let word = |i: usize| words.get(i).copied().unwrap_or("");
    let text = |i: usize| bytes(word(i));
    let number = |i: usize| word(i).parse::<i64>().unwrap_or(0) as u32;
    let (mut at, mut len, mut more) = (0_u32, 0_u32, 0_u32);
    let (a, l, m) = (&raw mut at, &raw mut len, &raw mut more);
    // SAFETY (all calls below): pointers and lengths are those of live slices and locals.
    macro_rules! call {
        ($e:expr) => {
            // SAFETY: see above.
            unsafe { $e }
        };
    }
    macro_rules! give {
        ($status:expr) => {{
            let status = $status;
            // SAFETY: the host wrote both in the call before.
            let got = unsafe { taken(at, len) };
            Done::new(status, if status == 0 { show(&got) } else { String::new() })
        }};
    }
    Some(match op {
        "get" => {
            let k = text(1);
            give!(call!(proxy_get_header_map_value(number(0), k.as_ptr(), k.len(), a, l)))
        }
        "add" | "rep" => {
            let (k, v) = (text(1), text(2));
            let f = if op == "add" { proxy_add_header_map_value } else { proxy_replace_header_map_value };
            call!(f(number(0), k.as_ptr(), k.len(), v.as_ptr(), v.len())).into()
        }
        "rm" => {
            let k = text(1);
            call!(proxy_remove_header_map_value(number(0), k.as_ptr(), k.len())).into()
        }
        "pairs" => {
            let status = call!(proxy_get_header_map_pairs(number(0), a, l));
            // SAFETY: the host wrote both in the call before.
            let got = unsafe { taken(at, len) };
            Done::new(status, show_pairs(&got))
        }
        "setpairs" => {
            let p = pairs(word(1));
            call!(proxy_set_header_map_pairs(number(0), p.as_ptr(), p.len())).into()
        }
        "setraw" => {
            let p = text(1);
            call!(proxy_set_header_map_pairs(number(0), p.as_ptr(), p.len())).into()
        }
        "size" => {
            let status = call!(proxy_get_header_map_size(number(0), a));
            Done::new(status, if status == 0 { at.to_string() } else { String::new() })
        }
        "buf" => give!(call!(proxy_get_buffer_bytes(number(0), number(1), number(2), a, l))),
        "bufstat" => {
            let status = call!(proxy_get_buffer_status(number(0), a, l));
            Done::new(status, if status == 0 { format!("{at} {len}") } else { String::new() })
        }
        "setbuf" => {
            let v = text(3);
            call!(proxy_set_buffer_bytes(number(0), number(1), number(2), v.as_ptr(), v.len())).into()
        }
        "prop" => {
            let path = word(0).split('.').map(bytes).collect::<Vec<_>>().join(&0);
            let status = call!(proxy_get_property(path.as_ptr(), path.len(), a, l));
            // SAFETY: the host wrote both in the call before.
            let got = unsafe { taken(at, len) };
            let map = word(0).ends_with(".headers") || word(0).ends_with(".trailers");
            let value = match status {
                0 if map => show_map(&got),
                0 => show(&got),
                _ => String::new(),
            };
            Done::new(status, value)
        }
        "setprop" => {
            let (k, v) = (text(0), text(1));
            call!(proxy_set_property(k.as_ptr(), k.len(), v.as_ptr(), v.len())).into()
        }
        "reply" => {
            let (body, details, headers) = (text(1), text(2), pairs(word(3)));
            let grpc = word(4).parse().unwrap_or(-1);
            call!(proxy_send_local_response(
                number(0),
                details.as_ptr(),
                details.len(),
                body.as_ptr(),
                body.len(),
                headers.as_ptr(),
                headers.len(),
                grpc
            ))
            .into()
        }
        "cont" => call!(proxy_continue_stream(number(0))).into(),
        "close" => call!(proxy_close_stream(number(0))).into(),
        "level" => {
            let status = call!(proxy_get_log_level(a));
            Done::new(status, format!("{at}"))
        }
        "gsend" => {
            let v = text(1);
            call!(proxy_grpc_send(number(0), v.as_ptr(), v.len(), number(2))).into()
        }
        "gclose" => call!(proxy_grpc_close(number(0))).into(),
        "gcancel" => call!(proxy_grpc_cancel(number(0))).into(),
        "tick" => call!(proxy_set_tick_period_milliseconds(number(0))).into(),
        "done" => call!(proxy_done()).into(),
        "status" => {
            let status = call!(proxy_get_status(a, l, m));
            // SAFETY: the host wrote both in the call before.
            let got = unsafe { taken(len, more) };
            Done::new(status, format!("{at} {}", show(&got)))
        }
        "sget" => {
            let k = text(0);
            let status = call!(proxy_get_shared_data(k.as_ptr(), k.len(), a, l, m));
            // SAFETY: the host wrote both in the call before.
            let got = unsafe { taken(at, len) };
            let value = if status == 0 { format!("{} cas={}", show(&got), more != 0) } else { String::new() };
            Done { status, value, number: Some(more) }
        }
        "sset" => {
            let (k, v) = (text(0), text(1));
            call!(proxy_set_shared_data(k.as_ptr(), k.len(), v.as_ptr(), v.len(), number(2))).into()
        }
        "mdef" => {
            let k = text(1);
            let status = call!(proxy_define_metric(number(0), k.as_ptr(), k.len(), a));
            Done { status, value: format!("{at}"), number: Some(at) }
        }
        "minc" => call!(proxy_increment_metric(number(0), word(1).parse().unwrap_or(0))).into(),
        "mrec" => call!(proxy_record_metric(number(0), word(1).parse().unwrap_or(0))).into(),
        "mget" => {
            let mut value = 0_u64;
            let v = &raw mut value;
            let status = call!(proxy_get_metric(number(0), v));
            Done::new(status, if status == 0 { value.to_string() } else { String::new() })
        }
        "qreg" => {
            let k = text(0);
            let status = call!(proxy_register_shared_queue(k.as_ptr(), k.len(), a));
            Done { status, value: format!("{at}"), number: Some(at) }
        }
        "qfind" => {
            let (vm, k) = (text(0), text(1));
            let status = call!(proxy_resolve_shared_queue(vm.as_ptr(), vm.len(), k.as_ptr(), k.len(), a));
            Done { status, value: format!("{at}"), number: Some(at) }
        }
        "qput" => {
            let v = text(1);
            call!(proxy_enqueue_shared_queue(number(0), v.as_ptr(), v.len())).into()
        }
        "qget" => give!(call!(proxy_dequeue_shared_queue(number(0), a, l))),
        "foreign" => {
            let (k, v) = (text(0), text(1));
            give!(call!(proxy_call_foreign_function(k.as_ptr(), k.len(), v.as_ptr(), v.len(), a, l)))
        }
        "expr" => expression(&text(0)),
        "grow" => {
            let grown = std::iter::repeat_with(|| core::arch::wasm32::memory_grow::<0>(number(0) as usize))
                .take_while(|old| *old != usize::MAX)
                .count();
            Done::new(0, grown.to_string())
        }
        _ => return wasi(op, words),
    })
}

/// Makes an expression, asks for its value and deletes it: no later one sees that its token was used.
fn expression(text: &[u8]) -> Done {
    let foreign = |name: &str, argument: &[u8]| {
        let (mut at, mut len) = (0_u32, 0_u32);
        let (a, l) = (&raw mut at, &raw mut len);
        // SAFETY: pointers and lengths of live slices, and two locals that the host writes.
        unsafe {
            let status = proxy_call_foreign_function(
                name.as_ptr(),
                name.len(),
                argument.as_ptr(),
                argument.len(),
                a,
                l,
            );
            (status, if status == 0 { taken(at, len) } else { Vec::new() })
        }
    };
    let (status, token) = foreign("expr_create", text);
    if status != 0 {
        return Done::new(status, "no expression".into());
    }
    let (status, value) = foreign("expr_evaluate", &token);
    let _ = foreign("expr_delete", &token);
    Done::new(status, if status == 0 { show(&value) } else { String::new() })
}

/// The operations that ask WASI. Values of clocks and random bytes are not shown.
fn wasi(op: &str, words: &[&str]) -> Option<Done> {
    let word = |i: usize| words.get(i).copied().unwrap_or("");
    let number = |i: usize| word(i).parse::<u32>().unwrap_or(0);
    let (mut time, mut count) = (0_u64, 0_u32);
    // SAFETY (all calls below): pointers and lengths are those of live slices and locals.
    Some(match op {
        // SAFETY: see above.
        "clock" => unsafe { clock_time_get(number(0), 1, &raw mut time) }.into(),
        "clockres" => {
            // SAFETY: see above.
            let status = unsafe { clock_res_get(number(0), &raw mut time) };
            Done::new(status, time.to_string())
        }
        "random" => {
            let mut room = vec![0_u8; number(0) as usize];
            // SAFETY: see above.
            let status = unsafe { random_get(room.as_mut_ptr(), room.len()) };
            Done::new(status, format!("filled={}", room.iter().any(|b| *b != 0)))
        }
        "write" => {
            let text = bytes(word(1));
            let piece = [text.as_ptr() as u32, text.len() as u32];
            // SAFETY: see above.
            let status = unsafe { fd_write(number(0), piece.as_ptr(), 1, &raw mut count) };
            Done::new(status, count.to_string())
        }
        "poll" => {
            let (wanted, mut events) = ([0_u8; 48], [0_u8; 32]);
            count = 7;
            // SAFETY: see above.
            let status = unsafe { poll_oneoff(wanted.as_ptr(), events.as_mut_ptr(), 1, &raw mut count) };
            Done::new(status, count.to_string())
        }
        // SAFETY: no pointer goes over.
        "yield" => unsafe { sched_yield() }.into(),
        "exit" => {
            // SAFETY: no pointer goes over.
            unsafe { proc_exit(number(0)) };
            Done::new(0, "came back".into())
        }
        _ => return None,
    })
}

/// Starts an HTTP call; gives the status and the token.
pub(crate) fn http_call(words: &[&str]) -> (u32, u32) {
    let word = |i: usize| words.get(i).copied().unwrap_or("");
    let (cluster, headers, body) = (bytes(word(0)), pairs(word(2)), bytes(word(3)));
    let timeout = word(1).parse::<i64>().unwrap_or(0) as u32;
    let mut token = 0_u32;
    // SAFETY: pointers and lengths are those of live slices and of one local.
    let status = unsafe {
        proxy_http_call(
            cluster.as_ptr(),
            cluster.len(),
            headers.as_ptr(),
            headers.len(),
            body.as_ptr(),
            body.len(),
            std::ptr::null(),
            0,
            timeout,
            &raw mut token,
        )
    };
    (status, token)
}

/// Makes another context the one that calls act on.
pub(crate) fn effective(id: u32) -> u32 {
    // SAFETY: no pointer goes over.
    unsafe { proxy_set_effective_context(id) }
}

/// Writes a log line at level warn.
pub(crate) fn log(text: &str) {
    // SAFETY: pointer and length of a live slice.
    unsafe { proxy_log(3, text.as_ptr(), text.len()) };
}

/// Reads a request header without a trace in the log.
pub(crate) fn request_header(name: &str) -> Option<Vec<u8>> {
    let (mut at, mut len) = (0_u32, 0_u32);
    // SAFETY: pointer and length of a live slice, and two locals.
    unsafe {
        match proxy_get_header_map_value(0, name.as_ptr(), name.len(), &raw mut at, &raw mut len) {
            0 => Some(taken(at, len)),
            _ => None,
        }
    }
}

/// Name and script: the filter's configuration, or the VM's when that one is no text. Readable in
/// `proxy_on_configure` only.
pub(crate) fn configuration() -> Vec<u8> {
    let read = |kind| {
        let (mut at, mut len) = (0_u32, 0_u32);
        // SAFETY: two locals.
        unsafe {
            proxy_get_buffer_bytes(kind, 0, u32::MAX, &raw mut at, &raw mut len);
            taken(at, len)
        }
    };
    let own = read(7);
    if own.first().is_some_and(u8::is_ascii_alphabetic) { own } else { read(6) }
}
