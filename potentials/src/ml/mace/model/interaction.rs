//! The convolution of a layer: what is sent, how it is weighted, summed and divided, and what becomes of the sum.
use super::reader::Reader;
use super::{Read, content};
use crate::ml::checkpoint::{Dtype, Fault};
use crate::ml::equivariant::weights::part;
use crate::ml::equivariant::wigner::Tensor3;
use crate::ml::equivariant::{Activation, Convention, Irrep, Irreps, wigner_3j};
use crate::ml::radial::{Dense, Network, PairNetwork};
use std::collections::BTreeMap;

/// From the features that come in to the messages. Features and messages have C channels, what is sent along edges has E.
#[derive(Clone, Debug)]
pub struct Interaction {
    /// Degrees of the features that come in.
    pub input: Vec<usize>,
    /// Degrees of the features that go out.
    pub output: Vec<usize>,
    /// Degrees that are sent along edges, all of them among those that come in.
    pub sent: Vec<usize>,
    /// Channels E of what is sent.
    pub edge_channels: usize,
    /// Mixing of the channels of the senders, (C, E) for each degree that is sent.
    pub up: Vec<Dense>,
    /// Radial network: (basis) -> (paths, E).
    pub network: PairNetwork,
    /// Paths of the convolution.
    pub paths: Vec<ConvolutionPath>,
    /// What the sum over neighbours is divided by.
    pub division: Division,
    /// What is done with the sum before the products.
    pub gate: Option<Gate>,
    /// Linear maps (C, C) around or behind the sum.
    pub skip: Skip,
}

/// A path of the convolution: a feature of degree l₁ with a harmonic l₂ to degree l₃.
#[derive(Clone, Debug)]
pub struct ConvolutionPath {
    /// Place of l₁ in [`Interaction::sent`].
    pub input: usize,
    /// l₁, l₂, l₃.
    pub degrees: [usize; 3],
    /// 3j symbols times sqrt(2l₃ + 1).
    pub coupling: Vec<([usize; 3], f64)>,
    /// Its part of the linear map to degree l₃, (E, C); with a gate (E, C (1 + lmax)) for l₃ = 0: scalars, then the gates of each degree.
    pub linear: Dense,
}

/// What the sum over neighbours is divided by.
#[derive(Clone, Debug)]
pub enum Division {
    /// A number.
    Constant(f64),
    /// α + β Σ_e tanh(ρ(r_e)²).
    Density {
        /// ρ.
        network: PairNetwork,
        /// α.
        offset: f64,
        /// β.
        slope: f64,
    },
}

/// The non-linear end of a convolution: x = sum + W_res (what the atom itself sends), A₀ = W₀ silu(x₀), A_l = W_l σ(g_l) x_l, where the gates g_l
/// are scalars beside x₀.
#[derive(Clone, Debug)]
pub struct Gate {
    /// W_res for each degree that is sent, (E, C); of scalars (E, C (1 + lmax)).
    pub residual: Vec<Dense>,
    /// W_l with the constants of the activations, (C, C) for each degree.
    pub linear: Vec<Dense>,
}

/// Linear maps (C, C) by degree: one for all elements, or one for each.
#[derive(Clone, Debug)]
pub enum Skip {
    /// From the features that come in to those that go out, for degrees in both.
    Residual(BTreeMap<usize, Vec<Dense>>),
    /// On the sum over neighbours.
    Message(Vec<Vec<Dense>>),
}

/// Which block of mace-torch.
#[derive(Clone, Copy, PartialEq)]
struct Kind {
    density: bool,
    residual: bool,
    gated: bool,
}

impl Kind {
    fn named(class: &str) -> Read<Self> {
        let (density, residual, gated) = match class {
            "RealAgnosticInteractionBlock" => (false, false, false),
            "RealAgnosticResidualInteractionBlock" => (false, true, false),
            "RealAgnosticDensityInteractionBlock" => (true, false, false),
            "RealAgnosticDensityResidualInteractionBlock" => (true, true, false),
            "RealAgnosticResidualNonLinearInteractionBlock" => (true, true, true),
            other => return Err(Fault::Unsupported(format!("the interaction `{other}`"))),
        };
        Ok(Self { density, residual, gated })
    }
}

