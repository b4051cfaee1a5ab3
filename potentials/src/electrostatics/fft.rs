//! Real three-dimensional Fourier transforms over planes, in parallel, with buffers that are kept.
use crate::simd::OCTET;
use rayon::prelude::*;
use realfft::{ComplexToReal, RealFftPlanner, RealToComplex};
use rustfft::num_complex::Complex;
use rustfft::num_traits::Zero;
use rustfft::{Fft, FftNum, FftPlanner};
use std::ops::AddAssign;
use std::sync::Arc;

/// Numbers beyond the end of each row of the real grid, so that eight can be read from any point.
pub(crate) const PAD: usize = OCTET;

/// A number of either precision.
pub(crate) trait Number: FftNum + AddAssign {}
impl<T: FftNum + AddAssign> Number for T {}

/// A real grid n1 x n2 x n3, its transforms and their buffers.
pub(crate) struct Grid<T: Number> {
    n: [usize; 3],
    /// Largest index of the third direction in the half spectrum, plus one.
    half: usize,
    /// Real values, rows of n3 + PAD.
    real: Vec<T>,
    planes: Vec<Plane<T>>,
    /// Spectrum, for each third index the lines along the first direction: [third][second][first].
    spectrum: Vec<Complex<T>>,
    scratch: Vec<Vec<Complex<T>>>,
    forward: [Arc<dyn Fft<T>>; 2],
    backward: [Arc<dyn Fft<T>>; 2],
    to_complex: Arc<dyn RealToComplex<T>>,
    to_real: Arc<dyn ComplexToReal<T>>,
}

/// Buffers of one plane of constant first index.
struct Plane<T> {
    /// [second][third]
    rows: Vec<Complex<T>>,
    /// [third][second]
    lines: Vec<Complex<T>>,
    scratch: Vec<Complex<T>>,
}

impl<T: Number> Grid<T> {
    pub(crate) fn new(n: [usize; 3]) -> Self {
        let half = n[2] / 2 + 1;
        let (mut plan, mut real_plan) = (FftPlanner::new(), RealFftPlanner::new());
        let forward = [plan.plan_fft_forward(n[0]), plan.plan_fft_forward(n[1])];
        let backward = [plan.plan_fft_inverse(n[0]), plan.plan_fft_inverse(n[1])];
        let (to_complex, to_real) = (real_plan.plan_fft_forward(n[2]), real_plan.plan_fft_inverse(n[2]));
        let zero = Complex::zero();
        let longest = |f: &[usize]| vec![zero; f.iter().copied().max().unwrap_or(0)];
        let plane = || Plane {
            rows: vec![zero; n[1] * half],
            lines: vec![zero; n[1] * half],
            scratch: longest(&[
                forward[1].get_inplace_scratch_len(),
                backward[1].get_inplace_scratch_len(),
                to_complex.get_scratch_len(),
                to_real.get_scratch_len(),
            ]),
        };
        let along_first = [forward[0].get_inplace_scratch_len(), backward[0].get_inplace_scratch_len()];
        Self {
            n,
            half,
            real: vec![T::zero(); n[0] * n[1] * (n[2] + PAD)],
            planes: (0..n[0]).map(|_| plane()).collect(),
            spectrum: vec![zero; n[0] * n[1] * half],
            scratch: (0..half).map(|_| longest(&along_first)).collect(),
            forward,
            backward,
            to_complex,
            to_real,
        }
    }
    pub(crate) fn size(&self) -> [usize; 3] {
        self.n
    }
    /// The real grid, with rows of n3 + PAD.
    pub(crate) fn real(&self) -> &[T] {
        &self.real
    }
    /// Transforms a grid whose planes `fill(first, plane)` gives, calls `change(third, spectrum plane)`, and transforms
    /// back without normalisation. The spectrum plane is [second][first]; rows of `fill` may use their padding, which
    /// is added to their beginning. Afterwards the padding repeats the beginning.
    pub(crate) fn convolve(
        &mut self,
        fill: impl Fn(usize, &mut [T]) + Sync,
        change: impl Fn(usize, &mut [Complex<T>]) + Sync,
    ) {
        let ([n1, n2, n3], half) = (self.n, self.half);
        let row = n3 + PAD;
        let (forward, backward) = (&self.forward, &self.backward);
        let (to_complex, to_real) = (&self.to_complex, &self.to_real);
        let planes = self.real.par_chunks_mut(n2 * row).zip(self.planes.par_iter_mut()).enumerate();
        planes.for_each(|(first, (real, plane))| {
            fill(first, real);
            for (real, line) in real.chunks_exact_mut(row).zip(plane.rows.chunks_exact_mut(half)) {
                let (body, tail) = real.split_at_mut(n3);
                for (x, y) in body.iter_mut().zip(tail) {
                    *x += *y;
                }
                // lengths are those of the plan
                let done = to_complex.process_with_scratch(body, line, &mut plane.scratch);
                debug_assert!(done.is_ok());
            }
            transpose(&plane.rows, half, &mut plane.lines);
            forward[1].process_with_scratch(&mut plane.lines, &mut plane.scratch);
        });
        let planes = &self.planes;
        let spectra = self.spectrum.par_chunks_mut(n2 * n1).zip(self.scratch.par_iter_mut()).enumerate();
        spectra.for_each(|(third, (spectrum, scratch))| {
            for (first, plane) in planes.iter().enumerate() {
                for (second, x) in plane.lines[third * n2..(third + 1) * n2].iter().enumerate() {
                    spectrum[second * n1 + first] = *x;
                }
            }
            forward[0].process_with_scratch(spectrum, scratch);
            change(third, spectrum);
            backward[0].process_with_scratch(spectrum, scratch);
        });
        let spectrum = &self.spectrum;
        let planes = self.real.par_chunks_mut(n2 * row).zip(self.planes.par_iter_mut()).enumerate();
        planes.for_each(|(first, (real, plane))| {
            for (x, s) in plane.lines.iter_mut().zip(spectrum.iter().skip(first).step_by(n1)) {
                *x = *s;
            }
            backward[1].process_with_scratch(&mut plane.lines, &mut plane.scratch);
            transpose(&plane.lines, n2, &mut plane.rows);
            for (real, line) in real.chunks_exact_mut(row).zip(plane.rows.chunks_exact_mut(half)) {
                // real by symmetry; rounding left something
                line[0].im = T::zero();
                if n3.is_multiple_of(2) {
                    line[half - 1].im = T::zero();
                }
                let (body, tail) = real.split_at_mut(n3);
                let done = to_real.process_with_scratch(line, body, &mut plane.scratch);
                debug_assert!(done.is_ok());
                tail.copy_from_slice(&body[..PAD]);
            }
        });
    }
}

