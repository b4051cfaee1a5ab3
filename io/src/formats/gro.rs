//! GROMACS GRO: fixed columns whose width follows the number of decimals.
//!
//! nm, nm/ps, ps. Written with the decimals that the precision asks for, 3 (0.01 Å) unless told otherwise.
use crate::api::Decoder;
use crate::binary::units::{NANOMETRE, PICOSECOND};
use crate::encode::Encoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::frame::{Array, Value};
use crate::names::{Names, element};
use crate::text::{Lines, capacity, quote, real};
use crate::{Frame, WriteOptions, orient};
use caloron_engine::{Cell, Mat3, Vec3};
use std::io::Write;

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "gro",
    extensions: &["gro"],
    file_names: &[],
    about: "GROMACS structure",
    holds: Holds {
        frames: true,
        names: true,
        cell: true,
        velocities: true,
        time: true,
        provenance: true,
        ..Holds::NONE
    },
    input: Input::Text(|_| Box::new(Reading)),
    output: Output::Native(|options| Box::new(Writing::new(options))),
}];

struct Reading;

impl Decoder for Reading {
    fn decode(&mut self, lines: &mut Lines) -> Result<Option<Frame>, Fault> {
        // a title may be blank, a file may end in blank lines
        let Some(title) = lines.next()?.map(|l| l.trim().to_owned()) else { return Ok(None) };
        let Some(second) = lines.next()?.map(|l| l.trim().to_owned()) else {
            return if title.is_empty() {
                Ok(None)
            } else {
                Err(Fault::line(2, "the file ends after the title"))
            };
        };
        let at = lines.number();
        let count: usize = second.parse().map_err(|_| {
            Fault::line(at, format!("expected the number of atoms, found {}", quote(&second)))
        })?;
        let mut atoms = Atoms::with_capacity(capacity(count));
        let mut width = None;
        for atom in 0..count {
            let line = lines.expect(&format!("atom {} of {count}", atom + 1))?;
            let result = atoms.push(line, &mut width);
            result.map_err(|e| Fault::line(lines.number(), format!("atom {}: {e}", atom + 1)))?;
        }
        let line = lines.expect("the box")?;
        let cell = read_box(line).map_err(|e| (e, quote(line)));
        let cell = cell.map_err(|(e, line)| Fault::line(lines.number(), format!("box {line}: {e}")))?;
        let mut frame = atoms.frame(cell);
        let number =
            |key: &str| title.split_once(key).and_then(|(_, rest)| rest.split_ascii_whitespace().next());
        frame.time = number("t=").and_then(real).map(|t| t * PICOSECOND);
        frame.step = number("step=").and_then(|s| s.parse().ok());
        if !title.is_empty() {
            frame.info.insert("title", Value::Text(title));
        }
        Ok(Some(frame))
    }
}

struct Atoms {
    symbols: Vec<String>,
    names: Vec<String>,
    residues: Vec<String>,
    numbers: Vec<i64>,
    positions: Vec<Vec3>,
    velocities: Vec<Vec3>,
}

impl Atoms {
    fn with_capacity(n: usize) -> Self {
        Self {
            symbols: Vec::with_capacity(n),
            names: Vec::with_capacity(n),
            residues: Vec::with_capacity(n),
            numbers: Vec::with_capacity(n),
            positions: Vec::with_capacity(n),
            velocities: Vec::new(),
        }
    }
    fn push(&mut self, line: &str, width: &mut Option<usize>) -> Result<(), String> {
        let (Some(head), Some(tail)) = (line.get(..20), line.get(20..)) else {
            return Err(format!("expected 20 columns of names and then coordinates, found {}", quote(line)));
        };
        let width = match width {
            Some(w) => *w,
            None => {
                *width.insert(width_of(tail).ok_or_else(|| format!("no coordinates in {}", quote(line)))?)
            }
        };
        let vector = |from: usize| {
            let mut v = [0.0; 3];
            for (k, x) in v.iter_mut().enumerate() {
                *x = real(
                    tail.get(from + k * width..)?.get(..width).or(tail.get(from + k * width..))?.trim(),
                )?;
            }
            Some(Vec3::from(v))
        };
        let position = vector(0)
            .ok_or_else(|| format!("expected coordinates of {width} columns, found {}", quote(tail)))?;
        self.positions.push(position * NANOMETRE);
        if tail.get(3 * width..).is_some_and(|v| !v.trim().is_empty()) {
            let v = vector(3 * width)
                .ok_or_else(|| format!("expected a velocity, found {}", quote(&tail[3 * width..])))?;
            self.velocities.push(v * (NANOMETRE / PICOSECOND));
        }
        let column = |from: usize, to: usize| head.get(from..to).unwrap_or_default().trim();
        let (residue, name) = (column(5, 10), column(10, 15));
        self.symbols.push(element(name, residue).map_or_else(|| dash(name), str::to_owned));
        self.names.push(dash(name));
        self.residues.push(dash(residue));
        self.numbers.push(column(0, 5).parse().unwrap_or(0));
        Ok(())
    }
    fn frame(self, cell: Cell) -> Frame {
        let mut frame = Frame::new(self.symbols, self.positions, cell);
        if self.velocities.len() == frame.len() && !frame.is_empty() {
            frame.velocities = Some(self.velocities);
        }
        if self.names != frame.symbols {
            frame.arrays.insert("atomtypes", Array::texts(self.names));
        }
        frame.arrays.insert("residuenames", Array::texts(self.residues));
        frame.arrays.insert("residuenumbers", Array::ints(self.numbers));
        frame
    }
}

