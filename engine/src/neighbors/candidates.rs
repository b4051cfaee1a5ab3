//! The search through a grid of bins: the candidates of a few neighbouring centres, the sites within reach of the
//! smallest box around them, are gathered once and then tested against each of the centres.
//!
//! With AVX-512 sixteen candidates are tested at a time, in single precision relative to a site nearby. A centre
//! with a candidate so close to the list radius that rounding could matter is searched again in double precision,
//! so rows are those of the rule that all backends share.
use super::Site;
use super::cell_grid::{Grid, distance_squared};
use super::rows::Block;

/// What one thread needs to search.
#[derive(Clone, Debug, Default)]
pub(super) struct Candidates {
    /// Bins along x whose centres share their candidates.
    width: usize,
    runs: Vec<(u32, u32)>,
    #[cfg(target_arch = "x86_64")]
    wide: Option<wide::Gathered>,
}

impl Candidates {
    /// For a grid, with the instructions of this machine.
    pub fn of(grid: &Grid) -> Self {
        #[cfg(target_arch = "x86_64")]
        if wide::suits(grid) {
            return Self { width: wide::BINS, wide: Some(wide::Gathered::of(grid)), ..Self::default() };
        }
        let _ = grid;
        Self { width: 1, ..Self::default() }
    }
    /// Rows of the given centres.
    pub fn search(&mut self, grid: &Grid, sites: &[Site], centers: &[u32], dummy: u32, block: &mut Block) {
        let mut rest = centers;
        while let Some(&first) = rest.first() {
            let end = grid.end(grid.bin_of(&sites[first as usize].position), self.width);
            let (group, others) = rest.split_at(rest.iter().take_while(|&&c| c < end).count());
            rest = others;
            let (low, high) = bounds(sites, group);
            self.runs.clear();
            grid.runs(low, high, grid.reach, |from, to| self.runs.push((from, to)));
            #[cfg(target_arch = "x86_64")]
            if let Some(gathered) = &mut self.wide {
                gathered.gather(grid, &self.runs, low, high);
                for &c in group {
                    block.push(gathered.count(), dummy, |row| {
                        gathered
                            .near(grid, c, row)
                            .unwrap_or_else(|| near(sites, grid.reach, c, &self.runs, row))
                    });
                }
                continue;
            }
            let most = self.runs.iter().map(|r| (r.1 - r.0) as usize).sum();
            for &c in group {
                block.push(most, dummy, |row| near(sites, grid.reach, c, &self.runs, row));
            }
        }
    }
}

/// The smallest box around some sites.
fn bounds(sites: &[Site], group: &[u32]) -> ([f64; 3], [f64; 3]) {
    let mut low = sites[group[0] as usize].position;
    let mut high = low;
    for &c in &group[1..] {
        let p = sites[c as usize].position;
        for k in 0..3 {
            low[k] = if p[k] < low[k] { p[k] } else { low[k] };
            high[k] = if p[k] > high[k] { p[k] } else { high[k] };
        }
    }
    (low, high)
}

/// The sites of the runs that are within reach of the centre. Returns how many.
fn near(sites: &[Site], reach: f64, own: u32, runs: &[(u32, u32)], row: &mut [u32]) -> usize {
    let center = sites[own as usize].position;
    let limit = reach * reach;
    let mut count = 0;
    for &(from, to) in runs {
        for (s, site) in (from..to).zip(&sites[from as usize..to as usize]) {
            row[count] = s;
            count += usize::from(distance_squared(&center, &site.position) < limit && s != own);
        }
    }
    count
}

#[cfg(target_arch = "x86_64")]
mod wide {
    use super::super::cell_grid::PADDING;
    use super::Grid;
    use std::arch::is_x86_feature_detected as has;
    use std::arch::x86_64::*;

    /// Bins along x whose centres share their candidates.
    pub const BINS: usize = 4;
    /// Candidates tested at a time.
    const LANES: usize = 16;
    const _: () = assert!(PADDING >= 2 * LANES && 2 * super::super::WIDTH >= LANES);

