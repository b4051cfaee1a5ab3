//! H5MD files of the kinds that the reference set has not: fixed and regular quantities, several groups, units, species.
use caloron_engine::Vec3;
use caloron_engine::units::FEMTOSECOND;
use caloron_io::{Format, Frame, IoError, LammpsUnits, ReadOptions, open_with};
use hdf5_pure::{AttrValue, File, FileBuilder};
use std::path::PathBuf;

/// A file being written: data sets and groups are made along their paths.
struct Scene {
    path: PathBuf,
    file: File,
}

impl Scene {
    fn new(name: &str) -> Self {
        let path = std::env::temp_dir().join(format!("caloron-h5md-{name}-{}.h5md", std::process::id()));
        let mut start = FileBuilder::new();
        let mut about = start.create_group("h5md");
        about.set_attr("version", AttrValue::I32Array(vec![1, 1]));
        start.add_group(about.finish());
        start.write(&path).unwrap();
        let file = File::open_rw(&path).unwrap();
        Self { path, file }
    }
    fn groups(&self, path: &str) {
        let mut at = String::new();
        for part in path.split('/') {
            at = format!("{at}/{part}");
            if self.file.group(&at).is_err() {
                self.file.root().create_group(&at).unwrap();
                self.file.commit().unwrap();
            }
        }
    }
    fn numbers(&self, path: &str, shape: &[u64], values: &[f64]) -> &Self {
        if let Some((parent, _)) = path.rsplit_once('/') {
            self.groups(parent);
        }
        self.file
            .root()
            .create_dataset(path, |d| {
                d.with_f64_data(values).with_shape(shape);
            })
            .unwrap();
        self.file.commit().unwrap();
        self
    }
    fn attribute(&self, path: &str, name: &str, value: AttrValue) -> &Self {
        match self.file.dataset(path) {
            Ok(mut d) => d.set_attr(name, value).unwrap(),
            Err(_) => self.file.group(path).unwrap().set_attr(name, value).unwrap(),
        }
        self.file.commit().unwrap();
        self
    }
    fn unit(&self, path: &str, unit: &str) -> &Self {
        self.attribute(path, "unit", AttrValue::String(unit.into()))
    }
    fn read_with(self, options: &ReadOptions) -> Result<Vec<Frame>, IoError> {
        self.file.close().unwrap();
        let frames = (|| {
            let mut reader = open_with(&self.path, Format::from_path(&self.path)?, options)?;
            let mut frames = Vec::new();
            while let Some(frame) = reader.next_frame()? {
                frames.push(frame);
            }
            Ok(frames)
        })();
        std::fs::remove_file(&self.path).unwrap();
        frames
    }
    fn read(self) -> Result<Vec<Frame>, IoError> {
        self.read_with(&ReadOptions::default())
    }
}

const TWO_FRAMES: [f64; 12] = [0.1, 0.2, 0.3, 1.0, 1.1, 1.2, 0.4, 0.5, 0.6, 1.3, 1.4, 1.5];

/// Two atoms in two frames, at steps 10 and 15 and times 1.0 and 1.5.
fn scene(name: &str) -> Scene {
    let s = Scene::new(name);
    s.numbers("particles/all/position/value", &[2, 2, 3], &TWO_FRAMES)
        .numbers("particles/all/position/step", &[], &[5.0])
        .attribute("particles/all/position/step", "offset", AttrValue::I64(10))
        .numbers("particles/all/position/time", &[], &[0.5])
        .attribute("particles/all/position/time", "offset", AttrValue::F64(1.0));
    s
}

