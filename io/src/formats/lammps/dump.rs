//! Text dumps (`dump custom`, `dump atom`), with orthogonal, tilted and general triclinic boxes.
//!
//! Coordinates are read from xu yu zu, x y z, xsu ysu zsu or xs ys zs, whichever comes first in this list. Atoms are
//! sorted by id. Units are metal unless the file says otherwise (`ITEM: UNITS`) or the reader is told.
use super::{LammpsUnits, Scales, expected, order, origin, set_origin, type_name, types};
use crate::api::Decoder;
use crate::encode::Encoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::frame::{Array, Column};
use crate::text::{Lines, capacity, push_real, push_reals, quote, real};
use crate::{Frame, ReadOptions, WriteOptions, orient};
use caloron_engine::{Cell, Mat3, UnitSystem, Vec3, elements};
use std::io::Write;

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "lammps-dump",
    extensions: &["lammpstrj", "dump"],
    file_names: &[],
    about: "LAMMPS text dump",
    holds: Holds { provenance: false, ..Holds::ALL },
    input: Input::Text(|options| Box::new(Reading { options: options.clone(), units: options.units })),
    output: Output::Native(|options| Box::new(Writing::new(options))),
}];

struct Reading {
    options: ReadOptions,
    /// As the reader was told or the file said.
    units: Option<LammpsUnits>,
}

struct Bounds {
    cell: Cell,
    origin: Vec3,
}

/// A column of the ATOMS section.
struct Field {
    name: String,
    data: Column,
}

impl Decoder for Reading {
    fn decode(&mut self, lines: &mut Lines) -> Result<Option<Frame>, Fault> {
        let (mut step, mut time, mut count, mut bounds) = (None, None, None, None);
        loop {
            let Some(line) = lines.next()?.map(str::trim).map(str::to_owned) else {
                return match step {
                    None => Ok(None),
                    Some(_) => Err(Fault::line(lines.number(), "the file ends in the middle of a frame")),
                };
            };
            let at = lines.number();
            let fail = |m: String| Fault::line(at + 1, m);
            let Some(item) = line.strip_prefix("ITEM:").map(str::trim) else {
                if line.is_empty() {
                    continue;
                }
                return Err(Fault::line(at, expected("`ITEM: …`", &line)));
            };
            if item == "TIMESTEP" {
                let text = lines.expect("the timestep")?.trim();
                step = Some(text.parse::<u64>().map_err(|_| fail(expected("the timestep", text)))?);
            } else if item == "UNITS" {
                let said = LammpsUnits::by_name(lines.expect("the units")?.trim()).map_err(fail)?;
                self.units.get_or_insert(said);
            } else if item == "TIME" {
                let text = lines.expect("the time")?.trim();
                time = Some(real(text).ok_or_else(|| fail(expected("the time", text)))?);
            } else if item == "NUMBER OF ATOMS" {
                let text = lines.expect("the number of atoms")?.trim();
                count = Some(text.parse::<usize>().map_err(|_| fail(expected("the number of atoms", text)))?);
            } else if let Some(style) = item.strip_prefix("BOX BOUNDS") {
                bounds = Some(read_bounds(style, lines)?);
            } else if let Some(columns) = item.strip_prefix("ATOMS") {
                let before = |what: &str| Fault::line(at, format!("`ITEM: ATOMS` before `ITEM: {what}`"));
                let count = count.ok_or_else(|| before("NUMBER OF ATOMS"))?;
                let bounds = bounds.ok_or_else(|| before("BOX BOUNDS"))?;
                let fields = read_atoms(columns, count, lines)?;
                let scales = self.units.unwrap_or_default().scales();
                let mut frame = assemble(fields, bounds, count, scales, &self.options, at)?;
                frame.step = step;
                frame.time = time.map(|t| t * scales.time);
                return Ok(Some(frame));
            } else {
                return Err(Fault::line(at, format!("unknown item {}", quote(item))));
            }
        }
    }
}

