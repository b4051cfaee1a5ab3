//! SevenNet: equivariant message passing with gates (NequIP), trained on the Materials Project and other data.
//!
//! `model` understands a file, `reference` is the model in candle, `fused` the kernels that run it. Equations are in
//! `docs/models/sevennet.md`.
//!
//! Park, Kim, Hwang and Han, J. Chem. Theory Comput. 20, 4857 (2024), doi 10.1021/acs.jctc.4c00190; NequIP: Batzner et al., Nat. Commun. 13,
//! 2453 (2022), doi 10.1038/s41467-022-29939-5.
pub mod fused;
pub mod model;
pub mod reference;

pub use fused::{Fused, Mode};
pub use model::Model;
pub use reference::Reference;

use super::checkpoint::{Fault, ModelFile};
use super::device::{self, DeviceSpec, OnDevice};
use super::differentiable::Edges;
use super::domain::domain;
use super::fused::potential::{About, GraphPotential, Kernel};
use super::other_architecture;
use crate::BuildContext;
pub use crate::Precision;
use crate::many_body::files::map_species;
use caloron_engine::error::nearest;
use caloron_engine::{SpecError, UnitSystem};
use candle_core::Device;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::PathBuf;

/// SevenNet potential from the checkpoint its authors publish (`.pth`) or from Caloron's safetensors.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SevenNetSpec {
    /// File of the model, relative to the input file.
    pub file: PathBuf,
    /// Precision of the kernels: `f32` (forces to about 1e-5 eV/Å, twice as fast) or `f64`. Energies are summed in double precision
    /// with both.
    #[serde(default)]
    pub precision: Precision,
    /// Where the network runs: `cpu` (default), or `cuda` or `cuda:0` for a CUDA device.
    #[serde(default)]
    pub device: DeviceSpec,
    /// Kind of training data whose energies a multi-fidelity model gives, such as `PBE`. Needed when the model has several.
    pub modality: Option<String>,
    /// Element of the model for a species, such as `{ H1 = "H" }`. Default: the element of the same name.
    #[serde(default)]
    pub elements: Option<BTreeMap<String, String>>,
}

impl SevenNetSpec {
    /// The potential for a system.
    ///
    /// # Errors
    /// When the file cannot be read or holds another kind of model, a species is not in it, or the modality is not.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<GraphPotential, SpecError> {
        if context.units == UnitSystem::Lj {
            return Err(SpecError::new(
                "",
                "a SevenNet model is in eV and Å, and has no meaning in reduced units",
            ));
        }
        let file = ModelFile::open(context, "file", &self.file)?;
        if file.architecture != "sevennet" {
            return Err(other_architecture(&self.file, &file, "sevennet"));
        }
        let wrong = |fault: Fault| SpecError::new("file", format!("`{}`: {fault}", self.file.display()));
        let model = Model::new(&file).map_err(wrong)?;
        let modality = self.modality(&model)?;
        let map = map_species(context.system, self.elements.as_ref(), &model.symbols(), &self.file)?;
        let mut potential = match self.device.open()? {
            None => potential(&model, &map, modality, self.precision).map_err(wrong)?,
            Some(device) => potential_on(&model, &map, modality, self.precision, &device)
                .map_err(|e| SpecError::new("device", format!("the model cannot be put there: {e}")))?,
        };
        let symbols = model.symbols();
        potential.set_domain(domain(&file, context.system, |s| &symbols[map[s]])?);
        Ok(potential)
    }
    fn modality(&self, model: &Model) -> Result<usize, SpecError> {
        let names = || model.modalities.iter().map(String::as_str);
        let all = || names().collect::<Vec<_>>().join(", ");
        let Some(name) = &self.modality else {
            return match model.modalities.len() {
                0 | 1 => Ok(0),
                n => Err(SpecError::new("modality", format!("the model has {n} modalities"))
                    .hint(format!("choose one of them: {}", all()))),
            };
        };
        names().position(|n| n == name).ok_or_else(|| {
            let error = SpecError::new("modality", format!("the model has no modality `{name}`"));
            match nearest(name, names()) {
                _ if model.modalities.is_empty() => error.hint("it has only one: leave the key out"),
                Some(near) => error.hint(format!("did you mean `{near}`?")),
                None => error.hint(format!("its modalities are {}", all())),
            }
        })
    }
}

/// The potential for species whose elements have the places `map` in the model, with a modality (0 where there are none).
///
/// # Errors
/// When the model has features beyond what the kernels are compiled for.
pub fn potential(
    model: &Model,
    map: &[usize],
    modality: usize,
    precision: Precision,
) -> Result<GraphPotential, Fault> {
    let blocks = || model.layers.iter().flat_map(|l| l.input.iter().chain(&l.output));
    let highest = blocks().map(|b| b.l).max().unwrap_or(0);
    if model.lmax > 4 || highest > 3 {
        return Err(Fault::Unsupported(format!(
            "spherical harmonics of degree {} and features of degree {highest} (at most 4 and 3)",
            model.lmax
        )));
    }
    let kernel: Box<dyn Kernel> = match precision {
        Precision::F32 => Box::new(Fused::<f32>::new(model, map, modality)),
        Precision::F64 => Box::new(Fused::<f64>::new(model, map, modality)),
    };
    Ok(GraphPotential::new(kernel, model.cutoff, map.len(), about(model, modality, precision)))
}

/// The same with the candle module on a device.
///
/// # Errors
/// When candle fails.
pub fn potential_on(
    model: &Model,
    map: &[usize],
    modality: usize,
    precision: Precision,
    device: &Device,
) -> candle_core::Result<GraphPotential> {
    let dtype = device::dtype(precision);
    let network = Reference::new(model.clone(), dtype, device)?;
    let module = move |edges: &Edges<'_>| Ok(network.forward(edges, modality)?.energies);
    let kernel = Box::new(OnDevice::new(module, map, model.cutoff, dtype, device));
    Ok(GraphPotential::new(kernel, model.cutoff, map.len(), about(model, modality, precision)))
}

/// What the potential says about itself.
fn about(model: &Model, modality: usize, precision: Precision) -> About {
    let bits = if precision == Precision::F32 { "single" } else { "double" };
    let features: Vec<String> =
        model.layers[0].output.iter().map(|b| format!("{}x{}", b.channels, b.l)).collect();
    let of = model.modalities.get(modality).map_or_else(String::new, |m| format!(", modality {m}"));
    let about = format!(
        "{} layers, features {}, cutoff {} Å, {} elements{of}, {bits} precision",
        model.layers.len(),
        features.join("+"),
        model.cutoff,
        model.elements.len(),
    );
    About {
        name: "sevennet",
        citation: "Park, Kim, Hwang and Han, J. Chem. Theory Comput. 20, 4857 (2024), doi 10.1021/acs.jctc.4c00190",
        model: about,
        single: precision == Precision::F32,
        note: None,
        rotation_error: 0.0,
    }
}