    /// True when the machine can and the steps of the grid are fine enough.
    pub fn suits(grid: &Grid) -> bool {
        let (square, margin) = limits(grid);
        has!("avx512f") && has!("popcnt") && has!("bmi2") && margin < 0.01 * square
    }
    /// The square of the list radius R in steps, and by how much a square of a distance near it may be wrong: with
    /// coordinates up to D steps, differences are wrong by less than 1 + D 2^-23, squares of distances by four times R
    /// times that and R² 2^-22. This is twice as much.
    fn limits(grid: &Grid) -> (f64, f64) {
        let reach = grid.reach * grid.steps;
        let error = 2.0 + grid.farthest(BINS) * grid.steps * 2f64.powi(-22);
        (reach * reach, 4.0 * (reach * error + error * error) + reach * reach * 2f64.powi(-21))
    }

    /// Candidates of a few centres: coordinates relative to `origin` in steps, and sites. Behind the last one there are
    /// [`LANES`] that are far away.
    #[derive(Clone, Debug, Default)]
    pub struct Gathered {
        /// The square of the list radius, and how near to it the square of a distance may be wrong.
        square: f32,
        margin: f32,
        /// The square of the distance from the box around the centres beyond which nothing is a candidate.
        outer: f32,
        origin: [i32; 3],
        x: Vec<Line>,
        y: Vec<Line>,
        z: Vec<Line>,
        site: Vec<Line>,
        count: usize,
    }

    /// Sixteen numbers of 32 bits.
    #[derive(Clone, Copy, Debug, Default)]
    #[repr(C, align(64))]
    struct Line([u32; LANES]);

