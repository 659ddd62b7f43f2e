//! The two joins of positions with payloads. (Being written.)
