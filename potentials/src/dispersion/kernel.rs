//! Coordination numbers, then pairs and triples, then what they say about coordination numbers.
use super::reference::SYSTEMS;
use crate::kernels::row_results::{self, RowResults};
use caloron_engine::neighbors::{AtomRows, Site};
use caloron_engine::{
    Input, Mat3, NeighborList, Outputs, Potential, PotentialError, Properties, Vec3, parallel, units,
};
use rayon::prelude::*;

/// Rows that one task treats together.
const BLOCK: usize = 16;
/// Steepness of the counting function.
const STEEPNESS: f64 = 16.0;
/// Width of the weights of reference systems.
const NARROWNESS: f64 = 4.0;

/// How the dispersion of close atoms is damped.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Damping {
    /// s_r6, s_r8.
    Zero { s_r6: f64, s_r8: f64 },
    /// a₁, a₂ (Å).
    BeckeJohnson { a1: f64, a2: f64 },
}

/// What a pair of species has in common; lengths in Å, energies in eV.
#[derive(Clone, Debug)]
pub(super) struct PairTerm {
    /// R_cov of both together, with the factor 4/3.
    pub covalent: f64,
    /// R₀.
    pub radius: f64,
    /// C₈/C₆.
    pub ratio: f64,
    /// C₆ of pairs of reference systems.
    pub c6: [[f64; SYSTEMS]; SYSTEMS],
}

/// The parts of the correction.
#[derive(Clone, Copy, Debug)]
pub(super) struct Model {
    pub s6: f64,
    pub s8: f64,
    pub damping: Damping,
    /// Squared cutoffs: pairs, coordination numbers, triples (0: none).
    pub cutoffs: [f64; 3],
}

/// Weights of the reference systems of an atom and their derivatives with respect to its coordination number.
#[derive(Clone, Copy, Debug, Default)]
struct Weights {
    value: [f64; SYSTEMS],
    slope: [f64; SYSTEMS],
}

/// A neighbour in the range of triples.
#[derive(Clone, Copy)]
struct Arm {
    d: Vec3,
    r2: f64,
    species: usize,
    row: usize,
    c6: f64,
    /// ∂C₆/∂N of the centre.
    slope: f64,
}

/// Results of some rows.
#[derive(Default)]
struct Block {
    results: RowResults,
    /// ∂E/∂N of each row.
    slopes: Vec<f64>,
    arms: Vec<Arm>,
    /// C₆ of the references of a species with an atom, by species, and the derivative.
    mixed: Vec<[[f64; SYSTEMS]; 2]>,
    mixed_arm: Vec<[f64; SYSTEMS]>,
}

impl AsRef<RowResults> for Block {
    fn as_ref(&self) -> &RowResults {
        &self.results
    }
}

/// The D3 correction.
pub struct D3 {
    pub(super) model: Model,
    pub(super) species: usize,
    /// Coordination numbers of the reference systems of each species.
    pub(super) references: Vec<Vec<f64>>,
    /// At index i n + j.
    pub(super) pairs: Vec<PairTerm>,
    pub(super) notes: Vec<String>,
    weights: Vec<Weights>,
    slopes: Vec<f64>,
    row_of_atom: AtomRows,
    blocks: Vec<Block>,
}

/// f = 1/(1 + e^{−16 (R/r − 1)}) and its derivative.
#[inline(always)]
fn count(covalent: f64, r: f64) -> (f64, f64) {
    let e = (-STEEPNESS * (covalent / r - 1.0)).exp();
    let f = 1.0 / (1.0 + e);
    (f, -STEEPNESS * covalent / (r * r) * e * f * f)
}

/// 1/(1 + 6 t) r⁻ⁿ with t = (s R₀/r)^α, and its derivative.
#[inline(always)]
fn zero_damped(r: f64, radius: f64, alpha: i32, n: i32) -> (f64, f64) {
    let t = 6.0 * (radius / r).powi(alpha);
    let f = 1.0 / (1.0 + t);
    let value = f / r.powi(n);
    (value, value / r * (f64::from(alpha) * t * f - f64::from(n)))
}

