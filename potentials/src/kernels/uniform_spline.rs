//! Cubic interpolation on a uniform grid, as EAM tables are read by the programs of the field.
//!
//! Between knots x_m = m Δ the function is the cubic Hermite polynomial of the values f_m and the slopes s_m (per grid
//! step), with slopes from the values by finite differences:
//! s_m = (f_{m-2} − 8 f_{m-1} + 8 f_{m+1} − f_{m+2}) / 12 inside, the central difference one knot from an end and the
//! one-sided difference at an end. With p = x/Δ − m,
//! f(x) = f_m + p (s_m + p (3 d − 2 s_m − s_{m+1} + p (s_m + s_{m+1} − 2 d))), d = f_{m+1} − f_m.
//!
//! This is the scheme of LAMMPS' EAM styles, so that the same table gives the same energies to rounding.

/// One interval: f = ((c\[0\] p + c\[1\]) p + c\[2\]) p + c\[3\] for p in \[0, 1\].
pub type Cubic = [f64; 4];

/// The intervals of a table of at least five values; one fewer than values.
///
/// # Panics
/// With fewer than five values.
pub fn intervals(f: &[f64]) -> Vec<Cubic> {
    let n = f.len();
    assert!(n >= 5, "a table has at least five values");
    let slope = |m: usize| {
        if m == 0 {
            f[1] - f[0]
        } else if m == n - 1 {
            f[n - 1] - f[n - 2]
        } else if m == 1 || m == n - 2 {
            0.5 * (f[m + 1] - f[m - 1])
        } else {
            ((f[m - 2] - f[m + 2]) + 8.0 * (f[m + 1] - f[m - 1])) / 12.0
        }
    };
    (0..n - 1)
        .map(|m| {
            let (d, a, b) = (f[m + 1] - f[m], slope(m), slope(m + 1));
            [a + b - 2.0 * d, 3.0 * d - 2.0 * a - b, a, f[m]]
        })
        .collect()
}

/// Value at p.
#[inline(always)]
pub fn value(c: &Cubic, p: f64) -> f64 {
    ((c[0] * p + c[1]) * p + c[2]) * p + c[3]
}

/// Derivative with respect to p.
#[inline(always)]
pub fn slope(c: &Cubic, p: f64) -> f64 {
    (3.0 * c[0] * p + 2.0 * c[1]) * p + c[2]
}

/// Interval and p for x / Δ, with `last` the index of the last interval; beyond the table p stays 1.
#[inline(always)]
pub fn locate(x: f64, last: usize) -> (usize, f64) {
    let m = (x as usize).min(last);
    (m, (x - m as f64).min(1.0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cubics_are_reproduced_away_from_the_ends() {
        let f = |x: f64| 0.3 * x.powi(3) - x * x + 2.0 * x - 1.0;
        let df = |x: f64| 0.9 * x * x - 2.0 * x + 2.0;
        let h = 0.25;
        let table: Vec<f64> = (0..20).map(|m| f(f64::from(m) * h)).collect();
        let c = intervals(&table);
        assert_eq!(c.len(), 19);
        for x in [0.61, 1.0, 2.345, 3.99] {
            let (m, p) = locate(x / h, c.len() - 1);
            assert!((value(&c[m], p) - f(x)).abs() < 1e-13, "{x}");
            assert!((slope(&c[m], p) / h - df(x)).abs() < 1e-12, "{x}");
        }
    }

    #[test]
    fn values_and_slopes_are_continuous_and_the_end_holds() {
        let table: Vec<f64> = (0..12).map(|m| (f64::from(m) * 1.7).sin()).collect();
        let c = intervals(&table);
        for m in 1..c.len() {
            assert!((value(&c[m - 1], 1.0) - value(&c[m], 0.0)).abs() < 1e-14);
            assert!((slope(&c[m - 1], 1.0) - slope(&c[m], 0.0)).abs() < 1e-14);
        }
        assert_eq!(locate(40.0, 10), (10, 1.0));
    }
}
