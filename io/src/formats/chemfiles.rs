//! Formats that are read, and a few written, by the chemfiles library (Guillaume Fraux and contributors,
//! doi:10.5281/zenodo.593207). chemfiles has Å, Å/ps, u and e.
use crate::api::{Frames, Position, Writer};
use crate::error::Fault;
use crate::foreign::guarded;
use crate::format::{Holds, Info, Input, Output};
use crate::frame::{Array, Topology, Value};
use crate::names;
use crate::{Format, Frame, IoError, WriteOptions};
use caloron_engine::units::FEMTOSECOND;
use caloron_engine::{Cell, Mat3, Vec3, elements};
use chemfiles::{CellShape, Property, Trajectory, UnitCell};
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

const PICOSECOND: f64 = 1e3 * FEMTOSECOND;
const STRUCTURE: Holds = Holds { names: true, cell: true, ..Holds::NONE };

const fn info(
    name: &'static str,
    extensions: &'static [&'static str],
    about: &'static str,
    holds: Holds,
    chemfiles: &'static str,
    output: Output,
) -> Info {
    Info { name, extensions, file_names: &[], about, holds, input: Input::Chemfiles(chemfiles), output }
}

pub(crate) const FORMATS: &[Info] = &[
    info(
        "mmcif",
        &["mmcif"],
        "macromolecular CIF",
        Holds { frames: true, ..STRUCTURE },
        "mmCIF",
        Output::None,
    ),
    info(
        "mmtf",
        &["mmtf"],
        "macromolecular transmission format",
        Holds { frames: true, ..STRUCTURE },
        "MMTF",
        Output::None,
    ),
    info(
        "mol2",
        &["mol2"],
        "Tripos molecule",
        Holds { frames: true, ..STRUCTURE },
        "MOL2",
        Output::Chemfiles("MOL2"),
    ),
    info(
        "sdf",
        &["sdf", "mol"],
        "MDL structure-data file",
        Holds { frames: true, names: true, ..Holds::NONE },
        "SDF",
        Output::Chemfiles("SDF"),
    ),
    info(
        "cml",
        &["cml"],
        "Chemical Markup Language",
        Holds { frames: true, ..STRUCTURE },
        "CML",
        Output::Chemfiles("CML"),
    ),
    info(
        "cssr",
        &["cssr"],
        "Cambridge Structure Search and Retrieval",
        STRUCTURE,
        "CSSR",
        Output::Chemfiles("CSSR"),
    ),
    info(
        "tinker",
        &["arc"],
        "Tinker XYZ",
        Holds { frames: true, ..STRUCTURE },
        "Tinker",
        Output::Chemfiles("Tinker"),
    ),
    info(
        "amber-restart",
        &["ncrst"],
        "Amber NetCDF restart",
        Holds { cell: true, velocities: true, time: true, ..Holds::NONE },
        "Amber Restart",
        Output::None,
    ),
    info(
        "tng",
        &["tng"],
        "GROMACS TNG trajectory",
        Holds { frames: true, names: true, cell: true, velocities: true, time: true, ..Holds::NONE },
        "TNG",
        Output::None,
    ),
    info("tpr", &["tpr"], "GROMACS run input", Holds { velocities: true, ..STRUCTURE }, "TPR", Output::None),
    info(
        "gromacs-trj",
        &["trj"],
        "old GROMACS trajectory",
        Holds { frames: true, cell: true, ..Holds::NONE },
        "TRJ",
        Output::None,
    ),
    info("molden", &["molden"], "Molden", Holds { names: true, ..Holds::NONE }, "Molden", Output::None),
];

struct Reading {
    format: Format,
    trajectory: Trajectory,
    frames: u64,
    count: u64,
    /// Cell of the last frame that had one: PDB files state it once for all models.
    cell: Option<Cell>,
}

