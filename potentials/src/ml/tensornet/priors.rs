//! The physical priors of TorchMD-Net: terms that are added to the energy of the network.
//!
//! With r the distance of a pair, Z the atomic numbers and all numbers of the file converted to eV and Å:
//!
//! - `Atomref`, `LearnableAtomref`: an energy of every element;
//! - `ZBL`: k Z₁Z₂/r Φ(r/a) φ(r) with a = 0.8854 a₀/(Z₁^0.23 + Z₂^0.23), Φ(x) = 0.1818 e^(−3.2x) + 0.5099 e^(−0.9423x) + 0.2802 e^(−0.4029x) +
//!   0.02817 e^(−0.2016x), φ(r) = ½ (cos(π r/r_c) + 1), k = 2.30707755·10⁻²⁸ J m;
//! - `D2`: −sqrt(C₁C₂)/r⁶/(1 + e^(−20 (r/(R₁ + R₂) − 1))) up to a cutoff, where it jumps.
//!
//! Sources: Ziegler, Biersack and Littmark, The Stopping and Range of Ions in Solids, vol. 1 (Pergamon, 1985); Grimme, J. Comput. Chem. 27,
//! 1787 (2006), doi 10.1002/jcc.20495.
use super::model::Reader;
use super::units::Units;
use crate::ml::checkpoint::Fault;
use crate::pair::{Pair, PairFunction, Parameters, Truncation, Unlisted};
use crate::simd::{Lanes, sin_cos};
use caloron_engine::units::AVOGADRO;
use caloron_engine::{Potential, SpecError, System, elements};
use serde_json::{Map, Value};

/// Coulomb constant times e², J m, as TorchMD-Net has it.
const ZBL_COULOMB: f64 = 2.307_077_55e-28;
/// 0.8854 Bohr radii, m, as TorchMD-Net has it.
const ZBL_RANGE: f64 = 0.8854 * 5.291_772_109_03e-11;
const AMPLITUDES: [f64; 4] = [0.1818, 0.5099, 0.2802, 0.02817];
const RATES: [f64; 4] = [3.2, 0.9423, 0.4029, 0.2016];
/// Steepness of the damping of D2.
const STEEPNESS: f64 = 20.0;

/// A prior as the file has it.
#[derive(Clone, Debug)]
pub(super) enum Prior {
    /// Energies by atomic number.
    Atoms(Vec<f64>),
    /// One that is not added.
    Nothing,
    /// Between pairs of atoms.
    Pairs {
        form: Form,
        /// In the units of the file.
        cutoff: f64,
        /// Atomic number of each type of the data set.
        numbers: Vec<f64>,
        /// J and m.
        scales: [f64; 2],
    },
}

/// A prior between pairs of atoms.
#[derive(Clone, Debug, PartialEq)]
pub enum Form {
    /// Nuclear repulsion.
    Zbl,
    /// Dispersion: C₆, J nm⁶/mol, and R, nm, by atomic number.
    D2(Vec<f64>, Vec<f64>),
}

/// A prior between pairs of atoms, with what brings its numbers to eV and Å.
#[derive(Clone, Debug, PartialEq)]
pub struct PairPrior {
    /// The form.
    pub form: Form,
    /// Cutoff, Å.
    pub cutoff: f64,
    /// Atomic number of each type of the data set.
    numbers: Vec<f64>,
    /// What the file takes its units for, J and m.
    scales: [f64; 2],
    units: Units,
}

/// A prior as the hyper-parameters name it, with its arguments.
type Named = (String, Map<String, Value>);

/// Names and arguments of the priors of a model.
pub(super) fn arguments(reader: &Reader<'_>) -> Result<Vec<Named>, Fault> {
    let wrong = |what: &str| Fault::Content(format!("its priors are not understood: {what}"));
    let mut all: Vec<Named> = Vec::new();
    let list = match reader.parameter("prior_model") {
        None => return Ok(all),
        Some(Value::Array(list)) => list.clone(),
        Some(other) => vec![other.clone()],
    };
    for prior in &list {
        match prior {
            Value::String(name) => all.push((name.clone(), Map::new())),
            Value::Object(map) => {
                for (name, given) in map {
                    all.push((name.clone(), given.as_object().cloned().unwrap_or_default()));
                }
            }
            other => return Err(wrong(&other.to_string())),
        }
    }
    // what was made of the arguments is listed apart
    let made = match reader.parameter("prior_args") {
        None => return Ok(all),
        Some(Value::Array(list)) => list.clone(),
        Some(other) => vec![other.clone()],
    };
    if made.len() != all.len() {
        return Err(wrong("`prior_model` and `prior_args` have different lengths"));
    }
    for ((_, given), made) in all.iter_mut().zip(made) {
        *given = made.as_object().cloned().ok_or_else(|| wrong("arguments without names"))?;
    }
    Ok(all)
}

