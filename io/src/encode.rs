//! Writing: from frames to bytes, from bytes to a file that survives a crash.
use crate::api::{Position, Writer};
use crate::binary::Binary;
use crate::error::Fault;
use crate::{Format, Frame, IoError};
use caloron_engine::UnitSystem;
use std::fs::{File, OpenOptions};
use std::io::{Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

/// How a file is written.
#[derive(Clone, Debug, PartialEq)]
pub struct WriteOptions {
    /// Names and values that say where the data come from; kept by formats that have a place for them.
    pub provenance: Vec<(String, String)>,
    /// Spacing of the grid to which XTC rounds coordinates, Å.
    pub precision: f64,
    /// Decimals of the numbers in extended XYZ; without it every number is written with the fewest digits that
    /// give the same bits back.
    pub decimals: Option<usize>,
    /// Physical units, or reduced units whose numbers go into the file as they are.
    pub units: UnitSystem,
}

impl Default for WriteOptions {
    fn default() -> Self {
        Self { provenance: Vec::new(), precision: 0.01, decimals: None, units: UnitSystem::Physical }
    }
}

impl WriteOptions {
    /// Internal time in one unit of the file that is `internal` long (1 for reduced units).
    pub(crate) fn time_unit(&self, internal: f64) -> f64 {
        match self.units {
            UnitSystem::Physical => internal,
            UnitSystem::Lj => 1.0,
        }
    }
    /// Provenance as one line, `name: value; name: value`.
    pub(crate) fn provenance_line(&self) -> String {
        let parts: Vec<String> = self.provenance.iter().map(|(k, v)| format!("{k}: {v}")).collect();
        parts.join("; ").replace(['\n', '\r'], " ")
    }
}

/// Turns frames into bytes. One encoder serves one file.
pub(crate) trait Encoder {
    /// Appends frame number `index` of the file (with the file header before the first) to `out`.
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault>;
    /// Bytes of the header that depend on the number of frames, with their offsets.
    fn patches(&self, frames: u64) -> Vec<(u64, Vec<u8>)> {
        let _ = frames;
        Vec::new()
    }
    /// Learns from an existing file of at least one frame what later frames need.
    fn resume(&mut self, file: &mut Binary, frames: u64) -> Result<(), Fault> {
        let _ = (file, frames);
        Ok(())
    }
}

/// Bytes kept in memory before they go to the file.
const BUFFER: usize = 1 << 20;

/// A file behind an encoder.
pub(crate) struct FileWriter {
    path: PathBuf,
    format: Format,
    file: File,
    buffer: Vec<u8>,
    encoder: Box<dyn Encoder>,
    frames: u64,
    written: u64,
    dirty: bool,
}

impl FileWriter {
    pub fn create(path: &Path, format: Format, encoder: Box<dyn Encoder>) -> Result<Self, Fault> {
        let file = File::create(path).map_err(|e| Fault::io("creating", e))?;
        sync_directory(path);
        Ok(Self::new(path, format, file, encoder, Position::default()))
    }
    pub fn resume(
        path: &Path,
        format: Format,
        mut encoder: Box<dyn Encoder>,
        at: Position,
    ) -> Result<Self, Fault> {
        let file =
            OpenOptions::new().read(true).write(true).open(path).map_err(|e| Fault::io("opening", e))?;
        let length = file.metadata().map_err(|e| Fault::io("reading the length", e))?.len();
        if length < at.bytes {
            let message =
                format!("the file has {length} bytes; the checkpoint was made when it had {}", at.bytes);
            return Err(Fault::new(message)
                .hint("the file was shortened or replaced since; restore it or start a new one"));
        }
        if at.frames > 0 {
            encoder.resume(&mut Binary::open(path)?, at.frames)?;
        }
        file.set_len(at.bytes).map_err(|e| Fault::io("truncating", e))?;
        let mut writer = Self::new(path, format, file, encoder, at);
        writer.dirty = true;
        writer.patch()?;
        writer.file.seek(SeekFrom::Start(at.bytes)).map_err(|e| Fault::io("seeking", e))?;
        Ok(writer)
    }
    fn new(path: &Path, format: Format, file: File, encoder: Box<dyn Encoder>, at: Position) -> Self {
        let path = path.to_owned();
        Self {
            path,
            format,
            file,
            buffer: Vec::new(),
            encoder,
            frames: at.frames,
            written: at.bytes,
            dirty: false,
        }
    }
    fn flush(&mut self) -> Result<(), Fault> {
        // where the last attempt failed, it may stand elsewhere
        self.file.seek(SeekFrom::Start(self.written)).map_err(|e| Fault::io("seeking", e))?;
        let result = self.file.write_all(&self.buffer);
        // a full disk takes the first part
        let done = match &result {
            Ok(()) => self.buffer.len(),
            Err(_) => {
                let at = self.file.stream_position().map_err(|e| Fault::io("seeking", e))?;
                (at.saturating_sub(self.written) as usize).min(self.buffer.len())
            }
        };
        self.written += done as u64;
        self.buffer.drain(..done);
        result.map_err(|e| Fault::io("writing", e))
    }
    fn patch(&mut self) -> Result<(), Fault> {
        if self.frames == 0 || !self.dirty {
            return Ok(());
        }
        for (offset, bytes) in self.encoder.patches(self.frames) {
            let seek = self.file.seek(SeekFrom::Start(offset));
            seek.and_then(|_| self.file.write_all(&bytes)).map_err(|e| Fault::io("writing the header", e))?;
        }
        let end = self.file.seek(SeekFrom::Start(self.written));
        end.map(drop).map_err(|e| Fault::io("seeking", e))
    }
    fn encode(&mut self, frame: &Frame) -> Result<(), Fault> {
        if let Some((what, len)) = frame.inconsistency() {
            let message = format!("{} atoms but {len} values of `{what}`", frame.len());
            return Err(Fault::new(message).frame(self.frames));
        }
        let before = self.buffer.len();
        if let Err(fault) = self.encoder.encode(frame, self.frames, &mut self.buffer) {
            self.buffer.truncate(before);
            return Err(fault.frame(self.frames));
        }
        self.frames += 1;
        self.dirty = true;
        if self.buffer.len() >= BUFFER { self.flush() } else { Ok(()) }
    }
    fn settle(&mut self) -> Result<Position, Fault> {
        self.flush()?;
        self.patch()?;
        if self.dirty {
            self.file.sync_all().map_err(|e| Fault::io("syncing to disk", e))?;
            self.dirty = false;
        }
        Ok(Position { frames: self.frames, bytes: self.written })
    }
}

impl Writer for FileWriter {
    fn write(&mut self, frame: &Frame) -> Result<(), IoError> {
        self.encode(frame).map_err(|f| IoError::new(&self.path, Some(self.format), f))
    }
    fn sync(&mut self) -> Result<Position, IoError> {
        self.settle().map_err(|f| IoError::new(&self.path, Some(self.format), f))
    }
    fn position(&self) -> Position {
        Position { frames: self.frames, bytes: self.written + self.buffer.len() as u64 }
    }
    fn unwritten(&mut self) -> Result<&[u8], IoError> {
        let synced = self.file.sync_all().map_err(|e| Fault::io("syncing to disk", e));
        synced.map_err(|f| IoError::new(&self.path, Some(self.format), f))?;
        Ok(&self.buffer)
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // a writer that is dropped without `sync` still leaves every frame; errors have no one to go to
        let _ = self.flush().and_then(|()| self.patch());
    }
}

/// Makes a new directory entry durable; where the platform cannot, the file itself is still synced.
fn sync_directory(path: &Path) {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    if let Ok(dir) = File::open(parent) {
        let _ = dir.sync_all();
    }
}
