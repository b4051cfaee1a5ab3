//! MACE on the processor: kernels written once for both precisions and all instruction sets.
//!
//! What makes it fast, none of which changes the model:
//!
//! - radial networks become piecewise polynomials ([`radial`](crate::ml::fused)), a third of a percent of their arithmetic;
//! - features of the first layer are those of the element, a table; linear maps that follow each other are multiplied when the model
//!   is built, for the species present;
//! - the sum over neighbours accumulates products of features and spherical harmonics, which are coupled once for each
//!   atom;
//! - the symmetric contraction is a list of sparse polynomials with its reverse (`contraction`);
//! - the last layer runs forward and backward in one pass over blocks of atoms.
//!
//! Atoms are treated in blocks of neighbouring atoms; derivatives for atoms outside of a block are collected in memory of the block and
//! added in the order of the blocks, so that sums do not depend on the number of threads.
pub(crate) mod contraction;
mod layer;

use super::model::{Division, Model, Zbl};
use super::{ZBL_BOHR, ZBL_COULOMB, ZBL_RATES};
pub use crate::ml::fused::Mode;
use crate::ml::fused::convolution::{Backward, Edges, Forward, TILE, edge_rows};
use crate::ml::fused::edges::{Angular, EdgeData};
use crate::ml::fused::radial::{Functions, LayerFunctions, Radial, START};
use crate::ml::fused::{BLOCK, Both, Evaluation, Kernel, Shared, WAVE, nodes, waves};
use crate::ml::graph::Graph;
use crate::ml::kernels::{Aligned, gemm};
use crate::ml::radial::{Envelope, polynomial_cutoff};
use crate::simd::{Level, Real, run_vector};
use contraction::{Contraction, Rows, scale_rows};
use layer::{Weights, components, offset};
use rayon::prelude::*;

/// The model for the species of a system.
pub struct Fused<T: Real> {
    level: Level,
    mode: Mode,
    lmax: usize,
    padded: usize,
    stride: usize,
    angular: Angular,
    radial: Radial<T>,
    layers: Vec<Weights<T>>,
    /// Features that the first layer sends, by species.
    first: Aligned<T>,
    /// What every atom of a species has on its own, eV.
    own: Vec<f64>,
    scale: f64,
    zbl: Option<Zbl>,
    charges: Vec<f64>,
    of_species: Vec<usize>,
    state: State<T>,
}

/// Numbers of one geometry.
#[derive(Default)]
struct State<T: Real> {
    edges: EdgeData<T>,
    /// By layer: features that come in, those that are sent, and derivatives with respect to both.
    h: Vec<Aligned<T>>,
    up: Vec<Aligned<T>>,
    h_bar: Vec<Aligned<T>>,
    up_bar: Vec<Aligned<T>>,
    /// By layer: messages, 1/(1 + density), derivatives of the readout.
    a: Vec<Aligned<T>>,
    inverse: Vec<Vec<T>>,
    pre_bar: Vec<Aligned<T>>,
    energies: Vec<f64>,
    slots: Vec<Slot<T>>,
}

/// Memory of a block at work.
#[derive(Default)]
struct Slot<T: Real> {
    path: Aligned<T>,
    a: Aligned<T>,
    a_bar: Aligned<T>,
    b: Aligned<T>,
    h_bar: Aligned<T>,
    bars: Aligned<T>,
    pre: Aligned<T>,
    contraction: Aligned<T>,
    tile: Aligned<T>,
    scatter: Aligned<T>,
    offsets: Vec<u32>,
}

/// What the tasks of an evaluation share.
struct Pass<T> {
    nodes: usize,
    mode: Mode,
    h: Vec<Shared<T>>,
    up: Vec<Shared<T>>,
    h_bar: Vec<Shared<T>>,
    up_bar: Vec<Shared<T>>,
    a: Vec<Shared<T>>,
    inverse: Vec<Shared<T>>,
    pre_bar: Vec<Shared<T>>,
    energies: Shared<f64>,
    edge_bar: Shared<T>,
}

