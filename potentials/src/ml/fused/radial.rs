//! Radial weights of all paths and channels as piecewise polynomials of the distance, or exactly from the network.
//!
//! A network is linear in its last layer, so the values that enter it are interpolated: on every interval through Chebyshev-Lobatto
//! points, whose ends are shared, so that the weights are continuous. Intervals are as wide as the precision allows
//! ([`grid`](super::grid)); what the interpolation missed is reported.
use super::convolution::Edges;
use super::grid::{Grid, nodes, powers};
use crate::ml::kernels::{Aligned, gemm};
use crate::ml::radial::{Basis, Envelope, NetworkScratch, PairNetwork, Transform};
use crate::simd::{Level, Real, Vector};
use rayon::prelude::*;
use std::ops::Range;

/// How weights are evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// From tables.
    Table,
    /// From the network, for every edge.
    Exact,
}

/// Where tables of functions that are steep or singular at short distances begin, Å; with a shorter edge everything is evaluated exactly.
pub const START: f64 = 0.25;

/// Degree of the polynomials.
pub const fn degree<T: Real>() -> usize {
    if T::LANES == 8 { 8 } else { 5 }
}

/// Largest error of interpolated values relative to the largest. That of their derivatives, and so of forces, is thousands of times larger.
const fn tolerance<T: Real>() -> f64 {
    if T::LANES == 8 { 5e-15 } else { 1e-9 }
}

/// The radial functions of a model.
#[derive(Clone, Debug)]
pub struct Functions {
    /// Cutoff, Å.
    pub cutoff: f64,
    /// Functions of the transformed distance.
    pub basis: Basis,
    /// Transform.
    pub transform: Transform,
    /// What takes them to zero at the cutoff.
    pub envelope: Envelope,
    /// Whether the envelope multiplies the basis; if not it multiplies what the networks give.
    pub on_basis: bool,
    /// Where tables begin, Å: [`START`], or 0 for functions that are smooth there.
    pub start: f64,
    /// Covalent radius of every element of the model, Å; empty when the distance is not transformed.
    pub radii: Vec<f64>,
    /// By layer.
    pub layers: Vec<LayerFunctions>,
}

impl Functions {
    /// The distance, or the largest one within the cutoff.
    pub fn inside(&self, r: f64) -> f64 {
        r.min(self.cutoff * (1.0 - 1e-15))
    }
}

/// The radial functions of a layer.
#[derive(Clone, Debug)]
pub struct LayerFunctions {
    /// Weights of all paths from the basis.
    pub network: PairNetwork,
    /// First output of the network for each path, and how many channels it has.
    pub paths: Vec<[usize; 2]>,
    /// ρ, whose tanh(ρ²) is the density that the sum over neighbours is divided by.
    pub density: Option<PairNetwork>,
}

impl LayerFunctions {
    /// Whether they differ between pairs of elements, and between the two orders of a pair.
    fn by_elements(&self) -> bool {
        [Some(&self.network), self.density.as_ref()].iter().flatten().any(|n| n.elements.is_some())
    }
}

/// Radial weights of one layer.
pub struct Weights<T: Real> {
    /// (path, chunk, interval, power, lane), highest power first.
    tables: Aligned<T>,
    /// (path, chunk, hidden, lane).
    network: Aligned<T>,
    /// Vectors of channels of the paths before each path.
    blocks: Vec<usize>,
    /// Density: (interval, power).
    density: Option<Vec<T>>,
    /// Number of hidden values.
    width: usize,
    cells: usize,
    /// Where the hidden values of this layer start in those of an edge.
    pub hidden: usize,
}

/// Radial weights of all layers and how distances find their interval.
pub struct Radial<T: Real> {
    /// By layer.
    pub layers: Vec<Weights<T>>,
    grid: Grid,
    /// Pair of the species of receiver and sender.
    pair: Vec<u32>,
    pairs: usize,
    species: usize,
    /// Hidden values of all layers together: values and derivatives of an edge are twice as many.
    pub width: usize,
    model: Functions,
    of_species: Vec<usize>,
}

/// Memory for exact evaluation.
#[derive(Default)]
pub struct Exact {
    basis: Vec<f64>,
    slopes: Vec<f64>,
    scratch: NetworkScratch,
}

