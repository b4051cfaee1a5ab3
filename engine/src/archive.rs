//! Saving and loading the exact state of a run with one function for both directions.
//!
//! An object writes `fn archive(&mut self, a: &mut Archive) -> Result<(), ArchiveError>` once and visits its
//! fields; the archive either appends their bits or overwrites them. Sections carry names, so a checkpoint
//! of another set-up is refused instead of misread.
use crate::{Cell, Mat3, Vec3};

/// Bytes of a checkpoint, being written or being read.
pub struct Archive {
    bytes: Vec<u8>,
    at: Option<usize>,
}

/// Why a checkpoint cannot be read.
#[derive(Clone, Debug, PartialEq, thiserror::Error)]
#[non_exhaustive]
pub enum ArchiveError {
    /// It ends too early or a length is absurd.
    #[error("the checkpoint ends inside `{section}`")]
    Truncated {
        /// What was being read.
        section: String,
    },
    /// Another object was saved here.
    #[error("the checkpoint holds `{found}` where this run has `{expected}`")]
    Mismatch {
        /// What this run expects.
        expected: String,
        /// What the file has.
        found: String,
    },
    /// A value that cannot be.
    #[error("the checkpoint holds an impossible value in `{section}`")]
    Invalid {
        /// What was being read.
        section: String,
    },
}

impl Archive {
    /// An empty archive to write.
    pub fn writer() -> Self {
        Self { bytes: Vec::new(), at: None }
    }
    /// An archive to read.
    pub fn reader(bytes: Vec<u8>) -> Self {
        Self { bytes, at: Some(0) }
    }
    /// True when values are being restored.
    pub fn is_reading(&self) -> bool {
        self.at.is_some()
    }
    /// The bytes written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }
    fn raw(&mut self, value: &mut [u8]) -> Result<(), ArchiveError> {
        match &mut self.at {
            None => self.bytes.extend_from_slice(value),
            Some(at) => {
                let part = self.bytes.get(*at..*at + value.len());
                let part = part.ok_or(ArchiveError::Truncated { section: "value".into() })?;
                value.copy_from_slice(part);
                *at += value.len();
            }
        }
        Ok(())
    }
    /// A length: checked against the bytes that are left before anything is allocated.
    fn length(&mut self, len: usize, item: usize) -> Result<usize, ArchiveError> {
        let mut n = len as u64;
        self.u64(&mut n)?;
        if let Some(at) = self.at
            && n.saturating_mul(item as u64) > (self.bytes.len() - at) as u64
        {
            return Err(ArchiveError::Truncated { section: "array".into() });
        }
        Ok(n as usize)
    }
    /// A named section: written as its name, checked when read.
    ///
    /// # Errors
    /// `Mismatch` when another name stands there.
    pub fn section(&mut self, name: &str) -> Result<(), ArchiveError> {
        let mut found = name.to_owned();
        self.string(&mut found)?;
        if found == name { Ok(()) } else { Err(ArchiveError::Mismatch { expected: name.to_owned(), found }) }
    }
    /// An integer.
    ///
    /// # Errors
    /// `Truncated` at the end of the bytes; the same holds for all the methods below.
    pub fn u64(&mut self, value: &mut u64) -> Result<(), ArchiveError> {
        let mut b = value.to_le_bytes();
        self.raw(&mut b)?;
        *value = u64::from_le_bytes(b);
        Ok(())
    }
    /// A flag.
    ///
    /// # Errors
    /// See [`Archive::u64`].
    pub fn bool(&mut self, value: &mut bool) -> Result<(), ArchiveError> {
        let mut n = u64::from(*value);
        self.u64(&mut n)?;
        *value = n != 0;
        Ok(())
    }
    /// A number, bit for bit.
    ///
    /// # Errors
    /// See [`Archive::u64`].
    pub fn f64(&mut self, value: &mut f64) -> Result<(), ArchiveError> {
        let mut n = value.to_bits();
        self.u64(&mut n)?;
        *value = f64::from_bits(n);
        Ok(())
    }
    /// Numbers of a fixed count.
    ///
    /// # Errors
    /// See [`Archive::u64`].
    pub fn f64s(&mut self, values: &mut [f64]) -> Result<(), ArchiveError> {
        values.iter_mut().try_for_each(|x| self.f64(x))
    }
    /// A growing list of numbers.
    ///
    /// # Errors
    /// See [`Archive::u64`].
    pub fn f64_vec(&mut self, values: &mut Vec<f64>) -> Result<(), ArchiveError> {
        let n = self.length(values.len(), 8)?;
        values.resize(n, 0.0);
        self.f64s(values)
    }
    /// A growing list of integers.
    ///
    /// # Errors
    /// See [`Archive::u64`].
    pub fn u64_vec(&mut self, values: &mut Vec<u64>) -> Result<(), ArchiveError> {
        let n = self.length(values.len(), 8)?;
        values.resize(n, 0);
        values.iter_mut().try_for_each(|x| self.u64(x))
    }
    /// A growing list of bytes.
    ///
    /// # Errors
    /// See [`Archive::u64`].
    pub fn bytes(&mut self, values: &mut Vec<u8>) -> Result<(), ArchiveError> {
        let n = self.length(values.len(), 1)?;
        values.resize(n, 0);
        self.raw(values)
    }
    /// A text.
    ///
    /// # Errors
    /// See [`Archive::u64`]; `Invalid` when it is not UTF-8.
    pub fn string(&mut self, value: &mut String) -> Result<(), ArchiveError> {
        let mut b = std::mem::take(value).into_bytes();
        let n = self.length(b.len(), 1)?;
        b.resize(n, 0);
        self.raw(&mut b)?;
        *value = String::from_utf8(b).map_err(|_| ArchiveError::Invalid { section: "text".into() })?;
        Ok(())
    }
    /// Vectors of a fixed count.
    ///
    /// # Errors
    /// See [`Archive::u64`].
    pub fn vec3s(&mut self, values: &mut [Vec3]) -> Result<(), ArchiveError> {
        values.iter_mut().try_for_each(|v| self.f64s(v.as_mut_slice()))
    }
    /// A growing list of vectors.
    ///
    /// # Errors
    /// See [`Archive::u64`].
    pub fn vec3_vec(&mut self, values: &mut Vec<Vec3>) -> Result<(), ArchiveError> {
        let n = self.length(values.len(), 24)?;
        values.resize(n, Vec3::zeros());
        self.vec3s(values)
    }
    /// A matrix.
    ///
    /// # Errors
    /// See [`Archive::u64`].
    pub fn mat3(&mut self, value: &mut Mat3) -> Result<(), ArchiveError> {
        self.f64s(value.as_mut_slice())
    }
    /// A cell; the inverse is recomputed from the same bits.
    ///
    /// # Errors
    /// See [`Archive::u64`]; `Invalid` when the matrix is singular.
    pub fn cell(&mut self, cell: &mut Cell) -> Result<(), ArchiveError> {
        let mut h = *cell.matrix();
        let mut periodic = cell.periodic();
        self.mat3(&mut h)?;
        for p in &mut periodic {
            self.bool(p)?;
        }
        if self.is_reading() {
            *cell = if periodic == [false; 3] && h == Mat3::identity() {
                Cell::open()
            } else {
                Cell::from_matrix(h, periodic)
                    .map_err(|_| ArchiveError::Invalid { section: "cell".into() })?
            };
        }
        Ok(())
    }
}
