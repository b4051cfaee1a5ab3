//! TensorNet on the processor: kernels written once for both precisions and all instruction sets.
//!
//! Matrices are kept in nine orthonormal coordinates, so that mixing channels is a product with rows of coordinates, and norms and projections are
//! sums (`algebra`). Radial networks become piecewise polynomials, as for MACE; in these coordinates the embedding is a sum over
//! spherical harmonics of degree 0, 1 and 2, and the messages are convolutions with the constant one, for which the loops over edges of all
//! equivariant models serve. The edge of an atom with itself is a constant. Derivatives of messages are sums over the rows of the atoms (`message`), so
//! that blocks of atoms never write for others, and results do not depend on their size.
mod algebra;
mod message;
mod perceptron;
#[cfg(test)]
mod tests;

use super::model::{Group, Model};
use crate::ml::equivariant::Activation;
use crate::ml::fused::convolution::{Backward, Forward, Path, TILE, edge_rows};
use crate::ml::fused::edges::{Angular, EdgeData};
use crate::ml::fused::radial::{Functions, LayerFunctions, Radial};
use crate::ml::fused::{Both, Evaluation, Kernel, Mode, Shared, WAVE, pad, waves};
use crate::ml::graph::Graph;
use crate::ml::kernels::{Aligned, gemm};
use crate::ml::radial::{Basis, Dense, Envelope, Network, NetworkScratch, Transform};
use crate::simd::{Level, Real, run_vector};
use algebra::{COORDINATES, PARTS, Pointwise, Rows, Task};
use message::Adjoint;
use perceptron::{Memory, Perceptron};

/// Atoms that one task treats together: as many as there are for every thread to get several tasks, within these limits.
const BLOCKS: [usize; 2] = [12, 48];

/// What scales the parts of the embedding, so that sums over spherical harmonics are coordinates: √3, √(2/3), √(2/15).
const EMBEDDED: [f64; 3] = [1.732_050_807_568_877_2, 0.816_496_580_927_726, 0.365_148_371_670_110_7];

/// The weights of a layer.
struct Layer<T: Real> {
    /// Weights of an atom for its own message, a row for each part.
    own: Aligned<T>,
    tensors: Vec<Both<T>>,
}

/// The model for the species of a system.
pub struct Fused<T: Real> {
    level: Level,
    mode: Mode,
    angular: Angular,
    radial: Radial<T>,
    /// Channels filled up to whole vectors, and numbers from one row to the next.
    padded: usize,
    stride: usize,
    /// What multiplies the edges of two species, by receiver and sender.
    pairs: Aligned<T>,
    /// Rows of these for each vector of channels.
    pair_rows: Vec<usize>,
    species: usize,
    /// By species: the embedding's sum of an atom alone.
    alone: Aligned<T>,
    embedding: Vec<Path<T>>,
    messages: Vec<Path<T>>,
    scalars: Perceptron<T>,
    tensors: Vec<Both<T>>,
    layers: Vec<Layer<T>>,
    readout: Perceptron<T>,
    charge: f64,
    both: bool,
    scale: f64,
    mean: f64,
    /// By species, what every atom has on its own, eV.
    own: Vec<f64>,
    state: State<T>,
}

/// Numbers of one geometry: rows of coordinates of all nodes.
#[derive(Default)]
struct State<T: Real> {
    edges: EdgeData<T>,
    /// Species of receiver and sender of each edge, as the row of both.
    pair: Vec<u32>,
    /// Sums of the embedding, and these mixed.
    sums: Aligned<T>,
    mixed: Aligned<T>,
    /// By layer: what comes in, what is sent, messages, and what is added.
    x: Vec<Aligned<T>>,
    y: Vec<Aligned<T>>,
    m: Vec<Aligned<T>>,
    d: Vec<Aligned<T>>,
    /// Derivatives with respect to what comes in and what is sent, and to the messages of two layers in turn.
    x_bar: Aligned<T>,
    y_bar: Aligned<T>,
    m_bar: [Aligned<T>; 2],
    energies: Vec<f64>,
    slots: Vec<Slot<T>>,
}

