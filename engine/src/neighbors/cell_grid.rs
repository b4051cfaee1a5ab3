//! A grid of bins: the order of the sites, and the search that this order makes fast.
//!
//! Bins are boxes with edges along x, y, z whatever the cell, a quarter of the list radius along x and half of it
//! along y and z. Sites are stored bin after bin, x fastest, so that the candidates of a centre are one
//! contiguous run in each column of bins. Columns are walked in strips of a few bins along y, which keeps what
//! neighbouring rows share in the cache for any size of the system.

/// Bins of a strip along y.
const STRIP: usize = 8;
/// Bins per list radius along x, y and z.
const BINS_PER_REACH: [f64; 3] = [4.0, 2.0, 2.0];
/// Largest number of bins per site; sparse systems get larger bins.
const BINS_PER_SITE: f64 = 2.0;
/// Coordinates behind those of the last site, for loads of whole vectors.
pub(super) const PADDING: usize = 32;

/// |a - b|²; every backend decides by this expression.
#[inline]
pub(super) fn distance_squared(a: &[f64; 3], b: &[f64; 3]) -> f64 {
    let [x, y, z] = [b[0] - a[0], b[1] - a[1], b[2] - a[2]];
    (x * x + y * y) + z * z
}

/// Bins over a box, and the coordinates of the sites in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Grid {
    origin: [f64; 3],
    edge: [f64; 3],
    inverse_edge: [f64; 3],
    count: [usize; 3],
    /// How many bins away along y and z there can be neighbours, and for each distance in bins the number of bins
    /// to either side along x (-1: none).
    span: [usize; 2],
    half: Vec<isize>,
    pub(super) reach: f64,
    /// First site of each bin, and the number of sites at the end.
    start: Vec<u32>,
    /// Part and number of the found site at each place.
    pub(super) order: Vec<[u32; 2]>,
    /// Steps of the whole-number coordinates per Å.
    pub(super) steps: f64,
    /// Coordinates of the sites relative to the corner of the grid, in steps, rounded down.
    pub(super) x: Vec<i32>,
    pub(super) y: Vec<i32>,
    pub(super) z: Vec<i32>,
    /// True when bins had to be larger than the list radius asks for.
    sparse: bool,
}

