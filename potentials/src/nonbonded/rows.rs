//! Rows of neighbours without the excluded pairs, sorted by what interacts.
pub(crate) use super::sorter::Takes;
use super::sorter::{Partners, Sorter};
use crate::electrostatics::{Exclusions, Nearest};
use crate::simd::Level;
use caloron_engine::{Input, Vec3};
use rayon::prelude::*;
use std::ops::Range;

/// Parts of a row: Lennard-Jones alone, both, charges alone.
pub(crate) const PARTS: usize = 3;
/// The first parts, with a Lennard-Jones interaction.
pub(crate) const DISPERSION_PARTS: usize = 2;
/// Rows of one block.
pub(crate) const ROWS: usize = 64;

/// What rows are filled from.
#[derive(Clone, Copy)]
pub(crate) struct Filling<'a> {
    /// What each site takes part in.
    pub takes: &'a [Takes],
    /// Type of each site, and of the dummy behind them.
    pub kinds: &'a [u16],
    pub exclusions: &'a Exclusions,
    /// Lanes of the kernel.
    pub width: usize,
    pub level: Level,
}

/// The rows of up to [`ROWS`] centres; every part is filled up to a multiple of the lanes with the dummy site.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    entries: Vec<u32>,
    /// Ends of the parts of each row.
    ends: Vec<[u32; PARTS]>,
    /// Types of the entries with a Lennard-Jones interaction.
    kinds: Vec<u16>,
    /// Ends of the types of each row.
    kind_ends: Vec<u32>,
}

impl Block {
    pub fn clear(&mut self) {
        self.entries.clear();
        self.ends.clear();
        self.kinds.clear();
        self.kind_ends.clear();
    }
    /// Adds a row.
    fn push(&mut self, sorted: &Sorter, filling: &Filling<'_>) {
        let dummy = filling.takes.len() as u32;
        let mut ends = [0; PARTS];
        for (p, end) in ends.iter_mut().enumerate() {
            let part = sorted.part(p);
            self.entries.extend_from_slice(part);
            let filled = self.entries.len().next_multiple_of(filling.width);
            if p < DISPERSION_PARTS {
                self.kinds.extend(part.iter().map(|s| filling.kinds[*s as usize]));
                let more = filled - self.entries.len();
                self.kinds.extend(std::iter::repeat_n(filling.kinds[dummy as usize], more));
            }
            self.entries.resize(filled, dummy);
            *end = filled as u32;
        }
        self.ends.push(ends);
        self.kind_ends.push(self.kinds.len() as u32);
    }
    /// The parts of row k, and the types of those with a Lennard-Jones interaction.
    #[inline(always)]
    pub fn row(&self, k: usize) -> ([&[u32]; PARTS], [&[u16]; DISPERSION_PARTS]) {
        let (first, kinds) =
            if k == 0 { (0, 0) } else { (self.ends[k - 1][PARTS - 1], self.kind_ends[k - 1]) };
        let [a, b, c] = self.ends[k];
        let part = |from: u32, to: u32| &self.entries[from as usize..to as usize];
        let (both, middle) = (&self.kinds[kinds as usize..self.kind_ends[k] as usize], (a - first) as usize);
        ([part(first, a), part(a, b), part(b, c)], [&both[..middle], &both[middle..]])
    }
}

/// Calls `work(b, items of block b)` for blocks of [`ROWS`] items, in parallel when there is more than one.
pub(crate) fn for_blocks<T: Send>(items: &mut [T], work: impl Fn((usize, &mut [T])) + Sync + Send) {
    if items.len() <= ROWS {
        items.chunks_mut(ROWS).enumerate().for_each(work);
    } else {
        items.par_chunks_mut(ROWS).enumerate().for_each(work);
    }
}

/// Fills a block with the rows of `centers` of the neighbour list.
pub(crate) fn from_list(block: &mut Block, centers: Range<usize>, input: &Input<'_>, filling: &Filling<'_>) {
    let Filling { takes, exclusions, .. } = *filling;
    block.clear();
    let (list, positions) = (input.neighbors, input.positions);
    let nearest = Nearest::new(input.cell);
    let sites = list.sites();
    let mut sorter = Sorter::default();
    // the nearest images of the partners of a centre: atom and vector
    let mut near: Vec<(u32, Vec3)> = Vec::new();
    for k in centers {
        let center = list.centers()[k];
        let i = list.atom(center);
        let at = Vec3::from(sites[center as usize].position);
        near.clear();
        near.extend(exclusions.partners(i).iter().map(|p| {
            let j = p.atom as usize;
            (p.atom, nearest.between(i, j, positions))
        }));
        let excluded = |s: u32| {
            near.binary_search_by_key(&(list.atom(s) as u32), |p| p.0).is_ok_and(|n| {
                let d = Vec3::from(sites[s as usize].position) - at;
                // images are lattice vectors apart, far more than rounding
                (d - near[n].1).norm_squared() < 1e-6
            })
        };
        let mut some = Partners::default();
        near.iter().for_each(|(j, _)| some.add(*j as usize));
        // SAFETY: rows of the list hold indices of its sites
        unsafe { sorter.sort(filling.level, list.row(k), takes, takes[center as usize], some, excluded) };
        block.push(&sorter, filling);
    }
}

/// Fills the block of the atoms from `first` on with all other atoms of an open system.
pub(crate) fn all_pairs(block: &mut Block, first: usize, count: usize, filling: &Filling<'_>) {
    let Filling { takes, exclusions, .. } = *filling;
    block.clear();
    let atoms = takes.len() as u32;
    let mut sorter = Sorter::default();
    let mut others = Vec::with_capacity(takes.len());
    for i in first..first + count {
        let mut partners = exclusions.partners(i).iter().map(|p| p.atom).peekable();
        others.clear();
        others.extend((0..atoms).filter(|j| partners.next_if_eq(j).is_none() && *j as usize != i));
        // SAFETY: these are the atoms
        unsafe { sorter.sort(filling.level, &others, takes, takes[i], Partners::default(), |_| false) };
        block.push(&sorter, filling);
    }
}
