//! Wigner 3j symbols in the real basis of e3nn.
//!
//! C(l₁, l₂, l₃) is the tensor, unique up to its sign, that is invariant when all three indices are rotated, with Σ C² = 1. From
//! the Clebsch-Gordan coefficients of SU(2) (Racah's formula) and the change of basis Q_l,
//! C = Re Σ Q₁ Q₂ Q₃* ⟨l₁ m₁ l₂ m₂ | l₃ m₃⟩, divided by its norm. The signs changed between versions of e3nn, see [`Convention`].

/// Which signs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// e3nn 0.4.4 and before (MACE, checkpoints of SevenNet before 0.11): a table for l₁ ≤ l₂ ≤ l₃ whose central element,
    /// or the first that is not zero, is positive, and its permutations, with (−1)^(l₁+l₂+l₃) for the odd ones.
    Table,
    /// e3nn 0.5 and later: the formula above.
    Formula,
}

/// A tensor of shape (2l₁+1, 2l₂+1, 2l₃+1).
#[derive(Clone, Debug, PartialEq)]
pub struct Tensor3 {
    shape: [usize; 3],
    values: Vec<f64>,
}

impl Tensor3 {
    /// From values in row-major order.
    ///
    /// # Panics
    /// When their number is not that of the shape.
    pub fn new(shape: [usize; 3], values: Vec<f64>) -> Self {
        assert_eq!(values.len(), shape.iter().product::<usize>());
        Self { shape, values }
    }
    /// Element.
    pub fn at(&self, i: usize, j: usize, k: usize) -> f64 {
        self.values[(i * self.shape[1] + j) * self.shape[2] + k]
    }
    /// Row-major values.
    pub fn values(&self) -> &[f64] {
        &self.values
    }
    /// Indices and values of the elements that are not zero, all times `scale`.
    pub fn sparse(&self, scale: f64) -> Vec<([usize; 3], f64)> {
        let [_, b, c] = self.shape;
        let index = |n: usize| [n / (b * c), n / c % b, n % c];
        let found = self.values.iter().enumerate().filter(|(_, v)| v.abs() > 1e-9);
        found.map(|(n, v)| (index(n), v * scale)).collect()
    }
}

fn factorial(n: isize) -> f64 {
    (1..=n).map(|k| k as f64).product()
}

/// ⟨j₁ m₁ j₂ m₂ | j₃ m₃⟩ with Condon and Shortley's phases.
fn clebsch_gordan([j1, j2, j3]: [isize; 3], m1: isize, m2: isize, m3: isize) -> f64 {
    if m3 != m1 + m2 {
        return 0.0;
    }
    let f = factorial;
    let first = (m3 - j1 + j2).max(m1 - j1).max(0);
    let last = (j2 + j3 + m1).min(j3 - j1 + j2).min(j3 + m3);
    let scale =
        ((2 * j3 + 1) as f64 * f(j3 + j1 - j2) * f(j3 - j1 + j2) * f(j1 + j2 - j3) * f(j3 + m3) * f(j3 - m3)
            / (f(j1 + j2 + j3 + 1) * f(j1 - m1) * f(j1 + m1) * f(j2 - m2) * f(j2 + m2)))
        .sqrt();
    let term = |v: isize| {
        let sign = if (v + j2 + m2) % 2 == 0 { 1.0 } else { -1.0 };
        sign * f(j2 + j3 + m1 - v) * f(j1 - m1 + v)
            / (f(v) * f(j3 - j1 + j2 - v) * f(j3 + m3 - v) * f(v + j1 - j2 - m3))
    };
    scale * (first..=last).map(term).sum::<f64>()
}

/// Rows m of the change from complex to real harmonics that have an entry: (real column, re, im).
fn basis(l: isize, m: isize) -> Vec<(isize, [f64; 2])> {
    let h = std::f64::consts::FRAC_1_SQRT_2;
    let sign = if m % 2 == 0 { 1.0 } else { -1.0 };
    let row = match m {
        0 => vec![(0, [1.0, 0.0])],
        m if m < 0 => vec![(-m, [h, 0.0]), (m, [0.0, -h])],
        m => vec![(m, [sign * h, 0.0]), (-m, [0.0, sign * h])],
    };
    // times (−i)^l
    let turn = |[re, im]: [f64; 2]| match l % 4 {
        0 => [re, im],
        1 => [im, -re],
        2 => [-re, -im],
        _ => [-im, re],
    };
    row.into_iter().map(|(column, z)| (column + l, turn(z))).collect()
}

