//! Radial functions of the truncated and screened Coulomb interaction.
use crate::simd::{Lanes, Portable};

/// A radial function φ(r) that stands for 1/r.
pub trait PairForm: Copy + Send + Sync {
    /// φ and -φ'(r)/r for squared distances within the cutoff.
    fn lanes<V: Lanes>(&self, r2: V) -> (V, V);
    /// The interaction an excluded pair would have had, as (φ, -φ'/r): what an exclusion takes away.
    ///
    /// Forms that approximate the sum over all images lose the bare 1/r, truncated ones lose φ itself.
    fn excluded(&self, r2: f64) -> (f64, f64);
    /// One half of lim r→0 (φ(r) - 1/r): the energy of a squared charge with its own screening.
    fn self_energy(&self) -> f64;
    /// φ and -φ'(r)/r of one squared distance, the same bits as in a lane.
    fn scalar(&self, r2: f64) -> (f64, f64) {
        let (phi, g) = self.lanes(Portable::splat(r2));
        (phi.to_array()[0], g.to_array()[0])
    }
}

/// 1/r and its force factor 1/r³.
pub(crate) fn bare(r2: f64) -> (f64, f64) {
    let inverse = 1.0 / r2.sqrt();
    (inverse, inverse / r2)
}

/// φ(r) = 1/r + k r² - c: plain truncation with k = c = 0, else a reaction field.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct ReactionField {
    k: f64,
    c: f64,
}

impl ReactionField {
    /// Plain truncation, φ = 1/r.
    pub fn truncated() -> Self {
        Self::default()
    }
    /// A medium of relative permittivity ε beyond the cutoff R: k = (ε - 1) / ((2 ε + 1) R³), c = 3 ε / ((2 ε + 1) R).
    ///
    /// Source: I. G. Tironi, R. Sperb, P. E. Smith, W. F. van Gunsteren, J. Chem. Phys. 102, 5451 (1995),
    /// doi:10.1063/1.469273.
    pub fn new(cutoff: f64, dielectric: f64) -> Self {
        let (k, c) = if dielectric.is_infinite() {
            (0.5, 1.5)
        } else {
            let d = 2.0 * dielectric + 1.0;
            ((dielectric - 1.0) / d, 3.0 * dielectric / d)
        };
        Self { k: k / cutoff.powi(3), c: c / cutoff }
    }
    /// k, 1/Å³.
    pub fn curvature(&self) -> f64 {
        self.k
    }
    /// c, 1/Å.
    pub fn shift(&self) -> f64 {
        self.c
    }
}

impl PairForm for ReactionField {
    #[inline(always)]
    fn lanes<V: Lanes>(&self, r2: V) -> (V, V) {
        let inverse = V::splat(1.0) / r2.sqrt();
        let phi = r2.mul_add(V::splat(self.k), inverse) - V::splat(self.c);
        (phi, inverse * inverse * inverse - V::splat(2.0 * self.k))
    }
    fn excluded(&self, r2: f64) -> (f64, f64) {
        let (phi, g) = bare(r2);
        (phi + self.k * r2 - self.c, g - 2.0 * self.k)
    }
    fn self_energy(&self) -> f64 {
        0.0
    }
}

/// φ(r) = erfc(α r)/r - s + t (r - R), the screened interaction of Ewald, Wolf and damped-shifted-force sums.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Damped {
    alpha: f64,
    shift: f64,
    slope: f64,
    cutoff: f64,
}

impl Damped {
    /// The real-space part of an Ewald sum: s = t = 0.
    pub fn ewald(alpha: f64, cutoff: f64) -> Self {
        Self { alpha, shift: 0.0, slope: 0.0, cutoff }
    }
    /// s = erfc(α R)/R, t = 0, so that φ(R) = 0.
    ///
    /// Source: D. Wolf, P. Keblinski, S. R. Phillpot, J. Eggebrecht, J. Chem. Phys. 110, 8254 (1999),
    /// doi:10.1063/1.478738.
    pub fn wolf(alpha: f64, cutoff: f64) -> Self {
        let shift = libm::erfc(alpha * cutoff) / cutoff;
        Self { alpha, shift, slope: 0.0, cutoff }
    }
    /// s = erfc(α R)/R, t = erfc(α R)/R² + (2 α/√π) exp(-α² R²)/R, so that φ(R) = φ'(R) = 0.
    ///
    /// Source: C. J. Fennell, J. D. Gezelter, J. Chem. Phys. 124, 234104 (2006), doi:10.1063/1.2206581.
    pub fn shifted_force(alpha: f64, cutoff: f64) -> Self {
        let shift = libm::erfc(alpha * cutoff) / cutoff;
        let gauss = TWO_OVER_SQRT_PI * alpha * (-(alpha * cutoff).powi(2)).exp();
        Self { alpha, shift, slope: (shift + gauss) / cutoff, cutoff }
    }
}

