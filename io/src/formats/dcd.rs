//! DCD of CHARMM, NAMD, LAMMPS and others: Fortran records, single precision.
//!
//! Å, degrees (or cosines, which some programs write), time in sqrt(u Å² / (kcal/mol)) = 48.888 fs. The file states the
//! step of the first frame and one interval for all.
use crate::api::BinaryDecoder;
use crate::binary::units::KCAL_PER_MOL;
use crate::binary::{Binary, check_finite, count, nameless, same_count};
use crate::encode::Encoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::{Frame, WriteOptions, orient};
use caloron_engine::{Cell, Vec3};

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "dcd",
    extensions: &["dcd"],
    file_names: &[],
    about: "DCD trajectory",
    holds: Holds { frames: true, cell: true, time: true, provenance: true, ..Holds::NONE },
    input: Input::Binary(|| Box::new(Reading::default())),
    output: Output::Native(|options| Box::new(Writing::new(options))),
}];

/// The unit of time in internal units.
fn akma() -> f64 {
    KCAL_PER_MOL.powf(-0.5)
}

#[derive(Default)]
struct Reading {
    header: Option<Header>,
    frames: u64,
    /// Positions of the first frame, where fixed atoms stay.
    first: Vec<Vec3>,
}

struct Header {
    wide: bool,
    atoms: u64,
    /// Indices of the atoms that later frames hold, if some are fixed.
    free: Option<Vec<usize>>,
    first_step: i32,
    interval: i32,
    delta: f64,
    has_cell: bool,
    has_fourth: bool,
    titles: String,
}

/// Opens a Fortran record: its length.
fn begin(file: &mut Binary, wide: bool) -> Result<u64, Fault> {
    let length = if wide { file.u64()? } else { file.u32()?.into() };
    if length > file.left() {
        return Err(Fault::new(format!("a record of {length} bytes where {} are left", file.left()))
            .hint("the writing program was probably stopped; frames before this one are complete"));
    }
    Ok(length)
}

/// Closes a Fortran record, whose length stands at its end again.
fn end(file: &mut Binary, wide: bool, length: u64) -> Result<(), Fault> {
    let again = if wide { file.u64()? } else { file.u32()?.into() };
    if again == length {
        Ok(())
    } else {
        Err(Fault::new("the lengths around a record differ: the file is damaged"))
    }
}

fn read_header(file: &mut Binary) -> Result<Header, Fault> {
    let magic = file.bytes(12)?;
    let wide;
    (file.little, wide) = match (&magic[..4], &magic[4..8], &magic[8..12]) {
        ([84, 0, 0, 0], b"CORD", _) => (true, false),
        ([0, 0, 0, 84], b"CORD", _) => (false, false),
        ([84, 0, 0, 0], [0, 0, 0, 0], b"CORD") => (true, true),
        ([0, 0, 0, 0], [0, 0, 0, 84], b"CORD") => (false, true),
        _ => return Err(Fault::new("this is no DCD trajectory of coordinates (`CORD` is missing)")),
    };
    file.seek(if wide { 12 } else { 8 })?;
    let control = (0..20).map(|_| file.i32()).collect::<Result<Vec<_>, _>>()?;
    end(file, wide, 84)?;
    let delta = if control[19] != 0 { f64::from(f32::from_bits(control[9] as u32)) } else { 0.0 };
    let length = begin(file, wide)?;
    let titles = String::from_utf8_lossy(&file.bytes(length)?).into_owned();
    end(file, wide, length)?;
    let length = begin(file, wide)?;
    let atoms = u64::try_from(file.i32()?).map_err(|_| Fault::new("a negative number of atoms"))?;
    end(file, wide, length)?;
    let fixed = u64::try_from(control[8]).ok().filter(|n| *n <= atoms);
    let fixed = fixed.ok_or_else(|| Fault::new(format!("{} fixed atoms of {atoms}", control[8])))?;
    let free = if fixed == 0 {
        None
    } else {
        let length = begin(file, wide)?;
        if length != 4 * (atoms - fixed) {
            return Err(Fault::new("the list of free atoms has the wrong length"));
        }
        let index = |i: i32| usize::try_from(i - 1).ok().filter(|i| (*i as u64) < atoms);
        let list =
            (0..atoms - fixed).map(|_| file.i32().map(index)).collect::<Result<Option<Vec<_>>, _>>()?;
        end(file, wide, length)?;
        Some(list.ok_or_else(|| Fault::new("a free atom that does not exist"))?)
    };
    let charmm = control[19] != 0;
    let (has_cell, has_fourth) = (charmm && control[10] != 0, charmm && control[11] != 0);
    Ok(Header {
        wide,
        atoms,
        free,
        first_step: control[1],
        interval: control[2],
        delta,
        has_cell,
        has_fourth,
        titles,
    })
}

