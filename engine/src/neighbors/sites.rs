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
    /// The unsorted sites, in parts that threads find independently.
    parts: Vec<Part>,
    /// Whether a site is its atom itself.
    is_center: Vec<bool>,
}

/// A site before sorting.
#[derive(Clone, Copy, Debug)]
struct Found {
    position: [f64; 3],
    shift: [i32; 3],
    atom: u32,
    bin: u32,
    stepped: [i32; 3],
    center: bool,
}

/// The sites of [`CHUNK`] consecutive atoms: the atoms, then their images.
#[derive(Clone, Debug, Default)]
struct Part {
    sites: Vec<Found>,
    /// Fractional coordinates of the atoms, wrapped.
    wrapped: Vec<[f64; 3]>,
    fractional: Bounds,
    cartesian: Bounds,
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
    whole.saturating_sub(i32::from(f64::from(whole) > x))
}

/// The smallest and the largest coordinates seen.
#[derive(Clone, Copy, Debug)]
struct Bounds([f64; 3], [f64; 3]);

impl Default for Bounds {
    fn default() -> Self {
        Self::EMPTY
    }
}

impl Bounds {
    const EMPTY: Self = Self([f64::INFINITY; 3], [f64::NEG_INFINITY; 3]);
    fn add(&mut self, p: &[f64; 3]) {
        for k in 0..3 {
            self.0[k] = if p[k] < self.0[k] { p[k] } else { self.0[k] };
            self.1[k] = if p[k] > self.1[k] { p[k] } else { self.1[k] };
        }
    }
    fn join(self, other: &Self) -> Self {
        Self(
            std::array::from_fn(|k| self.0[k].min(other.0[k])),
            std::array::from_fn(|k| self.1[k].max(other.1[k])),
        )
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
        let count = self.find(positions, cell, reach);
        let bounds = self.parts.iter().fold(Bounds::EMPTY, |b, p| b.join(&p.cartesian));
        grid.lay(bounds.0, bounds.1, reach, count);
        let bins = &*grid;
        each(&mut self.parts, |_, part| {
            for site in &mut part.sites {
                site.bin = bins.bin(&site.position);
                site.stepped = bins.stepped(&site.position);
            }
        });
        let parts = &self.parts;
        grid.sort(parts.len(), |k| parts[k].sites.iter().map(|s| s.bin));
        self.site.resize(count + 1, Site::default());
        self.site[count] = Site { position: [NOWHERE; 3], species: 0.0 };
        self.atom.resize(count, 0);
        self.shift.resize(count, [0; 3]);
        self.is_center.resize(count, false);
        let types = system.types();
        let mut tasks: Vec<Task<'_>> = self.site[..count]
            .chunks_mut(CHUNK)
            .zip(self.atom.chunks_mut(CHUNK).zip(self.shift.chunks_mut(CHUNK)))
            .zip(self.is_center.chunks_mut(CHUNK).zip(grid.order.chunks(CHUNK)))
            .zip(grid.x[..count].chunks_mut(CHUNK))
            .zip(grid.y[..count].chunks_mut(CHUNK).zip(grid.z[..count].chunks_mut(CHUNK)))
            .map(|((((site, (atom, shift)), (is_center, order)), x), (y, z))| Task {
                site,
                atom,
                shift,
                is_center,
                order,
                x,
                y,
                z,
            })
            .collect();
        each(&mut tasks, |_, task| task.gather(parts, types));
        self.centers.resize(positions.len() + 1, 0);
        let mut next = 0;
        for (place, &center) in self.is_center.iter().enumerate() {
            self.centers[next] = place as u32;
            next += usize::from(center);
        }
        self.centers.truncate(positions.len());
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
    /// The atoms, wrapped into the cell, and the images within `reach` of the region they fill. Returns how many.
    fn find(&mut self, positions: &[Vec3], cell: &Cell, reach: f64) -> usize {
        let (h, inverse, periodic) = (lattice(cell), cell.inverse(), cell.periodic());
        let chunks = positions.len().div_ceil(CHUNK);
        self.parts.resize_with(chunks, Part::default);
        each(&mut self.parts, |b, part| {
            (part.fractional, part.cartesian) = (Bounds::EMPTY, Bounds::EMPTY);
            part.sites.clear();
            part.wrapped.clear();
            let (first, last) = (b * CHUNK, ((b + 1) * CHUNK).min(positions.len()));
            for (i, r) in (first..last).zip(&positions[first..last]) {
                let s = inverse * r;
                let shift = std::array::from_fn(|k| if periodic[k] { -floor(s[k]) } else { 0 });
                let s = std::array::from_fn(|k| s[k] + f64::from(shift[k]));
                let position = image(&h, r, shift);
                part.fractional.add(&s);
                part.cartesian.add(&position);
                part.wrapped.push(s);
                part.sites.push(Found {
                    position,
                    shift,
                    atom: i as u32,
                    bin: 0,
                    stepped: [0; 3],
                    center: true,
                });
            }
        });
        let whole = |of: fn(&Part) -> &Bounds| self.parts.iter().fold(Bounds::EMPTY, |b, p| b.join(of(p)));
        // a margin far above rounding: an image too many costs nothing, one too few is wrong
        let reach = reach * (1.0 + 1e-9);
        let region = whole(|p| &p.fractional).grown(cell.heights().map(|height| reach / height));
        let cartesian = whole(|p| &p.cartesian).grown([reach; 3]);
        each(&mut self.parts, |_, part| {
            for k in 0..part.wrapped.len() {
                let s = part.wrapped[k];
                let (low, high): ([f64; 3], [f64; 3]) = (
                    std::array::from_fn(|k| region.0[k] - s[k]),
                    std::array::from_fn(|k| region.1[k] - s[k]),
                );
                // most atoms have no image
                if (0..3).all(|k| !periodic[k] || (low[k] > -1.0 && high[k] < 1.0)) {
                    continue;
                }
                let range: [(i32, i32); 3] =
                    std::array::from_fn(
                        |k| {
                            if periodic[k] { (-floor(-low[k]), floor(high[k])) } else { (0, 0) }
                        },
                    );
                let Found { shift: wrapped, atom, .. } = part.sites[k];
                let r = &positions[atom as usize];
                for a in range[0].0..=range[0].1 {
                    for b in range[1].0..=range[1].1 {
                        for c in range[2].0..=range[2].1 {
                            if [a, b, c] == [0; 3] {
                                continue;
                            }
                            let shift = [wrapped[0] + a, wrapped[1] + b, wrapped[2] + c];
                            let position = image(&h, r, shift);
                            if cartesian.holds(&position) {
                                part.cartesian.add(&position);
                                part.sites.push(Found {
                                    position,
                                    shift,
                                    atom,
                                    bin: 0,
                                    stepped: [0; 3],
                                    center: false,
                                });
                            }
                        }
                    }
                }
            }
        });
        let count = self.parts.iter().map(|p| p.sites.len()).sum::<usize>();
        assert!(count < u32::MAX as usize, "more than 2^32 atoms and images");
        count
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.site.capacity() * size_of::<Site>()
            + (self.atom.capacity() + self.centers.capacity()) * 4
            + self.shift.capacity() * 12
            + self.is_center.capacity()
            + self.parts.iter().map(Part::bytes).sum::<usize>()
    }
}

impl Part {
    fn bytes(&self) -> usize {
        self.sites.capacity() * size_of::<Found>() + self.wrapped.capacity() * size_of::<[f64; 3]>()
    }
}

/// A run of places to be filled.
struct Task<'a> {
    site: &'a mut [Site],
    atom: &'a mut [u32],
    shift: &'a mut [[i32; 3]],
    is_center: &'a mut [bool],
    order: &'a [[u32; 2]],
    x: &'a mut [i32],
    y: &'a mut [i32],
    z: &'a mut [i32],
}

impl Task<'_> {
    fn gather(&mut self, parts: &[Part], types: &[u16]) {
        for (k, &[part, number]) in self.order.iter().enumerate() {
            let found = &parts[part as usize].sites[number as usize];
            let species = f64::from(types[found.atom as usize]);
            self.site[k] = Site { position: found.position, species };
            self.atom[k] = found.atom;
            self.shift[k] = found.shift;
            self.is_center[k] = found.center;
            [self.x[k], self.y[k], self.z[k]] = found.stepped;
        }
    }
}

/// Calls `f(k, &mut items[k])` for every item, in parallel when there are many.
fn each<T: Send>(items: &mut [T], f: impl Fn(usize, &mut T) + Sync) {
    if items.len() <= 2 {
        items.iter_mut().enumerate().for_each(|(k, x)| f(k, x));
    } else {
        items.par_iter_mut().enumerate().for_each(|(k, x)| f(k, x));
    }
}
