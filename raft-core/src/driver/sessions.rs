//! Sessions: a command that comes again is answered as the first time, and not applied again (Raft
//! thesis, 6.3).
//!
//! They belong to the state machine, beside what else it holds: they change with what is applied
//! and with nothing else, go into its snapshots, and come back with them.

use crate::invariants::{Broken, holds};
use crate::types::{LIMIT, LogIndex};
use alloc::collections::btree_map::Entry;
use alloc::collections::{BTreeMap, BTreeSet};
use core::num::NonZeroU64;
use thiserror::Error;

/// Names a session. No two sessions of one state machine ever have the same name.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(transparent))]
pub struct SessionId(pub u64);

/// How much is remembered. It is part of what is replicated, so that everybody forgets the same.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct SessionLimits {
    /// How many sessions. One more, and the one that was used least recently expires. By default
    /// 10 000.
    pub sessions: NonZeroU64,
    /// How many answers of a session are kept until the client has received them: so many commands
    /// it may have under way. By default 64.
    pub answers: NonZeroU64,
    /// A session expires when it was not used for more than so many entries of the log; `None`:
    /// only where there are too many. By default 10 million.
    pub idle: Option<NonZeroU64>,
}

impl Default for SessionLimits {
    fn default() -> Self {
        const fn some(count: u64) -> NonZeroU64 {
            NonZeroU64::new(count).expect("not 0")
        }
        const SESSIONS: NonZeroU64 = some(10_000);
        const ANSWERS: NonZeroU64 = some(64);
        const IDLE: NonZeroU64 = some(10_000_000);
        Self { sessions: SESSIONS, answers: ANSWERS, idle: Some(IDLE) }
    }
}

/// What a client sends beside each command. It is the same whenever the command is sent again, but
/// for `received`.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
pub struct Request {
    /// Whose command it is.
    pub session: SessionId,
    /// The client's own number for it, from 1 on. Several may be under way; they are applied in the
    /// order of the log, whatever their numbers are. A number may be left out.
    pub number: u64,
    /// The client has the answers of all its commands up to this number, or does not want them any
    /// more: they are forgotten. A command up to this number that was not applied never will be.
    pub received: u64,
}

/// Why a command is not applied, and not answered.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// There is no such session, or no more. Nobody knows whether the command was applied while
    /// there was one; it is not applied any more.
    #[error("the session has expired")]
    Expired,
    /// The client has said that it has the answer, or does not want it.
    #[error("the client has said that it has received number {received}")]
    Received {
        /// Up to which number.
        received: u64,
    },
    /// So many answers wait to be received. It was not applied, and may come again.
    #[error("{limit} answers were not received yet")]
    TooManyOpen {
        /// The limit.
        limit: u64,
    },
    /// It says that its own answer was received already. It has changed nothing.
    #[error("number {number} comes after the receipt of {received}")]
    Malformed {
        /// The number of the command.
        number: u64,
        /// What is said to be received.
        received: u64,
    },
}

/// The sessions of a state machine, with the answers `R` that may be asked for again.
///
/// A command is applied at most once in the life of its session, and a session that has expired
/// never comes back. What expires follows from what was applied, and where it stood in the log:
/// no clock is asked.
///
/// Invariants: each session stands in `by_use` once, as it was used last; it keeps no answer that
/// was received; every name is below `next`.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(try_from = "Unchecked<R>", into = "Unchecked<R>"))]
#[cfg_attr(feature = "serde", serde(bound(serialize = "R: Clone + serde::Serialize")))]
pub struct Sessions<R> {
    limits: SessionLimits,
    next: u64,
    open: BTreeMap<SessionId, Session<R>>,
    by_use: BTreeSet<(LogIndex, SessionId)>,
}

#[derive(Clone, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
struct Session<R> {
    used: LogIndex,
    received: u64,
    answers: BTreeMap<u64, R>,
}

impl<R> Sessions<R> {
    /// No session yet.
    pub const fn new(limits: SessionLimits) -> Self {
        Self { limits, next: 0, open: BTreeMap::new(), by_use: BTreeSet::new() }
    }

    /// The command *open a session*, which stands at this index, is applied. A client that does not
    /// learn the name opens another one, and this one expires.
    pub fn open(&mut self, at: LogIndex) -> SessionId {
        self.expire(at);
        while self.len() >= self.limits.sessions.get()
            && let Some((_, oldest)) = self.by_use.first().copied()
        {
            self.close(oldest);
        }
        let id = SessionId(self.next);
        self.next += 1;
        self.open.insert(id, Session { used: at, received: 0, answers: BTreeMap::new() });
        self.by_use.insert((at, id));
        id
    }

