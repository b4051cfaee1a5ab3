//! Radial functions of learned potentials with their derivatives: bases, cutoffs, transforms of the distance, and the
//! small networks that turn them into weights.
use super::equivariant::Activation;

/// A set of functions of the (transformed) distance x.
#[derive(Clone, Debug, PartialEq)]
pub enum Basis {
    /// p sin(w_n x)/x.
    Bessel {
        /// w_n, 1/Å.
        frequencies: Vec<f64>,
        /// p.
        prefactor: f64,
    },
    /// e^(c (x − μ_n)²).
    Gaussian {
        /// μ_n, Å.
        centers: Vec<f64>,
        /// c, 1/Å².
        coefficient: f64,
    },
    /// Chebyshev polynomials T_n(x).
    Chebyshev {
        /// n.
        degrees: Vec<usize>,
    },
    /// φ(x) e^(−β_n (e^(−α x) − μ_n)²), where φ is the cosine cutoff: Gaussians of an exponential.
    /// Unke and Meuwly, J. Chem. Theory Comput. 15, 3678 (2019), doi 10.1021/acs.jctc.9b00181.
    ExpNormal {
        /// α, 1/Å.
        rate: f64,
        /// μ_n.
        means: Vec<f64>,
        /// β_n.
        betas: Vec<f64>,
        /// Where φ is zero, Å.
        cutoff: f64,
    },
}

impl Basis {
    /// Number of functions.
    pub fn len(&self) -> usize {
        match self {
            Self::Bessel { frequencies, .. } => frequencies.len(),
            Self::Gaussian { centers, .. } => centers.len(),
            Self::Chebyshev { degrees } => degrees.len(),
            Self::ExpNormal { means, .. } => means.len(),
        }
    }
    /// True without functions.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// Values and derivatives at x.
    pub fn eval(&self, x: f64, mut give: impl FnMut(usize, f64, f64)) {
        match self {
            Self::Bessel { frequencies, prefactor } => {
                for (n, w) in frequencies.iter().enumerate() {
                    let (sin, cos) = (w * x).sin_cos();
                    let value = prefactor * sin / x;
                    give(n, value, (prefactor * w * cos - value) / x);
                }
            }
            Self::Gaussian { centers, coefficient } => {
                for (n, mu) in centers.iter().enumerate() {
                    let d = x - mu;
                    let value = (coefficient * d * d).exp();
                    give(n, value, 2.0 * coefficient * d * value);
                }
            }
            Self::Chebyshev { degrees } => {
                for (n, &degree) in degrees.iter().enumerate() {
                    // T_(k+1) = 2 x T_k − T_(k−1), and its derivative
                    let (mut before, mut t, mut dbefore, mut dt) = (x, 1.0, 1.0, 0.0);
                    for _ in 0..degree {
                        (before, t, dbefore, dt) =
                            (t, 2.0 * x * t - before, dt, 2.0 * t + 2.0 * x * dt - dbefore);
                    }
                    give(n, t, dt);
                }
            }
            Self::ExpNormal { rate, means, betas, cutoff } => {
                let (cut, dcut) = cosine_cutoff(x, *cutoff);
                let e = (-rate * x).exp();
                for (n, (mean, beta)) in means.iter().zip(betas).enumerate() {
                    let d = e - mean;
                    let g = (-beta * d * d).exp();
                    give(n, cut * g, dcut * g + cut * g * 2.0 * beta * d * rate * e);
                }
            }
        }
    }
}

/// ½ (cos(π r/cutoff) + 1), 0 beyond the cutoff. Value and derivative.
#[inline]
pub fn cosine_cutoff(r: f64, cutoff: f64) -> (f64, f64) {
    if r >= cutoff {
        return (0.0, 0.0);
    }
    let w = std::f64::consts::PI / cutoff;
    let (sin, cos) = (w * r).sin_cos();
    (0.5 * (cos + 1.0), -0.5 * w * sin)
}

