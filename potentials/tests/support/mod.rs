//! Reading reference frames and evaluating potentials on them.
#![allow(dead_code)]
pub mod learned;

use caloron_engine::neighbors::Search;
use caloron_engine::quantity::reading_in;
use caloron_engine::testing::reference;
use caloron_engine::{
    Cell, Evaluator, Mat3, Outputs, Potential, Properties, Species, State, System, UnitSystem, Vec3, elements,
};
use caloron_potentials::{BuildContext, PotentialSpec};
use std::collections::HashMap;
use std::path::Path;

/// One frame of the extended XYZ files of the reference data.
pub struct Frame {
    pub info: HashMap<String, String>,
    pub symbols: Vec<String>,
    pub columns: HashMap<String, Vec<Vec<f64>>>,
}

/// key=value pairs, values possibly in quotes.
fn header(line: &str) -> HashMap<String, String> {
    let mut info = HashMap::new();
    let mut rest = line.trim();
    while let Some((key, tail)) = rest.split_once('=') {
        let (value, tail) = match tail.strip_prefix('"') {
            Some(quoted) => quoted.split_once('"').expect("a closing quote"),
            None => tail.split_once(' ').unwrap_or((tail, "")),
        };
        info.insert(key.trim().to_owned(), value.to_owned());
        rest = tail.trim_start();
    }
    info
}

pub fn numbers(text: &str) -> Vec<f64> {
    text.split_whitespace().map(|x| x.parse().expect("a number")).collect()
}

/// All frames of a reference file; `None` when there is no reference data.
pub fn frames(path: &str) -> Option<Vec<Frame>> {
    Some(read_frames(&reference(path)?))
}

/// All frames of a file.
pub fn read_frames(path: &Path) -> Vec<Frame> {
    let text = std::fs::read_to_string(path).expect("readable reference data");
    let mut lines = text.lines();
    let mut frames = Vec::new();
    while let Some(count) = lines.next() {
        let count: usize = count.trim().parse().expect("a number of atoms");
        let info = header(lines.next().expect("a header"));
        let parts: Vec<&str> = info["Properties"].split(':').collect();
        let names: Vec<(String, usize)> =
            parts.chunks(3).map(|c| (c[0].to_owned(), c[2].parse().expect("a width"))).collect();
        let mut frame = Frame { info, symbols: Vec::new(), columns: HashMap::new() };
        for _ in 0..count {
            let words: Vec<&str> = lines.next().expect("an atom").split_whitespace().collect();
            frame.symbols.push(words[0].to_owned());
            let mut at = 1;
            for (name, width) in &names[1..] {
                let values = words[at..at + width].iter().map(|x| x.parse().expect("a number")).collect();
                frame.columns.entry(name.clone()).or_default().push(values);
                at += width;
            }
        }
        frames.push(frame);
    }
    frames
}

impl Frame {
    pub fn name(&self) -> &str {
        &self.info["name"]
    }
    pub fn matrix(&self, key: &str) -> Option<Mat3> {
        self.info.get(key).map(|t| Mat3::from_row_slice(&numbers(t)))
    }
    pub fn number(&self, key: &str) -> f64 {
        self.info[key].parse().expect("a number")
    }
    pub fn vectors(&self, key: &str) -> Vec<Vec3> {
        self.columns[key].iter().map(|v| Vec3::new(v[0], v[1], v[2])).collect()
    }
    /// System (species in the given order), positions and cell.
    pub fn build(&self, species: &[&str]) -> (System, State) {
        let table = species.iter().map(|s| Species {
            symbol: (*s).to_owned(),
            number: elements::atomic_number(s),
            mass: 1.0,
        });
        let index = |s: &String| species.iter().position(|x| x == s).expect("a species of the case") as u16;
        let system = System::new(table.collect(), self.symbols.iter().map(index).collect());
        let cell = match self.info.get("Lattice") {
            None => Cell::open(),
            Some(text) => {
                let periodic: Vec<bool> = self.info["pbc"].split_whitespace().map(|p| p == "T").collect();
                // rows of the header are a, b, c; columns of the matrix are
                let h = Mat3::from_row_slice(&numbers(text)).transpose();
                Cell::from_matrix(h, [periodic[0], periodic[1], periodic[2]]).expect("a cell")
            }
        };
        let state = State::at_rest(self.vectors("pos"), cell);
        (system, state)
    }
}

