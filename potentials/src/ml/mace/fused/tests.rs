//! The kernels against the candle module at every stage, in double precision.
use super::layer::offset;
use super::*;
use crate::ml::checkpoint;
use crate::ml::fused::scene::{ForCandle, Scene, assert_energies};
use crate::ml::mace::reference::Reference;
use caloron_engine::elements;
use candle_core::{DType, Device, Tensor};
use std::path::Path;

#[test]
fn every_stage_is_that_of_the_candle_module() {
    for name in [
        "density.model.gz",
        "correlation_4.model.gz",
        "features_3.model.gz",
        "edges.model.gz",
        "omol.model.gz",
        "mh.model.gz",
        "charged.model.gz",
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
        let symbols: Vec<&str> =
            model.elements.iter().take(3).map(|z| elements::symbol(*z).unwrap()).collect();
        let graph = Scene::new(&symbols, [5.1, 5.4, 5.6]).graph(model.cutoff);
        let map: Vec<usize> = (0..symbols.len()).collect();
        let conditions = Conditions { head: 0, total_charge: Some(-1.0), total_spin: Some(2.0) };
        let mut fused = Fused::<f64>::new(&model, &map, conditions).unwrap();
        fused.set_mode(Mode::Exact);
        let (energies, g) = fused.evaluate(&graph, true).unwrap();
        let (energies, g) = (energies.to_vec(), g.to_vec());

        let for_candle = ForCandle::new(&graph, &map);
        let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
        let stages = candle.forward(&for_candle.edges(), conditions).unwrap();

        let (nodes, channels) = (graph.nodes(), model.channels);
        let all = Rows { nodes, start: 0 };
        // rows of a degree, [node][m][channel], against a tensor of the same shape
        let check = |what: String, from: &[f64], at: usize, l: usize, tensor: &Tensor| {
            let width = 2 * l + 1;
            let expected: Vec<f64> = tensor.flatten_all().unwrap().to_vec1().unwrap();
            assert_eq!(expected.len(), nodes * width * channels, "{name}: {what}");
            let scale = expected.iter().fold(1e-3f64, |s, x| s.max(x.abs()));
            for (k, expected) in expected.chunks_exact(channels).enumerate() {
                let row = (all.row(at, width, 0) + k) * fused.stride();
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
        assert_energies(name, &energies, &stages.energies, 0.0);
        for_candle.assert_gradients(name, &g, &stages.energies);
    }
}
