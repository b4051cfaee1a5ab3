//! The reciprocal part of an Ewald sum, wave vector by wave vector.
use super::long_range::{Reciprocal, Waves};
use crate::kernels::symmetric;
use crate::simd::{self, Kernel, LANES, Lanes, Level};
use caloron_engine::{Mat3, Outputs, Properties, Vec3};
use rayon::prelude::*;

/// E = Σ_k a(k) |S(k)|² over one half of the wave vectors 0 < |k| < k_c, a(k) = (4 π k_e / V) exp(-k²/4α²)/k²,
/// S(k) = Σ_j q_j exp(i k·r_j).
///
/// k = 2 π h⁻ᵀ n for whole n. Vectors (n1, n2, ±n3) are treated together. The set belongs to the present cell, so the
/// energy is a function of the geometry alone.
pub(crate) struct EwaldSum {
    alpha: f64,
    wave_cutoff: f64,
    constant: f64,
    level: Level,
    h: Option<Mat3>,
    rows: Vec<Row>,
    terms: Vec<Term>,
    /// Largest |n| in each direction.
    reach: [usize; 3],
    phases: Phases,
    sums: Vec<Lanewise>,
}

/// Wave vectors that share n1 and n2; their terms have n3 = 0, 1, 2, ...
#[derive(Clone, Copy, Debug)]
struct Row {
    n: [i32; 2],
    first: usize,
    len: usize,
}

/// The pair (n1, n2, n3) and (n1, n2, -n3): coefficients a(k), 0 where the vector is not in the set, the virial
/// factors 2/k² + 1/(2 α²), and the structure factors.
#[derive(Clone, Copy, Debug, Default)]
struct Term {
    a: [f64; 2],
    beta: [f64; 2],
    s: [[f64; 2]; 2],
}

/// exp(2 π i n s) for n = 0, 1, ...: for each direction and n, the cosines and sines of all atoms, and the charges.
#[derive(Default)]
struct Phases {
    atoms: usize,
    cos: [Vec<f64>; 3],
    sin: [Vec<f64>; 3],
    charges: Vec<f64>,
}

/// What eight atoms receive: Σ_k t n, energy, and Σ_k u β n ⊗ n.
#[derive(Clone, Copy, Default)]
struct Lanewise {
    slope: [[f64; LANES]; 3],
    energy: [f64; LANES],
    virial: [[f64; LANES]; 6],
}

impl EwaldSum {
    pub(crate) fn new(alpha: f64, wave_cutoff: f64, constant: f64) -> Self {
        Self {
            alpha,
            wave_cutoff,
            constant,
            level: Level::detect(),
            h: None,
            rows: vec![],
            terms: vec![],
            reach: [0; 3],
            phases: Phases::default(),
            sums: vec![],
        }
    }
    /// The wave vectors of a cell.
    fn choose(&mut self, h: &Mat3, h_inv: &Mat3) {
        if self.h.as_ref() == Some(h) {
            return;
        }
        self.h = Some(*h);
        self.rows.clear();
        self.terms.clear();
        let two_pi = 2.0 * std::f64::consts::PI;
        // n = hᵀ k / 2π
        self.reach =
            std::array::from_fn(|d| (self.wave_cutoff * h.column(d).norm() / two_pi).floor() as usize);
        let [m1, m2, m3] = self.reach.map(|m| m as i32);
        let prefactor = 4.0 * std::f64::consts::PI * self.constant / h.determinant().abs();
        let limit = self.wave_cutoff * self.wave_cutoff;
        let quarter = 0.25 / (self.alpha * self.alpha);
        let coefficient = |n: [i32; 3]| {
            let k = two_pi * h_inv.transpose() * Vec3::new(n[0].into(), n[1].into(), n[2].into());
            let k2 = k.norm_squared();
            // one of k and -k
            let half = n > [0; 3];
            if half && k2 < limit {
                (prefactor * (-k2 * quarter).exp() / k2, 2.0 / k2 + 2.0 * quarter)
            } else {
                (0.0, 0.0)
            }
        };
        for n1 in 0..=m1 {
            for n2 in -m2..=m2 {
                let first = self.terms.len();
                let mut used = first;
                for n3 in 0..=m3 {
                    let plus = coefficient([n1, n2, n3]);
                    let minus = if n3 == 0 { (0.0, 0.0) } else { coefficient([n1, n2, -n3]) };
                    self.terms.push(Term { a: [plus.0, minus.0], beta: [plus.1, minus.1], s: [[0.0; 2]; 2] });
                    if plus.0 != 0.0 || minus.0 != 0.0 {
                        used = self.terms.len();
                    }
                }
                self.terms.truncate(used);
                if used > first {
                    self.rows.push(Row { n: [n1, n2], first, len: used - first });
                }
            }
        }
    }
}

