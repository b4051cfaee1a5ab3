//! Total charge and spin, which add to the scalars that every atom starts from.
use super::reader::Reader;
use super::{Model, Read, content};
use crate::ml::checkpoint::Fault;
use crate::ml::equivariant::Activation;
use crate::ml::equivariant::weights::part;
use crate::ml::radial::{Dense, Network};
use serde_json::Value;
use std::fmt;

/// What an energy is computed for.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Conditions {
    /// Number of the head.
    pub head: usize,
    /// Total charge, e.
    pub total_charge: Option<f64>,
    /// Spin multiplicity 2S + 1.
    pub total_spin: Option<f64>,
}

impl From<usize> for Conditions {
    /// A head of a model that knows neither charge nor spin.
    fn from(head: usize) -> Self {
        Self { head, ..Self::default() }
    }
}

/// A quantity that a model may depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quantity {
    /// Total charge, e.
    Charge,
    /// Spin multiplicity.
    Spin,
}

impl Quantity {
    /// All.
    pub const ALL: [Self; 2] = [Self::Charge, Self::Spin];
    /// Name in model and input files.
    pub fn key(self) -> &'static str {
        match self {
            Self::Charge => "total_charge",
            Self::Spin => "total_spin",
        }
    }
    /// Its value, if it is stated.
    pub fn of(self, conditions: &Conditions) -> Option<f64> {
        match self {
            Self::Charge => conditions.total_charge,
            Self::Spin => conditions.total_spin,
        }
    }
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Charge => "total charge",
            Self::Spin => "spin multiplicity",
        })
    }
}

/// silu(W [e_1, e_2, …]), which is added to the scalars of every atom, for what is known of the whole structure.
#[derive(Clone, Debug)]
pub struct Joint {
    /// Quantities in the order of the columns, with how each is turned into numbers.
    pub inputs: Vec<(Quantity, Encoding)>,
    /// W, (all e together, C).
    pub project: Dense,
    /// Energies of the heads, eV, from the scalars that atoms start from, (C, heads).
    pub readout: Option<Dense>,
}

/// How a quantity x becomes numbers.
#[derive(Clone, Debug)]
pub enum Encoding {
    /// The row x + offset of a table.
    Category {
        /// Offset.
        offset: i64,
        /// Rows.
        table: Dense,
    },
    /// A network of x.
    Network(Network),
}

impl Encoding {
    fn outputs(&self) -> usize {
        match self {
            Self::Category { table, .. } => table.outputs,
            Self::Network(network) => network.outputs(),
        }
    }
    /// The row of the table for a value; `None` when it has none.
    pub fn row(offset: i64, table: &Dense, x: f64) -> Option<usize> {
        let row = x + offset as f64;
        (row >= 0.0 && row < table.inputs as f64 && row.fract() == 0.0).then_some(row as usize)
    }
    fn eval(&self, quantity: Quantity, x: f64) -> Read<Vec<f64>> {
        match self {
            Self::Category { offset, table } => match Self::row(*offset, table, x) {
                Some(row) => Ok(table.row(row).to_vec()),
                None => content(format!("the model knows no {quantity} of {x}, only {}", self.range())),
            },
            Self::Network(network) => Ok(network.values(&[x])),
        }
    }
    /// Values that it knows, in words.
    pub fn range(&self) -> String {
        match self {
            Self::Category { offset, table } => {
                format!("whole numbers from {} to {}", -offset, table.inputs as i64 - 1 - offset)
            }
            Self::Network(_) => "any number".to_owned(),
        }
    }
}