impl Exact {
    /// Calls `give(layer, values, derivatives)` with what enters the last layer of each network of some layers at a distance r for elements
    /// a of the receiver and b of the sender, and after each the density and its derivative, (0, 0) where there is none.
    pub(super) fn eval(
        &mut self,
        model: &Functions,
        layers: Range<usize>,
        r: f64,
        [a, b]: [usize; 2],
        mut give: impl FnMut(usize, &[f64], &[f64], [f64; 2], [f64; 2]),
    ) {
        let sum = match model.transform {
            Transform::None => 0.0,
            _ => model.radii[a] + model.radii[b],
        };
        let (x, dx) = model.transform.eval(r, sum);
        let (cut, dcut) = model.envelope.eval(r, model.cutoff);
        self.basis.clear();
        self.slopes.clear();
        let Self { basis, slopes, scratch } = self;
        model.basis.eval(x, |_, v, d| {
            let d = d * dx;
            if model.on_basis {
                basis.push(v * cut);
                slopes.push(d * cut + v * dcut);
            } else {
                basis.push(v);
                slopes.push(d);
            }
        });
        // what multiplies the result
        let factor = if model.on_basis { [1.0, 0.0] } else { [cut, dcut] };
        for (t, layer) in model.layers.iter().enumerate().take(layers.end).skip(layers.start) {
            let mut density = [0.0; 2];
            if let Some(network) = &layer.density {
                let (h, dh) = network.hidden(basis, slopes, [a, b], scratch);
                let sum = |h: &[f64]| -> f64 {
                    h.iter().enumerate().map(|(q, h)| network.network.last(q, 0) * h).sum()
                };
                let (v, d) = (sum(h), sum(dh));
                let tanh = (v * v).tanh();
                let slope = (1.0 - tanh * tanh) * 2.0 * v * d;
                density = [tanh * factor[0], slope * factor[0] + tanh * factor[1]];
            }
            let (h, dh) = layer.network.hidden(basis, slopes, [a, b], scratch);
            give(t, h, dh, density, factor);
        }
    }
}

