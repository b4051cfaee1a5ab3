//! GROMACS XTC: positions rounded to a grid (0.01 Å unless asked otherwise) and compressed.
//!
//! nm, ps. Coordinates, cell and time pass through single precision.
mod bits;
mod pack;

use super::trr::{cell, put_cell, put_step};
use crate::api::BinaryDecoder;
use crate::binary::units::{NANOMETRE, PICOSECOND};
use crate::binary::{Binary, check_finite, count, nameless, put_f32, put_i32, put_vectors};
use crate::encode::Encoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::{Frame, WriteOptions, orient};
use caloron_engine::Vec3;
use pack::Packed;

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "xtc",
    extensions: &["xtc"],
    file_names: &[],
    about: "GROMACS compressed trajectory",
    holds: Holds { frames: true, cell: true, time: true, ..Holds::NONE },
    input: Input::Binary(|| Box::new(Reading)),
    output: Output::Native(|options| Box::new(Writing::new(options))),
}];

const MAGIC: i32 = 1995;
/// Frames whose compressed bytes are counted with 64 bits.
const MAGIC_WIDE: i32 = 2023;
/// Up to this many atoms are stored as plain numbers.
const UNCOMPRESSED: usize = 9;

struct Reading;

impl BinaryDecoder for Reading {
    fn decode(&mut self, file: &mut Binary) -> Result<Option<Frame>, Fault> {
        if file.left() == 0 {
            return Ok(None);
        }
        let magic = file.i32()?;
        if magic != MAGIC && magic != MAGIC_WIDE {
            return Err(Fault::new("no XTC frame begins here (the number 1995 is missing)"));
        }
        let atoms = file.i32()?;
        let step = file.i32()?;
        let time = file.f32()?;
        let lattice = cell(&file.reals(9, false)?)?;
        let again = file.i32()?;
        let n = usize::try_from(atoms).ok().filter(|_| again == atoms);
        let n = n.ok_or_else(|| Fault::new(format!("{atoms} atoms, then {again}: the file is damaged")))?;
        let positions = if n <= UNCOMPRESSED {
            file.vectors(n as u64, false, NANOMETRE)?
        } else {
            compressed(file, n, magic == MAGIC_WIDE)?
        };
        check_finite(&positions)?;
        let mut frame = Frame::new(nameless(positions.len()), positions, lattice);
        frame.step = u64::try_from(step).ok();
        frame.time = Some(time * PICOSECOND);
        Ok(Some(frame))
    }
}

fn compressed(file: &mut Binary, n: usize, wide: bool) -> Result<Vec<Vec3>, Fault> {
    let precision = file.f32()?;
    if !(precision.is_finite() && precision > 0.0) {
        return Err(Fault::new(format!("the precision is {precision}")));
    }
    let mut point = || Ok([file.i32()?, file.i32()?, file.i32()?]);
    let (least, most) = (point()?, point()?);
    let small = file.i32()?;
    let length = if wide { file.u64()? } else { file.u32()?.into() };
    let mut bytes = file.bytes(length.saturating_add(3) & !3)?;
    bytes.truncate(length as usize);
    let points = pack::unpack(&Packed { least, most, small, bytes }, n)?;
    Ok(points.into_iter().map(|p| Vec3::from(p.map(f64::from)) * (NANOMETRE / precision)).collect())
}

struct Writing {
    picosecond: f64,
    /// Grid points in a nanometre.
    precision: f32,
    points: Vec<[i32; 3]>,
}

impl Writing {
    fn new(options: &WriteOptions) -> Self {
        let precision = (NANOMETRE / options.precision) as f32;
        Self { picosecond: options.time_unit(PICOSECOND), precision, points: Vec::new() }
    }
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        if !(self.precision.is_finite() && self.precision > 0.0) {
            return Err(Fault::new("the precision must be a positive length"));
        }
        let frame = &*orient::standard(frame)?;
        let atoms = count(frame)?;
        put_i32(out, MAGIC);
        put_i32(out, atoms);
        put_step(out, frame, index);
        put_f32(out, frame.time.unwrap_or(0.0) / self.picosecond);
        put_cell(out, &frame.cell);
        put_i32(out, atoms);
        if frame.len() <= UNCOMPRESSED {
            put_vectors(out, &frame.positions, NANOMETRE);
            return Ok(());
        }
        self.points.clear();
        let scale = f64::from(self.precision) / NANOMETRE;
        for (i, r) in frame.positions.iter().enumerate() {
            let grid = r * scale;
            // NaN fails as well
            if !grid.iter().all(|x| x.abs() < f64::from(i32::MAX - 2)) {
                let message =
                    format!("the position of atom {} does not fit the grid of {} Å", i + 1, 1.0 / scale);
                return Err(
                    Fault::new(message).hint("wrap the positions, choose a coarser precision or write TRR")
                );
            }
            self.points.push([grid.x.round() as i32, grid.y.round() as i32, grid.z.round() as i32]);
        }
        let packed = pack::pack(&mut self.points)?;
        put_f32(out, f64::from(self.precision));
        packed.least.iter().chain(&packed.most).for_each(|x| put_i32(out, *x));
        put_i32(out, packed.small);
        let length = i32::try_from(packed.bytes.len())
            .map_err(|_| Fault::new("more atoms than this format can count"))?;
        put_i32(out, length);
        out.extend_from_slice(&packed.bytes);
        out.resize(out.len() + packed.bytes.len().next_multiple_of(4) - packed.bytes.len(), 0);
        Ok(())
    }
}
