//! The reciprocal part by smooth particle-mesh Ewald.
use super::bspline::{moduli, weights};
use super::fft::{Grid, Number, PAD, smooth};
use super::long_range::{Reciprocal, Waves};
use crate::kernels::floor;
use crate::simd::{Level, Octet, OctetKernel, Octets, Real, run_octets};
use caloron_engine::{Mat3, Outputs, Properties, Vec3, parallel};
use rayon::prelude::*;
use rustfft::num_complex::Complex;
use std::f64::consts::PI;

/// Order P of the splines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SplineOrder {
    /// Cubic.
    Four,
    /// Quartic.
    Five,
    /// Quintic.
    Six,
}

impl SplineOrder {
    /// Splitting parameter and largest distance of grid points for a relative accuracy δ of the forces:
    /// α = sqrt(-ln δ)/R and α h = (10 δ)^(1/P).
    ///
    /// The constant of the rule for h was chosen by hand from errors measured for water and molten NaCl. δ is a scale, not
    /// a bound: the rms error over the rms force was 0.4 to 1.3 δ for water, 1.1 to 2.7 δ for molten NaCl and 2.4 to 7.8 δ for
    /// NaCl crystals with small displacements (cutoff 9 Å, δ from 1e-3 to 1e-6).
    pub fn parameters(self, tolerance: f64, cutoff: f64) -> (f64, f64) {
        let alpha = (-tolerance.ln()).sqrt() / cutoff;
        (alpha, (10.0 * tolerance).powf(1.0 / self.points() as f64) / alpha)
    }
    /// P.
    pub fn points(self) -> usize {
        match self {
            Self::Four => 4,
            Self::Five => 5,
            Self::Six => 6,
        }
    }
}

/// How the grid follows from the cell.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum GridRule {
    /// These numbers of points along the vectors of the cell. A slab, which is repeated at several heights of its cell, has
    /// as many times more along its normal.
    Fixed([usize; 3]),
    /// At most this distance between points, in products of 2, 3, 5 and 7.
    Spacing(f64),
}

/// E = Σ_m G(m) |F(Q)(m)|², the charges spread with B-splines on a grid Q,
/// G = (2π k_e/V) exp(-k²/4α²)/k² |b1 b2 b3|², k = 2π h⁻ᵀ m; forces are its exact derivatives.
///
/// Source: U. Essmann et al., J. Chem. Phys. 103, 8577 (1995), doi:10.1063/1.470117. Terms with 2 m_d = n_d are left out.
/// Planes of the grid are filled one by one from atoms sorted by plane, so no two threads write to the same point
/// and the order of all sums is fixed. The grid is of precision T; energies, forces and virials are summed in f64.
pub(crate) struct PmeSum<T: Mesh> {
    interaction: Interaction,
    alpha: f64,
    rule: GridRule,
    order: SplineOrder,
    level: Level,
    grid: Option<Grid<T>>,
    influence: Influence<T>,
    places: Vec<[f64; 3]>,
    atoms: Vec<Spread<T>>,
    /// First atom of each plane in `atoms`.
    first: Vec<u32>,
    next: Vec<u32>,
    received: Vec<Received>,
    partial: Vec<(f64, Mat3)>,
}

/// A precision of the grid.
pub(crate) trait Mesh: Octets + Number {}
impl Mesh for f32 {}
impl Mesh for f64 {}

/// In the precision of the grid.
#[inline(always)]
fn rounded<T: Real>(x: f64) -> T {
    T::from_f64(x)
}

/// In double precision.
#[inline(always)]
fn wide<T: Real>(x: T) -> f64 {
    x.to_f64()
}

/// What is summed over the lattice.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Interaction {
    /// k_e q q'/r.
    Coulomb(f64),
    /// -c c'/r⁶: G = -(π^(3/2) α³/6V) f(b) |b1 b2 b3|², b = k/2α, f = (1 - 2b²) exp(-b²) + 2b³ √π erfc(b), k = 0 included.
    Dispersion,
}

