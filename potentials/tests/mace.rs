//! MACE models against mace-torch 0.3.16, and the fused kernels against candle.
mod support;

use caloron_engine::neighbors::Search;
use caloron_engine::testing::reference;
use caloron_engine::{Input, Mat3, NeighborList, Outputs, Potential, Properties, State, System};
use caloron_potentials::ml::checkpoint;
use caloron_potentials::ml::graph::Graph;
use caloron_potentials::ml::mace::reference::Edges;
use caloron_potentials::ml::mace::{Mace, Mode, Model, Precision, Reference};
use candle_core::{DType, Device, Tensor, Var};
use support::{Frame, frames};

const ALL: Properties = Properties::all().difference(Properties::EXTRAS);

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

/// Symbols that occur in a frame.
fn species(frame: &Frame) -> Vec<&str> {
    let mut names: Vec<&str> = frame.symbols.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

fn list(system: &System, state: &State, cutoff: f64) -> NeighborList {
    let mut list = NeighborList::new(cutoff, 0.0, Search::Auto);
    list.update(system, state.positions(), state.cell());
    list
}

/// Energy, forces, virial by candle.
fn by_candle(reference: &Reference, model: &Model, system: &System, state: &State, head: usize) -> Outputs {
    let list = list(system, state, model.cutoff);
    let input = Input { system, positions: state.positions(), cell: state.cell(), neighbors: &list };
    let mut graph = Graph::default();
    graph.build(&input, model.cutoff);
    let mut out = Outputs::default();
    out.reset(system.len(), ALL);
    let elements = elements(model, system, &graph);
    if graph.edges() == 0 {
        let energies: Vec<f64> = elements.iter().map(|_| f64::NAN).collect();
        graph.add(&energies, &[], Properties::ENERGY, &mut out);
        return out;
    }
    let receivers: Vec<u32> = (0..graph.nodes()).flat_map(|k| vec![k as u32; graph.row(k).len()]).collect();
    let flat: Vec<f64> = graph.vectors().iter().flatten().copied().collect();
    let vectors =
        Var::from_tensor(&Tensor::from_vec(flat, (graph.edges(), 3), &Device::Cpu).unwrap()).unwrap();
    let senders = graph.neighbors().to_vec();
    let edges =
        Edges { vectors: vectors.as_tensor(), receivers: &receivers, senders: &senders, elements: &elements };
    let stages = reference.forward(&edges, head).unwrap();
    let gradient = stages.energies.sum_all().unwrap().backward().unwrap();
    let g: Vec<Vec<f64>> = gradient.get(vectors.as_tensor()).unwrap().to_vec2().unwrap();
    let g: Vec<[f64; 3]> = g.iter().map(|g| [g[0], g[1], g[2]]).collect();
    graph.add(&stages.energies.to_vec1::<f64>().unwrap(), &g, ALL, &mut out);
    out
}

/// Place in the model of the element of every node.
fn elements(model: &Model, system: &System, graph: &Graph) -> Vec<u32> {
    let of: Vec<u32> = system
        .species()
        .iter()
        .map(|s| {
            model.elements.iter().position(|z| Some(*z) == s.number).expect("an element of the model") as u32
        })
        .collect();
    graph.species().iter().map(|s| of[usize::from(*s)]).collect()
}

/// Largest deviations of energy per atom, forces and stress from a frame.
fn deviations(frame: &Frame, out: &Outputs, from_file: bool) -> [f64; 3] {
    let key = |name: &str| if from_file { format!("{name}_from_file") } else { name.to_owned() };
    let n = frame.symbols.len() as f64;
    let energy = (out.energy - frame.number(&key("energy"))).abs() / n;
    let forces = frame.vectors(&key("forces"));
    let force = forces.iter().zip(&out.forces).map(|(a, b)| (a - b).amax()).fold(0.0, f64::max);
    let stress = match (frame.matrix(&key("stress")), frame.matrix("Lattice")) {
        (Some(stress), Some(lattice)) => {
            let mine: Mat3 = -out.virial / lattice.determinant().abs();
            (mine - stress).amax()
        }
        _ => 0.0,
    };
    let each = frame.columns[&key("energies")].iter().zip(&out.atom_energies);
    let atoms = each.map(|(a, b)| (a[0] - b).abs()).fold(0.0, f64::max);
    [energy.max(atoms), force, stress]
}

fn head(model: &Model, frame: &Frame) -> usize {
    frame
        .info
        .get("head")
        .map_or(0, |h| model.heads.iter().position(|m| m.name == *h).expect("a head of the model"))
}

/// Limits are absolute, and grow with `size` beyond 1.
fn check(name: &str, frame: &Frame, d: &[f64; 3], limits: [f64; 3], size: f64) {
    let scale = size.max(1.0);
    assert!(
        d[0] < limits[0] * scale && d[1] < limits[1] * scale && d[2] < limits[2] * scale,
        "{name} {}: {d:?}, size {size:e}",
        frame.name()
    );
}

/// The largest force of a frame, eV/Å; among the references are colliding atoms.
fn largest_force(frame: &Frame) -> f64 {
    frame.vectors("forces").iter().map(|f| f.amax()).fold(0.0, f64::max)
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
    let place = |s: &caloron_engine::Species| model.elements.iter().position(|z| Some(*z) == s.number);
    let map: Vec<usize> =
        system.species().iter().map(|s| place(s).expect("an element of the model")).collect();
    let mut potential = Mace::new(model, &map, head, precision).unwrap();
    potential.set_mode(mode);
    let list = list(system, state, model.cutoff);
    let mut out = Outputs::default();
    out.reset(system.len(), ALL);
    let input = Input { system, positions: state.positions(), cell: state.cell(), neighbors: &list };
    potential.compute(input, ALL, &mut out).unwrap();
    out
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
            let other = by_candle(&candle, &model, &system, &state, head);
            let n = system.len() as f64;
            let energy = (mine.energy - other.energy).abs() / n;
            let scale = other.forces.iter().map(|f| f.amax()).fold(1.0, f64::max);
            let force =
                mine.forces.iter().zip(&other.forces).map(|(a, b)| (a - b).amax()).fold(0.0, f64::max);
            let virial = (mine.virial - other.virial).amax() / other.virial.amax().max(1.0);
            let own = 1e-11_f64.max(1e-13 * other.energy.abs());
            assert!(
                energy < own && force < 1e-11 * scale && virial < 1e-11,
                "{name} {}: {energy:e} {force:e} {virial:e}",
                frame.name()
            );
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
            let out = by_candle(&candle, &model, &system, &state, head(&model, frame));
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
    use caloron_engine::testing::{Options, check_potential};
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
        let place = |s: &caloron_engine::Species| model.elements.iter().position(|z| Some(*z) == s.number);
        let map: Vec<usize> =
            system.species().iter().map(|s| place(s).expect("an element of the model")).collect();
        let mut potential = Mace::new(&model, &map, 0, Precision::F64).unwrap();
        let options = Options { atoms: 3, ..Options::default() };
        let report = check_potential(&mut potential, &system, &state, &options).unwrap();
        assert!(report.passed(), "{name}\n{report}");
        // single precision has the same bits for any number of threads too
        let mut single = Mace::new(&model, &map, 0, Precision::F32).unwrap();
        let options = Options { difference_tolerance: f64::INFINITY, rounding_tolerance: 1e-4, ..options };
        let report = check_potential(&mut single, &system, &state, &options).unwrap();
        assert!(report.passed(), "{name} in single precision\n{report}");
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
        for threads in [1, 2] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
            pool.install(|| {
                let start = std::time::Instant::now();
                let model = Model::new(&checkpoint::load(&path).unwrap()).unwrap();
                let read = start.elapsed().as_secs_f64();
                let place = |z: u8| model.elements.iter().position(|e| *e == z).unwrap();
                let mut potential = Mace::new(&model, &[place(12), place(8)], 0, precision).unwrap();
                let list = list(&system, &state, model.cutoff);
                let input = Input { system: &system, positions: state.positions(), cell: state.cell(), neighbors: &list };
                let want = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL;
                let mut out = Outputs::default();
                let mut run = || {
                    let start = std::time::Instant::now();
                    out.reset(system.len(), want);
                    potential.compute(input, want, &mut out).unwrap();
                    start.elapsed().as_secs_f64() * 1e3
                };
                run();
                let load = start.elapsed().as_secs_f64();
                let mut times: Vec<f64> = (0..15).map(|_| run()).collect();
                times.sort_by(f64::total_cmp);
                println!(
                    "{precision:?}, {threads} threads: {:.1} ms (least {:.1}), first energy {load:.2} s after the file was opened (read in {read:.2} s), {:.0} MB; {:?}",
                    times[7],
                    times[0],
                    potential.bytes() as f64 * 1e-6,
                    potential.describe()
                );
            });
        }
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
        let mut potential = Mace::new(&model, &[place(12), place(8)], 0, precision).unwrap();
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
