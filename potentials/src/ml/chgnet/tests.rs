use super::*;

/// Writes the built-in weights again from the file of the authors.
#[test]
#[ignore = "writes potentials/data"]
fn import_the_weights() {
    let Some(file) = caloron_engine::testing::reference("chgnet/chgnet_0.3.0_e29f68s314m37.pth.tar") else {
        return;
    };
    let mut model = checkpoint::load(file).unwrap();
    println!("{} {:?} {:?}", model.architecture, model.hyper_parameters, model.species);
    model.licence = Some("BSD-3-Clause-LBNL".to_owned());
    model.save(concat!(env!("CARGO_MANIFEST_DIR"), "/data/chgnet-0.3.0.safetensors")).unwrap();
}

#[test]
fn the_built_in_weights_are_those_of_the_authors() {
    let model = built_in().unwrap();
    assert_eq!((model.architecture.as_str(), model.parameters()), ("chgnet", 412_525));
    let Some(file) = caloron_engine::testing::reference("chgnet/chgnet_0.3.0_e29f68s314m37.pth.tar") else {
        return;
    };
    let original = checkpoint::load(file).unwrap();
    assert_eq!(original.tensors.len(), model.tensors.len());
    for (name, tensor) in &original.tensors {
        assert_eq!(tensor.to_f64(), model.tensors[name].to_f64(), "{name}");
    }
}

use crate::ml::chgnet::reference::{Connections, Reference};
use caloron_engine::neighbors::Search;
use caloron_engine::{Cell, Mat3, NeighborList, Species, System, Vec3, elements};
use candle_core::{DType, Device, Var};

/// A few atoms of many elements at distances of a crystal, in a skewed cell smaller than the cutoff.
pub(super) fn mixture() -> (System, Vec<Vec3>, Cell) {
    let symbols = ["Li", "Mn", "O", "Fe", "P", "O"];
    let species =
        |s: &&str| Species { symbol: (*s).to_owned(), number: elements::atomic_number(s), mass: 1.0 };
    let system = System::new(symbols.iter().map(species).collect(), (0..6).collect());
    let h = Mat3::new(4.1, 0.3, -0.2, 0.0, 4.4, 0.4, 0.1, 0.0, 4.8);
    let cell = Cell::from_matrix(h, [true; 3]).unwrap();
    let fractional = [
        [0.02, 0.01, 0.0],
        [0.5, 0.47, 0.05],
        [0.48, 0.02, 0.46],
        [0.03, 0.52, 0.55],
        [0.25, 0.27, 0.74],
        [0.74, 0.76, 0.3],
    ];
    let positions = fractional.iter().map(|f| cell.matrix() * Vec3::from(*f)).collect();
    (system, positions, cell)
}

