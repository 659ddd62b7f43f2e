//! Whether what clients saw of a set of registers can have happened one operation after another,
//! each at one moment between its call and its return (Herlihy and Wing, 1990).
//!
//! There are three ways to find out, and they check one another:
//!
//! - the log index as witness: a checker of the simulator, with every event, see
//!   [`checker`](crate::checker);
//! - [`zones`]: from what the clients saw alone, where no key is given one value twice; n log n,
//!   however many clients there are;
//! - [`search`]: any history, with a budget; it answers [`Unknown`](Judgement::Unknown) when that
//!   is used up, never [`Linearizable`](Judgement::Linearizable).
//!
//! Keys are independent of one another, so each is judged alone.

pub(crate) mod call;
pub(crate) mod judge;
pub(crate) mod search;
pub(crate) mod seen;
pub(crate) mod zones;

pub use call::{Call, CallKind, Judgement};
pub use judge::judge;
pub use search::judge_search;
pub use seen::{Doubt, History};
pub use zones::judge_zones;
