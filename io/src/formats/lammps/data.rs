//! Data files, the structures that LAMMPS starts from (`read_data`, `write_data`).
//!
//! Atom styles atomic, charge, bond, angle, molecular and full; the style is what stands behind `Atoms #`, else it
//! follows from the columns. Units are those of the title that `write_data` writes, else metal.
use super::{LammpsUnits, Scales, data_write, expected, integer, order, set_origin, type_name};
use crate::api::Decoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::frame::{Array, Column, Topology, Value};
use crate::text::{Lines, quote, real, reals};
use crate::{Frame, ReadOptions};
use caloron_engine::{Cell, Vec3};
use std::collections::HashMap;

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "lammps-data",
    extensions: &["data", "lmp", "lammps"],
    file_names: &[],
    about: "LAMMPS data file",
    holds: Holds { names: true, cell: true, velocities: true, provenance: true, ..Holds::NONE },
    input: Input::Text(|options| Box::new(Reading { options: options.clone(), done: false })),
    output: Output::Native(|options| Box::new(data_write::Writing::new(options))),
}];

struct Reading {
    options: ReadOptions,
    done: bool,
}

/// The lines of a section with their numbers.
type Rows = Vec<(u64, String)>;

#[derive(Default)]
struct Header {
    atoms: Option<usize>,
    lo: [Option<f64>; 3],
    hi: [f64; 3],
    tilt: [f64; 3],
    vectors: [Option<Vec3>; 3],
    origin: Vec3,
}

#[derive(Default)]
struct Sections {
    masses: Rows,
    atoms: Rows,
    style: Option<String>,
    velocities: Rows,
    bonded: HashMap<&'static str, Rows>,
    labels: HashMap<&'static str, HashMap<String, String>>,
    coefficients: Vec<(String, Vec<String>)>,
}

const BONDED: [(&str, usize); 4] = [("Bonds", 2), ("Angles", 3), ("Dihedrals", 4), ("Impropers", 4)];
const LABELS: [&str; 5] = [
    "Atom Type Labels",
    "Bond Type Labels",
    "Angle Type Labels",
    "Dihedral Type Labels",
    "Improper Type Labels",
];

impl Decoder for Reading {
    fn decode(&mut self, lines: &mut Lines) -> Result<Option<Frame>, Fault> {
        if std::mem::replace(&mut self.done, true) || lines.peek()?.is_none() {
            return Ok(None);
        }
        let title = lines.expect("the title")?.trim().to_owned();
        let said = title.split("units = ").nth(1).and_then(|u| u.split([',', ' ']).next());
        let said = said.map(LammpsUnits::by_name).transpose().map_err(|e| Fault::line(1, e))?;
        let scales = self.options.units.or(said).unwrap_or_default().scales();
        let (header, first) = read_header(lines)?;
        let sections = read_sections(first, lines)?;
        let mut frame = build(&header, sections, scales, &self.options)?;
        let step = title.split("timestep = ").nth(1).and_then(|t| t.split([',', ' ']).next());
        frame.step = step.and_then(|s| s.parse().ok());
        if !title.is_empty() {
            frame.info.insert("title", Value::Text(title));
        }
        Ok(Some(frame))
    }
}

/// A line without its comment.
fn content(line: &str) -> &str {
    line.split('#').next().unwrap_or_default().trim()
}

/// The header, and the line of the first section.
fn read_header(lines: &mut Lines) -> Result<(Header, Option<String>), Fault> {
    let mut header = Header::default();
    while let Some(line) = lines.next()? {
        let text = content(line);
        if text.is_empty() {
            continue;
        }
        if text.starts_with(|c: char| c.is_ascii_alphabetic()) {
            let line = line.to_owned();
            return Ok((header, Some(line)));
        }
        let fault = || Fault::line(0, format!("{} is no line of a data file header", quote(text)));
        let words: Vec<&str> = text.split_ascii_whitespace().collect();
        let keyword_at =
            words.iter().position(|w| w.starts_with(|c: char| c.is_ascii_alphabetic()) && real(w).is_none());
        let (numbers, keyword) = words.split_at(keyword_at.unwrap_or(words.len()));
        let values: Option<Vec<f64>> = numbers.iter().map(|w| real(w)).collect();
        let values = values.ok_or_else(fault);
        let result = values.and_then(|v| header_line(&mut header, &v, keyword).ok_or_else(fault));
        result.map_err(|e| Fault { place: Some(crate::Place::Line(lines.number())), ..e })?;
    }
    Ok((header, None))
}

