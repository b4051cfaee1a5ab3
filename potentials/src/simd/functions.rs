//! Elementary functions on lanes.
use super::{Lanes, Real};

const LN2_HIGH: f64 = <f64 as Real>::LN2[0];
const LN2_LOW: f64 = <f64 as Real>::LN2[1];
/// 1/k! for k = 13 down to 2.
const INVERSE_FACTORIALS: &[f64] = <f64 as Real>::INVERSE_FACTORIALS;

/// e^x: x = n ln 2 + r with |r| <= ln(2)/2, and e^r from its Taylor series of degree 13 (remainder 4e-18).
///
/// Arguments below -708 give 0 (the true value is below 4e-308) and above 709 give e^709; NaN stays NaN.
#[inline(always)]
pub fn exp<V: Lanes>(x: V) -> V {
    let tiny = x.lt(V::splat(-708.0));
    // the clamped number comes first, so that a NaN comes through
    let x = V::splat(709.0).min(V::splat(-708.0).max(x));
    let n = (x * V::splat(std::f64::consts::LOG2_E)).round();
    let r = n.mul_add(V::splat(-LN2_LOW), n.mul_add(V::splat(-LN2_HIGH), x));
    let mut p = V::splat(INVERSE_FACTORIALS[0]);
    for &c in &INVERSE_FACTORIALS[1..] {
        p = p.mul_add(r, V::splat(c));
    }
    // 1 + (r + r² p): the small part is rounded first
    let small = (r * r).mul_add(p, r);
    let value = (V::splat(1.0) + small) * n.exp2_integer();
    V::select(tiny, V::splat(0.0), value)
}

/// ln x for positive normal x: x = 2^n m with m in [sqrt(1/2), sqrt(2)), f = m - 1, s = f / (2 + f), and
/// ln m = f - s (f - 2 s² (1/3 + s²/5 + ...)), the series cut after s^20. Of zero it is -inf, of negative numbers and NaN
/// it is NaN, of infinity infinity.
#[inline(always)]
pub fn ln<V: Lanes>(x: V) -> V {
    let (m, n) = x.split();
    let high = m.lt(V::splat(std::f64::consts::SQRT_2));
    let m = V::select(high, m, m * V::splat(0.5));
    let n = V::select(high, n, n + V::splat(1.0));
    let f = m - V::splat(1.0);
    let s = f / (V::splat(2.0) + f);
    let z = s * s;
    let mut p = V::splat(1.0 / 23.0);
    for k in (1..=10).rev() {
        p = p.mul_add(z, V::splat(1.0 / f64::from(2 * k + 1)));
    }
    // 2 s = f - s f, hence ln m = 2 s + 2 s z p = f - s (f - 2 z p)
    let small = s * (f - V::splat(2.0) * z * p);
    let value = n.mul_add(V::splat(LN2_HIGH), f - (small - n * V::splat(LN2_LOW)));
    let value = V::select(x.lt(V::splat(f64::INFINITY)), value, x);
    let value = V::select(x.lt(V::splat(f64::MIN_POSITIVE)), V::splat(f64::NEG_INFINITY), value);
    V::select(x.not_ge(V::splat(0.0)), V::splat(f64::NAN), value)
}

/// sin x and cos x for |x| <= π/2 from their Taylor series, of degree 23 and 22 (remainders below 1e-18).
#[inline(always)]
pub fn sin_cos_half_pi<V: Lanes>(x: V) -> (V, V) {
    // 1/n!, alternating in pairs, for n = 23 down to 0
    const SERIES: [f64; 24] = {
        let (mut c, mut n, mut inverse) = ([0.0; 24], 0, 1.0);
        while n < 24 {
            c[n] = if n % 4 < 2 { inverse } else { -inverse };
            n += 1;
            inverse /= n as f64;
        }
        c
    };
    let z = x * x;
    let (mut sin, mut cos) = (V::splat(SERIES[23]), V::splat(SERIES[22]));
    for k in (0..11).rev() {
        sin = sin.mul_add(z, V::splat(SERIES[2 * k + 1]));
        cos = cos.mul_add(z, V::splat(SERIES[2 * k]));
    }
    (sin * x, cos)
}

/// π/2 as two numbers with trailing zeros and the rest, so that n times either of the first is exact for |n| < 2²⁰.
const HALF_PI: [f64; 3] = [1.570_796_326_734_125_6, 6.077_100_506_303_966e-11, 2.022_266_248_795_950_6e-21];

/// sin x and cos x for |x| < 1e5: x = n π/2 + r with |r| <= π/4, and the series of r to r¹⁷ (remainders below 1e-18).
#[inline(always)]
pub fn sin_cos<V: Lanes>(x: V) -> (V, V) {
    let n = (x * V::splat(std::f64::consts::FRAC_2_PI)).round();
    let mut r = x;
    for part in HALF_PI {
        r = n.mul_add(V::splat(-part), r);
    }
    let z = r * r;
    let sin = (r * z).mul_add(alternating(z, 2.0), r);
    let cos = z.mul_add(alternating(z, 1.0), V::splat(1.0));
    // quarter turns: n mod 4 in -2..=2
    let q = (n * V::splat(0.25)).round().mul_add(V::splat(-4.0), n);
    let odd = V::splat(0.5).lt(q * q * (V::splat(4.0) - q * q));
    let (s, c) = (V::select(odd, cos, sin), V::select(odd, sin, cos));
    let (half, more) = (V::splat(0.5), V::splat(1.5));
    // sin changes its sign in the second half of a turn, cos in the middle of it
    let s = V::select(q.lt(-half), -s, V::select(more.lt(q), -s, s));
    let c = V::select(half.lt(q), -c, V::select(q.lt(-more), -c, c));
    (s, c)
}

/// -1/(k (k+1)) + z/(k (k+1) (k+2) (k+3)) - ..., eight terms.
#[inline(always)]
fn alternating<V: Lanes>(z: V, mut k: f64) -> V {
    let mut c = 1.0;
    let mut all = [0.0; 8];
    for c_k in &mut all {
        c /= -(k * (k + 1.0));
        k += 2.0;
        *c_k = c;
    }
    let mut p = V::splat(all[7]);
    for &c in all[..7].iter().rev() {
        p = p.mul_add(z, V::splat(c));
    }
    p
}
