//! The conformance suite that every potential passes, and access to the reference data of the tests.
//!
//! [`check_potential`] is library code: `caloron check` runs part of it on the structure of the user before a
//! simulation starts, and the tests of every potential run all of it.
use crate::neighbors::Search;
use crate::{
    Cell, Input, Mat3, NeighborList, Outputs, Potential, PotentialError, Properties, State, System, Vec3,
};
use std::fmt;
use std::path::{Path, PathBuf};

/// A file of the golden reference data, or `None` (and a line on stderr) when it is not there, so that a test can
/// skip itself. The folder is `../shared/reference` beside the workspace, or what `CALORON_REFERENCE` names.
pub fn reference(path: &str) -> Option<PathBuf> {
    let root = match std::env::var_os("CALORON_REFERENCE") {
        Some(root) => PathBuf::from(root),
        None => Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/reference"),
    };
    let file = root.join(path);
    if file.exists() {
        return Some(file);
    }
    eprintln!("SKIPPED: no reference data at {}; set CALORON_REFERENCE to its folder", file.display());
    None
}

/// A property that a potential must have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Check {
    /// Forces are the negative gradient of the energy (finite differences).
    Forces,
    /// The virial is the negative derivative of the energy with respect to strain, in sign and size, and symmetric.
    Virial,
    /// Energies and virials of the atoms add up to those of the system.
    AtomSums,
    /// Moving everything changes nothing, and the forces add up to zero.
    Translation,
    /// Turning everything turns the forces and the virial.
    Rotation,
    /// Another order of the atoms gives the same numbers in that order.
    Permutation,
    /// Moving single atoms by lattice vectors changes nothing.
    Wrapping,
    /// Twice the cell along a periodic direction has twice the energy and the same forces.
    Supercell,
    /// A cell smaller than the cutoff gives what a supercell beyond it gives.
    SmallCell,
    /// Open boundaries give what a periodic cell with enough vacuum gives.
    OpenBoundaries,
    /// The numbers do not depend on what else is wanted (to the bit).
    Wants,
    /// The numbers do not depend on the number of threads (to the bit).
    Threads,
}

impl Check {
    /// All checks.
    pub const ALL: [Self; 12] = [
        Self::Forces,
        Self::Virial,
        Self::AtomSums,
        Self::Translation,
        Self::Rotation,
        Self::Permutation,
        Self::Wrapping,
        Self::Supercell,
        Self::SmallCell,
        Self::OpenBoundaries,
        Self::Wants,
        Self::Threads,
    ];
    /// The cheap ones that hold for interactions between given atoms too: a gate before a run.
    pub const GATE: [Self; 5] =
        [Self::Forces, Self::Virial, Self::AtomSums, Self::Translation, Self::Rotation];
    /// Name for reports.
    pub fn name(self) -> &'static str {
        match self {
            Self::Forces => "forces against finite differences",
            Self::Virial => "virial against strain derivatives",
            Self::AtomSums => "sums over atoms",
            Self::Translation => "translation",
            Self::Rotation => "rotation",
            Self::Permutation => "order of the atoms",
            Self::Wrapping => "lattice translations of atoms",
            Self::Supercell => "supercell",
            Self::SmallCell => "cell smaller than the cutoff",
            Self::OpenBoundaries => "open boundaries",
            Self::Wants => "independence of what is wanted",
            Self::Threads => "independence of the number of threads",
        }
    }
}