/// 1/(rⁿ + Rⁿ) and its derivative.
#[inline(always)]
fn rational(r: f64, radius: f64, n: i32) -> (f64, f64) {
    let power = r.powi(n);
    let f = 1.0 / (power + radius.powi(n));
    (f, -f64::from(n) * power / r * f * f)
}

impl Model {
    /// −E/C₆ of a pair and its derivative with respect to r.
    #[inline(always)]
    fn per_c6(&self, term: &PairTerm, r: f64) -> (f64, f64) {
        let (six, eight) = match self.damping {
            Damping::Zero { s_r6, s_r8 } => {
                (zero_damped(r, s_r6 * term.radius, 14, 6), zero_damped(r, s_r8 * term.radius, 16, 8))
            }
            Damping::BeckeJohnson { a1, a2 } => {
                let radius = a1 * term.ratio.sqrt() + a2;
                (rational(r, radius, 6), rational(r, radius, 8))
            }
        };
        let s8 = self.s8 * term.ratio;
        (self.s6 * six.0 + s8 * eight.0, self.s6 * six.1 + s8 * eight.1)
    }
}

impl Weights {
    /// w_a = e^{−4 (N − N_a)²} / Σ_b e^{−4 (N − N_b)²}.
    fn new(references: &[f64], n: f64) -> Self {
        let mut w = Self::default();
        // relative to the closest reference, so that nothing underflows for unusual surroundings
        let least = references.iter().map(|r| (n - r) * (n - r)).fold(f64::INFINITY, f64::min);
        let (mut sum, mut slopes) = (0.0, 0.0);
        for (a, r) in references.iter().enumerate() {
            let x = n - r;
            w.value[a] = (-NARROWNESS * (x * x - least)).exp();
            w.slope[a] = -2.0 * NARROWNESS * x;
            sum += w.value[a];
            slopes += w.value[a] * w.slope[a];
        }
        let mean = slopes / sum;
        for a in 0..references.len() {
            w.value[a] /= sum;
            w.slope[a] = w.value[a] * (w.slope[a] - mean);
        }
        w
    }
}

fn dot(a: &[f64; SYSTEMS], b: &[f64; SYSTEMS]) -> f64 {
    a.iter().zip(b).map(|(x, y)| x * y).sum()
}

/// Σ_a w_a C_ab.
fn mix(w: &[f64; SYSTEMS], c6: &[[f64; SYSTEMS]; SYSTEMS]) -> [f64; SYSTEMS] {
    let mut sum = [0.0; SYSTEMS];
    for (w, row) in w.iter().zip(c6) {
        for (s, c) in sum.iter_mut().zip(row) {
            *s += w * c;
        }
    }
    sum
}

/// The vector to a site and its square.
#[inline(always)]
fn across(from: &Site, to: &Site) -> (Vec3, f64) {
    let d = Vec3::from(to.position) - Vec3::from(from.position);
    (d, d.norm_squared())
}

/// Energy of a triple over its C₉, and its derivatives with respect to the squares of two of the distances.
///
/// `radius` is the product of the three damping radii.
#[inline(always)]
fn axilrod_teller(a: f64, b: f64, c: f64, radius: f64) -> [f64; 3] {
    let product = a * b * c;
    let cube = product * product.sqrt();
    let s = (a + b - c) * (a - b + c) * (b + c - a);
    let per_s = 0.375 / (cube * product);
    let angle = per_s * s + 1.0 / cube;
    // (R/r)^16 of the geometric means
    let x = radius * radius / product;
    let t = 6.0 * x * x * x.powf(2.0 / 3.0);
    let f = 1.0 / (1.0 + t);
    let slope = |p: f64, q: f64, r: f64| {
        let ds = -3.0 * p * p + 2.0 * p * (q + r) + (q - r) * (q - r);
        let angle_slope = per_s * (ds - 2.5 * s / p) - 1.5 / (cube * p);
        f * (angle_slope + angle * f * t * (8.0 / 3.0) / p)
    };
    [angle * f, slope(a, b, c), slope(b, a, c)]
}

/// Damping of triples: radii of pairs times this.
const TRIPLE_RADIUS: f64 = 4.0 / 3.0;

