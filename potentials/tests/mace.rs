//! MACE models against mace-torch 0.3.16, and the fused kernels against candle.
mod support;

use caloron_engine::testing::reference;
use caloron_engine::{Input, Outputs, Potential, State, System, UnitSystem};
use caloron_potentials::ml::checkpoint;
use caloron_potentials::ml::mace::{self, Conditions, Mode, Model, Precision, Reference};
use candle_core::{DType, Device};
use std::path::{Path, PathBuf};
use support::learned::{
    ALL, by_candle, check, compute, conforms, deviations, differentiable_in_weights, largest_force, list,
    places, same, species, time, with_edges,
};
use support::{Frame, frames, read_frames, try_potential};

/// Models and whether their symmetry tensors are stored in single precision, so that references made with what the file
/// holds are in columns of their own.
const MODELS: [(&str, &str, bool); 15] = [
    ("models/a_tiny", ".model", false),
    ("models/a_tiny_full_cg", ".model.gz", false),
    ("models/b_mp0_medium", ".model.gz", true),
    ("models/b_mp0_small", ".model.gz", true),
    ("models/c_mp0_large", ".model.gz", true),
    ("models/d_agnesi_zbl", ".model.gz", false),
    ("models/e_density", ".model.gz", false),
    ("models/e_density_agnesi_zbl", ".model.gz", false),
    ("models/f_one_layer", ".model.gz", false),
    ("models/f_three_layers", ".model.gz", false),
    ("models/g_mace_noscaleshift", ".model.gz", false),
    ("models/h_two_heads", ".model.gz", false),
    ("tutorial/mace01_swa", ".model", false),
    ("tutorial/mace02_com1_swa", ".model", false),
    ("tutorial/mace02_com2_swa", ".model", false),
];

fn model(name: &str, ending: &str) -> Option<Model> {
    let file =
        checkpoint::load(reference(&format!("mace/{name}{ending}"))?).unwrap_or_else(|e| panic!("{e}"));
    Some(Model::new(&file).unwrap_or_else(|e| panic!("{name}: {e}")))
}

/// Energy, forces, virial by candle.
fn candle_outputs(
    reference: &Reference,
    model: &Model,
    system: &System,
    state: &State,
    conditions: Conditions,
) -> Outputs {
    let map = places(system, &model.elements);
    by_candle(system, state, model.cutoff, &map, |edges| {
        reference.forward(edges, conditions).unwrap().energies
    })
}

/// Head, total charge and spin of a frame.
fn conditions(model: &Model, frame: &Frame) -> Conditions {
    let head = |h: &String| model.heads.iter().position(|m| m.name == *h).expect("a head of the model");
    let number = |key: &str| frame.info.contains_key(key).then(|| frame.number(key));
    Conditions {
        head: frame.info.get("head").map_or(0, head),
        total_charge: number("total_charge"),
        total_spin: number("total_spin"),
    }
}

/// Energy, forces, virial by the potential.
fn by_kernels(
    model: &Model,
    system: &System,
    state: &State,
    conditions: Conditions,
    precision: Precision,
    mode: Mode,
) -> Outputs {
    let map = places(system, &model.elements);
    let mut potential = mace::potential(model, &map, conditions, precision).unwrap();
    potential.set_mode(mode);
    compute(&mut potential, system, state)
}

fn kernel_golden(precision: Precision, limits: [f64; 3]) {
    for (name, ending, from_file) in &MODELS {
        let Some(model) = model(name, ending) else { return };
        let Some(frames) = frames(&format!("mace/{name}.extxyz")) else { return };
        let mut worst = [0.0f64; 3];
        // the tables are made for one set of species
        for frame in &frames {
            let (system, state) = frame.build(&species(frame));
            let out = by_kernels(&model, &system, &state, conditions(&model, frame), precision, Mode::Table);
            let d = deviations(frame, &out, *from_file);
            let force = largest_force(frame);
            // single precision is relative to the terms that cancel, whose size the virial of an atom shows
            let size = match precision {
                Precision::F32 => force.max(out.virial.amax() / frame.symbols.len() as f64),
                Precision::F64 => 0.01 * force,
            };
            check(name, frame, &d, limits, size);
            for k in 0..3 {
                worst[k] = worst[k].max(d[k]);
            }
        }
        eprintln!(
            "{name}: energy {:.1e} eV/atom, forces {:.1e} eV/Å, stress {:.1e} eV/Å³",
            worst[0], worst[1], worst[2]
        );
    }
}