impl Phases {
    fn fill(&mut self, h_inv: &Mat3, positions: &[Vec3], charges: &[f64], reach: [usize; 3]) {
        let padded = positions.len().next_multiple_of(LANES);
        self.atoms = padded;
        self.charges.clear();
        self.charges.extend_from_slice(charges);
        self.charges.resize(padded, 0.0);
        for d in 0..3 {
            let (cos, sin) = (&mut self.cos[d], &mut self.sin[d]);
            cos.resize(padded * (reach[d] + 1), 0.0);
            sin.resize(padded * (reach[d] + 1), 0.0);
            cos[..padded].fill(1.0);
            sin[..padded].fill(0.0);
            let row = h_inv.row(d);
            for (i, r) in positions.iter().enumerate() {
                let s = row[0] * r[0] + row[1] * r[1] + row[2] * r[2];
                let (y, x) = (2.0 * std::f64::consts::PI * (s - s.round())).sin_cos();
                let (mut c, mut z) = (1.0, 0.0);
                for n in 1..=reach[d] {
                    (c, z) = (c * x - z * y, c * y + z * x);
                    cos[n * padded + i] = c;
                    sin[n * padded + i] = z;
                }
            }
        }
    }
    /// cos and sin of direction d, multiple |n|, for the atoms of block b; the sine has the sign of n.
    #[inline(always)]
    fn lanes<V: Lanes>(&self, d: usize, n: i32, b: usize) -> (V, V) {
        let at = n.unsigned_abs() as usize * self.atoms + b * LANES;
        let read = |x: &[f64]| V::from_array(x[at..at + LANES].try_into().expect("eight numbers"));
        let (cos, sin) = (read(&self.cos[d]), read(&self.sin[d]));
        (cos, if n < 0 { -sin } else { sin })
    }
    /// exp(i (n1 φ1 + n2 φ2)) of the atoms of block b.
    #[inline(always)]
    fn plane<V: Lanes>(&self, n: [i32; 2], b: usize) -> (V, V) {
        let (c1, s1) = self.lanes::<V>(0, n[0], b);
        let (c2, s2) = self.lanes::<V>(1, n[1], b);
        (c1 * c2 - s1 * s2, c1 * s2 + s1 * c2)
    }
    #[inline(always)]
    fn charge<V: Lanes>(&self, b: usize) -> V {
        V::from_array(self.charges[b * LANES..(b + 1) * LANES].try_into().expect("eight numbers"))
    }
}

/// The structure factors of one row.
struct StructureFactors<'a> {
    phases: &'a Phases,
    row: Row,
    terms: &'a mut [Term],
}

impl Kernel for StructureFactors<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lanes>(self) {
        /// Terms whose partial sums stay on the stack.
        const TILE: usize = 16;
        let blocks = self.phases.atoms / LANES;
        for (t, tile) in self.terms.chunks_mut(TILE).enumerate() {
            let zero = V::splat(0.0);
            let mut partial = [[zero; 4]; TILE];
            for b in 0..blocks {
                let (c, s) = self.phases.plane::<V>(self.row.n, b);
                let q = self.phases.charge::<V>(b);
                let (c, s) = (q * c, q * s);
                for k in 0..tile.len() {
                    let (z, w) = self.phases.lanes::<V>(2, (t * TILE + k) as i32, b);
                    let p = &mut partial[k];
                    p[0] = c.mul_add(z, p[0]);
                    p[1] = s.mul_add(w, p[1]);
                    p[2] = c.mul_add(w, p[2]);
                    p[3] = s.mul_add(z, p[3]);
                }
            }
            for (term, p) in tile.iter_mut().zip(&partial) {
                let [cz, sw, cw, sz] = simd::sums(*p);
                term.s = [[cz - sw, sz + cw], [cz + sw, sz - cw]];
            }
        }
    }
}

/// Forces, energies and virials of eight atoms.
struct Gather<'a, const VIRIAL: bool> {
    phases: &'a Phases,
    rows: &'a [Row],
    terms: &'a [Term],
    block: usize,
    out: &'a mut Lanewise,
}

