//! Reading extended and plain XYZ.
use super::comment;
use crate::Frame;
use crate::api::Decoder;
use crate::error::Fault;
use crate::frame::{Array, Column, Map, Value, cell_from_vectors};
use crate::names;
use crate::text::{Lines, capacity, quote, real};
use caloron_engine::units::FEMTOSECOND;
use caloron_engine::{Cell, Mat3, Vec3, elements};

/// Most columns of one property that are believed.
const MOST_COLUMNS: usize = 1 << 16;

pub(super) struct ExtXyz;

struct Property {
    name: String,
    columns: usize,
    data: Column,
}

impl Decoder for ExtXyz {
    fn decode(&mut self, lines: &mut Lines) -> Result<Option<Frame>, Fault> {
        let Some(count) = atom_count(lines)? else { return Ok(None) };
        let comment_line = lines.expect("the comment line that follows the number of atoms")?.to_owned();
        let at = lines.number();
        let (mut info, plain) = parse_comment(&comment_line).map_err(|e| {
            Fault::line(at, e).hint("write key=value pairs; texts with spaces stand in double quotes")
        })?;
        let mut properties = match info.remove("Properties") {
            Some(Value::Text(text)) => parse_properties(&text, count).map_err(|e| Fault::line(at, e))?,
            Some(_) => return Err(Fault::line(at, "`Properties` must be name:type:columns triples")),
            None => parse_properties("species:S:1:pos:R:3", count).map_err(|e| Fault::line(at, e))?,
        };

        for atom in 0..count {
            let number = lines.number() + 1;
            let line = lines
                .next()?
                .ok_or_else(|| Fault::line(number, format!("the file ends after {atom} of {count} atoms")))?;
            parse_row(line, &mut properties, plain)
                .map_err(|e| Fault::line(number, format!("atom {}: {e}", atom + 1)))?;
        }
        let cell = cell(&mut info).map_err(|e| Fault::line(at, e))?;
        let mut frame = assemble(properties, cell, info, count).map_err(|e| Fault::line(at, e))?;
        if plain {
            // the first column holds elements, which some programs write in capitals
            for symbol in frame.symbols.iter_mut().filter(|s| s.len() == 2) {
                if let (None, Some(element)) = (elements::atomic_number(symbol), names::proper(symbol)) {
                    element.clone_into(symbol);
                }
            }
        }
        Ok(Some(frame))
    }
}

/// The number of atoms of the next frame; blank lines may only stand before the end.
fn atom_count(lines: &mut Lines) -> Result<Option<usize>, Fault> {
    let mut blank = 0;
    let line = loop {
        match lines.next()? {
            None => return Ok(None),
            Some(l) if l.trim().is_empty() => blank += 1,
            Some(l) => break l.trim().to_owned(),
        }
    };
    let number = lines.number();
    match line.parse() {
        Ok(n) if blank == 0 || number == blank + 1 => Ok(Some(n)),
        Ok(_) => Err(Fault::line(number, "a frame begins after a blank line").hint(
            "an XYZ file is: number of atoms, comment line, one line per atom, and so on without blank lines between",
        )),
        Err(_) => {
            let message = format!("expected the number of atoms, found {}", quote(&line));
            Err(Fault::line(number, message).hint("the frame before may state too few atoms"))
        }
    }
}

/// Keys of the comment, and whether the file is plain XYZ (columns after x y z have no stated meaning).
fn parse_comment(line: &str) -> Result<(Map<Value>, bool), String> {
    if line.contains("Properties=") || line.contains("Lattice=") {
        return comment::parse(line).map(|m| (m, !line.contains("Properties=")));
    }
    if line.contains('=')
        && let Ok(map) = comment::parse(line)
    {
        return Ok((map, true));
    }
    let mut map = Map::default();
    if !line.trim().is_empty() {
        map.insert("comment", Value::Text(line.trim().to_owned()));
    }
    Ok((map, true))
}

fn parse_properties(text: &str, count: usize) -> Result<Vec<Property>, String> {
    let fields: Vec<&str> = text.split(':').collect();
    if !fields.len().is_multiple_of(3) {
        return Err(format!("`Properties` must be name:type:columns triples, found {}", quote(text)));
    }
    let mut properties: Vec<Property> = Vec::new();
    for f in fields.chunks_exact(3) {
        let columns: usize = f[2]
            .parse()
            .ok()
            .filter(|c| (1..=MOST_COLUMNS).contains(c))
            .ok_or_else(|| format!("property `{}`: the number of columns is {}", f[0], quote(f[2])))?;
        // a line of very many properties must not reserve memory for each
        let room = if properties.len() < 64 { capacity(count.saturating_mul(columns)) } else { 0 };
        let data = match f[1] {
            "S" => Column::Text(Vec::with_capacity(room)),
            "R" => Column::Real(Vec::with_capacity(room)),
            "I" => Column::Int(Vec::with_capacity(room)),
            "L" => Column::Bool(Vec::with_capacity(room)),
            other => {
                return Err(format!("property `{}`: the type is {}, not S, R, I or L", f[0], quote(other)));
            }
        };
        if properties.iter().any(|p| p.name == f[0]) {
            return Err(format!("property `{}` is there twice", f[0]));
        }
        properties.push(Property { name: f[0].to_owned(), columns, data });
    }
    Ok(properties)
}

