//! Products of a block of rows with a small constant matrix, C (+)= A W.
//!
//! W is packed once in panels of one vector of columns, so that the inner loop reads it in order: for a group of up to six
//! rows and four panels it keeps 24 sums in registers and does, for every k, four loads, six broadcasts and 24 fused
//! multiply-adds (AVX-512; six rows and one panel with AVX2). The order of additions for a number of C is that of k,
//! whatever the machine and the number of rows.
use super::Aligned;
use crate::simd::{Level, Real, Vector, VectorKernel, run_vector};

/// Rows whose sums are kept in registers together.
const ROWS: usize = 6;

/// A constant matrix of `inputs` rows and `outputs` columns, packed.
#[derive(Clone, Debug)]
pub struct Matrix<T> {
    inputs: usize,
    outputs: usize,
    panels: Aligned<T>,
}

impl<T: Real> Matrix<T> {
    /// The matrix with elements `at(input, output)`.
    ///
    /// # Panics
    /// When the number of outputs is no multiple of the 16 numbers of the longest vector.
    pub fn new(inputs: usize, outputs: usize, at: impl Fn(usize, usize) -> f64) -> Self {
        assert_eq!(outputs % 16, 0, "columns come in groups of sixteen");
        let mut panels = Aligned::zeros(inputs * outputs);
        for o in 0..outputs {
            for i in 0..inputs {
                panels[(o / T::LANES * inputs + i) * T::LANES + o % T::LANES] = T::from_f64(at(i, o));
            }
        }
        Self { inputs, outputs, panels }
    }
    /// Number of rows of W: the length of a row of A.
    pub fn inputs(&self) -> usize {
        self.inputs
    }
    /// Number of columns of W: the length of a row of C.
    pub fn outputs(&self) -> usize {
        self.outputs
    }
}

/// C = A W or C += A W for `rows` rows. Rows of A start every `a_stride`, those of C every `c_stride` numbers.
///
/// # Panics
/// When a slice is too short.
pub fn multiply<T: Real>(
    level: Level,
    rows: usize,
    a: (&[T], usize),
    w: &Matrix<T>,
    c: (&mut [T], usize),
    add: bool,
) {
    if rows == 0 {
        return;
    }
    assert!(a.0.len() >= (rows - 1) * a.1 + w.inputs);
    assert!(c.0.len() >= (rows - 1) * c.1 + w.outputs);
    run_vector(level, Product { rows, a, w, c, add });
}

struct Product<'a, T> {
    rows: usize,
    a: (&'a [T], usize),
    w: &'a Matrix<T>,
    c: (&'a mut [T], usize),
    add: bool,
}

impl<T: Real> VectorKernel<T> for Product<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let panels = self.w.outputs / T::LANES;
        let mut panel = 0;
        // SAFETY: `multiply` has checked the lengths
        unsafe {
            if V::WIDE {
                while panel + 4 <= panels {
                    self.panels::<V, 4>(panel);
                    panel += 4;
                }
            }
            while panel < panels {
                self.panels::<V, 1>(panel);
                panel += 1;
            }
        }
    }
}

