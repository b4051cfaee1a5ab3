//! Generalised coordinates: atoms and cell as one vector.
use crate::{
    Archive, ArchiveError, Cell, Constraints, Ctx, EngineError, Mat3, Properties, System, Vec3, parallel,
};
use schemars::JsonSchema;
use serde::Deserialize;

/// A component of the deformation gradient; with the two indices exchanged it is zero, which removes rotations.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Component {
    /// Stretch along x.
    Xx,
    /// Stretch along y.
    Yy,
    /// Stretch along z.
    Zz,
    /// Shear that moves y by z.
    Yz,
    /// Shear that moves x by z.
    Xz,
    /// Shear that moves x by y.
    Xy,
}

impl Component {
    /// All six.
    pub const ALL: [Self; 6] = [Self::Xx, Self::Yy, Self::Zz, Self::Yz, Self::Xz, Self::Xy];
    fn index(self) -> (usize, usize) {
        match self {
            Self::Xx => (0, 0),
            Self::Yy => (1, 1),
            Self::Zz => (2, 2),
            Self::Yz => (1, 2),
            Self::Xz => (0, 2),
            Self::Xy => (0, 1),
        }
    }
}

/// How the cell may change.
#[derive(Clone, Debug, PartialEq)]
pub enum Deformation {
    /// F is upper triangular with these components free: `F_kk = exp(ε_kk)`, `F_jk = ε_jk` for j < k. The x direction
    /// and the xy plane stay where they are, so the cell does not rotate, and a cell in the common
    /// upper triangular form keeps it.
    Components(Vec<Component>),
    /// F = exp(ε) 1: angles and ratios stay.
    Isotropic,
    /// F h₀ = h₀ diag(exp(ε_k)): the lengths of a, b and c change, their directions stay.
    Lengths,
}

impl Deformation {
    fn len(&self) -> usize {
        match self {
            Self::Components(c) => c.len(),
            Self::Isotropic => 1,
            Self::Lengths => 3,
        }
    }
    /// The deformation gradient F for the cell coordinates ε.
    fn gradient(&self, strain: impl Fn(usize) -> f64, start: &Cell) -> Mat3 {
        match self {
            Self::Components(components) => {
                let mut f = Mat3::identity();
                for (k, c) in components.iter().enumerate() {
                    let (i, j) = c.index();
                    f[(i, j)] = if i == j { strain(k).exp() } else { strain(k) };
                }
                f
            }
            Self::Isotropic => Mat3::identity() * strain(0).exp(),
            Self::Lengths => {
                let d = Vec3::new(strain(0).exp(), strain(1).exp(), strain(2).exp());
                start.matrix() * Mat3::from_diagonal(&d) * start.inverse()
            }
        }
    }
    /// ∂H/∂ε_k for T = P V 1 - Wᵀ, that is dH = T : (dF F⁻¹).
    fn slope(&self, k: usize, t: &Mat3, f: &Mat3, f_inv: &Mat3, h: &Cell) -> f64 {
        match self {
            Self::Components(components) => {
                let (i, j) = components[k].index();
                let g = (t * f_inv.transpose())[(i, j)];
                if i == j { g * f[(i, i)] } else { g }
            }
            Self::Isotropic => t.trace(),
            Self::Lengths => (h.inverse() * t.transpose() * h.matrix())[(k, k)],
        }
    }
    /// The largest residual stress among the free components, for S = (P V 1 - W)/V.
    fn residual(&self, s: &Mat3, h: &Cell) -> f64 {
        match self {
            Self::Components(components) => components.iter().map(|c| s[c.index()].abs()).fold(0.0, f64::max),
            Self::Isotropic => s.trace().abs() / 3.0,
            Self::Lengths => {
                let m = h.inverse() * s.transpose() * h.matrix();
                (0..3).map(|k| m[(k, k)].abs()).fold(0.0, f64::max)
            }
        }
    }
}

/// A variable cell.
#[derive(Clone, Debug, PartialEq)]
struct CellPart {
    deformation: Deformation,
    pressure: f64,
    start: Cell,
    scale: f64,
}

/// The map between a state and the vector q = (x₁ … x_N, c ε): x are Cartesian coordinates in the undeformed cell
/// (r = F x, h = F h₀), ε the cell coordinates of a [`Deformation`] and c = N^½ (V₀/N)^⅓.
///
/// The factor c balances the two parts: with a stiffness k of one atom and a spacing d, the second derivative of the
/// energy is k for x and about N k d² for ε, thus k for c ε. The gradient is exact,
/// `∂H/∂x_i = -Fᵀ f_i` and `∂H/∂F = (P V 1 - Wᵀ) F⁻ᵀ`.
/// Source of the idea: Tadmor, Smith, Bernstein, Kaxiras, Phys. Rev. B 59, 235 (1999), doi:10.1103/PhysRevB.59.235.
///
/// With constraints or rigid bodies every point is brought onto them, the gradient is projected along them (in the metric
/// of equal masses), and a deformation moves the centres of rigid units: r = x + (F - 1) X.
#[derive(Clone, Debug)]
pub struct Coordinates {
    atoms: usize,
    cell: Option<CellPart>,
    /// Empty without constraints.
    solver: Constraints,
    work: Vec<Vec3>,
    centers: Vec<Vec3>,
}