/// What to run and how closely to look.
#[derive(Clone, Debug)]
pub struct Options {
    /// The checks, in order.
    pub checks: Vec<Check>,
    /// Displacement of finite differences, Å.
    pub displacement: f64,
    /// Strain of finite differences.
    pub strain: f64,
    /// How often a finite difference that deviates is repeated with a quarter of the step: where a pair crosses a cutoff
    /// between the places, the energy jumps and the difference says nothing, and a smaller step ends before it.
    pub refinements: usize,
    /// Number of atoms whose forces are differentiated, spread evenly over the system.
    pub atoms: usize,
    /// Allowed relative deviation of finite differences.
    pub difference_tolerance: f64,
    /// Allowed relative deviation where only rounding differs.
    pub rounding_tolerance: f64,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            checks: Check::ALL.to_vec(),
            displacement: 5e-4,
            strain: 2e-4,
            refinements: 7,
            atoms: 8,
            // second derivatives may jump at a cutoff, which shows at this level
            difference_tolerance: 1e-5,
            rounding_tolerance: 1e-9,
        }
    }
}

impl Options {
    /// Limits for forces in single precision: energies carry a noise of about 1e-7 of their size, so that differences need longer
    /// steps, and say that forces are right to a part in 100 of the largest (of a tenth of the energy of an atom over an ångström, in
    /// crystals).
    pub fn single_precision() -> Self {
        Self {
            displacement: 0.02,
            strain: 4e-3,
            refinements: 1,
            difference_tolerance: 1e-2,
            rounding_tolerance: 1e-4,
            ..Self::default()
        }
    }
    /// The limits that the precision of a potential allows.
    pub fn suited_to(potential: &dyn Potential) -> Self {
        if potential.single_precision() { Self::single_precision() } else { Self::default() }
    }
}

/// Result of one check.
#[derive(Clone, Debug, PartialEq)]
pub struct Outcome {
    /// Which.
    pub check: Check,
    /// Largest relative deviation found; `None` when the check does not apply.
    pub measured: Option<f64>,
    /// Allowed deviation.
    pub tolerance: f64,
    /// Where the largest deviation is, or why the check does not apply.
    pub detail: String,
}

impl Outcome {
    /// True when it holds or does not apply.
    pub fn passed(&self) -> bool {
        self.measured.is_none_or(|m| m <= self.tolerance)
    }
}

/// Results of all checks.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// In the order they ran.
    pub outcomes: Vec<Outcome>,
}

impl Report {
    /// True when nothing failed.
    pub fn passed(&self) -> bool {
        self.outcomes.iter().all(Outcome::passed)
    }
    /// Those that failed.
    pub fn failures(&self) -> impl Iterator<Item = &Outcome> {
        self.outcomes.iter().filter(|o| !o.passed())
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for o in &self.outcomes {
            let (name, detail) = (o.check.name(), &o.detail);
            match o.measured {
                None => writeln!(f, "skipped  {name}: {detail}")?,
                Some(m) => {
                    let verdict = if o.passed() { "passed" } else { "FAILED" };
                    writeln!(f, "{verdict}   {name}: {m:.1e} (limit {:.0e}) {detail}", o.tolerance)?;
                }
            }
        }
        Ok(())
    }
}

/// The largest deviation seen and where.
#[derive(Default)]
struct Worst(f64, String);

impl Worst {
    fn see(&mut self, value: f64, place: impl FnOnce() -> String) {
        if value > self.0 || value.is_nan() {
            *self = Self(if value.is_nan() { f64::INFINITY } else { value }, place());
        }
    }
}

/// What the differences of a check met.
#[derive(Default)]
struct Seen {
    /// Differences that needed a smaller step.
    stepped_around: usize,
    /// True when a derivative is wrong.
    wrong: bool,
}

impl Seen {
    /// Says so where jumps were met.
    fn note(self, mut worst: Worst) -> Worst {
        if self.stepped_around > 0 {
            let plural = if self.stepped_around == 1 { "" } else { "s" };
            worst.1 += &format!("; {} difference{plural} ended before a jump", self.stepped_around);
        }
        worst
    }
}

/// A potential on one geometry.
struct Bench<'a> {
    potential: &'a mut dyn Potential,
    system: &'a System,
    state: &'a State,
    options: &'a Options,
    want: Properties,
    base: Outputs,
    /// Scales of energy, force and virial.
    scale: [f64; 3],
}