/// A positive argument by one of its names.
pub(super) fn scale(given: &Map<String, Value>, names: &[&str]) -> Option<f64> {
    let found = names.iter().find_map(|n| given.get(*n)).and_then(Value::as_f64);
    found.filter(|x| *x > 0.0 && x.is_finite())
}

impl Prior {
    /// The priors of a model.
    pub(super) fn read(reader: &Reader<'_>) -> Result<Vec<Self>, Fault> {
        let read = |(k, (name, given)): (usize, Named)| {
            let missing = |what: &str| Fault::Content(format!("its prior `{name}` does not state `{what}`"));
            let tensor = |part: &str| -> Result<Vec<f64>, Fault> {
                let name = format!("model.prior_model.{k}.{part}");
                let values = reader.file.tensor(&name)?.to_f64();
                Ok(values)
            };
            let pairs = |form: Form, numbers: &str| -> Result<Self, Fault> {
                let of =
                    |what: &'static str, names: &[&str]| scale(&given, names).ok_or_else(|| missing(what));
                Ok(Self::Pairs {
                    form,
                    cutoff: of("cutoff_distance", &["cutoff_distance"])?,
                    numbers: tensor(numbers)?,
                    scales: [
                        of("energy_scale", &["energy_scale"])?,
                        of("distance_scale", &["distance_scale", "position_scale"])?,
                    ],
                })
            };
            match name.as_str() {
                "Atomref" | "LearnableAtomref" => {
                    let on = given.get("enable").is_none_or(|e| e.as_bool() != Some(false));
                    let energies = tensor("atomref.weight")?;
                    if energies.iter().any(|e| !e.is_finite()) {
                        return Err(Fault::Content("an energy of an element is not finite".to_owned()));
                    }
                    Ok(if on { Self::Atoms(energies) } else { Self::Nothing })
                }
                "ZBL" => pairs(Form::Zbl, "atomic_number"),
                "D2" => pairs(Form::D2(tensor("C_6")?, tensor("R_r")?), "Z_map"),
                "Coulomb" => Err(Fault::Unsupported(
                    "the prior `Coulomb`, whose charges are in the training data and not in the file"
                        .to_owned(),
                )),
                other => Err(Fault::Unsupported(format!("the prior `{other}`"))),
            }
        };
        arguments(reader)?.into_iter().enumerate().map(read).collect()
    }
    pub(super) fn between_pairs(&self, units: Units) -> Option<PairPrior> {
        let Self::Pairs { form, cutoff, numbers, scales } = self else { return None };
        Some(PairPrior {
            form: form.clone(),
            cutoff: cutoff * units.length,
            numbers: numbers.clone(),
            scales: *scales,
            units,
        })
    }
}

impl PairPrior {
    /// Name in the files.
    pub fn name(&self) -> &'static str {
        match self.form {
            Form::Zbl => "ZBL",
            Form::D2(..) => "D2",
        }
    }
    /// The interaction for a system whose species are elements of the given atomic numbers.
    ///
    /// # Errors
    /// When the prior lacks numbers for one of them.
    pub fn build(&self, system: &System, numbers: &[u8]) -> Result<Box<dyn Potential>, SpecError> {
        let [energy_scale, distance_scale] = self.scales;
        let Units { energy, length } = self.units;
        // metres in an Å
        let metres = distance_scale / length;
        for z in numbers {
            if self.numbers.get(usize::from(*z)) != Some(&f64::from(*z)) {
                return Err(
                    self.lacks(*z, "counts its types otherwise than by atomic number, or ends before")
                );
            }
        }
        let pairs = || (0..numbers.len()).flat_map(|i| (i..numbers.len()).map(move |j| (i, j)));
        match &self.form {
            Form::Zbl => {
                let mut parameters = Parameters::new(Zbl::NAME, system);
                for (i, j) in pairs() {
                    let (a, b) = (f64::from(numbers[i]), f64::from(numbers[j]));
                    let coulomb = a * b * ZBL_COULOMB / (energy_scale * metres) * energy;
                    let rate = metres * (a.powf(0.23) + b.powf(0.23)) / ZBL_RANGE;
                    let wave = std::f64::consts::PI / self.cutoff;
                    parameters.put(i, j, [coulomb, rate, wave], self.cutoff);
                }
                // value and slope vanish at the cutoff, so that nothing is shifted
                let table = parameters.build(&Zbl, Truncation::ForceShifted, Unlisted::Error)?;
                Ok(Box::new(Pair::new(Zbl, table, false)?))
            }
            Form::D2(c6, radii) => {
                let mut parameters = Parameters::new(D2::NAME, system);
                let of = |list: &[f64], z: u8| {
                    let value = list.get(usize::from(z)).copied();
                    value.filter(|x| *x > 0.0).ok_or_else(|| self.lacks(z, "has no parameters for"))
                };
                let nanometres = metres * 1e9;
                for (i, j) in pairs() {
                    let (a, b) = (numbers[i], numbers[j]);
                    let strength = (of(c6, a)? * of(c6, b)?).sqrt() / (energy_scale * AVOGADRO) * energy;
                    let radius = (of(radii, a)? + of(radii, b)?) / nanometres;
                    parameters.put(i, j, [strength / nanometres.powi(6), STEEPNESS / radius], self.cutoff);
                }
                let table = parameters.build(&D2, Truncation::Truncated, Unlisted::Error)?;
                Ok(Box::new(Pair::new(D2, table, false)?))
            }
        }
    }
    fn lacks(&self, z: u8, why: &str) -> SpecError {
        let symbol = elements::symbol(z).unwrap_or("?");
        SpecError::new("file", format!("its prior `{}` {why} {symbol}", self.name()))
    }
}

