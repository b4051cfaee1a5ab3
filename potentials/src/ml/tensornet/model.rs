//! What a TensorNet checkpoint says, as plain numbers in eV and Å.
use super::priors::{PairPrior, Prior};
use super::units::Units;
use crate::ml::checkpoint::{Fault, ModelFile, Tensor};
use crate::ml::equivariant::Activation;
use crate::ml::radial::{Basis, Dense};
use caloron_engine::elements;
use serde_json::Value;

type Read<T> = Result<T, Fault>;

/// The most channels that are believed.
const MOST_CHANNELS: usize = 65_536;
/// The most layers that are believed.
const MOST_LAYERS: usize = 64;

/// A TensorNet model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Atomic numbers of the elements it has numbers for, ascending.
    pub elements: Vec<u8>,
    /// Cutoff, Å.
    pub cutoff: f64,
    /// Channels, F.
    pub channels: usize,
    /// Radial functions.
    pub basis: Basis,
    /// Activation of all networks.
    pub activation: Activation,
    /// Operations that the features are equivariant under.
    pub group: Group,
    /// Whether it was trained on systems of different total charge.
    pub charge: bool,
    /// Row of every element, (elements, F).
    pub embedding: Dense,
    /// From the rows of two elements, that of the receiver first, to what multiplies their edges, (2F, F).
    pub pair: Affine,
    /// From the radial functions to the weights of the three parts of the embedding, (basis, F).
    pub distance: [Affine; 3],
    /// Norm of the squared norms of the embedding.
    pub norm: Norm,
    /// From these to what multiplies the parts, (F, 2F) and (2F, 3F).
    pub scalars: [Affine; 2],
    /// Mixing of the channels of each part, (F, F).
    pub tensors: [Dense; 3],
    /// Interactions.
    pub layers: Vec<Layer>,
    /// Norm of the squared norms of the three parts after the last layer.
    pub out_norm: Norm,
    /// From these to the energy, (3F, F) to (·, 1): with the activation after all but the last.
    pub readout: Vec<Affine>,
    /// Factor of the energy, eV.
    pub scale: f64,
    /// What is added once to the energy of a structure, eV.
    pub mean: f64,
    /// What every element has on its own, eV.
    pub atomic_energies: Vec<f64>,
    /// Physical terms between pairs of atoms.
    pub priors: Vec<PairPrior>,
}

/// Operations that features are equivariant under.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Group {
    /// Rotations and reflections.
    O3,
    /// Rotations.
    So3,
}

/// A linear map with a constant: x W + b.
#[derive(Clone, Debug)]
pub struct Affine {
    /// W.
    pub matrix: Dense,
    /// b.
    pub bias: Vec<f64>,
}

/// γ (x − ⟨x⟩)/sqrt(⟨(x − ⟨x⟩)²⟩ + ε) + β.
#[derive(Clone, Debug)]
pub struct Norm {
    /// γ.
    pub gamma: Vec<f64>,
    /// β.
    pub beta: Vec<f64>,
}

impl Norm {
    /// ε.
    pub const EPSILON: f64 = 1e-5;
}

/// One interaction.
#[derive(Clone, Debug)]
pub struct Layer {
    /// From the radial functions to the weights of the three parts, (basis, F), (F, 2F), (2F, 3F).
    pub radial: [Affine; 3],
    /// Mixing of the channels of the parts of what is sent, and then of the product, (F, F).
    pub tensors: [Dense; 6],
}

fn content<T>(message: impl Into<String>) -> Read<T> {
    Err(Fault::Content(message.into()))
}

fn unsupported<T>(message: impl Into<String>) -> Read<T> {
    Err(Fault::Unsupported(message.into()))
}

/// Where the tensors of the network are.
const NETWORK: &str = "model.representation_model";

/// Reads the names of one file.
pub(super) struct Reader<'a> {
    pub file: &'a ModelFile,
    /// Whether the outputs of the last scalar layers are ordered by channel and then by part, as before the order of tensors changed.
    by_channel: bool,
}

