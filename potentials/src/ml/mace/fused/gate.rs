//! The non-linear end of a convolution: what the atom itself sends is added to the sum over neighbours, scalars go through silu, features of
//! higher degree are multiplied with sigmoids of gates of their own.
//!
//! Rows of the sum are those of the messages, and behind them one of gates for each degree beyond 0.
use super::contraction::Rows;
use super::layer::{GateWeights, offset};
use super::{Fused, Geometry, Pass, Slot};
use crate::ml::fused::{BLOCK, Shared, nodes};
use crate::ml::kernels::gemm;
use crate::simd::{Real, Vector, VectorKernel, run_vector};

/// Rows of a block.
const LOCAL: Rows = Rows { nodes: BLOCK, start: 0 };

/// First component and number of components of the parts of a sum.
pub fn parts(lmax: usize, gated: bool) -> impl Iterator<Item = (usize, usize)> {
    let gates = if gated { lmax } else { 0 };
    (0..=lmax).map(|l| (l * l, 2 * l + 1)).chain((0..gates).map(move |k| ((lmax + 1) * (lmax + 1) + k, 1)))
}

impl<T: Real> Fused<T> {
    /// What the nodes of a block send, in rows of the block.
    fn own(&self, t: usize, b: usize, own: &mut [T], pass: &Pass<T>, geometry: &Geometry<'_, T>) {
        let layer = &self.layers[t];
        let stride = layer.along.stride;
        let (first, n) = nodes(b, geometry.graph);
        if t == 0 {
            let species = &geometry.graph.species()[first..first + n];
            for (row, s) in own.chunks_exact_mut(stride).zip(species) {
                row.copy_from_slice(&self.first[usize::from(*s) * stride..][..stride]);
            }
            return;
        }
        let all = Rows { nodes: pass.nodes, start: first };
        for (k, l) in layer.sent.iter().enumerate() {
            let (at, width) = (offset(&layer.sent, k), 2 * l + 1);
            let len = n * width * stride;
            // SAFETY: rows of the nodes of this block
            let from = unsafe { pass.up[t].slice(all.row(at, width, 0) * stride, len) };
            own[LOCAL.row(at, width, 0) * stride..][..len].copy_from_slice(from);
        }
    }
    /// From sums over neighbours, to which the residual is added, to messages `a`; both have these rows.
    pub(super) fn gate(
        &self,
        (t, b): (usize, usize),
        gate: &GateWeights<T>,
        (sums, a, rows): (Shared<T>, Shared<T>, Rows),
        slot: &mut Slot<T>,
        pass: &Pass<T>,
        geometry: &Geometry<'_, T>,
    ) {
        let (layer, stride) = (&self.layers[t], self.stride());
        let n = nodes(b, geometry.graph).1;
        self.own(t, b, &mut slot.own, pass, geometry);
        // SAFETY: rows of the nodes of this block
        let sum = |at: usize, width: usize| unsafe {
            sums.slice(rows.row(at, width, 0) * stride, n * width * stride)
        };
        let own = |k: usize, width: usize| {
            (
                &slot.own[LOCAL.row(offset(&layer.sent, k), width, 0) * layer.along.stride..],
                layer.along.stride,
            )
        };
        for (k, (l, w)) in layer.sent.iter().zip(&gate.residual).enumerate() {
            let width = 2 * l + 1;
            let to = (sum(l * l, width), stride);
            gemm::multiply(self.level, n * width, own(k, width), &w.forward, to, true);
        }
        for (k, w) in gate.residual_gates.iter().enumerate() {
            let to = (sum(self.angular.len() + k, 1), stride);
            gemm::multiply(self.level, n, own(0, 1), &w.forward, to, true);
        }
        let (lmax, z) = (self.lmax, slot.z.as_mut_ptr());
        let bar = std::ptr::null_mut();
        let kernel =
            Kernel { count: n, lmax, channels: self.rows.padded, stride, sums: sums.0, rows, z, bar };
        run_vector(self.level, kernel);
        for (l, w) in gate.linear.iter().enumerate() {
            let width = 2 * l + 1;
            let from = (&slot.z[LOCAL.row(l * l, width, 0) * stride..], stride);
            // SAFETY: as above
            let message = unsafe { a.slice(rows.row(l * l, width, 0) * stride, n * width * stride) };
            let to = (message, stride);
            gemm::multiply(self.level, n * width, from, &w.forward, to, false);
        }
    }
    /// From derivatives with respect to messages (`slot.a_bar`) to those with respect to the sums (`slot.sums_bar`) and to what the nodes send.
    /// Gives for each node Σ (residual · derivative).
    pub(super) fn gate_backward(
        &self,
        (t, b): (usize, usize),
        gate: &GateWeights<T>,
        (sums, rows): (Shared<T>, Rows),
        slot: &mut Slot<T>,
        pass: &Pass<T>,
        geometry: &Geometry<'_, T>,
    ) -> [f64; BLOCK] {
        let (layer, stride) = (&self.layers[t], self.stride());
        let (first, n) = nodes(b, geometry.graph);
        for (l, w) in gate.linear.iter().enumerate() {
            let at = LOCAL.row(l * l, 2 * l + 1, 0) * stride;
            let (from, to) = ((&slot.a_bar[at..], stride), (&mut slot.z[at..], stride));
            gemm::multiply(self.level, n * (2 * l + 1), from, &w.backward, to, false);
        }
        let (lmax, z, bar) = (self.lmax, slot.z.as_mut_ptr(), slot.sums_bar.as_mut_ptr());
        let kernel =
            Kernel { count: n, lmax, channels: self.rows.padded, stride, sums: sums.0, rows, z, bar };
        run_vector(self.level, kernel);
        self.own(t, b, &mut slot.own, pass, geometry);
        let along = layer.along.stride;
        let all = Rows { nodes: pass.nodes, start: first };
        let mut dots = [0.0; BLOCK];
        for (k, (l, w)) in layer.sent.iter().zip(&gate.residual).enumerate() {
            let (at, width) = (offset(&layer.sent, k), 2 * l + 1);
            let from = (&slot.sums_bar[LOCAL.row(l * l, width, 0) * stride..], stride);
            let own_bar = &mut slot.own_bar;
            gemm::multiply(self.level, n * width, from, &w.backward, (own_bar, along), false);
            for (g, w) in gate.residual_gates.iter().enumerate().filter(|_| *l == 0) {
                let from = (&slot.sums_bar[LOCAL.row(self.angular.len() + g, 1, 0) * stride..], stride);
                gemm::multiply(self.level, n, from, &w.backward, (own_bar, along), true);
            }
            let own = &slot.own[LOCAL.row(at, width, 0) * along..];
            let rows = own.chunks_exact(along).zip(own_bar.chunks_exact(along)).take(n * width);
            for (row, (own, bar)) in rows.enumerate() {
                let products = own.iter().zip(bar).take(layer.along.padded);
                dots[row / width] += products.map(|(x, g)| x.to_f64() * g.to_f64()).sum::<f64>();
            }
            if t > 0 {
                // SAFETY: rows of the nodes of this block
                let to = unsafe { pass.up_bar[t].slice(all.row(at, width, 0) * along, n * width * along) };
                for (to, bar) in to.chunks_exact_mut(along).zip(own_bar.chunks_exact(along)) {
                    for (v, g) in to.iter_mut().zip(bar).take(layer.along.padded) {
                        *v += *g;
                    }
                }
            }
        }
        dots
    }
}

