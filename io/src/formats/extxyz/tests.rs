use super::*;
use crate::api::Decoder;
use crate::encode::Encoder;
use crate::text::Lines;
use crate::{Array, Column, Frame, Value, WriteOptions};
use caloron_engine::units::FEMTOSECOND;
use caloron_engine::{Cell, Mat3, Vec3};

fn read(text: &str) -> Result<Vec<Frame>, crate::error::Fault> {
    let mut lines = Lines::new(std::io::Cursor::new(text.as_bytes().to_vec()));
    std::iter::from_fn(|| read::ExtXyz.decode(&mut lines).transpose()).collect()
}

fn write(frames: &[Frame], options: &WriteOptions) -> String {
    let mut encoder = write::ExtXyz::new(options);
    let mut out = Vec::new();
    for (k, f) in frames.iter().enumerate() {
        encoder.encode(f, k as u64, &mut out).unwrap();
    }
    String::from_utf8(out).unwrap()
}

fn rich() -> Frame {
    let cell = Cell::from_lengths_angles([3.1, 4.2, 5.3], [80.0, 95.0, 110.0]).unwrap();
    let mut f = Frame::new(
        vec!["Ar".into(), "bead".into()],
        vec![Vec3::new(0.1, 1.0 / 3.0, -2e-17), Vec3::new(1e20, 2.0, 3.0)],
        cell,
    );
    f.velocities = Some(vec![Vec3::new(0.25, -0.5, 1.0), Vec3::new(1.0, 2.0, 3.0)]);
    f.forces = Some(vec![Vec3::new(1e-9, 0.0, -0.0), Vec3::zeros()]);
    f.masses = Some(vec![39.95, 2.0]);
    f.charges = Some(vec![0.5, -0.5]);
    f.step = Some(7);
    f.time = Some(2.0 * FEMTOSECOND);
    f.energy = Some(-1.0 / 3.0);
    f.stress = Some(Mat3::new(1.0, 0.1, 0.2, 0.1, 2.0, 0.3, 0.2, 0.3, 3.0));
    for (k, v) in [
        ("flag", Value::Bool(false)),
        ("count", Value::Int(-3)),
        ("x", Value::Real(1e300)),
        ("text", Value::Text("a \"quoted\" back\\slash\nline = end".into())),
        ("looks_like_int", Value::Text("12".into())),
        ("looks_like_list", Value::Text("1 2.5".into())),
        ("looks_like_bool", Value::Text("T".into())),
        ("empty", Value::Text(String::new())),
        ("json-like", Value::Text("[1, 2".into())),
        ("ints", Value::Ints(vec![1, 2, 3])),
        ("one", Value::Reals(vec![1.5])),
        ("reals", Value::Reals(vec![0.1, 2.0])),
        ("bools", Value::Bools(vec![true, false])),
        ("nested", Value::Json("[[1, 2], [3, 4]]".into())),
        ("a key", Value::Int(1)),
        ("größe", Value::Text("Å".into())),
    ] {
        f.info.insert(k, v);
    }
    f.arrays.insert("tags", Array::ints(vec![1, -1]));
    f.arrays
        .insert("free", Array { columns: 3, data: Column::Bool(vec![true, false, true, true, true, true]) });
    f.arrays.insert("dipole", Array { columns: 2, data: Column::Real(vec![0.1, f64::INFINITY, 1.0, 2.0]) });
    f.arrays.insert("atomtypes", Array::texts(vec!["CA".into(), "O'".into()]));
    f
}

#[test]
fn everything_comes_back_bit_for_bit() {
    let frames = vec![rich(), Frame::new(vec!["H".into()], vec![Vec3::zeros()], Cell::open())];
    let text = write(&frames, &WriteOptions::default());
    let back = read(&text).unwrap_or_else(|e| panic!("{e:?}\n{text}"));
    assert_eq!(back, frames, "{text}");
    assert_eq!(write(&back, &WriteOptions::default()), text);
}

