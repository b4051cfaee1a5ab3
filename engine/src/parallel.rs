//! Parallel loops and sums whose result does not depend on the number of threads.
//!
//! Every sum runs over fixed blocks of [`BLOCK`] items, each added in order, and the block sums are added in
//! order. Small arrays stay on the calling thread; the arithmetic is the same.
use rayon::prelude::*;
use std::ops::Add;

/// Items per block of a sum.
pub const BLOCK: usize = 1024;

/// Sum of `term(i)` for i in 0..n, with a fixed order of additions.
pub fn sum<T>(n: usize, zero: T, term: impl Fn(usize) -> T + Sync) -> T
where
    T: Copy + Send + Sync + Add<Output = T>,
{
    let block = |b: usize| (b * BLOCK..((b + 1) * BLOCK).min(n)).fold(zero, |s, i| s + term(i));
    let blocks = n.div_ceil(BLOCK);
    if blocks <= 2 {
        return (0..blocks).fold(zero, |s, b| s + block(b));
    }
    let partial: Vec<T> = (0..blocks).into_par_iter().map(block).collect();
    partial.into_iter().fold(zero, |s, x| s + x)
}

/// Calls `f(i, &mut items[i])` for every item, in parallel when there are many.
pub fn for_each_mut<T: Send>(items: &mut [T], f: impl Fn(usize, &mut T) + Sync) {
    if items.len() <= 2 * BLOCK {
        for (i, x) in items.iter_mut().enumerate() {
            f(i, x);
        }
    } else {
        items.par_chunks_mut(BLOCK).enumerate().for_each(|(b, chunk)| {
            for (k, x) in chunk.iter_mut().enumerate() {
                f(b * BLOCK + k, x);
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_have_the_same_bits_for_any_number_of_threads() {
        let term = |i: usize| ((i as f64) * 0.37).sin() / (1.0 + i as f64);
        let with = |t: usize| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(t).build().unwrap();
            pool.install(|| sum(100_003, 0.0, term)).to_bits()
        };
        assert!((2..=8).all(|t| with(t) == with(1)));
    }
}
