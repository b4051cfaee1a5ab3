//! Atoms and the images that can be their neighbours, in the order of a grid of bins.
use super::Site;
use super::cell_grid::{Grid, whole};
use crate::{Cell, Mat3, System, Vec3};
use rayon::prelude::*;

/// Position of the dummy site that fills rows up to whole vectors: so far away that no pair counts it, so near
/// that no power of the distance overflows.
const NOWHERE: f64 = 1e12;
/// Atoms or sites treated per task of a build.
const CHUNK: usize = 4096;
/// Sites refreshed per task: what they read stays in the cache for a second look.
const REFRESHED: usize = 1024;
/// Sites between one that is refreshed and one whose atom is fetched from memory.
const AHEAD: usize = 24;

/// All sites of a geometry. The last entry of `site` is the dummy and belongs to no atom.
#[derive(Clone, Debug, Default)]
pub(super) struct Sites {
    pub site: Vec<Site>,
    pub atom: Vec<u32>,
    pub shift: Vec<[i32; 3]>,
    pub centers: Vec<u32>,
    /// Bins of the atoms.
    bins: Vec<u32>,
    /// Images before sorting: those of each part, then all in one place.
    parts: Vec<Part>,
    images: Vec<Image>,
}

/// A site that is not its atom itself.
#[derive(Clone, Copy, Debug)]
struct Image {
    shift: [i32; 3],
    atom: u32,
    bin: u32,
}

/// What [`CHUNK`] consecutive atoms give.
#[derive(Clone, Debug, Default)]
struct Part {
    images: Vec<Image>,
    fractional: Bounds,
    cartesian: Bounds,
}

/// Puts atoms into the cell.
struct Wrap<'a> {
    h: [f64; 9],
    inverse: &'a Mat3,
    periodic: [bool; 3],
}

impl<'a> Wrap<'a> {
    fn into(cell: &'a Cell) -> Self {
        Self { h: lattice(cell), inverse: cell.inverse(), periodic: cell.periodic() }
    }
    /// The translation that puts an atom into the cell, and the fractional coordinates it has there.
    #[inline]
    fn shift(&self, r: &Vec3) -> ([i32; 3], [f64; 3]) {
        let s = self.inverse * r;
        let n = std::array::from_fn(|k| if self.periodic[k] { floor(s[k]).wrapping_neg() } else { 0 });
        (n, std::array::from_fn(|k| s[k] + f64::from(n[k])))
    }
}

/// How far atoms have moved: squares of the two longest ways, and how many are longer than asked. The order of
/// atoms does not matter.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Moved {
    longest: f64,
    second: f64,
    pub beyond: usize,
    /// 0, or NaN when a way is not finite.
    poison: f64,
}