/// Memory of a block at work.
#[derive(Default)]
struct Slot<T: Real> {
    a: Aligned<T>,
    b: Aligned<T>,
    scalars: Aligned<T>,
    bars: Aligned<T>,
    tile: Aligned<T>,
    offsets: Vec<u32>,
    embedding: Memory<T>,
    readout: Memory<T>,
}

/// What the tasks of an evaluation share.
struct Pass<'a, T: Real> {
    graph: &'a Graph,
    edges: &'a EdgeData<T>,
    pair: &'a [u32],
    mode: Mode,
    block: usize,
    derivatives: bool,
    sums: Shared<T>,
    mixed: Shared<T>,
    x: Vec<Shared<T>>,
    y: Vec<Shared<T>>,
    m: Vec<Shared<T>>,
    d: Vec<Shared<T>>,
    x_bar: Shared<T>,
    y_bar: Shared<T>,
    m_bar: [Shared<T>; 2],
    energies: Shared<f64>,
    edge_bar: Shared<T>,
    mean: f64,
}

/// A diagonal matrix with the same number for all channels of a part.
fn diagonal(channels: usize, parts: [f64; 3]) -> Dense {
    let n = 3 * channels;
    let mut values = vec![0.0; n * n];
    for k in 0..n {
        values[k * n + k] = parts[k / channels];
    }
    Dense { inputs: n, outputs: n, values }
}

/// The radial functions of the embedding and of every layer.
fn functions(model: &Model) -> Functions {
    let f = model.channels;
    let mut together = Dense { inputs: model.basis.len(), outputs: 3 * f, values: Vec::new() };
    for b in 0..model.basis.len() {
        for map in &model.distance {
            together.values.extend_from_slice(&map.matrix.values[b * f..(b + 1) * f]);
        }
    }
    let embedding = Network {
        layers: vec![together, diagonal(f, EMBEDDED)],
        biases: vec![model.distance.iter().flat_map(|map| map.bias.iter().copied()).collect()],
        norms: Vec::new(),
        activation: Activation::Identity,
    };
    let layer = |layer: &super::model::Layer| Network {
        layers: layer.radial.iter().map(|map| map.matrix.clone()).chain([diagonal(f, [1.0; 3])]).collect(),
        biases: layer.radial.iter().map(|map| map.bias.clone()).collect(),
        norms: Vec::new(),
        activation: model.activation,
    };
    let networks = std::iter::once(embedding).chain(model.layers.iter().map(layer));
    let of = |network: Network| LayerFunctions {
        network: network.into(),
        paths: (0..3).map(|part| [part * f, f]).collect(),
        density: None,
    };
    Functions {
        cutoff: model.cutoff,
        basis: model.basis.clone(),
        transform: Transform::None,
        envelope: Envelope::Cosine,
        on_basis: false,
        start: 0.0,
        radii: Vec::new(),
        layers: networks.map(of).collect(),
    }
}

/// What the last layer of a network gives at distance 0, where the cutoff function is 1.
fn at_zero(basis: &Basis, network: &Network) -> Vec<f64> {
    let (mut values, mut slopes) = (Vec::new(), Vec::new());
    basis.eval(0.0, |_, v, d| {
        values.push(v);
        slopes.push(d);
    });
    let mut scratch = NetworkScratch::default();
    let (h, _) = network.hidden(&values, &slopes, &mut scratch);
    let last = &network.layers[network.layers.len() - 1];
    Dense { inputs: 1, outputs: h.len(), values: h.to_vec() }.times(last).values
}

