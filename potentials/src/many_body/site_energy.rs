//! Many-body interactions as energies of sites.
//!
//! An interaction of this kind is E = Σ_i E_i({d_ij}), where E_i depends on the vectors d_ij = r_j − r_i to the
//! neighbours within a short cutoff. It gives E_i and g_ij = ∂E_i/∂d_ij; what follows from them is computed here once for
//! all of them, without scattered writes, so that threads never collide and every sum has a fixed order:
//!
//! - forces F_i = Σ_j (g_ij − g_ji),
//! - virial W = −Σ_ij d_ij ⊗ g_ij,
//! - virial of an atom W_i = Σ_j d_ij ⊗ g_ji (Fan et al., Phys. Rev. B 92, 094301 (2015), doi 10.1103/PhysRevB.92.094301),
//! - energy of an atom: E_i less what the interaction ascribes to neighbours, plus what it is ascribed by them.
use crate::simd::{self, Kernel, LANES, Lanes, Level};
use caloron_engine::{
    Input, Mat3, NeighborList, Outputs, Potential, PotentialError, Properties, Vec3, parallel,
};
use rayon::prelude::*;

/// Rows that one task treats together.
const BLOCK: usize = 128;

/// The vector to a neighbour.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub struct Edge {
    /// d = r_j − r_i, Å.
    pub d: [f64; 3],
    /// |d|, Å.
    pub r: f64,
}

/// What a site says about a neighbour.
#[derive(Clone, Copy, Debug, Default)]
#[repr(C, align(32))]
pub struct Share {
    /// ∂E_i/∂d, eV/Å.
    pub g: [f64; 3],
    /// The part of E_i that is ascribed to the neighbour, eV.
    pub energy: f64,
}

impl Share {
    /// Adds `s` times the vector `d` to the derivative.
    #[inline(always)]
    pub fn add(&mut self, s: f64, d: &[f64; 3]) {
        for c in 0..3 {
            self.g[c] += s * d[c];
        }
    }
}

/// A site and its neighbours within the cutoffs of its species.
#[derive(Clone, Copy)]
pub struct Site<'a> {
    /// Species index of the site.
    pub species: usize,
    /// Vectors to the neighbours.
    pub edges: &'a [Edge],
    /// Species index of each neighbour.
    pub neighbors: &'a [u32],
}

