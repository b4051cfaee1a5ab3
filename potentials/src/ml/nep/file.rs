//! The text files of NEP (`nep.txt`).
//!
//! Header lines `nep4[_zbl] T El1 … ElT`, `zbl inner outer [factor]` (with `_zbl`), `cutoff …`, `n_max`, `basis_size`, `l_max`, `ANN`;
//! then one number on each line: for every network w₀ (by neuron, then descriptor), b₀, w₁; b₁; the coefficients of
//! the radial and of the angular functions by n, k, type of the atom, type of the neighbour; the factors of the
//! descriptors; and for `zbl 0 0` ten numbers for every pair of types.
use crate::ml::checkpoint::{Fault, Form, ModelFile, Source, Tensor};
use caloron_engine::elements;
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::str::SplitWhitespace;

/// Most of anything a header may ask for; larger models do not exist.
const MOST: usize = 1000;

/// Does a text look like a NEP file?
pub(in crate::ml) fn is_nep(bytes: &[u8]) -> bool {
    bytes.starts_with(b"nep") && bytes.get(3).is_some_and(u8::is_ascii_digit)
}

struct Lines<'a> {
    lines: std::iter::Enumerate<std::str::Lines<'a>>,
    at: usize,
}

fn content(message: impl Into<String>) -> Fault {
    Fault::Content(message.into())
}

impl<'a> Lines<'a> {
    fn fault(&self, message: impl std::fmt::Display) -> Fault {
        content(format!("line {}: {message}", self.at))
    }
    fn next(&mut self) -> Option<&'a str> {
        let (n, line) = self.lines.by_ref().find(|(_, l)| !l.trim().is_empty())?;
        self.at = n + 1;
        Some(line)
    }
    /// The words of a header line after its key.
    fn header(&mut self, key: &str) -> Result<SplitWhitespace<'a>, Fault> {
        let line = self.next().ok_or_else(|| {
            Fault::Damaged(format!("it ends after line {} where `{key}` should follow", self.at))
        })?;
        let mut words = line.split_whitespace();
        match words.next() {
            Some(word) if word == key => Ok(words),
            found => Err(self.fault(format!("expected `{key}`, found `{}`", found.unwrap_or("")))),
        }
    }
    fn numbers<T: std::str::FromStr>(&mut self, key: &str) -> Result<Vec<T>, Fault> {
        let words: Vec<&str> = self.header(key)?.collect();
        let parse = |w: &&str| w.parse().map_err(|_| self.fault(format!("`{key}`: `{w}` is not a number")));
        words.iter().map(parse).collect()
    }
    fn counts<const N: usize>(&mut self, key: &str, most: usize) -> Result<[usize; N], Fault> {
        let counts: Vec<usize> = self.numbers(key)?;
        if counts.iter().any(|c| *c > most) {
            return Err(self.fault(format!("`{key}` is above {most}")));
        }
        counts
            .try_into()
            .map_err(|c: Vec<_>| self.fault(format!("`{key}` needs {N} numbers, found {}", c.len())))
    }
}

/// What the first word says.
fn version(lines: &Lines<'_>, tag: &str) -> Result<(u64, bool), Fault> {
    let unsupported = |what: &str| Err(Fault::Unsupported(format!("`{tag}`: {what}")));
    let kind = match tag {
        "nep3" => return Ok((3, false)),
        "nep4" => return Ok((4, false)),
        "nep3_zbl" => return Ok((3, true)),
        "nep4_zbl" => return Ok((4, true)),
        _ => tag.split_once('_').map_or("", |(_, kind)| kind),
    };
    if kind.contains("dipole") {
        unsupported("a model of dipole moments, which gives no energies")
    } else if kind.contains("polarizability") {
        unsupported("a model of polarizabilities, which gives no energies")
    } else if kind.contains("charge") {
        unsupported("models with charges")
    } else if kind.contains("temperature") {
        unsupported("models whose energy depends on the temperature")
    } else if tag.starts_with("nep") {
        unsupported("versions 3 and 4 are read")
    } else {
        Err(lines.fault(format!("expected `nep3`, `nep4`, `nep3_zbl` or `nep4_zbl`, found `{tag}`")))
    }
}

/// Takes numbers in turn.
struct Numbers<'a>(&'a [f64]);

impl Numbers<'_> {
    fn tensor(&mut self, shape: &[usize]) -> Tensor {
        let (now, rest) = self.0.split_at(shape.iter().product());
        self.0 = rest;
        Tensor::from_f64(shape, now)
    }
}