impl<'a> Reader<'a> {
    pub(super) fn new(file: &'a ModelFile) -> Self {
        // this setting went away together with the former order
        let by_channel = file.hyper_parameter(&["hyper_parameters", "check_errors"]).is_some();
        Self { file, by_channel }
    }
    pub(super) fn parameter(&self, key: &str) -> Option<&Value> {
        self.file.hyper_parameter(&["hyper_parameters", key]).filter(|v| !v.is_null())
    }
    fn text(&self, key: &str) -> Read<&str> {
        match self.parameter(key).and_then(Value::as_str) {
            Some(text) => Ok(text),
            None => content(format!("the model does not state `{key}`")),
        }
    }
    fn number(&self, key: &str) -> Read<f64> {
        match self.parameter(key).and_then(Value::as_f64) {
            Some(x) if x.is_finite() => Ok(x),
            _ => content(format!("the model does not state `{key}` as a number")),
        }
    }
    fn flag(&self, key: &str) -> bool {
        self.parameter(key).and_then(Value::as_bool).unwrap_or(false)
    }
    fn shaped(&self, name: &str, shape: &[usize]) -> Read<Vec<f64>> {
        let values = self.file.numbers(&format!("{NETWORK}.{name}"), shape)?;
        if values.iter().all(|v| v.is_finite()) {
            Ok(values)
        } else {
            content(format!("tensor `{NETWORK}.{name}` holds numbers that are not finite"))
        }
    }
    /// A matrix that PyTorch stores as (outputs, inputs).
    fn matrix(&self, name: &str, inputs: usize, outputs: usize) -> Read<Dense> {
        let values = self.shaped(&format!("{name}.weight"), &[outputs, inputs])?;
        let values = (0..inputs * outputs).map(|k| values[k % outputs * inputs + k / outputs]).collect();
        Ok(Dense { inputs, outputs, values })
    }
    fn affine(&self, name: &str, inputs: usize, outputs: usize) -> Read<Affine> {
        Ok(Affine {
            matrix: self.matrix(name, inputs, outputs)?,
            bias: self.shaped(&format!("{name}.bias"), &[outputs])?,
        })
    }
    /// A map to three parts, with those of all channels side by side.
    fn parts(&self, name: &str, inputs: usize, channels: usize) -> Read<Affine> {
        let mut map = self.affine(name, inputs, 3 * channels)?;
        if self.by_channel {
            let of = |row: &[f64]| -> Vec<f64> {
                (0..3 * channels).map(|o| row[o % channels * 3 + o / channels]).collect()
            };
            map.matrix.values = map.matrix.values.chunks_exact(3 * channels).flat_map(of).collect();
            map.bias = of(&map.bias);
        }
        Ok(map)
    }
    fn norm(&self, name: &str, length: usize) -> Read<Norm> {
        Ok(Norm {
            gamma: self.shaped(&format!("{name}.weight"), &[length])?,
            beta: self.shaped(&format!("{name}.bias"), &[length])?,
        })
    }
    fn tensors<const N: usize>(&self, prefix: &str, channels: usize) -> Read<[Dense; N]> {
        let all: Vec<Dense> = (0..N)
            .map(|k| self.matrix(&format!("{prefix}linears_tensor.{k}"), channels, channels))
            .collect::<Read<_>>()?;
        all.try_into().or_else(|_| content("matrices are missing"))
    }
    fn tensor(&self, name: &str) -> Read<&Tensor> {
        self.file.tensor(name)
    }
    fn scalar(&self, name: &str, default: f64) -> Read<f64> {
        match self.file.tensors.get(name).map(Tensor::scalar) {
            None => Ok(default),
            Some(Some(x)) if x.is_finite() => Ok(x),
            Some(_) => content(format!("tensor `{name}` should be one finite number")),
        }
    }
    fn basis(&self, cutoff: f64, length: f64) -> Read<Basis> {
        let list = |name: &str| -> Read<Vec<f64>> {
            let name = format!("{NETWORK}.distance_expansion.{name}");
            let values = self.tensor(&name)?.to_f64();
            if values.is_empty() || values.len() > MOST_CHANNELS || values.iter().any(|v| !v.is_finite()) {
                return content(format!("tensor `{name}` should hold some finite numbers"));
            }
            Ok(values)
        };
        match self.text("rbf_type")? {
            "expnorm" => {
                let (means, betas) = (list("means")?, list("betas")?);
                if means.len() != betas.len() {
                    return content("the radial basis has different numbers of means and betas");
                }
                Ok(Basis::ExpNormal { rate: 5.0 / cutoff, means, betas, cutoff })
            }
            "gauss" => {
                let centers = list("offset")?.iter().map(|c| c * length).collect();
                let coefficient = self.scalar(&format!("{NETWORK}.distance_expansion.coeff"), f64::NAN)?;
                if coefficient.is_nan() {
                    return content("the radial basis has no `coeff`");
                }
                Ok(Basis::Gaussian { centers, coefficient: coefficient / (length * length) })
            }
            other => unsupported(format!("the radial basis `{other}` (rbf_type)")),
        }
    }
    /// The networks of the output: names changed with version 2.
    fn readout(&self, channels: usize) -> Read<Vec<Affine>> {
        let mut maps = vec![self.affine("linear", 3 * channels, channels)?];
        let module = "model.output_model.output_network";
        let renamed = format!("{module}.layers");
        let module = if self.file.tensors.contains_key(&format!("{renamed}.0.weight")) {
            renamed.as_str()
        } else {
            module
        };
        let mut inputs = channels;
        for k in (0..2 * MOST_LAYERS).step_by(2) {
            let name = format!("{module}.{k}.weight");
            let Some(weight) = self.file.tensors.get(&name) else { break };
            let &[outputs, _] = weight.shape() else {
                return content(format!("tensor `{name}` should be a matrix"));
            };
            let values = self.file.numbers(&name, &[outputs, inputs])?;
            let bias = self.file.numbers(&format!("{module}.{k}.bias"), &[outputs])?;
            if values.iter().chain(&bias).any(|v| !v.is_finite()) {
                return content(format!("tensor `{name}` or its bias holds numbers that are not finite"));
            }
            let values = (0..inputs * outputs).map(|k| values[k % outputs * inputs + k / outputs]).collect();
            maps.push(Affine { matrix: Dense { inputs, outputs, values }, bias });
            inputs = outputs;
        }
        if maps.len() < 2 || inputs != 1 {
            return content("the output network does not end in one number for each atom");
        }
        Ok(maps)
    }
    /// Elements by what each has on its own where the file says it, else all there are numbers for.
    fn elements(&self, rows: usize, own: Option<&[f64]>) -> Read<Vec<u8>> {
        let known = |z: &usize| elements::symbol(*z as u8).is_some();
        let all: Vec<usize> = (1..rows.min(u8::MAX as usize)).filter(known).collect();
        let trained: Vec<usize> = match own {
            Some(own) => all.iter().copied().filter(|z| own.get(*z).is_some_and(|e| *e != 0.0)).collect(),
            None => Vec::new(),
        };
        let chosen = if trained.is_empty() { all } else { trained };
        if chosen.is_empty() {
            return content("the model has no elements");
        }
        Ok(chosen.into_iter().map(|z| z as u8).collect())
    }
}

