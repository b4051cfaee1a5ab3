//! What belongs to the edges of a geometry: spherical harmonics, places in the radial tables, where features come from, and derivatives.
use super::convolution::{Edges, edge_rows};
use super::radial::{Exact, Mode, Radial};
use super::{BLOCK, Shared, WAVE, nodes, waves};
use crate::ml::equivariant::SphericalHarmonics;
use crate::ml::graph::Graph;
use crate::ml::kernels::Aligned;
use crate::simd::Real;
use rayon::prelude::*;

/// How directions enter.
#[derive(Clone)]
pub(crate) struct Angular {
    harmonics: SphericalHarmonics,
    /// +1 when the harmonics are those of the vector from the receiver to the sender, −1 for the opposite.
    sign: f64,
    /// Whether they are multiplied with r^l.
    solid: bool,
}

impl Angular {
    pub(crate) fn new(lmax: usize, sign: f64, solid: bool) -> Self {
        Self { harmonics: SphericalHarmonics::new(lmax), sign, solid }
    }
    /// Number of components.
    pub(crate) fn len(&self) -> usize {
        self.harmonics.len()
    }
    fn eval(&self, d: [f64; 3], r: f64, out: &mut [f64]) {
        let scale = if self.solid { 1.0 } else { r };
        self.harmonics.solid(d.map(|d| self.sign * d / scale), out);
    }
    /// Σ g ∂Y/∂d.
    fn gradient(&self, d: [f64; 3], r: f64, g: &[f64]) -> [f64; 3] {
        let turn = if self.solid {
            self.harmonics.solid_gradient(d.map(|d| self.sign * d), g)
        } else {
            self.harmonics.gradient(d.map(|d| self.sign * d / r), r, g)
        };
        turn.map(|t| self.sign * t)
    }
}

/// Numbers for each edge of a geometry.
pub(crate) struct EdgeData<T: Real> {
    y: Aligned<T>,
    lm: usize,
    cell: Vec<u32>,
    local: Vec<T>,
    /// Species of the sender.
    pub species: Vec<u32>,
    /// Place of the sender in the sources of the block.
    pub place: Vec<u32>,
    hidden: Vec<T>,
    density: Vec<[T; 2]>,
    /// Derivatives along each edge and with respect to its spherical harmonics.
    pub bar: Aligned<T>,
    /// Derivatives with respect to the vectors of the edges, eV/Å.
    pub g: Vec<[f64; 3]>,
    /// By block: nodes that its edges come from.
    pub sources: Vec<Vec<u32>>,
    finders: Vec<Finder>,
}

impl<T: Real> Default for EdgeData<T> {
    fn default() -> Self {
        Self {
            y: Aligned::zeros(0),
            lm: 0,
            cell: Vec::new(),
            local: Vec::new(),
            species: Vec::new(),
            place: Vec::new(),
            hidden: Vec::new(),
            density: Vec::new(),
            bar: Aligned::zeros(0),
            g: Vec::new(),
            sources: Vec::new(),
            finders: Vec::new(),
        }
    }
}

/// Memory of a task that prepares a block.
#[derive(Default)]
struct Finder {
    stamp: Vec<u32>,
    epoch: u32,
    exact: Exact,
}

