//! The symmetric contraction as sparse polynomials: every product of components is one multiplication of two that are
//! there already, evaluated for a vector of channels at a time, and differentiated in reverse over the same list.
use crate::ml::kernels::Aligned;
use crate::ml::mace::model::Product;
use crate::simd::{Real, Vector, VectorKernel};
use std::collections::BTreeMap;

/// Components of all results together.
const RESULTS: usize = 49;

/// Multiplies rows of a block by a number for each node.
pub fn scale_rows<T: Real>(x: &mut [T], rows: Rows, lmax: usize, stride: usize, factors: &[T]) {
    for l in 0..=lmax {
        for (n, factor) in factors.iter().enumerate() {
            let first = rows.row(l * l, 2 * l + 1, n) * stride;
            for v in &mut x[first..first + (2 * l + 1) * stride] {
                *v = *v * *factor;
            }
        }
    }
}

/// Polynomials for all degrees of a layer.
pub struct Polynomials<T: Real> {
    /// Number of variables.
    variables: usize,
    /// Factors of every node beyond the variables.
    factors: Vec<[u16; 2]>,
    /// Terms of node k: `terms[first[k]..first[k + 1]]`.
    first: Vec<u32>,
    /// Which result each term adds to.
    terms: Vec<u8>,
    /// By species: (vector of channels, term, lane), in the order in which they are read.
    coefficients: Vec<Aligned<T>>,
    /// Number of results.
    results: usize,
    channels: usize,
}

fn node(
    index: &mut BTreeMap<Vec<u8>, u16>,
    factors: &mut Vec<[u16; 2]>,
    variables: usize,
    monomial: &[u8],
) -> u16 {
    if let Some(k) = index.get(monomial) {
        return *k;
    }
    // the best split has both parts already
    let n = monomial.len();
    let mut split = (Vec::new(), Vec::new());
    let mut best = usize::MAX;
    for mask in 1..(1usize << n) - 1 {
        let part = |inside: bool| -> Vec<u8> {
            (0..n).filter(|k| (mask >> k & 1 == 1) == inside).map(|k| monomial[k]).collect()
        };
        let (a, b) = (part(true), part(false));
        let missing = usize::from(!index.contains_key(&a)) + usize::from(!index.contains_key(&b));
        if missing < best {
            best = missing;
            split = (a, b);
        }
    }
    let a = node(index, factors, variables, &split.0);
    let b = node(index, factors, variables, &split.1);
    factors.push([a, b]);
    let k = (variables + factors.len() - 1) as u16;
    index.insert(monomial.to_vec(), k);
    k
}

impl<T: Real> Polynomials<T> {
    /// From the products of a layer, for the elements of the species, with rows of `padded` channels.
    pub fn new(
        products: &[&Product],
        variables: usize,
        species: &[usize],
        channels: usize,
        padded: usize,
    ) -> Self {
        let mut index: BTreeMap<Vec<u8>, u16> = (0..variables).map(|k| (vec![k as u8], k as u16)).collect();
        let mut factors = Vec::new();
        let mut all: Vec<&Vec<u8>> = products.iter().flat_map(|p| &p.monomials).collect();
        all.sort_by_key(|m| (m.len(), (*m).clone()));
        for monomial in all {
            node(&mut index, &mut factors, variables, monomial);
        }
        // (node, result) -> what it is made of
        type Parts = Vec<(usize, usize, u16, f64)>;
        let mut map: BTreeMap<(u16, u8), Parts> = BTreeMap::new();
        let mut base = 0;
        for (p, product) in products.iter().enumerate() {
            for (o, order) in product.orders.iter().enumerate() {
                for &(monomial, m, k, value) in &order.terms {
                    let node = index[&product.monomials[monomial as usize]];
                    map.entry((node, base as u8 + m)).or_default().push((p, o, k, value));
                }
            }
            base += 2 * product.l + 1;
        }
        let nodes = variables + factors.len();
        let mut first = vec![0u32; nodes + 1];
        let mut terms = Vec::with_capacity(map.len());
        for (node, result) in map.keys() {
            first[usize::from(*node) + 1] += 1;
            terms.push(*result);
        }
        for k in 0..nodes {
            first[k + 1] += first[k];
        }
        let of = |&z: &usize| {
            let mut rows = Aligned::zeros(terms.len() * padded);
            for (n, parts) in map.values().enumerate() {
                let mut sums = vec![0.0; channels];
                for &(p, o, k, value) in parts {
                    let order = &products[p].orders[o];
                    let weights = &order.weights[(z * order.count + usize::from(k)) * channels..][..channels];
                    for (s, w) in sums.iter_mut().zip(weights) {
                        *s += value * w;
                    }
                }
                for (k, s) in sums.iter().enumerate() {
                    rows[(k / T::LANES * terms.len() + n) * T::LANES + k % T::LANES] = T::from_f64(*s);
                }
            }
            rows
        };
        let coefficients = species.iter().map(of).collect();
        Self { variables, factors, first, terms, coefficients, results: base, channels: padded }
    }
    /// Numbers of scratch memory that a kernel needs.
    pub fn scratch(&self) -> usize {
        2 * (self.variables + self.factors.len()) * T::LANES
    }
}