/// The gate, or its reverse.
struct Kernel<T> {
    /// Number of nodes.
    count: usize,
    lmax: usize,
    channels: usize,
    stride: usize,
    /// Sums.
    sums: *const T,
    rows: Rows,
    /// Gated features (written), or in reverse derivatives with respect to them, in rows of the block.
    z: *mut T,
    /// In reverse: derivatives with respect to the sums (written), in rows of the block; null otherwise.
    bar: *mut T,
}

impl<T: Real> VectorKernel<T> for Kernel<T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let one = V::splat(T::from_f64(1.0));
        let gates = (self.lmax + 1) * (self.lmax + 1);
        for n in 0..self.count {
            for c in (0..self.channels).step_by(T::LANES) {
                for l in 0..=self.lmax {
                    let width = 2 * l + 1;
                    let (gate, gate_width) = if l == 0 { (0, 1) } else { (gates + l - 1, 1) };
                    let of = |rows: Rows, at: usize, width: usize, m: usize| {
                        (rows.row(at, width, n) + m) * self.stride + c
                    };
                    // SAFETY: the caller gives arrays with these rows
                    unsafe {
                        let g = V::load(self.sums.add(of(self.rows, gate, gate_width, 0)));
                        let s = g.one_plus_exp_minus().reciprocal();
                        let value = |m: usize| V::load(self.sums.add(of(self.rows, l * l, width, m)));
                        let z = |m: usize| self.z.add(of(LOCAL, l * l, width, m));
                        if self.bar.is_null() {
                            for m in 0..width {
                                (value(m) * s).store(z(m));
                            }
                            continue;
                        }
                        let bar = |at: usize, width: usize, m: usize| self.bar.add(of(LOCAL, at, width, m));
                        if l == 0 {
                            // (x σ(x))' = σ(x) (1 + x (1 − σ(x)))
                            (V::load(z(0)) * (s * g.mul_add(one - s, one))).store(bar(0, 1, 0));
                            continue;
                        }
                        let mut sum = V::splat(T::default());
                        for m in 0..width {
                            let z = V::load(z(m));
                            sum = z.mul_add(value(m), sum);
                            (z * s).store(bar(l * l, width, m));
                        }
                        (sum * s * (one - s)).store(bar(gate, 1, 0));
                    }
                }
            }
        }
    }
}
