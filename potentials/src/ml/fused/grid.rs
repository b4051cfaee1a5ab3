//! Intervals of the distance on which radial functions are polynomials, as wide as the wanted precision allows.
//!
//! The values that enter the last layers of the networks are interpolated through Chebyshev-Lobatto points. From one end of the
//! range to the other, the width of each interval follows from the error of the one before, as the steps of an integrator do. Wide
//! intervals are few, and few intervals stay in the fast caches of a processor.
use super::radial::{Exact, Functions};
use rayon::prelude::*;

/// The narrowest interval whose error is looked at, as a part of the whole range.
const NARROWEST: f64 = 1.0 / 2048.0;
/// Bins of equal width by which an interval is found.
const BINS: usize = 256;

/// Intervals of every pair of elements.
pub struct Grid {
    start: f64,
    bins_per_length: f64,
    /// The interval in which each bin begins: (pair, bin).
    first: Vec<u32>,
    /// Intervals, pair after pair.
    pub intervals: Vec<Interval>,
    /// Largest error of an interpolated value, relative to the largest value.
    pub error: f64,
}

/// Distances on which a function is one polynomial of t = (r − middle) · scale in [−1, 1].
#[derive(Clone, Copy)]
pub struct Interval {
    /// Pair of elements.
    pub pair: u32,
    /// Where the next begins, Å; infinite for the last of a pair.
    end: f64,
    /// Å.
    middle: f64,
    /// dt/dr, 1/Å.
    pub scale: f64,
}

impl Interval {
    fn new(pair: usize, a: f64, b: f64) -> Self {
        Self { pair: pair as u32, end: b, middle: 0.5 * (a + b), scale: 2.0 / (b - a) }
    }
    /// The distance of a place t.
    pub fn distance(&self, t: f64) -> f64 {
        self.middle + t / self.scale
    }
}

impl Grid {
    /// Intervals for pairs of elements, on which polynomials through `points` points have the relative error `tolerance` at most.
    pub fn new(model: &Functions, pairs: &[[usize; 2]], points: usize, tolerance: f64) -> Self {
        let start = model.start.min(0.25 * model.cutoff);
        let probe = Probe::new(points);
        let each: Vec<(Vec<Interval>, f64)> = pairs
            .par_iter()
            .enumerate()
            .map(|(number, pair)| probe.intervals(model, number, *pair, start, tolerance))
            .collect();
        let width = (model.cutoff - start) / BINS as f64;
        let (mut intervals, mut first, mut error) = (Vec::new(), Vec::new(), 0.0f64);
        for (of_pair, missed) in each {
            let mut at = 0;
            for bin in 0..BINS {
                while of_pair[at].end <= start + bin as f64 * width {
                    at += 1;
                }
                first.push((intervals.len() + at) as u32);
            }
            intervals.extend(of_pair);
            error = error.max(missed);
        }
        Self { start, bins_per_length: 1.0 / width, first, intervals, error }
    }
    /// Shortest distance, Å.
    pub fn start(&self) -> f64 {
        self.start
    }
    /// Interval of a distance for a pair, and the place in it.
    #[inline(always)]
    pub fn locate(&self, r: f64, pair: u32) -> (u32, f64) {
        let bin = (((r - self.start) * self.bins_per_length).max(0.0) as usize).min(BINS - 1);
        let mut k = self.first[pair as usize * BINS + bin];
        // the last interval of a pair has no end
        while r >= self.intervals[k as usize].end {
            k += 1;
        }
        let i = &self.intervals[k as usize];
        (k, (r - i.middle) * i.scale)
    }
}

/// Chebyshev-Lobatto points in [−1, 1].
pub fn nodes(points: usize) -> Vec<f64> {
    (0..points).map(|k| -(std::f64::consts::PI * k as f64 / (points - 1) as f64).cos()).collect()
}

/// Coefficients of powers of t in [−1, 1], highest first, from values at Chebyshev-Lobatto points.
pub fn powers(points: usize) -> Vec<f64> {
    let n = points;
    let t: Vec<f64> = nodes(n);
    // inverse of the Vandermonde matrix: columns are Lagrange polynomials
    let mut inverse = vec![0.0; n * n];
    for k in 0..n {
        let mut polynomial = vec![1.0];
        let mut scale = 1.0;
        for (j, tj) in t.iter().enumerate().filter(|(j, _)| *j != k) {
            let mut next = vec![0.0; polynomial.len() + 1];
            for (i, p) in polynomial.iter().enumerate() {
                next[i + 1] += p;
                next[i] -= tj * p;
            }
            polynomial = next;
            scale *= t[k] - t[j];
        }
        for (i, p) in polynomial.iter().enumerate() {
            inverse[(n - 1 - i) * n + k] = p / scale;
        }
    }
    inverse
}

