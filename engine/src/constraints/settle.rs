//! Rigid three-site molecules with two equal bonds (water) in closed form, eight at a time.
//!
//! The triangle after a drift is found by three rotations from its plane before (SETTLE); velocities by the inverse of
//! the 3x3 matrix of the constraints. The lanes are eight molecules; the arithmetic is the same for every instruction
//! set.
use super::{Broken, Pair};
use crate::Vec3;
use std::ops::{Add, Mul, Neg, Sub};

const LANES: usize = 8;

/// Calls a loop for the widest vectors there are.
macro_rules! widest {
    ($portable:ident, $avx2:ident, $avx512:ident ($($arg:expr),*)) => {{
        #[cfg(target_arch = "x86_64")]
        {
            if is_x86_feature_detected!("avx512f") {
                // SAFETY: the processor has the instructions
                return unsafe { $avx512($($arg),*) };
            }
            if is_x86_feature_detected!("avx2") {
                // SAFETY: the processor has the instructions
                return unsafe { $avx2($($arg),*) };
            }
        }
        $portable($($arg),*)
    }};
}

/// Masses and shape of a kind of molecule.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Kind {
    /// Inverse masses of apex and base atoms.
    w: [f64; 2],
    /// Masses over the total mass.
    fraction: [f64; 2],
    /// Apex to base, base to base.
    distance: [f64; 2],
    /// Apex above the centre of mass, base below it, half the base.
    ra: f64,
    rb: f64,
    rc: f64,
}

/// The molecules of a block: apex and two base atoms by their places.
#[derive(Clone, Debug, Default)]
pub struct Waters {
    kinds: Vec<Kind>,
    molecules: Vec<(u32, [u32; 3])>,
}

impl Waters {
    /// Takes a cluster if it is three mobile atoms with three distances, two of them and their base masses equal, and the
    /// triangle is neither flat nor needle-like; `masses` and `inverse` are those of the block.
    pub fn accept(&mut self, members: &[u32], pairs: &[Pair], masses: &[f64], inverse: &[f64]) -> bool {
        let (&[a, b, c], [p, q, r]) = (members, pairs) else { return false };
        if members.iter().any(|&i| inverse[i as usize] == 0.0) {
            return false;
        }
        let of = |i: u32, j: u32| pairs.iter().find(|p| [p.i, p.j] == [i, j] || [p.j, p.i] == [i, j]);
        let (Some(ab), Some(ac), Some(bc)) = (of(a, b), of(a, c), of(b, c)) else { return false };
        if p == q || q == r {
            return false;
        }
        let close = |x: f64, y: f64| (x - y).abs() <= 1e-12 * x.abs();
        let m = |i: u32| masses[i as usize];
        let corners = [([a, b, c], ab, ac, bc), ([b, a, c], ab, bc, ac), ([c, a, b], ac, bc, ab)];
        for (atoms, one, two, base) in corners {
            let [apex, left, right] = atoms;
            if !(close(one.d2, two.d2) && close(m(left), m(right))) {
                continue;
            }
            let rc = 0.5 * base.d2.sqrt();
            let height2 = one.d2 - rc * rc;
            if height2 <= 0.01 * one.d2 || rc * rc <= 0.01 * one.d2 {
                continue;
            }
            let total = m(apex) + 2.0 * m(left);
            let height = height2.sqrt();
            let ra = 2.0 * m(left) * height / total;
            let kind = Kind {
                w: [inverse[apex as usize], inverse[left as usize]],
                fraction: [m(apex) / total, m(left) / total],
                distance: [one.d2.sqrt(), base.d2.sqrt()],
                ra,
                rb: height - ra,
                rc,
            };
            let k = self.kinds.iter().position(|x| *x == kind).unwrap_or_else(|| {
                self.kinds.push(kind);
                self.kinds.len() - 1
            });
            self.molecules.push((k as u32, atoms));
            return true;
        }
        false
    }
    /// Brings molecules of a kind together.
    pub fn sort(&mut self) {
        self.molecules.sort_by_key(|m| m.0);
    }
    /// Number of molecules.
    pub fn len(&self) -> usize {
        self.molecules.len()
    }
    /// See [`super::Constraints::drift`].
    pub fn drift(&self, r: &mut [Vec3], v: &mut [Vec3], dt: f64) -> Result<(), Broken> {
        widest!(drift_all, drift_avx2, drift_avx512(self, r, v, dt))
    }
    /// See [`super::Constraints::project`].
    pub fn project(&self, r: &[Vec3], v: &mut [Vec3]) -> Result<(), Broken> {
        widest!(project_all, project_avx2, project_avx512(self, r, v))
    }
    /// See [`super::Constraints::constrain`]: by Newton's method, because positions may be far from any triangle of the
    /// right shape.
    pub fn constrain(&self, r: &mut [Vec3], tolerance: f64) -> Result<(), Broken> {
        for (k, atoms) in &self.molecules {
            let kind = &self.kinds[*k as usize];
            let [d, base] = kind.distance.map(|d| d * d);
            let pairs = [(0, 1, d), (0, 2, d), (1, 2, base)].map(|(i, j, d2)| Pair { i, j, d2 });
            let mut place = atoms.map(|a| r[a as usize]);
            let inverse = [kind.w[0], kind.w[1], kind.w[1]];
            super::Small::new(&[0, 1, 2], &pairs, &inverse)
                .constrain(&mut place, tolerance)
                .map_err(|e| Broken { atoms: e.atoms.map(|a| atoms[a] as usize), error: e.error })?;
            for (a, x) in atoms.iter().zip(place) {
                r[*a as usize] = x;
            }
        }
        Ok(())
    }
}

