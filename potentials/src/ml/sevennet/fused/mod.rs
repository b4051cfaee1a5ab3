//! SevenNet on the processor: kernels written once for both precisions and all instruction sets.
//!
//! As for MACE, radial networks become piecewise polynomials, features and self-connections of the first layer are tables by species,
//! linear maps that follow each other are multiplied when the model is built, sums over neighbours accumulate products of
//! features and spherical harmonics that are coupled once for each atom, and the last layer runs forward and backward in one pass over
//! blocks of atoms. The sums of all paths to a degree are side by side, so that one matrix takes them to the gate.
mod gate;
mod layer;

use super::model::Model;
pub use crate::ml::fused::Mode;
use crate::ml::fused::convolution::{Backward, Edges, Forward, TILE, edge_rows};
use crate::ml::fused::edges::{Angular, EdgeData};
use crate::ml::fused::radial::{Functions, LayerFunctions, Radial, START};
use crate::ml::fused::{BLOCK, Evaluation, Kernel, Shared, WAVE, nodes, waves};
use crate::ml::graph::Graph;
use crate::ml::kernels::{Aligned, gemm};
use crate::ml::radial::Transform;
use crate::simd::{Level, Real, run_vector};
use gate::{Gate, Rows};
use layer::{Layout, Weights, embedded};
use rayon::prelude::*;

/// The model for the species of a system.
pub struct Fused<T: Real> {
    level: Level,
    mode: Mode,
    angular: Angular,
    radial: Radial<T>,
    layers: Vec<Weights<T>>,
    /// Features that the first layer sends, by species.
    first: Aligned<T>,
    /// Energies of the scalars of the last layer.
    readout: Vec<f64>,
    /// By species: factor of the energy, and what every atom has on its own, eV.
    scale: Vec<f64>,
    own: Vec<f64>,
    state: State<T>,
}

/// Numbers of one geometry.
#[derive(Default)]
struct State<T: Real> {
    edges: EdgeData<T>,
    /// By layer: features that come in, those that are sent, and derivatives with respect to both.
    x: Vec<Aligned<T>>,
    up: Vec<Aligned<T>>,
    x_bar: Vec<Aligned<T>>,
    up_bar: Vec<Aligned<T>>,
    /// By layer: what enters the gate.
    gate: Vec<Aligned<T>>,
    energies: Vec<f64>,
    slots: Vec<Slot<T>>,
}

/// Memory of a block at work.
#[derive(Default)]
struct Slot<T: Real> {
    sums: Aligned<T>,
    gate: Aligned<T>,
    bar: Aligned<T>,
    features: Aligned<T>,
    tile: Aligned<T>,
    scatter: Aligned<T>,
    offsets: Vec<u32>,
    first: Vec<usize>,
}

/// What the tasks of an evaluation share.
struct Pass<'a, T: Real> {
    graph: &'a Graph,
    edges: &'a EdgeData<T>,
    nodes: usize,
    mode: Mode,
    x: Vec<Shared<T>>,
    up: Vec<Shared<T>>,
    x_bar: Vec<Shared<T>>,
    up_bar: Vec<Shared<T>>,
    gate: Vec<Shared<T>>,
    energies: Shared<f64>,
    edge_bar: Shared<T>,
}