/// Geometry as the kernels read it.
struct Geometry<'a, T: Real> {
    graph: &'a Graph,
    edges: &'a EdgeData<T>,
}

/// The radial functions of a model.
fn functions(model: &Model) -> Functions {
    let layer = |l: &super::model::Layer| LayerFunctions {
        network: l.network.clone(),
        paths: (0..l.paths.len()).map(|p| [p * model.channels, model.channels]).collect(),
        density: match &l.division {
            Division::Density(w) => Some(w.clone()),
            Division::Constant(_) => None,
        },
    };
    Functions {
        cutoff: model.cutoff,
        basis: model.radial.basis.clone(),
        transform: model.radial.transform,
        envelope: Envelope::Polynomial(model.radial.power),
        on_basis: model.radial.on_basis,
        start: START,
        radii: model.radial.radii.clone(),
        layers: model.layers.iter().map(layer).collect(),
    }
}

impl<T: Real> Kernel for Fused<T> {
    fn set_mode(&mut self, mode: Mode) {
        self.mode = mode;
    }
    fn describe(&self) -> String {
        self.radial.describe()
    }
    fn bytes(&self) -> usize {
        let s = &self.state;
        let all = [&s.h, &s.up, &s.h_bar, &s.up_bar, &s.a, &s.pre_bar];
        let slot = |s: &Slot<T>| {
            [&s.path, &s.a, &s.a_bar, &s.b, &s.h_bar, &s.bars, &s.pre, &s.contraction, &s.tile, &s.scatter]
                .iter()
                .map(|a| a.bytes())
                .sum::<usize>()
        };
        all.iter().flat_map(|v| v.iter()).map(Aligned::bytes).sum::<usize>()
            + s.edges.bytes()
            + s.slots.iter().map(slot).sum::<usize>()
            + self.radial.bytes()
    }
    fn evaluate(&mut self, graph: &Graph, derivatives: bool) -> Evaluation<'_> {
        let mut state = std::mem::take(&mut self.state);
        let shortest = graph.lengths().iter().copied().fold(f64::INFINITY, f64::min);
        let mode = if shortest < self.radial.start() { Mode::Exact } else { self.mode };
        state.edges.prepare(graph, &self.angular, &self.radial, mode);
        self.reserve(&mut state, graph);
        let (nodes, blocks) = (graph.nodes(), graph.nodes().div_ceil(BLOCK));
        let share =
            |v: &mut Vec<Aligned<T>>| v.iter_mut().map(|a| Shared(a.as_mut_ptr())).collect::<Vec<_>>();
        let pass = Pass {
            nodes,
            mode,
            h: share(&mut state.h),
            up: share(&mut state.up),
            h_bar: share(&mut state.h_bar),
            up_bar: share(&mut state.up_bar),
            a: share(&mut state.a),
            inverse: state.inverse.iter_mut().map(|a| Shared(a.as_mut_ptr())).collect(),
            pre_bar: share(&mut state.pre_bar),
            energies: Shared(state.energies.as_mut_ptr()),
            edge_bar: Shared(state.edges.bar.as_mut_ptr()),
        };
        let geometry = Geometry { graph, edges: &state.edges };
        let last = self.layers.len() - 1;
        for t in 0..last {
            waves(
                &mut state.slots,
                blocks,
                |b, slot| {
                    self.forward(t, b, slot, &pass, &geometry);
                    self.features(t, b, slot, &pass, &geometry);
                },
                |_, _| {},
            );
        }
        let down_to = if derivatives { 0 } else { last };
        for t in (down_to..=last).rev() {
            let add = |first: usize, slots: &[Slot<T>]| {
                if t > 0 && derivatives {
                    self.collect(t, first, slots, &pass, &geometry);
                }
            };
            waves(
                &mut state.slots,
                blocks,
                |b, slot| {
                    if t == last {
                        self.forward(t, b, slot, &pass, &geometry);
                        self.energies(b, slot, &pass, &geometry);
                    } else {
                        self.features_backward(t, b, slot, &pass, &geometry);
                    }
                    if derivatives {
                        self.backward(t, b, slot, &pass, &geometry);
                    }
                },
                add,
            );
        }
        let pair = |r: f64, pair: [usize; 2]| match &self.zbl {
            Some(zbl) => self.repulsion(zbl, r, pair, graph),
            None => (0.0, 0.0),
        };
        state.edges.gradients(graph, &self.angular, (&self.radial, mode), &mut state.energies, pair);
        self.state = state;
        Ok((&self.state.energies, &self.state.edges.g))
    }
}

