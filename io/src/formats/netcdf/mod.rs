//! AMBER trajectories in classic NetCDF, convention 1.0.
//!
//! Å, ps, degrees, velocities in Å/ps (after their `scale_factor`), forces in kcal/mol/Å. Source: "AMBER Trajectory
//! NetCDF Format, convention version 1.0", ambermd.org/netcdf.
mod header;

use crate::api::BinaryDecoder;
use crate::binary::units::{KCAL_PER_MOL, KJ_PER_MOL, PICOSECOND};
use crate::binary::{Binary, check_finite, count, nameless, put_f32, put_vectors, same_count};
use crate::encode::Encoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::{Frame, WriteOptions, orient};
use caloron_engine::{Cell, Vec3};
use header::{CHAR, DOUBLE, Definition, FLOAT, Header, Variable};

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "amber-netcdf",
    extensions: &["nc", "ncdf"],
    file_names: &[],
    about: "AMBER NetCDF trajectory",
    holds: Holds {
        frames: true,
        cell: true,
        velocities: true,
        forces: true,
        time: true,
        provenance: true,
        ..Holds::NONE
    },
    input: Input::Binary(|| Box::new(Reading { header: None, frames: 0 })),
    output: Output::Native(|options| Box::new(Writing::new(options))),
}];

struct Reading {
    header: Option<Header>,
    frames: u64,
}

impl BinaryDecoder for Reading {
    fn decode(&mut self, file: &mut Binary) -> Result<Option<Frame>, Fault> {
        let header = match &self.header {
            Some(h) => h,
            None => self.header.insert(open(file)?),
        };
        let find = |name: &str| header.variables.iter().find(|v| v.name == name && v.is_record());
        let coordinates = find("coordinates").ok_or_else(|| Fault::new("no variable `coordinates`"))?;
        let begin = header.variables.iter().filter(|v| v.is_record()).map(|v| v.begin).min().unwrap_or(0);
        let complete = file.length().saturating_sub(begin).checked_div(header.stride).unwrap_or(0);
        let announced = header.records.unwrap_or(complete);
        if self.frames >= announced {
            return Ok(None);
        }
        if self.frames >= complete {
            let message = format!("the header announces {announced} frames, the file ends after {complete}");
            return Err(Fault::new(message));
        }
        let [0, atoms, 3] = *coordinates.shape.as_slice() else {
            return Err(Fault::new("`coordinates` is not of the shape frames x atoms x 3"));
        };
        let at = self.frames;
        let mut values = |v: &Variable, expected: u64| {
            if v.values() != expected || !matches!(v.kind, FLOAT | DOUBLE) {
                return Err(Fault::new(format!("`{}` has the wrong shape or type", v.name)));
            }
            file.seek(v.begin.saturating_add(header.stride.saturating_mul(at)))?;
            let scale = v.scale * unit(v)?;
            file.reals(expected, v.kind == DOUBLE)
                .map(|x| x.into_iter().map(|x| x * scale).collect::<Vec<_>>())
        };
        let vectors =
            |x: Vec<f64>| x.chunks_exact(3).map(|c| Vec3::new(c[0], c[1], c[2])).collect::<Vec<_>>();
        let positions = vectors(values(coordinates, atoms.saturating_mul(3))?);
        check_finite(&positions)?;
        let cell = match (find("cell_lengths"), find("cell_angles")) {
            (Some(l), Some(a)) => cell(&values(l, 3)?, &values(a, 3)?)?,
            _ => Cell::open(),
        };
        let mut frame = Frame::new(nameless(positions.len()), positions, cell);
        if let Some(v) = find("velocities") {
            frame.velocities = Some(vectors(values(v, 3 * atoms)?));
        }
        if let Some(f) = find("forces") {
            frame.forces = Some(vectors(values(f, 3 * atoms)?));
        }
        if let Some(t) = find("time") {
            frame.time = values(t, 1)?.first().copied();
        }
        self.frames += 1;
        Ok(Some(frame))
    }
}

fn open(file: &mut Binary) -> Result<Header, Fault> {
    let header = header::read(file)?;
    if header.conventions.split([',', ' ']).any(|c| c == "AMBER") {
        Ok(header)
    } else {
        let message = format!("the conventions of this NetCDF file are {:?}, not AMBER", header.conventions);
        Err(Fault::new(message))
    }
}

/// The unit of a variable in internal units.
fn unit(v: &Variable) -> Result<f64, Fault> {
    let Some(units) = &v.units else { return default_unit(&v.name).ok_or_else(|| Fault::new("no units")) };
    let parts: Vec<&str> = units.split('/').collect();
    let factor = |word: &str| match word.trim().to_lowercase().trim_end_matches('s') {
        "angstrom" => Some(1.0),
        "nanometer" | "nanometre" | "nm" => Some(10.0),
        "p" | "picosecond" => Some(PICOSECOND),
        "f" | "femtosecond" => Some(1e-3 * PICOSECOND),
        "degree" => Some(1.0),
        "radian" => Some(180.0 / std::f64::consts::PI),
        "kilocalorie" | "kcal" => Some(KCAL_PER_MOL),
        "kilojoule" | "kj" => Some(KJ_PER_MOL),
        "mole" | "mol" => Some(1.0),
        _ => None,
    };
    let factors: Option<Vec<f64>> = parts.iter().map(|p| factor(p)).collect();
    let factors = factors.filter(|f| !f.is_empty());
    let factors =
        factors.ok_or_else(|| Fault::new(format!("`{}` has the unknown units {units:?}", v.name)))?;
    Ok(factors[1..].iter().fold(factors[0], |a, b| a / b))
}

