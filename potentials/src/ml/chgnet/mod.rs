//! CHGNet 0.3.0: a graph neural network for crystals with magnetic moments.
//!
//! Deng, Zhong, Jun, Riebesell, Han, Bartel, Ceder, Nat. Mach. Intell. 5, 1031 (2023), doi 10.1038/s42256-023-00716-3. The
//! equations are in `docs/models/chgnet.md`. `network` is the fused kernel that runs, [`mod@reference`] the same model as a candle
//! module: readable, differentiable in inputs and weights, and what the kernel is tested against.
mod basis;
mod bonds;
mod gated;
mod network;
pub mod reference;
mod rows;
mod weights;

use super::checkpoint::{self, Fault, ModelFile, Source};
use super::device::{self, DeviceSpec};
use super::domain::domain;
use super::graph::Graph;
use crate::BuildContext;
pub use crate::Precision;
use crate::many_body::files::map_species;
use crate::simd::{Level, Real};
use bonds::Bonds;
use caloron_engine::{
    Domain, Extra, ExtraSpec, Input, Outputs, Potential, PotentialError, Properties, Scope, SpecError,
    Species, System, UnitSystem, elements,
};
use candle_core::{DType, Device, Var};
use network::{Memory, Network};
use reference::{Connections, Reference};
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use weights::{ATOM_CUTOFF, BOND_CUTOFF, ELEMENTS, Weights};

const NAME: &str = "chgnet";

/// The weights of CHGNet 0.3.0 as its authors publish them (modified BSD licence, `data/chgnet-0.3.0.LICENSE`).
static BUILT_IN: &[u8] = include_bytes!("../../../data/chgnet-0.3.0.safetensors");

/// CHGNet, a graph neural network for crystals of 94 elements (periodic table up to plutonium) that also gives magnetic moments.
///
/// Without `file` the weights of CHGNet 0.3.0 (trained on the Materials Project trajectories, PBE and PBE+U) are used, which are part
/// of the program.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ChgnetSpec {
    /// Weights: the `.pth.tar` file of the authors, or a safetensors file from `caloron model import`. The architecture must be that
    /// of version 0.3.0 (the r2SCAN model has it too).
    pub file: Option<PathBuf>,
    /// Precision of the network: `f64` (default) or `f32`, which takes less time.
    #[serde(default)]
    pub precision: Precision,
    /// Where the network runs: `cpu` (default), or `cuda` or `cuda:0` for a CUDA device.
    #[serde(default)]
    pub device: DeviceSpec,
    /// Element of the model for a species, such as `{ O1 = "O" }`. Default: the element of the same name.
    #[serde(default)]
    pub elements: Option<BTreeMap<String, String>>,
}

impl ChgnetSpec {
    /// The potential.
    ///
    /// # Errors
    /// When the file cannot be read or is not a CHGNet of the form of version 0.3.0, a species is none of the model's
    /// elements, or the input is in reduced units.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Chgnet, SpecError> {
        if context.units != UnitSystem::Physical {
            return Err(SpecError::new("", "the model is in eV and Å and cannot be used in reduced units"));
        }
        let numbers = self.numbers(context.system)?;
        let (model, name) = match &self.file {
            Some(file) => {
                let model = ModelFile::open(context, "file", file)?;
                if model.architecture != NAME {
                    return Err(super::other_architecture(file, &model, NAME));
                }
                let name = model.source.name.clone();
                (model, name)
            }
            None => {
                let model = built_in().map_err(|e| SpecError::new("", e))?;
                (Arc::new(model), "CHGNet 0.3.0, built in".to_owned())
            }
        };
        let mut potential = Chgnet::new(&model, name, self.precision)
            .map_err(|fault| SpecError::new("file", fault.to_string()))?;
        if let Some(device) = self.device.open()? {
            potential
                .move_to(&model, &device)
                .map_err(|e| SpecError::new("device", format!("the model cannot be put there: {e}")))?;
        }
        potential.domain = domain(&model, context.system, |s| elements::symbol(numbers[s]).unwrap_or(""))?;
        potential.stated = Some(numbers);
        Ok(potential)
    }
    /// Atomic numbers of the species.
    fn numbers(&self, system: &System) -> Result<Vec<u8>, SpecError> {
        if self.elements.is_some() {
            let known = (1..=ELEMENTS as u8).filter_map(elements::symbol).map(str::to_owned);
            let name = self.file.as_deref().unwrap_or(Path::new("CHGNet 0.3.0"));
            let map = map_species(system, self.elements.as_ref(), &known.collect::<Vec<_>>(), name)?;
            return Ok(map.into_iter().map(|place| place as u8 + 1).collect());
        }
        let number = |s: &Species| {
            element(s.number).ok_or_else(|| {
                SpecError::new("", format!("the model was not trained on `{}`", s.symbol)).hint(format!(
                    "it knows the elements from H to Pu; name the element of a species with `elements = {{ {} = \"...\" }}`",
                    s.symbol
                ))
            })
        };
        system.species().iter().map(number).collect()
    }
}