    impl Gathered {
        pub fn of(grid: &Grid) -> Self {
            let (square, margin) = limits(grid);
            let outer = (square + 2.0 * margin) as f32;
            Self { square: square as f32, margin: margin as f32, outer, ..Self::default() }
        }
        /// Number of candidates.
        pub fn count(&self) -> usize {
            self.count
        }
        /// Takes the sites of the runs that are within reach of the box from `low` to `high`.
        pub fn gather(&mut self, grid: &Grid, runs: &[(u32, u32)], low: [f64; 3], high: [f64; 3]) {
            let most: usize = runs.iter().map(|r| (r.1 - r.0) as usize).sum();
            let room = most / LANES + 3;
            for v in [&mut self.x, &mut self.y, &mut self.z, &mut self.site] {
                if v.len() < room {
                    v.resize(room, Line::default());
                }
            }
            self.origin = grid.stepped(&std::array::from_fn(|k| 0.5 * (low[k] + high[k])));
            let half = std::array::from_fn(|k| (0.5 * (high[k] - low[k]) * grid.steps) as f32 + 2.0);
            // SAFETY: the machine has AVX-512 (see `suits`); runs lie within the sites, whose coordinates are followed
            // by PADDING more, and there is room for whole vectors.
            self.count = unsafe { self.fill(grid, runs, half) };
        }
        #[target_feature(enable = "avx512f,popcnt,bmi2")]
        unsafe fn fill(&mut self, grid: &Grid, runs: &[(u32, u32)], half: [f32; 3]) -> usize {
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let [ox, oy, oz] = self.origin.map(|o| _mm512_set1_epi32(o));
            let [hx, hy, hz] = half.map(|h| _mm512_set1_ps(h));
            let (zero, outer) = (_mm512_setzero_ps(), _mm512_set1_ps(self.outer));
            let (px, py, pz) = (grid.x.as_ptr(), grid.y.as_ptr(), grid.z.as_ptr());
            let (x, y, z) = (
                self.x.as_mut_ptr().cast::<f32>(),
                self.y.as_mut_ptr().cast::<f32>(),
                self.z.as_mut_ptr().cast::<f32>(),
            );
            let site = self.site.as_mut_ptr().cast::<u32>();
            let mut at = 0;
            for &(from, to) in runs {
                for k in (from..to).step_by(LANES) {
                    // SAFETY: as the caller promises
                    unsafe {
                        let load = |p: *const i32, o| {
                            let i = _mm512_loadu_si512(p.add(k as usize).cast());
                            _mm512_cvtepi32_ps(_mm512_sub_epi32(i, o))
                        };
                        let beyond = |x, h| _mm512_max_ps(_mm512_sub_ps(_mm512_abs_ps(x), h), zero);
                        let (dx, dy, dz) = (load(px, ox), load(py, oy), load(pz, oz));
                        let (ax, ay, az) = (beyond(dx, hx), beyond(dy, hy), beyond(dz, hz));
                        let d2 = _mm512_fmadd_ps(ax, ax, _mm512_fmadd_ps(ay, ay, _mm512_mul_ps(az, az)));
                        let run = _bzhi_u32(0xffff, (to - k).min(LANES as u32)) as __mmask16;
                        let near = _mm512_mask_cmp_ps_mask::<_CMP_LT_OQ>(run, d2, outer);
                        let sites = _mm512_add_epi32(_mm512_set1_epi32(k as i32), lanes);
                        _mm512_storeu_ps(x.add(at), _mm512_maskz_compress_ps(near, dx));
                        _mm512_storeu_ps(y.add(at), _mm512_maskz_compress_ps(near, dy));
                        _mm512_storeu_ps(z.add(at), _mm512_maskz_compress_ps(near, dz));
                        _mm512_storeu_si512(site.add(at).cast(), _mm512_maskz_compress_epi32(near, sites));
                        at += near.count_ones() as usize;
                    }
                }
            }
            // SAFETY: at is the number of candidates, and there is room for a vector behind them
            unsafe {
                for write in [x, y, z] {
                    _mm512_storeu_ps(write.add(at), _mm512_set1_ps(1e18));
                }
            }
            at
        }
        /// The neighbours of a centre, or `None` where single precision cannot tell.
        #[inline]
        pub fn near(&self, grid: &Grid, own: u32, row: &mut [u32]) -> Option<usize> {
            let k = own as usize;
            let center = [grid.x[k], grid.y[k], grid.z[k]];
            assert!(row.len() >= self.count + LANES);
            // SAFETY: the machine has AVX-512 and POPCNT (see `suits`), and the row has room.
            unsafe { self.test(own, center, row) }
        }
        #[target_feature(enable = "avx512f,popcnt")]
        unsafe fn test(&self, own: u32, center: [i32; 3], row: &mut [u32]) -> Option<usize> {
            let at = |k: usize| _mm512_set1_ps((center[k] - self.origin[k]) as f32);
            let [cx, cy, cz] = [at(0), at(1), at(2)];
            let square = _mm512_set1_ps(self.square);
            let own = _mm512_set1_epi32(own as i32);
            let (x, y, z) =
                (self.x.as_ptr().cast::<f32>(), self.y.as_ptr().cast::<f32>(), self.z.as_ptr().cast::<f32>());
            let (site, out) = (self.site.as_ptr().cast::<u32>(), row.as_mut_ptr());
            let mut count = 0;
            // how near to the list radius a candidate comes
            let mut nearest = _mm512_set1_ps(f32::MAX);
            for k in (0..self.count).step_by(LANES) {
                // SAFETY: k is below the number of candidates, behind which there is room for a vector; the count is at
                // most k, and the row has room for all candidates and a vector.
                unsafe {
                    let dx = _mm512_sub_ps(_mm512_loadu_ps(x.add(k)), cx);
                    let dy = _mm512_sub_ps(_mm512_loadu_ps(y.add(k)), cy);
                    let dz = _mm512_sub_ps(_mm512_loadu_ps(z.add(k)), cz);
                    let d2 =
                        _mm512_fmadd_ps(dx, dx, _mm512_fmadd_ps(dy, dy, _mm512_fmsub_ps(dz, dz, square)));
                    let sites = _mm512_loadu_si512(site.add(k).cast());
                    let near = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(d2, _mm512_setzero_ps());
                    nearest = _mm512_min_ps(nearest, _mm512_abs_ps(d2));
                    let near = _mm512_mask_cmpneq_epi32_mask(near, sites, own);
                    _mm512_storeu_si512(out.add(count).cast(), _mm512_maskz_compress_epi32(near, sites));
                    count += near.count_ones() as usize;
                }
            }
            let doubt = _mm512_cmp_ps_mask::<_CMP_LE_OQ>(nearest, _mm512_set1_ps(self.margin));
            (doubt == 0).then_some(count)
        }
    }
}
