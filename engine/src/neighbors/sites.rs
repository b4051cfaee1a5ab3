//! Atoms and the images that can be their neighbours, in the order of a grid of bins.
use super::Site;
use super::cell_grid::Grid;
use crate::{Cell, System, Vec3};
use rayon::prelude::*;

/// Position of the dummy site that fills rows up to whole vectors: so far away that no pair counts it, so near
/// that no power of the distance overflows.
const NOWHERE: f64 = 1e12;
/// Sites refreshed per task.
const CHUNK: usize = 4096;

/// All sites of a geometry. The last entry of `site` is the dummy and belongs to no atom.
#[derive(Clone, Debug, Default)]
pub(super) struct Sites {
    pub site: Vec<Site>,
    pub atom: Vec<u32>,
    pub shift: Vec<[i32; 3]>,
    pub centers: Vec<u32>,
    /// Unsorted sites: atom, translation and whether the site is the atom itself.
    found: Vec<(u32, [i32; 3], bool)>,
}

/// r + h n, written out so that every caller rounds alike.
#[inline]
pub(super) fn image(h: &[f64; 9], r: &Vec3, n: [i32; 3]) -> [f64; 3] {
    let [a, b, c] = n.map(f64::from);
    std::array::from_fn(|k| r[k] + ((h[k] * a + h[3 + k] * b) + h[6 + k] * c))
}

/// Lattice vectors one after another, zero where nothing repeats (so that 0 times them is exact).
pub(super) fn lattice(cell: &Cell) -> [f64; 9] {
    let p = cell.periodic();
    std::array::from_fn(|k| if p[k / 3] { cell.matrix()[(k % 3, k / 3)] } else { 0.0 })
}

/// The largest integer not above x, without a call where the instruction may be missing.
fn floor(x: f64) -> i32 {
    let whole = x as i32;
    whole - i32::from(f64::from(whole) > x)
}

/// The smallest and the largest coordinates seen.
#[derive(Clone, Copy)]
struct Bounds([f64; 3], [f64; 3]);

impl Bounds {
    const EMPTY: Self = Self([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    fn add(&mut self, p: &[f64; 3]) {
        for k in 0..3 {
            self.0[k] = self.0[k].min(p[k]);
            self.1[k] = self.1[k].max(p[k]);
        }
    }
    fn grown(self, by: [f64; 3]) -> Self {
        Self(std::array::from_fn(|k| self.0[k] - by[k]), std::array::from_fn(|k| self.1[k] + by[k]))
    }
    fn holds(&self, p: &[f64; 3]) -> bool {
        (0..3).all(|k| self.0[k] <= p[k] && p[k] <= self.1[k])
    }
}

impl Sites {
    /// Finds and orders the sites of a geometry whose coordinates are all finite.
    pub fn build(&mut self, system: &System, positions: &[Vec3], cell: &Cell, reach: f64, grid: &mut Grid) {
        let h = lattice(cell);
        self.find(positions, cell, reach);
        let mut bounds = Bounds::EMPTY;
        for &(i, n, _) in &self.found {
            bounds.add(&image(&h, &positions[i as usize], n));
        }
        grid.lay(bounds.0, bounds.1, reach, self.found.len());
        let places = grid.sort(self.found.iter().map(|&(i, n, _)| image(&h, &positions[i as usize], n)));
        let count = self.found.len();
        self.site.resize(count + 1, Site::default());
        self.atom.resize(count, 0);
        self.shift.resize(count, [0; 3]);
        self.centers.clear();
        self.centers.reserve_exact(positions.len());
        for (&(i, n, center), &place) in self.found.iter().zip(places) {
            let place = place as usize;
            self.atom[place] = i;
            self.shift[place] = n;
            if center {
                self.centers.push(place as u32);
            }
        }
        self.centers.sort_unstable();
        self.site[count] = Site { position: [NOWHERE; 3], species: 0.0 };
        self.refresh(system, positions, cell);
        grid.coordinates(&self.site);
    }
    /// Puts every site where its atom says.
    pub fn refresh(&mut self, system: &System, positions: &[Vec3], cell: &Cell) {
        let h = lattice(cell);
        let types = system.types();
        let count = self.atom.len();
        let (atom, shift) = (&self.atom, &self.shift);
        let chunk = |b: usize, sites: &mut [Site]| {
            let first = b * CHUNK;
            let (atom, shift) = (&atom[first..first + sites.len()], &shift[first..first + sites.len()]);
            for ((site, &i), &n) in sites.iter_mut().zip(atom).zip(shift) {
                let i = i as usize;
                *site = Site { position: image(&h, &positions[i], n), species: f64::from(types[i]) };
            }
        };
        let sites = &mut self.site[..count];
        if count <= 2 * CHUNK {
            sites.chunks_mut(CHUNK).enumerate().for_each(|(b, s)| chunk(b, s));
        } else {
            sites.par_chunks_mut(CHUNK).enumerate().for_each(|(b, s)| chunk(b, s));
        }
    }
    /// The atoms, wrapped into the cell, and the images within `reach` of the region they fill.
    fn find(&mut self, positions: &[Vec3], cell: &Cell, reach: f64) {
        let (h, inverse, periodic) = (lattice(cell), cell.inverse(), cell.periodic());
        let wrap = |r: &Vec3| {
            let s = inverse * r;
            let n: [i32; 3] = std::array::from_fn(|k| if periodic[k] { -(s[k].floor() as i32) } else { 0 });
            ([s[0] + f64::from(n[0]), s[1] + f64::from(n[1]), s[2] + f64::from(n[2])], n)
        };
        let (mut fractional, mut cartesian) = (Bounds::EMPTY, Bounds::EMPTY);
        for r in positions {
            let (s, n) = wrap(r);
            fractional.add(&s);
            cartesian.add(&image(&h, r, n));
        }
        // a margin far above rounding: an image too many costs nothing, one too few is wrong
        let reach = reach * (1.0 + 1e-9);
        let region = fractional.grown(cell.heights().map(|height| reach / height));
        let cartesian = cartesian.grown([reach; 3]);
        self.found.clear();
        for (i, r) in positions.iter().enumerate() {
            let (s, wrapped) = wrap(r);
            let range: [(i32, i32); 3] = std::array::from_fn(|k| {
                if periodic[k] {
                    let (low, high) = (region.0[k] - s[k], region.1[k] - s[k]);
                    // most atoms have no image along this direction
                    (if low > -1.0 { 0 } else { low.ceil() as i32 }, if high < 1.0 { 0 } else { floor(high) })
                } else {
                    (0, 0)
                }
            });
            for a in range[0].0..=range[0].1 {
                for b in range[1].0..=range[1].1 {
                    for c in range[2].0..=range[2].1 {
                        let center = [a, b, c] == [0; 3];
                        let n = [wrapped[0] + a, wrapped[1] + b, wrapped[2] + c];
                        if center || cartesian.holds(&image(&h, r, n)) {
                            self.found.push((i as u32, n, center));
                        }
                    }
                }
            }
        }
        assert!(self.found.len() < u32::MAX as usize, "more than 2^32 atoms and images");
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.site.capacity() * size_of::<Site>()
            + (self.atom.capacity() + self.centers.capacity()) * 4
            + self.shift.capacity() * 12
            + self.found.capacity() * size_of::<(u32, [i32; 3], bool)>()
    }
}
