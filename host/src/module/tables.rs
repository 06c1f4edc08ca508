//! What a filter may import, by ABI version (docs/envoy.md 1.2, 2.11). Functions of `env` are `tamis-abi`'s.

use super::AbiVersion;
use super::signature::Signature;

/// The module names under which Envoy links WASI.
pub(super) const WASI_MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// The 45 WASI functions (docs/envoy.md 2.11). `path_link` and `path_symlink` have Envoy's parameters, one fewer
/// than the standard's: a module that imports the standard ones does not load there.
pub(super) const WASI: &[(&str, &str)] = &[
    ("fd_write", "iiii>i"),
    ("fd_read", "iiii>i"),
    ("fd_seek", "iIii>i"),
    ("fd_close", "i>i"),
    ("fd_fdstat_get", "ii>i"),
    ("fd_fdstat_set_flags", "ii>i"),
    ("fd_fdstat_set_rights", "iII>i"),
    ("environ_get", "ii>i"),
    ("environ_sizes_get", "ii>i"),
    ("args_get", "ii>i"),
    ("args_sizes_get", "ii>i"),
    ("clock_time_get", "iIi>i"),
    ("clock_res_get", "ii>i"),
    ("fd_advise", "iIIi>i"),
    ("fd_allocate", "iII>i"),
    ("fd_datasync", "i>i"),
    ("fd_filestat_set_size", "iI>i"),
    ("fd_filestat_set_times", "iIIi>i"),
    ("fd_pread", "iiiIi>i"),
    ("fd_pwrite", "iiiIi>i"),
    ("fd_readdir", "iiiIi>i"),
    ("fd_renumber", "ii>i"),
    ("fd_sync", "i>i"),
    ("fd_tell", "ii>i"),
    ("path_create_directory", "iii>i"),
    ("path_filestat_set_times", "iiiiIIi>i"),
    ("path_link", "iiiiii>i"),
    ("path_readlink", "iiiiii>i"),
    ("path_remove_directory", "iii>i"),
    ("path_rename", "iiiiii>i"),
    ("path_symlink", "iiii>i"),
    ("path_unlink_file", "iii>i"),
    ("sock_accept", "iii>i"),
    ("sock_recv", "iiiiii>i"),
    ("sock_send", "iiiii>i"),
    ("sock_shutdown", "ii>i"),
    ("random_get", "ii>i"),
    ("sched_yield", ">i"),
    ("poll_oneoff", "iiii>i"),
    ("proc_exit", "i>"),
    ("path_open", "iiiiiIIii>i"),
    ("fd_prestat_get", "ii>i"),
    ("fd_prestat_dir_name", "iii>i"),
    ("path_filestat_get", "iiiii>i"),
    ("fd_filestat_get", "ii>i"),
];

/// The functions of WASI that Envoy had before 1.39 (docs/envoy.md 2.14).
const OLD_WASI: [&str; 18] = [
    "fd_write",
    "fd_read",
    "fd_seek",
    "fd_close",
    "fd_fdstat_get",
    "fd_fdstat_set_flags",
    "environ_get",
    "environ_sizes_get",
    "args_get",
    "args_sizes_get",
    "clock_time_get",
    "random_get",
    "sched_yield",
    "poll_oneoff",
    "proc_exit",
    "path_open",
    "fd_prestat_get",
    "fd_prestat_dir_name",
];

/// True for a function of WASI that Envoy has since 1.39 only.
pub(super) fn is_new_wasi(module: &str, name: &str) -> bool {
    WASI_MODULES.contains(&module) && !OLD_WASI.contains(&name)
}

/// The function that Envoy links for an import, or none.
pub(super) fn import(module: &str, name: &str, abi: AbiVersion) -> Option<Signature> {
    if WASI_MODULES.contains(&module) {
        return WASI.iter().find(|row| row.0 == name).map(|row| Signature::of(row.1));
    }
    let function = tamis_abi::function(name).filter(|f| module == "env" && f.linked_for(abi))?;
    Some(Signature::of_function(function))
}

/// The ABI versions that have a host function of `env`; empty when none has.
pub(super) fn versions_of(name: &str) -> Vec<AbiVersion> {
    let Some(function) = tamis_abi::function(name) else { return Vec::new() };
    AbiVersion::ALL.iter().copied().filter(|abi| function.linked_for(*abi)).collect()
}

/// The callbacks that Envoy looks for in a filter of this version (docs/envoy.md 1.4).
pub(super) fn callbacks(abi: AbiVersion) -> impl Iterator<Item = (&'static str, Signature)> {
    let known =
        move |c: &&tamis_abi::Callback| abi != AbiVersion::V0_1_0 || c.name != "proxy_on_foreign_function";
    tamis_abi::CALLBACKS
        .iter()
        .filter(known)
        .map(move |c| (c.name, Signature::of_words(c.params_in(abi), c.results)))
}
