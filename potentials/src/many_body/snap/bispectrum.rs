//! Bispectrum components of a neighbourhood and the derivatives of any function of them.
//!
//! The neighbours are a density on the unit sphere of four dimensions, expanded in hyperspherical harmonics: u_j is the
//! Wigner matrix of 2j = j (all indices here are doubled) with elements u_{m,m'}, m, m' in 0..=j. With
//! θ₀ = rfac0 π (r − rmin0)/(r_cut − rmin0), z₀ = r/tan θ₀, r₀² = r² + z₀²: a = (z₀ − i z)/r₀, b = (y − i x)/r₀, and
//! u_{m,k} of j follows from those of j − 1 by
//! u^j_{m,k} = √((j−k)/(j−m)) a* u^{j−1}_{m,k} − √(k/(j−m)) b* u^{j−1}_{m,k−1}, and
//! u^j_{j−m,j−k} = (−1)^{m+k} (u^j_{m,k})*, so that rows 2m <= j are enough.
//!
//! U = (self part) + Σ_neighbours f_c(r) w u, Z^j_{j1 j2} = Σ C C U_{j1} U_{j2}, B_{j1 j2 j} = Re Σ (U_j)* Z^j_{j1 j2}.
//!
//! Derivatives run backwards: of E with respect to B, then U (matrices here called adjoints: ∂E/∂Re + i ∂E/∂Im), then, for
//! each neighbour, a and b through the recursion.
//!
//! Source: Bartók, Payne, Kondor and Csányi, Phys. Rev. Lett. 104, 136403 (2010), doi 10.1103/PhysRevLett.104.136403;
//! Thompson, Swiler, Trott, Foiles and Tucker, J. Comput. Phys. 285, 316 (2015), doi 10.1016/j.jcp.2014.12.018.
use std::ops::{Add, AddAssign, Mul, Neg, Sub};

/// A complex number.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct C {
    pub re: f64,
    pub im: f64,
}

impl C {
    #[inline(always)]
    pub fn new(re: f64, im: f64) -> Self {
        Self { re, im }
    }
    #[inline(always)]
    pub fn conj(self) -> Self {
        Self { re: self.re, im: -self.im }
    }
    #[inline(always)]
    pub fn scale(self, s: f64) -> Self {
        Self { re: self.re * s, im: self.im * s }
    }
    /// Re(self* other).
    #[inline(always)]
    pub fn dot(self, other: Self) -> f64 {
        self.re * other.re + self.im * other.im
    }
}

impl Add for C {
    type Output = Self;
    #[inline(always)]
    fn add(self, o: Self) -> Self {
        Self { re: self.re + o.re, im: self.im + o.im }
    }
}
impl AddAssign for C {
    #[inline(always)]
    fn add_assign(&mut self, o: Self) {
        *self = *self + o;
    }
}
impl Sub for C {
    type Output = Self;
    #[inline(always)]
    fn sub(self, o: Self) -> Self {
        Self { re: self.re - o.re, im: self.im - o.im }
    }
}
impl Neg for C {
    type Output = Self;
    #[inline(always)]
    fn neg(self) -> Self {
        Self { re: -self.re, im: -self.im }
    }
}
impl Mul for C {
    type Output = Self;
    #[inline(always)]
    fn mul(self, o: Self) -> Self {
        Self { re: self.re * o.re - self.im * o.im, im: self.re * o.im + self.im * o.re }
    }
}

/// A component B_{j1 j2 j} with its coupling coefficients.
#[derive(Clone, Debug)]
struct Component {
    j1: usize,
    j2: usize,
    j: usize,
    /// ⟨j1 m1, j2 m2 | j m1+m2⟩ at m1 (j2 + 1) + m2.
    coupling: Vec<f64>,
    elements: Vec<Element>,
}

/// An element of Z that counts in B.
#[derive(Clone, Copy, Debug)]
struct Element {
    /// Where it is in all matrices.
    at: usize,
    /// 2 for elements that have an image, 1 for their own image.
    weight: f64,
    /// First m1, its m2 and the number of pairs (m1 up, m2 down) that couple, for rows and for columns.
    rows: (usize, usize, usize),
    columns: (usize, usize, usize),
}