/// Rows of a quantity with several degrees: row of degree l, node n, component m.
#[derive(Clone, Copy)]
pub struct Rows {
    /// Nodes there is room for.
    pub nodes: usize,
    /// The first node of the block.
    pub start: usize,
}

impl Rows {
    /// The first row of node `n` of the block for a degree whose components start at `offset` of each node.
    #[inline(always)]
    pub fn row(self, offset: usize, width: usize, n: usize) -> usize {
        self.nodes * offset + (self.start + n) * width
    }
}

/// Evaluates or differentiates the polynomials for the nodes of a block.
pub struct Contraction<'a, T: Real> {
    /// What to evaluate.
    pub polynomials: &'a Polynomials<T>,
    /// Largest degree of the variables.
    pub lmax: usize,
    /// Degrees of the results.
    pub output: &'a [usize],
    /// Species of the nodes of the block.
    pub species: &'a [u16],
    /// Variables.
    pub a: *const T,
    /// Where the rows of the variables are.
    pub a_rows: Rows,
    /// Results (written), or derivatives with respect to them (read).
    pub b: *mut T,
    /// Where the rows of the results are.
    pub b_rows: Rows,
    /// Derivatives with respect to the variables (written); null for an evaluation.
    pub a_bar: *mut T,
    /// Where the rows of these derivatives are.
    pub bar_rows: Rows,
    /// Numbers from one row to the next.
    pub stride: usize,
    /// Scratch memory.
    pub scratch: *mut T,
}

impl<T: Real> VectorKernel<T> for Contraction<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let p = self.polynomials;
        let lanes = T::LANES;
        let nodes = p.variables + p.factors.len();
        let zero = V::splat(T::default());
        let mut row_of = [[0usize; 3]; RESULTS];
        let mut k = 0;
        for l in 0..=self.lmax {
            for m in 0..2 * l + 1 {
                row_of[k] = [l * l, 2 * l + 1, m];
                k += 1;
            }
        }
        let mut result_of = [[0usize; 3]; RESULTS];
        let (mut k, mut offset) = (0, 0);
        for &l in self.output {
            for m in 0..2 * l + 1 {
                result_of[k] = [offset, 2 * l + 1, m];
                k += 1;
            }
            offset += 2 * l + 1;
        }
        let (values, bars) = (self.scratch, self.scratch.wrapping_add(nodes * lanes));
        for chunk in 0..p.channels / lanes {
            for (n, &species) in self.species.iter().enumerate() {
                // SAFETY: the caller gives arrays with these rows and enough scratch memory; indices of nodes are those
                // of the polynomials
                unsafe {
                    let at = |rows: Rows, [offset, width, m]: [usize; 3]| {
                        (rows.row(offset, width, n) + m) * self.stride + chunk * lanes
                    };
                    for k in 0..p.variables {
                        V::load(self.a.add(at(self.a_rows, row_of[k]))).store(values.add(k * lanes));
                    }
                    for (k, [a, b]) in p.factors.iter().enumerate() {
                        let product = V::load(values.add(usize::from(*a) * lanes))
                            * V::load(values.add(usize::from(*b) * lanes));
                        product.store(values.add((p.variables + k) * lanes));
                    }
                    let mut results = [zero; RESULTS];
                    let mut c =
                        p.coefficients[usize::from(species)].as_ptr().add(chunk * p.terms.len() * lanes);
                    if self.a_bar.is_null() {
                        for k in 0..nodes {
                            let value = V::load(values.add(k * lanes));
                            for t in *p.first.get_unchecked(k)..*p.first.get_unchecked(k + 1) {
                                let r =
                                    &mut results[usize::from(*p.terms.get_unchecked(t as usize)) % RESULTS];
                                *r = V::load(c).mul_add(value, *r);
                                c = c.add(lanes);
                            }
                        }
                        for r in 0..p.results {
                            results[r].store(self.b.add(at(self.b_rows, result_of[r])));
                        }
                        continue;
                    }
                    for r in 0..p.results {
                        results[r] = V::load(self.b.add(at(self.b_rows, result_of[r])));
                    }
                    for k in 0..nodes {
                        let mut sum = zero;
                        for t in *p.first.get_unchecked(k)..*p.first.get_unchecked(k + 1) {
                            let r = results[usize::from(*p.terms.get_unchecked(t as usize)) % RESULTS];
                            sum = V::load(c).mul_add(r, sum);
                            c = c.add(lanes);
                        }
                        sum.store(bars.add(k * lanes));
                    }
                    for (k, [a, b]) in p.factors.iter().enumerate().rev() {
                        let bar = V::load(bars.add((p.variables + k) * lanes));
                        let (a, b) = (usize::from(*a) * lanes, usize::from(*b) * lanes);
                        let (va, vb) = (V::load(values.add(a)), V::load(values.add(b)));
                        bar.mul_add(vb, V::load(bars.add(a))).store(bars.add(a));
                        bar.mul_add(va, V::load(bars.add(b))).store(bars.add(b));
                    }
                    for k in 0..p.variables {
                        V::load(bars.add(k * lanes)).store(self.a_bar.add(at(self.bar_rows, row_of[k])));
                    }
                }
            }
        }
    }
}
