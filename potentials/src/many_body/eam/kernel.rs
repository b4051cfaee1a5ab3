//! Two passes over one neighbour list: densities, then forces.
use super::file::Tables;
use crate::kernels::uniform_spline::{self as spline, Cubic};
use crate::many_body::site_energy::check_species;
use caloron_engine::{
    Input, Mat3, NeighborList, Outputs, Potential, PotentialError, Properties, Vec3, parallel,
};
use rayon::prelude::*;

/// Rows that one task treats together.
const BLOCK: usize = 128;

/// The intervals of the functions of an ordered pair of species side by side, so that the second pass finds what it
/// needs in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Knot {
    /// Density of the neighbour at the centre.
    density: Cubic,
    /// r φ.
    r_phi: Cubic,
}

/// Close neighbours and results of some rows.
#[derive(Default)]
struct Block {
    offsets: Vec<u32>,
    /// Sites within the cutoff.
    close: Vec<u32>,
    /// F'(ρ) of each row.
    slopes: Vec<f64>,
    /// F(ρ), and after the second pass the energy of each row.
    energies: Vec<f64>,
    forces: Vec<Vec3>,
    virials: Vec<Mat3>,
    energy: f64,
    virial: Mat3,
}

/// An embedded-atom potential.
pub struct Eam {
    species: usize,
    cutoff: f64,
    per_dr: f64,
    per_drho: f64,
    rho_max: f64,
    /// Intervals per function of the distance, of the density.
    intervals: [usize; 2],
    /// For species i of the centre and j of the neighbour, from (i n + j) intervals on.
    knots: Vec<Knot>,
    embedding: Vec<Cubic>,
    blocks: Vec<Block>,
    row_of_atom: Vec<u32>,
    slope_of_site: Vec<f64>,
}

impl Eam {
    /// The potential for species that are the elements `map` of the tables.
    pub(super) fn new(tables: &Tables, map: &[usize]) -> Self {
        let (species, all) = (map.len(), tables.elements.len());
        let mut knots = Vec::new();
        for &i in map {
            for &j in map {
                let density = spline::intervals(&tables.density[j * all + i]);
                let r_phi = spline::intervals(&tables.r_phi[i * all + j]);
                knots.extend(density.into_iter().zip(r_phi).map(|(density, r_phi)| Knot { density, r_phi }));
            }
        }
        let embedding: Vec<Cubic> =
            map.iter().flat_map(|&i| spline::intervals(&tables.embedding[i])).collect();
        Self {
            species,
            cutoff: tables.cutoff,
            per_dr: 1.0 / tables.dr,
            per_drho: 1.0 / tables.drho,
            rho_max: tables.rho_max,
            intervals: [knots.len() / (species * species).max(1), embedding.len() / species.max(1)],
            knots,
            embedding,
            blocks: Vec::new(),
            row_of_atom: Vec::new(),
            slope_of_site: Vec::new(),
        }
    }
    /// F(ρ) and F'(ρ).
    fn embed(&self, species: usize, rho: f64) -> (f64, f64) {
        let n = self.intervals[1];
        let (m, p) = spline::locate(rho * self.per_drho, n - 1);
        let c = &self.embedding[species * n + m];
        let slope = spline::slope(c, p) * self.per_drho;
        (spline::value(c, p) + (rho - self.rho_max).max(0.0) * slope, slope)
    }
    /// Finds the close neighbours of a block of rows and their densities.
    fn densities(&self, list: &NeighborList, b: usize, block: &mut Block) {
        let (sites, centers) = (list.sites(), list.centers());
        let rows = b * BLOCK..((b + 1) * BLOCK).min(centers.len());
        let cutoff2 = self.cutoff * self.cutoff;
        block.offsets.clear();
        block.offsets.push(0);
        block.close.clear();
        block.slopes.clear();
        block.energies.clear();
        let n = self.intervals[0];
        for k in rows {
            let row = list.row(k);
            let here = &sites[centers[k] as usize];
            let species = here.species as usize;
            let start = block.close.len();
            block.close.resize(start + row.len(), 0);
            let close = &mut block.close[start..];
            let mut m = 0;
            let mut rho = 0.0;
            for &s in row {
                let there = &sites[s as usize];
                let d = [0, 1, 2].map(|c| there.position[c] - here.position[c]);
                let r2 = d[0] * d[0] + d[1] * d[1] + d[2] * d[2];
                if r2 < cutoff2 {
                    close[m] = s;
                    m += 1;
                    let (interval, p) = spline::locate(r2.sqrt() * self.per_dr, n - 1);
                    let pair = species * self.species + there.species as usize;
                    rho += spline::value(&self.knots[pair * n + interval].density, p);
                }
            }
            block.close.truncate(start + m);
            block.offsets.push((start + m) as u32);
            let (energy, slope) = self.embed(species, rho);
            block.energies.push(energy);
            block.slopes.push(slope);
        }
    }
    /// Forces, energies and virials of a block of rows.
    fn forces(&self, list: &NeighborList, want: Properties, b: usize, block: &mut Block) {
        let (sites, centers) = (list.sites(), list.centers());
        let n = self.intervals[0];
        let virials = want.intersects(Properties::VIRIAL | Properties::ATOM_VIRIALS);
        block.forces.clear();
        block.virials.clear();
        block.energy = 0.0;
        block.virial = Mat3::zeros();
        for k in 0..block.slopes.len() {
            let here = &sites[centers[b * BLOCK + k] as usize];
            let species = here.species as usize;
            let own_slope = block.slopes[k];
            let mut force = Vec3::zeros();
            let mut virial = Mat3::zeros();
            let mut energy = 0.0;
            for &s in &block.close[block.offsets[k] as usize..block.offsets[k + 1] as usize] {
                let there = &sites[s as usize];
                let other = there.species as usize;
                let d = Vec3::from([0, 1, 2].map(|c| there.position[c] - here.position[c]));
                let r = d.norm_squared().sqrt();
                let (interval, p) = spline::locate(r * self.per_dr, n - 1);
                let knot = &self.knots[(species * self.species + other) * n + interval];
                let towards = spline::slope(&knot.density, p);
                let from = if other == species {
                    towards
                } else {
                    spline::slope(&self.knots[(other * self.species + species) * n + interval].density, p)
                };
                let inverse = 1.0 / r;
                let phi = spline::value(&knot.r_phi, p) * inverse;
                let pair = spline::slope(&knot.r_phi, p);
                let radial = ((own_slope * towards + self.slope_of_site[s as usize] * from) + pair * inverse)
                    * self.per_dr
                    - phi * inverse;
                energy += phi;
                let f = d * (radial * inverse);
                force += f;
                if virials {
                    virial += d * f.transpose();
                }
            }
            let energy = block.energies[k] + 0.5 * energy;
            block.energies[k] = energy;
            block.energy += energy;
            block.forces.push(force);
            if virials {
                // W = Σ r ⊗ f over pairs, half of each to either atom
                let virial = -0.5 * virial;
                block.virial += virial;
                block.virials.push(virial);
            }
        }
    }
}

