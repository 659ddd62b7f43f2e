//! Snapshots as files: what it covers, the state, a checksum.

use crate::files::Dir;
use crate::log::{Bytes, crc};
use crate::node::Map;
use raft_core::{LogPosition, Snapshot};
use std::io::{Error, ErrorKind, Result};

/// The name of the file: in the order of names stands the order of indices.
fn name(position: LogPosition) -> String {
    format!("snapshot-{:020}-{}", position.index.get(), position.term)
}

pub(crate) fn encode(covers: &Snapshot, state: &Map) -> Bytes {
    let mut bytes = postcard::to_allocvec(&(covers, state)).expect("it has an encoding");
    let sum = crc(&bytes);
    bytes.extend(sum.to_le_bytes());
    bytes
}

pub(crate) fn decode(bytes: &[u8]) -> Result<(Snapshot, Map)> {
    let damaged = || Error::new(ErrorKind::InvalidData, "a snapshot is damaged");
    let (body, sum) = bytes.split_last_chunk::<4>().ok_or_else(damaged)?;
    if u32::from_le_bytes(*sum) != crc(body) {
        return Err(damaged());
    }
    postcard::from_bytes(body).map_err(|_| damaged())
}

pub(crate) fn save(dir: &impl Dir, position: LogPosition, bytes: &[u8]) -> Result<()> {
    dir.publish(&name(position), bytes)
}

pub(crate) fn load(dir: &impl Dir, position: LogPosition) -> Result<Bytes> {
    dir.read(&name(position))
}

pub(crate) fn remove(dir: &impl Dir, position: LogPosition) -> Result<()> {
    dir.remove(&name(position))
}

/// The newest one; older ones, which a crash has left, are removed.
pub(crate) fn newest(dir: &impl Dir) -> Result<Option<(Snapshot, Map)>> {
    let mut names = dir.names()?;
    names.retain(|name| name.starts_with("snapshot-"));
    names.sort();
    let newest = names.pop().map(|name| decode(&dir.read(&name)?)).transpose()?;
    names.iter().try_for_each(|name| dir.remove(name))?;
    Ok(newest)
}