impl Interaction {
    /// G without the spline factors, at k².
    fn influence(self, k2: f64, alpha: f64, volume: f64) -> f64 {
        match self {
            Self::Coulomb(_) if k2 == 0.0 => 0.0,
            Self::Coulomb(constant) => {
                2.0 * PI * constant / volume * ((-k2 * 0.25 / (alpha * alpha)).exp() / k2)
            }
            Self::Dispersion => {
                let b = 0.5 * k2.sqrt() / alpha;
                let f = (1.0 - 2.0 * b * b) * (-b * b).exp() + 2.0 * b.powi(3) * PI.sqrt() * libm::erfc(b);
                -PI.powf(1.5) * alpha.powi(3) / (6.0 * volume) * f
            }
        }
    }
    /// -2 d ln G/d(k²), which the virial needs.
    fn strain(self, k2: f64, alpha: f64) -> f64 {
        match self {
            _ if k2 == 0.0 => 0.0,
            Self::Coulomb(_) => 2.0 * (1.0 / k2 + 0.25 / (alpha * alpha)),
            Self::Dispersion => {
                let b = 0.5 * k2.sqrt() / alpha;
                let (gauss, tail) = ((-b * b).exp(), b * PI.sqrt() * libm::erfc(b));
                let f = (1.0 - 2.0 * b * b) * gauss + 2.0 * b * b * tail;
                1.5 / (alpha * alpha) * (gauss - tail) / f
            }
        }
    }
}

/// G on the half spectrum, [third][second][first], for a cell and a grid.
#[derive(Default)]
struct Influence<T> {
    valid_for: Option<(Mat3, [usize; 3])>,
    g: Vec<T>,
    moduli: [Vec<f64>; 3],
}

/// An atom with the weights of its grid points.
#[derive(Clone, Copy, Default)]
struct Spread<T> {
    atom: u32,
    start: [u32; 3],
    /// Fraction of a grid cell in each direction.
    w: [f64; 3],
    /// Weights times the charge in the first direction, weights in the others.
    x: [T; 6],
    y: [T; 6],
    z: [T; PAD],
}

/// Potential at an atom and its derivatives along the three grid directions, per unit charge.
#[derive(Clone, Copy, Default)]
struct Received {
    potential: f64,
    slope: [f64; 3],
}

