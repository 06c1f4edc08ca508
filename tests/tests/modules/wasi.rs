//! All 45 WASI functions with the numbers 0 to 3 as their first argument (docs/envoy.md 2.11).

use super::both::Case;
use anyhow::Result;
use std::fmt::Write;

/// Names, and parameters after the first: `i` 32 bits, `I` 64.
const FUNCTIONS: [(&str, &str); 45] = [
    ("fd_write", "iiii"),
    ("fd_read", "iiii"),
    ("fd_seek", "iIii"),
    ("fd_close", "i"),
    ("fd_fdstat_get", "ii"),
    ("fd_fdstat_set_flags", "ii"),
    ("fd_fdstat_set_rights", "iII"),
    ("environ_get", "ii"),
    ("environ_sizes_get", "ii"),
    ("args_get", "ii"),
    ("args_sizes_get", "ii"),
    ("clock_time_get", "iIi"),
    ("clock_res_get", "ii"),
    ("fd_advise", "iIIi"),
    ("fd_allocate", "iII"),
    ("fd_datasync", "i"),
    ("fd_filestat_set_size", "iI"),
    ("fd_filestat_set_times", "iIIi"),
    ("fd_pread", "iiiIi"),
    ("fd_pwrite", "iiiIi"),
    ("fd_readdir", "iiiIi"),
    ("fd_renumber", "ii"),
    ("fd_sync", "i"),
    ("fd_tell", "ii"),
    ("path_create_directory", "iii"),
    ("path_filestat_set_times", "iiiiIIi"),
    ("path_link", "iiiiii"),
    ("path_readlink", "iiiiii"),
    ("path_remove_directory", "iii"),
    ("path_rename", "iiiiii"),
    ("path_symlink", "iiii"),
    ("path_unlink_file", "iii"),
    ("sock_accept", "iii"),
    ("sock_recv", "iiiiii"),
    ("sock_send", "iiiii"),
    ("sock_shutdown", "ii"),
    ("random_get", "ii"),
    ("sched_yield", ""),
    ("poll_oneoff", "iiii"),
    ("proc_exit", "i"),
    ("path_open", "iiiiiIIii"),
    ("fd_prestat_get", "ii"),
    ("fd_prestat_dir_name", "iii"),
    ("path_filestat_get", "iiiii"),
    ("fd_filestat_get", "ii"),
];

/// Addresses of the texts; below them is room for what the functions write.
const TEXTS: usize = 4096;

/// Calls everything and logs `NAME NUMBER ERRNO` for each call. The other arguments are 0.
fn module() -> Result<String> {
    let (mut imports, mut data, mut calls) = (String::new(), String::new(), String::new());
    let mut at = TEXTS;
    for (number, (name, params)) in FUNCTIONS.into_iter().enumerate() {
        let types: Vec<&str> = params.chars().map(|c| if c == 'i' { "i32" } else { "i64" }).collect();
        let result = if name == "proc_exit" { "" } else { "(result i32)" };
        let module = if number % 2 == 0 { "wasi_snapshot_preview1" } else { "wasi_unstable" };
        writeln!(
            imports,
            r#"(import "{module}" "{name}" (func ${name} (param {}) {result}))"#,
            types.join(" ")
        )?;
        for first in 0..4 {
            let text = format!("~{name} {first} ??");
            writeln!(data, r#"(data (i32.const {at}) "{text}")"#)?;
            let mut args = vec![format!("(i32.const {first})")];
            args.extend(types.iter().skip(1).map(|ty| format!("({ty}.const 0)")));
            let args = if types.is_empty() { String::new() } else { args.join(" ") };
            let end = at + text.len();
            let value = if name == "proc_exit" { "(i32.const 0)" } else { "" };
            writeln!(
                calls,
                "(call ${name} {args}) {value} (local.set $n)
                 (i32.store8 (i32.const {}) (i32.add (i32.const 48) (i32.div_u (local.get $n) (i32.const 10))))
                 (i32.store8 (i32.const {}) (i32.add (i32.const 48) (i32.rem_u (local.get $n) (i32.const 10))))
                 (drop (call $log (i32.const 3) (i32.const {at}) (i32.const {})))",
                end - 2,
                end - 1,
                text.len()
            )?;
            at = end;
        }
    }
    Ok(format!(
        r#"(module
            (import "env" "proxy_log" (func $log (param i32 i32 i32) (result i32)))
            {imports}
            (memory (export "memory") 1)
            {data}
            (func (export "proxy_abi_version_0_2_1"))
            (func (export "malloc") (param i32) (result i32) (i32.const 1024))
            (func (export "proxy_on_log") (param i32) (local $n i32) {calls}))"#
    ))
}

#[test]
fn envoy_2_11_every_wasi_function_answers_alike() -> Result<()> {
    let last = "fd_filestat_get 3 08";
    let (real, ours) = Case::new("wasi", module()?).lines(last)?;
    assert_eq!(real.len(), FUNCTIONS.len() * 4, "Envoy said {real:?}");
    assert_eq!(ours, real, "ours, Envoy's");
    Ok(())
}
