//! OpenMM's serialised `State` (XML): positions, velocities, forces, box and time.
//!
//! nm, ps, kJ/mol. The file names no elements: the symbols are `X` until a force field or another file gives them.
use crate::api::Decoder;
use crate::binary::units::{NANOMETRE, PICOSECOND};
use crate::error::Fault;
use crate::format::{Holds, Info, Input, Output};
use crate::text::{Lines, quote, real};
use crate::{Frame, Place};
use caloron_engine::{Cell, Mat3, Vec3, units};
use quick_xml::events::{BytesStart, Event};
use quick_xml::{Reader, XmlVersion};

pub(crate) const FORMATS: &[Info] = &[Info {
    name: "openmm-state",
    extensions: &["xml"],
    file_names: &[],
    about: "OpenMM state",
    holds: Holds { cell: true, velocities: true, forces: true, time: true, ..Holds::NONE },
    input: Input::Text(|_| Box::new(Reading { done: false })),
    output: Output::None,
}];

/// 1 kJ/mol in eV.
const KJ_PER_MOL: f64 = 1e3 / (units::AVOGADRO * units::ELEMENTARY_CHARGE);

struct Reading {
    done: bool,
}

#[derive(Default)]
struct State {
    boxed: [Option<Vec3>; 3],
    positions: Vec<Vec3>,
    velocities: Vec<Vec3>,
    forces: Vec<Vec3>,
    energy: Option<f64>,
    time: Option<f64>,
    step: Option<u64>,
    seen: bool,
}

impl Decoder for Reading {
    fn decode(&mut self, lines: &mut Lines) -> Result<Option<Frame>, Fault> {
        if std::mem::replace(&mut self.done, true) {
            return Ok(None);
        }
        let mut text = String::new();
        while let Some(line) = lines.next()? {
            text.push_str(line);
            text.push('\n');
        }
        if text.trim().is_empty() {
            return Ok(None);
        }
        let state = parse(&text)?;
        build(state).map(Some)
    }
}

fn parse(text: &str) -> Result<State, Fault> {
    let mut reader = Reader::from_str(text);
    let (mut line, mut counted) = (1u64, 0);
    let mut state = State::default();
    loop {
        let event = reader.read_event();
        let at = (reader.buffer_position() as usize).min(text.len());
        line += text.as_bytes()[counted..at].iter().filter(|b| **b == b'\n').count() as u64;
        counted = at;
        match event.map_err(|e| Fault::line(line, format!("this is no valid XML: {e}")))? {
            Event::Start(e) | Event::Empty(e) => {
                state.element(&e).map_err(|f| Fault { place: Some(Place::Line(line)), ..f })?
            }
            Event::Eof => break,
            _ => {}
        }
    }
    if state.seen {
        return Ok(state);
    }
    Err(Fault::new("the file has no element <State>").hint(
        "structures are read from an OpenMM State; a System is named by `force_field = { openmm = ... }`",
    ))
}

impl State {
    fn element(&mut self, e: &BytesStart<'_>) -> Result<(), Fault> {
        let name = e.name();
        match name.as_ref() {
            b"State" => {
                self.seen = true;
                self.time = attribute(e, "time")?.as_deref().and_then(real);
                self.step = attribute(e, "stepCount")?.and_then(|s| s.parse().ok());
            }
            b"A" => self.boxed[0] = Some(vector(e)?),
            b"B" => self.boxed[1] = Some(vector(e)?),
            b"C" => self.boxed[2] = Some(vector(e)?),
            b"Energies" => self.energy = attribute(e, "PotentialEnergy")?.as_deref().and_then(real),
            b"Position" => self.positions.push(vector(e)?),
            b"Velocity" => self.velocities.push(vector(e)?),
            b"Force" => self.forces.push(vector(e)?),
            _ => {}
        }
        Ok(())
    }
}

fn attribute(e: &BytesStart<'_>, name: &str) -> Result<Option<String>, Fault> {
    let wrong = |e: &dyn std::fmt::Display| Fault::new(format!("this is no valid XML: {e}"));
    for a in e.attributes() {
        let a = a.map_err(|e| wrong(&e))?;
        if a.key.as_ref() == name.as_bytes() {
            return a
                .normalized_value(XmlVersion::Implicit1_0)
                .map(|v| Some(v.into_owned()))
                .map_err(|e| wrong(&e));
        }
    }
    Ok(None)
}

