//! Every file of the reference set, written by ASE, pymatgen, MDAnalysis, mdtraj and LAMMPS, is read and compared with
//! the data its writer was given.
use caloron_engine::units::{BOLTZMANN, FEMTOSECOND};
use caloron_engine::{Mat3, Vec3, testing};
use caloron_io::{ConvertOptions, Format, Frame, ReadOptions, convert, open_with, read_all};
use serde_json::Value;
use std::fs;
use std::path::Path;

/// Data of one frame as `truth.json` has them.
struct Truth {
    positions: Vec<Vec3>,
    cell: Option<Mat3>,
    origin: Vec3,
    velocities: Option<Vec<Vec3>>,
    forces: Option<Vec<Vec3>>,
    energy: Option<f64>,
}

fn vectors(v: &Value) -> Option<Vec<Vec3>> {
    v.as_array()?.iter().map(vector).collect()
}

fn vector(v: &Value) -> Option<Vec3> {
    let x: Option<Vec<f64>> = v.as_array()?.iter().map(Value::as_f64).collect();
    x.filter(|x| x.len() == 3).map(|x| Vec3::new(x[0], x[1], x[2]))
}

fn truth(frame: &Value) -> Truth {
    let cell = vectors(&frame["cell"]).map(|v| Mat3::from_columns(&[v[0], v[1], v[2]]));
    let scaled = |name: &str, unit: f64| {
        vectors(&frame[name]).map(|v| v.into_iter().map(|v| v * unit).collect::<Vec<_>>())
    };
    Truth {
        positions: vectors(&frame["positions"]).unwrap(),
        cell,
        origin: vector(&frame["origin"]).unwrap_or_default(),
        velocities: scaled("velocities_A_per_fs", 1.0 / FEMTOSECOND)
            .or_else(|| scaled("velocities_A_per_ps", 1e-3 / FEMTOSECOND)),
        forces: vectors(&frame["forces"]),
        energy: frame["energy"].as_f64(),
    }
}

/// Largest error of a position that the precision of the format allows, Å.
fn position_tolerance(file: &str, precision: &str) -> f64 {
    match precision {
        // ortho.gro and the like have 3 decimals of a nm, XTC rounds to 1e-3 nm
        _ if file.ends_with(".gro") || file.ends_with(".xtc") => 5.1e-3,
        _ if file.ends_with(".pdb") => 5.1e-4,
        "1e-4 frac." => 1e-3,
        "1e-8" => 1e-8,
        "1e-10" => 1e-10,
        "1e-15" | "1e-16" | "float64" => 1e-13,
        "float32" => 2e-6,
        "%g (6 digits)" => 6e-5,
        other => panic!("no tolerance for {other}"),
    }
}

fn largest(a: &[Vec3], b: &[Vec3]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).amax()).fold(0.0, f64::max)
}

/// Largest distance of positions, over lattice vectors where there is a lattice.
fn distance(frame: &Frame, truth: &Truth, positions: &[Vec3], shift: Vec3) -> f64 {
    let d = |(a, b): (&Vec3, &Vec3)| match truth.cell {
        Some(_) => frame.cell.shortest(&(b - shift), a).amax(),
        None => (a - b).amax(),
    };
    frame.positions.iter().zip(positions).map(d).fold(0.0, f64::max)
}

struct Check<'a> {
    file: &'a str,
    tolerance: f64,
    fields: Vec<&'a str>,
}

