//! The gated layer on a block of rows, forward and in reverse.
//!
//! A row holds core and gate beside each other, 2 x 64 numbers. The layer norm of y subtracts its mean, which is linear in what y
//! is made from: the mean over the outputs is taken out of the last linear map (weights and bias) beforehand, so that y has mean
//! zero, and the transposed map takes the mean out of the derivatives by itself. What is left is
//!
//! n = y r,  r = 1/sqrt(⟨y²⟩ + 1e-5),  u = γ n + β,  m = silu(u_core) σ(u_gate)
//!
//! and in reverse, for n̄ = γ ū: ȳ = r (n̄ − n ⟨n n̄⟩).
use super::weights::{BOTH, Gated, WIDTH};
use crate::ml::kernels::gemm::{Matrix, multiply};
use crate::simd::{Level, Real, Vector, VectorKernel, run_vector};

/// Added to the variance by the norms.
pub(super) const EPSILON: f64 = 1e-5;

/// A linear map of features to core and gate and the way back.
#[derive(Clone, Debug)]
pub(super) struct Part<T> {
    pub forward: Matrix<T>,
    pub reverse: Matrix<T>,
}

/// Norms of core and gate.
#[derive(Clone, Debug)]
pub(super) struct Norms<T> {
    /// Bias of the linear map before them.
    bias: Vec<T>,
    scale: Vec<T>,
    shift: Vec<T>,
}

/// Everything behind the first linear map of a layer with a hidden layer.
#[derive(Clone, Debug)]
pub(super) struct Hidden<T> {
    bias: Vec<T>,
    core: Matrix<T>,
    gate: Matrix<T>,
    core_reverse: Matrix<T>,
    gate_reverse: Matrix<T>,
}

/// Weights [output][input] of core and gate beside each other, and bias; with the mean over the outputs taken out if asked.
struct Joined {
    rows: Vec<Vec<f64>>,
    bias: Vec<f64>,
}

impl Joined {
    fn new(core: &super::weights::Linear, gate: &super::weights::Linear, centered: bool) -> Self {
        let inputs = core.weight.shape[1];
        let (mut rows, mut bias) = (Vec::new(), Vec::new());
        for map in [core, gate] {
            let w = &map.weight.data;
            let mean = |of: &dyn Fn(usize) -> f64| {
                if centered { (0..WIDTH).map(of).sum::<f64>() / WIDTH as f64 } else { 0.0 }
            };
            let means: Vec<f64> = (0..inputs).map(|i| mean(&|o| w[o * inputs + i])).collect();
            let shift = mean(&|o| map.bias[o]);
            for o in 0..WIDTH {
                rows.push((0..inputs).map(|i| w[o * inputs + i] - means[i]).collect());
                bias.push(map.bias[o] - shift);
            }
        }
        Self { rows, bias }
    }
    /// The map of the k-th 64 inputs.
    fn part<T: Real>(&self, k: usize) -> Part<T> {
        Part {
            forward: Matrix::new(WIDTH, BOTH, |i, o| self.rows[o][k * WIDTH + i]),
            reverse: Matrix::new(BOTH, WIDTH, |o, i| self.rows[o][k * WIDTH + i]),
        }
    }
}

/// The pieces of a gated layer: maps of the N concatenated inputs, what is hidden (if anything is), norms.
pub(super) struct Pieces<T, const N: usize> {
    pub parts: [Part<T>; N],
    pub hidden: Option<Hidden<T>>,
    pub norms: Norms<T>,
}

impl<T: Real, const N: usize> Pieces<T, N> {
    pub fn new(g: &Gated) -> Self {
        let all = |x: &[f64]| -> Vec<T> { x.iter().map(|&x| T::from_f64(x)).collect() };
        let last = g.core.len() - 1;
        let first = Joined::new(&g.core[0], &g.gate[0], last == 0);
        let end = Joined::new(&g.core[last], &g.gate[last], true);
        let square =
            |from: usize, transposed: bool| {
                Matrix::new(WIDTH, WIDTH, |a, b| {
                    if transposed { end.rows[from + a][b] } else { end.rows[from + b][a] }
                })
            };
        let hidden = (last > 0).then(|| Hidden {
            bias: all(&first.bias),
            core: square(0, false),
            gate: square(WIDTH, false),
            core_reverse: square(0, true),
            gate_reverse: square(WIDTH, true),
        });
        let [[s1, b1], [s2, b2]] = &g.norms;
        let norms = Norms {
            bias: all(&end.bias),
            scale: all(&[s1.as_slice(), s2].concat()),
            shift: all(&[b1.as_slice(), b2].concat()),
        };
        Self { parts: std::array::from_fn(|k| first.part(k)), hidden, norms }
    }
}

