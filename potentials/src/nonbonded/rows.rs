//! Rows of neighbours without the excluded pairs, sorted by what interacts.
use crate::electrostatics::{Exclusions, Nearest};
use crate::simd::LANES;
use caloron_engine::{Input, Vec3};
use std::ops::Range;

/// Parts of a row: Lennard-Jones alone, both, charges alone.
pub(crate) const PARTS: usize = 3;
/// Rows of one block.
pub(crate) const ROWS: usize = 64;

/// What an atom takes part in, as bits.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(crate) struct Takes(u8);

impl Takes {
    const DISPERSION: u8 = 1;
    const CHARGE: u8 = 2;
    pub fn new(dispersion: bool, charge: bool) -> Self {
        Self((u8::from(dispersion) * Self::DISPERSION) | (u8::from(charge) * Self::CHARGE))
    }
}

/// Sorts the neighbours of a centre into the parts of its row.
#[derive(Clone, Debug, Default)]
struct Sorter {
    parts: [Vec<u32>; PARTS],
    count: [usize; PARTS],
}

impl Sorter {
    /// Begins a row of at most so many neighbours.
    fn begin(&mut self, most: usize) {
        self.count = [0; PARTS];
        for part in &mut self.parts {
            if part.len() < most {
                part.resize(most, 0);
            }
        }
    }
    /// Adds a neighbour by what it and the centre take part in: written to every part, counted in one, which needs no
    /// branch. To be called at most as often as announced.
    #[inline]
    fn add(&mut self, site: u32, center: Takes, other: Takes) {
        const BOTH: u8 = Takes::DISPERSION | Takes::CHARGE;
        let shared = center.0 & other.0;
        for (p, kind) in [Takes::DISPERSION, BOTH, Takes::CHARGE].into_iter().enumerate() {
            self.parts[p][self.count[p]] = site;
            self.count[p] += usize::from(shared == kind);
        }
    }
}

/// The rows of up to [`ROWS`] centres; every part is filled up to a multiple of [`LANES`] with the dummy site.
#[derive(Clone, Debug, Default)]
pub(crate) struct Block {
    entries: Vec<u32>,
    /// Ends of the parts of each row.
    ends: Vec<[u32; PARTS]>,
}

impl Block {
    pub fn clear(&mut self) {
        self.entries.clear();
        self.ends.clear();
    }
    /// Adds a row.
    fn push(&mut self, sorted: &Sorter, dummy: u32) {
        let ends = std::array::from_fn(|p| {
            self.entries.extend_from_slice(&sorted.parts[p][..sorted.count[p]]);
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

/// Fills a block with the rows of `centers` of the neighbour list; `takes` says what each site takes part in.
pub(crate) fn from_list(
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
        // a bit for the last digits of each partner: most neighbours need no search
        let some = near.iter().fold(0u64, |bits, (j, _)| bits | 1 << (j % 64));
        let row = list.row(k);
        sorter.begin(row.len());
        for &s in row {
            if some >> (list.atom(s) % 64) & 1 == 0 || !excluded(s) {
                sorter.add(s, takes[center as usize], takes[s as usize]);
            }
        }
        block.push(&sorter, dummy);
    }
}

/// Fills the block of the atoms from `first` on with all other atoms of an open system.
pub(crate) fn all_pairs(
    block: &mut Block,
    first: usize,
    count: usize,
    takes: &[Takes],
    exclusions: &Exclusions,
) {
    block.clear();
    let dummy = takes.len() as u32;
    let mut sorter = Sorter::default();
    for i in first..first + count {
        let mut partners = exclusions.partners(i).iter().map(|p| p.atom).peekable();
        sorter.begin(takes.len());
        for j in 0..dummy {
            if partners.next_if_eq(&j).is_none() && j as usize != i {
                sorter.add(j, takes[i], takes[j as usize]);
            }
        }
        block.push(&sorter, dummy);
    }
}
