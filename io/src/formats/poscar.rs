//! VASP structures: POSCAR and CONTCAR (version 5, and version 4 whose title names the species).
//!
//! Å, velocities in Å/fs. Selective dynamics become the array `selective_dynamics` (true = free to move).
use crate::Frame;
use crate::api::Decoder;
use crate::encode::Encoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::frame::{Array, Column, Value, cell_from_vectors};
use crate::text::{Lines, capacity, push_reals, quote, real, reals};
use caloron_engine::units::FEMTOSECOND;
use caloron_engine::{Cell, Vec3, elements};
use std::io::Write;

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "poscar",
    extensions: &["poscar", "contcar", "vasp"],
    file_names: &["POSCAR", "CONTCAR"],
    about: "VASP structure (POSCAR, CONTCAR)",
    holds: Holds { names: true, cell: true, velocities: true, provenance: true, ..Holds::NONE },
    input: Input::Text(|_| Box::new(Reading { done: false })),
    output: Output::Native(|options| Box::new(Writing { title: options.provenance_line() })),
}];

struct Reading {
    done: bool,
}

impl Decoder for Reading {
    fn decode(&mut self, lines: &mut Lines) -> Result<Option<Frame>, Fault> {
        if std::mem::replace(&mut self.done, true) || lines.peek()?.is_none() {
            return Ok(None);
        }
        let title = lines.expect("the title")?.trim().to_owned();
        let scale_line = lines.expect("the scale factor")?.to_owned();
        let at_scale = lines.number();
        let mut vectors = [Vec3::zeros(); 3];
        for v in &mut vectors {
            *v = vector(lines, "a lattice vector")?;
        }
        let scale = scale(&scale_line, &vectors).map_err(|e| Fault::line(at_scale, e))?;
        vectors.iter_mut().for_each(|v| v.component_mul_assign(&scale));
        let at = lines.number();
        let cell = cell_from_vectors(vectors, [true; 3]).map_err(|e| Fault::line(at, e.to_string()))?;
        let species = species(lines, &title)?;
        let count = species.iter().fold(0usize, |sum, (_, n)| sum.saturating_add(*n));

        let mut line = lines.expect("`Direct` or `Cartesian`")?.trim().to_owned();
        let selective = line.starts_with(['s', 'S']);
        if selective {
            line = lines.expect("`Direct` or `Cartesian`")?.trim().to_owned();
        }
        let cartesian = line.starts_with(['c', 'C', 'k', 'K']);
        if !cartesian && !line.starts_with(['d', 'D']) {
            let message = format!("expected `Direct` or `Cartesian`, found {}", quote(&line));
            return Err(Fault::line(lines.number(), message));
        }
        let mut positions = Vec::with_capacity(capacity(count));
        let mut symbols = Vec::with_capacity(capacity(count));
        let mut free = Vec::new();
        let of_atoms = species.iter().flat_map(|(s, n)| std::iter::repeat_n(s, *n));
        for (atom, symbol) in of_atoms.enumerate() {
            let line = lines.expect(&format!("atom {} of {count}", atom + 1))?;
            let mut fields = line.split_ascii_whitespace();
            let r: Option<[f64; 3]> = reals(&mut fields);
            let flags: Option<Vec<bool>> =
                if selective { (0..3).map(|_| flag(fields.next()?)).collect() } else { Some(Vec::new()) };
            let (Some(r), Some(flags)) = (r, flags) else {
                let what = if selective { "three numbers and three of T and F" } else { "three numbers" };
                let message = format!("atom {}: expected {what}, found {}", atom + 1, quote(line));
                return Err(Fault::line(lines.number(), message));
            };
            let r = Vec3::from(r);
            positions.push(if cartesian { r.component_mul(&scale) } else { cell.cartesian(&r) });
            symbols.push(symbol.clone());
            free.extend(flags);
        }
        let mut frame = Frame::new(symbols, positions, cell);
        if selective {
            frame.arrays.insert("selective_dynamics", Array { columns: 3, data: Column::Bool(free) });
        }
        if !title.is_empty() {
            frame.info.insert("title", Value::Text(title));
        }
        velocities(lines, &mut frame)?;
        Ok(Some(frame))
    }
}

