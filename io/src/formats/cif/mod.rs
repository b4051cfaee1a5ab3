//! Crystallographic Information File: crystals with their symmetry operations.
//!
//! Å and degrees. Atoms of the asymmetric unit are multiplied by the operations of the file; images closer than
//! 0.01 Å are one atom. Written without symmetry (P 1).
mod symmetry;
mod tokens;

use crate::api::Decoder;
use crate::encode::Encoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::frame::{Array, Value};
use crate::text::{Lines, push_real, push_reals, quote, real};
use crate::{Frame, WriteOptions};
use caloron_engine::{Cell, Vec3, elements};
use std::io::Write;
use symmetry::Operation;
use tokens::{Block, Blocks};

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "cif",
    extensions: &["cif"],
    file_names: &[],
    about: "crystallographic information file",
    holds: Holds { frames: true, names: true, cell: true, provenance: true, ..Holds::NONE },
    input: Input::Text(|_| Box::new(Reading::default())),
    output: Output::Native(|options| Box::new(Writing::new(options))),
}];

/// Images of an atom that are closer than this are one, Å.
const SAME: f64 = 0.01;

/// More than any setting of a space group has (192), with room for supercells.
const MOST_OPERATIONS: usize = 2000;

#[derive(Default)]
struct Reading {
    blocks: Blocks,
}

impl Decoder for Reading {
    fn decode(&mut self, lines: &mut Lines) -> Result<Option<Frame>, Fault> {
        while let Some(block) = self.blocks.next(lines)? {
            if block.column(&["_atom_site_fract_x", "_atom_site_cartn_x"]).is_some() {
                let fail = |e: Fault| match e.place {
                    None => Fault { place: Some(crate::Place::Line(block.line)), ..e },
                    Some(_) => e,
                };
                return structure(&block).map(Some).map_err(fail);
            }
        }
        Ok(None)
    }
}

/// A number with its standard uncertainty in parentheses left out.
fn number(text: &str) -> Option<f64> {
    real(text.split('(').next().unwrap_or(text))
}

fn cell(block: &Block) -> Result<Cell, Fault> {
    let get = |tag: &str| {
        let text = block.value(&[tag]).ok_or_else(|| Fault::new(format!("`{tag}` is missing")))?;
        number(text).ok_or_else(|| Fault::new(format!("`{tag}`: expected a number, found {}", quote(text))))
    };
    let lengths = [get("_cell_length_a")?, get("_cell_length_b")?, get("_cell_length_c")?];
    let angles = [get("_cell_angle_alpha")?, get("_cell_angle_beta")?, get("_cell_angle_gamma")?];
    Cell::from_lengths_angles(lengths, angles).map_err(|e| Fault::new(e.to_string()))
}

fn operations(block: &Block) -> Result<Vec<Operation>, Fault> {
    let tags = [
        "_space_group_symop_operation_xyz",
        "_space_group_symop.operation_xyz",
        "_symmetry_equiv_pos_as_xyz",
    ];
    if let Some(column) = block.column(&tags) {
        if column.len() > MOST_OPERATIONS {
            return Err(Fault::new(format!(
                "{} symmetry operations: no space group has so many",
                column.len()
            )));
        }
        let parse = |text: &&str| {
            Operation::parse(text)
                .ok_or_else(|| Fault::new(format!("{} is no symmetry operation", quote(text))))
        };
        return column.iter().map(parse).collect();
    }
    let names = ["_space_group_name_h-m_alt", "_symmetry_space_group_name_h-m", "_space_group_name_hall"];
    let group = block.value(&names).unwrap_or("P 1");
    let number = block.value(&["_space_group_it_number", "_symmetry_int_tables_number"]).unwrap_or("1");
    let trivial = group.replace([' ', '_'], "").eq_ignore_ascii_case("P1") && number.trim() == "1";
    if trivial {
        return Ok(vec![Operation::identity()]);
    }
    let message =
        format!("the space group is {group} (number {number}), but no symmetry operations are listed");
    Err(Fault::new(message).hint("export the file with its symmetry operations, or without symmetry (P 1)"))
}

