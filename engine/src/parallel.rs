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

/// An index with a value; adding two keeps the larger value (NaN above all), the first index among equals.
#[derive(Clone, Copy)]
struct Largest(usize, f64);

impl Add for Largest {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        let above = other.1 > self.1 || (other.1.is_nan() && !self.1.is_nan());
        if above { other } else { self }
    }
}

/// The index and value of the largest `term(i)` for i in 0..n; NaN counts as larger than any number, so a
/// single bad value is always found. `None` for n = 0.
pub fn largest(n: usize, term: impl Fn(usize) -> f64 + Sync) -> Option<(usize, f64)> {
    let best = sum(n, Largest(usize::MAX, f64::NEG_INFINITY), |i| Largest(i, term(i)));
    match best {
        Largest(usize::MAX, _) if n == 0 => None,
        Largest(usize::MAX, v) => Some((0, v)),
        Largest(i, v) => Some((i, v)),
    }
}

/// Changes every item and sums what `f(i, &mut items[i])` returns, in one pass and with the order of additions
/// of [`sum`].
pub fn sum_mut<A: Send, T>(items: &mut [A], zero: T, f: impl Fn(usize, &mut A) -> T + Sync) -> T
where
    T: Copy + Send + Sync + Add<Output = T>,
{
    let block = |(b, chunk): (usize, &mut [A])| {
        chunk.iter_mut().enumerate().fold(zero, |s, (k, x)| s + f(b * BLOCK + k, x))
    };
    if items.len() <= 2 * BLOCK {
        return items.chunks_mut(BLOCK).enumerate().map(block).fold(zero, |s, x| s + x);
    }
    let partial: Vec<T> = items.par_chunks_mut(BLOCK).enumerate().map(block).collect();
    partial.into_iter().fold(zero, |s, x| s + x)
}

/// Calls `f(i, &mut a[i], &mut b[i])` for every index, in parallel when there are many.
///
/// # Panics
/// When the lengths differ.
pub fn for_each_mut2<A: Send, B: Send>(a: &mut [A], b: &mut [B], f: impl Fn(usize, &mut A, &mut B) + Sync) {
    assert_eq!(a.len(), b.len());
    if a.len() <= 2 * BLOCK {
        for (i, (x, y)) in a.iter_mut().zip(b).enumerate() {
            f(i, x, y);
        }
    } else {
        a.par_chunks_mut(BLOCK).zip(b.par_chunks_mut(BLOCK)).enumerate().for_each(|(k, (a, b))| {
            for (j, (x, y)) in a.iter_mut().zip(b).enumerate() {
                f(k * BLOCK + j, x, y);
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

    #[test]
    fn the_largest_is_the_first_of_equals_and_nan_wins() {
        let x: Vec<f64> = (0..5000).map(|i| f64::from(i % 1777)).collect();
        assert_eq!(largest(x.len(), |i| x[i]), Some((1776, 1776.0)));
        let (i, v) = largest(x.len(), |i| if i == 4001 { f64::NAN } else { x[i] }).unwrap();
        assert!(i == 4001 && v.is_nan());
        assert_eq!(largest(0, |_| 1.0), None);
    }
}
