//! The structures of a file, each with the interactions of a potential file, worked on by all cores in order.
use crate::Failure;
use crate::input::{Evaluation, PotentialFile};
use caloron_engine::{Cell, Evaluator, Potential, State, System, UnitSystem};
use caloron_io::{Frame, Reader};
use rayon::prelude::*;
use std::path::Path;
use std::sync::Arc;

/// Frames read before they are worked on together.
const BATCH: usize = 64;

/// A file of structures and a file of interactions.
pub(super) struct Structures {
    reader: Box<dyn Reader>,
    potential: PotentialFile,
}

/// One structure, ready to evaluate.
pub(super) struct Item<'a> {
    /// Number of the frame, from 0.
    pub index: usize,
    /// The frame as it was read.
    pub frame: &'a Frame,
    /// Its atoms.
    pub system: Arc<System>,
    /// Its geometry.
    pub state: State,
    /// The interactions.
    pub evaluator: &'a mut Evaluator,
    /// Unit system of the potential file.
    pub units: UnitSystem,
}

impl Structures {
    pub(super) fn open(structures: &Path, potential: &Path) -> Result<Self, Failure> {
        let potential = PotentialFile::read(potential)?;
        Ok(Self { reader: caloron_io::open(structures)?, potential })
    }
    pub(super) fn units(&self) -> UnitSystem {
        self.potential.units()
    }
    /// Calls `work` on every structure, in parallel, and `take` on the results, in order. Warnings of the
    /// interactions are printed once.
    pub(super) fn for_each<T: Send>(
        &mut self,
        work: impl Fn(&mut Item<'_>) -> Result<T, Failure> + Sync,
        mut take: impl FnMut(T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut first = 0;
        let mut warned = Vec::new();
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH
                && let Some(frame) = self.reader.next_frame()?
            {
                batch.push(frame);
            }
            if batch.is_empty() {
                return if first > 0 { Ok(()) } else { Err(Failure::input("the file holds no structure")) };
            }
            // contiguous shares, so that equal structures in a row share their interactions
            let share = batch.len().div_ceil(rayon::current_num_threads());
            let (potential, work) = (&self.potential, &work);
            let done: Vec<_> = batch
                .par_chunks(share)
                .enumerate()
                .map(|(c, frames)| work_through(potential, frames, first + c * share, work))
                .collect();
            for part in done {
                for (result, warnings) in part {
                    for w in warnings.into_iter().filter(|w| !warned.contains(w)).collect::<Vec<_>>() {
                        eprintln!("warning: {w}");
                        warned.push(w);
                    }
                    take(result?)?;
                }
            }
            first += batch.len();
        }
    }
}

/// The result of one structure, and what the user should be warned of.
type Done<T> = (Result<T, Failure>, Vec<String>);

fn work_through<T>(
    potential: &PotentialFile,
    frames: &[Frame],
    first: usize,
    work: impl Fn(&mut Item<'_>) -> Result<T, Failure>,
) -> Vec<Done<T>> {
    let mut kept: Option<(&Frame, Evaluation)> = None;
    let mut done = Vec::new();
    for (k, frame) in frames.iter().enumerate() {
        let index = first + k;
        // interactions that know absolute positions belong to one structure
        let reusable = kept.take().filter(|(before, e)| {
            same_atoms(before, frame) && !e.evaluator.potentials().any(Potential::breaks_symmetry)
        });
        let built = match reusable {
            Some((_, mut e)) => {
                // a force field may have opened the cell
                let opened = potential.document.force_field.is_some() && e.state.cell().is_open();
                let cell = if opened { Cell::open() } else { frame.cell.clone() };
                e.state = State::at_rest(frame.positions.clone(), cell);
                Ok(e)
            }
            None => potential.build_for(frame.clone()),
        };
        match built {
            Err(e) => done.push((Err(frame_failure(index, Failure::from(e))), Vec::new())),
            Ok(mut e) => {
                let mut item = Item {
                    index,
                    frame,
                    system: e.system.clone(),
                    state: e.state.clone(),
                    evaluator: &mut e.evaluator,
                    units: potential.units(),
                };
                done.push((work(&mut item), e.warnings.clone()));
                kept = Some((frame, e));
            }
        }
        if done.last().is_some_and(|d| d.0.is_err()) {
            break;
        }
    }
    done
}

fn frame_failure(index: usize, failure: Failure) -> Failure {
    Failure::input(format!("frame {index}: {}", failure.message()))
}

fn same_atoms(a: &Frame, b: &Frame) -> bool {
    a.symbols == b.symbols
        && a.masses == b.masses
        && a.charges == b.charges
        && a.arrays == b.arrays
        && a.positions.iter().all(|r| r.iter().all(|x| x.is_finite()))
        && b.positions.iter().all(|r| r.iter().all(|x| x.is_finite()))
}
