//! The kernels against the candle module at every stage, in double precision.
use super::super::reference::{Connections, Reference};
use super::super::tests::{mixture, with_input};
use super::super::{built_in, element};
use super::*;
use crate::ml::chgnet::reference::Features;
use candle_core::{DType, Device, Tensor as Candle, Var};

/// Largest deviation of rows of numbers from those of a tensor that begins with them, relative to the largest number.
fn deviation(fused: &[f64], candle: &Candle) -> f64 {
    let all: Vec<f64> = candle.flatten_all().unwrap().to_vec1().unwrap();
    assert!(!fused.is_empty() && fused.len() <= all.len(), "{} {}", fused.len(), all.len());
    let scale = all.iter().fold(0.0f64, |s, x| s.max(x.abs()));
    assert!(scale > 1e-3, "the numbers mean something");
    fused.iter().zip(&all).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max) / scale
}

#[test]
fn every_stage_is_that_of_the_candle_module() {
    with_input(&mixture(), |input| {
        let (mut graph, mut bonds) = (Graph::default(), Bonds::default());
        graph.build(&input, ATOM_CUTOFF);
        assert!(bonds.build(&graph, BOND_CUTOFF));
        let species = input.system.species();
        let number = |k: usize| element(species[usize::from(graph.species()[k])].number).unwrap();
        let model = built_in().unwrap();
        let network = Network::<f64>::new(&Weights::new(&model).unwrap(), Level::detect());
        let mut memory = Memory::default();
        network.evaluate(&graph, &bonds, number, true, &mut memory);

        // the features at the start are variables, so that their derivatives can be compared
        let at = Connections::new(&input, &Device::Cpu).unwrap();
        let reference = Reference::new(&model, DType::F64, &Device::Cpu).unwrap();
        let vectors = at.vectors(DType::F64, &Device::Cpu).unwrap();
        let start = reference.embed(&at, &vectors).unwrap();
        let variable = |t: &Candle| Var::from_tensor(&t.detach()).unwrap();
        let angle = start.angle.as_ref().expect("angles");
        let all = [&start.bond, &start.weight_atom, &start.weight_bond, angle].map(variable);
        let [bond, weight_atom, weight_bond, angle] = all.each_ref().map(|v| v.as_tensor().clone());
        let features = Features { bond, weight_atom, weight_bond, angle: Some(angle) };
        let stages = reference.interact(&at, Some(&features)).unwrap();
        let gradients = stages.energies.sum_all().unwrap().backward().unwrap();

        let check = |what: &str, fused: &[f64], candle: &Candle| {
            let d = deviation(fused, candle);
            assert!(d < 1e-11, "{what}: {d:e}");
        };
        check("weights of edges", &memory.weights[0], &features.weight_atom);
        check("weights of short bonds", &memory.weights[1], &features.weight_bond);
        assert_eq!(stages.atoms.len(), LAYERS + 1);
        for (l, (x, candle)) in memory.x.iter().zip(&stages.atoms).enumerate() {
            check(&format!("atoms after layer {l}"), x, candle);
        }
        assert_eq!(stages.bonds.len(), LAYERS);
        for (l, (b, candle)) in memory.b.iter().zip(&stages.bonds).enumerate() {
            check(&format!("bonds after layer {l}"), b, candle);
        }
        // those after the second layer are not kept by the kernels
        for (l, (a, candle)) in memory.a.iter().zip(&stages.angles).enumerate() {
            check(&format!("angles after layer {l}"), a, candle);
        }
        check("site energies", &memory.energies, &stages.energies);
        check("moments", &memory.moments, &stages.moments);
        let names = ["bonds", "weights of edges", "weights of short bonds", "angles"];
        let bars = [&memory.db, &memory.dweights[0], &memory.dweights[1], &memory.da];
        for ((name, bar), variable) in names.into_iter().zip(bars).zip(&all) {
            let gradient = gradients.get(variable.as_tensor()).expect(name);
            check(&format!("derivative by the {name} at the start"), bar, gradient);
        }
    });
}