/// The potential of a `[potential.x]` table.
pub fn try_potential(
    system: &System,
    units: UnitSystem,
    text: &str,
) -> Result<Box<dyn Potential>, caloron_engine::SpecError> {
    try_potential_in(system, &Cell::open(), units, text)
}

/// The potential of a table, for a cell.
pub fn try_potential_in(
    system: &System,
    cell: &Cell,
    units: UnitSystem,
    text: &str,
) -> Result<Box<dyn Potential>, caloron_engine::SpecError> {
    let spec: PotentialSpec =
        reading_in(units, || toml::from_str(text)).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut context = BuildContext {
        models: &Default::default(),
        system,
        positions: &[],
        cell,
        units,
        directory: Path::new("."),
        files: Vec::new(),
    };
    spec.build(&mut context)
}

pub fn potential(system: &System, units: UnitSystem, text: &str) -> Box<dyn Potential> {
    try_potential(system, units, text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", e.key))
}

/// Everything but extras, on one geometry.
pub fn evaluate(potential: Box<dyn Potential>, system: &System, state: &State) -> Outputs {
    let want = Properties::all().difference(Properties::EXTRAS);
    let mut evaluator = Evaluator::new(vec![potential], 0.3, Search::Auto);
    evaluator.ensure(system, state, want, want).unwrap_or_else(|e| panic!("{e}")).clone()
}

/// Largest relative deviation of energy, forces, virial, stress and atom energies from a reference frame; forces are
/// compared relative to the largest force.
pub fn deviation(frame: &Frame, out: &Outputs, atom_energies: bool) -> f64 {
    let energy = frame.number("energy");
    let scale = energy.abs().max(1.0);
    let mut worst = (out.energy - energy).abs() / scale;
    let forces = frame.vectors("forces");
    let largest = forces.iter().map(|f| f.norm()).fold(1.0, f64::max);
    for (f, g) in forces.iter().zip(&out.forces) {
        worst = worst.max((f - g).norm() / largest);
    }
    if let Some(w) = frame.matrix("virial") {
        worst = worst.max((out.virial - w).norm() / w.norm().max(1.0));
    }
    if let (Some(stress), Some(lattice)) = (frame.matrix("stress"), frame.matrix("Lattice")) {
        let mine = -out.virial / lattice.determinant().abs();
        worst = worst.max((mine - stress).norm() / stress.norm().max(1e-3));
    }
    if atom_energies {
        for (e, mine) in frame.columns["energies"].iter().zip(&out.atom_energies) {
            worst = worst.max((e[0] - mine).abs() / e[0].abs().max(1.0));
        }
    }
    worst
}

/// Compares every frame of a case with LAMMPS; returns the number of frames.
pub fn golden(
    case: &str,
    species: &[&str],
    units: UnitSystem,
    text: &str,
    tolerance: f64,
    atom_energies: bool,
) -> usize {
    let Some(frames) = frames(&format!("classical/{case}.extxyz")) else { return 0 };
    for frame in &frames {
        let (system, state) = frame.build(species);
        let out = evaluate(potential(&system, units, text), &system, &state);
        let worst = deviation(frame, &out, atom_energies);
        assert!(worst < tolerance, "{case}, {}: deviates by {worst:e}", frame.name());
        let sum: f64 = out.atom_energies.iter().sum();
        assert!((sum - out.energy).abs() < 1e-11 * out.energy.abs().max(1.0), "atom energies sum up");
        eprintln!("{case} {}: {worst:.1e}", frame.name());
    }
    frames.len()
}
