//! Pairs of one molecule: interactions of their own, and what lattice sums must not count.
use crate::bonded::Form;
use caloron_engine::Vec3;
use std::f64::consts::FRAC_2_SQRT_PI;

/// A pair with its own charges and Lennard-Jones numbers, without a cutoff: u = q/r + c12/r¹² - c6/r⁶.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct OwnPair {
    /// Product of the charges times the Coulomb constant, eV Å.
    pub charges: f64,
    pub c12: f64,
    pub c6: f64,
}

impl OwnPair {
    /// u of the charges, u of the rest, and -u'/r of both.
    pub fn at(&self, r2: f64) -> (f64, f64, f64) {
        let s = 1.0 / r2;
        let s3 = s * s * s;
        let coulomb = self.charges * s.sqrt();
        let u = (self.c12 * s3 - self.c6) * s3;
        (coulomb, u, (coulomb + (12.0 * self.c12 * s3 - 6.0 * self.c6) * s3) * s)
    }
}

impl Form<2> for OwnPair {
    fn evaluate(&self, r: &[Vec3; 2]) -> (f64, [Vec3; 2]) {
        let (coulomb, u, g) = self.at(r[1].norm_squared());
        (coulomb + u, [r[1] * -g, r[1] * g])
    }
}

/// What the reciprocal sums hold of an excluded pair, taken away: u = -q erf(α r)/r + c (1 - e^(-x²) (1 + x² + x⁴/2))/r⁶,
/// x = β r.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Excluded {
    /// Product of the charges times the Coulomb constant, eV Å.
    pub charges: f64,
    pub alpha: f64,
    /// Product of the dispersion coefficients, eV Å⁶.
    pub dispersion: f64,
    pub beta: f64,
}

/// erf(x)/x and -(d/dx)(erf(x)/x)/x.
fn smooth_coulomb(x: f64) -> (f64, f64) {
    let x2 = x * x;
    if x < 0.2 {
        // erf(x)/x = 2/√π Σ (-x²)^n / (n! (2n+1))
        let (mut value, mut slope, mut term) = (0.0, 0.0, 1.0);
        for n in 0..10 {
            let n = f64::from(n);
            value += term / (2.0 * n + 1.0);
            // -(d/dx)/x of (-x²)^(n+1)/((n+1)! (2n+3)) is 2 (-x²)^n/(n! (2n+3))
            slope += 2.0 * term / (2.0 * n + 3.0);
            term *= -x2 / (n + 1.0);
        }
        return (FRAC_2_SQRT_PI * value, FRAC_2_SQRT_PI * slope);
    }
    let value = libm::erf(x) / x;
    (value, (value - FRAC_2_SQRT_PI * (-x2).exp()) / x2)
}

/// (1 - e^(-y) (1 + y + y²/2))/y³ and (1 - e^(-y) (1 + y + y²/2 + y³/6))/y⁴ at y = x².
fn smooth_dispersion(y: f64) -> (f64, f64) {
    // 1 - e^(-y) Σ_{k<n} y^k/k! = e^(-y) Σ_{k>=n} y^k/k!
    let tail = |n: u32| {
        let mut term = 1.0 / (1..=n).map(f64::from).product::<f64>();
        let mut sum = 0.0;
        for k in n + 1..n + 40 {
            sum += term;
            term *= y / f64::from(k);
        }
        sum * (-y).exp()
    };
    if y < 2.0 {
        return (tail(3), tail(4));
    }
    let (e, p) = ((-y).exp(), 1.0 + y + 0.5 * y * y);
    ((1.0 - e * p) / y.powi(3), (1.0 - e * (p + y.powi(3) / 6.0)) / y.powi(4))
}

impl Excluded {
    /// u of the charges, u of the dispersion, -u'/r of both.
    pub fn at(&self, r2: f64) -> (f64, f64, f64) {
        let (value, slope) = smooth_coulomb(self.alpha * r2.sqrt());
        let (value, slope) = (self.alpha * value, self.alpha.powi(3) * slope);
        let (d, d_slope) =
            if self.dispersion == 0.0 { (0.0, 0.0) } else { smooth_dispersion(self.beta * self.beta * r2) };
        let u = self.dispersion * self.beta.powi(6) * d;
        let g = self.dispersion * 6.0 * self.beta.powi(8) * d_slope;
        (-self.charges * value, u, -self.charges * slope + g)
    }
}

impl Form<2> for Excluded {
    fn evaluate(&self, r: &[Vec3; 2]) -> (f64, [Vec3; 2]) {
        let (coulomb, u, g) = self.at(r[1].norm_squared());
        (coulomb + u, [r[1] * -g, r[1] * g])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn smooth_parts_join_their_series_and_have_their_slopes() {
        let pair = Excluded { charges: 1.3, alpha: 0.4, dispersion: 2.1, beta: 0.35 };
        for k in 0..400 {
            let r = 0.01 + 0.03 * f64::from(k);
            let x = 0.35 * r;
            let own = |r: f64| pair.at(r * r).0 + pair.at(r * r).1;
            let exact = -1.3 * libm::erf(0.4 * r) / r
                + 2.1 * (1.0 - (-x * x).exp() * (1.0 + x * x + 0.5 * x.powi(4))) / r.powi(6);
            if r > 3.0 {
                assert!((own(r) / exact - 1.0).abs() < 1e-11, "{r}");
            }
            let h = 1e-4;
            let slope = (own(r + h) - own(r - h)) / (2.0 * h);
            assert!((slope + r * pair.at(r * r).2).abs() < 1e-8, "{r}");
        }
        let at = |r: f64| pair.at(r * r);
        let (a, b) = (at(0.5 - 1e-12), at(0.5 + 1e-12));
        assert!((a.0 - b.0).abs() < 1e-12 && (a.2 - b.2).abs() < 1e-12);
        let edge = 2f64.sqrt() / 0.35;
        let (a, b) = (at(edge - 1e-12), at(edge + 1e-12));
        assert!((a.1 - b.1).abs() < 1e-14 && (a.2 - b.2).abs() < 1e-12);
    }
}
