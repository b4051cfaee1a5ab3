//! From a document to everything a run needs, checked.
use super::atoms::read_force_field;
use super::checks::{check_places, check_reach, positive};
use super::diagnostic::InputError;
use super::document::{Document, NeighborsSpec, PotentialDocument, PotentialTable, VerdictSpec};
use super::files::check_exists;
use super::groups;
use super::output::OutputPlan;
use super::source::Source;
use super::stage::{StageContext, StagePlan};
use super::structure::Structure;
use super::system::Start;
use crate::provenance::{Origin, Pairs, sha256, sha256_of};
use caloron_engine::guard::Limits;
use caloron_engine::velocities::momentum;
use caloron_engine::verdict::Thresholds;
use caloron_engine::watch::{Settings, Watch, WatchSpec, has_committee};
use caloron_engine::{
    Cell, Evaluator, Potential, Properties, Quantity, SpecError, State, System, UnitSystem, Vec3, neighbors,
};
use caloron_io::{Format, Frame};
use caloron_potentials::BuildContext;
use caloron_potentials::force_field::{ForceFieldSpec, MolecularModel};
use caloron_potentials::ml::checkpoint::ModelCache;
use caloron_potentials::selection::{self, Atoms, Link, Scaled, Selected};
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};

/// An input file with its text, its folder and what it says.
pub struct InputFile {
    /// The text.
    pub source: Source,
    /// The folder that file names in it are relative to.
    pub directory: PathBuf,
    /// What it says.
    pub document: Document,
}

/// Everything a run needs.
pub struct Plan {
    /// Title of the input.
    pub title: Option<String>,
    /// Unit system.
    pub units: UnitSystem,
    /// Seed of all random numbers; 0 when the input gives none.
    pub seed: u64,
    /// Number of threads the input asks for.
    pub threads: Option<usize>,
    /// What is fixed.
    pub system: Arc<System>,
    /// What moves, at the start.
    pub state: State,
    /// The interactions.
    pub evaluator: Evaluator,
    /// Names of the interactions with the name they have in the input, in its order.
    pub potentials: Vec<String>,
    /// What is done.
    pub stages: Vec<StagePlan>,
    /// What is written.
    pub output: OutputPlan,
    /// Limits that stop the run.
    pub guard: Limits,
    /// What is watched while a learned potential drives the run.
    pub watch: Settings,
    /// Thresholds of the verdict.
    pub verdict: Thresholds,
    /// Where the run comes from.
    pub provenance: Provenance,
    /// Papers to cite, each once.
    pub citations: Vec<String>,
    /// What the user should worry about.
    pub warnings: Vec<String>,
    /// What was chosen where the input is silent.
    pub notes: Vec<String>,
}

/// Where a run comes from: the text of the input and the files it names with their SHA-256.
#[derive(Clone, Debug, PartialEq)]
pub struct Provenance {
    /// Name of the input file.
    pub input_name: String,
    /// Its text.
    pub input: String,
    /// SHA-256 of the text, hexadecimal.
    pub input_sha256: String,
    /// Files that were read, with their SHA-256.
    pub files: Vec<(PathBuf, String)>,
}

/// The interactions of a `PotentialDocument`, built for one structure.
pub struct Evaluation {
    /// What is fixed.
    pub system: Arc<System>,
    /// The structure.
    pub state: State,
    /// The interactions.
    pub evaluator: Evaluator,
    /// Papers to cite.
    pub citations: Vec<String>,
    /// What the user should worry about.
    pub warnings: Vec<String>,
    /// Files that were read.
    pub files: Vec<PathBuf>,
}

/// Reads the text of an input file.
fn read_text(path: &Path) -> Result<(Source, PathBuf), InputError> {
    let name = path.display().to_string();
    check_exists("", path).map_err(|e| InputError::file(&name, e.message, e.hint.unwrap_or_default()))?;
    let bytes = std::fs::read(path).map_err(|e| {
        InputError::file(&name, format!("cannot read the file: {e}"), "check its permissions")
    })?;
    let text = String::from_utf8(bytes).map_err(|e| {
        InputError::file(
            &name,
            format!("the file is not UTF-8 text ({e})"),
            "save it as UTF-8; is it the right file?",
        )
    })?;
    let directory = path.parent().unwrap_or(Path::new("")).to_owned();
    Ok((Source::new(name, text), directory))
}

