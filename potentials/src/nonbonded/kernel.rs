//! The fused loop over pairs: Lennard-Jones and the real-space Coulomb interaction in one pass.
//!
//! Each row holds the neighbours of one atom in three parts: those with a Lennard-Jones interaction alone, with both,
//! and with charges alone, so that hydrogen atoms without a van der Waals radius cost no more than they must.
use super::model::Smoothing;
use super::rows::Block;
use crate::electrostatics::PairForm;
use crate::simd::{self, Kernel, LANES, Lanes};
use caloron_engine::neighbors::Site;

/// Plain truncation of the Lennard-Jones interaction.
pub(super) const PLAIN: u8 = 0;
/// Switched to zero at the cutoff.
pub(super) const SWITCHED: u8 = 1;
/// The real-space part of a lattice sum of the dispersion, shifted to zero at the cutoff.
pub(super) const LATTICE: u8 = 2;

/// A polynomial is taken from it so that it ends smoothly.
pub(super) const SMOOTHED: u8 = 3;

/// Numbers of each pair of types: c12, c6, and for [`LATTICE`] the product of the dispersion coefficients and the shift.
pub(super) const NUMBERS: usize = 4;

/// What the atom of a row receives; energies and virials (only where asked for) are its half of each pair.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    pub force: [f64; 3],
    pub lennard_jones: f64,
    pub coulomb: f64,
    /// xx yy zz yz xz xy
    pub virial: [f64; 6],
}

/// Lennard-Jones numbers by pair of types: `values[(type i * NUMBERS + number) * stride + type j]`.
#[derive(Clone, Debug, Default)]
pub(super) struct Table {
    pub stride: usize,
    pub values: Vec<f64>,
}

/// What all rows of an evaluation share.
#[derive(Clone, Copy)]
pub(super) struct Field<'a, F> {
    pub form: F,
    /// Coulomb constant.
    pub constant: f64,
    pub cutoff2: f64,
    /// Start of the switching, and 1 over its width.
    pub switch: [f64; 2],
    /// For [`SMOOTHED`].
    pub smoothing: Smoothing,
    /// Splitting parameter of the dispersion.
    pub beta: f64,
    /// Positions with charges; the last is far away and neutral.
    pub sites: &'a [Site],
    /// Type of each site.
    pub kinds: &'a [u16],
    pub table: &'a Table,
}

/// The rows of a block. Energies are always summed, as dynamics wants them in every step; `VIRIAL`: virials too.
pub(super) struct Rows<'a, F, const LJ: u8, const VIRIAL: bool> {
    pub field: Field<'a, F>,
    pub centers: &'a [u32],
    pub block: &'a Block,
    pub sums: &'a mut [Sum],
}

/// A/3 t³ + B/4 t⁴ + C and its derivative.
#[inline(always)]
fn taken<V: Lanes>([a, b, c]: [f64; 3], t: V) -> (V, V) {
    let (a, b, t2) = (V::splat(a), V::splat(b), t * t);
    let p = (t2 * t).mul_add(b.mul_add(t, a), V::splat(c));
    (p, t2 * (V::splat(4.0) * b).mul_add(t, V::splat(3.0) * a))
}

/// One row whose neighbours are given.
struct Row<'a, F, V, const LJ: u8, const VIRIAL: bool> {
    field: &'a Field<'a, F>,
    at: [V; 3],
    /// Charge of the centre times the Coulomb constant.
    charge: V,
    /// Table of the centre's type.
    table: &'a [f64],
    force: [V; 3],
    lennard_jones: V,
    coulomb: V,
    virial: [V; 6],
}