/// The polynomial that falls from 1 at 0 to 0 at `cutoff` with p − 1 vanishing derivatives at 0 and two at the cutoff:
/// 1 − (p+1)(p+2)/2 t^p + p(p+2) t^(p+1) − p(p+1)/2 t^(p+2), t = r/cutoff. Value and derivative.
///
/// Gasteiger, Groß and Günnemann, ICLR 2020, arXiv:2003.03123.
#[inline]
pub fn polynomial_cutoff(r: f64, cutoff: f64, p: f64) -> (f64, f64) {
    if r >= cutoff {
        return (0.0, 0.0);
    }
    let t = r / cutoff;
    let power = if p.fract() == 0.0 && p.abs() < 64.0 { t.powi(p as i32 - 1) } else { t.powf(p - 1.0) };
    let (a, b, c) = ((p + 1.0) * (p + 2.0) / 2.0, p * (p + 2.0), p * (p + 1.0) / 2.0);
    let value = 1.0 - power * t * (a - t * (b - t * c));
    let slope = -power * (a * p - t * (b * (p + 1.0) - t * c * (p + 2.0))) / cutoff;
    (value, slope)
}

/// A function that takes radial functions to zero at the cutoff.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Envelope {
    /// [`polynomial_cutoff`] with the power p.
    Polynomial(f64),
    /// 1 up to `on`, then (r_c² − r²)² (r_c² + 2 r² − 3 on²)/(r_c² − on²)³: the switching function of X-PLOR, whose second derivative jumps
    /// at `on`.
    Xplor {
        /// Where it begins, Å.
        on: f64,
    },
    /// [`cosine_cutoff`].
    Cosine,
}

impl Envelope {
    /// Value and derivative.
    #[inline]
    pub fn eval(&self, r: f64, cutoff: f64) -> (f64, f64) {
        match *self {
            Self::Polynomial(p) => polynomial_cutoff(r, cutoff, p),
            Self::Xplor { on } if r < on => (1.0, 0.0),
            Self::Xplor { on } if r < cutoff => {
                let (r2, on2, cut2) = (r * r, on * on, cutoff * cutoff);
                let scale = 1.0 / (cut2 - on2).powi(3);
                let rest = cut2 - r2;
                (rest * rest * (cut2 + 2.0 * r2 - 3.0 * on2) * scale, 12.0 * r * rest * (on2 - r2) * scale)
            }
            Self::Xplor { .. } => (0.0, 0.0),
            Self::Cosine => cosine_cutoff(r, cutoff),
        }
    }
    /// Where a derivative jumps before the cutoff.
    pub fn kink(&self) -> Option<f64> {
        match *self {
            Self::Polynomial(_) | Self::Cosine => None,
            Self::Xplor { on } => Some(on),
        }
    }
}

/// A map of the distance before the basis, which depends on the sum of the covalent radii of the pair.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Transform {
    /// x = r.
    None,
    /// x = 1/(1 + a u^q/(1 + u^(q−p))), u = 2r/(R₁ + R₂).
    /// Witt et al., J. Chem. Phys. 159, 164101 (2023), doi 10.1063/5.0158783.
    Agnesi {
        /// q.
        q: f64,
        /// p.
        p: f64,
        /// a.
        a: f64,
    },
    /// x = p₀ + (r − p₀) (1 + tanh(α (r − m)))/2 with p₀ = 3 s/4, p₁ = 4 s/3, m their mean, α = `alpha`/(p₁ − p₀), s = R₁ + R₂.
    Soft {
        /// Steepness.
        alpha: f64,
    },
    /// x = r + (1 + tanh(−u − a u^b))/2, u = 4r/(R₁ + R₂): what was called soft before.
    FormerSoft {
        /// a.
        a: f64,
        /// b.
        b: f64,
    },
}

impl Transform {
    /// x and dx/dr for a pair with `sum` = R₁ + R₂.
    pub fn eval(&self, r: f64, sum: f64) -> (f64, f64) {
        match *self {
            Self::None => (r, 1.0),
            Self::Agnesi { q, p, a } => {
                let r0 = 0.5 * sum;
                let u = r / r0;
                let (uq, ud) = (u.powf(q), u.powf(q - p));
                let below = 1.0 + ud;
                let f = a * uq / below;
                let df = a * uq / u * (q / below - (q - p) * ud / (below * below));
                let x = 1.0 / (1.0 + f);
                (x, -x * x * df / r0)
            }
            Self::Soft { alpha } => {
                let (p0, p1) = (0.75 * sum, 4.0 / 3.0 * sum);
                let alpha = alpha / (p1 - p0);
                let t = (alpha * (r - 0.5 * (p0 + p1))).tanh();
                let s = 0.5 * (1.0 + t);
                (p0 + (r - p0) * s, s + (r - p0) * 0.5 * alpha * (1.0 - t * t))
            }
            Self::FormerSoft { a, b } => {
                let u = 4.0 * r / sum;
                let ub = u.powf(b);
                let t = (-u - a * ub).tanh();
                let du = 4.0 / sum;
                (r + 0.5 * t + 0.5, 1.0 + 0.5 * (1.0 - t * t) * du * (-1.0 - a * b * ub / u))
            }
        }
    }
}

