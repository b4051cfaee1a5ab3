//! What lies beyond the cutoff of the Lennard-Jones interaction, on average.
use super::model::LennardJonesTypes;
use super::near::Ending;
use std::f64::consts::PI;

/// The energy coefficient c of E = c/V: (2 π N²) <∫ r² (1 - S) u dr>, the mean over all pairs of atoms, those of an
/// atom with itself included; S is the switching function, 0 beyond the cutoff.
///
/// Source: M. R. Shirts and others, J. Phys. Chem. B 111, 13052 (2007), doi:10.1021/jp0735987; the average over all
/// pairs of atoms is that of OpenMM.
pub(super) fn coefficient(types: &[u32], numbers: &LennardJonesTypes, cutoff: f64, ending: Ending) -> f64 {
    let mut count = vec![0.0f64; numbers.len()];
    for &t in types {
        count[t as usize] += 1.0;
    }
    let n = types.len() as f64;
    let (mut c12, mut c6) = (0.0, 0.0);
    for i in 0..count.len() {
        for j in 0..=i {
            let pairs = if i == j { 0.5 * count[i] * (count[i] + 1.0) } else { count[i] * count[j] };
            let [a, c] = numbers.get(i, j);
            c12 += pairs * a;
            c6 += pairs * c;
        }
    }
    let pairs = 0.5 * n * (n + 1.0);
    let (c12, c6) = (c12 / pairs, c6 / pairs);
    let mut integral = c12 / (9.0 * cutoff.powi(9)) - c6 / (3.0 * cutoff.powi(3));
    if let Ending::Smoothed(s) = ending {
        // what is taken away within the cutoff, which is constant up to where it begins
        let taken = |r: f64| r * r * s.at([c12, c6], r);
        integral += s.at([c12, c6], 0.0) * s.from.powi(3) / 3.0 + integrate(s.from, cutoff, taken);
    }
    if let Ending::Switched(from) = ending {
        // 1 - S = x³ (10 - 15 x + 6 x²) where the interaction is switched; r² u is smooth there
        integral += integrate(from, cutoff, |r| {
            let x = (r - from) / (cutoff - from);
            let s6 = r.powi(-6);
            r * r * (c12 * s6 - c6) * s6 * x.powi(3) * (10.0 - x * (15.0 - 6.0 * x))
        });
    }
    2.0 * PI * n * n * integral
}

/// Gauss-Legendre quadrature with eight points on each of 64 parts.
fn integrate(a: f64, b: f64, f: impl Fn(f64) -> f64) -> f64 {
    const X: [f64; 4] =
        [0.183_434_642_495_649_8, 0.525_532_409_916_329, 0.796_666_477_413_626_7, 0.960_289_856_497_536_3];
    const W: [f64; 4] =
        [0.362_683_783_378_362, 0.313_706_645_877_887_3, 0.222_381_034_453_374_47, 0.101_228_536_290_376_26];
    let h = (b - a) / 128.0;
    (0..64)
        .map(|k| {
            let middle = a + (2.0 * f64::from(k) + 1.0) * h;
            (0..4).map(|p| W[p] * (f(middle - X[p] * h) + f(middle + X[p] * h))).sum::<f64>() * h
        })
        .sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_quadrature_is_exact() {
        let exact = (2f64.powi(7) - 1.0) / 7.0;
        assert!((integrate(1.0, 2.0, |x| x.powi(6)) - exact).abs() < 1e-13);
        let exact = (1.0 - 1.0 / 9.0) / 2.0;
        assert!((integrate(1.0, 3.0, |x| x.powi(-3)) - exact).abs() < 1e-13);
    }
}
