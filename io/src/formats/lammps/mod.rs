//! Formats of LAMMPS: text dumps and data files.
pub(crate) mod data;
mod data_write;
pub(crate) mod dump;

use crate::error::Fault;
use crate::frame::Value;
use crate::text::quote;
use crate::{Frame, LammpsUnits};
use caloron_engine::units::{AVOGADRO, ELEMENTARY_CHARGE, FEMTOSECOND};
use caloron_engine::{Cell, Mat3, Vec3, elements};

/// Values of the units of a file in internal units.
#[derive(Clone, Copy)]
pub(crate) struct Scales {
    pub time: f64,
    pub energy: f64,
    /// False for reduced units, whose masses say nothing about elements.
    physical: bool,
}

impl LammpsUnits {
    fn by_name(name: &str) -> Result<Self, String> {
        match name {
            "metal" => Ok(Self::Metal),
            "real" => Ok(Self::Real),
            "lj" => Ok(Self::Lj),
            other => Err(format!("the units `{other}` are not known here (metal, real and lj are)")),
        }
    }
    pub(crate) fn scales(self) -> Scales {
        match self {
            Self::Metal => Scales { time: 1e3 * FEMTOSECOND, energy: 1.0, physical: true },
            Self::Real => {
                let kcal_per_mol = 4184.0 / ELEMENTARY_CHARGE / AVOGADRO;
                Scales { time: FEMTOSECOND, energy: kcal_per_mol, physical: true }
            }
            Self::Lj => Scales { time: 1.0, energy: 1.0, physical: false },
        }
    }
}

/// A cell from the edges of a LAMMPS box and its tilts.
fn cell(lo: Vec3, hi: Vec3, [xy, xz, yz]: [f64; 3], periodic: [bool; 3]) -> Result<Cell, String> {
    let l = hi - lo;
    if l.iter().any(|x| *x <= 0.0) {
        return Err(format!("the box has edges {}, {}, {}", l.x, l.y, l.z));
    }
    let h = Mat3::new(l.x, xy, xz, 0.0, l.y, yz, 0.0, 0.0, l.z);
    Cell::from_matrix(h, periodic).map_err(|e| e.to_string())
}

/// The corner of the box, kept so that a file that is written again has it.
fn set_origin(frame: &mut Frame, origin: Vec3) {
    if origin != Vec3::zeros() {
        frame.info.insert("origin", Value::Reals(origin.as_slice().to_vec()));
    }
}

fn origin(frame: &Frame) -> Vec3 {
    match frame.info.get("origin") {
        Some(Value::Reals(v)) if v.len() == 3 => Vec3::new(v[0], v[1], v[2]),
        _ => Vec3::zeros(),
    }
}

/// The name of a numeric type: stated by the user, else by the file, else the element of the mass, else the number.
fn type_name(
    number: i64,
    stated: &[String],
    file: Option<&String>,
    mass: Option<f64>,
    scales: Scales,
) -> String {
    let by_user = usize::try_from(number - 1).ok().and_then(|k| stated.get(k));
    let by_mass = || mass.filter(|_| scales.physical).and_then(elements::by_mass).map(str::to_owned);
    by_user.or(file).cloned().or_else(by_mass).unwrap_or_else(|| number.to_string())
}

/// Numbers 1, 2, … for the species of a frame: those of the array `type` when each of its numbers stands for one
/// species, else by first appearance. Returns the type of each atom and the name of each type.
fn types(frame: &Frame) -> (Vec<i64>, Vec<String>) {
    if let Some(t) = frame.arrays.get("type").and_then(crate::Array::as_ints) {
        let highest = t.iter().copied().max().unwrap_or(0);
        if t.iter().all(|t| *t > 0) && highest as u64 <= t.len() as u64 {
            let mut names = vec![None; highest as usize];
            let consistent = t.iter().zip(&frame.symbols).all(|(t, s)| {
                let name = names[*t as usize - 1].get_or_insert(s);
                *name == s
            });
            if consistent && names.iter().all(Option::is_some) {
                return (t.to_vec(), names.into_iter().flatten().cloned().collect());
            }
        }
    }
    let mut names: Vec<String> = Vec::new();
    let mut types = Vec::with_capacity(frame.len());
    for s in &frame.symbols {
        let k = names.iter().position(|n| n == s).unwrap_or_else(|| {
            names.push(s.clone());
            names.len() - 1
        });
        types.push(k as i64 + 1);
    }
    (types, names)
}

/// The order that sorts by id, and whether the ids are just 1 to n; doubled ids are an error.
fn order(ids: &[i64], line: u64) -> Result<(Vec<usize>, bool), Fault> {
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_unstable_by_key(|&i| ids[i]);
    if let Some(w) = order.windows(2).find(|w| ids[w[0]] == ids[w[1]]) {
        return Err(Fault::line(line, format!("the atom id {} is there twice", ids[w[0]])));
    }
    let counting = order.iter().enumerate().all(|(k, &i)| ids[i] == k as i64 + 1);
    Ok((order, counting))
}

/// An integer of a field.
fn integer(field: &str) -> Option<i64> {
    field.parse().ok()
}

fn expected(what: &str, found: &str) -> String {
    format!("expected {what}, found {}", quote(found))
}