fn read_bounds(style: &str, lines: &mut Lines) -> Result<Bounds, Fault> {
    let first = lines.number() + 1;
    let mut rows = [[0.0; 4]; 3];
    let words: Vec<&str> = style.split_ascii_whitespace().collect();
    let general = words.first() == Some(&"abc");
    let tilted = words.first() == Some(&"xy");
    for row in &mut rows {
        let line = lines.expect("a line of box bounds")?;
        let mut fields = line.split_ascii_whitespace();
        let n = if general {
            4
        } else if tilted {
            3
        } else {
            2
        };
        for x in &mut row[..n] {
            let value = fields.next().and_then(real);
            *x = value
                .ok_or_else(|| Fault::line(first, expected(&format!("box bounds ({n} numbers)"), line)))?;
        }
    }
    // pp, or p p p in old files without blanks; without letters all directions are periodic
    let letters: Vec<&str> = words.into_iter().filter(|w| w.chars().all(|c| "pfsm".contains(c))).collect();
    let periodic = match *letters.as_slice() {
        [x, y, z] => [x, y, z].map(|l| l.starts_with('p')),
        _ => [true; 3],
    };
    let column = |k: usize| Vec3::new(rows[0][k], rows[1][k], rows[2][k]);
    let (cell, origin) = if general {
        let vectors = rows.map(|r| Vec3::new(r[0], r[1], r[2]));
        (Cell::new(vectors, periodic).map_err(|e| e.to_string()), column(3))
    } else {
        let (mut lo, mut hi) = (column(0), column(1));
        let [xy, xz, yz] = [rows[0][2], rows[1][2], rows[2][2]];
        // what stands in the file bounds the tilted box; the corner itself lies inside
        lo.x -= [0.0, xy, xz, xy + xz].into_iter().fold(0.0, f64::min);
        hi.x -= [0.0, xy, xz, xy + xz].into_iter().fold(0.0, f64::max);
        lo.y -= yz.min(0.0);
        hi.y -= yz.max(0.0);
        (super::cell(lo, hi, [xy, xz, yz], periodic), lo)
    };
    Ok(Bounds { cell: cell.map_err(|e| Fault::line(first, e))?, origin })
}

/// Columns that are numbers in every file; others are texts if their first value is no number.
const NUMERIC: [&str; 26] = [
    "id", "mol", "mass", "q", "x", "y", "z", "xs", "ys", "zs", "xu", "yu", "zu", "xsu", "ysu", "zsu", "ix",
    "iy", "iz", "vx", "vy", "vz", "fx", "fy", "fz", "proc",
];

fn read_atoms(columns: &str, count: usize, lines: &mut Lines) -> Result<Vec<Field>, Fault> {
    let names: Vec<&str> = columns.split_ascii_whitespace().collect();
    if names.is_empty() {
        return Err(Fault::line(lines.number(), "`ITEM: ATOMS` does not name its columns"));
    }
    let mut fields: Vec<Field> = Vec::new();
    for atom in 0..count {
        let at = lines.number() + 1;
        let line = lines
            .next()?
            .ok_or_else(|| Fault::line(at, format!("the file ends after {atom} of {count} atoms")))?;
        let mut words = line.split_ascii_whitespace();
        for (k, name) in names.iter().enumerate() {
            let missing =
                || Fault::line(at, format!("atom {} of {count}: the column `{name}` is missing", atom + 1));
            let word = words.next().ok_or_else(missing)?;
            let number = word.parse::<f64>().ok();
            if atom == 0 {
                let text =
                    matches!(*name, "element" | "typelabel") || (number.is_none() && !NUMERIC.contains(name));
                let room = if names.len() < 64 { capacity(count) } else { 0 };
                let data = if text {
                    Column::Text(Vec::with_capacity(room))
                } else {
                    Column::Real(Vec::with_capacity(room))
                };
                fields.push(Field { name: (*name).to_owned(), data });
            }
            match (&mut fields[k].data, number) {
                (Column::Text(v), _) => v.push(word.to_owned()),
                (Column::Real(v), Some(x)) => v.push(x),
                _ => return Err(Fault::line(at, format!("column `{name}`: {}", expected("a number", word)))),
            }
        }
    }
    Ok(fields)
}

/// Takes the columns of these names out of the fields, if all are there and numeric.
fn take<const N: usize>(fields: &mut Vec<Field>, names: [&str; N]) -> Option<[Vec<f64>; N]> {
    let numeric = |n: &&str| fields.iter().any(|f| f.name == **n && matches!(f.data, Column::Real(_)));
    if !names.iter().all(numeric) {
        return None;
    }
    Some(names.map(|n| {
        let at = fields.iter().position(|f| f.name == n);
        match at.map(|k| fields.remove(k).data) {
            Some(Column::Real(v)) => v,
            _ => Vec::new(),
        }
    }))
}

