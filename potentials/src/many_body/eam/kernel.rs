//! Two passes over one neighbour list: densities, then forces.
use super::file::Tables;
use crate::kernels::row_results::{self, RowResults};
use crate::kernels::symmetric;
use crate::kernels::uniform_spline::{self as spline, Cubic};
use crate::many_body::site_energy::check_species;
use crate::simd::{self, Kernel, LANES, Lanes, Level};
use caloron_engine::neighbors::{AtomRows, Site};
use caloron_engine::{
    Input, Mat3, NeighborList, Outputs, Potential, PotentialError, Properties, Vec3, parallel,
};
use rayon::prelude::*;

/// Rows that one task treats together.
const BLOCK: usize = 128;

/// The intervals of the functions of an ordered pair of species side by side, so that the second pass finds what it
/// needs in one cache line.
#[derive(Clone, Copy, Debug)]
#[repr(C, align(64))]
struct Knot {
    /// Density of the neighbour at the centre.
    density: Cubic,
    /// r φ.
    r_phi: Cubic,
}

/// Rows whose close neighbours are found before the densities are added up: what was just written in pieces is slow to
/// read back whole.
const CHUNK: usize = 16;

/// Close neighbours and results of some rows.
#[derive(Default)]
struct Block {
    offsets: Vec<u32>,
    /// Sites within the cutoff as places in their array counted in numbers; each row is filled up with the dummy site.
    close: Vec<u32>,
    /// Squared distances of a chunk of rows.
    squares: Vec<f64>,
    /// F'(ρ) of each row.
    slopes: Vec<f64>,
    /// Energies are F(ρ) before the second pass.
    results: RowResults,
}

impl AsRef<RowResults> for Block {
    fn as_ref(&self) -> &RowResults {
        &self.results
    }
}

/// An embedded-atom potential.
pub struct Eam {
    species: usize,
    cutoff: f64,
    per_dr: f64,
    per_drho: f64,
    rho_max: f64,
    /// Intervals per function of the distance, of the density.
    intervals: [usize; 2],
    /// For species i of the centre and j of the neighbour, from (i n + j) intervals on.
    knots: Vec<Knot>,
    embedding: Vec<Cubic>,
    blocks: Vec<Block>,
    row_of_atom: AtomRows,
    /// Sites with F'(ρ) of their atom in the place of the species.
    dressed: Vec<Site>,
    level: Level,
}

impl Eam {
    /// The potential for species that are the elements `map` of the tables.
    pub(super) fn new(tables: &Tables, map: &[usize]) -> Self {
        let (species, all) = (map.len(), tables.elements.len());
        let mut knots = Vec::new();
        for &i in map {
            for &j in map {
                let density = spline::intervals(&tables.density[j * all + i]);
                let r_phi = spline::intervals(&tables.r_phi[i * all + j]);
                knots.extend(density.into_iter().zip(r_phi).map(|(density, r_phi)| Knot { density, r_phi }));
            }
        }
        let embedding: Vec<Cubic> =
            map.iter().flat_map(|&i| spline::intervals(&tables.embedding[i])).collect();
        Self {
            species,
            cutoff: tables.cutoff,
            per_dr: 1.0 / tables.dr,
            per_drho: 1.0 / tables.drho,
            rho_max: tables.rho_max,
            intervals: [knots.len() / (species * species).max(1), embedding.len() / species.max(1)],
            knots,
            embedding,
            blocks: Vec::new(),
            row_of_atom: AtomRows::default(),
            dressed: Vec::new(),
            level: Level::detect(),
        }
    }
    /// Restricts the instructions that are used (for tests; numbers do not change).
    pub fn set_level(&mut self, level: Level) {
        self.level = level;
    }
    /// F(ρ) and F'(ρ).
    #[inline(always)]
    fn embed(&self, species: usize, rho: f64) -> (f64, f64) {
        let n = self.intervals[1];
        let (m, p) = spline::locate(rho * self.per_drho, n - 1);
        let c = &self.embedding[species * n + m];
        let slope = spline::slope(c, p) * self.per_drho;
        (spline::value(c, p) + (rho - self.rho_max).max(0.0) * slope, slope)
    }
    /// Knots, as places counted in numbers, and p of distances, for the functions of pairs that start at interval `first` of
    /// [`Eam::knots`].
    #[inline(always)]
    fn locate<V: Lanes>(&self, r: V, first: V) -> ([u32; LANES], V) {
        let x = r * V::splat(self.per_dr);
        // at a knot either interval will do
        let m = (x - V::splat(0.5)).round().min(V::splat((self.intervals[0] - 1) as f64));
        let places = ((first + m) * V::splat(KNOT as f64)).indices();
        // eight loads cost less than eight extractions from a register, which the compiler prefers
        (std::hint::black_box(places), (x - m).min(V::splat(1.0)))
    }
    /// The intervals of the densities (`which` = 0) or of r φ (`which` = 1).
    ///
    /// # Safety
    /// The places are those of knots.
    #[inline(always)]
    unsafe fn cubics<V: Lanes>(&self, which: usize, places: &[u32; LANES]) -> [V; 4] {
        // SAFETY: the halves of knots are four numbers, aligned as sites, and the caller promises the range
        unsafe { V::load_records(self.knots.as_ptr().cast::<f64>().add(which * KNOT / 2), places) }
    }
}

