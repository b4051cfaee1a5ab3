//! Files that were interrupted and continued equal files written in one go, byte for byte.
use caloron_engine::{Cell, Mat3, Vec3};
use caloron_io::{Format, Frame, WriteOptions, create, open_as, resume};
use std::fs;
use std::io::Write;

fn frame(k: u64) -> Frame {
    let shift = Vec3::new(0.01, -0.02, 0.03) * k as f64;
    let h = Mat3::new(10.0, 1.5, -2.0, 0.0, 11.0, 0.5, 0.0, 0.0, 12.0) * (1.0 + 1e-3 * k as f64);
    let positions =
        (0..30).map(|i| Vec3::new(0.3 * f64::from(i), 0.21 * f64::from(i), -0.1) + shift).collect();
    let symbols = ["O", "H", "H"].iter().cycle().take(30).map(ToString::to_string).collect();
    let mut f = Frame::new(symbols, positions, Cell::from_matrix(h, [true; 3]).unwrap());
    f.velocities = Some((0..30).map(|i| Vec3::new(0.01 * f64::from(i), 0.0, -0.02) + shift).collect());
    f.forces = Some((0..30).map(|i| Vec3::new(0.1, 0.3 * f64::from(i), 0.0) - shift).collect());
    f.step = Some(50 * k);
    f.time = Some(50.0 * k as f64 * 0.1);
    f.energy = Some(-3.0 - 0.1 * k as f64);
    f
}

fn trajectory_formats() -> Vec<Format> {
    Format::all().filter(|f| f.resumes() && f.holds().frames).collect()
}

#[test]
fn a_resumed_file_equals_an_uninterrupted_one() {
    let dir = std::env::temp_dir().join(format!("caloron-resume-{}", std::process::id()));
    fs::create_dir_all(&dir).unwrap();
    let options =
        WriteOptions { provenance: vec![("program".into(), "Caloron".into())], ..WriteOptions::default() };
    for format in trajectory_formats() {
        for cut in [0, 1, 6] {
            let (whole, cut_path) = (dir.join(format!("whole.{format}")), dir.join(format!("cut.{format}")));
            let mut w = create(&whole, format, &options).unwrap();
            (0..10).for_each(|k| w.write(&frame(k)).unwrap());
            w.sync().unwrap();

            let mut w = create(&cut_path, format, &options).unwrap();
            (0..cut).for_each(|k| w.write(&frame(k)).unwrap());
            let position = w.sync().unwrap();
            assert_eq!(position.frames, cut);
            assert_eq!(position.bytes, fs::metadata(&cut_path).unwrap().len());
            // two frames after the checkpoint, one of them synced, and half a frame of garbage: then the crash
            w.write(&frame(cut)).unwrap();
            w.sync().unwrap();
            w.write(&frame(cut + 1)).unwrap();
            drop(w);
            fs::OpenOptions::new().append(true).open(&cut_path).unwrap().write_all(&[0x55; 333]).unwrap();

            let mut w = resume(&cut_path, format, position, &options).unwrap();
            (cut..10).for_each(|k| w.write(&frame(k)).unwrap());
            assert_eq!(w.sync().unwrap().frames, 10);
            assert!(fs::read(&whole).unwrap() == fs::read(&cut_path).unwrap(), "{format}, cut at {cut}");
            let mut reader = open_as(&cut_path, format).unwrap();
            let count = std::iter::from_fn(|| reader.next_frame().unwrap()).count();
            assert_eq!(count, 10, "{format}");
        }
    }
    fs::remove_dir_all(dir).unwrap();
}

#[test]
fn a_file_shorter_than_its_checkpoint_is_refused() {
    let path = std::env::temp_dir().join(format!("caloron-short-{}.extxyz", std::process::id()));
    let format = Format::by_name("extxyz").unwrap();
    let mut w = create(&path, format, &WriteOptions::default()).unwrap();
    w.write(&frame(0)).unwrap();
    let position = w.sync().unwrap();
    drop(w);
    fs::write(&path, "1\n\n").unwrap();
    let e = resume(&path, format, position, &WriteOptions::default()).map(drop).unwrap_err();
    assert!(e.to_string().contains("bytes") && e.hint.is_some());
    fs::remove_file(path).unwrap();
}