impl<T: Mesh> PmeSum<T> {
    pub(crate) fn new(alpha: f64, rule: GridRule, order: SplineOrder, constant: f64) -> Self {
        Self::of(Interaction::Coulomb(constant), alpha, rule, order)
    }
    /// The dispersion; the "charges" are then the square roots of the coefficients c6.
    pub(crate) fn dispersion(alpha: f64, rule: GridRule, order: SplineOrder) -> Self {
        Self::of(Interaction::Dispersion, alpha, rule, order)
    }
    fn of(interaction: Interaction, alpha: f64, rule: GridRule, order: SplineOrder) -> Self {
        Self {
            interaction,
            alpha,
            rule,
            order,
            level: Level::detect(),
            grid: None,
            influence: Influence::default(),
            places: vec![],
            atoms: vec![],
            first: vec![],
            next: vec![],
            received: vec![],
            partial: vec![],
        }
    }
    /// Numbers of grid points for a cell that is `stretch` times the cell of the system.
    fn points(&self, h: &Mat3, stretch: [f64; 3]) -> [usize; 3] {
        match self.rule {
            GridRule::Fixed(n) => std::array::from_fn(|d| match stretch[d] {
                1.0 => n[d],
                s => smooth((n[d] as f64 * s).ceil() as usize),
            }),
            GridRule::Spacing(spacing) => {
                std::array::from_fn(|d| smooth(((h.column(d).norm() / spacing).ceil() as usize).max(PAD)))
            }
        }
    }
    /// Sorts the atoms by plane and computes their weights.
    fn sort<const P: usize>(&mut self, waves: &Waves<'_>, n: [usize; 3]) {
        let count = waves.positions.len();
        self.atoms.resize(count, Spread::default());
        self.first.clear();
        self.first.resize(n[0] + 1, 0);
        // coordinates in units of grid cells, in [0, n)
        self.places.resize(count, [0.0; 3]);
        parallel::for_each_mut(&mut self.places, |i, place| {
            let r = &waves.positions[i];
            for d in 0..3 {
                let row = waves.h_inv.row(d);
                let s = row[0] * r[0] + row[1] * r[1] + row[2] * r[2];
                let u = (s - floor(s)) * n[d] as f64;
                place[d] = if u < n[d] as f64 { u } else { 0.0 };
            }
        });
        for u in &self.places {
            self.first[u[0] as usize + 1] += 1;
        }
        for k in 0..n[0] {
            self.first[k + 1] += self.first[k];
        }
        self.next.clone_from(&self.first);
        for (i, u) in self.places.iter().enumerate() {
            let slot = &mut self.next[u[0] as usize];
            self.atoms[*slot as usize].atom = i as u32;
            *slot += 1;
        }
        let places = &self.places;
        parallel::for_each_mut(&mut self.atoms, |_, a| {
            let i = a.atom as usize;
            let mut weight = [[0.0; P]; 3];
            for d in 0..3 {
                let u = places[i][d];
                a.start[d] = u as u32;
                a.w[d] = u - f64::from(a.start[d]);
                weight[d] = weights::<P>(a.w[d]).0;
            }
            for l in 0..P {
                a.x[l] = rounded(waves.charges[i] * weight[0][l]);
                a.y[l] = rounded(weight[1][l]);
                a.z[l] = rounded(weight[2][l]);
            }
        });
    }
    fn allocate(&mut self, n: [usize; 3]) {
        if self.grid.as_ref().is_none_or(|g| g.size() != n) {
            self.grid = Some(Grid::new(n));
        }
    }
    fn run<const P: usize>(&mut self, waves: &Waves<'_>, want: Properties, out: &mut Outputs) {
        let n = self.points(waves.h, waves.stretch);
        self.allocate(n);
        self.influence.prepare(waves, n, self.alpha, self.interaction, P);
        self.sort::<P>(waves, n);
        let Some(grid) = &mut self.grid else { return };
        let (atoms, first, level, influence) = (&self.atoms, &self.first, self.level, &self.influence);
        let fill = |plane: usize, values: &mut [T]| {
            run_octets(level, Fill::<T, P> { atoms, first, n, plane, values });
        };
        let virial = want.contains(Properties::VIRIAL);
        self.partial.resize(n[2] / 2 + 1, (0.0, Mat3::zeros()));
        let partial = Slots(self.partial.as_mut_ptr());
        let strain = virial.then_some((self.interaction, self.alpha));
        let change = |third: usize, plane: &mut [Complex<T>]| {
            let sums = influence.apply(waves, n, third, plane, strain);
            // SAFETY: each third index is treated once, and there is a slot for each
            unsafe { partial.write(third, sums) };
        };
        grid.convolve(fill, change);
        let (mut energy, mut tensor) = (0.0, Mat3::zeros());
        for (e, w) in &self.partial {
            energy += e;
            tensor += w;
        }
        out.energy += energy;
        if virial {
            out.virial += tensor;
        }
        if !want.intersects(Properties::FORCES | Properties::ATOM_ENERGIES) {
            return;
        }
        self.received.resize(atoms.len(), Received::default());
        let values = grid.real();
        self.received.par_chunks_mut(256).enumerate().for_each(|(b, received)| {
            let atoms = &atoms[b * 256..b * 256 + received.len()];
            run_octets(level, Gather::<T, P> { atoms, n, values, received });
        });
        // d/dr = h⁻ᵀ (n d/du)
        let to_cartesian = waves.h_inv.transpose() * Mat3::from_diagonal(&Vec3::from(n.map(|n| n as f64)));
        for (a, r) in atoms.iter().zip(&self.received) {
            let i = a.atom as usize;
            let q = waves.charges[i];
            if want.contains(Properties::FORCES) {
                out.forces[i] -= 2.0 * q * (to_cartesian * Vec3::from(r.slope));
            }
            if want.contains(Properties::ATOM_ENERGIES) {
                out.atom_energies[i] += q * r.potential;
            }
        }
    }
}

