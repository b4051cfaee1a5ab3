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
//! smallest singular value. So a pair can only be missing if |u_i| + |u_j| exceeds the slack σ_min(F) R − cutoff (for a
//! fixed cell this is the skin), and then one of the two atoms, a *runner*, has moved by more than half of the slack.
//! While runners are few, each is searched for: the list is complete if as many sites are within the cutoff of it as its
//! row holds. Sites reach a margin beyond R, so that those that matter exist; the same bound with R + margin
//! says for how long.
mod atom_rows;
mod brute_force;
mod candidates;
mod cell_grid;
mod kd_tree;
mod rows;
mod sites;

pub use atom_rows::AtomRows;
pub use rows::{BLOCK, WIDTH};

use crate::{Archive, ArchiveError, Cell, Mat3, Revision, System, Vec3, parallel};
use candidates::Candidates;
use cell_grid::{Grid, distance_squared};
use rayon::prelude::*;
use rows::Block;
use sites::Sites;

/// Sites up to which every pair is tested, and sites in the bin of a site from which on the k-d tree is faster than the
/// grid: where the curves of `benches/neighbors.rs` cross.
const FEW: usize = 80;
const CROWDED: f64 = 4000.0;
/// Coordinates beyond this are those of a run that has diverged.
const FARTHEST: f64 = 1e9;

