//! Small things that every trace line needs.

use serde_json::Value;
use std::time::Duration;

/// Two objects as one.
pub(super) fn joined(head: Value, tail: Value) -> Value {
    match (head, tail) {
        (Value::Object(mut head), Value::Object(tail)) => {
            head.extend(tail);
            Value::Object(head)
        }
        _ => unreachable!("only objects are joined"),
    }
}

pub(super) fn nanos(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}
