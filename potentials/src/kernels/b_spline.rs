//! Cubic B-splines on any knots, as polynomials of their intervals.
//!
//! With knots t_0 <= ... <= t_{n+3}, basis function B_m is the Cox-de Boor function of degree 3 on t_m .. t_{m+4}. In the
//! interval [t_l, t_{l+1}) the four functions B_{l-3} .. B_l are not zero; each is a cubic in x − t_l.
use super::uniform_spline::Cubic;

/// The basis functions of a knot vector.
#[derive(Clone, Debug)]
pub struct Basis {
    knots: Vec<f64>,
    /// For each interval l = 3 .. n − 1 the cubics of the four functions in x − t_l.
    cubics: Vec<[Cubic; 4]>,
}

/// Product of a polynomial (coefficients from degree 0) with a x + b.
fn times(p: &[f64; 4], a: f64, b: f64) -> [f64; 4] {
    [b * p[0], b * p[1] + a * p[0], b * p[2] + a * p[1], b * p[3] + a * p[2]]
}

impl Basis {
    /// The basis of knots in ascending order; `None` when there are fewer than eight, or they are not ascending, or
    /// there is no interval between knot 3 and knot n.
    pub fn new(knots: Vec<f64>) -> Option<Self> {
        let n = knots.len().checked_sub(4).filter(|n| *n >= 4)?;
        if knots.windows(2).any(|k| k[0] > k[1]) || knots[3] >= knots[n] {
            return None;
        }
        let mut cubics = Vec::new();
        for l in 3..n {
            let origin = knots[l];
            // B_{l-k}^k .. B_l^k, from degree 0 up
            let mut level = vec![[1.0, 0.0, 0.0, 0.0]];
            for k in 1..=3 {
                let mut next = vec![[0.0; 4]; k + 1];
                for (f, p) in level.iter().enumerate() {
                    // this is B_m of degree k − 1 with m = l − k + 1 + f
                    let m = l + 1 + f - k;
                    let width = knots[m + k] - knots[m];
                    if width <= 0.0 {
                        continue;
                    }
                    let rise = times(p, 1.0 / width, (origin - knots[m]) / width);
                    let fall = times(p, -1.0 / width, (knots[m + k] - origin) / width);
                    for c in 0..4 {
                        next[f + 1][c] += rise[c];
                        next[f][c] += fall[c];
                    }
                }
                level = next;
            }
            cubics.push(std::array::from_fn(|f| {
                let [c0, c1, c2, c3] = level[f];
                [c3, c2, c1, c0]
            }));
        }
        Some(Self { knots, cubics })
    }
    /// Number of basis functions.
    pub fn len(&self) -> usize {
        self.knots.len() - 4
    }
    /// False: a basis has at least four functions.
    pub fn is_empty(&self) -> bool {
        false
    }
    /// Where the functions are defined.
    pub fn range(&self) -> (f64, f64) {
        (self.knots[3], self.knots[self.len()])
    }
    /// The first of the four functions that are not zero at x, their values and their derivatives; `None` outside.
    #[inline]
    pub fn evaluate(&self, x: f64) -> Option<(usize, [f64; 4], [f64; 4])> {
        let (low, high) = self.range();
        if !(x >= low && x < high) {
            return None;
        }
        let first = self.knots.partition_point(|t| *t <= x) - 4;
        let p = x - self.knots[first + 3];
        let cubics = &self.cubics[first];
        Some((
            first,
            cubics.map(|c| ((c[0] * p + c[1]) * p + c[2]) * p + c[3]),
            cubics.map(|c| (3.0 * c[0] * p + 2.0 * c[1]) * p + c[2]),
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_add_up_to_one_and_reproduce_cubics() {
        let basis = Basis::new(vec![0.0, 0.0, 0.0, 0.0, 0.7, 1.1, 2.0, 2.5, 4.0, 4.0, 4.0, 4.0]).unwrap();
        assert_eq!((basis.len(), basis.range()), (8, (0.0, 4.0)));
        // coefficients of x: the averages of three inner knots
        let linear: Vec<f64> = (0..8).map(|m| basis.knots[m + 1..m + 4].iter().sum::<f64>() / 3.0).collect();
        for x in [0.0, 0.3, 0.7, 1.6, 2.2, 3.999] {
            let (first, b, db) = basis.evaluate(x).unwrap();
            assert!((b.iter().sum::<f64>() - 1.0).abs() < 1e-14 && db.iter().sum::<f64>().abs() < 1e-13);
            let of = |w: &[f64; 4]| w.iter().zip(&linear[first..]).map(|(b, c)| b * c).sum::<f64>();
            assert!((of(&b) - x).abs() < 1e-13 && (of(&db) - 1.0).abs() < 1e-12, "{x}");
        }
        assert!(basis.evaluate(4.0).is_none() && basis.evaluate(-0.1).is_none());
        assert!(Basis::new(vec![0.0; 12]).is_none() && Basis::new(vec![0.0, 1.0, 2.0]).is_none());
    }
}
