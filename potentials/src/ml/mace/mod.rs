//! MACE: equivariant message passing with many-body products of the messages.
//!
//! `model` understands a file, `reference` is the model in candle, `fused` the kernels that run it.
//!
//! Batatia, Kovács, Simm, Ortner and Csányi, Advances in Neural Information Processing Systems 35, 11423 (2022), arXiv:2206.07697.
pub mod fused;
pub mod model;
pub mod reference;

pub use fused::{Fused, Mode};
pub use model::{Conditions, Model};
pub use reference::Reference;

use super::checkpoint::{Fault, ModelFile};
use super::device::{self, DeviceSpec, OnDevice};
use super::differentiable::Edges;
use super::domain::domain;
use super::fused::potential::{About, GraphPotential, Kernel};
use super::other_architecture;
use super::radial::Basis;
use crate::BuildContext;
pub use crate::Precision;
use crate::many_body::files::map_species;
use caloron_engine::error::nearest;
use caloron_engine::{SpecError, UnitSystem};
use candle_core::Device;
use model::Quantity;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// Coulomb constant of the nuclear repulsion, eV Å, as MACE has it.
const ZBL_COULOMB: f64 = 14.3996;
/// Bohr radius, Å, as MACE has it.
const ZBL_BOHR: f64 = 0.529;
/// Rates of the four exponentials.
const ZBL_RATES: [f64; 4] = [3.2, 0.9423, 0.4028, 0.2016];

/// Of models with Chebyshev functions.
const CHEBYSHEV: &str = "mace: Chebyshev functions: forces are the derivative of the energy, which those of mace-torch 0.3.16 are not \
                         (it leaves out the derivative of these functions); see docs/models/mace.md";

/// Of models whose radial networks have biases, which the cutoff does not multiply.
const JUMPS: &str = "mace: the radial networks have biases and the cutoff multiplies what enters them (apply_cutoff), so energies jump where atoms \
                     cross the cutoff, as in mace-torch";

/// MACE potential from the file its authors publish (`.model`, a whole model saved by PyTorch) or from Caloron's safetensors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct MaceSpec {
    /// File of the model, relative to the input file.
    pub file: PathBuf,
    /// Total charge of the system, e. Needed for a model that knows charges.
    pub total_charge: Option<i32>,
    /// Spin multiplicity 2S + 1 of the system: 1 for a singlet. Needed for a model that knows spins.
    pub total_spin: Option<u32>,
    /// Precision of the kernels: `f32` (forces to about 1e-5 eV/Å, twice as fast) or `f64`. Energies are summed in double precision
    /// with both.
    #[serde(default)]
    pub precision: Precision,
    /// Where the network runs: `cpu` (default), or `cuda` or `cuda:0` for a CUDA device.
    #[serde(default)]
    pub device: DeviceSpec,
    /// Head of a model that has several. Default: the only one.
    pub head: Option<String>,
    /// Element of the model for a species, such as `{ H1 = "H" }`. Default: the element of the same name.
    #[serde(default)]
    pub elements: Option<BTreeMap<String, String>>,
}

impl MaceSpec {
    /// The potential for a system.
    ///
    /// # Errors
    /// When the file cannot be read or holds another kind of model, a species is not in it, the head is not, or total charge and spin are
    /// missing or have no meaning for it.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<GraphPotential, SpecError> {
        if context.units == UnitSystem::Lj {
            return Err(SpecError::new(
                "",
                "a MACE model is in eV and Å, and has no meaning in reduced units",
            ));
        }
        let file = ModelFile::open(context, "file", &self.file)?;
        if file.architecture != "mace" {
            return Err(other_architecture(&self.file, &file, "mace"));
        }
        let wrong = |fault: Fault| SpecError::new("file", format!("`{}`: {fault}", self.file.display()));
        let model = Model::new(&file).map_err(wrong)?;
        let conditions = self.conditions(&model)?;
        let map = map_species(context.system, self.elements.as_ref(), &model.symbols(), &self.file)?;
        let mut potential = match self.device.open()? {
            None => potential(&model, &map, conditions, self.precision).map_err(wrong)?,
            Some(device) => potential_on(&model, &map, conditions, self.precision, &device)
                .map_err(|e| SpecError::new("device", format!("the model cannot be put there: {e}")))?,
        };
        let symbols = model.symbols();
        potential.set_domain(domain(&file, context.system, |s| &symbols[map[s]])?);
        Ok(potential)
    }
    fn conditions(&self, model: &Model) -> Result<Conditions, SpecError> {
        let conditions = Conditions {
            head: self.head(model)?,
            total_charge: self.total_charge.map(f64::from),
            total_spin: self.total_spin.map(f64::from),
        };
        for quantity in Quantity::ALL {
            let (key, needed) = (quantity.key(), model.depends_on(quantity));
            match quantity.of(&conditions) {
                None if needed => {
                    let (example, also) = match quantity {
                        Quantity::Charge => (0, "where it is zero"),
                        Quantity::Spin => (1, "of a singlet"),
                    };
                    return Err(SpecError::new(key, format!("the model depends on the {quantity}"))
                        .hint(format!("state it, also {also}: {key} = {example}")));
                }
                Some(_) if !needed => {
                    return Err(SpecError::new(key, format!("the model was not trained with a {quantity}"))
                        .hint("leave the key out"));
                }
                Some(x) => {
                    model.check(quantity, x).map_err(|fault| SpecError::new(key, fault.to_string()))?
                }
                None => {}
            }
        }
        Ok(conditions)
    }
    fn head(&self, model: &Model) -> Result<usize, SpecError> {
        let names = || model.heads.iter().map(|h| h.name.as_str());
        let all = || names().collect::<Vec<_>>().join(", ");
        match &self.head {
            None if model.heads.len() == 1 => Ok(0),
            None => Err(SpecError::new("head", format!("the model has {} heads", model.heads.len()))
                .hint(format!("choose one of them: {}", all()))),
            Some(name) => names().position(|n| n == name).ok_or_else(|| {
                let error = SpecError::new("head", format!("the model has no head `{name}`"));
                match nearest(name, names()) {
                    Some(near) => error.hint(format!("did you mean `{near}`?")),
                    None => error.hint(format!("its heads are {}", all())),
                }
            }),
        }
    }
}