#[test]
fn regular_steps_units_and_quantities_of_other_steps_are_read() {
    let s = scene("regular");
    s.unit("particles/all/position/value", "nm")
        .unit("particles/all/position/time", "ns")
        .numbers("particles/all/velocity/value", &[1, 2, 3], &[1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
        .unit("particles/all/velocity/value", "nm ps-1")
        .numbers("particles/all/velocity/step", &[1], &[15.0])
        .numbers("particles/all/mass", &[2], &[0.016, 0.001])
        .unit("particles/all/mass", "kg mol-1")
        .numbers("particles/all/charge", &[2], &[-0.5, 0.5])
        .numbers("particles/all/species", &[2], &[1.0, 2.0])
        .numbers("particles/all/image", &[2, 3], &[0.0, 1.0, -2.0, 0.0, 0.0, 0.0])
        .numbers("particles/all/box/edges", &[3], &[2.0, 3.0, 4.0]);
    let boundary = ["periodic", "none", "periodic"].map(String::from).to_vec();
    s.attribute("particles/all/box", "boundary", AttrValue::StringArray(boundary));
    let frames = s.read().unwrap();
    assert_eq!(frames.len(), 2);
    assert_eq!(frames.iter().map(|f| f.step.unwrap()).collect::<Vec<_>>(), [10, 15]);
    let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12 * b.abs(), "{a} {b}");
    close(frames[1].time.unwrap(), 1.5e6 * FEMTOSECOND);
    assert_eq!(frames[1].positions[0], Vec3::new(0.4, 0.5, 0.6) * 10.0);
    assert!(frames[0].velocities.is_none());
    close(frames[1].velocities.as_ref().unwrap()[1].z, 6.0 * 1e-2 / FEMTOSECOND);
    assert_eq!(frames[0].symbols, ["O", "H"], "types named by their masses");
    assert_eq!(frames[0].charges.as_ref().unwrap(), &[-0.5, 0.5]);
    assert_eq!(frames[0].arrays.get("image").unwrap().as_ints().unwrap(), [0, 1, -2, 0, 0, 0]);
    // edges without a unit are in that of the positions
    assert_eq!(frames[0].cell.vector(1), Vec3::y() * 30.0);
    assert_eq!(frames[0].cell.periodic(), [true, false, true]);
}

/// `data/chunked.py` wrote the file.
#[test]
fn a_chunked_and_compressed_file_of_h5py_is_read() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/chunked.h5md");
    let frames = caloron_io::read_all(path).unwrap();
    assert_eq!(frames.iter().map(|f| f.step.unwrap()).collect::<Vec<_>>(), [100, 110, 120, 130, 140, 150]);
    for (k, frame) in frames.iter().enumerate() {
        let time = (2.0 + 0.5 * k as f64) * 1e3 * FEMTOSECOND;
        assert!((frame.time.unwrap() / time - 1.0).abs() < 1e-15);
        assert_eq!(frame.symbols, ["O", "H", "H"]);
        assert_eq!(frame.cell.periodic(), [true, false, true]);
        assert_eq!(frame.cell.vector(2), Vec3::z() * 50.0);
        assert_eq!(frame.velocities.is_some(), k % 2 == 0);
        for (i, r) in frame.positions.iter().enumerate() {
            let first = 0.25 * (9 * k + 3 * i) as f64;
            let expected = Vec3::new(first, first + 0.25, first + 0.5);
            assert_eq!(*r, expected * 10.0);
            if let Some(v) = &frame.velocities {
                assert!((v[i] + expected * (1e-2 / FEMTOSECOND)).amax() <= 1e-13 * expected.amax());
            }
        }
    }
}

#[test]
fn what_names_no_unit_is_metal_or_as_told() {
    let velocity = |s: &Scene| {
        s.numbers("particles/all/velocity/value", &[2, 2, 3], &TWO_FRAMES);
    };
    let s = scene("metal");
    velocity(&s);
    let frame = &s.read().unwrap()[0];
    assert_eq!(frame.positions[0], Vec3::new(0.1, 0.2, 0.3));
    assert_eq!(frame.velocities.as_ref().unwrap()[1].x, 1.0 / (1e3 * FEMTOSECOND));
    assert_eq!(frame.time.unwrap(), 1e3 * FEMTOSECOND);
    assert!(frame.cell.is_open());
    let s = scene("reduced");
    velocity(&s);
    s.unit("particles/all/position/value", "sigma");
    let options = ReadOptions { units: Some(LammpsUnits::Lj), ..ReadOptions::default() };
    let frame = &s.read_with(&options).unwrap()[1];
    assert_eq!(frame.velocities.as_ref().unwrap(), &frame.positions);
    assert_eq!(frame.time, Some(1.5));
}

