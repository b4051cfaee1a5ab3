//! H5MD: trajectories in HDF5.
//!
//! Å, ps, Å/ps, eV/Å, u and e where the file names no unit. Source: P. de Buyl, P. H. Colberg, F. Höfling, "H5MD: A
//! structured, efficient, and portable file format for molecular data", Comput. Phys. Commun. 185, 1546 (2014),
//! version 1.1 with the module `units`.
mod element;
mod species;
mod unit;

use crate::api::ReadOptions;
use crate::binary::{Binary, check_finite, nameless};
use crate::error::Fault;
use crate::foreign::guarded;
use crate::format::{Holds, Info, Input, Output};
use crate::frame::{Array, Column, cell_from_vectors};
use crate::{Frame, LammpsUnits};
use caloron_engine::quantity::{self, Dimension};
use caloron_engine::{Cell, Vec3};
use element::{Element, Folder};
use hdf5_pure::File;
use species::Species;
use std::path::Path;

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "h5md",
    extensions: &["h5md", "h5"],
    file_names: &[],
    about: "H5MD trajectory (HDF5)",
    holds: Holds { provenance: false, ..Holds::ALL },
    input: Input::File(open),
    output: Output::None,
}];

fn fault(error: hdf5_pure::Error) -> Fault {
    match error {
        hdf5_pure::Error::Io(e) => Fault::io("reading", e),
        e => Fault::new(e.to_string()),
    }
}

fn open(path: &Path, options: &ReadOptions) -> Result<crate::api::Frames, Fault> {
    let length = Binary::open(path)?.length();
    let mut reading = guarded("hdf5-pure", || {
        let hint = "is this an HDF5 file, and complete?";
        let file = File::open_streaming(path).map_err(|e| fault(e).hint(hint))?;
        Reading::new(&file, length, options)
    })?;
    Ok(Box::new(move || guarded("hdf5-pure", || reading.next())))
}

struct Reading {
    options: ReadOptions,
    positions: Element,
    velocities: Option<Element>,
    forces: Option<Element>,
    masses: Option<Element>,
    charges: Option<Element>,
    images: Option<Element>,
    ids: Option<Element>,
    species: Option<Species>,
    edges: Option<Element>,
    periodic: [bool; 3],
    frames: u64,
}

impl Reading {
    fn new(file: &File, length: u64, options: &ReadOptions) -> Result<Self, Fault> {
        let root = Folder::new(file.root(), length)?;
        let about = root.folder("h5md")?;
        let about =
            about.ok_or_else(|| Fault::new("this is an HDF5 file, but not H5MD: it has no group `h5md`"))?;
        let version = about.group.attrs().map_err(fault)?.get("version").and_then(|v| v.to_i64s());
        if version.as_ref().is_some_and(|v| v.first() != Some(&1)) {
            let version: Vec<String> = version.iter().flatten().map(i64::to_string).collect();
            return Err(Fault::new(format!(
                "H5MD version {} is not read, only version 1",
                version.join(".")
            )));
        }
        let particles = root.folder("particles")?;
        let particles = particles.ok_or_else(|| Fault::new("there is no group `particles`"))?;
        let group = choose(&particles, options.group.as_deref())?;
        let positions = group.element("position")?.ok_or_else(|| Fault::new("there is no `position`"))?;
        let &[atoms, 3] = positions.shape.as_slice() else {
            let message =
                format!("`position` is of the shape {:?} in each frame, not atoms x 3", positions.shape);
            return Err(Fault::new(message));
        };
        // what belongs to each atom must have that many rows
        let per_atom = |name: &str, columns: &[u64]| {
            let element = group.element(name)?;
            let expected: Vec<u64> = [&[atoms], columns].concat();
            match element {
                Some(e) if e.shape != expected => {
                    let message = format!("`{name}` is of the shape {:?}, not {expected:?}", e.shape);
                    Err(Fault::new(message))
                }
                e => Ok(e),
            }
        };
        let mut reading = Self {
            options: options.clone(),
            velocities: per_atom("velocity", &[3])?,
            forces: per_atom("force", &[3])?,
            masses: per_atom("mass", &[])?,
            charges: per_atom("charge", &[])?,
            images: per_atom("image", &[3])?,
            ids: per_atom("id", &[])?.filter(|e| e.rows.is_some()),
            species: per_atom("species", &[])?.map(Species::new).transpose()?,
            positions,
            edges: None,
            periodic: [false; 3],
            frames: 0,
        };
        if let Some(cell) = group.folder("box")? {
            (reading.edges, reading.periodic) = boundaries(&cell)?;
        }
        Ok(reading)
    }

