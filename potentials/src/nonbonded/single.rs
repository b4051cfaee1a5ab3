//! The loop over pairs in single precision, sixteen at a time.
//!
//! Positions are integers (see [`Point`]), so the vector of a pair is exact up to one rounding and the two atoms of a pair get
//! forces that are opposite to the last bit of every pair; row sums are in single, all others in double precision.
use super::kernel::{PLAIN, SWITCHED, Sum};
use super::model::{LennardJonesTypes, Method, Modifier, NonBondedModel};
use super::rows::{Block, ROWS, for_blocks};
use crate::electrostatics::{Expansion, ReactionField};
use crate::kernels::ROUND;
use crate::simd::{Level, PairKernel, Pairs, Point, WIDE, run_pairs};
use caloron_engine::{NeighborList, SpecError};
use rayon::prelude::*;

/// Terms of the smooth part of the interaction: of a reaction field, and of a screened one up to the (α R)² that so many terms
/// are accurate for.
const RADIAL: usize = 2;
const SHORT: usize = 13;
const LONG: usize = 19;
const LARGEST: [f64; 2] = [7.2, 13.0];
/// Coordinates that a quantum of the smallest size can hold, in quanta.
const FARTHEST: f64 = 1.125_899_906_842_624e15;
/// Squared distances below this are taken for it, Å²: the filling of rows may lie anywhere.
const NEAREST: f32 = 1e-6;

/// φ = 1/r + P(u), -φ'/r = 1/r³ + Q(u), u = scale r² - 1.
#[derive(Clone, Copy, Debug)]
struct Form<const N: usize> {
    scale: f32,
    /// Highest power first.
    value: [f32; N],
    slope: [f32; N],
}

impl<const N: usize> Form<N> {
    fn new(scale: f64, value: &[f64], slope: &[f64]) -> Self {
        let of = |numbers: &[f64]| std::array::from_fn(|k| numbers[k] as f32);
        Self { scale: scale as f32, value: of(value), slope: of(slope) }
    }
}

#[derive(Clone, Copy, Debug)]
enum Charges {
    Radial(Form<RADIAL>),
    Short(Form<SHORT>),
    Long(Form<LONG>),
}

/// c12 and c6 by pair of types: `values[(type i * 2 + number) * stride + type j]`; a type more than there are is that of
/// the filling of rows and has none.
#[derive(Clone, Debug, Default)]
struct Table {
    stride: usize,
    values: Vec<f32>,
}

impl Table {
    fn new(numbers: &LennardJonesTypes) -> Self {
        let n = numbers.len();
        let stride = (n + 1).next_multiple_of(WIDE);
        let mut values = vec![0.0; (n + 1) * 2 * stride];
        for i in 0..n {
            for j in 0..n {
                for (k, x) in numbers.get(i, j).into_iter().enumerate() {
                    values[(2 * i + k) * stride + j] = x as f32;
                }
            }
        }
        Self { stride, values }
    }
    /// The numbers of the pairs of a type.
    fn of(&self, kind: u16) -> [&[f32]; 2] {
        let from = 2 * usize::from(kind) * self.stride;
        let (a, b) = self.values[from..from + 2 * self.stride].split_at(self.stride);
        [a, b]
    }
}

/// The quantum of positions for rows that reach so far: differences of listed sites, which may have moved since the list was
/// made, stay below 2³⁰ quanta.
fn quantum(reach: f64) -> f64 {
    2f64.powi((8.0 * reach).log2().ceil() as i32 - 30)
}

/// What the pair sums in single precision keep.
#[derive(Clone, Debug)]
pub(super) struct Single {
    charges: Charges,
    table: Table,
    /// Type and scaled charge of each atom: the product of two charges is their energy times their distance, eV Å.
    of_atom: Vec<(u16, f32)>,
    cutoff: f64,
    switch: Option<f64>,
    /// Å; a power of two, so that scaling is exact.
    quantum: f64,
    points: Vec<Point>,
    /// Type of each site; the last belongs to the filling of rows.
    kinds: Vec<u16>,
}