impl Model {
    /// Understands a checkpoint whose numbers are in the units given.
    ///
    /// # Errors
    /// When it is no TensorNet model, is damaged, or has parts that are not supported.
    pub fn new(file: &ModelFile, units: Units) -> Read<Self> {
        let reader = Reader::new(file);
        match reader.text("model")? {
            "tensornet" => {}
            other => return unsupported(format!("the architecture `{other}` of TorchMD-Net (`model`)")),
        }
        match reader.text("output_model")? {
            "Scalar" => {}
            other => return unsupported(format!("the output model `{other}` (only `Scalar` is an energy)")),
        }
        match reader.text("reduce_op")? {
            "add" | "sum" => {}
            other => return unsupported(format!("a sum over atoms by `reduce_op = {other}`")),
        }
        if reader.parameter("atom_filter").and_then(Value::as_i64).is_some_and(|f| f > -1) {
            return unsupported("a model of some of the atoms (atom_filter)");
        }
        if reader.parameter("cutoff_lower").and_then(Value::as_f64).is_some_and(|c| c != 0.0) {
            return unsupported("a shortest distance of edges (cutoff_lower)");
        }
        let group = match reader.text("equivariance_invariance_group")? {
            "O(3)" => Group::O3,
            "SO(3)" => Group::So3,
            other => return unsupported(format!("the group `{other}`")),
        };
        let activation = match reader.text("activation")? {
            "silu" | "swish" => Activation::Silu,
            "tanh" => Activation::Tanh,
            "sigmoid" => Activation::Sigmoid,
            "ssp" => Activation::ShiftedSoftplus,
            other => return unsupported(format!("the activation `{other}`")),
        };
        let cutoff = reader.number("cutoff_upper")? * units.length;
        if !(cutoff > 0.0 && cutoff < 100.0) {
            return content(format!("the cutoff {cutoff} Å is out of range"));
        }
        let emb = reader.tensor(&format!("{NETWORK}.tensor_embedding.emb.weight"))?;
        let &[rows, f] = emb.shape() else {
            return content("the embedding of the elements should be a matrix");
        };
        let count = reader.number("num_layers")?;
        if !(1..=MOST_CHANNELS).contains(&f) || !(0.0..=MOST_LAYERS as f64).contains(&count) {
            return content(format!("{f} channels in {count} layers"));
        }
        let basis = reader.basis(cutoff, units.length)?;
        let b = basis.len();
        let t = "tensor_embedding";
        let priors = Prior::read(&reader)?;
        let own = priors.iter().fold(None, |sum: Option<Vec<f64>>, p| match (p, sum) {
            (Prior::Atoms(e), None) => Some(e.clone()),
            (Prior::Atoms(e), Some(sum)) => {
                let at = |list: &[f64], k: usize| list.get(k).copied().unwrap_or(0.0);
                Some((0..sum.len().max(e.len())).map(|k| at(&sum, k) + at(e, k)).collect())
            }
            (_, sum) => sum,
        });
        let elements = reader.elements(rows, own.as_deref())?;
        let table = reader.shaped(&format!("{t}.emb.weight"), &[rows, f])?;
        let embedding = Dense {
            inputs: elements.len(),
            outputs: f,
            values: elements.iter().flat_map(|z| &table[usize::from(*z) * f..][..f]).copied().collect(),
        };
        let layer = |k: usize| -> Read<Layer> {
            let prefix = format!("layers.{k}");
            Ok(Layer {
                radial: [
                    reader.affine(&format!("{prefix}.linears_scalar.0"), b, f)?,
                    reader.affine(&format!("{prefix}.linears_scalar.1"), f, 2 * f)?,
                    reader.parts(&format!("{prefix}.linears_scalar.2"), 2 * f, f)?,
                ],
                tensors: reader.tensors(&format!("{prefix}."), f)?,
            })
        };
        let layers: Vec<Layer> = (0..count as usize).map(layer).collect::<Read<_>>()?;
        if file.tensors.contains_key(&format!("{NETWORK}.layers.{}.linears_tensor.0.weight", layers.len())) {
            return content(format!("the file has more layers than `num_layers` = {count}"));
        }
        let own = own.unwrap_or_default();
        let own = |z: &u8| own.get(usize::from(*z)).copied().unwrap_or(0.0) * units.energy;
        Ok(Self {
            atomic_energies: elements.iter().map(own).collect(),
            cutoff,
            channels: f,
            activation,
            group,
            charge: reader.flag("charge"),
            embedding,
            pair: reader.affine(&format!("{t}.emb2"), 2 * f, f)?,
            distance: [
                reader.affine(&format!("{t}.distance_proj1"), b, f)?,
                reader.affine(&format!("{t}.distance_proj2"), b, f)?,
                reader.affine(&format!("{t}.distance_proj3"), b, f)?,
            ],
            norm: reader.norm(&format!("{t}.init_norm"), f)?,
            scalars: [
                reader.affine(&format!("{t}.linears_scalar.0"), f, 2 * f)?,
                reader.parts(&format!("{t}.linears_scalar.1"), 2 * f, f)?,
            ],
            tensors: reader.tensors(&format!("{t}."), f)?,
            layers,
            out_norm: reader.norm("out_norm", 3 * f)?,
            readout: reader.readout(f)?,
            scale: reader.scalar("model.std", 1.0)? * units.energy,
            mean: reader.scalar("model.mean", 0.0)? * units.energy,
            priors: priors.iter().filter_map(|p| p.between_pairs(units)).collect(),
            basis,
            elements,
        })
    }
    /// Symbols of the elements.
    pub fn symbols(&self) -> Vec<String> {
        self.elements.iter().map(|z| elements::symbol(*z).unwrap_or("?").to_owned()).collect()
    }
}