/// A network: x ← activation(norm(x W + b)) for all layers but the last, x W + b for the last.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Weights with the normalisation in them.
    pub layers: Vec<Dense>,
    /// b of all layers, or of all but the last; empty without.
    pub biases: Vec<Vec<f64>>,
    /// Normalisations of all layers but the last; empty without.
    pub norms: Vec<LayerNorm>,
    /// The hidden activation; its constant is part of the weights that follow it.
    pub activation: Activation,
}

/// y = scale (x − ⟨x⟩)/√(⟨(x − ⟨x⟩)²⟩ + ε) + shift, means over the channels of a layer.
/// Ba, Kiros and Hinton, arXiv:1607.06450.
#[derive(Clone, Debug, PartialEq)]
pub struct LayerNorm {
    /// Factor of each channel.
    pub scale: Vec<f64>,
    /// What is added to it.
    pub shift: Vec<f64>,
    /// ε.
    pub epsilon: f64,
}

impl LayerNorm {
    /// Normalises values with their derivatives.
    fn apply(&self, x: &mut [f64], dx: &mut [f64]) {
        let n = x.len() as f64;
        let (mean, dmean) = (x.iter().sum::<f64>() / n, dx.iter().sum::<f64>() / n);
        x.iter_mut().for_each(|v| *v -= mean);
        dx.iter_mut().for_each(|d| *d -= dmean);
        let variance = x.iter().map(|v| v * v).sum::<f64>() / n;
        let inverse = 1.0 / (variance + self.epsilon).sqrt();
        // d(1/√(var + ε)) = −⟨x dx⟩/√(var + ε)³
        let slope = x.iter().zip(&*dx).map(|(v, d)| v * d).sum::<f64>() / n * inverse * inverse;
        for (k, (v, d)) in x.iter_mut().zip(dx).enumerate() {
            *d = self.scale[k] * inverse * (*d - *v * slope);
            *v = self.scale[k] * inverse * *v + self.shift[k];
        }
    }
}

/// A network of radial functions, to whose first layer the elements of a pair of atoms may add.
#[derive(Clone, Debug, PartialEq)]
pub struct PairNetwork {
    /// The network.
    pub network: Network,
    /// What the elements of receiver and sender add to the outputs of the first layer, (elements, outputs) each.
    pub elements: Option<[Dense; 2]>,
}

impl From<Network> for PairNetwork {
    fn from(network: Network) -> Self {
        Self { network, elements: None }
    }
}

impl PairNetwork {
    /// As [`Network::width`].
    pub fn width(&self) -> usize {
        self.network.width()
    }
    /// As [`Network::hidden`], for the elements of receiver and sender.
    pub fn hidden<'a>(
        &self,
        x: &[f64],
        dx: &[f64],
        pair: [usize; 2],
        scratch: &'a mut NetworkScratch,
    ) -> (&'a [f64], &'a [f64]) {
        let added = self.elements.as_ref().map(|e| [e[0].row(pair[0]), e[1].row(pair[1])]);
        self.network.hidden_with(x, dx, added, scratch)
    }
}

/// A matrix, row-major, rows are inputs.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dense {
    /// Number of inputs.
    pub inputs: usize,
    /// Number of outputs.
    pub outputs: usize,
    /// Elements.
    pub values: Vec<f64>,
}

