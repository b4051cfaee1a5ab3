//! The kernels against the candle module at every stage, in double precision.
use super::*;
use crate::ml::checkpoint;
use crate::ml::fused::scene::{ForCandle, Scene, assert_energies};
use crate::ml::sevennet::reference::Reference;
use caloron_engine::elements;
use candle_core::{DType, Device};

#[test]
fn every_stage_is_that_of_the_candle_module() {
    let Some(path) = caloron_engine::testing::reference("sevennet/checkpoint_sevennet_0.pth") else { return };
    let model = Model::new(&checkpoint::load(path).unwrap()).unwrap();
    let symbols = ["Li", "Mn", "O"];
    let place = |s: &str| {
        let number = elements::atomic_number(s).unwrap();
        model.elements.iter().position(|z| *z == number).unwrap()
    };
    let map = symbols.map(place);
    let graph = Scene::new(&symbols, [3.9, 4.2, 4.4]).graph(model.cutoff);
    assert!(graph.edges() > 8 * graph.nodes());
    let mut fused = Fused::<f64>::new(&model, &map, 0);
    fused.set_mode(Mode::Exact);
    let (energies, g) = fused.evaluate(&graph, true).unwrap();
    let (energies, g) = (energies.to_vec(), g.to_vec());

    let for_candle = ForCandle::new(&graph, &map);
    let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
    let stages = candle.forward(&for_candle.edges(), 0).unwrap();

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
    assert_energies("SevenNet-0", &energies, &stages.energies, 0.0);
    for_candle.assert_gradients("SevenNet-0", &g, &stages.energies);
}
