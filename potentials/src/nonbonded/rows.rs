//! Rows of neighbours without the excluded pairs, sorted by what interacts.
use crate::electrostatics::{Exclusions, Nearest};
use crate::simd::LANES;
use caloron_engine::{Input, Vec3};
use std::ops::Range;

/// Parts of a row: Lennard-Jones alone, both, charges alone.
pub(super) const PARTS: usize = 3;
/// Rows of one block.
pub(super) const ROWS: usize = 64;

/// What an atom takes part in.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Takes {
    pub dispersion: bool,
    pub charge: bool,
}

/// The rows of up to [`ROWS`] centres; every part is filled up to a multiple of [`LANES`] with the dummy site.
#[derive(Clone, Debug, Default)]
pub(super) struct Block {
    entries: Vec<u32>,
    /// Ends of the parts of each row.
    ends: Vec<[u32; PARTS]>,
}

impl Block {
    pub fn clear(&mut self) {
        self.entries.clear();
        self.ends.clear();
    }
    /// Adds the row of a centre: `others` gives its neighbours with what they take part in.
    pub fn push(
        &mut self,
        center: Takes,
        dummy: u32,
        others: impl Iterator<Item = (u32, Takes)>,
        parts: &mut [Vec<u32>; PARTS],
    ) {
        parts.iter_mut().for_each(Vec::clear);
        for (site, other) in others {
            match (center.dispersion && other.dispersion, center.charge && other.charge) {
                (true, false) => parts[0].push(site),
                (true, true) => parts[1].push(site),
                (false, true) => parts[2].push(site),
                (false, false) => {}
            }
        }
        let ends = std::array::from_fn(|p| {
            self.entries.extend_from_slice(&parts[p]);
            self.entries.resize(self.entries.len().next_multiple_of(LANES), dummy);
            self.entries.len() as u32
        });
        self.ends.push(ends);
    }
    /// The parts of row k.
    #[inline(always)]
    pub fn row(&self, k: usize) -> [&[u32]; PARTS] {
        let first = if k == 0 { 0 } else { self.ends[k - 1][PARTS - 1] };
        let [a, b, c] = self.ends[k];
        let part = |from: u32, to: u32| &self.entries[from as usize..to as usize];
        [part(first, a), part(a, b), part(b, c)]
    }
}

/// Fills a block with the rows of `centers` of the neighbour list.
pub(super) fn from_list(
    block: &mut Block,
    centers: Range<usize>,
    input: &Input<'_>,
    takes: &[Takes],
    exclusions: &Exclusions,
) {
    block.clear();
    let (list, positions) = (input.neighbors, input.positions);
    let nearest = Nearest::new(input.cell);
    let sites = list.sites();
    let dummy = sites.len() as u32;
    let mut parts: [Vec<u32>; PARTS] = Default::default();
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
        let others = list.row(k).iter().filter_map(|&s| {
            let j = list.atom(s);
            if let Ok(n) = near.binary_search_by_key(&(j as u32), |p| p.0) {
                let d = Vec3::from(sites[s as usize].position) - at;
                // images are lattice vectors apart, far more than rounding
                if (d - near[n].1).norm_squared() < 1e-6 {
                    return None;
                }
            }
            Some((s, takes[j]))
        });
        block.push(takes[i], dummy, others, &mut parts);
    }
}

/// Fills the block of the atoms from `first` on with all other atoms of an open system.
pub(super) fn all_pairs(
    block: &mut Block,
    first: usize,
    count: usize,
    takes: &[Takes],
    exclusions: &Exclusions,
) {
    block.clear();
    let dummy = takes.len() as u32;
    let mut parts: [Vec<u32>; PARTS] = Default::default();
    for i in first..first + count {
        let mut partners = exclusions.partners(i).iter().map(|p| p.atom).peekable();
        let others = (0..takes.len() as u32).filter_map(|j| {
            let excluded = partners.next_if_eq(&j).is_some();
            (!excluded && j as usize != i).then(|| (j, takes[j as usize]))
        });
        block.push(takes[i], dummy, others, &mut parts);
    }
}
