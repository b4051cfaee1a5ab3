//! The loop over pairs, written once for every form.
//!
//! For each centre the sites of its row are taken eight at a time. The list holds each pair twice, once from either
//! end, so a row gives the whole force on its atom and half of its energies and virials; no thread writes to an atom
//! of another. Totals are summed over blocks of rows.
use super::PairFunction;
use super::table::{Numbers, PairTable};
use super::truncation::{self, NUMBERS};
use crate::kernels::symmetric;
use crate::nonbonded::rows;
use crate::simd::{self, LANES, Lanes, Level};
use caloron_engine::neighbors::{BLOCK, Site};
use caloron_engine::{Mat3, NeighborList, Vec3};
use rayon::prelude::*;

/// How many rows ahead data are fetched, and how many lines of how many entries of a row.
const AHEAD: usize = 3;
const LINES: usize = 6;
const LINE: usize = 16;

/// What a kernel computes beside forces.
pub(super) const FORCES: u8 = 0;
/// The energy.
pub(super) const ENERGY: u8 = 1;
/// Energy and virial, and those of the atoms where asked for.
pub(super) const ALL: u8 = 2;

/// Energy and virial (xx, yy, zz, yz, xz, xy) of a block of rows.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Totals {
    pub energy: f64,
    pub virial: [f64; 6],
}

/// Where results go. A null pointer where they are not wanted.
#[derive(Clone, Copy)]
pub(super) struct Sink {
    pub forces: *mut Vec3,
    pub energies: *mut f64,
    pub virials: *mut Mat3,
}
// SAFETY: every atom is the centre of exactly one row, so threads write to different atoms.
unsafe impl Send for Sink {}
// SAFETY: as above
unsafe impl Sync for Sink {}

/// The rows that a kernel runs over: those of the neighbour list, or rows that were made from them, with sites whose species are
/// other numbers.
#[derive(Clone, Copy)]
pub(crate) struct Around<'a> {
    list: &'a NeighborList,
    own: Option<(&'a [Site], &'a [rows::Block])>,
}

impl<'a> Around<'a> {
    pub fn list(list: &'a NeighborList) -> Self {
        Self { list, own: None }
    }
    pub fn rows(list: &'a NeighborList, sites: &'a [Site], rows: &'a [rows::Block]) -> Self {
        Self { list, own: Some((sites, rows)) }
    }
    pub fn centers(&self) -> &'a [u32] {
        self.list.centers()
    }
    fn sites(&self) -> &'a [Site] {
        self.own.map_or_else(|| self.list.padded_sites(), |own| own.0)
    }
    #[inline(always)]
    fn row(&self, k: usize) -> &'a [u32] {
        match self.own {
            None => self.list.padded_row(k),
            Some((_, blocks)) => blocks[k / rows::ROWS].row(k % rows::ROWS).0[0],
        }
    }
}

/// A block of rows. `SMOOTH`: the truncation changes more than the energy by a constant; `MANY`: more than one species.
pub(super) struct Rows<'a, F, const K: usize, const SMOOTH: bool, const MANY: bool, const WANT: u8> {
    pub function: &'a F,
    pub table: &'a PairTable<K>,
    pub around: Around<'a>,
    pub block: usize,
    pub sink: Sink,
}

impl<F, const K: usize, const SMOOTH: bool, const MANY: bool, const WANT: u8> simd::Kernel
    for Rows<'_, F, K, SMOOTH, MANY, WANT>
