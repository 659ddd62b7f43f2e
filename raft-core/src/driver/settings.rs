//! The limits and habits of a driver.

use thiserror::Error;

/// The limits of a driver, in bytes of payloads, and its habits.
///
/// It begins with [`Settings::default`]; every field can be set then.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[cfg_attr(feature = "serde", derive(serde::Serialize, serde::Deserialize))]
#[cfg_attr(feature = "serde", serde(default, rename_all = "kebab-case"))]
#[non_exhaustive]
pub struct Settings {
    /// One frame that leaves; a single command that is larger travels alone. By default 1 MiB.
    pub frame_bytes: u64,
    /// One command; a proposal with a larger one is refused. By default 16 MiB.
    pub command_bytes: u64,
    /// What is on the way to one peer, sent and not acknowledged; at least one command always is
    /// sent. A heartbeat may have to wait behind so much: it should be well below what the network
    /// carries within T. By default 8 MiB.
    pub in_flight_bytes: u64,
    /// What this leader has accepted and not committed; more is refused, unless nothing waits. By
    /// default 64 MiB.
    pub uncommitted_bytes: u64,
    /// What one [`Effect::Apply`] hands to the state machine; at least one entry. By default 4 MiB.
    ///
    /// [`Effect::Apply`]: crate::driver::Effect::Apply
    pub apply_bytes: u64,
    /// The durable end of the log that is kept in memory for peers and for the state machine. What
    /// lies before it is read from the host. By default 32 MiB.
    pub cached_bytes: u64,
    /// A snapshot is taken when so much was applied since the last one, each entry counted with 32
    /// bytes more than its payload; 0: only when asked for. By default 64 MiB.
    pub snapshot_bytes: u64,
    /// How much of the log before a snapshot is kept for followers that are behind, counted in the
    /// same way. By default 16 MiB.
    pub kept_bytes: u64,
    /// Whether proposals that are open when leadership is lost go on waiting for their fate, until
    /// their own deadline, instead of being answered [`Answer::Unknown`] at once. By default not.
    ///
    /// [`Answer::Unknown`]: crate::driver::Answer::Unknown
    pub waits_through_elections: bool,
    /// Whether a change of the membership is refused unless the log
    /// [`describes`](crate::driver::Payload::describes) every member, old and new. The same at all
    /// nodes. By default not.
    pub needs_descriptions: bool,
}

/// Why no driver has these settings.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Error)]
#[cfg_attr(feature = "serde", derive(serde::Serialize))]
#[cfg_attr(feature = "serde", serde(rename_all = "snake_case"))]
#[non_exhaustive]
pub enum SettingsError {
    /// A limit lets nothing pass.
    #[error("{limit} is 0")]
    Zero {
        /// The field of [`Settings`].
        limit: &'static str,
    },
    /// [`Settings::frame_bytes`] is more than [`Settings::in_flight_bytes`]: no frame could be so
    /// large.
    #[error("a frame of {frame} bytes, of which at most {in_flight} are on the way")]
    FrameAboveInFlight {
        /// The bytes of a frame.
        frame: u64,
        /// The bytes on the way.
        in_flight: u64,
    },
}

impl Settings {
    /// Whether a driver can have them.
    ///
    /// # Errors
    ///
    /// The first reason why not.
    pub const fn check(&self) -> Result<(), SettingsError> {
        let limit = match self {
            Self { frame_bytes: 0, .. } => "frame_bytes",
            Self { command_bytes: 0, .. } => "command_bytes",
            Self { in_flight_bytes: 0, .. } => "in_flight_bytes",
            Self { uncommitted_bytes: 0, .. } => "uncommitted_bytes",
            Self { apply_bytes: 0, .. } => "apply_bytes",
            Self { frame_bytes: frame, in_flight_bytes: in_flight, .. } if *frame > *in_flight => {
                let (frame, in_flight) = (*frame, *in_flight);
                return Err(SettingsError::FrameAboveInFlight { frame, in_flight });
            }
            _ => return Ok(()),
        };
        Err(SettingsError::Zero { limit })
    }

    /// The most bytes of payloads that a frame of a driver with these settings has: the limit for
    /// [`Frame::received`](crate::driver::Frame::received) where all nodes have the same settings.
    /// Whoever takes less stops the log before the first command that is larger.
    pub const fn largest_frame(&self) -> u64 {
        // One command travels alone, however large it is.
        if self.frame_bytes > self.command_bytes { self.frame_bytes } else { self.command_bytes }
    }
}

impl Default for Settings {
    fn default() -> Self {
        const MIB: u64 = 1 << 20;
        Self {
            frame_bytes: MIB,
            command_bytes: 16 * MIB,
            in_flight_bytes: 8 * MIB,
            uncommitted_bytes: 64 * MIB,
            apply_bytes: 4 * MIB,
            cached_bytes: 32 * MIB,
            snapshot_bytes: 64 * MIB,
            kept_bytes: 16 * MIB,
            waits_through_elections: false,
            needs_descriptions: false,
        }
    }
}