impl Moved {
    #[inline]
    fn add(&mut self, square: f64, limit: f64) {
        self.poison += square * 0.0;
        self.beyond += usize::from(square > limit);
        if square > self.second {
            (self.longest, self.second) =
                if square > self.longest { (square, self.longest) } else { (self.longest, square) };
        }
    }
    fn join(self, other: Self) -> Self {
        let (high, low) = if self.longest > other.longest { (self, other) } else { (other, self) };
        Self {
            longest: high.longest,
            second: high.second.max(low.longest),
            beyond: self.beyond + other.beyond,
            poison: self.poison + other.poison,
        }
    }
    /// The sum of the two longest ways; NaN when one is not finite.
    pub fn two_longest(&self) -> f64 {
        self.longest.sqrt() + self.second.sqrt() + self.poison
    }
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

/// The largest integer not above x, for |x| < 2^31, without a branch and without a call where the instruction may be
/// missing: adding 1.5·2^52 leaves the nearest integer in the low bits.
#[inline]
fn floor(x: f64) -> i32 {
    const ROUND: f64 = 6_755_399_441_055_744.0;
    let sum = x + ROUND;
    (sum.to_bits() as i32).wrapping_sub(i32::from(sum - ROUND > x))
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
    /// The grid is for searches within the first reach, the images for those within the second.
    pub fn build(
        &mut self,
        system: &System,
        positions: &[Vec3],
        cell: &Cell,
        [reach, far]: [f64; 2],
        grid: &mut Grid,
    ) {
        let wrap = &Wrap::into(cell);
        let atoms = positions.len();
        let (fractional, cartesian) = self.bounds(positions, cell, wrap);
        // a margin far above rounding: an image too many costs nothing, one too few is wrong
        let far = far * (1.0 + 1e-9);
        let region = fractional.grown(cell.heights().map(|height| far / height));
        let bounds = if cell.is_open() { cartesian } else { cartesian.grown([far; 3]) };
        // with images, about
        let grown = |k: usize| if wrap.periodic[k] { (region.1[k] - region.0[k]).max(1.0) } else { 1.0 };
        grid.lay(bounds.0, bounds.1, reach, atoms as f64 * grown(0) * grown(1) * grown(2));
        self.find(positions, wrap, &region, &bounds, grid);
        let count = atoms + self.images.len();
        assert!(count < u32::MAX as usize, "more than 2^32 atoms and images");
        grid.sort(count, || self.bins.iter().copied().chain(self.images.iter().map(|i| i.bin)));
        self.site.resize(count + 1, Site::default());
        self.site[count] = Site { position: [NOWHERE; 3], species: 0.0 };
        self.atom.resize(count, 0);
        self.shift.resize(count, [0; 3]);
        self.centers.resize(atoms + 1, 0);
        let mut next = 0;
        for (place, &found) in grid.order.iter().enumerate() {
            self.centers[next] = place as u32;
            next += usize::from((found as usize) < atoms);
        }
        self.centers.truncate(atoms);
        let types = system.types();
        let images = &self.images;
        let (corner, steps) = grid.steps();
        let places = self.site[..count]
            .chunks_mut(CHUNK)
            .zip(self.atom.chunks_mut(CHUNK).zip(self.shift.chunks_mut(CHUNK)))
            .zip(grid.x.chunks_mut(CHUNK).zip(grid.y.chunks_mut(CHUNK).zip(grid.z.chunks_mut(CHUNK))))
            .zip(grid.order.chunks(CHUNK));
        each(places, |_, (((sites, (atom, shift)), (x, (y, z))), order)| {
            for (k, &found) in order.iter().enumerate() {
                let i = found as usize;
                (atom[k], shift[k]) = if i < atoms {
                    (found, wrap.shift(&positions[i]).0)
                } else {
                    (images[i - atoms].atom, images[i - atoms].shift)
                };
                let i = atom[k] as usize;
                let position = image(&wrap.h, &positions[i], shift[k]);
                sites[k] = Site { position, species: f64::from(types[i]) };
                [x[k], y[k], z[k]] = std::array::from_fn(|d| whole((position[d] - corner[d]) * steps));
            }
        });
    }
    /// Puts every site where its atom says, and measures how far the atoms are from `reference` (in the order of the
    /// centres), of which `deformation` is taken out first. Moves whose square exceeds `limit` are counted.
    pub fn refresh(
        &mut self,
        system: &System,
        positions: &[Vec3],
        cell: &Cell,
        reference: &[Vec3],
        deformation: Option<&Mat3>,
        limit: f64,
    ) -> Moved {
        let h = lattice(cell);
        let types = system.types();
        let count = self.atom.len();
        let Self { site, atom, shift, centers, .. } = self;
        let (atom, shift, centers) = (&atom[..], &shift[..], &centers[..]);
        let chunk = |(b, sites): (usize, &mut [Site])| {
            let places = b * REFRESHED..b * REFRESHED + sites.len();
            for ((k, site), &n) in places.clone().zip(sites.iter_mut()).zip(&shift[places.clone()]) {
                if let Some(&ahead) = atom.get(k + AHEAD) {
                    prefetch(&positions[ahead as usize]);
                }
                let i = atom[k] as usize;
                *site = Site { position: image(&h, &positions[i], n), species: f64::from(types[i]) };
            }
            let rows = [places.start, places.end].map(|s| centers.partition_point(|&c| (c as usize) < s));
            let mut moved = Moved::default();
            for (&c, reference) in centers[rows[0]..rows[1]].iter().zip(&reference[rows[0]..rows[1]]) {
                let r = positions[atom[c as usize] as usize];
                moved.add(deformation.map_or(r - reference, |f| r - f * reference).norm_squared(), limit);
            }
            moved
        };
        let sites = &mut site[..count];
        if count <= 2 * CHUNK {
            sites.chunks_mut(REFRESHED).enumerate().map(chunk).fold(Moved::default(), Moved::join)
        } else {
            sites.par_chunks_mut(REFRESHED).enumerate().map(chunk).reduce(Moved::default, Moved::join)
        }
    }
    /// The region that the atoms fill, in fractional and in Cartesian coordinates.
    fn bounds(&mut self, positions: &[Vec3], cell: &Cell, wrap: &Wrap<'_>) -> (Bounds, Bounds) {
        if cell.is_fully_periodic() {
            // the whole cell, without a look at the atoms
            let mut corners = Bounds::EMPTY;
            for n in 0..8 {
                corners.add(&image(&wrap.h, &Vec3::zeros(), [n & 1, n >> 1 & 1, n >> 2]));
            }
            return (Bounds([0.0; 3], [1.0; 3]), corners);
        }
        self.parts.resize_with(positions.len().div_ceil(CHUNK), Part::default);
        each(self.parts.iter_mut(), |b, part| {
            (part.fractional, part.cartesian) = (Bounds::EMPTY, Bounds::EMPTY);
            for r in positions[b * CHUNK..].iter().take(CHUNK) {
                let (shift, s) = wrap.shift(r);
                part.fractional.add(&s);
                part.cartesian.add(&image(&wrap.h, r, shift));
            }
        });
        self.parts.iter().fold((Bounds::EMPTY, Bounds::EMPTY), |(fractional, cartesian), p| {
            (fractional.join(&p.fractional), cartesian.join(&p.cartesian))
        })
    }
    /// Finds the bins of the atoms, and the images within a region and a box.
    fn find(&mut self, positions: &[Vec3], wrap: &Wrap<'_>, region: &Bounds, bounds: &Bounds, grid: &Grid) {
        // where an atom has no image
        let limits =
            |k: usize, x: [f64; 2]| if wrap.periodic[k] { x } else { [f64::NEG_INFINITY, f64::INFINITY] };
        let limits: [[f64; 2]; 3] =
            std::array::from_fn(|k| limits(k, [region.1[k] - 1.0, region.0[k] + 1.0]));
        let alone = Bounds(limits.map(|l| l[0]), limits.map(|l| l[1]));
        self.bins.resize(positions.len(), 0);
        self.parts.resize_with(positions.len().div_ceil(CHUNK), Part::default);
        each(self.parts.iter_mut().zip(self.bins.chunks_mut(CHUNK)), |b, (part, bins)| {
            part.images.clear();
            for ((i, r), bin) in (b * CHUNK..).zip(&positions[b * CHUNK..]).zip(bins) {
                let (wrapped, s) = wrap.shift(r);
                *bin = grid.bin(&image(&wrap.h, r, wrapped));
                if (0..3).all(|k| alone.0[k] < s[k] && s[k] < alone.1[k]) {
                    continue;
                }
                let range = |k: usize| {
                    if wrap.periodic[k] {
                        floor(s[k] - region.0[k]).wrapping_neg()..floor(region.1[k] - s[k]) + 1
                    } else {
                        0..1
                    }
                };
                for a in range(0) {
                    for b in range(1) {
                        for c in range(2) {
                            if [a, b, c] == [0; 3] {
                                continue;
                            }
                            let shift = [wrapped[0] + a, wrapped[1] + b, wrapped[2] + c];
                            let position = image(&wrap.h, r, shift);
                            if bounds.holds(&position) {
                                part.images.push(Image { shift, atom: i as u32, bin: grid.bin(&position) });
                            }
                        }
                    }
                }
            }
        });
        self.images.clear();
        self.images.extend(self.parts.iter().flat_map(|p| &p.images));
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        let images = self.images.capacity() + self.parts.iter().map(|p| p.images.capacity()).sum::<usize>();
        self.site.capacity() * size_of::<Site>()
            + (self.atom.capacity() + self.centers.capacity() + self.bins.capacity()) * 4
            + self.shift.capacity() * 12
            + images * size_of::<Image>()
    }
}

/// Brings what is referred to near, if the machine can.
#[inline]
fn prefetch<T>(place: &T) {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, and it reads nothing
    unsafe {
        use std::arch::x86_64::*;
        _mm_prefetch::<_MM_HINT_T0>(std::ptr::from_ref(place).cast());
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = place;
}

/// Calls `f(k, item)` for every item, in parallel when there are many.
fn each<I: ExactSizeIterator<Item: Send> + Send>(items: I, f: impl Fn(usize, I::Item) + Sync) {
    if items.len() <= 2 {
        items.enumerate().for_each(|(k, x)| f(k, x));
    } else {
        rayon::scope(|scope| {
            for (k, x) in items.enumerate() {
                let f = &f;
                scope.spawn(move |_| f(k, x));
            }
        });
    }
}
