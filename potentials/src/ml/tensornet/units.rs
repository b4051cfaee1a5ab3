//! The units of a checkpoint. TorchMD-Net trains on whatever its data sets are in, and a file says which units these are only where a
//! physical prior needs them, or where `caloron model import` was told: then they are the hyper-parameter `units`, a table of names.
use super::model::Reader;
use super::priors::{arguments, scale};
use crate::ml::checkpoint::{Fault, ModelFile};
use caloron_engine::SpecError;
use caloron_engine::quantity::{Energy, Length, Quantity};
use caloron_engine::units::ELEMENTARY_CHARGE;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Name of the hyper-parameter.
pub const UNITS: &str = "units";

/// Units that energies and lengths of a model are in.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct UnitsSpec {
    /// Unit of energies, such as `"eV"`, `"Ha"`, `"kcal/mol"`.
    pub energy: String,
    /// Unit of lengths, such as `"Å"`, `"nm"`, `"bohr"`.
    pub length: String,
}

/// Units in internal ones.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Units {
    /// eV.
    pub energy: f64,
    /// Å.
    pub length: f64,
}

impl Units {
    /// eV and Å.
    pub const INTERNAL: Self = Self { energy: 1.0, length: 1.0 };
    /// What a file or the priors in it say of its units, if anything.
    ///
    /// # Errors
    /// When they contradict each other or are none.
    pub fn stated(file: &ModelFile) -> Result<Option<Self>, Fault> {
        let reader = Reader::new(file);
        let mut found: Option<Self> = None;
        if let Some(table) = file.hyper_parameters.get(UNITS) {
            let spec: UnitsSpec = serde_json::from_value(table.clone())
                .map_err(|e| Fault::Content(format!("its units are not understood: {e}")))?;
            found = Some(spec.read().map_err(|e| Fault::Content(format!("its units: {e}")))?);
        }
        for (name, given) in arguments(&reader)? {
            let (Some(energy), Some(length)) =
                (scale(&given, &["energy_scale"]), scale(&given, &["distance_scale", "position_scale"]))
            else {
                continue;
            };
            // both are in SI units
            let units = Self { energy: energy / ELEMENTARY_CHARGE, length: length * 1e10 };
            if !(1e-6..1e6).contains(&units.energy) || !(1e-6..1e6).contains(&units.length) {
                return Err(Fault::Content(format!(
                    "the prior `{name}` states units of {energy} J and {length} m"
                )));
            }
            if found.is_some_and(|f| !f.is_about(&units)) {
                return Err(Fault::Content("it states different units".to_owned()));
            }
            found = Some(units);
        }
        Ok(found)
    }
    /// The same but for rounding of constants.
    fn is_about(&self, other: &Self) -> bool {
        let about = |a: f64, b: f64| (a - b).abs() < 1e-4 * b;
        about(self.energy, other.energy) && about(self.length, other.length)
    }
}

impl UnitsSpec {
    /// The units that are named.
    ///
    /// # Errors
    /// When one of them is no unit of that kind; the error is at `units`.
    pub fn read(&self) -> Result<Units, SpecError> {
        let wrong = |key: &str, e: String| SpecError::new(key, e).within("units");
        let energy = format!("1 {}", self.energy).parse::<Quantity<Energy>>();
        let length = format!("1 {}", self.length).parse::<Quantity<Length>>();
        Ok(Units {
            energy: energy.map_err(|e| wrong("energy", e.to_string()))?.internal(),
            length: length.map_err(|e| wrong("length", e.to_string()))?.internal(),
        })
    }
    /// The units of a model: those that are given, which must not contradict the file, else those that the file states.
    ///
    /// # Errors
    /// When neither is there, or they differ.
    pub fn choose(given: Option<&Self>, file: &ModelFile) -> Result<Units, SpecError> {
        let stated = Units::stated(file).map_err(|f| SpecError::new("file", f.to_string()))?;
        match (given, stated) {
            (None, Some(stated)) => Ok(stated),
            (None, None) => {
                Err(SpecError::new("units", "the file does not say which units its numbers are in")
                    .hint("give those of the training data: units = { energy = \"eV\", length = \"Å\" }"))
            }
            (Some(given), stated) => {
                let units = given.read()?;
                match stated.filter(|s| !s.is_about(&units)) {
                    None => Ok(units),
                    Some(s) => Err(SpecError::new(
                        "units",
                        format!("the file states energies in {} eV and lengths in {} Å", s.energy, s.length),
                    )
                    .hint("leave `units` out to take those of the file")),
                }
            }
        }
    }
}