impl Single {
    /// # Errors
    /// When the model has no form in single precision.
    pub fn new(model: &NonBondedModel) -> Result<Self, SpecError> {
        let wrong = |message: &str| {
            SpecError::new("precision", message).hint("write precision = \"f64\", the default, for this one")
        };
        if model.modifier != Modifier::PotentialSwitch {
            return Err(wrong("a shifted interaction and a switched force have no form in single precision"));
        }
        let field = |f: ReactionField| {
            // k r² - c in powers of u = r²/R² - 1
            let (k, c) = (f.curvature() * model.cutoff.powi(2), f.shift());
            let form = Form::new(model.cutoff.powi(-2), &[k, k - c], &[0.0, -2.0 * f.curvature()]);
            Charges::Radial(form)
        };
        let screened = |alpha: f64| {
            let size = (alpha * model.cutoff).powi(2);
            let terms = if size <= LARGEST[0] { SHORT } else { LONG };
            let e = Expansion::new(alpha, model.cutoff, terms).filter(|_| size <= LARGEST[1]);
            let e = e.ok_or_else(|| {
                wrong("so small a tolerance of the lattice sum has no form in single precision")
            })?;
            Ok(if terms == SHORT {
                Charges::Short(Form::new(e.scale, &e.value, &e.slope))
            } else {
                Charges::Long(Form::new(e.scale, &e.value, &e.slope))
            })
        };
        let charges = match model.method {
            Method::Cut => field(ReactionField::truncated()),
            Method::ReactionField { dielectric } => field(ReactionField::new(model.cutoff, dielectric)),
            Method::Ewald { alpha, .. } => screened(alpha)?,
            Method::Pme(mesh) => screened(mesh.alpha)?,
            Method::NoCutoff => {
                return Err(wrong("all pairs of an open system have no form in single precision"));
            }
            Method::LjPme { .. } => {
                return Err(wrong("lattice sums of the dispersion have no form in single precision"));
            }
        };
        let root = model.constant.sqrt();
        let of_atom = model.types.iter().zip(&model.charges).map(|(t, q)| (*t as u16, (root * q) as f32));
        Ok(Self {
            charges,
            table: Table::new(&model.lennard_jones),
            of_atom: of_atom.collect(),
            cutoff: model.cutoff,
            switch: model.switch,
            quantum: quantum(model.cutoff),
            points: vec![],
            kinds: vec![],
        })
    }
    /// One line on how positions are kept.
    pub fn describe(&self) -> String {
        format!("pairs in single precision (positions in steps of {:.1e} Å), sums in double", self.quantum)
    }
    /// Types of the sites of a new list, which rows need.
    pub fn sites_of(&mut self, list: &NeighborList) -> &[u16] {
        // the list may be longer for the sake of another interaction
        self.quantum = quantum(list.cutoff().max(self.cutoff));
        let real = list.sites().len() as u32;
        self.kinds.clear();
        self.kinds.extend((0..real).map(|s| self.of_atom[list.atom(s)].0));
        self.kinds.push((self.table.values.len() / (2 * self.table.stride) - 1) as u16);
        &self.kinds
    }
    /// Takes over the positions of the sites.
    ///
    /// # Errors
    /// A coordinate that is too large.
    pub fn refresh(&mut self, list: &NeighborList) -> Result<(), f64> {
        let (inverse, of_atom) = (1.0 / self.quantum, &self.of_atom);
        let sites = list.sites();
        self.points.resize(sites.len() + 1, Point::default());
        let chunk = |(b, points): (usize, &mut [Point])| {
            let from = b * CHUNK;
            let mut most = 0.0;
            for (k, (point, site)) in points.iter_mut().zip(&sites[from..]).enumerate() {
                let x = site.position.map(|x| x * inverse);
                for x in x {
                    most = if x.abs() > most { x.abs() } else { most };
                }
                *point = Point {
                    at: x.map(|x| (x + ROUND).to_bits() as i32),
                    charge: of_atom[list.atom((from + k) as u32)].1,
                };
            }
            most
        };
        let points = &mut self.points[..sites.len()];
        let most = if points.len() <= 2 * CHUNK {
            points.chunks_mut(CHUNK).enumerate().map(chunk).fold(0.0, f64::max)
        } else {
            points.par_chunks_mut(CHUNK).enumerate().map(chunk).reduce(|| 0.0, f64::max)
        };
        if most < FARTHEST { Ok(()) } else { Err(most * self.quantum) }
    }
    /// The sums of all rows.
    pub fn run(&self, level: Level, rows: &[Block], centers: &[u32], sums: &mut [Sum], virial: bool) {
        let all = (level, rows, centers, sums);
        match (&self.charges, self.switch, virial) {
            (Charges::Radial(f), Some(_), _) => self.all::<_, SWITCHED, true>(f, all),
            (Charges::Radial(f), None, _) => self.all::<_, PLAIN, true>(f, all),
            (Charges::Short(f), Some(_), true) => self.all::<_, SWITCHED, true>(f, all),
            (Charges::Short(f), Some(_), false) => self.all::<_, SWITCHED, false>(f, all),
            (Charges::Short(f), None, true) => self.all::<_, PLAIN, true>(f, all),
            (Charges::Short(f), None, false) => self.all::<_, PLAIN, false>(f, all),
            (Charges::Long(f), Some(_), true) => self.all::<_, SWITCHED, true>(f, all),
            (Charges::Long(f), Some(_), false) => self.all::<_, SWITCHED, false>(f, all),
            (Charges::Long(f), None, true) => self.all::<_, PLAIN, true>(f, all),
            (Charges::Long(f), None, false) => self.all::<_, PLAIN, false>(f, all),
        }
    }
    fn all<const N: usize, const LJ: u8, const VIRIAL: bool>(
        &self,
        form: &Form<N>,
        (level, rows, centers, sums): (Level, &[Block], &[u32], &mut [Sum]),
    ) {
        for_blocks(sums, |(b, sums)| {
            let centers = &centers[b * ROWS..b * ROWS + sums.len()];
            run_pairs(level, Rows::<N, LJ, VIRIAL> { shared: self, form, centers, block: &rows[b], sums });
        });
    }
}

