//! What the tests of learned potentials share.
use super::Frame;
use caloron_engine::neighbors::Search;
use caloron_engine::testing::{Options, check_potential};
use caloron_engine::{Input, Mat3, NeighborList, Outputs, Potential, Properties, State, System};
use caloron_potentials::ml::differentiable::Edges;
use caloron_potentials::ml::graph::Graph;
use caloron_potentials::ml::mace::Precision;
use candle_core::{Device, Tensor, Var};
use std::collections::BTreeMap;
use std::path::PathBuf;

pub const ALL: Properties = Properties::all().difference(Properties::EXTRAS);

/// A file that a Python package brings along: `name` in the folder that the environment variable `variable` names, or in `folder` of the packages
/// in the environment `venv` that `shared/peers/setup.sh` installs. Says so when it is not there.
pub fn shipped(variable: &str, venv: &str, folder: &str, name: &str) -> Option<PathBuf> {
    let installed = || {
        let home = std::env::var_os("CALORON_PEERS")
            .map(PathBuf::from)
            .or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".cache/caloron-peers")))?;
        let pythons = std::fs::read_dir(home.join(venv).join("lib")).ok()?.flatten();
        pythons.map(|p| p.path().join("site-packages").join(folder)).find(|path| path.is_dir())
    };
    let folder = std::env::var_os(variable).map(PathBuf::from).or_else(installed);
    let path = folder.map(|f| f.join(name)).filter(|p| p.exists());
    if path.is_none() {
        eprintln!("SKIPPED: no `{name}` (set {variable} to the folder where it is)");
    }
    path
}

/// Symbols that occur in a frame.
pub fn species(frame: &Frame) -> Vec<&str> {
    let mut names: Vec<&str> = frame.symbols.iter().map(String::as_str).collect();
    names.sort_unstable();
    names.dedup();
    names
}

pub fn list(system: &System, state: &State, cutoff: f64) -> NeighborList {
    let mut list = NeighborList::new(cutoff, 0.0, Search::Auto);
    list.update(system, state.positions(), state.cell());
    list
}

/// Energy, forces, virial of a potential.
pub fn compute(potential: &mut dyn Potential, system: &System, state: &State) -> Outputs {
    let list = list(system, state, potential.cutoff().unwrap_or(0.0));
    let mut out = Outputs::default();
    out.reset(system.len(), ALL);
    let input = Input { system, positions: state.positions(), cell: state.cell(), neighbors: &list };
    potential.compute(input, ALL, &mut out).unwrap();
    out
}