/// Opens a file with the chemfiles format of this name.
pub(crate) fn open(path: &Path, format: Format, name: &str) -> Result<Frames, Fault> {
    listen();
    // chemfiles reports missing files with its own words; the system's are better
    std::fs::File::open(path).map_err(|e| Fault::io("opening", e))?;
    let compression =
        ["gz", "xz", "bz2"].into_iter().find(|c| path.extension().is_some_and(|e| e.eq_ignore_ascii_case(c)));
    let name = match compression {
        Some(c) => format!("{name} / {}", c.to_uppercase()),
        None => name.to_owned(),
    };
    let mut reading = guarded("chemfiles", || {
        let mut trajectory = Trajectory::open_with_format(path, 'r', name.as_str()).map_err(|e| fault(&e))?;
        let count = trajectory.nsteps() as u64;
        Ok(Reading { format, trajectory, frames: 0, count, cell: None })
    })?;
    Ok(Box::new(move || guarded("chemfiles", || reading.next())))
}

/// Prints each warning of chemfiles once, and those not at all that are about bonds it looks for in residues of its own list.
fn listen() {
    static ONCE: Once = Once::new();
    static SAID: Mutex<BTreeSet<String>> = Mutex::new(BTreeSet::new());
    const MOST: usize = 20;
    ONCE.call_once(|| {
        chemfiles::set_warning_callback(|message: &str| {
            if message.contains("non-standard atom") {
                return;
            }
            let mut said = SAID.lock().unwrap_or_else(PoisonError::into_inner);
            if said.len() < MOST && said.insert(message.to_owned()) {
                eprintln!("warning: chemfiles: {message}");
            }
        });
    });
}

fn fault(error: &chemfiles::Error) -> Fault {
    Fault::new(error.message.clone())
}

impl Reading {
    fn next(&mut self) -> Result<Option<Frame>, Fault> {
        if self.frames == self.count {
            return Ok(None);
        }
        let mut raw = chemfiles::Frame::new();
        self.trajectory.read(&mut raw).map_err(|e| fault(&e))?;
        let mut frame = from_chemfiles(&raw, self.format)?;
        if frame.cell != Cell::open() {
            self.cell = Some(frame.cell.clone());
        } else if let (Some(cell), "pdb") = (&self.cell, self.format.name()) {
            frame.cell = cell.clone();
        }
        self.frames += 1;
        Ok(Some(frame))
    }
}

fn vec3(v: &[f64; 3]) -> Vec3 {
    Vec3::from(*v)
}

fn from_chemfiles(raw: &chemfiles::Frame, format: Format) -> Result<Frame, Fault> {
    let holds = format.holds();
    // its positions would be a null pointer
    if raw.size() == 0 {
        return Err(Fault::new("there are no atoms").hint(format!("is this a {format} file, and complete?")));
    }
    let cell = match raw.cell().shape() {
        CellShape::Infinite => Cell::open(),
        _ => {
            let [a, b, c] = raw.cell().matrix();
            let rows = [a, b, c].concat();
            Cell::from_matrix(Mat3::from_row_slice(&rows), [true; 3])
                .map_err(|e| Fault::new(format!("cell: {e}")))?
        }
    };
    let positions: Vec<Vec3> = raw.positions().iter().map(vec3).collect();
    if let Some(i) = positions.iter().position(|r| !r.iter().all(|x| x.is_finite())) {
        return Err(Fault::new(format!("the position of atom {} is not finite", i + 1)));
    }
    let n = positions.len();
    let residues = Residues::of(raw, n);
    let (mut symbols, mut names) = (Vec::with_capacity(n), Vec::with_capacity(n));
    let (mut masses, mut charges) = (Vec::with_capacity(n), Vec::with_capacity(n));
    for i in 0..n {
        let atom = raw.atom(i);
        let (kind, name) = (atom.atomic_type().trim().to_owned(), atom.name().trim().to_owned());
        // bytes of another format pass for names and numbers where columns are fixed
        if let Some(bad) = [&kind, &name].into_iter().find(|s| !is_name(s)) {
            let message = format!("atom {} has the name {bad:?}, which is no text", i + 1);
            return Err(Fault::new(message).hint(format!("is this a {format} file?")));
        }
        let known = [&kind, &name].into_iter().find(|s| elements::atomic_number(s).is_some());
        // the element column is in capitals; where it is empty chemfiles takes the name, of which the residue says what it means
        let meant = || match format.name() {
            "pdb" if !kind.is_empty() && kind != name => names::proper(&kind),
            "pdb" => names::element(&name, &residues.names[i]),
            _ => None,
        };
        let symbol = known.cloned().or_else(|| meant().map(str::to_owned));
        symbols.push(symbol.unwrap_or_else(|| if kind.is_empty() { name.clone() } else { kind.clone() }));
        names.push(name);
        masses.push(atom.mass());
        charges.push(atom.charge());
    }
    let mut frame = Frame::new(symbols, positions, cell);
    if names.iter().zip(&frame.symbols).any(|(a, b)| a != b && !a.is_empty()) {
        let named = |(name, symbol): (String, &String)| if name.is_empty() { symbol.clone() } else { name };
        let names = names.into_iter().zip(&frame.symbols).map(named).collect();
        frame.arrays.insert("atomtypes", Array::texts(names));
    }
    let differs = |(m, s): (&f64, &String)| elements::mass(s).is_none_or(|w| (m - w).abs() > 0.02);
    if masses.iter().all(|m| *m > 0.0) && masses.iter().zip(&frame.symbols).any(differs) {
        frame.masses = Some(masses);
    }
    if charges.iter().any(|q| *q != 0.0) {
        frame.charges = Some(charges);
    }
    let velocities = if holds.velocities { raw.velocities() } else { None };
    frame.velocities = velocities.map(|v| v.iter().map(|v| vec3(v) / PICOSECOND).collect());
    if holds.time {
        frame.step = Some(raw.step() as u64);
        if let Some((_, Property::Double(t))) = raw.properties().find(|(k, _)| k == "time") {
            frame.time = Some(t * PICOSECOND);
        }
    }
    if let Some((_, Property::String(title))) = raw.properties().find(|(k, _)| k == "name") {
        frame.info.insert("title", Value::Text(title));
    }
    residues.put(&mut frame);
    let bonds = raw.topology().bonds();
    if !bonds.is_empty() {
        let bonds = bonds.into_iter().map(|b| (String::new(), b.map(|i| i as u32))).collect();
        frame.topology = Some(Box::new(Topology { bonds, ..Topology::default() }));
    }
    Ok(frame)
}

