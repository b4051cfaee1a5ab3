//! Names, numbers and attributes of one file.
use super::{Read, content};
use crate::ml::checkpoint::{Fault, ModelFile};
use crate::ml::equivariant::weights::{counted, network, part};
use crate::ml::equivariant::{Activation, Irrep, Irreps};
use crate::ml::radial::{Dense, LayerNorm, Network};
use serde_json::Value;

/// Reads names of one file.
pub(super) struct Reader<'a> {
    pub file: &'a ModelFile,
    pub elements: usize,
    pub channels: usize,
}

impl Reader<'_> {
    pub fn numbers(&self, name: &str) -> Read<Vec<f64>> {
        Ok(self.file.tensor(name)?.to_f64())
    }
    pub fn has(&self, name: &str) -> bool {
        self.file.tensors.contains_key(name)
    }
    pub fn scalar(&self, name: &str) -> Read<f64> {
        match self.file.tensor(name)?.scalar() {
            Some(x) if x.is_finite() => Ok(x),
            _ => content(format!("tensor `{name}` should be one finite number")),
        }
    }
    pub fn attribute(&self, module: &str, name: &str) -> Option<&Value> {
        self.file.hyper_parameter(&["modules", module, name])
    }
    pub fn class(&self, module: &str) -> Read<&str> {
        match self.attribute(module, "class").and_then(Value::as_str) {
            Some(class) => Ok(class.rsplit('.').next().unwrap_or(class)),
            None => content(format!("the class of `{module}` is not stated")),
        }
    }
    pub fn flag(&self, module: &str, name: &str) -> Option<bool> {
        self.attribute(module, name).and_then(Value::as_bool)
    }
    pub fn number(&self, module: &str, name: &str) -> Read<f64> {
        let found = self.attribute(module, name).and_then(|v| match v {
            Value::Array(items) if items.len() == 1 => items[0].as_f64(),
            other => other.as_f64(),
        });
        match found {
            Some(x) if x.is_finite() => Ok(x),
            _ => content(format!("`{module}` does not state its `{name}` as a number")),
        }
    }
    /// Number of channels, the same for all, and degrees of a feature of natural parity.
    pub fn features(&self, module: &str, name: &str) -> Read<(usize, Vec<usize>)> {
        let Some(text) = self.attribute(module, name).and_then(Value::as_str) else {
            return content(format!("`{module}` does not state its `{name}`"));
        };
        let Some(irreps) = Irreps::parse(text) else {
            return content(format!(
                "`{name}` of `{module}` is `{text}`, expected something like 128x0e+128x1o"
            ));
        };
        let channels = irreps.0.first().map_or(0, |b| b.0);
        let natural = irreps.0.iter().all(|(mul, i)| *mul == channels && *i == Irrep::natural(i.l));
        let degrees: Vec<usize> = irreps.0.iter().map(|b| b.1.l).collect();
        let ascending = degrees.windows(2).all(|w| w[0] < w[1]) && degrees.first() == Some(&0);
        if !natural || !ascending || channels == 0 {
            return Err(Fault::Unsupported(format!(
                "features `{text}` as `{name}` in `{module}` (expected 64x0e+64x1o+… of one number of channels)"
            )));
        }
        Ok((channels, degrees))
    }
    /// Degrees of a feature of C channels.
    pub fn degrees(&self, module: &str, name: &str) -> Read<Vec<usize>> {
        let (channels, degrees) = self.features(module, name)?;
        if channels != self.channels {
            return Err(Fault::Unsupported(format!(
                "{channels} channels as `{name}` in `{module}`, in a model of {}",
                self.channels
            )));
        }
        Ok(degrees)
    }
    pub fn weights(&self, name: &str, count: usize) -> Read<Vec<f64>> {
        counted(self.file, name, count)
    }
    /// A channel mixing for each degree.
    pub fn mixing(&self, name: &str, degrees: usize, inputs: usize, outputs: usize) -> Read<Vec<Dense>> {
        let (values, scale) = (self.weights(name, degrees * inputs * outputs)?, 1.0 / (inputs as f64).sqrt());
        Ok((0..degrees).map(|k| part(&values, k * inputs * outputs, inputs, outputs, scale)).collect())
    }
    /// PyTorch's linear map x Wᵀ + b.
    pub fn affine(&self, module: &str, inputs: usize) -> Read<(Dense, Option<Vec<f64>>)> {
        let name = format!("{module}.weight");
        let rows = self.numbers(&name)?;
        let outputs = rows.len() / inputs.max(1);
        if outputs == 0 || outputs * inputs != rows.len() {
            return content(format!("tensor `{name}` has {} numbers for {inputs} inputs", rows.len()));
        }
        let values = (0..inputs).flat_map(|i| (0..outputs).map(move |o| (i, o)));
        let values = values.map(|(i, o)| rows[o * inputs + i]).collect();
        let bias = format!("{module}.bias");
        let bias = if self.has(&bias) { Some(self.weights(&bias, outputs)?) } else { None };
        Ok((Dense { inputs, outputs, values }, bias))
    }
    pub fn layer_norm(&self, module: &str, width: usize) -> Read<LayerNorm> {
        Ok(LayerNorm {
            scale: self.weights(&format!("{module}.weight"), width)?,
            shift: self.weights(&format!("{module}.bias"), width)?,
            epsilon: self.number(module, "eps")?,
        })
    }
    /// The activation of a module and its constant.
    pub fn activation(&self, module: &str) -> Read<(Activation, f64)> {
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
    pub fn network(&self, module: &str, inputs: usize, outputs: usize) -> Read<Network> {
        // the last layer has none
        let single = !self.has(&format!("{module}.layer1.weight"));
        let activation = if single {
            (Activation::Identity, 1.0)
        } else {
            self.activation(&format!("{module}.layer0.act"))?
        };
        network(self.file, module, activation, inputs, outputs)
    }
}