fn header_line(header: &mut Header, v: &[f64], keyword: &[&str]) -> Option<()> {
    match (keyword, v) {
        (["atoms"], [n]) => header.atoms = Some(*n as usize),
        (["xlo", "xhi"], [lo, hi]) => (header.lo[0], header.hi[0]) = (Some(*lo), *hi),
        (["ylo", "yhi"], [lo, hi]) => (header.lo[1], header.hi[1]) = (Some(*lo), *hi),
        (["zlo", "zhi"], [lo, hi]) => (header.lo[2], header.hi[2]) = (Some(*lo), *hi),
        (["xy", "xz", "yz"], [xy, xz, yz]) => header.tilt = [*xy, *xz, *yz],
        (["avec"], [x, y, z]) => header.vectors[0] = Some(Vec3::new(*x, *y, *z)),
        (["bvec"], [x, y, z]) => header.vectors[1] = Some(Vec3::new(*x, *y, *z)),
        (["cvec"], [x, y, z]) => header.vectors[2] = Some(Vec3::new(*x, *y, *z)),
        (["abc", "origin"], [x, y, z]) => header.origin = Vec3::new(*x, *y, *z),
        // counts: the sections themselves tell
        ([.., "bonds" | "angles" | "dihedrals" | "impropers" | "types"] | ["extra", ..], [_]) => {}
        (["ellipsoids" | "lines" | "triangles" | "bodies"], [n]) if *n == 0.0 => {}
        _ => return None,
    }
    Some(())
}

fn read_sections(mut next: Option<String>, lines: &mut Lines) -> Result<Sections, Fault> {
    let mut sections = Sections::default();
    while let Some(line) = next {
        let at = lines.number();
        let title = content(&line).split_ascii_whitespace().collect::<Vec<_>>().join(" ");
        let style = line.split_once('#').map(|(_, s)| s.trim().to_owned()).filter(|s| !s.is_empty());
        let rows;
        (rows, next) = read_rows(lines)?;
        if title == "Masses" {
            sections.masses = rows;
        } else if title == "Atoms" {
            (sections.atoms, sections.style) = (rows, style);
        } else if title == "Velocities" {
            sections.velocities = rows;
        } else if let Some((name, _)) = BONDED.iter().find(|(n, _)| *n == title) {
            sections.bonded.insert(name, rows);
        } else if let Some(name) = LABELS.iter().find(|n| **n == title) {
            let pairs = rows.iter().filter_map(|(_, r)| {
                let mut words = content(r).split_ascii_whitespace();
                Some((words.next()?.to_owned(), words.next()?.to_owned()))
            });
            sections.labels.insert(name, pairs.collect());
        } else if title.ends_with("Coeffs") {
            sections.coefficients.push((line.trim().to_owned(), rows.into_iter().map(|(_, r)| r).collect()));
        } else {
            let message = format!("the section {} is not known here", quote(&title));
            return Err(
                Fault::line(at, message).hint("remove it, or write the structure with another atom style")
            );
        }
    }
    Ok(sections)
}

/// Lines after a section title and its blank line, and the title of the next section.
fn read_rows(lines: &mut Lines) -> Result<(Rows, Option<String>), Fault> {
    let mut rows = Rows::new();
    while let Some(line) = lines.next()? {
        let text = content(line);
        if text.is_empty() {
            continue;
        }
        // rows begin with a number, or with a type label; titles begin with a capitalised known word
        let first = text.split_ascii_whitespace().next().unwrap_or_default();
        let titles = [
            "Masses",
            "Atoms",
            "Velocities",
            "Bonds",
            "Angles",
            "Dihedrals",
            "Impropers",
            "Ellipsoids",
            "Lines",
            "Triangles",
            "Bodies",
        ];
        let is_title = titles.contains(&first) || text.ends_with("Coeffs") || text.ends_with("Type Labels");
        if is_title {
            let line = line.to_owned();
            return Ok((rows, Some(line)));
        }
        rows.push((lines.number(), String::new()));
        let line = lines.current().trim().to_owned();
        if let Some(last) = rows.last_mut() {
            last.1 = line;
        }
    }
    Ok((rows, None))
}

