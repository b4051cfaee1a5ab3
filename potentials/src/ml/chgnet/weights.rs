//! The parameters of a CHGNet, with every shape checked.
use crate::ml::checkpoint::{Fault, ModelFile};
use serde_json::{Value, json};

/// Width of all features.
pub(super) const WIDTH: usize = 64;
/// Width of a gated layer: core and gate beside each other.
pub(super) const BOTH: usize = 2 * WIDTH;
/// Elements the model has parameters for: hydrogen to plutonium.
pub(super) const ELEMENTS: usize = 94;
/// Radial functions, and angular functions of one kind.
pub(super) const RADIAL: usize = 31;
pub(super) const ANGULAR: usize = 15;
/// Layers that update atoms; the others are one fewer.
pub(super) const LAYERS: usize = 4;
/// Cutoff of the atom graph and of the bond graph, Å, and the power of the envelope.
pub(super) const ATOM_CUTOFF: f64 = 6.0;
pub(super) const BOND_CUTOFF: f64 = 3.0;
pub(super) const ENVELOPE: i32 = 8;

/// A matrix [rows, columns] in row-major order.
#[derive(Clone, Debug, Default)]
pub(super) struct Tensor {
    pub shape: [usize; 2],
    pub data: Vec<f64>,
}

/// y = W x + b; W is [outputs, inputs].
#[derive(Clone, Debug, Default)]
pub(super) struct Linear {
    pub weight: Tensor,
    pub bias: Vec<f64>,
}

/// σ-gated layer: silu(LN₁(core)) σ(LN₂(gate)).
#[derive(Clone, Debug, Default)]
pub(super) struct Gated {
    /// Linear maps of core and gate with a silu after each but the last.
    pub core: Vec<Linear>,
    pub gate: Vec<Linear>,
    /// Scale and shift of the norms of core and gate.
    pub norms: [[Vec<f64>; 2]; 2],
}

/// All parameters, f64 (exact for those of single precision).
#[derive(Clone, Debug, Default)]
pub(super) struct Weights {
    pub reference_energies: Vec<f64>,
    pub embedding: Tensor,
    pub radial_atom: Vec<f64>,
    pub radial_bond: Vec<f64>,
    pub angular: Vec<f64>,
    pub bond_embedding: Tensor,
    pub bond_weights_atom: Tensor,
    pub bond_weights_bond: Tensor,
    pub angle_embedding: Tensor,
    pub atom: Vec<(Gated, Tensor)>,
    pub bond: Vec<(Gated, Tensor)>,
    pub angle: Vec<Gated>,
    pub moment: Linear,
    pub norm: [Vec<f64>; 2],
    pub readout: Vec<Linear>,
}

struct Source<'a>(&'a ModelFile);

impl Source<'_> {
    fn numbers(&self, name: &str, shape: &[usize]) -> Result<Vec<f64>, Fault> {
        let data = self.0.numbers(name, shape)?;
        match data.iter().find(|x| !x.is_finite()) {
            Some(x) => Err(Fault::Content(format!("tensor `{name}` holds {x}"))),
            None => Ok(data),
        }
    }
    fn tensor(&self, name: &str, shape: [usize; 2]) -> Result<Tensor, Fault> {
        Ok(Tensor { shape, data: self.numbers(name, &shape)? })
    }
    fn vector(&self, name: &str, len: usize) -> Result<Vec<f64>, Fault> {
        self.numbers(name, &[len])
    }
    fn linear(&self, name: &str, outputs: usize, inputs: usize) -> Result<Linear, Fault> {
        Ok(Linear {
            weight: self.tensor(&format!("{name}.weight"), [outputs, inputs])?,
            bias: self.vector(&format!("{name}.bias"), outputs)?,
        })
    }
    fn gated(&self, name: &str, inputs: usize, hidden: bool) -> Result<Gated, Fault> {
        let maps = |part: &str| -> Result<Vec<Linear>, Fault> {
            let at = |k: usize| format!("{name}.mlp_{part}.layers.{k}");
            if hidden {
                Ok(vec![self.linear(&at(0), WIDTH, inputs)?, self.linear(&at(3), WIDTH, WIDTH)?])
            } else {
                Ok(vec![self.linear(&at(1), WIDTH, inputs)?])
            }
        };
        let norm = |k: usize| -> Result<[Vec<f64>; 2], Fault> {
            let part = |what: &str| self.vector(&format!("{name}.bn{k}.{what}"), WIDTH);
            Ok([part("weight")?, part("bias")?])
        };
        Ok(Gated { core: maps("core")?, gate: maps("gate")?, norms: [norm(1)?, norm(2)?] })
    }
}