impl Dense {
    /// Element.
    #[inline]
    pub fn at(&self, input: usize, output: usize) -> f64 {
        self.values[input * self.outputs + output]
    }
    /// What an input adds to the outputs.
    pub fn row(&self, input: usize) -> &[f64] {
        &self.values[input * self.outputs..(input + 1) * self.outputs]
    }
    /// `count` outputs from a first one.
    pub fn columns(&self, first: usize, count: usize) -> Self {
        let values = (0..self.inputs).flat_map(|i| self.row(i)[first..first + count].iter().copied());
        Self { inputs: self.inputs, outputs: count, values: values.collect() }
    }
    /// This times a number.
    pub fn scaled(mut self, by: f64) -> Self {
        self.values.iter_mut().for_each(|v| *v *= by);
        self
    }
    /// The product of this and another matrix.
    ///
    /// # Panics
    /// When they do not fit.
    pub fn times(&self, other: &Self) -> Self {
        assert_eq!(self.outputs, other.inputs);
        let mut values = vec![0.0; self.inputs * other.outputs];
        for (i, row) in values.chunks_exact_mut(other.outputs.max(1)).enumerate() {
            for k in 0..self.outputs {
                let a = self.at(i, k);
                for (v, b) in row.iter_mut().zip(&other.values[k * other.outputs..(k + 1) * other.outputs]) {
                    *v += a * b;
                }
            }
        }
        Self { inputs: self.inputs, outputs: other.outputs, values }
    }
    /// x and dx times this matrix.
    fn apply(&self, x: &[f64], dx: &[f64], y: &mut Vec<f64>, dy: &mut Vec<f64>) {
        for v in [&mut *y, &mut *dy] {
            v.clear();
            v.resize(self.outputs, 0.0);
        }
        for (i, row) in self.values.chunks_exact(self.outputs).enumerate() {
            for ((y, dy), w) in y.iter_mut().zip(dy.iter_mut()).zip(row) {
                *y += x[i] * w;
                *dy += dx[i] * w;
            }
        }
    }
}

/// Memory for [`Network::hidden`].
#[derive(Clone, Debug, Default)]
pub struct NetworkScratch {
    a: [Vec<f64>; 2],
    b: [Vec<f64>; 2],
}