/// Which column holds what, counted from 0: molecule, type, charge, x.
struct Layout {
    molecule: Option<usize>,
    kind: usize,
    charge: Option<usize>,
    x: usize,
}

const ATOMIC: Layout = Layout { molecule: None, kind: 1, charge: None, x: 2 };
const CHARGE: Layout = Layout { molecule: None, kind: 1, charge: Some(2), x: 3 };
const MOLECULAR: Layout = Layout { molecule: Some(1), kind: 2, charge: None, x: 3 };
const FULL: Layout = Layout { molecule: Some(1), kind: 2, charge: Some(3), x: 4 };

fn layout(style: Option<&str>, rows: &Rows) -> Result<Layout, Fault> {
    let line = rows.first().map_or(0, |r| r.0);
    match style {
        Some("atomic") => return Ok(ATOMIC),
        Some("charge") => return Ok(CHARGE),
        Some("bond" | "angle" | "molecular") => return Ok(MOLECULAR),
        Some("full") => return Ok(FULL),
        Some(other) if !other.contains(char::is_whitespace) => {
            return Err(Fault::line(
                line.saturating_sub(2),
                format!("the atom style {} is not known here", quote(other)),
            )
            .hint("atomic, charge, bond, angle, molecular and full are"));
        }
        _ => {}
    }
    let columns = rows.first().map_or(5, |(_, r)| content(r).split_ascii_whitespace().count());
    let third_is_integer =
        rows.iter().all(|(_, r)| content(r).split_ascii_whitespace().nth(2).and_then(integer).is_some());
    match columns {
        5 | 8 => Ok(ATOMIC),
        6 | 9 if third_is_integer => Ok(MOLECULAR),
        6 | 9 => Ok(CHARGE),
        7 | 10 => Ok(FULL),
        n => Err(Fault::line(line, format!("an atom has {n} columns, which is no known atom style"))
            .hint("write the style behind the section title, as in `Atoms # full`")),
    }
}

fn build(header: &Header, sections: Sections, scales: Scales, options: &ReadOptions) -> Result<Frame, Fault> {
    let (cell, origin) = box_of(header)?;
    let rows = &sections.atoms;
    let n = rows.len();
    let first_line = rows.first().map_or(0, |r| r.0);
    match header.atoms {
        None => return Err(Fault::new("the header does not say the number of atoms (`N atoms`)")),
        Some(said) if said != n => {
            return Err(Fault::line(first_line, format!("{n} lines of atoms, but the header says {said}")));
        }
        Some(_) => {}
    }
    let layout = layout(sections.style.as_deref(), rows)?;
    let (mut ids, mut kinds, mut raw) = (Vec::with_capacity(n), Vec::with_capacity(n), Vec::with_capacity(n));
    for (at, row) in rows {
        let words: Vec<&str> = content(row).split_ascii_whitespace().collect();
        let bad = |what: &str| Fault::line(*at, expected(what, row));
        ids.push(words.first().and_then(|w| integer(w)).ok_or_else(|| bad("an atom id"))?);
        kinds.push(words.get(layout.kind).copied().ok_or_else(|| bad("an atom type"))?);
        let r: Option<[f64; 3]> = reals(&mut words.iter().skip(layout.x).copied());
        let r = Vec3::from(r.ok_or_else(|| bad("coordinates (three numbers)"))?);
        let image: Option<Vec<i64>> =
            words[(layout.x + 3).min(words.len())..].iter().map(|w| integer(w)).collect();
        let image =
            image.filter(|i| matches!(i.len(), 0 | 3)).ok_or_else(|| bad("three image flags or none"))?;
        let molecule = match layout.molecule {
            Some(k) => words.get(k).and_then(|w| integer(w)).ok_or_else(|| bad("a molecule number"))?,
            None => 0,
        };
        let charge = match layout.charge {
            Some(k) => words.get(k).and_then(|w| real(w)).ok_or_else(|| bad("a charge"))?,
            None => 0.0,
        };
        raw.push((r, image, molecule, charge));
    }
    let (order, counting) = order(&ids, first_line)?;
    let index: HashMap<i64, u32> = order.iter().enumerate().map(|(k, &i)| (ids[i], k as u32)).collect();
    let species = species(&sections, scales, options, &kinds, rows)?;

    let symbols = order.iter().map(|&i| species[kinds[i]].0.clone()).collect();
    let mut frame = Frame::new(symbols, order.iter().map(|&i| raw[i].0).collect(), cell);
    if order.iter().all(|&i| species[kinds[i]].1.is_some()) && n > 0 {
        frame.masses = order.iter().map(|&i| species[kinds[i]].1).collect();
    }
    if layout.charge.is_some() {
        frame.charges = Some(order.iter().map(|&i| raw[i].3).collect());
    }
    if let Some(types) = order.iter().map(|&i| integer(kinds[i])).collect() {
        frame.arrays.insert("type", Array::ints(types));
    }
    if !counting {
        frame.arrays.insert("id", Array::ints(order.iter().map(|&i| ids[i]).collect()));
    }
    if layout.molecule.is_some() {
        frame.arrays.insert("mol-id", Array::ints(order.iter().map(|&i| raw[i].2).collect()));
    }
    if n > 0 && raw.iter().all(|r| r.1.len() == 3) {
        let image = order.iter().flat_map(|&i| raw[i].1.iter().copied()).collect();
        frame.arrays.insert("image", Array { columns: 3, data: Column::Int(image) });
    }
    if !sections.velocities.is_empty() {
        frame.velocities = Some(velocities(&sections.velocities, &index, n, scales)?);
    }
    let topology = topology(&sections, &index)?;
    if topology != Topology::default() {
        frame.topology = Some(Box::new(topology));
    }
    set_origin(&mut frame, origin);
    Ok(frame)
}

