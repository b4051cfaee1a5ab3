//! The search through a grid of bins: the candidates of a few neighbouring bins are gathered once and then tested
//! against each of their centres.
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
        let (mut end, mut most) = (0, 0);
        for &c in centers {
            if c >= end {
                let [x, y, z] = grid.bin_of(&sites[c as usize].position);
                let bin = [x / self.width * self.width, y, z];
                end = grid.end(bin, self.width);
                grid.runs(bin, self.width, &mut self.runs);
                most = self.runs.iter().map(|r| (r.1 - r.0) as usize).sum();
                #[cfg(target_arch = "x86_64")]
                if let Some(gathered) = &mut self.wide {
                    gathered.gather(grid, &self.runs, most, c);
                }
            }
            block.push(most, dummy, |row| {
                #[cfg(target_arch = "x86_64")]
                if let Some(count) = self.wide.as_ref().and_then(|w| w.near(grid, c, row)) {
                    return count;
                }
                near(sites, grid.reach, c, &self.runs, row)
            });
        }
    }
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
        has!("avx512f") && has!("popcnt") && margin < 0.01 * square
    }
    /// The square of the list radius R in steps, and by how much a square of a distance near it may be wrong: with
    /// coordinates up to D steps, differences are wrong by less than 1 + D 2^-23, squares of distances by four times R
    /// times that and R² 2^-22. This is twice as much.
    fn limits(grid: &Grid) -> (f64, f64) {
        let reach = grid.reach * grid.steps;
        let error = 2.0 + grid.farthest(BINS) * grid.steps * 2f64.powi(-22);
        (reach * reach, 4.0 * (reach * error + error * error) + reach * reach * 2f64.powi(-21))
    }

    /// Candidates of a few bins: coordinates relative to `origin` in steps, and sites. Behind the last one there are
    /// [`LANES`] that are far away.
    #[derive(Clone, Debug, Default)]
    pub struct Gathered {
        /// Squares of distances below which a candidate is surely, and above which it is surely not a neighbour.
        sure: f32,
        limit: f32,
        origin: [i32; 3],
        x: Vec<f32>,
        y: Vec<f32>,
        z: Vec<f32>,
        site: Vec<u32>,
        count: usize,
    }

    impl Gathered {
        pub fn of(grid: &Grid) -> Self {
            let (square, margin) = limits(grid);
            Self { sure: (square - margin) as f32, limit: (square + margin) as f32, ..Self::default() }
        }
        /// Takes the sites of the runs, `most` in all.
        pub fn gather(&mut self, grid: &Grid, runs: &[(u32, u32)], most: usize, origin: u32) {
            let room = most + 3 * LANES;
            if self.site.len() < room {
                for v in [&mut self.x, &mut self.y, &mut self.z] {
                    v.resize(room, 0.0);
                }
                self.site.resize(room, 0);
            }
            self.count = most;
            let o = origin as usize;
            self.origin = [grid.x[o], grid.y[o], grid.z[o]];
            // SAFETY: the machine has AVX-512 (see `suits`); runs lie within the sites, whose coordinates are followed
            // by PADDING more, and there is room for whole vectors.
            unsafe { self.fill(grid, runs) }
        }
        #[target_feature(enable = "avx512f")]
        unsafe fn fill(&mut self, grid: &Grid, runs: &[(u32, u32)]) {
            let lanes = _mm512_setr_epi32(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15);
            let axes = [
                (grid.x.as_ptr(), self.x.as_mut_ptr(), _mm512_set1_epi32(self.origin[0])),
                (grid.y.as_ptr(), self.y.as_mut_ptr(), _mm512_set1_epi32(self.origin[1])),
                (grid.z.as_ptr(), self.z.as_mut_ptr(), _mm512_set1_epi32(self.origin[2])),
            ];
            let site = self.site.as_mut_ptr();
            let mut at = 0;
            for &(from, to) in runs {
                let (from, len) = (from as usize, (to - from) as usize);
                let mut k = 0;
                // two vectors hold most runs; doing both always spares a branch that nobody can foresee
                loop {
                    for k in [k, k + LANES] {
                        // SAFETY: as the caller promises
                        unsafe {
                            for (read, write, origin) in axes {
                                let x = _mm512_loadu_si512(read.add(from + k).cast());
                                let x = _mm512_cvtepi32_ps(_mm512_sub_epi32(x, origin));
                                _mm512_storeu_ps(write.add(at + k), x);
                            }
                            let sites = _mm512_add_epi32(_mm512_set1_epi32((from + k) as i32), lanes);
                            _mm512_storeu_si512(site.add(at + k).cast(), sites);
                        }
                    }
                    k += 2 * LANES;
                    if k >= len {
                        break;
                    }
                }
                at += len;
            }
            // SAFETY: at is the number of candidates, and there is room for a vector behind them
            unsafe {
                for (_, write, _) in axes {
                    _mm512_storeu_ps(write.add(at), _mm512_set1_ps(1e18));
                }
            }
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
            let (sure, limit) = (_mm512_set1_ps(self.sure), _mm512_set1_ps(self.limit));
            let own = _mm512_set1_epi32(own as i32);
            let (x, y, z) = (self.x.as_ptr(), self.y.as_ptr(), self.z.as_ptr());
            let (site, out) = (self.site.as_ptr(), row.as_mut_ptr());
            let (mut count, mut doubt) = (0, 0);
            for k in (0..self.count).step_by(LANES) {
                // SAFETY: k is below the number of candidates, behind which there is room for a vector; the count is at
                // most k, and the row has room for all candidates and a vector.
                unsafe {
                    let dx = _mm512_sub_ps(_mm512_loadu_ps(x.add(k)), cx);
                    let dy = _mm512_sub_ps(_mm512_loadu_ps(y.add(k)), cy);
                    let dz = _mm512_sub_ps(_mm512_loadu_ps(z.add(k)), cz);
                    let d2 = _mm512_fmadd_ps(dx, dx, _mm512_fmadd_ps(dy, dy, _mm512_mul_ps(dz, dz)));
                    let sites = _mm512_loadu_si512(site.add(k).cast());
                    let near = _mm512_cmp_ps_mask::<_CMP_LT_OQ>(d2, limit);
                    doubt |= near ^ _mm512_cmp_ps_mask::<_CMP_LT_OQ>(d2, sure);
                    let near = _mm512_mask_cmpneq_epi32_mask(near, sites, own);
                    _mm512_storeu_si512(out.add(count).cast(), _mm512_maskz_compress_epi32(near, sites));
                    count += near.count_ones() as usize;
                }
            }
            (doubt == 0).then_some(count)
        }
    }
}