    /// A command that stands at this index is applied by `run`, unless it was before: its answer.
    ///
    /// # Errors
    ///
    /// It is not applied, now or later, but for [`SessionError::TooManyOpen`].
    pub fn apply(
        &mut self,
        at: LogIndex,
        request: Request,
        run: impl FnOnce() -> R,
    ) -> Result<&R, SessionError> {
        let Request { session, number, received } = request;
        if received >= number {
            return Err(SessionError::Malformed { number, received });
        }
        let limit = self.limits.answers.get();
        let session = self.used(at, session, received)?;
        if number <= session.received {
            return Err(SessionError::Received { received: session.received });
        }
        let is_full = session.answers.len() as u64 >= limit;
        match session.answers.entry(number) {
            Entry::Occupied(answer) => Ok(answer.into_mut()),
            Entry::Vacant(_) if is_full => Err(SessionError::TooManyOpen { limit }),
            Entry::Vacant(place) => Ok(place.insert(run())),
        }
    }

    /// The command *I am still here* of a client that has nothing else to say.
    ///
    /// # Errors
    ///
    /// [`SessionError::Expired`].
    pub fn keep(
        &mut self,
        at: LogIndex,
        session: SessionId,
        received: u64,
    ) -> Result<(), SessionError> {
        self.used(at, session, received).map(|_| ())
    }

    /// The command *close this session*. Whether there was one.
    pub fn close(&mut self, session: SessionId) -> bool {
        let closed = self.open.remove(&session);
        closed.is_some_and(|closed| self.by_use.remove(&(closed.used, session)))
    }

    /// The command *remember so much from now on*. What is too much by it goes when the next
    /// session is opened, and the answers when they are received.
    pub const fn limit(&mut self, limits: SessionLimits) {
        self.limits = limits;
    }

    /// How many sessions there are.
    pub fn len(&self) -> u64 {
        self.open.len() as u64
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.open.is_empty()
    }

    /// This session is used now, and everything up to `received` may be forgotten.
    fn used(
        &mut self,
        at: LogIndex,
        id: SessionId,
        received: u64,
    ) -> Result<&mut Session<R>, SessionError> {
        self.expire(at);
        let session = self.open.get_mut(&id).ok_or(SessionError::Expired)?;
        self.by_use.remove(&(session.used, id));
        session.used = at;
        self.by_use.insert((at, id));
        if received > session.received {
            session.received = received;
            session.answers.retain(|number, _| *number > received);
        }
        Ok(session)
    }

    /// Closes what was not used for too long.
    fn expire(&mut self, at: LogIndex) {
        let Some(idle) = self.limits.idle else { return };
        while let Some((used, id)) = self.by_use.first().copied()
            && at.since(used) > idle.get()
        {
            self.close(id);
        }
    }
}

/// Sessions as a snapshot holds them. What is read back keeps the invariants, whatever was done to
/// it.
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(rename = "Sessions"))]
struct Unchecked<R> {
    limits: SessionLimits,
    next: u64,
    open: BTreeMap<SessionId, Session<R>>,
}

impl<R> From<Sessions<R>> for Unchecked<R> {
    fn from(sessions: Sessions<R>) -> Self {
        let Sessions { limits, next, open, .. } = sessions;
        Self { limits, next, open }
    }
}

impl<R> TryFrom<Unchecked<R>> for Sessions<R> {
    type Error = Broken;

    fn try_from(read: Unchecked<R>) -> Result<Self, Broken> {
        let Unchecked { limits, next, open } = read;
        let named = open.keys().all(|id| id.0 < next) && next <= LIMIT;
        holds(named, "a session has a name of the past")?;
        let kept =
            |session: &Session<R>| session.answers.keys().all(|number| *number > session.received);
        holds(open.values().all(kept), "an answer that was received is forgotten")?;
        let by_use = open.iter().map(|(id, session)| (session.used, *id)).collect();
        Ok(Self { limits, next, open, by_use })
    }
}

#[cfg(test)]
mod tests {
    use super::{Request, SessionError, SessionId, SessionLimits, Sessions};
    use crate::types::LogIndex;
    use core::num::NonZeroU64;