impl Model {
    /// Whether energies depend on a quantity.
    pub fn depends_on(&self, quantity: Quantity) -> bool {
        self.joint.iter().flat_map(|j| &j.inputs).any(|(q, _)| *q == quantity)
    }
    /// Checks a value of a quantity, of which the model may know some only.
    ///
    /// # Errors
    /// When it does not know this one.
    pub fn check(&self, quantity: Quantity, x: f64) -> Read<()> {
        for (_, encoding) in self.joint.iter().flat_map(|j| &j.inputs).filter(|(q, _)| *q == quantity) {
            encoding.eval(quantity, x)?;
        }
        Ok(())
    }
    /// Scalars of every element before the first layer, (elements, C).
    ///
    /// # Errors
    /// When a quantity is missing that the model depends on, or has a value that it does not know.
    pub fn embedded(&self, conditions: &Conditions) -> Read<Dense> {
        let mut all = self.embedding.clone();
        let Some(joint) = &self.joint else { return Ok(all) };
        let mut row = Dense { inputs: 1, outputs: 0, values: Vec::new() };
        for (quantity, encoding) in &joint.inputs {
            let x = quantity
                .of(conditions)
                .ok_or_else(|| Fault::Content(format!("the model depends on the {quantity}")))?;
            row.values.extend(encoding.eval(*quantity, x)?);
        }
        row.outputs = row.values.len();
        let added = row.times(&joint.project);
        for values in all.values.chunks_exact_mut(all.outputs) {
            for (v, x) in values.iter_mut().zip(&added.values) {
                *v += Activation::Silu.eval(*x).0;
            }
        }
        Ok(all)
    }
}

impl Reader<'_> {
    /// Total charge and spin, if the model knows them.
    pub fn joint(&self, heads: usize) -> Read<Option<Joint>> {
        let c = self.channels;
        let module = "joint_embedding";
        if self.attribute(module, "class").is_none() {
            return Ok(None);
        }
        if self.class(module)? != "GenericJointEmbedding" {
            return Err(Fault::Unsupported(format!("the embedding `{}`", self.class(module)?)));
        }
        // the order of the columns of what follows
        let Some(names) = self.attribute(&format!("{module}.embedders"), "order").and_then(Value::as_array)
        else {
            return content(format!("the order of `{module}.embedders` is not stated"));
        };
        let mut inputs = Vec::new();
        for name in names.iter().filter_map(Value::as_str) {
            let Some(quantity) = Quantity::ALL.into_iter().find(|q| q.key() == name) else {
                return Err(Fault::Unsupported(format!(
                    "an embedding of `{name}` (only total_charge and total_spin)"
                )));
            };
            let spec = |key: &str| self.attribute(module, "specs").and_then(|s| s.get(name)?.get(key));
            let text = |key: &str| spec(key).and_then(Value::as_str).unwrap_or("?");
            if text("per") != "graph" {
                return Err(Fault::Unsupported(format!("`{name}` for every {}", text("per"))));
            }
            let encoder = format!("{module}.embedders.{name}");
            let encoding = match text("type") {
                "categorical" => {
                    let offset = match spec("offset") {
                        None => 0,
                        Some(offset) => {
                            let known = offset.as_i64().filter(|o| (-1_000_000..=1_000_000).contains(o));
                            known.ok_or_else(|| {
                                Fault::Unsupported(format!(
                                    "the offset {offset} of `{name}`, which is no whole number of a million at most"
                                ))
                            })?
                        }
                    };
                    let table = self.file.tensor(&format!("{encoder}.weight"))?;
                    let &[rows, columns] = table.shape() else {
                        return content(format!("tensor `{encoder}.weight` should be a table"));
                    };
                    let table = Dense { inputs: rows, outputs: columns, values: table.to_f64() };
                    Encoding::Category { offset, table }
                }
                "continuous" => {
                    let (first, bias) = self.affine(&format!("{encoder}.0"), 1)?;
                    let width = first.outputs;
                    let (second, last) = self.affine(&format!("{encoder}.2"), width)?;
                    let biases = [bias, last].map(|b| b.unwrap_or_else(|| vec![0.0; width])).to_vec();
                    let layers = vec![first, second];
                    let network = Network { layers, biases, norms: Vec::new(), activation: Activation::Silu };
                    Encoding::Network(network)
                }
                other => return Err(Fault::Unsupported(format!("`{name}` of type `{other}`"))),
            };
            inputs.push((quantity, encoding));
        }
        let width = inputs.iter().map(|(_, e)| e.outputs()).sum();
        let (project, bias) = self.affine(&format!("{module}.project.0"), width)?;
        if project.outputs != c || bias.is_some() {
            return content(format!("`{module}.project` should give {c} numbers, without biases"));
        }
        let readout = "embedding_readout.linear.weight";
        let readout = if self.has(readout) {
            Some(part(&self.weights(readout, c * heads)?, 0, c, heads, 1.0 / (c as f64).sqrt()))
        } else {
            None
        };
        Ok(Some(Joint { inputs, project, readout }))
    }
}