impl Network {
    /// Number of values that enter the last layer: its inputs, and a one for its bias.
    pub fn width(&self) -> usize {
        self.layers.last().map_or(0, |l| l.inputs) + usize::from(self.ends_in_bias())
    }
    /// Number of outputs.
    pub fn outputs(&self) -> usize {
        self.layers.last().map_or(0, |l| l.outputs)
    }
    fn ends_in_bias(&self) -> bool {
        !self.layers.is_empty() && self.biases.len() == self.layers.len()
    }
    /// Weight of the last layer from a value of [`Network::hidden`] to an output.
    ///
    /// # Panics
    /// Without layers.
    pub fn last(&self, value: usize, output: usize) -> f64 {
        let k = self.layers.len() - 1;
        if value == self.layers[k].inputs {
            return self.biases[k][output];
        }
        self.layers[k].at(value, output)
    }
    /// What enters the last layer, with its derivative, for inputs x with derivatives dx.
    pub fn hidden<'a>(
        &self,
        x: &[f64],
        dx: &[f64],
        scratch: &'a mut NetworkScratch,
    ) -> (&'a [f64], &'a [f64]) {
        self.hidden_with(x, dx, None, scratch)
    }
    /// The same with rows that are added to the outputs of the first layer.
    fn hidden_with<'a>(
        &self,
        x: &[f64],
        dx: &[f64],
        added: Option<[&[f64]; 2]>,
        scratch: &'a mut NetworkScratch,
    ) -> (&'a [f64], &'a [f64]) {
        let NetworkScratch { a: [a, da], b: [b, db] } = scratch;
        a.clear();
        a.extend_from_slice(x);
        da.clear();
        da.extend_from_slice(dx);
        for (k, layer) in self.layers[..self.layers.len().saturating_sub(1)].iter().enumerate() {
            layer.apply(a, da, b, db);
            let added = added.iter().flatten().copied().filter(|_| k == 0);
            for row in self.biases.get(k).map(Vec::as_slice).into_iter().chain(added) {
                b.iter_mut().zip(row).for_each(|(v, b)| *v += b);
            }
            if let Some(norm) = self.norms.get(k) {
                norm.apply(b, db);
            }
            for (v, d) in b.iter_mut().zip(db.iter_mut()) {
                let (f, slope) = self.activation.eval(*v);
                *v = f;
                *d *= slope;
            }
            std::mem::swap(a, b);
            std::mem::swap(da, db);
        }
        if self.ends_in_bias() {
            a.push(1.0);
            da.push(0.0);
        }
        (a, da)
    }
    /// The outputs for inputs x.
    pub fn values(&self, x: &[f64]) -> Vec<f64> {
        let mut scratch = NetworkScratch::default();
        let (h, _) = self.hidden(x, &vec![0.0; x.len()], &mut scratch);
        let output = |o| h.iter().enumerate().map(|(q, h)| h * self.last(q, o)).sum();
        (0..self.outputs()).map(output).collect()
    }
    /// The only output and its derivative with respect to what the first layer gives, `x`, into which the derivative is written. Without
    /// normalisations.
    pub fn from_first(&self, x: &mut [f64], scratch: &mut NetworkScratch) -> f64 {
        let NetworkScratch { a: [slopes, values], b: [next, back] } = scratch;
        let bias = |k: usize, y: &mut [f64]| {
            for (v, b) in y.iter_mut().zip(self.biases.get(k).map_or(&[][..], Vec::as_slice)) {
                *v += b;
            }
        };
        values.clear();
        values.extend_from_slice(x);
        bias(0, values);
        slopes.clear();
        for (k, layer) in self.layers.iter().enumerate().skip(1) {
            next.clear();
            next.resize(layer.outputs, 0.0);
            for (i, v) in values.iter().enumerate() {
                let (f, slope) = self.activation.eval(*v);
                slopes.push(slope);
                for (y, w) in next.iter_mut().zip(layer.row(i)) {
                    *y += f * w;
                }
            }
            bias(k, next);
            std::mem::swap(values, next);
        }
        let value = values.first().copied().unwrap_or(0.0);
        back.clear();
        back.push(1.0);
        for layer in self.layers.iter().skip(1).rev() {
            next.clear();
            let first = slopes.len() - layer.inputs;
            for (i, slope) in slopes.drain(first..).enumerate() {
                next.push(slope * layer.row(i).iter().zip(&*back).map(|(w, g)| w * g).sum::<f64>());
            }
            std::mem::swap(back, next);
        }
        x.copy_from_slice(back);
        value
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn slope(f: impl Fn(f64) -> f64, x: f64) -> f64 {
        let h = 1e-4;
        (8.0 * (f(x + h) - f(x - h)) - (f(x + 2.0 * h) - f(x - 2.0 * h))) / (12.0 * h)
    }

    #[test]
    fn derivatives_are_derivatives() {
        let bases = [
            Basis::Bessel { frequencies: vec![0.5, 1.0, 3.1], prefactor: 0.6 },
            Basis::Gaussian { centers: vec![0.0, 1.5, 3.0], coefficient: -0.7 },
            Basis::Chebyshev { degrees: vec![1, 2, 5, 8] },
            Basis::ExpNormal {
                rate: 1.1,
                means: vec![0.1, 0.6, 1.0],
                betas: vec![9.0, 7.0, 8.0],
                cutoff: 4.5,
            },
        ];
        for basis in &bases {
            for x in [0.3, 0.9, 2.2] {
                basis.eval(x, |n, _, d| {
                    let at = |x: f64| {
                        let mut v = 0.0;
                        basis.eval(x, |k, value, _| v = if k == n { value } else { v });
                        v
                    };
                    assert!((slope(at, x) - d).abs() < 1e-8 * (1.0 + d.abs()), "{basis:?} {n} {x}");
                });
            }
        }
        let mut cube = 0.0;
        bases[2].eval(0.3, |n, v, _| cube = if n == 1 { v } else { cube });
        assert!((cube - (2.0 * 0.09 - 1.0)).abs() < 1e-15);
        let transforms = [
            Transform::None,
            Transform::Agnesi { q: 0.9183, p: 4.5791, a: 1.0805 },
            Transform::Soft { alpha: 4.0 },
            Transform::FormerSoft { a: 0.2, b: 3.0 },
        ];
        for t in transforms {
            for r in [0.4, 1.3, 3.7] {
                let d = t.eval(r, 1.9).1;
                assert!((slope(|r| t.eval(r, 1.9).0, r) - d).abs() < 1e-8, "{t:?} {r}");
            }
        }
        for (r, p) in [(0.5, 5.0), (2.5, 6.0), (4.9, 5.0)] {
            let d = polynomial_cutoff(r, 5.0, p).1;
            assert!((slope(|r| polynomial_cutoff(r, 5.0, p).0, r) - d).abs() < 1e-9, "{r} {p}");
        }
        for r in [1.0, 4.6, 4.9] {
            let xplor = Envelope::Xplor { on: 4.5 };
            assert!((slope(|r| xplor.eval(r, 5.0).0, r) - xplor.eval(r, 5.0).1).abs() < 1e-9, "{r}");
            let (cosine, d) = (|r| Envelope::Cosine.eval(r, 5.0).0, Envelope::Cosine.eval(r, 5.0).1);
            assert!((slope(cosine, r) - d).abs() < 1e-9, "{r}");
        }
        assert_eq!(polynomial_cutoff(5.0, 5.0, 5.0), (0.0, 0.0));
        assert!((polynomial_cutoff(0.0, 5.0, 5.0).0 - 1.0).abs() < 1e-15);
    }

    fn dense(inputs: usize, outputs: usize) -> Dense {
        let values = (0..inputs * outputs).map(|k| ((k * 31 % 17) as f64 - 8.0) / 12.0).collect();
        Dense { inputs, outputs, values }
    }

    #[test]
    fn networks_have_derivatives() {
        let biases = vec![vec![0.3, -0.2, 0.1, 0.0, 0.7], vec![-0.4, 0.2, 0.9, 0.1]];
        let plain = Network {
            layers: vec![dense(2, 5), dense(5, 4), dense(4, 3)],
            biases: biases.clone(),
            norms: Vec::new(),
            activation: Activation::Silu,
        };
        let norm = |n: usize| LayerNorm {
            scale: (0..n).map(|k| 0.7 + 0.2 * k as f64).collect(),
            shift: (0..n).map(|k| 0.3 - 0.1 * k as f64).collect(),
            epsilon: 1e-5,
        };
        let full = Network {
            biases: biases.into_iter().chain([vec![0.2, -0.6, 0.5]]).collect(),
            norms: vec![norm(5), norm(4)],
            ..plain.clone()
        };
        assert_eq!((plain.width(), full.width(), full.last(4, 1)), (4, 5, -0.6));
        let pair = PairNetwork { network: full.clone(), elements: Some([dense(2, 5), dense(3, 5)]) };
        for network in [plain.into(), full.into(), pair] {
            let of = |r: f64| {
                let mut scratch = NetworkScratch::default();
                let (h, dh) = network.hidden(&[r, r * r], &[1.0, 2.0 * r], [1, 2], &mut scratch);
                (h.to_vec(), dh.to_vec())
            };
            for n in 0..network.network.width() {
                assert!((slope(|r| of(r).0[n], 0.7) - of(0.7).1[n]).abs() < 1e-9);
            }
        }
    }

    #[test]
    fn the_value_of_a_network_has_a_gradient() {
        let network = |layers: Vec<Dense>, biases: Vec<Vec<f64>>| Network {
            layers,
            biases,
            norms: Vec::new(),
            activation: Activation::Silu,
        };
        let three = vec![dense(2, 3), dense(3, 4), dense(4, 1)];
        let biases = vec![vec![0.1, -0.3, 0.2], vec![0.4, 0.0, -0.1, 0.3], vec![0.8]];
        for (network, x) in [
            (network(vec![dense(2, 1)], Vec::new()), vec![0.4]),
            (network(vec![dense(2, 3), dense(3, 1)], Vec::new()), vec![0.4, -1.1, 0.7]),
            (network(three, biases), vec![0.4, -1.1, 0.7]),
        ] {
            let of = |x: &[f64]| {
                let mut g = x.to_vec();
                (network.from_first(&mut g, &mut NetworkScratch::default()), g)
            };
            let gradient = of(&x).1;
            for (k, g) in gradient.iter().enumerate() {
                let at = |v: f64| {
                    let mut x = x.clone();
                    x[k] = v;
                    of(&x).0
                };
                assert!((slope(at, x[k]) - g).abs() < 1e-9, "{k}");
            }
        }
    }
}
