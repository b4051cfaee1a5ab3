//! MACE models against mace-torch 0.3.16, and the fused kernels against candle.
mod support;

use caloron_engine::testing::reference;
use caloron_engine::{Input, Outputs, Potential, State, System};
use caloron_potentials::ml::checkpoint;
use caloron_potentials::ml::mace::{self, Mode, Model, Precision, Reference};
use candle_core::{DType, Device};
use support::learned::{
    ALL, by_candle, check, compute, conforms, deviations, largest_force, list, places, same, species, time,
};
use support::{Frame, frames};

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
    head: usize,
) -> Outputs {
    let map = places(system, &model.elements);
    by_candle(system, state, model.cutoff, &map, |edges| reference.forward(edges, head).unwrap().energies)
}

fn head(model: &Model, frame: &Frame) -> usize {
    frame
        .info
        .get("head")
        .map_or(0, |h| model.heads.iter().position(|m| m.name == *h).expect("a head of the model"))
}

/// Energy, forces, virial by the potential.
fn by_kernels(
    model: &Model,
    system: &System,
    state: &State,
    head: usize,
    precision: Precision,
    mode: Mode,
) -> Outputs {
    let map = places(system, &model.elements);
    let mut potential = mace::potential(model, &map, head, precision).unwrap();
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
            let out = by_kernels(&model, &system, &state, head(&model, frame), precision, Mode::Table);
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
            let head = head(&model, frame);
            let mine = by_kernels(&model, &system, &state, head, Precision::F64, Mode::Exact);
            let other = candle_outputs(&candle, &model, &system, &state, head);
            same(&format!("{name} {}", frame.name()), &mine, &other);
            // and the candle module as the potential that runs on devices
            let map = places(&system, &model.elements);
            let mut on_device = mace::potential_on(&model, &map, head, Precision::F64, &Device::Cpu).unwrap();
            let other = compute(&mut on_device, &system, &state);
            same(&format!("{name} {} on a device", frame.name()), &mine, &other);
        }
    }
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
            let out = candle_outputs(&candle, &model, &system, &state, head(&model, frame));
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
