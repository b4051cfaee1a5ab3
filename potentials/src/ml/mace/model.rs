//! What a MACE model file says, as plain numbers with all normalisations in them.
use crate::ml::checkpoint::{Dtype, Fault, ModelFile};
use crate::ml::equivariant::weights::{counted, network, part};
use crate::ml::equivariant::wigner::Tensor3;
use crate::ml::equivariant::{Activation, Convention, Irrep, Irreps, wigner_3j};
use crate::ml::radial::{Basis, Dense, Network, Transform};
use serde_json::Value;
use std::collections::BTreeMap;

type Read<T> = Result<T, Fault>;

/// A MACE model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Atomic numbers, ascending.
    pub elements: Vec<u8>,
    /// Cutoff, Å.
    pub cutoff: f64,
    /// Channels C of every feature.
    pub channels: usize,
    /// Largest degree of the spherical harmonics.
    pub lmax: usize,
    /// Distances to inputs of the radial networks.
    pub radial: Radial,
    /// Nuclear repulsion.
    pub zbl: Option<Zbl>,
    /// Scalars of every element before the first layer, (elements, C).
    pub embedding: Dense,
    /// Interactions.
    pub layers: Vec<Layer>,
    /// Heads.
    pub heads: Vec<Head>,
    /// True when the coupling coefficients were rounded to single precision as the weights were.
    pub rounded: bool,
}

/// What differs between the heads of a model.
#[derive(Clone, Debug)]
pub struct Head {
    /// Name.
    pub name: String,
    /// Energies of isolated atoms, eV, one for each element.
    pub atomic_energies: Vec<f64>,
    /// Factor of the interaction energy of an atom.
    pub scale: f64,
    /// What is added to it, eV.
    pub shift: f64,
}

/// How distances enter.
#[derive(Clone, Debug)]
pub struct Radial {
    /// Functions of the transformed distance.
    pub basis: Basis,
    /// Transform.
    pub transform: Transform,
    /// Power of the polynomial cutoff.
    pub power: f64,
    /// Whether the cutoff multiplies the basis; if not it multiplies what the networks give.
    pub on_basis: bool,
    /// Covalent radius of every element of the model, Å.
    pub radii: Vec<f64>,
}

/// Screened nuclear repulsion between covalent radii.
#[derive(Clone, Debug)]
pub struct Zbl {
    /// Amplitudes of the four exponentials.
    pub amplitudes: [f64; 4],
    /// Power of the envelope.
    pub power: f64,
    /// Exponent of the nuclear charges in the screening length.
    pub exponent: f64,
    /// Prefactor of the screening length.
    pub prefactor: f64,
    /// Covalent radius of every element of the model, Å.
    pub radii: Vec<f64>,
}

/// One interaction with its product and readout.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Degrees of the features that come in.
    pub input: Vec<usize>,
    /// Degrees of the features that go out.
    pub output: Vec<usize>,
    /// Mixing of the channels of the senders, (C, C) for each input degree.
    pub up: Vec<Dense>,
    /// Radial network: (basis) -> (paths, C).
    pub network: Network,
    /// Paths of the convolution.
    pub paths: Vec<ConvolutionPath>,
    /// What the sum over neighbours is divided by.
    pub division: Division,
    /// Element-dependent matrices (C, C), by element.
    pub skip: Skip,
    /// One for each output degree.
    pub products: Vec<Product>,
    /// Energies from the features that go out.
    pub readout: Option<Readout>,
}

/// A path of the convolution: a feature of degree l₁ with a harmonic l₂ to degree l₃.
#[derive(Clone, Debug)]
pub struct ConvolutionPath {
    /// Place of l₁ in [`Layer::input`].
    pub input: usize,
    /// l₁, l₂, l₃.
    pub degrees: [usize; 3],
    /// 3j symbols times sqrt(2l₃ + 1).
    pub coupling: Vec<([usize; 3], f64)>,
    /// Its part of the linear map to degree l₃, (C, C).
    pub linear: Dense,
}

/// What the sum over neighbours is divided by.
#[derive(Clone, Debug)]
pub enum Division {
    /// A number.
    Constant(f64),
    /// 1 + Σ_e tanh((b_e · w)²).
    Density(Vec<f64>),
}