#[test]
fn kernels_give_the_numbers_of_mace_torch() {
    kernel_golden(Precision::F64, [1e-9, 1e-8, 1e-10]);
}

#[test]
fn kernels_in_single_precision_are_close() {
    kernel_golden(Precision::F32, [1e-5, 1e-5, 1e-5]);
}

#[test]
fn kernels_are_the_model_in_candle() {
    for (name, ending, _) in MODELS.iter().filter(|m| !m.0.contains("mp0") && !m.0.contains("tutorial")) {
        let Some(model) = model(name, ending) else { return };
        let Some(frames) = frames(&format!("mace/{name}.extxyz")) else { return };
        let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
        for frame in
            frames.iter().filter(|f| (2..=12).contains(&f.symbols.len()) && !f.name().starts_with("dimer"))
        {
            let (system, state) = frame.build(&species(frame));
            let conditions = conditions(&model, frame);
            let mine = by_kernels(&model, &system, &state, conditions, Precision::F64, Mode::Exact);
            let other = candle_outputs(&candle, &model, &system, &state, conditions);
            same(&format!("{name} {}", frame.name()), &mine, &other);
            // and the candle module as the potential that runs on devices
            let map = places(&system, &model.elements);
            let mut on_device =
                mace::potential_on(&model, &map, conditions, Precision::F64, &Device::Cpu).unwrap();
            let other = compute(&mut on_device, &system, &state);
            same(&format!("{name} {} on a device", frame.name()), &mine, &other);
        }
    }
}

/// Options that no model of the reference data has: small models with random weights in `data/mace`, made by its `make.py` with mace-torch.
const OPTIONS: [&str; 17] = [
    "gaussian_soft_zbl",
    "chebyshev_agnesi",
    "soft_tanh",
    "correlation_1",
    "correlation_4",
    "degree_4",
    "features_3",
    "plain",
    "density",
    "gate_none",
    "gate_abs",
    "two_heads",
    "one_layer",
    "edges",
    "omol",
    "mh",
    "charged",
];

fn option_path(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data/mace")).join(format!("{name}.model.gz"))
}

fn option(name: &str) -> Model {
    let file = checkpoint::load(option_path(name)).unwrap_or_else(|e| panic!("{e}"));
    Model::new(&file).unwrap_or_else(|e| panic!("{name}: {e}"))
}

fn option_frames(name: &str) -> Vec<Frame> {
    let all = read_frames(&option_path(name).with_file_name("mace.extxyz"));
    all.into_iter().filter(|f| f.info["model"] == name).collect()
}

/// Compares frames with the kernels, with tables and without, and with candle.
fn every_form(name: &str, model: &Model, frames: &[Frame]) {
    let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
    let mut worst = [[0.0f64; 3]; 4];
    for frame in frames {
        let (system, state) = frame.build(&species(frame));
        let conditions = conditions(model, frame);
        let kernels = |precision: Precision, mode: Mode| {
            by_kernels(model, &system, &state, conditions, precision, mode)
        };
        let exact = kernels(Precision::F64, Mode::Exact);
        let by_candle = candle_outputs(&candle, model, &system, &state, conditions);
        same(&format!("{name} {}", frame.name()), &exact, &by_candle);
        let all =
            [by_candle, exact, kernels(Precision::F64, Mode::Table), kernels(Precision::F32, Mode::Table)];
        let force = largest_force(frame);
        for (k, out) in all.iter().enumerate() {
            let d = deviations(frame, out, false);
            let (limits, size) = if k < 3 {
                ([1e-9, 1e-8, 1e-10], 0.01 * force)
            } else {
                ([1e-5, 1e-5, 1e-5], force.max(out.virial.amax() / frame.symbols.len() as f64))
            };
            check(name, frame, &d, limits, size);
            for c in 0..3 {
                worst[k][c] = worst[k][c].max(d[c]);
            }
        }
    }
    for (form, [e, f, s]) in ["candle", "exact", "tables", "single"].iter().zip(worst) {
        eprintln!("{name}, {form}: energy {e:.1e} eV/atom, forces {f:.1e} eV/Å, stress {s:.1e} eV/Å³");
    }
}