fn evaluate(
    potential: &mut dyn Potential,
    system: &System,
    positions: &[Vec3],
    cell: &Cell,
    want: Properties,
) -> Result<Outputs, PotentialError> {
    let mut list = NeighborList::new(potential.cutoff().unwrap_or(0.0), 0.0, Search::Auto);
    if potential.cutoff().is_some() {
        list.update(system, positions, cell);
    }
    let mut out = Outputs::default();
    out.reset(system.len(), want);
    potential.compute(Input { system, positions, cell, neighbors: &list }, want, &mut out)?;
    Ok(out)
}

/// Runs the chosen checks on a geometry of the user.
///
/// Where a pair crosses the cutoff of a potential whose energy jumps there, a difference over the crossing says nothing; a force
/// counts as right when a difference that ends before it agrees (see [`Options::refinements`]).
/// [`Check::Permutation`], [`Check::Supercell`] and [`Check::SmallCell`] make other systems out of the given one; leave them
/// out for potentials that act between listed atoms.
///
/// # Errors
/// When the potential refuses a geometry.
pub fn check_potential(
    potential: &mut dyn Potential,
    system: &System,
    state: &State,
    options: &Options,
) -> Result<Report, PotentialError> {
    let want = potential.provides().difference(Properties::EXTRAS);
    let base = evaluate(potential, system, state.positions(), state.cell(), want)?;
    let force = base.forces.iter().map(|f| f.norm()).fold(0.0, f64::max);
    let energy = base.atom_energies.iter().map(|e| e.abs()).sum::<f64>().max(base.energy.abs());
    // a tenth of the mean energy over a tenth of Å keeps perfect crystals from dividing by nothing
    let floor = 0.1 * energy / system.len().max(1) as f64 + 1e-12;
    let scale = [energy + 1e-12, force.max(floor), base.virial.norm().max(floor)];
    let mut bench = Bench { potential, system, state, options, want, base, scale };
    let mut report = Report::default();
    for &check in &options.checks {
        let tolerance = match check {
            Check::Forces | Check::Virial => options.difference_tolerance,
            Check::Wants | Check::Threads => 0.0,
            Check::Rotation => options.rounding_tolerance.max(bench.potential.rotation_error()),
            _ => options.rounding_tolerance,
        };
        let (measured, detail) = match bench.applies(check) {
            Err(why) => (None, why.to_owned()),
            Ok(()) => {
                let worst = bench.run(check)?;
                (Some(worst.0), worst.1)
            }
        };
        report.outcomes.push(Outcome { check, measured, tolerance, detail });
    }
    Ok(report)
}