fn default_unit(variable: &str) -> Option<f64> {
    match variable {
        "coordinates" | "cell_lengths" | "cell_angles" => Some(1.0),
        "time" => Some(PICOSECOND),
        "velocities" => Some(1.0 / PICOSECOND),
        "forces" => Some(KCAL_PER_MOL),
        _ => None,
    }
}

fn cell(lengths: &[f64], angles: &[f64]) -> Result<Cell, Fault> {
    match (lengths, angles) {
        (&[0.0, 0.0, 0.0], _) => Ok(Cell::open()),
        (&[a, b, c], &[alpha, beta, gamma]) => {
            Cell::from_lengths_angles([a, b, c], [alpha, beta, gamma]).map_err(|e| Fault::new(e.to_string()))
        }
        _ => Err(Fault::new("a cell of the wrong length")),
    }
}

/// Which variables a file has, fixed by its first frame.
#[derive(Clone, Copy, PartialEq)]
struct Has {
    cell: bool,
    velocities: bool,
    forces: bool,
}

struct Writing {
    provenance: Vec<(String, String)>,
    picosecond: f64,
    force: f64,
    atoms: Option<usize>,
    has: Option<Has>,
}

impl Writing {
    fn new(options: &WriteOptions) -> Self {
        let (picosecond, force) = (options.time_unit(PICOSECOND), options.time_unit(KCAL_PER_MOL));
        Self { provenance: options.provenance.clone(), picosecond, force, atoms: None, has: None }
    }

    fn header(&self, atoms: i32, has: Has, out: &mut Vec<u8>) {
        let pair = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let mut attributes = vec![
            pair("Conventions", "AMBER"),
            pair("ConventionVersion", "1.0"),
            pair("program", "caloron"),
            pair("programVersion", env!("CARGO_PKG_VERSION")),
            pair("application", "caloron"),
        ];
        for (k, v) in self.provenance.iter().filter(|(k, _)| !k.is_empty()) {
            match attributes.iter_mut().find(|(known, _)| known == k) {
                Some(entry) => entry.1.clone_from(v),
                None => attributes.push((k.clone(), v.clone())),
            }
        }
        let dimensions = [
            ("frame", 0),
            ("spatial", 3),
            ("atom", atoms),
            ("cell_spatial", 3),
            ("cell_angular", 3),
            ("label", 5),
        ];
        let vectors = 12 * atoms as u64;
        let define = |name, dimensions, kind, units: &str, bytes| {
            let attributes = if units.is_empty() { Vec::new() } else { vec![pair("units", units)] };
            Definition { name, dimensions, kind, attributes, bytes }
        };
        let mut variables = vec![
            define("spatial", &[1], CHAR, "", 3),
            define("cell_spatial", &[3], CHAR, "", 3),
            define("cell_angular", &[4, 5], CHAR, "", 15),
            define("time", &[0], FLOAT, "picosecond", 4),
            define("coordinates", &[0, 2, 1], FLOAT, "angstrom", vectors),
        ];
        if has.cell {
            variables.push(define("cell_lengths", &[0, 3], DOUBLE, "angstrom", 24));
            variables.push(define("cell_angles", &[0, 4], DOUBLE, "degree", 24));
        }
        if has.velocities {
            variables.push(define("velocities", &[0, 2, 1], FLOAT, "angstrom/picosecond", vectors));
        }
        if has.forces {
            variables.push(define("forces", &[0, 2, 1], FLOAT, "kilocalorie/mole/angstrom", vectors));
        }
        header::put(out, &dimensions, &attributes, &variables);
        out.extend_from_slice(b"xyz\0abc\0alphabeta gamma\0");
    }
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let frame = &*orient::standard(frame)?;
        let atoms = count(frame)?;
        same_count(&mut self.atoms, frame)?;
        let has = Has {
            cell: frame.cell != Cell::open(),
            velocities: frame.velocities.is_some(),
            forces: frame.forces.is_some(),
        };
        if index == 0 {
            let mut start = Vec::new();
            self.header(atoms, has, &mut start);
            out.extend_from_slice(&start);
        }
        if *self.has.get_or_insert(has) != has {
            return Err(Fault::new(
                "cell, velocities and forces must be in all frames of the file or in none",
            )
            .hint("write extxyz, whose frames may differ"));
        }
        put_f32(out, frame.time.unwrap_or(0.0) / self.picosecond);
        put_vectors(out, &frame.positions, 1.0);
        if has.cell {
            let (lengths, angles) = frame.cell.lengths_angles();
            lengths.iter().chain(&angles).for_each(|x| out.extend_from_slice(&x.to_be_bytes()));
        }
        if let Some(v) = &frame.velocities {
            put_vectors(out, v, 1.0 / self.picosecond);
        }
        if let Some(f) = &frame.forces {
            put_vectors(out, f, self.force);
        }
        Ok(())
    }
    fn patches(&self, frames: u64) -> Vec<(u64, Vec<u8>)> {
        vec![(4, (frames.min(u64::from(u32::MAX) - 1) as u32).to_be_bytes().to_vec())]
    }
    fn resume(&mut self, file: &mut Binary, frames: u64) -> Result<(), Fault> {
        let _ = frames;
        let header = open(file)?;
        let find = |name: &str| header.variables.iter().find(|v| v.name == name);
        let coordinates = find("coordinates").ok_or_else(|| Fault::new("no variable `coordinates`"))?;
        self.atoms = coordinates.shape.get(1).map(|n| *n as usize);
        self.has = Some(Has {
            cell: find("cell_lengths").is_some(),
            velocities: find("velocities").is_some(),
            forces: find("forces").is_some(),
        });
        Ok(())
    }
}