fn take_vectors(fields: &mut Vec<Field>, names: [&str; 3]) -> Option<Vec<Vec3>> {
    let [x, y, z] = take(fields, names)?;
    Some(x.iter().zip(&y).zip(&z).map(|((x, y), z)| Vec3::new(*x, *y, *z)).collect())
}

fn take_text(fields: &mut Vec<Field>, name: &str) -> Option<Vec<String>> {
    let at = fields.iter().position(|f| f.name == name && matches!(f.data, Column::Text(_)))?;
    match fields.remove(at).data {
        Column::Text(v) => Some(v),
        _ => None,
    }
}

fn ints(v: Vec<f64>) -> Vec<i64> {
    v.into_iter().map(|x| x as i64).collect()
}

fn assemble(
    mut fields: Vec<Field>,
    bounds: Bounds,
    count: usize,
    scales: Scales,
    options: &ReadOptions,
    at: u64,
) -> Result<Frame, Fault> {
    let ids = take(&mut fields, ["id"]).map(|[ids]| ints(ids));
    let (order, counting) = match &ids {
        Some(ids) => order(ids, at)?,
        None => ((0..count).collect(), true),
    };
    if ids.is_some() {
        for f in &mut fields {
            match &mut f.data {
                Column::Real(v) => *v = order.iter().map(|&i| v[i]).collect(),
                Column::Text(v) => *v = order.iter().map(|&i| std::mem::take(&mut v[i])).collect(),
                _ => {}
            }
        }
    }
    let Bounds { cell, origin } = bounds;
    let unscale = |s: Vec<Vec3>| s.into_iter().map(|s| origin + cell.matrix() * s).collect();
    let positions = take_vectors(&mut fields, ["xu", "yu", "zu"])
        .or_else(|| take_vectors(&mut fields, ["x", "y", "z"]))
        .or_else(|| take_vectors(&mut fields, ["xsu", "ysu", "zsu"]).map(unscale))
        .or_else(|| take_vectors(&mut fields, ["xs", "ys", "zs"]).map(unscale));
    let positions = if count == 0 { Some(Vec::new()) } else { positions };
    let positions: Vec<Vec3> = positions.ok_or_else(|| {
        Fault::line(at, "no coordinates among the columns (x y z, xu yu zu, xs ys zs or xsu ysu zsu)")
    })?;
    if let Some(i) = positions.iter().position(|r| !r.iter().all(|x| x.is_finite())) {
        return Err(Fault::line(at, format!("the position of atom {} is not finite", i + 1)));
    }
    let masses = take(&mut fields, ["mass"]).map(|[m]| m);
    let types = take(&mut fields, ["type"]).map(|[t]| ints(t));
    let labels = take_text(&mut fields, "type").or_else(|| take_text(&mut fields, "typelabel"));
    let named = take_text(&mut fields, "element").or(labels);
    let symbols = match (named, &types) {
        (Some(e), _) => e,
        (None, types) => {
            let mass = |i: usize| masses.as_ref().map(|m| m[i]);
            let name = |i: usize| match types {
                Some(t) => type_name(t[i], &options.types, None, mass(i), scales),
                None => {
                    let element = mass(i).filter(|_| scales.physical).and_then(elements::by_mass);
                    element.unwrap_or("X").to_owned()
                }
            };
            (0..count).map(name).collect()
        }
    };
    let mut frame = Frame::new(symbols, positions, cell);
    frame.masses = masses;
    frame.charges = take(&mut fields, ["q"]).map(|[q]| q);
    let scaled = |v: Vec<Vec3>, unit: f64| v.into_iter().map(|v| v * unit).collect();
    frame.velocities = take_vectors(&mut fields, ["vx", "vy", "vz"]).map(|v| scaled(v, 1.0 / scales.time));
    frame.forces = take_vectors(&mut fields, ["fx", "fy", "fz"]).map(|f| scaled(f, scales.energy));
    if let Some(t) = types {
        frame.arrays.insert("type", Array::ints(t));
    }
    if let (Some(ids), false) = (ids, counting) {
        frame.arrays.insert("id", Array::ints(order.iter().map(|&i| ids[i]).collect()));
    }
    if let Some([m]) = take(&mut fields, ["mol"]) {
        frame.arrays.insert("mol-id", Array::ints(ints(m)));
    }
    if let Some([x, y, z]) = take(&mut fields, ["ix", "iy", "iz"]) {
        let image = (0..count).flat_map(|i| [x[i] as i64, y[i] as i64, z[i] as i64]).collect();
        frame.arrays.insert("image", Array { columns: 3, data: Column::Int(image) });
    }
    for f in fields {
        frame.arrays.insert(f.name, Array { columns: 1, data: f.data });
    }
    set_origin(&mut frame, origin);
    Ok(frame)
}

