//! Initial velocities.
use super::system::Start;
use caloron_engine::quantity::Temperature;
use caloron_engine::{Quantity, SpecError, Stream, Streams, System, UnitSystem, Vec3};
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
            draw.draw(system, positions, units, seed)
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
            project(system, positions, &mut v)?;
            if given.is_none() {
                start.notes.push("velocities are taken from the structure file".into());
            }
            Ok(v)
        }
    }
}

impl VelocityDraw {
    fn draw(
        &self,
        system: &System,
        positions: &[Vec3],
        units: UnitSystem,
        seed: u64,
    ) -> Result<Vec<Vec3>, SpecError> {
        let temperature = self.temperature.internal();
        if !(temperature >= 0.0 && temperature.is_finite()) {
            return Err(SpecError::new("temperature", "the temperature must not be negative")
                .hint("write 0 or leave `velocities` out to start at rest"));
        }
        let kt = units.boltzmann() * temperature;
        let random = Streams { seed: self.seed.unwrap_or(seed) };
        let mut v: Vec<Vec3> = (0..system.len())
            .map(|i| {
                let scale = (kt * system.inverse_masses()[i]).sqrt();
                scale * random.normal3(Stream::Velocities, 0, 0, i as u64)
            })
            .collect();
        let removed = self.remove_momentum.unwrap_or(true) && system.fixed() == 0;
        if removed {
            remove_momentum(system, &mut v);
        }
        project(system, positions, &mut v)?;
        let freedom = system.degrees_of_freedom(removed) as f64;
        if kt == 0.0 {
            return Ok(v);
        }
        let kinetic: f64 = v.iter().zip(system.masses()).map(|(v, m)| 0.5 * m * v.norm_squared()).sum();
        if freedom == 0.0 || kinetic <= 0.0 {
            return Err(SpecError::new("temperature", "no degree of freedom is left to carry a temperature")
                .hint("set `remove_momentum = false`, or leave `velocities` out"));
        }
        let scale = (0.5 * freedom * kt / kinetic).sqrt();
        v.iter_mut().for_each(|v| *v *= scale);
        Ok(v)
    }
}

/// Takes out what would change a constrained distance; the total momentum stays.
fn project(system: &System, positions: &[Vec3], v: &mut [Vec3]) -> Result<(), SpecError> {
    system.solver().project(positions, v).map_err(|e| {
        let [i, j] = e.atoms;
        SpecError::new("", format!("the constraint of atoms {i} and {j} depends on other constraints"))
            .hint("leave it out, or make the atoms a rigid body")
    })?;
    system.topology().virtual_sites().iter().for_each(|s| v[s.site as usize] = Vec3::zeros());
    Ok(())
}

/// Takes out the velocity of the centre of mass.
fn remove_momentum(system: &System, v: &mut [Vec3]) {
    let p = momentum(system, v);
    let center = p / system.masses().iter().sum::<f64>();
    v.iter_mut().for_each(|v| *v -= center);
}

/// Total momentum Σ m v.
pub(crate) fn momentum(system: &System, v: &[Vec3]) -> Vec3 {
    v.iter().zip(system.masses()).fold(Vec3::zeros(), |p, (v, m)| p + *m * v)
}

#[cfg(test)]
mod tests {
    use super::*;
    use caloron_engine::Species;

    fn draw(fixed: &[u32], remove: bool) -> (System, Vec<Vec3>) {
        let species =
            [("A", 1.0), ("B", 40.0)].map(|(s, mass)| Species { symbol: s.into(), number: None, mass });
        let mut system = System::new(species.to_vec(), (0..1000).map(|i| i % 2).collect());
        system.fix(fixed);
        let spec =
            VelocityDraw { temperature: Quantity::new(1.5), seed: Some(3), remove_momentum: Some(remove) };
        let v = spec.draw(&system, &[], UnitSystem::Lj, 0).unwrap();
        (system, v)
    }

    #[test]
    fn the_temperature_is_exact() {
        for (fixed, remove) in [(&[][..], true), (&[][..], false), (&[0, 7][..], true)] {
            let (system, v) = draw(fixed, remove);
            let kinetic: f64 = v.iter().zip(system.masses()).map(|(v, m)| 0.5 * m * v.norm_squared()).sum();
            let t = 2.0 * kinetic / system.degrees_of_freedom(remove) as f64;
            assert!((t - 1.5).abs() < 1e-12, "{t}");
            assert!(fixed.iter().all(|&i| v[i as usize] == Vec3::zeros()));
            if remove && fixed.is_empty() {
                assert!(momentum(&system, &v).norm() < 1e-10);
            }
        }
    }

    #[test]
    fn the_distribution_is_maxwell_boltzmann() {
        let (system, v) = draw(&[], true);
        for species in 0..2u16 {
            let of = |f: &dyn Fn(f64) -> f64| {
                let x: Vec<f64> = (0..1000usize)
                    .filter(|&i| system.types()[i] == species)
                    .flat_map(|i| {
                        v[i].iter()
                            .map(|x| f(x * system.masses()[i].sqrt() / 1.5f64.sqrt()))
                            .collect::<Vec<_>>()
                    })
                    .collect();
                x.iter().sum::<f64>() / x.len() as f64
            };
            // 1500 standard normal numbers: moments 0, 1, 3 within five standard errors
            assert!(of(&|x| x).abs() < 5.0 / 1500f64.sqrt());
            assert!((of(&|x| x * x) - 1.0).abs() < 5.0 * (2.0 / 1500.0f64).sqrt());
            assert!((of(&|x| x.powi(4)) - 3.0).abs() < 5.0 * (96.0 / 1500.0f64).sqrt());
        }
    }
}