fn box_of(header: &Header) -> Result<(Cell, Vec3), Fault> {
    let fail = |e: String| Fault::new(format!("box: {e}"));
    if let [Some(a), Some(b), Some(c)] = header.vectors {
        let cell = Cell::new([a, b, c], [true; 3]).map_err(|e| fail(e.to_string()))?;
        return Ok((cell, header.origin));
    }
    let [Some(x), Some(y), Some(z)] = header.lo else {
        return Err(fail("`xlo xhi`, `ylo yhi` and `zlo zhi` are not all there".into()));
    };
    let lo = Vec3::new(x, y, z);
    super::cell(lo, Vec3::from(header.hi), header.tilt, [true; 3]).map(|c| (c, lo)).map_err(fail)
}

/// Name and mass of each type that atoms have.
fn species(
    sections: &Sections,
    scales: Scales,
    options: &ReadOptions,
    kinds: &[&str],
    rows: &Rows,
) -> Result<HashMap<String, (String, Option<f64>)>, Fault> {
    let mut masses: HashMap<&str, (f64, Option<String>)> = HashMap::new();
    for (at, row) in &sections.masses {
        let mut words = content(row).split_ascii_whitespace();
        let (Some(kind), Some(mass)) = (words.next(), words.next().and_then(real)) else {
            return Err(Fault::line(*at, expected("a type and its mass", row)));
        };
        let comment = row.split_once('#').and_then(|(_, c)| c.split_ascii_whitespace().next());
        masses.insert(kind, (mass, comment.map(str::to_owned)));
    }
    let labels = sections.labels.get("Atom Type Labels");
    let mut species = HashMap::new();
    for (kind, (at, row)) in kinds.iter().zip(rows) {
        if species.contains_key(*kind) {
            continue;
        }
        let (mass, comment) = masses.get(kind).cloned().map_or((None, None), |(m, c)| (Some(m), c));
        let label = labels.and_then(|l| l.get(*kind));
        let name = match integer(kind) {
            Some(number) => type_name(number, &options.types, label.or(comment.as_ref()), mass, scales),
            // a type label in place of a number
            None if labels.is_some_and(|l| l.values().any(|v| v == kind)) => (*kind).to_owned(),
            None => {
                return Err(Fault::line(
                    *at,
                    format!("the atom type is neither number nor label: {}", quote(row)),
                ));
            }
        };
        species.insert((*kind).to_owned(), (name, mass));
    }
    Ok(species)
}

fn velocities(rows: &Rows, index: &HashMap<i64, u32>, n: usize, scales: Scales) -> Result<Vec<Vec3>, Fault> {
    let mut v = vec![Vec3::zeros(); n];
    for (at, row) in rows {
        let mut words = content(row).split_ascii_whitespace();
        let atom = words.next().and_then(integer).and_then(|id| index.get(&id));
        match (atom, reals(&mut words)) {
            (Some(&i), Some(x)) => v[i as usize] = Vec3::from(x) / scales.time,
            _ => return Err(Fault::line(*at, expected("the id of an atom and its velocity", row))),
        }
    }
    if rows.len() != n {
        return Err(Fault::line(rows[0].0, format!("{} velocities for {n} atoms", rows.len())));
    }
    Ok(v)
}