fn parse_row(line: &str, properties: &mut [Property], plain: bool) -> Result<(), String> {
    let mut fields = line.split_ascii_whitespace();
    for p in &mut *properties {
        for _ in 0..p.columns {
            let Some(field) = fields.next() else {
                let n = p.columns;
                return Err(format!("the line ends where column {n} of `{}` should be", p.name)
                    .replace("column 1 of ", ""));
            };
            let wrong = |what: &str| format!("`{}`: expected {what}, found {}", p.name, quote(field));
            match &mut p.data {
                Column::Real(v) => v.push(number(field).ok_or_else(|| wrong("a number"))?),
                Column::Int(v) => v.push(field.parse().map_err(|_| wrong("an integer"))?),
                Column::Bool(v) => v.push(comment::logical(field).ok_or_else(|| wrong("T or F"))?),
                Column::Text(v) => v.push(field.to_owned()),
            }
        }
    }
    match fields.next() {
        Some(extra) if !plain => {
            Err(format!("{} after the last column that `Properties` names", quote(extra)))
        }
        _ => Ok(()),
    }
}

/// Numbers of per-atom columns; `nan` and `inf` are data here (the columns of the engine are checked later).
fn number(field: &str) -> Option<f64> {
    field.parse().ok().or_else(|| real(field))
}

fn cell(info: &mut Map<Value>) -> Result<Cell, String> {
    let periodic = match info.remove("pbc") {
        None => None,
        Some(Value::Bools(v)) if v.len() == 3 => Some([v[0], v[1], v[2]]),
        Some(Value::Bool(b)) => Some([b; 3]),
        Some(Value::Ints(v)) if v.len() == 3 => Some([v[0] != 0, v[1] != 0, v[2] != 0]),
        Some(_) => return Err("`pbc` must be three of T and F".into()),
    };
    let Some(lattice) = info.remove("Lattice") else {
        return match periodic {
            Some(p) if p != [false; 3] => {
                Err("`pbc` has periodic directions but there is no `Lattice`".into())
            }
            _ => Ok(Cell::open()),
        };
    };
    let l = reals(&lattice).filter(|v| v.len() == 9).ok_or("`Lattice` must be nine numbers")?;
    let vectors = std::array::from_fn(|k| Vec3::new(l[3 * k], l[3 * k + 1], l[3 * k + 2]));
    cell_from_vectors(vectors, periodic.unwrap_or([true; 3])).map_err(|e| format!("`Lattice`: {e}"))
}

/// The numbers of a value; nested lists are flattened.
fn reals(value: &Value) -> Option<Vec<f64>> {
    match value {
        Value::Reals(v) => Some(v.clone()),
        Value::Ints(v) => Some(v.iter().map(|&i| i as f64).collect()),
        Value::Json(json) => {
            let parsed: serde_json::Value = serde_json::from_str(json).ok()?;
            let rows = parsed.as_array()?.iter();
            rows.map(|r| r.as_array().map(|r| r.iter().map(serde_json::Value::as_f64)))
                .collect::<Option<Vec<_>>>()?
                .into_iter()
                .flatten()
                .collect()
        }
        _ => None,
    }
}

/// A symmetric tensor of 9 numbers or of 6 in Voigt order.
fn tensor(value: &Value) -> Option<Mat3> {
    let v = reals(value)?;
    match v.len() {
        9 => Some(Mat3::from_row_slice(&v)),
        6 => Some(Mat3::new(v[0], v[5], v[4], v[5], v[1], v[3], v[4], v[3], v[2])),
        _ => None,
    }
}