#[test]
fn every_option_gives_the_numbers_of_mace_torch() {
    for name in OPTIONS {
        let (model, frames) = (option(name), option_frames(name));
        assert_eq!(frames.len(), 3 * model.heads.len(), "{name}");
        every_form(name, &model, &frames);
    }
}

/// Models of other versions of mace-torch, with its numbers in double precision.
#[test]
fn toy_models_give_the_numbers_of_mace_torch() {
    let Some(path) = reference("../field/models_checks/golden/mace.json") else { return };
    let all: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(&path).unwrap()).unwrap();
    let values = |v: &serde_json::Value| -> Vec<f64> {
        let rows = v.as_array().unwrap().iter();
        rows.flat_map(|x| x.as_array().cloned().unwrap_or_else(|| vec![x.clone()]))
            .map(|x| x.as_f64().unwrap())
            .collect()
    };
    let text = |v: &serde_json::Value| values(v).iter().map(f64::to_string).collect::<Vec<_>>().join(" ");
    let columns =
        |v: &serde_json::Value, width: usize| values(v).chunks(width).map(<[f64]>::to_vec).collect();
    let mut seen = 0;
    for (name, golden) in all.as_object().unwrap().iter().filter(|e| e.0.starts_with("toy_")) {
        let mut frame = Frame { info: Default::default(), symbols: Vec::new(), columns: Default::default() };
        for (key, value) in [
            ("name", name.clone()),
            ("energy", golden["E"].to_string()),
            ("Lattice", text(&golden["cell"])),
            ("stress", text(&golden["stress"])),
            ("pbc", "T T T".to_owned()),
        ] {
            frame.info.insert(key.to_owned(), value);
        }
        let symbol = |z: &f64| caloron_engine::elements::symbol(*z as u8).unwrap().to_owned();
        frame.symbols = values(&golden["Z"]).iter().map(symbol).collect();
        for (key, column, width) in [("pos", "pos", 3), ("forces", "F", 3), ("energies", "E_atom", 1)] {
            frame.columns.insert(key.to_owned(), columns(&golden[column], width));
        }
        let model = checkpoint::load(path.with_file_name(format!("{name}.model"))).unwrap();
        every_form(name, &Model::new(&model).unwrap(), &[frame]);
        seen += 1;
    }
    assert_eq!(seen, 4);
}

/// Forces of mace-torch with Chebyshev functions are not the derivative of its energy; these are, and the log says so.
#[test]
fn chebyshev_models_say_that_forces_differ() {
    let model = option("chebyshev_agnesi");
    let frame = &option_frames("chebyshev_agnesi")[1];
    let (system, state) = frame.build(&species(frame));
    let map = places(&system, &model.elements);
    let build = |precision| mace::potential(&model, &map, 0, precision).unwrap();
    conforms("Chebyshev", &system, &state, build);
    assert!(build(Precision::F64).describe().iter().any(|l| l.contains("Chebyshev")));
    let other = option("gate_none");
    let potential = mace::potential(&other, &map, 0, Precision::F64).unwrap();
    assert!(potential.describe().iter().all(|l| !l.contains("Chebyshev")));
}