/// An interaction that is a sum of energies of sites.
pub trait SiteEnergy: Send + Sync {
    /// Memory that is kept between sites.
    type Scratch: Default + Send + Sync;
    /// Name for messages.
    const NAME: &'static str;
    /// Number of species there are parameters for.
    fn species(&self) -> usize;
    /// Cutoff for a neighbour of species `j` seen from species `i`, Å; the same with i and j exchanged.
    fn cutoff(&self, i: usize, j: usize) -> f64;
    /// Energy E_i; adds to `shares` (one for each edge, zero at the start).
    fn energy(&self, site: Site<'_>, shares: &mut [Share], scratch: &mut Self::Scratch) -> f64;
    /// Papers to cite.
    fn citations(&self) -> Vec<&'static str>;
}

/// Neighbours and results of some rows.
#[derive(Default)]
struct Block<S> {
    offsets: Vec<u32>,
    /// Sites within the cutoffs, as [`Close`] writes them.
    close: Vec<u32>,
    edges: Vec<Edge>,
    species: Vec<u32>,
    /// Row of the atom each neighbour is an image of.
    rows: Vec<u32>,
    shares: Vec<Share>,
    energies: Vec<f64>,
    energy: f64,
    virial: Mat3,
    scratch: S,
}

impl<S> Block<S> {
    fn row(&self, k: usize) -> std::ops::Range<usize> {
        self.offsets[k] as usize..self.offsets[k + 1] as usize
    }
    fn clear(&mut self) {
        self.offsets.clear();
        self.offsets.push(0);
        self.edges.clear();
        self.species.clear();
        self.rows.clear();
        self.shares.clear();
        self.energies.clear();
        self.energy = 0.0;
        self.virial = Mat3::zeros();
    }
}

/// The [`Potential`] of a [`SiteEnergy`].
pub struct SiteSum<M: SiteEnergy> {
    model: M,
    cutoff: f64,
    /// Squared cutoffs, by species of the site and of the neighbour.
    cutoffs: Vec<f64>,
    blocks: Vec<Block<M::Scratch>>,
    row_of_atom: Vec<u32>,
    /// Forces in the order of the rows.
    forces: Vec<Vec3>,
    level: Level,
}

impl<M: SiteEnergy> SiteSum<M> {
    /// The potential of a model.
    pub fn new(model: M) -> Self {
        let n = model.species();
        let cutoffs: Vec<f64> = (0..n * n).map(|k| model.cutoff(k / n, k % n)).collect();
        let cutoff = cutoffs.iter().copied().fold(0.0, f64::max);
        let cutoffs = cutoffs.iter().map(|c| c * c).collect();
        Self {
            model,
            cutoff,
            cutoffs,
            blocks: Vec::new(),
            row_of_atom: Vec::new(),
            forces: Vec::new(),
            level: Level::detect(),
        }
    }
    /// Copies the neighbours of a block of rows that are within their cutoffs.
    fn gather(&self, list: &NeighborList, b: usize, block: &mut Block<M::Scratch>) {
        let (sites, centers) = (list.sites(), list.centers());
        block.clear();
        let rows = b * BLOCK..((b + 1) * BLOCK).min(centers.len());
        let (species, cutoffs) = (self.model.species(), &self.cutoffs);
        let Block { close, rows: found, .. } = block;
        simd::run(self.level, Close { list, rows: rows.clone(), species, cutoffs, close });
        let mut at = 0;
        for k in rows {
            let here = sites[centers[k] as usize].position;
            let count = close[at] as usize;
            for &s in &close[at + 1..at + 1 + count] {
                let there = &sites[s as usize];
                let d = [0, 1, 2].map(|c| there.position[c] - here[c]);
                let r = (d[0] * d[0] + d[1] * d[1] + d[2] * d[2]).sqrt();
                block.edges.push(Edge { d, r });
                block.species.push(there.species as u32);
                found.push(self.row_of_atom[list.atom(s)]);
            }
            at += 1 + count;
            block.offsets.push(block.edges.len() as u32);
        }
        block.shares.resize(block.edges.len(), Share::default());
    }
    /// Energies and derivatives of the rows of a block.
    fn evaluate(&self, list: &NeighborList, want: Properties, b: usize, block: &mut Block<M::Scratch>) {
        self.gather(list, b, block);
        let (sites, centers) = (list.sites(), list.centers());
        for k in 0..block.offsets.len() - 1 {
            let row = block.row(k);
            let species = sites[centers[b * BLOCK + k] as usize].species as usize;
            let site =
                Site { species, edges: &block.edges[row.clone()], neighbors: &block.species[row.clone()] };
            let shares = &mut block.shares[row];
            let energy = self.model.energy(site, shares, &mut block.scratch);
            block.energy += energy;
            if want.contains(Properties::ATOM_ENERGIES) {
                block.energies.push(shares.iter().fold(energy, |e, s| e - s.energy));
            }
        }
        if want.contains(Properties::VIRIAL) {
            for (edge, share) in block.edges.iter().zip(&block.shares) {
                for a in 0..3 {
                    for c in 0..3 {
                        block.virial[(a, c)] -= edge.d[a] * share.g[c];
                    }
                }
            }
        }
    }
}

/// Sites within the cutoffs of a range of rows: for each row their number and then they.
struct Close<'a> {
    list: &'a NeighborList,
    rows: std::ops::Range<usize>,
    species: usize,
    cutoffs: &'a [f64],
    close: &'a mut Vec<u32>,
}

impl Kernel for Close<'_> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { list, rows, species, cutoffs, close } = self;
        let (sites, centers) = (list.padded_sites(), list.centers());
        let mut unused = [0.0; LANES];
        let mut used = 0;
        for k in rows {
            let row = list.padded_row(k);
            let here = &sites[centers[k] as usize];
            let [x, y, z] = here.position.map(V::splat);
            let own = &cutoffs[here.species as usize * species..][..species];
            let mut cutoff = V::splat(own[0]);
            if close.len() < used + 1 + row.len() + LANES {
                close.resize(used + 1 + row.len() + LANES, 0);
            }
            let start = used;
            used += 1;
            for part in row.chunks_exact(LANES) {
                // SAFETY: rows hold indices of sites or of the dummy behind them, and a part has LANES of them
                let [sx, sy, sz, kind] = unsafe { V::load_sites(sites.as_ptr(), part.as_ptr()) };
                if species > 1 {
                    // SAFETY: species (0 for the dummy) are below their number
                    cutoff = unsafe { V::lookup(own.as_ptr(), kind) };
                }
                let (dx, dy, dz) = (sx - x, sy - y, sz - z);
                let r2 = dx.mul_add(dx, dy.mul_add(dy, dz * dz));
                let part: &[u32; LANES] = part.try_into().expect("a part of eight");
                let window = (&mut close[used..used + LANES]).try_into().expect("a part of eight");
                used += r2.compress(r2.lt(cutoff), part, window, &mut unused);
            }
            close[start] = (used - start - 1) as u32;
        }
    }
}

