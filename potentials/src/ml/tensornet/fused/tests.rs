//! The kernels against the candle module at every stage, in double precision.
use super::*;
use crate::ml::checkpoint;
use crate::ml::differentiable::Edges;
use crate::ml::tensornet::{Reference, Units};
use crate::simd::Portable;
use caloron_engine::neighbors::Search;
use caloron_engine::{Cell, Input, Mat3, NeighborList, Species, System, Vec3, elements};
use candle_core::{DType, Device, Tensor, Var};

/// Atoms of the model's elements in turn, pushed off a lattice in a skewed cell smaller than the cutoff.
fn scene(model: &Model) -> (System, Vec<Vec3>, Cell) {
    let species =
        |z: &u8| Species { symbol: elements::symbol(*z).unwrap().to_owned(), number: Some(*z), mass: 1.0 };
    let system =
        System::new(model.elements[..3].iter().map(species).collect(), (0..8).map(|k| k % 3).collect());
    let h = Mat3::new(3.9, 0.4, -0.3, 0.0, 4.2, 0.2, 0.1, 0.0, 4.4);
    let cell = Cell::from_matrix(h, [true; 3]).unwrap();
    let place = |k: u32| {
        let push = |c: f64| 0.05 * (f64::from(k) * 1.7 + c).sin();
        let site = [k & 1, k >> 1 & 1, k >> 2].map(|s| 0.5 * f64::from(s));
        cell.matrix() * Vec3::new(site[0] + push(0.3), site[1] + push(1.9), site[2] + push(4.1))
    };
    let positions = (0..8).map(place).collect();
    (system, positions, cell)
}

/// Largest deviation of matrices (nodes, 3, 3, F) from rows of coordinates, relative to the largest number.
fn deviation(fused: &Fused<f64>, rows: &[f64], nodes: usize, tensor: &Tensor) -> f64 {
    let channels = tensor.dim(3).unwrap();
    let expected: Vec<f64> = tensor.flatten_all().unwrap().to_vec1().unwrap();
    let basis: Vec<[f64; 9]> = (0..9)
        .map(|k| {
            let mut t = [crate::simd::Vector::splat(0.0); 9];
            t[k] = crate::simd::Vector::splat(1.0);
            algebra::matrix::<Portable>(t).map(|x| crate::simd::Vector::sum(x) / 8.0)
        })
        .collect();
    let (mut scale, mut worst) = (0.0f64, 0.0f64);
    for n in 0..nodes {
        for c in 0..channels {
            let mut m = [0.0; 9];
            for (first, width) in PARTS {
                for k in 0..width {
                    let t = rows[(nodes * first + n * width + k) * fused.stride + c];
                    m.iter_mut().zip(&basis[first + k]).for_each(|(m, e)| *m += t * e);
                }
            }
            for (k, m) in m.iter().enumerate() {
                let x = expected[(n * 9 + k) * channels + c];
                scale = scale.max(x.abs());
                worst = worst.max((m - x).abs());
            }
        }
    }
    worst / scale
}

#[test]
fn every_stage_is_that_of_the_candle_module() {
    for name in ["o3_zbl", "so3_gauss_d2", "old_charged", "no_layers"] {
        let path = format!("{}/tests/data/tensornet/{name}.ckpt", env!("CARGO_MANIFEST_DIR"));
        let model = Model::new(&checkpoint::load(path).unwrap(), Units { energy: 1.0, length: 1.0 }).unwrap();
        // lengths of the model that is in nm are those of atoms here
        let (system, mut positions, mut cell) = scene(&model);
        if model.cutoff < 1.0 {
            positions.iter_mut().for_each(|x| *x *= 0.1);
            cell = Cell::from_matrix(cell.matrix() * 0.1, [true; 3]).unwrap();
        }
        let mut list = NeighborList::new(model.cutoff, 0.0, Search::Auto);
        list.update(&system, &positions, &cell);
        let mut graph = Graph::default();
        let input = Input { system: &system, positions: &positions, cell: &cell, neighbors: &list };
        graph.build(&input, model.cutoff);
        assert!(graph.edges() > 8 * graph.nodes());
        let charge = if model.charge { -1.0 } else { 0.0 };
        let mut fused = Fused::<f64>::new(&model, &[0, 1, 2], charge);
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
        let edges = Edges {
            vectors: vectors.as_tensor(),
            receivers: &receivers,
            senders: &senders,
            elements: &elements,
        };
        let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
        let stages = candle.forward(&edges, charge).unwrap();
        let nodes = graph.nodes();
        for t in 0..model.layers.len() {
            let d = deviation(&fused, &fused.state.x[t], nodes, &stages.features[t]);
            assert!(d < 1e-11, "{name}: features before layer {t}: {d:e}");
            let d = deviation(&fused, &fused.state.m[t], nodes, &stages.messages[t]);
            assert!(d < 1e-11, "{name}: messages of layer {t}: {d:e}");
        }
        let expected: Vec<f64> = stages.energies.to_vec1().unwrap();
        for (a, b) in energies.iter().zip(&expected) {
            let b = b + model.mean / nodes as f64;
            assert!((a - b).abs() < 1e-11 * b.abs().max(1.0), "{name}: site energies {a} {b}");
        }
        let gradients = stages.energies.sum_all().unwrap().backward().unwrap();
        let expected: Vec<Vec<f64>> = gradients.get(vectors.as_tensor()).unwrap().to_vec2().unwrap();
        let scale = expected.iter().flatten().fold(1e-3f64, |s, x| s.max(x.abs()));
        // the derivative of a message is kept for the edge that comes back: sums over both directions are the same
        let reverse = |e: usize| {
            let (i, d) = (receivers[e], graph.vectors()[e]);
            let of = |f: &usize| {
                graph.neighbors()[*f] == i && (0..3).all(|c| (graph.vectors()[*f][c] + d[c]).abs() < 1e-9)
            };
            graph.row(senders[e] as usize).find(of).expect("every edge is there in both directions")
        };
        for e in 0..graph.edges() {
            let back = reverse(e);
            for c in 0..3 {
                let (a, b) = (g[e][c] - g[back][c], expected[e][c] - expected[back][c]);
                assert!((a - b).abs() < 1e-11 * scale, "{name}: derivative {a} {b} of {scale}");
            }
        }
    }
}
