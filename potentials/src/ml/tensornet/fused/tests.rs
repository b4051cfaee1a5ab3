//! The kernels against the candle module at every stage, in double precision.
use super::*;
use crate::ml::checkpoint;
use crate::ml::fused::scene::{ForCandle, Scene, assert_energies};
use crate::ml::tensornet::{Reference, Units};
use crate::simd::Portable;
use caloron_engine::{Cell, elements};
use candle_core::{DType, Device, Tensor};

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
        let symbols = [0, 1, 2].map(|k| elements::symbol(model.elements[k]).unwrap());
        // lengths of the model that is in nm are those of atoms here
        let mut scene = Scene::new(&symbols, [3.9, 4.2, 4.4]);
        if model.cutoff < 1.0 {
            scene.positions.iter_mut().for_each(|x| *x *= 0.1);
            scene.cell = Cell::from_matrix(scene.cell.matrix() * 0.1, [true; 3]).unwrap();
        }
        let graph = scene.graph(model.cutoff);
        assert!(graph.edges() > 8 * graph.nodes());
        let charge = if model.charge { -1.0 } else { 0.0 };
        let mut fused = Fused::<f64>::new(&model, &[0, 1, 2], charge);
        fused.set_mode(Mode::Exact);
        let (energies, g) = fused.evaluate(&graph, true).unwrap();
        let (energies, g) = (energies.to_vec(), g.to_vec());

        let for_candle = ForCandle::new(&graph, &[0, 1, 2]);
        let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
        let stages = candle.forward(&for_candle.edges(), charge).unwrap();
        let nodes = graph.nodes();
        for t in 0..model.layers.len() {
            let d = deviation(&fused, &fused.state.x[t], nodes, &stages.features[t]);
            assert!(d < 1e-11, "{name}: features before layer {t}: {d:e}");
            let d = deviation(&fused, &fused.state.m[t], nodes, &stages.messages[t]);
            assert!(d < 1e-11, "{name}: messages of layer {t}: {d:e}");
        }
        assert_energies(name, &energies, &stages.energies, model.mean / nodes as f64);
        let (expected, scale) = for_candle.gradients(&stages.energies);
        // the derivative of a message is kept for the edge that comes back: sums over both directions are the same
        let reverse = |e: usize| {
            let (i, d) = (for_candle.receivers[e], graph.vectors()[e]);
            let of = |f: &usize| {
                graph.neighbors()[*f] == i && (0..3).all(|c| (graph.vectors()[*f][c] + d[c]).abs() < 1e-9)
            };
            graph
                .row(for_candle.senders[e] as usize)
                .find(of)
                .expect("every edge is there in both directions")
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
