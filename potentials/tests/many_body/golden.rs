//! Frames of the reference data and their comparison with a potential.
use caloron_engine::neighbors::Search;
use caloron_engine::{
    Cell, Evaluator, Mat3, Outputs, Potential, Properties, SpecError, Species, State, System, UnitSystem,
    Vec3, elements, testing,
};
use caloron_potentials::{BuildContext, PotentialSpec};
use std::path::{Path, PathBuf};

/// One frame of an extended XYZ file.
pub struct Frame {
    pub name: String,
    pub header: String,
    pub symbols: Vec<String>,
    pub positions: Vec<Vec3>,
    pub velocities: Option<Vec<Vec3>>,
    pub forces: Vec<Vec3>,
    pub energies: Option<Vec<f64>>,
    pub cell: Cell,
}

/// The value of a key in a header, without its quotes.
pub fn value<'a>(header: &'a str, key: &str) -> Option<&'a str> {
    let at = header.find(&format!("{key}="))? + key.len() + 1;
    let rest = &header[at..];
    Some(match rest.strip_prefix('"') {
        Some(quoted) => quoted.split('"').next()?,
        None => rest.split_whitespace().next()?,
    })
}

fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|w| w.parse().unwrap()).collect()
}

/// All frames of a file; `None` when the reference data are not there.
pub fn frames(file: &str) -> Option<Vec<Frame>> {
    testing::reference(file).map(|path| read_frames(&path))
}

/// All frames of a file.
pub fn read_frames(path: &Path) -> Vec<Frame> {
    let text = std::fs::read_to_string(path).unwrap();
    let mut lines = text.lines();
    let mut frames = Vec::new();
    while let Some(count) = lines.next() {
        let n: usize = count.trim().parse().unwrap();
        let header = lines.next().unwrap().to_owned();
        let mut columns = Vec::new();
        let spec: Vec<&str> = value(&header, "Properties").unwrap().split(':').collect();
        let mut at = 0;
        for c in spec.chunks(3) {
            columns.push((c[0], at));
            at += c[2].parse::<usize>().unwrap();
        }
        let column = |name: &str| columns.iter().find(|c| c.0 == name).map(|c| c.1);
        let rows: Vec<Vec<&str>> =
            (0..n).map(|_| lines.next().unwrap().split_whitespace().collect()).collect();
        let vectors = |name: &str| {
            column(name).map(|c| {
                rows.iter()
                    .map(|r| Vec3::from([0, 1, 2].map(|k| r[c + k].parse().unwrap())))
                    .collect::<Vec<_>>()
            })
        };
        let cell = match value(&header, "Lattice") {
            None => Cell::open(),
            Some(lattice) => {
                let v = numbers(lattice);
                let mut periodic = [false; 3];
                for (p, w) in periodic.iter_mut().zip(value(&header, "pbc").unwrap().split_whitespace()) {
                    *p = w == "T";
                }
                Cell::from_matrix(Mat3::from_column_slice(&v), periodic).unwrap()
            }
        };
        frames.push(Frame {
            name: value(&header, "name").unwrap().to_owned(),
            symbols: rows.iter().map(|r| r[0].to_owned()).collect(),
            positions: vectors("pos").unwrap(),
            velocities: vectors("velocities"),
            forces: vectors("forces").unwrap(),
            energies: column("energies").map(|c| rows.iter().map(|r| r[c].parse().unwrap()).collect()),
            cell,
            header,
        });
    }
    frames
}

/// A system of named atoms; the species are in the order given.
pub fn system(species: &[&str], symbols: &[String]) -> System {
    let table = species.iter().map(|s| Species {
        symbol: (*s).to_owned(),
        number: elements::atomic_number(s),
        mass: 1.0,
    });
    let types = symbols.iter().map(|s| species.iter().position(|t| t == s).unwrap() as u16).collect();
    System::new(table.collect(), types)
}

/// The potential of a spec in TOML, with files relative to `directory`.
pub fn build(toml: &str, directory: &Path, system: &System) -> Result<Box<dyn Potential>, SpecError> {
    let spec: PotentialSpec = toml::from_str(toml).unwrap();
    let mut context = BuildContext {
        models: &Default::default(),
        system,
        positions: &[],
        cell: &Cell::open(),
        units: UnitSystem::Physical,
        directory,
        files: Vec::new(),
    };
    spec.build(&mut context)
}

/// Folder of the potential files.
pub fn potentials() -> Option<PathBuf> {
    testing::reference("potentials")
}

