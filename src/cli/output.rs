//! The files that commands write.
use crate::Failure;
use crate::provenance::{self, Pairs};
use caloron_engine::UnitSystem;
use caloron_io::{Format, Frame, WriteOptions, Writer};
use std::path::{Path, PathBuf};

/// A file that a command writes. It gets its name when it is complete: until then it is `NAME.partial`, so that a file it replaces
/// is not lost when the command fails.
pub(super) struct Output {
    path: PathBuf,
    /// Where it is written; the path itself where that is no file on a disk (a pipe, a device).
    place: PathBuf,
    complete: bool,
}

impl Output {
    /// Nothing is written yet. `inputs` are the files that the command reads: none of them is ever replaced.
    ///
    /// # Errors
    /// When the file exists and is not to be replaced, or is one of the inputs.
    pub(super) fn new<'a>(
        path: &Path,
        force: bool,
        inputs: impl IntoIterator<Item = &'a Path>,
    ) -> Result<Self, Failure> {
        let shown = path.display();
        let own = path.canonicalize();
        if let Ok(own) = &own {
            // the same file by another name, through links too
            if let Some(input) = inputs.into_iter().find(|i| i.canonicalize().is_ok_and(|i| i == *own)) {
                let by = if input == path { String::new() } else { format!(" `{}`", input.display()) };
                return Err(Failure::input(format!(
                    "`{shown}` is the input file{by}; it would be overwritten"
                ))
                .hint("choose another name for the output"));
            }
            if !force {
                return Err(Failure::input(format!("`{shown}` already exists"))
                    .hint("choose another name, or replace it with `--force`"));
            }
        }
        let path = own.unwrap_or_else(|_| path.to_owned());
        let on_disk = !path.exists() || path.is_file();
        let mut place = path.clone();
        if let (Some(name), true) = (path.file_name(), on_disk) {
            let mut name = name.to_owned();
            name.push(".partial");
            place.set_file_name(name);
        }
        Ok(Self { path, place, complete: false })
    }
    /// Where to write.
    pub(super) fn place(&self) -> &Path {
        &self.place
    }
    /// The file is complete and gets its name.
    ///
    /// # Errors
    /// When it cannot be renamed.
    pub(super) fn complete(mut self) -> Result<(), Failure> {
        self.complete = true;
        if !self.on_disk() {
            return Ok(());
        }
        std::fs::rename(&self.place, &self.path)
            .map_err(|e| Failure::other(format!("cannot write `{}`: {e}", self.path.display())))
    }
    /// The same for structures, whose provenance goes beside a file that has no place for it.
    ///
    /// # Errors
    /// When a file cannot be renamed or written.
    pub(super) fn complete_with(self, format: Format, provenance: &Pairs) -> Result<(), Failure> {
        if self.on_disk() && !provenance.is_empty() {
            provenance::beside(&self.path, format, provenance)?;
        }
        self.complete()
    }
    /// Whether it is a file on a disk, not a pipe or a device.
    fn on_disk(&self) -> bool {
        self.place != self.path
    }
    /// Writes all of it.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(self, text: &str) -> Result<(), Failure> {
        std::fs::write(&self.place, text)
            .map_err(|e| Failure::other(format!("cannot write `{}`: {e}", self.path.display())))?;
        self.complete()
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if self.complete || !self.on_disk() {
            return;
        }
        // what took long to compute is kept for the user
        match std::fs::metadata(&self.place) {
            Ok(m) if m.len() > 0 => {
                eprintln!("warning: what was written so far is in `{}`", self.place.display());
            }
            _ => {
                let _ = std::fs::remove_file(&self.place);
            }
        }
    }
}

/// A file of structures that a command writes: extended XYZ, or whatever its name says.
pub(super) struct Structures {
    // before `output`, so that everything is written when that is dropped
    writer: Option<Box<dyn Writer>>,
    output: Output,
    format: Format,
    units: UnitSystem,
    provenance: Pairs,
}

impl Structures {
    /// See [`Output::new`].
    ///
    /// # Errors
    /// Those of [`Output::new`], and when the file cannot be created.
    pub(super) fn create<'a>(
        path: &Path,
        force: bool,
        inputs: impl IntoIterator<Item = &'a Path>,
        units: UnitSystem,
    ) -> Result<Self, Failure> {
        let format = Format::from_path(path)?;
        caloron_io::check_writable(path, format)?;
        let output = Output::new(path, force, inputs)?;
        // the head is written with the first frame; what cannot be written at all is said before anything is computed
        if output.on_disk() {
            std::fs::File::create(output.place())
                .map_err(|e| Failure::other(format!("cannot write `{}`: {e}", path.display())))?;
        }
        Ok(Self { writer: None, output, format, units, provenance: Pairs::new() })
    }
    /// Writes a frame. The `provenance` is asked for before the first.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(
        &mut self,
        frame: &Frame,
        provenance: impl FnOnce() -> Result<Pairs, Failure>,
    ) -> Result<(), Failure> {
        let writer = match &mut self.writer {
            Some(writer) => writer,
            None => {
                self.provenance = provenance()?;
                let provenance = self.provenance.clone();
                let options = WriteOptions { units: self.units, provenance, ..WriteOptions::default() };
                self.writer.insert(caloron_io::create(self.output.place(), self.format, &options)?)
            }
        };
        Ok(writer.write(frame)?)
    }
    /// All frames are written.
    ///
    /// # Errors
    /// When they cannot be brought to disk.
    pub(super) fn complete(self) -> Result<(), Failure> {
        let Self { writer, output, format, provenance, .. } = self;
        if let Some(mut writer) = writer {
            writer.sync()?;
        }
        output.complete_with(format, &provenance)
    }
}