impl<T: Real> EdgeData<T> {
    fn reserve(&mut self, graph: &Graph, lm: usize, radial: &Radial<T>, mode: Mode) {
        let (n, e) = (graph.nodes(), graph.edges());
        self.lm = lm;
        self.y.resize(e * lm);
        self.bar.resize(e * edge_rows::<T>(lm));
        self.bar.fill(T::default());
        self.cell.resize(e, 0);
        self.local.resize(e, T::default());
        self.species.resize(e, 0);
        self.place.resize(e, 0);
        self.g.resize(e, [0.0; 3]);
        if mode == Mode::Exact {
            self.hidden.resize(e * 2 * radial.width, T::default());
            self.density.resize(e * radial.layers.len(), [T::default(); 2]);
        }
        let blocks = n.div_ceil(BLOCK);
        self.sources.resize_with(blocks, Vec::new);
        let want = blocks.min(WAVE);
        if self.finders.len() < want {
            self.finders.resize_with(want, Finder::default);
        }
        for finder in &mut self.finders {
            finder.stamp.resize(n, 0);
        }
    }
    /// Everything about the edges that does not depend on features.
    pub(crate) fn prepare(&mut self, graph: &Graph, angular: &Angular, radial: &Radial<T>, mode: Mode) {
        let lm = angular.len();
        self.reserve(graph, lm, radial, mode);
        let (width, count, blocks) = (radial.width, radial.layers.len(), self.sources.len());
        let (y, cell, local) =
            (Shared(self.y.as_mut_ptr()), Shared(self.cell.as_mut_ptr()), Shared(self.local.as_mut_ptr()));
        let (species, place) = (Shared(self.species.as_mut_ptr()), Shared(self.place.as_mut_ptr()));
        let (hidden, density) = (Shared(self.hidden.as_mut_ptr()), Shared(self.density.as_mut_ptr()));
        let sources = Shared(self.sources.as_mut_ptr());
        let types = graph.species();
        waves(
            &mut self.finders,
            blocks,
            |b, finder| {
                // SAFETY: every block writes for its own edges
                let list = unsafe { &mut sources.slice(b, 1)[0] };
                list.clear();
                if finder.epoch == u32::MAX {
                    finder.stamp.fill(0);
                    finder.epoch = 0;
                }
                finder.epoch += 1;
                let mut components = [0.0; 49];
                for k in b * BLOCK..((b + 1) * BLOCK).min(graph.nodes()) {
                    for e in graph.row(k) {
                        let (d, r) = (graph.vectors()[e], graph.lengths()[e]);
                        let j = graph.neighbors()[e];
                        angular.eval(d, r, &mut components);
                        let (own, other) = (types[k], types[j as usize]);
                        let (at, t) = radial.locate(r, own, other);
                        // SAFETY: as above
                        unsafe {
                            for (to, y) in y.slice(e * lm, lm).iter_mut().zip(&components) {
                                *to = T::from_f64(*y);
                            }
                            *cell.at(e) = at;
                            *local.at(e) = T::from_f64(t);
                            *species.at(e) = u32::from(other);
                            if mode == Mode::Exact {
                                let hidden = hidden.slice(e * 2 * width, 2 * width);
                                let density = density.slice(e * count, count);
                                radial.exact(&mut finder.exact, r, own, other, hidden, density);
                            }
                        }
                        if finder.stamp[j as usize] != finder.epoch {
                            finder.stamp[j as usize] = finder.epoch;
                            list.push(j);
                        }
                    }
                }
                list.sort_unstable();
                for k in b * BLOCK..((b + 1) * BLOCK).min(graph.nodes()) {
                    for e in graph.row(k) {
                        let j = graph.neighbors()[e];
                        let at = list.binary_search(&j).unwrap_or(0);
                        // SAFETY: as above
                        unsafe { *place.at(e) = at as u32 };
                    }
                }
            },
            |_, _| {},
        );
    }
    /// The edges of a block for the kernels, with features of the sources `h`.
    pub(crate) fn of_block<'a>(
        &'a self,
        b: usize,
        graph: &'a Graph,
        offsets: &'a mut Vec<u32>,
        source: &'a [u32],
        h: *const T,
        h_nodes: usize,
    ) -> Edges<'a, T> {
        self.of_nodes(nodes(b, graph), graph, offsets, source, h, h_nodes)
    }
    /// As [`EdgeData::of_block`], of the edges of n nodes from a first one.
    pub(crate) fn of_nodes<'a>(
        &'a self,
        (first, n): (usize, usize),
        graph: &'a Graph,
        offsets: &'a mut Vec<u32>,
        source: &'a [u32],
        h: *const T,
        h_nodes: usize,
    ) -> Edges<'a, T> {
        offsets.clear();
        offsets.extend((first..first + n).map(|k| graph.row(k).start as u32));
        offsets.push(graph.row(first + n - 1).end as u32);
        Edges {
            offsets,
            y: self.y.as_ptr(),
            lm: self.lm,
            cell: &self.cell,
            local: &self.local,
            hidden: &self.hidden,
            source,
            h,
            h_nodes,
        }
    }
    /// Density of an edge for layer `t` and its derivative.
    pub(crate) fn density(&self, radial: &Radial<T>, t: usize, e: usize, mode: Mode) -> [T; 2] {
        match mode {
            Mode::Table => radial.layers[t].density(self.cell[e], self.local[e]),
            Mode::Exact => self.density[e * radial.layers.len() + t],
        }
    }
    /// Derivatives with respect to the vectors of the edges from those that were collected. `pair` gives for a distance and two nodes an
    /// energy that is added to that of the first node, and its derivative.
    pub(crate) fn gradients(
        &mut self,
        graph: &Graph,
        angular: &Angular,
        (radial, mode): (&Radial<T>, Mode),
        energies: &mut [f64],
        pair: impl Fn(f64, [usize; 2]) -> (f64, f64) + Sync,
    ) {
        let lm = angular.len();
        let (energies, g) = (Shared(energies.as_mut_ptr()), Shared(self.g.as_mut_ptr()));
        let (bars, cells, width) = (&self.bar, &self.cell, edge_rows::<T>(lm));
        (0..graph.nodes().div_ceil(BLOCK)).into_par_iter().for_each(|b| {
            let (energies, g) = (&energies, &g);
            let (first, n) = nodes(b, graph);
            let mut components = [0.0; 49];
            for k in first..first + n {
                let mut energy = 0.0;
                for e in graph.row(k) {
                    let (d, r) = (graph.vectors()[e], graph.lengths()[e]);
                    let bar = &bars[e * width..(e + 1) * width];
                    // the constant harmonic has no derivative: its place holds that of the distance
                    for (to, y) in components[1..].iter_mut().zip(&bar[1..lm]) {
                        *to = y.to_f64();
                    }
                    let turn = angular.gradient(d, r, &components[..lm]);
                    let (u, slope) = pair(r, [k, graph.neighbors()[e] as usize]);
                    energy += u;
                    let along = bar[0].to_f64() * radial.slope_scale(mode, cells[e]) + slope;
                    let value = [0, 1, 2].map(|c| along * d[c] / r + turn[c]);
                    // SAFETY: the edges of this block
                    unsafe { *g.at(e) = value };
                }
                // SAFETY: the nodes of this block
                unsafe { *energies.at(k) += energy };
            }
        });
    }
    /// Memory held, bytes.
    pub(crate) fn bytes(&self) -> usize {
        self.y.bytes()
            + self.bar.bytes()
            + self.g.capacity() * 24
            + self.cell.capacity() * 4 * 3
            + (self.local.capacity() + self.hidden.capacity()) * size_of::<T>()
    }
}
