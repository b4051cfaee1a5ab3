//! MACE on the processor: kernels written once for both precisions and all instruction sets.
//!
//! What makes it fast, none of which changes the model:
//!
//! - radial networks become piecewise polynomials ([`radial`](crate::ml::fused)), a third of a percent of their arithmetic;
//! - features of the first layer are those of the element, a table; linear maps that follow each other are multiplied when the model
//!   is built, for the species present;
//! - the sum over neighbours accumulates products of features and spherical harmonics, which are coupled once for each
//!   atom (`message`), where the model has it through a gate (`gate`);
//! - the symmetric contraction is a list of sparse polynomials with its reverse (`contraction`);
//! - the last layer runs forward and backward in one pass over blocks of atoms.
//!
//! Atoms are treated in blocks of neighbouring atoms; derivatives for atoms outside of a block are collected in memory of the block and
//! added in the order of the blocks, so that sums do not depend on the number of threads.
pub(crate) mod contraction;
mod feature;
mod gate;
mod layer;
mod message;
mod repulsion;

use super::model::{Conditions, Division, Model, Zbl};
use crate::ml::checkpoint::Fault;
pub use crate::ml::fused::Mode;
use crate::ml::fused::convolution::{TILE, edge_rows};
use crate::ml::fused::edges::{Angular, EdgeData};
use crate::ml::fused::radial::{Functions, LayerFunctions, Radial, START};
use crate::ml::fused::{BLOCK, Evaluation, Kernel, Shared, WAVE, waves};
use crate::ml::graph::Graph;
use crate::ml::kernels::Aligned;
use crate::ml::radial::Envelope;
use crate::simd::{Level, Real};
use contraction::Rows;
use layer::{Channels, Weights, components};

