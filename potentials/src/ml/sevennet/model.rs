//! What a SevenNet model file says, as plain numbers with all normalisations in them.
use crate::ml::checkpoint::{Fault, ModelFile, Tensor};
use crate::ml::equivariant::weights::{network, part};
use crate::ml::equivariant::{Activation, Convention, Irrep, Irreps, Path, wigner_3j};
use crate::ml::radial::{Basis, Dense, Envelope, Network};
use caloron_engine::elements;
use serde_json::Value;

type Read<T> = Result<T, Fault>;

/// The most channels of a degree that are believed.
const MOST_CHANNELS: usize = 65_536;

/// A SevenNet model.
#[derive(Clone, Debug)]
pub struct Model {
    /// Version of the program that wrote it.
    pub version: String,
    /// Atomic numbers in the order of the model.
    pub elements: Vec<u8>,
    /// Names of the modalities (kinds of training data); empty when there is one.
    pub modalities: Vec<String>,
    /// Cutoff, Å.
    pub cutoff: f64,
    /// Largest degree of the spherical harmonics.
    pub lmax: usize,
    /// Whether spherical harmonics are multiplied with r^l, as the first models have it.
    pub solid: bool,
    /// Radial functions.
    pub basis: Basis,
    /// What takes them to zero at the cutoff.
    pub envelope: Envelope,
    /// Scalars of every element before the first layer, (elements, C).
    pub embedding: Dense,
    /// What the modality adds to them, by modality; empty when nothing.
    pub embedding_constants: Vec<Vec<f64>>,
    /// Interactions.
    pub layers: Vec<Layer>,
    /// Energy from the scalars after the last layer, (C, 1).
    pub readout: Dense,
    /// What is added to it, by modality; empty when nothing.
    pub readout_constants: Vec<Vec<f64>>,
    /// Factor of the energy, by modality and element.
    pub scale: Vec<Vec<f64>>,
    /// What is added, eV, by modality and element.
    pub shift: Vec<Vec<f64>>,
}

/// Channels of a degree.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Block {
    /// Degree.
    pub l: usize,
    /// Channels.
    pub channels: usize,
}

/// One interaction.
#[derive(Clone, Debug)]
pub struct Layer {
    /// Features that come in, ascending in degree; the first are scalars.
    pub input: Vec<Block>,
    /// Features that go out.
    pub output: Vec<Block>,
    /// Mixing of the channels of the senders, one for each input degree.
    pub up: Vec<Dense>,
    /// What is added to the scalars that are sent, by modality; empty when nothing.
    pub up_constants: Vec<Vec<f64>>,
    /// Radial network: (basis) -> (channels of all paths).
    pub network: Network,
    /// Paths of the convolution.
    pub paths: Vec<ConvolutionPath>,
    /// From the features that come in to the gate, for each output degree; `None` where there is no such input.
    pub skip: Vec<Option<Dense>>,
    /// What is added to the scalars of the gate, by modality; empty when nothing.
    pub constants: Vec<Vec<f64>>,
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
    /// First output of the radial network.
    pub first: usize,
    /// Its part of the linear map to the gate, divided by what the sum over neighbours is divided by: (channels of l₁, values of degree l₃ in
    /// the gate).
    pub linear: Dense,
}

impl Layer {
    /// Number of scalars that are not gates.
    pub fn scalars(&self) -> usize {
        self.output[0].channels
    }
    /// Values of each output degree that enter the gate: scalars and gates, and then those of the other degrees.
    pub fn gate(&self) -> Vec<Block> {
        let gates: usize = self.output[1..].iter().map(|b| b.channels).sum();
        let mut blocks = self.output.clone();
        blocks[0].channels += gates;
        blocks
    }
}

fn content<T>(message: impl Into<String>) -> Read<T> {
    Err(Fault::Content(message.into()))
}

fn unsupported<T>(message: impl Into<String>) -> Read<T> {
    Err(Fault::Unsupported(message.into()))
}

