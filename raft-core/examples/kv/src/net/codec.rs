//! Frames as bytes: a length, then as much.
//!
//! ```text
//! length | length of the envelope | envelope (postcard) | length, payload | length, payload | ...
//! ```
//!
//! Lengths are 32 bits, little endian. What arrives is checked here for its form, and by
//! [`Frame::received`] for its truth.

use crate::command::Record;
use raft_core::driver::{Frame, FrameError, SnapshotHead};
use raft_core::{Envelope, NodeId};
use std::io;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};

/// The longest frame, its length not counted.
pub const MAX_FRAME: usize = 1 << 20;
/// What a frame may need beside its payloads: the envelope, with all its runs and memberships.
pub const MAX_HEAD: u64 = 24 << 10;

/// Why bytes are no frame.
#[derive(Debug, Error)]
pub enum CodecError {
    /// The connection.
    #[error(transparent)]
    Connection(#[from] io::Error),
    /// It is too long.
    #[error("a frame of {0} bytes")]
    TooLong(usize),
    /// It has no form.
    #[error("a frame without form")]
    Malformed,
    /// It has a form, and lies.
    #[error(transparent)]
    Lie(#[from] FrameError),
}

/// Appends a frame to `out`.
///
/// # Errors
///
/// It is too long: nothing was appended.
pub fn encode(frame: &Frame<Record>, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode_parts(frame.envelope(), frame.payloads(), out)
}

/// Appends the head of a snapshot to `out`: a frame that carries nothing.
///
/// # Errors
///
/// As [`encode`].
pub fn encode_head(head: SnapshotHead, out: &mut Vec<u8>) -> Result<(), CodecError> {
    encode_parts(&head.into(), &[], out)
}

fn encode_parts(
    envelope: &Envelope,
    payloads: &[Record],
    out: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let begun = out.len();
    let envelope = postcard::to_stdvec(envelope).expect("it has an encoding");
    out.extend([0; 4]);
    put(&envelope, out);
    for payload in payloads {
        put(payload, out);
    }
    let length = out.len() - begun - 4;
    if length > MAX_FRAME {
        out.truncate(begun);
        return Err(CodecError::TooLong(length));
    }
    out[begun..begun + 4].copy_from_slice(&as_length(length));
    Ok(())
}

/// The frame in these bytes, which came from `sender`.
///
/// # Errors
///
/// They are no frame, or a lie.
pub fn decode(sender: NodeId, mut bytes: &[u8]) -> Result<Frame<Record>, CodecError> {
    let envelope: Envelope =
        postcard::from_bytes(take(&mut bytes)?).map_err(|_| CodecError::Malformed)?;
    let mut payloads = Vec::new();
    while !bytes.is_empty() {
        payloads.push(take(&mut bytes)?.into());
    }
    Ok(Frame::received(sender, envelope, payloads, MAX_FRAME as u64)?)
}

/// The head of a snapshot in these bytes, which came from `sender`.
///
/// # Errors
///
/// They are none, or a lie.
pub fn decode_head(sender: NodeId, mut bytes: &[u8]) -> Result<SnapshotHead, CodecError> {
    let envelope = postcard::from_bytes(take(&mut bytes)?).map_err(|_| CodecError::Malformed)?;
    if !bytes.is_empty() {
        return Err(CodecError::Malformed);
    }
    Ok(SnapshotHead::received(sender, envelope)?)
}

/// Writes some bytes as one frame.
///
/// # Errors
///
/// As the connection says.
pub async fn write_bytes(to: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    to.write_all(&as_length(bytes.len())).await?;
    to.write_all(bytes).await
}

/// Reads the bytes of the next frame into `bytes`; `false` if the connection was closed before it.
///
/// # Errors
///
/// The connection broke within a frame, or the frame is too long.
pub async fn read_bytes(
    from: &mut (impl AsyncRead + Unpin),
    bytes: &mut Vec<u8>,
) -> Result<bool, CodecError> {
    let mut length = [0; 4];
    match from.read(&mut length).await? {
        0 => return Ok(false),
        some => from.read_exact(&mut length[some..]).await?,
    };
    let length = u32::from_le_bytes(length) as usize;
    if length > MAX_FRAME {
        return Err(CodecError::TooLong(length));
    }
    bytes.resize(length, 0);
    from.read_exact(bytes).await?;
    Ok(true)
}

fn put(bytes: &[u8], out: &mut Vec<u8>) {
    out.extend(as_length(bytes.len()));
    out.extend(bytes);
}

fn take<'a>(bytes: &mut &'a [u8]) -> Result<&'a [u8], CodecError> {
    let (length, rest) = bytes.split_first_chunk::<4>().ok_or(CodecError::Malformed)?;
    let length = u32::from_le_bytes(*length) as usize;
    let (taken, rest) = rest.split_at_checked(length).ok_or(CodecError::Malformed)?;
    *bytes = rest;
    Ok(taken)
}