/// Where the error of an interpolation is looked at.
struct Probe {
    nodes: Vec<f64>,
    /// Places between the nodes where the error is largest, and the Lagrange polynomials there.
    between: Vec<(f64, Vec<f64>)>,
}

impl Probe {
    fn new(points: usize) -> Self {
        let (nodes, powers) = (nodes(points), powers(points));
        let between = [points / 2 - 1, points / 2]
            .map(|k| {
                let t = 0.5 * (nodes[k] + nodes[k + 1]);
                let mut lagrange = vec![0.0; points];
                for row in powers.chunks_exact(points) {
                    lagrange.iter_mut().zip(row).for_each(|(l, a)| *l = *l * t + a);
                }
                (t, lagrange)
            })
            .to_vec();
        Self { nodes, between }
    }
    fn intervals(
        &self,
        model: &Functions,
        number: usize,
        pair: [usize; 2],
        start: f64,
        tolerance: f64,
    ) -> (Vec<Interval>, f64) {
        let mut values = Values { model, pair, exact: Exact::default(), of: Vec::new() };
        let whole = model.cutoff - start;
        let mut largest = Vec::new();
        for k in 0..=64 {
            values.at(start + whole * f64::from(k) / 64.0);
            largest.resize(values.of.len(), 0.0f64);
            largest.iter_mut().zip(&values.of).for_each(|(m, v)| *m = m.max(v.abs()));
        }
        let weights = values.weights(&largest);
        let (mut intervals, mut error): (Vec<Interval>, _) = (Vec::new(), 0.0f64);
        let (mut a, mut wanted) = (start, whole / 32.0);
        // an interval ends where a derivative jumps
        for limit in model.envelope.kink().filter(|k| *k > start).into_iter().chain([model.cutoff]) {
            let mut before: Option<(Interval, f64)> = None;
            while a < limit {
                // the rest in equal parts
                let parts = ((limit - a) / wanted - 1e-9).ceil().max(1.0);
                let b = if parts > 1.0 { a + (limit - a) / parts } else { limit };
                let (mut interval, mut missed) = (Interval::new(number, a, b), 0.0);
                if b - a > NARROWEST * whole {
                    missed = self.error(&mut values, &interval, &weights);
                }
                let factor = 0.95 * (tolerance / missed.max(1e-30)).powf(1.0 / self.nodes.len() as f64);
                let next = match before {
                    _ if missed <= tolerance => factor.clamp(0.5, 2.0),
                    // an error that does not become smaller with the interval is rounding
                    Some(wider) if missed > 0.5 * wider.1 => {
                        (interval, missed) = wider;
                        1.0
                    }
                    _ => {
                        before = Some((interval, missed));
                        wanted = (b - a) * factor.clamp(0.3, 0.8);
                        continue;
                    }
                };
                wanted = (interval.end - a) * next;
                a = interval.end;
                before = None;
                error = error.max(missed);
                intervals.push(interval);
            }
        }
        if let Some(last) = intervals.last_mut() {
            last.end = f64::INFINITY;
        }
        (intervals, error)
    }
    /// Largest error on an interval, relative to the largest value of its layer.
    fn error(&self, values: &mut Values<'_>, interval: &Interval, weights: &[f64]) -> f64 {
        let mut sums = vec![vec![0.0; weights.len()]; self.between.len()];
        for (k, t) in self.nodes.iter().enumerate() {
            values.at(interval.distance(*t));
            for (sums, (_, lagrange)) in sums.iter_mut().zip(&self.between) {
                sums.iter_mut().zip(&values.of).for_each(|(s, v)| *s += lagrange[k] * v);
            }
        }
        let mut largest = 0.0f64;
        for (sums, (t, _)) in sums.iter().zip(&self.between) {
            values.at(interval.distance(*t));
            for ((s, v), w) in sums.iter().zip(&values.of).zip(weights) {
                largest = largest.max((s - v).abs() * w);
            }
        }
        largest
    }
}

/// Everything that is interpolated.
struct Values<'a> {
    model: &'a Functions,
    pair: [usize; 2],
    exact: Exact,
    /// Of all layers: hidden values and the density.
    of: Vec<f64>,
}

