//! Neighbour lists: all pairs within a cutoff, over all periodic images.
//!
//! *Sites* are the atoms, wrapped into the cell, and those periodic images that can be a neighbour of one. They are
//! stored in the order of a grid of bins, which depends on the geometry alone; the list is then the same for
//! every backend and every number of threads. There is no minimum-image assumption: a cell may be smaller than
//! the cutoff, and an atom may be a neighbour of its own images.
//!
//! **When a list is still complete.** It holds all pairs closer than R = cutoff + skin in the reference geometry
//! (R_i, h₀) of the last build. Let F = h h₀⁻¹ and u_i = r_i − F R_i. A pair (or a pair of images) that is not in the
//! list had |D| ≥ R, and now has d = F D + u_j − u_i, hence |d| ≥ σ_min(F) R − |u_i| − |u_j|, where σ_min is the
//! smallest singular value. So the list holds every pair within the cutoff as long as the two largest |u| add up to
//! no more than σ_min(F) R − cutoff. For a fixed cell this is the skin.
mod brute_force;
mod candidates;
mod cell_grid;
mod kd_tree;
mod rows;
mod sites;

pub use rows::{BLOCK, WIDTH};

use crate::parallel;
use crate::{Archive, ArchiveError, Cell, Mat3, System, Vec3};
use candidates::Candidates;
use cell_grid::Grid;
use rayon::prelude::*;
use rows::Block;
use sites::Sites;

/// Coordinates beyond this are those of a run that has diverged.
const FARTHEST: f64 = 1e9;

/// An atom or one of its images, in the memory layout of the pair kernels (one aligned 32-byte load).
#[derive(Clone, Copy, Debug, Default, PartialEq)]
#[repr(C, align(32))]
pub struct Site {
    /// Position, Å.
    pub position: [f64; 3],
    /// Species index, as a number so that it travels in the same register.
    pub species: f64,
}

/// How neighbours are searched.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Search {
    /// The fastest backend for the geometry.
    #[default]
    Auto,
    /// Uniform grid of cells.
    CellGrid,
    /// k-d tree (kiddo).
    KdTree,
    /// Every pair of every image.
    BruteForce,
}