/// What an evaluation found at a point.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Point {
    /// Potential energy, eV.
    pub energy: f64,
    /// Energy plus pressure times volume, eV; the energy when the cell is fixed.
    pub enthalpy: f64,
    /// Largest force on a mobile atom, eV/Å.
    pub fmax: f64,
    /// Largest residual stress, eV/Å³; 0 when the cell is fixed.
    pub smax: f64,
}

impl Coordinates {
    /// Coordinates of atoms in a fixed cell.
    pub fn fixed_cell(atoms: usize) -> Self {
        let (solver, work, centers) = (Constraints::default(), Vec::new(), Vec::new());
        Self { atoms, cell: None, solver, work, centers }
    }
    /// Coordinates of atoms and the cell `start` at a target pressure, eV/Å³.
    pub fn variable_cell(atoms: usize, start: &Cell, deformation: Deformation, pressure: f64) -> Self {
        let n = atoms.max(1) as f64;
        let scale = n.sqrt() * (start.volume() / n).cbrt();
        let cell = Some(CellPart { deformation, pressure, start: start.clone(), scale });
        Self { cell, ..Self::fixed_cell(atoms) }
    }
    /// The same on the constraints of a system.
    #[must_use]
    pub fn constrained(mut self, system: &System) -> Self {
        self.solver = system.unweighted_solver();
        self
    }
    /// True when points are moved onto constraints.
    pub fn is_constrained(&self) -> bool {
        !self.solver.is_empty()
    }
    /// Number of coordinates.
    pub fn len(&self) -> usize {
        3 * self.atoms + self.cell.as_ref().map_or(0, |c| c.deformation.len())
    }
    /// True without coordinates.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// What has to be computed at every point.
    pub fn needs(&self) -> Properties {
        let forces = Properties::ENERGY | Properties::FORCES;
        if self.cell.is_some() { forces | Properties::VIRIAL } else { forces }
    }
    /// The coordinates of a state whose cell is the undeformed one.
    pub fn read(&self, positions: &[Vec3], q: &mut Vec<f64>) {
        q.clear();
        q.extend(positions.iter().flat_map(|r| [r.x, r.y, r.z]));
        q.resize(self.len(), 0.0);
    }
    /// The largest move in a displacement `d` of the coordinates: that of an atom, or the strain times the mean
    /// distance of atoms, Å.
    pub fn longest(&self, d: &[f64]) -> f64 {
        let atom = |i: usize| Vec3::new(d[3 * i], d[3 * i + 1], d[3 * i + 2]).norm_squared();
        let atoms = parallel::largest(self.atoms, atom).map_or(0.0, |m| m.1.sqrt());
        let per_atom = 1.0 / (self.atoms.max(1) as f64).sqrt();
        d[3 * self.atoms..].iter().fold(atoms, |m, x| m.max(x.abs() * per_atom))
    }
    /// Puts the state at `q`, which constraints change, and evaluates there; `gradient` becomes ∂H/∂q, zero for fixed atoms.
    ///
    /// # Errors
    /// When an evaluation fails, the cell collapses or a constraint cannot be kept.
    pub fn evaluate(
        &mut self,
        ctx: &mut Ctx<'_>,
        q: &mut [f64],
        gradient: &mut [f64],
    ) -> Result<Point, EngineError> {
        if self.is_constrained() {
            return self.evaluate_constrained(ctx, q, gradient);
        }
        let n = self.atoms;
        let mut f = Mat3::identity();
        if let Some(part) = &self.cell {
            f = part.deformation.gradient(|k| q[3 * n + k] / part.scale, &part.start);
            let cell = part.start.deformed(&f)?;
            ctx.state.set_cell(cell);
        }
        let moving_cell = self.cell.is_some();
        parallel::for_each_mut(ctx.state.positions_mut(), |i, r| {
            let x = Vec3::new(q[3 * i], q[3 * i + 1], q[3 * i + 2]);
            *r = if moving_cell { f * x } else { x };
        });
        let system = ctx.system;
        let (state, out) = ctx.outputs(self.needs())?;
        let inverse = system.inverse_masses();
        let mobile = |i: usize| inverse[i] != 0.0;
        let forces = &out.forces;
        let ft = f.transpose();
        let (atoms, strain) = gradient.split_at_mut(3 * n);
        let (triples, _) = atoms.as_chunks_mut::<3>();
        parallel::for_each_mut(triples, |i, g| {
            let force = if mobile(i) { -(ft * forces[i]) } else { Vec3::zeros() };
            *g = force.into();
        });
        let square = |i: usize| if mobile(i) { forces[i].norm_squared() } else { 0.0 };
        let fmax = parallel::largest(n, square).map_or(0.0, |m| m.1.sqrt());
        let mut point = Point { energy: out.energy, enthalpy: out.energy, fmax, smax: 0.0 };
        if let Some(part) = &self.cell {
            let volume = state.cell().volume();
            let t = Mat3::identity() * (part.pressure * volume) - out.virial.transpose();
            let f_inv = f.try_inverse().unwrap_or_else(Mat3::identity);
            for (k, g) in strain.iter_mut().enumerate() {
                *g = part.deformation.slope(k, &t, &f, &f_inv, state.cell()) / part.scale;
            }
            point.enthalpy += part.pressure * volume;
            point.smax = part.deformation.residual(&(t / volume), state.cell());
        }
        Ok(point)
    }
    fn evaluate_constrained(
        &mut self,
        ctx: &mut Ctx<'_>,
        q: &mut [f64],
        gradient: &mut [f64],
    ) -> Result<Point, EngineError> {
        let n = self.atoms;
        let (system, step) = (ctx.system, ctx.state.step);
        let units = system.solver().units();
        let (atoms, strains) = q.split_at_mut(3 * n);
        let positions = ctx.state.positions_mut();
        let (triples, _) = atoms.as_chunks_mut::<3>();
        positions.iter_mut().zip(&*triples).for_each(|(r, x)| *r = (*x).into());
        self.solver.constrain(positions).map_err(|e| e.at(step))?;
        triples.iter_mut().zip(&*positions).for_each(|(x, r)| *x = (*r).into());
        let mut f = Mat3::identity();
        if let Some(part) = &self.cell {
            f = part.deformation.gradient(|k| strains[k] / part.scale, &part.start);
            units.scale(&f, positions, &mut self.centers);
            let cell = part.start.deformed(&f)?;
            ctx.state.set_cell(cell);
        }
        let needs = self.needs();
        let (state, out) = ctx.outputs(needs)?;
        let inverse = system.inverse_masses();
        let mobile = |(force, w): (&Vec3, &f64)| if *w != 0.0 { *force } else { Vec3::zeros() };
        let work = &mut self.work;
        let along = |work: &mut Vec<Vec3>, deform: bool| {
            work.clear();
            work.extend(out.forces.iter().zip(inverse).map(mobile));
            if deform {
                units.pull_back(&f.transpose(), work);
            }
            self.solver.project(state.positions(), work).map_err(|e| e.at(step))
        };
        along(work, false)?;
        let fmax = parallel::largest(n, |i| work[i].norm_squared()).map_or(0.0, |m| m.1.sqrt());
        if self.cell.is_some() {
            along(work, true)?;
        }
        let (atoms, strain) = gradient.split_at_mut(3 * n);
        let (triples, _) = atoms.as_chunks_mut::<3>();
        triples.iter_mut().zip(&*work).for_each(|(g, f)| *g = (-f).into());
        let mut point = Point { energy: out.energy, enthalpy: out.energy, fmax, smax: 0.0 };
        if let Some(part) = &self.cell {
            let volume = state.cell().volume();
            let virial = out.virial - units.internal_virial(state.positions(), &out.forces);
            let t = Mat3::identity() * (part.pressure * volume) - virial.transpose();
            let f_inv = f.try_inverse().unwrap_or_else(Mat3::identity);
            for (k, g) in strain.iter_mut().enumerate() {
                *g = part.deformation.slope(k, &t, &f, &f_inv, state.cell()) / part.scale;
            }
            point.enthalpy += part.pressure * volume;
            point.smax = part.deformation.residual(&(t / volume), state.cell());
        }
        Ok(point)
    }
    /// Saves or restores the undeformed cell.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        if let Some(part) = &mut self.cell {
            archive.section("cell coordinates")?;
            archive.cell(&mut part.start)?;
            archive.f64(&mut part.scale)?;
        }
        Ok(())
    }
    /// Takes the present cell as the undeformed one.
    pub(super) fn restart(&mut self, cell: &Cell) {
        if let Some(part) = &mut self.cell {
            let fresh = Self::variable_cell(self.atoms, cell, part.deformation.clone(), part.pressure);
            self.cell = fresh.cell;
        }
    }
}
