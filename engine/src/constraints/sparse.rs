//! Large clusters of coupled constraints: Newton steps with a sparse L D Lᵀ factor.
//!
//! The matrix A_kl = ∇σ_k M⁻¹ ∇σ_l couples constraints that share an atom. In molecules it is nearly a tree, and
//! eliminated in the order of least degree it fills in hardly at all, so that one factorisation costs little more than a
//! sweep of SHAKE. Positions use the factor at the start of the step for all iterations: bonds turn by a few degrees in a
//! step, so each iteration gains one to two digits.
//!
//! Source: of direct solution by the structure of molecules, García-Risueño, Echenique and Alonso, J. Comput. Chem. 32,
//! 3039 (2011), doi:10.1002/jcc.21885; of the ordering, Tinney and Walker, Proc. IEEE 55, 1801 (1967),
//! doi:10.1109/PROC.1967.6011.
use super::{Broken, Pair, Worst};
use crate::Vec3;
use std::cell::RefCell;
use std::collections::BTreeSet;

const ITERATIONS: usize = 100;
/// Pivots below this part of their diagonal mean that a constraint depends on the others.
const SINGULAR: f64 = 1e-11;

/// A cluster; constraints are in the order of elimination.
#[derive(Clone, Debug)]
pub struct Large {
    /// Places of the atoms in the block.
    atoms: Vec<u32>,
    inverse: Vec<f64>,
    /// By places in `atoms`.
    pairs: Vec<Pair>,
    /// Rows below the diagonal of each column of L, ascending.
    start: Vec<u32>,
    row: Vec<u32>,
    /// The coupling c_kl of each entry of L with its column (0 for fill), and of the diagonal.
    coupling: Vec<f64>,
    diagonal: Vec<f64>,
    /// For each row the earlier columns with an entry in it: (column, place of the entry).
    left_start: Vec<u32>,
    left: Vec<(u32, u32)>,
}

/// Memory of one solution.
#[derive(Default)]
struct Scratch {
    old: Vec<Vec3>,
    new: Vec<Vec3>,
    gradient: Vec<Vec3>,
    l: Vec<f64>,
    d: Vec<f64>,
    column: Vec<f64>,
    x: Vec<f64>,
}

thread_local! {
    static SCRATCH: RefCell<Scratch> = RefCell::default();
}

