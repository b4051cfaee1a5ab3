//! TensorNet models against torchmd-net 3.1.0, and the fused kernels against candle.
//!
//! The checkpoints in `data/tensornet` have random weights and were written by torchmd-net's own training module: O(3) with energies of elements and
//! ZBL in hartree and Å; SO(3) with Gaussians, tanh, three layers, D2, a mean and a scale, in kJ/mol and nm, weights in single precision; one layer
//! in kcal/mol with total charges, in the form before the order of tensors changed; an embedding without layers. `tensornet.extxyz` holds what the
//! program gives with these weights in double precision (its operations in PyTorch; the fused ones round 1/3 to single precision), with all periodic
//! images as neighbours, in eV and Å; stress is the derivative with respect to strain.
mod support;

use caloron_engine::testing::reference;
use caloron_engine::{System, UnitSystem};
use caloron_potentials::ml::checkpoint::{self, ModelFile};
use caloron_potentials::ml::tensornet::{self, Mode, Model, Precision, Reference, TensorNet, Units};
use candle_core::{DType, Device};
use std::path::{Path, PathBuf};
use support::learned::{
    by_candle, check, compute, conforms, deviations, differentiable_in_weights, largest_force, places, same,
    species, time, with_edges,
};
use support::{Frame, frames, read_frames, try_potential};

const MODELS: [&str; 4] = ["o3_zbl", "so3_gauss_d2", "old_charged", "no_layers"];

fn path(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/tensornet")).join(name)
}

fn load(name: &str) -> ModelFile {
    checkpoint::load(path(&format!("{name}.ckpt"))).unwrap_or_else(|e| panic!("{e}"))
}

/// kcal/mol, eV.
const KCAL: f64 = 4184.0 / (1.602_176_634e-19 * 6.022_140_76e23);

