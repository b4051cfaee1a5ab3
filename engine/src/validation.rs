//! Checks that a run samples the ensemble it claims.
//!
//! Source of the set of checks: Merz and Shirts, PLoS ONE 13, e0202764 (2018), doi:10.1371/journal.pone.0202764;
//! Shirts, J. Chem. Theory Comput. 9, 909 (2013), doi:10.1021/ct300688p.
use crate::statistics::block_average;
use nalgebra::{DMatrix, DVector};

/// A value with its standard error, and what it should be.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Check {
    /// Estimate.
    pub value: f64,
    /// Standard error.
    pub error: f64,
    /// Exact value.
    pub expected: f64,
}

impl Check {
    /// Deviation in standard errors.
    pub fn z(&self) -> f64 {
        (self.value - self.expected) / self.error
    }
}

/// Agreement of kinetic energies with the Maxwell-Boltzmann distribution.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct KineticCheck {
    /// kT from the mean: 2 ⟨K⟩ / N.
    pub mean: Check,
    /// kT from the fluctuation: sqrt(2 ⟨(K - N kT/2)²⟩ / N).
    pub width: Check,
    /// Probability of a Kolmogorov-Smirnov distance at least this large, from decorrelated samples.
    pub probability: f64,
    /// Number of decorrelated samples.
    pub samples: usize,
}

/// Compares a series of kinetic energies with the gamma distribution of shape N/2 and scale kT.
///
/// N -> `dof`, kT -> `kt`; energies in the unit of kT.
pub fn kinetic_distribution(kinetic: &[f64], dof: f64, kt: f64) -> KineticCheck {
    let mean = block_average(kinetic);
    let target = 0.5 * dof * kt;
    let squares: Vec<f64> = kinetic.iter().map(|k| (k - target).powi(2)).collect();
    let square = block_average(&squares);
    let width = (2.0 * square.value / dof).sqrt();
    let mut thin = thinned(kinetic, mean.inefficiency);
    let probability = kolmogorov_smirnov(&mut thin, |k| gamma_cdf(0.5 * dof, k / kt));
    KineticCheck {
        mean: Check { value: 2.0 * mean.value / dof, error: 2.0 * mean.error / dof, expected: kt },
        width: Check { value: width, error: square.error / (dof * width), expected: kt },
        probability,
        samples: thin.len(),
    }
}

/// Every g-th value, with g the statistical inefficiency.
pub fn thinned<T: Copy>(values: &[T], inefficiency: f64) -> Vec<T> {
    values.iter().copied().step_by(inefficiency.max(1.0).ceil() as usize).collect()
}

/// Probability of a Kolmogorov-Smirnov distance at least as large as that of independent samples from a cumulative
/// distribution; sorts the samples.
///
/// Source: Stephens, J. R. Stat. Soc. B 32, 115 (1970) for the correction for finite n.
pub fn kolmogorov_smirnov(samples: &mut [f64], cdf: impl Fn(f64) -> f64) -> f64 {
    samples.sort_by(f64::total_cmp);
    let n = samples.len() as f64;
    let distance = samples.iter().enumerate().fold(0.0f64, |d, (i, &x)| {
        let p = cdf(x);
        d.max((p - i as f64 / n).abs()).max(((i + 1) as f64 / n - p).abs())
    });
    let root = n.sqrt();
    let x = (root + 0.12 + 0.11 / root) * distance;
    if x < 0.2 {
        return 1.0; // the series below converges slowly there, to 1 within 1e-12
    }
    let terms = (1..=100).map(|k| {
        let sign = if k % 2 == 1 { 1.0 } else { -1.0 };
        2.0 * sign * (-2.0 * f64::from(k * k) * x * x).exp()
    });
    terms.sum::<f64>().clamp(0.0, 1.0)
}

/// ln Γ(a) for a > 0: Stirling's series after shifting the argument above 10.
pub fn ln_gamma(a: f64) -> f64 {
    let (mut x, mut shift) = (a, 0.0);
    while x < 10.0 {
        shift += x.ln();
        x += 1.0;
    }
    let y = 1.0 / (x * x);
    let series = (1.0 / 12.0 - y * (1.0 / 360.0 - y * (1.0 / 1260.0 - y * (1.0 / 1680.0 - y / 1188.0)))) / x;
    (x - 0.5) * x.ln() - x + 0.5 * std::f64::consts::TAU.ln() + series - shift
}

