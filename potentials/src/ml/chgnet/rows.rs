//! Small kernels on rows that are picked and summed by index.
use super::weights::{BOTH, WIDTH};
use crate::simd::{Level, Real, Vector, VectorKernel, run_vector};

/// out[r] = Σ_k p_k[index[r][k]], rows of 128.
pub(super) fn gather<T: Real>(level: Level, index: &[[u32; 3]], p: [&[T]; 3], out: &mut [T]) {
    run_vector(level, Gather { index, p, out });
}

/// out[r] = g[index[r][0]] * w[index[r][1]], rows of 64.
pub(super) fn weigh<T: Real>(level: Level, index: &[[u32; 2]], g: &[T], w: &[T], out: &mut [T]) {
    run_vector(level, Weigh { index, g, w, out });
}

/// into[index[r][0]] += w[index[r][1]] * x[r], rows of 64, in the order of r.
pub(super) fn add_products<T: Real>(level: Level, index: &[[u32; 2]], w: &[T], x: &[T], into: &mut [T]) {
    run_vector(level, AddProducts { index, w, x, into });
}

/// into[index[r]] += x[r], rows of 128, in the order of r.
pub(super) fn add_rows<T: Real>(level: Level, index: impl Iterator<Item = u32>, x: &[T], into: &mut [T]) {
    run_vector(level, AddRows { index, x, into });
}

/// out = Σ x[index], a row of 128.
pub(super) fn sum_rows<T: Real>(level: Level, index: impl Iterator<Item = u32>, x: &[T], out: &mut [T]) {
    run_vector(level, SumRows { index, x, out });
}

/// A vector at a place of a slice.
#[inline(always)]
fn load<V: Vector>(from: &[V::Scalar], at: usize) -> V {
    let from = &from[at..at + V::Scalar::LANES];
    // SAFETY: the slice holds a vector
    unsafe { V::load(from.as_ptr()) }
}

#[inline(always)]
fn store<V: Vector>(x: V, to: &mut [V::Scalar], at: usize) {
    let to = &mut to[at..at + V::Scalar::LANES];
    // SAFETY: the slice holds a vector
    unsafe { x.store(to.as_mut_ptr()) }
}

struct Gather<'a, T> {
    index: &'a [[u32; 3]],
    p: [&'a [T]; 3],
    out: &'a mut [T],
}

impl<T: Real> VectorKernel<T> for Gather<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        for (index, out) in self.index.iter().zip(self.out.chunks_exact_mut(BOTH)) {
            let row = |k: usize| &self.p[k][index[k] as usize * BOTH..][..BOTH];
            let (a, b, c) = (row(0), row(1), row(2));
            for k in (0..BOTH).step_by(T::LANES) {
                store(load::<V>(a, k) + load::<V>(b, k) + load::<V>(c, k), out, k);
            }
        }
    }
}

struct Weigh<'a, T> {
    index: &'a [[u32; 2]],
    g: &'a [T],
    w: &'a [T],
    out: &'a mut [T],
}

impl<T: Real> VectorKernel<T> for Weigh<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        for (index, out) in self.index.iter().zip(self.out.chunks_exact_mut(WIDTH)) {
            let g = &self.g[index[0] as usize * WIDTH..][..WIDTH];
            let w = &self.w[index[1] as usize * WIDTH..][..WIDTH];
            for k in (0..WIDTH).step_by(T::LANES) {
                store(load::<V>(g, k) * load::<V>(w, k), out, k);
            }
        }
    }
}

struct AddProducts<'a, T> {
    index: &'a [[u32; 2]],
    w: &'a [T],
    x: &'a [T],
    into: &'a mut [T],
}

impl<T: Real> VectorKernel<T> for AddProducts<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        for (index, x) in self.index.iter().zip(self.x.chunks_exact(WIDTH)) {
            let into = &mut self.into[index[0] as usize * WIDTH..][..WIDTH];
            let w = &self.w[index[1] as usize * WIDTH..][..WIDTH];
            for k in (0..WIDTH).step_by(T::LANES) {
                store(load::<V>(x, k).mul_add(load::<V>(w, k), load::<V>(into, k)), into, k);
            }
        }
    }
}

struct AddRows<'a, T, I> {
    index: I,
    x: &'a [T],
    into: &'a mut [T],
}

impl<T: Real, I: Iterator<Item = u32>> VectorKernel<T> for AddRows<'_, T, I> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        for (index, x) in self.index.zip(self.x.chunks_exact(BOTH)) {
            let into = &mut self.into[index as usize * BOTH..][..BOTH];
            for k in (0..BOTH).step_by(T::LANES) {
                store(load::<V>(x, k) + load::<V>(into, k), into, k);
            }
        }
    }
}

struct SumRows<'a, T, I> {
    index: I,
    x: &'a [T],
    out: &'a mut [T],
}

impl<T: Real, I: Iterator<Item = u32>> VectorKernel<T> for SumRows<'_, T, I> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let out = &mut self.out[..BOTH];
        out.fill(T::default());
        for index in self.index {
            let x = &self.x[index as usize * BOTH..][..BOTH];
            for k in (0..BOTH).step_by(T::LANES) {
                store(load::<V>(x, k) + load::<V>(out, k), out, k);
            }
        }
    }
}