/// How far sites reach beyond the list radius, in skins.
const MARGIN: f64 = 0.8;
/// Most runners that are searched for, as a fraction of the atoms; with more of them a build costs less.
const RUNNERS: f64 = 0.02;

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
    /// Geometry of the last build, in the order of the centres; empty before the first.
    reference: Vec<Vec3>,
    reference_cell: Cell,
    /// Positions (in the order of the atoms) from a checkpoint that the list is still to be built from.
    restored: Option<Vec<Vec3>>,
    non_finite: Option<usize>,
    builds: u64,
    build_seconds: f64,
    /// Of the present rows; none before the first build.
    revision: Option<Revision>,
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
            restored: None,
            non_finite: None,
            builds: 0,
            build_seconds: 0.0,
            revision: None,
        }
    }
    /// Brings the list up to date with a geometry: rebuilds when atoms or cell moved too far since the last build
    /// (see the module), else refreshes the positions and species of the sites.
    pub fn update(&mut self, system: &System, positions: &[Vec3], cell: &Cell) {
        if let Some(reference) = self.restored.take().filter(|r| r.len() == positions.len()) {
            let at = self.reference_cell.clone();
            self.build(system, &reference, &at);
        }
        if !self.refresh(system, positions, cell) {
            let start = std::time::Instant::now();
            self.build(system, positions, cell);
            self.build_seconds += start.elapsed().as_secs_f64();
            self.builds += 1;
        }
    }
    /// Puts the sites where their atoms are. True when every pair within the cutoff in this geometry is in the list.
    fn refresh(&mut self, system: &System, positions: &[Vec3], cell: &Cell) -> bool {
        if self.reference.len() != positions.len()
            || positions.is_empty()
            || cell.periodic() != self.reference_cell.periodic()
        {
            return false;
        }
        let reach = self.cutoff + self.skin;
        let f = (cell.matrix() != self.reference_cell.matrix())
            .then(|| cell.matrix() * self.reference_cell.inverse());
        let stretch = f.as_ref().map_or(1.0, smallest_singular_value);
        // the skin itself, not a difference, where nothing is deformed
        let slack = if f.is_none() { self.skin } else { stretch * reach - self.cutoff } - 1e-12 * reach;
        if slack.is_nan() || slack <= 0.0 {
            return false;
        }
        let limit = 0.25 * slack * slack;
        let moved = self.sites.refresh(system, positions, cell, &self.reference, f.as_ref(), limit);
        // NaN compares false
        moved.two_longest() < slack
            || moved.two_longest() < slack + stretch * self.margin()
                && moved.beyond <= 1 + (RUNNERS * positions.len() as f64) as usize
                && self.holds_all_near_runners(positions, f.as_ref(), limit)
    }
    /// How far sites reach beyond the list radius.
    fn margin(&self) -> f64 {
        MARGIN * self.skin
    }
    /// True when the rows of all atoms that moved by more than the root of `limit` hold every site within the cutoff.
    fn holds_all_near_runners(&self, positions: &[Vec3], f: Option<&Mat3>, limit: f64) -> bool {
        let block = |b: usize| {
            (b * BLOCK..((b + 1) * BLOCK).min(self.reference.len())).all(|k| {
                let (r, reference) = (positions[self.atom(self.sites.centers[k])], self.reference[k]);
                let u = f.map_or(r - reference, |f| r - f * reference);
                u.norm_squared() <= limit || self.holds_all_near(k)
            })
        };
        (0..self.blocks.len()).into_par_iter().all(block)
    }
    /// True when row k holds every site within the cutoff.
    fn holds_all_near(&self, k: usize) -> bool {
        let c = self.sites.centers[k];
        // where the centre was when the sites were put into their bins, and all who may be near by now
        let place = sites::image(&sites::lattice(&self.reference_cell), &self.reference[k], self.shift(c));
        let reach = self.cutoff + self.skin + self.margin();
        let sites = self.sites();
        let center = &sites[c as usize].position;
        // not to hang on the rounding of a kernel
        let square = self.cutoff * self.cutoff * (1.0 + 1e-12);
        let near = |s: &Site| usize::from(distance_squared(center, &s.position) <= square);
        let mut all = 0;
        self.grid.runs(place, place, reach, |from, to| {
            all += sites[from as usize..to as usize].iter().map(near).sum::<usize>();
        });
        let listed: usize = self.row(k).iter().map(|&s| near(&sites[s as usize])).sum();
        all == listed + 1
    }
    fn build(&mut self, system: &System, positions: &[Vec3], cell: &Cell) {
        self.revision = Some(Revision::next());
        let diverged = |r: &Vec3| !r.iter().all(|x| x.abs() < FARTHEST);
        self.non_finite = positions.par_iter().with_min_len(parallel::BLOCK).position_first(diverged);
        self.reference.clear();
        if self.non_finite.is_some() {
            self.sites = Sites::default();
            self.blocks.clear();
            return;
        }
        self.reference_cell = cell.clone();
        let reach = self.cutoff + self.skin;
        self.sites.build(system, positions, cell, [reach, reach + self.margin()], &mut self.grid);
        let Sites { centers, atom, .. } = &self.sites;
        self.reference.resize(centers.len(), Vec3::zeros());
        parallel::for_each_mut(&mut self.reference, |k, r| {
            *r = positions[atom[centers[k] as usize] as usize]
        });
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
            Search::Auto if self.sites.atom.len() <= FEW => (Search::BruteForce, "few sites"),
            Search::Auto if self.grid.is_sparse() && self.grid.crowding() > CROWDED => {
                (Search::KdTree, "clusters far apart")
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
    /// Identity of the present rows, for those who keep something made from them; `None` before the first build.
    pub fn revision(&self) -> Option<Revision> {
        self.revision
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
    /// Forgets the last build: the next update builds anew.
    pub fn forget(&mut self) {
        self.reference.clear();
        self.restored = None;
    }
    /// Saves or restores the geometry of the last build, from which the same list is built again, so that a restarted
    /// run sees the same rows and rebuilds at the same steps.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("neighbour list")?;
        archive.u64(&mut self.builds)?;
        let mut reference = match &mut self.restored {
            Some(restored) => std::mem::take(restored),
            None => {
                let mut reference = vec![Vec3::zeros(); self.reference.len()];
                for (&c, r) in self.sites.centers.iter().zip(&self.reference) {
                    reference[self.sites.atom[c as usize] as usize] = *r;
                }
                reference
            }
        };
        archive.vec3_vec(&mut reference)?;
        if archive.is_reading() {
            self.reference.clear();
        }
        archive.cell(&mut self.reference_cell)?;
        if archive.is_reading() || self.restored.is_some() {
            self.restored = Some(reference);
        }
        Ok(())
    }
}

/// The smallest factor by which F stretches a vector.
fn smallest_singular_value(f: &Mat3) -> f64 {
    (f.transpose() * f).symmetric_eigenvalues().min().max(0.0).sqrt()
}