/// For a row: each of its edges, its own share and that of the same edge seen from the other end. With `unique` no atom
/// has two images within the cutoff of another.
#[inline(always)]
fn visit<S>(blocks: &[Block<S>], row: usize, unique: bool, mut with: impl FnMut(&Edge, &Share, &Share)) {
    let block = &blocks[row / BLOCK];
    for e in block.row(row % BLOCK) {
        let edge = &block.edges[e];
        let other = block.rows[e] as usize;
        let far = &blocks[other / BLOCK];
        let range = far.row(other % BLOCK);
        let first = range.start;
        let back = far.rows[range].iter().enumerate().position(|(f, &r)| {
            // images of one atom are never as close as this to each other
            let same = |d: &[f64; 3]| [0, 1, 2].iter().all(|&c| (edge.d[c] + d[c]).abs() < 1e-6);
            r as usize == row && (unique || same(&far.edges[first + f].d))
        });
        // rounding may leave one end just outside the cutoff, where its share is zero
        with(edge, &block.shares[e], &back.map_or_else(Share::default, |f| far.shares[first + f]));
    }
}

impl<M: SiteEnergy> Potential for SiteSum<M> {
    fn name(&self) -> &'static str {
        M::NAME
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
        check_species(M::NAME, self.model.species(), &input)?;
        let list = input.neighbors;
        let centers = list.centers();
        self.row_of_atom.resize(input.system.len(), 0);
        for (k, &c) in centers.iter().enumerate() {
            self.row_of_atom[list.atom(c)] = k as u32;
        }
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.resize_with(centers.len().div_ceil(BLOCK), Block::default);
        let this = &*self;
        if blocks.len() <= 2 {
            blocks.iter_mut().enumerate().for_each(|(b, block)| this.evaluate(list, want, b, block));
        } else {
            blocks.par_iter_mut().enumerate().for_each(|(b, block)| this.evaluate(list, want, b, block));
        }
        for block in &blocks {
            out.energy += block.energy;
            out.virial += block.virial;
        }
        let rows = &self.row_of_atom;
        // two images of an atom are at least as far from each other as the faces of the cell
        let apart =
            input.cell.heights().iter().zip(input.cell.periodic()).all(|(h, p)| !p || *h > 2.0 * self.cutoff);
        let at = |i: usize| rows[i] as usize;
        if want.contains(Properties::FORCES) {
            // in the order of the rows, so that what neighbours share is still in the cache
            self.forces.resize(rows.len(), Vec3::zeros());
            parallel::for_each_mut(&mut self.forces, |row, force| {
                let mut f = [0.0; 3];
                visit(&blocks, row, apart, |_, own, back| {
                    for c in 0..3 {
                        f[c] += own.g[c] - back.g[c];
                    }
                });
                *force = Vec3::from(f);
            });
            let forces = &self.forces;
            parallel::for_each_mut(&mut out.forces, |i, force| *force += forces[at(i)]);
        }
        if want.contains(Properties::ATOM_ENERGIES) {
            parallel::for_each_mut(&mut out.atom_energies, |i, energy| {
                let row = at(i);
                let mut e = blocks[row / BLOCK].energies[row % BLOCK];
                visit(&blocks, row, apart, |_, _, back| e += back.energy);
                *energy += e;
            });
        }
        if want.contains(Properties::ATOM_VIRIALS) {
            parallel::for_each_mut(&mut out.atom_virials, |i, virial| {
                visit(&blocks, at(i), apart, |edge, _, back| {
                    *virial += Vec3::from(edge.d) * Vec3::from(back.g).transpose();
                });
            });
        }
        self.blocks = blocks;
        Ok(())
    }
    fn citations(&self) -> Vec<&'static str> {
        self.model.citations()
    }
}

/// Refuses a system with species beyond those the parameters were made for.
pub(crate) fn check_species(
    potential: &'static str,
    known: usize,
    input: &Input<'_>,
) -> Result<(), PotentialError> {
    match input.system.species().get(known) {
        Some(s) => Err(PotentialError::UnknownSpecies { potential, species: s.symbol.clone() }),
        None => Ok(()),
    }
}