impl<T: Real> Radial<T> {
    /// Tables for the elements of the species of a system.
    pub fn new(model: Functions, of_species: &[usize], level: Level) -> Self {
        let s = of_species.len();
        let ordered = model.layers.iter().any(LayerFunctions::by_elements);
        let by_pair = ordered || model.transform != Transform::None;
        let mut pairs = Vec::new();
        let mut pair = vec![0; s * s];
        if by_pair {
            for a in 0..s {
                for b in if ordered { 0 } else { a }..s {
                    pair[a * s + b] = pairs.len() as u32;
                    if !ordered {
                        pair[b * s + a] = pairs.len() as u32;
                    }
                    pairs.push([of_species[a], of_species[b]]);
                }
            }
        } else {
            pairs.push([0, 0]);
        }
        let grid = Grid::new(&model, &pairs, degree::<T>() + 1, tolerance::<T>());
        let mut this = Self {
            layers: Vec::new(),
            grid,
            pair,
            pairs: pairs.len(),
            species: s,
            width: 0,
            model,
            of_species: of_species.to_vec(),
        };
        for t in 0..this.model.layers.len() {
            let weights = this.layer(t, &pairs, level);
            this.width += weights.width;
            this.layers.push(weights);
        }
        this
    }
    fn layer(&self, t: usize, pairs: &[[usize; 2]], level: Level) -> Weights<T> {
        let (model, layer) = (&self.model, &self.model.layers[t]);
        let network = &layer.network.network;
        let width = network.width();
        let points = degree::<T>() + 1;
        // by column in the order (path, padded channel): the output of the network
        let mut column: Vec<Option<usize>> = Vec::new();
        let mut blocks = Vec::new();
        for [first, count] in &layer.paths {
            blocks.push(column.len() / T::LANES);
            column.extend((0..count.div_ceil(16) * 16).map(|k| (k < *count).then_some(first + k)));
        }
        let columns = column.len();
        let cells = self.grid.intervals.len();
        let last = |q: usize, o: Option<usize>| o.map_or(0.0, |o| network.last(q, o));
        let matrix = gemm::Matrix::<f64>::new(width, columns, |q, o| last(q, column[o]));
        let (nodes, inverse) = (nodes(points), powers(points));
        let mut tables = Aligned::<T>::zeros(columns * cells * points);
        let dense = layer.density.is_some();
        let mut density = vec![T::default(); if dense { cells * points } else { 0 }];
        let place = Place(tables.as_mut_ptr(), density.as_mut_ptr());
        (0..cells).into_par_iter().for_each_init(Exact::default, |exact, cell| {
            let place = &place;
            let interval = &self.grid.intervals[cell];
            let pair = pairs[interval.pair as usize];
            let mut values = vec![0.0; points * (width + 1)];
            for (k, x) in nodes.iter().enumerate() {
                let r = model.inside(interval.distance(*x));
                exact.eval(model, t..t + 1, r, pair, |_, v, _, d, f| {
                    for (to, v) in values[k * (width + 1)..].iter_mut().zip(v) {
                        *to = v * f[0];
                    }
                    values[k * (width + 1) + width] = d[0];
                });
            }
            let mut hidden = vec![0.0; points * width];
            for (power, row) in inverse.chunks_exact(points).enumerate() {
                for q in 0..=width {
                    let sum: f64 = row.iter().enumerate().map(|(k, a)| a * values[k * (width + 1) + q]).sum();
                    if q < width {
                        hidden[power * width + q] = sum;
                    } else if dense {
                        // SAFETY: every cell is written by one task
                        unsafe { *place.1.add(cell * points + power) = T::from_f64(sum) };
                    }
                }
            }
            let mut out = vec![0.0; points * columns];
            gemm::multiply(level, points, (&hidden, width), &matrix, (&mut out, columns), false);
            for power in 0..points {
                for o in 0..columns {
                    let (block, lane) = (o / T::LANES, o % T::LANES);
                    let at = ((block * cells + cell) * points + power) * T::LANES + lane;
                    // SAFETY: every cell is written by one task
                    unsafe { *place.0.add(at) = T::from_f64(out[power * columns + o]) };
                }
            }
        });
        let mut exact = Aligned::<T>::zeros(columns * width);
        for (k, o) in column.iter().enumerate() {
            for q in 0..width {
                let at = (k / T::LANES * width + q) * T::LANES + k % T::LANES;
                exact[at] = T::from_f64(last(q, *o));
            }
        }
        Weights {
            tables,
            network: exact,
            density: dense.then_some(density),
            blocks,
            width,
            cells,
            hidden: self.width,
        }
    }
    /// The tables in words.
    pub fn describe(&self) -> String {
        format!(
            "radial networks on {} intervals, interpolation error {:.0e} of the largest value",
            self.grid.intervals.len().div_ceil(self.pairs),
            self.grid.error
        )
    }
    /// Shortest distance of the tables, Å.
    pub fn start(&self) -> f64 {
        self.grid.start()
    }
    /// dt/dr of an interval: what turns derivatives of the tables into those of the distance.
    pub fn slope_scale(&self, mode: Mode, cell: u32) -> f64 {
        match mode {
            Mode::Table => self.grid.intervals[cell as usize].scale,
            Mode::Exact => 1.0,
        }
    }
    /// Interval and place in it of a distance, for the species of receiver and sender.
    #[inline(always)]
    pub fn locate(&self, r: f64, a: u16, b: u16) -> (u32, f64) {
        self.grid.locate(r, self.pair[usize::from(a) * self.species + usize::from(b)])
    }
    /// Hidden values of all layers and then their derivatives, and by layer the densities and theirs, at a distance.
    pub fn exact(&self, exact: &mut Exact, r: f64, a: u16, b: u16, hidden: &mut [T], density: &mut [[T; 2]]) {
        let pair = [self.of_species[usize::from(a)], self.of_species[usize::from(b)]];
        let (values, slopes) = hidden.split_at_mut(self.width);
        exact.eval(&self.model, 0..self.model.layers.len(), r, pair, |t, v, d, rho, factor| {
            let at = self.layers[t].hidden;
            for (k, (v, d)) in v.iter().zip(d).enumerate() {
                values[at + k] = T::from_f64(v * factor[0]);
                slopes[at + k] = T::from_f64(d * factor[0] + v * factor[1]);
            }
            density[t] = rho.map(T::from_f64);
        });
    }
    /// Memory held, bytes.
    pub fn bytes(&self) -> usize {
        self.layers.iter().map(|l| l.tables.bytes() + l.network.bytes()).sum()
    }
}

struct Place<T>(*mut T, *mut T);
// SAFETY: tasks write to different places
unsafe impl<T: Send> Send for Place<T> {}
// SAFETY: as above
unsafe impl<T: Send> Sync for Place<T> {}