fn read(name: &str) -> Model {
    let file = load(name);
    let stated = Units::stated(&file).unwrap();
    assert_eq!(stated.is_some(), name.contains('_') && name != "old_charged" && name != "no_layers");
    let units = stated.unwrap_or(match name {
        "old_charged" => Units { energy: KCAL, length: 1.0 },
        _ => Units::INTERNAL,
    });
    Model::new(&file, units).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn all_frames(model: &str) -> Vec<Frame> {
    let all = read_frames(&path("tensornet.extxyz"));
    all.into_iter().filter(|f| f.info["model"] == model).collect()
}

fn charge(frame: &Frame) -> f64 {
    frame.info.get("charge").map_or(0.0, |q| q.parse().unwrap())
}

fn build(model: &Model, system: &System, charge: f64, precision: Precision, mode: Mode) -> TensorNet {
    let map = places(system, &model.elements);
    let network = tensornet::network(model, &map, charge, precision);
    let mut potential = TensorNet::new(network, model, &map, system).unwrap();
    potential.set_mode(mode);
    potential
}

/// Compares frames with the kernels and prints the largest deviations.
fn golden(name: &str, precision: Precision, mode: Mode, limits: [f64; 3]) {
    let model = read(name);
    let frames = all_frames(name);
    assert!(frames.len() >= 5);
    let mut worst = [0.0f64; 3];
    for frame in &frames {
        let (system, state) = frame.build(&species(frame));
        let mut potential = build(&model, &system, charge(frame), precision, mode);
        let out = compute(&mut potential, &system, &state);
        let d = deviations(frame, &out, false);
        check(name, frame, &d, limits, largest_force(frame) * 0.1);
        for k in 0..3 {
            worst[k] = worst[k].max(d[k]);
        }
    }
    eprintln!(
        "{name}, {precision:?}, {mode:?}: {} structures, energy {:.1e} eV/atom, forces {:.1e} eV/Å, stress {:.1e} eV/Å³",
        frames.len(),
        worst[0],
        worst[1],
        worst[2]
    );
}

#[test]
fn kernels_give_the_numbers_of_torchmd_net() {
    for name in MODELS {
        golden(name, Precision::F64, Mode::Table, [1e-9, 1e-8, 1e-9]);
        golden(name, Precision::F64, Mode::Exact, [1e-11, 1e-10, 1e-10]);
        golden(name, Precision::F32, Mode::Table, [2e-5, 5e-5, 1e-5]);
    }
}

#[test]
fn kernels_are_the_model_in_candle() {
    for name in MODELS {
        let mut model = read(name);
        let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
        let (cutoff, mean) = (model.cutoff, model.mean);
        model.priors.clear();
        for frame in all_frames(name) {
            let (system, state) = frame.build(&species(&frame));
            if system.len() < 2 {
                continue;
            }
            let map = places(&system, &model.elements);
            let q = charge(&frame);
            let mut potential = build(&model, &system, q, Precision::F64, Mode::Exact);
            let mine = compute(&mut potential, &system, &state);
            let n = system.len() as f64;
            let other = by_candle(&system, &state, cutoff, &map, |edges| {
                (candle.forward(edges, q).unwrap().energies + mean / n).unwrap()
            });
            same(&format!("{name} {}", frame.name()), &mine, &other);
            // and the candle module as the potential that runs on devices
            let mut on_device = tensornet::network_on(&model, &map, q, Precision::F64, &Device::Cpu).unwrap();
            same(
                &format!("{name} {} on a device", frame.name()),
                &mine,
                &compute(&mut on_device, &system, &state),
            );
        }
    }
}

#[test]
fn candle_models_are_differentiable_in_their_weights() {
    for name in MODELS {
        let model = read(name);
        let frame = &all_frames(name)[0];
        let (system, state) = frame.build(&species(frame));
        let map = places(&system, &model.elements);
        let q = charge(frame);
        let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
        with_edges(&system, &state, model.cutoff, &map, |_, edges, _| {
            differentiable_in_weights(name, candle.weights(), || {
                candle.forward(edges, q).unwrap().energies.sum_all().unwrap()
            });
        });
    }
}

/// An atom without neighbours sees itself.
#[test]
fn a_lone_atom_has_the_same_energy_on_a_device() {
    let model = read("no_layers");
    let frame = all_frames("no_layers").into_iter().find(|f| f.symbols.len() == 1).unwrap();
    let (system, state) = frame.build(&species(&frame));
    let map = places(&system, &model.elements);
    let mut potential = tensornet::network_on(&model, &map, 0.0, Precision::F64, &Device::Cpu).unwrap();
    let out = compute(&mut potential, &system, &state);
    assert!((out.energy - frame.number("energy")).abs() < 1e-12);
}

#[test]
fn potentials_conform() {
    for name in MODELS {
        let mut model = read(name);
        // what is added to every structure whatever its size is no property of atoms
        model.mean = 0.0;
        for frame in all_frames(name).iter().filter(|f| f.symbols.len() > 2) {
            let (system, state) = frame.build(&species(frame));
            conforms(&format!("{name} {}", frame.name()), &system, &state, |precision| {
                build(&model, &system, charge(frame), precision, Mode::Table)
            });
        }
    }
}

/// Caloron's own form of a checkpoint gives the same bits.
#[test]
fn imported_models_are_the_same() {
    for name in MODELS {
        let file = load(name);
        assert_eq!(file.architecture, "tensornet");
        let own = std::env::temp_dir().join(format!("caloron-{name}-{}.safetensors", std::process::id()));
        file.save(&own).unwrap();
        let back = checkpoint::load(&own);
        std::fs::remove_file(&own).unwrap();
        let back = back.unwrap();
        let frame = &all_frames(name)[0];
        let (system, state) = frame.build(&species(frame));
        let energy = |file: &ModelFile| {
            let model = Model::new(file, Units::INTERNAL).unwrap();
            let mut potential = build(&model, &system, charge(frame), Precision::F32, Mode::Table);
            compute(&mut potential, &system, &state).energy.to_bits()
        };
        assert_eq!(energy(&file), energy(&back), "{name}");
    }
}

fn error(text: &str, frame: &Frame) -> caloron_engine::SpecError {
    let (system, _) = frame.build(&species(frame));
    match try_potential(&system, UnitSystem::Physical, text) {
        Ok(_) => panic!("{text} is accepted"),
        Err(error) => error,
    }
}

#[test]
fn wrong_input_is_explained() {
    let frame = &all_frames("o3_zbl")[0];
    let file = |name: &str| path(&format!("{name}.ckpt"));
    for (text, key, said) in [
        (format!("file = {:?}", file("no_layers")), "tensornet.units", "does not say which units"),
        (
            format!("file = {:?}\nunits = {{ energy = \"kJ\", length = \"Å\" }}", file("o3_zbl")),
            "tensornet.units",
            "the file states energies in 27.21",
        ),
        (
            format!("file = {:?}\nunits = {{ energy = \"Å\", length = \"Å\" }}", file("no_layers")),
            "tensornet.units.energy",
            "Å",
        ),
        (
            format!("file = {:?}\nunits = {{ energy = \"eV\", length = \"Å\" }}", file("old_charged")),
            "tensornet.total_charge",
            "depends on the total charge",
        ),
        (
            format!("file = {:?}\ntotal_charge = 1", file("o3_zbl")),
            "tensornet.total_charge",
            "not trained with charges",
        ),
    ] {
        let e = error(&format!("[tensornet]\n{text}"), frame);
        assert_eq!(e.key, key, "{e}");
        assert!(e.to_string().contains(said), "{e}");
    }
    let e = error(&format!("[mace]\nfile = {:?}", file("o3_zbl")), frame);
    assert!(e.to_string().contains("architecture tensornet, expected mace"), "{e}");
    if let Some(other) = reference("mace/models/a_tiny.model") {
        let e = error(&format!("[tensornet]\nfile = {other:?}"), frame);
        assert!(e.to_string().contains("architecture mace, expected tensornet"), "{e}");
    }
    #[cfg(not(feature = "cuda"))]
    {
        let e = error(&format!("[tensornet]\nfile = {:?}\ndevice = \"cuda:1\"", file("o3_zbl")), frame);
        assert_eq!(e.key, "tensornet.device");
        assert!(e.to_string().contains("built without support for CUDA devices"), "{e}");
    }
}

/// What is not supported or damaged is refused by name.
#[test]
fn other_models_are_refused() {
    let changed = |change: &dyn Fn(&mut ModelFile)| {
        let mut file = load("o3_zbl");
        change(&mut file);
        Model::new(&file, Units::INTERNAL).map(|_| ()).expect_err("it is accepted").to_string()
    };
    let set = |key: &'static str, value: serde_json::Value| {
        changed(&move |file: &mut ModelFile| {
            file.hyper_parameters["hyper_parameters"][key] = value.clone();
        })
    };
    for (key, value, said) in [
        ("model", "tensornet2", "the architecture `tensornet2`"),
        ("output_model", "DipoleMoment", "the output model `DipoleMoment`"),
        ("reduce_op", "mean", "`reduce_op = mean`"),
        ("activation", "mish", "the activation `mish`"),
        ("rbf_type", "bessel", "the radial basis `bessel`"),
        ("equivariance_invariance_group", "U(1)", "the group `U(1)`"),
    ] {
        let e = set(key, value.into());
        assert!(e.contains(said), "{e}");
    }
    for (key, value, said) in [
        ("cutoff_lower", 0.5, "cutoff_lower"),
        ("atom_filter", 3.0, "atom_filter"),
        ("cutoff_upper", -1.0, "out of range"),
        ("num_layers", 1.0, "more layers than `num_layers` = 1"),
        ("num_layers", 3.0, "no tensor `model.representation_model.layers.2"),
        ("num_layers", 1e9, "1000000000 layers"),
    ] {
        let value =
            if key == "atom_filter" { serde_json::json!(value as i64) } else { serde_json::json!(value) };
        let e = set(key, value);
        assert!(e.contains(said), "{e}");
    }
    let e = set("prior_model", serde_json::json!([{ "Coulomb": {} }, { "ZBL": {} }]));
    assert!(e.contains("`Coulomb`"), "{e}");
    let e = set("prior_model", serde_json::json!(["Magic", "ZBL"]));
    assert!(e.contains("the prior `Magic`"), "{e}");
    let e = set("prior_model", serde_json::json!(["Atomref"]));
    assert!(e.contains("different lengths"), "{e}");
    let tensor = "model.representation_model.layers.0.linears_tensor.3.weight";
    let e = changed(&|file: &mut ModelFile| {
        file.tensors.remove(tensor);
    });
    assert!(e.contains(tensor), "{e}");
    let e = changed(&|file: &mut ModelFile| {
        let other = file.tensors["model.representation_model.out_norm.weight"].clone();
        file.tensors.insert(tensor.to_owned(), other);
    });
    assert!(e.contains("has the shape [24], expected [8, 8]"), "{e}");
    // an element that a prior does not know
    let mut model = read("o3_zbl");
    model.elements[0] = 60;
    let frame = &all_frames("o3_zbl")[1];
    let (system, _) = frame.build(&species(frame));
    let map = [0, 1];
    let network = tensornet::network(&model, &map, 0.0, Precision::F64);
    let e = TensorNet::new(network, &model, &map, &system).err().expect("it is accepted");
    assert!(e.to_string().contains("its prior `ZBL`") && e.to_string().contains("Nd"), "{e}");
}

/// Prints seconds for energy, forces and virial of 216 atoms of MgO with a model of the size that is published.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let Some(frames) = frames("../peers/mgo216.extxyz") else { return };
    let Some(file) = std::env::var_os("CALORON_TENSORNET_MODEL") else { return };
    let (system, state) = frames[0].build(&["Mg", "O"]);
    let model = Model::new(&checkpoint::load(PathBuf::from(file)).unwrap(), Units::INTERNAL).unwrap();
    for precision in [Precision::F32, Precision::F64] {
        let built = || (build(&model, &system, 0.0, precision, Mode::Table), String::new());
        time(&system, &state, precision, built, |p| p.bytes());
    }
}
