//! The structures of a file or a folder, each with the interactions of a potential file, worked on by all cores in order.
use super::output;
use crate::failure::{Failure, Kind};
use crate::frames;
use crate::input::{Evaluation, PotentialFile, PotentialOrigin};
use caloron_engine::domain::{Distances, FRACTION};
use caloron_engine::{Evaluator, Potential, State, System, UnitSystem};
use caloron_io::{Format, Frame, Reader, Value};
use rayon::prelude::*;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// Frames read before they are worked on together.
const BATCH: usize = 64;
/// Atoms of all compositions together whose interactions a worker keeps, beside those of the last.
const KEPT: usize = 4096;

/// Failures that are shown; further ones are counted.
const SHOWN: usize = 20;

/// Files of structures, one after the other, and a file of interactions.
pub(super) struct Structures {
    /// The file or folder.
    path: PathBuf,
    /// Files that are still to be read, the next one last.
    files: Vec<PathBuf>,
    reader: Option<Box<dyn Reader>>,
    /// Name of the file that is read, where there are several.
    name: Option<Arc<str>>,
    /// Whether there are several files.
    folder: bool,
    /// All files that are read.
    inputs: Vec<PathBuf>,
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
    /// Number of the frame, from 0, and the file of a folder that it is from: `frame 3 (b.cif)`.
    pub label: String,
    /// Number of the frame, from 0.
    pub index: usize,
    /// File of a folder that it is from.
    pub file: Option<&'a str>,
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
        if let Some(file) = self.file {
            frame.info.insert("file", Value::Text(file.to_owned()));
        }
        frame
    }
    /// The end of the line of a table: the file of a folder.
    pub(super) fn file_column(&self) -> String {
        self.file.map(|file| format!("  {file}")).unwrap_or_default()
    }
}

impl Structures {
    /// Of a file with one or more structures, or of all files of a folder.
    pub(super) fn open(structures: &Path, potential: &Path) -> Result<Self, Failure> {
        let name = potential.display();
        let potential = PotentialFile::read(potential)?;
        if potential.of_a_run {
            eprintln!(
                "note: `{name}` is the input of a run; its interactions are taken with the masses and charges of the species, not what \
                 else it says of the system (groups, fixed atoms, constraints)"
            );
        }
        let folder = structures.is_dir();
        let mut files = if folder { files_of(structures)? } else { vec![structures.to_owned()] };
        files.reverse();
        let workers = (0..rayon::current_num_threads()).map(|_| Mutex::default()).collect();
        let inputs = files.clone();
        let path = structures.to_owned();
        let mut this = Self { path, reader: None, name: None, files, folder, inputs, potential, workers };
        if !folder && let Some(file) = this.files.pop() {
            this.reader = Some(caloron_io::open(file)?);
        }
        Ok(this)
    }
    /// The next structure of all files. After an error the next file of a folder follows, and nothing of a single file.
    fn next_frame(&mut self) -> Result<Option<Entry>, Failure> {
        loop {
            if let Some(reader) = &mut self.reader {
                match reader.next_frame() {
                    Ok(Some(frame)) => return Ok(Some(Entry { frame, file: self.name.clone() })),
                    Ok(None) => self.reader = None,
                    Err(e) => {
                        self.reader = None;
                        return Err(e.into());
                    }
                }
            }
            let Some(next) = self.files.pop() else { return Ok(None) };
            self.name = next.file_name().map(|n| n.to_string_lossy().into());
            self.reader = Some(caloron_io::open(next)?);
        }
    }
    /// The files that are read.
    pub(super) fn files(&self) -> impl Iterator<Item = &Path> {
        self.inputs.iter().map(PathBuf::as_path)
    }
    /// The end of the heading of a table: that of [`Item::file_column`].
    pub(super) fn file_heading(&self) -> &'static str {
        if self.folder { "  file" } else { "" }
    }
    /// Where a command that is given a file for its results writes them.
    ///
    /// # Errors
    /// Those of [`output::Structures::create`].
    pub(super) fn results(
        &self,
        output: Option<&Path>,
        force: bool,
        potential: &Path,
    ) -> Result<Results, Failure> {
        let inputs = || self.files().chain([potential]);
        let create = |path: &Path| output::Structures::create(path, force, inputs(), self.units());
        let (origin, structures) = (self.potential.origin(), self.path.clone());
        Ok(Results { file: output.map(create).transpose()?, of_a_folder: self.folder, origin, structures })
    }
    pub(super) fn units(&self) -> UnitSystem {
        self.potential.units()
    }
    /// Calls `work` on every structure, in parallel, and `take` on the results, in order. Warnings of the interactions are printed once. A structure that
    /// fails is reported, and the others follow; unless all of the first fail alike, which is no matter of structures.
    ///
    /// # Errors
    /// When a structure failed, at the end, and when `take` fails, at once.
    pub(super) fn for_each<T: Send>(
        &mut self,
        work: impl Fn(&mut Item<'_>) -> Result<T, Failure> + Sync,
        mut take: impl FnMut(T) -> Result<(), Failure>,
    ) -> Result<(), Failure> {
        let mut first = 0;
        let mut warned = Vec::new();
        let mut failures = Failures::default();
        loop {
            let mut batch = Vec::new();
            while batch.len() < BATCH {
                match self.next_frame() {
                    Ok(Some(entry)) => batch.push(entry),
                    Ok(None) => break,
                    // nothing can be done with a file of which nothing can be read
                    Err(e) if !self.folder && first == 0 && batch.is_empty() => return Err(e),
                    Err(e) => failures.add(e),
                }
            }
            if batch.is_empty() {
                return failures.end(first);
            }
            // contiguous shares, so that equal structures in a row share their interactions
            let share = batch.len().div_ceil(rayon::current_num_threads());
            let (potential, work) = (&self.potential, &work);
            let done: Vec<_> = batch
                .par_chunks(share)
                .zip(&self.workers)
                .enumerate()
                .map(|(c, (entries, kept))| {
                    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
                    work_through(potential, entries, first + c * share, &mut kept, work)
                })
                .collect();
            let done: Vec<Done<T>> = done.into_iter().flatten().collect();
            if first == 0
                && let Some(same) = all_alike(&done)
            {
                return Err(same);
            }
            for (result, warnings) in done {
                for w in warnings.into_iter().filter(|w| !warned.contains(w)).collect::<Vec<_>>() {
                    eprintln!("warning: {w}");
                    warned.push(w);
                }
                match result {
                    Ok(result) => take(result)?,
                    Err(e) => failures.add(e),
                }
            }
            first += batch.len();
        }
    }
}