/// Element-dependent linear maps, by degree and element.
#[derive(Clone, Debug)]
pub enum Skip {
    /// From the features that come in to those that go out, for degrees in both: `[degree of the output][element]`.
    Residual(BTreeMap<usize, Vec<Dense>>),
    /// On the sum over neighbours: `[degree][element]`.
    Message(Vec<Vec<Dense>>),
}

/// The symmetric contraction to one degree and the linear map behind it.
#[derive(Clone, Debug)]
pub struct Product {
    /// Degree.
    pub l: usize,
    /// Products of components that occur, as ascending lists of components.
    pub monomials: Vec<Vec<u8>>,
    /// By order: terms and weights.
    pub orders: Vec<Order>,
    /// (C, C).
    pub linear: Dense,
}

/// Terms of one order of a contraction.
#[derive(Clone, Debug)]
pub struct Order {
    /// Monomial, component m of the result, weight k, coefficient.
    pub terms: Vec<(u32, u8, u16, f64)>,
    /// Number of weights K.
    pub count: usize,
    /// (elements, K, C).
    pub weights: Vec<f64>,
}

/// Energy of an atom from its scalars.
#[derive(Clone, Debug)]
pub enum Readout {
    /// (C, heads).
    Linear(Dense),
    /// Two layers: (C, heads · n) and, with the constant of the activation in it, (heads · n, heads).
    Network(Dense, Activation, Dense),
}

fn content<T>(message: impl Into<String>) -> Read<T> {
    Err(Fault::Content(message.into()))
}

/// Reads names of one file.
struct Reader<'a> {
    file: &'a ModelFile,
    elements: usize,
    channels: usize,
}