impl Reader<'_> {
    /// Interaction `t`, with harmonics up to degree `lmax`, of a number of radial functions.
    pub fn interaction(&self, t: usize, lmax: usize, basis: usize) -> Read<Interaction> {
        let module = format!("interactions.{t}");
        let c = self.channels;
        let kind = Kind::named(self.class(&module)?)?;
        let input = self.degrees(&module, "node_feats_irreps")?;
        let output = self.degrees(&module, "hidden_irreps")?;
        let target = self.degrees(&module, "target_irreps")?;
        if target != (0..=lmax).collect::<Vec<_>>() || output.iter().any(|l| *l > lmax) {
            return Err(Fault::Unsupported(format!("the target features of `{module}`")));
        }
        let (e, sent) = match self.attribute(&module, "edge_irreps") {
            None | Some(serde_json::Value::Null) => (c, input.clone()),
            Some(_) => self.features(&module, "edge_irreps")?,
        };
        if sent.iter().any(|l| !input.contains(l)) {
            return Err(Fault::Unsupported(format!(
                "features of edges of degrees {sent:?} from features of degrees {input:?} in `{module}`"
            )));
        }
        let up = self.mixing(&format!("{module}.linear_up.weight"), sent.len(), c, e)?;
        let natural = |mul: usize, degrees: &[usize]| {
            Irreps(degrees.iter().map(|l| (mul, Irrep::natural(*l))).collect())
        };
        let harmonics = Irreps::spherical_harmonics(lmax);
        let found = natural(e, &sent).paths(&harmonics, &natural(c, &target));
        // columns of the linear map behind the sum, by degree
        let wide = |l: usize| if kind.gated && l == 0 { c * (1 + lmax) } else { c };
        let linear = format!("{module}.{}.weight", if kind.gated { "linear_1" } else { "linear" });
        let linear = self.weights(&linear, found.iter().map(|p| e * wide(p.degrees[2])).sum())?;
        let (mut paths, mut at) = (Vec::new(), 0);
        for path in &found {
            let fan = found.iter().filter(|p| p.output == path.output).count() * e;
            let outputs = wide(path.degrees[2]);
            paths.push(ConvolutionPath {
                input: path.input,
                degrees: path.degrees,
                coupling: self.coupling(t, path.degrees)?,
                linear: part(&linear, at, e, outputs, 1.0 / (fan as f64).sqrt()),
            });
            at += e * outputs;
        }
        let network = format!("{module}.conv_tp_weights");
        let (network, division) = if kind.gated {
            let density = self.by_elements(&module, "density_fn", basis, 1)?;
            let [offset, slope] =
                [self.scalar(&format!("{module}.alpha"))?, self.scalar(&format!("{module}.beta"))?];
            if offset <= 0.0 || slope < 0.0 {
                return content(format!("the density of `{module}` divides by {offset} + {slope} ρ"));
            }
            let network = self.by_elements(&module, "conv_tp_weights", basis, found.len() * e)?;
            (network, Division::Density { network: density, offset, slope })
        } else {
            (
                self.network(&network, basis, found.len() * e)?.into(),
                self.division(&module, kind.density, basis)?,
            )
        };
        let gate = if kind.gated { Some(self.gate(&module, &sent, e, lmax)?) } else { None };
        let both: Vec<usize> = input.iter().copied().filter(|l| output.contains(l)).collect();
        let skip = format!("{module}.skip_tp.weight");
        let skip = if kind.gated {
            let matrices = self.mixing(&skip, both.len(), c, c)?;
            Skip::Residual(both.into_iter().zip(matrices.into_iter().map(|m| vec![m])).collect())
        } else if kind.residual {
            Skip::Residual(both.iter().copied().zip(self.selected(&skip, both.len())?).collect())
        } else {
            Skip::Message(self.selected(&skip, target.len())?)
        };
        Ok(Interaction { input, output, sent, edge_channels: e, up, network, paths, division, gate, skip })
    }
    /// A matrix for each element, for every degree, from a tensor product with the elements.
    fn selected(&self, name: &str, degrees: usize) -> Read<Vec<Vec<Dense>>> {
        let (c, e) = (self.channels, self.elements);
        let values = self.weights(name, degrees * c * e * c)?;
        let scale = 1.0 / ((c * e) as f64).sqrt();
        // (in, element, out)
        let of = |k: usize, z: usize| {
            let mut m = Dense { inputs: c, outputs: c, values: Vec::with_capacity(c * c) };
            for u in 0..c {
                let row = ((k * c + u) * e + z) * c;
                m.values.extend(values[row..row + c].iter().map(|v| v * scale));
            }
            m
        };
        Ok((0..degrees).map(|k| (0..e).map(|z| of(k, z)).collect()).collect())
    }
    fn division(&self, module: &str, density: bool, basis: usize) -> Read<Division> {
        if density {
            if self.has(&format!("{module}.density_fn.layer1.weight")) {
                return Err(Fault::Unsupported(format!("a density network of several layers in `{module}`")));
            }
            let network = self.network(&format!("{module}.density_fn"), basis, 1)?;
            return Ok(Division::Density { network: network.into(), offset: 1.0, slope: 1.0 });
        }
        let n = self.number(module, "avg_num_neighbors")?;
        if n <= 0.0 {
            return content(format!("the average number of neighbours of `{module}` should be positive"));
        }
        Ok(Division::Constant(n))
    }
    /// A network of the radial functions and of what source and target embeddings make of the elements of sender and receiver.
    fn by_elements(&self, module: &str, name: &str, basis: usize, outputs: usize) -> Read<PairNetwork> {
        let (c, e) = (self.channels, self.elements);
        let mut network = self.perceptron(&format!("{module}.{name}.net"), basis + 2 * c, outputs)?;
        let first = network.layers.remove(0);
        let rows =
            |from: usize, count: usize| part(&first.values, from * first.outputs, count, first.outputs, 1.0);
        let embedded = |which: &str, from: usize| -> Read<Dense> {
            let table = self.weights(&format!("{module}.{which}_embedding.weight"), e * c)?;
            Ok(part(&table, 0, e, c, 1.0 / (e as f64).sqrt()).times(&rows(from, c)))
        };
        let elements = [embedded("target", basis + c)?, embedded("source", basis)?];
        network.layers.insert(0, rows(0, basis));
        Ok(PairNetwork { network, elements: Some(elements) })
    }
    /// Linear maps with biases, each but the last followed by a normalisation and silu.
    fn perceptron(&self, module: &str, inputs: usize, outputs: usize) -> Read<Network> {
        let (mut layers, mut biases, mut norms) = (Vec::<Dense>::new(), Vec::new(), Vec::new());
        for k in 0.. {
            let name = format!("{module}.{k}");
            let width = layers.last().map_or(inputs, |l| l.outputs);
            let class = if self.attribute(&name, "class").is_some() { self.class(&name)? } else { break };
            let expected = ["Linear", "LayerNorm", "SiLU"][k % 3];
            if class != expected {
                return Err(Fault::Unsupported(format!(
                    "`{class}` as `{name}`, where `{expected}` was expected"
                )));
            }
            match k % 3 {
                0 => {
                    let (w, b) = self.affine(&name, width)?;
                    layers.push(w);
                    biases.push(b.unwrap_or_else(|| vec![0.0; layers[layers.len() - 1].outputs]));
                }
                1 => norms.push(self.layer_norm(&name, width)?),
                _ => {}
            }
        }
        if layers.last().map(|l| l.outputs) != Some(outputs) || norms.len() + 1 != layers.len() {
            return content(format!("the network `{module}` should give {outputs} numbers"));
        }
        Ok(Network { layers, biases, norms, activation: Activation::Silu })
    }
    fn gate(&self, module: &str, sent: &[usize], e: usize, lmax: usize) -> Read<Gate> {
        let c = self.channels;
        let nonlinear = format!("{module}.equivariant_nonlin");
        let constants = [
            self.gated(&nonlinear, "scalar", Activation::Silu)?,
            if lmax > 0 { self.gated(&nonlinear, "gate", Activation::Sigmoid)? } else { 1.0 },
        ];
        let wide = |l: usize| if l == 0 { c * (1 + lmax) } else { c };
        let values =
            self.weights(&format!("{module}.linear_res.weight"), sent.iter().map(|l| e * wide(*l)).sum())?;
        let mut at = 0;
        let mut residual = Vec::new();
        for l in sent {
            residual.push(part(&values, at, e, wide(*l), 1.0 / (e as f64).sqrt()));
            at += e * wide(*l);
        }
        let linear = self.mixing(&format!("{module}.linear_2.weight"), lmax + 1, c, c)?;
        let linear = linear.into_iter().enumerate().map(|(l, w)| w.scaled(constants[l.min(1)])).collect();
        Ok(Gate { residual, linear })
    }
    /// The constant of an activation of a gate, which mace-torch keeps itself and, before 0.3.15, left to e3nn.
    fn gated(&self, module: &str, which: &str, expected: Activation) -> Read<f64> {
        let own = self.attribute(module, &format!("_act_{which}")).and_then(serde_json::Value::as_str);
        let (found, constant) = match own {
            Some(name) => {
                let Some(f) = Activation::named(name) else {
                    return Err(Fault::Unsupported(format!("the activation `{name}` of `{module}`")));
                };
                (f, self.number(module, &format!("_{which}_cst"))?)
            }
            None => self.activation(&format!("{module}.act_{which}s.acts.0"))?,
        };
        if found != expected {
            return Err(Fault::Unsupported(format!(
                "the activation {found:?} of `{module}` for each {which}"
            )));
        }
        Ok(constant)
    }
    fn coupling(&self, layer: usize, [a, b, c]: [usize; 3]) -> Read<Vec<([usize; 3], f64)>> {
        let name = format!("interactions.{layer}.conv_tp._compiled_main_left_right._w3j_{a}_{b}_{c}");
        let shape = [2 * a + 1, 2 * b + 1, 2 * c + 1];
        let tensor = if self.has(&name) {
            Tensor3::new(shape, self.file.numbers(&name, &shape)?)
        } else {
            let exact = wigner_3j(a, b, c, Convention::Table);
            // a model in single precision has these constants in code that is not read, rounded as its weights are;
            // those with a degree of zero are plain numbers there
            let weights = self.file.tensor(&format!("interactions.{layer}.linear_up.weight"))?;
            if weights.dtype() == Dtype::F32 && a * b * c > 0 {
                Tensor3::new(shape, exact.values().iter().map(|v| f64::from(*v as f32)).collect())
            } else {
                exact
            }
        };
        Ok(tensor.sparse(((2 * c + 1) as f64).sqrt()))
    }
}