fn assemble(
    properties: Vec<Property>,
    cell: Cell,
    mut info: Map<Value>,
    count: usize,
) -> Result<Frame, String> {
    let mut arrays: Map<Array> = Map::default();
    for p in properties {
        arrays.insert(p.name, Array { columns: p.columns, data: p.data });
    }
    let positions = take_vectors(&mut arrays, &["pos", "positions"])?
        .ok_or("`Properties` has no positions; expected `pos:R:3`")?;
    let symbols = symbols(&mut arrays, count)?;
    let mut frame = Frame::new(symbols, positions, cell);
    frame.masses = take_reals(&mut arrays, &["masses", "mass"]);
    frame.charges = take_reals(&mut arrays, &["initial_charges", "charge", "charges"]);
    frame.forces = take_vectors(&mut arrays, &["forces", "force"])?;
    frame.velocities = velocities(&mut arrays, &frame)?;
    frame.arrays = arrays;

    frame.energy = take_real(&mut info, "energy");
    if let Some(stress) = info.get("stress").and_then(tensor) {
        info.remove("stress");
        frame.stress = Some(stress);
    } else if let Some(virial) =
        info.get("virial").and_then(tensor).filter(|_| frame.cell.is_fully_periodic())
    {
        frame.stress = Some(-virial / frame.cell.volume());
    }
    if let Some(Value::Int(step)) = info.get("step")
        && let Ok(step) = u64::try_from(*step)
    {
        frame.step = Some(step);
        info.remove("step");
    }
    let reduced = matches!(info.get("units"), Some(Value::Text(u)) if u == "lj");
    let unit = if reduced { 1.0 } else { FEMTOSECOND };
    frame.time = take_real(&mut info, "time").map(|t| t * unit);
    frame.info = info;
    Ok(frame)
}

fn symbols(arrays: &mut Map<Array>, count: usize) -> Result<Vec<String>, String> {
    for name in ["species", "symbols", "element"] {
        if matches!(arrays.get(name), Some(Array { columns: 1, data: Column::Text(_) }))
            && let Some(Array { data: Column::Text(v), .. }) = arrays.remove(name)
        {
            return Ok(v);
        }
    }
    let numbers = arrays.get("Z").and_then(Array::as_ints).filter(|z| z.len() == count);
    let numbers = numbers.ok_or("`Properties` has no species; expected `species:S:1` or `Z:I:1`")?;
    let symbols = numbers.iter().map(|&z| {
        let symbol = u8::try_from(z).ok().and_then(elements::symbol);
        symbol.map(str::to_owned).ok_or_else(|| format!("no element has the number {z}"))
    });
    let symbols = symbols.collect::<Result<_, _>>()?;
    arrays.remove("Z");
    Ok(symbols)
}

fn velocities(arrays: &mut Map<Array>, frame: &Frame) -> Result<Option<Vec<Vec3>>, String> {
    if let Some(v) = take_vectors(arrays, &["velocities"])? {
        return Ok(Some(v));
    }
    if let Some(p) = take_vectors(arrays, &["momenta"])? {
        let velocity = |(i, p): (usize, Vec3)| {
            let mass = frame.mass(i).filter(|m| *m > 0.0).ok_or_else(|| {
                format!("momenta of `{}` need its mass: add a column masses:R:1", frame.symbols[i])
            })?;
            Ok(p / mass)
        };
        return p.into_iter().enumerate().map(velocity).collect::<Result<_, String>>().map(Some);
    }
    let v = take_vectors(arrays, &["velo", "vel"])?;
    Ok(v.map(|v| v.into_iter().map(|v| v / FEMTOSECOND).collect()))
}

/// Takes the first of the named columns that are vectors; the engine's vectors must be finite.
fn take_vectors(arrays: &mut Map<Array>, names: &[&str]) -> Result<Option<Vec<Vec3>>, String> {
    for name in names {
        if let Some(v) = arrays.get(name).and_then(Array::as_vectors) {
            if let Some(i) = v.iter().position(|v| !v.iter().all(|x| x.is_finite())) {
                return Err(format!("`{name}` of atom {} is not finite", i + 1));
            }
            arrays.remove(name);
            return Ok(Some(v));
        }
    }
    Ok(None)
}

fn take_reals(arrays: &mut Map<Array>, names: &[&str]) -> Option<Vec<f64>> {
    let single = |a: &&Array| a.columns == 1 && matches!(a.data, Column::Real(_) | Column::Int(_));
    let name = names.iter().find(|n| arrays.get(n).filter(single).is_some())?;
    match arrays.remove(name)?.data {
        Column::Real(v) => Some(v),
        Column::Int(v) => Some(v.into_iter().map(|i| i as f64).collect()),
        _ => None,
    }
}

fn take_real(info: &mut Map<Value>, name: &str) -> Option<f64> {
    let x = match info.get(name)? {
        Value::Real(x) => *x,
        Value::Int(i) => *i as f64,
        _ => return None,
    };
    info.remove(name);
    Some(x)
}