/// The 3j tensor of degrees that satisfy the triangle inequality; zero otherwise.
pub fn wigner_3j(l1: usize, l2: usize, l3: usize, convention: Convention) -> Tensor3 {
    let shape = [2 * l1 + 1, 2 * l2 + 1, 2 * l3 + 1];
    let mut values = vec![0.0; shape.iter().product()];
    if l3 < l1.abs_diff(l2) || l3 > l1 + l2 {
        return Tensor3 { shape, values };
    }
    if convention == Convention::Table {
        let mut order = [(l1, 0), (l2, 1), (l3, 2)];
        order.sort_unstable();
        let axes = order.map(|o| o.1);
        let sorted = order.map(|o| o.0);
        if axes != [0, 1, 2] || l1 > l2 || l2 > l3 {
            let table = wigner_3j(sorted[0], sorted[1], sorted[2], convention);
            let odd = matches!(axes, [1, 0, 2] | [0, 2, 1] | [2, 1, 0]);
            let sign = if odd && (l1 + l2 + l3) % 2 == 1 { -1.0 } else { 1.0 };
            for i in 0..shape[0] {
                for j in 0..shape[1] {
                    for k in 0..shape[2] {
                        let index = [i, j, k];
                        values[(i * shape[1] + j) * shape[2] + k] =
                            sign * table.at(index[axes[0]], index[axes[1]], index[axes[2]]);
                    }
                }
            }
            return Tensor3 { shape, values };
        }
    }
    let j = [l1, l2, l3].map(|l| l as isize);
    for a in -j[0]..=j[0] {
        for b in -j[1]..=j[1] {
            let c = a + b;
            if c.abs() > j[2] {
                continue;
            }
            let cg = clebsch_gordan(j, a, b, c);
            for (i, [r1, i1]) in basis(j[0], a) {
                for (k, [r2, i2]) in basis(j[1], b) {
                    for (n, [r3, i3]) in basis(j[2], c) {
                        let (re, im) = (r1 * r2 - i1 * i2, r1 * i2 + i1 * r2);
                        // the last factor is conjugated
                        values[(i as usize * shape[1] + k as usize) * shape[2] + n as usize] +=
                            cg * (re * r3 + im * i3);
                    }
                }
            }
        }
    }
    let mut norm = values.iter().map(|v| v * v).sum::<f64>().sqrt();
    if convention == Convention::Table {
        let centre = values[(l1 * shape[1] + l2) * shape[2] + l3];
        let first = values.iter().copied().find(|v| v.abs() > 1e-9).unwrap_or(1.0);
        let leading = if centre.abs() > 1e-9 { centre } else { first };
        if leading < 0.0 {
            norm = -norm;
        }
    }
    for v in &mut values {
        *v /= norm;
        if v.abs() < 1e-14 {
            *v = 0.0;
        }
    }
    Tensor3 { shape, values }
}

#[cfg(test)]
mod tests {
    use super::*;
    use caloron_engine::testing::reference;

    #[test]
    fn known_values() {
        let c = wigner_3j(1, 1, 2, Convention::Formula);
        let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-6, "{a} {b}");
        close(c.at(0, 0, 2), -0.182574);
        close(c.at(0, 0, 4), -0.316228);
        close(c.at(0, 1, 1), 0.316228);
        close(c.at(1, 1, 2), 0.365148);
        close(wigner_3j(1, 1, 1, Convention::Formula).at(0, 1, 2), 1.0 / 6f64.sqrt());
        close(wigner_3j(2, 2, 2, Convention::Formula).at(0, 0, 2), -0.239046);
        close(wigner_3j(2, 0, 2, Convention::Formula).at(3, 0, 3), 1.0 / 5f64.sqrt());
        assert!(wigner_3j(1, 1, 3, Convention::Formula).values().iter().all(|v| *v == 0.0));
    }

    #[test]
    fn both_conventions_are_those_of_e3nn() {
        let Some(file) = reference("mace/e3nn_tables_0.4.4.json") else { return };
        let tables: serde_json::Value =
            serde_json::from_str(&std::fs::read_to_string(file).unwrap()).unwrap();
        let mut seen = 0;
        for (name, entries) in tables["wigner_3j"].as_object().unwrap() {
            let l: Vec<usize> = name.split('_').map(|l| l.parse().unwrap()).collect();
            let mine = wigner_3j(l[0], l[1], l[2], Convention::Table);
            let mut rest = mine.clone();
            for e in entries.as_array().unwrap() {
                let n = |k: usize| e[k].as_u64().unwrap() as usize;
                let (i, j, k) = (n(0), n(1), n(2));
                let expected = e[3].as_f64().unwrap();
                assert!((mine.at(i, j, k) - expected).abs() < 1e-12, "{name}: {i} {j} {k}");
                rest.values[(i * rest.shape[1] + j) * rest.shape[2] + k] = 0.0;
            }
            assert!(rest.values.iter().all(|v| v.abs() < 1e-12), "{name} has other elements");
            // even sums agree between the conventions, some odd ones differ by a sign
            let other = wigner_3j(l[0], l[1], l[2], Convention::Formula);
            let sign = match l[..] {
                [1, 2, 2] | [2, 1, 2] | [2, 2, 1] | [1, 3, 3] | [3, 1, 3] | [3, 3, 1] => -1.0,
                _ => 1.0,
            };
            if (l[0] + l[1] + l[2]).is_multiple_of(2) || sign < 0.0 {
                assert!(
                    mine.values().iter().zip(other.values()).all(|(a, b)| (a - sign * b).abs() < 1e-12),
                    "{name}"
                );
            }
            seen += 1;
        }
        assert!(seen > 20);
    }
}