/// Nuclear repulsion; coefficients k Z₁Z₂, 1/a, π/r_c.
struct Zbl;

impl PairFunction<3> for Zbl {
    const NAME: &'static str = "the ZBL prior";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 3], r2: V) -> (V, V) {
        let r = r2.sqrt();
        let inverse = V::splat(1.0) / r;
        let (mut phi, mut slope) = (V::splat(0.0), V::splat(0.0));
        for k in 0..4 {
            let e = V::splat(AMPLITUDES[k]) * (V::splat(-RATES[k]) * r * c[1]).exp();
            phi = phi + e;
            slope = V::splat(RATES[k]).mul_add(e, slope);
        }
        let (sin, cos) = sin_cos(r * c[2]);
        let half = V::splat(0.5);
        let cut = half * (cos + V::splat(1.0));
        // u = k φ Φ/r, and −u' of its three factors
        let u = c[0] * inverse * phi;
        let fall = cut * (u * inverse + c[0] * inverse * slope * c[1]) + u * half * c[2] * sin;
        (u * cut, fall * inverse)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec![
            "J. F. Ziegler, J. P. Biersack, U. Littmark, The Stopping and Range of Ions in Solids, vol. 1 (1985)",
        ]
    }
}

/// Dispersion; coefficients C and 20/R.
struct D2;

impl PairFunction<2> for D2 {
    const NAME: &'static str = "the D2 prior";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 2], r2: V) -> (V, V) {
        let one = V::splat(1.0);
        let r = r2.sqrt();
        let inverse = one / r2;
        let e = (V::splat(STEEPNESS) - r * c[1]).exp();
        let damping = one / (one + e);
        let u = -(c[0] * inverse * inverse * inverse * damping);
        // −u' = 6u/r − u f'/f with f'/f = (20/R) e/(1 + e)
        (u, V::splat(6.0) * u * inverse - u * c[1] * e * damping / r)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["S. Grimme, J. Comput. Chem. 27, 1787 (2006), doi 10.1002/jcc.20495"]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    fn of<const K: usize>(f: &impl PairFunction<K>, c: [f64; K], r: f64) -> (f64, f64) {
        let (u, g) = f.eval(&c.map(Portable::splat), Portable::splat(r * r));
        (u.to_array()[0], g.to_array()[0] * r)
    }

    #[test]
    fn forces_are_slopes() {
        for r in [0.7, 1.9, 3.4] {
            let h = 1e-4;
            let zbl = |r: f64| of(&Zbl, [14.4 * 48.0, 3.1, std::f64::consts::PI / 4.0], r);
            let d2 = |r: f64| of(&D2, [25.0, 20.0 / 2.7], r);
            for f in [&zbl as &dyn Fn(f64) -> (f64, f64), &d2] {
                let slope =
                    (8.0 * (f(r + h).0 - f(r - h).0) - (f(r + 2.0 * h).0 - f(r - 2.0 * h).0)) / (12.0 * h);
                assert!((slope + f(r).1).abs() < 1e-9 * (1.0 + slope.abs()), "{r}: {slope} {}", f(r).1);
            }
        }
        // nothing is left at the cutoff
        let (u, force) = of(&Zbl, [14.4 * 48.0, 3.1, std::f64::consts::PI / 4.0], 4.0);
        assert!(u.abs() < 1e-15 && force.abs() < 1e-15);
    }
}
