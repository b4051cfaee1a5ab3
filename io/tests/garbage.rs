//! Damaged and random files end in an error or in frames, never in a panic and never in memory that the file does not
//! justify.
use caloron_engine::{Cell, Mat3, Vec3, testing};
use caloron_io::{Format, Frame, IoError, WriteOptions, create, open_as};
use proptest::prelude::*;
use proptest::test_runner::{RngSeed, TestRunner};
use std::path::{Path, PathBuf};

/// Formats that this crate reads itself.
const NATIVE: [&str; 11] = [
    "extxyz",
    "poscar",
    "lammps-dump",
    "lammps-data",
    "xtc",
    "trr",
    "dcd",
    "amber-netcdf",
    "gro",
    "cif",
    "h5md",
];

fn directory(name: &str) -> PathBuf {
    let dir = std::env::temp_dir().join(format!("caloron-{name}-{}", std::process::id()));
    std::fs::create_dir_all(&dir).unwrap();
    dir
}

fn valid(path: &Path, format: Format) -> Vec<u8> {
    if format.name() == "h5md" {
        return include_bytes!("data/chunked.h5md").to_vec();
    }
    let n = 24;
    let h = Mat3::new(9.0, 1.5, -2.0, 0.0, 8.0, 0.5, 0.0, 0.0, 7.0);
    let positions = (0..n).map(|i| Vec3::new(0.37 * f64::from(i), 0.11 * f64::from(i % 5), 0.2)).collect();
    let symbols = ["O", "H", "H"].iter().cycle().take(n as usize).map(ToString::to_string).collect();
    let mut frame = Frame::new(symbols, positions, Cell::from_matrix(h, [true; 3]).unwrap());
    frame.velocities = Some(vec![Vec3::new(0.1, -0.2, 0.3); n as usize]);
    frame.forces = frame.velocities.clone();
    let options =
        WriteOptions { provenance: vec![("program".into(), "x".into())], ..WriteOptions::default() };
    let mut writer = create(path, format, &options).unwrap();
    for k in 0..if format.holds().frames { 3 } else { 1 } {
        frame.step = Some(k);
        frame.time = Some(k as f64);
        writer.write(&frame).unwrap();
    }
    writer.sync().unwrap();
    std::fs::read(path).unwrap()
}

/// Reads all frames; an error must name the file.
fn read(path: &Path, format: Format, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let read = || {
        let mut reader = open_as(path, format)?;
        while let Some(frame) = reader.next_frame()? {
            assert_eq!(frame.inconsistency(), None);
        }
        Ok(())
    };
    if let Err::<(), IoError>(e) = read() {
        assert!(e.to_string().starts_with(&path.display().to_string()) && !e.message.is_empty());
        // a library that panicked is told apart from one that refused the file
        assert!(!e.message.contains("hdf5-pure failed"), "{e}");
    }
}

/// A change of a file: at a place (a fraction of its length), with a length and bytes.
#[derive(Clone, Debug)]
enum Damage {
    Replace(f64, Vec<u8>),
    Insert(f64, Vec<u8>),
    Remove(f64, usize),
    Repeat(f64, usize),
    Truncate(f64),
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let words = [
        "-1",
        "99999999999999999999",
        "nan",
        "1e400",
        "\n",
        "\"",
        "[[",
        "T",
        " ",
        "0",
        "loop_",
        "ITEM: ",
        "é",
    ];
    prop_oneof![
        prop::collection::vec(any::<u8>(), 1..9),
        prop::sample::select(words.to_vec()).prop_map(|w| w.as_bytes().to_vec()),
        prop::sample::select(vec![0u32, 1, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff])
            .prop_map(|x| x.to_be_bytes().to_vec()),
    ]
}

fn damage() -> impl Strategy<Value = Damage> {
    prop_oneof![
        4 => (0.0..1.0, bytes()).prop_map(|(at, b)| Damage::Replace(at, b)),
        2 => (0.0..1.0, bytes()).prop_map(|(at, b)| Damage::Insert(at, b)),
        1 => (0.0..1.0, 1usize..200).prop_map(|(at, n)| Damage::Remove(at, n)),
        1 => (0.0..1.0, 1usize..200).prop_map(|(at, n)| Damage::Repeat(at, n)),
        1 => (0.0..1.0).prop_map(Damage::Truncate),
    ]
}

fn apply(bytes: &mut Vec<u8>, damage: &Damage) {
    let length = bytes.len();
    let place = |at: f64| ((at * length as f64) as usize).min(length);
    match damage {
        Damage::Replace(at, b) => {
            let start = place(*at);
            let end = (start + b.len()).min(length);
            bytes.splice(start..end, b.iter().copied());
        }
        Damage::Insert(at, b) => drop(bytes.splice(place(*at)..place(*at), b.iter().copied())),
        Damage::Remove(at, n) => drop(bytes.drain(place(*at)..(place(*at) + n).min(length))),
        Damage::Repeat(at, n) => {
            let part = bytes[place(*at)..(place(*at) + n).min(length)].to_vec();
            bytes.splice(place(*at)..place(*at), part);
        }
        Damage::Truncate(at) => bytes.truncate(place(*at)),
    }
}