pub(super) fn with_input<R>(
    (system, positions, cell): &(System, Vec<Vec3>, Cell),
    f: impl FnOnce(Input<'_>) -> R,
) -> R {
    let mut list = NeighborList::new(ATOM_CUTOFF, 0.0, Search::Auto);
    list.update(system, positions, cell);
    f(Input { system, positions, cell, neighbors: &list })
}

/// Energy, moments and dE/d(edge) of the candle module, f64.
fn reference(input: &Input<'_>) -> (f64, Vec<f64>, Vec<Vec<f64>>) {
    let at = Connections::new(input, &Device::Cpu).unwrap();
    let model = Reference::new(&built_in().unwrap(), DType::F64, &Device::Cpu).unwrap();
    let vectors = Var::from_tensor(&at.vectors(DType::F64, &Device::Cpu).unwrap()).unwrap();
    let (energies, moments) = model.forward(&at, &vectors).unwrap();
    let energy = energies.sum_all().unwrap();
    let gradient = energy.backward().unwrap();
    let gradient = gradient.get(&vectors).expect("a gradient").to_vec2().unwrap();
    (energy.to_scalar().unwrap(), moments.to_vec1().unwrap(), gradient)
}

fn fused(input: Input<'_>, precision: Precision) -> Chgnet {
    let mut potential = Chgnet::new(&built_in().unwrap(), String::new(), precision).unwrap();
    let mut out = Outputs::default();
    let want = Properties::all();
    out.reset(input.system.len(), want);
    potential.compute(input, want, &mut out).unwrap();
    potential
}

#[test]
fn the_fused_kernel_is_the_candle_module() {
    with_input(&mixture(), |input| {
        let (energy, moments, gradient) = reference(&input);
        for (precision, epsilon) in [(Precision::F64, 1e-11), (Precision::F32, 2e-5)] {
            let potential = fused(input, precision);
            let engine = &potential.engine;
            let sum: f64 = engine.energies().iter().sum();
            assert!((sum - energy).abs() < epsilon * energy.abs(), "{sum} {energy}");
            for (a, b) in engine.moments().iter().zip(&moments) {
                assert!((a - b).abs() < epsilon, "{a} {b}");
            }
            let scale = gradient.iter().flatten().fold(0.0f64, |s, x| s.max(x.abs()));
            assert!(scale > 1.0 && engine.gradient().len() == gradient.len());
            for (a, b) in engine.gradient().iter().zip(&gradient) {
                for c in 0..3 {
                    assert!((a[c] - b[c]).abs() < epsilon * scale, "{a:?} {b:?} of {scale}");
                }
            }
        }
    });
}

/// What runs on a device, here on the processor, through the potential.
#[test]
fn the_potential_in_candle_is_the_one_of_the_kernels() {
    with_input(&mixture(), |input| {
        let run = |in_candle: bool| {
            let model = built_in().unwrap();
            let mut potential = Chgnet::new(&model, String::new(), Precision::F64).unwrap();
            if in_candle {
                potential.move_to(&model, &Device::Cpu).unwrap();
                assert!(potential.describe()[0].contains("in candle"));
            }
            let mut out = Outputs::default();
            out.reset(input.system.len(), Properties::all());
            potential.compute(input, Properties::all(), &mut out).unwrap();
            out
        };
        let (a, b) = (run(false), run(true));
        assert!((a.energy - b.energy).abs() < 1e-11 * a.energy.abs());
        assert!((a.virial - b.virial).norm() < 1e-10 * a.virial.norm());
        for (f, g) in a.forces.iter().zip(&b.forces) {
            assert!((f - g).norm() < 1e-10, "{f} {g}");
        }
        for (m, n) in a.extras[0].values.iter().zip(&b.extras[0].values) {
            assert!((m - n).abs() < 1e-11, "{m} {n}");
        }
    });
}

#[test]
fn the_candle_module_is_differentiable_in_its_weights() {
    with_input(&mixture(), |input| {
        let at = Connections::new(&input, &Device::Cpu).unwrap();
        let model = Reference::new(&built_in().unwrap(), DType::F64, &Device::Cpu).unwrap();
        let vectors = at.vectors(DType::F64, &Device::Cpu).unwrap();
        let names = [
            "bond_basis_expansion.rbf_expansion_ag.frequencies",
            "angle_basis_expansion.fourier_expansion.frequencies",
            "angle_embedding.weight",
            "atom_conv_layers.0.twoBody_atom.mlp_core.layers.0.weight",
            "bond_conv_layers.1.twoBody_bond.bn2.weight",
            "angle_layers.1.twoBody_bond.mlp_gate.layers.1.bias",
            "readout_norm.weight",
        ];
        let mut tensors = model.tensors().clone();
        let variables: Vec<Var> = names.iter().map(|n| Var::from_tensor(&tensors[*n]).unwrap()).collect();
        for (name, variable) in names.iter().zip(&variables) {
            tensors.insert((*name).to_owned(), variable.as_tensor().clone());
        }
        let model = Reference::from_tensors(tensors);
        let energy = || model.forward(&at, &vectors).unwrap().0.sum_all().unwrap();
        let gradients = energy().backward().unwrap();
        for (name, variable) in names.iter().zip(&variables) {
            let all: Vec<f64> = variable.flatten_all().unwrap().to_vec1().unwrap();
            let gradient: Vec<f64> =
                gradients.get(variable).expect(name).flatten_all().unwrap().to_vec1().unwrap();
            let k = (0..all.len()).max_by(|&a, &b| gradient[a].abs().total_cmp(&gradient[b].abs())).unwrap();
            let shifted = |h: f64| {
                let mut x = all.clone();
                x[k] += h;
                let x = candle_core::Tensor::from_vec(x, variable.shape(), &Device::Cpu).unwrap();
                variable.set(&x).unwrap();
                energy().to_scalar::<f64>().unwrap()
            };
            let difference = (shifted(1e-5) - shifted(-1e-5)) / 2e-5;
            shifted(0.0);
            assert!(gradient[k].abs() > 1e-6, "{name}");
            assert!(
                (difference - gradient[k]).abs() < 1e-6 * gradient[k].abs().max(0.1),
                "{name}: {difference} {}",
                gradient[k]
            );
        }
    });
}
