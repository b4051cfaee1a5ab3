//! A norm followed by layers, for rows of scalars of some nodes, with the reverse pass.
use crate::ml::equivariant::Activation;
use crate::ml::fused::{Both, pad};
use crate::ml::kernels::{Aligned, gemm};
use crate::ml::radial::Dense;
use crate::ml::tensornet::model::{Affine, Norm};
use crate::simd::{Level, Real, Vector, VectorKernel, run_vector};

/// Rows of several groups of channels, each filled up to whole vectors.
#[derive(Clone, Copy, Debug)]
struct Groups {
    count: usize,
    channels: usize,
    /// Numbers from one group to the next.
    stride: usize,
}

impl Groups {
    /// Places of the numbers of a row without what it is filled up with.
    fn places(self) -> impl Iterator<Item = usize> {
        (0..self.count).flat_map(move |g| (0..self.channels).map(move |c| g * self.stride + c))
    }
    fn row(self) -> usize {
        self.count * self.stride
    }
}

struct Layer<T: Real> {
    weights: Both<T>,
    bias: Aligned<T>,
    activation: Activation,
    /// Numbers from one row of outputs to the next.
    stride: usize,
}

/// The network.
pub struct Perceptron<T: Real> {
    input: Groups,
    gamma: Aligned<T>,
    beta: Aligned<T>,
    /// 1 where there are channels, 0 where rows are filled up.
    mask: Aligned<T>,
    layers: Vec<Layer<T>>,
}

/// Numbers of some rows.
#[derive(Default)]
pub struct Memory<T: Real> {
    /// What enters the first layer, without γ and β, and what each row was divided by.
    normal: Aligned<T>,
    inverse: Vec<T>,
    shifted: Aligned<T>,
    /// By layer: outputs, and slopes of the activation.
    values: Vec<Aligned<T>>,
    slopes: Vec<Aligned<T>>,
    bars: [Aligned<T>; 2],
}

impl<T: Real> Memory<T> {
    /// Memory held, bytes.
    pub fn bytes(&self) -> usize {
        let lists =
            self.values.iter().chain(&self.slopes).chain(&self.bars).map(Aligned::bytes).sum::<usize>();
        lists + self.normal.bytes() + self.shifted.bytes()
    }
}