/// Whether a name, which may be empty, is printed without white space.
fn is_name(text: &str) -> bool {
    text.chars().all(|c| c.is_ascii_graphic())
}

/// Residue name, number and chain of each atom; empty where there is none.
struct Residues {
    names: Vec<String>,
    numbers: Vec<i64>,
    chains: Vec<String>,
}

impl Residues {
    fn of(raw: &chemfiles::Frame, n: usize) -> Self {
        let topology = raw.topology();
        let mut all =
            Self { names: vec![String::new(); n], numbers: vec![0; n], chains: vec![String::new(); n] };
        for r in (0..topology.residues_count()).filter_map(|k| topology.residue(k as usize)) {
            // `get` would warn about every residue without a chain
            let chain = match r.properties().find(|(k, _)| k == "chainid") {
                Some((_, Property::String(c))) => c.trim().to_owned(),
                _ => String::new(),
            };
            for i in r.atoms().into_iter().filter(|i| *i < n) {
                r.name().trim().clone_into(&mut all.names[i]);
                all.numbers[i] = r.id().unwrap_or(0);
                all.chains[i].clone_from(&chain);
            }
        }
        all
    }
    fn put(self, frame: &mut Frame) {
        let fill =
            |v: Vec<String>| v.into_iter().map(|s| if s.is_empty() { "-".into() } else { s }).collect();
        if self.names.iter().any(|s| !s.is_empty()) {
            frame.arrays.insert("residuenames", Array::texts(fill(self.names)));
            frame.arrays.insert("residuenumbers", Array::ints(self.numbers));
        }
        if self.chains.iter().any(|s| !s.is_empty()) {
            frame.arrays.insert("chainids", Array::texts(fill(self.chains)));
        }
    }
}

struct ChemfilesWriter {
    path: PathBuf,
    format: Format,
    /// `None` once a sync has closed the file.
    trajectory: Option<Trajectory>,
    frames: u64,
}

/// Creates a file with the chemfiles format of this name.
pub(crate) fn create(
    path: &Path,
    format: Format,
    name: &str,
    options: &WriteOptions,
) -> Result<Box<dyn Writer>, Fault> {
    // none of the formats written this way has a place for provenance or a choice of precision
    let _ = options;
    let trajectory = Some(Trajectory::open_with_format(path, 'w', name).map_err(|e| fault(&e))?);
    Ok(Box::new(ChemfilesWriter { path: path.to_owned(), format, trajectory, frames: 0 }))
}