/// Places that different threads write to, each its own.
struct Slots(*mut (f64, Mat3));
// SAFETY: `write` asks its callers not to share a slot
unsafe impl Sync for Slots {}
impl Slots {
    /// # Safety
    /// The slot exists and nobody else uses it meanwhile.
    unsafe fn write(&self, k: usize, value: (f64, Mat3)) {
        // SAFETY: as the caller promises
        unsafe { *self.0.add(k) = value }
    }
}

/// m or m - n, whichever is nearer to 0.
fn signed(m: usize, n: usize) -> f64 {
    if 2 * m > n { m as f64 - n as f64 } else { m as f64 }
}

impl<T: Mesh> Influence<T> {
    fn prepare(&mut self, waves: &Waves<'_>, n: [usize; 3], alpha: f64, of: Interaction, order: usize) {
        if self.valid_for == Some((*waves.h, n)) {
            return;
        }
        if self.valid_for.is_none_or(|(_, before)| before != n) {
            self.moduli = n.map(|n| moduli(order, n));
            self.g.resize(n[0] * n[1] * (n[2] / 2 + 1), T::default());
        }
        self.valid_for = Some((*waves.h, n));
        let b = 2.0 * PI * waves.h_inv.transpose();
        let volume = waves.h.determinant().abs();
        let moduli = &self.moduli;
        self.g.par_chunks_mut(n[0] * n[1]).enumerate().for_each(|(third, plane)| {
            for (second, row) in plane.chunks_exact_mut(n[0]).enumerate() {
                let base = b * Vec3::new(0.0, signed(second, n[1]), third as f64);
                let m23 = moduli[1][second] * moduli[2][third];
                for (first, g) in row.iter_mut().enumerate() {
                    let k2 = (base + b.column(0) * signed(first, n[0])).norm_squared();
                    let m = m23 * moduli[0][first];
                    *g = rounded(if m > 0.0 { m * of.influence(k2, alpha, volume) } else { 0.0 });
                }
            }
        });
    }
    /// Multiplies a plane of the spectrum with G; its share of energy and (where wanted) virial.
    fn apply(
        &self,
        waves: &Waves<'_>,
        n: [usize; 3],
        third: usize,
        plane: &mut [Complex<T>],
        virial: Option<(Interaction, f64)>,
    ) -> (f64, Mat3) {
        let b = 2.0 * PI * waves.h_inv.transpose();
        let (mut energy, mut tensor) = (0.0, [0.0; 6]);
        let g = &self.g[third * n[0] * n[1]..];
        for (second, row) in plane.chunks_exact_mut(n[0]).enumerate() {
            let base = b * Vec3::new(0.0, signed(second, n[1]), third as f64);
            for (first, (x, g)) in row.iter_mut().zip(&g[second * n[0]..]).enumerate() {
                let e = wide(*g * x.norm_sqr());
                *x = x.scale(*g);
                energy += e;
                if let Some((of, alpha)) = virial
                    && e != 0.0
                {
                    let k = base + b.column(0) * signed(first, n[0]);
                    let s = e * of.strain(k.norm_squared(), alpha);
                    for (w, (c, d)) in tensor.iter_mut().zip([(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)])
                    {
                        *w += s * k[c] * k[d];
                    }
                }
            }
        }
        // the other half of the spectrum
        let twice = if third == 0 { 1.0 } else { 2.0 };
        let [xx, yy, zz, yz, xz, xy] = tensor;
        let w = Mat3::new(energy - xx, -xy, -xz, -xy, energy - yy, -yz, -xz, -yz, energy - zz);
        (twice * energy, twice * w)
    }
}

/// Spreads the charges on one plane.
struct Fill<'a, T, const P: usize> {
    atoms: &'a [Spread<T>],
    first: &'a [u32],
    n: [usize; 3],
    plane: usize,
    values: &'a mut [T],
}

/// Eight numbers from a place of the grid on.
#[inline(always)]
fn eight<T>(values: &[T], at: usize) -> &[T; PAD] {
    values[at..at + PAD].first_chunk().expect("eight numbers")
}