impl Reader<'_> {
    fn numbers(&self, name: &str) -> Read<Vec<f64>> {
        Ok(self.file.tensor(name)?.to_f64())
    }
    fn has(&self, name: &str) -> bool {
        self.file.tensors.contains_key(name)
    }
    fn scalar(&self, name: &str) -> Read<f64> {
        match self.file.tensor(name)?.scalar() {
            Some(x) if x.is_finite() => Ok(x),
            _ => content(format!("tensor `{name}` should be one finite number")),
        }
    }
    fn attribute(&self, module: &str, name: &str) -> Option<&Value> {
        self.file.hyper_parameter(&["modules", module, name])
    }
    fn class(&self, module: &str) -> Read<&str> {
        match self.attribute(module, "class").and_then(Value::as_str) {
            Some(class) => Ok(class.rsplit('.').next().unwrap_or(class)),
            None => content(format!("the class of `{module}` is not stated")),
        }
    }
    fn flag(&self, module: &str, name: &str) -> Option<bool> {
        self.attribute(module, name).and_then(Value::as_bool)
    }
    fn number(&self, module: &str, name: &str) -> Read<f64> {
        let found = self.attribute(module, name).and_then(|v| match v {
            Value::Array(items) if items.len() == 1 => items[0].as_f64(),
            other => other.as_f64(),
        });
        match found {
            Some(x) if x.is_finite() => Ok(x),
            _ => content(format!("`{module}` does not state its `{name}` as a number")),
        }
    }
    /// Degrees of a feature of natural parity whose blocks all have C channels.
    fn degrees(&self, module: &str, name: &str) -> Read<Vec<usize>> {
        let Some(text) = self.attribute(module, name).and_then(Value::as_str) else {
            return content(format!("`{module}` does not state its `{name}`"));
        };
        let Some(irreps) = Irreps::parse(text) else {
            return content(format!(
                "`{name}` of `{module}` is `{text}`, expected something like 128x0e+128x1o"
            ));
        };
        let natural = irreps.0.iter().all(|(mul, i)| *mul == self.channels && *i == Irrep::natural(i.l));
        let degrees: Vec<usize> = irreps.0.iter().map(|b| b.1.l).collect();
        if !natural || degrees.windows(2).any(|w| w[0] >= w[1]) || degrees.first() != Some(&0) {
            return Err(Fault::Unsupported(format!(
                "features `{text}` in `{module}` (expected {}x0e+{}x1o+… of one number of channels)",
                self.channels, self.channels
            )));
        }
        Ok(degrees)
    }
    fn weights(&self, name: &str, count: usize) -> Read<Vec<f64>> {
        counted(self.file, name, count)
    }
    /// A channel mixing for each degree.
    fn mixing(&self, name: &str, degrees: usize) -> Read<Vec<Dense>> {
        let c = self.channels;
        let values = self.weights(name, degrees * c * c)?;
        Ok((0..degrees).map(|k| part(&values, k * c * c, c, c, 1.0 / (c as f64).sqrt())).collect())
    }
    /// The activation of a module and its constant.
    fn activation(&self, module: &str) -> Read<(Activation, f64)> {
        if self.attribute(module, "class").is_none() {
            return content(format!("the activation `{module}` is not stated"));
        }
        // a function by its name, or a module
        let own = self.attribute(module, "f").and_then(Value::as_str);
        let inner = || self.attribute(&format!("{module}.f"), "class").and_then(Value::as_str);
        let Some(name) = own.or_else(inner) else {
            return content(format!("`{module}` does not name its function"));
        };
        let Some(f) = Activation::named(name) else {
            return Err(Fault::Unsupported(format!("the activation `{name}` of `{module}`")));
        };
        let constant = if self.flag(module, "_is_id") == Some(true) {
            1.0
        } else {
            self.attribute(module, "cst").and_then(Value::as_f64).unwrap_or(f.constant())
        };
        Ok((f, constant))
    }
    /// The activation of a readout, by the list that e3nn keeps of them: one that is left out is the identity.
    fn gate(&self, list: &str) -> Read<(Activation, f64)> {
        let first = format!("{list}.0");
        let is_list = self.class(list).is_ok_and(|class| class == "ModuleList");
        if is_list && self.attribute(&first, "class").is_none() {
            return Ok((Activation::Identity, 1.0));
        }
        self.activation(&first)
    }
    fn network(&self, module: &str, inputs: usize, outputs: usize) -> Read<Network> {
        // the last layer has none
        let single = !self.has(&format!("{module}.layer1.weight"));
        let activation = if single {
            (Activation::Identity, 1.0)
        } else {
            self.activation(&format!("{module}.layer0.act"))?
        };
        network(self.file, module, activation, inputs, outputs)
    }
    fn radii(&self, name: &str, elements: &[u8]) -> Read<Vec<f64>> {
        let table = self.numbers(name)?;
        elements
            .iter()
            .map(|z| match table.get(usize::from(*z)) {
                Some(r) if *r > 0.0 => Ok(*r),
                _ => content(format!("`{name}` has no radius for atomic number {z}")),
            })
            .collect()
    }
    fn radial(&self, cutoff: f64, elements: &[u8]) -> Read<Radial> {
        let module = "radial_embedding";
        let function = format!("{module}.bessel_fn");
        let basis = if self.has(&format!("{function}.bessel_weights")) {
            Basis::Bessel {
                frequencies: self.numbers(&format!("{function}.bessel_weights"))?,
                prefactor: self.scalar(&format!("{function}.prefactor"))?,
            }
        } else if self.has(&format!("{function}.gaussian_weights")) {
            let centers = self.numbers(&format!("{function}.gaussian_weights"))?;
            Basis::Gaussian { centers, coefficient: self.number(&function, "coeff")? }
        } else if self.has(&format!("{function}.n")) {
            let n = self.numbers(&format!("{function}.n"))?;
            if n.iter().any(|n| !(0.0..=256.0).contains(n)) {
                return content(format!("`{function}.n` should be degrees of polynomials"));
            }
            Basis::Chebyshev { degrees: n.iter().map(|n| *n as usize).collect() }
        } else {
            return Err(Fault::Unsupported(format!("a radial basis `{}`", self.class(&function)?)));
        };
        let transform = format!("{module}.distance_transform");
        let of = |name: &str| format!("{transform}.{name}");
        let (kind, radii) = if self.has(&of("covalent_radii")) {
            let kind = if self.has(&of("q")) {
                Transform::Agnesi {
                    q: self.scalar(&of("q"))?,
                    p: self.scalar(&of("p"))?,
                    a: self.scalar(&of("a"))?,
                }
            } else if self.has(&of("alpha")) {
                Transform::Soft { alpha: self.scalar(&of("alpha"))? }
            } else if self.has(&of("b")) {
                Transform::FormerSoft { a: self.scalar(&of("a"))?, b: self.scalar(&of("b"))? }
            } else {
                return Err(Fault::Unsupported(format!(
                    "a distance transform `{}`",
                    self.class(&transform)?
                )));
            };
            (kind, self.radii(&of("covalent_radii"), elements)?)
        } else {
            (Transform::None, vec![0.0; elements.len()])
        };
        let reach = self.scalar(&format!("{module}.cutoff_fn.r_max"))?;
        if (reach - cutoff).abs() > 1e-6 * cutoff {
            return content(format!("the cutoff is {cutoff} Å and that of the radial functions {reach} Å"));
        }
        let power = self.scalar(&format!("{module}.cutoff_fn.p"))?;
        if !(1.0..=64.0).contains(&power) {
            return content(format!("the power {power} of the cutoff function is out of range"));
        }
        let on_basis = self.flag(module, "apply_cutoff").unwrap_or(true);
        Ok(Radial { basis, transform: kind, power, on_basis, radii })
    }
    fn zbl(&self, elements: &[u8]) -> Read<Option<Zbl>> {
        let of = |name: &str| format!("pair_repulsion_fn.{name}");
        if !self.has(&of("c")) {
            return Ok(None);
        }
        let c = self.weights(&of("c"), 4)?;
        Ok(Some(Zbl {
            amplitudes: [c[0], c[1], c[2], c[3]],
            power: self.scalar(&of("p"))?,
            exponent: self.scalar(&of("a_exp"))?,
            prefactor: self.scalar(&of("a_prefactor"))?,
            radii: self.radii(&of("covalent_radii"), elements)?,
        }))
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
            let weights = self.file.tensor(&format!("interactions.{layer}.linear.weight"))?;
            if weights.dtype() == Dtype::F32 && a * b * c > 0 {
                Tensor3::new(shape, exact.values().iter().map(|v| f64::from(*v as f32)).collect())
            } else {
                exact
            }
        };
        Ok(tensor.sparse(((2 * c + 1) as f64).sqrt()))
    }
    fn layer(&self, t: usize, lmax: usize, heads: usize, basis: usize) -> Read<Layer> {
        let module = format!("interactions.{t}");
        let (c, e) = (self.channels, self.elements);
        let class = self.class(&module)?;
        let (density, residual) = match class {
            "RealAgnosticInteractionBlock" => (false, false),
            "RealAgnosticResidualInteractionBlock" => (false, true),
            "RealAgnosticDensityInteractionBlock" => (true, false),
            "RealAgnosticDensityResidualInteractionBlock" => (true, true),
            other => return Err(Fault::Unsupported(format!("the interaction `{other}`"))),
        };
        if let Some(edges) = self.attribute(&module, "edge_irreps").and_then(Value::as_str)
            && self.attribute(&module, "node_feats_irreps").and_then(Value::as_str) != Some(edges)
        {
            return Err(Fault::Unsupported(format!(
                "features `{edges}` of edges (`edge_irreps`) in `{module}`"
            )));
        }
        let input = self.degrees(&module, "node_feats_irreps")?;
        let output = self.degrees(&module, "hidden_irreps")?;
        let target = self.degrees(&module, "target_irreps")?;
        if target != (0..=lmax).collect::<Vec<_>>() || output.iter().any(|l| *l > lmax) {
            return Err(Fault::Unsupported(format!("the target features of `{module}`")));
        }
        let up = self.mixing(&format!("{module}.linear_up.weight"), input.len())?;
        let natural = |degrees: &[usize]| Irreps(degrees.iter().map(|l| (c, Irrep::natural(*l))).collect());
        let harmonics = Irreps::spherical_harmonics(lmax);
        let found = natural(&input).paths(&harmonics, &natural(&target));
        let network = self.network(&format!("{module}.conv_tp_weights"), basis, found.len() * c)?;
        let linear = self.weights(&format!("{module}.linear.weight"), found.len() * c * c)?;
        let mut paths = Vec::new();
        for (k, path) in found.iter().enumerate() {
            let fan = found.iter().filter(|p| p.output == path.output).count() * c;
            paths.push(ConvolutionPath {
                input: path.input,
                degrees: path.degrees,
                coupling: self.coupling(t, path.degrees)?,
                linear: part(&linear, k * c * c, c, c, 1.0 / (fan as f64).sqrt()),
            });
        }
        let division = if density {
            let name = format!("{module}.density_fn.layer0.weight");
            if self.has(&format!("{module}.density_fn.layer1.weight")) {
                return Err(Fault::Unsupported(format!("a density network of several layers in `{module}`")));
            }
            let scale = 1.0 / (basis as f64).sqrt();
            Division::Density(self.weights(&name, basis)?.iter().map(|w| w * scale).collect())
        } else {
            let n = self.number(&module, "avg_num_neighbors")?;
            if n <= 0.0 {
                return content(format!("the average number of neighbours of `{module}` should be positive"));
            }
            Division::Constant(n)
        };
        let both: Vec<usize> = input.iter().copied().filter(|l| output.contains(l)).collect();
        let degrees = if residual { &both } else { &target };
        let name = format!("{module}.skip_tp.weight");
        let values = self.weights(&name, degrees.len() * c * e * c)?;
        let scale = 1.0 / ((c * e) as f64).sqrt();
        let mut matrices = BTreeMap::new();
        for (k, &l) in degrees.iter().enumerate() {
            // (in, element, out)
            let of = |z: usize| {
                let mut m = Dense { inputs: c, outputs: c, values: Vec::with_capacity(c * c) };
                for u in 0..c {
                    let row = ((k * c + u) * e + z) * c;
                    m.values.extend(values[row..row + c].iter().map(|v| v * scale));
                }
                m
            };
            matrices.insert(l, (0..e).map(of).collect::<Vec<_>>());
        }
        let skip =
            if residual { Skip::Residual(matrices) } else { Skip::Message(matrices.into_values().collect()) };
        let linear = self.mixing(&format!("products.{t}.linear.weight"), output.len())?;
        let mut products = Vec::new();
        for (k, (&l, linear)) in output.iter().zip(linear).enumerate() {
            products.push(self.product(
                &format!("products.{t}.symmetric_contractions.contractions.{k}"),
                l,
                lmax,
                linear,
            )?);
        }
        Ok(Layer {
            input,
            output,
            up,
            network,
            paths,
            division,
            skip,
            products,
            readout: self.readout(t, heads)?,
        })
    }
    fn product(&self, module: &str, l: usize, lmax: usize, linear: Dense) -> Read<Product> {
        let (c, e) = (self.channels, self.elements);
        let size = (lmax + 1) * (lmax + 1);
        let highest = (1..).take_while(|n| self.has(&format!("{module}.U_matrix_{n}"))).last().unwrap_or(0);
        if !(1..=4).contains(&highest) {
            return Err(Fault::Unsupported(format!(
                "a symmetric contraction of order {highest} in `{module}`"
            )));
        }
        let mut index: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        let mut orders = Vec::new();
        for order in 1..=highest {
            let name = format!("{module}.U_matrix_{order}");
            let tensor = self.file.tensor(&name)?;
            let mut shape = vec![size; order];
            if l > 0 {
                shape.insert(0, 2 * l + 1);
            }
            let count = tensor.shape().last().copied().unwrap_or(0);
            shape.push(count);
            if tensor.shape() != shape || count > usize::from(u16::MAX) {
                return content(format!(
                    "tensor `{name}` has the shape {:?}, expected {shape:?}",
                    tensor.shape()
                ));
            }
            let which = if order == highest {
                format!("{module}.weights_max")
            } else {
                format!("{module}.weights.{}", highest - 1 - order)
            };
            let rows = self.file.tensor(&which)?.shape().first().copied().unwrap_or(0);
            let mut weights = self.file.numbers(&which, &[rows, count, c])?;
            if rows == 1 && e > 1 {
                // the same for all elements
                weights = weights.repeat(e);
            } else if rows != e {
                return content(format!("tensor `{which}` has weights for {rows} elements, expected {e}"));
            }
            let mut sums: BTreeMap<(u32, u8, u16), f64> = BTreeMap::new();
            for (n, value) in tensor.to_f64().into_iter().enumerate() {
                if value == 0.0 {
                    continue;
                }
                let (k, mut rest) = (n % count, n / count);
                let mut components = vec![0u8; order];
                for slot in components.iter_mut().rev() {
                    *slot = (rest % size) as u8;
                    rest /= size;
                }
                components.sort_unstable();
                let next = index.len() as u32;
                let monomial = *index.entry(components).or_insert(next);
                *sums.entry((monomial, rest as u8, k as u16)).or_default() += value;
            }
            let terms =
                sums.into_iter().filter(|s| s.1.abs() > 1e-12).map(|((a, m, k), v)| (a, m, k, v)).collect();
            orders.push(Order { terms, count, weights });
        }
        let mut monomials = vec![Vec::new(); index.len()];
        for (components, k) in index {
            monomials[k as usize] = components;
        }
        Ok(Product { l, monomials, orders, linear })
    }
    fn readout(&self, t: usize, heads: usize) -> Read<Option<Readout>> {
        let c = self.channels;
        let of = |name: &str| format!("readouts.{t}.{name}");
        let scale = |n: usize| 1.0 / (n as f64).sqrt();
        if self
            .file
            .tensors
            .keys()
            .any(|k| k.starts_with(&of("")) && k.ends_with(".bias") && !self.file.tensors[k].is_empty())
        {
            return Err(Fault::Unsupported(format!(
                "the readout `{}` with biases",
                self.class(&format!("readouts.{t}"))?
            )));
        }
        if self.has(&of("linear.weight")) {
            let w = self.weights(&of("linear.weight"), c * heads)?;
            return Ok(Some(Readout::Linear(part(&w, 0, c, heads, scale(c)))));
        }
        if !self.has(&of("linear_1.weight")) {
            return if self.attribute(&format!("readouts.{t}"), "class").is_some() {
                Err(Fault::Unsupported(format!("the readout `{}`", self.class(&format!("readouts.{t}"))?)))
            } else {
                Ok(None)
            };
        }
        if self.has(&of("linear_mid.weight")) {
            return Err(Fault::Unsupported(format!(
                "the readout `{}`",
                self.class(&format!("readouts.{t}"))?
            )));
        }
        let w1 = self.numbers(&of("linear_1.weight"))?;
        let hidden = w1.len() / c;
        if hidden == 0 || hidden * c != w1.len() || !hidden.is_multiple_of(heads) {
            return content(format!(
                "tensor `{}` has {} numbers for {c} channels",
                of("linear_1.weight"),
                w1.len()
            ));
        }
        let w2 = self.weights(&of("linear_2.weight"), hidden * heads)?;
        let (f, constant) = self.gate(&of("non_linearity.acts"))?;
        Ok(Some(Readout::Network(
            part(&w1, 0, c, hidden, scale(c)),
            f,
            part(&w2, 0, hidden, heads, scale(hidden) * constant),
        )))
    }
}