impl Values<'_> {
    fn at(&mut self, r: f64) {
        self.of.clear();
        let (of, layers) = (&mut self.of, 0..self.model.layers.len());
        self.exact.eval(self.model, layers, self.model.inside(r), self.pair, |_, v, _, d, f| {
            of.extend(v.iter().map(|v| v * f[0]));
            of.push(d[0]);
        });
    }
    /// What the error of each value is multiplied by: the inverse of the largest value of its layer, and 1 for densities, which are
    /// added to 1.
    fn weights(&self, largest: &[f64]) -> Vec<f64> {
        let (mut out, mut at) = (Vec::with_capacity(largest.len()), 0);
        for layer in &self.model.layers {
            let width = layer.network.network.width();
            let most = largest[at..at + width].iter().copied().fold(1e-30, f64::max);
            out.extend(std::iter::repeat_n(1.0 / most, width));
            out.push(1.0);
            at += width + 1;
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ml::equivariant::Activation;
    use crate::ml::fused::radial::LayerFunctions;
    use crate::ml::radial::{Basis, Dense, Envelope, Network, Transform};

    /// Four Bessel functions as they are: the last layer of the network is its only one.
    fn functions() -> Functions {
        let frequencies: Vec<f64> = (1..5).map(|n| f64::from(n) * std::f64::consts::PI / 5.0).collect();
        let last = Dense { inputs: 4, outputs: 1, values: vec![1.0; 4] };
        let network = Network {
            layers: vec![last],
            biases: Vec::new(),
            norms: Vec::new(),
            activation: Activation::Identity,
        };
        Functions {
            cutoff: 5.0,
            basis: Basis::Bessel { frequencies, prefactor: 0.6 },
            transform: Transform::None,
            envelope: Envelope::Xplor { on: 4.5 },
            on_basis: true,
            start: 0.25,
            radii: Vec::new(),
            layers: vec![LayerFunctions { network: network.into(), paths: vec![[0, 1]], density: None }],
        }
    }

    #[test]
    fn intervals_follow_each_other_and_are_found() {
        let grid = Grid::new(&functions(), &[[0, 0], [0, 1]], 9, 1e-13);
        let (first, second) = grid.intervals.split_at(grid.intervals.len() / 2);
        assert_eq!((first[0].pair, second[0].pair), (0, 1));
        assert!((first[0].distance(-1.0) - 0.25).abs() < 1e-12);
        assert!((first[first.len() - 1].distance(1.0) - 5.0).abs() < 1e-12);
        for two in first.windows(2) {
            assert!((two[0].distance(1.0) - two[1].distance(-1.0)).abs() < 1e-12);
        }
        assert!(first.iter().any(|i| (i.distance(1.0) - 4.5).abs() < 1e-12), "none ends at the jump");
        for k in 0..=4000 {
            let r = 0.25 + 4.75 * f64::from(k) / 4000.0;
            for pair in 0..2 {
                let (at, t) = grid.locate(r, pair);
                let interval = grid.intervals[at as usize];
                assert_eq!(interval.pair, pair);
                assert!(t.abs() <= 1.0 + 1e-9, "{r} is at {t}");
                assert!((interval.distance(t) - r).abs() < 1e-12);
            }
        }
    }

    #[test]
    fn interpolation_is_as_good_as_it_says_everywhere() {
        let model = functions();
        let (points, tolerance) = (7, 1e-9);
        let grid = Grid::new(&model, &[[0, 0]], points, tolerance);
        assert!(grid.error <= tolerance);
        let (nodes, powers) = (nodes(points), powers(points));
        let mut values = Values { model: &model, pair: [0, 0], exact: Exact::default(), of: Vec::new() };
        let (mut largest, mut error) = (0.0f64, 0.0f64);
        for interval in &grid.intervals {
            let mut at = |t: f64| {
                values.at(interval.distance(t));
                values.of[3]
            };
            let known: Vec<f64> = nodes.iter().map(|t| at(*t)).collect();
            for k in 0..=100 {
                let t = f64::from(k) / 50.0 - 1.0;
                let row = |row: &[f64]| row.iter().zip(&known).map(|(a, v)| a * v).sum::<f64>();
                let p = powers.chunks_exact(points).fold(0.0, |p, powers| p * t + row(powers));
                let truth = at(t);
                error = error.max((p - truth).abs());
                largest = largest.max(truth.abs());
            }
        }
        // two places of each interval were looked at
        assert!(error < 3.0 * tolerance * largest, "{error} of {largest}");
        let finer = Grid::new(&model, &[[0, 0]], points, 1e-12);
        assert!(finer.intervals.len() > 2 * grid.intervals.len());
    }

    #[test]
    fn rounding_ends_the_search() {
        let grid = Grid::new(&functions(), &[[0, 0]], 9, 1e-18);
        assert!(grid.intervals.len() < 500, "{} intervals", grid.intervals.len());
        assert!(grid.error < 1e-14, "{}", grid.error);
    }
}
