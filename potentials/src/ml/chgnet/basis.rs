//! Radial and angular functions of CHGNet with their slopes.
//!
//! Radial: f_n(r) = sqrt(2/r_c) e(r/r_c) sin(w_n r/r_c)/r with the envelope e(t) = 1 − 45 t⁸ + 80 t⁹ − 36 t¹⁰, 0 beyond the
//! cutoff. Angular: 1/sqrt(2π), sin(φ_k θ)/sqrt(π), cos(φ_k θ)/sqrt(π). The frequencies w and φ are parameters.
//!
//! Both are kept as 32 numbers: radial functions with a zero at the end, angular ones as 16 sines and 16 cosines, where the last
//! sine is zero and the last cosine is one and stands for the constant.
use super::weights::{ANGULAR, ENVELOPE, RADIAL};
use crate::simd::{Kernel, LANES, Lanes, Level, run, sin_cos};

/// Numbers of a basis.
pub(super) const BASIS: usize = 32;

/// Cosines of angles are multiplied by this, which keeps the slope of the angle finite where three atoms are in a line.
const SHRINK: f64 = 1.0 - 1e-6;

/// Radial functions of one cutoff.
#[derive(Clone, Debug)]
pub(super) struct Radial {
    cutoff: f64,
    frequencies: [f64; BASIS],
}

impl Radial {
    pub fn new(cutoff: f64, frequencies: &[f64]) -> Self {
        let mut all = [0.0; BASIS];
        all[..RADIAL].copy_from_slice(frequencies);
        Self { cutoff, frequencies: all }
    }
    /// Values and slopes df/dr at r.
    pub fn at(&self, level: Level, r: f64, value: &mut [f64; BASIS], slope: &mut [f64; BASIS]) {
        if r >= self.cutoff {
            value.fill(0.0);
            slope.fill(0.0);
            return;
        }
        run(level, RadialKernel { radial: self, r, value, slope });
    }
}

struct RadialKernel<'a> {
    radial: &'a Radial,
    r: f64,
    value: &'a mut [f64; BASIS],
    slope: &'a mut [f64; BASIS],
}

impl Kernel for RadialKernel<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let (r, t) = (self.r, self.r / self.radial.cutoff);
        let p = f64::from(ENVELOPE);
        let t7 = t.powi(ENVELOPE - 1);
        let [a, b, c] = [0.5 * (p + 1.0) * (p + 2.0), p * (p + 2.0), 0.5 * p * (p + 1.0)];
        let envelope = 1.0 - t7 * t * (a - t * (b - c * t));
        let slope = -a * p * t7 * (1.0 - t) * (1.0 - t) / self.radial.cutoff;
        let scale = (2.0 / self.radial.cutoff).sqrt() / r;
        for k in (0..BASIS).step_by(LANES) {
            let w: [f64; LANES] = self.radial.frequencies[k..k + LANES].try_into().expect("a part of eight");
            let w = V::from_array(w);
            let (sin, cos) = sin_cos(w * V::splat(t));
            self.value[k..k + LANES].copy_from_slice(&(sin * V::splat(scale * envelope)).to_array());
            let by_sin = V::splat(scale * (slope - envelope / r)) * sin;
            let by_cos = V::splat(scale * envelope / self.radial.cutoff) * w;
            self.slope[k..k + LANES].copy_from_slice(&by_cos.mul_add(cos, by_sin).to_array());
        }
    }
}

/// Angular functions.
#[derive(Clone, Debug)]
pub(super) struct Angular {
    frequencies: [f64; BASIS / 2],
}

/// An angle: θ and dθ/d(each of two vectors).
pub(super) struct Angle {
    pub theta: f64,
    pub gradient: [[f64; 3]; 2],
}

impl Angular {
    pub fn new(frequencies: &[f64]) -> Self {
        let mut all = [0.0; BASIS / 2];
        all[..ANGULAR].copy_from_slice(frequencies);
        Self { frequencies: all }
    }
    /// Values and slopes df/dθ at θ, without the factor 1/sqrt(π).
    pub fn at(&self, level: Level, theta: f64, value: &mut [f64; BASIS], slope: &mut [f64; BASIS]) {
        run(level, AngularKernel { angular: self, theta, value, slope });
    }
    /// The column of the angle embedding, of which the checkpoint has [constant, sines, cosines], for each function; and the factor.
    pub fn column(function: usize) -> Option<(usize, f64)> {
        let scale = 1.0 / std::f64::consts::PI.sqrt();
        match (function / (BASIS / 2), function % (BASIS / 2)) {
            (0, ANGULAR) => None,
            (_, ANGULAR) => Some((0, scale * std::f64::consts::FRAC_1_SQRT_2)),
            (half, k) => Some((1 + half * ANGULAR + k, scale)),
        }
    }
}

