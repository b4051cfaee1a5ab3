//! Radial functions of NEP.
//!
//! f_0 = f_c, f_k = ½ (T_k(x) + 1) f_c with f_c = ½ (1 + cos(π r/r_c)), x = 2 (r/r_c − 1)² − 1 and the Chebyshev polynomials T_k; all
//! vanish from r_c on.
use crate::simd::Lanes;
use std::f64::consts::PI;

/// Terms of the series of sine and cosine: the first term left out is below 2e-17 on their range.
const TERMS: usize = 12;

/// Coefficients of sin(π y)/y and of cos(π y) in y².
const SINE: [f64; TERMS] = series(1);
const COSINE: [f64; TERMS] = series(0);

const fn series(first: usize) -> [f64; TERMS] {
    let mut out = [0.0; TERMS];
    let mut term = if first == 1 { PI } else { 1.0 };
    let mut j = 0;
    while j < TERMS {
        out[j] = term;
        let n = (2 * j + first) as f64;
        term = -term * PI * PI / ((n + 1.0) * (n + 2.0));
        j += 1;
    }
    out
}

/// The argument of the functions for eight distances: f_c, df_c/dr, x, dx/dr. Beyond the cutoff the first two are zero.
#[derive(Clone, Copy)]
pub(super) struct Argument<V> {
    pub cut: V,
    pub dcut: V,
    pub x: V,
    pub dx: V,
}

impl<V: Lanes> Argument<V> {
    #[inline(always)]
    pub fn new(r: V, cutoff: V) -> Self {
        let inside = r.lt(cutoff);
        let inverse = V::splat(1.0) / cutoff;
        let t = r.min(cutoff) * inverse;
        // cos(π t) = −sin(π y) and sin(π t) = cos(π y) for y = t − ½
        let y = t - V::splat(0.5);
        let yy = y * y;
        let (mut sine, mut cosine) = (V::splat(SINE[TERMS - 1]), V::splat(COSINE[TERMS - 1]));
        for j in (0..TERMS - 1).rev() {
            sine = sine.mul_add(yy, V::splat(SINE[j]));
            cosine = cosine.mul_add(yy, V::splat(COSINE[j]));
        }
        let half = V::splat(0.5);
        let cut = V::keep(inside, half - half * (sine * y));
        let dcut = V::keep(inside, V::splat(-0.5 * PI) * cosine * inverse);
        let u = t - V::splat(1.0);
        let x = (V::splat(2.0) * u).mul_add(u, V::splat(-1.0));
        Self { cut, dcut, x, dx: V::splat(4.0) * u * inverse }
    }
    /// f_k for k = 0, 1, ..., `last`.
    #[inline(always)]
    pub fn values(&self, last: usize, mut set: impl FnMut(usize, V)) {
        let h = self.cut * V::splat(0.5);
        let twice = self.x + self.x;
        let (mut before, mut t) = (V::splat(1.0), self.x);
        set(0, self.cut);
        for k in 1..=last {
            set(k, h.mul_add(t, h));
            (before, t) = (t, twice.mul_add(t, -before));
        }
    }
    /// f_k and df_k/dr for k = 0, 1, ..., `last`.
    #[inline(always)]
    pub fn values_and_slopes(&self, last: usize, mut set: impl FnMut(usize, V, V)) {
        let half = V::splat(0.5);
        let (h, dh, slope) = (self.cut * half, self.dcut * half, self.cut * half * self.dx);
        let twice = self.x + self.x;
        let (mut before, mut t) = (V::splat(1.0), self.x);
        let (mut u_before, mut u) = (V::splat(0.0), V::splat(1.0));
        set(0, self.cut, self.dcut);
        for k in 1..=last {
            let dt = u * V::splat(k as f64);
            set(k, h.mul_add(t, h), slope.mul_add(dt, dh.mul_add(t, dh)));
            (before, t) = (t, twice.mul_add(t, -before));
            (u_before, u) = (u, twice.mul_add(u, -u_before));
        }
    }
    /// dp/dr for p = f_c Σ_k b_k T_k(x).
    #[inline(always)]
    pub fn slope(&self, last: usize, b: impl Fn(usize) -> V) -> V {
        let twice = self.x + self.x;
        let (mut before, mut t) = (V::splat(1.0), self.x);
        let (mut u_before, mut u) = (V::splat(0.0), V::splat(1.0));
        let (mut value, mut derivative) = (b(0), V::splat(0.0));
        for k in 1..=last {
            let b = b(k);
            value = b.mul_add(t, value);
            derivative = (b * V::splat(k as f64)).mul_add(u, derivative);
            (before, t) = (t, twice.mul_add(t, -before));
            (u_before, u) = (u, twice.mul_add(u, -u_before));
        }
        value * self.dcut + derivative * (self.dx * self.cut)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::simd::Portable;

    #[test]
    fn functions_are_those_of_the_definition() {
        let cutoff = 5.3;
        for step in 0..=60 {
            let r = f64::from(step) * 0.1;
            let a = Argument::<Portable>::new(Portable::splat(r), Portable::splat(cutoff));
            let cut = if r < cutoff { 0.5 * (PI * r / cutoff).cos() + 0.5 } else { 0.0 };
            let x = 2.0 * (r.min(cutoff) / cutoff - 1.0).powi(2) - 1.0;
            let expected = |k: usize| match k {
                0 => cut,
                k => 0.5 * ((k as f64 * x.clamp(-1.0, 1.0).acos()).cos() + 1.0) * cut,
            };
            a.values(12, |k, f| assert!((f.to_array()[0] - expected(k)).abs() < 1e-14, "{r} {k}"));
            let b = |k: usize| Portable::splat(1.0 / (1.0 + k as f64));
            let total = |r: f64| {
                let a = Argument::<Portable>::new(Portable::splat(r), Portable::splat(cutoff));
                let mut sum = 0.0;
                // f_c T_k = 2 f_k − f_c
                a.values(12, |k, f| {
                    let f = f.to_array()[0];
                    let t = if k == 0 { f } else { 2.0 * f - a.cut.to_array()[0] };
                    sum += t / (1.0 + k as f64);
                });
                sum
            };
            let mut last = 0.0;
            a.values_and_slopes(12, |k, f, df| {
                assert!((f.to_array()[0] - expected(k)).abs() < 1e-14);
                last = df.to_array()[0];
            });
            if step > 0 && r < cutoff - 0.01 {
                let numeric = (total(r + 1e-5) - total(r - 1e-5)) / 2e-5;
                let slope = a.slope(12, b).to_array()[0];
                assert!((slope - numeric).abs() < 1e-7 * (1.0 + numeric.abs()), "{r}: {slope} {numeric}");
            }
        }
    }
}
