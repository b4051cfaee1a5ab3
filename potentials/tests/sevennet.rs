//! SevenNet models against sevenn 0.13.0, and the fused kernels against candle.
mod support;

use caloron_engine::testing::reference;
use caloron_engine::{Outputs, State, System, UnitSystem};
use caloron_potentials::ml::checkpoint;
use caloron_potentials::ml::sevennet::{self, Mode, Model, Precision, Reference};
use candle_core::{DType, Device};
use std::path::PathBuf;
use support::learned::{
    self, by_candle, check, compute, conforms, deviations, differentiable_in_weights, largest_force, places,
    same, species, time, with_edges,
};
use support::{Frame, frames, read_frames, try_potential};

const PUBLISHED: &str = "checkpoint_sevennet_0.pth";

/// A checkpoint that the Python package `sevenn` brings along.
fn shipped(name: &str) -> Option<PathBuf> {
    learned::shipped("CALORON_SEVENNET_MODELS", "venv-sevenn", "sevenn/pretrained_potentials", name)
}

fn read(path: PathBuf) -> Model {
    let file = checkpoint::load(&path).unwrap_or_else(|e| panic!("{e}"));
    Model::new(&file).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
}

fn sevennet_0() -> Option<Model> {
    Some(read(reference(&format!("sevennet/{PUBLISHED}"))?))
}

fn by_kernels(
    model: &Model,
    system: &System,
    state: &State,
    modality: usize,
    precision: Precision,
    mode: Mode,
) -> Outputs {
    let map = places(system, &model.elements);
    let mut potential = sevennet::potential(model, &map, modality, precision).unwrap();
    potential.set_mode(mode);
    compute(&mut potential, system, state)
}

/// Compares frames with the kernels; prints and returns the largest deviations.
fn golden(name: &str, model: &Model, frames: &[Frame], precision: Precision, limits: [f64; 3]) {
    let mut worst = [0.0f64; 3];
    for frame in frames {
        let (system, state) = frame.build(&species(frame));
        let modality = frame
            .info
            .get("modality")
            .map_or(0, |m| model.modalities.iter().position(|n| n == m).expect("a modality of the model"));
        let out = by_kernels(model, &system, &state, modality, precision, Mode::Table);
        let d = deviations(frame, &out, false);
        check(name, frame, &d, limits, largest_force(frame) * 0.1);
        for k in 0..3 {
            worst[k] = worst[k].max(d[k]);
        }
    }
    eprintln!(
        "{name}: {} structures, energy {:.1e} eV/atom, forces {:.1e} eV/Å, stress {:.1e} eV/Å³",
        frames.len(),
        worst[0],
        worst[1],
        worst[2]
    );
}

const DOUBLE: [f64; 3] = [1e-9, 1e-8, 1e-10];
const SINGLE: [f64; 3] = [1e-5, 1e-5, 1e-5];

#[test]
fn kernels_give_the_numbers_of_sevennet_0() {
    let (Some(model), Some(frames)) = (sevennet_0(), frames("sevennet/sevennet_0_float64.extxyz")) else {
        return;
    };
    golden("SevenNet-0", &model, &frames, Precision::F64, DOUBLE);
}

#[test]
fn kernels_in_single_precision_are_close() {
    let (Some(model), Some(frames)) = (sevennet_0(), frames("sevennet/sevennet_0_float64.extxyz")) else {
        return;
    };
    golden("SevenNet-0 in single precision", &model, &frames, Precision::F32, SINGLE);
}

#[test]
fn kernels_give_the_numbers_of_l3i5() {
    let Some(path) = shipped("SevenNet_l3i5/checkpoint_l3i5.pth") else { return };
    let Some(frames) = frames("sevennet/sevennet_l3i5_float64.extxyz") else { return };
    let model = read(path);
    golden("SevenNet-l3i5", &model, &frames, Precision::F64, DOUBLE);
    golden("SevenNet-l3i5 in single precision", &model, &frames, Precision::F32, SINGLE);
}

/// Two modalities, and the first model with its own names of tensors and harmonics that grow with the distance. The numbers are those of
/// sevenn with all weights in double precision and exact 3j symbols, as in `reference/sevennet`.
#[test]
fn kernels_give_the_numbers_of_other_forms() {
    let all = read_frames(&PathBuf::from(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/data/sevennet_modalities.extxyz"
    )));
    for (name, path) in [
        ("sevennet_mf_0", "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth"),
        ("sevennet_0_may", "SevenNet_0__22May2024/checkpoint_sevennet_0.pth"),
    ] {
        let Some(path) = shipped(path) else { return };
        let model = read(path);
        let frames: Vec<Frame> = read_frames_of(&all, name);
        assert!(frames.len() >= 3);
        golden(name, &model, &frames, Precision::F64, DOUBLE);
    }
}

fn read_frames_of(all: &[Frame], model: &str) -> Vec<Frame> {
    let of = all.iter().filter(|f| f.info["model"] == model);
    of.map(|f| Frame { info: f.info.clone(), symbols: f.symbols.clone(), columns: f.columns.clone() })
        .collect()
}

#[test]
fn the_candle_model_is_differentiable_in_its_weights() {
    let (Some(model), Some(frames)) = (sevennet_0(), frames("sevennet/sevennet_0_float64.extxyz")) else {
        return;
    };
    let frame = frames.iter().find(|f| (3..=6).contains(&f.symbols.len())).expect("a small structure");
    let (system, state) = frame.build(&species(frame));
    let map = places(&system, &model.elements);
    let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
    with_edges(&system, &state, model.cutoff, &map, |_, edges, _| {
        differentiable_in_weights(frame.name(), candle.weights(), || {
            candle.forward(edges, 0).unwrap().energies.sum_all().unwrap()
        });
    });
}