where
    F: PairFunction<K>,
{
    type Output = Totals;

    #[inline(always)]
    fn run<V: Lanes>(self) -> Totals {
        let Self { function, table, around, block, sink } = self;
        let list = around.list;
        let (kind, numbers) = (table.truncation, table.numbers());
        let sites = around.sites();
        let centers = around.centers();
        let zero = V::splat(0.0);
        let (mut energy, mut virial) = (zero, [zero; 6]);
        // SAFETY (lookups): the table has K + NUMBERS rows of `stride` numbers for each species, and the species of
        // sites (0 for the dummy) are below its count, which the driver has checked.
        let at = |center, neighbor: V| unsafe {
            let c: [V; K] = load::<V, K, MANY>(&numbers, center, neighbor, 0);
            (c, load::<V, NUMBERS, MANY>(&numbers, center, neighbor, K))
        };
        let (mut c, mut n) = at(0, zero);
        for k in block * BLOCK..((block + 1) * BLOCK).min(centers.len()) {
            let center = &sites[centers[k] as usize];
            let atom = list.atom(centers[k]);
            // from memory, in good time: atoms are in no order, and rows beyond the page are not foreseen
            let ahead = list.atom(centers[(k + AHEAD).min(centers.len() - 1)]);
            V::prefetch(sink.forces.wrapping_add(ahead));
            let row = around.row(k);
            for line in 0..LINES {
                V::prefetch(row.as_ptr().wrapping_add(AHEAD * row.len() + line * LINE));
            }
            let [x, y, z] = simd::splats::<V, 3>(center.position);
            let species = center.species as usize;
            let (mut fx, mut fy, mut fz) = (zero, zero, zero);
            let (mut e, mut w) = (zero, [zero; 6]);
            for part in row.chunks_exact(LANES) {
                // SAFETY: rows hold indices of sites or of the dummy behind them, and a part has LANES of them
                let [sx, sy, sz, s] = unsafe { V::load_sites(sites.as_ptr(), part.as_ptr()) };
                let (dx, dy, dz) = (x - sx, y - sy, z - sz);
                let r2 = dx.mul_add(dx, dy.mul_add(dy, dz * dz));
                if MANY {
                    (c, n) = at(species, s);
                }
                let inside = r2.not_ge(n[0]);
                // lanes beyond the cutoff are computed at the cutoff, where every form is harmless
                let r2 = n[0].min(r2);
                let (u, g) = function.eval(&c, r2);
                let (u, g) = if SMOOTH { truncation::apply(kind, &n, r2, u, g) } else { (u + n[1], g) };
                let g = V::keep(inside, g);
                fx = dx.mul_add(g, fx);
                fy = dy.mul_add(g, fy);
                fz = dz.mul_add(g, fz);
                if WANT >= ENERGY {
                    e = e + V::keep(inside, u);
                }
                if WANT >= ALL {
                    let (gx, gy, gz) = (dx * g, dy * g, dz * g);
                    w[0] = gx.mul_add(dx, w[0]);
                    w[1] = gy.mul_add(dy, w[1]);
                    w[2] = gz.mul_add(dz, w[2]);
                    w[3] = gy.mul_add(dz, w[3]);
                    w[4] = gx.mul_add(dz, w[4]);
                    w[5] = gx.mul_add(dy, w[5]);
                }
            }
            let force = Vec3::new(fx.sum(), fy.sum(), fz.sum());
            // SAFETY: the arrays have a place for every atom, and this row is the only one of this atom
            unsafe {
                if !sink.forces.is_null() {
                    *sink.forces.add(atom) += force;
                }
                if WANT >= ALL && !sink.energies.is_null() {
                    *sink.energies.add(atom) += 0.5 * e.sum();
                }
                if WANT >= ALL && !sink.virials.is_null() {
                    *sink.virials.add(atom) += symmetric(simd::sums(w).map(|w| 0.5 * w));
                }
            }
            if WANT >= ENERGY {
                energy = energy + e;
            }
            if WANT >= ALL {
                for (total, w) in virial.iter_mut().zip(w) {
                    *total = *total + w;
                }
            }
        }
        Totals { energy: 0.5 * energy.sum(), virial: simd::sums(virial).map(|w| 0.5 * w) }
    }
}

/// All rows of one evaluation.
pub struct Job<'a, F, const K: usize> {
    pub(super) function: &'a F,
    pub(super) table: &'a PairTable<K>,
    pub(super) around: Around<'a>,
    pub(super) level: Level,
    pub(super) want: u8,
    pub(super) sink: Sink,
    /// One entry for each block of rows.
    pub(super) totals: &'a mut [Totals],
}

impl<F: PairFunction<K>, const K: usize> Job<'_, F, K> {
    /// Runs `block` for every block of rows, in parallel when there are many.
    fn blocks(self, block: impl Fn(usize) -> Totals + Sync) {
        let work = |(b, totals): (usize, &mut Totals)| *totals = block(b);
        if self.totals.len() <= 2 {
            self.totals.iter_mut().enumerate().for_each(work);
        } else {
            self.totals.par_iter_mut().enumerate().for_each(work);
        }
    }
    /// One kernel for every truncation, number of species and set of results.
    pub fn general(self) {
        let (function, table, around, level, sink) =
            (self.function, self.table, self.around, self.level, self.sink);
        self.blocks(|block| {
            simd::run(level, Rows::<F, K, true, true, ALL> { function, table, around, block, sink })
        });
    }
    /// A kernel for just this truncation, number of species and set of results. The numbers are the same.
    pub fn specialized(self) {
        match (self.table.truncation.is_smooth(), self.table.species > 1) {
            (false, false) => self.wanted::<false, false>(),
            (false, true) => self.wanted::<false, true>(),
            (true, false) => self.wanted::<true, false>(),
            (true, true) => self.wanted::<true, true>(),
        }
    }
    fn wanted<const SMOOTH: bool, const MANY: bool>(self) {
        match self.want {
            FORCES => self.wide::<SMOOTH, MANY, FORCES>(),
            ENERGY => self.wide::<SMOOTH, MANY, ENERGY>(),
            _ => self.wide::<SMOOTH, MANY, ALL>(),
        }
    }
    fn wide<const SMOOTH: bool, const MANY: bool, const WANT: u8>(self) {
        let (function, table, around, sink) = (self.function, self.table, self.around, self.sink);
        #[cfg(target_arch = "x86_64")]
        if self.level == Level::Avx512 && Level::detect() == Level::Avx512 {
            return self.blocks(|block| {
                simd::run_avx512(Rows::<F, K, SMOOTH, MANY, WANT> { function, table, around, block, sink })
            });
        }
        let _ = (function, table, around, sink);
        self.general();
    }
}

/// N numbers for each lane, from row `first` on, for a centre and neighbours of the given species.
///
/// # Safety
/// Species must be in the table, and it must have as many rows.
#[inline(always)]
unsafe fn load<V: Lanes, const N: usize, const MANY: bool>(
    table: &Numbers<'_>,
    center: usize,
    neighbor: V,
    first: usize,
) -> [V; N] {
    let at = (center * table.rows + first) * table.stride;
    std::array::from_fn(|k| {
        let row = &table.values[at + k * table.stride..][..table.stride];
        // SAFETY: as the caller promises
        match (MANY, table.stride) {
            (false, _) => V::splat(row[0]),
            (true, LANES) => unsafe { V::lookup8(row.as_ptr(), neighbor) },
            (true, _) => unsafe { V::lookup(row.as_ptr(), neighbor) },
        }
    })
}