    fn of(sessions: u64, answers: u64, idle: u64) -> Sessions<&'static str> {
        let some = |count| NonZeroU64::new(count).expect("not 0");
        let (sessions, answers) = (some(sessions), some(answers));
        Sessions::new(SessionLimits { sessions, answers, idle: NonZeroU64::new(idle) })
    }

    fn apply(
        sessions: &mut Sessions<&'static str>,
        at: u64,
        (session, number, received): (SessionId, u64, u64),
        answer: &'static str,
    ) -> Result<&'static str, SessionError> {
        let request = Request { session, number, received };
        sessions.apply(LogIndex(at), request, || answer).copied()
    }

    #[test]
    fn a_command_that_comes_again_is_answered_as_the_first_time_in_any_order() {
        let mut sessions = of(9, 9, 0);
        let id = sessions.open(LogIndex(1));
        assert_eq!(apply(&mut sessions, 2, (id, 3, 0), "three"), Ok("three"));
        assert_eq!(apply(&mut sessions, 3, (id, 1, 0), "one"), Ok("one"));
        assert_eq!(apply(&mut sessions, 4, (id, 3, 0), "again"), Ok("three"));
        assert_eq!(apply(&mut sessions, 5, (id, 1, 0), "again"), Ok("one"));
        let other = sessions.open(LogIndex(6));
        assert_eq!(apply(&mut sessions, 7, (other, 3, 0), "mine"), Ok("mine"), "of another client");
    }

    #[test]
    fn what_was_received_is_forgotten_and_never_applied_again() {
        let mut sessions = of(9, 9, 0);
        let id = sessions.open(LogIndex(1));
        assert_eq!(apply(&mut sessions, 2, (id, 1, 0), "one"), Ok("one"));
        assert_eq!(apply(&mut sessions, 3, (id, 4, 2), "four"), Ok("four"));
        for number in [1, 2] {
            let late = apply(&mut sessions, 4, (id, number, 0), "late");
            assert_eq!(late, Err(SessionError::Received { received: 2 }), "number {number}");
        }
        assert_eq!(apply(&mut sessions, 5, (id, 3, 1), "three"), Ok("three"), "it was left out");
        let malformed = SessionError::Malformed { number: 5, received: 5 };
        assert_eq!(apply(&mut sessions, 6, (id, 5, 5), "five"), Err(malformed));
        assert_eq!(apply(&mut sessions, 7, (id, 5, 2), "five"), Ok("five"), "nothing was changed");
    }

    #[test]
    fn answers_that_nobody_receives_are_limited_and_room_is_made_by_receiving() {
        let mut sessions = of(9, 2, 0);
        let id = sessions.open(LogIndex(1));
        for number in [1, 2] {
            assert_eq!(apply(&mut sessions, 2, (id, number, 0), "done"), Ok("done"));
        }
        let full = Err(SessionError::TooManyOpen { limit: 2 });
        assert_eq!(apply(&mut sessions, 3, (id, 3, 0), "three"), full);
        assert_eq!(apply(&mut sessions, 4, (id, 2, 0), "again"), Ok("done"), "it is known");
        assert_eq!(apply(&mut sessions, 5, (id, 3, 1), "three"), Ok("three"), "it was not applied");
        let (wider, before) = (of(9, 3, 0).limits, sessions.clone());
        assert_eq!(apply(&mut sessions, 6, (id, 4, 0), "four"), full);
        sessions = before;
        sessions.limit(wider);
        assert_eq!(apply(&mut sessions, 6, (id, 4, 0), "four"), Ok("four"));
    }

    #[test]
    fn the_session_that_was_used_least_recently_makes_room_for_another() {
        let mut sessions = of(2, 9, 0);
        let (a, b) = (sessions.open(LogIndex(1)), sessions.open(LogIndex(2)));
        assert_eq!(sessions.keep(LogIndex(3), a, 0), Ok(()));
        let c = sessions.open(LogIndex(4));
        assert_eq!(apply(&mut sessions, 5, (b, 1, 0), "late"), Err(SessionError::Expired));
        assert_eq!(apply(&mut sessions, 6, (a, 1, 0), "a"), Ok("a"));
        assert_eq!((sessions.len(), sessions.is_empty()), (2, false));
        assert!(sessions.close(c) && !sessions.close(c));
        assert_eq!(sessions.keep(LogIndex(7), c, 0), Err(SessionError::Expired));
    }

    #[test]
    fn a_session_expires_by_what_was_applied_since_it_was_used() {
        let mut sessions = of(9, 9, 10);
        let (a, b) = (sessions.open(LogIndex(1)), sessions.open(LogIndex(2)));
        assert_eq!(apply(&mut sessions, 11, (a, 1, 0), "a"), Ok("a"));
        assert_eq!(sessions.len(), 2);
        assert_eq!(apply(&mut sessions, 13, (b, 1, 0), "late"), Err(SessionError::Expired));
        assert_eq!(sessions.len(), 1);
        let c = sessions.open(LogIndex(22));
        assert_eq!(sessions.len(), 1, "the first one was used at 11");
        assert_ne!(c, b, "a name is never given again");
    }
}
