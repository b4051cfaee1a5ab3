//! A grid of bins: the order of the sites, and the search that this order makes fast.
//!
//! Bins are boxes with edges along x, y, z whatever the cell, an eighth of the list radius along x and all of it
//! along y and z. Sites are stored bin after bin, x fastest, so that the candidates of a box are one contiguous run in
//! each column of bins, and a box that is flat along x has few more candidates than a point. Columns are walked in
//! strips of a few bins along y, which keeps what neighbouring rows share in the cache for any size of the system.

/// Bins of a strip along y.
const STRIP: usize = 4;
/// Bins per list radius along x, y and z.
const BINS_PER_REACH: [f64; 3] = [8.0, 1.0, 1.0];
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

/// x without its fraction, for |x| < 2^31 (whatever, for others), in one instruction.
#[inline]
pub(super) fn whole(x: f64) -> i32 {
    #[cfg(target_arch = "x86_64")]
    // SAFETY: every x86-64 has the instruction, which gives i32::MIN where the number does not fit
    unsafe {
        use std::arch::x86_64::*;
        _mm_cvttsd_si32(_mm_set_sd(x))
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        x as i32
    }
}

/// Bins over a box, and the coordinates of the sites in their order.
#[derive(Clone, Debug, Default)]
pub(super) struct Grid {
    origin: [f64; 3],
    edge: [f64; 3],
    inverse_edge: [f64; 3],
    count: [usize; 3],
    /// The last bin along each axis.
    last: [f64; 3],
    pub(super) reach: f64,
    /// What rounding may do to the bounds of a bin, Å, and much more.
    slop: f64,
    /// First site of each bin, and the number of sites at the end.
    start: Vec<u32>,
    /// The number of the site at each place, before sorting.
    pub(super) order: Vec<u32>,
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
    /// Lays bins over the box from `low` to `high` for about so many sites.
    pub fn lay(&mut self, low: [f64; 3], high: [f64; 3], reach: f64, sites: f64) {
        self.reach = reach;
        self.origin = low;
        let extent: [f64; 3] = std::array::from_fn(|k| (high[k] - low[k]).max(1e-6 * reach).max(1e-300));
        let most = BINS_PER_SITE * sites + 64.0;
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
        self.last = self.count.map(|n| (n - 1) as f64);
        self.edge = std::array::from_fn(|k| extent[k] / self.count[k] as f64);
        self.inverse_edge = self.edge.map(|e| 1.0 / e);
        let largest = extent.into_iter().fold(0.0, f64::max);
        self.steps = 2f64.powi(30) / largest;
        let far = low.into_iter().chain(high).fold(0.0, |m: f64, x| m.max(x.abs()));
        self.slop = 1e-12 * far;
    }
    /// True when bins are much larger than the list radius asks for.
    pub fn is_sparse(&self) -> bool {
        self.sparse
    }
    /// How many sites share the bin of a site, on average.
    pub fn crowding(&self) -> f64 {
        let squares: f64 = self.start.windows(2).map(|w| f64::from(w[1] - w[0]).powi(2)).sum();
        squares / self.order.len().max(1) as f64
    }
    #[inline]
    fn coordinate(&self, k: usize, x: f64) -> usize {
        let bin = (x - self.origin[k]) * self.inverse_edge[k];
        // comparisons that are one instruction each, unlike `clamp`
        let bin = if bin > 0.0 { bin } else { 0.0 };
        whole(if bin < self.last[k] { bin } else { self.last[k] }) as usize
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
        std::array::from_fn(|k| whole((p[k] - self.origin[k]) * self.steps))
    }
    /// The corner of the grid and the steps per Å of the whole-number coordinates.
    pub fn steps(&self) -> ([f64; 3], f64) {
        (self.origin, self.steps)
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
    /// Sorts `count` sites by their bins, keeping their order within a bin.
    pub fn sort<I: Iterator<Item = u32>>(&mut self, count: usize, bins: impl Fn() -> I) {
        self.start.clear();
        self.start.resize(self.count[0] * self.count[1] * self.count[2] + 2, 0);
        for bin in bins() {
            self.start[bin as usize + 2] += 1;
        }
        let mut total = 0;
        for s in &mut self.start {
            total += *s;
            *s = total;
        }
        self.order.resize(count, 0);
        for (k, bin) in bins().enumerate() {
            let next = &mut self.start[bin as usize + 1];
            self.order[*next as usize] = k as u32;
            *next += 1;
        }
        self.start.pop();
        for v in [&mut self.x, &mut self.y, &mut self.z] {
            v.resize(count + PADDING, 0);
        }
    }
    /// Upper bound of how far along an axis a site within reach of `width` bins along x is from the middle of the bins.
    pub fn farthest(&self, width: usize) -> f64 {
        self.reach + (self.edge[0] * width as f64).max(self.edge[1]).max(self.edge[2])
    }
    /// Calls `run` for runs of sites that hold every site within `radius` of the box from `low` to `high`, in ascending
    /// order.
    pub fn runs(&self, low: [f64; 3], high: [f64; 3], radius: f64, mut run: impl FnMut(u32, u32)) {
        // far above the rounding that puts a site into a bin
        let radius = radius * (1.0 + 1e-9) + self.slop;
        let range = |k: usize| (self.coordinate(k, low[k] - radius), self.coordinate(k, high[k] + radius));
        let gap = |k: usize, bin: usize| {
            let edge = self.origin[k] + self.edge[k] * bin as f64;
            (edge - high[k]).max(low[k] - (edge + self.edge[k])).max(0.0)
        };
        let ((y0, y1), (z0, z1)) = (range(1), range(2));
        for strip in y0 / STRIP..=y1 / STRIP {
            let (first, last) = (y0.max(strip * STRIP), y1.min(strip * STRIP + STRIP - 1));
            for z in z0..=z1 {
                for y in first..=last {
                    let left = radius * radius - gap(1, y).powi(2) - gap(2, z).powi(2);
                    if left < 0.0 {
                        continue;
                    }
                    let half = left.sqrt();
                    let column = self.rank([0, y, z]);
                    let from = self.start[column + self.coordinate(0, low[0] - half)];
                    let to = self.start[column + self.coordinate(0, high[0] + half) + 1];
                    if from < to {
                        run(from, to);
                    }
                }
            }
        }
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        4 * (self.start.capacity() + self.order.capacity()) + 12 * self.x.capacity()
    }
}