/// Numbers of a knot and of a site.
const KNOT: usize = size_of::<Knot>() / size_of::<f64>();
const SITE: u32 = (size_of::<Site>() / size_of::<f64>()) as u32;
const _: () = assert!(size_of::<Knot>() == 2 * size_of::<Site>() && align_of::<Knot>() >= align_of::<Site>());

/// The first pass over a block of rows: close neighbours, densities, embedding. `MANY`: more than one species.
struct Densities<'a, const MANY: bool> {
    eam: &'a Eam,
    list: &'a NeighborList,
    first: usize,
    block: &'a mut Block,
}

impl<const MANY: bool> Kernel for Densities<'_, MANY> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { eam, list, first, block } = self;
        let (sites, centers) = (list.padded_sites(), list.centers());
        let dummy = list.sites().len() as u32 * SITE;
        let n = eam.intervals[0] as f64;
        let cutoff2 = V::splat(eam.cutoff * eam.cutoff);
        block.offsets.clear();
        block.offsets.push(0);
        block.slopes.clear();
        block.results.energies.clear();
        let last = (first + BLOCK).min(centers.len());
        for chunk in (first..last).step_by(CHUNK) {
            let rows = chunk..(chunk + CHUNK).min(last);
            let begin = block.offsets[chunk - first] as usize;
            let mut used = begin;
            for k in rows.clone() {
                let row = list.padded_row(k);
                let [x, y, z] = sites[centers[k] as usize].position;
                let (x, y, z) = (V::splat(x), V::splat(y), V::splat(z));
                if block.close.len() < used + row.len() + 2 * LANES {
                    block.close.resize(used + row.len() + 2 * LANES, 0);
                }
                if block.squares.len() < used - begin + row.len() + 2 * LANES {
                    block.squares.resize(used - begin + row.len() + 2 * LANES, 0.0);
                }
                let (close, squares) = (&mut block.close[used..], &mut block.squares[used - begin..]);
                let mut m = 0;
                for part in row.chunks_exact(LANES) {
                    // SAFETY: rows hold indices of sites or of the dummy behind them, and a part has LANES of them
                    let [sx, sy, sz, _] = unsafe { V::load_sites(sites.as_ptr(), part.as_ptr()) };
                    let (dx, dy, dz) = (sx - x, sy - y, sz - z);
                    let r2 = dx.mul_add(dx, dy.mul_add(dy, dz * dz));
                    let places = lanes(part).map(|s| s * SITE);
                    m += r2.compress(r2.lt(cutoff2), &places, window(close, m), window(squares, m));
                }
                let padded = m.next_multiple_of(LANES);
                *window(close, m) = [dummy; LANES];
                *window(squares, m) = [f64::INFINITY; LANES];
                used += padded;
                block.offsets.push(used as u32);
            }
            for k in rows {
                let species = sites[centers[k] as usize].species as usize;
                let start = V::splat((species * eam.species) as f64 * n);
                let mut rho = V::splat(0.0);
                let (from, to) = (block.offsets[k - first] as usize, block.offsets[k - first + 1] as usize);
                for c in (from..to).step_by(LANES) {
                    let r2 = V::from_array(*window(&mut block.squares, c - begin));
                    let inside = r2.lt(cutoff2);
                    let pair = if MANY {
                        let part = window(&mut block.close, c);
                        // SAFETY: places of sites or of the dummy
                        let species = unsafe { V::load_records(sites.as_ptr().cast(), part)[3] };
                        species.mul_add(V::splat(n), start)
                    } else {
                        start
                    };
                    let (index, p) = eam.locate(r2.min(cutoff2).sqrt(), pair);
                    // SAFETY: locate keeps to the intervals of a pair of species, and species are below their number
                    let [c3, c2, c1, c0] = unsafe { eam.cubics::<V>(0, &index) };
                    rho = rho + V::keep(inside, c3.mul_add(p, c2).mul_add(p, c1).mul_add(p, c0));
                }
                let (energy, slope) = eam.embed(species, rho.sum());
                block.results.energies.push(energy);
                block.slopes.push(slope);
            }
        }
    }
}