/// Defines a loop over all molecules, up to eight of one kind at a time, for each instruction set. No closures: they would
/// be compiled without the wide instructions.
macro_rules! for_each_set {
    ($portable:ident, $avx2:ident, $avx512:ident, $step:ident, ($($arg:ident : $type:ty),*)) => {
        #[inline(always)]
        fn $portable(waters: &Waters, $($arg: $type),*) -> Result<(), Broken> {
            for same in waters.molecules.chunk_by(|a, b| a.0 == b.0) {
                let kind = &waters.kinds[same[0].0 as usize];
                for chunk in same.chunks(LANES) {
                    $step(kind, chunk, $($arg),*)?;
                }
            }
            Ok(())
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2")]
        fn $avx2(waters: &Waters, $($arg: $type),*) -> Result<(), Broken> {
            $portable(waters, $($arg),*)
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        fn $avx512(waters: &Waters, $($arg: $type),*) -> Result<(), Broken> {
            $portable(waters, $($arg),*)
        }
    };
}

for_each_set!(drift_all, drift_avx2, drift_avx512, drift, (r: &mut [Vec3], v: &mut [Vec3], dt: f64));
for_each_set!(project_all, project_avx2, project_avx512, project, (r: &[Vec3], v: &mut [Vec3]));

/// Eight numbers.
#[derive(Clone, Copy)]
#[repr(align(64))]
struct F([f64; LANES]);

impl F {
    #[inline(always)]
    fn all(x: f64) -> Self {
        Self([x; LANES])
    }
    #[inline(always)]
    fn sqrt(self) -> Self {
        let mut x = self.0;
        for k in 0..LANES {
            x[k] = x[k].sqrt();
        }
        Self(x)
    }
    #[inline(always)]
    fn inverse(self) -> Self {
        let mut x = self.0;
        for k in 0..LANES {
            x[k] = 1.0 / x[k];
        }
        Self(x)
    }
    /// The first of `n` lanes that is not finite.
    #[inline(always)]
    fn not_finite(self, n: usize) -> Option<usize> {
        let mut sum = 0.0;
        for k in 0..LANES {
            sum += 0.0 * self.0[k];
        }
        if sum == 0.0 {
            return None;
        }
        (0..n).find(|&k| !self.0[k].is_finite())
    }
}

macro_rules! operator {
    ($name:ident, $method:ident, $assign:tt) => {
        impl $name for F {
            type Output = Self;
            #[inline(always)]
            fn $method(self, o: Self) -> Self {
                let mut x = self.0;
                for k in 0..LANES {
                    x[k] $assign o.0[k];
                }
                Self(x)
            }
        }
    };
}

operator!(Add, add, +=);
operator!(Sub, sub, -=);
operator!(Mul, mul, *=);

impl Neg for F {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        let mut x = self.0;
        for k in 0..LANES {
            x[k] = -x[k];
        }
        Self(x)
    }
}

/// Eight vectors.
#[derive(Clone, Copy)]
struct V {
    x: F,
    y: F,
    z: F,
}

impl V {
    #[inline(always)]
    fn dot(self, o: Self) -> F {
        self.x * o.x + self.y * o.y + self.z * o.z
    }
    #[inline(always)]
    fn cross(self, o: Self) -> Self {
        Self {
            x: self.y * o.z - self.z * o.y,
            y: self.z * o.x - self.x * o.z,
            z: self.x * o.y - self.y * o.x,
        }
    }
    #[inline(always)]
    fn times(self, f: F) -> Self {
        Self { x: self.x * f, y: self.y * f, z: self.z * f }
    }
    #[inline(always)]
    fn unit(self) -> Self {
        self.times(self.dot(self).sqrt().inverse())
    }
}

impl Add for V {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Self { x: self.x + o.x, y: self.y + o.y, z: self.z + o.z }
    }
}
impl Sub for V {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Self { x: self.x - o.x, y: self.y - o.y, z: self.z - o.z }
    }
}