impl<const VIRIAL: bool> Kernel for Gather<'_, VIRIAL> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let zero = V::splat(0.0);
        let (mut slope, mut energy, mut virial) = ([zero; 3], zero, [zero; 6]);
        for row in self.rows {
            let (c, s) = self.phases.plane::<V>(row.n, self.block);
            let n = row.n.map(f64::from);
            let (mut along, mut third) = (zero, zero);
            for (n3, term) in self.terms[row.first..row.first + row.len].iter().enumerate() {
                let (z, w) = self.phases.lanes::<V>(2, n3 as i32, self.block);
                let (cz, sw, cw, sz) = (c * z, s * w, c * w, s * z);
                // exp(i k·r) of the two wave vectors
                let waves = [(cz - sw, sz + cw), (cz + sw, sz - cw)];
                let mut t = [zero; 2];
                for m in 0..2 {
                    let (re, im) = waves[m];
                    let (ar, ai) = (V::splat(term.a[m] * term.s[m][0]), V::splat(term.a[m] * term.s[m][1]));
                    t[m] = ar * im - ai * re;
                    let u = ar.mul_add(re, ai * im);
                    energy = energy + u;
                    if VIRIAL {
                        let n3 = if m == 0 { n3 as f64 } else { -(n3 as f64) };
                        let v = [n[0], n[1], n3];
                        let pairs = [(0, 0), (1, 1), (2, 2), (1, 2), (0, 2), (0, 1)];
                        for (x, (a, b)) in virial.iter_mut().zip(pairs) {
                            *x = u.mul_add(V::splat(term.beta[m] * v[a] * v[b]), *x);
                        }
                    }
                }
                along = along + (t[0] + t[1]);
                third = (t[0] - t[1]).mul_add(V::splat(n3 as f64), third);
            }
            slope[0] = along.mul_add(V::splat(n[0]), slope[0]);
            slope[1] = along.mul_add(V::splat(n[1]), slope[1]);
            slope[2] = slope[2] + third;
        }
        self.out.slope = slope.map(|x| x.to_array());
        self.out.energy = energy.to_array();
        self.out.virial = virial.map(|x| x.to_array());
    }
}

impl Reciprocal for EwaldSum {
    fn prepare(&mut self, h: &Mat3, h_inv: &Mat3) {
        self.choose(h, h_inv);
    }
    fn add(&mut self, waves: &Waves<'_>, want: Properties, out: &mut Outputs) {
        let Waves { h, h_inv, positions, charges, .. } = *waves;
        self.choose(h, h_inv);
        self.phases.fill(h_inv, positions, charges, self.reach);
        let (phases, level) = (&self.phases, self.level);
        // the terms of each row are consecutive
        let mut rest = self.terms.as_mut_slice();
        let mut jobs = Vec::with_capacity(self.rows.len());
        for &row in &self.rows {
            let (terms, tail) = rest.split_at_mut(row.len);
            jobs.push(StructureFactors { phases, row, terms });
            rest = tail;
        }
        jobs.into_par_iter().for_each(|job| simd::run(level, job));
        let b = 2.0 * std::f64::consts::PI * h_inv.transpose();
        let (mut energy, mut virial) = (0.0, Mat3::zeros());
        for row in &self.rows {
            for (n3, term) in self.terms[row.first..row.first + row.len].iter().enumerate() {
                for m in 0..2 {
                    let e = term.a[m] * (term.s[m][0].powi(2) + term.s[m][1].powi(2));
                    let n3 = if m == 0 { n3 as f64 } else { -(n3 as f64) };
                    let k = b * Vec3::new(row.n[0].into(), row.n[1].into(), n3);
                    energy += e;
                    virial += e * (Mat3::identity() - term.beta[m] * k * k.transpose());
                }
            }
        }
        out.energy += energy;
        if want.contains(Properties::VIRIAL) {
            out.virial += virial;
        }
        if !want.intersects(Properties::FORCES | Properties::ATOM_ENERGIES | Properties::ATOM_VIRIALS) {
            return;
        }
        let (phases, rows, terms) = (&self.phases, self.rows.as_slice(), self.terms.as_slice());
        self.sums.resize(phases.atoms / LANES, Lanewise::default());
        let by_atom = want.contains(Properties::ATOM_VIRIALS);
        self.sums.par_iter_mut().enumerate().for_each(|(block, out)| {
            if by_atom {
                simd::run(level, Gather::<true> { phases, rows, terms, block, out });
            } else {
                simd::run(level, Gather::<false> { phases, rows, terms, block, out });
            }
        });
        for (i, &q) in charges.iter().enumerate() {
            let (sum, l) = (&self.sums[i / LANES], i % LANES);
            if want.contains(Properties::FORCES) {
                out.forces[i] += 2.0 * q * b * Vec3::from(sum.slope.map(|x| x[l]));
            }
            if want.contains(Properties::ATOM_ENERGIES) {
                out.atom_energies[i] += q * sum.energy[l];
            }
            if by_atom {
                let n = symmetric(sum.virial.map(|x| x[l]));
                out.atom_virials[i] += q * (sum.energy[l] * Mat3::identity() - b * n * b.transpose());
            }
        }
    }
    fn describe(&self) -> String {
        let vectors: usize = self.terms.iter().flat_map(|t| t.a).filter(|a| *a != 0.0).count();
        let set = match self.h {
            Some(_) => format!("; {} wave vectors, |n| <= {:?}", 2 * vectors, self.reach),
            None => String::new(),
        };
        format!("Ewald sum, wave vectors up to {:.4} 1/length{set}", self.wave_cutoff)
    }
    fn citations(&self) -> Vec<&'static str> {
        vec!["P. P. Ewald, Ann. Phys. 369, 253 (1921), doi:10.1002/andp.19213690304"]
    }
}