fn damaged_files(cases: u32, seed: u64) {
    let dir = directory(&format!("damaged-{seed}"));
    let mut originals: Vec<(&str, Option<PathBuf>)> = NATIVE.iter().map(|name| (*name, None)).collect();
    originals.push(("h5md", testing::reference("trajectories").map(|d| d.join("tric.h5md"))));
    for (name, file) in originals {
        let format = Format::by_name(name).unwrap();
        let path = dir.join(format!("x.{name}"));
        let whole = file.map_or_else(|| valid(&path, format), |file| std::fs::read(file).unwrap());
        // most of the structure is in the first bytes: damage them more often
        let config = ProptestConfig {
            cases,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let strategy = (prop::collection::vec(damage(), 1..4), prop::bool::ANY);
        let result = TestRunner::new(config).run(&strategy, |(damages, early)| {
            let mut bytes = whole.clone();
            for mut d in damages {
                if early {
                    match &mut d {
                        Damage::Replace(at, _) | Damage::Insert(at, _) => *at *= 0.1,
                        _ => {}
                    }
                }
                apply(&mut bytes, &d);
            }
            read(&path, format, &bytes);
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    std::fs::remove_dir_all(dir).unwrap();
}

fn random_files(cases: u32, seed: u64) {
    let dir = directory(&format!("random-{seed}"));
    for name in NATIVE {
        let format = Format::by_name(name).unwrap();
        let path = dir.join(format!("x.{name}"));
        let config = ProptestConfig {
            cases,
            rng_seed: RngSeed::Fixed(seed),
            failure_persistence: None,
            ..ProptestConfig::default()
        };
        let strategy = prop::collection::vec(bytes(), 0..60);
        let result = TestRunner::new(config).run(&strategy, |parts| {
            read(&path, format, &parts.concat());
            Ok(())
        });
        result.unwrap_or_else(|e| panic!("{name}: {e}"));
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
fn damaged_files_are_errors_or_frames() {
    damaged_files(300, 1);
}

#[test]
fn random_files_are_errors_or_frames() {
    random_files(100, 2);
}

/// Found by the long run: the length, rounded up, does not fit 32 bits.
#[test]
fn a_trr_file_with_a_name_of_four_gigabytes_is_an_error() {
    let dir = directory("trr-name");
    let format = Format::by_name("trr").unwrap();
    let bytes = [1993i32, 13, -1, 0, 0].map(i32::to_be_bytes).concat();
    read(&dir.join("x.trr"), format, &bytes);
    let error = open_as(dir.join("x.trr"), format).unwrap().next_frame().unwrap_err();
    assert!(error.message.contains("ends"), "{error}");
    std::fs::remove_dir_all(dir).unwrap();
}

/// chemfiles panicked on names that are no text, and took bytes for atoms.
#[test]
fn garbage_is_an_error_for_every_format_that_chemfiles_reads() {
    let dir = directory("chemfiles");
    let native: Vec<&str> = NATIVE.into_iter().chain(["inpcrd", "openmm-state"]).collect();
    let foreign = Format::all().filter(|f| f.reads() && !native.contains(&f.name()));
    let mut seed = 7u64;
    for format in foreign {
        for extension in format.extensions() {
            let path = dir.join(format!("x.{extension}"));
            for case in 0..4 {
                let mut next = || {
                    // the generator of Steele, Lea and Flood
                    seed = seed.wrapping_add(0x9e37_79b9_7f4a_7c15);
                    let z = (seed ^ (seed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
                    ((z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb) >> 32) as u8
                };
                let mut bytes: Vec<u8> = (0..100 << (case % 5)).map(|_| next()).collect();
                if case % 2 == 1 {
                    // lines, the first of which may be a number of atoms
                    bytes.iter_mut().skip(40).step_by(81).for_each(|b| *b = b'\n');
                    bytes.splice(..0, b"3 title\n".iter().copied());
                }
                std::fs::write(&path, &bytes).unwrap();
                let read = || {
                    let mut reader = open_as(&path, format)?;
                    while reader.next_frame()?.is_some() {}
                    Ok(())
                };
                match read() {
                    Ok(()) => {}
                    Err::<(), IoError>(e) => {
                        assert!(e.to_string().contains(&format!("x.{extension}")), "{e}");
                        assert_eq!(e.format, Some(format));
                    }
                }
                let frames = caloron_io::read_all(&path).map(|f| f.len());
                assert!(frames.is_err(), "{extension}, case {case}: {frames:?}");
            }
        }
    }
    std::fs::remove_dir_all(dir).unwrap();
}

#[test]
#[ignore = "minutes"]
fn many_damaged_and_random_files_are_errors_or_frames() {
    damaged_files(5_000, 3);
    random_files(5_000, 4);
}