impl<T: Real> Hidden<T> {
    /// From the sums h of the parts: y (without its bias), and silu'(h) in the place of h when `slopes`.
    pub fn forward(&self, level: Level, rows: usize, h: &mut [T], s: &mut [T], y: &mut [T], slopes: bool) {
        run_vector(level, Silu { rows, width: BOTH, bias: &self.bias, h, s, slopes });
        multiply(level, rows, (s, BOTH), &self.core, (y, BOTH), false);
        multiply(level, rows, (&s[WIDTH..], BOTH), &self.gate, (&mut y[WIDTH..], BOTH), false);
    }
    /// From ȳ and silu'(h): h̄, in the place of `s`.
    pub fn reverse(&self, level: Level, rows: usize, slopes: &[T], y: &[T], s: &mut [T]) {
        multiply(level, rows, (y, BOTH), &self.core_reverse, (s, BOTH), false);
        multiply(level, rows, (&y[WIDTH..], BOTH), &self.gate_reverse, (&mut s[WIDTH..], BOTH), false);
        run_vector(level, Times { len: rows * BOTH, x: slopes, y: s });
    }
}

impl<T: Real> Norms<T> {
    /// m from y.
    pub fn forward(&self, level: Level, rows: usize, y: &[T], m: &mut [T]) {
        run_vector(level, Gate { rows, norms: self, y, m });
    }
    /// ȳ in the place of y, and m in the place of m̄.
    pub fn reverse(&self, level: Level, rows: usize, y: &mut [T], m: &mut [T]) {
        run_vector(level, GateReverse { rows, norms: self, y, m });
    }
}

/// s = silu(h + bias) of rows with an even number of vectors, and silu' in the place of h.
pub(super) struct Silu<'a, T> {
    pub rows: usize,
    pub width: usize,
    pub bias: &'a [T],
    pub h: &'a mut [T],
    pub s: &'a mut [T],
    pub slopes: bool,
}

impl<T: Real> VectorKernel<T> for Silu<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let (half, n) = (self.width / 2, self.rows * self.width);
        assert!(half % T::LANES == 0 && self.bias.len() >= self.width);
        assert!(self.h.len() >= n && self.s.len() >= n);
        let (h, s, bias) = (self.h.as_mut_ptr(), self.s.as_mut_ptr(), self.bias.as_ptr());
        let one = V::splat(T::from_f64(1.0));
        for row in 0..self.rows {
            for k in (0..half).step_by(T::LANES) {
                let a = row * self.width + k;
                let b = a + half;
                // SAFETY: within the lengths asserted above
                unsafe {
                    let x = V::load(h.wrapping_add(a)) + V::load(bias.wrapping_add(k));
                    let y = V::load(h.wrapping_add(b)) + V::load(bias.wrapping_add(k + half));
                    let (p, q) = V::sigmoid_pair(x, y);
                    let (f, g) = (x * p, y * q);
                    f.store(s.wrapping_add(a));
                    g.store(s.wrapping_add(b));
                    if self.slopes {
                        // σ + silu (1 - σ)
                        f.mul_add(one - p, p).store(h.wrapping_add(a));
                        g.mul_add(one - q, q).store(h.wrapping_add(b));
                    }
                }
            }
        }
    }
}

/// y *= x.
pub(super) struct Times<'a, T> {
    pub len: usize,
    pub x: &'a [T],
    pub y: &'a mut [T],
}

impl<T: Real> VectorKernel<T> for Times<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        assert!(self.len <= self.x.len() && self.len <= self.y.len() && self.len.is_multiple_of(T::LANES));
        let (x, y) = (self.x.as_ptr(), self.y.as_mut_ptr());
        for k in (0..self.len).step_by(T::LANES) {
            // SAFETY: within the lengths asserted above
            unsafe { (V::load(x.wrapping_add(k)) * V::load(y.wrapping_add(k))).store(y.wrapping_add(k)) }
        }
    }
}

/// A vector k numbers behind a place.
#[inline(always)]
unsafe fn at<V: Vector>(p: *const V::Scalar, k: usize) -> V {
    // SAFETY: as the caller promises
    unsafe { V::load(p.wrapping_add(k)) }
}

/// Sum of products of two rows of 64, lanes first.
#[inline(always)]
unsafe fn dot<V: Vector>(x: *const V::Scalar, y: *const V::Scalar) -> V::Scalar {
    let mut sum = V::splat(V::Scalar::default());
    for k in (0..WIDTH).step_by(V::Scalar::LANES) {
        // SAFETY: as the caller promises
        unsafe { sum = V::load(x.wrapping_add(k)).mul_add(V::load(y.wrapping_add(k)), sum) };
    }
    sum.sum()
}