impl<F: PairForm, V: Lanes, const LJ: u8, const VIRIAL: bool> Row<'_, F, V, LJ, VIRIAL> {
    /// Adds the pairs with the sites of `indices`, which are a multiple of [`LANES`] and within the sites; `kinds` are their
    /// types, where the dispersion counts.
    #[inline(always)]
    fn add<const DISPERSION: bool, const CHARGES: bool>(&mut self, indices: &[u32], kinds: &[u16]) {
        let f = self.field;
        let limit = V::splat(f.cutoff2);
        for (n, chunk) in indices.chunks_exact(LANES).enumerate() {
            // SAFETY: rows hold indices of sites or of the dummy behind them
            let [x, y, z, q] = unsafe { V::load_sites(f.sites.as_ptr(), chunk.as_ptr()) };
            let d = [x - self.at[0], y - self.at[1], z - self.at[2]];
            let r2 = d[0].mul_add(d[0], d[1].mul_add(d[1], d[2] * d[2]));
            let inside = r2.not_ge(limit);
            let r2 = limit.min(r2);
            let mut g = V::splat(0.0);
            if CHARGES {
                let (phi, slope) = f.form.lanes(r2);
                let qq = self.charge * q;
                g = qq * slope;
                self.coulomb = self.coulomb + V::keep(inside, qq * phi);
            }
            if DISPERSION {
                let (u, slope) = self.lennard_jones(&kinds[n * LANES..(n + 1) * LANES], r2);
                g = g + slope;
                self.lennard_jones = self.lennard_jones + V::keep(inside, u);
            }
            let g = V::keep(inside, g);
            for k in 0..3 {
                self.force[k] = g.mul_add(d[k], self.force[k]);
            }
            if VIRIAL {
                let f = [g * d[0], g * d[1], g * d[2]];
                for (k, (a, b)) in [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)].into_iter().enumerate() {
                    self.virial[k] = f[a].mul_add(d[b], self.virial[k]);
                }
            }
        }
    }
    /// A number of the pairs of the centre with sites of these types.
    #[inline(always)]
    fn number(&self, n: usize, kind: V) -> V {
        let stride = self.field.table.stride;
        let row = &self.table[n * stride..][..stride];
        // SAFETY: types are below the stride of the table
        unsafe {
            if stride == LANES { V::lookup8(row.as_ptr(), kind) } else { V::lookup(row.as_ptr(), kind) }
        }
    }
    /// u and -u'(r)/r.
    #[inline(always)]
    fn lennard_jones(&self, kinds: &[u16], r2: V) -> (V, V) {
        let f = self.field;
        let mut index = [0.0; LANES];
        for (to, kind) in index.iter_mut().zip(kinds) {
            *to = f64::from(*kind);
        }
        let kind = V::from_array(index);
        let (c12, c6) = (self.number(0, kind), self.number(1, kind));
        let s = V::splat(1.0) / r2;
        let s3 = s * s * s;
        let a = c12 * s3;
        let u = (a - c6) * s3;
        let g = (V::splat(12.0) * a - V::splat(6.0) * c6) * s3 * s;
        match LJ {
            SWITCHED => {
                let r = r2.sqrt();
                let width = V::splat(f.switch[1]);
                let x = ((r - V::splat(f.switch[0])) * width).max(V::splat(0.0));
                let rest = V::splat(1.0) - x;
                let s = V::splat(1.0)
                    - x * x * x * x.mul_add(V::splat(6.0).mul_add(x, V::splat(-15.0)), V::splat(10.0));
                let slope = V::splat(30.0) * width * (x * rest) * (x * rest);
                (u * s, g * s + u * slope / r)
            }
            SMOOTHED => {
                let r = r2.sqrt();
                let t = (r - V::splat(f.smoothing.from)).max(V::splat(0.0));
                let ((p12, d12), (p6, d6)) = (taken(f.smoothing.twelve, t), taken(f.smoothing.six, t));
                (u - (c12 * p12 - c6 * p6), g + (c12 * d12 - c6 * d6) / r)
            }
            LATTICE => {
                let (cc, shift) = (self.number(2, kind), self.number(3, kind));
                let b2 = V::splat(f.beta * f.beta) * r2;
                let gauss = (-b2).exp();
                let p = b2.mul_add(b2.mul_add(V::splat(0.5), V::splat(1.0)), V::splat(1.0));
                let p6 = (b2 * b2 * b2).mul_add(V::splat(1.0 / 6.0), p);
                let one = V::splat(1.0);
                let cs = cc * s3;
                (u + cs * (one - gauss * p) - shift, g + V::splat(6.0) * cs * s * (one - gauss * p6))
            }
            _ => (u, g),
        }
    }
}

impl<F: PairForm, const LJ: u8, const VIRIAL: bool> Kernel for Rows<'_, F, LJ, VIRIAL> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let Self { field, centers, block, sums } = self;
        let zero = V::splat(0.0);
        for (k, sum) in sums.iter_mut().enumerate() {
            let site = centers[k] as usize;
            let center = field.sites[site];
            let kind = usize::from(field.kinds[site]);
            let mut row = Row::<F, V, LJ, VIRIAL> {
                field: &field,
                at: simd::splats(center.position),
                charge: V::splat(field.constant * center.species),
                table: &field.table.values[kind * NUMBERS * field.table.stride..],
                force: [zero; 3],
                lennard_jones: zero,
                coulomb: zero,
                virial: [zero; 6],
            };
            let ([a, b, c], [kinds_a, kinds_b]) = block.row(k);
            row.add::<true, false>(a, kinds_a);
            row.add::<true, true>(b, kinds_b);
            row.add::<false, true>(c, &[]);
            sum.force = simd::sums(row.force).map(|f| -f);
            sum.lennard_jones = 0.5 * row.lennard_jones.sum();
            sum.coulomb = 0.5 * row.coulomb.sum();
            if VIRIAL {
                sum.virial = simd::sums(row.virial).map(|w| 0.5 * w);
            }
        }
    }
}
