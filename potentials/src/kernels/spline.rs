//! Cubic splines of one variable.

/// A piecewise cubic function with continuous derivative.
#[derive(Clone, Debug, PartialEq)]
pub struct CubicSpline {
    knots: Vec<f64>,
    /// f = c0 + c1 d + c2 d² + c3 d³ with d = x - knot, for each interval.
    coefficients: Vec<[f64; 4]>,
    /// 1/spacing, when all intervals are equally long.
    inverse_spacing: Option<f64>,
}

/// Why points do not make a spline.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum SplineError {
    /// Fewer than two points.
    #[error("a spline needs at least two points, not {0}")]
    TooFew(usize),
    /// Knots that do not increase, or values that are not finite.
    #[error("point {0} (counted from 1) does not lie to the right of the one before, or is not finite")]
    Order(usize),
}

impl CubicSpline {
    /// Through values and slopes (cubic Hermite).
    ///
    /// # Errors
    /// When there are too few points or knots do not increase.
    pub fn hermite(knots: &[f64], values: &[f64], slopes: &[f64]) -> Result<Self, SplineError> {
        let n = knots.len();
        if n < 2 || values.len() != n || slopes.len() != n {
            return Err(SplineError::TooFew(n.min(values.len()).min(slopes.len())));
        }
        for k in 0..n {
            let finite = knots[k].is_finite() && values[k].is_finite() && slopes[k].is_finite();
            if !finite || (k > 0 && knots[k] <= knots[k - 1]) {
                return Err(SplineError::Order(k + 1));
            }
        }
        let coefficients = (0..n - 1)
            .map(|k| {
                let h = knots[k + 1] - knots[k];
                let secant = (values[k + 1] - values[k]) / h;
                let c2 = (3.0 * secant - 2.0 * slopes[k] - slopes[k + 1]) / h;
                let c3 = (slopes[k] + slopes[k + 1] - 2.0 * secant) / (h * h);
                [values[k], slopes[k], c2, c3]
            })
            .collect();
        let h = (knots[n - 1] - knots[0]) / (n - 1) as f64;
        let uniform = (0..n).all(|k| (knots[0] + h * k as f64 - knots[k]).abs() <= 1e-9 * h);
        Ok(Self { knots: knots.to_vec(), coefficients, inverse_spacing: uniform.then_some(1.0 / h) })
    }
    /// Through values, with continuous second derivative that is zero at both ends.
    ///
    /// # Errors
    /// As [`CubicSpline::hermite`].
    pub fn natural(knots: &[f64], values: &[f64]) -> Result<Self, SplineError> {
        let n = knots.len();
        if n < 2 || values.len() != n {
            return Err(SplineError::TooFew(n.min(values.len())));
        }
        let flat = Self::hermite(knots, values, &vec![0.0; n])?;
        if n == 2 {
            let slope = (values[1] - values[0]) / (knots[1] - knots[0]);
            return Self::hermite(knots, values, &[slope; 2]);
        }
        // slopes from continuity of the second derivative: a tridiagonal system
        let h: Vec<f64> = knots.windows(2).map(|w| w[1] - w[0]).collect();
        let secant: Vec<f64> = (0..n - 1).map(|k| (values[k + 1] - values[k]) / h[k]).collect();
        let (mut upper, mut slopes) = (vec![0.0; n], vec![0.0; n]);
        for k in 0..n {
            let (lower, diagonal, above, right) = if k == 0 {
                (0.0, 2.0, 1.0, 3.0 * secant[0])
            } else if k == n - 1 {
                (1.0, 2.0, 0.0, 3.0 * secant[n - 2])
            } else {
                let (a, b) = (1.0 / h[k - 1], 1.0 / h[k]);
                (a, 2.0 * (a + b), b, 3.0 * (secant[k - 1] * a + secant[k] * b))
            };
            let (before, above_before) = if k == 0 { (0.0, 0.0) } else { (slopes[k - 1], upper[k - 1]) };
            let pivot = diagonal - lower * above_before;
            upper[k] = above / pivot;
            slopes[k] = (right - lower * before) / pivot;
        }
        for k in (0..n - 1).rev() {
            slopes[k] -= upper[k] * slopes[k + 1];
        }
        Self::hermite(&flat.knots, values, &slopes)
    }
    /// The first and the last knot.
    pub fn range(&self) -> (f64, f64) {
        (self.knots[0], self.knots[self.knots.len() - 1])
    }
    /// Value and derivative; the end pieces continue outside of the range.
    #[inline]
    pub fn eval(&self, x: f64) -> (f64, f64) {
        let last = self.coefficients.len() - 1;
        let k = match self.inverse_spacing {
            Some(inverse) => (((x - self.knots[0]) * inverse) as usize).min(last),
            None => self.knots.partition_point(|&knot| knot <= x).saturating_sub(1).min(last),
        };
        let [c0, c1, c2, c3] = self.coefficients[k];
        let d = x - self.knots[k];
        (c0 + d * (c1 + d * (c2 + d * c3)), c1 + d * (2.0 * c2 + d * (3.0 * c3)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubic_functions_are_reproduced() {
        let f = |x: f64| (1.0 - 2.0 * x + 0.5 * x * x * x, -2.0 + 1.5 * x * x);
        let knots = [0.0, 0.4, 1.1, 1.3, 2.0];
        let (values, slopes): (Vec<f64>, Vec<f64>) = knots.iter().map(|&x| f(x)).unzip();
        let spline = CubicSpline::hermite(&knots, &values, &slopes).unwrap();
        for k in 0..=40 {
            let x = 0.05 * f64::from(k);
            let ((a, b), (c, d)) = (spline.eval(x), f(x));
            assert!((a - c).abs() < 1e-13 && (b - d).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn natural_splines_are_smooth_and_converge() {
        let error = |n: usize| {
            let knots: Vec<f64> = (0..=n).map(|k| k as f64 / n as f64 * std::f64::consts::PI).collect();
            let values: Vec<f64> = knots.iter().map(|x| x.sin()).collect();
            let spline = CubicSpline::natural(&knots, &values).unwrap();
            (0..1000)
                .map(|k| 0.00314 * f64::from(k))
                .map(|x| (spline.eval(x).0 - x.sin()).abs())
                .fold(0.0, f64::max)
        };
        // sin has zero second derivative at both ends: fourth order
        let ratio = error(10) / error(20);
        assert!((14.0..18.0).contains(&ratio), "{ratio}");
    }

    #[test]
    fn bad_points_are_refused() {
        assert_eq!(CubicSpline::natural(&[1.0], &[1.0]), Err(SplineError::TooFew(1)));
        assert_eq!(CubicSpline::natural(&[1.0, 1.0], &[1.0, 2.0]), Err(SplineError::Order(2)));
        assert_eq!(CubicSpline::natural(&[0.0, 1.0], &[1.0, f64::NAN]), Err(SplineError::Order(2)));
    }
}