impl Weights {
    /// From a model file.
    ///
    /// # Errors
    /// When it is another kind of CHGNet, or a tensor is missing, has another shape or holds a number that is not finite.
    pub fn new(model: &ModelFile) -> Result<Self, Fault> {
        check_architecture(model)?;
        let s = Source(model);
        let mut this = Self {
            reference_energies: s.tensor("composition_model.fc.weight", [1, ELEMENTS])?.data,
            embedding: s.tensor("atom_embedding.embedding.weight", [ELEMENTS, WIDTH])?,
            radial_atom: s.vector("bond_basis_expansion.rbf_expansion_ag.frequencies", RADIAL)?,
            radial_bond: s.vector("bond_basis_expansion.rbf_expansion_bg.frequencies", RADIAL)?,
            angular: s.vector("angle_basis_expansion.fourier_expansion.frequencies", ANGULAR)?,
            bond_embedding: s.tensor("bond_embedding.weight", [WIDTH, RADIAL])?,
            bond_weights_atom: s.tensor("bond_weights_ag.weight", [WIDTH, RADIAL])?,
            bond_weights_bond: s.tensor("bond_weights_bg.weight", [WIDTH, RADIAL])?,
            angle_embedding: s.tensor("angle_embedding.weight", [WIDTH, 2 * ANGULAR + 1])?,
            moment: s.linear("site_wise", 1, WIDTH)?,
            norm: [s.vector("readout_norm.weight", WIDTH)?, s.vector("readout_norm.bias", WIDTH)?],
            ..Self::default()
        };
        for (k, outputs) in [(0, WIDTH), (2, WIDTH), (4, WIDTH), (7, 1)] {
            this.readout.push(s.linear(&format!("mlp.layers.{k}"), outputs, WIDTH)?);
        }
        let out = |name: &str| s.tensor(&format!("{name}.mlp_out.layers.1.weight"), [WIDTH, WIDTH]);
        for l in 0..LAYERS {
            let name = format!("atom_conv_layers.{l}");
            this.atom.push((s.gated(&format!("{name}.twoBody_atom"), 3 * WIDTH, true)?, out(&name)?));
        }
        for l in 0..LAYERS - 1 {
            let name = format!("bond_conv_layers.{l}");
            this.bond.push((s.gated(&format!("{name}.twoBody_bond"), 4 * WIDTH, true)?, out(&name)?));
            let name = format!("angle_layers.{l}.twoBody_bond");
            this.angle.push(s.gated(&name, 4 * WIDTH, false)?);
        }
        Ok(this)
    }
}

/// What the hyper-parameters must say, as far as they are stored; the shapes of the tensors say the rest.
fn check_architecture(model: &ModelFile) -> Result<(), Fault> {
    let expected = [
        ("n_conv", json!(LAYERS)),
        ("atom_graph_cutoff", json!(ATOM_CUTOFF)),
        ("bond_graph_cutoff", json!(BOND_CUTOFF)),
        ("cutoff_coeff", json!(ENVELOPE)),
        ("gMLP_norm", json!("layer")),
        ("readout_norm", json!("layer")),
        ("non_linearity", json!("silu")),
        ("mlp_first", json!(true)),
        ("is_intensive", json!(true)),
        ("update_bond", json!(true)),
        ("update_angle", json!(true)),
    ];
    let same = |a: &Value, b: &Value| match (a.as_f64(), b.as_f64()) {
        (Some(a), Some(b)) => a == b,
        _ => a == b,
    };
    for (key, value) in expected {
        let stored = model.hyper_parameter(&["model_args", key]).or_else(|| model.hyper_parameter(&[key]));
        if let Some(stored) = stored
            && !same(stored, &value)
        {
            return Err(Fault::Unsupported(format!(
                "`{key}` of this CHGNet is {stored}; models of the form of version 0.3.0 have {value}"
            )));
        }
    }
    Ok(())
}