#[test]
fn candle_models_are_differentiable_in_their_weights() {
    for (name, frame) in [
        ("correlation_4", 0),
        ("density", 2),
        ("gaussian_soft_zbl", 2),
        ("two_heads", 5),
        ("plain", 1),
        ("edges", 0),
        ("omol", 2),
        ("mh", 5),
        ("charged", 2),
    ] {
        let model = option(name);
        let frame = &option_frames(name)[frame];
        let (system, state) = frame.build(&species(frame));
        let map = places(&system, &model.elements);
        let conditions = conditions(&model, frame);
        let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
        with_edges(&system, &state, model.cutoff, &map, |_, edges, _| {
            differentiable_in_weights(name, candle.weights(), || {
                candle.forward(edges, conditions).unwrap().energies.sum_all().unwrap()
            });
        });
    }
}

#[test]
fn parts_that_are_not_supported_are_named() {
    let frame = &option_frames("plain")[2];
    let (system, _) = frame.build(&species(frame));
    let json = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap();
    for (model, module, key, value, said) in [
        ("plain", "interactions.1", "edge_irreps", "\"3x0e+3x1o+3x2e\"", "edges of degrees [0, 1, 2]"),
        ("plain", "interactions.1", "edge_irreps", "\"3x0e+2x1o\"", "3x0e+2x1o"),
        ("plain", "interactions.0", "class", "\"mace.modules.blocks.AttBlock\"", "interaction `AttBlock`"),
        ("plain", "readouts.1", "class", "\"mace.modules.blocks.OtherBlock\"", "readout `OtherBlock`"),
        ("omol", "joint_embedding.embedders", "order", "[\"elec_temp\"]", "`elec_temp`"),
        ("omol", "joint_embedding.specs", "", r#"{ "total_spin": { "per": "node" } }"#, "for every node"),
        ("omol", "interactions.1.conv_tp_weights.net.2", "class", "\"torch.nn.Tanh\"", "`Tanh`"),
        ("omol", "interactions.1.equivariant_nonlin", "_act_gate", "\"torch.tanh\"", "Tanh"),
        ("mh", "interactions.1.equivariant_nonlin.act_scalars.acts.0", "f", "\"torch.tanh\"", "Tanh"),
    ] {
        let mut file = checkpoint::load(option_path(model)).unwrap();
        let modules = file.hyper_parameters["modules"].as_object_mut().unwrap();
        match module.strip_suffix(".specs") {
            Some(module) => modules[module]["specs"] = json(value),
            None => modules[module][key] = json(value),
        }
        let e = Model::new(&file).unwrap_err().to_string();
        assert!(e.contains(said), "{model}, {module}: {e}");
    }
    // an activation of another name, of no name, and none at all
    for (change, said) in [
        (
            serde_json::json!({ "class": "e3nn.math._normalize_activation.normalize2mom", "f": "torch.sin" }),
            "`torch.sin`",
        ),
        (serde_json::json!({ "class": "e3nn.math._normalize_activation.normalize2mom" }), "does not name"),
    ] {
        let mut file = checkpoint::load(option_path("plain")).unwrap();
        let modules = file.hyper_parameters["modules"].as_object_mut().unwrap();
        modules.insert("readouts.1.non_linearity.acts.0".to_owned(), change);
        let e = Model::new(&file).unwrap_err().to_string();
        assert!(e.contains(said), "{e}");
    }
    let mut file = checkpoint::load(option_path("plain")).unwrap();
    let modules = file.hyper_parameters["modules"].as_object_mut().unwrap();
    modules.retain(|name, _| !name.contains(".acts"));
    assert!(Model::new(&file).unwrap_err().to_string().contains("is not stated"));
    // a head that is not there
    let text = format!("[mace]\nfile = {:?}\nhead = \"secnd\"", option_path("two_heads"));
    let e = try_potential(&system, UnitSystem::Physical, &text).err().expect("it is accepted");
    assert!(e.to_string().contains("no head `secnd`"), "{e}");
}

/// A model that depends on charge and spin wants both, within what it knows; another wants neither.
#[test]
fn charge_and_spin_are_stated_where_they_matter() {
    let frame = &option_frames("omol")[1];
    let (system, state) = frame.build(&species(frame));
    let build = |name: &str, more: &str| {
        let text = format!("[mace]\nfile = {:?}\n{more}", option_path(name));
        try_potential(&system, UnitSystem::Physical, &text)
    };
    for (name, more, key, said) in [
        ("omol", "total_spin = 1", "mace.total_charge", "depends on the total charge"),
        ("omol", "total_charge = 0", "mace.total_spin", "depends on the spin multiplicity"),
        ("omol", "total_charge = 5\ntotal_spin = 1", "mace.total_charge", "whole numbers from -4 to 4"),
        ("omol", "total_charge = 0\ntotal_spin = 8", "mace.total_spin", "whole numbers from 0 to 7"),
        ("charged", "total_charge = 0\ntotal_spin = 1", "mace.total_spin", "not trained with a spin"),
        ("plain", "total_charge = 0", "mace.total_charge", "not trained with a total charge"),
    ] {
        let e = build(name, more).err().expect("it is accepted");
        assert_eq!(e.key, key, "{name}, {more}");
        assert!(e.to_string().contains(said), "{name}, {more}: {e}");
    }
    let mut potential = build("omol", "total_charge = -2\ntotal_spin = 3\nprecision = \"f64\"").unwrap();
    let d = deviations(frame, &compute(potential.as_mut(), &system, &state), false);
    check("omol", frame, &d, [1e-9, 1e-8, 1e-10], 1.0);
    let said = potential.describe().join("\n");
    assert!(said.contains("total charge -2, spin multiplicity 3"), "{said}");
}

/// Where the cutoff multiplies the radial functions but not the biases behind them, energies jump at it, and the log says so.
#[test]
fn jumps_at_the_cutoff_are_said() {
    let said = |on_basis: bool| {
        let mut model = option("charged");
        model.radial.on_basis = on_basis;
        let conditions = Conditions { total_charge: Some(1.0), ..0.into() };
        mace::potential(&model, &[0], conditions, Precision::F64).unwrap().describe().join("\n")
    };
    assert!(said(true).contains("energies jump") && !said(false).contains("energies jump"));
}

fn candle_golden(select: impl Fn(&str) -> bool, most_atoms: usize) {
    let mut seen = 0;
    for (name, ending, from_file) in MODELS.iter().filter(|m| select(m.0)) {
        let Some(model) = model(name, ending) else { return };
        let Some(frames) = frames(&format!("mace/{name}.extxyz")) else { return };
        let candle = Reference::new(model.clone(), DType::F64, &Device::Cpu).unwrap();
        let mut worst = [0.0f64; 3];
        for frame in frames.iter().filter(|f| f.symbols.len() <= most_atoms && f.number("n_edges") > 0.0) {
            let (system, state) = frame.build(&species(frame));
            let out = candle_outputs(&candle, &model, &system, &state, conditions(&model, frame));
            let d = deviations(frame, &out, *from_file);
            check(name, frame, &d, [1e-9, 1e-8, 1e-10], 0.01 * largest_force(frame));
            for k in 0..3 {
                worst[k] = worst[k].max(d[k]);
            }
            seen += 1;
        }
        eprintln!(
            "{name}: energy {:.1e} eV/atom, forces {:.1e} eV/Å, stress {:.1e} eV/Å³",
            worst[0], worst[1], worst[2]
        );
    }
    assert!(seen > 0);
}

#[test]
fn candle_gives_the_numbers_of_mace_torch() {
    candle_golden(|name| !name.contains("mp0"), 40);
}

#[test]
#[ignore = "minutes"]
fn candle_gives_the_numbers_of_mace_torch_for_large_models() {
    candle_golden(|_| true, 1000);
}

/// Models of every kind of interaction pass the suite, on a crystal smaller than the cutoff and on a molecule.
#[test]
fn potentials_conform() {
    for (name, ending, frame) in [
        ("models/a_tiny", ".model", "water_8_periodic"),
        ("models/e_density_agnesi_zbl", ".model.gz", "nacl_stretched"),
        ("models/f_three_layers", ".model.gz", "random_12el_20"),
        ("models/g_mace_noscaleshift", ".model.gz", "ethanol_open"),
    ] {
        let Some(model) = model(name, ending) else { return };
        let Some(frames) = frames(&format!("mace/{name}.extxyz")) else { return };
        let frame = frames.iter().find(|f| f.name() == frame).expect("a frame of the set");
        let (system, state) = frame.build(&species(frame));
        let map = places(&system, &model.elements);
        conforms(name, &system, &state, |precision| mace::potential(&model, &map, 0, precision).unwrap());
    }
    for (name, frame) in [("edges", 0), ("omol", 1), ("omol", 2), ("mh", 4), ("mh", 5)] {
        let (model, frame) = (option(name), &option_frames(name)[frame]);
        let (system, state) = frame.build(&species(frame));
        let map = places(&system, &model.elements);
        let conditions = conditions(&model, frame);
        conforms(name, &system, &state, |precision| {
            mace::potential(&model, &map, conditions, precision).unwrap()
        });
    }
}

/// Prints seconds for energy, forces and virial of 216 atoms of MgO with a model of the size of MACE-MP-0 medium.
#[test]
#[ignore = "a measurement"]
fn speed() {
    let Some(frames) = frames("../peers/mgo216.extxyz") else { return };
    let path = reference("mace/models/b_mp0_medium.model.gz").unwrap();
    let (system, state) = frames[0].build(&["Mg", "O"]);
    for precision in [Precision::F32, Precision::F64] {
        let built = || {
            let start = std::time::Instant::now();
            let model = Model::new(&checkpoint::load(&path).unwrap()).unwrap();
            let read = start.elapsed().as_secs_f64();
            let place = |z: u8| model.elements.iter().position(|e| *e == z).unwrap();
            let potential = mace::potential(&model, &[place(12), place(8)], 0, precision).unwrap();
            (potential, format!(" (of which {read:.2} s reading)"))
        };
        time(&system, &state, precision, built, |p| p.bytes());
    }
}

/// Prints the memory and the time of one evaluation of 10,368 atoms with a model of the size of MACE-MP-0 medium.
#[test]
#[ignore = "a measurement"]
fn memory() {
    let Some(frames) = frames("../peers/mgo216.extxyz") else { return };
    let path = reference("mace/models/b_mp0_medium.model.gz").unwrap();
    let model = Model::new(&checkpoint::load(&path).unwrap()).unwrap();
    let (small, state) = frames[0].build(&["Mg", "O"]);
    let (mut types, mut positions) = (Vec::new(), Vec::new());
    for copy in 0..48 {
        let by = state.cell().translation([copy % 4, copy / 4 % 4, copy / 16]);
        types.extend_from_slice(small.types());
        positions.extend(state.positions().iter().map(|r| r + by));
    }
    let vectors = [4.0, 4.0, 3.0];
    let cell =
        caloron_engine::Cell::new(std::array::from_fn(|k| state.cell().vector(k) * vectors[k]), [true; 3])
            .unwrap();
    let system = System::new(small.species().to_vec(), types);
    let state = State::at_rest(positions, cell);
    let place = |z: u8| model.elements.iter().position(|e| *e == z).unwrap();
    for precision in [Precision::F32, Precision::F64] {
        let mut potential = mace::potential(&model, &[place(12), place(8)], 0, precision).unwrap();
        let list = list(&system, &state, model.cutoff);
        let input =
            Input { system: &system, positions: state.positions(), cell: state.cell(), neighbors: &list };
        let mut out = Outputs::default();
        for _ in 0..2 {
            let start = std::time::Instant::now();
            out.reset(system.len(), ALL);
            potential.compute(input, ALL, &mut out).unwrap();
            println!(
                "{precision:?}: {} atoms, {:.2} s, {:.0} MB beside the neighbour list's {:.0} MB",
                system.len(),
                start.elapsed().as_secs_f64(),
                potential.bytes() as f64 * 1e-6,
                list.bytes() as f64 * 1e-6
            );
        }
        assert!(potential.bytes() < 2_000_000_000);
    }
}