/// The cell of a, γ, b, β, α, c; the angles in degrees or as cosines. Zero lengths stand for no cell.
fn cell(v: &[f64]) -> Result<Cell, Fault> {
    let &[a, gamma, b, beta, alpha, c] = v else { return Err(Fault::new("a cell of the wrong length")) };
    if a == 0.0 && b == 0.0 && c == 0.0 {
        return Ok(Cell::open());
    }
    let mut angles = [alpha, beta, gamma];
    if angles.iter().all(|x| x.abs() <= 1.0) {
        angles = angles.map(|x| if x == 0.0 { 90.0 } else { x.acos().to_degrees() });
    }
    Cell::from_lengths_angles([a, b, c], angles).map_err(|e| Fault::new(e.to_string()))
}

impl BinaryDecoder for Reading {
    fn decode(&mut self, file: &mut Binary) -> Result<Option<Frame>, Fault> {
        let header = match &self.header {
            Some(h) => h,
            None if file.left() == 0 => return Ok(None),
            None => self.header.insert(read_header(file)?),
        };
        if file.left() == 0 {
            return Ok(None);
        }
        let wide = header.wide;
        let mut lattice = Cell::open();
        if header.has_cell {
            let length = begin(file, wide)?;
            if length != 48 {
                return Err(Fault::new(format!("a cell of {length} bytes instead of 48")));
            }
            lattice = cell(&file.reals(6, true)?)?;
            end(file, wide, length)?;
        }
        let free = header.free.as_ref().filter(|_| self.frames > 0);
        let n = free.map_or(header.atoms, |f| f.len() as u64);
        let mut axis = || {
            let length = begin(file, wide)?;
            if length != 4 * n {
                return Err(Fault::new(format!("a record of {length} bytes for {n} atoms")));
            }
            let values = file.reals(n, false)?;
            end(file, wide, length).map(|()| values)
        };
        let (x, y, z) = (axis()?, axis()?, axis()?);
        if header.has_fourth {
            let length = begin(file, wide)?;
            file.skip(length)?;
            end(file, wide, length)?;
        }
        let read = x.into_iter().zip(y).zip(z).map(|((x, y), z)| Vec3::new(x, y, z));
        let positions: Vec<Vec3> = match free {
            None => read.collect(),
            Some(free) => {
                let mut all = self.first.clone();
                free.iter().zip(read).for_each(|(&i, r)| all[i] = r);
                all
            }
        };
        check_finite(&positions)?;
        if header.free.is_some() && self.frames == 0 {
            self.first.clone_from(&positions);
        }
        let mut frame = Frame::new(nameless(positions.len()), positions, lattice);
        if header.interval > 0 {
            let step = i64::from(header.first_step) + self.frames as i64 * i64::from(header.interval);
            frame.step = u64::try_from(step).ok();
            frame.time = frame.step.filter(|_| header.delta > 0.0).map(|s| s as f64 * header.delta * akma());
        }
        self.frames += 1;
        Ok(Some(frame))
    }
}

/// Begins the title line that says when the trajectory starts, which the header cannot.
const START: &str = "Time of the first frame in A sqrt(u/eV): ";

/// Length of a title line.
const TITLE: usize = 80;

struct Writing {
    titles: Vec<String>,
    unit: f64,
    atoms: Option<usize>,
    has_cell: bool,
    first: (u64, f64),
    interval: u64,
    delta: f32,
}

