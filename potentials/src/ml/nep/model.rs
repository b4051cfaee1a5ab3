//! The numbers of a NEP model, arranged for the kernels.
use super::angular::Harmonics;
use super::zbl::Core;
use crate::ml::checkpoint::{Fault, ModelFile};
use crate::simd::LANES;
use caloron_engine::elements;
use serde_json::Value;

/// Eight numbers of a row that is filled up with zeros.
pub(super) type Pack = [f64; LANES];

/// Radial functions of one range: g_n(r) = Σ_k c_nk f_k(r).
#[derive(Clone, Debug)]
pub(super) struct Channel {
    /// Number of functions g.
    pub functions: usize,
    /// Packs of one row of functions.
    pub packs: usize,
    /// Number of functions f.
    pub basis: usize,
    /// Cutoff by species of the atom and of the neighbour, Å.
    pub cutoffs: Vec<f64>,
    /// c by species of the atom, of the neighbour, k, n.
    coefficients: Vec<Pack>,
    species: usize,
}

impl Channel {
    /// c for a pair of species: a matrix with a row for each k.
    #[inline(always)]
    pub fn coefficients(&self, i: usize, j: usize) -> &[Pack] {
        let size = self.basis * self.packs;
        &self.coefficients[(i * self.species + j) * size..][..size]
    }
}

/// One hidden layer: E = Σ_h w₁ tanh(w₀ q − b₀) − b₁.
#[derive(Clone, Debug)]
pub(super) struct Network {
    /// Packs of descriptors.
    pub inputs: usize,
    /// w₀ with the factors of the descriptors, by descriptor, then neuron.
    pub forward: Vec<Pack>,
    /// The same by neuron, then descriptor.
    pub backward: Vec<Pack>,
    /// −b₀.
    pub bias: Vec<Pack>,
    pub output: Vec<Pack>,
    /// b₁.
    pub shift: f64,
}

/// A model for the species of a run.
#[derive(Clone, Debug)]
pub(super) struct Model {
    pub species: usize,
    pub radial: Channel,
    pub angular: Channel,
    pub harmonics: Harmonics,
    /// Packs of the components of the harmonics, and C_lm filled up with zeros.
    pub packs: usize,
    pub weights: Vec<f64>,
    pub l_max: usize,
    pub four_body: bool,
    pub five_body: bool,
    /// Number of descriptors.
    pub dimension: usize,
    pub networks: Vec<Network>,
    pub core: Option<Core>,
}

fn packed(values: impl IntoIterator<Item = f64>, packs: usize) -> Vec<Pack> {
    let mut out = vec![[0.0; LANES]; packs];
    for (k, x) in values.into_iter().enumerate() {
        out[k / LANES][k % LANES] = x;
    }
    out
}

fn count(file: &ModelFile, keys: &[&str]) -> Result<usize, Fault> {
    let value = file.hyper_parameter(&keys[..1]);
    let value = match keys.get(1).and_then(|k| k.parse::<usize>().ok()) {
        Some(k) => value.and_then(|v| v.get(k)),
        None => value,
    };
    value
        .and_then(Value::as_u64)
        .filter(|n| *n <= 1000)
        .map(|n| n as usize)
        .ok_or_else(|| Fault::Content(format!("the model does not state `{}`", keys[0])))
}

impl Model {
    /// The model of a file for species that are the elements `map` of it.
    pub fn new(file: &ModelFile, map: &[usize]) -> Result<Self, Fault> {
        let types = file.species.len();
        let (n, t) = (map.len(), |k: usize| map[k]);
        let l_max = count(file, &["l_max"])?;
        if !(1..=super::angular::L_MAX).contains(&l_max) {
            return Err(Fault::Content(format!("`l_max` is {l_max}")));
        }
        let flag = |key: &str| file.hyper_parameter(&[key]).and_then(Value::as_bool).unwrap_or(false);
        let (four_body, five_body) = (flag("four_body"), flag("five_body"));
        let cutoff = |k: usize, range: usize| {
            let value = file.hyper_parameter(&["cutoffs"])?.get(k)?.get(range)?.as_f64()?;
            (value > 0.0 && value <= 100.0).then_some(value)
        };
        let channel = |range: usize, name: &str| -> Result<Channel, Fault> {
            let index = range.to_string();
            let functions = count(file, &["n_max", &index])? + 1;
            let basis = count(file, &["basis_size", &index])? + 1;
            if basis > super::kernel::MOST_BASIS {
                return Err(Fault::Content(format!("`basis_size` is {}", basis - 1)));
            }
            let c = file.numbers(name, &[functions, basis, types, types])?;
            let packs = functions.div_ceil(LANES);
            let mut cutoffs = Vec::new();
            let mut coefficients = Vec::new();
            for (i, j) in (0..n * n).map(|p| (t(p / n), t(p % n))) {
                let mean = cutoff(i, range).zip(cutoff(j, range)).map(|(a, b)| 0.5 * (a + b));
                cutoffs.push(
                    mean.ok_or_else(|| Fault::Content("the model does not state its cutoffs".to_owned()))?,
                );
                for k in 0..basis {
                    let row = (0..functions).map(|n| c[((n * basis + k) * types + i) * types + j]);
                    coefficients.extend(packed(row, packs));
                }
            }
            Ok(Channel { functions, packs, basis, cutoffs, coefficients, species: n })
        };
        let (radial, angular) = (channel(0, "c_radial")?, channel(1, "c_angular")?);
        let harmonics = Harmonics::new(l_max);
        let packs = harmonics.len().div_ceil(LANES);
        let mut weights = harmonics.weights.clone();
        weights.resize(packs * LANES, 0.0);
        let invariants = l_max + usize::from(four_body) + usize::from(five_body);
        let dimension = radial.functions + angular.functions * invariants;
        let hidden = count(file, &["neurons"])?;
        let several = if count(file, &["version"])? == 3 { 1 } else { types };
        let w0 = file.numbers("w0", &[several, hidden, dimension])?;
        let (b0, w1) = (file.numbers("b0", &[several, hidden])?, file.numbers("w1", &[several, hidden])?);
        let shift = file.numbers("b1", &[])?[0];
        let scale = file.numbers("q_scaler", &[dimension])?;
        let network = |k: usize| {
            let which = if several == 1 { 0 } else { t(k) };
            let (hp, qp) = (hidden.div_ceil(LANES), dimension.div_ceil(LANES));
            let w = |h: usize, d: usize| w0[(which * hidden + h) * dimension + d] * scale[d];
            let column = |d: usize| packed((0..hidden).map(|h| w(h, d)), hp);
            let row = |h: usize| packed((0..dimension).map(|d| w(h, d)), qp);
            let mut backward: Vec<Pack> = (0..hidden).flat_map(row).collect();
            backward.resize(hp * LANES * qp, [0.0; LANES]);
            Network {
                inputs: qp,
                forward: (0..dimension).flat_map(column).collect(),
                backward,
                bias: packed((0..hidden).map(|h| -b0[which * hidden + h]), hp),
                output: packed((0..hidden).map(|h| w1[which * hidden + h]), hp),
                shift,
            }
        };
        let networks = (0..n).map(network).collect();
        let numbers: Vec<f64> =
            map.iter().map(|e| f64::from(elements::atomic_number(&file.species[*e]).unwrap_or(0))).collect();
        let core = Core::new(file, map, &numbers)?;
        Ok(Self {
            species: n,
            radial,
            angular,
            harmonics,
            packs,
            weights,
            l_max,
            four_body,
            five_body,
            dimension,
            networks,
            core,
        })
    }
}