impl Check<'_> {
    fn has(&self, word: &str) -> bool {
        self.fields.iter().any(|f| f.starts_with(word) || (word != "positions" && f.contains(word)))
    }

    fn frame(&self, k: usize, frame: &Frame, truth: &Truth, symbols: &[String], order: Option<Vec<usize>>) {
        let name = format!("{} frame {k}", self.file);
        let pick =
            |v: &[Vec3]| order.as_ref().map_or_else(|| v.to_vec(), |o| o.iter().map(|&i| v[i]).collect());
        let positions = pick(&truth.positions);
        assert_eq!(frame.len(), positions.len(), "{name}");
        // plain coordinates or, for LAMMPS, also with the corner of the box taken off
        let error = distance(frame, truth, &positions, Vec3::zeros()).min(distance(
            frame,
            truth,
            &positions,
            truth.origin,
        ));
        assert!(error <= self.tolerance, "{name}: positions differ by {error:e}");
        if Format::from_path(self.file).unwrap().holds().names {
            let expected: Vec<&String> = match &order {
                Some(o) => o.iter().map(|&i| &symbols[i]).collect(),
                None => symbols.iter().collect(),
            };
            // the XYZ file that LAMMPS writes and PDB have the same names, too
            assert_eq!(frame.symbols.iter().collect::<Vec<_>>(), expected, "{name}");
        }
        let later_model = !self.file.ends_with("_multimodel.pdb") && self.file.ends_with(".pdb") && k > 0;
        if let Some(cell) = truth.cell.filter(|_| self.has("cell") && !later_model) {
            let error = (frame.cell.matrix() - cell).amax();
            // angles of two decimals in PDB turn c by as much as 1e-4 of its length
            let tolerance = match self.file {
                f if f.ends_with(".pdb") => 6e-3,
                f if f.ends_with(".gro") => 5.1e-5 + 5e-5,
                f if f.ends_with(".cif") => 1e-12,
                _ => self.tolerance.max(2e-6),
            };
            assert!(error <= tolerance, "{name}: cell differs by {error:e}");
            assert_eq!(frame.cell.periodic(), [true; 3], "{name}");
        } else if truth.cell.is_none() {
            assert!(frame.cell.is_open(), "{name}");
        }
        self.vectors(&name, frame, truth);
        if self.has("energy") {
            assert_eq!(frame.energy, truth.energy, "{name}");
        }
        if self.has("charge") {
            let q = frame.charges.as_ref().unwrap();
            let expected = |s: &String| if s == "O" { -0.8 } else { 0.4 };
            assert!(q.iter().zip(symbols).all(|(q, s)| (q - expected(s)).abs() < 1e-12), "{name}");
        }
    }

    fn vectors(&self, name: &str, frame: &Frame, truth: &Truth) {
        if self.has("velocities") || self.has("momenta") {
            let v = frame.velocities.as_ref().unwrap_or_else(|| panic!("{name}: no velocities"));
            let expected = match &truth.velocities {
                Some(v) => v.clone(),
                // the crystal of pymatgen: every atom moves with (0.001, -0.002, 0.003) Å/fs
                None => vec![Vec3::new(0.001, -0.002, 0.003) / FEMTOSECOND; v.len()],
            };
            let scale = expected.iter().map(|v| v.amax()).fold(0.0, f64::max);
            let relative = match self.file {
                // 4 decimals of nm/ps where the data are up to 5 nm/ps
                f if f.ends_with(".gro") => 1e-3 / FEMTOSECOND * 1e-3 / scale,
                // momenta of 8 decimals; ASE and this program have slightly different masses
                f if f.ends_with(".extxyz") => 1e-7,
                f if f.ends_with(".trr") || f.ends_with(".ncdf") => 3e-7,
                _ => 1e-13,
            };
            let error = largest(v, &expected) / scale;
            assert!(error <= relative, "{name}: velocities differ by {error:e} of the largest");
        }
        if self.has("forces") {
            let f = frame.forces.as_ref().unwrap_or_else(|| panic!("{name}: no forces"));
            let expected = truth.forces.as_ref().unwrap();
            let error = largest(f, expected);
            let tolerance = match self.file {
                f if f.ends_with(".trr") || f.ends_with(".ncdf") => 1e-6,
                _ => 1e-8,
            };
            assert!(error <= tolerance, "{name}: forces differ by {error:e} eV/Å");
        }
    }
}

/// The order that brings the atoms of the truth to those of the file: same species, nearest image.
fn matching(frame: &Frame, truth: &Truth, symbols: &[String]) -> Vec<usize> {
    let nearest = |a: usize| {
        let same = (0..symbols.len()).filter(|&b| symbols[b] == frame.symbols[a]);
        let d = |b: usize| frame.cell.shortest(&truth.positions[b], &frame.positions[a]).norm();
        same.min_by(|&b, &c| d(b).total_cmp(&d(c))).unwrap()
    };
    let order: Vec<usize> = (0..frame.len()).map(nearest).collect();
    let distinct: std::collections::BTreeSet<usize> = order.iter().copied().collect();
    assert_eq!(distinct.len(), symbols.len(), "two atoms match the same one");
    order
}