/// The radial functions of a model.
fn functions(model: &Model) -> Functions {
    let layer = |l: &super::model::Layer| LayerFunctions {
        network: l.network.clone().into(),
        paths: l.paths.iter().map(|p| [p.first, p.linear.inputs]).collect(),
        density: None,
    };
    Functions {
        cutoff: model.cutoff,
        basis: model.basis.clone(),
        transform: Transform::None,
        envelope: model.envelope,
        on_basis: true,
        start: START,
        radii: Vec::new(),
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
        let all = [&s.x, &s.up, &s.x_bar, &s.up_bar, &s.gate];
        let slot = |s: &Slot<T>| {
            [&s.sums, &s.gate, &s.bar, &s.features, &s.tile, &s.scatter]
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
        let blocks = graph.nodes().div_ceil(BLOCK);
        let share =
            |v: &mut Vec<Aligned<T>>| v.iter_mut().map(|a| Shared(a.as_mut_ptr())).collect::<Vec<_>>();
        let pass = Pass {
            graph,
            nodes: graph.nodes(),
            mode,
            x: share(&mut state.x),
            up: share(&mut state.up),
            x_bar: share(&mut state.x_bar),
            up_bar: share(&mut state.up_bar),
            gate: share(&mut state.gate),
            energies: Shared(state.energies.as_mut_ptr()),
            edge_bar: Shared(state.edges.bar.as_mut_ptr()),
            edges: &state.edges,
        };
        let slots = &mut state.slots;
        let last = self.layers.len() - 1;
        for t in 0..last {
            let task = |b: usize, slot: &mut Slot<T>| {
                self.forward(t, b, slot, &pass);
                self.features(t, b, &pass);
            };
            waves(slots, blocks, task, |_, _| {});
        }
        let down_to = if derivatives { 0 } else { last };
        for t in (down_to..=last).rev() {
            let task = |b: usize, slot: &mut Slot<T>| {
                if t == last {
                    self.forward(t, b, slot, &pass);
                    self.energies(b, slot, &pass);
                } else {
                    self.features_backward(t, b, slot, &pass);
                }
                if derivatives {
                    self.backward(t, b, slot, &pass);
                }
            };
            let add = |first: usize, slots: &[Slot<T>]| {
                if t > 0 && derivatives {
                    self.collect(t, first, slots, &pass);
                }
            };
            waves(slots, blocks, task, add);
        }
        state
            .edges
            .gradients(graph, &self.angular, (&self.radial, mode), &mut state.energies, |_, _| (0.0, 0.0));
        self.state = state;
        Ok((&self.state.energies, &self.state.edges.g))
    }
}

impl<T: Real> Fused<T> {
    /// The model for species whose elements have the places `of_species` in it, with the modality of the given number (0 where there are
    /// none).
    pub fn new(model: &Model, of_species: &[usize], modality: usize) -> Self {
        let level = Level::detect();
        let layers: Vec<Weights<T>> =
            (0..model.layers.len()).map(|t| Weights::new(model, t, of_species, modality)).collect();
        let stride = layers[0].input.parts[0].stride;
        let mut first = Aligned::zeros(of_species.len() * stride);
        for (s, z) in of_species.iter().enumerate() {
            let sent = embedded(model, *z, modality).times(&model.layers[0].up[0]);
            let constant = model.layers[0].up_constants.get(modality);
            for (k, v) in sent.values.iter().enumerate() {
                first[s * stride + k] = T::from_f64(v + constant.map_or(0.0, |c| c[k]));
            }
        }
        let constant = model.readout_constants.get(modality).map_or(0.0, |c| c[0]);
        let (scale, shift) = (&model.scale[modality], &model.shift[modality]);
        Self {
            level,
            mode: Mode::Table,
            angular: Angular::new(model.lmax, 1.0, model.solid),
            radial: Radial::new(functions(model), of_species, level),
            layers,
            first,
            readout: model.readout.values.clone(),
            scale: of_species.iter().map(|z| scale[*z]).collect(),
            own: of_species.iter().map(|z| shift[*z] + scale[*z] * constant).collect(),
            state: State::default(),
        }
    }
    fn reserve(&self, state: &mut State<T>, graph: &Graph) {
        let (n, count) = (graph.nodes(), self.layers.len());
        state.energies.clear();
        state.energies.extend(graph.species().iter().map(|s| self.own[usize::from(*s)]));
        let sized = |list: &mut Vec<Aligned<T>>, numbers: &dyn Fn(usize) -> usize| {
            list.resize_with(count, Aligned::default);
            for (t, a) in list.iter_mut().enumerate() {
                a.resize(n * numbers(t));
            }
        };
        let input = |t: usize| if t == 0 { 0 } else { self.layers[t].input.numbers };
        sized(&mut state.x, &input);
        sized(&mut state.up, &input);
        sized(&mut state.x_bar, &input);
        sized(&mut state.up_bar, &input);
        sized(&mut state.gate, &|t| if t + 1 == count { 0 } else { self.layers[t].gate.numbers });
        for a in &mut state.up_bar {
            a.fill(T::default());
        }
        let want = n.div_ceil(BLOCK).min(WAVE);
        if state.slots.len() < want {
            state.slots.resize_with(want, Slot::default);
        }
        let most = |of: &dyn Fn(&Weights<T>) -> &Layout| {
            BLOCK * self.layers.iter().map(|l| of(l).numbers).max().unwrap_or(0)
        };
        for slot in &mut state.slots {
            slot.sums.resize(most(&|l| &l.sums));
            slot.gate.resize(most(&|l| &l.gate));
            slot.bar.resize(most(&|l| &l.gate));
            slot.features.resize(most(&|l| &l.output));
            slot.tile.resize(TILE * edge_rows::<T>(self.angular.len()) * T::LANES);
        }
    }
    /// The edges of a block for the kernels.
    fn edges<'a>(
        &'a self,
        t: usize,
        b: usize,
        offsets: &'a mut Vec<u32>,
        pass: &Pass<'a, T>,
    ) -> Edges<'a, T> {
        let (source, h, h_nodes): (&[u32], _, _) = if t == 0 {
            (&pass.edges.species, self.first.as_ptr(), self.own.len())
        } else {
            (pass.graph.neighbors(), pass.up[t].0.cast_const(), pass.nodes)
        };
        pass.edges.of_block(b, pass.graph, offsets, source, h, h_nodes)
    }
    /// What enters the gates of the nodes of a block: rows of all nodes, or in the last layer of the block alone.
    fn gate_rows(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) -> Rows<T> {
        if t + 1 == self.layers.len() {
            Rows { start: slot.gate.as_mut_ptr(), nodes: BLOCK, first: 0 }
        } else {
            Rows { start: pass.gate[t].0, nodes: pass.nodes, first: b * BLOCK }
        }
    }
    /// Products of rows of the nodes of a block with a matrix.
    fn mix(&self, w: &gemm::Matrix<T>, rows: usize, from: (&[T], usize), to: (&mut [T], usize), add: bool) {
        gemm::multiply(self.level, rows, from, w, to, add);
    }
    /// Sums over neighbours, and what enters the gates.
    fn forward(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let layer = &self.layers[t];
        let (first, n) = nodes(b, pass.graph);
        let sums = Shared(slot.sums.as_mut_ptr());
        let gate = self.gate_rows(t, b, slot, pass);
        let edges = self.edges(t, b, &mut slot.offsets, pass);
        for (number, path) in layer.paths.iter().enumerate() {
            let [degree, channel] = layer.places[number];
            let out = sums.at(layer.sums.parts[degree].at(BLOCK, 0) + channel);
            let weights = &self.radial.layers[t];
            run_vector(self.level, Forward { edges, path, number, weights, mode: pass.mode, out });
        }
        let entering = Shared(gate.start);
        for (k, to) in layer.gate.parts.iter().enumerate() {
            // SAFETY: the rows of these nodes
            let rows = unsafe { entering.slice(to.at(gate.nodes, gate.first), n * to.width * to.stride) };
            if k == 0 {
                let species = &pass.graph.species()[first..first + n];
                for (row, s) in rows.chunks_exact_mut(to.stride).zip(species) {
                    let which = if t == 0 { usize::from(*s) } else { 0 };
                    row.copy_from_slice(&layer.constants[which]);
                }
            } else {
                rows.fill(T::default());
            }
            if let Some(w) = &layer.mix[k] {
                let part = &layer.sums.parts[k];
                let from = (&slot.sums[part.at(BLOCK, 0)..], part.stride);
                self.mix(&w.forward, n * to.width, from, (rows, to.stride), true);
            }
            if let Some(Some((place, w))) = layer.skip.get(k) {
                let part = &layer.input.parts[*place];
                // SAFETY: as above
                let x = unsafe { pass.x[t].slice(part.at(pass.nodes, first), n * part.width * part.stride) };
                self.mix(&w.forward, n * to.width, (x, part.stride), (rows, to.stride), true);
            }
        }
    }
    /// Features that go out of a layer that is not the last, and what the next sends.
    fn features(&self, t: usize, b: usize, pass: &Pass<'_, T>) {
        let (layer, next) = (&self.layers[t], &self.layers[t + 1]);
        let (first, n) = nodes(b, pass.graph);
        let all = |start: Shared<T>| Rows { start: start.0, nodes: pass.nodes, first };
        run_vector(
            self.level,
            Gate {
                count: n,
                gate: &layer.gate,
                output: &layer.output,
                gates: &layer.gates,
                values: all(pass.gate[t]),
                features: all(pass.x[t + 1]),
                bar: None,
            },
        );
        for (k, part) in layer.output.parts.iter().enumerate() {
            let (start, len) = (part.at(pass.nodes, first), n * part.width * part.stride);
            // SAFETY: the rows of these nodes
            let (x, up) = unsafe { (pass.x[t + 1].slice(start, len), pass.up[t + 1].slice(start, len)) };
            let constant = next.up_constant.as_ref().filter(|_| k == 0);
            if let Some(constant) = constant {
                up.chunks_exact_mut(part.stride).for_each(|row| row.copy_from_slice(constant));
            }
            let w = &next.up[k].forward;
            self.mix(w, n * part.width, (x, part.stride), (up, part.stride), constant.is_some());
        }
    }
    /// Energies, and derivatives with respect to what enters the gates of the last layer.
    fn energies(&self, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let t = self.layers.len() - 1;
        let layer = &self.layers[t];
        let (first, n) = nodes(b, pass.graph);
        let block = |a: &mut Aligned<T>| Rows { start: a.as_mut_ptr(), nodes: BLOCK, first: 0 };
        let (values, features, bar) =
            (block(&mut slot.gate), block(&mut slot.features), block(&mut slot.bar));
        let gate = |bar: Option<Rows<T>>| Gate {
            count: n,
            gate: &layer.gate,
            output: &layer.output,
            gates: &layer.gates,
            values,
            features,
            bar,
        };
        run_vector(self.level, gate(None));
        let species = &pass.graph.species()[first..first + n];
        // SAFETY: the energies of these nodes
        let energies = unsafe { pass.energies.slice(first, n) };
        let stride = layer.output.parts[0].stride;
        for ((energy, s), row) in energies.iter_mut().zip(species).zip(slot.features.chunks_exact_mut(stride))
        {
            let scale = self.scale[usize::from(*s)];
            let mut sum = 0.0;
            for (x, w) in row.iter_mut().zip(&self.readout) {
                sum += w * x.to_f64();
                *x = T::from_f64(scale * w);
            }
            *energy += scale * sum;
        }
        run_vector(self.level, gate(Some(bar)));
    }
    /// Derivatives with respect to what enters the gates of a layer that is not the last.
    fn features_backward(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let (layer, next) = (&self.layers[t], &self.layers[t + 1]);
        let (first, n) = nodes(b, pass.graph);
        for (k, part) in layer.output.parts.iter().enumerate() {
            let (start, len) = (part.at(pass.nodes, first), n * part.width * part.stride);
            // SAFETY: the rows of these nodes
            let (up_bar, x_bar) =
                unsafe { (pass.up_bar[t + 1].slice(start, len), pass.x_bar[t + 1].slice(start, len)) };
            let to = &mut slot.features[part.at(BLOCK, 0)..][..len];
            to.copy_from_slice(x_bar);
            let w = &next.up[k].backward;
            self.mix(w, n * part.width, (up_bar, part.stride), (to, part.stride), true);
        }
        let bar = Rows { start: slot.bar.as_mut_ptr(), nodes: BLOCK, first: 0 };
        run_vector(
            self.level,
            Gate {
                count: n,
                gate: &layer.gate,
                output: &layer.output,
                gates: &layer.gates,
                values: Rows { start: pass.gate[t].0, nodes: pass.nodes, first },
                features: Rows { start: slot.features.as_mut_ptr(), nodes: BLOCK, first: 0 },
                bar: Some(bar),
            },
        );
    }
    /// From derivatives with respect to what enters the gates to those with respect to edges and what the sources sent.
    fn backward(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let layer = &self.layers[t];
        let (first, n) = nodes(b, pass.graph);
        if t > 0 {
            for part in &layer.input.parts {
                // SAFETY: the rows of these nodes
                unsafe { pass.x_bar[t].slice(part.at(pass.nodes, first), n * part.width * part.stride) }
                    .fill(T::default());
            }
        }
        for (k, from) in layer.gate.parts.iter().enumerate() {
            let rows = n * from.width;
            let bar = (&slot.bar[from.at(BLOCK, 0)..], from.stride);
            if let Some(w) = &layer.mix[k] {
                let part = &layer.sums.parts[k];
                let to = (&mut slot.sums[part.at(BLOCK, 0)..], part.stride);
                self.mix(&w.backward, rows, bar, to, false);
            }
            if let Some(Some((place, w))) = layer.skip.get(k) {
                let part = &layer.input.parts[*place];
                // SAFETY: as above
                let to =
                    unsafe { pass.x_bar[t].slice(part.at(pass.nodes, first), n * part.width * part.stride) };
                self.mix(&w.backward, rows, bar, (to, part.stride), false);
            }
        }
        slot.first.clear();
        slot.first.extend(
            layer.places.iter().map(|[degree, channel]| layer.sums.parts[*degree].at(BLOCK, 0) + channel),
        );
        let h_count = pass.edges.sources[b].len();
        let h_bar = if t > 0 {
            slot.scatter.resize(layer.rows.iter().sum::<usize>() * h_count * T::LANES);
            slot.scatter.as_mut_ptr()
        } else {
            std::ptr::null_mut()
        };
        let edges = self.edges(t, b, &mut slot.offsets, pass);
        run_vector(
            self.level,
            Backward {
                edges,
                paths: &layer.paths,
                weights: &self.radial.layers[t],
                mode: pass.mode,
                bars: slot.sums.as_ptr(),
                first: &slot.first,
                edge_bar: pass.edge_bar.0,
                h_bar,
                h_rows: &layer.rows,
                h_count,
                place: &pass.edges.place,
                scratch: slot.tile.as_mut_ptr(),
            },
        );
    }
    /// Adds what a wave of blocks found for the features that were sent, in the order of the blocks.
    fn collect(&self, t: usize, first: usize, slots: &[Slot<T>], pass: &Pass<'_, T>) {
        let lanes = T::LANES;
        let layer = &self.layers[t];
        (0..layer.rows.len()).into_par_iter().for_each(|chunk| {
            let (before, rows) = (layer.rows[..chunk].iter().sum::<usize>(), layer.rows[chunk]);
            for (k, slot) in slots.iter().enumerate() {
                let sources = &pass.edges.sources[first + k];
                let start = before * sources.len() * lanes;
                let from =
                    slot.scatter[start..start + rows * sources.len() * lanes].chunks_exact(rows * lanes);
                for (&node, from) in sources.iter().zip(from) {
                    for part in layer.input.parts.iter().filter(|p| chunk * lanes < p.padded) {
                        let at = part.at(pass.nodes, node as usize) + chunk * lanes;
                        for m in 0..part.width {
                            // SAFETY: every task has its own columns
                            let to = unsafe { pass.up_bar[t].slice(at + m * part.stride, lanes) };
                            for (v, x) in to.iter_mut().zip(&from[(part.row + m) * lanes..]) {
                                *v += *x;
                            }
                        }
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests;
