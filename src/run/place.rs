//! Where an output file stands in a checkpoint, also when the disk is full.
use caloron_engine::{Archive, ArchiveError};
use std::fs::OpenOptions;
use std::io::{self, Seek, SeekFrom, Write};
use std::path::Path;

/// What is asked of the output files when one of them cannot be written: nothing more is written to any, and the checkpoint
/// holds what is still in memory.
#[derive(Clone, Copy, Debug)]
pub struct Rescue {
    /// The step whose frame not all of them have: it is taken from those that do, and seen by all when the run is resumed.
    pub again: Option<u64>,
}

impl Rescue {
    /// Where a file ends that goes into the checkpoint: before its `last` frame, of which step and place are given, if that is taken
    /// from it, else behind `all`.
    pub fn end<T>(self, last: Option<(u64, T)>, all: T) -> T {
        match last {
            Some((step, before)) if self.again == Some(step) => before,
            _ => all,
        }
    }
}

/// The place in a file: what stands on the disk, and what comes after it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Place {
    /// Frames of a trajectory.
    pub frames: u64,
    /// Bytes on the disk.
    pub bytes: u64,
    /// Bytes after these that could not be written.
    pub unwritten: Vec<u8>,
}

impl Place {
    /// The first `length` of all bytes, of which the last are `in_memory` and the others on the disk.
    pub fn within(frames: u64, length: u64, all: u64, in_memory: &[u8]) -> Self {
        let on_disk = all.saturating_sub(in_memory.len() as u64);
        let rest = length.saturating_sub(on_disk).min(in_memory.len() as u64) as usize;
        Self { frames, bytes: length.min(on_disk), unwritten: in_memory[..rest].to_vec() }
    }
    /// Length of the file.
    pub fn length(&self) -> u64 {
        self.bytes + self.unwritten.len() as u64
    }
    /// Saves or restores the place.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.u64(&mut self.frames)?;
        archive.u64(&mut self.bytes)?;
        archive.bytes(&mut self.unwritten)
    }
    /// Appends what could not be written; without it the file is left to its writer, which cuts it.
    ///
    /// # Errors
    /// When the file is shorter than it was, or cannot be written.
    pub fn complete(&self, path: &Path) -> io::Result<()> {
        if self.unwritten.is_empty() {
            return Ok(());
        }
        let mut file = OpenOptions::new().write(true).open(path)?;
        if file.metadata()?.len() < self.bytes {
            return Err(io::Error::other("the file is shorter than the checkpoint says"));
        }
        file.set_len(self.bytes)?;
        file.seek(SeekFrom::Start(self.bytes))?;
        file.write_all(&self.unwritten)?;
        file.sync_all()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_may_be_on_the_disk_or_in_memory() {
        let place = |length| Place::within(3, length, 10, b"abcd");
        assert_eq!(place(10), Place { frames: 3, bytes: 6, unwritten: b"abcd".to_vec() });
        assert_eq!(place(8), Place { frames: 3, bytes: 6, unwritten: b"ab".to_vec() });
        assert_eq!(place(5), Place { frames: 3, bytes: 5, unwritten: Vec::new() });
        assert_eq!(place(8).length(), 8);
    }
}