/// Reads the text of a NEP file.
pub(in crate::ml) fn parse(bytes: &[u8], source: Source) -> Result<ModelFile, Fault> {
    let text = std::str::from_utf8(bytes).map_err(|_| Fault::Damaged("it is not text".to_owned()))?;
    let mut lines = Lines { lines: text.lines().enumerate(), at: 0 };
    let mut first = lines.next().unwrap_or("").split_whitespace();
    let tag = first.next().unwrap_or("");
    let (version, has_zbl) = version(&lines, tag)?;
    let stated = first.next().and_then(|w| w.parse::<usize>().ok());
    let species: Vec<String> = first.map(str::to_owned).collect();
    if stated != Some(species.len()) || species.is_empty() {
        return Err(
            lines.fault(format!("`{tag}` must be followed by the number of elements and that many symbols"))
        );
    }
    let unknown = |s: &&String| elements::atomic_number(s).is_none();
    if let Some(wrong) = species.iter().find(unknown) {
        return Err(lines.fault(format!("`{wrong}` is not an element")));
    }
    if (1..species.len()).any(|k| species[..k].contains(&species[k])) {
        return Err(lines.fault("an element is named twice"));
    }
    let types = species.len();
    let mut hyper = Map::new();
    hyper.insert("version".to_owned(), json!(version));
    let mut flexible = false;
    if has_zbl {
        let zbl: Vec<f64> = lines.numbers("zbl")?;
        let good = matches!(zbl.len(), 2 | 3) && zbl.iter().all(|x| x.is_finite() && *x >= 0.0);
        if !good || (zbl[1] < zbl[0]) {
            return Err(lines.fault("`zbl` needs an inner and an outer radius, and may have a factor"));
        }
        flexible = zbl[0] == 0.0 && zbl[1] == 0.0;
        hyper.insert("zbl".to_owned(), json!({ "inner": zbl[0], "outer": zbl[1], "factor": zbl.get(2) }));
    }
    hyper.insert("cutoffs".to_owned(), cutoffs(&mut lines, types)?);
    let [n_radial, n_angular] = lines.counts::<2>("n_max", 100)?;
    let [k_radial, k_angular] = lines.counts::<2>("basis_size", 31)?;
    let l: Vec<usize> = lines.numbers("l_max")?;
    let l_max = l.first().copied().unwrap_or(0);
    let (four, five) = (l.get(1).copied().unwrap_or(0), l.get(2).copied().unwrap_or(0));
    if !(1..=super::angular::L_MAX).contains(&l_max) {
        return Err(lines.fault(format!("`l_max` must be from 1 to {}", super::angular::L_MAX)));
    }
    if !matches!(four, 0 | 2)
        || !matches!(five, 0 | 1)
        || (four == 2 && l_max < 2)
        || l[1..].len() > 2 && l[3..].iter().any(|x| *x != 0)
    {
        return Err(Fault::Unsupported(format!("`l_max` with the invariants {:?}", &l[1..])));
    }
    let [hidden, _] = lines.counts::<2>("ANN", MOST)?;
    if hidden == 0 {
        return Err(lines.fault("`ANN` needs the number of neurons"));
    }
    let invariants = l_max + usize::from(four > 0) + usize::from(five > 0);
    let dimension = n_radial + 1 + (n_angular + 1) * invariants;
    let networks = if version == 3 { 1 } else { types };
    let shapes: [(&str, Vec<usize>); 8] = [
        ("w0", vec![networks, hidden, dimension]),
        ("b0", vec![networks, hidden]),
        ("w1", vec![networks, hidden]),
        ("b1", vec![]),
        ("c_radial", vec![n_radial + 1, k_radial + 1, types, types]),
        ("c_angular", vec![n_angular + 1, k_angular + 1, types, types]),
        ("q_scaler", vec![dimension]),
        ("zbl", vec![if flexible { types * (types + 1) / 2 } else { 0 }, 10]),
    ];
    let expected: usize = shapes.iter().map(|(_, s)| s.iter().product::<usize>()).sum();
    let mut values = Vec::new();
    while let Some(line) = lines.next() {
        // some writers put further columns after the number
        let word = line.split_whitespace().next().unwrap_or("");
        let x: f64 = word.parse().map_err(|_| lines.fault(format!("`{word}` is not a number")))?;
        if !x.is_finite() {
            return Err(lines.fault(format!("`{word}` is not finite")));
        }
        values.push(x);
    }
    if values.len() != expected {
        let what = if values.len() < expected { Fault::Damaged } else { Fault::Content };
        return Err(what(format!("{} numbers after the header, where {expected} belong", values.len())));
    }
    for (key, value) in [
        ("n_max", json!([n_radial, n_angular])),
        ("basis_size", json!([k_radial, k_angular])),
        ("l_max", json!(l_max)),
        ("four_body", json!(four > 0)),
        ("five_body", json!(five > 0)),
        ("neurons", json!(hidden)),
    ] {
        hyper.insert(key.to_owned(), value);
    }
    // the numbers of one network follow each other
    let mut rest = Numbers(&values);
    let mut parts: [Vec<f64>; 3] = Default::default();
    for _ in 0..networks {
        for (part, n) in parts.iter_mut().zip([hidden * dimension, hidden, hidden]) {
            part.extend_from_slice(&rest.0[..n]);
            rest.0 = &rest.0[n..];
        }
    }
    let mut tensors = BTreeMap::new();
    for (k, (name, shape)) in shapes.into_iter().enumerate() {
        let tensor = match parts.get(k) {
            Some(part) => Tensor::from_f64(&shape, part),
            None => rest.tensor(&shape),
        };
        tensors.insert(name.to_owned(), tensor);
    }
    Ok(ModelFile {
        architecture: "nep".to_owned(),
        tensors,
        hyper_parameters: hyper,
        species,
        form: Form::NepText,
        source,
        licence: None,
    })
}

/// Radial and angular cutoff of every type; the largest numbers of neighbours, which may follow, are not needed.
fn cutoffs(lines: &mut Lines<'_>, types: usize) -> Result<Value, Fault> {
    let words: Vec<f64> = lines.numbers("cutoff")?;
    let pairs: Vec<[f64; 2]> = match words.len() {
        2 | 4 => vec![[words[0], words[1]]; types],
        n if n == 2 * types + 2 => words.chunks_exact(2).take(types).map(|c| [c[0], c[1]]).collect(),
        n => return Err(lines.fault(format!("`cutoff` needs 4 or {} numbers, found {n}", 2 * types + 2))),
    };
    let good =
        |[radial, angular]: &[f64; 2]| (0.1..=100.0).contains(radial) && (0.1..=*radial).contains(angular);
    match pairs.iter().find(|p| !good(p)) {
        Some([r, a]) => Err(lines.fault(format!(
            "`cutoff` {r} {a}: expected a radial cutoff up to 100 Å and an angular cutoff that is not larger"
        ))),
        None => Ok(json!(pairs)),
    }
}