/// The potential for species whose elements have the places `map` in the model, under conditions that it knows: a head, or more.
///
/// # Errors
/// When the model has features beyond what the kernels are compiled for, or does not know the conditions.
pub fn potential(
    model: &Model,
    map: &[usize],
    conditions: impl Into<Conditions>,
    precision: Precision,
) -> Result<GraphPotential, Fault> {
    let conditions = conditions.into();
    let highest = model.layers.iter().flat_map(|l| l.interaction.sent.iter().copied()).max().unwrap_or(0);
    if model.lmax > 4 || highest > 3 {
        return Err(Fault::Unsupported(format!(
            "spherical harmonics of degree {} and features of degree {highest} (at most 4 and 3)",
            model.lmax
        )));
    }
    let kernel: Box<dyn Kernel> = match precision {
        Precision::F32 => Box::new(Fused::<f32>::new(model, map, conditions)?),
        Precision::F64 => Box::new(Fused::<f64>::new(model, map, conditions)?),
    };
    Ok(GraphPotential::new(kernel, model.cutoff, map.len(), about(model, &conditions, precision)))
}

/// The same with the candle module on a device.
///
/// # Errors
/// When candle fails.
pub fn potential_on(
    model: &Model,
    map: &[usize],
    conditions: impl Into<Conditions>,
    precision: Precision,
    device: &Device,
) -> candle_core::Result<GraphPotential> {
    let conditions = conditions.into();
    let dtype = device::dtype(precision);
    let network = Reference::new(model.clone(), dtype, device)?;
    let module = move |edges: &Edges<'_>| Ok(network.forward(edges, conditions)?.energies);
    let kernel = Box::new(OnDevice::new(module, map, model.cutoff, dtype, device));
    Ok(GraphPotential::new(kernel, model.cutoff, map.len(), about(model, &conditions, precision)))
}

/// What the potential says about itself.
fn about(model: &Model, conditions: &Conditions, precision: Precision) -> About {
    let bits = if precision == Precision::F32 { "single" } else { "double" };
    let degrees: Vec<String> =
        model.layers[0].interaction.output.iter().map(|l| format!("{}x{l}", model.channels)).collect();
    let states = Quantity::ALL.into_iter().filter_map(|q| Some(format!(", {q} {}", q.of(conditions)?)));
    let about = format!(
        "{} layers, features {}, cutoff {} Å, {} elements, head {}{}, {bits} precision",
        model.layers.len(),
        degrees.join("+"),
        model.cutoff,
        model.elements.len(),
        model.heads[conditions.head].name,
        states.collect::<String>()
    );
    About {
        name: "mace",
        citation: "Batatia et al., Advances in Neural Information Processing Systems 35, 11423 (2022), arXiv:2206.07697",
        model: about,
        single: precision == Precision::F32,
        note: note(model),
        rotation_error: if model.rounded { f64::from(f32::EPSILON) } else { 0.0 },
    }
}

/// What is worth knowing of a model.
fn note(model: &Model) -> Option<&'static str> {
    if matches!(model.radial.basis, Basis::Chebyshev { .. }) {
        return Some(CHEBYSHEV);
    }
    let biased = model.layers.iter().any(|l| l.interaction.gate.is_some());
    (biased && model.radial.on_basis).then_some(JUMPS)
}
