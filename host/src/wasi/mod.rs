//! WASI as Envoy links it: 45 functions under two module names, most of which say no (docs/envoy.md 2.11; the numbers
//! were measured by calling each of them in Envoy 1.40).

mod calls;

use crate::memory::{GuestView, OutOfBounds};
use tamis_traffic::LogLevel;
use wasmtime::{Caller, Linker, Memory, Result};

/// The module names under which Envoy links WASI.
const MODULES: [&str; 2] = ["wasi_snapshot_preview1", "wasi_unstable"];

/// What WASI needs of the store that it is linked into.
pub(crate) trait Host: 'static {
    /// Counts a call.
    ///
    /// # Errors
    /// When the function may not be called now (docs/envoy.md 1.4): the filter traps.
    fn enter(&mut self, name: &'static str) -> Result<()>;
    /// The filter's memory.
    fn memory(&self) -> Option<Memory>;
    /// Environment variables, in order.
    fn env(&self) -> &[(String, String)];
    /// `poll_oneoff` succeeds, as since Envoy 1.39.
    fn polls(&self) -> bool;
    /// Nanoseconds since the Unix epoch.
    fn wall(&self) -> u64;
    /// Nanoseconds of the monotonic clock.
    fn monotonic(&self) -> u64;
    /// Fills `out` with random bytes.
    fn random(&mut self, out: &mut [u8]);
    /// Takes a line that the filter wrote to a standard stream.
    fn log(&mut self, level: LogLevel, line: &[u8]);
}

/// Error numbers of WASI preview 1 that Envoy gives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Errno(pub(crate) u32);

impl Errno {
    pub(crate) const BAD_FD: Self = Self(8);
    pub(crate) const EXIST: Self = Self(20);
    pub(crate) const FAULT: Self = Self(21);
    pub(crate) const INVALID: Self = Self(28);
    pub(crate) const NO_ENTRY: Self = Self(44);
    pub(crate) const NO_SYSTEM: Self = Self(52);
    pub(crate) const NOT_SUPPORTED: Self = Self(58);
    pub(crate) const NOT_CAPABLE: Self = Self(76);
}

impl From<OutOfBounds> for Errno {
    fn from(_: OutOfBounds) -> Self {
        Self::FAULT
    }
}

/// What a function of WASI answers.
type Answer = std::result::Result<(), Errno>;

/// One call on its way.
struct Call<'a, 'b, T: Host> {
    caller: &'a mut Caller<'b, T>,
}

impl<T: Host> Call<'_, '_, T> {
    fn split(&mut self) -> std::result::Result<(GuestView<'_>, &mut T), Errno> {
        let memory = self.caller.data().memory().ok_or(Errno::FAULT)?;
        let (bytes, host) = memory.data_and_store_mut(&mut *self.caller);
        Ok((GuestView::new(bytes), host))
    }

    fn host(&mut self) -> &mut T {
        self.caller.data_mut()
    }
}

/// The only place with signatures of WASI: `NAME(PARAMETERS) => ANSWER;`, where the answer sees `call`.
macro_rules! table {
    ($linker:ident, $call:ident, $allowed:ident, $($name:ident($($p:ident: $ty:ty),*) => $answer:expr;)*) => {
        for module in MODULES {$(
            let open = $allowed(stringify!($name));
            $linker.func_wrap(module, stringify!($name), move |mut caller: Caller<'_, T>, $($p: $ty),*| -> Result<u32> {
                caller.data_mut().enter(stringify!($name))?;
                #[allow(unused_variables, unused_mut, reason = "most functions say no whatever they are given")]
                let mut $call = Call { caller: &mut caller };
                let answer: Answer = if open { $answer } else { Err(Errno::NOT_CAPABLE) };
                $(let _ = $p;)*
                Ok(answer.err().map_or(0, |errno| errno.0))
            })?;
        )*}
    };
}

