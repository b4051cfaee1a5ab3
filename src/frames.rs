//! From the engine's state and results to the frames that files hold.
use caloron_engine::{Cell, Outputs, Scope, State, System, UnitSystem, Vec3};
use caloron_io::{Array, Format, Frame, IoError, Value, WriteOptions};
use std::path::Path;

/// A frame with everything about a system that does not move: symbols, masses, charges where there are any.
pub fn template(system: &System) -> Frame {
    let symbols = (0..system.len()).map(|i| system.symbol(i).to_owned()).collect();
    let mut frame = Frame::new(symbols, vec![Vec3::zeros(); system.len()], Cell::open());
    frame.masses = Some(system.masses().to_vec());
    if system.charges().iter().any(|q| *q != 0.0) {
        frame.charges = Some(system.charges().to_vec());
    }
    frame
}

/// Names of atoms and residues, where the topology has them, for formats that hold them.
pub fn set_names(frame: &mut Frame, system: &System) {
    let topology = system.topology();
    let all =
        |of: &dyn Fn(usize) -> Option<String>| (0..system.len()).map(of).collect::<Option<Vec<String>>>();
    if let Some(names) = all(&|i| topology.atom_name(i).map(str::to_owned)) {
        frame.arrays.insert("atomtypes", Array::texts(names));
    }
    if let Some(names) = all(&|i| topology.residue(i).map(|r| r.name.clone())) {
        let numbers = (0..system.len()).filter_map(|i| topology.residue(i).map(|r| r.number)).collect();
        frame.arrays.insert("residuenames", Array::texts(names));
        frame.arrays.insert("residuenumbers", Array::ints(numbers));
        let chain = |i| topology.residue(i).map_or("", |r| r.chain.as_str());
        if (0..system.len()).any(|i| !chain(i).is_empty()) {
            let all = (0..system.len()).map(|i| if chain(i).is_empty() { "-" } else { chain(i) }.to_owned());
            frame.arrays.insert("chainids", Array::texts(all.collect()));
        }
    }
}

/// Copies positions, cell, step and time, wrapped into the cell or as they are.
pub fn set_state(frame: &mut Frame, state: &State, wrap: bool) {
    frame.positions.clear();
    frame.positions.extend_from_slice(state.positions());
    frame.cell = state.cell().clone();
    frame.step = Some(state.step);
    frame.time = Some(state.time);
    if wrap {
        frame.wrap();
    }
}

/// Moves molecules as a whole by lattice vectors so that their first atoms lie in the cell; atoms where nothing is bonded or
/// a bonded network has no end.
pub fn wrap(frame: &mut Frame, system: &System) {
    let topology = system.topology();
    let connected = topology.molecules().len() < topology.len();
    if !connected || topology.is_endless(&frame.positions, &frame.cell) {
        frame.wrap();
        return;
    }
    for molecule in topology.molecules().iter() {
        let (_, n) = frame.cell.wrap(&frame.positions[molecule[0] as usize]);
        let shift = frame.cell.translation(n);
        molecule.iter().for_each(|&a| frame.positions[a as usize] += shift);
    }
}

/// Copies velocities.
pub fn set_velocities(frame: &mut Frame, state: &State) {
    copy(&mut frame.velocities, state.velocities());
}

/// Copies energy, forces, stress (σ = -W/V for fully periodic cells), per-atom energies and extras, as far as
/// they were computed.
pub fn set_outputs(frame: &mut Frame, state: &State, outputs: &Outputs, forces: bool, virial: bool) {
    frame.energy = Some(outputs.energy);
    if forces && !outputs.forces.is_empty() {
        copy(&mut frame.forces, &outputs.forces);
    }
    if virial && state.cell().is_fully_periodic() {
        let w = &outputs.virial;
        frame.stress = Some((w + w.transpose()) * (-0.5 / state.cell().volume()));
    }
    if !outputs.atom_energies.is_empty() {
        frame.arrays.insert("energies", Array::reals(outputs.atom_energies.clone()));
    }
    for extra in &outputs.extras {
        match extra.spec.scope {
            Scope::Atom => {
                let mut array = Array::reals(extra.values.clone());
                array.columns = extra.spec.components;
                // files have the name that other programs know
                let name = if extra.spec.name == "magnetic_moments" { "magmoms" } else { extra.spec.name };
                frame.arrays.insert(name, array);
            }
            Scope::System if extra.values.len() == 1 => {
                frame.info.insert(extra.spec.name, Value::Real(extra.values[0]));
            }
            Scope::System => frame.info.insert(extra.spec.name, Value::Reals(extra.values.clone())),
        }
    }
}

fn copy(to: &mut Option<Vec<Vec3>>, from: &[Vec3]) {
    let buffer = to.get_or_insert_default();
    buffer.clear();
    buffer.extend_from_slice(from);
}

/// Writes one frame to a file of its own.
///
/// # Errors
/// When the file cannot be written.
pub fn write_one(frame: &Frame, path: &Path, units: UnitSystem) -> Result<(), IoError> {
    let options = WriteOptions { units, ..WriteOptions::default() };
    let mut writer = caloron_io::create(path, Format::from_path(path)?, &options)?;
    writer.write(frame)?;
    writer.sync().map(|_| ())
}