impl<T: Real> Perceptron<T> {
    /// For rows of `groups` times as many channels as `input`, which start `stride` numbers apart; with the activation after all layers, or all but the last.
    /// Outputs are in as many groups as `outputs`, `stride` numbers apart.
    pub fn new(
        norm: &Norm,
        maps: &[Affine],
        activation: Activation,
        [groups, outputs]: [usize; 2],
        stride: usize,
        last_is_linear: bool,
    ) -> Self {
        let input = Groups { count: groups, channels: norm.gamma.len() / groups, stride };
        let placed = |values: &[f64]| {
            let mut row = Aligned::zeros(input.row());
            for (place, v) in input.places().zip(values) {
                row[place] = T::from_f64(*v);
            }
            row
        };
        let mut from = input;
        let mut layers = Vec::new();
        for (k, map) in maps.iter().enumerate() {
            let last = k + 1 == maps.len();
            let wide = if last && outputs > 1 { stride } else { pad(map.matrix.outputs) };
            let count = if last { outputs } else { 1 };
            let to = Groups { count, channels: map.matrix.outputs / count, stride: wide };
            let mut spread = Dense { inputs: from.row(), outputs: to.row(), values: Vec::new() };
            spread.values = vec![0.0; spread.inputs * spread.outputs];
            for (i, at) in from.places().enumerate() {
                for (o, place) in to.places().enumerate() {
                    spread.values[at * spread.outputs + place] = map.matrix.at(i, o);
                }
            }
            let mut bias = Aligned::zeros(to.row());
            for (place, v) in to.places().zip(&map.bias) {
                bias[place] = T::from_f64(*v);
            }
            let activation = if last && last_is_linear { Activation::Identity } else { activation };
            layers.push(Layer { weights: Both::new(&spread), bias, activation, stride: to.row() });
            from = to;
        }
        let mask = placed(&vec![1.0; norm.gamma.len()]);
        Self { input, gamma: placed(&norm.gamma), beta: placed(&norm.beta), mask, layers }
    }
    /// Rows of results for `rows` rows x, of the stride of the last layer.
    pub fn forward<'m>(&self, level: Level, rows: usize, x: &[T], memory: &'m mut Memory<T>) -> &'m [T] {
        let width = self.input.row();
        memory.normal.resize(rows * width);
        memory.shifted.resize(rows * width);
        memory.inverse.resize(rows, T::default());
        memory.values.resize_with(self.layers.len(), Aligned::default);
        memory.slopes.resize_with(self.layers.len(), Aligned::default);
        run_vector(
            level,
            Normalise {
                network: self,
                rows,
                x,
                normal: &mut memory.normal,
                shifted: &mut memory.shifted,
                inverse: &mut memory.inverse,
            },
        );
        for (k, layer) in self.layers.iter().enumerate() {
            let (before, rest) = memory.values.split_at_mut(k);
            let (a, stride) = match before.last() {
                Some(last) => (&last[..], self.layers[k - 1].stride),
                None => (&memory.shifted[..], width),
            };
            let out = &mut rest[0];
            out.resize(rows * layer.stride);
            out.chunks_exact_mut(layer.stride).for_each(|row| row.copy_from_slice(&layer.bias));
            gemm::multiply(level, rows, (a, stride), &layer.weights.forward, (out, layer.stride), true);
            let slopes = &mut memory.slopes[k];
            slopes.resize(rows * layer.stride);
            run_vector(level, Activate { f: layer.activation, x: out, slopes });
        }
        memory.values.last().map_or(&[], |v| v)
    }
    /// Derivatives with respect to the rows that entered the last call of [`Perceptron::forward`], from those with respect to the results.
    pub fn backward(&self, level: Level, rows: usize, bar: &[T], memory: &mut Memory<T>, to: &mut [T]) {
        let [a, b] = &mut memory.bars;
        let (mut known, mut next) = (a, b);
        known.resize(bar.len());
        known.copy_from_slice(bar);
        for (k, layer) in self.layers.iter().enumerate().rev() {
            let width = if k == 0 { self.input.row() } else { self.layers[k - 1].stride };
            run_vector(level, Scale { x: &mut known[..rows * layer.stride], by: &memory.slopes[k] });
            // rows of the transposed matrix end at whole vectors
            let wide = layer.weights.backward.outputs();
            next.resize(rows * wide.max(width));
            gemm::multiply(
                level,
                rows,
                (known, layer.stride),
                &layer.weights.backward,
                (next, wide.max(width)),
                false,
            );
            std::mem::swap(&mut known, &mut next);
        }
        let normal = &memory.normal;
        run_vector(
            level,
            NormaliseBackward { network: self, rows, bar: known, normal, inverse: &memory.inverse, to },
        );
    }
}

struct Normalise<'a, T: Real> {
    network: &'a Perceptron<T>,
    rows: usize,
    x: &'a [T],
    normal: &'a mut [T],
    shifted: &'a mut [T],
    inverse: &'a mut [T],
}

/// Σ x y over rows that end at whole vectors.
#[inline(always)]
fn row_sum<T: Real, V: Vector<Scalar = T>>(x: &[T], y: &[T]) -> T {
    let mut sum = V::splat(T::default());
    for c in (0..x.len().min(y.len())).step_by(T::LANES) {
        // SAFETY: rows end at whole vectors
        sum = unsafe { V::load(x.as_ptr().add(c)).mul_add(V::load(y.as_ptr().add(c)), sum) };
    }
    sum.sum()
}