fn counting_elements(j1: usize, j2: usize, j: usize, start: usize) -> Vec<Element> {
    let mut elements = Vec::new();
    for m in 0..=j / 2 {
        for k in 0..=j {
            let weight = match (2 * m < j, k.cmp(&m)) {
                (true, _) | (_, std::cmp::Ordering::Less) => 2.0,
                (_, std::cmp::Ordering::Equal) => 1.0,
                _ => break,
            };
            let (rows, columns) = (range(j1, j2, j, m), range(j1, j2, j, k));
            elements.push(Element { at: start + m * (j + 1) + k, weight, rows, columns });
        }
    }
    elements
}

/// Everything that depends on the largest index alone.
#[derive(Clone, Debug)]
pub(super) struct Basis {
    pub twojmax: usize,
    /// Where the matrix of each j starts.
    start: Vec<usize>,
    components: Vec<Component>,
    /// √(p/q) at p (twojmax + 1) + q.
    roots: Vec<f64>,
}

fn factorial(n: i64) -> f64 {
    (1..=n).map(|k| k as f64).product()
}

/// ⟨j1 m1, j2 m2 | j m⟩ with doubled j and m counted from 0 (Racah's formula).
fn clebsch_gordan(j1: i64, m1: i64, j2: i64, m2: i64, j: i64) -> f64 {
    let (a, b) = (2 * m1 - j1, 2 * m2 - j2);
    let c = a + b;
    if c.abs() > j {
        return 0.0;
    }
    let low = 0.max((j2 - j - a) / 2).max((j1 - j + b) / 2);
    let high = ((j1 + j2 - j) / 2).min((j1 - a) / 2).min((j2 + b) / 2);
    let sum: f64 = (low..=high)
        .map(|z| {
            let sign = if z % 2 == 0 { 1.0 } else { -1.0 };
            sign / (factorial(z)
                * factorial((j1 + j2 - j) / 2 - z)
                * factorial((j1 - a) / 2 - z)
                * factorial((j2 + b) / 2 - z)
                * factorial((j - j2 + a) / 2 + z)
                * factorial((j - j1 - b) / 2 + z))
        })
        .sum();
    let triangle = factorial((j1 + j2 - j) / 2) * factorial((j1 - j2 + j) / 2) * factorial((j2 - j1 + j) / 2)
        / factorial((j1 + j2 + j) / 2 + 1);
    let product = factorial((j1 + a) / 2)
        * factorial((j1 - a) / 2)
        * factorial((j2 + b) / 2)
        * factorial((j2 - b) / 2)
        * factorial((j + c) / 2)
        * factorial((j - c) / 2)
        * (j + 1) as f64;
    sum * (triangle * product).sqrt()
}

/// First m1, its m2 and the number of pairs (m1 up, m2 down) that couple to m.
#[inline(always)]
fn range(j1: usize, j2: usize, j: usize, m: usize) -> (usize, usize, usize) {
    let (j1, j2, j, m) = (j1 as i64, j2 as i64, j as i64, m as i64);
    let first = 0.max((2 * m - j - j2 + j1) / 2);
    let second = (2 * m - j - (2 * first - j1) + j2) / 2;
    let count = j1.min((2 * m - j + j2 + j1) / 2) - first + 1;
    (first as usize, second as usize, count as usize)
}