impl Grid {
    /// Lays bins over the box from `low` to `high`.
    pub fn lay(&mut self, low: [f64; 3], high: [f64; 3], reach: f64, sites: usize) {
        self.reach = reach;
        self.origin = low;
        let extent: [f64; 3] = std::array::from_fn(|k| (high[k] - low[k]).max(1e-6 * reach).max(1e-300));
        let most = BINS_PER_SITE * sites as f64 + 64.0;
        let wanted: [f64; 3] =
            std::array::from_fn(|k| (extent[k] / reach.max(1e-300) * BINS_PER_REACH[k]).min(1e7));
        let count = |scale: f64| wanted.map(|w| (w * scale).floor().clamp(1.0, 1e9));
        let total = |n: [f64; 3]| n[0] * n[1] * n[2];
        let mut scale = 1.0;
        while total(count(scale)) > most {
            scale *= 0.9;
        }
        self.sparse = scale < 0.5;
        self.count = count(scale).map(|n| n as usize);
        self.edge = std::array::from_fn(|k| extent[k] / self.count[k] as f64);
        self.inverse_edge = self.edge.map(|e| 1.0 / e);
        self.steps = 2f64.powi(30) / extent.into_iter().fold(0.0, f64::max);
        // bins that far apart have at least this gap between them; the margin is far above rounding
        let reach = reach * (1.0 + 1e-9);
        let gap = |k: usize, bins: usize| bins.saturating_sub(1) as f64 * self.edge[k];
        self.span = [1, 2].map(|k| ((reach / self.edge[k]) as usize + 1).min(self.count[k] - 1));
        self.half.clear();
        for y in 0..=self.span[0] {
            for z in 0..=self.span[1] {
                let left = reach * reach - gap(1, y).powi(2) - gap(2, z).powi(2);
                let half = if left < 0.0 { -1 } else { (left.sqrt() / self.edge[0]) as isize + 1 };
                self.half.push(half);
            }
        }
    }
    /// True when bins are much larger than the list radius asks for.
    pub fn is_sparse(&self) -> bool {
        self.sparse
    }
    #[inline]
    fn coordinate(&self, k: usize, x: f64) -> usize {
        (((x - self.origin[k]) * self.inverse_edge[k]) as i32 as usize).min(self.count[k] - 1)
    }
    /// Place of a bin in the order of the sites.
    #[inline]
    fn rank(&self, [x, y, z]: [usize; 3]) -> usize {
        let strip = y / STRIP;
        let width = STRIP.min(self.count[1] - strip * STRIP);
        ((strip * STRIP * self.count[2] + z * width) + (y - strip * STRIP)) * self.count[0] + x
    }
    /// The bin of a point, as its place in the order of the sites.
    #[inline]
    pub fn bin(&self, p: &[f64; 3]) -> u32 {
        self.rank(self.bin_of(p)) as u32
    }
    /// A point relative to the corner of the grid, in steps, rounded down.
    #[inline]
    pub fn stepped(&self, p: &[f64; 3]) -> [i32; 3] {
        std::array::from_fn(|k| ((p[k] - self.origin[k]) * self.steps) as i32)
    }
    /// The first place behind `width` bins along x from the bin at `b` on.
    pub fn end(&self, [x, y, z]: [usize; 3], width: usize) -> u32 {
        self.start[self.rank([(x + width).min(self.count[0]) - 1, y, z]) + 1]
    }
    /// The bin of a point along x, y and z.
    #[inline]
    pub fn bin_of(&self, p: &[f64; 3]) -> [usize; 3] {
        std::array::from_fn(|k| self.coordinate(k, p[k]))
    }
    /// Sorts sites by bin, keeping their order within a bin. `bins` gives the bins of each part's sites.
    pub fn sort<'a, I: Iterator<Item = u32>>(&mut self, parts: usize, bins: impl Fn(usize) -> I + 'a) {
        self.start.clear();
        self.start.resize(self.count[0] * self.count[1] * self.count[2] + 2, 0);
        for bin in (0..parts).flat_map(&bins) {
            self.start[bin as usize + 2] += 1;
        }
        let mut total = 0;
        for s in &mut self.start {
            total += *s;
            *s = total;
        }
        self.order.resize(total as usize, [0; 2]);
        for part in 0..parts {
            for (k, bin) in bins(part).enumerate() {
                let next = &mut self.start[bin as usize + 1];
                self.order[*next as usize] = [part as u32, k as u32];
                *next += 1;
            }
        }
        self.start.pop();
        for v in [&mut self.x, &mut self.y, &mut self.z] {
            v.resize(total as usize + PADDING, 0);
        }
    }
    /// Upper bound of how far along an axis a candidate of [`Grid::runs`] is from a point in one of `width` bins.
    pub fn farthest(&self, width: usize) -> f64 {
        let x = self.half.iter().copied().max().unwrap_or(0).max(0) as usize;
        let bins = [x, self.span[0], self.span[1]];
        (0..3).map(|k| (bins[k] + width).min(self.count[k]) as f64 * self.edge[k]).fold(0.0, f64::max)
    }
    /// Runs of sites that hold every site within the reach of `width` bins along x from the bin at `b` on, in
    /// ascending order.
    pub fn runs(&self, b: [usize; 3], width: usize, runs: &mut Vec<(u32, u32)>) {
        runs.clear();
        let [my, mz] = self.span;
        let (y0, y1) = (b[1].saturating_sub(my), (b[1] + my).min(self.count[1] - 1));
        let (z0, z1) = (b[2].saturating_sub(mz), (b[2] + mz).min(self.count[2] - 1));
        for strip in y0 / STRIP..=y1 / STRIP {
            let (first, last) = (y0.max(strip * STRIP), y1.min(strip * STRIP + STRIP - 1));
            for z in z0..=z1 {
                for y in first..=last {
                    let half = self.half[y.abs_diff(b[1]) * (mz + 1) + z.abs_diff(b[2])];
                    if half < 0 {
                        continue;
                    }
                    let column = self.rank([0, y, z]);
                    let from = self.start[column + b[0].saturating_sub(half as usize)];
                    let to =
                        self.start[column + (b[0] + width - 1 + half as usize).min(self.count[0] - 1) + 1];
                    if from < to {
                        runs.push((from, to));
                    }
                }
            }
        }
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        4 * self.start.capacity() + 8 * self.order.capacity() + 12 * self.x.capacity()
    }
}