impl<T: Real> VectorKernel<T> for Normalise<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let g = self.network.input;
        let (width, count) = (g.row(), (g.count * g.channels) as f64);
        assert!(self.x.len() >= self.rows * width);
        for n in 0..self.rows {
            let row = &self.x[n * width..(n + 1) * width];
            let normal = &mut self.normal[n * width..(n + 1) * width];
            let mask = &self.network.mask[..];
            let mean = V::splat(T::from_f64(row_sum::<T, V>(row, mask).to_f64() / count));
            for c in (0..width).step_by(T::LANES) {
                // SAFETY: rows end at whole vectors
                unsafe {
                    let x = (V::load(row.as_ptr().add(c)) - mean) * V::load(mask.as_ptr().add(c));
                    x.store(normal.as_mut_ptr().add(c));
                }
            }
            let variance = row_sum::<T, V>(normal, normal).to_f64() / count;
            let inverse = T::from_f64(1.0 / (variance + Norm::EPSILON).sqrt());
            self.inverse[n] = inverse;
            let by = V::splat(inverse);
            for c in (0..width).step_by(T::LANES) {
                // SAFETY: rows end at whole vectors
                unsafe {
                    let x = V::load(normal.as_ptr().add(c)) * by;
                    x.store(normal.as_mut_ptr().add(c));
                    let (gamma, beta) =
                        (self.network.gamma.as_ptr().add(c), self.network.beta.as_ptr().add(c));
                    x.mul_add(V::load(gamma), V::load(beta))
                        .store(self.shifted.as_mut_ptr().add(n * width + c));
                }
            }
        }
    }
}

struct NormaliseBackward<'a, T: Real> {
    network: &'a Perceptron<T>,
    rows: usize,
    bar: &'a mut [T],
    normal: &'a [T],
    inverse: &'a [T],
    to: &'a mut [T],
}

impl<T: Real> VectorKernel<T> for NormaliseBackward<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let g = self.network.input;
        let (width, count) = (g.row(), (g.count * g.channels) as f64);
        let stride = self.network.layers[0].weights.backward.outputs().max(width);
        assert!(self.to.len() >= self.rows * width && self.bar.len() >= self.rows * stride);
        for n in 0..self.rows {
            let bar = &mut self.bar[n * stride..n * stride + width];
            let normal = &self.normal[n * width..(n + 1) * width];
            for (b, gamma) in bar.iter_mut().zip(&self.network.gamma[..]) {
                *b = *b * *gamma;
            }
            let mask = &self.network.mask[..];
            let mean = V::splat(T::from_f64(row_sum::<T, V>(bar, mask).to_f64() / count));
            let along = V::splat(T::from_f64(row_sum::<T, V>(bar, normal).to_f64() / count));
            let inverse = V::splat(self.inverse[n]);
            let to = &mut self.to[n * width..(n + 1) * width];
            for c in (0..width).step_by(T::LANES) {
                // SAFETY: rows end at whole vectors
                unsafe {
                    let (b, x) = (V::load(bar.as_ptr().add(c)), V::load(normal.as_ptr().add(c)));
                    let g = x.neg_mul_add(along, b - mean) * inverse;
                    (g * V::load(mask.as_ptr().add(c))).store(to.as_mut_ptr().add(c));
                }
            }
        }
    }
}

struct Activate<'a, T> {
    f: Activation,
    x: &'a mut [T],
    slopes: &'a mut [T],
}

impl<T: Real> VectorKernel<T> for Activate<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        match self.f {
            Activation::Identity => self.slopes.fill(T::from_f64(1.0)),
            Activation::Silu => {
                let one = V::splat(T::from_f64(1.0));
                for c in (0..self.x.len()).step_by(T::LANES) {
                    // SAFETY: rows end at whole vectors
                    unsafe {
                        let x = V::load(self.x.as_ptr().add(c));
                        let s = x.one_plus_exp_minus().reciprocal();
                        (x * s).store(self.x.as_mut_ptr().add(c));
                        (s * x.mul_add(one - s, one)).store(self.slopes.as_mut_ptr().add(c));
                    }
                }
            }
            other => {
                for (x, slope) in self.x.iter_mut().zip(self.slopes) {
                    let (f, d) = other.eval(x.to_f64());
                    (*x, *slope) = (T::from_f64(f), T::from_f64(d));
                }
            }
        }
    }
}

struct Scale<'a, T> {
    x: &'a mut [T],
    by: &'a [T],
}

impl<T: Real> VectorKernel<T> for Scale<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        assert!(self.by.len() >= self.x.len());
        for c in (0..self.x.len()).step_by(T::LANES) {
            // SAFETY: rows end at whole vectors
            unsafe {
                let x = V::load(self.x.as_ptr().add(c)) * V::load(self.by.as_ptr().add(c));
                x.store(self.x.as_mut_ptr().add(c));
            }
        }
    }
}