impl Large {
    /// From the places of the atoms in the block (ascending) and the pairs of such places.
    pub fn new(members: &[u32], pairs: &[Pair], inverse: &[f64]) -> Self {
        let place = |a: u32| members.binary_search(&a).unwrap_or_default() as u32;
        let inverse: Vec<f64> = members.iter().map(|&a| inverse[a as usize]).collect();
        let unordered: Vec<Pair> =
            pairs.iter().map(|p| Pair { i: place(p.i), j: place(p.j), d2: p.d2 }).collect();
        let (order, columns) = eliminate_by_degree(members.len(), &unordered);
        let n = order.len();
        let pairs: Vec<Pair> = order.iter().map(|&k| unordered[k as usize]).collect();
        let mut start = vec![0u32];
        let mut row = Vec::new();
        let mut c = Vec::new();
        let mut rows: Vec<Vec<(u32, u32)>> = vec![Vec::new(); n];
        for (k, column) in columns.iter().enumerate() {
            for &r in column {
                rows[r as usize].push((k as u32, row.len() as u32));
                row.push(r);
                c.push(pairs[r as usize].coupling(&pairs[k], &inverse));
            }
            start.push(row.len() as u32);
        }
        let diagonal = pairs.iter().map(|p| p.coupling(p, &inverse)).collect();
        let mut left_start = vec![0u32];
        let mut left = Vec::new();
        for r in rows {
            left.extend(r);
            left_start.push(left.len() as u32);
        }
        Self { atoms: members.to_vec(), inverse, pairs, start, row, coupling: c, diagonal, left_start, left }
    }
    fn broken(&self, k: usize, error: f64) -> Broken {
        let p = &self.pairs[k];
        Broken { atoms: [p.i, p.j].map(|a| self.atoms[a as usize] as usize), error }
    }
    fn differences(&self, x: &[Vec3], d: &mut Vec<Vec3>) {
        d.clear();
        d.extend(self.pairs.iter().map(|p| x[p.i as usize] - x[p.j as usize]));
    }
    fn entries(&self, k: usize) -> std::ops::Range<usize> {
        self.start[k] as usize..self.start[k + 1] as usize
    }
    /// L and D of the matrix with the gradients `s`.
    fn factor(
        &self,
        s: &[Vec3],
        l: &mut Vec<f64>,
        d: &mut Vec<f64>,
        column: &mut Vec<f64>,
    ) -> Result<(), usize> {
        let n = self.pairs.len();
        l.resize(self.row.len(), 0.0);
        d.resize(n, 0.0);
        column.clear();
        column.resize(n, 0.0);
        for k in 0..n {
            for e in self.entries(k) {
                let r = self.row[e] as usize;
                column[r] = self.coupling[e] * s[r].dot(&s[k]);
            }
            let full = self.diagonal[k] * s[k].norm_squared();
            let mut pivot = full;
            for &(c, at) in &self.left[self.left_start[k] as usize..self.left_start[k + 1] as usize] {
                let lk = l[at as usize];
                let f = d[c as usize] * lk;
                pivot -= f * lk;
                for e in at as usize + 1..self.start[c as usize + 1] as usize {
                    column[self.row[e] as usize] -= f * l[e];
                }
            }
            if pivot.is_nan() || pivot <= SINGULAR * full {
                return Err(k);
            }
            d[k] = pivot;
            for e in self.entries(k) {
                l[e] = column[self.row[e] as usize] / pivot;
            }
        }
        Ok(())
    }
    /// x := A⁻¹ x.
    fn solve(&self, l: &[f64], d: &[f64], x: &mut [f64]) {
        let n = self.pairs.len();
        for k in 0..n {
            let f = x[k];
            for e in self.entries(k) {
                x[self.row[e] as usize] -= l[e] * f;
            }
        }
        for k in (0..n).rev() {
            let mut f = x[k] / d[k];
            for e in self.entries(k) {
                f -= l[e] * x[self.row[e] as usize];
            }
            x[k] = f;
        }
    }
    fn push(&self, r: &mut [Vec3], s: &[Vec3], x: &[f64]) {
        for ((p, s), x) in self.pairs.iter().zip(s).zip(x) {
            r[p.i as usize] += s * (x * self.inverse[p.i as usize]);
            r[p.j as usize] -= s * (x * self.inverse[p.j as usize]);
        }
    }
    /// Brings `new` to the distances along the gradients in `gradient`, whose matrix is factored.
    fn iterate(&self, m: &mut Scratch, tolerance: f64) -> Result<(), Broken> {
        let mut worst = Worst::UNKNOWN;
        for _ in 0..ITERATIONS {
            m.x.clear();
            worst = Worst::default();
            for (k, p) in self.pairs.iter().enumerate() {
                m.x.push(-worst.add(k, p, &(m.new[p.i as usize] - m.new[p.j as usize])));
            }
            if worst.error <= tolerance {
                return Ok(());
            }
            if worst.error.is_nan() || worst.error > 1e6 {
                break;
            }
            self.solve(&m.l, &m.d, &mut m.x);
            self.push(&mut m.new, &m.gradient, &m.x);
        }
        Err(self.broken(worst.pair, worst.error))
    }
    fn prepare(&self, r: &[Vec3], m: &mut Scratch) -> Result<(), Broken> {
        m.old.clear();
        m.old.extend(self.atoms.iter().map(|&a| r[a as usize]));
        self.differences(&m.old, &mut m.gradient);
        self.factor(&m.gradient, &mut m.l, &mut m.d, &mut m.column).map_err(|k| self.broken(k, f64::NAN))
    }
    /// See [`super::Constraints::drift`].
    pub fn drift(&self, r: &mut [Vec3], v: &mut [Vec3], dt: f64, tolerance: f64) -> Result<(), Broken> {
        SCRATCH.with_borrow_mut(|m| {
            self.prepare(r, m)?;
            m.new.clear();
            m.new.extend(self.atoms.iter().zip(&m.old).map(|(&a, r)| r + v[a as usize] * dt));
            self.iterate(m, tolerance)?;
            for ((&a, old), new) in self.atoms.iter().zip(&m.old).zip(&m.new) {
                v[a as usize] = (new - old) / dt;
                r[a as usize] = *new;
            }
            Ok(())
        })
    }
    /// See [`super::Constraints::project`].
    pub fn project(&self, r: &[Vec3], v: &mut [Vec3]) -> Result<(), Broken> {
        SCRATCH.with_borrow_mut(|m| {
            self.prepare(r, m)?;
            m.new.clear();
            m.new.extend(self.atoms.iter().map(|&a| v[a as usize]));
            m.x.clear();
            m.x.extend(
                self.pairs
                    .iter()
                    .zip(&m.gradient)
                    .map(|(p, s)| -s.dot(&(m.new[p.i as usize] - m.new[p.j as usize]))),
            );
            self.solve(&m.l, &m.d, &mut m.x);
            self.push(&mut m.new, &m.gradient, &m.x);
            for (&a, new) in self.atoms.iter().zip(&m.new) {
                v[a as usize] = *new;
            }
            Ok(())
        })
    }
    /// See [`super::Constraints::constrain`]. Newton's method with the gradients where the positions are.
    pub fn constrain(&self, r: &mut [Vec3], tolerance: f64) -> Result<(), Broken> {
        SCRATCH.with_borrow_mut(|m| {
            let mut worst = Worst::UNKNOWN;
            for _ in 0..ITERATIONS {
                self.prepare(r, m)?;
                m.x.clear();
                worst = Worst::default();
                for (k, (p, s)) in self.pairs.iter().zip(&m.gradient).enumerate() {
                    m.x.push(-worst.add(k, p, s));
                }
                if worst.error <= tolerance {
                    return Ok(());
                }
                self.solve(&m.l, &m.d, &mut m.x);
                self.push(&mut m.old, &m.gradient, &m.x);
                for (&a, new) in self.atoms.iter().zip(&m.old) {
                    r[a as usize] = *new;
                }
            }
            Err(self.broken(worst.pair, worst.error))
        })
    }
}

