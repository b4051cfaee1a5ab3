//! TensorNet of TorchMD-Net: message passing with Cartesian tensors of rank two, and the physical priors that are added to it.
//!
//! `model` understands a checkpoint, `priors` are the terms between pairs, `reference` is the network in candle, `fused` the kernels that run
//! it. Equations are in `docs/models/tensornet.md`.
//!
//! Simeon and De Fabritiis, Advances in Neural Information Processing Systems 36, 37334 (2023), arXiv:2306.06482; TorchMD-Net 2.0: Pelaez et
//! al., J. Chem. Theory Comput. 20, 4076 (2024), doi 10.1021/acs.jctc.4c00253.
pub mod fused;
pub mod model;
pub mod priors;
pub mod reference;
pub mod units;

pub use fused::Fused;
pub use model::{Group, Model};
pub use reference::Reference;
pub use units::{Units, UnitsSpec};

use super::checkpoint::{Fault, ModelFile};
use super::device::{self, DeviceSpec, OnDevice};
use super::differentiable::Edges;
use super::domain::domain;
pub use super::fused::Mode;
use super::fused::potential::{About, GraphPotential, Kernel};
use super::other_architecture;
use crate::BuildContext;
pub use crate::Precision;
use crate::many_body::files::map_species;
use caloron_engine::{
    Domain, Input, Outputs, Potential, PotentialError, Properties, SpecError, System, UnitSystem,
};
use candle_core::Device;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

const NAME: &str = "tensornet";

/// TensorNet potential with its physical priors from a checkpoint of TorchMD-Net (`.ckpt`) or from Caloron's safetensors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TensorNetSpec {
    /// File of the model, relative to the input file.
    pub file: PathBuf,
    /// Units of energies and lengths that the model was trained in: `{ energy = "kcal/mol", length = "Å" }`. Needed unless a prior in the
    /// file (ZBL, D2) states them.
    pub units: Option<UnitsSpec>,
    /// Total charge of the system, e. Needed for a model that was trained with charges.
    pub total_charge: Option<i32>,
    /// Precision of the kernels: `f32` (forces to about 1e-5 eV/Å, twice as fast) or `f64`. Energies are summed in double precision
    /// with both, and priors are in double precision.
    #[serde(default)]
    pub precision: Precision,
    /// Where the network runs: `cpu` (default), or `cuda` or `cuda:0` for a CUDA device.
    #[serde(default)]
    pub device: DeviceSpec,
    /// Element of the model for a species, such as `{ H1 = "H" }`. Default: the element of the same name.
    #[serde(default)]
    pub elements: Option<BTreeMap<String, String>>,
}

impl TensorNetSpec {
    /// The potential for a system.
    ///
    /// # Errors
    /// When the file cannot be read, holds another kind of model or parts that are not supported, its units are not known, a species is not in
    /// it, or the total charge is missing or has no meaning for it.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<TensorNet, SpecError> {
        if context.units == UnitSystem::Lj {
            return Err(SpecError::new(
                "",
                "a TensorNet model is in units of energy and length, and has no meaning in reduced units",
            ));
        }
        let file = ModelFile::open(context, "file", &self.file)?;
        if file.architecture != NAME {
            return Err(other_architecture(&self.file, &file, NAME));
        }
        let wrong = |fault: Fault| SpecError::new("file", format!("`{}`: {fault}", self.file.display()));
        let model = Model::new(&file, Units::INTERNAL).map_err(wrong)?;
        let charge = self.charge(&model)?;
        let units = UnitsSpec::choose(self.units.as_ref(), &file)?;
        let model = if units == Units::INTERNAL { model } else { Model::new(&file, units).map_err(wrong)? };
        let map = map_species(context.system, self.elements.as_ref(), &model.symbols(), &self.file)?;
        let network = match self.device.open()? {
            None => network(&model, &map, charge, self.precision),
            Some(device) => network_on(&model, &map, charge, self.precision, &device)
                .map_err(|e| SpecError::new("device", format!("the model cannot be put there: {e}")))?,
        };
        let mut potential = TensorNet::new(network, &model, &map, context.system)?;
        let symbols = model.symbols();
        potential.network.set_domain(domain(&file, context.system, |s| &symbols[map[s]])?);
        Ok(potential)
    }
    fn charge(&self, model: &Model) -> Result<f64, SpecError> {
        match (self.total_charge, model.charge) {
            (Some(charge), true) => Ok(f64::from(charge)),
            (None, false) => Ok(0.0),
            (None, true) => Err(SpecError::new("total_charge", "the model depends on the total charge")
                .hint("state it, also where it is zero: total_charge = 0")),
            (Some(_), false) => Err(SpecError::new("total_charge", "the model was not trained with charges")
                .hint("leave the key out")),
        }
    }
}