/// The model for the species of a system.
pub struct Fused<T: Real> {
    level: Level,
    mode: Mode,
    lmax: usize,
    /// Rows of features and messages.
    rows: Channels,
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
    /// By layer: messages, what enters their gate, 1/(α + β density), derivatives of the readout.
    a: Vec<Aligned<T>>,
    sums: Vec<Aligned<T>>,
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
    sums: Aligned<T>,
    sums_bar: Aligned<T>,
    z: Aligned<T>,
    own: Aligned<T>,
    own_bar: Aligned<T>,
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
    sums: Vec<Shared<T>>,
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
    let layer = |l: &super::model::Layer| {
        let (l, e) = (&l.interaction, l.interaction.edge_channels);
        LayerFunctions {
            network: l.network.clone(),
            paths: (0..l.paths.len()).map(|p| [p * e, e]).collect(),
            density: match &l.division {
                Division::Density { network, .. } => Some(network.clone()),
                Division::Constant(_) => None,
            },
        }
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
        let all = [&s.h, &s.up, &s.h_bar, &s.up_bar, &s.a, &s.sums, &s.pre_bar];
        let slot = |s: &Slot<T>| {
            let messages = [&s.path, &s.a, &s.a_bar, &s.sums, &s.sums_bar, &s.z, &s.own, &s.own_bar, &s.bars];
            let others = [&s.b, &s.h_bar, &s.pre, &s.contraction, &s.tile, &s.scatter];
            messages.iter().chain(&others).map(|a| a.bytes()).sum::<usize>()
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
            sums: share(&mut state.sums),
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
    /// The model for species whose elements have the places `of_species` in it, under conditions that it knows: a head, or more.
    ///
    /// # Errors
    /// When the model does not know the conditions.
    pub fn new(
        model: &Model,
        of_species: &[usize],
        conditions: impl Into<Conditions>,
    ) -> Result<Self, Fault> {
        let (level, conditions) = (Level::detect(), conditions.into());
        let readouts = model.layers.iter().flat_map(|l| &l.readout);
        let values = readouts.map(|r| r.0.layers[0].outputs.div_ceil(16) * 16).max().unwrap_or(16);
        let rows = Channels::new::<T>(model.channels, values);
        let embedding = model.embedded(&conditions)?;
        let layers: Vec<Weights<T>> = (0..model.layers.len())
            .map(|t| Weights::new(model, t, of_species, conditions.head, &embedding, rows))
            .collect();
        let sent = embedding.times(&model.layers[0].interaction.up[0]);
        let stride = layers[0].along.stride;
        let mut first = Aligned::zeros(of_species.len() * stride);
        for (s, z) in of_species.iter().enumerate() {
            for (k, v) in sent.row(*z).iter().enumerate() {
                first[s * stride + k] = T::from_f64(*v);
            }
        }
        let head = &model.heads[conditions.head];
        let mut own: Vec<f64> = of_species.iter().map(|z| head.atomic_energies[*z] + head.shift).collect();
        if let Some(readout) = model.joint.as_ref().and_then(|j| j.readout.as_ref()) {
            let energies = embedding.times(&readout.columns(conditions.head, 1));
            own.iter_mut().zip(of_species).for_each(|(own, z)| *own += energies.at(*z, 0));
        }
        Ok(Self {
            level,
            mode: Mode::Table,
            lmax: model.lmax,
            rows,
            angular: Angular::new(model.lmax, -1.0, false),
            radial: Radial::new(functions(model), of_species, level),
            layers,
            first,
            own,
            scale: head.scale,
            zbl: model.zbl.clone(),
            charges: of_species.iter().map(|z| f64::from(model.elements[*z])).collect(),
            of_species: of_species.to_vec(),
            state: State::default(),
        })
    }
    /// Numbers from one row of features to the next.
    fn stride(&self) -> usize {
        self.rows.stride
    }
    /// Rows of what enters a gate, with the gates.
    fn sum_rows(&self) -> usize {
        self.angular.len() + self.lmax
    }
    fn reserve(&self, state: &mut State<T>, graph: &Graph) {
        let (n, count) = (graph.nodes(), self.layers.len());
        let lm = self.angular.len();
        state.energies.clear();
        state.energies.extend(graph.species().iter().map(|s| self.own[usize::from(*s)]));
        let sized = |list: &mut Vec<Aligned<T>>, numbers: &dyn Fn(usize) -> usize| {
            list.resize_with(count, Aligned::default);
            for (t, a) in list.iter_mut().enumerate() {
                a.resize(numbers(t));
            }
        };
        let stride = self.stride();
        let input = |t: usize| if t == 0 { 0 } else { n * components(&self.layers[t].input) * stride };
        let sent = |t: usize| match &self.layers[t] {
            _ if t == 0 => 0,
            layer => n * components(&layer.sent) * layer.along.stride,
        };
        let inner = |t: usize, rows: usize| if t + 1 == count { 0 } else { n * rows * stride };
        sized(&mut state.h, &input);
        sized(&mut state.up, &sent);
        sized(&mut state.h_bar, &input);
        sized(&mut state.up_bar, &sent);
        sized(&mut state.a, &|t| inner(t, lm));
        sized(&mut state.sums, &|t| {
            if self.layers[t].gate.is_some() { inner(t, self.sum_rows()) } else { 0 }
        });
        sized(&mut state.pre_bar, &|t| inner(t, 1));
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
        let along = self.layers.iter().map(|l| l.along.stride).max().unwrap_or(0);
        let gated = if self.layers.iter().any(|l| l.gate.is_some()) { BLOCK } else { 0 };
        let sent = self.layers.iter().map(|l| components(&l.sent)).max().unwrap_or(1);
        for slot in &mut state.slots {
            slot.path.resize(BLOCK * (2 * self.lmax + 1) * along);
            slot.a.resize(BLOCK * lm * stride);
            slot.a_bar.resize(BLOCK * lm * stride);
            slot.sums.resize(gated * self.sum_rows() * stride);
            slot.sums_bar.resize(gated * self.sum_rows() * stride);
            slot.z.resize(gated * lm * stride);
            slot.own.resize(gated * sent * along);
            slot.own_bar.resize(gated * (2 * self.lmax + 1) * along);
            slot.b.resize(BLOCK * outputs * stride);
            slot.h_bar.resize(BLOCK * outputs * stride);
            let bars =
                |l: &Weights<T>| l.paths.iter().map(|p| (2 * p.degrees[2] + 1) * p.sums).sum::<usize>();
            slot.bars.resize(BLOCK * self.layers.iter().map(bars).max().unwrap_or(0));
            slot.pre.resize(2 * BLOCK * stride);
            slot.contraction.resize(self.layers.iter().map(|l| l.polynomials.scratch()).max().unwrap_or(0));
            slot.tile.resize(TILE * edge_rows::<T>(lm) * T::LANES);
        }
    }
    fn a_rows(&self, t: usize, b: usize, nodes: usize) -> Rows {
        if t + 1 == self.layers.len() {
            Rows { nodes: BLOCK, start: 0 }
        } else {
            Rows { nodes, start: b * BLOCK }
        }
    }
}

#[cfg(test)]
mod tests;