/// An order of elimination by least degree, and for each eliminated constraint the later ones it is coupled to, in the
/// numbers of that order, ascending.
fn eliminate_by_degree(atoms: usize, pairs: &[Pair]) -> (Vec<u32>, Vec<Vec<u32>>) {
    let n = pairs.len();
    let mut of_atom: Vec<Vec<u32>> = vec![Vec::new(); atoms];
    for (k, p) in (0u32..).zip(pairs) {
        of_atom[p.i as usize].push(k);
        of_atom[p.j as usize].push(k);
    }
    let mut near: Vec<BTreeSet<u32>> = (0u32..)
        .zip(pairs)
        .map(|(k, p)| {
            let both = of_atom[p.i as usize].iter().chain(&of_atom[p.j as usize]);
            both.copied().filter(|&l| l != k).collect()
        })
        .collect();
    let mut queue: BTreeSet<(usize, u32)> = (0u32..).zip(&near).map(|(k, s)| (s.len(), k)).collect();
    let mut order = Vec::with_capacity(n);
    let mut columns = Vec::with_capacity(n);
    while let Some((_, k)) = queue.pop_first() {
        let later: Vec<u32> = std::mem::take(&mut near[k as usize]).into_iter().collect();
        for &l in &later {
            let set = &mut near[l as usize];
            let before = set.len();
            set.remove(&k);
            set.extend(later.iter().copied().filter(|&x| x != l));
            if set.len() != before {
                queue.remove(&(before, l));
                queue.insert((set.len(), l));
            }
        }
        order.push(k);
        columns.push(later);
    }
    let mut number = vec![0u32; n];
    for (k, &o) in (0u32..).zip(&order) {
        number[o as usize] = k;
    }
    for column in &mut columns {
        column.iter_mut().for_each(|k| *k = number[*k as usize]);
        column.sort_unstable();
    }
    (order, columns)
}
