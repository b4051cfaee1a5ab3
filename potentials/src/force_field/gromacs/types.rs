//! The tables of types of a topology, and the functions that lines name.
use crate::bonded::{AngleForm, BondForm, DihedralForm};
use crate::force_field::{KJ_PER_MOL, NANOMETRE};
use std::collections::HashMap;

const KJ: f64 = KJ_PER_MOL;
const NM: f64 = NANOMETRE;

/// An atom type.
#[derive(Clone, Debug)]
pub(super) struct AtomType {
    pub bonded: String,
    pub number: Option<u8>,
    pub mass: f64,
    pub charge: f64,
    pub virtual_site: bool,
    /// The two numbers of the Lennard-Jones interaction, as the file has them.
    pub numbers: [f64; 2],
}

/// Parameters by bonded types, and in the order of the file.
#[derive(Default)]
pub(super) struct Types {
    pub bonds: HashMap<(Vec<String>, u32), Vec<f64>>,
    pub angles: HashMap<(Vec<String>, u32), Vec<f64>>,
    pub constraints: HashMap<(Vec<String>, u32), Vec<f64>>,
    pub dihedrals: Vec<DihedralType>,
    pub cmaps: HashMap<Vec<String>, (usize, Vec<f64>)>,
}

/// A line, or several lines of the same types, of `[ dihedraltypes ]`.
pub(super) struct DihedralType {
    pub types: [String; 4],
    /// 1 stands for 9 too.
    pub function: u32,
    pub terms: Vec<Vec<f64>>,
}

/// Types in the direction that comes first.
pub(super) fn directed(types: &[&str]) -> Vec<String> {
    let forward: Vec<String> = types.iter().map(|t| (*t).to_owned()).collect();
    let mut back = forward.clone();
    back.reverse();
    forward.min(back)
}

/// 9 and 1 have the same parameters.
pub(super) fn family(function: u32) -> u32 {
    if function == 9 { 1 } else { function }
}

impl Types {
    /// The dihedral type with the fewest wildcards that fits.
    pub fn dihedral(&self, types: [&str; 4], function: u32) -> Option<&DihedralType> {
        let function = family(function);
        let fits = |t: &DihedralType, own: [&str; 4]| {
            t.types
                .iter()
                .zip(own)
                .all(|(t, own)| t == "X" || t == own)
                .then(|| t.types.iter().filter(|t| *t == "X").count())
        };
        let reversed = [types[3], types[2], types[1], types[0]];
        let mut best: Option<(usize, &DihedralType)> = None;
        for t in self.dihedrals.iter().filter(|t| t.function == function) {
            for own in [types, reversed] {
                if let Some(wild) = fits(t, own)
                    && best.is_none_or(|(w, _)| wild < w)
                {
                    best = Some((wild, t));
                }
            }
        }
        best.map(|b| b.1)
    }
}

/// Number of parameters of a function, or why it is not supported.
pub(super) fn bond_parameters(function: u32) -> Result<usize, String> {
    match function {
        1 | 2 | 6 => Ok(2),
        3 | 4 => Ok(3),
        5 => Ok(0),
        f => Err(format!("bonds of function {f} are not supported (1 to 6 are)")),
    }
}

/// The form of a bond; `None` for a mere connection.
pub(super) fn bond(function: u32, p: &[f64]) -> Option<BondForm> {
    Some(match function {
        1 | 6 => BondForm::Harmonic { r0: p[0] * NM, k: p[1] * KJ / (NM * NM) },
        2 => BondForm::Squared { r0: p[0] * NM, k: p[1] * KJ / NM.powi(4) },
        3 => BondForm::Morse { r0: p[0] * NM, depth: p[1] * KJ, a: p[2] / NM },
        4 => {
            let k = p[1] * KJ / (NM * NM);
            BondForm::Quartic { r0: p[0] * NM, c: [k, k * p[2] / NM, 0.0] }
        }
        _ => return None,
    })
}

pub(super) fn angle_parameters(function: u32) -> Result<usize, String> {
    match function {
        1 | 2 => Ok(2),
        5 => Ok(4),
        6 => Ok(6),
        f => Err(format!("angles of function {f} are not supported (1, 2, 5 and 6 are)")),
    }
}

pub(super) fn angle(function: u32, p: &[f64]) -> (AngleForm, Option<BondForm>) {
    let theta0 = p[0].to_radians();
    match function {
        2 => (AngleForm::CosineSquared { k: p[1] * KJ, cos0: theta0.cos() }, None),
        5 => {
            let urey = BondForm::Harmonic { r0: p[2] * NM, k: p[3] * KJ / (NM * NM) };
            (AngleForm::Harmonic { k: p[1] * KJ, theta0 }, Some(urey).filter(|_| p[3] != 0.0))
        }
        6 => (AngleForm::Quartic { theta0, c: std::array::from_fn(|n| p[1 + n] * KJ) }, None),
        _ => (AngleForm::Harmonic { k: p[1] * KJ, theta0 }, None),
    }
}

pub(super) fn dihedral_parameters(function: u32) -> Result<usize, String> {
    match function {
        1 | 4 | 9 => Ok(3),
        2 => Ok(2),
        3 => Ok(6),
        5 => Ok(4),
        f => Err(format!("dihedrals of function {f} are not supported (1, 2, 3, 4, 5 and 9 are)")),
    }
}

/// The form, and whether it is an improper dihedral.
pub(super) fn dihedral(function: u32, p: &[f64]) -> Result<(DihedralForm, bool), String> {
    Ok(match function {
        1 | 4 | 9 => {
            let n = p[2].abs();
            if n != n.round() || n > 100.0 {
                return Err(format!("the multiplicity {} is no small whole number", p[2]));
            }
            // cos(-n φ - φ0) = cos(n φ + φ0)
            let phase = p[0].to_radians() * if p[2] < 0.0 { -1.0 } else { 1.0 };
            (DihedralForm::Periodic { k: p[1] * KJ, n: n as u32, phase }, function == 4)
        }
        2 => (DihedralForm::Harmonic { k: p[1] * KJ, phi0: p[0].to_radians() }, true),
        3 => (DihedralForm::RyckaertBellemans { c: std::array::from_fn(|n| p[n] * KJ) }, false),
        _ => (DihedralForm::Fourier { v: std::array::from_fn(|n| p[n] * KJ) }, false),
    })
}
