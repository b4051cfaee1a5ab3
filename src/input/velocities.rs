//! Initial velocities.
use super::system::Start;
use caloron_engine::quantity::Temperature;
use caloron_engine::velocities::{self, MaxwellBoltzmann, VelocityError};
use caloron_engine::{Quantity, SpecError, Streams, UnitSystem, Vec3};
use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, de};
use std::{borrow::Cow, fmt};

/// Where the initial velocities come from.
#[derive(Clone, Debug)]
pub enum VelocitiesSpec {
    /// Those of the structure file.
    FromFile,
    /// Drawn from the Maxwell-Boltzmann distribution.
    Draw(VelocityDraw),
}

/// Velocities drawn from the Maxwell-Boltzmann distribution: v = sqrt(k_B T / m) times standard normal numbers,
/// then scaled so that the temperature of the degrees of freedom is exactly the one asked for.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct VelocityDraw {
    /// Temperature.
    pub temperature: Quantity<Temperature>,
    /// Seed; default the seed of the run.
    pub seed: Option<u64>,
    /// Takes out the velocity of the centre of mass; default true, and without effect when atoms are fixed.
    pub remove_momentum: Option<bool>,
}

impl<'de> Deserialize<'de> for VelocitiesSpec {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = VelocitiesSpec;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a table { temperature = ... }, or \"from_file\"")
            }
            fn visit_str<E: de::Error>(self, text: &str) -> Result<Self::Value, E> {
                if text == "from_file" {
                    return Ok(VelocitiesSpec::FromFile);
                }
                Err(E::unknown_variant(text, &["from_file"]))
            }
            fn visit_map<A: de::MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                VelocityDraw::deserialize(de::value::MapAccessDeserializer::new(map))
                    .map(VelocitiesSpec::Draw)
            }
        }
        deserializer.deserialize_any(Visitor)
    }
}

impl JsonSchema for VelocitiesSpec {
    fn inline_schema() -> bool {
        true
    }
    fn schema_name() -> Cow<'static, str> {
        "Velocities".into()
    }
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let draw = generator.subschema_for::<VelocityDraw>();
        json_schema!({ "anyOf": [draw, { "const": "from_file", "description": "The velocities of the structure file." }] })
    }
}

/// The velocities at the start; errors are relative to `velocities`.
pub(crate) fn initial(
    spec: Option<&VelocitiesSpec>,
    of_file: Option<Vec<Vec3>>,
    positions: &[Vec3],
    start: &mut Start,
    units: UnitSystem,
    seed: u64,
) -> Result<Vec<Vec3>, SpecError> {
    let system = &start.system;
    match (spec, of_file) {
        (Some(VelocitiesSpec::Draw(draw)), of_file) => {
            if of_file.is_some() {
                start
                    .notes
                    .push("velocities are drawn anew; those of the structure file are not used".into());
            }
            draw.build(units)?.draw(system, positions, Streams { seed }, 0).map_err(refused)
        }
        (Some(VelocitiesSpec::FromFile), None) => {
            Err(SpecError::new("", "the structure has no velocities to take")
                .hint("draw them: { temperature = ... }"))
        }
        (None, None) => {
            start.notes.push("no velocities are given: all atoms start at rest".into());
            Ok(vec![Vec3::zeros(); system.len()])
        }
        (given, Some(mut v)) => {
            if let Some(i) = v.iter().position(|v| !v.iter().all(|x| x.is_finite())) {
                return Err(SpecError::new(
                    "",
                    format!("the velocity of atom {i} in the file is not finite"),
                )
                .hint("correct the file, or draw velocities: { temperature = ... }"));
            }
            let mut stopped = 0;
            for (i, v) in v.iter_mut().enumerate() {
                if system.is_fixed(i) && *v != Vec3::zeros() {
                    *v = Vec3::zeros();
                    stopped += 1;
                }
            }
            if stopped > 0 {
                start
                    .warnings
                    .push(format!("{stopped} fixed atoms had velocities in the file; they start at rest"));
            }
            velocities::project(system, positions, &mut v).map_err(refused)?;
            if given.is_none() {
                start.notes.push("velocities are taken from the structure file".into());
            }
            Ok(v)
        }
    }
}

impl VelocityDraw {
    /// What is drawn; errors are relative to `velocities`.
    pub(crate) fn build(&self, units: UnitSystem) -> Result<MaxwellBoltzmann, SpecError> {
        let temperature = self.temperature.internal();
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return Err(SpecError::new("temperature", "the temperature must not be negative")
                .hint("write 0 or leave `velocities` out to start at rest"));
        }
        Ok(MaxwellBoltzmann {
            kt: units.boltzmann() * temperature,
            seed: self.seed,
            remove_momentum: self.remove_momentum.unwrap_or(true),
        })
    }
}

/// An error of a draw, relative to `velocities`.
pub(crate) fn refused(error: VelocityError) -> SpecError {
    match error {
        VelocityError::Dependent(_) => {
            SpecError::new("", error.to_string()).hint("leave it out, or make the atoms a rigid body")
        }
        VelocityError::NoFreedom => SpecError::new("temperature", error.to_string())
            .hint("set `remove_momentum = false`, or leave `velocities` out"),
    }
}