impl Writing {
    fn new(options: &WriteOptions) -> Self {
        let titles = options.provenance.iter().map(|(k, v)| format!("{k}: {v}")).collect();
        let unit = options.time_unit(akma());
        Self { titles, unit, atoms: None, has_cell: false, first: (0, 0.0), interval: 1, delta: 0.0 }
    }
    fn header(&self, atoms: i32, out: &mut Vec<u8>) {
        let mut control = [0i32; 20];
        control[0] = 1;
        control[1] = self.first.0.min(i32::MAX as u64) as i32;
        control[2] = 1;
        control[3] = control[1];
        control[10] = i32::from(self.has_cell);
        control[19] = 24;
        let mut first = b"CORD".to_vec();
        control.iter().for_each(|c| first.extend_from_slice(&c.to_le_bytes()));
        record(out, &first);
        // titles are lines of 80 bytes; longer ones go on in the next
        let start = format!("{START}{:?}", self.first.1);
        let lines: Vec<Vec<u8>> = [&start]
            .into_iter()
            .chain(&self.titles)
            .flat_map(|t| t.as_bytes().chunks(TITLE).map(<[u8]>::to_vec))
            .collect();
        let mut titles = (lines.len() as i32).to_le_bytes().to_vec();
        for mut line in lines {
            line.resize(TITLE, b' ');
            titles.extend_from_slice(&line);
        }
        record(out, &titles);
        record(out, &atoms.to_le_bytes());
    }
}

fn record(out: &mut Vec<u8>, content: &[u8]) {
    let length = (content.len() as u32).to_le_bytes();
    out.extend_from_slice(&length);
    out.extend_from_slice(content);
    out.extend_from_slice(&length);
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let frame = &*orient::standard(frame)?;
        let atoms = count(frame)?;
        same_count(&mut self.atoms, frame)?;
        let has_cell = frame.cell != Cell::open();
        let (step, time) = (frame.step.unwrap_or(index), frame.time);
        if index == 0 {
            self.has_cell = has_cell;
            self.first = (step, time.unwrap_or(0.0));
            self.header(atoms, out);
        } else if self.has_cell != has_cell {
            return Err(Fault::new("some frames have a cell and others have none").hint("write extxyz"));
        } else if index == 1 {
            self.interval = step.saturating_sub(self.first.0).max(1);
            let elapsed = time.map_or(0.0, |t| t - self.first.1);
            self.delta = (elapsed / self.interval as f64 / self.unit) as f32;
        }
        if has_cell {
            let ([a, b, c], [alpha, beta, gamma]) = frame.cell.lengths_angles();
            let bytes: Vec<u8> = [a, gamma, b, beta, alpha, c].iter().flat_map(|x| x.to_le_bytes()).collect();
            record(out, &bytes);
        }
        let length = (4 * frame.len() as u32).to_le_bytes();
        for k in 0..3 {
            out.extend_from_slice(&length);
            frame.positions.iter().for_each(|r| out.extend_from_slice(&(r[k] as f32).to_le_bytes()));
            out.extend_from_slice(&length);
        }
        Ok(())
    }
    fn patches(&self, frames: u64) -> Vec<(u64, Vec<u8>)> {
        let whole = |x: u64| (x.min(i32::MAX as u64) as i32).to_le_bytes();
        let last = self.first.0 + self.interval * frames.saturating_sub(1);
        let mut counts = whole(frames).to_vec();
        counts.extend_from_slice(&whole(self.first.0));
        counts.extend_from_slice(&whole(self.interval));
        counts.extend_from_slice(&whole(last));
        vec![(8, counts), (44, self.delta.to_le_bytes().to_vec())]
    }
    fn resume(&mut self, file: &mut Binary, frames: u64) -> Result<(), Fault> {
        let header = read_header(file)?;
        if header.wide || !file.little || header.free.is_some() || header.has_fourth {
            return Err(Fault::new("this DCD was written by another program and cannot be continued"));
        }
        self.atoms = Some(header.atoms as usize);
        self.has_cell = header.has_cell;
        let first = u64::try_from(header.first_step).unwrap_or(0);
        let start = header.titles.split_once(START).and_then(|(_, t)| t.split_ascii_whitespace().next());
        let start = start.and_then(|t| t.parse().ok());
        self.first = (first, start.ok_or_else(|| Fault::new("this DCD was written by another program"))?);
        if frames > 1 {
            self.interval = u64::try_from(header.interval).unwrap_or(1);
            self.delta = header.delta as f32;
        }
        Ok(())
    }
}