impl Model {
    /// Understands a model file.
    ///
    /// # Errors
    /// When it is no MACE model, is damaged, or has parts that are not supported.
    pub fn new(file: &ModelFile) -> Read<Self> {
        let class = file.hyper_parameters.get("class").and_then(Value::as_str).unwrap_or("");
        match class.rsplit('.').next().unwrap_or("") {
            "ScaleShiftMACE" | "MACE" => {}
            "" => {
                return content(
                    "the file holds weights without the description of the model: give the whole model, as `torch.save(model)` writes it",
                );
            }
            other => return Err(Fault::Unsupported(format!("a model of class `{other}`"))),
        }
        let mut reader = Reader { file, elements: 0, channels: 0 };
        let numbers = reader.numbers("atomic_numbers")?;
        let elements: Vec<u8> =
            numbers.iter().filter(|z| (1.0..=118.0).contains(*z)).map(|z| *z as u8).collect();
        if elements.is_empty() || elements.len() != numbers.len() || elements.windows(2).any(|w| w[0] >= w[1])
        {
            return content("`atomic_numbers` should be ascending numbers from 1 to 118");
        }
        let e = elements.len();
        let cutoff = reader.scalar("r_max")?;
        if !(cutoff > 0.0 && cutoff < 100.0) {
            return content(format!("the cutoff {cutoff} Å is out of range"));
        }
        let count = reader.scalar("num_interactions")?;
        if !(1.0..=16.0).contains(&count) {
            return content(format!("{count} interactions"));
        }
        let embedding = reader.numbers("node_embedding.linear.weight")?;
        let channels = embedding.len() / e;
        if channels == 0 || channels * e != embedding.len() {
            return content("`node_embedding.linear.weight` does not fit the number of elements");
        }
        (reader.elements, reader.channels) = (e, channels);
        let embedding = part(&embedding, 0, e, channels, 1.0 / (e as f64).sqrt());
        let Some(sh) = reader
            .attribute("interactions.0", "edge_attrs_irreps")
            .and_then(Value::as_str)
            .and_then(Irreps::parse)
        else {
            return content("`interactions.0` does not state its `edge_attrs_irreps`");
        };
        let lmax = sh.0.len() - 1;
        if sh != Irreps::spherical_harmonics(lmax) || lmax > 6 {
            return Err(Fault::Unsupported(format!("spherical harmonics `{sh}`")));
        }
        let radial = reader.radial(cutoff, &elements)?;
        let heads = reader.heads(e)?;
        let layers: Vec<Layer> = (0..count as usize)
            .map(|t| reader.layer(t, lmax, heads.len(), radial.basis.len()))
            .collect::<Read<_>>()?;
        let fits = layers.windows(2).all(|w| w[0].output == w[1].input);
        if !fits || layers[0].input != [0] {
            return content("the features of the interactions do not fit each other");
        }
        if layers.last().is_none_or(|l| l.readout.is_none()) || layers.iter().any(|l| l.readout.is_none()) {
            return Err(Fault::Unsupported("a model with interactions that have no readout".to_owned()));
        }
        let zbl = reader.zbl(&elements)?;
        let rounded = file.tensor("node_embedding.linear.weight")?.dtype() == Dtype::F32;
        Ok(Self { elements, cutoff, channels, lmax, radial, zbl, embedding, layers, heads, rounded })
    }
    /// Symbols of the elements.
    pub fn symbols(&self) -> Vec<String> {
        let symbol = |z: &u8| caloron_engine::elements::symbol(*z).unwrap_or("?").to_owned();
        self.elements.iter().map(symbol).collect()
    }
}