struct AngularKernel<'a> {
    angular: &'a Angular,
    theta: f64,
    value: &'a mut [f64; BASIS],
    slope: &'a mut [f64; BASIS],
}

impl Kernel for AngularKernel<'_> {
    type Output = ();
    #[inline(always)]
    fn run<V: Lanes>(self) {
        let half = BASIS / 2;
        for k in (0..half).step_by(LANES) {
            let w: [f64; LANES] = self.angular.frequencies[k..k + LANES].try_into().expect("a part of eight");
            let w = V::from_array(w);
            let (sin, cos) = sin_cos(w * V::splat(self.theta));
            self.value[k..k + LANES].copy_from_slice(&sin.to_array());
            self.value[half + k..half + k + LANES].copy_from_slice(&cos.to_array());
            self.slope[k..k + LANES].copy_from_slice(&(w * cos).to_array());
            self.slope[half + k..half + k + LANES].copy_from_slice(&(-(w * sin)).to_array());
        }
    }
}

/// The angle between two vectors with their lengths: θ = acos(0.999999 cos).
pub(super) fn angle(d: [&[f64; 3]; 2], r: [f64; 2]) -> Angle {
    let unit = [0, 1].map(|s| d[s].map(|x| x / r[s]));
    let cos: f64 = (0..3).map(|c| unit[0][c] * unit[1][c]).sum();
    let x = SHRINK * cos;
    let slope = -SHRINK / (1.0 - x * x).sqrt();
    let side = |s: usize| std::array::from_fn(|c| slope * (unit[1 - s][c] - cos * unit[s][c]) / r[s]);
    Angle { theta: libm::acos(x), gradient: [side(0), side(1)] }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slopes_are_derivatives() {
        let level = Level::detect();
        let frequencies: Vec<f64> = (1..=31).map(|n| 3.1 * f64::from(n)).collect();
        let (radial, angular) = (Radial::new(6.0, &frequencies), Angular::new(&frequencies[..15]));
        type Function<'a> = &'a dyn Fn(f64) -> [[f64; BASIS]; 2];
        let both = |f: &dyn Fn(&mut [f64; BASIS], &mut [f64; BASIS])| {
            let mut out = [[0.0; BASIS]; 2];
            let [v, s] = &mut out;
            f(v, s);
            out
        };
        let functions: [Function<'_>; 2] =
            [&|x| both(&|v, s| radial.at(level, x, v, s)), &|x| both(&|v, s| angular.at(level, x, v, s))];
        for f in functions {
            for x in [0.7, 1.9, 2.99, 3.1] {
                let (up, down, here) = (f(x + 1e-6), f(x - 1e-6), f(x));
                for k in 0..BASIS {
                    let difference = (up[0][k] - down[0][k]) / 2e-6;
                    assert!((difference - here[1][k]).abs() < 1e-6 * (1.0 + here[1][k].abs()), "{k} at {x}");
                }
            }
        }
        assert!(functions[0](6.0 - 1e-9)[0].iter().all(|x| x.abs() < 1e-20));
        let mut d = [[0.3, 1.1, -0.4], [0.9, -0.2, 0.8]];
        let length = |d: &[f64; 3]| d.iter().map(|x| x * x).sum::<f64>().sqrt();
        let at = |d: &[[f64; 3]; 2]| angle([&d[0], &d[1]], [length(&d[0]), length(&d[1])]);
        let gradient = at(&d).gradient;
        for (side, c) in (0..2).flat_map(|s| (0..3).map(move |c| (s, c))) {
            d[side][c] += 1e-6;
            let up = at(&d).theta;
            d[side][c] -= 2e-6;
            let difference = (up - at(&d).theta) / 2e-6;
            d[side][c] += 1e-6;
            assert!((difference - gradient[side][c]).abs() < 1e-8);
        }
    }
}
