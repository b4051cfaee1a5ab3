//! What moves.
use crate::{Archive, ArchiveError, Cell, System, Vec3, parallel, virtual_sites};
use std::sync::atomic::{AtomicU64, Ordering};

/// Identity of one geometry, unique in the process: two states with the same revision have the same atoms
/// in the same places in the same cell. Rows of a neighbour list have one too.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Revision(u64);

impl Revision {
    pub(crate) fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

/// A geometry to come back to; see [`State::keep_geometry`].
#[derive(Clone, Debug, Default)]
pub struct Geometry {
    positions: Vec<Vec3>,
    cell: Option<(Cell, Revision)>,
}

/// Positions (unwrapped), velocities, cell, step and time.
#[derive(Clone, Debug)]
pub struct State {
    positions: Vec<Vec3>,
    velocities: Vec<Vec3>,
    cell: Cell,
    /// Steps done since the start of the run.
    pub step: u64,
    /// Time, internal units.
    pub time: f64,
    revision: Revision,
}

impl State {
    /// A state at step 0.
    ///
    /// # Panics
    /// When there are not as many velocities as positions.
    pub fn new(positions: Vec<Vec3>, velocities: Vec<Vec3>, cell: Cell) -> Self {
        assert_eq!(positions.len(), velocities.len(), "one velocity for each position");
        Self { positions, velocities, cell, step: 0, time: 0.0, revision: Revision::next() }
    }
    /// A state at rest.
    pub fn at_rest(positions: Vec<Vec3>, cell: Cell) -> Self {
        let velocities = vec![Vec3::zeros(); positions.len()];
        Self::new(positions, velocities, cell)
    }
    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.positions.len()
    }
    /// True without atoms.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }
    /// Positions, Å, unwrapped.
    pub fn positions(&self) -> &[Vec3] {
        &self.positions
    }
    /// Velocities, sqrt(eV/u).
    pub fn velocities(&self) -> &[Vec3] {
        &self.velocities
    }
    /// Velocities to change; forces stay valid.
    pub fn velocities_mut(&mut self) -> &mut [Vec3] {
        &mut self.velocities
    }
    /// The cell.
    pub fn cell(&self) -> &Cell {
        &self.cell
    }
    /// Identity of the present geometry.
    pub fn revision(&self) -> Revision {
        self.revision
    }
    /// Positions to change; everything computed becomes stale.
    pub fn positions_mut(&mut self) -> &mut [Vec3] {
        self.revision = Revision::next();
        &mut self.positions
    }
    /// Positions and velocities to change together; everything computed becomes stale.
    pub fn phase_mut(&mut self) -> (&mut [Vec3], &mut [Vec3]) {
        self.revision = Revision::next();
        (&mut self.positions, &mut self.velocities)
    }
    /// Positions to read beside velocities to change; forces stay valid.
    pub fn positions_and_velocities_mut(&mut self) -> (&[Vec3], &mut [Vec3]) {
        (&self.positions, &mut self.velocities)
    }
    /// Another cell; positions stay. Everything computed becomes stale.
    pub fn set_cell(&mut self, cell: Cell) {
        self.revision = Revision::next();
        self.cell = cell;
    }
    /// Puts virtual sites where their parents are, at rest. What was computed stays valid: evaluations place the sites
    /// themselves.
    pub fn place_virtual_sites(&mut self, system: &System) {
        let sites = system.topology().virtual_sites();
        virtual_sites::place(sites, &mut self.positions);
        sites.iter().for_each(|s| self.velocities[s.site as usize] = Vec3::zeros());
    }
    /// Copies positions, cell and revision into `kept`, to come back to them after a trial move.
    pub fn keep_geometry(&self, kept: &mut Geometry) {
        kept.positions.clone_from(&self.positions);
        kept.cell = Some((self.cell.clone(), self.revision));
    }
    /// Comes back to what [`State::keep_geometry`] kept, with its revision, so that results for it are fresh again.
    ///
    /// # Panics
    /// When nothing was kept.
    pub fn restore_geometry(&mut self, kept: &mut Geometry) {
        std::mem::swap(&mut self.positions, &mut kept.positions);
        (self.cell, self.revision) = kept.cell.take().expect("a geometry was kept");
    }
    /// Becomes a copy of another state with the same number of atoms; allocates nothing.
    pub fn copy_from(&mut self, other: &Self) {
        assert_eq!(self.len(), other.len(), "one atom for each atom");
        parallel::for_each_mut2(&mut self.positions, &mut self.velocities, |i, r, v| {
            (*r, *v) = (other.positions[i], other.velocities[i]);
        });
        self.cell = other.cell.clone();
        (self.step, self.time, self.revision) = (other.step, other.time, other.revision);
    }
    /// Saves or restores everything, bit for bit.
    ///
    /// # Errors
    /// When the archive does not fit; `Invalid` when it holds another number of atoms.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        let atoms = self.len();
        archive.section("state")?;
        archive.vec3_vec(&mut self.positions)?;
        archive.vec3_vec(&mut self.velocities)?;
        archive.cell(&mut self.cell)?;
        archive.u64(&mut self.step)?;
        archive.f64(&mut self.time)?;
        self.revision = Revision::next();
        if self.positions.len() == atoms && self.velocities.len() == atoms {
            Ok(())
        } else {
            Err(ArchiveError::Invalid { section: "state".into() })
        }
    }
}