impl Basis {
    pub fn new(twojmax: usize) -> Self {
        let mut start = vec![0];
        for j in 0..=twojmax {
            start.push(start[j] + (j + 1) * (j + 1));
        }
        let mut components = Vec::new();
        for j1 in 0..=twojmax {
            for j2 in 0..=j1 {
                for j in (j1 - j2..=twojmax.min(j1 + j2)).step_by(2).filter(|j| *j >= j1) {
                    let coupling = (0..(j1 + 1) * (j2 + 1))
                        .map(|k| (k / (j2 + 1), k % (j2 + 1)))
                        .map(|(m1, m2)| clebsch_gordan(j1 as i64, m1 as i64, j2 as i64, m2 as i64, j as i64))
                        .collect();
                    let elements = counting_elements(j1, j2, j, start[j]);
                    components.push(Component { j1, j2, j, coupling, elements });
                }
            }
        }
        let n = twojmax + 1;
        let roots = (0..n * n).map(|k| (k / n, k % n)).map(|(p, q)| (p as f64 / q.max(1) as f64).sqrt());
        Self { twojmax, start, components, roots: roots.collect() }
    }
    /// Elements of all matrices.
    pub fn elements(&self) -> usize {
        self.start[self.twojmax + 1]
    }
    /// Number of components for one choice of elements.
    pub fn components(&self) -> usize {
        self.components.len()
    }
    /// j of a component.
    pub fn index(&self, component: usize) -> usize {
        self.components[component].j
    }
    /// Adds w on the diagonals.
    pub fn add_self(&self, total: &mut [C], w: f64) {
        for j in 0..=self.twojmax {
            for m in 0..=j {
                total[self.start[j] + m * (j + 2)].re += w;
            }
        }
    }
    /// Matrices of one neighbour.
    pub fn wigner(&self, a: C, b: C, u: &mut [C]) {
        let (a, b, n) = (a.conj(), b.conj(), self.twojmax + 1);
        u[0] = C::new(1.0, 0.0);
        for j in 1..=self.twojmax {
            let (below, above) = u.split_at_mut(self.start[j]);
            let below = &below[self.start[j - 1]..];
            for m in 0..=j / 2 {
                let row = &mut above[m * (j + 1)..(m + 1) * (j + 1)];
                row[0] = C::default();
                for k in 0..j {
                    let v = below[m * j + k];
                    row[k] += (a * v).scale(self.roots[(j - k) * n + j - m]);
                    row[k + 1] = -(b * v).scale(self.roots[(k + 1) * n + j - m]);
                }
            }
            for m in j / 2 + 1..=j {
                for k in 0..=j {
                    let image = above[(j - m) * (j + 1) + j - k].conj();
                    above[m * (j + 1) + k] = if (m + k) % 2 == 0 { image } else { -image };
                }
            }
        }
    }
    /// Moves the adjoints of rows 2m > j of one matrix to the rows they are images of.
    fn fold(j: usize, adjoint: &mut [C]) {
        for m in j / 2 + 1..=j {
            for k in 0..=j {
                let image = std::mem::take(&mut adjoint[m * (j + 1) + k]).conj();
                adjoint[(j - m) * (j + 1) + j - k] += if (m + k) % 2 == 0 { image } else { -image };
            }
        }
    }
    /// Folds the adjoints of all matrices.
    pub fn fold_all(&self, adjoint: &mut [C]) {
        for j in 0..=self.twojmax {
            Self::fold(j, &mut adjoint[self.start[j]..self.start[j + 1]]);
        }
    }
    /// Adjoints of a and b from those of the matrices (already folded; used up).
    pub fn wigner_adjoint(&self, a: C, b: C, u: &[C], adjoint: &mut [C]) -> (C, C) {
        let n = self.twojmax + 1;
        let (mut a_bar, mut b_bar) = (C::default(), C::default());
        for j in (1..=self.twojmax).rev() {
            let (below, above) = adjoint.split_at_mut(self.start[j]);
            let below = &mut below[self.start[j - 1]..];
            for m in 0..=j / 2 {
                let row = &above[m * (j + 1)..(m + 1) * (j + 1)];
                for k in 0..j {
                    let v = u[self.start[j - 1] + m * j + k];
                    let left = row[k].scale(self.roots[(j - k) * n + j - m]);
                    let right = row[k + 1].scale(-self.roots[(k + 1) * n + j - m]);
                    below[m * j + k] += a * left + b * right;
                    a_bar += v * left.conj();
                    b_bar += v * right.conj();
                }
            }
            Self::fold(j - 1, below);
        }
        (a_bar, b_bar)
    }
    /// Calls `term` with the coupling coefficient of each product in an element of a component's Z, and where the
    /// factors are in U_{j1} and U_{j2}.
    #[inline(always)]
    fn each_product(
        &self,
        component: &Component,
        element: &Element,
        mut term: impl FnMut(f64, usize, usize),
    ) {
        let &Component { j1, j2, ref coupling, .. } = component;
        let (m1, m2, nm) = element.rows;
        let (k1, k2, nk) = element.columns;
        for x in 0..nm {
            let cm = coupling[(m1 + x) * (j2 + 1) + m2 - x];
            let first = self.start[j1] + (m1 + x) * (j1 + 1) + k1;
            let second = self.start[j2] + (m2 - x) * (j2 + 1) + k2;
            let start = k1 * (j2 + 1) + k2;
            for y in 0..nk {
                // one step moves by j2 + 1 in m1 and by one back in m2
                term(cm * coupling[start + y * j2], first + y, second - y);
            }
        }
    }
    /// B of a component for densities of three elements.
    pub fn value(&self, component: usize, u1: &[C], u2: &[C], u3: &[C]) -> f64 {
        let component = &self.components[component];
        let mut b = 0.0;
        for element in &component.elements {
            let mut z = C::default();
            self.each_product(component, element, |c, i, k| z += (u1[i] * u2[k]).scale(c));
            b += element.weight * u3[element.at].dot(z);
        }
        b
    }
    /// Adds `slope` times the derivatives of B to the adjoints of the densities `e` = (1, 2, 3) of all elements, each
    /// `elements()` long.
    pub fn value_adjoint(&self, component: usize, slope: f64, u: &[C], e: [usize; 3], adjoint: &mut [C]) {
        let [o1, o2, o3] = e.map(|x| x * self.elements());
        let component = &self.components[component];
        for element in &component.elements {
            let w = slope * element.weight;
            let z_bar = u[o3 + element.at].scale(w);
            let mut z = C::default();
            self.each_product(component, element, |c, i, k| {
                let (a, b) = (u[o1 + i], u[o2 + k]);
                z += (a * b).scale(c);
                let scaled = z_bar.scale(c);
                adjoint[o1 + i] += b.conj() * scaled;
                adjoint[o2 + k] += a.conj() * scaled;
            });
            adjoint[o3 + element.at] += z.scale(w);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn coupling_coefficients_are_orthonormal() {
        for (j1, j2) in [(2, 1), (3, 3), (6, 4), (8, 8)] {
            for j in ((j1 - j2)..=(j1 + j2)).step_by(2) {
                for m in 0..=j {
                    let norm: f64 = (0..=j1)
                        .flat_map(|m1| (0..=j2).map(move |m2| (m1, m2)))
                        .filter(|&(m1, m2)| 2 * m1 - j1 + 2 * m2 - j2 == 2 * m - j)
                        .map(|(m1, m2)| clebsch_gordan(j1, m1, j2, m2, j).powi(2))
                        .sum();
                    assert!((norm - 1.0).abs() < 1e-12, "{j1} {j2} {j} {m}: {norm}");
                }
            }
        }
        assert!((clebsch_gordan(1, 1, 1, 0, 0) - 0.5f64.sqrt()).abs() < 1e-15);
    }

    #[test]
    fn wigner_matrices_are_unitary() {
        let basis = Basis::new(6);
        let norm = (0.3f64 * 0.3 + 0.5 * 0.5 + 0.7 * 0.7 + 0.1 * 0.1).sqrt();
        let (a, b) = (C::new(0.3, -0.5).scale(1.0 / norm), C::new(0.7, 0.1).scale(1.0 / norm));
        let mut u = vec![C::default(); basis.elements()];
        basis.wigner(a, b, &mut u);
        for j in 0..=6 {
            for m in 0..=j {
                let row = &u[basis.start[j] + m * (j + 1)..][..=j];
                let norm: f64 = row.iter().map(|x| x.dot(*x)).sum();
                assert!((norm - 1.0).abs() < 1e-13, "{j} {m} {norm}");
            }
        }
    }
}
