//! Lines of a text file, with their numbers and without surprises.
use crate::error::Fault;
use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;

/// Longest line that is read; longer ones are not text.
const LONGEST: u64 = 64 << 20;
/// What a reader reserves at most before it has seen data.
const RESERVE: usize = 1 << 16;

/// Capacity for `n` announced items that does not trust the announcement.
pub(crate) fn capacity(n: usize) -> usize {
    n.min(RESERVE)
}

/// A file read line by line.
pub(crate) struct Lines {
    input: Box<dyn BufRead>,
    buffer: Vec<u8>,
    number: u64,
    pushed_back: bool,
}

impl Lines {
    /// Opens a file; names ending in `.gz` are decompressed.
    pub fn open(path: &Path) -> Result<Self, Fault> {
        let file = File::open(path).map_err(|e| Fault::io("opening", e))?;
        if file.metadata().is_ok_and(|m| m.is_dir()) {
            return Err(Fault::new("this is a directory, not a file"));
        }
        let compressed = path.extension().is_some_and(|e| e.eq_ignore_ascii_case("gz"));
        let input: Box<dyn Read> =
            if compressed { Box::new(flate2::read::MultiGzDecoder::new(file)) } else { Box::new(file) };
        Ok(Self::new(BufReader::with_capacity(1 << 18, input)))
    }
    /// Lines of any input.
    pub fn new(input: impl BufRead + 'static) -> Self {
        Self { input: Box::new(input), buffer: Vec::new(), number: 0, pushed_back: false }
    }
    /// Number of the last line that was read, from 1.
    pub fn number(&self) -> u64 {
        self.number
    }
    /// The next line without its end, or `None` at the end of the file.
    pub fn next(&mut self) -> Result<Option<&str>, Fault> {
        if self.pushed_back {
            self.pushed_back = false;
        } else {
            self.buffer.clear();
            let n = (&mut self.input).take(LONGEST).read_until(b'\n', &mut self.buffer);
            let n = n.map_err(|e| Fault {
                place: Some(crate::Place::Line(self.number + 1)),
                ..Fault::io("reading", e)
            })?;
            if n == 0 {
                return Ok(None);
            }
            self.number += 1;
            while matches!(self.buffer.last(), Some(b'\n' | b'\r')) {
                self.buffer.pop();
            }
            if n as u64 == LONGEST {
                return Err(Fault::line(self.number, "a line of more than 64 MiB: this is not a text file"));
            }
        }
        match std::str::from_utf8(&self.buffer) {
            Ok(line) => Ok(Some(line)),
            Err(_) => Err(Fault::line(self.number, "not a text file (bytes that are not UTF-8)")),
        }
    }
    /// The line that was read last.
    pub fn current(&self) -> &str {
        std::str::from_utf8(&self.buffer).unwrap_or_default()
    }
    /// The next line; its absence is an error that says what should have been there.
    pub fn expect(&mut self, what: &str) -> Result<&str, Fault> {
        let number = self.number;
        // asked twice because a borrow of the line cannot be returned from one match arm only
        if self.peek()?.is_none() {
            return Err(Fault::line(number, format!("the file ends here; expected {what}")));
        }
        self.next().map(Option::unwrap_or_default)
    }
    /// The next line without consuming it.
    pub fn peek(&mut self) -> Result<Option<&str>, Fault> {
        if self.next()?.is_none() {
            return Ok(None);
        }
        self.pushed_back = true;
        std::str::from_utf8(&self.buffer).map(Some).map_err(|_| Fault::line(self.number, "not UTF-8"))
    }
}

/// A finite number of a text field. Fortran exponents (`1.0D-3`) are read, `nan` and `inf` are not numbers here.
pub(crate) fn real(field: &str) -> Option<f64> {
    let parsed = field.parse::<f64>().or_else(|e| {
        if field.contains(['d', 'D']) { field.replace(['d', 'D'], "e").parse() } else { Err(e) }
    });
    parsed.ok().filter(|x| x.is_finite())
}

/// `N` numbers from fields.
pub(crate) fn reals<'a, const N: usize>(fields: &mut impl Iterator<Item = &'a str>) -> Option<[f64; N]> {
    let mut out = [0.0; N];
    for x in &mut out {
        *x = real(fields.next()?)?;
    }
    Some(out)
}

/// A text as an error message quotes it: one line, not too long.
pub(crate) fn quote(text: &str) -> String {
    let short: String = text.chars().take(60).collect();
    if short.len() < text.len() { format!("{short:?}…") } else { format!("{short:?}") }
}

/// Appends the shortest text that gives the same bits back.
pub(crate) fn push_real(out: &mut Vec<u8>, x: f64) {
    out.extend_from_slice(zmij::Buffer::new().format(x).as_bytes());
}

/// Appends numbers, each with a blank before it.
pub(crate) fn push_reals<'a>(out: &mut Vec<u8>, values: impl IntoIterator<Item = &'a f64>) {
    for x in values {
        out.push(b' ');
        push_real(out, *x);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_have_numbers_and_can_be_given_back() {
        let mut l = Lines::new("a\r\nb\n\nlast".as_bytes());
        assert_eq!(l.next().unwrap(), Some("a"));
        assert_eq!(l.peek().unwrap(), Some("b"));
        assert_eq!(l.next().unwrap(), Some("b"));
        assert_eq!(l.number(), 2);
        assert_eq!(l.next().unwrap(), Some(""));
        assert_eq!(l.next().unwrap(), Some("last"));
        let e = l.expect("more").unwrap_err();
        assert!(e.message.contains("expected more"));
    }

    #[test]
    fn fortran_numbers_are_numbers() {
        assert_eq!(real("1.5D-3"), Some(1.5e-3));
        assert_eq!(real("nan"), None);
        assert_eq!(real("dd"), None);
    }
}