/// Transposes rows of length `n`.
fn transpose<T: Number>(from: &[Complex<T>], n: usize, to: &mut [Complex<T>]) {
    let m = from.len() / n;
    for (k, row) in from.chunks_exact(n).enumerate() {
        for (l, x) in row.iter().enumerate() {
            to[l * m + k] = *x;
        }
    }
}

/// The smallest number with no prime factor above 7 that is at least `n`, and even.
pub(crate) fn smooth(n: usize) -> usize {
    let is_smooth = |mut k: usize| {
        for p in [2, 3, 5, 7] {
            while k.is_multiple_of(p) {
                k /= p;
            }
        }
        k == 1
    };
    let mut k = n.max(2).next_multiple_of(2);
    while !is_smooth(k) {
        k += 2;
    }
    k
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_round_trip_multiplies_by_the_number_of_points() {
        let n = [8, 9, 10];
        let mut grid = Grid::<f64>::new(n);
        let value = |a: usize, b: usize, c: usize| ((a * 13 + b * 7 + c * 3) % 11) as f64 - 4.0;
        let fill = |a: usize, plane: &mut [f64]| {
            plane.fill(0.0);
            for b in 0..n[1] {
                for c in 0..n[2] {
                    // through the padding where there is one
                    let at = if c < PAD && b == 3 { n[2] + c } else { c };
                    plane[b * (n[2] + PAD) + at] = value(a, b, c);
                }
            }
        };
        // a plane wave of the grid appears where it should
        grid.convolve(fill, |third, plane| {
            if third == 0 {
                let sum: f64 = (0..720).map(|k| value(k / 90, k / 10 % 9, k % 10)).sum();
                assert!((plane[0] - Complex::new(sum, 0.0)).norm() < 1e-10);
            }
        });
        for (k, x) in grid.real().iter().enumerate() {
            let (a, b, c) = (k / (9 * 18), k / 18 % 9, k % 18 % 10);
            assert!((x / 720.0 - value(a, b, c)).abs() < 1e-13);
        }
    }

    #[test]
    fn sizes_are_smooth() {
        assert_eq!([1, 11, 22, 64, 65, 121].map(smooth), [2, 12, 24, 64, 70, 126]);
    }
}