/// Links all of it; what is not allowed says 76.
///
/// # Errors
/// When a function is linked already.
pub(crate) fn link<T: Host>(linker: &mut Linker<T>, allowed: impl Fn(&str) -> bool) -> Result<()> {
    const NO: Answer = Err(Errno::NOT_SUPPORTED);
    table! { linker, call, allowed,
        fd_write(fd: u32, iovs: u32, count: u32, ret: u32) => calls::write(&mut call, fd, iovs, count, ret);
        fd_pwrite(fd: u32, iovs: u32, count: u32, at: u64, ret: u32) => calls::write(&mut call, fd, iovs, count, ret);
        fd_read(fd: u32, iovs: u32, count: u32, ret: u32) => Err(Errno::NO_SYSTEM);
        fd_pread(fd: u32, iovs: u32, count: u32, at: u64, ret: u32) => Err(Errno::NO_SYSTEM);
        fd_seek(fd: u32, offset: u64, whence: u32, ret: u32) => calls::note(&mut call, "fd_seek");
        fd_close(fd: u32) => calls::note(&mut call, "fd_close");
        fd_tell(fd: u32, ret: u32) => calls::tell(&mut call, fd, ret);
        fd_fdstat_get(fd: u32, ret: u32) => calls::fdstat(&mut call, fd, ret);
        fd_fdstat_set_flags(fd: u32, flags: u32) => Err(Errno::NO_SYSTEM);
        fd_fdstat_set_rights(fd: u32, base: u64, inheriting: u64) => calls::stream(fd);
        fd_advise(fd: u32, at: u64, len: u64, advice: u32) => Ok(());
        fd_allocate(fd: u32, at: u64, len: u64) => calls::stream(fd);
        fd_datasync(fd: u32) => calls::stream(fd);
        fd_sync(fd: u32) => calls::stream(fd);
        fd_filestat_get(fd: u32, ret: u32) => Err(Errno::BAD_FD);
        fd_filestat_set_size(fd: u32, size: u64) => calls::stream(fd);
        fd_filestat_set_times(fd: u32, access: u64, change: u64, flags: u32) => calls::stream(fd);
        fd_readdir(fd: u32, buf: u32, len: u32, cookie: u64, ret: u32) => Err(Errno::EXIST);
        fd_renumber(from: u32, to: u32) => calls::stream(from).and_then(|()| calls::stream(to)).and(NO);
        fd_prestat_get(fd: u32, ret: u32) => Err(Errno::BAD_FD);
        fd_prestat_dir_name(fd: u32, path: u32, len: u32) => Err(Errno::NO_SYSTEM);
        path_open(fd: u32, follow: u32, path: u32, len: u32, flags: u32, base: u64, inheriting: u64, fdflags: u32, ret: u32) => Err(Errno::NO_ENTRY);
        path_create_directory(fd: u32, path: u32, len: u32) => NO;
        path_filestat_get(fd: u32, flags: u32, path: u32, len: u32, ret: u32) => NO;
        path_filestat_set_times(fd: u32, flags: u32, path: u32, len: u32, access: u64, change: u64, which: u32) => NO;
        path_link(fd: u32, flags: u32, path: u32, len: u32, to: u32, to_path: u32) => NO;
        path_readlink(fd: u32, path: u32, len: u32, buf: u32, size: u32, ret: u32) => NO;
        path_remove_directory(fd: u32, path: u32, len: u32) => NO;
        path_rename(fd: u32, path: u32, len: u32, to: u32, to_path: u32, to_len: u32) => NO;
        path_symlink(path: u32, len: u32, fd: u32, to_path: u32) => NO;
        path_unlink_file(fd: u32, path: u32, len: u32) => NO;
        sock_accept(fd: u32, flags: u32, ret: u32) => NO;
        sock_recv(fd: u32, iovs: u32, count: u32, flags: u32, ret: u32, ret_flags: u32) => NO;
        sock_send(fd: u32, iovs: u32, count: u32, flags: u32, ret: u32) => NO;
        sock_shutdown(fd: u32, how: u32) => NO;
        environ_get(list: u32, buf: u32) => calls::environ(&mut call, list, buf);
        environ_sizes_get(count: u32, size: u32) => calls::environ_sizes(&mut call, count, size);
        args_get(list: u32, buf: u32) => Ok(());
        args_sizes_get(count: u32, size: u32) => calls::words(&mut call, &[(count, 0), (size, 0)]);
        clock_time_get(id: u32, precision: u64, ret: u32) => calls::time(&mut call, id, ret);
        clock_res_get(id: u32, ret: u32) => calls::resolution(&mut call, id, ret);
        random_get(buf: u32, len: u32) => calls::random(&mut call, buf, len);
        poll_oneoff(wanted: u32, out: u32, count: u32, ret: u32) => calls::poll(&mut call, ret);
        sched_yield() => Ok(());
    }
    for module in MODULES {
        linker.func_wrap(module, "proc_exit", |mut caller: Caller<'_, T>, _: u32| -> Result<()> {
            caller.data_mut().enter("proc_exit")?;
            // It returns (docs/envoy.md 2.11): what the filter runs next is usually an `unreachable`.
            let _ = calls::note(&mut Call { caller: &mut caller }, "proc_exit");
            Ok(())
        })?;
    }
    Ok(())
}

#[cfg(test)]
mod tests;
