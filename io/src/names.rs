//! Elements behind the names of atoms in formats of molecular simulation.
use crate::Frame;
use crate::frame::Array;
use caloron_engine::elements;

/// The element that an atom name such as `OW`, `HW1`, `CA` or `NA` stands for in a residue: the name itself if it is an
/// element as written (`Na`, `O`); of a residue of its own name an ion; an element of two letters that no organic molecule has as
/// a name (`CL`, `CU`); else its first letter, if that is an element.
pub(crate) fn element(name: &str, residue: &str) -> Option<&'static str> {
    let letters: String = name.chars().filter(char::is_ascii_alphabetic).collect();
    let as_written = || elements::atomic_number(&letters).and_then(elements::symbol);
    let of_residue =
        || letters.eq_ignore_ascii_case(residue.trim_end_matches(|c: char| !c.is_ascii_alphabetic()));
    let ion = || if of_residue() && letters.len() <= 2 { proper(&letters) } else { None };
    let two = || {
        let organic = ORGANIC.iter().any(|o| letters.eq_ignore_ascii_case(o));
        if letters.len() == 2 && !organic { proper(&letters) } else { None }
    };
    as_written()
        .or_else(ion)
        .or_else(two)
        .or_else(|| proper(letters.get(..1)?))
        .or_else(|| proper(letters.get(..2)?))
}

/// Names of two letters that are atoms of organic molecules (`CA`, `HG`) and only by chance those of other elements.
const ORGANIC: [&str; 29] = [
    "CA", "CD", "CE", "CF", "CM", "CN", "CO", "CS", "HE", "HF", "HG", "HO", "HS", "NA", "NB", "ND", "NE",
    "NH", "NO", "NP", "OG", "OS", "PA", "PB", "PD", "PO", "PM", "SC", "SG",
];

/// The element that a word means in any case: `CL`, `cl` and `Cl` are chlorine.
pub(crate) fn proper(word: &str) -> Option<&'static str> {
    let mut chars = word.chars();
    let first = chars.next()?.to_ascii_uppercase();
    let symbol: String = std::iter::once(first).chain(chars.map(|c| c.to_ascii_lowercase())).collect();
    elements::atomic_number(&symbol).and_then(elements::symbol)
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
            ("CU", "SRF", "Cu"),
            ("CL1", "LIG", "Cl"),
            ("HG", "SER", "H"),
            ("OG", "SER", "O"),
            ("OP1", "DA", "O"),
            ("AR", "GAS", "Ar"),
        ] {
            assert_eq!(element(name, residue), Some(symbol), "{name} in {residue}");
        }
        assert_eq!(element("", ""), None);
        assert_eq!(element("M", "SOL"), None);
    }
}