    fn next(&mut self) -> Result<Option<Frame>, Fault> {
        let row = self.frames;
        if row >= self.positions.rows.unwrap_or(1) {
            return Ok(None);
        }
        let told = self.options.units;
        let default = told.unwrap_or_default().scales();
        let order = order(&mut self.ids, &self.positions, row)?;
        let length = self.positions.scale::<quantity::Length>(told, 1.0)?;
        let positions = pick(self.positions.numbers(row)?, 3, order.as_deref());
        let positions = vectors(&positions, length);
        if positions.is_empty() {
            return Err(Fault::new("there are no atoms"));
        }
        check_finite(&positions)?;
        let at = At { positions: &self.positions, row, order: order.as_deref() };
        let cell = match &mut self.edges {
            Some(edges) => cell(edges, self.periodic, &at, edges.scale::<quantity::Length>(told, length)?)?,
            None => Cell::open(),
        };
        let mut frame = Frame::new(nameless(positions.len()), positions, cell);
        let of_atoms = |numbers: Vec<f64>| vectors(&numbers, 1.0);
        frame.velocities =
            at.read::<quantity::Velocity>(&mut self.velocities, told, 1.0 / default.time)?.map(of_atoms);
        frame.forces = at.read::<quantity::Force>(&mut self.forces, told, default.energy)?.map(of_atoms);
        frame.masses = at.read::<quantity::Mass>(&mut self.masses, told, 1.0)?;
        frame.charges = at.read::<quantity::Charge>(&mut self.charges, told, 1.0)?;
        if let Some(images) = &mut self.images
            && let Some(numbers) = at.numbers(images, 3)?
        {
            let data = Column::Int(numbers.iter().map(|n| *n as i64).collect());
            frame.arrays.insert("image", Array { columns: 3, data });
        }
        if let Some(species) = &mut self.species
            && let Some(row) = species.element.row(at.positions, row)
        {
            // masses are in the order of the frame already, species still in that of the file
            let raw = species.raw(row)?;
            let raw = raw.picked(at.order);
            frame.symbols = species.names(raw, frame.masses.as_deref(), &self.options.types)?;
        }
        frame.step = at.positions.step(row);
        frame.time = at.positions.time(row, told, default.time)?;
        self.frames += 1;
        Ok(Some(frame))
    }
}

/// A frame of the file: a row of the positions, and the order that its atoms are brought into.
struct At<'a> {
    positions: &'a Element,
    row: u64,
    order: Option<&'a [usize]>,
}

impl At<'_> {
    /// The numbers of a quantity in this frame, if it has any there.
    fn numbers(&self, element: &mut Element, columns: usize) -> Result<Option<Vec<f64>>, Fault> {
        let Some(row) = element.row(self.positions, self.row) else { return Ok(None) };
        Ok(Some(pick(element.numbers(row)?, columns, self.order)))
    }
    /// The same in internal units; see [`Element::scale`].
    fn read<D: Dimension>(
        &self,
        element: &mut Option<Element>,
        told: Option<LammpsUnits>,
        default: f64,
    ) -> Result<Option<Vec<f64>>, Fault> {
        let Some(element) = element else { return Ok(None) };
        let scale = element.scale::<D>(told, default)?;
        let columns = if element.shape.len() > 1 { 3 } else { 1 };
        let numbers = self.numbers(element, columns)?;
        Ok(numbers.map(|numbers| numbers.into_iter().map(|x| x * scale).collect()))
    }
}

/// Values of `columns` components for each atom, brought into another order.
fn pick<T: Clone>(values: Vec<T>, columns: usize, order: Option<&[usize]>) -> Vec<T> {
    let Some(order) = order else { return values };
    order.iter().flat_map(|&i| values[columns * i..columns * (i + 1)].iter().cloned()).collect()
}

fn vectors(numbers: &[f64], scale: f64) -> Vec<Vec3> {
    numbers.chunks_exact(3).map(|c| Vec3::new(c[0], c[1], c[2]) * scale).collect()
}