/// The element of a type symbol or label such as `O2-`, `Fe3+`, `Si1` or `OW`; the text itself where there is none.
fn symbol(text: &str) -> String {
    let letters: String = text.chars().take_while(char::is_ascii_alphabetic).collect();
    let candidate = |n: usize| {
        let mut chars = letters.get(..n)?.chars();
        let first = chars.next()?.to_ascii_uppercase();
        let symbol: String = std::iter::once(first).chain(chars.map(|c| c.to_ascii_lowercase())).collect();
        match symbol.as_str() {
            "D" | "T" => Some("H".to_owned()),
            s => elements::atomic_number(s).map(|_| symbol),
        }
    };
    candidate(letters.len().min(2))
        .or_else(|| candidate(1))
        .unwrap_or_else(|| text.replace(char::is_whitespace, "_"))
}

fn structure(block: &Block) -> Result<Frame, Fault> {
    let cell = cell(block)?;
    let operations = operations(block)?;
    let coordinates = |tags: [&str; 3]| -> Option<Vec<Option<Vec3>>> {
        let [x, y, z] = tags.map(|t| block.column(&[t]));
        let (x, y, z) = (x?, y?, z?);
        let vector =
            |((x, y), z): ((&&str, &&str), &&str)| Some(Vec3::new(number(x)?, number(y)?, number(z)?));
        Some(x.iter().zip(&y).zip(&z).map(vector).collect())
    };
    let fractional = coordinates(["_atom_site_fract_x", "_atom_site_fract_y", "_atom_site_fract_z"]);
    let cartesian = || {
        let r = coordinates(["_atom_site_cartn_x", "_atom_site_cartn_y", "_atom_site_cartn_z"])?;
        Some(r.into_iter().map(|r| r.map(|r| cell.fractional(&r))).collect())
    };
    let sites: Vec<Option<Vec3>> = fractional
        .or_else(cartesian)
        .ok_or_else(|| Fault::new("the coordinates x, y, z of the atoms are not all there"))?;
    let kinds = block.column(&["_atom_site_type_symbol"]);
    let labels = block.column(&["_atom_site_label"]);
    let occupancy = block.column(&["_atom_site_occupancy"]);
    let (mut symbols, mut positions, mut shares) = (Vec::new(), Vec::new(), Vec::new());
    for (k, site) in sites.iter().enumerate() {
        let of =
            |column: &Option<Vec<&str>>| column.as_ref().and_then(|c| c.get(k).copied()).map(str::to_owned);
        let name = of(&kinds).filter(|s| !matches!(s.as_str(), "?" | ".")).or_else(|| of(&labels));
        let name = name.ok_or_else(|| Fault::new("the atoms have neither type symbol nor label"))?;
        let site = site.ok_or_else(|| Fault::new(format!("atom {} ({name}) has no coordinates", k + 1)))?;
        let share = of(&occupancy).and_then(|o| number(&o)).unwrap_or(1.0);
        let first = positions.len();
        for op in &operations {
            let image = op.apply(&site);
            // the first operation is the identity: that atom stays where the file has it
            let image = if op.is_identity() { image } else { image.map(|x| x - x.floor()) };
            let r = cell.cartesian(&image);
            if !positions[first..].iter().any(|other| cell.shortest(other, &r).norm() < SAME) {
                positions.push(r);
                symbols.push(symbol(&name));
                shares.push(share);
            }
        }
    }
    let mut frame = Frame::new(symbols, positions, cell);
    if shares.iter().any(|s| *s != 1.0) {
        frame.arrays.insert("occupancy", Array::reals(shares));
    }
    if !block.name.is_empty() {
        frame.info.insert("title", Value::Text(block.name.clone()));
    }
    Ok(frame)
}

struct Writing {
    provenance: Vec<(String, String)>,
}