/// Cumulative gamma distribution of shape a and unit scale: the regularised lower incomplete gamma function P(a, x).
///
/// Series for x < a + 1, continued fraction (Lentz) above.
pub fn gamma_cdf(a: f64, x: f64) -> f64 {
    if x <= 0.0 {
        return 0.0;
    }
    let front = (a * x.ln() - x - ln_gamma(a)).exp();
    if x < a + 1.0 {
        let (mut term, mut sum, mut k) = (1.0 / a, 1.0 / a, a);
        while term > sum * 1e-16 {
            k += 1.0;
            term *= x / k;
            sum += term;
        }
        return (front * sum).min(1.0);
    }
    let mut b = x + 1.0 - a;
    let (mut c, mut d) = (1e300, 1.0 / b);
    let mut h = d;
    for i in 1..100_000 {
        let an = -f64::from(i) * (f64::from(i) - a);
        b += 2.0;
        d = 1.0 / (an * d + b);
        c = b + an / c;
        let factor = c * d;
        h *= factor;
        if (factor - 1.0).abs() < 1e-15 {
            break;
        }
    }
    (1.0 - front * h).clamp(0.0, 1.0)
}

/// Slopes a of ln(p₂(x)/p₁(x)) = c + Σ a_k x_k from samples of two distributions, by maximum likelihood, with their
/// standard errors (for independent samples).
///
/// For two canonical ensembles and x = U the slope is -(β₂ - β₁); for two isothermal-isobaric ones and x = (U, V) the
/// slopes are -(β₂ - β₁) and -(β₂ P₂ - β₁ P₁). Returns `None` when the distributions do not overlap or too few samples
/// are given.
pub fn log_ratio_slopes(first: &[Vec<f64>], second: &[Vec<f64>]) -> Option<Vec<(f64, f64)>> {
    let dim = first.first()?.len();
    let all: Vec<(&Vec<f64>, f64)> =
        first.iter().map(|x| (x, 0.0)).chain(second.iter().map(|x| (x, 1.0))).collect();
    let n = all.len() as f64;
    if first.len() < 2 * dim || second.len() < 2 * dim {
        return None;
    }
    // standardised coordinates
    let center: Vec<f64> = (0..dim).map(|k| all.iter().map(|(x, _)| x[k]).sum::<f64>() / n).collect();
    let scale: Vec<f64> = (0..dim)
        .map(|k| (all.iter().map(|(x, _)| (x[k] - center[k]).powi(2)).sum::<f64>() / n).sqrt())
        .collect();
    if scale.iter().any(|s| *s == 0.0 || !s.is_finite()) {
        return None;
    }
    let offset = (second.len() as f64 / first.len() as f64).ln();
    let mut parameters = DVector::<f64>::zeros(dim + 1);
    let mut covariance = DMatrix::<f64>::zeros(dim + 1, dim + 1);
    for _ in 0..100 {
        let mut gradient = DVector::<f64>::zeros(dim + 1);
        let mut hessian = DMatrix::<f64>::zeros(dim + 1, dim + 1);
        for (x, label) in &all {
            let row = DVector::from_iterator(
                dim + 1,
                (0..=dim).map(|k| if k == dim { 1.0 } else { (x[k] - center[k]) / scale[k] }),
            );
            let p = 1.0 / (1.0 + (-(row.dot(&parameters) + offset)).exp());
            gradient += &row * (label - p);
            hessian += &row * row.transpose() * (p * (1.0 - p));
        }
        covariance = hessian.try_inverse()?;
        let step = &covariance * gradient;
        parameters += &step;
        if parameters.amax() > 1e3 || !parameters.amax().is_finite() {
            return None;
        }
        if step.amax() < 1e-10 {
            break;
        }
    }
    Some((0..dim).map(|k| (parameters[k] / scale[k], covariance[(k, k)].sqrt() / scale[k])).collect())
}