/// Atom `which` of each molecule; lanes without one repeat the last.
#[inline(always)]
fn load(from: &[Vec3], chunk: &[(u32, [u32; 3])], which: usize) -> V {
    let mut v = V { x: F::all(0.0), y: F::all(0.0), z: F::all(0.0) };
    for k in 0..LANES {
        let (_, atoms) = chunk[k.min(chunk.len() - 1)];
        let r = &from[atoms[which] as usize];
        (v.x.0[k], v.y.0[k], v.z.0[k]) = (r.x, r.y, r.z);
    }
    v
}

#[inline(always)]
fn store(to: &mut [Vec3], chunk: &[(u32, [u32; 3])], which: usize, v: V) {
    for (k, (_, atoms)) in chunk.iter().enumerate() {
        to[atoms[which] as usize] = Vec3::new(v.x.0[k], v.y.0[k], v.z.0[k]);
    }
}

/// The three rotations: sines of the angles that take the triangle out of its old plane (φ, ψ) and in it (θ) follow
/// from the heights over that plane and from zero torque of the constraint forces.
#[inline(always)]
fn drift(
    kind: &Kind,
    chunk: &[(u32, [u32; 3])],
    r: &mut [Vec3],
    v: &mut [Vec3],
    dt: f64,
) -> Result<(), Broken> {
    let step = F::all(dt);
    let (old_a, old_b, old_c) = (load(r, chunk, 0), load(r, chunk, 1), load(r, chunk, 2));
    // relative to the old apex, which keeps digits in large cells
    let (b0, c0) = (old_b - old_a, old_c - old_a);
    let a = load(v, chunk, 0).times(step);
    let b = b0 + load(v, chunk, 1).times(step);
    let c = c0 + load(v, chunk, 2).times(step);
    let center = a.times(F::all(kind.fraction[0])) + (b + c).times(F::all(kind.fraction[1]));
    let (a1, b1, c1) = (a - center, b - center, c - center);
    let n0 = b0.cross(c0).unit();
    let n1 = a1.cross(n0).unit();
    let n2 = n0.cross(n1);
    let one = F::all(1.0);

    let (b0x, b0y, c0x, c0y) = (n1.dot(b0), n2.dot(b0), n1.dot(c0), n2.dot(c0));
    let za = n0.dot(a1);
    let (b1x, b1y, zb) = (n1.dot(b1), n2.dot(b1), n0.dot(b1));
    let (c1x, c1y, zc) = (n1.dot(c1), n2.dot(c1), n0.dot(c1));

    let sin_phi = za * F::all(1.0 / kind.ra);
    let cos_phi = (one - sin_phi * sin_phi).sqrt();
    let sin_psi = (zb - zc) * (cos_phi * F::all(2.0 * kind.rc)).inverse();
    let cos_psi = (one - sin_psi * sin_psi).sqrt();

    let (ra, rb, rc) = (F::all(kind.ra), F::all(kind.rb), F::all(kind.rc));
    let ya = ra * cos_phi;
    let xb = -(rc * cos_psi);
    let lean = rc * sin_psi * sin_phi;
    let yb = -(rb * cos_phi) - lean;
    let yc = -(rb * cos_phi) + lean;

    let alpha = xb * (b0x - c0x) + b0y * yb + c0y * yc;
    let beta = xb * (c0y - b0y) + b0x * yb + c0x * yc;
    let gamma = b0x * b1y - b1x * b0y + c0x * c1y - c1x * c0y;
    let square = alpha * alpha + beta * beta;
    let root = (square - gamma * gamma).sqrt();
    let sin_theta = (alpha * gamma - beta * root) * square.inverse();
    let cos_theta = (one - sin_theta * sin_theta).sqrt();

    let sum = cos_theta + sin_theta;
    if let Some(k) = sum.not_finite(chunk.len()) {
        let [i, j, _] = chunk[k].1;
        return Err(Broken { atoms: [i as usize, j as usize], error: f64::NAN });
    }
    let axes = [n1, n2, n0];
    let new_a = turned(&axes, sin_theta, cos_theta, F::all(0.0), ya, za) + center;
    let new_b = turned(&axes, sin_theta, cos_theta, xb, yb, zb) + center;
    let new_c = turned(&axes, sin_theta, cos_theta, -xb, yc, zc) + center;
    let per_step = F::all(1.0 / dt);
    store(r, chunk, 0, old_a + new_a);
    store(r, chunk, 1, old_a + new_b);
    store(r, chunk, 2, old_a + new_c);
    store(v, chunk, 0, new_a.times(per_step));
    store(v, chunk, 1, (new_b - b0).times(per_step));
    store(v, chunk, 2, (new_c - c0).times(per_step));
    Ok(())
}