/// Everything a potential gives for a geometry.
pub fn evaluate(potential: Box<dyn Potential>, system: &System, positions: &[Vec3], cell: &Cell) -> Outputs {
    let mut evaluator = Evaluator::new(vec![potential], 0.4, Search::Auto);
    let state = State::at_rest(positions.to_vec(), cell.clone());
    let all = Properties::all().difference(Properties::EXTRAS);
    evaluator.ensure(system, &state, all, all).unwrap().clone()
}

/// Deviations that are allowed: relative energy, forces (eV/Å), virial and energies of atoms relative to the larger of
/// 1 eV and the largest of them.
#[derive(Clone, Copy)]
pub struct Tolerance {
    pub energy: f64,
    pub forces: f64,
}

pub const STRICT: Tolerance = Tolerance { energy: 1e-9, forces: 1e-8 };

/// Compares a potential with every frame of a case, and returns how many there were.
pub fn compare(case: &str, species: &[&str], toml: &str, directory: &Path, tolerance: Tolerance) -> usize {
    compare_terms(case, species, &[(toml, 1.0)], directory, tolerance)
}

/// As [`compare`] for the sum of potentials with factors.
pub fn compare_terms(
    case: &str,
    species: &[&str],
    terms: &[(&str, f64)],
    directory: &Path,
    tolerance: Tolerance,
) -> usize {
    let Some(frames) = frames(&format!("classical/{case}.extxyz")) else { return 0 };
    for frame in &frames {
        compare_frame(frame, species, terms, directory, tolerance);
    }
    frames.len()
}

/// Compares the sum of potentials with factors with one frame.
pub fn compare_frame(
    frame: &Frame,
    species: &[&str],
    terms: &[(&str, f64)],
    directory: &Path,
    tolerance: Tolerance,
) {
    let at = &frame.name;
    let system = system(species, &frame.symbols);
    let mut out = Outputs::default();
    out.reset(system.len(), Properties::all());
    for (toml, factor) in terms {
        let potential = build(toml, directory, &system).unwrap();
        let mut part = evaluate(potential, &system, &frame.positions, &frame.cell);
        part.energy *= factor;
        part.virial *= *factor;
        part.forces.iter_mut().for_each(|f| *f *= *factor);
        part.atom_energies.iter_mut().for_each(|e| *e *= factor);
        part.atom_virials.iter_mut().for_each(|w| *w *= *factor);
        out.add(&part);
    }
    let energy: f64 = value(&frame.header, " energy").unwrap().parse().unwrap();
    let error = (out.energy - energy).abs();
    assert!(error <= tolerance.energy * energy.abs().max(1e-3), "{at}: energy {} {energy}", out.energy);
    // overlapping atoms have forces far above 1 eV/Å, where the relative deviation counts
    let scale = frame.forces.iter().fold(1.0, |m: f64, f| m.max(f.norm() * 1e-3));
    for (i, (a, b)) in out.forces.iter().zip(&frame.forces).enumerate() {
        assert!((a - b).norm() <= tolerance.forces * scale, "{at}: force on {i}: {a} {b}");
    }
    let virial = numbers(value(&frame.header, "virial").unwrap());
    let virial = Mat3::from_row_slice(&virial);
    let scale = virial.abs().max().max(1.0);
    assert!((out.virial - virial).abs().max() <= tolerance.forces * scale, "{at}: {}{virial}", out.virial);
    if let Some(energies) = &frame.energies {
        let scale = energies.iter().fold(1.0, |m: f64, e| m.max(e.abs()));
        for (i, (a, b)) in out.atom_energies.iter().zip(energies).enumerate() {
            assert!((a - b).abs() <= tolerance.forces * scale, "{at}: energy of {i}: {a} {b}");
        }
    }
    let sum: Mat3 = out.atom_virials.iter().sum();
    assert!((sum - out.virial).abs().max() <= 1e-10 * scale, "{at}: virials of atoms");
    let sum: f64 = out.atom_energies.iter().sum();
    assert!((sum - out.energy).abs() <= 1e-12 * (1.0 + energy.abs()), "{at}: energies of atoms");
}

/// As [`compare`] with the files of the reference data, to the strict tolerance; skipped when they are absent.
pub fn check(case: &str, species: &[&str], toml: &str) {
    if let Some(directory) = potentials() {
        assert!(compare(case, species, toml, &directory, STRICT) > 5);
    }
}