impl D3 {
    pub(super) fn new(
        model: Model,
        references: Vec<Vec<f64>>,
        pairs: Vec<PairTerm>,
        notes: Vec<String>,
    ) -> Self {
        Self {
            model,
            species: references.len(),
            references,
            pairs,
            notes,
            weights: Vec::new(),
            slopes: Vec::new(),
            row_of_atom: AtomRows::default(),
            blocks: Vec::new(),
        }
    }
    fn pair(&self, i: usize, j: usize) -> &PairTerm {
        &self.pairs[i * self.species + j]
    }
    /// Coordination number of a row.
    fn coordination(&self, list: &NeighborList, row: usize) -> f64 {
        let sites = list.sites();
        let here = &sites[list.centers()[row] as usize];
        let mut n = 0.0;
        for &s in list.row(row) {
            let site = &sites[s as usize];
            let (_, r2) = across(here, site);
            if r2 < self.model.cutoffs[1] {
                n += count(self.pair(here.species as usize, site.species as usize).covalent, r2.sqrt()).0;
            }
        }
        n
    }
    fn row_of(&self, list: &NeighborList, site: u32) -> usize {
        self.row_of_atom[list.atom(site)] as usize
    }
    /// Pairs and triples of a block of rows at fixed coordination numbers, and ∂E/∂N.
    fn interactions(&self, list: &NeighborList, first: usize, block: &mut Block) {
        let (sites, centers) = (list.sites(), list.centers());
        let last = (first + BLOCK).min(centers.len());
        block.results.energies.clear();
        block.results.forces.clear();
        block.results.virials.clear();
        block.slopes.clear();
        let [pair_range, _, triple_range] = self.model.cutoffs;
        for row in first..last {
            let here = &sites[centers[row] as usize];
            let i = here.species as usize;
            let own = &self.weights[row];
            block.mixed.clear();
            block.mixed.extend((0..self.species).map(|j| {
                let c6 = &self.pair(i, j).c6;
                [mix(&own.value, c6), mix(&own.slope, c6)]
            }));
            block.arms.clear();
            let (mut energy, mut slope) = (0.0, 0.0);
            let (mut force, mut virial) = (Vec3::zeros(), Mat3::zeros());
            for &s in list.row(row) {
                let site = &sites[s as usize];
                let (d, r2) = across(here, site);
                let (near, triples) = (r2 < pair_range, r2 < triple_range);
                if !near && !triples {
                    continue;
                }
                let (j, other) = (site.species as usize, self.row_of(list, s));
                let w = &self.weights[other].value;
                let [value, by_own] = &block.mixed[j];
                let (c6, c6_slope) = (dot(value, w), dot(by_own, w));
                if triples {
                    block.arms.push(Arm { d, r2, species: j, row: other, c6, slope: c6_slope });
                }
                if near {
                    let r = r2.sqrt();
                    let (per_c6, per_c6_slope) = self.model.per_c6(self.pair(i, j), r);
                    energy -= 0.5 * c6 * per_c6;
                    slope -= c6_slope * per_c6;
                    let g = d * (-c6 * per_c6_slope / r);
                    force += g;
                    virial -= 0.5 * d * g.transpose();
                }
            }
            if triple_range > 0.0 {
                let Block { arms, mixed_arm, .. } = block;
                let (e, g, n, w) = self.triples(i, arms, mixed_arm);
                energy += e;
                force += g;
                slope += n;
                virial += w;
            }
            block.results.energies.push(energy);
            block.results.forces.push(force);
            block.results.virials.push(virial);
            block.slopes.push(slope);
        }
    }
    /// A third of the energies of the triples of a centre, the force on it, ∂E/∂N and its part of the virial.
    fn triples(&self, i: usize, arms: &[Arm], mixed: &mut Vec<[f64; SYSTEMS]>) -> (f64, Vec3, f64, Mat3) {
        let range = self.model.cutoffs[2];
        let (mut energy, mut slope) = (0.0, 0.0);
        let (mut force, mut virial) = (Vec3::zeros(), Mat3::zeros());
        for (m, one) in arms.iter().enumerate() {
            mixed.clear();
            mixed.extend(
                (0..self.species).map(|k| mix(&self.weights[one.row].value, &self.pair(one.species, k).c6)),
            );
            let one_radius = self.pair(i, one.species).radius;
            let mut along_one = 0.0;
            for two in &arms[..m] {
                let far = (two.d - one.d).norm_squared();
                if far >= range {
                    continue;
                }
                let c6 = dot(&mixed[two.species], &self.weights[two.row].value);
                // in atomic units C₉ is the square root alone
                let c9 = (one.c6 * two.c6 * c6 / units::HARTREE).sqrt();
                let radius = one_radius
                    * self.pair(i, two.species).radius
                    * self.pair(one.species, two.species).radius
                    * TRIPLE_RADIUS.powi(3);
                let [e, by_one, by_two] = axilrod_teller(one.r2, two.r2, far, radius);
                let e = c9 * e;
                energy += e / 3.0;
                slope += 0.5 * e * (one.slope / one.c6 + two.slope / two.c6);
                along_one += 2.0 * c9 * by_one;
                let g = two.d * (2.0 * c9 * by_two);
                force += g;
                virial -= 0.5 * two.d * g.transpose();
            }
            let g = one.d * along_one;
            force += g;
            virial -= 0.5 * one.d * g.transpose();
        }
        (energy, force, slope, virial)
    }
    /// Adds what follows from the change of coordination numbers.
    fn coordination_forces(&self, list: &NeighborList, first: usize, block: &mut Block) {
        let (sites, centers) = (list.sites(), list.centers());
        block.results.energy = 0.0;
        block.results.virial = Mat3::zeros();
        for k in 0..block.results.energies.len() {
            let row = first + k;
            let here = &sites[centers[row] as usize];
            let own = self.slopes[row];
            let (mut force, mut virial) = (block.results.forces[k], block.results.virials[k]);
            for &s in list.row(row) {
                let site = &sites[s as usize];
                let (d, r2) = across(here, site);
                if r2 < self.model.cutoffs[1] {
                    let r = r2.sqrt();
                    let covalent = self.pair(here.species as usize, site.species as usize).covalent;
                    let both = own + self.slopes[self.row_of(list, s)];
                    let g = d * (both * count(covalent, r).1 / r);
                    force += g;
                    virial -= 0.5 * d * g.transpose();
                }
            }
            block.results.forces[k] = force;
            block.results.virials[k] = virial;
            block.results.energy += block.results.energies[k];
            block.results.virial += virial;
        }
    }
}