impl ChemfilesWriter {
    fn put(&mut self, frame: &Frame) -> Result<(), Fault> {
        if self.frames == 1 && !self.format.holds().frames {
            return Err(Fault::new("this format holds one structure only"));
        }
        // SDF knows formal charges only
        let raw = to_chemfiles(frame, self.format.name() != "sdf")?;
        let trajectory = self.trajectory.as_mut().ok_or_else(|| {
            Fault::new("a file of this format cannot grow after it was synced")
                .hint("write extxyz and convert it")
        })?;
        trajectory.write(&raw).map_err(|e| fault(&e))?;
        self.frames += 1;
        Ok(())
    }
    fn settle(&mut self) -> Result<Position, Fault> {
        self.trajectory = None;
        let file = std::fs::File::open(&self.path).map_err(|e| Fault::io("opening", e))?;
        file.sync_all().map_err(|e| Fault::io("syncing to disk", e))?;
        let bytes = file.metadata().map_err(|e| Fault::io("reading the length", e))?.len();
        Ok(Position { frames: self.frames, bytes })
    }
}

impl Writer for ChemfilesWriter {
    fn write(&mut self, frame: &Frame) -> Result<(), IoError> {
        self.put(frame).map_err(|f| IoError::new(&self.path, Some(self.format), f.frame(self.frames)))
    }
    fn sync(&mut self) -> Result<Position, IoError> {
        self.settle().map_err(|f| IoError::new(&self.path, Some(self.format), f))
    }
    fn position(&self) -> Position {
        Position { frames: self.frames, bytes: 0 }
    }
    fn unwritten(&mut self) -> Result<&[u8], IoError> {
        Ok(&[])
    }
}

fn to_chemfiles(frame: &Frame, charges: bool) -> Result<chemfiles::Frame, Fault> {
    let mut raw = chemfiles::Frame::new();
    let texts = |name: &str| frame.arrays.get(name).and_then(Array::as_texts);
    let names = texts("atomtypes");
    if frame.velocities.is_some() {
        raw.add_velocities();
    }
    for (i, (symbol, r)) in frame.symbols.iter().zip(&frame.positions).enumerate() {
        let name = names.map_or(symbol, |n| &n[i]).replace('\0', "");
        let mut atom = chemfiles::Atom::new(name.as_str());
        atom.set_atomic_type(symbol.replace('\0', "").as_str());
        // the atom type of MOL2, which chemfiles would otherwise guess with a warning for each atom
        atom.set("sybyl", symbol.replace('\0', "").as_str());
        if let Some(q) = frame.charges.as_ref().filter(|_| charges) {
            atom.set_charge(q[i]);
        }
        let v = frame.velocities.as_ref().map(|v| (v[i] * PICOSECOND).into());
        raw.add_atom(&atom, (*r).into(), v);
    }
    if frame.cell.is_fully_periodic() {
        if frame.cell.matrix().determinant() <= 0.0 {
            return Err(Fault::new("the lattice vectors are left-handed, which this format cannot hold"));
        }
        let h = frame.cell.matrix();
        let rows = std::array::from_fn(|i| std::array::from_fn(|j| h[(i, j)]));
        raw.set_cell(&UnitCell::from_matrix(rows));
    }
    if let (Some(names), Some(ids)) =
        (texts("residuenames"), frame.arrays.get("residuenumbers").and_then(Array::as_ints))
    {
        let mut start = 0;
        for i in 1..=frame.len() {
            if i == frame.len() || ids[i] != ids[start] || names[i] != names[start] {
                let mut residue =
                    chemfiles::Residue::with_id(names[start].replace('\0', "").as_str(), ids[start]);
                (start..i).for_each(|k| residue.add_atom(k));
                raw.add_residue(&residue).map_err(|e| fault(&e))?;
                start = i;
            }
        }
    }
    for (_, [i, j]) in frame.topology.iter().flat_map(|t| &t.bonds) {
        raw.add_bond(*i as usize, *j as usize);
    }
    Ok(raw)
}