impl InputFile {
    /// Reads and parses a file.
    ///
    /// # Errors
    /// When it cannot be read or says something wrong.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, InputError> {
        let (source, directory) = read_text(path.as_ref())?;
        Self::parse(source, directory)
    }
    /// Parses a text; file names in it are relative to `directory`.
    ///
    /// # Errors
    /// When it says something wrong.
    pub fn parse(source: Source, directory: impl Into<PathBuf>) -> Result<Self, InputError> {
        let document = Document::parse(&source)?;
        Ok(Self { source, directory: directory.into(), document })
    }
    /// Builds everything the run needs.
    ///
    /// # Errors
    /// The first thing that is wrong, at its place in the text.
    pub fn build(&self) -> Result<Plan, InputError> {
        build(&self.document, &self.source, &self.directory)
    }
    /// Builds the system alone.
    ///
    /// # Errors
    /// The first thing that is wrong with `[system]`.
    pub(crate) fn build_system(&self) -> Result<Start, InputError> {
        let (units, seed) = (self.document.units.into(), self.document.seed.unwrap_or(0));
        let start = self.document.system.build(units, seed, &self.directory);
        start.map_err(|e| InputError::from_spec(&self.source, e.within("system")))
    }
}

/// Builds everything a run needs.
///
/// # Errors
/// The first thing that is wrong, at its place in the text.
pub fn build(document: &Document, source: &Source, directory: &Path) -> Result<Plan, InputError> {
    assemble(document, source, directory).map_err(|e| InputError::from_spec(source, e))
}

fn assemble(document: &Document, source: &Source, directory: &Path) -> Result<Plan, SpecError> {
    let units = UnitSystem::from(document.units);
    let seed = document.seed.unwrap_or(0);
    if document.threads == Some(0) {
        return Err(SpecError::new("threads", "at least one thread is needed")
            .hint("leave `threads` out for all cores"));
    }
    check_stage_names(document)?;
    let Start { system, state, force_field, files, mut notes, mut warnings, .. } =
        document.system.build(units, seed, directory).map_err(|e| e.within("system"))?;
    if document.seed.is_none() {
        notes.push("no seed is given: the run uses seed 0".into());
    }
    let guard = document.guard.build(units).map_err(|e| e.within("guard"))?;
    let watch = watch(&document.guard.learned).map_err(|e| e.within("learned").within("guard"))?;
    let verdict = verdict(&document.verdict).map_err(|e| e.within("verdict"))?;
    let skin = skin(&document.neighbors, units)?;
    if let Some(skin) = document.neighbors.skin.map(Quantity::internal) {
        check_reach("neighbors.skin", "skin", skin, state.cell(), state.len())?;
    }
    let search = document.neighbors.search.into();
    let (positions, cell) = (state.positions(), state.cell());
    let models = &ModelCache::default();
    let parts = Parts { units, directory, system: &system, positions, cell, skin, search, models };
    let own = parts.force_field(force_field.as_ref(), &document.potential).map_err(|e| e.within("system"))?;
    let mut terms = parts.terms(&document.potential, own, files)?;
    warnings.append(&mut terms.warnings);
    let evaluator = Evaluator::with_groups(terms.potentials, skin, document.neighbors.search.into());
    let committee = has_committee(&evaluator);
    let saved = Watch::new(watch.clone(), &system, &evaluator, units).map(|_| watch.file.as_path());
    let periodic = state.cell().is_fully_periodic();
    let output = document.output.build(periodic, committee, saved, &mut warnings);
    let output = output.map_err(|e| if e.key.starts_with("guard.") { e } else { e.within("output") })?;
    let mut citations: Vec<String> = terms.citations;
    citations.extend(system.solver().cite().into_iter().map(str::to_owned));
    let mut stages = Vec::new();
    let mut at_rest = is_at_rest(&system, state.velocities());
    let mut still = state.velocities().iter().all(|v| *v == Vec3::zeros());
    let external = evaluator.potentials().any(Potential::breaks_symmetry);
    for (k, spec) in document.stage.iter().enumerate() {
        let groups = evaluator.groups();
        let context =
            StageContext { system: &system, state: &state, units, groups, at_rest, still, external };
        let stage = spec.build(&context, &mut warnings).map_err(|e| e.within(&format!("stage[{k}]")))?;
        citations.extend(stage.citations.iter().map(|&c| c.to_owned()));
        check_provided(&stage, &evaluator).map_err(|e| e.within(&format!("stage[{k}]")))?;
        still = spec.minimize.is_some();
        at_rest = stage.momentum_removed || still;
        stages.push(stage);
    }
    warnings.extend(rare_output(&output, &stages));
    let provenance = Provenance {
        input_name: source.name().to_owned(),
        input: source.text().to_owned(),
        input_sha256: sha256(source.text().as_bytes()),
        files: hashed(terms.files)?,
    };
    unique(&mut citations);
    Ok(Plan {
        title: document.title.clone(),
        units,
        seed,
        threads: document.threads,
        system: Arc::new(system),
        state,
        evaluator,
        potentials: terms.names,
        stages,
        output,
        guard,
        watch,
        verdict,
        provenance,
        citations,
        warnings,
        notes,
    })
}

