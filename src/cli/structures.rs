//! The structures of a file or a folder, each with the interactions of a potential file, worked on by all cores in order.
use crate::input::{Evaluation, PotentialFile};
use crate::{Failure, frames};
use caloron_engine::domain::{Distances, FRACTION};
use caloron_engine::{Evaluator, Potential, State, System, UnitSystem};
use caloron_io::{Format, Frame, Reader};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Frames read before they are worked on together.
const BATCH: usize = 64;
/// Atoms of all compositions together whose interactions a worker keeps, beside those of the last.
const KEPT: usize = 4096;

/// Files of structures, one after the other, and a file of interactions.
pub(super) struct Structures {
    /// Files that are still to be read, the next one last.
    files: Vec<PathBuf>,
    reader: Box<dyn Reader>,
    potential: PotentialFile,
    /// What the workers keep from one batch to the next.
    workers: Vec<Mutex<Vec<Kept>>>,
}

/// The interactions of a composition with a frame that has it.
struct Kept {
    frame: Frame,
    evaluation: Evaluation,
}

/// The structure files of a folder, sorted by name; files of other kinds are passed over.
fn files_of(folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let unreadable = |e: std::io::Error| Failure::other(format!("cannot read `{}`: {e}", folder.display()));
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() && Format::from_path(&path).is_ok_and(Format::reads) {
            files.push(path);
        }
    }
    files.sort();
    if files.is_empty() {
        return Err(Failure::input(format!("the folder `{}` holds no structure file", folder.display()))
            .hint("structure files have extensions such as .extxyz, .cif or .vasp"));
    }
    Ok(files)
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

impl Item<'_> {
    /// The frame for results: as it was read, with the species and the cell that the interactions have.
    pub(super) fn result(&self) -> Frame {
        let mut frame = self.frame.clone();
        frame.symbols = (0..self.system.len()).map(|i| self.system.symbol(i).to_owned()).collect();
        frame.cell = self.state.cell().clone();
        if frame.arrays.get("atomtypes").is_none() && frame.arrays.get("residuenames").is_none() {
            frames::set_names(&mut frame, &self.system);
        }
        frame
    }
}

impl Structures {
    /// Of a file with one or more structures, or of all files of a folder.
    pub(super) fn open(structures: &Path, potential: &Path) -> Result<Self, Failure> {
        let potential = PotentialFile::read(potential)?;
        let mut files = if structures.is_dir() { files_of(structures)? } else { vec![structures.to_owned()] };
        files.reverse();
        let first = files.pop().unwrap_or_default();
        let workers = (0..rayon::current_num_threads()).map(|_| Mutex::default()).collect();
        Ok(Self { reader: caloron_io::open(first)?, files, potential, workers })
    }
    /// The next structure of all files.
    fn next_frame(&mut self) -> Result<Option<Frame>, Failure> {
        loop {
            if let Some(frame) = self.reader.next_frame()? {
                return Ok(Some(frame));
            }
            match self.files.pop() {
                Some(next) => self.reader = caloron_io::open(next)?,
                None => return Ok(None),
            }
        }
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
                && let Some(frame) = self.next_frame()?
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
                .zip(&self.workers)
                .enumerate()
                .map(|(c, (frames, kept))| {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    work_through(potential, frames, first + c * share, &mut kept, work)
                })
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
    kept: &mut Vec<Kept>,
    work: impl Fn(&mut Item<'_>) -> Result<T, Failure>,
) -> Vec<Done<T>> {
    let mut done = Vec::new();
    for (k, frame) in frames.iter().enumerate() {
        let index = first + k;
        match evaluation(potential, frame, kept) {
            Err(e) => done.push((Err(frame_failure(index, e)), Vec::new())),
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
                // interactions that know absolute positions belong to one structure
                if !e.evaluator.potentials().any(Potential::breaks_symmetry) {
                    kept.push(Kept { frame: frame.clone(), evaluation: e });
                    while kept.len() > 1 && kept.iter().map(|k| k.frame.len()).sum::<usize>() > KEPT {
                        kept.remove(0);
                    }
                }
            }
        }
        if done.last().is_some_and(|d| d.0.is_err()) {
            break;
        }
    }
    done
}

/// The interactions for a structure: those of an earlier one with the same atoms, which gives the same bits, or new ones.
fn evaluation(potential: &PotentialFile, frame: &Frame, kept: &mut Vec<Kept>) -> Result<Evaluation, Failure> {
    let Some(place) = kept.iter().rposition(|k| same_atoms(&k.frame, frame)) else {
        return Ok(potential.build_for(frame.clone())?);
    };
    let mut e = kept.remove(place).evaluation;
    potential.place(&mut e, frame)?;
    e.evaluator.forget();
    Ok(e)
}

/// What a learned potential has to say about distances that its training data do not hold.
pub(super) fn too_close(system: &System, evaluator: &Evaluator, state: &State) -> Option<String> {
    let domains = evaluator.potentials().filter_map(|p| p.domain());
    let mut distances = Distances::new(system, domains, FRACTION)?;
    distances.worst(system, state.positions(), state.cell()).map(|found| found.to_string())
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
