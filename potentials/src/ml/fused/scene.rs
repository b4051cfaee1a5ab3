//! What the tests of kernels against candle share.
use crate::ml::differentiable::Edges;
use crate::ml::graph::Graph;
use caloron_engine::neighbors::Search;
use caloron_engine::{Cell, Input, Mat3, NeighborList, Species, System, Vec3, elements};
use candle_core::{Device, Tensor, Var};

/// Eight atoms.
pub(crate) struct Scene {
    pub system: System,
    pub positions: Vec<Vec3>,
    pub cell: Cell,
}

impl Scene {
    /// Elements in turn, pushed off a lattice in a skewed cell with these edges along the axes.
    pub(crate) fn new(symbols: &[&str], [x, y, z]: [f64; 3]) -> Self {
        let species =
            |s: &&str| Species { symbol: (*s).to_owned(), number: elements::atomic_number(s), mass: 1.0 };
        let kinds = symbols.len() as u16;
        let system = System::new(symbols.iter().map(species).collect(), (0..8).map(|k| k % kinds).collect());
        let h = Mat3::new(x, 0.4, -0.3, 0.0, y, 0.2, 0.1, 0.0, z);
        let cell = Cell::from_matrix(h, [true; 3]).unwrap();
        let place = |k: u32| {
            let push = |c: f64| 0.05 * (f64::from(k) * 1.7 + c).sin();
            let site = [k & 1, k >> 1 & 1, k >> 2].map(|s| 0.5 * f64::from(s));
            cell.matrix() * Vec3::new(site[0] + push(0.3), site[1] + push(1.9), site[2] + push(4.1))
        };
        let positions = (0..8).map(place).collect();
        Self { system, positions, cell }
    }
    pub(crate) fn graph(&self, cutoff: f64) -> Graph {
        let Self { system, positions, cell } = self;
        let mut list = NeighborList::new(cutoff, 0.0, Search::Auto);
        list.update(system, positions, cell);
        let mut graph = Graph::default();
        graph.build(&Input { system, positions, cell, neighbors: &list }, cutoff);
        graph
    }
}

/// A graph for candle.
pub(crate) struct ForCandle {
    vectors: Var,
    pub receivers: Vec<u32>,
    pub senders: Vec<u32>,
    elements: Vec<u32>,
}

impl ForCandle {
    /// `map`: places of the species in the model.
    pub(crate) fn new(graph: &Graph, map: &[usize]) -> Self {
        let flat: Vec<f64> = graph.vectors().iter().flatten().copied().collect();
        let vectors = Tensor::from_vec(flat, (graph.edges(), 3), &Device::Cpu).unwrap();
        Self {
            vectors: Var::from_tensor(&vectors).unwrap(),
            receivers: (0..graph.nodes()).flat_map(|k| vec![k as u32; graph.row(k).len()]).collect(),
            senders: graph.neighbors().to_vec(),
            elements: graph.species().iter().map(|s| map[usize::from(*s)] as u32).collect(),
        }
    }
    pub(crate) fn edges(&self) -> Edges<'_> {
        Edges {
            vectors: self.vectors.as_tensor(),
            receivers: &self.receivers,
            senders: &self.senders,
            elements: &self.elements,
        }
    }
    /// Derivatives of the sum of some energies with respect to the vectors, and the largest of them, at least 1e-3.
    pub(crate) fn gradients(&self, energies: &Tensor) -> (Vec<Vec<f64>>, f64) {
        let gradients = energies.sum_all().unwrap().backward().unwrap();
        let g: Vec<Vec<f64>> = gradients.get(self.vectors.as_tensor()).unwrap().to_vec2().unwrap();
        let scale = g.iter().flatten().fold(1e-3f64, |s, x| s.max(x.abs()));
        (g, scale)
    }
    /// Derivatives of the kernels are those of candle.
    pub(crate) fn assert_gradients(&self, name: &str, g: &[[f64; 3]], energies: &Tensor) {
        let (expected, scale) = self.gradients(energies);
        for (a, b) in g.iter().zip(&expected) {
            for c in 0..3 {
                assert!((a[c] - b[c]).abs() < 1e-11 * scale, "{name}: derivative {a:?} {b:?} of {scale}");
            }
        }
    }
}

/// Energies of the kernels are those of candle with `shift` added to each.
pub(crate) fn assert_energies(name: &str, energies: &[f64], candle: &Tensor, shift: f64) {
    let expected: Vec<f64> = candle.to_vec1().unwrap();
    for (a, b) in energies.iter().zip(&expected) {
        let b = b + shift;
        assert!((a - b).abs() < 1e-11 * b.abs().max(1.0), "{name}: site energies {a} {b}");
    }
}