/// Sites treated per task.
const CHUNK: usize = 4096;

/// The rows of a block.
struct Rows<'a, const N: usize, const LJ: u8, const VIRIAL: bool> {
    shared: &'a Single,
    form: &'a Form<N>,
    centers: &'a [u32],
    block: &'a Block,
    sums: &'a mut [Sum],
}

/// A polynomial with its highest power first, of an odd number of terms or two: odd and even powers apart, which halves the
/// chain of operations that wait for one another.
#[inline(always)]
fn polynomial<V: Pairs, const N: usize>(c: &[f32; N], u: V, u2: V) -> V {
    if N == RADIAL {
        return V::splat(c[0]).mul_add(u, V::splat(c[1]));
    }
    let (mut even, mut odd) = (V::splat(c[0]), V::splat(c[1]));
    for k in (2..N).step_by(2) {
        even = even.mul_add(u2, V::splat(c[k]));
    }
    for k in (3..N).step_by(2) {
        odd = odd.mul_add(u2, V::splat(c[k]));
    }
    odd.mul_add(u, even)
}

/// One row whose neighbours are given.
struct Row<'a, V, const N: usize, const LJ: u8, const VIRIAL: bool> {
    form: &'a Form<N>,
    points: &'a [Point],
    center: Point,
    /// c12 and c6 of the centre's type.
    table: [&'a [f32]; 2],
    square: V,
    limit: V,
    /// Start of the switching, and 1 over its width.
    switch: [V; 2],
    charge: V,
    force: [V; 3],
    lennard_jones: V,
    coulomb: V,
    virial: [V; 6],
}