/// The network and the priors between pairs.
pub struct TensorNet {
    network: GraphPotential,
    priors: Vec<Box<dyn Potential>>,
    warnings: Vec<String>,
}

impl TensorNet {
    /// A network with the priors of its model, for species whose elements have the places `map` in it.
    ///
    /// # Errors
    /// When a prior lacks numbers for an element.
    pub fn new(
        network: GraphPotential,
        model: &Model,
        map: &[usize],
        system: &System,
    ) -> Result<Self, SpecError> {
        let numbers: Vec<u8> = map.iter().map(|z| model.elements[*z]).collect();
        let priors = model.priors.iter().map(|p| p.build(system, &numbers)).collect::<Result<_, _>>()?;
        let mut warnings = Vec::new();
        if model.mean != 0.0 {
            warnings.push(format!(
                "tensornet: the model adds {} eV to every structure, whatever its size: energies of structures with different numbers of atoms \
                 cannot be compared",
                model.mean
            ));
        }
        Ok(Self { network, priors, warnings })
    }
    /// Evaluates the radial networks for every edge instead of interpolating them.
    pub fn set_mode(&mut self, mode: Mode) {
        self.network.set_mode(mode);
    }
    /// Memory held by the network, bytes.
    pub fn bytes(&self) -> usize {
        self.network.bytes()
    }
}

impl Potential for TensorNet {
    fn name(&self) -> &'static str {
        NAME
    }
    fn cutoff(&self) -> Option<f64> {
        let priors = self.priors.iter().filter_map(|p| p.cutoff());
        self.network.cutoff().into_iter().chain(priors).reduce(f64::max)
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        self.network.compute(input, want, out)?;
        self.priors.iter_mut().try_for_each(|p| p.compute(input, want, out))
    }
    fn jumps_at_cutoff(&self) -> bool {
        self.priors.iter().any(|p| p.jumps_at_cutoff())
    }
    fn domain(&self) -> Option<&Domain> {
        self.network.domain()
    }
    fn single_precision(&self) -> bool {
        self.network.single_precision()
    }
    fn citations(&self) -> Vec<&'static str> {
        let priors = self.priors.iter().flat_map(|p| p.citations());
        self.network.citations().into_iter().chain(priors).collect()
    }
    fn describe(&self) -> Vec<String> {
        self.network.describe()
    }
    fn warnings(&self) -> Vec<String> {
        let priors = self.priors.iter().flat_map(|p| p.warnings());
        self.warnings.iter().cloned().chain(priors).collect()
    }
}

/// The network for species whose elements have the places `map` in the model, for a total charge.
pub fn network(model: &Model, map: &[usize], charge: f64, precision: Precision) -> GraphPotential {
    let kernel: Box<dyn Kernel> = match precision {
        Precision::F32 => Box::new(Fused::<f32>::new(model, map, charge)),
        Precision::F64 => Box::new(Fused::<f64>::new(model, map, charge)),
    };
    GraphPotential::new(kernel, model.cutoff, map.len(), about(model, charge, precision))
}

/// The same with the candle module on a device.
///
/// # Errors
/// When candle fails.
pub fn network_on(
    model: &Model,
    map: &[usize],
    charge: f64,
    precision: Precision,
    device: &Device,
) -> candle_core::Result<GraphPotential> {
    let dtype = device::dtype(precision);
    let (network, mean) = (Reference::new(model.clone(), dtype, device)?, model.mean);
    let module = move |edges: &Edges<'_>| {
        network.forward(edges, charge)?.energies + mean / edges.elements.len() as f64
    };
    let kernel = Box::new(OnDevice::new(module, map, model.cutoff, dtype, device));
    Ok(GraphPotential::new(kernel, model.cutoff, map.len(), about(model, charge, precision)))
}

/// What the potential says about itself.
fn about(model: &Model, charge: f64, precision: Precision) -> About {
    let bits = if precision == Precision::F32 { "single" } else { "double" };
    let group = match model.group {
        Group::O3 => "O(3)",
        Group::So3 => "SO(3)",
    };
    let priors: Vec<&str> = model.priors.iter().map(|p| p.name()).collect();
    let priors = if priors.is_empty() { String::new() } else { format!(", with {}", priors.join(" and ")) };
    let charged = if model.charge { format!(", total charge {charge}") } else { String::new() };
    About {
        name: NAME,
        citation: "Simeon and De Fabritiis, Advances in Neural Information Processing Systems 36, 37334 (2023), arXiv:2306.06482",
        model: format!(
            "{} layers of {} channels, {group}, cutoff {} Å, {} elements{charged}{priors}, {bits} precision",
            model.layers.len(),
            model.channels,
            model.cutoff,
            model.elements.len(),
        ),
        single: precision == Precision::F32,
        note: None,
        rotation_error: 0.0,
    }
}
