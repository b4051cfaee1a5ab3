//! The weights of a layer as the kernels want them: folded, transposed where derivatives need it, for the species present.
use super::contraction::Polynomials;
use crate::ml::fused::Both;
use crate::ml::fused::convolution::Path;
use crate::ml::kernels::Aligned;
use crate::ml::mace::model::{Division, Gate, Interaction, Model, Product, Skip};
use crate::ml::radial::{Dense, Network};
use crate::simd::Real;

/// How a row of channels lies in memory.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Channels {
    /// Numbers with the padding to whole vectors.
    pub padded: usize,
    /// Numbers from one row to the next.
    pub stride: usize,
}

impl Channels {
    /// Rows of a number of channels that hold `least` numbers. The stride is not a power of two, which would put all rows into the same
    /// places of the cache.
    pub fn new<T: Real>(count: usize, least: usize) -> Self {
        let padded = count.div_ceil(16) * 16;
        Self { padded, stride: padded.max(least) + T::LANES }
    }
}

/// A layer.
pub struct Weights<T: Real> {
    /// Degrees that come in.
    pub input: Vec<usize>,
    /// Degrees that are sent along edges.
    pub sent: Vec<usize>,
    /// Their rows.
    pub along: Channels,
    /// Degrees that go out (only scalars from the last layer).
    pub output: Vec<usize>,
    /// Paths.
    pub paths: Vec<Path<T>>,
    /// Components that are sent, for each vector of channels.
    pub rows: Vec<usize>,
    /// Channel mixing of each path: one matrix, or one for each species of the receiver.
    pub mix: Vec<Vec<Both<T>>>,
    /// α and β of α + β Σ tanh(ρ²), which the sum over neighbours is divided by.
    pub density: Option<[f64; 2]>,
    /// The non-linear end of the convolution.
    pub gate: Option<GateWeights<T>>,
    /// Products of the messages.
    pub polynomials: Polynomials<T>,
    /// Behind the products; empty in the last layer, where it is part of the readout.
    pub linear: Vec<Both<T>>,
    /// From the features that come in to those of each degree that go out: for all species, or by species.
    pub skip: Vec<Option<Vec<Both<T>>>>,
    /// What the first layer adds to the scalars instead, by species.
    pub constant: Option<Aligned<T>>,
    /// Mixing of the features that come in before they are sent; empty in the first layer, where they are tabulated.
    pub up: Vec<Both<T>>,
    /// Energies.
    pub readout: Option<Energies<T>>,
}

/// The non-linear end of a convolution.
pub struct GateWeights<T: Real> {
    /// From the sum of each path to the gates of each degree beyond 0; empty for paths to other degrees than 0.
    pub gates: Vec<Vec<Both<T>>>,
    /// From each degree that the atom itself sends to the same degree; from its scalars to the gates.
    pub residual: Vec<Both<T>>,
    /// As above.
    pub residual_gates: Vec<Both<T>>,
    /// Behind it, by degree.
    pub linear: Vec<Both<T>>,
}

/// Readout.
pub struct Energies<T: Real> {
    /// From scalars that go out; in the last layer from the scalars of the product.
    pub first: Both<T>,
    /// In the last layer: from the scalars that come in, for all species or by species.
    pub skip: Option<Vec<Both<T>>>,
    /// In the only layer: what the species adds.
    pub constant: Option<Vec<Vec<f64>>>,
    /// The whole network, of which what follows its first layer is used.
    pub network: Network,
}

impl<T: Real> Energies<T> {
    /// Padded number of values of the first layer.
    pub fn padded(&self) -> usize {
        self.network.layers[0].outputs.div_ceil(16) * 16
    }
}

/// Where the components of each degree start.
pub fn offset(degrees: &[usize], place: usize) -> usize {
    degrees[..place].iter().map(|l| 2 * l + 1).sum()
}

/// Number of components.
pub fn components(degrees: &[usize]) -> usize {
    offset(degrees, degrees.len())
}

/// The place of a degree among others, if it is there.
pub fn place(degrees: &[usize], l: usize) -> Option<usize> {
    degrees.iter().position(|d| *d == l)
}

/// One matrix for all, or that of each species.
fn chosen(matrices: &[Dense], of_species: &[usize]) -> Vec<Dense> {
    match matrices {
        [one] => vec![one.clone()],
        all => of_species.iter().map(|z| all[*z].clone()).collect(),
    }
}

/// The same, of each species also when it is one for all.
fn of(matrices: &[Dense], z: usize) -> &Dense {
    if matrices.len() == 1 { &matrices[0] } else { &matrices[z] }
}

fn both<T: Real>(matrices: Vec<Dense>) -> Vec<Both<T>> {
    matrices.iter().map(Both::new).collect()
}

