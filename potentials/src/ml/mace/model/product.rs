//! The symmetric contraction of a layer.
use super::reader::Reader;
use super::{Read, content};
use crate::ml::checkpoint::Fault;
use crate::ml::radial::Dense;
use std::collections::BTreeMap;

/// The symmetric contraction to one degree and the linear map behind it.
#[derive(Clone, Debug)]
pub struct Product {
    /// Degree.
    pub l: usize,
    /// Whether the weights are the same for all elements.
    pub agnostic: bool,
    /// Products of components that occur, as ascending lists of components.
    pub monomials: Vec<Vec<u8>>,
    /// By order: terms and weights.
    pub orders: Vec<Order>,
    /// (C, C).
    pub linear: Dense,
}

/// Terms of one order of a contraction.
#[derive(Clone, Debug)]
pub struct Order {
    /// Monomial, component m of the result, weight k, coefficient.
    pub terms: Vec<(u32, u8, u16, f64)>,
    /// Number of weights K.
    pub count: usize,
    /// (elements, K, C), or (1, K, C) for all elements.
    pub weights: Vec<f64>,
}

impl Reader<'_> {
    /// The products of layer `t` to the degrees that go out.
    pub fn products(&self, t: usize, output: &[usize], lmax: usize) -> Read<Vec<Product>> {
        let c = self.channels;
        let linear = self.mixing(&format!("products.{t}.linear.weight"), output.len(), c, c)?;
        let products: Vec<Product> = output
            .iter()
            .zip(linear)
            .enumerate()
            .map(|(k, (&l, linear))| {
                let module = format!("products.{t}.symmetric_contractions.contractions.{k}");
                self.product(&module, l, lmax, linear)
            })
            .collect::<Read<_>>()?;
        if products.windows(2).any(|p| p[0].agnostic != p[1].agnostic) {
            return content(format!("some of `products.{t}` depend on the element and some do not"));
        }
        Ok(products)
    }
    fn product(&self, module: &str, l: usize, lmax: usize, linear: Dense) -> Read<Product> {
        let (c, e) = (self.channels, self.elements);
        let size = (lmax + 1) * (lmax + 1);
        let highest = (1..).take_while(|n| self.has(&format!("{module}.U_matrix_{n}"))).last().unwrap_or(0);
        if !(1..=4).contains(&highest) {
            return Err(Fault::Unsupported(format!(
                "a symmetric contraction of order {highest} in `{module}`"
            )));
        }
        let mut index: BTreeMap<Vec<u8>, u32> = BTreeMap::new();
        let mut orders = Vec::new();
        let agnostic = self.file.tensor(&format!("{module}.weights_max"))?.shape().first() == Some(&1);
        let rows = if agnostic { 1 } else { e };
        for order in 1..=highest {
            let name = format!("{module}.U_matrix_{order}");
            let tensor = self.file.tensor(&name)?;
            let mut shape = vec![size; order];
            if l > 0 {
                shape.insert(0, 2 * l + 1);
            }
            let count = tensor.shape().last().copied().unwrap_or(0);
            shape.push(count);
            if tensor.shape() != shape || count > usize::from(u16::MAX) {
                return content(format!(
                    "tensor `{name}` has the shape {:?}, expected {shape:?}",
                    tensor.shape()
                ));
            }
            let which = if order == highest {
                format!("{module}.weights_max")
            } else {
                format!("{module}.weights.{}", highest - 1 - order)
            };
            let weights = self.file.numbers(&which, &[rows, count, c])?;
            let mut sums: BTreeMap<(u32, u8, u16), f64> = BTreeMap::new();
            for (n, value) in tensor.to_f64().into_iter().enumerate() {
                if value == 0.0 {
                    continue;
                }
                let (k, mut rest) = (n % count, n / count);
                let mut components = vec![0u8; order];
                for slot in components.iter_mut().rev() {
                    *slot = (rest % size) as u8;
                    rest /= size;
                }
                components.sort_unstable();
                let next = index.len() as u32;
                let monomial = *index.entry(components).or_insert(next);
                *sums.entry((monomial, rest as u8, k as u16)).or_default() += value;
            }
            let terms =
                sums.into_iter().filter(|s| s.1.abs() > 1e-12).map(|((a, m, k), v)| (a, m, k, v)).collect();
            orders.push(Order { terms, count, weights });
        }
        let mut monomials = vec![Vec::new(); index.len()];
        for (components, k) in index {
            monomials[k as usize] = components;
        }
        Ok(Product { l, agnostic, monomials, orders, linear })
    }
}