const TWO_OVER_SQRT_PI: f64 = std::f64::consts::FRAC_2_SQRT_PI;

impl PairForm for Damped {
    #[inline(always)]
    fn lanes<V: Lanes>(&self, r2: V) -> (V, V) {
        let r = r2.sqrt();
        let x = V::splat(self.alpha) * r;
        // one division gives both 1/r and 1/(x + K)
        let x = x.min(V::splat(LARGEST));
        let xk = x + V::splat(K);
        let w = V::splat(1.0) / (r * xk);
        let (inverse, q) = (w * xk, w * r);
        let gauss = (-(x * x)).exp();
        let screened = scaled_erfc(q) * gauss * inverse;
        let g = V::splat(TWO_OVER_SQRT_PI * self.alpha).mul_add(gauss, screened) * (inverse * inverse);
        let slope = V::splat(self.slope);
        let phi = slope.mul_add(r - V::splat(self.cutoff), screened - V::splat(self.shift));
        (phi, g - slope * inverse)
    }
    fn excluded(&self, r2: f64) -> (f64, f64) {
        bare(r2)
    }
    fn self_energy(&self) -> f64 {
        -0.5 * (TWO_OVER_SQRT_PI * self.alpha + self.shift + self.slope * self.cutoff)
    }
}

/// Number of coefficients of [`Smooth`].
const TERMS: usize = 24;

/// φ(r) = erfc(α r)/r as 1/r less its smooth part, for distances up to a cutoff R with (α R)² below [`Smooth::LARGEST`]:
///
/// φ = 1/r - α V(α² r²), -φ'/r = 1/r³ + 2 α³ V'(α² r²), V(t) = erf(√t)/√t.
///
/// V is entire in t, and its Chebyshev expansion on [0, (α R)²], in powers of the variable u in [-1, 1], needs neither
/// exp nor a second division. V' is the derivative of the expansion, so that forces are exactly those of the energy.
/// Error of φ and φ': about 1e-14 α and 1e-13 α².
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Smooth {
    /// u = r² scale - 1.
    scale: f64,
    /// -α V and its part of -φ'/r, highest power first.
    value: [f64; TERMS],
    slope: [f64; TERMS],
}

/// The smooth part of the screened interaction as polynomials in u = r² scale - 1, which is in [-1, 1] up to the cutoff:
/// φ = 1/r + P(u), -φ'/r = 1/r³ + Q(u) (see [`Smooth`]).
#[derive(Clone, Debug)]
pub struct Expansion {
    /// 2/R², 1/Å².
    pub scale: f64,
    /// P, highest power first, 1/Å.
    pub value: Vec<f64>,
    /// Q, as many numbers as P with a zero before the highest power, 1/Å³.
    pub slope: Vec<f64>,
}

