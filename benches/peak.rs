//! The most multiply-adds that this machine does, by one thread and by two: the roof of the rooflines in docs/benchmarks.md.
//!
//! `cargo bench --bench peak`
#![allow(clippy::print_stdout, reason = "it prints a table")]
use caloron_potentials::simd::{Level, Real, Vector, VectorKernel, run_vector};
use std::hint::black_box;
use std::time::Instant;

/// Independent sums, so that every multiply-add starts as soon as a unit is free.
struct Sums<T>(usize, T);

const SUMS: usize = 16;

impl<T: Real> VectorKernel<T> for Sums<T> {
    type Output = T;
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) -> T {
        let mut sums = [V::splat(T::default()); SUMS];
        let (a, b) = (V::splat(self.1), V::splat(T::from_f64(1e-3)));
        for _ in 0..self.0 {
            for sum in &mut sums {
                *sum = sum.mul_add(a, b);
            }
        }
        let mut all = sums[0];
        for sum in &sums[1..] {
            all = all + *sum;
        }
        all.sum()
    }
}

/// GFLOP/s, the best of five.
fn peak<T: Real>(threads: usize) -> f64 {
    let rounds = 8_000_000;
    let run = || black_box(run_vector(Level::detect(), Sums(rounds, black_box(T::from_f64(0.5)))));
    let seconds = || {
        let start = Instant::now();
        std::thread::scope(|scope| {
            for _ in 0..threads {
                scope.spawn(run);
            }
        });
        start.elapsed().as_secs_f64()
    };
    let best = (0..5).map(|_| seconds()).fold(f64::INFINITY, f64::min);
    2.0 * (threads * SUMS * T::LANES * rounds) as f64 / best * 1e-9
}

fn main() {
    println!("multiply-adds in registers, {:?}, GFLOP/s", Level::detect());
    for threads in [1, 2] {
        println!("{threads} thread(s): f32 {:.0}, f64 {:.0}", peak::<f32>(threads), peak::<f64>(threads));
    }
}