impl Potential for D3 {
    fn name(&self) -> &'static str {
        "d3"
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.model.cutoffs.iter().copied().fold(0.0, f64::max).sqrt())
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        crate::many_body::site_energy::check_species("d3", self.species, &input)?;
        let list = input.neighbors;
        let centers = list.centers();
        self.row_of_atom.update(list);
        let mut weights = std::mem::take(&mut self.weights);
        weights.resize(centers.len(), Weights::default());
        parallel::for_each_mut(&mut weights, |row, w| {
            let species = list.sites()[centers[row] as usize].species as usize;
            *w = Weights::new(&self.references[species], self.coordination(list, row));
        });
        self.weights = weights;
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.resize_with(centers.len().div_ceil(BLOCK), Block::default);
        blocks.par_iter_mut().enumerate().for_each(|(b, block)| self.interactions(list, b * BLOCK, block));
        self.slopes.clear();
        self.slopes.extend(blocks.iter().flat_map(|b| b.slopes.iter().copied()));
        blocks
            .par_iter_mut()
            .enumerate()
            .for_each(|(b, block)| self.coordination_forces(list, b * BLOCK, block));
        row_results::add(&blocks, BLOCK, &self.row_of_atom, want, out);
        self.blocks = blocks;
        Ok(())
    }
    fn citations(&self) -> Vec<&'static str> {
        let mut papers = vec![
            "Grimme, Antony, Ehrlich and Krieg, J. Chem. Phys. 132, 154104 (2010), doi 10.1063/1.3382344",
        ];
        if matches!(self.model.damping, Damping::BeckeJohnson { .. }) {
            papers
                .push("Grimme, Ehrlich and Goerigk, J. Comput. Chem. 32, 1456 (2011), doi 10.1002/jcc.21759");
        }
        papers
    }
    fn describe(&self) -> Vec<String> {
        self.notes.clone()
    }
}
