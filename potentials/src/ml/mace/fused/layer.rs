//! The weights of a layer as the kernels want them: folded, transposed where derivatives need it, for the species present.
use super::contraction::Polynomials;
use crate::ml::equivariant::Activation;
use crate::ml::fused::Both;
use crate::ml::fused::convolution::Path;
use crate::ml::kernels::Aligned;
use crate::ml::mace::model::{Division, Layer, Model, Product, Readout, Skip};
use crate::ml::radial::Dense;
use crate::simd::Real;

/// A layer.
pub struct Weights<T: Real> {
    /// Degrees that come in, and where their components start.
    pub input: Vec<usize>,
    /// Degrees that go out (only scalars from the last layer).
    pub output: Vec<usize>,
    /// Paths.
    pub paths: Vec<Path<T>>,
    /// Components that come in, for each vector of channels.
    pub rows: Vec<usize>,
    /// Channel mixing of each path: one matrix, or one for each species of the receiver.
    pub mix: Vec<Vec<Both<T>>>,
    /// Products of the messages.
    pub polynomials: Polynomials<T>,
    /// Behind the products; empty in the last layer, where it is part of the readout.
    pub linear: Vec<Both<T>>,
    /// From the features that come in to those of each degree that go out, by species.
    pub skip: Vec<Option<Vec<Both<T>>>>,
    /// What the first layer adds to the scalars instead, by species.
    pub constant: Option<Aligned<T>>,
    /// Mixing of the features that come in before they are sent; empty in the first layer, where they are tabulated.
    pub up: Vec<Both<T>>,
    /// Energies.
    pub readout: Energies<T>,
}

/// Readout.
pub struct Energies<T: Real> {
    /// From scalars that go out; in the last layer from the scalars of the product.
    pub first: Both<T>,
    /// In the last layer: from the scalars that come in, by species.
    pub skip: Option<Vec<Both<T>>>,
    /// In the only layer: what the species adds.
    pub constant: Option<Vec<Vec<f64>>>,
    /// Activation; without one the sum is the energy.
    pub activation: Option<Activation>,
    /// What the activated numbers are multiplied with.
    pub second: Vec<f64>,
}

/// Where the components of each degree start.
pub fn offset(degrees: &[usize], place: usize) -> usize {
    degrees[..place].iter().map(|l| 2 * l + 1).sum()
}

/// Number of components.
pub fn components(degrees: &[usize]) -> usize {
    offset(degrees, degrees.len())
}

impl<T: Real> Weights<T> {
    /// Layer `t` for species whose elements are `of_species`.
    pub fn new(
        model: &Model,
        t: usize,
        of_species: &[usize],
        head: usize,
        padded: usize,
        stride: usize,
    ) -> Self {
        let layer: &Layer = &model.layers[t];
        let last = t + 1 == model.layers.len();
        let c = model.channels;
        let division = if let Division::Constant(n) = layer.division { 1.0 / n } else { 1.0 };
        let mut paths = Vec::new();
        let mut mix = Vec::new();
        for p in &layer.paths {
            let coupling = p.coupling.iter().map(|(m, v)| (m.map(|m| m as u8), T::from_f64(*v))).collect();
            let row = offset(&layer.input, p.input);
            paths.push(Path {
                degrees: p.degrees,
                row,
                offset: row * stride,
                stride,
                sums: stride,
                chunks: padded / T::LANES,
                coupling,
            });
            let linear = p.linear.clone().scaled(division);
            mix.push(match &layer.skip {
                Skip::Residual(_) => vec![Both::new(&linear)],
                Skip::Message(skip) => {
                    of_species.iter().map(|z| Both::new(&linear.times(&skip[p.degrees[2]][*z]))).collect()
                }
            });
        }
        let used: Vec<&Product> = layer.products.iter().filter(|p| !last || p.l == 0).collect();
        let lm = (model.lmax + 1) * (model.lmax + 1);
        let polynomials = Polynomials::new(&used, lm, of_species, c, padded);
        let output: Vec<usize> = used.iter().map(|p| p.l).collect();
        let residual = |l: usize| match &layer.skip {
            Skip::Residual(map) => map.get(&l),
            Skip::Message(_) => None,
        };
        let skip = output.iter().map(|l| {
            let matrices = residual(*l).filter(|_| t > 0 && !last)?;
            Some(of_species.iter().map(|z| Both::new(&matrices[*z])).collect())
        });
        let skip = skip.collect();
        let embedded = |z: usize| Dense {
            inputs: 1,
            outputs: c,
            values: model.embedding.values[z * c..(z + 1) * c].to_vec(),
        };
        let constant = residual(0).filter(|_| t == 0 && !last).map(|matrices| {
            let mut rows = Aligned::zeros(of_species.len() * stride);
            for (s, z) in of_species.iter().enumerate() {
                for (k, v) in embedded(*z).times(&matrices[*z]).values.iter().enumerate() {
                    rows[s * stride + k] = T::from_f64(*v);
                }
            }
            rows
        });
        let heads = model.heads.len();
        let scale = model.heads[head].scale;
        let (w, activation, second) = match &layer.readout {
            Some(Readout::Linear(w)) => (column(w, head, 1), None, vec![scale]),
            Some(Readout::Network(w1, f, w2)) => {
                let n = w1.outputs / heads;
                let second = (0..n).map(|k| scale * w2.at(head * n + k, head)).collect();
                (column(w1, head * n, n), Some(*f), second)
            }
            // refused when the model is read
            None => (Dense { inputs: c, outputs: 1, values: vec![0.0; c] }, None, vec![0.0]),
        };
        let scalars = used.iter().find(|p| p.l == 0);
        let first = match scalars {
            Some(p) if last => p.linear.times(&w),
            _ => w.clone(),
        };
        let fold = residual(0).filter(|_| last);
        let readout = Energies {
            first: Both::new(&first),
            skip: fold
                .filter(|_| t > 0)
                .map(|m| of_species.iter().map(|z| Both::new(&m[*z].times(&w))).collect()),
            constant: fold
                .filter(|_| t == 0)
                .map(|m| of_species.iter().map(|z| embedded(*z).times(&m[*z]).times(&w).values).collect()),
            activation,
            second,
        };
        Self {
            input: layer.input.clone(),
            rows: vec![components(&layer.input); padded / T::LANES],
            paths,
            mix,
            polynomials,
            linear: if last { Vec::new() } else { used.iter().map(|p| Both::new(&p.linear)).collect() },
            output,
            skip,
            constant,
            up: if t > 0 { layer.up.iter().map(Both::new).collect() } else { Vec::new() },
            readout,
        }
    }
}

/// `count` columns of a matrix.
fn column(w: &Dense, first: usize, count: usize) -> Dense {
    let values = (0..w.inputs).flat_map(|i| (first..first + count).map(move |o| w.at(i, o))).collect();
    Dense { inputs: w.inputs, outputs: count, values }
}
