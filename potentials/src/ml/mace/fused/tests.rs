//! The kernels against the candle module at every stage, in double precision.
use super::*;
use crate::ml::checkpoint;
use crate::ml::differentiable::Edges as CandleEdges;
use crate::ml::mace::reference::Reference;
use caloron_engine::neighbors::Search;
use caloron_engine::{Cell, Input, Mat3, NeighborList, Species, System, Vec3, elements};
use candle_core::{DType, Device, Tensor, Var};
use std::path::Path;

/// Atoms of the model's elements in turn, pushed off a lattice in a skewed cell smaller than the cutoff.
fn scene(model: &Model) -> (System, Vec<Vec3>, Cell) {
    let species =
        |z: &u8| Species { symbol: elements::symbol(*z).unwrap().to_owned(), number: Some(*z), mass: 1.0 };
    let kinds = model.elements.len().min(3);
    let system = System::new(
        model.elements[..kinds].iter().map(species).collect(),
        (0..8).map(|k| k % kinds as u16).collect(),
    );
    let h = Mat3::new(5.1, 0.4, -0.3, 0.0, 5.4, 0.2, 0.1, 0.0, 5.6);
    let cell = Cell::from_matrix(h, [true; 3]).unwrap();
    let place = |k: u32| {
        let push = |c: f64| 0.05 * (f64::from(k) * 1.7 + c).sin();
        let site = [k & 1, k >> 1 & 1, k >> 2].map(|s| 0.5 * f64::from(s));
        cell.matrix() * Vec3::new(site[0] + push(0.3), site[1] + push(1.9), site[2] + push(4.1))
    };
    let positions = (0..8).map(place).collect();
    (system, positions, cell)
}

#[test]
fn every_stage_is_that_of_the_candle_module() {
    for name in [
        "density.model.gz",
        "correlation_4.model.gz",
        "features_3.model.gz",
        "models/a_tiny.model",
        "models/e_density_agnesi_zbl.model.gz",
        "models/f_three_layers.model.gz",
    ] {
        let path = if name.starts_with("models/") {
            caloron_engine::testing::reference(&format!("mace/{name}"))
        } else {
            Some(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/mace").join(name))
        };
        let Some(path) = path else { return };
        let model = Model::new(&checkpoint::load(path).unwrap()).unwrap();
        let (system, positions, cell) = scene(&model);
        let mut list = NeighborList::new(model.cutoff, 0.0, Search::Auto);
        list.update(&system, &positions, &cell);
        let mut graph = Graph::default();
        let input = Input { system: &system, positions: &positions, cell: &cell, neighbors: &list };
        graph.build(&input, model.cutoff);
        let map: Vec<usize> = (0..system.species().len()).collect();
        let mut fused = Fused::<f64>::new(&model, &map, 0);
        fused.set_mode(Mode::Exact);
        let (energies, g) = fused.evaluate(&graph, true).unwrap();
        let (energies, g) = (energies.to_vec(), g.to_vec());

        let elements: Vec<u32> = graph.species().iter().map(|s| u32::from(*s)).collect();
        let receivers: Vec<u32> =
            (0..graph.nodes()).flat_map(|k| vec![k as u32; graph.row(k).len()]).collect();
        let senders = graph.neighbors().to_vec();
        let flat: Vec<f64> = graph.vectors().iter().flatten().copied().collect();
        let vectors = Tensor::from_vec(flat, (graph.edges(), 3), &Device::Cpu).unwrap();
        let vectors = Var::from_tensor(&vectors).unwrap();
        let edges = CandleEdges {
            vectors: vectors.as_tensor(),
            receivers: &receivers,
            senders: &senders,
            elements: &elements,
        };
        let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
        let stages = candle.forward(&edges, 0).unwrap();

        let (nodes, channels) = (graph.nodes(), model.channels);
        let all = Rows { nodes, start: 0 };
        // rows of a degree, [node][m][channel], against a tensor of the same shape
        let check = |what: String, from: &[f64], at: usize, l: usize, tensor: &Tensor| {
            let width = 2 * l + 1;
            let expected: Vec<f64> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            assert_eq!(expected.len(), nodes * width * channels, "{name}: {what}");
            let scale = expected.iter().fold(1e-3f64, |s, x| s.max(x.abs()));
            for (k, expected) in expected.chunks_exact(channels).enumerate() {
                let row = (all.row(at, width, 0) + k) * fused.stride;
                for (a, b) in from[row..row + channels].iter().zip(expected) {
                    assert!((a - b).abs() < 1e-11 * scale, "{name}: {what}, row {k}: {a} {b} of {scale}");
                }
            }
        };
        let last = model.layers.len() - 1;
        for t in 0..last {
            for l in 0..=model.lmax {
                let tensor = stages.messages[t].narrow(1, l * l, 2 * l + 1).unwrap();
                check(format!("messages of layer {t}, degree {l}"), &fused.state.a[t], l * l, l, &tensor);
            }
            let output = &fused.layers[t].output;
            for (k, &l) in output.iter().enumerate() {
                let (h, at) = (&fused.state.h[t + 1], offset(output, k));
                check(format!("features after layer {t}, degree {l}"), h, at, l, &stages.features[t][k]);
            }
        }
        let expected: Vec<f64> = stages.energies.to_vec1().unwrap();
        for (a, b) in energies.iter().zip(&expected) {
            assert!((a - b).abs() < 1e-11 * b.abs().max(1.0), "{name}: site energies {a} {b}");
        }
        let gradients = stages.energies.sum_all().unwrap().backward().unwrap();
        let expected: Vec<Vec<f64>> = gradients.get(vectors.as_tensor()).unwrap().to_vec2().unwrap();
        let scale = expected.iter().flatten().fold(1e-3f64, |s, x| s.max(x.abs()));
        for (a, b) in g.iter().zip(&expected) {
            for c in 0..3 {
                assert!((a[c] - b[c]).abs() < 1e-11 * scale, "{name}: derivative {a:?} {b:?} of {scale}");
            }
        }
    }
}
