//! The symmetric contraction as sparse polynomials, evaluated for a vector of channels at a time, and differentiated in reverse
//! over the same lists.
//!
//! Every product of components is one multiplication of two that are there already. Most of them, those of the highest degree,
//! belong to a single term of a result; they are taken together by a factor they share, v_a Σ_b c_b v_b, and never stored.
use crate::ml::kernels::Aligned;
use crate::ml::mace::model::Product;
use crate::simd::{Real, Vector, VectorKernel};
use std::collections::BTreeMap;

/// Room for the components of all results together, 49 of them: a power of two, so that places are checked by a mask.
const RESULTS: usize = 64;

/// No first factor.
const ONE: u16 = u16::MAX;

/// Terms of one result that have a factor in common: c v_a v_b for several b.
struct Run {
    result: u8,
    /// The factor in common, or [`ONE`].
    a: u16,
    /// The other factors: `partners[first..end]`.
    first: u32,
    end: u32,
}

/// Polynomials for all degrees of a layer.
///
/// Values that are needed more than once are the variables and the products that are factors of others; a product that is no
/// factor is never stored, only added to its result.
pub struct Polynomials<T: Real> {
    /// Number of variables.
    variables: usize,
    /// Factors of every value beyond the variables.
    factors: Vec<[u16; 2]>,
    /// Terms.
    runs: Vec<Run>,
    /// The factor of each term that is not that of its run.
    partners: Vec<u16>,
    /// By species: (vector of channels, term, lane).
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
        // products that are factors of others come first and keep their order
        let mut place = vec![ONE; variables + factors.len()];
        for f in factors.iter().flatten() {
            place[usize::from(*f)] = 0;
        }
        for (k, place) in place[..variables].iter_mut().enumerate() {
            *place = k as u16;
        }
        let mut kept = Vec::new();
        for (k, [a, b]) in factors.iter().enumerate() {
            if place[variables + k] != ONE {
                place[variables + k] = (variables + kept.len()) as u16;
                kept.push([place[usize::from(*a)], place[usize::from(*b)]]);
            }
        }
        // (result, common factor, other factor) -> what the coefficient is made of
        let mut terms: Vec<([u16; 3], Parts)> = map
            .into_iter()
            .map(|((node, result), parts)| {
                let pair = match place[usize::from(node)] {
                    ONE => factors[usize::from(node) - variables].map(|f| place[usize::from(f)]),
                    kept => [ONE, kept],
                };
                let [a, b] = if pair[0] == ONE { pair } else { [pair[0].min(pair[1]), pair[0].max(pair[1])] };
                ([u16::from(result), a, b], parts)
            })
            .collect();
        terms.sort_by_key(|(key, _)| *key);
        let mut runs: Vec<Run> = Vec::new();
        for (k, ([result, a, _], _)) in terms.iter().enumerate() {
            match runs.last_mut().filter(|r| u16::from(r.result) == *result && r.a == *a) {
                Some(run) => run.end += 1,
                None => runs.push(Run { result: *result as u8, a: *a, first: k as u32, end: k as u32 + 1 }),
            }
        }
        let partners = terms.iter().map(|([_, _, b], _)| *b).collect();
        let of = |&z: &usize| {
            let mut rows = Aligned::zeros(terms.len() * padded);
            for (n, (_, parts)) in terms.iter().enumerate() {
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
        Self { variables, factors: kept, runs, partners, coefficients, results: base, channels: padded }
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
                        p.coefficients[usize::from(species)].as_ptr().add(chunk * p.partners.len() * lanes);
                    let value = |k: u16| V::load(values.add(usize::from(k) * lanes));
                    if self.a_bar.is_null() {
                        for run in &p.runs {
                            let partners = p.partners.get_unchecked(run.first as usize..run.end as usize);
                            // two sums, so that one addition need not wait for the one before
                            let (mut even, mut odd) = (zero, zero);
                            let mut pairs = partners.chunks_exact(2);
                            for pair in &mut pairs {
                                even = V::load(c).mul_add(value(pair[0]), even);
                                odd = V::load(c.add(lanes)).mul_add(value(pair[1]), odd);
                                c = c.add(2 * lanes);
                            }
                            for b in pairs.remainder() {
                                even = V::load(c).mul_add(value(*b), even);
                                c = c.add(lanes);
                            }
                            let sum = even + odd;
                            let r = &mut results[usize::from(run.result) % RESULTS];
                            *r = if run.a == ONE { *r + sum } else { sum.mul_add(value(run.a), *r) };
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
                        zero.store(bars.add(k * lanes));
                    }
                    for run in &p.runs {
                        let partners = p.partners.get_unchecked(run.first as usize..run.end as usize);
                        let r = results[usize::from(run.result) % RESULTS];
                        let by = if run.a == ONE { r } else { r * value(run.a) };
                        let mut sum = zero;
                        for b in partners {
                            let (coefficient, bar) = (V::load(c), bars.add(usize::from(*b) * lanes));
                            coefficient.mul_add(by, V::load(bar)).store(bar);
                            sum = coefficient.mul_add(value(*b), sum);
                            c = c.add(lanes);
                        }
                        if run.a != ONE {
                            let bar = bars.add(usize::from(run.a) * lanes);
                            sum.mul_add(r, V::load(bar)).store(bar);
                        }
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
