//! GROMACS TRR: positions, velocities and forces of single or double precision, XDR.
//!
//! nm, nm/ps, kJ/mol/nm, ps. Written with single precision.
use crate::api::BinaryDecoder;
use crate::binary::units::{KJ_PER_MOL, NANOMETRE, PICOSECOND};
use crate::binary::{Binary, check_finite, count, nameless, put_f32, put_i32, put_vectors};
use crate::encode::Encoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::{Frame, WriteOptions, orient};
use caloron_engine::{Cell, Mat3, Vec3};

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "trr",
    extensions: &["trr"],
    file_names: &[],
    about: "GROMACS trajectory of full precision",
    holds: Holds { frames: true, cell: true, velocities: true, forces: true, time: true, ..Holds::NONE },
    input: Input::Binary(|| Box::new(Reading)),
    output: Output::Native(|options| Box::new(Writing::new(options))),
}];

const MAGIC: i32 = 1993;
const VERSION: &[u8; 12] = b"GMX_trn_file";

struct Reading;

impl BinaryDecoder for Reading {
    fn decode(&mut self, file: &mut Binary) -> Result<Option<Frame>, Fault> {
        if file.left() == 0 {
            return Ok(None);
        }
        if file.i32()? != MAGIC {
            return Err(Fault::new("no TRR frame begins here (the number 1993 is missing)"));
        }
        file.skip(4)?;
        let version = file.u32()?;
        file.skip(u64::from(version).next_multiple_of(4))?;
        let mut sizes = [0u64; 10];
        for s in &mut sizes {
            *s = u64::try_from(file.i32()?).map_err(|_| Fault::new("a block of negative size"))?;
        }
        let [_, _, cell_size, virial, pressure, _, _, x, v, f] = sizes;
        if sizes[0] + sizes[1] + sizes[5] + sizes[6] != 0 {
            return Err(Fault::new("blocks that only TRR files of very old GROMACS versions have"));
        }
        let atoms = u64::try_from(file.i32()?).map_err(|_| Fault::new("a negative number of atoms"))?;
        let step = file.i32()?;
        file.skip(4)?;
        let double = cell_size == 72 || [x, v, f].iter().any(|s| atoms > 0 && *s == 24 * atoms);
        let size = if double { 8 } else { 4 };
        for s in [x, v, f] {
            if s != 0 && s != 3 * atoms * size {
                return Err(Fault::new(format!("a block of {s} bytes for {atoms} atoms")));
            }
        }
        if x == 0 && atoms > 0 {
            return Err(Fault::new("this frame has no positions").hint("write positions with every frame"));
        }
        if cell_size != 0 && cell_size != 9 * size {
            return Err(Fault::new(format!("a cell of {cell_size} bytes")));
        }
        let time = file.real(double)?;
        file.real(double)?;
        let cell = if cell_size == 0 { Cell::open() } else { cell(&file.reals(9, double)?)? };
        file.skip(virial)?;
        file.skip(pressure)?;
        let positions = file.vectors(atoms, double, NANOMETRE)?;
        check_finite(&positions)?;
        let mut frame = Frame::new(nameless(positions.len()), positions, cell);
        if v > 0 {
            frame.velocities = Some(file.vectors(atoms, double, NANOMETRE / PICOSECOND)?);
        }
        if f > 0 {
            frame.forces = Some(file.vectors(atoms, double, KJ_PER_MOL / NANOMETRE)?);
        }
        frame.step = u64::try_from(step).ok();
        frame.time = Some(time * PICOSECOND);
        Ok(Some(frame))
    }
}

/// The cell of nine numbers in nm, vector after vector; all zero stands for none.
pub(super) fn cell(v: &[f64]) -> Result<Cell, Fault> {
    if v.iter().all(|x| *x == 0.0) {
        return Ok(Cell::open());
    }
    let h = Mat3::from_column_slice(v) * NANOMETRE;
    Cell::from_matrix(h, [true; 3]).map_err(|e| Fault::new(format!("cell: {e}")))
}

/// Appends the cell as GROMACS formats store it.
pub(super) fn put_cell(out: &mut Vec<u8>, cell: &Cell) {
    let h = if *cell == Cell::open() { Mat3::zeros() } else { *cell.matrix() };
    h.as_slice().iter().for_each(|x| put_f32(out, x / NANOMETRE));
}

/// The step as these formats store it.
pub(super) fn put_step(out: &mut Vec<u8>, frame: &Frame, index: u64) {
    // 32 bits: GROMACS lets longer runs wrap around as well
    put_i32(out, (frame.step.unwrap_or(index) & 0x7fff_ffff) as i32);
}

struct Writing {
    picosecond: f64,
    force: f64,
}

impl Writing {
    fn new(options: &WriteOptions) -> Self {
        let force = options.time_unit(KJ_PER_MOL) / NANOMETRE;
        Self { picosecond: options.time_unit(PICOSECOND), force }
    }
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let frame = &*orient::standard(frame)?;
        let atoms = count(frame)?;
        let block = |v: &Option<Vec<Vec3>>| if v.is_some() { 12 * atoms } else { 0 };
        if atoms > i32::MAX / 12 {
            return Err(Fault::new("more atoms than this format can count"));
        }
        put_i32(out, MAGIC);
        put_i32(out, VERSION.len() as i32 + 1);
        put_i32(out, VERSION.len() as i32);
        out.extend_from_slice(VERSION);
        let sizes = [0, 0, 36, 0, 0, 0, 0, 12 * atoms, block(&frame.velocities), block(&frame.forces)];
        sizes.into_iter().for_each(|s| put_i32(out, s));
        put_i32(out, atoms);
        put_step(out, frame, index);
        put_i32(out, 0);
        put_f32(out, frame.time.unwrap_or(0.0) / self.picosecond);
        put_f32(out, 0.0);
        put_cell(out, &frame.cell);
        put_vectors(out, &frame.positions, NANOMETRE);
        if let Some(v) = &frame.velocities {
            put_vectors(out, v, NANOMETRE / self.picosecond);
        }
        if let Some(f) = &frame.forces {
            put_vectors(out, f, self.force);
        }
        Ok(())
    }
}