/// What a command writes of the structures, where it is asked to.
pub(super) struct Results {
    file: Option<output::Structures>,
    of_a_folder: bool,
    origin: Arc<PotentialOrigin>,
    structures: PathBuf,
}

impl Results {
    /// Writes a frame.
    ///
    /// # Errors
    /// When it cannot be written.
    pub(super) fn write(&mut self, frame: &Frame) -> Result<(), Failure> {
        let Some(file) = &mut self.file else { return Ok(()) };
        file.write(frame, || self.origin.pairs(&self.structures).map_err(|e| Failure::input(e.message)))
    }
    /// Ends the file as the work on the structures ended: what fails in a folder is named at the end, and the rest is complete.
    ///
    /// # Errors
    /// That of the work, or when the file cannot be brought to disk.
    pub(super) fn end(self, work: Result<(), Failure>) -> Result<(), Failure> {
        if let Some(file) = self.file.filter(|_| work.is_ok() || self.of_a_folder) {
            file.complete()?;
        }
        work
    }
}

/// A structure that was read, and its file where there are several.
struct Entry {
    frame: Frame,
    file: Option<Arc<str>>,
}

/// Failures of structures and files.
#[derive(Default)]
struct Failures {
    count: usize,
    first: Option<Failure>,
}

impl Failures {
    /// Reports a failure.
    fn add(&mut self, failure: Failure) {
        self.count += 1;
        match self.count {
            ..=SHOWN => eprintln!("{failure}"),
            n if n == SHOWN + 1 => eprintln!("error: further failures are counted and not shown"),
            _ => {}
        }
        self.first.get_or_insert(failure);
    }
    /// What to say at the end, after a number of structures.
    fn end(self, structures: usize) -> Result<(), Failure> {
        match self.first {
            None if structures == 0 => Err(Failure::input("the file holds no structure")),
            None => Ok(()),
            Some(first) => {
                let message = match self.count {
                    1 => "a structure or file failed; what is said of it is above".to_owned(),
                    n => format!("{n} structures or files failed; what is said of them is above"),
                };
                Err(match first.kind() {
                    Kind::Simulation => Failure::simulation(message),
                    Kind::Input | Kind::Other => Failure::input(message),
                })
            }
        }
    }
}

/// The result of one structure, and what the user should be warned of.
type Done<T> = (Result<T, Failure>, Vec<String>);

/// The first failure when all results are failures that say the same, apart from the name of the frame.
fn all_alike<T>(done: &[Done<T>]) -> Option<Failure> {
    let said = |d: &Done<T>| {
        let message = d.0.as_ref().err()?.message();
        Some(message.split_once(": ").map_or(message, |m| m.1).to_owned())
    };
    let first = said(done.first()?)?;
    if !done.iter().all(|d| said(d).as_ref() == Some(&first)) {
        return None;
    }
    done.first()?.0.as_ref().err().cloned()
}

fn work_through<T>(
    potential: &PotentialFile,
    entries: &[Entry],
    first: usize,
    kept: &mut Vec<Kept>,
    work: impl Fn(&mut Item<'_>) -> Result<T, Failure>,
) -> Vec<Done<T>> {
    let mut done = Vec::new();
    for (k, Entry { frame, file }) in entries.iter().enumerate() {
        let index = first + k;
        let label = match file {
            Some(file) => format!("frame {index} ({file})"),
            None => format!("frame {index}"),
        };
        match evaluation(potential, frame, kept) {
            Err(e) => done.push((Err(Failure::input(format!("{label}: {}", e.message()))), Vec::new())),
            Ok(mut e) => {
                let mut item = Item {
                    label,
                    index,
                    file: file.as_deref(),
                    frame,
                    system: e.system.clone(),
                    state: e.state.clone(),
                    evaluator: &mut e.evaluator,
                    units: potential.units(),
                };
                let result = work(&mut item);
                let failed = result.is_err();
                done.push((result, e.warnings.clone()));
                // interactions that know absolute positions belong to one structure, and what failed is built anew
                if !failed && !e.evaluator.potentials().any(Potential::breaks_symmetry) {
                    kept.push(Kept { frame: frame.clone(), evaluation: e });
                    while kept.len() > 1 && kept.iter().map(|k| k.frame.len()).sum::<usize>() > KEPT {
                        kept.remove(0);
                    }
                }
            }
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

fn same_atoms(a: &Frame, b: &Frame) -> bool {
    a.symbols == b.symbols
        && a.masses == b.masses
        && a.charges == b.charges
        && a.arrays == b.arrays
        && a.positions.iter().all(|r| r.iter().all(|x| x.is_finite()))
        && b.positions.iter().all(|r| r.iter().all(|x| x.is_finite()))
}
