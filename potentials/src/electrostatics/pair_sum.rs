//! Sums of a radial form over the pairs within a cutoff, and the corrections that go over atoms and excluded pairs.
use super::exclusions::{Exclusions, Nearest};
use super::forms::PairForm;
use crate::kernels::symmetric;
use crate::simd::{self, Kernel, LANES, Lanes, Level};
use caloron_engine::neighbors::Site;
use caloron_engine::{Input, Mat3, NeighborList, Outputs, Properties, Vec3, parallel};
use rayon::prelude::*;

/// What one atom receives; energies and virials are its half of each pair.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct AtomSum {
    pub force: [f64; 3],
    pub energy: f64,
    /// xx yy zz yz xz xy
    pub virial: [f64; 6],
}

impl AtomSum {
    /// Adds a pair: `d` from this atom to the other, φ and -φ'/r times all factors.
    fn pair(&mut self, d: &Vec3, phi: f64, g: f64) {
        for k in 0..3 {
            self.force[k] -= g * d[k];
        }
        self.energy += 0.5 * phi;
        let h = 0.5 * g;
        for (w, (a, b)) in self.virial.iter_mut().zip([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]) {
            *w += h * d[a] * d[b];
        }
    }
    fn virial_matrix(&self) -> Mat3 {
        symmetric(self.virial)
    }
}

/// Adds `factor` times the sums to the outputs; `atom(k)` names the atom of sum k. Fixed order.
pub(crate) fn add(
    sums: &[AtomSum],
    atom: impl Fn(usize) -> usize,
    factor: f64,
    want: Properties,
    out: &mut Outputs,
) {
    let mut energy = 0.0;
    let mut virial = Mat3::zeros();
    for (k, s) in sums.iter().enumerate() {
        let i = atom(k);
        energy += s.energy;
        if want.contains(Properties::FORCES) {
            out.forces[i] += factor * Vec3::from(s.force);
        }
        if want.contains(Properties::ATOM_ENERGIES) {
            out.atom_energies[i] += factor * s.energy;
        }
        if want.intersects(Properties::VIRIAL | Properties::ATOM_VIRIALS) {
            let w = s.virial_matrix();
            virial += w;
            if want.contains(Properties::ATOM_VIRIALS) {
                out.atom_virials[i] += factor * w;
            }
        }
    }
    out.energy += factor * energy;
    if want.contains(Properties::VIRIAL) {
        out.virial += factor * virial;
    }
}

/// The sum of a radial form over a neighbour list or over all pairs; keeps its buffers.
pub(crate) struct PairSum<F> {
    form: F,
    cutoff2: f64,
    level: Level,
    /// Positions with the charge where a neighbour list has the species; the last one is far away and neutral.
    sites: Vec<Site>,
    indices: Vec<u32>,
    sums: Vec<AtomSum>,
}

/// Rows of one parallel block.
const ROWS: usize = 64;

impl<F: PairForm> PairSum<F> {
    pub(crate) fn new(form: F, cutoff: f64) -> Self {
        let level = Level::detect();
        Self { form, cutoff2: cutoff * cutoff, level, sites: vec![], indices: vec![], sums: vec![] }
    }
    pub(crate) fn form(&self) -> &F {
        &self.form
    }
    /// Adds `factor` Σ q_i q_j φ(r_ij) over all pairs of the list within the cutoff.
    pub(crate) fn add(
        &mut self,
        input: &Input<'_>,
        charges: &[f64],
        factor: f64,
        want: Properties,
        out: &mut Outputs,
    ) {
        let list = input.neighbors;
        let real = list.sites().len();
        self.sites.clear();
        self.sites.extend_from_slice(list.padded_sites());
        for (k, site) in self.sites.iter_mut().enumerate() {
            site.species = if k < real { charges[list.atom(k as u32)] } else { 0.0 };
        }
        let n = list.centers().len();
        self.sums.resize(n, AtomSum::default());
        let (form, cutoff2, level, sites) = (self.form, self.cutoff2, self.level, &self.sites);
        let virial = want.intersects(Properties::VIRIAL | Properties::ATOM_VIRIALS);
        let block = |b: usize, sums: &mut [AtomSum]| {
            let rows = Rows { form, cutoff2, sites, list, first: b * ROWS, sums };
            if virial {
                simd::run(level, WithVirial::<_, true>(rows));
            } else {
                simd::run(level, WithVirial::<_, false>(rows));
            }
        };
        if n <= ROWS {
            self.sums.chunks_mut(ROWS).enumerate().for_each(|(b, s)| block(b, s));
        } else {
            self.sums.par_chunks_mut(ROWS).enumerate().for_each(|(b, s)| block(b, s));
        }
        add(&self.sums, |k| list.atom(list.centers()[k]), factor, want, out);
    }
    /// Adds `factor` Σ q_i q_j φ(r_ij) over all pairs of an open system, without a cutoff.
    pub(crate) fn add_all_pairs(
        &mut self,
        positions: &[Vec3],
        charges: &[f64],
        factor: f64,
        want: Properties,
        out: &mut Outputs,
    ) {
        let n = positions.len();
        let padded = n.next_multiple_of(LANES);
        let site = |k: usize| match positions.get(k) {
            Some(r) => Site { position: (*r).into(), species: charges[k] },
            None => Site { position: [1e9; 3], species: 0.0 },
        };
        self.sites.clear();
        self.sites.extend((0..padded).map(site));
        self.indices.clear();
        self.indices.extend(0..padded as u32);
        self.sums.resize(n, AtomSum::default());
        let (form, level, sites, indices) = (self.form, self.level, &self.sites, &self.indices);
        let block = |b: usize, sums: &mut [AtomSum]| {
            simd::run(level, AllPairs { form, sites, indices, first: b * ROWS, sums });
        };
        if n <= ROWS {
            self.sums.chunks_mut(ROWS).enumerate().for_each(|(b, s)| block(b, s));
        } else {
            self.sums.par_chunks_mut(ROWS).enumerate().for_each(|(b, s)| block(b, s));
        }
        add(&self.sums, |k| k, factor, want, out);
    }
}