fn read_named(path: &Path, types: &[&str]) -> Vec<Frame> {
    let types = types.iter().map(ToString::to_string).collect();
    let options = ReadOptions { types, ..ReadOptions::default() };
    let mut reader = open_with(path, Format::from_path(path).unwrap(), &options).unwrap();
    std::iter::from_fn(|| reader.next_frame().unwrap()).collect()
}

#[test]
fn every_reference_file_holds_what_its_writer_was_given() {
    let Some(dir) = testing::reference("trajectories") else { return };
    let json =
        |name: &str| -> Value { serde_json::from_str(&fs::read_to_string(dir.join(name)).unwrap()).unwrap() };
    let (manifest, all) = (json("manifest.json"), json("truth.json"));
    let (mut read, mut wrong) = (0, Vec::new());
    for (file, about) in manifest.as_object().unwrap() {
        let system = &all["systems"][about["system"].as_str().unwrap()];
        let symbols: Vec<String> =
            system["symbols"].as_array().unwrap().iter().map(|s| s.as_str().unwrap().to_owned()).collect();
        let frames = system["frames"].as_array().unwrap();
        let expected: Vec<Truth> = match about["frame"].as_u64() {
            Some(k) => vec![truth(&frames[k as usize])],
            None => frames.iter().map(truth).collect(),
        };
        let mut got = read_all(dir.join(file)).unwrap_or_else(|e| panic!("{e}"));
        if file.contains("scaled_unsorted") || file.contains("unwrapped") {
            // these dumps have types but no names: the user says what they are
            assert_eq!(got[0].symbols[..3], ["1", "2", "2"]);
            got = read_named(&dir.join(file), &["O", "H"]);
        }
        assert_eq!(got.len(), expected.len(), "{file}");
        // every file becomes extended XYZ
        let copy = std::env::temp_dir().join(format!("caloron-copy-{}.extxyz", std::process::id()));
        let done = convert(dir.join(file), &copy, &ConvertOptions::default());
        assert_eq!(done.unwrap_or_else(|e| panic!("{e}")).frames, got.len() as u64, "{file}");
        let back = read_all(&copy).unwrap_or_else(|e| panic!("{file}: {e}"));
        assert!(back.iter().zip(&got).all(|(a, b)| a.positions == b.positions), "{file}");
        fs::remove_file(&copy).unwrap();
        let fields = about["fields"].as_array().unwrap().iter().map(|f| f.as_str().unwrap());
        let absent = |f: &&str| file.ends_with(".ncdf") && matches!(*f, "velocities" | "forces");
        let check = Check {
            file: file.as_str(),
            tolerance: position_tolerance(file, about["precision"].as_str().unwrap()),
            fields: fields.filter(|f| !absent(f)).collect(),
        };
        let compare = || {
            for (k, (frame, truth)) in got.iter().zip(&expected).enumerate() {
                let order = match about["order"].as_str() {
                    Some(o) if o.starts_with("stable") => {
                        let mut order: Vec<usize> = (0..symbols.len()).collect();
                        order.sort_by_key(|&i| &symbols[i]);
                        Some(order)
                    }
                    Some(_) => Some(matching(frame, truth, &symbols)),
                    None => None,
                };
                check.frame(k, frame, truth, &symbols, order);
            }
            details(file, &got, system);
        };
        // all files are compared before the test fails
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(compare)).is_err() {
            wrong.push(file);
        }
        read += 1;
    }
    assert!(wrong.is_empty(), "{wrong:?}");
    assert_eq!(read, manifest.as_object().unwrap().len());
}