impl<T: Mesh, const P: usize> OctetKernel<T> for Fill<'_, T, P> {
    #[inline(always)]
    fn run<V: Octet<T>>(self) {
        let Self { atoms, first, n, plane, values } = self;
        let row = n[2] + PAD;
        values.fill(T::default());
        for l in 0..P {
            // atoms whose l-th plane this is
            let from = (plane + n[0] - l) % n[0];
            for a in &atoms[first[from] as usize..first[from + 1] as usize] {
                let z = V::load(&a.z);
                let mut y = a.start[1] as usize;
                for m in 0..P {
                    let at = y * row + a.start[2] as usize;
                    let to = values[at..at + PAD].first_chunk_mut().expect("eight numbers");
                    V::all(a.x[l] * a.y[m]).fused(z, V::load(to)).store(to);
                    y = if y + 1 == n[1] { 0 } else { y + 1 };
                }
            }
        }
    }
}

/// Potential and its derivatives at atoms.
struct Gather<'a, T, const P: usize> {
    atoms: &'a [Spread<T>],
    n: [usize; 3],
    values: &'a [T],
    received: &'a mut [Received],
}

impl<T: Mesh, const P: usize> OctetKernel<T> for Gather<'_, T, P> {
    #[inline(always)]
    fn run<V: Octet<T>>(self) {
        let Self { atoms, n, values, received } = self;
        let row = n[2] + PAD;
        for (a, r) in atoms.iter().zip(received) {
            let ((wx, dx), (_, dy)) = (weights::<P>(a.w[0]), weights::<P>(a.w[1]));
            let dz = weights::<P>(a.w[2]).1;
            let mut slope_z = [T::default(); PAD];
            for k in 0..P {
                slope_z[k] = rounded(dz[k]);
            }
            let zero = V::all(T::default());
            let (mut plain, mut along_x, mut along_y) = (zero, zero, zero);
            let mut x = a.start[0] as usize;
            for l in 0..P {
                let mut y = a.start[1] as usize;
                let (mut value, mut slope) = (zero, zero);
                for m in 0..P {
                    let t = V::load(eight(values, (x * n[1] + y) * row + a.start[2] as usize));
                    value = V::all(a.y[m]).fused(t, value);
                    slope = V::all(rounded(dy[m])).fused(t, slope);
                    y = if y + 1 == n[1] { 0 } else { y + 1 };
                }
                let wx = V::all(rounded(wx[l]));
                plain = wx.fused(value, plain);
                along_x = V::all(rounded(dx[l])).fused(value, along_x);
                along_y = wx.fused(slope, along_y);
                x = if x + 1 == n[0] { 0 } else { x + 1 };
            }
            let (z, dz) = (V::load(&a.z), V::load(&slope_z));
            r.potential = wide((plain * z).total());
            r.slope = [(along_x * z).total(), (along_y * z).total(), (plain * dz).total()].map(wide);
        }
    }
}

impl<T: Mesh> Reciprocal for PmeSum<T> {
    fn prepare(&mut self, h: &Mat3, _h_inv: &Mat3) {
        self.allocate(self.points(h, [1.0; 3]));
    }
    fn add(&mut self, waves: &Waves<'_>, want: Properties, out: &mut Outputs) {
        match self.order {
            SplineOrder::Four => self.run::<4>(waves, want, out),
            SplineOrder::Five => self.run::<5>(waves, want, out),
            SplineOrder::Six => self.run::<6>(waves, want, out),
        }
    }
    fn describe(&self) -> String {
        let grid = match (self.rule, &self.grid) {
            (_, Some(grid)) => format!("grid {:?}", grid.size()),
            (GridRule::Fixed(n), None) => format!("grid {n:?}"),
            (GridRule::Spacing(s), None) => format!("grid spacing at most {s:.4}"),
        };
        let precision = if size_of::<T>() == 4 { " in single precision" } else { "" };
        format!("smooth particle-mesh Ewald, {grid}{precision}, splines of order {}", self.order.points())
    }
    fn citations(&self) -> Vec<&'static str> {
        vec![
            "U. Essmann, L. Perera, M. L. Berkowitz, T. Darden, H. Lee, L. G. Pedersen, J. Chem. Phys. 103, 8577 (1995), doi:10.1063/1.470117",
        ]
    }
    fn is_mesh(&self) -> bool {
        true
    }
    fn lacks(&self) -> Properties {
        Properties::ATOM_VIRIALS
    }
}