struct Writing {
    units: LammpsUnits,
}

impl Writing {
    fn new(options: &WriteOptions) -> Self {
        let reduced = options.units == UnitSystem::Lj;
        Self { units: if reduced { LammpsUnits::Lj } else { LammpsUnits::Metal } }
    }
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let frame = &*orient::standard(frame)?;
        let scales = self.units.scales();
        if index == 0 && self.units == LammpsUnits::Lj {
            out.extend_from_slice(b"ITEM: UNITS\nlj\n");
        }
        let step = frame.step.unwrap_or(index);
        let _ = write!(out, "ITEM: TIMESTEP\n{step}\nITEM: NUMBER OF ATOMS\n{}\n", frame.len());
        write_bounds(frame, out);

        let (types, _) = types(frame);
        let id = frame.arrays.get("id").and_then(Array::as_ints);
        let molecule = frame.arrays.get("mol-id").and_then(Array::as_ints);
        out.extend_from_slice(b"ITEM: ATOMS id type element xu yu zu");
        for (there, names) in [
            (frame.velocities.is_some(), " vx vy vz"),
            (frame.forces.is_some(), " fx fy fz"),
            (frame.masses.is_some(), " mass"),
            (frame.charges.is_some(), " q"),
            (molecule.is_some(), " mol"),
        ] {
            out.extend_from_slice(if there { names.as_bytes() } else { b"" });
        }
        out.push(b'\n');
        for i in 0..frame.len() {
            let symbol = &frame.symbols[i];
            if symbol.is_empty() || symbol.contains(|c: char| c.is_ascii_whitespace()) {
                return Err(Fault::new(format!(
                    "atom {}: the name {symbol:?} is empty or has white space",
                    i + 1
                )));
            }
            let _ = write!(out, "{} {} {symbol}", id.map_or(i as i64 + 1, |v| v[i]), types[i]);
            push_reals(out, &frame.positions[i]);
            if let Some(v) = &frame.velocities {
                push_reals(out, &(v[i] * scales.time));
            }
            if let Some(f) = &frame.forces {
                push_reals(out, &(f[i] / scales.energy));
            }
            push_reals(out, frame.masses.iter().map(|m| &m[i]));
            push_reals(out, frame.charges.iter().map(|q| &q[i]));
            if let Some(m) = molecule {
                let _ = write!(out, " {}", m[i]);
            }
            out.push(b'\n');
        }
        Ok(())
    }
}

