//! A grid of bins: the order of the sites, and the search that this order makes fast.
//!
//! Bins are boxes with edges along x, y, z whatever the cell, a quarter of the list radius along x and half of it
//! along y and z. Sites are stored bin after bin, x fastest, so that the candidates of a centre are one
//! contiguous run in each column of bins. Columns are walked in strips of a few bins along y, which keeps what
//! neighbouring rows share in the cache for any size of the system.
use super::Site;
use super::rows::{Block, WIDTH};

/// Bins of a strip along y.
const STRIP: usize = 8;
/// Bins per list radius along x, y and z.
const BINS_PER_REACH: [f64; 3] = [4.0, 2.0, 2.0];
/// Largest number of bins per site; sparse systems get larger bins.
const BINS_PER_SITE: f64 = 2.0;

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
    reach: f64,
    /// First site of each bin, and the number of sites at the end.
    start: Vec<u32>,
    /// Bin of each unsorted site, then its place.
    place: Vec<u32>,
    x: Vec<f64>,
    y: Vec<f64>,
    z: Vec<f64>,
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
    fn coordinate(&self, k: usize, x: f64) -> usize {
        (((x - self.origin[k]) * self.inverse_edge[k]) as usize).min(self.count[k] - 1)
    }
    /// Place of a bin in the order of the sites.
    fn rank(&self, [x, y, z]: [usize; 3]) -> usize {
        let strip = y / STRIP;
        let width = STRIP.min(self.count[1] - strip * STRIP);
        ((strip * STRIP * self.count[2] + z * width) + (y - strip * STRIP)) * self.count[0] + x
    }
    /// Sorts the points by bin, keeping their order within a bin; returns the place of each.
    pub fn sort(&mut self, points: impl Iterator<Item = [f64; 3]>) -> &[u32] {
        self.place.clear();
        let bins = self.count[0] * self.count[1] * self.count[2];
        self.start.clear();
        self.start.resize(bins + 2, 0);
        for p in points {
            let bin = self.rank(std::array::from_fn(|k| self.coordinate(k, p[k])));
            self.start[bin + 2] += 1;
            self.place.push(bin as u32);
        }
        for b in 2..self.start.len() {
            self.start[b] += self.start[b - 1];
        }
        for p in &mut self.place {
            let next = &mut self.start[*p as usize + 1];
            *p = *next;
            *next += 1;
        }
        self.start.pop();
        &self.place
    }
    /// Takes the coordinates of the sorted sites (the last one is the dummy).
    pub fn coordinates(&mut self, sites: &[Site]) {
        let n = sites.len() - 1 + WIDTH;
        for (k, v) in [&mut self.x, &mut self.y, &mut self.z].into_iter().enumerate() {
            v.clear();
            v.reserve_exact(n);
            v.extend(sites[..sites.len() - 1].iter().map(|s| s.position[k]));
            v.resize(n, 0.0);
        }
    }
    /// Runs of sites that hold every site within the reach of the bin at `b`, in ascending order.
    fn runs(&self, b: [usize; 3], runs: &mut Vec<(u32, u32)>) {
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
                    let to = self.start[column + (b[0] + half as usize).min(self.count[0] - 1) + 1];
                    if from < to {
                        runs.push((from, to));
                    }
                }
            }
        }
    }
    /// Rows of the given centres.
    pub fn search(&self, centers: &[u32], dummy: u32, block: &mut Block) {
        let mut runs = Vec::with_capacity(64);
        let mut bin = [usize::MAX; 3];
        let mut most = 0;
        for &c in centers {
            let k = c as usize;
            let center = [self.x[k], self.y[k], self.z[k]];
            let own = std::array::from_fn(|d| self.coordinate(d, center[d]));
            if own != bin {
                bin = own;
                self.runs(bin, &mut runs);
                most = runs.iter().map(|r| (r.1 - r.0) as usize).sum();
            }
            block.push(most, dummy, |row| self.near(c, center, &runs, row));
        }
    }
    /// The sites of the runs that are within reach of the centre. Returns how many.
    fn near(&self, own: u32, center: [f64; 3], runs: &[(u32, u32)], row: &mut [u32]) -> usize {
        #[cfg(target_arch = "x86_64")]
        if std::arch::is_x86_feature_detected!("avx512f") && std::arch::is_x86_feature_detected!("avx512vl") {
            // SAFETY: the features are there; runs lie within the sites, whose coordinates are followed by
            // WIDTH more, and the row has room for all candidates and WIDTH more.
            return unsafe { self.near_avx512(own, center, runs, row) };
        }
        let limit = self.reach * self.reach;
        let mut count = 0;
        for &(from, to) in runs {
            for s in from..to {
                let k = s as usize;
                let d2 = distance_squared(&center, &[self.x[k], self.y[k], self.z[k]]);
                row[count] = s;
                count += usize::from(d2 < limit && s != own);
            }
        }
        count
    }
    #[cfg(target_arch = "x86_64")]
    #[target_feature(enable = "avx512f,avx512vl")]
    unsafe fn near_avx512(&self, own: u32, center: [f64; 3], runs: &[(u32, u32)], row: &mut [u32]) -> usize {
        use std::arch::x86_64::*;
        let [cx, cy, cz] = center.map(|x| _mm512_set1_pd(x));
        let limit = _mm512_set1_pd(self.reach * self.reach);
        let own = _mm256_set1_epi32(own as i32);
        let lanes = _mm256_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7);
        let (x, y, z, out) = (self.x.as_ptr(), self.y.as_ptr(), self.z.as_ptr(), row.as_mut_ptr());
        let mut count = 0;
        for &(from, to) in runs {
            let mut s = from;
            while s < to {
                // SAFETY: s < to <= sites, and WIDTH coordinates follow; count stays below the candidates seen.
                unsafe {
                    let dx = _mm512_sub_pd(_mm512_loadu_pd(x.add(s as usize)), cx);
                    let dy = _mm512_sub_pd(_mm512_loadu_pd(y.add(s as usize)), cy);
                    let dz = _mm512_sub_pd(_mm512_loadu_pd(z.add(s as usize)), cz);
                    let xy = _mm512_add_pd(_mm512_mul_pd(dx, dx), _mm512_mul_pd(dy, dy));
                    let d2 = _mm512_add_pd(xy, _mm512_mul_pd(dz, dz));
                    let id = _mm256_add_epi32(_mm256_set1_epi32(s as i32), lanes);
                    let inside = (1u32 << (to - s).min(8)).wrapping_sub(1) as u8;
                    let mask = _mm512_mask_cmp_pd_mask::<_CMP_LT_OQ>(inside, d2, limit);
                    let mask = _mm256_mask_cmpneq_epi32_mask(mask, id, own);
                    _mm256_storeu_si256(out.add(count).cast(), _mm256_maskz_compress_epi32(mask, id));
                    count += mask.count_ones() as usize;
                }
                s += 8;
            }
        }
        count
    }
    /// Bytes held.
    pub fn bytes(&self) -> usize {
        4 * (self.start.capacity() + self.place.capacity()) + 24 * self.x.capacity()
    }
}