impl Bench<'_> {
    fn applies(&self, check: Check) -> Result<(), &'static str> {
        let cell = self.state.cell();
        let broken = self.potential.breaks_symmetry();
        let has = |p| self.want.contains(p);
        match check {
            _ if self.system.is_empty() => Err("there are no atoms"),
            Check::Forces if !has(Properties::FORCES) => Err("there are no forces"),
            Check::Virial if !has(Properties::VIRIAL) => Err("there is no virial"),
            Check::AtomSums if !has(Properties::ATOM_ENERGIES) => Err("there are no energies of atoms"),
            Check::Translation
            | Check::Rotation
            | Check::Supercell
            | Check::SmallCell
            | Check::OpenBoundaries
                if broken =>
            {
                Err("the energy depends on absolute positions")
            }
            Check::Translation if self.potential.uses_mesh() => {
                Err("the sums over a mesh feel translations, within their accuracy")
            }
            Check::Wrapping if broken => Err("the energy depends on absolute positions"),
            Check::Wrapping | Check::Supercell | Check::SmallCell if cell.is_open() => {
                Err("nothing is periodic")
            }
            Check::SmallCell if !self.is_small() => Err("the cell is larger than the cutoff"),
            _ => Ok(()),
        }
    }
    fn is_small(&self) -> bool {
        let (cell, cutoff) = (self.state.cell(), self.potential.cutoff().unwrap_or(0.0));
        (0..3).any(|k| cell.periodic()[k] && cell.heights()[k] < cutoff)
    }
    fn at(&mut self, positions: &[Vec3], cell: &Cell) -> Result<Outputs, PotentialError> {
        evaluate(self.potential, self.system, positions, cell, self.want)
    }
    fn energy(&mut self, positions: &[Vec3], cell: &Cell) -> Result<f64, PotentialError> {
        Ok(evaluate(self.potential, self.system, positions, cell, Properties::ENERGY)?.energy)
    }
    fn run(&mut self, check: Check) -> Result<Worst, PotentialError> {
        match check {
            Check::Forces => self.forces(),
            Check::Virial => self.virial(),
            Check::AtomSums => Ok(self.atom_sums()),
            Check::Translation => self.translation(),
            Check::Rotation => self.rotation(),
            Check::Permutation => self.permutation(),
            Check::Wrapping => self.wrapping(),
            Check::Supercell => self.supercell(),
            Check::SmallCell => self.small_cell(),
            Check::OpenBoundaries => self.open_boundaries(),
            Check::Wants => self.wants(),
            Check::Threads => self.threads(),
        }
    }
    /// Deviation of results from the base, mapped: force of atom i, virial, energy.
    fn compare(&self, out: &Outputs, energy: f64, force: impl Fn(usize) -> Vec3, virial: &Mat3) -> Worst {
        let mut worst = Worst::default();
        worst.see((out.energy - energy).abs() / self.scale[0], || "energy".into());
        for (i, f) in out.forces.iter().enumerate() {
            worst.see((f - force(i)).norm() / self.scale[1], || format!("force on atom {i}"));
        }
        if self.want.contains(Properties::VIRIAL) {
            worst.see((out.virial - virial).norm() / self.scale[2], || "virial".into());
        }
        worst
    }
    /// Deviation of a derivative of the energy from what is expected, relative to `scale`: the smallest of central and one-sided
    /// differences with steps from `step` down. `energy(x)` is the energy at x steps of length 1. A derivative that is wrong
    /// deviates in all of them.
    fn deviation(
        &mut self,
        expected: f64,
        scale: f64,
        step: f64,
        seen: &mut Seen,
        mut energy: impl FnMut(&mut Self, f64) -> Result<f64, PotentialError>,
    ) -> Result<f64, PotentialError> {
        let (start, limit) = (self.base.energy, self.options.difference_tolerance);
        let mut best = f64::INFINITY;
        let mut h = step;
        for level in 0..=self.options.refinements {
            let mut e = [0.0; 4];
            for (e, k) in e.iter_mut().zip([1.0, -1.0, 2.0, -2.0]) {
                *e = energy(self, k * h)?;
            }
            let estimates = [
                (8.0 * (e[0] - e[1]) - (e[2] - e[3])) / (12.0 * h),
                (4.0 * e[0] - 3.0 * start - e[2]) / (2.0 * h),
                (3.0 * start - 4.0 * e[1] + e[3]) / (2.0 * h),
            ];
            let central = (estimates[0] - expected).abs() / scale;
            if level == 0 && central <= limit {
                return Ok(central);
            }
            best = estimates.iter().map(|x| (x - expected).abs() / scale).fold(best, f64::min);
            h *= 0.25;
            // what is wrong once need not be looked at more closely; shorter steps than rounding allows tell nothing
            let noise = 8.0 * f64::EPSILON * self.scale[0] / (h * scale);
            if best <= limit || seen.wrong || noise > limit {
                break;
            }
        }
        if best <= limit {
            seen.stepped_around += 1;
        } else {
            seen.wrong = true;
        }
        Ok(best)
    }
    fn forces(&mut self) -> Result<Worst, PotentialError> {
        let (n, cell) = (self.system.len(), self.state.cell().clone());
        let mut positions = self.state.positions().to_vec();
        let (mut worst, mut seen) = (Worst::default(), Seen::default());
        let count = self.options.atoms.clamp(1, n);
        for i in (0..count).map(|k| k * n / count) {
            for axis in 0..3 {
                let here = positions[i][axis];
                let (expected, scale) = (-self.base.forces[i][axis], self.scale[1]);
                let step = self.options.displacement;
                let deviation = self.deviation(expected, scale, step, &mut seen, |bench, x| {
                    positions[i][axis] = here + x;
                    bench.energy(&positions, &cell)
                })?;
                positions[i][axis] = here;
                worst.see(deviation, || format!("atom {i}, {}", ["x", "y", "z"][axis]));
            }
        }
        Ok(seen.note(worst))
    }
    fn virial(&mut self) -> Result<Worst, PotentialError> {
        let (mut worst, mut seen) = (Worst::default(), Seen::default());
        let w = self.base.virial;
        // what depends on directions exerts a torque, and then r f is not symmetric
        if !self.potential.breaks_symmetry() {
            worst.see((w - w.transpose()).norm() / self.scale[2], || "it is not symmetric".into());
        }
        let mut positions = self.state.positions().to_vec();
        for (a, b, _) in crate::VOIGT {
            let (expected, scale) = (-0.5 * (w[(a, b)] + w[(b, a)]), self.scale[2]);
            let strained = |x: f64| {
                let mut f = Mat3::identity();
                f[(a, b)] += 0.5 * x;
                f[(b, a)] += 0.5 * x;
                f
            };
            let step = self.options.strain;
            if self.state.cell().deformed(&strained(2.0 * step)).is_err() {
                return Ok(Worst(f64::INFINITY, "the cell is nearly singular".into()));
            }
            let deviation = self.deviation(expected, scale, step, &mut seen, |bench, x| {
                let f = strained(x);
                for (r, start) in positions.iter_mut().zip(bench.state.positions()) {
                    *r = f * start;
                }
                let cell = bench.state.cell();
                let cell = cell.deformed(&f).unwrap_or_else(|_| cell.clone());
                bench.energy(&positions, &cell)
            })?;
            worst.see(deviation, || format!("component {}{}", ["x", "y", "z"][a], ["x", "y", "z"][b]));
        }
        Ok(seen.note(worst))
    }
    fn atom_sums(&self) -> Worst {
        let mut worst = Worst::default();
        let energy: f64 = self.base.atom_energies.iter().sum();
        worst.see((energy - self.base.energy).abs() / self.scale[0], || "energy".into());
        if self.want.contains(Properties::VIRIAL | Properties::ATOM_VIRIALS) {
            let virial: Mat3 = self.base.atom_virials.iter().sum();
            worst.see((virial - self.base.virial).norm() / self.scale[2], || "virial".into());
        }
        worst
    }
    fn translation(&mut self) -> Result<Worst, PotentialError> {
        let by = Vec3::new(1.234_567, -0.765_432, 2.345_678);
        let positions: Vec<Vec3> = self.state.positions().iter().map(|r| r + by).collect();
        let out = self.at(&positions, &self.state.cell().clone())?;
        let base = &self.base;
        let mut worst = self.compare(&out, base.energy, |i| base.forces[i], &base.virial);
        let net: Vec3 = base.forces.iter().sum();
        worst.see(net.norm() / self.scale[1], || "sum of the forces".into());
        Ok(worst)
    }
    fn rotation(&mut self) -> Result<Worst, PotentialError> {
        let q = *nalgebra::Rotation3::from_euler_angles(0.4, -1.1, 2.3).matrix();
        let positions: Vec<Vec3> = self.state.positions().iter().map(|r| q * r).collect();
        let Ok(cell) = self.state.cell().deformed(&q) else { return Ok(Worst::default()) };
        let out = self.at(&positions, &cell)?;
        let base = &self.base;
        Ok(self.compare(&out, base.energy, |i| q * base.forces[i], &(q * base.virial * q.transpose())))
    }
    /// The system with atoms in another order or repeated: atom k of it is atom `of[k]` of this one.
    fn rearranged(&self, of: &[usize]) -> System {
        let s = self.system;
        let mut system = System::new(s.species().to_vec(), of.iter().map(|&i| s.types()[i]).collect());
        system.set_charges(of.iter().map(|&i| s.charges()[i]).collect());
        system.set_masses(of.iter().map(|&i| s.masses()[i]).collect());
        system
    }
    fn permutation(&mut self) -> Result<Worst, PotentialError> {
        let n = self.system.len();
        // every third atom first, then the rest backwards
        let order: Vec<usize> = (0..n).step_by(3).chain((0..n).rev().filter(|i| i % 3 != 0)).collect();
        let system = self.rearranged(&order);
        let positions: Vec<Vec3> = order.iter().map(|&i| self.state.positions()[i]).collect();
        let out = evaluate(self.potential, &system, &positions, self.state.cell(), self.want)?;
        let base = &self.base;
        Ok(self.compare(&out, base.energy, |k| base.forces[order[k]], &base.virial))
    }
    fn wrapping(&mut self) -> Result<Worst, PotentialError> {
        let cell = self.state.cell().clone();
        let p = cell.periodic();
        let moved = |(i, r): (usize, &Vec3)| {
            let n = [(i % 3) as i32 - 1, (i % 5) as i32 - 2, (i % 7) as i32 - 3];
            r + cell.translation(std::array::from_fn(|k| if p[k] { n[k] } else { 0 }))
        };
        let positions: Vec<Vec3> = self.state.positions().iter().enumerate().map(moved).collect();
        let out = self.at(&positions, &cell)?;
        let base = &self.base;
        Ok(self.compare(&out, base.energy, |i| base.forces[i], &base.virial))
    }
    /// Repeats the system along each axis and compares energy per copy, forces and virial per copy.
    fn repeated(&mut self, times: [usize; 3]) -> Result<Worst, PotentialError> {
        let (n, cell) = (self.system.len(), self.state.cell());
        let copies = times[0] * times[1] * times[2];
        let order: Vec<usize> = (0..n * copies).map(|k| k % n).collect();
        let mut positions = Vec::with_capacity(n * copies);
        for a in 0..times[0] {
            for b in 0..times[1] {
                for c in 0..times[2] {
                    let by = cell.translation([a as i32, b as i32, c as i32]);
                    positions.extend(self.state.positions().iter().map(|r| r + by));
                }
            }
        }
        let vectors = std::array::from_fn(|k| cell.vector(k) * times[k] as f64);
        let Ok(cell) = Cell::new(vectors, cell.periodic()) else { return Ok(Worst::default()) };
        let system = self.rearranged(&order);
        let mut out = evaluate(self.potential, &system, &positions, &cell, self.want)?;
        out.energy /= copies as f64;
        out.virial /= copies as f64;
        let base = &self.base;
        Ok(self.compare(&out, base.energy, |k| base.forces[k % n], &base.virial))
    }
    fn supercell(&mut self) -> Result<Worst, PotentialError> {
        let periodic = self.state.cell().periodic();
        let axis = (0..3).find(|&k| periodic[k]).unwrap_or(0);
        self.repeated(std::array::from_fn(|k| if k == axis { 2 } else { 1 }))
    }
    fn small_cell(&mut self) -> Result<Worst, PotentialError> {
        let (cell, cutoff) = (self.state.cell(), self.potential.cutoff().unwrap_or(0.0));
        let (heights, periodic) = (cell.heights(), cell.periodic());
        self.repeated(std::array::from_fn(|k| {
            if periodic[k] { ((2.0 * cutoff / heights[k]).ceil() as usize).clamp(1, 8) } else { 1 }
        }))
    }
    fn open_boundaries(&mut self) -> Result<Worst, PotentialError> {
        let positions = self.state.positions().to_vec();
        let open = match self.at(&positions, &Cell::open()) {
            Ok(open) => open,
            // what needs a periodic cell says so
            Err(PotentialError::Geometry { reason, .. }) => {
                return Ok(Worst(0.0, format!("refused: {reason}")));
            }
            Err(e) => return Err(e),
        };
        let largest = positions.iter().flat_map(|r| r.iter().copied()).fold(0.0, |m: f64, x| m.max(x.abs()));
        let edge = 2.0 * largest + 3.0 * self.potential.cutoff().unwrap_or(0.0) + 10.0;
        let Ok(cell) = Cell::orthorhombic(edge, edge, edge) else { return Ok(Worst::default()) };
        let vacuum = self.at(&positions, &cell)?;
        Ok(self.compare(&vacuum, open.energy, |i| open.forces[i], &open.virial))
    }
    fn wants(&mut self) -> Result<Worst, PotentialError> {
        let mut worst = Worst::default();
        let all = [
            Properties::ENERGY,
            Properties::FORCES,
            Properties::VIRIAL,
            Properties::ATOM_ENERGIES,
            Properties::ATOM_VIRIALS,
            Properties::ENERGY | Properties::FORCES,
            Properties::ENERGY | Properties::FORCES | Properties::VIRIAL,
        ];
        for want in all.into_iter().filter(|p| self.want.contains(*p)) {
            let out = evaluate(self.potential, self.system, self.state.positions(), self.state.cell(), want)?;
            worst.see(f64::from(!same_bits(&out, &self.base, want)), || format!("{want:?} alone differ"));
        }
        Ok(worst)
    }
    fn threads(&mut self) -> Result<Worst, PotentialError> {
        let mut worst = Worst::default();
        for threads in [1, 2, 4] {
            let Ok(pool) = rayon::ThreadPoolBuilder::new().num_threads(threads).build() else { continue };
            let (potential, system, state, want) = (&mut *self.potential, self.system, self.state, self.want);
            let out = pool.install(|| evaluate(potential, system, state.positions(), state.cell(), want))?;
            worst.see(f64::from(!same_bits(&out, &self.base, want)), || format!("{threads} threads"));
        }
        Ok(worst)
    }
}