impl<V: Pairs, const N: usize, const LJ: u8, const VIRIAL: bool> Row<'_, V, N, LJ, VIRIAL> {
    /// Adds the pairs with the points of `indices`, which are a multiple of [`WIDE`] and within the points; `kinds` are their
    /// types, where the dispersion counts.
    #[inline(always)]
    fn add<const DISPERSION: bool, const CHARGES: bool>(&mut self, indices: &[u32], kinds: &[u16]) {
        for (n, chunk) in indices.chunks_exact(WIDE).enumerate() {
            // SAFETY: rows hold indices of sites or of the dummy behind them
            let [x, y, z, q] =
                unsafe { V::differences(self.points.as_ptr(), chunk.as_ptr(), &self.center.at) };
            let r2 = x.mul_add(x, y.mul_add(y, z * z)) * self.square;
            let inside = r2.less(self.limit);
            let r2 = self.limit.min(r2).max(V::splat(NEAREST));
            let inverse = r2.inverse_sqrt();
            let s = inverse * inverse;
            let mut g = V::splat(0.0);
            if CHARGES {
                let u = r2.mul_add(V::splat(self.form.scale), V::splat(-1.0));
                let u2 = u * u;
                let (value, slope) =
                    (polynomial(&self.form.value, u, u2), polynomial(&self.form.slope, u, u2));
                let qq = self.charge * q;
                g = qq * s.mul_add(inverse, slope);
                self.coulomb = self.coulomb + V::keep(inside, qq * (value + inverse));
            }
            if DISPERSION {
                let kinds = kinds[n * WIDE..(n + 1) * WIDE].as_ptr();
                // SAFETY: types are within the table
                let (c12, c6) = unsafe { (V::lookup(self.table[0], kinds), V::lookup(self.table[1], kinds)) };
                let s3 = s * s * s;
                let a = c12 * s3;
                let mut u = (a - c6) * s3;
                let mut slope = (V::splat(12.0) * a - V::splat(6.0) * c6) * s3 * s;
                if LJ == SWITCHED {
                    let [from, width] = self.switch;
                    let t = ((r2 * inverse - from) * width).max(V::splat(0.0));
                    let rest = V::splat(1.0) - t;
                    let p = t.mul_add(V::splat(6.0).mul_add(t, V::splat(-15.0)), V::splat(10.0));
                    let s = (t * t * t).neg_mul_add(p, V::splat(1.0));
                    let fall = V::splat(30.0) * width * (t * rest) * (t * rest);
                    (u, slope) = (u * s, (u * fall).mul_add(inverse, slope * s));
                }
                g = g + slope;
                self.lennard_jones = self.lennard_jones + V::keep(inside, u);
            }
            let g = V::keep(inside, g);
            let d = [x, y, z];
            for k in 0..3 {
                self.force[k] = g.mul_add(d[k], self.force[k]);
            }
            if VIRIAL {
                let f = [g * x, g * y, g * z];
                for (k, (a, b)) in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)].into_iter().enumerate() {
                    self.virial[k] = f[a].mul_add(d[b], self.virial[k]);
                }
            }
        }
    }
}

impl<const N: usize, const LJ: u8, const VIRIAL: bool> PairKernel for Rows<'_, N, LJ, VIRIAL> {
    #[inline(always)]
    fn run<V: Pairs>(self) {
        let Self { shared, form, centers, block, sums } = self;
        let zero = V::splat(0.0);
        let quantum = shared.quantum;
        let switch = shared.switch.map_or([0.0; 2], |from| [from, 1.0 / (shared.cutoff - from)]);
        for (k, sum) in sums.iter_mut().enumerate() {
            let site = centers[k] as usize;
            let center = shared.points[site];
            let mut row = Row::<V, N, LJ, VIRIAL> {
                form,
                points: &shared.points,
                center,
                table: shared.table.of(shared.kinds[site]),
                square: V::splat((quantum * quantum) as f32),
                limit: V::splat((shared.cutoff * shared.cutoff) as f32),
                switch: [V::splat(switch[0] as f32), V::splat(switch[1] as f32)],
                charge: V::splat(center.charge),
                force: [zero; 3],
                lennard_jones: zero,
                coulomb: zero,
                virial: [zero; 6],
            };
            let ([a, b, c], [kinds_a, kinds_b]) = block.row(k);
            row.add::<true, false>(a, kinds_a);
            row.add::<true, true>(b, kinds_b);
            row.add::<false, true>(c, &[]);
            for d in 0..3 {
                sum.force[d] = -quantum * f64::from(row.force[d].sum());
            }
            sum.lennard_jones = 0.5 * f64::from(row.lennard_jones.sum());
            sum.coulomb = 0.5 * f64::from(row.coulomb.sum());
            if VIRIAL {
                for (to, w) in sum.virial.iter_mut().zip(row.virial) {
                    *to = 0.5 * quantum * quantum * f64::from(w.sum());
                }
            }
        }
    }
}