/// A linear map between features: a matrix for each block that comes in, to the block of the same degree that goes out, and what is added
/// to the scalars.
struct Linear {
    matrices: Vec<Option<Dense>>,
    constants: Vec<Vec<f64>>,
}

/// Reads names of one file.
struct Reader<'a> {
    file: &'a ModelFile,
    modalities: usize,
}

/// The name that a tensor had in the first files.
fn former(name: &str) -> String {
    let (module, rest) = name.split_once('.').unwrap_or((name, ""));
    let module = match module {
        "edge_embedding" => "EdgeEmbedding".to_owned(),
        "reduce_input_to_hidden" => "reducing nn input to hidden".to_owned(),
        "reduce_hidden_to_energy" => "reducing nn hidden to energy".to_owned(),
        other => other.replace('_', " "),
    };
    format!("{module}.{}", rest.replace("denominator", "denumerator"))
}

impl Reader<'_> {
    fn config(&self, key: &str) -> Option<&Value> {
        self.file.hyper_parameter(&["config", key]).filter(|v| !v.is_null())
    }
    fn text(&self, key: &str) -> Option<&str> {
        self.config(key).and_then(Value::as_str)
    }
    fn flag(&self, key: &str) -> bool {
        self.config(key).and_then(Value::as_bool).unwrap_or(false)
    }
    fn number(&self, keys: &[&str]) -> Read<f64> {
        let all: Vec<&str> = std::iter::once("config").chain(keys.iter().copied()).collect();
        match self.file.hyper_parameter(&all).and_then(Value::as_f64) {
            Some(x) if x.is_finite() => Ok(x),
            _ => content(format!("the model does not state `{}` as a number", keys.join("."))),
        }
    }
    /// The name that a tensor has in this file.
    fn name(&self, name: &str) -> String {
        if self.file.tensors.contains_key(name) {
            return name.to_owned();
        }
        let former = former(name);
        if self.file.tensors.contains_key(&former) { former } else { name.to_owned() }
    }
    fn find(&self, name: &str) -> Option<&Tensor> {
        self.file.tensors.get(&self.name(name))
    }
    fn numbers(&self, name: &str) -> Read<Vec<f64>> {
        match self.find(name) {
            Some(tensor) => Ok(tensor.to_f64()),
            None => content(format!("the model has no tensor `{name}`")),
        }
    }
    fn elements(&self) -> Read<Vec<u8>> {
        let Some(symbols) = self.config("chemical_species").and_then(Value::as_array) else {
            return content("the model does not state `chemical_species`");
        };
        let mut numbers = Vec::new();
        for (place, symbol) in symbols.iter().enumerate() {
            let number = symbol.as_str().and_then(elements::atomic_number);
            let Some(z) = number.filter(|z| !numbers.contains(z)) else {
                return content(format!(
                    "`chemical_species` holds {symbol}, which is no element or there twice"
                ));
            };
            let mapped = self.file.hyper_parameter(&["config", "_type_map", &z.to_string()]);
            if mapped.and_then(Value::as_u64).is_some_and(|m| m != place as u64) {
                return content("`chemical_species` and `_type_map` have different orders");
            }
            numbers.push(z);
        }
        if numbers.is_empty() { content("the model has no elements") } else { Ok(numbers) }
    }
    fn modalities(&self) -> Read<Vec<String>> {
        if !self.flag("use_modality") {
            return Ok(Vec::new());
        }
        let Some(map) = self.config("_modal_map").and_then(Value::as_object).filter(|m| !m.is_empty()) else {
            return content("the model uses modalities but does not name them in `_modal_map`");
        };
        let mut names = vec![String::new(); map.len()];
        for (name, place) in map {
            match place.as_u64().and_then(|k| names.get_mut(k as usize)) {
                Some(slot) if slot.is_empty() => slot.clone_from(name),
                _ => return content("`_modal_map` does not number the modalities"),
            }
        }
        Ok(names)
    }
    /// Features of every layer.
    fn features(&self, layers: usize) -> Read<Vec<Vec<Block>>> {
        let list: Vec<Irreps> = match self.config("irreps_manual").and_then(Value::as_array) {
            Some(list) => {
                let parse = |v: &Value| v.as_str().and_then(Irreps::parse);
                match list.iter().map(parse).collect::<Option<Vec<_>>>() {
                    Some(list) if list.len() == layers + 1 => list,
                    _ => {
                        return content(
                            "`irreps_manual` does not list the features before and after every layer",
                        );
                    }
                }
            }
            None => {
                // the same number of channels for all degrees, scalars before the first and after the last layer
                let (channels, lmax) = (self.number(&["channel"])?, self.number(&["lmax"])?);
                let node = self.number(&["lmax_node"]).ok().filter(|l| *l > 0.0).unwrap_or(lmax);
                if !(1.0..=MOST_CHANNELS as f64).contains(&channels) || !(0.0..=11.0).contains(&node) {
                    return content(format!("{channels} channels of degrees up to {node}"));
                }
                let of =
                    |l: usize| Irreps((0..=l).map(|l| (channels as usize, Irrep { l, parity: 1 })).collect());
                let inner = |t: usize| of(if t == 0 || t == layers { 0 } else { node as usize });
                (0..=layers).map(inner).collect()
            }
        };
        let mut all = Vec::new();
        for irreps in &list {
            let blocks: Vec<Block> = irreps.0.iter().map(|b| Block { l: b.1.l, channels: b.0 }).collect();
            let plain = irreps.0.iter().all(|b| b.1.parity == 1 && (1..=MOST_CHANNELS).contains(&b.0))
                && blocks.first().is_some_and(|b| b.l == 0)
                && blocks.windows(2).all(|w| w[0].l < w[1].l);
            if !plain {
                return unsupported(format!(
                    "features `{irreps}` (expected one block of each degree, without parity: 128x0e+64x1e+…)"
                ));
            }
            all.push(blocks);
        }
        if all[0].len() != 1 || all[layers].len() != 1 {
            return unsupported("features of higher degree before the first or after the last layer");
        }
        Ok(all)
    }
    fn silu(&self, key: &str) -> Read<()> {
        let name = self.config(key).map(|v| v.get("e").unwrap_or(v)).and_then(Value::as_str);
        match name {
            Some("silu") | None => Ok(()),
            Some(other) => unsupported(format!("`{key}` is `{other}` (expected silu)")),
        }
    }
    /// A linear map; with modalities whose one-hot vector is appended to the scalars where the number of weights says so.
    fn linear(&self, module: &str, input: &[Block], output: &[Block]) -> Read<Linear> {
        let name = format!("{module}.linear.weight");
        let Some(tensor) = self.find(&name) else {
            if self.find(&format!("{module}.fc_tensor_product.weight")).is_some() {
                return unsupported(format!(
                    "the element-dependent `{module}` (self_connection_type nequip)"
                ));
            }
            return content(format!("the model has no tensor `{name}`"));
        };
        let values = tensor.to_f64();
        let to = |l: usize| output.iter().find(|o| o.l == l).map_or(0, |o| o.channels);
        let plain: usize = input.iter().map(|b| b.channels * to(b.l)).sum();
        let scalars = to(0);
        let modal = match values.len().checked_sub(plain) {
            Some(0) => 0,
            Some(rest) if self.modalities > 1 && rest == self.modalities * scalars => self.modalities,
            _ => {
                return content(format!("tensor `{name}` has {} numbers, expected {plain}", values.len()));
            }
        };
        let fan = |l: usize| {
            let all: usize = input.iter().filter(|b| b.l == l).map(|b| b.channels).sum();
            1.0 / ((all + if l == 0 { modal } else { 0 }) as f64).sqrt()
        };
        let mut at = 0;
        let mut matrices = Vec::new();
        for b in input {
            let outputs = to(b.l);
            matrices.push((outputs > 0).then(|| part(&values, at, b.channels, outputs, fan(b.l))));
            at += b.channels * outputs;
        }
        let bias = match self.find(&format!("{module}.linear.bias")) {
            Some(bias) if !bias.is_empty() => {
                let bias = bias.to_f64();
                if bias.len() != scalars {
                    return content(format!(
                        "`{module}.linear.bias` has {} numbers, expected {scalars}",
                        bias.len()
                    ));
                }
                bias
            }
            _ => Vec::new(),
        };
        let constants = if modal == 0 && bias.is_empty() {
            Vec::new()
        } else {
            let row = |m: usize| {
                let own = |k: usize| if modal == 0 { 0.0 } else { values[at + m * scalars + k] * fan(0) };
                (0..scalars).map(|k| own(k) + bias.get(k).copied().unwrap_or(0.0)).collect()
            };
            (0..self.modalities.max(1)).map(row).collect()
        };
        Ok(Linear { matrices, constants })
    }
    /// 3j symbols times sqrt(2l₃ + 1). Their sign is that of those in the file, which the weights were trained with.
    fn coupling(&self, t: usize, [a, b, c]: [usize; 3], old: bool) -> Read<Vec<([usize; 3], f64)>> {
        let name = format!("{t}_convolution.convolution._compiled_main_left_right._w3j_{a}_{b}_{c}");
        let convention = if old { Convention::Table } else { Convention::Formula };
        let exact = wigner_3j(a, b, c, convention);
        let mut scale = ((2 * c + 1) as f64).sqrt();
        if let Some(stored) = self.find(&name) {
            let overlap: f64 = stored.to_f64().iter().zip(exact.values()).map(|(a, b)| a * b).sum();
            if stored.len() != exact.values().len() || (overlap.abs() - 1.0).abs() > 1e-4 {
                return content(format!("tensor `{name}` does not hold 3j symbols"));
            }
            scale *= overlap.signum();
        }
        Ok(exact.sparse(scale))
    }
    fn layer(
        &self,
        t: usize,
        input: &[Block],
        output: &[Block],
        lmax: usize,
        basis: usize,
        old: bool,
    ) -> Read<Layer> {
        let irreps = |blocks: &[Block]| {
            Irreps(blocks.iter().map(|b| (b.channels, Irrep { l: b.l, parity: 1 })).collect())
        };
        // degrees beyond those that go out are dropped
        let highest = output.last().map_or(0, |b| b.l);
        let even = |l: usize| (1, Irrep { l, parity: 1 });
        let target = Irreps((0..=highest).map(even).collect());
        let harmonics = Irreps((0..=lmax).map(even).collect());
        let found = irreps(input).paths_as_found(&harmonics, &target);
        let sorted = irreps(input).paths(&harmonics, &target);
        let count = |p: &Path| input[p.input].channels;
        let outputs: usize = found.iter().map(count).sum();
        let module = format!("{t}_convolution.weight_nn");
        let module = if self.find(&format!("{module}.layer0.weight")).is_some() {
            self.name(&format!("{module}.layer0.weight")).trim_end_matches(".layer0.weight").to_owned()
        } else {
            module
        };
        let radial = self.text("act_radial").unwrap_or("silu");
        let Some(f) = Activation::named(radial) else {
            return unsupported(format!("the activation `{radial}` of radial networks"));
        };
        let network = network(self.file, &module, (f, f.constant()), basis, outputs)?;
        let divisor = match self.numbers(&format!("{t}_convolution.denominator"))?[..] {
            [x] if x.is_finite() && x != 0.0 => x,
            _ => {
                return content(format!(
                    "`{t}_convolution.denominator` should be one number other than zero"
                ));
            }
        };
        let mut layer = Layer {
            input: input.to_vec(),
            output: output.to_vec(),
            up: Vec::new(),
            up_constants: Vec::new(),
            network,
            paths: Vec::new(),
            skip: Vec::new(),
            constants: Vec::new(),
        };
        let gate = layer.gate();
        let up = self.linear(&format!("{t}_self_interaction_1"), input, input)?;
        layer.up = up.matrices.into_iter().flatten().collect();
        layer.up_constants = up.constants;
        let blocks: Vec<Block> =
            sorted.iter().map(|p| Block { l: p.degrees[2], channels: count(p) }).collect();
        let mix = self.linear(&format!("{t}_self_interaction_2"), &blocks, &gate)?;
        layer.constants = mix.constants;
        for (path, linear) in sorted.iter().zip(mix.matrices) {
            let order = if old { &found } else { &sorted };
            let first = order.iter().take_while(|p| *p != path).map(count).sum();
            // without a place in the gate there is nothing to compute
            let Some(linear) = linear else { continue };
            let [a, b, c] = path.degrees;
            layer.paths.push(ConvolutionPath {
                input: path.input,
                degrees: path.degrees,
                coupling: self.coupling(t, [a, b, c], old)?,
                first,
                linear: linear.scaled(1.0 / divisor),
            });
        }
        let skip = self.linear(&format!("{t}_self_connection_intro"), input, &gate)?;
        if !skip.constants.is_empty() {
            return unsupported(format!("`{t}_self_connection_intro` with biases"));
        }
        let mut matrices = skip.matrices;
        for b in &gate {
            let place = input.iter().position(|i| i.l == b.l);
            layer.skip.push(place.and_then(|k| matrices[k].take()));
        }
        Ok(layer)
    }
    /// Numbers by modality and element.
    fn by_element(&self, name: &str, elements: usize) -> Read<Vec<Vec<f64>>> {
        let values = self.numbers(name)?;
        let m = self.modalities.max(1);
        if values.len() == 1 {
            Ok(vec![vec![values[0]; elements]; m])
        } else if values.len() == elements {
            Ok(vec![values; m])
        } else if values.len() == m * elements {
            Ok(values.chunks_exact(elements).map(<[f64]>::to_vec).collect())
        } else {
            content(format!("tensor `{name}` has {} numbers for {elements} elements", values.len()))
        }
    }
    fn envelope(&self, cutoff: f64) -> Read<Envelope> {
        let key = ["cutoff_function", "cutoff_function_name"];
        let name = self.file.hyper_parameter(&["config", key[0], key[1]]).and_then(Value::as_str);
        match name {
            Some("XPLOR") => {
                let on = self.number(&["cutoff_function", "cutoff_on"])?;
                if !(on > 0.0 && on < 0.99 * cutoff) {
                    return content(format!(
                        "the switching function begins at {on} Å, for a cutoff of {cutoff} Å"
                    ));
                }
                Ok(Envelope::Xplor { on })
            }
            Some("poly_cut") => {
                let p = self.number(&["cutoff_function", "poly_cut_p_value"])?;
                if !(2.0..=64.0).contains(&p) {
                    return content(format!("the power {p} of the cutoff function is out of range"));
                }
                Ok(Envelope::Polynomial(p))
            }
            Some(other) => unsupported(format!("the cutoff function `{other}`")),
            None => content("the model does not state its cutoff function"),
        }
    }
}

