//! Heads, and energies of atoms from their scalars.
use super::reader::Reader;
use super::{Read, content};
use crate::ml::checkpoint::Fault;
use crate::ml::equivariant::Activation;
use crate::ml::equivariant::weights::part;
use crate::ml::radial::{Dense, Network};
use serde_json::Value;

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

/// Energy of an atom from its scalars: a network (C) -> (heads), whose hidden values belong to one head each: (C, heads · n), possibly
/// (heads · n, heads · n), and (heads · n, heads).
#[derive(Clone, Debug)]
pub struct Readout(pub Network);

impl Readout {
    /// The network of one of several heads: (C, n), possibly (n, n), and (n, 1).
    pub fn of_head(&self, head: usize, heads: usize) -> Network {
        let own = |width: usize| head * (width / heads)..(head + 1) * (width / heads);
        let layer = |(k, w): (usize, &Dense)| {
            let rows = if k == 0 { 0..w.inputs } else { own(w.inputs) };
            let columns = own(w.outputs);
            let values = rows.clone().flat_map(|i| w.row(i)[columns.clone()].to_vec()).collect();
            Dense { inputs: rows.len(), outputs: columns.len(), values }
        };
        let Network { layers, biases, norms, activation } = &self.0;
        Network {
            layers: layers.iter().enumerate().map(layer).collect(),
            biases: biases.iter().map(|b| b[own(b.len())].to_vec()).collect(),
            norms: norms.clone(),
            activation: *activation,
        }
    }
}

impl Reader<'_> {
    /// Readouts by layer: of every layer, or of the last alone.
    pub fn readouts(&self, layers: usize, heads: usize) -> Read<Vec<Option<Readout>>> {
        let there = |k: &usize| {
            let prefix = format!("readouts.{k}.");
            self.file.tensors.keys().any(|name| name.starts_with(&prefix))
        };
        match (0..).take_while(there).count() {
            n if n == layers => (0..n).map(|k| self.readout(k, heads).map(Some)).collect(),
            1 => {
                let mut all = vec![None; layers - 1];
                all.push(Some(self.readout(0, heads)?));
                Ok(all)
            }
            n => Err(Fault::Unsupported(format!("{n} readouts of {layers} interactions"))),
        }
    }
    fn readout(&self, k: usize, heads: usize) -> Read<Readout> {
        let c = self.channels;
        let module = format!("readouts.{k}");
        let of = |name: &str| format!("{module}.{name}.weight");
        let scale = |n: usize| 1.0 / (n as f64).sqrt();
        let class = self.class(&module)?;
        if class == "LinearReadoutBlock" {
            let w = self.weights(&of("linear"), c * heads)?;
            let layers = vec![part(&w, 0, c, heads, scale(c))];
            let (biases, norms) = (Vec::new(), Vec::new());
            return Ok(Readout(Network { layers, biases, norms, activation: Activation::Identity }));
        }
        let biased = match class {
            "NonLinearReadoutBlock" => false,
            "NonLinearBiasReadoutBlock" => true,
            other => return Err(Fault::Unsupported(format!("the readout `{other}`"))),
        };
        let w1 = self.numbers(&of("linear_1"))?;
        let hidden = w1.len() / c;
        if hidden == 0 || hidden * c != w1.len() || !hidden.is_multiple_of(heads) {
            return content(format!("tensor `{}` has {} numbers for {c} channels", of("linear_1"), w1.len()));
        }
        let (activation, constant) = self.readout_activation(&format!("{module}.non_linearity.acts"))?;
        let mut layers = vec![part(&w1, 0, c, hidden, scale(c))];
        let mut biases = Vec::new();
        let behind = scale(hidden) * constant;
        if biased {
            let middle = self.weights(&of("linear_mid"), hidden * hidden)?;
            layers.push(part(&middle, 0, hidden, hidden, behind));
            biases.push(vec![0.0; hidden]);
            biases.push(self.weights(&format!("{module}.linear_mid.bias"), hidden)?);
            biases.push(self.weights(&format!("{module}.linear_2.bias"), heads)?);
        }
        layers.push(part(&self.weights(&of("linear_2"), hidden * heads)?, 0, hidden, heads, behind));
        Ok(Readout(Network { layers, biases, norms: Vec::new(), activation }))
    }
    /// The activation of a readout, by the list that e3nn keeps of them: one that is left out is the identity.
    fn readout_activation(&self, list: &str) -> Read<(Activation, f64)> {
        let first = format!("{list}.0");
        let is_list = self.class(list).is_ok_and(|class| class == "ModuleList");
        if is_list && self.attribute(&first, "class").is_none() {
            return Ok((Activation::Identity, 1.0));
        }
        self.activation(&first)
    }
    /// The heads.
    pub fn heads(&self) -> Read<Vec<Head>> {
        let elements = self.elements;
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