fn flag(field: &str) -> Option<bool> {
    match field.trim_matches('.').chars().next()?.to_ascii_uppercase() {
        'T' => Some(true),
        'F' => Some(false),
        _ => None,
    }
}

fn vector(lines: &mut Lines, what: &str) -> Result<Vec3, Fault> {
    let line = lines.expect(what)?;
    let v = reals(&mut line.split_ascii_whitespace()).map(|v: [f64; 3]| Vec3::from(v));
    let message = || format!("expected {what} (three numbers), found {}", quote(line));
    v.ok_or_else(message).map_err(|e| Fault::line(lines.number(), e))
}

/// One factor, three factors along x, y and z, or minus the volume.
fn scale(line: &str, vectors: &[Vec3; 3]) -> Result<Vec3, String> {
    let numbers: Vec<f64> = line.split_ascii_whitespace().map_while(real).collect();
    let factors = match *numbers.as_slice() {
        [x, y, z, ..] => Vec3::new(x, y, z),
        [x, ..] if x < 0.0 => {
            let volume = vectors[0].cross(&vectors[1]).dot(&vectors[2]).abs();
            Vec3::repeat((-x / volume).cbrt())
        }
        [x, ..] => Vec3::repeat(x),
        [] => return Err(format!("expected the scale factor, found {}", quote(line))),
    };
    let usable = factors.iter().all(|f| *f > 0.0 && f.is_finite());
    usable.then_some(factors).ok_or_else(|| format!("the scale factor {} gives no cell", quote(line)))
}

/// Symbols and how many atoms each has.
fn species(lines: &mut Lines, title: &str) -> Result<Vec<(String, usize)>, Fault> {
    let line = lines.expect("the species")?.to_owned();
    let is_count = |f: &str| f.parse::<usize>().is_ok();
    let old = line.split_ascii_whitespace().next().is_some_and(is_count);
    let names: Vec<&str> = if old { title } else { &line }.split_ascii_whitespace().collect();
    let count_line =
        if old { line.clone() } else { lines.expect("the number of atoms of each species")?.to_owned() };
    let at = lines.number();
    let counts: Result<Vec<usize>, _> = count_line
        .split_ascii_whitespace()
        .take_while(|f| !f.starts_with(['!', '#']))
        .map(str::parse)
        .collect();
    let counts = counts.map_err(|_| {
        Fault::line(at, format!("expected the number of atoms of each species, found {}", quote(&count_line)))
    })?;
    // potential variants: Ti_pv, H.5 keeps its name, O/0123abc
    let plain = |n: &str| n.split(['_', '/']).next().unwrap_or(n).to_owned();
    let symbols: Vec<String> = names.iter().map(|n| plain(n)).collect();
    if old
        && (symbols.len() < counts.len()
            || symbols.iter().take(counts.len()).any(|s| elements::atomic_number(s).is_none()))
    {
        return Err(Fault::line(at, "this file has no line of species names")
            .hint("write the element symbols on the line above the numbers of atoms (VASP 5)"));
    }
    if symbols.len() < counts.len() || (!old && symbols.len() != counts.len()) || counts.is_empty() {
        let message = format!("{} species but {} numbers of atoms", symbols.len(), counts.len());
        return Err(Fault::line(at, message));
    }
    Ok(symbols.into_iter().zip(counts).collect())
}

/// The block of velocities that may follow, after a block of lattice velocities that may come before it.
fn velocities(lines: &mut Lines, frame: &mut Frame) -> Result<(), Fault> {
    let Some(mut header) = lines.next()?.map(|l| l.trim().to_owned()) else { return Ok(()) };
    if header.starts_with(['l', 'L']) {
        for _ in 0..7 {
            lines
                .expect("the lattice velocities (a line with the state, three velocities, three vectors)")?;
        }
        match lines.next()? {
            Some(l) => header = l.trim().to_owned(),
            None => return Ok(()),
        }
    }
    if lines.peek()?.is_none_or(|l| l.trim().is_empty()) {
        return Ok(());
    }
    let direct = header.starts_with(['d', 'D']);
    let count = frame.len();
    let mut v = Vec::with_capacity(capacity(count));
    for atom in 0..count {
        v.push(vector(lines, &format!("the velocity of atom {} of {count}", atom + 1))?);
    }
    if direct {
        // fractions of the cell in one step, whose length is in no POSCAR
        frame.arrays.insert("velocities_per_step", Array::vectors(&v));
    } else {
        frame.velocities = Some(v.into_iter().map(|v| v / FEMTOSECOND).collect());
    }
    Ok(())
}