#[test]
fn ids_that_change_their_order_sort_the_atoms() {
    let s = scene("ids");
    s.numbers("particles/all/id/value", &[2, 2], &[1.0, 2.0, 2.0, 1.0])
        .numbers("particles/all/id/step", &[2], &[10.0, 15.0])
        .numbers("particles/all/species/value", &[2, 2], &[8.0, 1.0, 1.0, 8.0])
        .numbers("particles/all/species/step", &[2], &[10.0, 15.0]);
    let frames = s.read().unwrap();
    assert!(frames.iter().all(|f| f.symbols == ["O", "H"]));
    assert_eq!(frames[1].positions[0], Vec3::new(1.3, 1.4, 1.5));
}

#[test]
fn one_group_of_several_is_named() {
    let several = |name: &str| {
        let s = scene(name);
        s.numbers("particles/ions/position", &[1, 3], &[7.0, 8.0, 9.0]);
        s
    };
    let e = several("several").read().unwrap_err();
    assert!(e.message.contains("`all`") && e.message.contains("`ions`") && e.hint.is_some(), "{e}");
    let group = |name: &str| ReadOptions { group: Some(name.into()), ..ReadOptions::default() };
    let frames = several("ions").read_with(&group("ions")).unwrap();
    assert_eq!((frames.len(), frames[0].positions[0]), (1, Vec3::new(7.0, 8.0, 9.0)));
    let e = several("other").read_with(&group("other")).unwrap_err();
    assert!(e.message.contains("`other`") && e.hint.unwrap().contains("`ions`"));
}

#[test]
fn wrong_files_say_what_is_wrong() {
    let check = |s: Scene, words: &[&str]| {
        let e = s.read().unwrap_err();
        assert!(words.iter().all(|w| e.to_string().contains(w)), "{e}");
    };
    let s = scene("unit");
    s.unit("particles/all/position/value", "furlong");
    check(s, &["`position`", "`furlong`"]);
    let s = scene("dimension");
    s.numbers("particles/all/velocity/value", &[2, 2, 3], &TWO_FRAMES)
        .unit("particles/all/velocity/value", "nm");
    check(s, &["`velocity`", "`nm` is not a unit of velocity"]);
    let s = scene("shape");
    s.numbers("particles/all/mass", &[3], &[1.0; 3]);
    check(s, &["`mass`", "[3]", "[2]"]);
    let s = scene("edges");
    s.numbers("particles/all/box/edges/value", &[1, 3], &[9.0; 3]).numbers(
        "particles/all/box/edges/step",
        &[1],
        &[15.0],
    );
    check(s, &["`box/edges`", "step 10", "frame 0"]);
    let s = scene("boundary");
    s.numbers("particles/all/box/edges", &[3], &[9.0; 3]);
    s.attribute("particles/all/box", "boundary", AttrValue::StringArray(vec!["reflecting".into(); 3]));
    check(s, &["\"reflecting\""]);
    check(Scene::new("empty"), &["`particles`"]);
    let s = scene("nan");
    s.numbers("particles/b/position", &[1, 3], &[0.0, f64::NAN, 0.0]);
    let options = ReadOptions { group: Some("b".into()), ..ReadOptions::default() };
    assert!(s.read_with(&options).unwrap_err().message.contains("not finite"));

    let path = std::env::temp_dir().join(format!("caloron-h5md-plain-{}.h5", std::process::id()));
    FileBuilder::new().write(&path).unwrap();
    let e =
        open_with(&path, Format::from_path(&path).unwrap(), &ReadOptions::default()).map(drop).unwrap_err();
    assert!(e.message.contains("not H5MD"), "{e}");
    std::fs::write(&path, "no HDF5 at all").unwrap();
    let e =
        open_with(&path, Format::from_path(&path).unwrap(), &ReadOptions::default()).map(drop).unwrap_err();
    assert!(e.hint.unwrap().contains("HDF5"), "{}", e.message);
    std::fs::remove_file(path).unwrap();
}