/// kT of each group of atoms from the series of its kinetic energy, against the common one.
///
/// `groups`: degrees of freedom and kinetic energies of each group.
pub fn equipartition(groups: &[(f64, Vec<f64>)], kt: f64) -> Vec<Check> {
    let check = |(dof, kinetic): &(f64, Vec<f64>)| {
        let mean = block_average(kinetic);
        Check { value: 2.0 * mean.value / dof, error: 2.0 * mean.error / dof, expected: kt }
    };
    groups.iter().map(check).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Stream, Streams};

    #[test]
    fn the_incomplete_gamma_function_has_its_known_values() {
        for (a, x, p) in [
            (1.0, 0.5, 1.0 - (-0.5f64).exp()),
            (1.0, 5.0, 1.0 - (-5f64).exp()),
            (2.0, 3.0, 1.0 - 4.0 * (-3f64).exp()),
            (0.5, 0.5, 0.682_689_492_137_085_9), // one standard deviation
            (0.5, 2.0, 0.954_499_736_103_641_6),
        ] {
            assert!((gamma_cdf(a, x) - p).abs() < 1e-13, "{a} {x} {} {p}", gamma_cdf(a, x));
        }
        // far up both branches meet the normal limit
        assert!(
            (gamma_cdf(5e4, 5e4) - 0.5 - 1.0 / (3.0 * (std::f64::consts::TAU * 5e4).sqrt())).abs() < 1e-7
        );
        assert!((ln_gamma(0.5) - 0.5 * std::f64::consts::PI.ln()).abs() < 1e-13);
        assert!((ln_gamma(101.0) - 363.739_375_555_563_5).abs() < 1e-10);
    }

    #[test]
    fn gamma_variates_pass_and_a_wrong_temperature_fails() {
        let rng = Streams { seed: 12 };
        let kinetic: Vec<f64> =
            (0..4000).map(|i| 0.7 * rng.sequence(Stream::Test, i, 0).gamma(14.5)).collect();
        let good = kinetic_distribution(&kinetic, 29.0, 0.7);
        assert!(
            good.probability > 1e-3 && good.mean.z().abs() < 4.0 && good.width.z().abs() < 4.0,
            "{good:?}"
        );
        let hot = kinetic_distribution(&kinetic, 29.0, 0.68);
        assert!(hot.probability < 1e-3 && hot.mean.z() > 5.0, "{hot:?}");
        let missing = kinetic_distribution(&kinetic, 30.0, 0.7);
        assert!(missing.probability < 1e-3, "{missing:?}");
        // right mean and wrong width: what weak coupling does
        let narrow: Vec<f64> = kinetic.iter().map(|k| 10.15 + 0.3 * (k - 10.15)).collect();
        let narrow = kinetic_distribution(&narrow, 29.0, 0.7);
        assert!(narrow.width.z() < -10.0 && narrow.probability < 1e-6, "{narrow:?}");
    }

    #[test]
    fn slopes_of_two_ensembles_are_found_with_honest_errors() {
        // U of 30 harmonic degrees of freedom is gamma distributed: the slope is -(β₂ - β₁)
        let rng = Streams { seed: 7 };
        let draw = |kt: f64, seed: u64| -> Vec<Vec<f64>> {
            (0..3000).map(|i| vec![kt * rng.sequence(Stream::Test, 3000 * seed + i, 1).gamma(15.0)]).collect()
        };
        let expected = -(1.0 / 1.2 - 1.0);
        let mut zs = Vec::new();
        for k in 0..20 {
            let slopes = log_ratio_slopes(&draw(1.0, 2 * k), &draw(1.2, 2 * k + 1)).unwrap();
            zs.push((slopes[0].0 - expected) / slopes[0].1);
        }
        let chi2: f64 = zs.iter().map(|z| z * z).sum();
        assert!((5.0..45.0).contains(&chi2), "{zs:?}");
    }

    #[test]
    fn joint_slopes_of_energy_and_volume_are_found() {
        // independent gamma variates u and v: ln p₂/p₁ is linear in both
        let rng = Streams { seed: 9 };
        let draw = |a: f64, b: f64, key: u32| -> Vec<Vec<f64>> {
            (0..4000)
                .map(|i| {
                    let mut s = rng.sequence(Stream::Test, i, key);
                    vec![a * s.gamma(20.0), b * s.gamma(31.0)]
                })
                .collect()
        };
        let slopes = log_ratio_slopes(&draw(1.0, 1.0, 0), &draw(1.1, 0.8, 1)).unwrap();
        for ((value, error), expected) in slopes.iter().zip([1.0 - 1.0 / 1.1, 1.0 - 1.0 / 0.8]) {
            assert!((value - expected).abs() < 4.0 * error && *error < 0.02, "{value} {error} {expected}");
        }
        assert!(log_ratio_slopes(&draw(1.0, 1.0, 0)[..2], &draw(1.0, 1.0, 1)).is_none());
    }

    #[test]
    fn a_cold_group_is_seen() {
        let rng = Streams { seed: 2 };
        let series = |kt: f64, key: u32| -> Vec<f64> {
            (0..2000).map(|i| kt * rng.sequence(Stream::Test, i, key).gamma(6.0)).collect()
        };
        let checks = equipartition(&[(12.0, series(1.0, 0)), (12.0, series(0.9, 1))], 1.0);
        assert!(checks[0].z().abs() < 4.0 && checks[1].z() < -6.0, "{checks:?}");
    }
}
