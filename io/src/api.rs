//! Opening, creating and resuming files of any format.
use crate::binary::Binary;
use crate::encode::FileWriter;
use crate::error::Fault;
use crate::format::{Input, Output};
use crate::text::Lines;
use crate::{Format, Frame, IoError, WriteOptions, formats};
use std::path::{Path, PathBuf};

/// Frames of a file, one after the other.
pub trait Reader {
    /// The next frame, or `None` after the last.
    ///
    /// # Errors
    /// What is wrong with the file, and on which line or in which frame.
    fn next_frame(&mut self) -> Result<Option<Frame>, IoError>;
}

/// A file that takes frames.
pub trait Writer {
    /// Appends a frame. It may stay in memory until [`Writer::sync`].
    ///
    /// # Errors
    /// A frame the format cannot hold, or a failing disk.
    fn write(&mut self, frame: &Frame) -> Result<(), IoError>;
    /// Brings everything onto the disk (flush, header counts, fsync) and says where the file stands, for
    /// checkpoints and [`resume`].
    ///
    /// # Errors
    /// A failing disk.
    fn sync(&mut self) -> Result<Position, IoError>;
    /// Where the file stands with what is still in memory.
    fn position(&self) -> Position;
    /// The end of the file that is still in memory, after bringing what was written of it onto the disk: what is left to
    /// save of a file that cannot grow.
    ///
    /// # Errors
    /// A failing disk.
    fn unwritten(&mut self) -> Result<&[u8], IoError>;
}

/// How far a file is written: what a checkpoint remembers of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Position {
    /// Frames in the file.
    pub frames: u64,
    /// Its length, bytes.
    pub bytes: u64,
}

/// Unit system of LAMMPS files.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LammpsUnits {
    /// Å, ps, eV, u.
    #[default]
    Metal,
    /// Å, fs, kcal/mol, u.
    Real,
    /// Reduced units: the numbers stay as they are.
    Lj,
}

/// What a reader cannot know from the file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct ReadOptions {
    /// Units of LAMMPS files; where absent what the file says, else metal. Of H5MD files it gives the units of what
    /// names none, and with reduced units all numbers stay as they are.
    pub units: Option<LammpsUnits>,
    /// Species of the numeric atom types 1, 2, … of LAMMPS and H5MD files; where absent what the file says.
    pub types: Vec<String>,
    /// The group of particles to read of an H5MD file that has several.
    pub group: Option<String>,
}

/// Decodes a text format.
pub(crate) trait Decoder {
    /// The next frame, or `None` at the end.
    fn decode(&mut self, lines: &mut Lines) -> Result<Option<Frame>, Fault>;
}

/// Frames of an open file, one a call, and `None` after the last.
pub(crate) type Frames = Box<dyn FnMut() -> Result<Option<Frame>, Fault>>;

/// Adds to errors of decoding in which file and frame they are.
struct FileReader {
    path: PathBuf,
    format: Format,
    next: Frames,
    frames: u64,
}

impl Reader for FileReader {
    fn next_frame(&mut self) -> Result<Option<Frame>, IoError> {
        let frame = (self.next)();
        let frame = frame.map_err(|f| IoError::new(&self.path, Some(self.format), f.frame(self.frames)))?;
        self.frames += 1;
        Ok(frame)
    }
}

/// Decodes a binary format.
pub(crate) trait BinaryDecoder {
    /// The next frame, or `None` at the end.
    fn decode(&mut self, file: &mut Binary) -> Result<Option<Frame>, Fault>;
}

/// Opens a file; the format follows from its name.
///
/// # Errors
/// A name of no known format, or a file that cannot be opened.
pub fn open(path: impl AsRef<Path>) -> Result<Box<dyn Reader>, IoError> {
    let path = path.as_ref();
    open_as(path, Format::from_path(path)?)
}

/// Opens a file of a stated format.
///
/// # Errors
/// A format that is not read, or a file that cannot be opened.
pub fn open_as(path: impl AsRef<Path>, format: Format) -> Result<Box<dyn Reader>, IoError> {
    open_with(path, format, &ReadOptions::default())
}

