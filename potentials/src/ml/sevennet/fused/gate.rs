//! The gate: scalars go through the activation, features of higher degree are multiplied with activated scalars of their own.
use super::layer::{Layout, Part};
use crate::ml::equivariant::Activation;
use crate::simd::{Real, Vector, VectorKernel};

/// Rows of features of some nodes.
#[derive(Clone, Copy)]
pub struct Rows<T> {
    /// Start of the memory.
    pub start: *mut T,
    /// Nodes in it.
    pub nodes: usize,
    /// The first of those that are meant.
    pub first: usize,
}

impl<T> Rows<T> {
    /// The first number of a degree of a node.
    ///
    /// # Safety
    /// The memory must hold it.
    #[inline(always)]
    unsafe fn at(&self, part: &Part, node: usize) -> *mut T {
        // SAFETY: as the caller promises
        unsafe { self.start.add(part.at(self.nodes, self.first + node)) }
    }
}

/// The gate of the nodes of a block.
pub struct Gate<'a, T> {
    /// Number of nodes.
    pub count: usize,
    /// What enters.
    pub gate: &'a Layout,
    /// What goes out.
    pub output: &'a Layout,
    /// Where the gates of each degree start.
    pub gates: &'a [usize],
    /// Values that enter.
    pub values: Rows<T>,
    /// Forward: results. Reverse: derivatives with respect to them.
    pub features: Rows<T>,
    /// In the reverse pass: derivatives with respect to what enters.
    pub bar: Option<Rows<T>>,
}

/// c f(x) and c f'(x) of silu.
#[inline(always)]
fn silu<V: Vector>(x: V) -> (V, V) {
    let one = V::splat(V::Scalar::from_f64(1.0));
    let c = V::splat(V::Scalar::from_f64(Activation::Silu.constant()));
    let s = x.one_plus_exp_minus().reciprocal();
    let cs = c * s;
    (x * cs, cs * x.mul_add(one - s, one))
}

impl<T: Real> VectorKernel<T> for Gate<'_, T> {
    type Output = ();
    #[inline(always)]
    fn run<V: Vector<Scalar = T>>(self) {
        let lanes = T::LANES;
        for n in 0..self.count {
            for (k, (inner, outer)) in self.gate.parts.iter().zip(&self.output.parts).enumerate() {
                // SAFETY: rows of the nodes of this block
                unsafe {
                    let gates = self.values.at(&self.gate.parts[0], n).add(self.gates[k]);
                    let values = self.values.at(inner, n);
                    let features = self.features.at(outer, n);
                    let bar = self.bar.unwrap_or(self.values);
                    let gates_bar = bar.at(&self.gate.parts[0], n).add(self.gates[k]);
                    let values_bar = bar.at(inner, n);
                    for c in (0..outer.padded).step_by(lanes) {
                        let (f, slope) = silu(V::load(gates.add(c)));
                        match (self.bar.is_some(), k) {
                            (false, 0) => f.store(features.add(c)),
                            (false, _) => {
                                for m in 0..outer.width {
                                    let x = V::load(values.add(m * inner.stride + c));
                                    (x * f).store(features.add(m * outer.stride + c));
                                }
                            }
                            (true, 0) => (V::load(features.add(c)) * slope).store(gates_bar.add(c)),
                            (true, _) => {
                                let mut sum = V::splat(T::default());
                                for m in 0..outer.width {
                                    let bar = V::load(features.add(m * outer.stride + c));
                                    sum = bar.mul_add(V::load(values.add(m * inner.stride + c)), sum);
                                    (bar * f).store(values_bar.add(m * inner.stride + c));
                                }
                                (sum * slope).store(gates_bar.add(c));
                            }
                        }
                    }
                }
            }
        }
    }
}