/// The point (x, y, z) in a frame, turned about its third axis.
#[inline(always)]
fn turned(axes: &[V; 3], sin: F, cos: F, x: F, y: F, z: F) -> V {
    axes[0].times(x * cos - y * sin) + axes[1].times(x * sin + y * cos) + axes[2].times(z)
}

#[inline(always)]
fn project(kind: &Kind, chunk: &[(u32, [u32; 3])], r: &[Vec3], v: &mut [Vec3]) -> Result<(), Broken> {
    let (a, b, c) = (load(r, chunk, 0), load(r, chunk, 1), load(r, chunk, 2));
    let (va, vb, vc) = (load(v, chunk, 0), load(v, chunk, 1), load(v, chunk, 2));
    let (e1, e2, e3) = (b - a, c - a, c - b);
    let (wa, wb) = (F::all(kind.w[0]), F::all(kind.w[1]));
    let both = wa + wb;
    let (m11, m22, m33) = (both * e1.dot(e1), both * e2.dot(e2), (wb + wb) * e3.dot(e3));
    let (m12, m13, m23) = (wa * e1.dot(e2), -(wb * e1.dot(e3)), wb * e2.dot(e3));
    let (u1, u2, u3) = (-e1.dot(vb - va), -e2.dot(vc - va), -e3.dot(vc - vb));
    // the inverse of a symmetric matrix by its cofactors
    let (k11, k12, k13) = (m22 * m33 - m23 * m23, m13 * m23 - m12 * m33, m12 * m23 - m13 * m22);
    let (k22, k23, k33) = (m11 * m33 - m13 * m13, m12 * m13 - m11 * m23, m11 * m22 - m12 * m12);
    let scale = (m11 * k11 + m12 * k12 + m13 * k13).inverse();
    let x1 = (k11 * u1 + k12 * u2 + k13 * u3) * scale;
    let x2 = (k12 * u1 + k22 * u2 + k23 * u3) * scale;
    let x3 = (k13 * u1 + k23 * u2 + k33 * u3) * scale;
    if let Some(k) = x1.not_finite(chunk.len()) {
        let [i, j, _] = chunk[k].1;
        return Err(Broken { atoms: [i as usize, j as usize], error: f64::NAN });
    }
    store(v, chunk, 0, va - (e1.times(x1) + e2.times(x2)).times(wa));
    store(v, chunk, 1, vb + (e1.times(x1) - e3.times(x3)).times(wb));
    store(v, chunk, 2, vc + (e2.times(x2) + e3.times(x3)).times(wb));
    Ok(())
}