/// The settings of the guard of learned potentials.
fn watch(spec: &WatchSpec) -> Result<Settings, SpecError> {
    let settings = spec.build()?;
    if Format::from_path(&settings.file).is_ok_and(|f| f.name() == "extxyz") {
        return Ok(settings);
    }
    let message = format!("frames are saved as extended XYZ, not as `{}`", settings.file.display());
    Err(SpecError::new("frames.file", message).hint("write a name that ends in .extxyz"))
}

/// What is written less often than all stages have steps.
fn rare_output(output: &OutputPlan, stages: &[StagePlan]) -> Vec<String> {
    let shorter = |every: u64, own: fn(&StagePlan) -> Option<u64>| {
        stages.iter().all(|s| own(s).unwrap_or(every) > s.steps)
    };
    let trajectories = output.trajectories.iter().filter(|t| shorter(t.every, |s| s.output.trajectory_every));
    let mut warnings: Vec<String> = trajectories
        .map(|t| {
            let (name, every) = (t.file.display(), t.every);
            format!("{name}: `every = {every}` is more than the steps of any stage: only first and last frames are written")
        })
        .collect();
    if let Some(t) = output.thermo.as_ref().filter(|t| shorter(t.every, |s| s.output.thermo_every)) {
        let (name, every) = (t.file.display(), t.every);
        warnings.push(format!(
            "{name}: `every = {every}` is more than the steps of any stage: only the first line is written"
        ));
    }
    warnings
}

fn check_stage_names(document: &Document) -> Result<(), SpecError> {
    if document.stage.is_empty() {
        return Err(SpecError::new("stage", "nothing is done: the input has no [[stage]]")
            .hint("add a [[stage]] with a name, its steps and a table such as [stage.nve]"));
    }
    for (k, stage) in document.stage.iter().enumerate() {
        let key = format!("stage[{k}].name");
        if stage.name.trim().is_empty() {
            return Err(SpecError::new(key, "the name of a stage must not be empty")
                .hint("name it, such as \"equilibrate\""));
        }
        if let Some(first) = document.stage[..k].iter().position(|s| s.name == stage.name) {
            return Err(SpecError::new(
                key,
                format!("the stages {first} and {k} have the same name `{}`", stage.name),
            )
            .hint("give every stage its own name: output and messages refer to it"));
        }
    }
    Ok(())
}

/// An interaction with its name and its force group.
type Grouped = (&'static str, Box<dyn Potential>, u8);

/// What every term is built against.
struct Parts<'a> {
    units: UnitSystem,
    directory: &'a Path,
    system: &'a System,
    positions: &'a [Vec3],
    cell: &'a Cell,
    skin: f64,
    search: neighbors::Search,
    models: &'a ModelCache,
}

struct Terms {
    potentials: Vec<(Box<dyn Potential>, u8)>,
    names: Vec<String>,
    citations: Vec<String>,
    warnings: Vec<String>,
    files: Vec<PathBuf>,
}

