//! What is written is read back, by this crate and, for the formats of other programs, by chemfiles.
use caloron_engine::units::FEMTOSECOND;
use caloron_engine::{Cell, Mat3, Vec3};
use caloron_io::{
    Array, ConvertOptions, Format, Frame, Topology, Value, WriteOptions, convert, create, open_as, read_all,
};
use std::path::PathBuf;

const PICOSECOND: f64 = 1e3 * FEMTOSECOND;

fn directory(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("caloron-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn format(name: &str) -> Format {
    Format::by_name(name).unwrap()
}

/// Water-like molecules in a tilted cell, so that the compression of XTC finds runs.
fn frame(k: u64) -> Frame {
    let n = 240;
    let mut state = 12345 + k;
    let mut random = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut positions = Vec::new();
    for m in 0..n / 3 {
        let site = Vec3::new(f64::from(m % 5), f64::from(m / 5 % 4), f64::from(m / 20)) * 3.1;
        let o = site + Vec3::new(random(), random(), random());
        positions.extend([o, o + Vec3::new(0.757, 0.586, 0.1), o + Vec3::new(-0.757, 0.586, -0.1)]);
    }
    let h = Mat3::new(15.5, 2.5, -3.0, 0.0, 14.0, 1.5, 0.0, 0.0, 13.0) * (1.0 + 1e-3 * k as f64);
    let symbols = ["O", "H", "H"].iter().cycle().take(n as usize).map(ToString::to_string).collect();
    let mut f = Frame::new(symbols, positions, Cell::from_matrix(h, [true; 3]).unwrap());
    let mut vectors =
        |size: f64| (0..n).map(|_| Vec3::new(random(), random(), random()) * size).collect::<Vec<_>>();
    f.velocities = Some(vectors(0.1));
    f.forces = Some(vectors(3.0));
    f.charges = Some((0..n).map(|i| if i % 3 == 0 { -0.8 } else { 0.4 }).collect());
    f.energy = Some(-1.0 / 3.0);
    f.step = Some(100 + 20 * k);
    f.time = Some(f.step.unwrap() as f64 * 0.5 * FEMTOSECOND);
    f.arrays.insert("mol-id", Array::ints((0..i64::from(n)).map(|i| i / 3 + 1).collect()));
    f
}

/// Largest error of a position in the formats written here, Å.
fn precision(name: &str) -> f64 {
    match name {
        "extxyz" | "poscar" => 0.0,
        "lammps-dump" | "lammps-data" | "cif" => 2e-14,
        "xtc" => 5.001e-3,
        "trr" | "dcd" | "amber-netcdf" => 1e-6,
        "gro" => 5.001e-3,
        "pdb" | "mol2" | "sdf" | "cml" | "tinker" => 5.1e-4,
        "cssr" => 1e-2,
        other => panic!("no precision for {other}"),
    }
}

fn largest(a: &[Vec3], b: &[Vec3]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).amax()).fold(0.0, f64::max)
}

fn written_frames(f: Format) -> Vec<Frame> {
    (0..if f.holds().frames { 4 } else { 1 }).map(frame).collect()
}

fn write(path: &std::path::Path, f: Format, frames: &[Frame]) {
    let provenance = vec![("program".into(), "Caloron 0.1.0".into()), ("input".into(), "water.toml".into())];
    let options = WriteOptions { provenance, ..WriteOptions::default() };
    let mut writer = create(path, f, &options).unwrap();
    frames.iter().for_each(|f| writer.write(f).unwrap());
    assert_eq!(writer.sync().unwrap().frames, frames.len() as u64);
}