fn write_bounds(frame: &Frame, out: &mut Vec<u8>) {
    let (h, lo, periodic): (Mat3, Vec3, [bool; 3]) = if frame.cell == Cell::open() {
        // LAMMPS has no frame without a box: one around the atoms, not periodic
        let least = frame.positions.iter().fold(Vec3::repeat(f64::INFINITY), |a, r| a.inf(r));
        let most = frame.positions.iter().fold(Vec3::repeat(f64::NEG_INFINITY), |a, r| a.sup(r));
        let (least, most) = if frame.is_empty() { (Vec3::zeros(), Vec3::zeros()) } else { (least, most) };
        (Mat3::from_diagonal(&(most - least).add_scalar(2.0)), least.add_scalar(-1.0), [false; 3])
    } else {
        (*frame.cell.matrix(), origin(frame), frame.cell.periodic())
    };
    let letters = periodic.map(|p| if p { "pp" } else { "ff" }).join(" ");
    let [xy, xz, yz] = [h[(0, 1)], h[(0, 2)], h[(1, 2)]];
    let tilted = [xy, xz, yz] != [0.0; 3];
    let _ = writeln!(out, "ITEM: BOX BOUNDS {}{letters}", if tilted { "xy xz yz " } else { "" });
    let low = [[0.0, xy, xz, xy + xz].into_iter().fold(0.0, f64::min), yz.min(0.0), 0.0];
    let high = [[0.0, xy, xz, xy + xz].into_iter().fold(0.0, f64::max), yz.max(0.0), 0.0];
    for k in 0..3 {
        push_real(out, lo[k] + low[k]);
        push_reals(out, &[lo[k] + h[(k, k)] + high[k]]);
        if tilted {
            push_reals(out, &[[xy, xz, yz][k]]);
        }
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Frame>, Fault> {
        let mut lines = Lines::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        let mut reading = Reading { options: ReadOptions::default(), units: None };
        std::iter::from_fn(|| reading.decode(&mut lines).transpose()).collect()
    }

    const TEXT: &str = "ITEM: UNITS\nreal\nITEM: TIMESTEP\n7\nITEM: TIME\n2.0\nITEM: NUMBER OF ATOMS\n2\n\
        ITEM: BOX BOUNDS xy xz yz pp ff pp\n-1.0 12.0 2.0\n0.0 10.0 -3.0\n0.0 10.0 0.0\n\
        ITEM: ATOMS id mass xs ys zs vx vy vz c_pe\n9 15.9 0.5 0.5 0.5 1 0 0 -2.5\n3 1.0 0 0 0 0 0 0 -1\n";

    #[test]
    fn a_tilted_box_is_taken_apart() {
        let f = &read(TEXT).unwrap()[0];
        assert_eq!(f.cell.matrix(), &Mat3::new(8.0, 2.0, -3.0, 0.0, 10.0, 0.0, 0.0, 0.0, 10.0));
        assert_eq!(f.cell.periodic(), [true, false, true]);
        assert_eq!(f.symbols, ["H", "O"], "sorted by id, names by mass");
        assert_eq!(f.positions[1], Vec3::new(5.5, 5.0, 5.0));
        assert_eq!(f.velocities.as_ref().unwrap()[1].x, 1.0 / caloron_engine::units::FEMTOSECOND);
        assert_eq!(f.arrays.get("id").unwrap().as_ints().unwrap(), [3, 9]);
        assert_eq!(f.arrays.get("c_pe").unwrap().as_reals().unwrap(), [-1.0, -2.5]);
        assert_eq!((f.step, f.time), (Some(7), Some(2.0 * caloron_engine::units::FEMTOSECOND)));
    }

    #[test]
    fn general_triclinic_boxes_have_their_vectors() {
        let text = "ITEM: TIMESTEP\n0\nITEM: NUMBER OF ATOMS\n1\nITEM: BOX BOUNDS abc origin pp pp pp\n\
            0 5 0 1\n-5 0 0 2\n0 0 5 3\nITEM: ATOMS id type xs ys zs\n1 4 0.5 0 0\n";
        let f = &read(text).unwrap()[0];
        assert_eq!(f.cell.vector(0), Vec3::new(0.0, 5.0, 0.0));
        assert_eq!(f.positions[0], Vec3::new(1.0, 4.5, 3.0));
        assert_eq!(f.symbols, ["4"]);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let message = |text: &str| {
            let e = read(text).unwrap_err();
            format!("{} {}", e.place.unwrap(), e.message)
        };
        assert!(message(&TEXT.replace("9 15.9", "3 15.9")).contains("id 3 is there twice"));
        assert!(message(&TEXT.replace("real", "nano")).starts_with("line 2 the units `nano`"));
        assert!(message(&TEXT.replace("xs ys", "a b")).contains("no coordinates"));
        assert!(
            message(TEXT.split_inclusive('\n').take(14).collect::<String>().as_str())
                .contains("after 1 of 2")
        );
        assert!(
            message(&TEXT.replace("0.5 0.5 0.5", "0.5 x 0.5")).contains("column `ys`: expected a number")
        );
        assert!(message("hello\n").contains("expected `ITEM: …`, found \"hello\""));
    }
}