impl Terms {
    fn add(&mut self, name: &str, potential: Box<dyn Potential>, group: u8) {
        self.citations.extend(potential.citations().into_iter().map(str::to_owned));
        self.warnings.extend(potential.warnings());
        self.names.push(name.to_owned());
        self.potentials.push((potential, group));
    }
}

impl Parts<'_> {
    /// The interactions of a force field; the errors are at `force_field`.
    fn force_field(
        &self,
        force_field: Option<&(ForceFieldSpec, MolecularModel)>,
        tables: &[PotentialTable],
    ) -> Result<Vec<Grouped>, SpecError> {
        let Some((spec, model)) = force_field else { return Ok(vec![]) };
        let within = |e: SpecError| e.within("force_field");
        let embedded = match &spec.replaced {
            None => None,
            Some(name) => {
                let region = groups::find(self.system, name).map_err(|e| within(e.within("replaced")))?;
                // whoever gives the interactions of the region closes the bonds it cuts
                let closed = tables.iter().any(|t| {
                    t.link_ratio.is_some() && t.groups.as_ref().is_some_and(|g| g.len() == 1 && g[0] == *name)
                });
                Some(model.without_inner(region, closed).map_err(within)?)
            }
        };
        let potentials = spec.potentials(embedded.as_ref().unwrap_or(model), self.cell).map_err(within)?;
        for cutoff in potentials.iter().filter_map(|(_, p)| p.cutoff()) {
            check_reach("force_field.cutoff", "cutoff", cutoff, self.cell, self.positions.len())?;
        }
        Ok(potentials.into_iter().map(|(name, p)| (name, p, spec.force_group(name))).collect())
    }
    /// The bonds that a table cuts and closes with hydrogen.
    fn links(&self, table: &PotentialTable, part: Option<&[u32]>) -> Result<Vec<Link>, SpecError> {
        let Some(ratio) = table.link_ratio else { return Ok(vec![]) };
        let wrong = |message: &str| SpecError::new("link_ratio", message);
        if !(ratio > 0.0 && ratio < 1.0) {
            return Err(wrong(&format!("{ratio} is not between 0 and 1"))
                .hint("the length of the bond to hydrogen over that of the bond that is cut: 0.71 for C-C"));
        }
        let (Some(part), true) = (part, table.groups.is_some()) else {
            return Err(
                wrong("only an interaction that is restricted to groups cuts bonds").hint("leave it out")
            );
        };
        let links = Link::cut(self.system, part, ratio);
        if links.is_empty() {
            return Err(wrong("the groups cut no bond").hint("leave it out, or correct the groups"));
        }
        Ok(links)
    }
    /// The interactions of the force field and those of the tables.
    fn terms(
        &self,
        tables: &[PotentialTable],
        force_field: Vec<Grouped>,
        files: Vec<PathBuf>,
    ) -> Result<Terms, SpecError> {
        if tables.is_empty() && force_field.is_empty() {
            return Err(SpecError::new(
                "potential",
                "there are no interactions: the input has no [[potential]]",
            )
            .hint("add a [[potential]] with a table such as [potential.lennard_jones]"));
        }
        let mut context = BuildContext {
            system: self.system,
            positions: self.positions,
            cell: self.cell,
            units: self.units,
            directory: self.directory,
            models: self.models,
            files,
        };
        let mut terms =
            Terms { potentials: vec![], names: vec![], citations: vec![], warnings: vec![], files: vec![] };
        let mut used: Vec<u8> = tables.iter().map(|t| t.force_group.unwrap_or(0)).collect();
        for (name, potential, group) in force_field {
            used.push(group);
            terms.add(name, potential, group);
        }
        let highest = used.iter().copied().max().unwrap_or(0);
        let empty = (0..highest).find(|g| !used.contains(g));
        if let (Some(empty), true) = (empty, tables.iter().all(|t| t.force_group.unwrap_or(0) < highest)) {
            let message = format!("no interaction is in force group {empty}");
            return Err(SpecError::new("system.force_field.force_groups", message).hint(format!(
                "the groups are counted from 0 without gaps; the largest one here is {highest}"
            )));
        }
        for (k, table) in tables.iter().enumerate() {
            let at = format!("potential[{k}]");
            let group = table.force_group.unwrap_or(0);
            if let Some(empty) = empty {
                return Err(SpecError::new(
                    format!("{at}.force_group"),
                    format!("no interaction is in force group {empty}"),
                )
                .hint(format!(
                    "the groups are counted from 0 without gaps; the largest one here is {highest}"
                )));
            }
            let atoms = atoms(table).map_err(|e| e.within(&at))?;
            let part = match &atoms {
                None => None,
                Some(atoms) => Some(atoms.indices(self.system).map_err(|e| e.within(&at))?),
            };
            let links = self.links(table, part.as_deref()).map_err(|e| e.within(&at))?;
            let potential = match &part {
                None => table.term.build(&mut context),
                Some(indices) => {
                    let (system, positions) =
                        selection::part(self.system, indices, &links, self.positions, self.cell);
                    let files = std::mem::take(&mut context.files);
                    let mut own = BuildContext { system: &system, positions: &positions, files, ..context };
                    let built = table.term.build(&mut own);
                    context.files = own.files;
                    built
                }
            };
            let potential = potential.map_err(|e| e.within(&at))?;
            if let Some(cutoff) = potential.cutoff() {
                let key = format!("{at}.{}.cutoff", table.name);
                positive(&key, cutoff).map_err(|_| {
                    SpecError::new(&key, "the cutoff must be positive").hint("write a distance above zero")
                })?;
                check_reach(&key, "cutoff", cutoff, self.cell, self.positions.len())?;
            }
            let potential = match atoms {
                None => potential,
                Some(atoms) => {
                    let ratio = table.link_ratio;
                    let part = Selected::linked(potential, atoms, self.system, self.skin, self.search, ratio);
                    Box::new(part.map_err(|e| e.within(&at))?)
                }
            };
            let potential: Box<dyn Potential> = match table.scale {
                None => potential,
                Some(scale) if scale.is_finite() => Box::new(Scaled::new(potential, scale, k)),
                Some(scale) => {
                    return Err(SpecError::new(
                        format!("{at}.scale"),
                        format!("{scale} is not a finite number"),
                    )
                    .hint("write the factor of the interaction, such as 0.5"));
                }
            };
            terms.add(&table.name, potential, group);
        }
        terms.files = context.files;
        Ok(terms)
    }
}

