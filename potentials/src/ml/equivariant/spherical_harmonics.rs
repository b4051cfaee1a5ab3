//! Real spherical harmonics in the order and normalisation of e3nn.
//!
//! With y as polar axis, Y_lm = N_lm Q_l|m|(y) · {Im (z + i x)^|m| for m < 0, 1, Re (z + i x)^m for m > 0}, where
//! Q_lm = d^m P_l/dy^m is a derivative of a Legendre polynomial and N_lm = sqrt((2l + 1) (2 − δ_m0) (l − m)!/(l + m)!), so that
//! Σ_m Y_lm² = 2l + 1 ("component" normalisation). As polynomials that are homogeneous in v they are r^l Y_lm(v/r).

/// The largest degree.
pub const LARGEST: usize = 6;
const SIZE: usize = (LARGEST + 1) * (LARGEST + 1);

/// Spherical harmonics of all degrees up to `lmax`.
#[derive(Clone, Debug)]
pub struct SphericalHarmonics {
    lmax: usize,
    norm: [f64; SIZE],
}

/// Place of component m = −l…l of degree l.
#[inline(always)]
fn place(l: usize, m: isize) -> usize {
    ((l * l + l) as isize + m) as usize
}

impl SphericalHarmonics {
    /// Of all degrees up to `lmax`.
    ///
    /// # Panics
    /// When `lmax` is beyond [`LARGEST`].
    pub fn new(lmax: usize) -> Self {
        assert!(lmax <= LARGEST, "spherical harmonics up to degree {LARGEST}");
        let mut norm = [0.0; SIZE];
        for l in 0..=lmax {
            for m in 0..=l {
                let ratio: f64 = (l - m + 1..=l + m).map(|k| k as f64).product();
                let twice = if m == 0 { 1.0 } else { 2.0 };
                let n = ((2 * l + 1) as f64 * twice / ratio).sqrt();
                norm[place(l, m as isize)] = n;
                norm[place(l, -(m as isize))] = n;
            }
        }
        Self { lmax, norm }
    }
    /// Number of components, (lmax + 1)².
    pub fn len(&self) -> usize {
        (self.lmax + 1) * (self.lmax + 1)
    }
    /// Never: there is degree 0.
    pub fn is_empty(&self) -> bool {
        false
    }
    /// Largest degree.
    pub fn lmax(&self) -> usize {
        self.lmax
    }
    /// r^l Y_lm(v/r) for any v; with |v| = 1 these are the spherical harmonics.
    ///
    /// # Panics
    /// When `out` is shorter than [`SphericalHarmonics::len`].
    #[inline]
    pub fn solid(&self, v: [f64; 3], out: &mut [f64]) {
        match self.lmax {
            2 => self.fill::<2>(v, out),
            3 => self.fill::<3>(v, out),
            _ => self.fill::<LARGEST>(v, out),
        }
    }
    #[inline(always)]
    fn fill<const L: usize>(&self, [x, y, z]: [f64; 3], out: &mut [f64]) {
        let lmax = self.lmax.min(L);
        let out = &mut out[..(lmax + 1) * (lmax + 1)];
        let r2 = x * x + y * y + z * z;
        // (z + i x)^m, and the first Q of the column m
        let (mut c, mut s, mut first) = (1.0, 0.0, 1.0);
        for m in 0..=L {
            if m > lmax {
                break;
            }
            let (mut before, mut q) = (0.0, first);
            for l in m..=L {
                if l > lmax {
                    break;
                }
                let n = self.norm[l * l + l + m] * q;
                out[l * l + l + m] = n * c;
                if m > 0 {
                    out[l * l + l - m] = n * s;
                }
                let next = ((2 * l + 1) as f64 * y * q - (l + m) as f64 * r2 * before) / (l + 1 - m) as f64;
                before = q;
                q = next;
            }
            (c, s) = (z * c - x * s, z * s + x * c);
            first *= (2 * m + 1) as f64;
        }
    }
    /// Σ_lm g_lm ∇[r^l Y_lm(v/r)]: the gradient with respect to v for given derivatives with respect to the components.
    pub fn solid_gradient(&self, v: [f64; 3], g: &[f64]) -> [f64; 3] {
        match self.lmax {
            2 => self.pull::<2>(v, g, 0.0),
            3 => self.pull::<3>(v, g, 0.0),
            _ => self.pull::<LARGEST>(v, g, 0.0),
        }
    }
    /// Σ_lm g_lm ∂Y_lm(v/|v|)/∂v at v = r u for a unit vector u: what a function of the direction alone contributes.
    #[inline]
    pub fn gradient(&self, u: [f64; 3], r: f64, g: &[f64]) -> [f64; 3] {
        // a homogeneous polynomial of degree l grows by l P along u; the direction alone does not change
        let d = match self.lmax {
            2 => self.pull::<2>(u, g, 1.0),
            3 => self.pull::<3>(u, g, 1.0),
            _ => self.pull::<LARGEST>(u, g, 1.0),
        };
        d.map(|d| d / r)
    }
    /// Σ g (∇P − project · v (v·∇P)).
    #[inline(always)]
    fn pull<const L: usize>(&self, [x, y, z]: [f64; 3], g: &[f64], project: f64) -> [f64; 3] {
        let lmax = self.lmax.min(L);
        let g = &g[..(lmax + 1) * (lmax + 1)];
        let r2 = x * x + y * y + z * z;
        let (mut c, mut s, mut first) = (1.0, 0.0, 1.0);
        // derivatives with respect to x, z (through the powers), y and r²
        let (mut dx, mut dy, mut dz, mut dr2, mut along) = (0.0, 0.0, 0.0, 0.0, 0.0);
        // the power before, of which the derivative is a multiple: d(z + i x)^m = m (z + i x)^(m−1) (dz + i dx)
        let (mut cp, mut sp) = (0.0, 0.0);
        for m in 0..=L {
            if m > lmax {
                break;
            }
            let (mut before, mut q) = (0.0, first);
            // derivatives of Q with respect to y and r²
            let (mut before_y, mut qy, mut before_r, mut qr) = (0.0, 0.0, 0.0, 0.0);
            for l in m..=L {
                if l > lmax {
                    break;
                }
                let n = self.norm[l * l + l + m];
                let gc = n * g[l * l + l + m];
                let gs = if m > 0 { n * g[l * l + l - m] } else { 0.0 };
                let both = gc * c + gs * s;
                dy += qy * both;
                dr2 += qr * both;
                along += l as f64 * q * both;
                if m > 0 {
                    let k = m as f64 * q;
                    dz += k * (gc * cp + gs * sp);
                    dx += k * (gs * cp - gc * sp);
                }
                let (a, b, inv) = ((2 * l + 1) as f64, (l + m) as f64, 1.0 / (l + 1 - m) as f64);
                let next = (a * y * q - b * r2 * before) * inv;
                let next_y = (a * (q + y * qy) - b * r2 * before_y) * inv;
                let next_r = (a * y * qr - b * (before + r2 * before_r)) * inv;
                (before, q) = (q, next);
                (before_y, qy) = (qy, next_y);
                (before_r, qr) = (qr, next_r);
            }
            (cp, sp) = (c, s);
            (c, s) = (z * c - x * s, z * s + x * c);
            first *= (2 * m + 1) as f64;
        }
        let k = 2.0 * dr2 - project * along;
        [dx + k * x, dy + k * y, dz + k * z]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_degrees_are_the_known_polynomials() {
        let (x, y, z) = (0.48, -0.6, 0.64);
        let mut out = [0.0; 16];
        SphericalHarmonics::new(3).solid([x, y, z], &mut out);
        let (a, b, r2) = (3f64.sqrt() * x * z, 0.5 * 3f64.sqrt() * (z * z - x * x), x * x + z * z);
        let (s3, s5, s7, s15) = (3f64.sqrt(), 5f64.sqrt(), 7f64.sqrt(), 15f64.sqrt());
        let expected = [
            1.0,
            s3 * x,
            s3 * y,
            s3 * z,
            s15 * x * z,
            s15 * x * y,
            s5 * (y * y - 0.5 * r2),
            s15 * y * z,
            0.5 * s15 * (z * z - x * x),
            s7 * (5f64 / 6.0).sqrt() * (a * z + b * x),
            s7 * s5 * a * y,
            s7 * (3f64 / 8.0).sqrt() * (4.0 * y * y - r2) * x,
            s7 * 0.5 * y * (2.0 * y * y - 3.0 * r2),
            s7 * (3f64 / 8.0).sqrt() * z * (4.0 * y * y - r2),
            s7 * s5 * b * y,
            s7 * (5f64 / 6.0).sqrt() * (b * z - a * x),
        ];
        for (k, (o, e)) in out.iter().zip(expected).enumerate() {
            assert!((o - e).abs() < 1e-14, "{k}: {o} {e}");
        }
    }

    #[test]
    fn components_are_normalised_and_gradients_are_derivatives() {
        for lmax in [0, 1, 2, 3, 4, LARGEST] {
            let sh = SphericalHarmonics::new(lmax);
            let n = sh.len();
            let v = [0.9, -1.3, 0.4];
            let r = f64::sqrt(v[0] * v[0] + v[1] * v[1] + v[2] * v[2]);
            let of = |v: [f64; 3], unit: bool| {
                let r = (v[0] * v[0] + v[1] * v[1] + v[2] * v[2]).sqrt();
                let mut out = vec![0.0; n];
                sh.solid(if unit { v.map(|c| c / r) } else { v }, &mut out);
                out
            };
            let y = of(v, true);
            for l in 0..=lmax {
                let sum: f64 = y[l * l..(l + 1) * (l + 1)].iter().map(|y| y * y).sum();
                assert!((sum - (2 * l + 1) as f64).abs() < 1e-12);
            }
            let g: Vec<f64> = (0..n).map(|k| ((k * 37 % 11) as f64 - 5.0) / 7.0).collect();
            for unit in [true, false] {
                let mine = if unit { sh.gradient(v.map(|c| c / r), r, &g) } else { sh.solid_gradient(v, &g) };
                for axis in 0..3 {
                    let h = 1e-5;
                    let at = |k: f64| {
                        let mut v = v;
                        v[axis] += k * h;
                        of(v, unit).iter().zip(&g).map(|(y, g)| y * g).sum::<f64>()
                    };
                    let d = (8.0 * (at(1.0) - at(-1.0)) - (at(2.0) - at(-2.0))) / (12.0 * h);
                    assert!(
                        (d - mine[axis]).abs() < 1e-8 * (1.0 + d.abs()),
                        "{lmax} {unit}: {d} {}",
                        mine[axis]
                    );
                }
            }
        }
    }
}
