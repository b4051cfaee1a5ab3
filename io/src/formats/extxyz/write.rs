//! Writing extended XYZ.
use super::comment;
use crate::encode::Encoder;
use crate::error::Fault;
use crate::frame::{Array, Column, Value};
use crate::text::push_real;
use crate::{Frame, WriteOptions};
use caloron_engine::units::FEMTOSECOND;
use caloron_engine::{Cell, UnitSystem, Vec3, elements};
use std::io::Write;

/// Writes numbers: shortest text with the same bits, or fixed decimals.
pub(super) struct Number {
    decimals: Option<usize>,
}

impl Number {
    pub fn write(&mut self, out: &mut Vec<u8>, x: f64) {
        match self.decimals {
            Some(d) if x.is_finite() => {
                let _ = write!(out, "{x:.d$}");
            }
            _ => push_real(out, x),
        }
    }
}

pub(super) struct ExtXyz {
    /// For coordinates and the like.
    columns: Number,
    /// For the comment line: always exact.
    exact: Number,
    provenance: Vec<(String, String)>,
    units: UnitSystem,
    time_unit: f64,
}

impl ExtXyz {
    pub fn new(options: &WriteOptions) -> Self {
        Self {
            columns: Number { decimals: options.decimals },
            exact: Number { decimals: None },
            provenance: options.provenance.clone(),
            units: options.units,
            time_unit: options.time_unit(FEMTOSECOND),
        }
    }

    fn key(&mut self, out: &mut Vec<u8>, key: &str, value: &Value) {
        if out.last() != Some(&b'\n') {
            out.push(b' ');
        }
        comment::write(out, key, value, &mut self.exact);
    }

    fn comment(&mut self, frame: &Frame, columns: &[(&str, Source)], index: u64, out: &mut Vec<u8>) {
        if frame.cell != Cell::open() {
            self.key(out, "Lattice", &Value::Reals(frame.cell.matrix().as_slice().to_vec()));
        }
        let mut properties = String::new();
        for (name, source) in columns {
            let separator = if properties.is_empty() { "" } else { ":" };
            properties += &format!("{separator}{name}:{}:{}", source.kind(), source.columns());
        }
        out.extend_from_slice(if out.last() == Some(&b'\n') { b"Properties=" } else { b" Properties=" });
        out.extend_from_slice(properties.as_bytes());
        if let Some(e) = frame.energy {
            self.key(out, "energy", &Value::Real(e));
        }
        if let Some(s) = &frame.stress {
            self.key(out, "stress", &Value::Reals(s.transpose().as_slice().to_vec()));
        }
        if let Some(step) = frame.step {
            self.key(out, "step", &Value::Int(step as i64));
        }
        if let Some(t) = frame.time {
            self.key(out, "time", &Value::Real(t / self.time_unit));
            if self.units == UnitSystem::Lj && frame.info.get("units").is_none() {
                self.key(out, "units", &Value::Text("lj".into()));
            }
        }
        for (key, value) in frame.info.iter() {
            self.key(out, key, value);
        }
        if index == 0 {
            for (key, value) in std::mem::take(&mut self.provenance) {
                if frame.info.get(&key).is_none() {
                    self.key(out, &key, &Value::Text(value));
                }
            }
        }
        self.key(out, "pbc", &Value::Bools(frame.cell.periodic().to_vec()));
        out.push(b'\n');
    }
}

