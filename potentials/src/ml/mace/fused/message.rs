//! From features that are sent to messages and their products, and back.
use super::contraction::{Contraction, Rows};
use super::gate::parts;
use super::layer::{Weights, components, offset};
use super::{Fused, Geometry, Pass, Slot};
use crate::ml::fused::convolution::{Backward, Edges, Forward, edge_rows};
use crate::ml::fused::{BLOCK, Both, Shared, nodes};
use crate::ml::kernels::gemm;
use crate::simd::{Real, run_vector};
use rayon::prelude::*;

impl<T: Real> Fused<T> {
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
    /// Rows of a layer of which the last keeps those of a block only.
    fn kept(&self, t: usize, own: &mut [T], all: &[Shared<T>]) -> Shared<T> {
        if t + 1 == self.layers.len() { Shared(own.as_mut_ptr()) } else { all[t] }
    }
    /// Messages of the nodes of a block and their products.
    pub(super) fn forward(
        &self,
        t: usize,
        b: usize,
        slot: &mut Slot<T>,
        pass: &Pass<T>,
        geometry: &Geometry<'_, T>,
    ) {
        let (layer, stride) = (&self.layers[t], self.stride());
        let (first, n) = nodes(b, geometry.graph);
        let species = &geometry.graph.species()[first..first + n];
        let rows = self.a_rows(t, b, pass.nodes);
        let edges = self.edges(t, b, &mut slot.offsets, pass, geometry);
        let a = self.kept(t, &mut slot.a, &pass.a);
        let sums = if layer.gate.is_some() { self.kept(t, &mut slot.sums, &pass.sums) } else { a };
        let part = |at: usize, width: usize| {
            // SAFETY: the rows of these nodes
            unsafe { sums.slice(rows.row(at, width, 0) * stride, n * width * stride) }
        };
        let mut started = [false; 16];
        for (number, path) in layer.paths.iter().enumerate() {
            let out = slot.path.as_mut_ptr();
            let weights = &self.radial.layers[t];
            run_vector(self.level, Forward { edges, path, number, weights, mode: pass.mode, out });
            let l = path.degrees[2];
            let width = 2 * l + 1;
            let (from, to) = ((&slot.path[..], path.sums), (part(l * l, width), stride));
            self.mix(&layer.mix[number], false, species, width, from, to, started[l]);
            for (k, w) in layer.gate.iter().flat_map(|g| &g.gates[number]).enumerate() {
                let to = (part(self.angular.len() + k, 1), stride);
                gemm::multiply(self.level, n, from, &w.forward, to, started[l]);
            }
            started[l] = true;
        }
        for l in (0..=self.lmax).filter(|l| !started[*l]) {
            part(l * l, 2 * l + 1).fill(T::default());
        }
        if let Some([alpha, beta]) = layer.density {
            let mut factors = [T::default(); BLOCK];
            for (k, factor) in factors[..n].iter_mut().enumerate() {
                let mut sum = 0.0;
                for e in geometry.graph.row(first + k) {
                    sum += geometry.edges.density(&self.radial, t, e, pass.mode)[0].to_f64();
                }
                *factor = T::from_f64(1.0 / (alpha + beta * sum));
            }
            // SAFETY: places of these nodes
            unsafe { pass.inverse[t].slice(first, n) }.copy_from_slice(&factors[..n]);
            for (at, width) in parts(self.lmax, layer.gate.is_some()) {
                scale(part(at, width), width * stride, &factors[..n]);
            }
        }
        if let Some(gate) = &layer.gate {
            self.gate((t, b), gate, (sums, a, rows), slot, pass, geometry);
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
                stride: self.stride(),
                scratch: slot.contraction.as_mut_ptr(),
            },
        );
    }
    /// Rows of nodes times one matrix, or that of their species. Rows follow each other at strides.
    #[expect(clippy::too_many_arguments, reason = "a product with what it needs")]
    pub(super) fn mix(
        &self,
        by: &[Both<T>],
        backward: bool,
        species: &[u16],
        width: usize,
        (from, from_stride): (&[T], usize),
        (to, to_stride): (&mut [T], usize),
        add: bool,
    ) {
        let mut k = 0;
        while k < species.len() {
            // a run of nodes with the same matrix
            let (run, which) = if by.len() == 1 {
                (species.len(), 0)
            } else {
                (species[k..].iter().take_while(|s| **s == species[k]).count(), usize::from(species[k]))
            };
            let w = if backward { &by[which].backward } else { &by[which].forward };
            let (from, to) = (&from[k * width * from_stride..], &mut to[k * width * to_stride..]);
            gemm::multiply(self.level, run * width, (from, from_stride), w, (to, to_stride), add);
            k += run;
        }
    }
    /// From derivatives with respect to products to those with respect to edges and what the sources sent.
    pub(super) fn backward(
        &self,
        t: usize,
        b: usize,
        slot: &mut Slot<T>,
        pass: &Pass<T>,
        geometry: &Geometry<'_, T>,
    ) {
        let (layer, stride) = (&self.layers[t], self.stride());
        let graph = geometry.graph;
        let (first, n) = nodes(b, graph);
        let species = &graph.species()[first..first + n];
        let rows = self.a_rows(t, b, pass.nodes);
        let block = Rows { nodes: BLOCK, start: 0 };
        let a = self.kept(t, &mut slot.a, &pass.a);
        self.contract(layer, species, (a, rows), slot, true);
        let (sums, residual) = match &layer.gate {
            Some(gate) => {
                let sums = self.kept(t, &mut slot.sums, &pass.sums);
                (sums, self.gate_backward((t, b), gate, (sums, rows), slot, pass, geometry))
            }
            None => (a, [0.0; BLOCK]),
        };
        let gated = layer.gate.is_some();
        let bar = if gated { &mut slot.sums_bar } else { &mut slot.a_bar };
        if let Some([_, beta]) = layer.density {
            // SAFETY: places of the nodes of this block
            let inverse = unsafe { pass.inverse[t].slice(first, n) };
            for (k, inverse) in inverse.iter().enumerate() {
                let mut sum = -residual[k];
                for (at, width) in parts(self.lmax, gated) {
                    let len = width * stride;
                    // SAFETY: rows of this node
                    let values = unsafe { sums.slice(rows.row(at, width, k) * stride, len) };
                    let bar = &bar[block.row(at, width, k) * stride..][..len];
                    for (x, bar) in values.chunks_exact(stride).zip(bar.chunks_exact(stride)) {
                        for (x, bar) in x[..self.rows.padded].iter().zip(bar) {
                            sum += x.to_f64() * bar.to_f64();
                        }
                    }
                }
                let by = T::from_f64(-sum * beta * inverse.to_f64());
                for e in graph.row(first + k) {
                    let slope = geometry.edges.density(&self.radial, t, e, pass.mode)[1];
                    // SAFETY: the edges of this block
                    unsafe { *pass.edge_bar.at(e * edge_rows::<T>(self.angular.len())) += by * slope };
                }
            }
            for (at, width) in parts(self.lmax, gated) {
                scale(&mut bar[block.row(at, width, 0) * stride..], width * stride, inverse);
            }
        }
        let mut starts = [0usize; 128];
        let mut row = 0;
        for (number, path) in layer.paths.iter().enumerate() {
            let l = path.degrees[2];
            let width = 2 * l + 1;
            starts[number] = row * path.sums;
            let from = (&bar[block.row(l * l, width, 0) * stride..], stride);
            let to = &mut slot.bars[row * path.sums..];
            self.mix(&layer.mix[number], true, species, width, from, (to, path.sums), false);
            for (k, w) in layer.gate.iter().flat_map(|g| &g.gates[number]).enumerate() {
                let from = (&bar[block.row(self.angular.len() + k, 1, 0) * stride..], stride);
                let to = (&mut slot.bars[row * path.sums..], path.sums);
                gemm::multiply(self.level, n, from, &w.backward, to, true);
            }
            row += BLOCK * width;
        }
        let h_rows = components(&layer.sent);
        let h_count = geometry.edges.sources[b].len();
        let chunks = layer.along.padded / T::LANES;
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
    pub(super) fn collect(
        &self,
        t: usize,
        first: usize,
        slots: &[Slot<T>],
        pass: &Pass<T>,
        geometry: &Geometry<'_, T>,
    ) {
        let (lanes, layer) = (T::LANES, &self.layers[t]);
        let (sent, stride) = (&layer.sent, layer.along.stride);
        let h_rows = components(sent);
        let mut row_of = [[0usize; 3]; 49];
        let mut count = 0;
        for (k, l) in sent.iter().enumerate() {
            for m in 0..2 * l + 1 {
                row_of[count] = [offset(sent, k), 2 * l + 1, m];
                count += 1;
            }
        }
        let all = Rows { nodes: pass.nodes, start: 0 };
        (0..layer.along.padded / lanes).into_par_iter().for_each(|chunk| {
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
}

/// Multiplies what belongs to nodes, `len` numbers each, by a number for each.
fn scale<T: Real>(x: &mut [T], len: usize, factors: &[T]) {
    for (row, f) in x.chunks_exact_mut(len).zip(factors) {
        for v in row {
            *v = *v * *f;
        }
    }
}