impl<T: Real> Fused<T> {
    /// The model for species whose elements have the places `of_species` in it, for a total charge.
    pub fn new(model: &Model, of_species: &[usize], charge: f64) -> Self {
        let (level, f, species) = (Level::detect(), model.channels, of_species.len());
        let padded = pad(f);
        // not a power of two, which would put all rows into the same places of the cache
        let stride = padded + 16;
        let functions = functions(model);
        let own: Vec<Vec<f64>> =
            functions.layers.iter().map(|l| at_zero(&functions.basis, &l.network.network)).collect();
        let row = |values: &[f64], to: &mut [T]| {
            for (to, v) in to.iter_mut().zip(values) {
                *to = T::from_f64(*v);
            }
        };
        let embedding = |z: usize| &model.embedding.values[z * f..(z + 1) * f];
        let mut pairs = Aligned::zeros(species * species * stride);
        let mut alone = Aligned::zeros(species * stride);
        for (i, a) in of_species.iter().enumerate() {
            for (j, b) in of_species.iter().enumerate() {
                let both = [embedding(*a), embedding(*b)].concat();
                let both = Dense { inputs: 1, outputs: 2 * f, values: both }.times(&model.pair.matrix);
                let values: Vec<f64> = both.values.iter().zip(&model.pair.bias).map(|(v, b)| v + b).collect();
                row(&values, &mut pairs[(i * species + j) * stride..]);
                if i == j {
                    let alone_values: Vec<f64> = values.iter().zip(&own[0]).map(|(v, w)| v * w).collect();
                    row(&alone_values, &mut alone[i * stride..]);
                }
            }
        }
        let path = |degree: usize, embedded: bool| Path {
            degrees: if embedded { [0, degree, degree] } else { [degree, 0, degree] },
            row: if embedded { 0 } else { PARTS[degree].0 },
            offset: if embedded { 0 } else { PARTS[degree].0 * stride },
            stride,
            sums: stride,
            chunks: padded / T::LANES,
            coupling: (0..PARTS[degree].1 as u8)
                .map(|m| (if embedded { [0, m, m] } else { [m, 0, m] }, T::from_f64(1.0)))
                .collect(),
        };
        let layer = |(k, layer): (usize, &super::model::Layer)| {
            let mut parts = Aligned::zeros(3 * stride);
            for part in 0..3 {
                row(&own[k + 1][part * f..(part + 1) * f], &mut parts[part * stride..]);
            }
            Layer { own: parts, tensors: layer.tensors.iter().map(Both::new).collect() }
        };
        Self {
            level,
            mode: Mode::Table,
            angular: Angular::new(2, -1.0, false),
            padded,
            stride,
            pairs,
            pair_rows: vec![1; padded / T::LANES],
            species,
            alone,
            embedding: (0..3).map(|l| path(l, true)).collect(),
            messages: (0..3).map(|l| path(l, false)).collect(),
            scalars: Perceptron::new(&model.norm, &model.scalars, model.activation, [1, 3], stride, false),
            tensors: model.tensors.iter().map(Both::new).collect(),
            layers: model.layers.iter().enumerate().map(layer).collect(),
            readout: Perceptron::new(&model.out_norm, &model.readout, model.activation, [3, 1], stride, true),
            charge: 1.0 + 0.1 * charge,
            both: model.group == Group::O3,
            scale: model.scale,
            mean: model.mean,
            own: of_species.iter().map(|z| model.atomic_energies[*z]).collect(),
            radial: Radial::new(functions, of_species, level),
            state: State::default(),
        }
    }
    fn reserve(&self, state: &mut State<T>, graph: &Graph, block: usize, derivatives: bool) {
        let (n, count) = (graph.nodes(), self.layers.len());
        let rows = n * COORDINATES * self.stride;
        state.energies.resize(n, 0.0);
        for list in [&mut state.x, &mut state.y, &mut state.m, &mut state.d] {
            list.resize_with(count, Aligned::default);
            list.iter_mut().for_each(|a| a.resize(rows));
        }
        state.sums.resize(rows);
        state.mixed.resize(rows);
        if derivatives {
            let [a, b] = &mut state.m_bar;
            for list in [&mut state.x_bar, &mut state.y_bar, a, b] {
                list.resize(rows);
            }
        }
        state.pair.resize(graph.edges(), 0);
        let want = n.div_ceil(block).clamp(1, WAVE);
        if state.slots.len() < want {
            state.slots.resize_with(want, Slot::default);
        }
        for slot in &mut state.slots {
            slot.a.resize(block * COORDINATES * self.stride);
            slot.b.resize(block * COORDINATES * self.stride);
            slot.scalars.resize(block * 3 * self.stride);
            slot.bars.resize(block * 3 * self.stride);
            slot.tile.resize(TILE * edge_rows::<T>(self.angular.len()) * T::LANES);
        }
    }
    /// First node and number of nodes of a block.
    fn nodes(&self, b: usize, pass: &Pass<'_, T>) -> (usize, usize) {
        let first = b * pass.block;
        (first, pass.graph.nodes().min(first + pass.block) - first)
    }
    /// The rows of a block in an array of all nodes.
    fn all(&self, start: Shared<T>, first: usize, pass: &Pass<'_, T>) -> Rows<T> {
        Rows { start: start.0, nodes: pass.graph.nodes(), first, stride: self.stride }
    }
    /// The rows of a block in its own memory.
    fn slot(&self, memory: &mut Aligned<T>, pass: &Pass<'_, T>) -> Rows<T> {
        Rows { start: memory.as_mut_ptr(), nodes: pass.block, first: 0, stride: self.stride }
    }
    fn pointwise(&self, count: usize, task: Task<T>) {
        let charge = T::from_f64(self.charge);
        let (padded, stride, both) = (self.padded, self.stride, self.both);
        run_vector(self.level, Pointwise { count, padded, stride, charge, both, task });
    }
    /// Products of the rows of n nodes with a matrix for each part, or its transpose; added where asked for.
    fn mix(&self, w: &[Both<T>], transposed: bool, n: usize, [from, to]: [Rows<T>; 2], add: bool) {
        for (degree, (w, (_, width))) in w.iter().zip(PARTS).enumerate() {
            let len = n * width * self.stride;
            let of = |rows: &Rows<T>| Shared(rows.start.wrapping_add(rows.part(degree)));
            let (a, c) = (of(&from), of(&to));
            // SAFETY: rows of the nodes of this task, in two arrays
            let (a, c) = unsafe { (a.slice(0, len), c.slice(0, len)) };
            let w = if transposed { &w.backward } else { &w.forward };
            gemm::multiply(self.level, n * width, (a, self.stride), w, (c, self.stride), add);
        }
    }
    /// The embedding of a block, and what it sends first.
    fn embed(&self, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let (first, n) = self.nodes(b, pass);
        let sums = self.all(pass.sums, first, pass);
        let species = &pass.graph.species()[first..first + n];
        let edges = pass.edges.of_nodes(
            (first, n),
            pass.graph,
            &mut slot.offsets,
            pass.pair,
            self.pairs.as_ptr(),
            self.species * self.species,
        );
        for (degree, path) in self.embedding.iter().enumerate() {
            let out = sums.start.wrapping_add(sums.part(degree));
            let weights = &self.radial.layers[0];
            run_vector(self.level, Forward { edges, path, number: degree, weights, mode: pass.mode, out });
        }
        // SAFETY: the rows of these nodes
        let scalars = unsafe { pass.sums.slice(first * self.stride, n * self.stride) };
        for (row, s) in scalars.chunks_exact_mut(self.stride).zip(species) {
            for (x, own) in row[..self.padded].iter_mut().zip(&self.alone[usize::from(*s) * self.stride..]) {
                *x += *own;
            }
        }
        let mixed = self.all(pass.mixed, first, pass);
        self.mix(&self.tensors, false, n, [sums, mixed], false);
        let h = self.gates(n, sums, slot);
        let to = match pass.x.first() {
            Some(x) => self.all(*x, first, pass),
            None => self.slot(&mut slot.a, pass),
        };
        self.pointwise(n, Task::Gate { a: mixed, h, to });
        if self.layers.is_empty() {
            self.read(b, slot, pass);
        } else {
            self.send(0, b, slot, pass);
        }
    }
    /// What multiplies the parts of the embedding.
    fn gates(&self, n: usize, sums: Rows<T>, slot: &mut Slot<T>) -> *const T {
        self.pointwise(n, Task::Norm { a: sums, to: slot.scalars.as_mut_ptr() });
        self.scalars.forward(self.level, n, &slot.scalars, &mut slot.embedding).as_ptr()
    }
    /// What the nodes of a block send in layer t.
    fn send(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let (first, n) = self.nodes(b, pass);
        let bounded = self.slot(&mut slot.b, pass);
        self.pointwise(n, Task::Bound { a: self.all(pass.x[t], first, pass), to: bounded });
        self.mix(&self.layers[t].tensors[..3], false, n, [bounded, self.all(pass.y[t], first, pass)], false);
    }
    /// Layer t for a block, and what it sends next; after the last layer the energies.
    fn interact(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let (first, n) = self.nodes(b, pass);
        let layer = &self.layers[t];
        let [x, y, m, d] = [&pass.x, &pass.y, &pass.m, &pass.d].map(|list| self.all(list[t], first, pass));
        let (graph, h) = (pass.graph, pass.y[t].0.cast_const());
        let edges =
            pass.edges.of_nodes((first, n), graph, &mut slot.offsets, graph.neighbors(), h, graph.nodes());
        for (degree, path) in self.messages.iter().enumerate() {
            let out = m.start.wrapping_add(m.part(degree));
            let weights = &self.radial.layers[t + 1];
            run_vector(self.level, Forward { edges, path, number: degree, weights, mode: pass.mode, out });
        }
        self.pointwise(n, Task::Own { a: y, own: layer.own.as_ptr(), to: m });
        let (a, c) = (self.slot(&mut slot.a, pass), self.slot(&mut slot.b, pass));
        self.pointwise(n, Task::Multiply { m, y, to: c });
        self.mix(&layer.tensors[3..], false, n, [c, d], false);
        self.pointwise(n, Task::Bound { a: x, to: c });
        if t + 1 < self.layers.len() {
            self.pointwise(n, Task::Update { x: c, d, to: self.all(pass.x[t + 1], first, pass) });
            self.send(t + 1, b, slot, pass);
        } else {
            self.pointwise(n, Task::Update { x: c, d, to: a });
            self.read(b, slot, pass);
        }
    }
    /// Energies of a block from its last features, which are in its memory, and the reverse pass up to the first messages.
    fn read(&self, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let (first, n) = self.nodes(b, pass);
        let a = self.slot(&mut slot.a, pass);
        self.pointwise(n, Task::Norms { a, to: slot.scalars.as_mut_ptr() });
        let out = self.readout.forward(self.level, n, &slot.scalars, &mut slot.readout);
        let width = out.len() / n;
        let species = &pass.graph.species()[first..first + n];
        // SAFETY: the energies of these nodes
        let energies = unsafe { pass.energies.slice(first, n) };
        for ((energy, s), row) in energies.iter_mut().zip(species).zip(out.chunks_exact(width)) {
            *energy = self.scale * row[0].to_f64() + self.own[usize::from(*s)] + pass.mean;
        }
        if !pass.derivatives {
            return;
        }
        slot.bars.resize((n * width).max(slot.bars.len()));
        let seed = &mut slot.bars[..n * width];
        seed.fill(T::default());
        seed.iter_mut().step_by(width).for_each(|x| *x = T::from_f64(self.scale));
        let seed = &slot.bars[..n * width];
        self.readout.backward(self.level, n, seed, &mut slot.readout, &mut slot.scalars);
        let bar = slot.scalars.as_ptr();
        let x_bar = self.all(pass.x_bar, first, pass);
        self.pointwise(n, Task::NormsBackward { a, bar, to: x_bar });
        match self.layers.len().checked_sub(1) {
            Some(last) => self.messages_backward(last, b, slot, pass),
            None => self.embed_backward(b, slot, pass),
        }
    }
    /// From derivatives with respect to what goes out of layer t to those with respect to the messages of a block, and to what it sent as far as
    /// these are its own.
    fn messages_backward(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let (first, n) = self.nodes(b, pass);
        let layer = &self.layers[t];
        let [y, m, d] = [&pass.y, &pass.m, &pass.d].map(|list| self.all(list[t], first, pass));
        let [bar, y_bar, m_bar] =
            [pass.x_bar, pass.y_bar, pass.m_bar[t % 2]].map(|start| self.all(start, first, pass));
        let (a, c) = (self.slot(&mut slot.a, pass), self.slot(&mut slot.b, pass));
        self.pointwise(n, Task::UpdateBackward { bar, d, to: a });
        self.mix(&layer.tensors[3..], true, n, [a, c], false);
        self.pointwise(n, Task::MultiplyBackward { m, y, bar: c, m_bar, y_bar, own: layer.own.as_ptr() });
    }
    /// The reverse pass from the messages of layer t on, until the messages of the layer before.
    fn interact_backward(&self, t: usize, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let (first, n) = self.nodes(b, pass);
        let layer = &self.layers[t];
        let [x, y] = [&pass.x, &pass.y].map(|list| self.all(list[t], first, pass));
        let [x_bar, y_bar] = [pass.x_bar, pass.y_bar].map(|start| self.all(start, first, pass));
        let (graph, h) = (pass.graph, pass.m_bar[t % 2].0.cast_const());
        let edges =
            pass.edges.of_nodes((first, n), graph, &mut slot.offsets, graph.neighbors(), h, graph.nodes());
        run_vector(
            self.level,
            Adjoint {
                edges,
                weights: &self.radial.layers[t + 1],
                mode: pass.mode,
                y,
                y_bar,
                chunks: self.padded / T::LANES,
                along: pass.edge_bar.0,
                rows: edge_rows::<T>(self.angular.len()),
            },
        );
        self.mix(&layer.tensors[..3], true, n, [y_bar, x_bar], true);
        self.pointwise(n, Task::BoundBackward { a: x, bar: x_bar, to: x_bar });
        if t > 0 {
            self.messages_backward(t - 1, b, slot, pass);
        } else {
            self.embed_backward(b, slot, pass);
        }
    }
    /// From derivatives with respect to the embedding to those with respect to the edges of a block.
    fn embed_backward(&self, b: usize, slot: &mut Slot<T>, pass: &Pass<'_, T>) {
        let (first, n) = self.nodes(b, pass);
        let [sums, mixed, bar] =
            [pass.sums, pass.mixed, pass.x_bar].map(|start| self.all(start, first, pass));
        let h = self.gates(n, sums, slot);
        let (a, c) = (self.slot(&mut slot.a, pass), self.slot(&mut slot.b, pass));
        let h_bar = slot.bars.as_mut_ptr();
        self.pointwise(n, Task::GateBackward { a: mixed, h, bar, to: a, h_bar });
        self.mix(&self.tensors, true, n, [a, c], false);
        let bars = &slot.bars[..n * 3 * self.stride];
        self.scalars.backward(self.level, n, bars, &mut slot.embedding, &mut slot.scalars);
        self.pointwise(n, Task::NormBackward { a: sums, bar: slot.scalars.as_ptr(), to: c });
        let starts = [c.part(0), c.part(1), c.part(2)];
        let edges = pass.edges.of_nodes(
            (first, n),
            pass.graph,
            &mut slot.offsets,
            pass.pair,
            self.pairs.as_ptr(),
            self.species * self.species,
        );
        run_vector(
            self.level,
            Backward {
                edges,
                paths: &self.embedding,
                weights: &self.radial.layers[0],
                mode: pass.mode,
                bars: slot.b.as_ptr(),
                first: &starts,
                edge_bar: pass.edge_bar.0,
                h_bar: std::ptr::null_mut(),
                h_rows: &self.pair_rows,
                h_count: 0,
                place: &pass.edges.place,
                scratch: slot.tile.as_mut_ptr(),
            },
        );
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
        let lists = [&s.x, &s.y, &s.m, &s.d].into_iter().flatten();
        let single = [&s.sums, &s.mixed, &s.x_bar, &s.y_bar, &s.m_bar[0], &s.m_bar[1]];
        let slot = |s: &Slot<T>| {
            [&s.a, &s.b, &s.scalars, &s.bars, &s.tile].iter().map(|a| a.bytes()).sum::<usize>()
                + s.embedding.bytes()
                + s.readout.bytes()
        };
        lists.chain(single).map(Aligned::bytes).sum::<usize>()
            + s.edges.bytes()
            + s.slots.iter().map(slot).sum::<usize>()
            + self.radial.bytes()
    }
    fn evaluate(&mut self, graph: &Graph, derivatives: bool) -> Evaluation<'_> {
        let mut state = std::mem::take(&mut self.state);
        let mode = self.mode;
        state.edges.prepare(graph, &self.angular, &self.radial, mode);
        let each = graph.nodes() / (4 * rayon::current_num_threads()).max(1);
        let block = each.clamp(BLOCKS[0], BLOCKS[1]);
        self.reserve(&mut state, graph, block, derivatives);
        let types = graph.species();
        for k in 0..graph.nodes() {
            for e in graph.row(k) {
                let other = types[graph.neighbors()[e] as usize];
                state.pair[e] = (usize::from(types[k]) * self.species + usize::from(other)) as u32;
            }
        }
        let share =
            |v: &mut Vec<Aligned<T>>| v.iter_mut().map(|a| Shared(a.as_mut_ptr())).collect::<Vec<_>>();
        let [m_even, m_odd] = &mut state.m_bar;
        let pass = Pass {
            graph,
            pair: &state.pair,
            mode,
            block,
            derivatives,
            sums: Shared(state.sums.as_mut_ptr()),
            mixed: Shared(state.mixed.as_mut_ptr()),
            x: share(&mut state.x),
            y: share(&mut state.y),
            m: share(&mut state.m),
            d: share(&mut state.d),
            x_bar: Shared(state.x_bar.as_mut_ptr()),
            y_bar: Shared(state.y_bar.as_mut_ptr()),
            m_bar: [Shared(m_even.as_mut_ptr()), Shared(m_odd.as_mut_ptr())],
            energies: Shared(state.energies.as_mut_ptr()),
            edge_bar: Shared(state.edges.bar.as_mut_ptr()),
            edges: &state.edges,
            mean: self.mean / graph.nodes().max(1) as f64,
        };
        let (slots, blocks) = (&mut state.slots, graph.nodes().div_ceil(block));
        waves(slots, blocks, |b, slot| self.embed(b, slot, &pass), |_, _| {});
        for t in 0..self.layers.len() {
            waves(slots, blocks, |b, slot| self.interact(t, b, slot, &pass), |_, _| {});
        }
        if derivatives {
            for t in (0..self.layers.len()).rev() {
                waves(slots, blocks, |b, slot| self.interact_backward(t, b, slot, &pass), |_, _| {});
            }
        }
        state
            .edges
            .gradients(graph, &self.angular, (&self.radial, mode), &mut state.energies, |_, _| (0.0, 0.0));
        self.state = state;
        Ok((&self.state.energies, &self.state.edges.g))
    }
}
