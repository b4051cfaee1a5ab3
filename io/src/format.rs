//! The table of formats.
use crate::api::{BinaryDecoder, Decoder, Frames};
use crate::encode::Encoder;
use crate::error::Fault;
use crate::{IoError, ReadOptions, WriteOptions, formats};
use std::path::Path;

/// What a format keeps of a frame.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Holds {
    /// More than one frame.
    pub frames: bool,
    /// Species or atom names.
    pub names: bool,
    /// The cell.
    pub cell: bool,
    /// Which directions are periodic; formats with a cell but without this take all three for periodic.
    pub pbc: bool,
    /// Velocities.
    pub velocities: bool,
    /// Forces.
    pub forces: bool,
    /// Step or time.
    pub time: bool,
    /// Where the data come from: [`WriteOptions::provenance`].
    pub provenance: bool,
}

impl Holds {
    pub(crate) const NONE: Self = Self {
        frames: false,
        names: false,
        cell: false,
        pbc: false,
        velocities: false,
        forces: false,
        time: false,
        provenance: false,
    };
    pub(crate) const ALL: Self = Self {
        frames: true,
        names: true,
        cell: true,
        pbc: true,
        velocities: true,
        forces: true,
        time: true,
        provenance: true,
    };
}

/// How a format is read.
#[derive(Clone, Copy)]
pub(crate) enum Input {
    /// By a decoder of this crate.
    Text(fn(&ReadOptions) -> Box<dyn Decoder>),
    /// By a binary decoder of this crate.
    Binary(fn() -> Box<dyn BinaryDecoder>),
    /// By code of this crate that opens the file itself.
    File(fn(&Path, &ReadOptions) -> Result<Frames, Fault>),
    /// By the chemfiles library under this name.
    Chemfiles(&'static str),
    /// Not, and why.
    #[allow(dead_code)]
    None(&'static str),
}

/// How a format is written.
#[derive(Clone, Copy)]
pub(crate) enum Output {
    /// By an encoder of this crate.
    Native(fn(&WriteOptions) -> Box<dyn Encoder>),
    /// By the chemfiles library under this name.
    Chemfiles(&'static str),
    /// Not.
    None,
}

/// A row of the table.
pub(crate) struct Info {
    pub name: &'static str,
    /// Lower case, without dot.
    pub extensions: &'static [&'static str],
    /// Beginnings of file names, upper case (`POSCAR`, `POSCAR_2`, `CONTCAR.old`).
    pub file_names: &'static [&'static str],
    pub about: &'static str,
    pub holds: Holds,
    pub input: Input,
    pub output: Output,
}

/// Every format; a new one is a file in `formats` and a line here.
static TABLE: &[&[Info]] = &[
    formats::extxyz::FORMATS,
    formats::poscar::FORMATS,
    formats::lammps::dump::FORMATS,
    formats::lammps::data::FORMATS,
    formats::xtc::FORMATS,
    formats::trr::FORMATS,
    formats::netcdf::FORMATS,
    formats::h5md::FORMATS,
    formats::dcd::FORMATS,
    formats::gro::FORMATS,
    formats::pdb::FORMATS,
    formats::inpcrd::FORMATS,
    formats::openmm_state::FORMATS,
    formats::cif::FORMATS,
    formats::chemfiles::FORMATS,
];

/// A file format.
#[derive(Clone, Copy)]
pub struct Format(&'static Info);

impl PartialEq for Format {
    fn eq(&self, other: &Self) -> bool {
        self.0.name == other.0.name
    }
}

impl Eq for Format {}

impl std::fmt::Debug for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Format({})", self.0.name)
    }
}

impl std::fmt::Display for Format {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0.name)
    }
}

impl Format {
    /// All formats.
    pub fn all() -> impl Iterator<Item = Self> {
        TABLE.iter().copied().flatten().map(Self)
    }
    /// The format of a name such as `xtc`, as [`Format::name`] gives it, or of an extension.
    pub fn by_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        let named = Self::all().find(|f| f.0.name == name);
        named.or_else(|| Self::all().find(|f| f.0.extensions.contains(&name.as_str())))
    }
    /// The format of a file by its name: extension (`.gz`, `.xz` and `.bz2` are looked through), or `POSCAR` and
    /// `CONTCAR` anywhere in it.
    ///
    /// # Errors
    /// A name that says nothing; the hint lists what would.
    pub fn from_path(path: impl AsRef<Path>) -> Result<Self, IoError> {
        let path = path.as_ref();
        let file = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
        let mut stem = file.to_lowercase();
        for suffix in [".gz", ".xz", ".bz2"] {
            if let Some(inner) = stem.strip_suffix(suffix) {
                stem = inner.to_owned();
                break;
            }
        }
        let extension = stem.rsplit_once('.').map(|(_, e)| e.to_owned());
        let by_extension =
            extension.as_deref().and_then(|e| Self::all().find(|f| f.0.extensions.contains(&e)));
        let upper = stem.to_uppercase();
        let by_name = || Self::all().find(|f| f.0.file_names.iter().any(|n| upper.contains(n)));
        by_extension.or_else(by_name).ok_or_else(|| {
            let known: Vec<&str> = Self::all().flat_map(|f| f.0.extensions.iter().copied()).collect();
            let message = match extension {
                Some(e) => format!("no format has the extension `.{e}`"),
                None => "the name has no extension that tells the format".to_owned(),
            };
            let hint = format!("known extensions: {}; or name the format", known.join(", "));
            IoError::new(path, None, Fault::new(message).hint(hint))
        })
    }
    /// Its name.
    pub fn name(self) -> &'static str {
        self.0.name
    }
    /// What it is, in a few words.
    pub fn about(self) -> &'static str {
        self.0.about
    }
    /// File name extensions, lower case and without dot.
    pub fn extensions(self) -> &'static [&'static str] {
        self.0.extensions
    }
    /// What it keeps.
    pub fn holds(self) -> Holds {
        self.0.holds
    }
    /// True if files of it are read.
    pub fn reads(self) -> bool {
        !matches!(self.0.input, Input::None(_))
    }
    /// True if files of it are written.
    pub fn writes(self) -> bool {
        !matches!(self.0.output, Output::None)
    }
    /// True if a file can be continued after an interruption.
    pub fn resumes(self) -> bool {
        matches!(self.0.output, Output::Native(_))
    }
    pub(crate) fn input(self) -> Input {
        self.0.input
    }
    pub(crate) fn output(self) -> Output {
        self.0.output
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_extensions_are_unique() {
        let mut seen = std::collections::BTreeSet::new();
        for f in Format::all() {
            assert!(seen.insert(f.name()), "{f}");
            assert_eq!(Format::by_name(f.name()), Some(f));
            for e in f.extensions() {
                assert_eq!(Format::from_path(format!("a.b/c.d.{e}")).unwrap(), f, "{e}");
            }
        }
    }

    #[test]
    fn formats_follow_from_names() {
        let name = |p: &str| Format::from_path(p).map(Format::name).ok();
        assert_eq!(name("x/water.extxyz.gz"), Some("extxyz"));
        assert_eq!(name("water.XYZ"), Some("extxyz"));
        let e = Format::from_path("a/file.qqq").unwrap_err();
        assert!(e.to_string().contains("`.qqq`") && e.hint.unwrap().contains("extxyz"));
    }
}