#[test]
fn every_written_format_is_read_back() {
    let dir = directory("round-trip");
    for f in Format::all().filter(|f| f.writes() && f.reads()) {
        let (path, frames) = (dir.join(format!("x.{f}")), written_frames(f));
        write(&path, f, &frames);
        let mut reader = open_as(&path, f).unwrap();
        let back: Vec<Frame> =
            std::iter::from_fn(|| reader.next_frame().unwrap_or_else(|e| panic!("{e}"))).collect();
        assert_eq!(back.len(), frames.len(), "{f}");
        for (a, b) in back.iter().zip(&frames) {
            let error = largest(&a.positions, &b.positions);
            assert!(error <= precision(f.name()), "{f}: positions differ by {error:e}");
            let holds = f.holds();
            if holds.names {
                assert_eq!(a.symbols, b.symbols, "{f}");
            }
            if holds.cell {
                let tolerance = if f.name() == "pdb" { 5e-3 } else { 1e-2 * precision(f.name()).max(1e-4) };
                let tolerance = if f.resumes() { tolerance } else { 1e-2 };
                let error = (a.cell.matrix() - b.cell.matrix()).amax();
                assert!(error <= tolerance, "{f}: cell differs by {error:e}");
            }
            let close = |x: &Option<Vec<Vec3>>, y: &Option<Vec<Vec3>>, tolerance: f64| {
                largest(x.as_ref().unwrap(), y.as_ref().unwrap()) <= tolerance
            };
            if holds.velocities && f.resumes() {
                // GRO: half of the last of 4 decimals of nm/ps
                let tolerance = if f.name() == "gro" { 5.1e-4 / PICOSECOND } else { 1e-8 };
                assert!(close(&a.velocities, &b.velocities, tolerance), "{f}");
            }
            if holds.forces {
                assert!(close(&a.forces, &b.forces, 3e-7), "{f}");
            }
            if f.resumes() && holds.time && !matches!(f.name(), "amber-netcdf") {
                assert_eq!(a.step, b.step, "{f}");
            }
            if f.resumes() && holds.time && f.name() != "lammps-dump" {
                let error = (a.time.unwrap() - b.time.unwrap()).abs() / b.time.unwrap();
                assert!(error < 1e-6, "{f}: time differs by {error:e}");
            }
        }
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn chemfiles_reads_what_is_written_here() {
    let dir = directory("chemfiles");
    for (name, theirs) in [
        ("xtc", "XTC"),
        ("trr", "TRR"),
        ("dcd", "DCD"),
        ("amber-netcdf", "Amber NetCDF"),
        ("gro", "GRO"),
        ("pdb", "PDB"),
        ("lammps-dump", "LAMMPS"),
        ("cif", "CIF"),
    ] {
        let f = format(name);
        let (path, frames) = (dir.join(format!("x.{name}")), written_frames(f));
        write(&path, f, &frames);
        let mut trajectory = chemfiles::Trajectory::open_with_format(&path, 'r', theirs).unwrap();
        assert_eq!(trajectory.nsteps(), frames.len(), "{name}");
        for ours in &frames {
            let mut raw = chemfiles::Frame::new();
            trajectory.read(&mut raw).unwrap();
            let positions: Vec<Vec3> = raw.positions().iter().map(|r| Vec3::from(*r)).collect();
            let error = positions.iter().zip(&ours.positions).map(|(a, b)| ours.cell.shortest(a, b).amax());
            let error = error.fold(0.0, f64::max);
            assert!(error <= precision(name).max(2e-5), "{name}: positions differ by {error:e}");
            if name == "lammps-dump" {
                // chemfiles 0.10.41 takes the bounds of a tilted box for its edges
                continue;
            }
            let h = raw.cell().matrix();
            let cell = Mat3::from_fn(|i, j| h[i][j]);
            let error = (cell - ours.cell.matrix()).amax();
            assert!(error < if name == "pdb" { 5e-3 } else { 1e-4 }, "{name}: cell differs by {error:e}");
            if matches!(name, "trr" | "amber-netcdf") {
                let v: Vec<Vec3> =
                    raw.velocities().unwrap().iter().map(|v| Vec3::from(*v) / PICOSECOND).collect();
                assert!(largest(&v, ours.velocities.as_ref().unwrap()) < 1e-7, "{name}");
            }
        }
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn data_files_keep_their_topology() {
    let dir = directory("topology");
    let mut f = frame(0);
    let bonds =
        (0..f.len() as u32 / 3).flat_map(|m| [1, 2].map(|k| ("1".to_owned(), [3 * m, 3 * m + k]))).collect();
    let coefficients = vec![("Bond Coeffs # harmonic".to_owned(), vec!["1 20.0 1.0".to_owned()])];
    f.topology = Some(Box::new(Topology { bonds, coefficients, ..Topology::default() }));
    f.info.insert("origin", Value::Reals(vec![-1.5, 0.25, 0.0]));
    let path = dir.join("water.data");
    write(&path, format("lammps-data"), std::slice::from_ref(&f));
    let back = &read_all(&path).unwrap()[0];
    assert_eq!(back.topology, f.topology);
    assert_eq!(back.charges, f.charges);
    assert_eq!(back.arrays.get("mol-id"), f.arrays.get("mol-id"));
    assert_eq!(back.info.get("origin"), f.info.get("origin"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn cells_in_any_orientation_are_turned_for_formats_that_need_it() {
    let dir = directory("turned");
    let mut f = frame(0);
    let turn = nalgebra_rotation();
    f.cell = Cell::from_matrix(turn * f.cell.matrix(), [true; 3]).unwrap();
    f.positions.iter_mut().for_each(|r| *r = turn * *r);
    for name in ["xtc", "trr", "dcd", "amber-netcdf", "gro", "pdb", "lammps-dump", "lammps-data", "cif"] {
        let path = dir.join(format!("x.{name}"));
        write(&path, format(name), std::slice::from_ref(&f));
        let back = open_as(&path, format(name)).unwrap().next_frame().unwrap().unwrap();
        let s = |f: &Frame, i: usize| f.cell.fractional(&f.positions[i]);
        let error = (0..f.len()).map(|i| (s(&back, i) - s(&f, i)).amax()).fold(0.0, f64::max);
        assert!(error < 1e-3, "{name}: fractional coordinates differ by {error:e}");
    }
    std::fs::remove_dir_all(dir).unwrap();
}

/// A rotation about an axis in general position.
fn nalgebra_rotation() -> Mat3 {
    let (a, b) = (0.7f64, -1.1f64);
    let z = Mat3::new(a.cos(), -a.sin(), 0.0, a.sin(), a.cos(), 0.0, 0.0, 0.0, 1.0);
    let x = Mat3::new(1.0, 0.0, 0.0, 0.0, b.cos(), -b.sin(), 0.0, b.sin(), b.cos());
    z * x
}

#[test]
fn conversion_chooses_frames_and_says_what_is_lost() {
    let dir = directory("convert");
    let (input, output) = (dir.join("a.extxyz"), dir.join("b.xtc"));
    write(&input, format("extxyz"), &(0..10).map(frame).collect::<Vec<_>>());
    let options =
        ConvertOptions { first: 1, end: Some(9), stride: 3, wrap: true, ..ConvertOptions::default() };
    let done = convert(&input, &output, &options).unwrap();
    assert_eq!((done.frames, done.lost), (3, vec!["names", "velocities", "forces"]));
    let steps: Vec<u64> = read_all(&output).unwrap().iter().map(|f| f.step.unwrap()).collect();
    assert_eq!(steps, [120, 180, 240]);

    let e = convert(&input, &input, &ConvertOptions::default()).unwrap_err();
    assert!(e.to_string().contains("overwritten"));
    assert_eq!(read_all(&input).unwrap().len(), 10, "the input is still there");
    let late = ConvertOptions { first: 99, ..ConvertOptions::default() };
    let e = convert(&input, dir.join("c.xtc"), &late).unwrap_err();
    assert!(e.hint.unwrap().contains("10 frames") && !dir.join("c.xtc").exists());
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn compressed_text_is_read() {
    use std::io::Write;
    let dir = directory("gzip");
    let (plain, packed) = (dir.join("a.extxyz"), dir.join("a.extxyz.gz"));
    write(&plain, format("extxyz"), &[frame(0), frame(1)]);
    let mut gz =
        flate2::write::GzEncoder::new(std::fs::File::create(&packed).unwrap(), flate2::Compression::fast());
    gz.write_all(&std::fs::read(&plain).unwrap()).unwrap();
    gz.finish().unwrap();
    assert_eq!(read_all(&plain).unwrap(), read_all(&packed).unwrap());
    assert!(
        create(&packed, format("extxyz"), &WriteOptions::default()).is_err(),
        "compressed files are not written"
    );
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_frame_that_a_format_cannot_hold_is_named() {
    let dir = directory("refused");
    let refuse = |name: &str, frames: &[Frame]| {
        let mut w = create(dir.join(format!("x.{name}")), format(name), &WriteOptions::default()).unwrap();
        let error = frames.iter().find_map(|f| w.write(f).err());
        error.unwrap_or_else(|| panic!("{name} took it")).to_string()
    };
    assert!(refuse("poscar", &[frame(0), frame(1)]).contains("frame 1: a POSCAR holds one structure"));
    let mut fewer = frame(1);
    fewer.symbols.pop();
    assert!(refuse("extxyz", &[fewer.clone()]).contains("240 atoms but 239 values of `symbols`"));
    fewer.positions.pop();
    fewer.velocities = None;
    fewer.forces = None;
    fewer.charges = None;
    fewer.arrays.remove("mol-id");
    for name in ["dcd", "amber-netcdf"] {
        assert!(
            refuse(name, &[frame(0), fewer.clone()]).contains("239 atoms, but the frames before have 240")
        );
    }
    let mut far = frame(0);
    far.positions[7].x = f64::NAN;
    assert!(refuse("xtc", &[far.clone()]).contains("atom 8 does not fit the grid"));
    far.positions[7].x = 1e7;
    assert!(refuse("gro", &[far.clone()]).contains("atom 8") && refuse("pdb", &[far]).contains("atom 8"));
    let e = create(dir.join("x.tpr"), format("tpr"), &WriteOptions::default()).map(drop).unwrap_err();
    assert!(e.hint.unwrap().contains("extxyz"));
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn pdb_files_have_elements_and_names() {
    let dir = directory("pdb-names");
    let path = dir.join("x.pdb");
    let lines = [
        "HETATM    1 CL    CL     1       0.000   0.000   0.000  1.00  0.00          CL",
        "HETATM    2 NA    NA A   2       3.000   0.000   0.000  1.00  0.00          NA",
        "HETATM    3 CU    SRF    3       6.000   0.000   0.000  1.00  0.00          CU",
        "HETATM    4 AR1   GAS    4       9.000   0.000   0.000  1.00  0.00          AR",
        "ATOM      5  CA  ALA     5      12.000   0.000   0.000  1.00  0.00           C",
        "ATOM      6  CA  ALA     6      15.000   0.000   0.000  1.00  0.00            ",
        "HETATM    7 CL    CL     7      18.000   0.000   0.000  1.00  0.00            ",
    ];
    std::fs::write(&path, format!("{}\nEND\n", lines.join("\n"))).unwrap();
    let frame = caloron_io::read_all(&path).unwrap().remove(0);
    assert_eq!(frame.symbols, ["Cl", "Na", "Cu", "Ar", "C", "C", "Cl"]);
    let texts = |name: &str| frame.arrays.get(name).unwrap().as_texts().unwrap().to_vec();
    assert_eq!(texts("atomtypes"), ["CL", "NA", "CU", "AR1", "CA", "CA", "CL"]);
    assert_eq!(texts("chainids"), ["-", "A", "-", "-", "-", "-", "-"]);
    let copy = dir.join("copy.extxyz");
    convert(&path, &copy, &ConvertOptions::default()).unwrap();
    assert_eq!(caloron_io::read_all(&copy).unwrap()[0].symbols, frame.symbols);
    std::fs::write(&path, "").unwrap();
    let error = convert(&path, dir.join("none.extxyz"), &ConvertOptions::default()).unwrap_err();
    assert!(error.to_string().contains("no atoms"), "{error}");
    assert!(!dir.join("none.extxyz").exists());
    std::fs::remove_dir_all(dir).unwrap();
}
