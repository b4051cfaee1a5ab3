//! Weights of e3nn's layers in model files, with their normalisation in them.
use super::Activation;
use crate::ml::checkpoint::{Fault, ModelFile};
use crate::ml::radial::{Dense, Network};

/// A matrix that is part of a vector of weights.
///
/// # Panics
/// When the vector is too short.
pub(crate) fn part(values: &[f64], at: usize, inputs: usize, outputs: usize, scale: f64) -> Dense {
    let values = values[at..at + inputs * outputs].iter().map(|v| v * scale).collect();
    Dense { inputs, outputs, values }
}

/// The numbers of a tensor whose count is known.
pub(crate) fn counted(file: &ModelFile, name: &str, count: usize) -> Result<Vec<f64>, Fault> {
    let values = file.tensor(name)?.to_f64();
    if values.len() != count {
        return Err(Fault::Content(format!(
            "tensor `{name}` has {} numbers, expected {count}",
            values.len()
        )));
    }
    Ok(values)
}

/// A `FullyConnectedNet` from its tensors `{module}.layer{k}.weight`, with the constant of the activation.
pub(crate) fn network(
    file: &ModelFile,
    module: &str,
    (activation, constant): (Activation, f64),
    inputs: usize,
    outputs: usize,
) -> Result<Network, Fault> {
    let content = |message: String| Err(Fault::Content(message));
    let mut layers: Vec<Dense> = Vec::new();
    loop {
        let name = format!("{module}.layer{}.weight", layers.len());
        let Some(tensor) = file.tensors.get(&name) else { break };
        let &[rows, columns] = tensor.shape() else {
            return content(format!("tensor `{name}` should be a matrix"));
        };
        if rows != layers.last().map_or(inputs, |l| l.outputs) || rows == 0 || columns == 0 {
            return content(format!("tensor `{name}` has the shape [{rows}, {columns}], which does not fit"));
        }
        let before = if layers.is_empty() { 1.0 } else { constant };
        let dense = Dense { inputs: rows, outputs: columns, values: tensor.to_f64() };
        layers.push(dense.scaled(before / (rows as f64).sqrt()));
    }
    if layers.last().map(|l| l.outputs) != Some(outputs) {
        return Err(if layers.is_empty() {
            Fault::Unsupported(format!("a radial network without `{module}.layer0.weight`"))
        } else {
            Fault::Content(format!("the radial network `{module}` should give {outputs} numbers"))
        });
    }
    Ok(Network { layers, biases: Vec::new(), norms: Vec::new(), activation })
}
