//! Shared data, metrics and properties: what the host keeps.

use super::{Result, done, take};
use tamis_abi::MetricType;

#[link(wasm_import_module = "env")]
unsafe extern "C" {
    fn proxy_get_shared_data(k: *const u8, kl: usize, v: *mut *mut u8, vl: *mut usize, cas: *mut u32) -> u32;
    fn proxy_set_shared_data(k: *const u8, kl: usize, v: *const u8, vl: usize, cas: u32) -> u32;
    fn proxy_define_metric(kind: u32, name: *const u8, len: usize, id: *mut u32) -> u32;
    fn proxy_increment_metric(id: u32, by: i64) -> u32;
    fn proxy_record_metric(id: u32, value: u64) -> u32;
    fn proxy_get_property(path: *const u8, len: usize, data: *mut *mut u8, data_len: *mut usize) -> u32;
    fn proxy_set_property(path: *const u8, len: usize, data: *const u8, data_len: usize) -> u32;
}

pub(crate) fn shared_get(key: &[u8]) -> Result<(Vec<u8>, u32)> {
    let (mut data, mut len, mut cas) = (std::ptr::null_mut(), 0, 0);
    // SAFETY: as in the file above this one.
    let status = unsafe { proxy_get_shared_data(key.as_ptr(), key.len(), &mut data, &mut len, &mut cas) };
    Ok((take(status, data, len)?, cas))
}

pub(crate) fn shared_set(key: &[u8], value: &[u8], cas: u32) -> Result<()> {
    // SAFETY: as in the file above this one.
    done(unsafe { proxy_set_shared_data(key.as_ptr(), key.len(), value.as_ptr(), value.len(), cas) })
}

pub(crate) fn define_metric(kind: MetricType, name: &str) -> Result<u32> {
    let mut id = 0;
    // SAFETY: as in the file above this one.
    done(unsafe { proxy_define_metric(kind as u32, name.as_ptr(), name.len(), &mut id) })?;
    Ok(id)
}

pub(crate) fn increment_metric(id: u32, by: i64) -> Result<()> {
    // SAFETY: as in the file above this one.
    done(unsafe { proxy_increment_metric(id, by) })
}

pub(crate) fn record_metric(id: u32, value: u64) -> Result<()> {
    // SAFETY: as in the file above this one.
    done(unsafe { proxy_record_metric(id, value) })
}

pub(crate) fn property(path: &[u8]) -> Result<Vec<u8>> {
    let (mut data, mut len) = (std::ptr::null_mut(), 0);
    // SAFETY: as in the file above this one.
    let status = unsafe { proxy_get_property(path.as_ptr(), path.len(), &mut data, &mut len) };
    take(status, data, len)
}

pub(crate) fn set_property(path: &[u8], value: &[u8]) -> Result<()> {
    // SAFETY: as in the file above this one.
    done(unsafe { proxy_set_property(path.as_ptr(), path.len(), value.as_ptr(), value.len()) })
}