/// Where a column comes from.
enum Source<'a> {
    Texts(&'a [String]),
    Vectors(&'a [Vec3]),
    Momenta(&'a [Vec3], &'a Frame),
    Reals(&'a [f64]),
    Array(&'a Array),
}

impl Source<'_> {
    fn kind(&self) -> char {
        match self {
            Self::Texts(_) => 'S',
            Self::Vectors(_) | Self::Momenta(..) | Self::Reals(_) => 'R',
            Self::Array(a) => match a.data {
                Column::Int(_) => 'I',
                Column::Real(_) => 'R',
                Column::Bool(_) => 'L',
                Column::Text(_) => 'S',
            },
        }
    }
    fn columns(&self) -> usize {
        match self {
            Self::Texts(_) | Self::Reals(_) => 1,
            Self::Vectors(_) | Self::Momenta(..) => 3,
            Self::Array(a) => a.columns,
        }
    }
    fn write(&self, atom: usize, number: &mut Number, out: &mut Vec<u8>) -> Result<(), Fault> {
        let mut vector = |v: Vec3| {
            for x in v.iter() {
                out.push(b' ');
                number.write(out, *x);
            }
        };
        match self {
            Self::Texts(v) => return text(&v[atom], atom, out),
            Self::Vectors(v) => vector(v[atom]),
            Self::Momenta(v, frame) => vector(v[atom] * frame.mass(atom).unwrap_or(1.0)),
            Self::Reals(v) => {
                out.push(b' ');
                number.write(out, v[atom]);
            }
            Self::Array(a) => {
                for k in atom * a.columns..(atom + 1) * a.columns {
                    match &a.data {
                        Column::Text(v) => {
                            text(&v[k], atom, out)?;
                            continue;
                        }
                        _ => out.push(b' '),
                    }
                    match &a.data {
                        Column::Int(v) => out.extend_from_slice(v[k].to_string().as_bytes()),
                        Column::Real(v) => number.write(out, v[k]),
                        Column::Bool(v) => out.push(if v[k] { b'T' } else { b'F' }),
                        Column::Text(_) => {}
                    }
                }
            }
        }
        Ok(())
    }
}

fn text(value: &str, atom: usize, out: &mut Vec<u8>) -> Result<(), Fault> {
    if value.is_empty() || value.contains(|c: char| c.is_ascii_whitespace()) {
        return Err(Fault::new(format!("atom {}: the name {value:?} is empty or has white space", atom + 1)));
    }
    out.push(b' ');
    out.extend_from_slice(value.as_bytes());
    Ok(())
}

/// The columns of a frame in the order of the file.
fn columns(frame: &Frame) -> Result<Vec<(&str, Source<'_>)>, Fault> {
    let mut columns =
        vec![("species", Source::Texts(&frame.symbols)), ("pos", Source::Vectors(&frame.positions))];
    if let Some(v) = &frame.velocities {
        // momenta are what ASE reads; without masses the velocities themselves
        let known = (0..frame.len()).all(|i| frame.mass(i).is_some_and(|m| m > 0.0));
        columns.push(if known {
            ("momenta", Source::Momenta(v, frame))
        } else {
            ("velocities", Source::Vectors(v))
        });
    }
    if let Some(f) = &frame.forces {
        columns.push(("forces", Source::Vectors(f)));
    }
    if let Some(m) = &frame.masses {
        let standard = m.iter().zip(&frame.symbols).all(|(m, s)| elements::mass(s) == Some(*m));
        if !standard {
            columns.push(("masses", Source::Reals(m)));
        }
    }
    if let Some(q) = &frame.charges {
        columns.push(("initial_charges", Source::Reals(q)));
    }
    for (name, array) in frame.arrays.iter() {
        if name.is_empty()
            || name.contains(|c: char| c == ':' || c == '"' || c == '=' || c.is_ascii_whitespace())
        {
            return Err(Fault::new(format!("the column name {name:?} cannot stand in `Properties`")));
        }
        if columns.iter().any(|(n, _)| *n == name) {
            return Err(Fault::new(format!("the array `{name}` has the name of a standard column")));
        }
        columns.push((name, Source::Array(array)));
    }
    Ok(columns)
}

impl Encoder for ExtXyz {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let columns = columns(frame)?;
        let _ = writeln!(out, "{}", frame.len());
        self.comment(frame, &columns, index, out);
        for atom in 0..frame.len() {
            let start = out.len();
            for (_, source) in &columns {
                source.write(atom, &mut self.columns, out)?;
            }
            // every column begins with a blank: the first of a line is dropped
            out.remove(start);
            out.push(b'\n');
        }
        Ok(())
    }
}
