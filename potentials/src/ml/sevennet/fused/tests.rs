//! The kernels against the candle module at every stage, in double precision.
use super::*;
use crate::ml::checkpoint;
use crate::ml::differentiable::Edges as CandleEdges;
use crate::ml::sevennet::reference::Reference;
use caloron_engine::neighbors::Search;
use caloron_engine::{Cell, Input, Mat3, NeighborList, Species, System, Vec3, elements};
use candle_core::{DType, Device, Tensor, Var};

/// Eight atoms of three elements, pushed off a lattice in a skewed cell smaller than the cutoff.
fn scene(places: [usize; 3], symbols: [&str; 3]) -> (System, Vec<Vec3>, Cell, Vec<usize>) {
    let species =
        |s: &&str| Species { symbol: (*s).to_owned(), number: elements::atomic_number(s), mass: 1.0 };
    let system = System::new(symbols.iter().map(species).collect(), (0..8).map(|k| k % 3).collect());
    let h = Mat3::new(3.9, 0.4, -0.3, 0.0, 4.2, 0.2, 0.1, 0.0, 4.4);
    let cell = Cell::from_matrix(h, [true; 3]).unwrap();
    let place = |k: u32| {
        let push = |c: f64| 0.05 * (f64::from(k) * 1.7 + c).sin();
        let site = [k & 1, k >> 1 & 1, k >> 2].map(|s| 0.5 * f64::from(s));
        cell.matrix() * Vec3::new(site[0] + push(0.3), site[1] + push(1.9), site[2] + push(4.1))
    };
    (system, (0..8).map(place).collect(), cell, places.to_vec())
}

#[test]
fn every_stage_is_that_of_the_candle_module() {
    let Some(path) = caloron_engine::testing::reference("sevennet/checkpoint_sevennet_0.pth") else { return };
    let model = Model::new(&checkpoint::load(path).unwrap()).unwrap();
    let symbols = ["Li", "Mn", "O"];
    let place = |s: &str| {
        let number = elements::atomic_number(s).unwrap();
        model.elements.iter().position(|z| *z == number).unwrap()
    };
    let (system, positions, cell, map) = scene(symbols.map(place), symbols);
    let mut list = NeighborList::new(model.cutoff, 0.0, Search::Auto);
    list.update(&system, &positions, &cell);
    let mut graph = Graph::default();
    let input = Input { system: &system, positions: &positions, cell: &cell, neighbors: &list };
    graph.build(&input, model.cutoff);
    assert!(graph.edges() > 8 * graph.nodes());
    let mut fused = Fused::<f64>::new(&model, &map, 0);
    fused.set_mode(Mode::Exact);
    let (energies, g) = fused.evaluate(&graph, true).unwrap();
    let (energies, g) = (energies.to_vec(), g.to_vec());

    let elements: Vec<u32> = graph.species().iter().map(|s| map[usize::from(*s)] as u32).collect();
    let receivers: Vec<u32> = (0..graph.nodes()).flat_map(|k| vec![k as u32; graph.row(k).len()]).collect();
    let senders = graph.neighbors().to_vec();
    let flat: Vec<f64> = graph.vectors().iter().flatten().copied().collect();
    let vectors =
        Var::from_tensor(&Tensor::from_vec(flat, (graph.edges(), 3), &Device::Cpu).unwrap()).unwrap();
    let edges = CandleEdges {
        vectors: vectors.as_tensor(),
        receivers: &receivers,
        senders: &senders,
        elements: &elements,
    };
    let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
    let stages = candle.forward(&edges, 0).unwrap();

    // the last layer keeps nothing but energies
    let nodes = graph.nodes();
    for t in 0..model.layers.len() - 1 {
        let parts = &fused.layers[t].output.parts;
        assert_eq!(parts.len(), stages.features[t].len());
        for (k, (part, tensor)) in parts.iter().zip(&stages.features[t]).enumerate() {
            let (n, width, channels) = tensor.dims3().unwrap();
            assert_eq!((n, width), (nodes, part.width));
            let expected: Vec<f64> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            let scale = expected.iter().fold(0.0f64, |s, x| s.max(x.abs()));
            assert!(scale > 1e-6, "the numbers of layer {t} mean something");
            for (row, expected) in expected.chunks_exact(channels).enumerate() {
                let start = part.at(nodes, 0) + row * part.stride;
                for (a, b) in fused.state.x[t + 1][start..start + channels].iter().zip(expected) {
                    assert!((a - b).abs() < 1e-11 * scale, "layer {t}, part {k}: {a} {b} of {scale}");
                }
            }
        }
    }
    let expected: Vec<f64> = stages.energies.to_vec1().unwrap();
    for (a, b) in energies.iter().zip(&expected) {
        assert!((a - b).abs() < 1e-11 * b.abs().max(1.0), "site energies {a} {b}");
    }
    let gradients = stages.energies.sum_all().unwrap().backward().unwrap();
    let expected: Vec<Vec<f64>> = gradients.get(vectors.as_tensor()).unwrap().to_vec2().unwrap();
    let scale = expected.iter().flatten().fold(1e-3f64, |s, x| s.max(x.abs()));
    for (a, b) in g.iter().zip(&expected) {
        for c in 0..3 {
            assert!((a[c] - b[c]).abs() < 1e-11 * scale, "derivative {a:?} {b:?} of {scale}");
        }
    }
}