#[test]
fn the_conventions_of_others_are_understood() {
    let text = "1\nLattice=\"3 0 0 0 4 0 0 0 5\" Properties=species:S:1:pos:R:3:force:R:3:velo:R:3 \
        virial={60 0 0 0 120 0 0 0 180} old_array={1 2 3} new=[1, 2.5] flag energy = -1 pbc=\"T T F\"\n\
        Fe 1 2 3 0.1 0.2 0.3 1e-2 0 0\n";
    let f = &read(text).unwrap()[0];
    assert_eq!(f.cell.periodic(), [true, true, false]);
    assert_eq!((f.energy, f.stress), (Some(-1.0), None), "no stress without a volume");
    assert_eq!(f.forces.as_ref().unwrap()[0], Vec3::new(0.1, 0.2, 0.3));
    assert_eq!(f.velocities.as_ref().unwrap()[0].x, 1e-2 / FEMTOSECOND);
    assert_eq!(f.info.get("old_array"), Some(&Value::Ints(vec![1, 2, 3])));
    assert_eq!(f.info.get("new"), Some(&Value::Reals(vec![1.0, 2.5])));
    assert_eq!(f.info.get("flag"), Some(&Value::Bool(true)));
    let f = &read(&text.replace(" pbc=\"T T F\"", "")).unwrap()[0];
    assert_eq!(f.stress.unwrap(), Mat3::from_diagonal(&Vec3::new(-1.0, -2.0, -3.0)));
    let voigt = "0\nLattice=\"1 0 0 0 1 0 0 0 1\" Properties=species:S:1:pos:R:3 stress=\"1 2 3 4 5 6\"\n";
    assert_eq!(
        read(voigt).unwrap()[0].stress.unwrap(),
        Mat3::new(1.0, 6.0, 5.0, 6.0, 2.0, 4.0, 5.0, 4.0, 3.0)
    );
    let numbers = "1\nProperties=Z:I:1:pos:R:3\n26 0 0 0\n";
    assert_eq!(read(numbers).unwrap()[0].symbols, ["Fe"]);
}

#[test]
fn plain_xyz_is_read() {
    let f = &read("2\n Atoms. Timestep: 0\nO 1 2 3\nH 1 2 4 0.4\n\n").unwrap()[0];
    assert!(f.cell.is_open());
    assert_eq!(f.info.get("comment"), Some(&Value::Text("Atoms. Timestep: 0".into())));
    assert_eq!(read("1\n\nAr 0 0 0\n1\n\nAr 0 0 1").unwrap().len(), 2);
    assert!(read("").unwrap().is_empty());
    // elements in any case; labels with columns that are declared stay what they are
    assert_eq!(
        read("4\n\nCL 0 0 0\nar 1 0 0\nCu 2 0 0\nMW 3 0 0\n").unwrap()[0].symbols,
        ["Cl", "Ar", "Cu", "MW"]
    );
    let labels = "1\nProperties=species:S:1:pos:R:3\nCA 0 0 0\n";
    assert_eq!(read(labels).unwrap()[0].symbols, ["CA"]);
}

#[test]
fn mistakes_are_named_with_their_line() {
    let message = |text: &str| {
        let e = read(text).unwrap_err();
        format!("{} {}", e.place.unwrap(), e.message)
    };
    assert_eq!(message("x\n"), "line 1 expected the number of atoms, found \"x\"");
    assert_eq!(message("2\n\nAr 0 0 0\n"), "line 4 the file ends after 1 of 2 atoms");
    assert_eq!(message("1\n\nAr 0 zero 0\n"), "line 3 atom 1: `pos`: expected a number, found \"zero\"");
    assert_eq!(message("1\n\nAr 0 0\n"), "line 3 atom 1: the line ends where column 3 of `pos` should be");
    assert_eq!(message("1\n\nAr 0 0 inf\n"), "line 2 `pos` of atom 1 is not finite");
    assert!(message("1\nProperties=species:S:1:pos:R:3\nAr 0 0 0 1\n").contains("after the last column"));
    assert!(message("1\nProperties=species:S:1:pos:Q:3\nAr 0 0 0\n").contains("not S, R, I or L"));
    assert!(message("1\nLattice=\"1 2 3\"\nAr 0 0 0\n").contains("nine numbers"));
    assert!(message("1\nLattice=\"1 0 0 1 0 0 0 0 1\"\nAr 0 0 0\n").contains("linearly dependent"));
    assert!(message("1\nProperties=species:S:1:pos:R:3 pbc=\"T T T\"\nAr 0 0 0\n").contains("no `Lattice`"));
    assert!(message("1\nLattice=\"1 0 0\nAr 0 0 0\n").contains("closing \" is missing"));
    assert!(
        message("1\nProperties=species:S:1:pos:R:3:momenta:R:3\nX 0 0 0 1 1 1\n").contains("need its mass")
    );
    assert!(message("99999999999999\n\nAr 0 0 0\n").contains("ends after 1 of"));
}

#[test]
fn provenance_stands_in_the_first_frame() {
    let options =
        WriteOptions { provenance: vec![("program".into(), "Caloron 1".into())], ..WriteOptions::default() };
    let frame = Frame::new(vec!["H".into()], vec![Vec3::zeros()], Cell::open());
    let frames = read(&write(&[frame.clone(), frame], &options)).unwrap();
    assert_eq!(frames[0].info.get("program"), Some(&Value::Text("Caloron 1".into())));
    assert!(frames[1].info.is_empty());
}

#[test]
fn names_that_would_break_the_file_are_refused() {
    let mut encoder = write::ExtXyz::new(&WriteOptions::default());
    let frame = Frame::new(vec!["two words".into()], vec![Vec3::zeros()], Cell::open());
    assert!(encoder.encode(&frame, 0, &mut Vec::new()).is_err());
}
