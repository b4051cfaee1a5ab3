//! From products to features and energies, and back.
use super::contraction::Rows;
use super::layer::{Energies, offset, place};
use super::{Fused, Geometry, Pass, Slot};
use crate::ml::fused::{BLOCK, nodes};
use crate::ml::kernels::gemm;
use crate::ml::radial::NetworkScratch;
use crate::simd::Real;

impl<T: Real> Fused<T> {
    /// Features that go out of a layer that is not the last, what the next sends, and energies.
    pub(super) fn features(
        &self,
        t: usize,
        b: usize,
        slot: &mut Slot<T>,
        pass: &Pass<T>,
        geometry: &Geometry<'_, T>,
    ) {
        let (layer, next, stride) = (&self.layers[t], &self.layers[t + 1], self.stride());
        let (first, n) = nodes(b, geometry.graph);
        let species = &geometry.graph.species()[first..first + n];
        let all = Rows { nodes: pass.nodes, start: first };
        let block = Rows { nodes: BLOCK, start: 0 };
        for (k, &l) in layer.output.iter().enumerate() {
            let (at, width) = (offset(&layer.output, k), 2 * l + 1);
            let len = n * width * stride;
            let start = all.row(at, width, 0) * stride;
            // SAFETY: rows of the nodes of this block
            let h = unsafe { pass.h[t + 1].slice(start, len) };
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
                let place = place(&layer.input, l).unwrap_or(0);
                let from = all.row(offset(&layer.input, place), width, 0) * stride;
                // SAFETY: as above
                let before = unsafe { pass.h[t].slice(from, len) };
                self.mix(skip, false, species, width, (before, stride), (h, stride), true);
            }
            if let (0, Some(constant)) = (l, &layer.constant) {
                for (row, s) in h.chunks_exact_mut(stride).zip(species) {
                    for (v, c) in row.iter_mut().zip(&constant[usize::from(*s) * stride..]) {
                        *v += *c;
                    }
                }
            }
            if let Some(k) = place(&next.sent, l) {
                let along = next.along.stride;
                let start = all.row(offset(&next.sent, k), width, 0) * along;
                // SAFETY: as above
                let up = unsafe { pass.up[t + 1].slice(start, n * width * along) };
                gemm::multiply(self.level, n * width, (h, stride), &next.up[k].forward, (up, along), false);
            }
            if let (0, Some(readout)) = (l, &layer.readout) {
                let pre = (&mut slot.pre[..], readout.padded());
                gemm::multiply(self.level, n, (h, stride), &readout.first.forward, pre, false);
                // SAFETY: as above
                let bar = unsafe { pass.pre_bar[t].slice(first * stride, n * stride) };
                self.read(readout, first, &slot.pre, bar, pass);
            }
        }
    }
    /// Energies from readout values, and the derivatives with respect to them.
    fn read(&self, readout: &Energies<T>, first: usize, pre: &[T], bar: &mut [T], pass: &Pass<T>) {
        let (padded, count) = (readout.padded(), readout.network.layers[0].outputs);
        let n = BLOCK.min(pass.nodes - first);
        // SAFETY: the energies of the nodes of this block
        let energies = unsafe { pass.energies.slice(first, n) };
        let (mut x, mut scratch) = (Vec::with_capacity(count), NetworkScratch::default());
        for (k, energy) in energies.iter_mut().enumerate() {
            x.clear();
            x.extend(pre[k * padded..][..count].iter().map(|v| v.to_f64()));
            *energy += self.scale * readout.network.from_first(&mut x, &mut scratch);
            for (to, g) in bar[k * self.stride()..].iter_mut().zip(&x) {
                *to = T::from_f64(self.scale * g);
            }
        }
    }
    /// Readout of the last layer and the derivatives with respect to its products.
    pub(super) fn energies(&self, b: usize, slot: &mut Slot<T>, pass: &Pass<T>, geometry: &Geometry<'_, T>) {
        let t = self.layers.len() - 1;
        let (layer, stride) = (&self.layers[t], self.stride());
        let (first, n) = nodes(b, geometry.graph);
        let species = &geometry.graph.species()[first..first + n];
        // the last layer has one
        let Some(readout) = &layer.readout else { return };
        let padded = readout.padded();
        let (pre, bar) = slot.pre.split_at_mut(BLOCK * stride);
        gemm::multiply(self.level, n, (&slot.b, stride), &readout.first.forward, (pre, padded), false);
        let all = Rows { nodes: pass.nodes, start: first };
        if let Some(skip) = &readout.skip {
            // SAFETY: rows of the nodes of this block
            let h = unsafe { pass.h[t].slice(all.row(0, 1, 0) * stride, n * stride) };
            self.mix(skip, false, species, 1, (h, stride), (pre, padded), true);
        }
        if let Some(constant) = &readout.constant {
            for (to, s) in pre.chunks_exact_mut(padded).zip(species) {
                for (v, c) in to.iter_mut().zip(&constant[usize::from(*s)]) {
                    *v += T::from_f64(*c);
                }
            }
        }
        self.read(readout, first, pre, bar, pass);
        gemm::multiply(self.level, n, (bar, stride), &readout.first.backward, (&mut slot.b, stride), false);
        if t > 0 {
            self.clear_h_bar(t, first, n, pass);
            if let Some(skip) = &readout.skip {
                // SAFETY: as above
                let to = unsafe { pass.h_bar[t].slice(all.row(0, 1, 0) * stride, n * stride) };
                self.mix(skip, true, species, 1, (bar, stride), (to, stride), false);
            }
        }
    }
    /// Zeroes the derivatives with respect to the features that come in.
    fn clear_h_bar(&self, t: usize, first: usize, n: usize, pass: &Pass<T>) {
        let (layer, stride) = (&self.layers[t], self.stride());
        let all = Rows { nodes: pass.nodes, start: first };
        for (k, l) in layer.input.iter().enumerate() {
            let (at, width) = (offset(&layer.input, k), 2 * l + 1);
            // SAFETY: rows of the nodes of this block
            unsafe { pass.h_bar[t].slice(all.row(at, width, 0) * stride, n * width * stride) }
                .fill(T::default());
        }
    }
    /// Derivatives with respect to the products of a layer that is not the last.
    pub(super) fn features_backward(
        &self,
        t: usize,
        b: usize,
        slot: &mut Slot<T>,
        pass: &Pass<T>,
        geometry: &Geometry<'_, T>,
    ) {
        let (layer, next, stride) = (&self.layers[t], &self.layers[t + 1], self.stride());
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
            let h_bar = unsafe { pass.h_bar[t + 1].slice(start, len) };
            let bar = &mut slot.h_bar[local..local + len];
            bar.copy_from_slice(h_bar);
            if let Some(k) = place(&next.sent, l) {
                let along = next.along.stride;
                let start = all.row(offset(&next.sent, k), width, 0) * along;
                // SAFETY: as above
                let up_bar = unsafe { pass.up_bar[t + 1].slice(start, n * width * along) };
                let (from, to) = ((&*up_bar, along), (&mut *bar, stride));
                gemm::multiply(self.level, n * width, from, &next.up[k].backward, to, true);
            }
            if let (0, Some(readout)) = (l, &layer.readout) {
                // SAFETY: as above
                let pre = unsafe { pass.pre_bar[t].slice(first * stride, n * stride) };
                gemm::multiply(self.level, n, (pre, stride), &readout.first.backward, (bar, stride), true);
            }
            let to = (&mut slot.b[local..local + len], stride);
            gemm::multiply(self.level, n * width, (bar, stride), &layer.linear[k].backward, to, false);
            if let Some(skip) = &layer.skip[k] {
                let place = place(&layer.input, l).unwrap_or(0);
                let to = all.row(offset(&layer.input, place), width, 0) * stride;
                // SAFETY: as above
                let before = unsafe { pass.h_bar[t].slice(to, len) };
                self.mix(skip, true, species, width, (bar, stride), (before, stride), false);
            }
        }
    }
}