/// Energy, forces, virial by candle, from a function that gives the energy of every node.
pub fn by_candle(
    system: &System,
    state: &State,
    cutoff: f64,
    map: &[usize],
    energies: impl Fn(&Edges<'_>) -> Tensor,
) -> Outputs {
    let mut out = Outputs::default();
    out.reset(system.len(), ALL);
    with_edges(system, state, cutoff, map, |graph, edges, vectors| {
        if graph.edges() == 0 {
            graph.add(&vec![f64::NAN; graph.nodes()], &[], Properties::ENERGY, &mut out);
            return;
        }
        let energies = energies(edges);
        let gradient = energies.sum_all().unwrap().backward().unwrap();
        let g: Vec<Vec<f64>> = gradient.get(vectors.as_tensor()).unwrap().to_vec2().unwrap();
        let g: Vec<[f64; 3]> = g.iter().map(|g| [g[0], g[1], g[2]]).collect();
        graph.add(&energies.to_vec1::<f64>().unwrap(), &g, ALL, &mut out);
    });
    out
}

/// Calls a function with the graph of a structure, its edges and their vectors as a variable.
pub fn with_edges(
    system: &System,
    state: &State,
    cutoff: f64,
    map: &[usize],
    f: impl FnOnce(&mut Graph, &Edges<'_>, &Var),
) {
    let list = list(system, state, cutoff);
    let input = Input { system, positions: state.positions(), cell: state.cell(), neighbors: &list };
    let mut graph = Graph::default();
    graph.build(&input, cutoff);
    let elements: Vec<u32> = graph.species().iter().map(|s| map[usize::from(*s)] as u32).collect();
    let receivers: Vec<u32> = (0..graph.nodes()).flat_map(|k| vec![k as u32; graph.row(k).len()]).collect();
    let flat: Vec<f64> = graph.vectors().iter().flatten().copied().collect();
    let vectors =
        Var::from_tensor(&Tensor::from_vec(flat, (graph.edges(), 3), &Device::Cpu).unwrap()).unwrap();
    let senders = graph.neighbors().to_vec();
    let edges =
        Edges { vectors: vectors.as_tensor(), receivers: &receivers, senders: &senders, elements: &elements };
    f(&mut graph, &edges, &vectors);
}

/// Panics where the derivative of an energy with respect to weights is not its slope. Every variable moves in one direction, all of
/// its numbers by other shares of the largest.
pub fn differentiable_in_weights(name: &str, weights: &BTreeMap<String, Var>, energy: impl Fn() -> Tensor) {
    let start = energy();
    let gradients = start.backward().unwrap();
    let start: f64 = start.to_scalar().unwrap();
    let mut sloped = 0;
    for (which, variable) in weights {
        let values: Vec<f64> = variable.flatten_all().unwrap().to_vec1().unwrap();
        let largest = values.iter().fold(1e-3f64, |s, x| s.max(x.abs()));
        let direction: Vec<f64> = (0..values.len()).map(|k| largest * (1.7 * k as f64 + 0.3).sin()).collect();
        let derivative: f64 = gradients.get(variable.as_tensor()).map_or(0.0, |g| {
            let g: Vec<f64> = g.flatten_all().unwrap().to_vec1().unwrap();
            g.iter().zip(&direction).map(|(g, d)| g * d).sum()
        });
        let moved = |step: f64| {
            let x: Vec<f64> = values.iter().zip(&direction).map(|(x, d)| x + step * d).collect();
            variable.set(&Tensor::from_vec(x, variable.shape(), variable.device()).unwrap()).unwrap();
            energy().to_scalar::<f64>().unwrap()
        };
        let h = 2e-4;
        let slope = (8.0 * (moved(h) - moved(-h)) - (moved(2.0 * h) - moved(-2.0 * h))) / (12.0 * h);
        assert_eq!(moved(0.0), start, "{name}: {which} is what it was");
        let limit = 1e-6 * derivative.abs() + 1e-8 * start.abs().max(1.0);
        assert!(
            (slope - derivative).abs() < limit,
            "{name}, {which}: slope {slope}, derivative {derivative}"
        );
        sloped += usize::from(derivative.abs() > 1e-6);
    }
    assert!(sloped > weights.len() / 2, "{name}: {sloped} of {} variables matter", weights.len());
}

/// Places in a model, given by its atomic numbers, of the elements of a system.
pub fn places(system: &System, numbers: &[u8]) -> Vec<usize> {
    let place = |s: &caloron_engine::Species| numbers.iter().position(|z| Some(*z) == s.number);
    system.species().iter().map(|s| place(s).expect("an element of the model")).collect()
}

/// Panics when results differ by more than rounding in double precision.
pub fn same(name: &str, mine: &Outputs, other: &Outputs) {
    let n = mine.forces.len() as f64;
    let energy = (mine.energy - other.energy).abs() / n;
    let scale = other.forces.iter().map(|f| f.amax()).fold(1.0, f64::max);
    let force = mine.forces.iter().zip(&other.forces).map(|(a, b)| (a - b).amax()).fold(0.0, f64::max);
    let virial = (mine.virial - other.virial).amax() / other.virial.amax().max(1.0);
    let own = 1e-11_f64.max(1e-13 * other.energy.abs());
    assert!(
        energy < own && force < 1e-11 * scale && virial < 1e-11,
        "{name}: {energy:e} {force:e} {virial:e}"
    );
}

/// Largest deviations of energy per atom, forces and stress from a frame.
pub fn deviations(frame: &Frame, out: &Outputs, from_file: bool) -> [f64; 3] {
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

/// Limits are absolute, and grow with `size` beyond 1.
pub fn check(name: &str, frame: &Frame, d: &[f64; 3], limits: [f64; 3], size: f64) {
    let scale = size.max(1.0);
    assert!(
        d[0] < limits[0] * scale && d[1] < limits[1] * scale && d[2] < limits[2] * scale,
        "{name} {}: {d:?}, size {size:e}",
        frame.name()
    );
}

/// The largest force of a frame, eV/Å; among the references are colliding atoms.
pub fn largest_force(frame: &Frame) -> f64 {
    frame.vectors("forces").iter().map(|f| f.amax()).fold(0.0, f64::max)
}

/// The potential passes the suite in double precision and, with the limits for that, in single precision.
pub fn conforms<P: Potential>(
    name: &str,
    system: &System,
    state: &State,
    potential: impl Fn(Precision) -> P,
) {
    let options = Options { atoms: 3, ..Options::default() };
    let report = check_potential(&mut potential(Precision::F64), system, state, &options).unwrap();
    assert!(report.passed(), "{name}\n{report}");
    let mut single = potential(Precision::F32);
    let options = Options { atoms: 3, ..Options::suited_to(&single) };
    let report = check_potential(&mut single, system, state, &options).unwrap();
    assert!(report.passed(), "{name} in single precision\n{report}");
}

/// Prints how long an evaluation takes with one and with two threads: the median of fifteen after a first one that does not count.
/// `build` makes the potential and says what else is to be known of that; `bytes` are what the potential holds.
pub fn time<P: Potential>(
    system: &System,
    state: &State,
    precision: Precision,
    build: impl Fn() -> (P, String) + Sync,
    bytes: impl Fn(&P) -> usize + Sync,
) {
    for threads in [1, 2] {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build().unwrap();
        pool.install(|| {
            let start = std::time::Instant::now();
            let (mut potential, built) = build();
            let list = list(system, state, potential.cutoff().expect("a cutoff"));
            let input = Input { system, positions: state.positions(), cell: state.cell(), neighbors: &list };
            let want = Properties::ENERGY | Properties::FORCES | Properties::VIRIAL;
            let mut out = Outputs::default();
            let mut run = || {
                let start = std::time::Instant::now();
                out.reset(system.len(), want);
                potential.compute(input, want, &mut out).unwrap();
                start.elapsed().as_secs_f64() * 1e3
            };
            run();
            let first = start.elapsed().as_secs_f64();
            let mut times: Vec<f64> = (0..15).map(|_| run()).collect();
            times.sort_by(f64::total_cmp);
            println!(
                "{precision:?}, {threads} threads: {:.1} ms (least {:.1}), first energy after {first:.2} s{built}, {:.0} MB; {:?}",
                times[7],
                times[0],
                bytes(&potential) as f64 * 1e-6,
                potential.describe()
            );
        });
    }
}