struct Rows<'a, F> {
    form: F,
    cutoff2: f64,
    sites: &'a [Site],
    list: &'a NeighborList,
    first: usize,
    sums: &'a mut [AtomSum],
}

struct WithVirial<'a, F, const VIRIAL: bool>(Rows<'a, F>);

struct AllPairs<'a, F> {
    form: F,
    sites: &'a [Site],
    indices: &'a [u32],
    first: usize,
    sums: &'a mut [AtomSum],
}

/// Sums over the lanes of one row.
struct Accumulator<V> {
    force: [V; 3],
    energy: V,
    virial: [V; 6],
}

impl<V: Lanes> Accumulator<V> {
    #[inline(always)]
    fn new() -> Self {
        let zero = V::splat(0.0);
        Self { force: [zero; 3], energy: zero, virial: [zero; 6] }
    }
    #[inline(always)]
    fn pair<const VIRIAL: bool>(&mut self, d: [V; 3], q_phi: V, q_g: V) {
        for k in 0..3 {
            self.force[k] = q_g.mul_add(d[k], self.force[k]);
        }
        self.energy = self.energy + q_phi;
        if VIRIAL {
            let f = [q_g * d[0], q_g * d[1], q_g * d[2]];
            for (w, (a, b)) in self.virial.iter_mut().zip([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)]) {
                *w = f[a].mul_add(d[b], *w);
            }
        }
    }
    #[inline(always)]
    fn finish(&self, charge: f64) -> AtomSum {
        AtomSum {
            force: simd::sums(self.force).map(|f| -charge * f),
            energy: 0.5 * charge * self.energy.sum(),
            virial: simd::sums(self.virial).map(|w| 0.5 * charge * w),
        }
    }
}

impl<F: PairForm, const VIRIAL: bool> Kernel for WithVirial<'_, F, VIRIAL> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Rows { form, cutoff2, sites, list, first, sums } = self.0;
        let limit = V::splat(cutoff2);
        for (k, sum) in sums.iter_mut().enumerate() {
            let center = sites[list.centers()[first + k] as usize];
            let at = simd::splats::<V, 3>(center.position);
            let mut total = Accumulator::<V>::new();
            for chunk in list.padded_row(first + k).chunks_exact(LANES) {
                // SAFETY: the list names its own sites and the dummy, and `sites` has one entry for each
                let [x, y, z, q] = unsafe { V::load_sites(sites.as_ptr(), chunk.as_ptr()) };
                let d = [x - at[0], y - at[1], z - at[2]];
                let r2 = d[0].mul_add(d[0], d[1].mul_add(d[1], d[2] * d[2]));
                let inside = r2.lt(limit);
                let (phi, g) = form.lanes(V::select(inside, r2, limit));
                let q = V::keep(inside, q);
                total.pair::<VIRIAL>(d, q * phi, q * g);
            }
            *sum = total.finish(center.species);
        }
    }
}

impl<F: PairForm> Kernel for AllPairs<'_, F> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let lane = V::from_array(std::array::from_fn(|k| k as f64));
        for (k, sum) in self.sums.iter_mut().enumerate() {
            let i = self.first + k;
            let center = self.sites[i];
            let at = simd::splats::<V, 3>(center.position);
            let mut total = Accumulator::<V>::new();
            for chunk in self.indices.chunks_exact(LANES) {
                // SAFETY: the indices are 0..sites.len()
                let [x, y, z, q] = unsafe { V::load_sites(self.sites.as_ptr(), chunk.as_ptr()) };
                let d = [x - at[0], y - at[1], z - at[2]];
                let r2 = d[0].mul_add(d[0], d[1].mul_add(d[1], d[2] * d[2]));
                let apart = lane + V::splat(f64::from(chunk[0]) - i as f64);
                let other = V::splat(0.25).lt(apart * apart);
                let (phi, g) = self.form.lanes(V::select(other, r2, V::splat(1.0)));
                let q = V::keep(other, q);
                total.pair::<true>(d, q * phi, q * g);
            }
            *sum = total.finish(center.species);
        }
    }
}

/// Takes away the interaction of excluded pairs: `removed(r²)` gives (φ, -φ'/r) of the whole interaction.
pub(crate) struct ExclusionSum {
    exclusions: Exclusions,
    sums: Vec<AtomSum>,
}

impl ExclusionSum {
    pub(crate) fn new(exclusions: Exclusions) -> Self {
        Self { exclusions, sums: vec![] }
    }
    pub(crate) fn add(
        &mut self,
        input: &Input<'_>,
        charges: &[f64],
        removed: impl Fn(f64) -> (f64, f64) + Sync,
        factor: f64,
        want: Properties,
        out: &mut Outputs,
    ) {
        if self.exclusions.is_empty() {
            return;
        }
        let nearest = Nearest::new(input.cell);
        self.sums.resize(input.positions.len(), AtomSum::default());
        let exclusions = &self.exclusions;
        parallel::for_each_mut(&mut self.sums, |i, sum| {
            *sum = AtomSum::default();
            for partner in exclusions.partners(i) {
                let j = partner.atom as usize;
                let d = nearest.between(i, j, input.positions);
                let (phi, g) = removed(d.norm_squared());
                let qq = (partner.coulomb - 1.0) * charges[i] * charges[j];
                sum.pair(&d, qq * phi, qq * g);
            }
        });
        add(&self.sums, |k| k, factor, want, out);
    }
}