fn topology(sections: &Sections, index: &HashMap<i64, u32>) -> Result<Topology, Fault> {
    fn list<const N: usize>(
        rows: Option<&Rows>,
        index: &HashMap<i64, u32>,
    ) -> Result<Vec<(String, [u32; N])>, Fault> {
        let parse = |(at, row): &(u64, String)| {
            let mut words = content(row).split_ascii_whitespace().skip(1);
            let kind = words.next();
            let atoms: Option<Vec<u32>> =
                words.map(|w| integer(w).and_then(|id| index.get(&id).copied())).collect();
            let atoms = atoms.and_then(|a| <[u32; N]>::try_from(a).ok());
            match (kind, atoms) {
                (Some(kind), Some(atoms)) => Ok((kind.to_owned(), atoms)),
                _ => Err(Fault::line(*at, expected(&format!("number, type and {N} atom ids"), row))),
            }
        };
        rows.into_iter().flatten().map(parse).collect()
    }
    let rows = |name: &str| sections.bonded.get(name);
    Ok(Topology {
        bonds: list(rows("Bonds"), index)?,
        angles: list(rows("Angles"), index)?,
        dihedrals: list(rows("Dihedrals"), index)?,
        impropers: list(rows("Impropers"), index)?,
        coefficients: sections.coefficients.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    pub(crate) fn read(text: &str) -> Result<Frame, Fault> {
        let mut lines = Lines::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        Reading { options: ReadOptions::default(), done: false }.decode(&mut lines).map(Option::unwrap)
    }

    const TEXT: &str = "title, units = real\n\n3 atoms\n2 atom types\n1 bonds\n\n1 11 xlo xhi\n0 10 ylo yhi\n\
        0 10 zlo zhi\n1.0 2.0 3.0 xy xz yz\n\nMasses\n\n1 15.999 # OW\n2 1.008\n\nPair Coeffs # lj/cut\n\n1 0.1 3.0\n\n\
        Atoms\n\n2 1 2 0.4 1 2 3\n1 1 1 -0.8 0 0 0\n7 2 2 0.4 5 5 5\n\nVelocities\n\n1 0 0 1\n2 0 0 2\n7 0 0 3\n\n\
        Bonds\n\n1 1 1 7\n";

    #[test]
    fn sections_are_read_whatever_their_order_of_atoms() {
        let f = read(TEXT).unwrap();
        assert_eq!(f.symbols, ["OW", "H", "H"]);
        assert_eq!(f.charges.as_ref().unwrap(), &[-0.8, 0.4, 0.4]);
        assert_eq!(f.positions[2], Vec3::repeat(5.0));
        assert_eq!(f.arrays.get("mol-id").unwrap().as_ints().unwrap(), [1, 1, 2]);
        assert_eq!(f.arrays.get("id").unwrap().as_ints().unwrap(), [1, 2, 7]);
        let t = f.topology.as_ref().unwrap();
        assert_eq!(t.bonds, [("1".to_owned(), [0, 2])]);
        assert_eq!(t.coefficients, [("Pair Coeffs # lj/cut".to_owned(), vec!["1 0.1 3.0".to_owned()])]);
        assert_eq!(f.velocities.as_ref().unwrap()[2].z, 3.0 / caloron_engine::units::FEMTOSECOND);
        assert_eq!(f.info.get("origin"), Some(&Value::Reals(vec![1.0, 0.0, 0.0])));
        assert_eq!(f.cell.vector(2), Vec3::new(2.0, 3.0, 10.0));
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let message = |text: &str| read(text).unwrap_err().message;
        assert!(
            message(&TEXT.replace("3 atoms", "4 atoms")).contains("3 lines of atoms, but the header says 4")
        );
        assert!(message(&TEXT.replace("Atoms\n", "Atoms # sphere\n")).contains("atom style \"sphere\""));
        assert!(message(&TEXT.replace("1 1 1 7", "1 1 1 8")).contains("2 atom ids"));
        assert!(message(&TEXT.replace("0 10 zlo zhi\n", "")).contains("not all there"));
        assert!(message(&TEXT.replace("0 10 zlo", "0 x zlo")).contains("no line of a data file header"));
    }
}