impl<T: Real> Fused<T> {
    /// The model for species whose elements have the places `of_species` in it, with the head of the given number.
    pub fn new(model: &Model, of_species: &[usize], head: usize) -> Self {
        let level = Level::detect();
        let padded = model.channels.div_ceil(16) * 16;
        let values = |l: &super::model::Layer| match &l.readout {
            Some(super::model::Readout::Network(w, ..)) => w.outputs.div_ceil(16) * 16,
            _ => 16,
        };
        // not a power of two, which would put all rows into the same places of the cache
        let stride = model.layers.iter().map(values).fold(padded, usize::max) + T::LANES;
        let layers: Vec<Weights<T>> = (0..model.layers.len())
            .map(|t| Weights::new(model, t, of_species, head, padded, stride))
            .collect();
        let mut first = Aligned::zeros(of_species.len() * stride);
        let sent = model.embedding.times(&model.layers[0].up[0]);
        for (s, z) in of_species.iter().enumerate() {
            for k in 0..model.channels {
                first[s * stride + k] = T::from_f64(sent.at(*z, k));
            }
        }
        let head = &model.heads[head];
        Self {
            level,
            mode: Mode::Table,
            lmax: model.lmax,
            padded,
            stride,
            angular: Angular::new(model.lmax, -1.0, false),
            radial: Radial::new(functions(model), of_species, level),
            layers,
            first,
            own: of_species.iter().map(|z| head.atomic_energies[*z] + head.shift).collect(),
            scale: head.scale,
            zbl: model.zbl.clone(),
            charges: of_species.iter().map(|z| f64::from(model.elements[*z])).collect(),
            of_species: of_species.to_vec(),
            state: State::default(),
        }
    }
    fn reserve(&self, state: &mut State<T>, graph: &Graph) {
        let (n, count) = (graph.nodes(), self.layers.len());
        let lm = self.angular.len();
        state.energies.clear();
        state.energies.extend(graph.species().iter().map(|s| self.own[usize::from(*s)]));
        let sized = |list: &mut Vec<Aligned<T>>, rows: &dyn Fn(usize) -> usize| {
            list.resize_with(count, Aligned::default);
            for (t, a) in list.iter_mut().enumerate() {
                a.resize(rows(t) * self.stride);
            }
        };
        let input = |t: usize| if t == 0 { 0 } else { n * components(&self.layers[t].input) };
        sized(&mut state.h, &input);
        sized(&mut state.up, &input);
        sized(&mut state.h_bar, &input);
        sized(&mut state.up_bar, &input);
        sized(&mut state.a, &|t| if t + 1 == count { 0 } else { n * lm });
        sized(&mut state.pre_bar, &|t| if t + 1 == count { 0 } else { n });
        for a in &mut state.up_bar {
            a.fill(T::default());
        }
        state.inverse.resize_with(count, Vec::new);
        for inverse in &mut state.inverse {
            inverse.resize(n, T::from_f64(1.0));
        }
        let want = n.div_ceil(BLOCK).min(WAVE);
        if state.slots.len() < want {
            state.slots.resize_with(want, Slot::default);
        }
        let outputs = self.layers.iter().map(|l| components(&l.output)).max().unwrap_or(1);
        for slot in &mut state.slots {
            slot.path.resize(BLOCK * (2 * self.lmax + 1) * self.stride);
            slot.a.resize(BLOCK * lm * self.stride);
            slot.a_bar.resize(BLOCK * lm * self.stride);
            slot.b.resize(BLOCK * outputs * self.stride);
            slot.h_bar.resize(BLOCK * outputs * self.stride);
            let bars = |l: &Weights<T>| l.paths.iter().map(|p| 2 * p.degrees[2] + 1).sum::<usize>();
            slot.bars.resize(BLOCK * self.layers.iter().map(bars).max().unwrap_or(0) * self.stride);
            slot.pre.resize(2 * BLOCK * self.stride.max(self.hidden()));
            slot.contraction.resize(self.layers.iter().map(|l| l.polynomials.scratch()).max().unwrap_or(0));
            slot.tile.resize(TILE * edge_rows::<T>(lm) * T::LANES);
        }
    }
    /// Padded number of readout values.
    fn hidden(&self) -> usize {
        self.layers.iter().map(|l| l.readout.second.len().div_ceil(16) * 16).max().unwrap_or(16)
    }
    fn a_rows(&self, t: usize, b: usize, nodes: usize) -> Rows {
        if t + 1 == self.layers.len() {
            Rows { nodes: BLOCK, start: 0 }
        } else {
            Rows { nodes, start: b * BLOCK }
        }
    }
    /// The edges of a block for the kernels.
    fn edges<'a>(
        &'a self,
        t: usize,
        b: usize,
        offsets: &'a mut Vec<u32>,
        pass: &Pass<T>,
        geometry: &Geometry<'a, T>,
    ) -> Edges<'a, T> {
        let graph = geometry.graph;
        let (source, h, h_nodes): (&[u32], _, _) = if t == 0 {
            (&geometry.edges.species, self.first.as_ptr(), self.of_species.len())
        } else {
            (graph.neighbors(), pass.up[t].0.cast_const(), pass.nodes)
        };
        geometry.edges.of_block(b, graph, offsets, source, h, h_nodes)
    }
    /// Messages of the nodes of a block and their products.
    fn forward(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<T>, geometry: &Geometry<'_, T>) {
        let (layer, stride) = (&self.layers[t], self.stride);
        let (first, n) = nodes(b, geometry.graph);
        let species = &geometry.graph.species()[first..first + n];
        let rows = self.a_rows(t, b, pass.nodes);
        let edges = self.edges(t, b, &mut slot.offsets, pass, geometry);
        let a = if t + 1 == self.layers.len() { Shared(slot.a.as_mut_ptr()) } else { pass.a[t] };
        let mut started = [false; 16];
        for (number, path) in layer.paths.iter().enumerate() {
            let out = slot.path.as_mut_ptr();
            let weights = &self.radial.layers[t];
            run_vector(self.level, Forward { edges, path, number, weights, mode: pass.mode, out });
            let l = path.degrees[2];
            let width = 2 * l + 1;
            // SAFETY: the rows of these nodes
            let to = unsafe { a.slice(rows.row(l * l, width, 0) * stride, n * width * stride) };
            self.mix(&layer.mix[number], false, species, width, &slot.path, to, started[l]);
            started[l] = true;
        }
        for l in (0..=self.lmax).filter(|l| !started[*l]) {
            // SAFETY: as above
            unsafe { a.slice(rows.row(l * l, 2 * l + 1, 0) * stride, n * (2 * l + 1) * stride) }
                .fill(T::default());
        }
        if self.radial.layers[t].has_density() {
            let mut factors = [T::default(); BLOCK];
            for (k, factor) in factors[..n].iter_mut().enumerate() {
                let mut sum = 1.0;
                for e in geometry.graph.row(first + k) {
                    sum += geometry.edges.density(&self.radial, t, e, pass.mode)[0].to_f64();
                }
                *factor = T::from_f64(1.0 / sum);
            }
            // SAFETY: places and rows of these nodes
            unsafe {
                pass.inverse[t].slice(first, n).copy_from_slice(&factors[..n]);
                for l in 0..=self.lmax {
                    let width = (2 * l + 1) * stride;
                    let start = rows.row(l * l, 2 * l + 1, 0) * stride;
                    let part = a.slice(start, n * width);
                    for (row, f) in part.chunks_exact_mut(width).zip(&factors) {
                        for v in row {
                            *v = *v * *f;
                        }
                    }
                }
            }
        }
        self.contract(layer, species, (a, rows), slot, false);
    }
    /// The products of the messages of a block, or, in reverse, the derivatives with respect to the messages.
    fn contract(
        &self,
        layer: &Weights<T>,
        species: &[u16],
        (a, a_rows): (Shared<T>, Rows),
        slot: &mut Slot<T>,
        reverse: bool,
    ) {
        let block = Rows { nodes: BLOCK, start: 0 };
        run_vector(
            self.level,
            Contraction {
                polynomials: &layer.polynomials,
                lmax: self.lmax,
                output: &layer.output,
                species,
                a: a.0,
                a_rows,
                b: slot.b.as_mut_ptr(),
                b_rows: block,
                a_bar: if reverse { slot.a_bar.as_mut_ptr() } else { std::ptr::null_mut() },
                bar_rows: block,
                stride: self.stride,
                scratch: slot.contraction.as_mut_ptr(),
            },
        );
    }
    /// Rows of nodes times one matrix, or that of their species.
    #[expect(clippy::too_many_arguments, reason = "a product with what it needs")]
    fn mix(
        &self,
        by: &[Both<T>],
        backward: bool,
        species: &[u16],
        width: usize,
        from: &[T],
        to: &mut [T],
        add: bool,
    ) {
        let side =
            |w: &Both<T>| -> *const gemm::Matrix<T> { if backward { &w.backward } else { &w.forward } };
        let stride = self.stride;
        let mut k = 0;
        while k < species.len() {
            // a run of nodes with the same matrix
            let run = if by.len() == 1 {
                species.len()
            } else {
                species[k..].iter().take_while(|s| **s == species[k]).count()
            };
            let which = if by.len() == 1 { 0 } else { usize::from(species[k]) };
            let start = k * width * stride;
            // SAFETY: a reference to one of the matrices
            let w = unsafe { &*side(&by[which]) };
            gemm::multiply(
                self.level,
                run * width,
                (&from[start..], stride),
                w,
                (&mut to[start..], stride),
                add,
            );
            k += run;
        }
    }
    /// Features that go out of a layer that is not the last, what the next sends, and energies.
    fn features(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<T>, geometry: &Geometry<'_, T>) {
        let (layer, next, stride) = (&self.layers[t], &self.layers[t + 1], self.stride);
        let (first, n) = nodes(b, geometry.graph);
        let species = &geometry.graph.species()[first..first + n];
        let all = Rows { nodes: pass.nodes, start: first };
        let block = Rows { nodes: BLOCK, start: 0 };
        for (k, &l) in layer.output.iter().enumerate() {
            let (at, width) = (offset(&layer.output, k), 2 * l + 1);
            let len = n * width * stride;
            let start = all.row(at, width, 0) * stride;
            // SAFETY: rows of the nodes of this block
            let (h, up) = unsafe { (pass.h[t + 1].slice(start, len), pass.up[t + 1].slice(start, len)) };
            let b_rows = &slot.b[block.row(at, width, 0) * stride..];
            gemm::multiply(
                self.level,
                n * width,
                (b_rows, stride),
                &layer.linear[k].forward,
                (h, stride),
                false,
            );
            if let Some(skip) = &layer.skip[k] {
                let place = layer.input.iter().position(|i| *i == l).unwrap_or(0);
                let from = all.row(offset(&layer.input, place), width, 0) * stride;
                // SAFETY: as above
                let before = unsafe { pass.h[t].slice(from, len) };
                self.mix(skip, false, species, width, before, h, true);
            }
            if let (0, Some(constant)) = (l, &layer.constant) {
                for (row, s) in h.chunks_exact_mut(stride).zip(species) {
                    for (v, c) in row.iter_mut().zip(&constant[usize::from(*s) * stride..]) {
                        *v += *c;
                    }
                }
            }
            gemm::multiply(self.level, n * width, (h, stride), &next.up[k].forward, (up, stride), false);
            if l == 0 {
                let readout = &layer.readout;
                let padded = readout.second.len().div_ceil(16) * 16;
                gemm::multiply(
                    self.level,
                    n,
                    (h, stride),
                    &readout.first.forward,
                    (&mut slot.pre, padded),
                    false,
                );
                // SAFETY: as above
                let bar = unsafe { pass.pre_bar[t].slice(first * stride, n * stride) };
                self.read(t, first, &slot.pre, bar, pass);
            }
        }
    }
    /// Energies from readout values, and the derivatives with respect to them.
    fn read(&self, t: usize, first: usize, pre: &[T], bar: &mut [T], pass: &Pass<T>) {
        let readout = &self.layers[t].readout;
        let padded = readout.second.len().div_ceil(16) * 16;
        let n = BLOCK.min(pass.nodes - first);
        // SAFETY: the energies of the nodes of this block
        let energies = unsafe { pass.energies.slice(first, n) };
        for (k, energy) in energies.iter_mut().enumerate() {
            for (q, w) in readout.second.iter().enumerate() {
                let x = pre[k * padded + q].to_f64();
                let (f, slope) = readout.activation.map_or((x, 1.0), |a| a.eval(x));
                *energy += w * f;
                bar[k * self.stride + q] = T::from_f64(w * slope);
            }
        }
    }
    /// Readout of the last layer and the derivatives with respect to its products.
    fn energies(&self, b: usize, slot: &mut Slot<T>, pass: &Pass<T>, geometry: &Geometry<'_, T>) {
        let t = self.layers.len() - 1;
        let (layer, stride) = (&self.layers[t], self.stride);
        let (first, n) = nodes(b, geometry.graph);
        let species = &geometry.graph.species()[first..first + n];
        let readout = &layer.readout;
        let padded = readout.second.len().div_ceil(16) * 16;
        let (pre, bar) = slot.pre.split_at_mut(BLOCK * stride.max(padded));
        gemm::multiply(self.level, n, (&slot.b, stride), &readout.first.forward, (pre, padded), false);
        let all = Rows { nodes: pass.nodes, start: first };
        for (k, s) in species.iter().enumerate() {
            let s = usize::from(*s);
            let to = &mut pre[k * padded..];
            if let Some(skip) = &readout.skip {
                // SAFETY: rows of the nodes of this block
                let h = unsafe { pass.h[t].slice(all.row(0, 1, k) * stride, stride) };
                gemm::multiply(self.level, 1, (h, stride), &skip[s].forward, (to, padded), true);
            }
            if let Some(constant) = &readout.constant {
                for (v, c) in to.iter_mut().zip(&constant[s]) {
                    *v += T::from_f64(*c);
                }
            }
        }
        self.read(t, first, pre, bar, pass);
        gemm::multiply(self.level, n, (bar, stride), &readout.first.backward, (&mut slot.b, stride), false);
        if t > 0 {
            self.clear_h_bar(t, first, n, pass);
            for (k, s) in species.iter().enumerate() {
                if let Some(skip) = &readout.skip {
                    // SAFETY: as above
                    let to = unsafe { pass.h_bar[t].slice(all.row(0, 1, k) * stride, stride) };
                    let w = &skip[usize::from(*s)].backward;
                    gemm::multiply(self.level, 1, (&bar[k * stride..], stride), w, (to, stride), false);
                }
            }
        }
    }
    /// Zeroes the derivatives with respect to the features that come in.
    fn clear_h_bar(&self, t: usize, first: usize, n: usize, pass: &Pass<T>) {
        let (layer, stride) = (&self.layers[t], self.stride);
        let all = Rows { nodes: pass.nodes, start: first };
        for (k, l) in layer.input.iter().enumerate() {
            let (at, width) = (offset(&layer.input, k), 2 * l + 1);
            // SAFETY: rows of the nodes of this block
            unsafe { pass.h_bar[t].slice(all.row(at, width, 0) * stride, n * width * stride) }
                .fill(T::default());
        }
    }
    /// Derivatives with respect to the products of a layer that is not the last.
    fn features_backward(
        &self,
        t: usize,
        b: usize,
        slot: &mut Slot<T>,
        pass: &Pass<T>,
        geometry: &Geometry<'_, T>,
    ) {
        let (layer, next, stride) = (&self.layers[t], &self.layers[t + 1], self.stride);
        let (first, n) = nodes(b, geometry.graph);
        let species = &geometry.graph.species()[first..first + n];
        let all = Rows { nodes: pass.nodes, start: first };
        let block = Rows { nodes: BLOCK, start: 0 };
        if t > 0 {
            self.clear_h_bar(t, first, n, pass);
        }
        for (k, &l) in layer.output.iter().enumerate() {
            let (at, width) = (offset(&layer.output, k), 2 * l + 1);
            let len = n * width * stride;
            let start = all.row(at, width, 0) * stride;
            let local = block.row(at, width, 0) * stride;
            // SAFETY: rows of the nodes of this block
            let (up_bar, h_bar) =
                unsafe { (pass.up_bar[t + 1].slice(start, len), pass.h_bar[t + 1].slice(start, len)) };
            let bar = &mut slot.h_bar[local..local + len];
            bar.copy_from_slice(h_bar);
            gemm::multiply(
                self.level,
                n * width,
                (up_bar, stride),
                &next.up[k].backward,
                (bar, stride),
                true,
            );
            if l == 0 {
                // SAFETY: as above
                let pre = unsafe { pass.pre_bar[t].slice(first * stride, n * stride) };
                gemm::multiply(
                    self.level,
                    n,
                    (pre, stride),
                    &layer.readout.first.backward,
                    (bar, stride),
                    true,
                );
            }
            let to = (&mut slot.b[local..local + len], stride);
            gemm::multiply(self.level, n * width, (bar, stride), &layer.linear[k].backward, to, false);
            if let Some(skip) = &layer.skip[k] {
                let place = layer.input.iter().position(|i| *i == l).unwrap_or(0);
                let to = all.row(offset(&layer.input, place), width, 0) * stride;
                // SAFETY: as above
                let before = unsafe { pass.h_bar[t].slice(to, len) };
                self.mix(skip, true, species, width, bar, before, false);
            }
        }
    }
    /// From derivatives with respect to products to those with respect to edges and what the sources sent.
    fn backward(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<T>, geometry: &Geometry<'_, T>) {
        let (layer, stride) = (&self.layers[t], self.stride);
        let graph = geometry.graph;
        let (first, n) = nodes(b, graph);
        let species = &graph.species()[first..first + n];
        let rows = self.a_rows(t, b, pass.nodes);
        let block = Rows { nodes: BLOCK, start: 0 };
        let a = if t + 1 == self.layers.len() { Shared(slot.a.as_mut_ptr()) } else { pass.a[t] };
        self.contract(layer, species, (a, rows), slot, true);
        if self.radial.layers[t].has_density() {
            // SAFETY: places of the nodes of this block
            let inverse = unsafe { pass.inverse[t].slice(first, n) };
            for (k, inverse) in inverse.iter().enumerate() {
                let mut sum = 0.0;
                for l in 0..=self.lmax {
                    let len = (2 * l + 1) * stride;
                    // SAFETY: rows of this node
                    let a = unsafe { a.slice(rows.row(l * l, 2 * l + 1, k) * stride, len) };
                    let bar = &slot.a_bar[block.row(l * l, 2 * l + 1, k) * stride..][..len];
                    for (a, bar) in a.chunks_exact(stride).zip(bar.chunks_exact(stride)) {
                        for (a, bar) in a[..self.padded].iter().zip(bar) {
                            sum += a.to_f64() * bar.to_f64();
                        }
                    }
                }
                let by = T::from_f64(-sum * inverse.to_f64());
                for e in graph.row(first + k) {
                    let slope = geometry.edges.density(&self.radial, t, e, pass.mode)[1];
                    // SAFETY: the edges of this block
                    unsafe { *pass.edge_bar.at(e * edge_rows::<T>(self.angular.len())) += by * slope };
                }
            }
            scale_rows(&mut slot.a_bar, block, self.lmax, stride, inverse);
        }
        let mut starts = [0usize; 128];
        let mut row = 0;
        for (number, path) in layer.paths.iter().enumerate() {
            let l = path.degrees[2];
            let width = 2 * l + 1;
            starts[number] = row * stride;
            let from = &slot.a_bar[block.row(l * l, width, 0) * stride..];
            self.mix(&layer.mix[number], true, species, width, from, &mut slot.bars[row * stride..], false);
            row += BLOCK * width;
        }
        let h_rows = components(&layer.input);
        let h_count = geometry.edges.sources[b].len();
        let chunks = self.padded / T::LANES;
        let h_bar = if t > 0 {
            slot.scatter.resize(chunks * h_count * h_rows * T::LANES);
            slot.scatter.as_mut_ptr()
        } else {
            std::ptr::null_mut()
        };
        let edges = self.edges(t, b, &mut slot.offsets, pass, geometry);
        run_vector(
            self.level,
            Backward {
                edges,
                paths: &layer.paths,
                weights: &self.radial.layers[t],
                mode: pass.mode,
                bars: slot.bars.as_ptr(),
                first: &starts[..layer.paths.len()],
                edge_bar: pass.edge_bar.0,
                h_bar,
                h_rows: &layer.rows,
                h_count,
                place: &geometry.edges.place,
                scratch: slot.tile.as_mut_ptr(),
            },
        );
    }
    /// Adds what a wave of blocks found for the features that were sent, in the order of the blocks.
    fn collect(&self, t: usize, first: usize, slots: &[Slot<T>], pass: &Pass<T>, geometry: &Geometry<'_, T>) {
        let (lanes, stride) = (T::LANES, self.stride);
        let input = &self.layers[t].input;
        let h_rows = components(input);
        let mut row_of = [[0usize; 3]; 49];
        let mut count = 0;
        for (k, l) in input.iter().enumerate() {
            for m in 0..2 * l + 1 {
                row_of[count] = [offset(input, k), 2 * l + 1, m];
                count += 1;
            }
        }
        let all = Rows { nodes: pass.nodes, start: 0 };
        (0..self.padded / lanes).into_par_iter().for_each(|chunk| {
            for (k, slot) in slots.iter().enumerate() {
                let sources = &geometry.edges.sources[first + k];
                let mut from = slot.scatter[chunk * sources.len() * h_rows * lanes..].chunks_exact(lanes);
                for &node in sources {
                    for [at, width, m] in &row_of[..h_rows] {
                        let row = all.row(*at, *width, node as usize) + m;
                        // SAFETY: every task has its own columns
                        let to = unsafe { pass.up_bar[t].slice(row * stride + chunk * lanes, lanes) };
                        if let Some(part) = from.next() {
                            for (v, x) in to.iter_mut().zip(part) {
                                *v += *x;
                            }
                        }
                    }
                }
            }
        });
    }
    /// Half the nuclear repulsion of a pair of nodes and its derivative.
    fn repulsion(&self, zbl: &Zbl, r: f64, pair: [usize; 2], graph: &Graph) -> (f64, f64) {
        let [a, b] = pair.map(|k| usize::from(graph.species()[k]));
        let reach = zbl.radii[self.of_species[a]] + zbl.radii[self.of_species[b]];
        if r >= reach {
            return (0.0, 0.0);
        }
        let (za, zb) = (self.charges[a], self.charges[b]);
        let inverse = (za.powf(zbl.exponent) + zb.powf(zbl.exponent)) / (zbl.prefactor * ZBL_BOHR);
        let (mut phi, mut slope) = (0.0, 0.0);
        for (c, rate) in zbl.amplitudes.iter().zip(ZBL_RATES) {
            let part = c * (-rate * r * inverse).exp();
            phi += part;
            slope -= rate * inverse * part;
        }
        let (cut, dcut) = polynomial_cutoff(r, reach, zbl.power);
        let k = 0.5 * self.scale * ZBL_COULOMB * za * zb / r;
        (k * phi * cut, k * (slope * cut + phi * dcut - phi * cut / r))
    }
}

#[cfg(test)]
mod tests;