/// Eight entries from `at` on.
#[inline(always)]
fn window<T>(of: &mut [T], at: usize) -> &mut [T; LANES] {
    (&mut of[at..at + LANES]).try_into().expect("eight entries")
}

/// A chunk of eight as an array.
#[inline(always)]
fn lanes(part: &[u32]) -> &[u32; LANES] {
    part.try_into().expect("eight entries")
}

/// The second pass over a block of rows. `VIRIALS`: they are wanted.
struct Forces<'a, const MANY: bool, const VIRIALS: bool> {
    eam: &'a Eam,
    list: &'a NeighborList,
    first: usize,
    block: &'a mut Block,
}

impl<const MANY: bool, const VIRIALS: bool> Kernel for Forces<'_, MANY, VIRIALS> {
    type Output = ();

    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { eam, list, first, block } = self;
        let (sites, centers) = (list.padded_sites(), list.centers());
        let dressed = &eam.dressed;
        let n = eam.intervals[0] as f64;
        let cutoff2 = V::splat(eam.cutoff * eam.cutoff);
        let (zero, two, three) = (V::splat(0.0), V::splat(2.0), V::splat(3.0));
        macro_rules! slope {
            ($c:expr, $p:expr) => {{
                let [c3, c2, c1, _] = $c;
                (three * c3).mul_add($p, two * c2).mul_add($p, c1)
            }};
        }
        block.results.forces.clear();
        block.results.virials.clear();
        block.results.energy = 0.0;
        block.results.virial = Mat3::zeros();
        for k in 0..block.slopes.len() {
            let here = &sites[centers[first + k] as usize];
            let [x, y, z] = here.position;
            let (x, y, z) = (V::splat(x), V::splat(y), V::splat(z));
            let species = here.species as usize;
            let start = V::splat((species * eam.species) as f64 * n);
            let own = V::splat(block.slopes[k]);
            let (mut fx, mut fy, mut fz, mut e) = (zero, zero, zero, zero);
            let mut w = [zero; 6];
            let close = &block.close[block.offsets[k] as usize..block.offsets[k + 1] as usize];
            for part in close.chunks_exact(LANES) {
                let part = lanes(part);
                // SAFETY: places of sites or of the dummy; there is a dressed site for each
                let [sx, sy, sz, other] = unsafe { V::load_records(dressed.as_ptr().cast(), part) };
                let (dx, dy, dz) = (sx - x, sy - y, sz - z);
                let r2 = dx.mul_add(dx, dy.mul_add(dy, dz * dz));
                let inside = r2.lt(cutoff2);
                let r = r2.min(cutoff2).sqrt();
                let inverse = V::splat(1.0) / r;
                let kinds = if MANY {
                    // SAFETY: as above
                    unsafe { V::load_records(sites.as_ptr().cast(), part)[3] }
                } else {
                    zero
                };
                let (index, p) = eam.locate(r, kinds.mul_add(V::splat(n), start));
                // SAFETY: locate keeps to the intervals of a pair of species, and species are below their number
                let (density, r_phi) = unsafe { (eam.cubics::<V>(0, &index), eam.cubics::<V>(1, &index)) };
                let density = if MANY {
                    let mirror = (kinds * V::splat(eam.species as f64))
                        .mul_add(V::splat(n), V::splat(species as f64 * n));
                    let (index, p) = eam.locate(r, mirror);
                    // SAFETY: as above
                    let back = unsafe { eam.cubics::<V>(0, &index) };
                    own.mul_add(slope!(density, p), other * slope!(back, p))
                } else {
                    (own + other) * slope!(density, p)
                };
                let [c3, c2, c1, c0] = r_phi;
                let phi = c3.mul_add(p, c2).mul_add(p, c1).mul_add(p, c0) * inverse;
                let pair = slope!(r_phi, p) * inverse;
                let radial = (density + pair).mul_add(V::splat(eam.per_dr), -(phi * inverse));
                let g = V::keep(inside, radial * inverse);
                e = e + V::keep(inside, phi);
                fx = dx.mul_add(g, fx);
                fy = dy.mul_add(g, fy);
                fz = dz.mul_add(g, fz);
                if VIRIALS {
                    let (gx, gy, gz) = (dx * g, dy * g, dz * g);
                    w[0] = gx.mul_add(dx, w[0]);
                    w[1] = gy.mul_add(dy, w[1]);
                    w[2] = gz.mul_add(dz, w[2]);
                    w[3] = gy.mul_add(dz, w[3]);
                    w[4] = gx.mul_add(dz, w[4]);
                    w[5] = gx.mul_add(dy, w[5]);
                }
            }
            let energy = block.results.energies[k] + 0.5 * e.sum();
            block.results.energies[k] = energy;
            block.results.energy += energy;
            block.results.forces.push(Vec3::new(fx.sum(), fy.sum(), fz.sum()));
            if VIRIALS {
                // W = Σ r ⊗ f over pairs, half of each to either atom
                let virial = symmetric(simd::sums(w).map(|w| -0.5 * w));
                block.results.virial += virial;
                block.results.virials.push(virial);
            }
        }
    }
}

