//! The species of H5MD: labels of an enumeration, texts, or integers whose meaning the format leaves open.
use super::element::Element;
use super::{fault, pick};
use crate::error::Fault;
use caloron_engine::elements;
use hdf5_pure::{DType, Datatype, DatatypeByteOrder};
use std::collections::BTreeMap;

enum Kind {
    Texts,
    Numbers(BTreeMap<i64, String>),
}

pub(super) struct Species {
    pub element: Element,
    kind: Kind,
}

impl Species {
    pub fn new(element: Element) -> Result<Self, Fault> {
        let kind = match element.value.dtype().map_err(fault)? {
            DType::String | DType::VariableLengthString => Kind::Texts,
            _ => Kind::Numbers(labels(&element.value.datatype().map_err(fault)?)),
        };
        Ok(Self { element, kind })
    }

    /// What the file has for each atom in a row, in the order of the file.
    pub fn raw(&mut self, row: u64) -> Result<Raw, Fault> {
        let count = self.element.shape.iter().product::<u64>() as usize;
        let raw = match &self.kind {
            Kind::Texts => {
                let word = |s: &String| s.trim_matches(['\0', ' ']).to_owned();
                Raw::Texts(self.element.texts(row)?.iter().map(word).collect())
            }
            Kind::Numbers(_) => Raw::Numbers(self.element.numbers(row)?.iter().map(|x| *x as i64).collect()),
        };
        let found = match &raw {
            Raw::Texts(t) => t.len(),
            Raw::Numbers(n) => n.len(),
        };
        if found == count { Ok(raw) } else { Err(Fault::new("`species` ends too early")) }
    }

    /// The names: texts and labels of enumerations as they are; integers by the names of types that the reader was told,
    /// else elements by atomic number or by mass, else the number.
    pub fn names(&self, raw: Raw, masses: Option<&[f64]>, types: &[String]) -> Result<Vec<String>, Fault> {
        let (labels, numbers) = match (raw, &self.kind) {
            (Raw::Numbers(numbers), Kind::Numbers(labels)) => (labels, numbers),
            (Raw::Texts(names), _) => {
                return match names.iter().find(|s| !is_name(s)) {
                    Some(bad) => Err(Fault::new(format!("the species {bad:?} is not a name"))),
                    None => Ok(names),
                };
            }
            _ => return Err(Fault::new("`species` changed its type")),
        };
        let atomic = labels.is_empty() && are_atomic(&numbers, masses);
        let name = |(i, n): (usize, &i64)| {
            let told = usize::try_from(n.saturating_sub(1))
                .ok()
                .and_then(|k| types.get(k))
                .or_else(|| labels.get(n));
            let symbol = || u8::try_from(*n).ok().filter(|_| atomic).and_then(elements::symbol);
            let by_mass = || masses.and_then(|m| m.get(i)).and_then(|m| elements::by_mass(*m));
            let element = || symbol().or_else(by_mass).map(str::to_owned);
            told.cloned().or_else(element).unwrap_or_else(|| n.to_string())
        };
        Ok(numbers.iter().enumerate().map(name).collect())
    }
}

/// Species of the atoms of a frame as the file has them.
pub(super) enum Raw {
    Texts(Vec<String>),
    Numbers(Vec<i64>),
}

impl Raw {
    pub fn picked(self, order: Option<&[usize]>) -> Self {
        match self {
            Self::Texts(v) => Self::Texts(pick(v, 1, order)),
            Self::Numbers(v) => Self::Numbers(pick(v, 1, order)),
        }
    }
}

/// Whether integers are atomic numbers: they could be, they do not just count 1, 2, … as types do, and the masses, where the
/// file has any, do not object.
fn are_atomic(numbers: &[i64], masses: Option<&[f64]>) -> bool {
    let distinct: std::collections::BTreeSet<i64> = numbers.iter().copied().collect();
    let weight = |n: i64| u8::try_from(n).ok().and_then(elements::symbol).and_then(elements::mass);
    let objects = |(n, m): (&i64, &f64)| weight(*n).is_none_or(|w| (w - m).abs() > 0.05 * w);
    match masses {
        Some(masses) => !numbers.iter().zip(masses).any(objects),
        None => {
            let counting = distinct.iter().zip(1..).all(|(n, k)| *n == k);
            !counting && distinct.iter().all(|n| weight(*n).is_some())
        }
    }
}

/// A name without white space, as extended XYZ needs it.
fn is_name(text: &str) -> bool {
    !text.is_empty() && !text.contains(|c: char| c.is_whitespace() || c.is_control())
}

/// The labels of an enumeration; none of another type.
fn labels(datatype: &Datatype) -> BTreeMap<i64, String> {
    let Datatype::Enumeration { base_type, members, .. } = datatype else { return BTreeMap::new() };
    let Datatype::FixedPoint { size: 1..=8, byte_order, layout } = base_type.as_ref() else {
        return BTreeMap::new();
    };
    let value = |bytes: &[u8]| {
        let mut bytes = bytes.to_vec();
        if *byte_order == DatatypeByteOrder::BigEndian {
            bytes.reverse();
        }
        let negative = layout.signed && bytes.last()? >> 7 == 1;
        bytes.resize(8, if negative { 0xff } else { 0 });
        Some(i64::from_le_bytes(bytes.try_into().ok()?))
    };
    let named = members.iter().filter(|m| is_name(&m.name));
    named.filter_map(|m| Some((value(&m.value)?, m.name.clone()))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn atomic_numbers_are_told_from_types() {
        assert!(are_atomic(&[8, 1, 1], None));
        assert!(!are_atomic(&[1, 2, 2], None));
        assert!(!are_atomic(&[1, 1], None));
        assert!(!are_atomic(&[1, 1], Some(&[1.008, 2.0])));
        assert!(are_atomic(&[1, 1], Some(&[1.008, 1.0])));
        assert!(!are_atomic(&[0, 1], None));
        assert!(!are_atomic(&[119, 8], None));
    }
}