/// Does the file hold a model of this form?
pub(super) fn check(model: &ModelFile) -> Result<(), Fault> {
    Weights::new(model).map(|_| ())
}

/// The model whose weights are part of the program.
fn built_in() -> Result<ModelFile, String> {
    let source = Source { name: "chgnet-0.3.0.safetensors".to_owned(), ..Source::default() };
    checkpoint::parse(BUILT_IN, source).map_err(|e| format!("the built-in weights are damaged: {e:?}"))
}

/// Atomic number, if the model knows it.
fn element(number: Option<u8>) -> Option<u8> {
    number.filter(|&z| z >= 1 && usize::from(z) <= ELEMENTS)
}

/// The network in one precision with its memory.
struct Engine<T> {
    network: Network<T>,
    memory: Memory<T>,
}

/// Any precision.
trait Evaluate: Send {
    fn evaluate(
        &mut self,
        graph: &Graph,
        bonds: &Bonds,
        numbers: &[u8],
        gradient: bool,
    ) -> candle_core::Result<()>;
    fn energies(&self) -> &[f64];
    fn moments(&self) -> &[f64];
    fn gradient(&self) -> &[[f64; 3]];
    fn bytes(&self) -> usize;
}

impl<T: Real> Evaluate for Engine<T> {
    fn evaluate(
        &mut self,
        graph: &Graph,
        bonds: &Bonds,
        numbers: &[u8],
        gradient: bool,
    ) -> candle_core::Result<()> {
        let number = |k: usize| numbers[usize::from(graph.species()[k])];
        self.network.evaluate(graph, bonds, number, gradient, &mut self.memory);
        Ok(())
    }
    fn energies(&self) -> &[f64] {
        &self.memory.energies
    }
    fn moments(&self) -> &[f64] {
        &self.memory.moments
    }
    fn gradient(&self) -> &[[f64; 3]] {
        &self.memory.gradient
    }
    fn bytes(&self) -> usize {
        self.memory.bytes()
    }
}

/// The candle module on a device.
struct OnDevice {
    model: Reference,
    dtype: DType,
    device: Device,
    energies: Vec<f64>,
    moments: Vec<f64>,
    gradient: Vec<[f64; 3]>,
}

impl Evaluate for OnDevice {
    fn evaluate(
        &mut self,
        graph: &Graph,
        bonds: &Bonds,
        numbers: &[u8],
        gradient: bool,
    ) -> candle_core::Result<()> {
        let at = Connections::of(graph, bonds, |kind| numbers[usize::from(kind)], &self.device)?;
        let vectors = Var::from_tensor(&at.vectors(self.dtype, &self.device)?)?;
        let (energies, moments) = self.model.forward(&at, vectors.as_tensor())?;
        self.gradient.clear();
        if gradient {
            self.gradient = device::gradient(&energies, &vectors)?;
        }
        (self.energies, self.moments) = (device::numbers(&energies)?, device::numbers(&moments)?);
        Ok(())
    }
    fn energies(&self) -> &[f64] {
        &self.energies
    }
    fn moments(&self) -> &[f64] {
        &self.moments
    }
    fn gradient(&self) -> &[[f64; 3]] {
        &self.gradient
    }
    fn bytes(&self) -> usize {
        8 * (self.energies.capacity() + self.moments.capacity()) + 24 * self.gradient.capacity()
    }
}

/// The potential.
pub struct Chgnet {
    name: String,
    precision: Precision,
    place: &'static str,
    engine: Box<dyn Evaluate>,
    graph: Graph,
    bonds: Bonds,
    numbers: Vec<u8>,
    /// Atomic numbers of the species, where the input states them.
    stated: Option<Vec<u8>>,
    domain: Domain,
}

