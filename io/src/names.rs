//! Elements behind the names of atoms in formats of molecular simulation.
use crate::Frame;
use crate::frame::Array;
use caloron_engine::elements;

/// The element that an atom name such as `OW`, `HW1`, `CA` or `NA` stands for in a residue: the name itself if it is an
/// element as written (`Na`, `O`); of a residue of its own name an ion; else its first letter, if that is an element.
pub(crate) fn element(name: &str, residue: &str) -> Option<&'static str> {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    let proper = |word: &str| {
        let mut chars = word.chars();
        let first = chars.next()?.to_ascii_uppercase();
        let symbol: String = std::iter::once(first).chain(chars.map(|c| c.to_ascii_lowercase())).collect();
        elements::atomic_number(&symbol).and_then(elements::symbol)
    };
    let as_written = || elements::atomic_number(&letters).and_then(elements::symbol);
    let of_residue =
        || letters.eq_ignore_ascii_case(residue.trim_end_matches(|c: char| !c.is_ascii_alphabetic()));
    let ion = || if of_residue() && letters.len() <= 2 { proper(&letters) } else { None };
    as_written().or_else(ion).or_else(|| proper(letters.get(..1)?)).or_else(|| proper(letters.get(..2)?))
}

/// Name, residue name, residue number and chain of atoms for formats that need them, with stand-ins where the frame says
/// nothing.
pub(crate) struct Names<'a> {
    symbols: &'a [String],
    names: Option<&'a [String]>,
    residues: Option<&'a [String]>,
    numbers: Option<&'a [i64]>,
    chains: Option<&'a [String]>,
}

impl<'a> Names<'a> {
    pub fn of(frame: &'a Frame) -> Self {
        let texts = |name: &str| frame.arrays.get(name).filter(|a| a.columns == 1).and_then(Array::as_texts);
        let ints = |name: &str| frame.arrays.get(name).filter(|a| a.columns == 1).and_then(Array::as_ints);
        Self {
            symbols: &frame.symbols,
            names: texts("atomtypes"),
            residues: texts("residuenames"),
            numbers: ints("residuenumbers").or_else(|| ints("mol-id")),
            chains: texts("chainids"),
        }
    }
    pub fn atom(&self, i: usize) -> &'a str {
        self.names.map_or(&self.symbols[i], |n| &n[i])
    }
    pub fn residue(&self, i: usize) -> &'a str {
        self.residues.map_or("MOL", |n| &n[i])
    }
    pub fn number(&self, i: usize) -> i64 {
        self.numbers.map_or(1, |n| n[i])
    }
    pub fn chain(&self, i: usize) -> &'a str {
        self.chains.map_or("-", |n| &n[i])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_have_elements() {
        for (name, residue, symbol) in [
            ("OW", "SOL", "O"),
            ("HW1", "SOL", "H"),
            ("CA", "ALA", "C"),
            ("CA", "CA", "Ca"),
            ("NA", "NA+", "Na"),
            ("CL", "CL", "Cl"),
            ("Na", "X", "Na"),
            ("1HB2", "ALA", "H"),
            ("ZN", "ZN", "Zn"),
        ] {
            assert_eq!(element(name, residue), Some(symbol), "{name} in {residue}");
        }
        assert_eq!(element("", ""), None);
        assert_eq!(element("M", "SOL"), None);
    }
}
