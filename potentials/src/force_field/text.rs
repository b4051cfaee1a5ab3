//! Text files of force fields: reading, also compressed, and errors that name file and line.
use caloron_engine::SpecError;
use std::fmt::Display;
use std::io::Read;
use std::path::{Path, PathBuf};

/// Largest text that is read, bytes.
const LARGEST: u64 = 4 << 30;

/// A file with its text.
#[derive(Clone, Debug)]
pub(crate) struct TextFile {
    pub key: &'static str,
    pub path: PathBuf,
    pub text: String,
}

impl TextFile {
    /// Reads a file; names ending in `.gz` are decompressed. `key` is where errors stand.
    pub fn read(key: &'static str, path: &Path) -> Result<Self, SpecError> {
        let fail = |e: std::io::Error| {
            SpecError::new(key, format!("cannot read `{}`: {e}", path.display()))
                .hint("file names are relative to the folder of the input file")
        };
        let bytes = read_bytes(path).map_err(fail)?;
        if bytes.len() as u64 == LARGEST {
            return Err(SpecError::new(key, format!("`{}` is larger than 4 GiB", path.display())));
        }
        let text = String::from_utf8(bytes)
            .map_err(|_| SpecError::new(key, format!("`{}` is not a text file", path.display())))?;
        Ok(Self { key, path: path.to_owned(), text })
    }
    /// The error at a line, from 1.
    pub fn error(&self, line: usize, message: impl Display) -> SpecError {
        SpecError::new(self.key, format!("`{}`, line {line}: {message}", self.path.display()))
    }
    /// The error for the file as a whole.
    pub fn whole(&self, message: impl Display) -> SpecError {
        SpecError::new(self.key, format!("`{}`: {message}", self.path.display()))
    }
}

/// The bytes of a file, at most 4 GiB of them; names ending in `.gz` are decompressed.
fn read_bytes(path: &Path) -> std::io::Result<Vec<u8>> {
    let file = std::fs::File::open(path)?;
    let mut bytes = Vec::new();
    if path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz")) {
        flate2::read::MultiGzDecoder::new(file).take(LARGEST).read_to_end(&mut bytes)?;
    } else {
        file.take(LARGEST).read_to_end(&mut bytes)?;
    }
    Ok(bytes)
}

/// The text of a file; names ending in `.gz` are decompressed.
pub(crate) fn read_text(path: &Path) -> std::io::Result<String> {
    String::from_utf8(read_bytes(path)?)
        .map_err(|_| std::io::Error::new(std::io::ErrorKind::InvalidData, "it is not a text file"))
}

/// A finite number; Fortran's `D` exponents are read too.
pub(crate) fn real(word: &str) -> Option<f64> {
    let word = word.trim();
    let parsed = word.parse::<f64>().or_else(|_| word.replace(['d', 'D'], "e").parse());
    parsed.ok().filter(|x| x.is_finite())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn compressed_text_is_read() {
        let path = std::env::temp_dir().join(format!("caloron-text-{}.sw.gz", std::process::id()));
        let file = std::fs::File::create(&path).unwrap();
        let mut encoder = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
        encoder.write_all(b"Si Si Si 2.1683\n").unwrap();
        encoder.finish().unwrap();
        assert_eq!(read_text(&path).unwrap(), "Si Si Si 2.1683\n");
        std::fs::write(&path, "not compressed").unwrap();
        assert!(read_text(&path).is_err());
        std::fs::remove_file(&path).unwrap();
    }
}
