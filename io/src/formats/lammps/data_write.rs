//! Writing data files.
use super::{LammpsUnits, origin, types};
use crate::encode::Encoder;
use crate::error::Fault;
use crate::frame::{Array, Topology};
use crate::text::{push_real, push_reals};
use crate::{Frame, WriteOptions, orient};
use caloron_engine::{Cell, UnitSystem};
use std::io::Write;

pub(super) struct Writing {
    provenance: String,
    units: LammpsUnits,
}

impl Writing {
    pub fn new(options: &WriteOptions) -> Self {
        let units = if options.units == UnitSystem::Lj { LammpsUnits::Lj } else { LammpsUnits::Metal };
        Self { provenance: options.provenance_line(), units }
    }
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        if index > 0 {
            return Err(Fault::new("a data file holds one structure only")
                .hint("choose a frame, or write lammps-dump"));
        }
        if frame.cell == Cell::open() || frame.is_empty() {
            return Err(Fault::new("a data file needs a box and atoms"));
        }
        let frame = &*orient::standard(frame)?;
        let (types, names) = types(frame);
        let masses = type_masses(frame, &types, names.len())?;
        let none = Topology::default();
        let topology = frame.topology.as_deref().unwrap_or(&none);
        header(self, frame, &names, topology, out);

        out.extend_from_slice(b"\nMasses\n\n");
        for (k, (mass, name)) in masses.iter().zip(&names).enumerate() {
            let _ = write!(out, "{} ", k + 1);
            push_real(out, *mass);
            let _ = writeln!(out, " # {name}");
        }
        for (title, lines) in &topology.coefficients {
            let _ = write!(out, "\n{title}\n\n");
            lines.iter().for_each(|l| drop(writeln!(out, "{l}")));
        }
        atoms(frame, &types, out);
        if let Some(v) = &frame.velocities {
            out.extend_from_slice(b"\nVelocities\n\n");
            for (i, v) in v.iter().enumerate() {
                let _ = write!(out, "{}", id(frame, i));
                push_reals(out, &(v * self.units.scales().time));
                out.push(b'\n');
            }
        }
        bonded("Bonds", &topology.bonds, frame, out);
        bonded("Angles", &topology.angles, frame, out);
        bonded("Dihedrals", &topology.dihedrals, frame, out);
        bonded("Impropers", &topology.impropers, frame, out);
        Ok(())
    }
}

fn id(frame: &Frame, atom: usize) -> i64 {
    let ids = frame.arrays.get("id").and_then(Array::as_ints);
    ids.map_or(atom as i64 + 1, |v| v[atom])
}

fn type_masses(frame: &Frame, types: &[i64], count: usize) -> Result<Vec<f64>, Fault> {
    let mut masses = vec![None; count];
    for (i, t) in types.iter().enumerate() {
        let mass = frame.mass(i).ok_or_else(|| {
            Fault::new(format!("a data file needs masses, and {:?} is no element", frame.symbols[i]))
        })?;
        if *masses[*t as usize - 1].get_or_insert(mass) != mass {
            return Err(Fault::new(format!("atoms of type {t} have different masses"))
                .hint("give isotopes names of their own"));
        }
    }
    Ok(masses.into_iter().flatten().collect())
}

/// Number of types among bonded terms: the highest number, or the number of labels.
fn kinds<const N: usize>(list: &[(String, [u32; N])]) -> usize {
    let distinct: std::collections::BTreeSet<&str> = list.iter().map(|(k, _)| k.as_str()).collect();
    let highest = distinct.iter().filter_map(|k| k.parse::<usize>().ok()).max().unwrap_or(0);
    distinct.len().max(highest)
}

fn header(writing: &Writing, frame: &Frame, names: &[String], topology: &Topology, out: &mut Vec<u8>) {
    let provenance = &writing.provenance;
    let separator = if provenance.is_empty() { "" } else { ", " };
    let units = if writing.units == LammpsUnits::Lj { "lj" } else { "metal" };
    let _ = write!(out, "LAMMPS data file{separator}{provenance}, ");
    if let Some(step) = frame.step {
        let _ = write!(out, "timestep = {step}, ");
    }
    let _ = write!(out, "units = {units}\n\n{} atoms\n{} atom types\n", frame.len(), names.len());
    for (what, n, k) in [
        ("bond", topology.bonds.len(), kinds(&topology.bonds)),
        ("angle", topology.angles.len(), kinds(&topology.angles)),
        ("dihedral", topology.dihedrals.len(), kinds(&topology.dihedrals)),
        ("improper", topology.impropers.len(), kinds(&topology.impropers)),
    ] {
        if n > 0 {
            let _ = write!(out, "{n} {what}s\n{k} {what} types\n");
        }
    }
    out.push(b'\n');
    let (h, lo) = (frame.cell.matrix(), origin(frame));
    for (k, axis) in ["x", "y", "z"].iter().enumerate() {
        push_real(out, lo[k]);
        push_reals(out, &[lo[k] + h[(k, k)]]);
        let _ = writeln!(out, " {axis}lo {axis}hi");
    }
    let tilt = [h[(0, 1)], h[(0, 2)], h[(1, 2)]];
    if tilt != [0.0; 3] {
        push_real(out, tilt[0]);
        push_reals(out, &tilt[1..]);
        out.extend_from_slice(b" xy xz yz\n");
    }
}

fn atoms(frame: &Frame, types: &[i64], out: &mut Vec<u8>) {
    let molecule = frame.arrays.get("mol-id").and_then(Array::as_ints);
    let bonded = molecule.is_some() || frame.topology.as_ref().is_some_and(|t| !t.bonds.is_empty());
    let style = match (bonded, &frame.charges) {
        (true, Some(_)) => "full",
        (true, None) => "molecular",
        (false, Some(_)) => "charge",
        (false, None) => "atomic",
    };
    let image = frame.arrays.get("image").filter(|a| a.columns == 3).and_then(Array::as_ints);
    let _ = write!(out, "\nAtoms # {style}\n\n");
    for (i, r) in frame.positions.iter().enumerate() {
        let _ = write!(out, "{}", id(frame, i));
        if bonded {
            let _ = write!(out, " {}", molecule.map_or(0, |m| m[i]));
        }
        let _ = write!(out, " {}", types[i]);
        push_reals(out, frame.charges.iter().map(|q| &q[i]));
        push_reals(out, r);
        if let Some(n) = image {
            let _ = write!(out, " {} {} {}", n[3 * i], n[3 * i + 1], n[3 * i + 2]);
        }
        out.push(b'\n');
    }
}

fn bonded<const N: usize>(title: &str, list: &[(String, [u32; N])], frame: &Frame, out: &mut Vec<u8>) {
    if list.is_empty() {
        return;
    }
    let _ = write!(out, "\n{title}\n\n");
    for (k, (kind, atoms)) in list.iter().enumerate() {
        let kind = if kind.is_empty() { "1" } else { kind };
        let _ = write!(out, "{} {kind}", k + 1);
        for a in atoms {
            let _ = write!(out, " {}", id(frame, *a as usize));
        }
        out.push(b'\n');
    }
}