/// What an interaction is restricted to.
fn atoms(table: &PotentialTable) -> Result<Option<Atoms>, SpecError> {
    let (key, atoms) = match (&table.species, &table.groups) {
        (None, None) => return Ok(None),
        (Some(species), None) => ("species", Atoms::Species(species.clone())),
        (None, Some(groups)) => ("groups", Atoms::Groups(groups.clone())),
        (Some(_), Some(_)) => {
            return Err(SpecError::new("groups", "both `species` and `groups` restrict this interaction")
                .hint("keep one of them; `groups` of [system] can choose species too"));
        }
    };
    if !table.term.can_be_restricted() {
        let message = format!("`{}` cannot be restricted: it names the atoms it acts on itself", table.name);
        return Err(SpecError::new(key, message).hint(format!("leave `{key}` out")));
    }
    Ok(Some(atoms))
}

fn skin(spec: &NeighborsSpec, units: UnitSystem) -> Result<f64, SpecError> {
    let default = if units == UnitSystem::Lj { 0.3 } else { 1.0 };
    let skin = spec.skin.map_or(default, Quantity::internal);
    if skin >= 0.0 && skin.is_finite() {
        return Ok(skin);
    }
    Err(SpecError::new("neighbors.skin", "the skin must not be negative")
        .hint("write 0 to search at every step"))
}

/// Every interaction must provide what a stage needs.
fn check_provided(stage: &StagePlan, evaluator: &Evaluator) -> Result<(), SpecError> {
    let missing: Properties = stage.sampler.needs().difference(evaluator.provides());
    if missing.is_empty() {
        return Ok(());
    }
    let lacking =
        |p: &dyn Potential| !stage.sampler.needs().difference(p.provides() | Properties::EXTRAS).is_empty();
    let who: Vec<&str> = evaluator.potentials().filter(|p| lacking(*p)).map(|p| p.name()).collect();
    Err(SpecError::new("", format!("this stage needs {missing:?}, which {} cannot compute", who.join(", ")))
        .hint("choose another interaction, or a stage that does not change the cell"))
}