/// What single files have beyond the common quantities.
fn details(file: &str, frames: &[Frame], system: &Value) {
    let frame = &frames[0];
    let ints = |name: &str| {
        frame.arrays.get(name).and_then(|a| a.as_ints()).unwrap_or_else(|| panic!("{file}: {name}"))
    };
    if file.contains("_full_") {
        let topology = frame.topology.as_ref().unwrap();
        let pairs: Vec<Vec<u32>> = topology.bonds.iter().map(|(_, b)| b.to_vec()).collect();
        let mut expected: Vec<Vec<u32>> = serde_json::from_value(system["bonds"].clone()).unwrap();
        let sorted = |mut v: Vec<Vec<u32>>| {
            v.iter_mut().for_each(|b| b.sort_unstable());
            v.sort();
            v
        };
        assert_eq!(sorted(pairs), sorted(std::mem::take(&mut expected)), "{file}");
        let centres = |a: Vec<Vec<u32>>| {
            let mut c: Vec<u32> = a.iter().map(|a| a[1]).collect();
            c.sort_unstable();
            c
        };
        let angles: Vec<Vec<u32>> = serde_json::from_value(system["angles"].clone()).unwrap();
        assert_eq!(
            centres(topology.angles.iter().map(|(_, a)| a.to_vec()).collect()),
            centres(angles),
            "{file}"
        );
        assert_eq!(topology.coefficients.is_empty(), !file.contains("_coeff"), "{file}");
        let molecules: Vec<i64> = (0..frame.len() as i64).map(|i| i / 3 + 1).collect();
        assert_eq!(ints("mol-id"), molecules, "{file}");
    }
    if file.contains("_full_") || file.contains("scaled_unsorted") {
        let first = if file.contains("final") { 9 } else { 0 };
        for (k, frame) in frames.iter().enumerate() {
            let expected = vectors(&system["frames"][first + k]["unwrapped"]).unwrap();
            let image = frame.arrays.get("image").and_then(|a| a.as_ints()).unwrap();
            let unwrap = |(r, n): (&Vec3, &[i64])| r + frame.cell.translation([0, 1, 2].map(|k| n[k] as i32));
            let unwrapped: Vec<Vec3> = frame.positions.iter().zip(image.chunks(3)).map(unwrap).collect();
            let error = largest(&unwrapped, &expected);
            assert!(error < 1e-12, "{file}: unwrapped positions differ by {error:e}");
        }
    }
    if file.ends_with("mda.pdb") || file.ends_with("mdtraj.pdb") {
        // these writers state the cell once, before the first model; it holds for the others
        assert!(frames.iter().all(|f| f.cell == frame.cell), "{file}");
    }
    if file.ends_with("mda.ncdf") {
        // the manifest names velocities and forces, but the writer left them out
        assert!(frames.iter().all(|f| f.velocities.is_none() && f.forces.is_none()), "{file}");
    }
    if file.ends_with(".lammpstrj") {
        let steps: Vec<u64> = frames.iter().map(|f| f.step.unwrap()).collect();
        assert_eq!(steps, (0..10).map(|k| 5 * k).collect::<Vec<u64>>(), "{file}");
    }
    if file == "POSCAR_rutile_selective" {
        let free = frame.arrays.get("selective_dynamics").and_then(|a| a.as_bools()).unwrap();
        assert!(free.chunks(3).all(|f| f == [true, false, true]));
    }
    if file.ends_with("mda.trr") || file.ends_with("mda.xtc") {
        let times: Vec<f64> = frames.iter().map(|f| f.time.unwrap() / FEMTOSECOND).collect();
        assert!(
            times.iter().enumerate().all(|(k, t)| (t - 2.0 * k as f64).abs() < 1e-5),
            "{file}: {times:?}"
        );
    }
}

#[test]
fn the_temperature_of_a_lammps_run_is_right() {
    // an independent check of the units of velocities: the run began at 600 K with momentum removed
    let Some(dir) = testing::reference("trajectories") else { return };
    let frame = &read_all(dir.join("ortho_full_nocoeff.data")).unwrap()[0];
    let v = frame.velocities.as_ref().unwrap();
    let twice_kinetic: f64 =
        v.iter().enumerate().map(|(i, v)| frame.mass(i).unwrap() * v.norm_squared()).sum();
    let temperature = twice_kinetic / (BOLTZMANN * (3 * v.len() - 3) as f64);
    assert!((temperature - 600.0).abs() < 0.1, "{temperature} K");
}