impl Model {
    /// Understands a model file.
    ///
    /// # Errors
    /// When it is no SevenNet model, is damaged, or has parts that are not supported.
    pub fn new(file: &ModelFile) -> Read<Self> {
        let mut reader = Reader { file, modalities: 0 };
        if reader.config("cutoff").is_none() {
            return content(
                "the file holds weights without the configuration of the model: give the checkpoint that the training program wrote",
            );
        }
        let version = reader.text("version").unwrap_or("").to_owned();
        let mut parts = version.split('.').map(|p| p.parse::<u32>().ok());
        let (Some(Some(major)), Some(Some(minor))) = (parts.next(), parts.next()) else {
            return content(format!("the version `{version}` of the model is not understood"));
        };
        let old = (major, minor) < (0, 11);
        let cutoff = reader.number(&["cutoff"])?;
        if !(cutoff > 0.0 && cutoff < 100.0) {
            return content(format!("the cutoff {cutoff} Å is out of range"));
        }
        if reader.flag("is_parity") {
            return unsupported("features with parity (is_parity)");
        }
        if let Some(kind) = reader.text("interaction_type").filter(|k| *k != "nequip") {
            return unsupported(format!("interactions of the type `{kind}`"));
        }
        if reader.flag("readout_as_fcn") {
            return unsupported("a readout with several layers (readout_as_fcn)");
        }
        reader.silu("act_scalar")?;
        reader.silu("act_gate")?;
        let elements = reader.elements()?;
        let e = elements.len();
        let modalities = reader.modalities()?;
        reader.modalities = modalities.len();
        let lmax = reader
            .number(&["lmax_edge"])
            .ok()
            .filter(|l| *l > 0.0)
            .map_or_else(|| reader.number(&["lmax"]), Ok)?;
        let count = reader.number(&["num_convolution_layer"])?;
        if !(0.0..=6.0).contains(&lmax) || !(1.0..=16.0).contains(&count) {
            return content(format!("{count} convolutions with harmonics up to degree {lmax}"));
        }
        let (lmax, count) = (lmax as usize, count as usize);
        let features = reader.features(count)?;
        let frequencies = reader.numbers("edge_embedding.basis_function.coeffs")?;
        let kind =
            file.hyper_parameter(&["config", "radial_basis", "radial_basis_name"]).and_then(Value::as_str);
        if kind.is_some_and(|k| k != "bessel") {
            return unsupported(format!("the radial basis `{}`", kind.unwrap_or_default()));
        }
        let envelope = reader.envelope(cutoff)?;
        let species = [Block { l: 0, channels: e }];
        let mut embedding = reader.linear("onehot_to_feature_x", &species, &features[0])?;
        let mut layers = Vec::new();
        for t in 0..count {
            layers.push(reader.layer(t, &features[t], &features[t + 1], lmax, frequencies.len(), old)?);
        }
        let last = &features[count];
        let hidden = reader.numbers("reduce_hidden_to_energy.linear.weight")?.len();
        let [hidden, one] = [hidden, 1].map(|channels| [Block { l: 0, channels }]);
        let first = reader.linear("reduce_input_to_hidden", last, &hidden)?;
        let mut second = reader.linear("reduce_hidden_to_energy", &hidden, &one)?;
        let (Some(Some(embedding_matrix)), Some(Some(a)), Some(Some(b))) =
            (embedding.matrices.pop(), first.matrices.first(), second.matrices.pop())
        else {
            return content("the readout or the embedding is empty");
        };
        let readout = a.times(&b);
        let rows = first.constants.len().max(second.constants.len());
        let constant = |m: usize| {
            let from =
                first.constants.get(m).map_or(0.0, |row| row.iter().zip(&b.values).map(|(x, w)| x * w).sum());
            vec![from + second.constants.get(m).map_or(0.0, |c| c[0])]
        };
        let readout_constants = (0..rows).map(constant).collect();
        Ok(Self {
            scale: reader.by_element("rescale_atomic_energy.scale", e)?,
            shift: reader.by_element("rescale_atomic_energy.shift", e)?,
            version,
            elements,
            modalities,
            cutoff,
            lmax,
            solid: !reader.flag("_normalize_sph"),
            basis: Basis::Bessel { frequencies, prefactor: 2.0 / cutoff },
            envelope,
            embedding: embedding_matrix,
            embedding_constants: embedding.constants,
            layers,
            readout,
            readout_constants,
        })
    }
    /// Symbols of the elements.
    pub fn symbols(&self) -> Vec<String> {
        self.elements.iter().map(|z| elements::symbol(*z).unwrap_or("?").to_owned()).collect()
    }
}