/// Calls `f` for every block, in parallel when there are many.
fn each(blocks: &mut [Block], f: impl Fn(usize, &mut Block) + Sync) {
    if blocks.len() <= 2 {
        blocks.iter_mut().enumerate().for_each(|(b, block)| f(b, block));
    } else {
        blocks.par_iter_mut().enumerate().for_each(|(b, block)| f(b, block));
    }
}

impl Potential for Eam {
    fn name(&self) -> &'static str {
        "eam"
    }
    fn cutoff(&self) -> Option<f64> {
        Some(self.cutoff)
    }
    fn compute(
        &mut self,
        input: Input<'_>,
        want: Properties,
        out: &mut Outputs,
    ) -> Result<(), PotentialError> {
        check_species("eam", self.species, &input)?;
        let list = input.neighbors;
        let centers = list.centers();
        self.row_of_atom.update(list);
        let mut blocks = std::mem::take(&mut self.blocks);
        blocks.resize_with(centers.len().div_ceil(BLOCK), Block::default);
        let (level, many) = (self.level, self.species > 1);
        each(&mut blocks, |b, block| {
            let (eam, first) = (&*self, b * BLOCK);
            if many {
                simd::run(level, Densities::<true> { eam, list, first, block });
            } else {
                simd::run(level, Densities::<false> { eam, list, first, block });
            }
        });
        let mut dressed = std::mem::take(&mut self.dressed);
        dressed.clear();
        dressed.extend_from_slice(list.padded_sites());
        let real = list.sites().len();
        parallel::for_each_mut(&mut dressed[..real], |s, site| {
            let row = self.row_of_atom[list.atom(s as u32)] as usize;
            site.species = blocks[row / BLOCK].slopes[row % BLOCK];
        });
        self.dressed = dressed;
        let virials = want.intersects(Properties::VIRIAL | Properties::ATOM_VIRIALS);
        each(&mut blocks, |b, block| {
            let (eam, first) = (&*self, b * BLOCK);
            match (many, virials) {
                (false, false) => simd::run(level, Forces::<false, false> { eam, list, first, block }),
                (false, true) => simd::run(level, Forces::<false, true> { eam, list, first, block }),
                (true, false) => simd::run(level, Forces::<true, false> { eam, list, first, block }),
                (true, true) => simd::run(level, Forces::<true, true> { eam, list, first, block }),
            }
        });
        row_results::add(&blocks, BLOCK, &self.row_of_atom, want, out);
        self.blocks = blocks;
        Ok(())
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["Daw and Baskes, Phys. Rev. B 29, 6443 (1984), doi 10.1103/PhysRevB.29.6443"]
    }
}