/// A full (directed) neighbour list over sites.
///
/// A *centre* is the site that represents an atom itself; row k holds the sites within the list radius of centre k,
/// in ascending order. Every atom is the centre of exactly one row.
#[derive(Clone, Debug)]
pub struct NeighborList {
    cutoff: f64,
    skin: f64,
    search: Search,
    backend: (Search, &'static str),
    sites: Sites,
    grid: Grid,
    blocks: Vec<Block>,
    /// Geometry of the last build; empty before the first.
    reference: Vec<Vec3>,
    reference_cell: Cell,
    /// The reference was restored from a checkpoint and the list is still to be built from it.
    restored: bool,
    non_finite: Option<usize>,
    builds: u64,
    build_seconds: f64,
}

impl Default for NeighborList {
    fn default() -> Self {
        Self::new(0.0, 0.0, Search::Auto)
    }
}

impl NeighborList {
    /// An empty list for a cutoff and a skin, both in Å.
    pub fn new(cutoff: f64, skin: f64, search: Search) -> Self {
        Self {
            cutoff,
            skin,
            search,
            backend: (search, "not built yet"),
            sites: Sites::default(),
            grid: Grid::default(),
            blocks: Vec::new(),
            reference: Vec::new(),
            reference_cell: Cell::open(),
            restored: false,
            non_finite: None,
            builds: 0,
            build_seconds: 0.0,
        }
    }
    /// Brings the list up to date with a geometry: rebuilds when atoms or cell moved too far since the last build
    /// (see the module), else refreshes the positions and species of the sites.
    pub fn update(&mut self, system: &System, positions: &[Vec3], cell: &Cell) {
        if std::mem::take(&mut self.restored) && self.reference.len() == positions.len() {
            let reference = std::mem::take(&mut self.reference);
            let at = self.reference_cell.clone();
            self.build(system, &reference, &at);
        }
        if self.is_complete_for(positions, cell) {
            self.sites.refresh(system, positions, cell);
        } else {
            let start = std::time::Instant::now();
            self.build(system, positions, cell);
            self.build_seconds += start.elapsed().as_secs_f64();
            self.builds += 1;
        }
    }
    /// True when every pair within the cutoff in this geometry is in the list.
    fn is_complete_for(&self, positions: &[Vec3], cell: &Cell) -> bool {
        if self.reference.len() != positions.len()
            || positions.is_empty()
            || cell.periodic() != self.reference_cell.periodic()
        {
            return false;
        }
        let reach = self.cutoff + self.skin;
        let (slack, moved) = if cell.matrix() == self.reference_cell.matrix() {
            (self.skin, two_largest(positions.len(), |i| positions[i] - self.reference[i]))
        } else {
            let f = cell.matrix() * self.reference_cell.inverse();
            let slack = smallest_singular_value(&f) * reach - self.cutoff;
            (slack, two_largest(positions.len(), |i| positions[i] - f * self.reference[i]))
        };
        // NaN compares false
        moved + 1e-12 * reach < slack
    }
    fn build(&mut self, system: &System, positions: &[Vec3], cell: &Cell) {
        self.non_finite = positions.iter().position(|r| !r.iter().all(|x| x.abs() < FARTHEST));
        self.reference.clear();
        if self.non_finite.is_some() {
            self.sites = Sites::default();
            self.blocks.clear();
            return;
        }
        self.reference.extend_from_slice(positions);
        self.reference_cell = cell.clone();
        let reach = self.cutoff + self.skin;
        self.sites.build(system, positions, cell, reach, &mut self.grid);
        self.backend = self.choose();
        let sites = &self.sites.site[..self.sites.atom.len()];
        let tree = if self.backend.0 == Search::KdTree { kd_tree::Tree::new(sites) } else { None };
        if self.backend.0 == Search::KdTree && tree.is_none() {
            self.backend = (Search::CellGrid, "the k-d tree cannot hold so many sites in one place");
        }
        let (grid, centers, backend) = (&self.grid, &self.sites.centers, self.backend.0);
        let dummy = sites.len() as u32;
        self.blocks.resize_with(centers.len().div_ceil(BLOCK), Block::default);
        let candidates = Candidates::of(grid);
        let fill = |candidates: &mut Candidates, (b, block): (usize, &mut Block)| {
            let centers = &centers[b * BLOCK..((b + 1) * BLOCK).min(centers.len())];
            block.clear();
            match (backend, &tree) {
                (Search::KdTree, Some(tree)) => tree.search(sites, centers, reach, dummy, block),
                (Search::BruteForce, _) => brute_force::search(sites, centers, reach, dummy, block),
                _ => candidates.search(grid, sites, centers, dummy, block),
            }
        };
        if self.blocks.len() <= 2 {
            let mut own = candidates;
            self.blocks.iter_mut().enumerate().for_each(|item| fill(&mut own, item));
        } else {
            self.blocks.par_iter_mut().enumerate().for_each_init(|| candidates.clone(), fill);
        }
    }
    fn choose(&self) -> (Search, &'static str) {
        match self.search {
            Search::Auto if self.sites.atom.len() <= 48 => (Search::BruteForce, "few sites"),
            Search::Auto if self.grid.is_sparse() && self.sites.atom.len() > 512 => {
                (Search::KdTree, "few atoms in much space")
            }
            Search::Auto => (Search::CellGrid, "dense"),
            chosen => (chosen, "as asked"),
        }
    }
    /// The cutoff pairs are complete for, Å.
    pub fn cutoff(&self) -> f64 {
        self.cutoff
    }
    /// The margin that saves rebuilds, Å.
    pub fn skin(&self) -> f64 {
        self.skin
    }
    /// The backend of the last build and why it was taken.
    pub fn backend(&self) -> (Search, &'static str) {
        self.backend
    }
    /// Wall time spent in builds, s.
    pub fn build_seconds(&self) -> f64 {
        self.build_seconds
    }
    /// Atoms and images.
    #[inline]
    pub fn sites(&self) -> &[Site] {
        &self.sites.site[..self.sites.atom.len()]
    }
    /// Atoms and images, and after them the dummy site that [`NeighborList::padded_row`] refers to.
    #[inline]
    pub fn padded_sites(&self) -> &[Site] {
        &self.sites.site
    }
    /// The site of each atom itself, in the order of the rows (not the order of the atoms).
    #[inline]
    pub fn centers(&self) -> &[u32] {
        &self.sites.centers
    }
    /// Sites within the list radius of centre k, in ascending order.
    #[inline]
    pub fn row(&self, k: usize) -> &[u32] {
        self.blocks[k / BLOCK].row(k % BLOCK)
    }
    /// The same, filled up to a multiple of [`WIDTH`] with the dummy site, which is farther away than any cutoff.
    #[inline]
    pub fn padded_row(&self, k: usize) -> &[u32] {
        self.blocks[k / BLOCK].padded(k % BLOCK)
    }
    /// Number of directed pairs.
    pub fn pairs(&self) -> usize {
        self.blocks.iter().map(Block::entries).sum()
    }
    /// The atom a site is an image of.
    #[inline]
    pub fn atom(&self, site: u32) -> usize {
        self.sites.atom[site as usize] as usize
    }
    /// The lattice translation of a site: its position is that of its atom plus h times this.
    #[inline]
    pub fn shift(&self, site: u32) -> [i32; 3] {
        self.sites.shift[site as usize]
    }
    /// How often the list was built.
    pub fn builds(&self) -> u64 {
        self.builds
    }
    /// An atom whose position is not finite, or so large that it has lost its meaning (1e9 Å), seen at the last update; the list is then empty.
    pub fn non_finite(&self) -> Option<usize> {
        self.non_finite
    }
    /// Memory held, bytes.
    pub fn bytes(&self) -> usize {
        self.sites.bytes()
            + self.grid.bytes()
            + self.blocks.iter().map(Block::bytes).sum::<usize>()
            + self.reference.capacity() * size_of::<Vec3>()
    }
    /// Saves or restores the geometry of the last build, from which the same list is built again, so that a restarted
    /// run sees the same rows and rebuilds at the same steps.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("neighbour list")?;
        archive.u64(&mut self.builds)?;
        archive.vec3_vec(&mut self.reference)?;
        archive.cell(&mut self.reference_cell)?;
        self.restored = archive.is_reading() || self.restored;
        Ok(())
    }
}

/// Sum of the two largest |d(i)|, in fixed order; NaN when one is NaN.
fn two_largest(n: usize, d: impl Fn(usize) -> Vec3 + Sync) -> f64 {
    #[derive(Clone, Copy)]
    struct Largest(f64, f64);
    impl std::ops::Add for Largest {
        type Output = Self;
        fn add(self, other: Self) -> Self {
            let (high, low) = if other.0 > self.0 { (other.0, self.0) } else { (self.0, other.0) };
            let second = if self.1 > other.1 { self.1 } else { other.1 };
            // a NaN in front stays in front
            let high = if self.0.is_nan() || other.0.is_nan() { f64::NAN } else { high };
            Self(high, if low > second { low } else { second })
        }
    }
    let largest = parallel::sum(n, Largest(0.0, 0.0), |i| Largest(d(i).norm_squared(), 0.0));
    largest.0.sqrt() + largest.1.sqrt()
}

/// The smallest factor by which F stretches a vector.
fn smallest_singular_value(f: &Mat3) -> f64 {
    (f.transpose() * f).symmetric_eigenvalues().min().max(0.0).sqrt()
}