/// Calls `f` for every block, in parallel when there are many.
fn each(blocks: &mut [Block], f: impl Fn(usize, &mut Block) + Sync) {
    if blocks.len() <= 2 {
        blocks.iter_mut().enumerate().for_each(|(b, block)| f(b, block));
    } else {
        blocks.par_iter_mut().enumerate().for_each(|(b, block)| f(b, block));
    }
}

impl Potential for Eam {
    fn name(&self) -> &'static str {
        "eam"
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.cutoff)
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        check_species("eam", self.species, &input)?;
        let list = input.neighbors;
        let centers = list.centers();
        self.row_of_atom.resize(input.system.len(), 0);
        for (k, &c) in centers.iter().enumerate() {
            self.row_of_atom[list.atom(c)] = k as u32;
        }
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.resize_with(centers.len().div_ceil(BLOCK), Block::default);
        each(&mut blocks, |b, block| self.densities(list, b, block));
        let mut slopes = std::mem::take(&mut self.slope_of_site);
        slopes.resize(list.sites().len(), 0.0);
        parallel::for_each_mut(&mut slopes, |s, slope| {
            let row = self.row_of_atom[list.atom(s as u32)] as usize;
            *slope = blocks[row / BLOCK].slopes[row % BLOCK];
        });
        self.slope_of_site = slopes;
        each(&mut blocks, |b, block| self.forces(list, want, b, block));
        for block in &blocks {
            out.energy += block.energy;
            if want.contains(Properties::VIRIAL) {
                out.virial += block.virial;
            }
        }
        let at = |i: usize| (self.row_of_atom[i] as usize / BLOCK, self.row_of_atom[i] as usize % BLOCK);
        if want.contains(Properties::FORCES) {
            parallel::for_each_mut(&mut out.forces, |i, f| *f += blocks[at(i).0].forces[at(i).1]);
        }
        if want.contains(Properties::ATOM_ENERGIES) {
            parallel::for_each_mut(&mut out.atom_energies, |i, e| *e += blocks[at(i).0].energies[at(i).1]);
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            parallel::for_each_mut(&mut out.atom_virials, |i, w| *w += blocks[at(i).0].virials[at(i).1]);
        }
        self.blocks = blocks;
        Ok(())
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["Daw and Baskes, Phys. Rev. B 29, 6443 (1984), doi 10.1103/PhysRevB.29.6443"]
    }
}