/// A text that can stand in a column: something in place of nothing, and no blanks.
fn dash(text: &str) -> String {
    let joined = text.split_ascii_whitespace().collect::<Vec<_>>().join("_");
    if joined.is_empty() { "-".into() } else { joined }
}

/// Columns of a coordinate: the distance between two decimal points.
fn width_of(tail: &str) -> Option<usize> {
    let mut points = tail.match_indices('.').map(|(k, _)| k);
    let (first, second) = (points.next()?, points.next()?);
    Some(second - first)
}

fn read_box(line: &str) -> Result<Cell, String> {
    let v: Option<Vec<f64>> = line.split_ascii_whitespace().map(real).collect();
    let v: Vec<f64> = v.ok_or("expected three or nine numbers")?.iter().map(|x| x * NANOMETRE).collect();
    let h = match *v.as_slice() {
        [x, y, z] => Mat3::from_diagonal(&Vec3::new(x, y, z)),
        [xx, yy, zz, xy, xz, yx, yz, zx, zy] => Mat3::new(xx, yx, zx, xy, yy, zy, xz, yz, zz),
        _ => return Err("expected three or nine numbers".into()),
    };
    if h == Mat3::zeros() {
        Ok(Cell::open())
    } else {
        Cell::from_matrix(h, [true; 3]).map_err(|e| e.to_string())
    }
}

struct Writing {
    provenance: String,
    decimals: usize,
    picosecond: f64,
}

impl Writing {
    fn new(options: &WriteOptions) -> Self {
        let decimals = (NANOMETRE / options.precision).log10().ceil().clamp(3.0, 12.0) as usize;
        Self { provenance: options.provenance_line(), decimals, picosecond: options.time_unit(PICOSECOND) }
    }
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let frame = &*orient::standard(frame)?;
        let title = if self.provenance.is_empty() { "Structure" } else { &self.provenance };
        let _ = write!(out, "{title}");
        if let Some(t) = frame.time {
            let _ = write!(out, " t= {:?}", t / self.picosecond);
        }
        let step = frame.step.unwrap_or(index);
        let _ = writeln!(out, " step= {step}\n{}", frame.len());
        let names = Names::of(frame);
        let (d, w) = (self.decimals, self.decimals + 5);
        for (i, r) in frame.positions.iter().enumerate() {
            let (residue, name) = (short(names.residue(i))?, short(names.atom(i))?);
            let number = names.number(i).rem_euclid(100_000);
            let _ = write!(out, "{number:>5}{residue:<5}{name:>5}{:>5}", (i + 1) % 100_000);
            let start = out.len();
            r.iter().for_each(|x| drop(write!(out, "{:>w$.d$}", x / NANOMETRE)));
            let mut columns = 3;
            if let Some(v) = &frame.velocities {
                let unit = NANOMETRE / self.picosecond;
                v[i].iter().for_each(|x| drop(write!(out, "{:>w$.p$}", x / unit, p = d + 1)));
                columns = 6;
            }
            if out.len() - start != columns * w {
                return Err(Fault::new(format!(
                    "atom {}: a coordinate or velocity is too large for its columns",
                    i + 1
                ))
                .hint("wrap the positions, or write another format"));
            }
            out.push(b'\n');
        }
        let open = frame.cell == Cell::open();
        let h = if open { Mat3::zeros() } else { frame.cell.matrix() / NANOMETRE };
        let mut entries = vec![(0, 0), (1, 1), (2, 2)];
        if [(0, 1), (0, 2), (1, 2)].iter().any(|e| h[*e] != 0.0) {
            entries.extend([(1, 0), (2, 0), (0, 1), (2, 1), (0, 2), (1, 2)]);
        }
        // two decimals more than the coordinates, in columns that some readers count on, as GROMACS does
        entries.iter().for_each(|e| drop(write!(out, "{:>q$.p$}", h[*e], q = d + 7, p = d + 2)));
        out.push(b'\n');
        Ok(())
    }
}

fn short(name: &str) -> Result<&str, Fault> {
    let fits = name.chars().count() <= 5;
    fits.then_some(name)
        .ok_or_else(|| Fault::new(format!("the name {name:?} is longer than the 5 columns it has")))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Frame>, Fault> {
        let mut lines = Lines::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        std::iter::from_fn(|| Reading.decode(&mut lines).transpose()).collect()
    }

    const TEXT: &str = "Water, t= 1.5 step= 3\n    2\n    1SOL     OW    1   0.12345   1.00000  -0.50000\n    \
        1SOL    HW1    2   0.22345   1.00000  -0.50000\n 1.0 2.0 3.0 0 0 0.5 0 0.25 -0.125\n\n";

    #[test]
    fn the_width_follows_the_decimals() {
        let f = &read(TEXT).unwrap()[0];
        assert_eq!(f.symbols, ["O", "H"]);
        assert!((f.positions[0] - Vec3::new(1.2345, 10.0, -5.0)).norm() < 1e-12);
        assert_eq!(f.cell.vector(2), Vec3::new(2.5, -1.25, 30.0));
        assert_eq!((f.step, f.time), (Some(3), Some(1.5 * PICOSECOND)));
        assert_eq!(f.arrays.get("atomtypes").unwrap().as_texts().unwrap(), ["OW", "HW1"]);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let e = read(&TEXT.replace("1.00000  -0.50000\n    1", "1.0000x  -0.50000\n    1")).unwrap_err();
        assert_eq!(e.place, Some(crate::Place::Line(3)));
        let e = read(&TEXT.replace("    2\n", "    3\n")).unwrap_err();
        assert_eq!(e.place, Some(crate::Place::Line(5)), "{}", e.message);
        assert!(read("title\nmany\n").unwrap_err().message.contains("number of atoms"));
    }
}