struct Writing {
    title: String,
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        if index > 0 {
            return Err(
                Fault::new("a POSCAR holds one structure only").hint("choose a frame, or write extxyz")
            );
        }
        if frame.cell == Cell::open() || frame.is_empty() {
            return Err(Fault::new("a POSCAR needs a cell and atoms"));
        }
        let title = match frame.info.get("title") {
            _ if !self.title.is_empty() => self.title.clone(),
            Some(Value::Text(t)) => t.replace(['\n', '\r'], " "),
            _ => "structure".into(),
        };
        let _ = write!(out, "{title}\n1.0\n");
        for k in 0..3 {
            push_reals(out, &frame.cell.vector(k));
            out.push(b'\n');
        }
        let runs: Vec<&[String]> = frame.symbols.chunk_by(|a, b| a == b).collect();
        for run in &runs {
            let _ = write!(out, " {}", run[0]);
        }
        out.push(b'\n');
        for run in &runs {
            let _ = write!(out, " {}", run.len());
        }
        out.push(b'\n');
        let free =
            frame.arrays.get("selective_dynamics").filter(|a| a.columns == 3).and_then(Array::as_bools);
        out.extend_from_slice(if free.is_some() {
            b"Selective dynamics\nCartesian\n"
        } else {
            b"Cartesian\n"
        });
        for (i, r) in frame.positions.iter().enumerate() {
            push_reals(out, r);
            for f in free.iter().flat_map(|f| &f[3 * i..3 * i + 3]) {
                out.extend_from_slice(if *f { b" T" } else { b" F" });
            }
            out.push(b'\n');
        }
        if let Some(v) = &frame.velocities {
            out.push(b'\n');
            for v in v {
                push_reals(out, &(v * FEMTOSECOND));
                out.push(b'\n');
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Frame, Fault> {
        let mut lines = Lines::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        Reading { done: false }.decode(&mut lines).map(Option::unwrap)
    }

    #[test]
    fn a_negative_scale_is_a_volume() {
        let f = read("x\n-27.0\n1 0 0\n0 1 0\n0 0 1\nTi_pv O\n1 1\nDirect\n0 0 0\n0.5 0.5 0.5\n").unwrap();
        assert!((f.cell.volume() - 27.0).abs() < 1e-12);
        assert_eq!(f.symbols, ["Ti", "O"]);
        assert!((f.positions[1] - Vec3::repeat(1.5)).norm() < 1e-12);
    }

    #[test]
    fn names_of_version_4_come_from_the_title() {
        let text = "Ti O\n2.0\n1 0 0\n0 1 0\n0 0 1\n1 1\nSelective\nCart\n0 0 0 T F T\n0.5 0 0 F F F\n";
        let f = read(text).unwrap();
        assert_eq!(f.symbols, ["Ti", "O"]);
        assert_eq!(f.positions[1].x, 1.0);
        let free = f.arrays.get("selective_dynamics").unwrap().as_bools().unwrap();
        assert_eq!(free, [true, false, true, false, false, false]);
        let e = read(&text.replace("Ti O", "rutile")).unwrap_err();
        assert!(e.message.contains("no line of species names") && e.hint.is_some());
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let e = read("x\n1.0\n1 0 0\n0 1\n").unwrap_err();
        assert_eq!((e.place, e.message.contains("lattice vector")), (Some(crate::Place::Line(4)), true));
        let e = read("x\n1.0\n1 0 0\n0 1 0\n0 0 1\nTi O\n1\n").unwrap_err();
        assert!(e.message.contains("2 species but 1 numbers"), "{}", e.message);
        let huge = "x\n1.0\n1 0 0\n0 1 0\n0 0 1\nTi\n99999999999999999\nDirect\n";
        assert!(read(huge).is_err());
    }
}
