//! The repulsion of nuclei at short distance that NEP models can have beside the network.
//!
//! E_ij = K Z_i Z_j/r φ(r (Z_i^0.23 + Z_j^0.23) · 2.134563/Å) f(r) for each pair, with φ(x) = Σ_k a_k e^(−b_k x) and f = 1 below the inner
//! radius, ½ (1 + cos(π (r − inner)/(outer − inner))) up to the outer, 0 beyond. Flexible models have radii, a and b for each pair
//! of elements. Pairs beyond the angular cutoff are not seen.
use crate::ml::checkpoint::{Fault, ModelFile};
use caloron_engine::elements::covalent_radius;
use serde_json::Value;
use std::f64::consts::PI;

/// e²/(4π ε₀) as GPUMD has it, eV Å.
const COULOMB: f64 = 14.399_645;
/// Universal screening function: a_k, b_k.
const UNIVERSAL: [[f64; 2]; 4] =
    [[0.18175, 3.1998], [0.50986, 0.94229], [0.28022, 0.4029], [0.02817, 0.20162]];

/// A number from 0.1 to 10 with six digits.
fn six_digits(x: f64) -> f64 {
    let unit = if x < 1.0 { 1e6 } else { 1e5 };
    (x * unit).round() / unit
}

/// The repulsion of a pair of species.
#[derive(Clone, Debug)]
struct Pair {
    strength: f64,
    inverse_length: f64,
    inner: f64,
    outer: f64,
    screening: [[f64; 2]; 4],
}

/// The repulsions of all pairs of species.
#[derive(Clone, Debug)]
pub(super) struct Core {
    pairs: Vec<Pair>,
    species: usize,
}

impl Core {
    /// What a model says; `map` and `numbers` are the elements of the species in the model and their atomic numbers.
    pub fn new(file: &ModelFile, map: &[usize], numbers: &[f64]) -> Result<Option<Self>, Fault> {
        let Some(zbl) = file.hyper_parameter(&["zbl"]).filter(|z| !z.is_null()) else { return Ok(None) };
        let radius = |key: &str| zbl.get(key).and_then(Value::as_f64);
        let (Some(inner), Some(outer)) = (radius("inner"), radius("outer")) else {
            return Err(Fault::Content("the model does not state the radii of `zbl`".to_owned()));
        };
        let (types, n) = (file.species.len(), map.len());
        let flexible = inner == 0.0 && outer == 0.0;
        let table = file.numbers("zbl", &[if flexible { types * (types + 1) / 2 } else { 0 }, 10])?;
        let pair = |i: usize, j: usize| {
            let strength = COULOMB * numbers[i] * numbers[j];
            let inverse_length = (numbers[i].powf(0.23) + numbers[j].powf(0.23)) * 2.134_563;
            if flexible {
                let (a, b) = (map[i].min(map[j]), map[i].max(map[j]));
                // rows of the upper triangle have T, T − 1, ... entries
                let p = &table[(a * (2 * types + 1 - a) / 2 + b - a) * 10..][..10];
                let screening = [0, 1, 2, 3].map(|k| [p[2 + 2 * k], p[3 + 2 * k]]);
                return Pair { strength, inverse_length, inner: p[0], outer: p[1], screening };
            }
            let (mut low, mut high) = (inner, outer);
            if let Some(factor) = radius("factor") {
                // GPUMD's radii are 4/3 of these, written with six digits
                let of =
                    |k: usize| covalent_radius(numbers[k] as u8).map_or(1.0, |r| six_digits(r * 4.0 / 3.0));
                high = high.min(factor * (of(i) + of(j)));
                low = 0.0;
            }
            Pair { strength, inverse_length, inner: low, outer: high, screening: UNIVERSAL }
        };
        Ok(Some(Self { pairs: (0..n * n).map(|p| pair(p / n, p % n)).collect(), species: n }))
    }
    /// Half of the energy of a pair of species i and j at distance r, and its derivative.
    pub fn half_energy(&self, i: usize, j: usize, r: f64) -> Option<(f64, f64)> {
        let pair = &self.pairs[i * self.species + j];
        if r >= pair.outer {
            return None;
        }
        let (mut phi, mut dphi) = (0.0, 0.0);
        for [a, b] in pair.screening {
            let term = a * libm::exp(-b * r * pair.inverse_length);
            phi += term;
            dphi -= b * pair.inverse_length * term;
        }
        let (cut, dcut) = if r < pair.inner {
            (1.0, 0.0)
        } else {
            let per = PI / (pair.outer - pair.inner);
            let x = (r - pair.inner) * per;
            (0.5 * libm::cos(x) + 0.5, -0.5 * per * libm::sin(x))
        };
        let bare = 0.5 * pair.strength / r;
        Some((bare * phi * cut, bare * (dphi * cut + phi * dcut - phi * cut / r)))
    }
}