impl<T: Real> Weights<T> {
    /// Layer `t` for species whose elements are `of_species`, with scalars of the elements before the first layer.
    pub fn new(
        model: &Model,
        t: usize,
        of_species: &[usize],
        head: usize,
        embedding: &Dense,
        rows: Channels,
    ) -> Self {
        let layer = &model.layers[t];
        let interaction: &Interaction = &layer.interaction;
        let last = t + 1 == model.layers.len();
        let c = model.channels;
        let along = if interaction.edge_channels == c {
            rows
        } else {
            Channels::new::<T>(interaction.edge_channels, 0)
        };
        let used: Vec<&Product> = layer.products.iter().filter(|p| !last || p.l == 0).collect();
        let output: Vec<usize> = used.iter().map(|p| p.l).collect();
        let lm = (model.lmax + 1) * (model.lmax + 1);
        let agnostic = used.iter().all(|p| p.agnostic);
        let weights_of: Vec<usize> = of_species.iter().map(|z| if agnostic { 0 } else { *z }).collect();
        let polynomials = Polynomials::new(&used, lm, &weights_of, c, rows.padded);
        let residual = |l: usize| match &interaction.skip {
            Skip::Residual(map) => map.get(&l),
            Skip::Message(_) => None,
        };
        let skip = output.iter().map(|l| {
            let matrices = residual(*l).filter(|_| t > 0 && !last)?;
            Some(both(chosen(matrices, of_species)))
        });
        let skip = skip.collect();
        let embedded = |z: usize| Dense { inputs: 1, outputs: c, values: embedding.row(z).to_vec() };
        let constant = residual(0).filter(|_| t == 0 && !last).map(|matrices| {
            let mut table = Aligned::zeros(of_species.len() * rows.stride);
            for (s, z) in of_species.iter().enumerate() {
                for (k, v) in embedded(*z).times(of(matrices, *z)).values.iter().enumerate() {
                    table[s * rows.stride + k] = T::from_f64(*v);
                }
            }
            table
        });
        let readout = layer.readout.as_ref().map(|readout| {
            let network = readout.of_head(head, model.heads.len());
            let w = &network.layers[0];
            let scalars = used.iter().find(|p| p.l == 0);
            let first = match scalars {
                Some(p) if last => p.linear.times(w),
                _ => w.clone(),
            };
            let fold = residual(0).filter(|_| last);
            let folded = |m: &[Dense]| m.iter().map(|m| m.times(w)).collect::<Vec<_>>();
            Energies {
                first: Both::new(&first),
                skip: fold.filter(|_| t > 0).map(|m| both(folded(&chosen(m, of_species)))),
                constant: fold.filter(|_| t == 0).map(|m| {
                    of_species.iter().map(|z| embedded(*z).times(of(m, *z)).times(w).values).collect()
                }),
                network,
            }
        });
        let scalars = |gate: &Gate| gate.residual[0].columns(0, c);
        let gate = interaction.gate.as_ref().map(|gate| GateWeights {
            gates: interaction.paths.iter().map(|p| gates(&p.linear, p.degrees[2], model)).collect(),
            residual: both(
                gate.residual
                    .iter()
                    .enumerate()
                    .map(|(k, w)| if k == 0 { scalars(gate) } else { w.clone() })
                    .collect(),
            ),
            residual_gates: gates(&gate.residual[0], 0, model),
            linear: gate.linear.iter().map(Both::new).collect(),
        });
        let (paths, mix) = convolution(interaction, of_species, along, c);
        Self {
            input: interaction.input.clone(),
            sent: interaction.sent.clone(),
            along,
            rows: vec![components(&interaction.sent); along.padded / T::LANES],
            paths,
            mix,
            density: match interaction.division {
                Division::Constant(_) => None,
                Division::Density { offset, slope, .. } => Some([offset, slope]),
            },
            gate,
            polynomials,
            linear: if last { Vec::new() } else { used.iter().map(|p| Both::new(&p.linear)).collect() },
            output,
            skip,
            constant,
            up: if t > 0 { interaction.up.iter().map(Both::new).collect() } else { Vec::new() },
            readout,
        }
    }
}

/// The parts of a map to scalars that give the gates of each degree beyond 0.
fn gates<T: Real>(linear: &Dense, l: usize, model: &Model) -> Vec<Both<T>> {
    let c = model.channels;
    let degrees = if l == 0 { 1..model.lmax + 1 } else { 1..1 };
    degrees.map(|l| Both::new(&linear.columns(l * c, c))).collect()
}

/// Paths and the channel mixing of what they give.
fn convolution<T: Real>(
    interaction: &Interaction,
    of_species: &[usize],
    along: Channels,
    c: usize,
) -> (Vec<Path<T>>, Vec<Vec<Both<T>>>) {
    let division = if let Division::Constant(n) = interaction.division { 1.0 / n } else { 1.0 };
    let (mut paths, mut mix) = (Vec::new(), Vec::new());
    for p in &interaction.paths {
        let coupling = p.coupling.iter().map(|(m, v)| (m.map(|m| m as u8), T::from_f64(*v))).collect();
        let row = offset(&interaction.sent, p.input);
        paths.push(Path {
            degrees: p.degrees,
            row,
            offset: row * along.stride,
            stride: along.stride,
            sums: along.stride,
            chunks: along.padded / T::LANES,
            coupling,
        });
        let linear = p.linear.columns(0, c).scaled(division);
        mix.push(match &interaction.skip {
            Skip::Residual(_) => vec![Both::new(&linear)],
            Skip::Message(skip) => {
                let all = chosen(&skip[p.degrees[2]], of_species);
                all.iter().map(|m| Both::new(&linear.times(m))).collect()
            }
        });
    }
    (paths, mix)
}