/// Opens a file of a stated format that does not say everything itself.
///
/// # Errors
/// Those of [`open_as`].
pub fn open_with(
    path: impl AsRef<Path>,
    format: Format,
    options: &ReadOptions,
) -> Result<Box<dyn Reader>, IoError> {
    let path = path.as_ref();
    let next: Result<Frames, Fault> = match format.input() {
        Input::Text(decoder) => Lines::open(path).map(|mut lines| {
            let mut decoder = decoder(options);
            Box::new(move || decoder.decode(&mut lines)) as Frames
        }),
        Input::Binary(decoder) => Binary::open(path).map(|mut file| {
            let mut decoder = decoder();
            Box::new(move || decoder.decode(&mut file)) as Frames
        }),
        Input::File(open) => open(path, options),
        Input::Chemfiles(name) => formats::chemfiles::open(path, format, name),
        Input::None(why) => Err(Fault::new(format!("{format} files are not read: {why}"))),
    };
    let next = next.map_err(|f| IoError::new(path, Some(format), f))?;
    Ok(Box::new(FileReader { path: path.to_owned(), format, next, frames: 0 }))
}

/// All frames of a file.
///
/// # Errors
/// Those of [`open`] and [`Reader::next_frame`]; a file without any frame.
pub fn read_all(path: impl AsRef<Path>) -> Result<Vec<Frame>, IoError> {
    let path = path.as_ref();
    let mut reader = open(path)?;
    let mut frames = Vec::new();
    while let Some(frame) = reader.next_frame()? {
        frames.push(frame);
    }
    if frames.is_empty() {
        return Err(IoError::new(
            path,
            Format::from_path(path).ok(),
            Fault::new("no structure in this file"),
        ));
    }
    Ok(frames)
}

/// Creates a file, replacing one of the same name.
///
/// # Errors
/// A format that is not written, or a place that cannot be written to.
pub fn create(
    path: impl AsRef<Path>,
    format: Format,
    options: &WriteOptions,
) -> Result<Box<dyn Writer>, IoError> {
    let path = path.as_ref();
    let fail = |f: Fault| IoError::new(path, Some(format), f);
    check_writable(path, format)?;
    match format.output() {
        Output::Native(encoder) => {
            Ok(Box::new(FileWriter::create(path, format, encoder(options)).map_err(fail)?))
        }
        Output::Chemfiles(name) => formats::chemfiles::create(path, format, name, options).map_err(fail),
        Output::None => Err(fail(not_written(format))),
    }
}

/// Continues a file from a position that [`Writer::sync`] returned: what was written after it is cut off. With the
/// same options and the same frames, the file ends up with the same bytes as one that was never interrupted.
///
/// # Errors
/// A file shorter than the position; a format that cannot be continued (those written through chemfiles).
pub fn resume(
    path: impl AsRef<Path>,
    format: Format,
    position: Position,
    options: &WriteOptions,
) -> Result<Box<dyn Writer>, IoError> {
    let path = path.as_ref();
    let fail = |f: Fault| IoError::new(path, Some(format), f);
    check_writable(path, format)?;
    match format.output() {
        Output::Native(encoder) => {
            Ok(Box::new(FileWriter::resume(path, format, encoder(options), position).map_err(fail)?))
        }
        Output::Chemfiles(_) => {
            Err(fail(Fault::new(format!("a {format} file cannot be continued after an interruption")).hint(
                "write the trajectory as extxyz, xtc, trr, dcd or amber-netcdf and convert it afterwards",
            )))
        }
        Output::None => Err(fail(not_written(format))),
    }
}

fn not_written(format: Format) -> Fault {
    let names: Vec<&str> = Format::all().filter(|f| f.writes()).map(Format::name).collect();
    Fault::new(format!("{format} files are not written"))
        .hint(format!("formats that are: {}", names.join(", ")))
}

/// Tells whether a file of a format can be written under a name.
///
/// # Errors
/// A format that is not written; a name of a compressed file.
pub fn check_writable(path: impl AsRef<Path>, format: Format) -> Result<(), IoError> {
    let path = path.as_ref();
    if !format.writes() {
        return Err(IoError::new(path, Some(format), not_written(format)));
    }
    let compressed =
        path.extension().is_some_and(|e| ["gz", "xz", "bz2"].iter().any(|c| e.eq_ignore_ascii_case(c)));
    if compressed {
        let fault = Fault::new("compressed files are read but not written")
            .hint("compress the finished file instead");
        return Err(IoError::new(path, Some(format), fault));
    }
    Ok(())
}
