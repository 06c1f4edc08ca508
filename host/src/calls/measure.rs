//! Metrics (docs/envoy.md 2.8).

use super::{Answer, Call, Stop};
use crate::world::{MetricKind, MetricsError};
use tamis_abi::Status;

impl From<MetricsError> for Stop {
    fn from(error: MetricsError) -> Self {
        Stop::Tell(match error {
            MetricsError::Unknown => Status::NotFound,
            MetricsError::BadArgument => Status::BadArgument,
        })
    }
}

pub(super) fn define(call: &mut Call<'_, '_>, kind: u32, name: u32, nlen: u32, ret: u32) -> Answer {
    let kind = MetricKind::from_raw(kind).ok_or(Status::BadArgument)?;
    let (mut view, desk) = call.split()?;
    let id = desk.metrics.define(kind, view.read(name, nlen)?)?;
    Ok(view.write_u32(ret, id)?)
}

pub(super) fn increment(call: &mut Call<'_, '_>, id: u32, offset: i64) -> Answer {
    Ok(call.desk().metrics.increment(id, offset)?)
}

pub(super) fn record(call: &mut Call<'_, '_>, id: u32, value: i64) -> Answer {
    Ok(call.desk().metrics.record(id, value as u64)?)
}

pub(super) fn get(call: &mut Call<'_, '_>, id: u32, ret: u32) -> Answer {
    let (mut view, desk) = call.split()?;
    let value = desk.metrics.get(id)?;
    Ok(view.write_u64(ret, value)?)
}