impl Expansion {
    /// For a splitting parameter and a cutoff; `None` when their product is not positive. The Chebyshev expansion is cut after
    /// `terms` terms; the larger (α R)², the more are needed.
    pub fn new(alpha: f64, cutoff: f64, terms: usize) -> Option<Self> {
        let t_max = (alpha * cutoff).powi(2);
        if t_max.is_nan() || t_max <= 0.0 {
            return None;
        }
        const NODES: usize = 48;
        let angle = |k: usize| std::f64::consts::PI * (k as f64 + 0.5) / NODES as f64;
        let at: Vec<f64> = (0..NODES)
            .map(|k| {
                let z = (0.5 * t_max * (1.0 + angle(k).cos())).sqrt();
                libm::erf(z) / z
            })
            .collect();
        // powers of u from T_0 = 1, T_1 = u, T_{n+1} = 2 u T_n - T_{n-1}
        let (mut before, mut now) = (vec![0.0; terms], vec![0.0; terms]);
        (before[0], now[1]) = (1.0, 1.0);
        let mut powers = vec![0.0; terms];
        for n in 0..terms {
            let sum: f64 = (0..NODES).map(|k| at[k] * (n as f64 * angle(k)).cos()).sum();
            let c = sum * if n == 0 { 1.0 } else { 2.0 } / NODES as f64;
            let t = if n == 0 { &before } else { &now };
            for (p, t) in powers.iter_mut().zip(t) {
                *p += c * t;
            }
            if n > 0 {
                let next = |k: usize| if k > 0 { 2.0 * now[k - 1] } else { 0.0 } - before[k];
                let next = (0..terms).map(next).collect();
                (before, now) = (now, next);
            }
        }
        let scale = 2.0 * alpha * alpha / t_max;
        let value = powers.iter().rev().map(|p| -alpha * p).collect();
        // 2 α d/d(r²), du/d(r²) = scale
        let mut slope = vec![0.0; terms];
        for (k, p) in powers.iter().enumerate().skip(1) {
            slope[terms - k] = 2.0 * alpha * scale * k as f64 * p;
        }
        Some(Self { scale, value, slope })
    }
}

impl Smooth {
    /// The largest (α R)² it is accurate for.
    pub const LARGEST: f64 = 9.5;

    /// For a splitting parameter and a cutoff; `None` when their product is too large.
    pub fn new(alpha: f64, cutoff: f64) -> Option<Self> {
        if (alpha * cutoff).powi(2) > Self::LARGEST {
            return None;
        }
        let Expansion { scale, value, slope } = Expansion::new(alpha, cutoff, TERMS)?;
        Some(Self { scale, value: value.try_into().ok()?, slope: slope.try_into().ok()? })
    }
}

impl PairForm for Smooth {
    #[inline(always)]
    fn lanes<V: Lanes>(&self, r2: V) -> (V, V) {
        let inverse = V::splat(1.0) / r2.sqrt();
        let u = r2.mul_add(V::splat(self.scale), V::splat(-1.0));
        let (mut value, mut slope) = (V::splat(self.value[0]), V::splat(self.slope[1]));
        for k in 1..TERMS {
            value = value.mul_add(u, V::splat(self.value[k]));
        }
        for k in 2..TERMS {
            slope = slope.mul_add(u, V::splat(self.slope[k]));
        }
        (value + inverse, (inverse * inverse).mul_add(inverse, slope))
    }
    fn excluded(&self, r2: f64) -> (f64, f64) {
        bare(r2)
    }
    fn self_energy(&self) -> f64 {
        // u = -1 at r = 0
        0.5 * self.value.iter().fold(0.0, |s, c| c - s)
    }
}

/// The fit of exp(x²) erfc(x) holds up to here, where erfc(x) is 4e-23.
pub(crate) const LARGEST: f64 = 7.0;
const K: f64 = 3.75;

/// exp(x²) erfc(x) for 0 <= x <= 7 from q = 1/(x + K), relative error 1.2e-15 (rounding included).
///
/// (x + K) exp(x²) erfc(x) is smooth in (x - K)/(x + K) = 1 - 2 K q; the numbers are its Chebyshev expansion
/// up to degree 17 on the interval of u = u0 - u1 q in [-1, 1], computed with 60 digits and written in powers of u.
/// Idea: M. M. Shepherd, J. G. Laframboise, Math. Comp. 36, 249 (1981), doi:10.1090/S0025-5718-1981-0595058-X.
#[inline(always)]
fn scaled_erfc<V: Lanes>(q: V) -> V {
    let u = V::splat(-U1).mul_add(q, V::splat(U0));
    let mut p = V::splat(SERIES[0]);
    for &c in &SERIES[1..] {
        p = p.mul_add(u, V::splat(c));
    }
    p * q
}