/// Adds the bias of core or gate to a row of 64 and gives r.
#[inline(always)]
unsafe fn spread<V: Vector>(y: *mut V::Scalar, bias: *const V::Scalar) -> V {
    let mut sum = V::splat(V::Scalar::default());
    for k in (0..WIDTH).step_by(V::Scalar::LANES) {
        // SAFETY: as the caller promises
        unsafe {
            let x = V::load(y.wrapping_add(k)) + V::load(bias.wrapping_add(k));
            x.store(y.wrapping_add(k));
            sum = x.mul_add(x, sum);
        }
    }
    let real = V::Scalar::from_f64;
    let variance = sum.sum() * real(1.0 / WIDTH as f64) + real(EPSILON);
    V::splat(real(1.0) / variance.sqrt())
}

struct Gate<'a, T> {
    rows: usize,
    norms: &'a Norms<T>,
    y: &'a [T],
    m: &'a mut [T],
}

impl<T: Real> VectorKernel<T> for Gate<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let n = self.norms;
        assert!(self.y.len() >= self.rows * BOTH && self.m.len() >= self.rows * WIDTH);
        let (bias, scale, shift) = (n.bias.as_ptr(), n.scale.as_ptr(), n.shift.as_ptr());
        let m = self.m.as_mut_ptr();
        let mut row = [T::default(); BOTH];
        for r in 0..self.rows {
            row.copy_from_slice(&self.y[r * BOTH..(r + 1) * BOTH]);
            let y = row.as_mut_ptr();
            // SAFETY: within the lengths asserted above; norms have a number for each of core and gate
            unsafe {
                let rc = spread::<V>(y, bias);
                let rg = spread::<V>(y.wrapping_add(WIDTH), bias.wrapping_add(WIDTH));
                for k in (0..WIDTH).step_by(T::LANES) {
                    let g = k + WIDTH;
                    let u = (at::<V>(y, k) * rc).mul_add(at::<V>(scale, k), at::<V>(shift, k));
                    let v = (at::<V>(y, g) * rg).mul_add(at::<V>(scale, g), at::<V>(shift, g));
                    let (p, q) = V::sigmoid_pair(u, v);
                    (u * p * q).store(m.wrapping_add(r * WIDTH + k));
                }
            }
        }
    }
}

struct GateReverse<'a, T> {
    rows: usize,
    norms: &'a Norms<T>,
    y: &'a mut [T],
    m: &'a mut [T],
}

impl<T: Real> VectorKernel<T> for GateReverse<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let n = self.norms;
        assert!(self.y.len() >= self.rows * BOTH && self.m.len() >= self.rows * WIDTH);
        let (bias, scale, shift) = (n.bias.as_ptr(), n.scale.as_ptr(), n.shift.as_ptr());
        let mut bars = [T::default(); BOTH];
        let bar = bars.as_mut_ptr();
        let one = V::splat(T::from_f64(1.0));
        let share = T::from_f64(1.0 / WIDTH as f64);
        for r in 0..self.rows {
            let y = self.y.as_mut_ptr().wrapping_add(r * BOTH);
            let m = self.m.as_mut_ptr().wrapping_add(r * WIDTH);
            // SAFETY: within the lengths asserted above; norms have a number for each of core and gate
            unsafe {
                let rc = spread::<V>(y, bias);
                let rg = spread::<V>(y.wrapping_add(WIDTH), bias.wrapping_add(WIDTH));
                for k in (0..WIDTH).step_by(T::LANES) {
                    let g = k + WIDTH;
                    let (nc, ng) = (at::<V>(y, k) * rc, at::<V>(y, g) * rg);
                    let u = nc.mul_add(at::<V>(scale, k), at::<V>(shift, k));
                    let v = ng.mul_add(at::<V>(scale, g), at::<V>(shift, g));
                    let (p, q) = V::sigmoid_pair(u, v);
                    let (d, silu) = (at::<V>(m, k), u * p);
                    (silu * q).store(m.wrapping_add(k));
                    let core = silu.mul_add(one - p, p);
                    (d * q * core * at::<V>(scale, k)).store(bar.wrapping_add(k));
                    (d * silu * q * (one - q) * at::<V>(scale, g)).store(bar.wrapping_add(g));
                    nc.store(y.wrapping_add(k));
                    ng.store(y.wrapping_add(g));
                }
                for (half, r) in [(0, rc), (WIDTH, rg)] {
                    let (y, bar) = (y.wrapping_add(half), bar.wrapping_add(half));
                    let mean = V::splat(dot::<V>(y, bar) * share);
                    for k in (0..WIDTH).step_by(T::LANES) {
                        (r * at::<V>(y, k).neg_mul_add(mean, at::<V>(bar, k))).store(y.wrapping_add(k));
                    }
                }
            }
        }
    }
}