fn against_candle(name: &str, model: &Model, frames: &[Frame]) {
    let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
    for frame in frames {
        let (system, state) = frame.build(&species(frame));
        let map = places(&system, &model.elements);
        for modality in 0..model.modalities.len().max(1) {
            let mine = by_kernels(model, &system, &state, modality, Precision::F64, Mode::Exact);
            let other = by_candle(&system, &state, model.cutoff, &map, |edges| {
                candle.forward(edges, modality).unwrap().energies
            });
            same(&format!("{name} {}", frame.name()), &mine, &other);
            // and the candle module as the potential that runs on devices
            let precision = Precision::F64;
            let mut on_device =
                sevennet::potential_on(model, &map, modality, precision, &Device::Cpu).unwrap();
            let other = compute(&mut on_device, &system, &state);
            same(&format!("{name} {} on a device", frame.name()), &mine, &other);
        }
    }
}

#[test]
fn kernels_are_the_model_in_candle() {
    let Some(all) = frames("sevennet/sevennet_0_float64.extxyz") else { return };
    let some = |names: &[&str]| -> Vec<Frame> {
        let chosen = all.iter().filter(|f| names.contains(&f.name()));
        chosen
            .map(|f| Frame { info: f.info.clone(), symbols: f.symbols.clone(), columns: f.columns.clone() })
            .collect()
    };
    if let Some(model) = sevennet_0() {
        against_candle(
            "SevenNet-0",
            &model,
            &some(&["mgo_prim_skewed_2", "triclinic_general_6", "cu_1atom_strained"]),
        );
    }
    for path in [
        "SevenNet_l3i5/checkpoint_l3i5.pth",
        "SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
        "SevenNet_0__22May2024/checkpoint_sevennet_0.pth",
    ] {
        if let Some(file) = shipped(path) {
            against_candle(path, &read(file), &some(&["mgo_prim_skewed_2"]));
        }
    }
}

#[test]
fn potentials_conform() {
    let (Some(model), Some(frames)) = (sevennet_0(), frames("sevennet/sevennet_0_float64.extxyz")) else {
        return;
    };
    for name in ["triclinic_general_6", "random_mix_light_10"] {
        let frame = frames.iter().find(|f| f.name() == name).expect("a frame of the set");
        let (system, state) = frame.build(&species(frame));
        let map = places(&system, &model.elements);
        conforms(name, &system, &state, |precision| sevennet::potential(&model, &map, 0, precision).unwrap());
    }
}

/// Caloron's own form of a checkpoint gives the same bits.
#[test]
fn imported_models_are_the_same() {
    let Some(path) = reference(&format!("sevennet/{PUBLISHED}")) else { return };
    let Some(frames) = frames("sevennet/sevennet_0_float64.extxyz") else { return };
    let file = checkpoint::load(&path).unwrap();
    let own = std::env::temp_dir().join(format!("caloron-sevennet-{}.safetensors", std::process::id()));
    file.save(&own).unwrap();
    let back = Model::new(&checkpoint::load(&own).unwrap());
    std::fs::remove_file(&own).unwrap();
    let frame = &frames[3];
    let (system, state) = frame.build(&species(frame));
    let energy =
        |model: &Model| by_kernels(model, &system, &state, 0, Precision::F32, Mode::Table).energy.to_bits();
    assert_eq!(energy(&Model::new(&file).unwrap()), energy(&back.unwrap()));
}

#[test]
fn wrong_input_is_explained() {
    let Some(frames) = frames("sevennet/sevennet_0_float64.extxyz") else { return };
    let (system, _) = frames[0].build(&species(&frames[0]));
    let error = |text: String| match try_potential(&system, UnitSystem::Physical, &text) {
        Ok(_) => panic!("{text} is accepted"),
        Err(error) => error,
    };
    let file = reference(&format!("sevennet/{PUBLISHED}")).expect("it is beside the frames");
    let e = error(format!("[sevennet]\nfile = {file:?}\nmodality = \"PBE\""));
    assert_eq!(e.key, "sevennet.modality");
    assert!(e.to_string().contains("no modality `PBE`"), "{e}");
    let e = error(format!("[mace]\nfile = {file:?}"));
    assert!(e.to_string().contains("architecture sevennet, expected mace"), "{e}");
    if let Some(other) = reference("mace/models/a_tiny.model") {
        let e = error(format!("[sevennet]\nfile = {other:?}"));
        assert!(e.to_string().contains("architecture mace, expected sevennet"), "{e}");
    }
    let Some(several) = shipped("SevenNet_MF_0/checkpoint_sevennet_mf_0.pth") else { return };
    let e = error(format!("[sevennet]\nfile = {several:?}"));
    assert_eq!(e.key, "sevennet.modality");
    assert!(e.to_string().contains("the model has 2 modalities"), "{e}");
    let e = error(format!("[sevennet]\nfile = {several:?}\nmodality = \"R2SCN\""));
    assert!(e.to_string().contains("no modality `R2SCN`"), "{e}");
}

/// Prints seconds for energy, forces and virial of 216 atoms of MgO.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let (Some(model), Some(frames)) = (sevennet_0(), frames("../peers/mgo216.extxyz")) else { return };
    let (system, state) = frames[0].build(&["Mg", "O"]);
    let map = places(&system, &model.elements);
    for precision in [Precision::F32, Precision::F64] {
        let built = || (sevennet::potential(&model, &map, 0, precision).unwrap(), String::new());
        time(&system, &state, precision, built, |p| p.bytes());
    }
}