/// True when everything in `want` has the same bits (zeros of either sign are the same).
fn same_bits(a: &Outputs, b: &Outputs, want: Properties) -> bool {
    let same = |x: &[f64], y: &[f64]| x.iter().zip(y).all(|(x, y)| x == y || (x.is_nan() && y.is_nan()));
    let has = |p| want.contains(p);
    (!has(Properties::ENERGY) || same(&[a.energy], &[b.energy]))
        && (!has(Properties::VIRIAL) || same(a.virial.as_slice(), b.virial.as_slice()))
        && (!has(Properties::FORCES)
            || a.forces.iter().zip(&b.forces).all(|(x, y)| same(x.as_slice(), y.as_slice())))
        && (!has(Properties::ATOM_ENERGIES) || same(&a.atom_energies, &b.atom_energies))
        && (!has(Properties::ATOM_VIRIALS)
            || a.atom_virials.iter().zip(&b.atom_virials).all(|(x, y)| same(x.as_slice(), y.as_slice())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Species, Stream, Streams};

    /// Inverse distances up to a cutoff, where the energy jumps, and a field.
    struct Jumping {
        cutoff: f64,
        /// Factor of the forces; anything but 1 is wrong.
        factor: f64,
        field: f64,
        rounding: bool,
    }

    impl Potential for Jumping {
        fn name(&self) -> &'static str {
            "jumping"
        }
        fn cutoff(&self) -> Option<f64> {
            Some(self.cutoff)
        }
        fn provides(&self) -> Properties {
            Properties::ENERGY | Properties::FORCES | Properties::VIRIAL
        }
        fn compute(
            &mut self,
            input: Input<'_>,
            _want: Properties,
            out: &mut Outputs,
        ) -> Result<(), PotentialError> {
            let list = input.neighbors;
            for (k, &center) in list.centers().iter().enumerate() {
                let (i, here) = (list.atom(center), Vec3::from(list.sites()[center as usize].position));
                for &s in list.row(k) {
                    let d = Vec3::from(list.sites()[s as usize].position) - here;
                    let r = d.norm();
                    if r >= self.cutoff {
                        continue;
                    }
                    out.energy += 0.5 / r;
                    let f = -d * (self.factor / r.powi(3));
                    if let Some(force) = out.forces.get_mut(i) {
                        *force += f;
                    }
                    out.virial -= 0.5 * d * f.transpose();
                }
            }
            let pull = Vec3::new(self.field, 0.0, 0.0);
            out.forces.iter_mut().for_each(|f| *f += pull);
            for r in input.positions {
                out.energy -= self.field * r.x;
                out.virial += r * pull.transpose();
            }
            if self.rounding {
                out.energy = f64::from(out.energy as f32);
            }
            Ok(())
        }
        fn breaks_symmetry(&self) -> bool {
            self.field != 0.0
        }
        fn single_precision(&self) -> bool {
            self.rounding
        }
    }

    /// What fails for 64 atoms at random places.
    fn failures(mut potential: Jumping, open: bool) -> (Vec<Check>, Report) {
        let species = Species { symbol: "X".into(), number: None, mass: 1.0 };
        let system = System::new(vec![species], vec![0; 64]);
        let random = Streams { seed: 5 };
        let mut positions = Vec::new();
        for k in 0..64u64 {
            let place = Vec3::new((k % 4) as f64, (k / 4 % 4) as f64, (k / 16) as f64) * 3.0;
            positions.push(place + random.normal3(Stream::Test, 0, 0, k) * 0.3);
        }
        let cell = if open { Cell::open() } else { Cell::orthorhombic(12.0, 12.0, 12.0).unwrap() };
        let state = State::at_rest(positions, cell);
        let checks = vec![Check::Forces, Check::Virial];
        let options = Options { checks, ..Options::suited_to(&potential) };
        let report = check_potential(&mut potential, &system, &state, &options).unwrap();
        (report.failures().map(|o| o.check).collect(), report)
    }

    #[test]
    fn jumps_at_the_cutoff_are_stepped_around_and_wrong_forces_are_found() {
        let right = Jumping { cutoff: 11.5, factor: 1.0, field: 0.0, rounding: false };
        let (failed, report) = failures(right, false);
        assert!(failed.is_empty(), "{report}");
        assert!(report.outcomes[1].detail.contains("ended before a jump"), "{report}");
        for factor in [0.999, 1.001, -1.0] {
            let wrong = Jumping { cutoff: 11.5, factor, field: 0.0, rounding: false };
            let (failed, report) = failures(wrong, false);
            assert_eq!(failed, [Check::Forces, Check::Virial], "{factor}\n{report}");
        }
    }

    #[test]
    fn a_field_needs_no_symmetric_virial() {
        let (failed, report) =
            failures(Jumping { cutoff: 4.0, factor: 1.0, field: 0.3, rounding: false }, true);
        assert!(failed.is_empty(), "{report}");
    }

    #[test]
    fn single_precision_has_limits_of_its_own() {
        let potential = |factor| Jumping { cutoff: 40.0, factor, field: 0.0, rounding: true };
        let (failed, report) = failures(potential(1.0), true);
        assert!(failed.is_empty(), "{report}");
        let (failed, report) = failures(potential(1.05), true);
        assert_eq!(failed, [Check::Forces, Check::Virial], "{report}");
    }
}
