//! Binary files: numbers of either byte order, never more memory than the file has bytes.
use crate::error::Fault;
use caloron_engine::Vec3;
use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

/// Conversions between the units of the engine and those of the formats.
pub(crate) mod units {
    use caloron_engine::units::{AVOGADRO, ELEMENTARY_CHARGE, FEMTOSECOND};

    /// Picosecond in internal time.
    pub const PICOSECOND: f64 = 1e3 * FEMTOSECOND;
    /// kJ/mol in eV.
    pub const KJ_PER_MOL: f64 = 1e3 / ELEMENTARY_CHARGE / AVOGADRO;
    /// kcal/mol in eV.
    pub const KCAL_PER_MOL: f64 = 4.184 * KJ_PER_MOL;
    /// Nanometre in Å.
    pub const NANOMETRE: f64 = 10.0;
}

/// A binary file being read.
pub(crate) struct Binary {
    input: BufReader<File>,
    at: u64,
    length: u64,
    /// Byte order of numbers: big endian (XDR, NetCDF) unless a format finds otherwise.
    pub little: bool,
}

impl Binary {
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let compressed =
            path.extension().is_some_and(|e| ["gz", "xz", "bz2"].iter().any(|c| e.eq_ignore_ascii_case(c)));
        if compressed {
            return Err(
                Fault::new("compressed files of this format are not read").hint("decompress the file first")
            );
        }
        let file = File::open(path).map_err(|e| Fault::io("opening", e))?;
        let metadata = file.metadata().map_err(|e| Fault::io("reading the length", e))?;
        if metadata.is_dir() {
            return Err(Fault::new("this is a directory, not a file"));
        }
        let length = metadata.len();
        Ok(Self { input: BufReader::with_capacity(1 << 18, file), at: 0, length, little: false })
    }
    /// Bytes that are left.
    pub fn left(&self) -> u64 {
        self.length.saturating_sub(self.at)
    }
    /// Length of the file.
    pub fn length(&self) -> u64 {
        self.length
    }
    /// Goes to a byte.
    pub fn seek(&mut self, at: u64) -> Result<(), Fault> {
        self.at = self.input.seek(SeekFrom::Start(at)).map_err(|e| Fault::io("seeking", e))?;
        Ok(())
    }
    /// Skips bytes.
    pub fn skip(&mut self, n: u64) -> Result<(), Fault> {
        self.check(n)?;
        let n = i64::try_from(n).map_err(|_| Fault::new("the file ends too early"))?;
        self.input.seek_relative(n).map_err(|e| Fault::io("seeking", e))?;
        self.at += n as u64;
        Ok(())
    }
    fn check(&self, n: u64) -> Result<(), Fault> {
        if n <= self.left() {
            return Ok(());
        }
        let message = format!("the file ends at byte {}, {} bytes too early", self.length, n - self.left());
        Err(Fault::new(message)
            .hint("the writing program was probably stopped; frames before this one are complete"))
    }
    /// The next `n` bytes.
    pub fn bytes(&mut self, n: u64) -> Result<Vec<u8>, Fault> {
        self.check(n)?;
        let mut bytes = vec![0; n as usize];
        self.input.read_exact(&mut bytes).map_err(|e| Fault::io("reading", e))?;
        self.at += n;
        Ok(bytes)
    }
    fn array<const N: usize>(&mut self) -> Result<[u8; N], Fault> {
        self.check(N as u64)?;
        let mut bytes = [0; N];
        self.input.read_exact(&mut bytes).map_err(|e| Fault::io("reading", e))?;
        self.at += N as u64;
        if self.little {
            bytes.reverse();
        }
        Ok(bytes)
    }
    pub fn u32(&mut self) -> Result<u32, Fault> {
        self.array().map(u32::from_be_bytes)
    }
    pub fn i32(&mut self) -> Result<i32, Fault> {
        self.array().map(i32::from_be_bytes)
    }
    pub fn u64(&mut self) -> Result<u64, Fault> {
        self.array().map(u64::from_be_bytes)
    }
    pub fn f32(&mut self) -> Result<f64, Fault> {
        self.array().map(f32::from_be_bytes).map(f64::from)
    }
    pub fn f64(&mut self) -> Result<f64, Fault> {
        self.array().map(f64::from_be_bytes)
    }
    /// A number of 4 or 8 bytes.
    pub fn real(&mut self, double: bool) -> Result<f64, Fault> {
        if double { self.f64() } else { self.f32() }
    }
    /// `n` numbers of 4 or 8 bytes.
    pub fn reals(&mut self, n: u64, double: bool) -> Result<Vec<f64>, Fault> {
        let size = if double { 8 } else { 4 };
        let bytes = self.bytes(n.saturating_mul(size))?;
        let number = |c: &[u8]| {
            let mut b = [0; 8];
            b[..c.len()].copy_from_slice(c);
            let short = [b[0], b[1], b[2], b[3]];
            match (double, self.little) {
                (true, true) => f64::from_le_bytes(b),
                (true, false) => f64::from_be_bytes(b),
                (false, true) => f32::from_le_bytes(short).into(),
                (false, false) => f32::from_be_bytes(short).into(),
            }
        };
        Ok(bytes.chunks_exact(size as usize).map(number).collect())
    }
    /// `n` vectors, each scaled.
    pub fn vectors(&mut self, n: u64, double: bool, scale: f64) -> Result<Vec<Vec3>, Fault> {
        let numbers = self.reals(n.saturating_mul(3), double)?;
        Ok(numbers.chunks_exact(3).map(|c| Vec3::new(c[0], c[1], c[2]) * scale).collect())
    }
}

/// Positions of a frame must be numbers.
pub(crate) fn check_finite(positions: &[Vec3]) -> Result<(), Fault> {
    match positions.iter().position(|r| !r.iter().all(|x| x.is_finite())) {
        Some(i) => Err(Fault::new(format!("the position of atom {} is not finite", i + 1))),
        None => Ok(()),
    }
}

/// Appends big-endian numbers.
pub(crate) fn put_i32(out: &mut Vec<u8>, x: i32) {
    out.extend_from_slice(&x.to_be_bytes());
}

/// Appends a big-endian number of 4 bytes.
pub(crate) fn put_f32(out: &mut Vec<u8>, x: f64) {
    out.extend_from_slice(&(x as f32).to_be_bytes());
}

/// Appends vectors, each divided by the unit of the file, as big-endian numbers of 4 bytes.
pub(crate) fn put_vectors(out: &mut Vec<u8>, vectors: &[Vec3], unit: f64) {
    out.reserve(12 * vectors.len());
    for v in vectors {
        for x in v.iter() {
            put_f32(out, x / unit);
        }
    }
}

/// The number of atoms as these formats store it.
pub(crate) fn count(frame: &crate::Frame) -> Result<i32, Fault> {
    i32::try_from(frame.len()).map_err(|_| Fault::new("more atoms than this format can count"))
}

/// That every frame of a file has as many atoms as the first.
pub(crate) fn same_count(first: &mut Option<usize>, frame: &crate::Frame) -> Result<(), Fault> {
    let expected = *first.get_or_insert(frame.len());
    if frame.len() == expected {
        return Ok(());
    }
    let message = format!("{} atoms, but the frames before have {expected}", frame.len());
    Err(Fault::new(message).hint("this format needs the same number in every frame; extxyz does not"))
}

/// Names for atoms of formats without names.
pub(crate) fn nameless(n: usize) -> Vec<String> {
    vec!["X".to_owned(); n]
}