static EXTRAS: [ExtraSpec; 1] =
    [ExtraSpec { name: "magnetic_moments", scope: Scope::Atom, components: 1, unit: "mu_B" }];

impl Chgnet {
    fn new(model: &ModelFile, name: String, precision: Precision) -> Result<Self, Fault> {
        Ok(Self::from_weights(&Weights::new(model)?, name, precision, Level::detect()))
    }
    fn from_weights(weights: &Weights, name: String, precision: Precision, level: Level) -> Self {
        fn engine<T: Real>(weights: &Weights, level: Level) -> Box<dyn Evaluate> {
            Box::new(Engine::<T> { network: Network::new(weights, level), memory: Memory::default() })
        }
        let engine = match precision {
            Precision::F32 => engine::<f32>(weights, level),
            Precision::F64 => engine::<f64>(weights, level),
        };
        Self {
            name,
            precision,
            place: "on the processor",
            engine,
            graph: Graph::default(),
            bonds: Bonds::default(),
            numbers: Vec::new(),
            stated: None,
            domain: Domain::default(),
        }
    }
    /// Runs the candle module on a device from now on.
    fn move_to(&mut self, model: &ModelFile, device: &Device) -> candle_core::Result<()> {
        let dtype = device::dtype(self.precision);
        self.engine = Box::new(OnDevice {
            model: Reference::new(model, dtype, device)?,
            dtype,
            device: device.clone(),
            energies: Vec::new(),
            moments: Vec::new(),
            gradient: Vec::new(),
        });
        self.place = device::place(device);
        Ok(())
    }
    /// Memory held for the geometry, bytes.
    pub fn bytes(&self) -> usize {
        self.engine.bytes() + self.graph.bytes() + self.bonds.bytes()
    }
}

impl Potential for Chgnet {
    fn name(&self) -> &'static str {
        NAME
    }
    fn cutoff(&self) -> Option<f64> {
        Some(ATOM_CUTOFF)
    }
    fn provides(&self) -> Properties {
        Properties::all()
    }
    fn extras(&self) -> &'static [ExtraSpec] {
        &EXTRAS
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        self.numbers.clear();
        for (k, species) in input.system.species().iter().enumerate() {
            let stated = self.stated.as_ref().and_then(|s| s.get(k).copied());
            let number = element(stated.or(species.number)).ok_or_else(|| {
                PotentialError::UnknownSpecies { potential: NAME, species: species.symbol.clone() }
            })?;
            self.numbers.push(number);
        }
        self.graph.build(&input, ATOM_CUTOFF);
        if self.graph.lengths().iter().any(|&r| r < CLOSEST) {
            return Err(geometry(format!("two atoms are closer than {CLOSEST} Å")));
        }
        if !self.bonds.build(&self.graph, BOND_CUTOFF) {
            return Err(geometry("there are more than 4 billion angles".to_owned()));
        }
        let gradient = want.intersects(Properties::FORCES | Properties::VIRIAL | Properties::ATOM_VIRIALS);
        self.engine
            .evaluate(&self.graph, &self.bonds, &self.numbers, gradient)
            .map_err(|e| geometry(format!("the device failed: {e}")))?;
        self.graph.add(self.engine.energies(), self.engine.gradient(), want, out);
        if want.contains(Properties::EXTRAS) {
            let (nodes, moments) = (self.graph.node_of_atom(), self.engine.moments());
            let values = nodes.iter().map(|&k| moments[k as usize]).collect();
            out.extras.push(Extra { spec: &EXTRAS[0], values });
        }
        Ok(())
    }
    fn domain(&self) -> Option<&Domain> {
        Some(&self.domain)
    }
    fn single_precision(&self) -> bool {
        self.precision == Precision::F32
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["Deng et al., Nat. Mach. Intell. 5, 1031 (2023), doi 10.1038/s42256-023-00716-3"]
    }
    fn describe(&self) -> Vec<String> {
        let precision = match self.precision {
            Precision::F32 => "single",
            Precision::F64 => "double",
        };
        vec![format!("{}, network in {precision} precision, {}", self.name, self.place)]
    }
}

/// Distances below this make the bases meaningless, Å.
const CLOSEST: f64 = 1e-3;

fn geometry(reason: String) -> PotentialError {
    PotentialError::Geometry { potential: NAME, reason }
}

#[cfg(test)]
mod tests;