impl Reader<'_> {
    fn heads(&self, elements: usize) -> Read<Vec<Head>> {
        let energies = self.numbers("atomic_energies_fn.atomic_energies")?;
        let count = energies.len() / elements;
        if count == 0 || count * elements != energies.len() {
            return content("`atomic_energies_fn.atomic_energies` does not fit the number of elements");
        }
        let names = match self.attribute("", "heads") {
            Some(Value::Array(names)) if names.len() == count => {
                names.iter().map(|n| n.as_str().map_or_else(|| n.to_string(), str::to_owned)).collect()
            }
            _ if count == 1 => vec!["Default".to_owned()],
            _ => (0..count).map(|k| k.to_string()).collect::<Vec<_>>(),
        };
        let each = |name: &str, default: f64| -> Read<Vec<f64>> {
            if !self.has(name) {
                return Ok(vec![default; count]);
            }
            match self.numbers(name)? {
                one if one.len() == 1 => Ok(vec![one[0]; count]),
                all if all.len() == count => Ok(all),
                other => content(format!("`{name}` has {} numbers for {count} heads", other.len())),
            }
        };
        let scale = each("scale_shift.scale", 1.0)?;
        let shift = each("scale_shift.shift", 0.0)?;
        let head = |(k, name): (usize, String)| Head {
            name,
            atomic_energies: energies[k * elements..(k + 1) * elements].to_vec(),
            scale: scale[k],
            shift: shift[k],
        };
        Ok(names.into_iter().enumerate().map(head).collect())
    }
}
