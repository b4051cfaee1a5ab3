//! AMBER coordinates and restart files as text (`inpcrd`, `rst7`): six numbers of twelve columns a line.
//!
//! Å, velocities in Å sqrt(kcal/mol/u), angles in degrees. The file names no elements: the symbols are `X`.
use crate::Frame;
use crate::api::Decoder;
use crate::binary::units::PICOSECOND;
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::frame::Value;
use crate::text::{Lines, capacity, quote, real};
use caloron_engine::{Cell, Vec3, units};

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "inpcrd",
    extensions: &["inpcrd", "rst7"],
    file_names: &[],
    about: "AMBER coordinates",
    holds: Holds { cell: true, velocities: true, time: true, ..Holds::NONE },
    input: Input::Text(|_| Box::new(Reading { done: false })),
    output: Output::None,
}];

/// 1 kcal/mol in eV.
const KCAL_PER_MOL: f64 = 4184.0 / (units::AVOGADRO * units::ELEMENTARY_CHARGE);

struct Reading {
    done: bool,
}

impl Decoder for Reading {
    fn decode(&mut self, lines: &mut Lines) -> Result<Option<Frame>, Fault> {
        if std::mem::replace(&mut self.done, true) || lines.peek()?.is_none() {
            return Ok(None);
        }
        let title = lines.expect("the title")?.trim().to_owned();
        let second = lines.expect("the number of atoms")?.to_owned();
        let at = lines.number();
        let mut words = second.split_ascii_whitespace();
        let count: usize = words.next().and_then(|w| w.parse().ok()).filter(|n| *n > 0).ok_or_else(|| {
            Fault::line(at, format!("expected the number of atoms, found {}", quote(&second)))
        })?;
        let time = words.next().and_then(real);
        let mut numbers = Vec::with_capacity(3 * capacity(count));
        while let Some(line) = lines.next()? {
            let line = line.trim_end().to_owned();
            if !line.is_ascii() {
                return Err(Fault::line(lines.number(), format!("expected numbers, found {}", quote(&line))));
            }
            let mut rest = line.as_str();
            while !rest.is_empty() {
                let (field, tail) = rest.split_at(rest.len().min(12));
                let value = real(field.trim()).ok_or_else(|| {
                    Fault::line(
                        lines.number(),
                        format!("expected a number of 12 columns, found {}", quote(field)),
                    )
                })?;
                numbers.push(value);
                rest = tail;
            }
            // a line holds six numbers, and a file ends after velocities and box
            if numbers.len() > 6 * count + 6 {
                return Err(Fault::line(lines.number(), format!("more numbers than {count} atoms can have")));
            }
        }
        let vectors = |from: usize| -> Vec<Vec3> {
            numbers[from..from + 3 * count].chunks_exact(3).map(|c| Vec3::new(c[0], c[1], c[2])).collect()
        };
        let n = 3 * count;
        if numbers.len() < n {
            let message = format!("the file ends after {} of {n} coordinates", numbers.len());
            return Err(Fault::line(lines.number(), message));
        }
        let (velocities, boxed) = match numbers.len() - n {
            0 => (None, None),
            3 | 6 => (None, Some(&numbers[n..])),
            rest if rest == n => (Some(vectors(n)), None),
            rest if rest == n + 3 || rest == n + 6 => (Some(vectors(n)), Some(&numbers[2 * n..])),
            rest => {
                let message =
                    format!("{rest} numbers after the coordinates are neither velocities nor a box");
                return Err(Fault::line(lines.number(), message));
            }
        };
        let cell = match boxed {
            None => Cell::open(),
            Some(b) => {
                let angles = if b.len() == 6 { [b[3], b[4], b[5]] } else { [90.0; 3] };
                Cell::from_lengths_angles([b[0], b[1], b[2]], angles)
                    .map_err(|e| Fault::line(lines.number(), format!("the box: {e}")))?
            }
        };
        let mut frame = Frame::new(vec!["X".to_owned(); count], vectors(0), cell);
        frame.velocities = velocities.map(|v| v.into_iter().map(|v| v * KCAL_PER_MOL.sqrt()).collect());
        frame.time = time.map(|t| t * PICOSECOND);
        if !title.is_empty() {
            frame.info.insert("title", Value::Text(title));
        }
        Ok(Some(frame))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Option<Frame>, Fault> {
        Reading { done: false }.decode(&mut Lines::new(std::io::Cursor::new(text.as_bytes().to_vec())))
    }

    #[test]
    fn coordinates_velocities_and_box_are_told_apart() {
        let three = "   1.0000000   2.0000000  -3.0000000-123.0000000   0.5000000   0.0000000\n   7.0000000   8.0000000   9.0000000\n";
        let f = read(&format!("t\n    3  1.5\n{three}")).unwrap().unwrap();
        assert_eq!((f.positions[1].x, f.positions[2].z, f.cell.is_open()), (-123.0, 9.0, true));
        let boxed = "  20.0000000  21.0000000  22.0000000  90.0000000  90.0000000  90.0000000\n";
        let f = read(&format!("t\n3\n{three}{boxed}")).unwrap().unwrap();
        assert!(f.velocities.is_none() && f.cell.vector(1).y == 21.0);
        let f = read(&format!("t\n3\n{three}{three}{boxed}")).unwrap().unwrap();
        assert!((f.velocities.unwrap()[0].x - 0.208_240_7).abs() < 1e-5);
        let e = read("t\n3\n   1.0000000   a\n").unwrap_err();
        assert!(e.message.contains("number of 12 columns"));
        assert!(read(&format!("t\n4\n{three}")).unwrap_err().message.contains("ends after 9 of 12"));
        assert!(read("t\nmany\n").unwrap_err().message.contains("number of atoms"));
    }
}