impl<T: Real> Product<'_, T> {
    /// All rows, P panels.
    #[inline(always)]
    unsafe fn panels<V: Vector<Scalar = T>, const P: usize>(&self, panel: usize) {
        let mut row = 0;
        // SAFETY: as the caller promises
        unsafe {
            while row + ROWS <= self.rows {
                self.tile::<V, P, ROWS>(panel, row);
                row += ROWS;
            }
            match self.rows - row {
                1 => self.tile::<V, P, 1>(panel, row),
                2 => self.tile::<V, P, 2>(panel, row),
                3 => self.tile::<V, P, 3>(panel, row),
                4 => self.tile::<V, P, 4>(panel, row),
                5 => self.tile::<V, P, 5>(panel, row),
                _ => {}
            }
        }
    }
    /// R rows, P panels. (Pointers move by `wrapping_add`, which is not checked in every step of a debug build.)
    #[inline(always)]
    unsafe fn tile<V: Vector<Scalar = T>, const P: usize, const R: usize>(&self, panel: usize, row: usize) {
        let (k, lanes) = (self.w.inputs, T::LANES);
        // SAFETY: as the caller promises
        unsafe {
            let a = self.a.0.as_ptr().wrapping_add(row * self.a.1);
            let w = self.w.panels.as_ptr().wrapping_add(panel * k * lanes);
            let c = self.c.0.as_ptr().cast_mut().wrapping_add(row * self.c.1 + panel * lanes);
            let mut sums = [[V::splat(T::default()); P]; R];
            if self.add {
                for (r, sums) in sums.iter_mut().enumerate() {
                    for (p, sum) in sums.iter_mut().enumerate() {
                        *sum = V::load(c.wrapping_add(r * self.c.1 + p * lanes));
                    }
                }
            }
            for i in 0..k {
                let mut weights = [V::splat(T::default()); P];
                for (p, weight) in weights.iter_mut().enumerate() {
                    *weight = V::load(w.wrapping_add((p * k + i) * lanes));
                }
                for (r, sums) in sums.iter_mut().enumerate() {
                    let x = V::splat(*a.wrapping_add(r * self.a.1 + i));
                    for (sum, weight) in sums.iter_mut().zip(&weights) {
                        *sum = x.mul_add(*weight, *sum);
                    }
                }
            }
            for (r, sums) in sums.iter().enumerate() {
                for (p, sum) in sums.iter().enumerate() {
                    sum.store(c.wrapping_add(r * self.c.1 + p * lanes));
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn number(k: usize) -> f64 {
        ((k * 7919 % 1009) as f64 / 1009.0 - 0.5) * 1.25
    }

    fn check<T: Real>(epsilon: f64) {
        let level = Level::detect();
        for (rows, inputs, outputs) in [(1, 3, 16), (13, 64, 128), (48, 32, 64), (5, 128, 48)] {
            let w = Matrix::<T>::new(inputs, outputs, |i, o| number(i * outputs + o));
            let (a_stride, c_stride) = (inputs + 3, outputs + 16);
            let a: Vec<T> = (0..rows * a_stride).map(|k| T::from_f64(number(k + 17))).collect();
            let first: Vec<T> = (0..rows * c_stride).map(|k| T::from_f64(number(k + 5))).collect();
            for add in [false, true] {
                let mut c = first.clone();
                multiply(level, rows, (&a, a_stride), &w, (&mut c, c_stride), add);
                for other in [Level::Portable, Level::Avx2] {
                    let mut same = first.clone();
                    multiply(other, rows, (&a, a_stride), &w, (&mut same, c_stride), add);
                    assert_eq!(c, same, "{other:?}");
                }
                for (r, o) in (0..rows).flat_map(|r| (0..c_stride).map(move |o| (r, o))) {
                    let place = r * c_stride + o;
                    let mut expected = if add || o >= outputs { first[place].to_f64() } else { 0.0 };
                    if o < outputs {
                        for i in 0..inputs {
                            expected += a[r * a_stride + i].to_f64() * number(i * outputs + o);
                        }
                    }
                    assert!((c[place].to_f64() - expected).abs() < epsilon, "{rows} {inputs} {outputs}");
                }
            }
        }
    }

    #[test]
    fn products_are_right_and_the_same_at_every_level() {
        check::<f64>(1e-13);
        check::<f32>(1e-5);
    }

    /// Prints the rate of the product that dominates CHGNet (`cargo bench --bench peak` gives the peak).
    #[test]
    #[ignore = "a measurement"]
    fn rate() {
        fn measure<T: Real>(name: &str) {
            let (rows, inputs, outputs) = (48, 64, 128);
            let w = Matrix::<T>::new(inputs, outputs, |i, o| number(i * outputs + o));
            let a: Vec<T> = (0..rows * inputs).map(|k| T::from_f64(number(k))).collect();
            let mut c = vec![T::default(); rows * outputs];
            for _ in 0..3 {
                let start = std::time::Instant::now();
                let calls = 20_000;
                for _ in 0..calls {
                    multiply(Level::detect(), rows, (&a, inputs), &w, (&mut c, outputs), false);
                }
                let flop = 2.0 * (rows * inputs * outputs * calls) as f64;
                println!("{name}: {:.1} GFLOP/s", flop / start.elapsed().as_secs_f64() * 1e-9);
            }
        }
        measure::<f32>("f32");
        measure::<f64>("f64");
    }
}