impl Writing {
    fn new(options: &WriteOptions) -> Self {
        Self { provenance: options.provenance.clone() }
    }
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        if frame.cell == Cell::open() || frame.is_empty() {
            return Err(Fault::new("a CIF needs a cell and atoms"));
        }
        if index == 0 {
            for (key, value) in &self.provenance {
                let _ = writeln!(out, "# {}", format!("{key}: {value}").replace(['\n', '\r'], " "));
            }
        }
        let _ = writeln!(out, "data_frame_{index}");
        let (lengths, angles) = frame.cell.lengths_angles();
        let names = ["length_a", "length_b", "length_c", "angle_alpha", "angle_beta", "angle_gamma"];
        for (name, x) in names.iter().zip(lengths.iter().chain(&angles)) {
            let _ = write!(out, "_cell_{name} ");
            push_real(out, *x);
            out.push(b'\n');
        }
        out.extend_from_slice(
            b"_space_group_name_H-M_alt 'P 1'\n_space_group_IT_number 1\n\nloop_\n_space_group_symop_operation_xyz\n\
            'x, y, z'\n\nloop_\n_atom_site_label\n_atom_site_type_symbol\n_atom_site_fract_x\n_atom_site_fract_y\n\
            _atom_site_fract_z\n_atom_site_occupancy\n",
        );
        let occupancy = frame.arrays.get("occupancy").and_then(Array::as_reals);
        for (i, (s, r)) in frame.symbols.iter().zip(&frame.positions).enumerate() {
            let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '+' | '-' | '.' | '*');
            if s.is_empty() || !s.chars().all(plain) {
                return Err(Fault::new(format!("atom {}: the name {s:?} cannot stand in a CIF", i + 1)));
            }
            let _ = write!(out, "{s}{} {s}", i + 1);
            push_reals(out, &frame.cell.fractional(r));
            push_reals(out, [&occupancy.map_or(1.0, |o| o[i])]);
            out.push(b'\n');
        }
        out.push(b'\n');
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<Frame>, Fault> {
        let mut lines = Lines::new(std::io::Cursor::new(text.as_bytes().to_vec()));
        let mut reading = Reading::default();
        std::iter::from_fn(|| reading.decode(&mut lines).transpose()).collect()
    }

    const SALT: &str = "data_salt\n_cell_length_a 5.64(2)\n_cell_length_b 5.64\n_cell_length_c 5.64\n\
        _cell_angle_alpha 90\n_cell_angle_beta 90.0\n_cell_angle_gamma 90\n_publ_text\n;\nloop_ in a text\n;\n\
        loop_\n_symmetry_equiv_pos_as_xyz\n 'x,y,z'\n '-x,-y,-z'\n 'x+1/2,y+1/2,z'\n 'x+1/2,y,z+1/2'\n \
        'x,1/2+y,0.5+z'\nloop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n\
        Na1+ 0 0 0 # corner\nCl1- 0.5000(1) .5 0.5\n";

    #[test]
    fn symmetry_multiplies_atoms() {
        let f = &read(SALT).unwrap()[0];
        assert_eq!(f.symbols, ["Na", "Na", "Na", "Na", "Cl", "Cl", "Cl", "Cl"]);
        assert!((f.cell.volume() - 5.64f64.powi(3)).abs() < 1e-9);
        assert_eq!(f.info.get("title"), Some(&Value::Text("salt".into())));
        let nearest = (4..8).map(|i| f.cell.shortest(&f.positions[0], &f.positions[i]).norm());
        assert!(nearest.fold(f64::MAX, f64::min) - 2.82 < 1e-9);
    }

    #[test]
    fn a_space_group_without_operations_is_refused() {
        let text = SALT.replace("loop_\n_symmetry_equiv_pos_as_xyz\n 'x,y,z'\n '-x,-y,-z'\n 'x+1/2,y+1/2,z'\n 'x+1/2,y,z+1/2'\n 'x,1/2+y,0.5+z'\n", "_symmetry_space_group_name_H-M 'F m -3 m'\n");
        let e = read(&text).unwrap_err();
        assert!(e.message.contains("F m -3 m") && e.hint.is_some(), "{}", e.message);
    }

    #[test]
    fn mistakes_are_named() {
        assert!(read("hello").unwrap_err().message.contains("data_"));
        assert!(
            read(&SALT.replace("_cell_length_b 5.64\n", "")).unwrap_err().message.contains("_cell_length_b")
        );
        assert!(read(&SALT.replace("0.5000(1)", "?")).unwrap_err().message.contains("no coordinates"));
        assert!(
            read(&SALT.replace(".5 0.5\n", ".5\n")).unwrap_err().message.contains("4 columns has 7 values")
        );
        assert!(
            read(&SALT.replace("'-x,-y,-z'", "'-x,-q,-z'"))
                .unwrap_err()
                .message
                .contains("no symmetry operation")
        );
    }

    #[test]
    fn elements_follow_from_labels() {
        for (label, element) in
            [("O2-", "O"), ("Fe3+", "Fe"), ("SI1", "Si"), ("OW", "O"), ("D2", "H"), ("Cu", "Cu")]
        {
            assert_eq!(symbol(label), element);
        }
    }
}