fn as_length(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("nothing so long is held in memory").to_le_bytes()
}

#[cfg(test)]
mod tests {
    use super::{CodecError, MAX_FRAME, MAX_HEAD, decode, encode, read_bytes};
    use crate::command::{Command, Record};
    use raft_core::driver::Frame;
    use raft_core::{
        AppendEntries, Entries, Envelope, LogIndex, LogPosition, Membership, Message, NodeId, Run,
        Term,
    };

    fn append(entries: Entries) -> Envelope {
        let (prev, commit) = (LogPosition::new(Term(3), LogIndex(7)), LogIndex(5));
        let message = Message::AppendEntries(AppendEntries { prev, entries, commit, probe: None });
        Envelope { from: NodeId(2), to: NodeId(1), term: Term(3), message }
    }

    fn frame(payloads: &[&[u8]]) -> Frame<Record> {
        let run = Run::Commands { term: Term(3), count: payloads.len() as u64 };
        let envelope = append([run].into_iter().collect());
        Frame::new(envelope, payloads.iter().map(|p| (*p).into()).collect()).expect("no lie")
    }

    #[test]
    fn a_frame_comes_back_and_no_part_of_it_does() {
        let (frame, mut bytes) = (frame(&[b"one", b"", b"three"]), Vec::new());
        encode(&frame, &mut bytes).expect("short");
        assert_eq!(decode(NodeId(2), &bytes[4..]).expect("whole"), frame);
        for end in 4..bytes.len() {
            assert!(decode(NodeId(2), &bytes[4..end]).is_err());
        }
        assert!(matches!(decode(NodeId(3), &bytes[4..]), Err(CodecError::Lie(_))), "not his");
        bytes.extend([0; 4]);
        assert!(matches!(decode(NodeId(2), &bytes[4..]), Err(CodecError::Lie(_))), "one more");
    }

    #[test]
    fn what_is_too_long_does_not_leave_and_is_not_read() {
        let (long, mut bytes) = (vec![0; MAX_FRAME], b"before".to_vec());
        assert!(encode(&frame(&[&long]), &mut bytes).is_err());
        assert_eq!(bytes, b"before");
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("room");
        let length = u32::try_from(MAX_FRAME + 1).expect("small").to_le_bytes();
        let read = runtime.block_on(read_bytes(&mut &length[..], &mut bytes));
        assert!(matches!(read, Err(CodecError::TooLong(_))));
    }

    #[test]
    fn the_largest_head_has_room_beside_the_largest_command() {
        let members = Membership::new((1..=128).map(NodeId), [], (200..328).map(NodeId));
        let membership = Box::new(members.expect("valid"));
        let mut entries = Entries::new();
        entries.push(Run::Commands { term: Term(3), count: 1 });
        for _ in 0..30 {
            entries.push(Run::Membership { term: Term(3), membership: membership.clone() });
        }
        let record: Record = vec![0; usize::try_from(Command::MAX_BYTES).expect("small")].into();
        let frame = Frame::new(append(entries), vec![record]).expect("no lie");
        let mut bytes = Vec::new();
        encode(&frame, &mut bytes).expect("room");
        assert!(bytes.len() as u64 <= Command::MAX_BYTES + MAX_HEAD);
    }
}
