//! Operations of the vector kernels, counted in a program that is built with the feature `count`: it runs them in plain Rust, slowly, and
//! each addition, subtraction, multiplication, division or root of a lane is one operation, a fused multiply-add two. Comparisons, moves and
//! what is not written in vectors are not counted.
#[cfg(feature = "count")]
use std::sync::atomic::{AtomicU64, Ordering};

#[cfg(feature = "count")]
static OPERATIONS: AtomicU64 = AtomicU64::new(0);

/// Adds to the count.
#[inline(always)]
pub(super) fn operations(_count: usize) {
    #[cfg(feature = "count")]
    OPERATIONS.fetch_add(_count as u64, Ordering::Relaxed);
}

/// Operations so far; `None` in a program that does not count them.
pub fn counted() -> Option<u64> {
    #[cfg(feature = "count")]
    return Some(OPERATIONS.load(Ordering::Relaxed));
    #[cfg(not(feature = "count"))]
    None
}