fn vector(e: &BytesStart<'_>) -> Result<Vec3, Fault> {
    let mut v = Vec3::zeros();
    for (x, name) in v.iter_mut().zip(["x", "y", "z"]) {
        let text = attribute(e, name)?.unwrap_or_default();
        *x = real(&text).ok_or_else(|| {
            let element = String::from_utf8_lossy(e.name().as_ref()).into_owned();
            Fault::new(format!("`{name}` of <{element}> is no number: {}", quote(&text)))
        })?;
    }
    Ok(v)
}

fn build(state: State) -> Result<Frame, Fault> {
    let n = state.positions.len();
    if n == 0 {
        return Err(Fault::new("the state has no positions").hint("write it with getPositions=True"));
    }
    let cell = match state.boxed {
        [Some(a), Some(b), Some(c)] => {
            let h = Mat3::from_columns(&[a, b, c]) * NANOMETRE;
            Cell::from_matrix(h, [true; 3]).map_err(|e| Fault::new(e.to_string()))?
        }
        _ => Cell::open(),
    };
    let positions = state.positions.iter().map(|r| r * NANOMETRE).collect();
    let mut frame = Frame::new(vec!["X".to_owned(); n], positions, cell);
    for (name, v) in [("velocities", &state.velocities), ("forces", &state.forces)] {
        if !v.is_empty() && v.len() != n {
            return Err(Fault::new(format!("{} {name} for {n} positions", v.len())));
        }
    }
    let scaled = |v: &[Vec3], unit: f64| Some(v.iter().map(|x| x * unit).collect()).filter(|_| !v.is_empty());
    frame.velocities = scaled(&state.velocities, NANOMETRE / PICOSECOND);
    frame.forces = scaled(&state.forces, KJ_PER_MOL / NANOMETRE);
    frame.energy = state.energy.map(|e| e * KJ_PER_MOL);
    frame.time = state.time.map(|t| t * PICOSECOND);
    frame.step = state.step;
    Ok(frame)
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<?xml version="1.0" ?>
<State openmmVersion="8" stepCount="7" time="1.5" type="State" version="1">
	<PeriodicBoxVectors><A x="2" y="0" z="0"/><B x="0" y="2" z="0"/><C x=".5" y="0" z="2"/></PeriodicBoxVectors>
	<Energies KineticEnergy="1" PotentialEnergy="96.48533212331"/>
	<Positions><Position x=".1" y=".2" z="-.3"/><Position x="1" y="0" z="0"/></Positions>
	<Velocities><Velocity x="1" y="0" z="0"/><Velocity x="0" y="0" z="0"/></Velocities>
</State>"#;

    fn read(text: &str) -> Result<Option<Frame>, Fault> {
        Reading { done: false }.decode(&mut Lines::new(std::io::Cursor::new(text.as_bytes().to_vec())))
    }

    #[test]
    fn a_state_is_a_frame() {
        let f = read(TEXT).unwrap().unwrap();
        assert_eq!(f.positions[0], Vec3::new(1.0, 2.0, -3.0));
        assert_eq!((f.step, f.cell.vector(2)), (Some(7), Vec3::new(5.0, 0.0, 20.0)));
        assert!((f.energy.unwrap() - 1.0).abs() < 1e-9);
        assert!((f.velocities.unwrap()[0].x - 10.0 / PICOSECOND).abs() < 1e-15);
    }

    #[test]
    fn mistakes_have_their_line() {
        let e = read(&TEXT.replace("y=\".2\"", "y=\"a\"")).unwrap_err();
        assert_eq!(e.place, Some(Place::Line(5)));
        assert!(e.message.contains("no number"));
        assert!(read("<System/>").unwrap_err().message.contains("<State>"));
        assert!(read("<State><Positions>").is_err());
        assert!(
            read(&TEXT.replace("<Velocity x=\"0\" y=\"0\" z=\"0\"/>", ""))
                .unwrap_err()
                .message
                .contains("1 velocities")
        );
    }
}