/// True when the total momentum is zero to rounding.
fn is_at_rest(system: &System, velocities: &[Vec3]) -> bool {
    let scale: f64 = velocities.iter().zip(system.masses()).map(|(v, m)| m * v.norm()).sum();
    momentum(system, velocities).norm() <= 1e-12 * scale
}

fn verdict(spec: &VerdictSpec) -> Result<Thresholds, SpecError> {
    let check = |key: &str, value: Option<f64>| value.map(|v| positive(key, v)).transpose();
    let limits = Thresholds {
        drift_warn: check("drift_warn", spec.drift_warn)?,
        drift_fail: check("drift_fail", spec.drift_fail)?,
    };
    if let (Some(warn), Some(fail)) = (limits.drift_warn, limits.drift_fail)
        && fail < warn
    {
        return Err(SpecError::new("drift_fail", "the drift that fails is below the one that warns")
            .hint("give `drift_fail` a larger value than `drift_warn`"));
    }
    Ok(limits)
}

/// Every item once, in the order of first appearance.
fn unique<T: Clone + PartialEq>(items: &mut Vec<T>) {
    let mut seen: Vec<T> = Vec::new();
    items.retain(|item| {
        let is_new = !seen.contains(item);
        if is_new {
            seen.push(item.clone());
        }
        is_new
    });
}

/// Files with their SHA-256, each once.
pub(crate) fn hashed(mut files: Vec<PathBuf>) -> Result<Vec<(PathBuf, String)>, SpecError> {
    unique(&mut files);
    let hashed = |file: PathBuf| match sha256_of(&file) {
        Ok(hash) => Ok((file, hash)),
        Err(e) => Err(SpecError::new("", format!("cannot read `{}` again: {e}", file.display()))),
    };
    files.into_iter().map(hashed).collect()
}

/// A file of interactions with its text and its folder.
pub struct PotentialFile {
    /// The text.
    pub source: Source,
    /// The folder that file names in it are relative to.
    pub directory: PathBuf,
    /// What it says.
    pub document: PotentialDocument,
    /// True for the input of a run, of which the interactions are taken, and the masses and charges of its species.
    pub of_a_run: bool,
    /// Model files it names, read once for all structures.
    models: ModelCache,
    /// What it comes from; what it names is known when the interactions of a structure were built.
    origin: Arc<PotentialOrigin>,
}

/// Where the interactions of a [`PotentialFile`] come from.
pub struct PotentialOrigin {
    path: PathBuf,
    sha256: String,
    units: &'static str,
    /// Names of the interactions, and files that they were read from.
    named: OnceLock<(Vec<String>, Vec<PathBuf>)>,
}

impl PotentialOrigin {
    /// Names and values for the head of a file with results for `structures`.
    ///
    /// # Errors
    /// When a file that was read cannot be read again.
    pub(crate) fn pairs(&self, structures: &Path) -> Result<Pairs, SpecError> {
        let (names, files) = self.named.get().cloned().unwrap_or_default();
        let own = structures.is_file().then(|| structures.to_owned());
        let files = hashed(own.into_iter().chain(files).collect())?;
        let origin = Origin {
            input: Some(&self.path),
            input_sha256: &self.sha256,
            structures: Some(structures),
            units: self.units,
            potentials: &names,
            files: &files,
            ..Origin::default()
        };
        Ok(origin.pairs())
    }
}

