//! PDB: read by chemfiles, written here with one model for each frame.
//!
//! Å with three decimals, angles with two.
use crate::encode::Encoder;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::names::Names;
use crate::{Frame, orient};
use caloron_engine::{Cell, elements};
use std::io::Write;

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "pdb",
    extensions: &["pdb", "ent"],
    file_names: &[],
    about: "Protein Data Bank",
    holds: Holds { frames: true, names: true, cell: true, provenance: true, ..Holds::NONE },
    input: Input::Chemfiles("PDB"),
    output: Output::Native(|options| Box::new(Writing { provenance: options.provenance.clone() })),
}];

struct Writing {
    provenance: Vec<(String, String)>,
}

impl Encoder for Writing {
    fn encode(&mut self, frame: &Frame, index: u64, out: &mut Vec<u8>) -> Result<(), Fault> {
        let frame = &*orient::standard(frame)?;
        if index == 0 {
            for (key, value) in &self.provenance {
                let text = format!("{key}: {value}").replace(['\n', '\r'], " ");
                // remark 3 to 999 are free for programs; 60 characters fit a line
                let chars: Vec<char> = text.chars().collect();
                for part in chars.chunks(60) {
                    let _ = writeln!(out, "REMARK 250 {}", part.iter().collect::<String>());
                }
            }
        }
        let _ = writeln!(out, "MODEL     {:>4}", (index + 1) % 10_000);
        if frame.cell != Cell::open() {
            let ([a, b, c], [alpha, beta, gamma]) = frame.cell.lengths_angles();
            let _ =
                writeln!(out, "CRYST1{a:9.3}{b:9.3}{c:9.3}{alpha:7.2}{beta:7.2}{gamma:7.2} P 1           1");
        }
        let names = Names::of(frame);
        for (i, r) in frame.positions.iter().enumerate() {
            let fail = |what: &str| {
                Fault::new(format!("atom {}: {what} does not fit its columns", i + 1))
                    .hint("write extxyz or GRO")
            };
            let (name, residue) = (names.atom(i), names.residue(i));
            if name.chars().count() > 4 {
                return Err(fail(&format!("the name {name:?}")));
            }
            if residue.chars().count() > 4 {
                return Err(fail(&format!("the residue name {residue:?}")));
            }
            if !r.iter().all(|x| (-999.9995..9999.9995).contains(x)) {
                return Err(fail("a coordinate"));
            }
            let symbol = Some(frame.symbols[i].as_str())
                .filter(|s| elements::atomic_number(s).is_some())
                .unwrap_or("");
            // names of one-letter elements begin in the second of their four columns
            let name =
                if name.len() < 4 && symbol.len() < 2 { format!(" {name:<3}") } else { format!("{name:<4}") };
            let chain = names.chain(i).chars().next().filter(|c| c.is_ascii_alphanumeric()).unwrap_or(' ');
            let number = names.number(i).rem_euclid(10_000);
            let _ = writeln!(
                out,
                "ATOM  {:>5} {name} {residue:<4}{chain}{number:>4}    {:8.3}{:8.3}{:8.3}  1.00  0.00          {:>2}",
                (i + 1) % 100_000,
                r.x,
                r.y,
                r.z,
                symbol.to_uppercase(),
            );
        }
        out.extend_from_slice(b"ENDMDL\n");
        Ok(())
    }
}
