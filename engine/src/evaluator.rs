//! Owns the interactions, the neighbour lists and the results of the last evaluation.
use crate::error::Divergence;
use crate::neighbors::Search;
use crate::{
    Archive, ArchiveError, EngineError, Input, NeighborList, Outputs, Potential, PotentialError, Properties,
    Revision, State, System, Vec3, virtual_sites,
};

/// An interaction with its force group.
struct Term {
    potential: Box<dyn Potential>,
    group: u8,
    list: Option<usize>,
}

/// Results of one force group and the geometry they belong to.
#[derive(Default)]
struct Group {
    outputs: Outputs,
    fresh: Option<(Revision, Properties)>,
}

/// Energies and forces on demand: what is asked is computed only when it is missing or stale.
pub struct Evaluator {
    terms: Vec<Term>,
    lists: Vec<NeighborList>,
    empty: NeighborList,
    groups: Vec<Group>,
    total: Group,
    /// Results of the geometry before a trial move: the groups, then the total.
    kept: Vec<Group>,
    evaluations: u64,
    /// Positions with the virtual sites in their places.
    placed: Vec<Vec3>,
}

impl Evaluator {
    /// An evaluator for terms that add up. Terms of equal cutoff share a neighbour list.
    pub fn new(terms: Vec<Box<dyn Potential>>, skin: f64, search: Search) -> Self {
        let groups = vec![0; terms.len()];
        Self::with_groups(terms.into_iter().zip(groups).collect(), skin, search)
    }
    /// As [`Evaluator::new`] with a force group for each term (0 is the slowest, evaluated least often).
    pub fn with_groups(terms: Vec<(Box<dyn Potential>, u8)>, skin: f64, search: Search) -> Self {
        let mut lists: Vec<NeighborList> = Vec::new();
        let count = terms.iter().map(|t| usize::from(t.1) + 1).max().unwrap_or(1);
        let terms = terms
            .into_iter()
            .map(|(potential, group)| {
                let list = potential.cutoff().map(|cutoff| {
                    lists.iter().position(|l| l.cutoff() == cutoff).unwrap_or_else(|| {
                        lists.push(NeighborList::new(cutoff, skin, search));
                        lists.len() - 1
                    })
                });
                Term { potential, group, list }
            })
            .collect();
        Self {
            terms,
            lists,
            empty: NeighborList::new(0.0, 0.0, Search::BruteForce),
            groups: (0..count).map(|_| Group::default()).collect(),
            total: Group::default(),
            kept: Vec::new(),
            evaluations: 0,
            placed: Vec::new(),
        }
    }
    /// The interactions.
    pub fn potentials(&self) -> impl Iterator<Item = &dyn Potential> {
        self.terms.iter().map(|t| t.potential.as_ref())
    }
    /// The interactions, to be tested one by one.
    pub fn potentials_mut(&mut self) -> impl Iterator<Item = &mut (dyn Potential + 'static)> {
        self.terms.iter_mut().map(|t| t.potential.as_mut())
    }
    /// What every term provides.
    pub fn provides(&self) -> Properties {
        self.terms.iter().fold(Properties::all(), |p, t| p & (t.potential.provides() | Properties::EXTRAS))
    }
    /// Number of force groups.
    pub fn groups(&self) -> usize {
        self.groups.len()
    }
    /// Number of evaluations so far.
    pub fn evaluations(&self) -> u64 {
        self.evaluations
    }
    /// The neighbour lists, one for each distinct cutoff.
    pub fn lists(&self) -> &[NeighborList] {
        &self.lists
    }
    /// Outputs for the present geometry, with virtual sites where their parents put them and the forces on them handed on
    /// to the parents. Computes only when something in `need` is missing or stale, and then
    /// computes `need | want`, so that one call serves the kick and the reporters.
    ///
    /// # Errors
    /// When a potential fails or the energy is not finite.
    pub fn ensure(
        &mut self,
        system: &System,
        state: &State,
        need: Properties,
        want: Properties,
    ) -> Result<&Outputs, EngineError> {
        if self.groups.len() == 1 {
            return self.ensure_group(system, state, 0, need, want);
        }
        if !is_fresh(&self.total, state, need) {
            let mut outputs = std::mem::take(&mut self.total.outputs);
            outputs.reset(system.len(), need | want);
            for g in 0..self.groups.len() {
                let part = self.ensure_group(system, state, g as u8, need | want, want)?;
                outputs.add(part);
            }
            self.total = Group { outputs, fresh: Some((state.revision(), need | want)) };
        }
        Ok(&self.total.outputs)
    }
    /// As [`Evaluator::ensure`] for the terms of one force group.
    ///
    /// # Errors
    /// When a potential fails or the energy is not finite.
    pub fn ensure_group(
        &mut self,
        system: &System,
        state: &State,
        group: u8,
        need: Properties,
        want: Properties,
    ) -> Result<&Outputs, EngineError> {
        let g = usize::from(group);
        if !is_fresh(&self.groups[g], state, need) {
            let want = need | want;
            self.groups[g].fresh = None;
            self.compute_group(system, state, group, want)?;
            self.groups[g].fresh = Some((state.revision(), want));
            self.evaluations += 1;
        }
        Ok(&self.groups[g].outputs)
    }
    /// Puts the present results aside before a trial move.
    pub fn keep(&mut self) {
        self.kept.resize_with(self.groups.len() + 1, Group::default);
        for (kept, group) in self.kept.iter_mut().zip(self.groups.iter_mut().chain([&mut self.total])) {
            std::mem::swap(kept, group);
            group.fresh = None;
        }
    }
    /// Brings back the results that [`Evaluator::keep`] put aside, after a refused move.
    pub fn restore(&mut self) {
        for (kept, group) in self.kept.iter_mut().zip(self.groups.iter_mut().chain([&mut self.total])) {
            std::mem::swap(kept, group);
            kept.fresh = None;
        }
    }
    /// Forgets earlier geometries, so that the next one has the bits it has in a new evaluator.
    pub fn forget(&mut self) {
        for list in &mut self.lists {
            list.forget();
        }
        for term in &mut self.terms {
            term.potential.forget();
        }
        for group in self.groups.iter_mut().chain([&mut self.total]) {
            group.fresh = None;
        }
    }
    /// Saves or restores what the neighbour lists remember, so that a restarted run has the same lists.
    ///
    /// # Errors
    /// When the archive does not fit.
    pub fn archive(&mut self, archive: &mut Archive) -> Result<(), ArchiveError> {
        archive.section("neighbors")?;
        for group in self.groups.iter_mut().chain([&mut self.total]) {
            group.fresh = None;
        }
        self.lists.iter_mut().try_for_each(|list| list.archive(archive))?;
        self.terms.iter_mut().try_for_each(|term| term.potential.archive(archive))
    }
    fn compute_group(
        &mut self,
        system: &System,
        state: &State,
        group: u8,
        want: Properties,
    ) -> Result<(), EngineError> {
        let sites = system.topology().virtual_sites();
        let (mut positions, cell) = (state.positions(), state.cell());
        if !sites.is_empty() {
            self.placed.clear();
            self.placed.extend_from_slice(positions);
            virtual_sites::place(sites, &mut self.placed);
            positions = &self.placed;
        }
        let outputs = &mut self.groups[usize::from(group)].outputs;
        outputs.reset(system.len(), want);
        for (k, list) in self.lists.iter_mut().enumerate() {
            if !self.terms.iter().any(|t| t.group == group && t.list == Some(k)) {
                continue;
            }
            list.update(system, positions, cell);
            if list.non_finite().is_some() {
                return Err(EngineError::Diverged { step: state.step, cause: Divergence::Energy(f64::NAN) });
            }
        }
        for term in self.terms.iter_mut().filter(|t| t.group == group) {
            let neighbors = term.list.map_or(&self.empty, |k| &self.lists[k]);
            let missing = want.difference(term.potential.provides() | Properties::EXTRAS);
            if !missing.is_empty() {
                return Err(PotentialError::Unsupported { potential: term.potential.name(), missing }.into());
            }
            term.potential.compute(Input { system, positions, cell, neighbors }, want, outputs)?;
        }
        virtual_sites::redistribute(sites, positions, outputs);
        if outputs.energy.is_finite() {
            Ok(())
        } else {
            Err(EngineError::Diverged { step: state.step, cause: Divergence::Energy(outputs.energy) })
        }
    }
}

fn is_fresh(group: &Group, state: &State, need: Properties) -> bool {
    matches!(group.fresh, Some((r, have)) if r == state.revision() && have.contains(need))
}