impl<T: Real> Weights<T> {
    /// Weights of one path and vector of channels for a tile of edges.
    ///
    /// # Safety
    /// The edges must have cells of these tables, or hidden values.
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "a tile of edges with one path and vector of channels")]
    pub unsafe fn values<V: Vector<Scalar = T>>(
        &self,
        mode: Mode,
        edges: &Edges<'_, T>,
        path: usize,
        chunk: usize,
        at: usize,
        count: usize,
        out: &mut [V],
    ) {
        let (points, lanes) = (degree::<T>() + 1, T::LANES);
        let block = self.blocks[path] + chunk;
        // SAFETY: as the caller promises
        unsafe {
            if mode == Mode::Table {
                let tables = self.tables.as_ptr().add(block * self.cells * points * lanes);
                for (k, out) in out[..count].iter_mut().enumerate() {
                    let cell = *edges.cell.get_unchecked(at + k) as usize;
                    let t = V::splat(*edges.local.get_unchecked(at + k));
                    let c = tables.add(cell * points * lanes);
                    let mut p = V::load(c);
                    for i in 1..points {
                        p = p.mul_add(t, V::load(c.add(i * lanes)));
                    }
                    *out = p;
                }
            } else {
                let network = self.network.as_ptr().add(block * self.width * lanes);
                let all = edges.hidden.len() / edges.cell.len();
                for (k, out) in out[..count].iter_mut().enumerate() {
                    let hidden = edges.hidden.as_ptr().add((at + k) * all + self.hidden);
                    let mut p = V::splat(T::default());
                    for q in 0..self.width {
                        p = V::load(network.add(q * lanes)).mul_add(V::splat(*hidden.add(q)), p);
                    }
                    *out = p;
                }
            }
        }
    }
    /// Weights and their derivatives (with respect to the place in the interval, or the distance where they are exact).
    ///
    /// # Safety
    /// As [`Weights::values`].
    #[inline(always)]
    #[expect(clippy::too_many_arguments, reason = "as above")]
    pub unsafe fn slopes<V: Vector<Scalar = T>>(
        &self,
        mode: Mode,
        edges: &Edges<'_, T>,
        path: usize,
        chunk: usize,
        at: usize,
        count: usize,
        out: &mut [[V; 2]],
    ) {
        let (points, lanes) = (degree::<T>() + 1, T::LANES);
        let block = self.blocks[path] + chunk;
        let zero = V::splat(T::default());
        // SAFETY: as the caller promises
        unsafe {
            if mode == Mode::Table {
                let tables = self.tables.as_ptr().add(block * self.cells * points * lanes);
                for (k, out) in out[..count].iter_mut().enumerate() {
                    let cell = *edges.cell.get_unchecked(at + k) as usize;
                    let t = V::splat(*edges.local.get_unchecked(at + k));
                    let c = tables.add(cell * points * lanes);
                    let mut p = V::load(c);
                    let mut d = zero;
                    for i in 1..points {
                        d = d.mul_add(t, p);
                        p = p.mul_add(t, V::load(c.add(i * lanes)));
                    }
                    *out = [p, d];
                }
            } else {
                let network = self.network.as_ptr().add(block * self.width * lanes);
                let all = edges.hidden.len() / edges.cell.len();
                for (k, out) in out[..count].iter_mut().enumerate() {
                    let hidden = edges.hidden.as_ptr().add((at + k) * all + self.hidden);
                    let (mut p, mut d) = (zero, zero);
                    for q in 0..self.width {
                        let w = V::load(network.add(q * lanes));
                        p = w.mul_add(V::splat(*hidden.add(q)), p);
                        d = w.mul_add(V::splat(*hidden.add(all / 2 + q)), d);
                    }
                    *out = [p, d];
                }
            }
        }
    }
    /// Density of an edge and its derivative, from tables.
    #[inline]
    pub fn density(&self, cell: u32, t: T) -> [T; 2] {
        let Some(table) = &self.density else { return [T::default(); 2] };
        let points = degree::<T>() + 1;
        let c = &table[cell as usize * points..(cell as usize + 1) * points];
        let (mut p, mut d) = (c[0], T::default());
        for c in &c[1..] {
            d = d * t + p;
            p = p * t + *c;
        }
        [p, d]
    }
}