const U0: f64 = 2.071_428_571_428_571_6;
const U1: f64 = 11.517_857_142_857_142;
#[allow(clippy::excessive_precision)]
const SERIES: [f64; 18] = [
    1.185169342954168407e-10,
    3.304459618384081058e-10,
    -2.69813169247754179e-9,
    -8.092305716675225311e-9,
    5.731098771741565053e-8,
    1.360564847171131592e-7,
    -1.406050583626588356e-6,
    -6.57066767147387303e-7,
    0.0000354328245058747228,
    -0.0001028472899244020752,
    -0.0005038684086158316581,
    0.006038800510897036186,
    -0.03128318349496189561,
    0.1110857248296741701,
    -0.3006108035782141883,
    0.6452052898033654322,
    -1.113710934004306248,
    1.541698852937327067,
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_screened_interaction_is_accurate_to_the_last_digits() {
        let mut worst = (0f64, 0f64);
        for k in 1..60_000 {
            let r = 0.2 + 1.2e-4 * f64::from(k);
            let (phi, g) = Damped::ewald(0.9, 8.0).scalar(r * r);
            let x = 0.9 * r;
            let exact = libm::erfc(x) / r;
            let exact_g = (exact + 2.0 * 0.9 / std::f64::consts::PI.sqrt() * (-x * x).exp()) / (r * r);
            // exp(-x²) of a rounded x² is wrong by x² units in the last place
            let ulp = 1.0 + x * x;
            worst =
                (worst.0.max((phi / exact - 1.0).abs() / ulp), worst.1.max((g / exact_g - 1.0).abs() / ulp));
        }
        assert!(worst.0 < 3e-15 && worst.1 < 3e-15, "{worst:?}");
    }

    #[test]
    fn the_smooth_part_gives_the_same_interaction() {
        for (alpha, cutoff) in [(0.29, 9.0), (0.34, 9.0), (0.2, 12.0), (0.25, 4.0)] {
            let (fast, exact) = (Smooth::new(alpha, cutoff).unwrap(), Damped::ewald(alpha, cutoff));
            for k in 1..2000 {
                let r2 = cutoff * cutoff * f64::from(k) / 2000.0;
                let ((a, b), (c, d)) = (fast.scalar(r2), exact.scalar(r2));
                assert!((a - c).abs() < 3e-14 * (alpha + c), "{alpha} {r2} {a} {c}");
                assert!((b - d).abs() < 1e-12 * (alpha.powi(3) + d), "{alpha} {r2} {b} {d}");
            }
            assert!((fast.self_energy() - exact.self_energy()).abs() < 1e-13);
        }
        assert!(Smooth::new(0.5, 9.0).is_none() && Smooth::new(f64::NAN, 9.0).is_none());
    }

    #[test]
    fn forces_are_derivatives() {
        fn check(form: impl PairForm) {
            for k in 1..80 {
                let r = 0.5 + 0.1 * f64::from(k);
                let h = 1e-4 * r;
                let at = |r: f64| form.scalar(r * r).0;
                let slope =
                    (8.0 * (at(r + h) - at(r - h)) - (at(r + 2.0 * h) - at(r - 2.0 * h))) / (12.0 * h);
                let g = form.scalar(r * r).1;
                assert!((slope + g * r).abs() < 1e-10 * (1.0 + slope.abs()), "{r} {slope} {}", -g * r);
            }
        }
        check(Damped::ewald(0.31, 9.0));
        check(Smooth::new(0.31, 9.0).unwrap());
        check(Damped::wolf(0.2, 9.0));
        check(Damped::shifted_force(0.2, 9.0));
        check(ReactionField::truncated());
        check(ReactionField::new(9.0, 78.3));
    }

    #[test]
    fn shifted_forms_end_at_the_cutoff() {
        let (phi, g) = Damped::shifted_force(0.2, 9.0).scalar(81.0);
        assert!(phi.abs() < 1e-16 && g.abs() < 1e-17);
        assert!(Damped::wolf(0.2, 9.0).scalar(81.0).0.abs() < 1e-16);
        let (phi, g) = ReactionField::new(9.0, f64::INFINITY).scalar(81.0);
        assert!(phi.abs() < 1e-16 && g.abs() < 1e-17);
    }

    #[test]
    fn the_self_energy_is_the_limit_of_the_screening() {
        for form in [Damped::ewald(0.3, 9.0), Damped::wolf(0.3, 9.0), Damped::shifted_force(0.3, 9.0)] {
            let limit = |r: f64| 0.5 * (form.scalar(r * r).0 - 1.0 / r);
            let extrapolated = 2.0 * limit(0.001) - limit(0.002);
            assert!((extrapolated - form.self_energy()).abs() < 1e-7);
        }
    }
}