impl PotentialFile {
    /// Unit system of the file.
    pub fn units(&self) -> UnitSystem {
        self.document.units.into()
    }
    /// Where it comes from.
    pub fn origin(&self) -> Arc<PotentialOrigin> {
        self.origin.clone()
    }
    /// Another structure of the same atoms for interactions that were built.
    ///
    /// # Errors
    /// When its molecules cannot be put together.
    pub fn place(&self, evaluation: &mut Evaluation, frame: &Frame) -> Result<(), InputError> {
        // a force field may have opened the cell
        let opened = self.document.force_field.is_some() && evaluation.state.cell().is_open();
        let cell = if opened { Cell::open() } else { frame.cell.clone() };
        let mut positions = frame.positions.clone();
        let whole = evaluation.system.topology().make_whole(&mut positions, &cell);
        whole.map_err(|e| InputError::from_spec(&self.source, e))?;
        evaluation.state = State::at_rest(positions, cell);
        Ok(())
    }
    /// Reads and parses a file.
    ///
    /// # Errors
    /// When it cannot be read or says something wrong.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, InputError> {
        let (source, directory) = read_text(path.as_ref())?;
        Self::parse(source, directory)
    }
    /// Parses a text; file names in it are relative to `directory`.
    ///
    /// # Errors
    /// When it says something wrong.
    pub fn parse(source: Source, directory: impl Into<PathBuf>) -> Result<Self, InputError> {
        let of_a_run = ["system", "stage"].iter().any(|key| source.has_top_level(key));
        let document = if of_a_run {
            PotentialDocument::of_run(Document::parse(&source)?)
        } else {
            PotentialDocument::parse(&source)?
        };
        let origin = PotentialOrigin {
            path: source.name().into(),
            sha256: sha256(source.text().as_bytes()),
            units: UnitSystem::from(document.units).name(),
            named: OnceLock::new(),
        };
        let (directory, models, origin) = (directory.into(), ModelCache::default(), Arc::new(origin));
        Ok(Self { source, directory, document, of_a_run, models, origin })
    }
    /// The interactions for a structure.
    ///
    /// # Errors
    /// When the structure or an interaction is wrong.
    pub fn build_for(&self, frame: Frame) -> Result<Evaluation, InputError> {
        self.assemble(frame).map_err(|e| InputError::from_spec(&self.source, e))
    }
    fn assemble(&self, frame: Frame) -> Result<Evaluation, SpecError> {
        let document = &self.document;
        let units = UnitSystem::from(document.units);
        let mut structure = Structure::from_frame(frame);
        let mut files = Vec::new();
        let (spec, directory) = (document.force_field.as_ref(), &self.directory);
        let force_field = read_force_field(spec, units, directory, &mut files)?;
        let mut warnings = Vec::new();
        if let Some(field) = &force_field {
            structure.apply(field, &mut warnings).map_err(|e| e.within("force_field"))?;
            warnings.extend(field.1.warnings.iter().cloned());
        }
        if structure.len() == 0 {
            return Err(SpecError::new("", "the structure has no atoms").hint("give a file with atoms"));
        }
        check_places(&structure)?;
        // species that this structure does not have are no mistake here: the file serves many structures
        let has = |name: &String| structure.symbols.iter().any(|s| s == name);
        let masses = document.masses.iter().filter(|(k, _)| has(k)).map(|(k, v)| (k.clone(), *v)).collect();
        let charges = document.charges.iter().filter(|(k, _)| has(k)).map(|(k, v)| (k.clone(), *v)).collect();
        let mut system = structure.system(&masses, &charges, &document.elements, units)?;
        warnings.extend(structure.hold(&mut system));
        system.topology().make_whole(&mut structure.positions, &structure.cell)?;
        let parts = Parts {
            units,
            directory: &self.directory,
            system: &system,
            positions: &structure.positions,
            cell: &structure.cell,
            skin: skin(&document.neighbors, units)?,
            search: document.neighbors.search.into(),
            models: &self.models,
        };
        let own = parts.force_field(force_field.as_ref(), &document.potential)?;
        let terms = parts.terms(&document.potential, own, files)?;
        warnings.extend(terms.warnings);
        self.origin.named.get_or_init(|| (terms.names, terms.files.clone()));
        let evaluator = Evaluator::with_groups(terms.potentials, parts.skin, parts.search);
        Ok(Evaluation {
            system: Arc::new(system),
            state: State::at_rest(structure.positions, structure.cell),
            evaluator,
            citations: terms.citations,
            warnings,
            files: terms.files,
        })
    }
}
