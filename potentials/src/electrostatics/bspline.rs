//! Cardinal B-splines, the interpolation of particle-mesh sums.
//!
//! Source: U. Essmann, L. Perera, M. L. Berkowitz, T. Darden, H. Lee, L. G. Pedersen, J. Chem. Phys. 103, 8577 (1995),
//! doi:10.1063/1.470117.
use std::f64::consts::PI;

/// M_P(w + P - 1 - l) and its derivative in w for l = 0..P: the weights of P consecutive grid points for an atom at
/// distance w in [0, 1) beyond the grid point that the last weight belongs to.
#[inline(always)]
pub(crate) fn weights<const P: usize>(w: f64) -> ([f64; P], [f64; P]) {
    let mut m = [0.0; P];
    (m[0], m[1]) = (1.0 - w, w);
    for k in 3..P {
        raise(&mut m, k, w);
    }
    let slope = std::array::from_fn(|l| if l == 0 { -m[0] } else { m[l - 1] - m[l] });
    raise(&mut m, P, w);
    (m, slope)
}

/// From order k - 1 to order k: M_k(x) = (x M_{k-1}(x) + (k - x) M_{k-1}(x - 1)) / (k - 1).
#[inline(always)]
fn raise<const P: usize>(m: &mut [f64; P], k: usize, w: f64) {
    let scale = 1.0 / (k - 1) as f64;
    m[k - 1] = scale * w * m[k - 2];
    for l in (1..k - 1).rev() {
        // x = w + k - 1 - l
        let x = w + (k - 1 - l) as f64;
        m[l] = scale * (x * m[l - 1] + (k as f64 - x) * m[l]);
    }
    m[0] *= scale * (1.0 - w);
}

/// 1/|Σ_{k=0}^{p-2} M_p(k + 1) exp(2π i m k / n)|² for m = 0..n, which turns the transform of a spline into that of the
/// point it stands for; 0 where 2m = n, the term that has no partner of opposite sign.
pub(crate) fn moduli(order: usize, n: usize) -> Vec<f64> {
    // M_p(1), ..., M_p(p - 1)
    let at_points: Vec<f64> = match order {
        4 => weights::<4>(0.0).0.to_vec(),
        5 => weights::<5>(0.0).0.to_vec(),
        _ => weights::<6>(0.0).0.to_vec(),
    };
    (0..n)
        .map(|m| {
            if 2 * m == n {
                return 0.0;
            }
            let (mut re, mut im) = (0.0, 0.0);
            for (k, value) in at_points.iter().enumerate() {
                let (s, c) = (2.0 * PI * (m * k) as f64 / n as f64).sin_cos();
                re += value * c;
                im += value * s;
            }
            1.0 / (re * re + im * im)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn weights_sum_to_one_and_reproduce_positions() {
        for w in [0.0, 0.2, 0.77] {
            let (m, slope) = weights::<5>(w);
            assert!((m.iter().sum::<f64>() - 1.0).abs() < 1e-15);
            assert!(slope.iter().sum::<f64>().abs() < 1e-15);
            // the mean of the grid points is the position less a constant
            let mean = |m: &[f64; 5]| m.iter().enumerate().map(|(l, x)| l as f64 * x).sum::<f64>();
            assert!((mean(&m) - w - mean(&weights::<5>(0.0).0)).abs() < 1e-14);
            let h = 1e-5;
            let (up, down) = (weights::<5>(w + h).0, weights::<5>(w - h).0);
            for l in 0..5 {
                assert!(((up[l] - down[l]) / (2.0 * h) - slope[l]).abs() < 1e-9);
            }
        }
        // cubic: 1/6, 4/6, 1/6 at the grid points
        assert!((weights::<4>(0.0).0[1] - 4.0 / 6.0).abs() < 1e-15);
        assert!((moduli(4, 8)[0] - 1.0).abs() < 1e-14 && moduli(5, 8)[4] == 0.0);
    }
}