/// The order of increasing ids, where a program stored the atoms in another order each time.
fn order(ids: &mut Option<Element>, positions: &Element, row: u64) -> Result<Option<Vec<usize>>, Fault> {
    let Some(ids) = ids else { return Ok(None) };
    let Some(row) = ids.row(positions, row) else { return Ok(None) };
    let ids = ids.numbers(row)?;
    let mut order: Vec<usize> = (0..ids.len()).collect();
    order.sort_by(|&a, &b| ids[a].total_cmp(&ids[b]));
    match order.windows(2).find(|w| ids[w[0]] == ids[w[1]]) {
        Some(w) => Err(Fault::new(format!("the id {} is there twice", ids[w[0]]))),
        None => Ok(Some(order)),
    }
}

fn cell(edges: &mut Element, periodic: [bool; 3], at: &At, scale: f64) -> Result<Cell, Fault> {
    let row = edges.row(at.positions, at.row).ok_or_else(|| {
        let step = at.positions.step(at.row).map_or(String::new(), |s| format!(" of step {s}"));
        Fault::new(format!("`box/edges` has no entry for the frame{step}"))
    })?;
    let vectors = match *vectors(&edges.numbers(row)?, scale).as_slice() {
        [l] => [Vec3::x() * l.x, Vec3::y() * l.y, Vec3::z() * l.z],
        [a, b, c] => [a, b, c],
        _ => return Err(Fault::new("`box/edges` is neither 3 lengths nor 3 vectors")),
    };
    cell_from_vectors(vectors, periodic).map_err(|e| Fault::new(format!("box: {e}")))
}

/// The group of particles to read: the one that was asked for, else the only one with positions.
fn choose(particles: &Folder, asked: Option<&str>) -> Result<Folder, Fault> {
    let mut found = Vec::new();
    for name in particles.folders() {
        if let Some(folder) = particles.folder(name)?.filter(|f| f.has("position")) {
            found.push((name, folder));
        }
    }
    let names: Vec<String> = found.iter().map(|(name, _)| format!("`{name}`")).collect();
    let names = names.join(", ");
    match asked {
        Some(asked) => {
            let group = found.into_iter().find(|(name, _)| *name == asked).map(|(_, folder)| folder);
            group.ok_or_else(|| {
                let message = format!("no group `{asked}` in `particles` has positions");
                if names.is_empty() {
                    Fault::new(message)
                } else {
                    Fault::new(message).hint(format!("there is {names}"))
                }
            })
        }
        None if found.len() > 1 => Err(Fault::new(format!("there are several groups of particles: {names}"))
            .hint("say which to read: `caloron convert --group NAME`")),
        None => {
            let only = found.pop().map(|(_, folder)| folder);
            only.ok_or_else(|| Fault::new("no group in `particles` has positions"))
        }
    }
}

/// Edges and periodic directions of a box.
fn boundaries(cell: &Folder) -> Result<(Option<Element>, [bool; 3]), Fault> {
    let attributes = cell.group.attrs().map_err(fault)?;
    if let Some(d) = attributes.get("dimension").and_then(|d| d.as_i64()).filter(|d| *d != 3) {
        return Err(Fault::new(format!("the box has {d} dimensions, not 3")));
    }
    let edges = cell.element("edges")?;
    let periodic = match attributes.get("boundary").and_then(|b| b.as_strings()) {
        None => [edges.is_some(); 3],
        Some(words) => {
            let words: Vec<&str> = words.iter().map(|w| w.trim_matches(['\0', ' '])).collect();
            let periodic = |word: &str| match word {
                "periodic" => Ok(true),
                "none" => Ok(false),
                other => Err(Fault::new(format!("the boundary {other:?} is neither `periodic` nor `none`"))),
            };
            match *words.as_slice() {
                [x, y, z] => [periodic(x)?, periodic(y)?, periodic(z)?],
                [all] => [periodic(all)?; 3],
                _ => return Err(Fault::new(format!("{} boundaries, not 3", words.len()))),
            }
        }
    };
    match &edges {
        None if periodic.contains(&true) => Err(Fault::new("the box is periodic, but has no `edges`")),
        Some(e) if !matches!(e.shape.as_slice(), [3] | [3, 3]) => {
            Err(Fault::new(format!("`box/edges` is of the shape {:?}, not 3 or 3 x 3", e.shape)))
        }
        _ => Ok((edges, periodic)),
    }
}
