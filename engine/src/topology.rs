//! What belongs together: bonds, molecules, residues, constraints, virtual sites.
use crate::{Cell, SpecError, Vec3};

/// A bond, for the graph of molecules; the energy of a bond is a potential.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bond {
    /// The two atoms, from 0.
    pub atoms: [u32; 2],
    /// Equilibrium length, Å, where the force field says so.
    pub length: Option<f64>,
}

impl Bond {
    /// A bond without an equilibrium length.
    pub const fn new(i: u32, j: u32) -> Self {
        Self { atoms: [i, j], length: None }
    }
}

/// A bond angle with its equilibrium value; makes rigid water from bond lengths.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Angle {
    /// The three atoms; the second is the vertex.
    pub atoms: [u32; 3],
    /// Equilibrium angle, radians, where the force field says so.
    pub angle: Option<f64>,
}

/// A distance that the dynamics keeps: |r_i - r_j| = length.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Constraint {
    /// The two atoms, from 0.
    pub atoms: [u32; 2],
    /// Distance, Å.
    pub length: f64,
}

/// A massless interaction site whose position follows from its parents.
#[derive(Clone, Debug, PartialEq)]
pub struct VirtualSite {
    /// The atom that is the site, from 0.
    pub site: u32,
    /// How its position follows.
    pub kind: SiteKind,
}

/// The rules of virtual sites. Weights of positions sum to 1, so that a site moves with its parents.
#[derive(Clone, Debug, PartialEq)]
pub enum SiteKind {
    /// r = w₁ r₁ + w₂ r₂.
    TwoAverage {
        /// Atoms 1, 2.
        parents: [u32; 2],
        /// w₁, w₂; their sum is 1.
        weights: [f64; 2],
    },
    /// r = w₁ r₁ + w₂ r₂ + w₃ r₃ (TIP4P).
    ThreeAverage {
        /// Atoms 1, 2, 3.
        parents: [u32; 3],
        /// w₁, w₂, w₃; their sum is 1.
        weights: [f64; 3],
    },
    /// r = r₁ + w₁₂ (r₂ - r₁) + w₁₃ (r₃ - r₁) + w_c (r₂ - r₁) x (r₃ - r₁) (TIP5P).
    OutOfPlane {
        /// Atoms 1, 2, 3.
        parents: [u32; 3],
        /// w₁₂.
        w12: f64,
        /// w₁₃.
        w13: f64,
        /// w_c, 1/Å.
        cross: f64,
    },
    /// r = o + p₁ x̂ + p₂ ŷ + p₃ ẑ in a frame of the parents: o = Σ wᵒ r, x = Σ wˣ r, y = Σ wʸ r, z = x x y,
    /// x̂ = x/|x|, ẑ = z/|z|, ŷ = ẑ x x̂.
    LocalCoordinates {
        /// The parents, at least two.
        parents: Vec<u32>,
        /// wᵒ; their sum is 1.
        origin: Vec<f64>,
        /// wˣ; their sum is 0.
        x: Vec<f64>,
        /// wʸ; their sum is 0.
        y: Vec<f64>,
        /// p, Å.
        position: Vec3,
    },
}

impl SiteKind {
    /// The atoms a site follows.
    pub fn parents(&self) -> &[u32] {
        match self {
            Self::TwoAverage { parents, .. } => parents,
            Self::ThreeAverage { parents, .. } | Self::OutOfPlane { parents, .. } => parents,
            Self::LocalCoordinates { parents, .. } => parents,
        }
    }
}

/// Atoms that move as one rigid body.
#[derive(Clone, Debug, PartialEq)]
pub struct RigidBody {
    /// Its atoms, at least two.
    pub atoms: Vec<u32>,
    /// Their places in the body, Å, in any frame: the distances are kept, place and orientation come from the positions.
    pub shape: Vec<Vec3>,
}

impl RigidBody {
    /// 6, or 5 when all atoms lie on a line.
    pub fn degrees_of_freedom(&self) -> usize {
        let n = self.shape.len() as f64;
        let center = self.shape.iter().sum::<Vec3>() / n;
        let far = self.shape.iter().map(|r| r - center).max_by(|a, b| a.norm().total_cmp(&b.norm()));
        let Some(axis) = far.filter(|r| r.norm() > 0.0) else { return 3 };
        let off_axis = |r: &Vec3| (r - center).cross(&axis).norm() > 1e-6 * axis.norm_squared();
        if self.shape.iter().any(off_axis) { 6 } else { 5 }
    }
}

/// A residue of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Residue {
    /// Name, for example `HOH`.
    pub name: String,
    /// Number in the file.
    pub number: i64,
    /// Chain identifier; empty where there is none.
    pub chain: String,
}

/// What a file or an input says about the connections of atoms. Lists may be empty.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct TopologyParts {
    /// Bonds.
    pub bonds: Vec<Bond>,
    /// Bond angles.
    pub angles: Vec<Angle>,
    /// Names of the atoms (`CA`, `HW1`): none, or one for each atom.
    pub atom_names: Vec<String>,
    /// Residues.
    pub residues: Vec<Residue>,
    /// Index into `residues` of each atom: none, or one for each atom.
    pub residue_of: Vec<u32>,
    /// Distances that are kept.
    pub constraints: Vec<Constraint>,
    /// Groups of atoms that move as rigid bodies.
    pub rigid_bodies: Vec<RigidBody>,
    /// Massless sites.
    pub virtual_sites: Vec<VirtualSite>,
}

/// Every atom in exactly one group.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Partition {
    offsets: Vec<u32>,
    members: Vec<u32>,
    group_of: Vec<u32>,
}

impl Partition {
    /// The connected components of a graph on `atoms` nodes, in the order of their first atoms.
    pub fn components(atoms: usize, edges: impl IntoIterator<Item = [u32; 2]>) -> Self {
        let mut parent: Vec<u32> = (0..atoms as u32).collect();
        fn root(parent: &mut [u32], mut i: u32) -> u32 {
            while parent[i as usize] != i {
                parent[i as usize] = parent[parent[i as usize] as usize];
                i = parent[i as usize];
            }
            i
        }
        for [i, j] in edges {
            let (a, b) = (root(&mut parent, i), root(&mut parent, j));
            // the smaller index is the root, so the root of a component is its first atom
            parent[a.max(b) as usize] = a.min(b);
        }
        let mut group_of = vec![0; atoms];
        let mut counts: Vec<u32> = Vec::new();
        for i in 0..atoms as u32 {
            let r = root(&mut parent, i);
            group_of[i as usize] = if r == i {
                counts.push(0);
                counts.len() as u32 - 1
            } else {
                group_of[r as usize]
            };
            counts[group_of[i as usize] as usize] += 1;
        }
        let mut offsets = vec![0; counts.len() + 1];
        for (k, n) in counts.iter().enumerate() {
            offsets[k + 1] = offsets[k] + n;
        }
        let mut next = offsets.clone();
        let mut members = vec![0; atoms];
        for (i, &g) in (0u32..).zip(&group_of) {
            members[next[g as usize] as usize] = i;
            next[g as usize] += 1;
        }
        Self { offsets, members, group_of }
    }
    /// Number of groups.
    pub fn len(&self) -> usize {
        self.offsets.len().saturating_sub(1)
    }
    /// True without groups.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
    /// The atoms of a group, ascending.
    pub fn members(&self, group: usize) -> &[u32] {
        &self.members[self.offsets[group] as usize..self.offsets[group + 1] as usize]
    }
    /// The group of an atom.
    pub fn group_of(&self, atom: usize) -> usize {
        self.group_of[atom] as usize
    }
    /// The groups, each with its atoms.
    pub fn iter(&self) -> impl Iterator<Item = &[u32]> {
        (0..self.len()).map(|k| self.members(k))
    }
}

/// What making molecules whole found.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Whole {
    /// Atoms that were moved to another image.
    pub moved: usize,
    /// True when a molecule is bonded to its own periodic image (a crystal, an infinite chain), so that it has no extent.
    pub endless: bool,
}

/// Bonds, molecules, residues, constraints and virtual sites of a system, checked.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    atoms: usize,
    parts: TopologyParts,
    molecules: Partition,
    is_site: Vec<bool>,
}

impl Topology {
    /// Atoms without any connection.
    pub fn unconnected(atoms: usize) -> Self {
        let molecules = Partition::components(atoms, []);
        Self { atoms, parts: TopologyParts::default(), molecules, is_site: vec![false; atoms] }
    }
    /// From what a file says about `atoms` atoms.
    ///
    /// # Errors
    /// At the list and the index (`constraints[3]`): an atom that does not exist or is named twice, a length, weight or
    /// name list that cannot be, a constraint or parent on a virtual site, an atom in two rigid bodies.
    pub fn new(atoms: usize, parts: TopologyParts) -> Result<Self, SpecError> {
        let is_site = check(atoms, &parts)?;
        let sites = parts.virtual_sites.iter().flat_map(|s| s.kind.parents().iter().map(|&p| [p, s.site]));
        let bodies = parts.rigid_bodies.iter().flat_map(|b| b.atoms.windows(2).map(|w| [w[0], w[1]]));
        let bonds = parts.bonds.iter().map(|b| b.atoms);
        let edges = bonds.chain(parts.constraints.iter().map(|c| c.atoms)).chain(sites).chain(bodies);
        let molecules = Partition::components(atoms, edges);
        Ok(Self { atoms, parts, molecules, is_site })
    }
    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.atoms
    }
    /// True without atoms.
    pub fn is_empty(&self) -> bool {
        self.atoms == 0
    }
    /// Everything that was given, to make a changed topology from it.
    pub fn parts(&self) -> &TopologyParts {
        &self.parts
    }
    /// Bonds.
    pub fn bonds(&self) -> &[Bond] {
        &self.parts.bonds
    }
    /// Bond angles.
    pub fn angles(&self) -> &[Angle] {
        &self.parts.angles
    }
    /// Molecules: what bonds, constraints, rigid bodies and virtual sites connect.
    pub fn molecules(&self) -> &Partition {
        &self.molecules
    }
    /// Distances that are kept.
    pub fn constraints(&self) -> &[Constraint] {
        &self.parts.constraints
    }
    /// Groups of atoms that move as rigid bodies.
    pub fn rigid_bodies(&self) -> &[RigidBody] {
        &self.parts.rigid_bodies
    }
    /// Massless sites.
    pub fn virtual_sites(&self) -> &[VirtualSite] {
        &self.parts.virtual_sites
    }
    /// True when the atom is a virtual site.
    pub fn is_site(&self, atom: usize) -> bool {
        self.is_site[atom]
    }
    /// Name of an atom, where the file gave names.
    pub fn atom_name(&self, atom: usize) -> Option<&str> {
        self.parts.atom_names.get(atom).map(String::as_str)
    }
    /// Residue of an atom, where the file gave residues.
    pub fn residue(&self, atom: usize) -> Option<&Residue> {
        self.parts.residue_of.get(atom).map(|&r| &self.parts.residues[r as usize])
    }
    /// True when a bond reaches around the cell, so that its molecule has no extent, for molecules made whole.
    pub fn is_endless(&self, positions: &[Vec3], cell: &Cell) -> bool {
        !cell.is_open()
            && self.parts.bonds.iter().any(|b| {
                let [i, j] = b.atoms.map(|a| &positions[a as usize]);
                (cell.shortest(i, j) - (j - i)).norm() > 1e-6
            })
    }
    /// Moves atoms by lattice vectors so that all that is connected lies together: constraints, rigid bodies and virtual
    /// sites work with plain differences of positions. Virtual sites themselves stay.
    ///
    /// # Errors
    /// When a constraint, a rigid body or the parents of a site reach around the cell to an image of themselves.
    pub fn make_whole(&self, positions: &mut [Vec3], cell: &Cell) -> Result<Whole, SpecError> {
        let mut whole = Whole::default();
        if cell.is_open() {
            return Ok(whole);
        }
        let parts = &self.parts;
        let sites = parts.virtual_sites.iter().flat_map(|s| s.kind.parents().windows(2));
        let bodies = parts.rigid_bodies.iter().flat_map(|b| b.atoms.windows(2));
        let strict =
            parts.constraints.iter().map(|c| c.atoms).chain(sites.chain(bodies).map(|w| [w[0], w[1]]));
        let edges: Vec<([u32; 2], bool)> =
            strict.map(|e| (e, true)).chain(parts.bonds.iter().map(|b| (b.atoms, false))).collect();
        let mut start = vec![0u32; self.atoms + 1];
        for (e, _) in &edges {
            e.iter().for_each(|&a| start[a as usize + 1] += 1);
        }
        for i in 0..self.atoms {
            start[i + 1] += start[i];
        }
        let mut at = start.clone();
        let mut partner = vec![0u32; 2 * edges.len()];
        for ([i, j], _) in &edges {
            for (a, b) in [(*i, *j), (*j, *i)] {
                partner[at[a as usize] as usize] = b;
                at[a as usize] += 1;
            }
        }
        let mut seen = vec![false; self.atoms];
        let mut queue = std::collections::VecDeque::new();
        for first in 0..self.atoms {
            if seen[first] {
                continue;
            }
            seen[first] = true;
            queue.push_back(first);
            while let Some(i) = queue.pop_front() {
                for &j in &partner[start[i] as usize..start[i + 1] as usize] {
                    let j = j as usize;
                    if !std::mem::replace(&mut seen[j], true) {
                        let near = positions[i] + cell.shortest(&positions[i], &positions[j]);
                        // an atom that is in place keeps its bits
                        if (near - positions[j]).norm() > 1e-6 {
                            positions[j] = near;
                            whole.moved += 1;
                        }
                        queue.push_back(j);
                    }
                }
            }
        }
        for ([i, j], strict) in edges {
            let (a, b) = (&positions[i as usize], &positions[j as usize]);
            if (cell.shortest(a, b) - (b - a)).norm() > 1e-6 {
                whole.endless = true;
                if strict {
                    let message = format!(
                        "atoms {i} and {j}, which a constraint, a rigid body or a virtual site ties together, are connected \
                         around the periodic cell"
                    );
                    return Err(SpecError::new("", message)
                        .hint("use a larger cell (repeat it), or fewer constraints"));
                }
            }
        }
        Ok(whole)
    }
}

/// Checks the lists; returns which atoms are virtual sites.
fn check(atoms: usize, parts: &TopologyParts) -> Result<Vec<bool>, SpecError> {
    let exists = |key: &dyn Fn() -> String, list: &[u32]| {
        for (k, &a) in list.iter().enumerate() {
            if a as usize >= atoms {
                let message = format!("there is no atom {a}: the system has {atoms} atoms, counted from 0");
                return Err(SpecError::new(key(), message));
            }
            if list[..k].contains(&a) {
                return Err(SpecError::new(key(), format!("atom {a} is named twice")));
            }
        }
        Ok(())
    };
    for (k, bond) in parts.bonds.iter().enumerate() {
        exists(&|| format!("bonds[{k}]"), &bond.atoms)?;
        length(|| format!("bonds[{k}]"), bond.length)?;
    }
    for (k, angle) in parts.angles.iter().enumerate() {
        exists(&|| format!("angles[{k}]"), &angle.atoms)?;
    }
    for (name, n) in [("atom_names", parts.atom_names.len()), ("residue_of", parts.residue_of.len())] {
        if n != 0 && n != atoms {
            return Err(SpecError::new(name, format!("{n} entries for {atoms} atoms")));
        }
    }
    if let Some(r) = parts.residue_of.iter().find(|r| **r as usize >= parts.residues.len()) {
        return Err(SpecError::new("residue_of", format!("there is no residue {r}")));
    }
    let mut is_site = vec![false; atoms];
    for (k, site) in parts.virtual_sites.iter().enumerate() {
        let key = || format!("virtual_sites[{k}]");
        exists(&key, &[site.site])?;
        if std::mem::replace(&mut is_site[site.site as usize], true) {
            return Err(SpecError::new(key(), format!("atom {} is a virtual site twice", site.site)));
        }
    }
    for (k, site) in parts.virtual_sites.iter().enumerate() {
        let key = || format!("virtual_sites[{k}]");
        let parents = site.kind.parents();
        exists(&key, parents)?;
        if let Some(p) = parents.iter().find(|p| is_site[**p as usize]) {
            let message = format!("the parent {p} of site {} is a virtual site itself", site.site);
            return Err(
                SpecError::new(key(), message).hint("give the site by the atoms it follows in the end")
            );
        }
        weights(&site.kind).map_err(|e| e.within(&key()))?;
    }
    let mut pairs = std::collections::HashSet::new();
    for (k, c) in parts.constraints.iter().enumerate() {
        let key = || format!("constraints[{k}]");
        exists(&key, &c.atoms)?;
        let [i, j] = c.atoms;
        if !pairs.insert([i.min(j), i.max(j)]) {
            return Err(SpecError::new(
                key(),
                format!("the distance of atoms {i} and {j} is constrained twice"),
            )
            .hint("keep one of them"));
        }
        length(key, Some(c.length))?;
        if let Some(a) = c.atoms.iter().find(|a| is_site[**a as usize]) {
            let message =
                format!("atom {a} is a virtual site: it follows its parents and cannot be constrained");
            return Err(SpecError::new(key(), message));
        }
    }
    let mut of_body = vec![false; atoms];
    for (k, body) in parts.rigid_bodies.iter().enumerate() {
        let key = || format!("rigid_bodies[{k}]");
        for &a in &body.atoms {
            if a as usize >= atoms {
                return Err(SpecError::new(
                    key(),
                    format!("there is no atom {a}: the system has {atoms} atoms"),
                ));
            }
            if is_site[a as usize] {
                return Err(SpecError::new(
                    key(),
                    format!("atom {a} is a virtual site; name its parents alone"),
                ));
            }
            if std::mem::replace(&mut of_body[a as usize], true) {
                return Err(SpecError::new(key(), format!("atom {a} is in a rigid body twice"))
                    .hint("every atom belongs to one body at most"));
            }
        }
        if body.atoms.len() < 2 {
            return Err(SpecError::new(key(), "a rigid body needs at least two atoms"));
        }
        if body.shape.len() != body.atoms.len() || !body.shape.iter().all(|r| r.iter().all(|x| x.is_finite()))
        {
            return Err(SpecError::new(
                key(),
                "the shape of a rigid body needs one finite place for each atom",
            ));
        }
        if body.degrees_of_freedom() == 3 {
            return Err(SpecError::new(key(), "all atoms of the rigid body lie in one place"));
        }
    }
    if let Some(k) = parts.constraints.iter().position(|c| c.atoms.iter().any(|a| of_body[*a as usize])) {
        let message = "a constraint on an atom of a rigid body";
        return Err(SpecError::new(format!("constraints[{k}]"), message)
            .hint("the rigid body keeps its distances already"));
    }
    Ok(is_site)
}

fn length(key: impl Fn() -> String, value: Option<f64>) -> Result<(), SpecError> {
    match value {
        Some(x) if !(x > 0.0 && x.is_finite()) => {
            Err(SpecError::new(key(), format!("the length is {x}; it must be above 0")))
        }
        _ => Ok(()),
    }
}

fn weights(kind: &SiteKind) -> Result<(), SpecError> {
    let sums_to = |name: &str, w: &[f64], target: f64| {
        let sum: f64 = w.iter().sum();
        let scale: f64 = w.iter().map(|x| x.abs()).sum::<f64>().max(1.0);
        if (sum - target).abs() <= 1e-5 * scale {
            return Ok(());
        }
        let message = format!(
            "the {name} sum to {sum}; they must sum to {target}, so that the site moves with its parents"
        );
        Err(SpecError::new("", message))
    };
    match kind {
        SiteKind::TwoAverage { weights, .. } => sums_to("weights", weights, 1.0),
        SiteKind::ThreeAverage { weights, .. } => sums_to("weights", weights, 1.0),
        SiteKind::OutOfPlane { w12, w13, cross, .. } => {
            if [w12, w13, cross].iter().all(|w| w.is_finite()) {
                return Ok(());
            }
            Err(SpecError::new("", "the weights must be finite"))
        }
        SiteKind::LocalCoordinates { parents, origin, x, y, position } => {
            let n = parents.len();
            if n < 2 || [origin, x, y].iter().any(|w| w.len() != n) || !position.iter().all(|p| p.is_finite())
            {
                let message = "local coordinates need two or more parents, one weight of each kind for each parent, and a \
                               finite position";
                return Err(SpecError::new("", message));
            }
            sums_to("weights of the origin", origin, 1.0)?;
            sums_to("weights of x", x, 0.0)?;
            sums_to("weights of y", y, 0.0)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn water(n: u32) -> TopologyParts {
        let bonds = (0..n).flat_map(|k| [Bond::new(3 * k, 3 * k + 1), Bond::new(3 * k, 3 * k + 2)]).collect();
        TopologyParts { bonds, ..TopologyParts::default() }
    }

    #[test]
    fn molecules_are_connected_components() {
        let mut parts = water(2);
        let kind = SiteKind::ThreeAverage { parents: [0, 1, 2], weights: [0.8, 0.1, 0.1] };
        parts.virtual_sites.push(VirtualSite { site: 6, kind });
        let topology = Topology::new(8, parts).unwrap();
        let molecules: Vec<_> = topology.molecules().iter().collect();
        assert_eq!(molecules, [&[0, 1, 2, 6][..], &[3, 4, 5], &[7]]);
        assert_eq!(topology.molecules().group_of(6), 0);
        assert!(topology.is_site(6) && !topology.is_site(0));
    }

    #[test]
    fn mistakes_are_named() {
        let message = |change: &dyn Fn(&mut TopologyParts)| {
            let mut parts = water(2);
            change(&mut parts);
            let e = Topology::new(7, parts).unwrap_err();
            format!("{}: {}", e.key, e.message)
        };
        let c = |i, j, length| Constraint { atoms: [i, j], length };
        assert_eq!(
            message(&|p| p.constraints.push(c(0, 9, 1.0))),
            "constraints[0]: there is no atom 9: the system has 7 atoms, counted from 0"
        );
        assert_eq!(message(&|p| p.constraints.push(c(1, 1, 1.0))), "constraints[0]: atom 1 is named twice");
        assert!(message(&|p| p.constraints.push(c(0, 1, -1.0))).contains("the length is -1"));
        let twice = message(&|p| p.constraints.extend([c(0, 1, 1.0), c(1, 0, 1.0)]));
        assert_eq!(twice, "constraints[1]: the distance of atoms 1 and 0 is constrained twice");
        let two = |weights| SiteKind::TwoAverage { parents: [0, 1], weights };
        let site = |site, kind| VirtualSite { site, kind };
        assert!(message(&|p| p.virtual_sites.push(site(6, two([0.4, 0.4])))).contains("sum to 0.8"));
        let twice = message(&|p| p.virtual_sites.extend([site(6, two([0.5; 2])), site(6, two([0.5; 2]))]));
        assert_eq!(twice, "virtual_sites[1]: atom 6 is a virtual site twice");
        assert!(
            message(&|p| { p.virtual_sites.extend([site(6, two([0.5; 2])), site(0, two([0.5; 2]))]) })
                .contains("is a virtual site itself")
        );
        let body = |atoms: &[u32]| {
            let shape = atoms.iter().map(|&a| Vec3::x() * f64::from(a)).collect();
            RigidBody { atoms: atoms.to_vec(), shape }
        };
        assert!(
            message(&|p| p.rigid_bodies.extend([body(&[0, 1]), body(&[1, 2])]))
                .contains("in a rigid body twice")
        );
        assert!(message(&|p| p.atom_names.push("O".into())).contains("1 entries for 7 atoms"));
    }

    #[test]
    fn molecules_become_whole() {
        let cell = Cell::orthorhombic(10.0, 10.0, 10.0).unwrap();
        let topology = Topology::new(6, water(2)).unwrap();
        let mut r = [9.8, 0.7, 9.0, 5.0, 5.9, 4.2].map(|x| Vec3::x() * x).to_vec();
        let whole = topology.make_whole(&mut r, &cell).unwrap();
        assert_eq!(whole, Whole { moved: 1, endless: false });
        assert!((r[1].x - 10.7).abs() < 1e-12);
        // a chain through the boundary
        let ring = |constraints| TopologyParts {
            bonds: (0..4).map(|k| Bond::new(k, (k + 1) % 4)).collect(),
            constraints,
            ..TopologyParts::default()
        };
        let mut r: Vec<Vec3> = (0..4).map(|k| Vec3::x() * 2.5 * f64::from(k)).collect();
        let topology = Topology::new(4, ring(vec![])).unwrap();
        assert!(topology.make_whole(&mut r, &cell).unwrap().endless);
        let all = (0..4).map(|k| Constraint { atoms: [k, (k + 1) % 4], length: 2.5 }).collect();
        let topology = Topology::new(4, ring(all)).unwrap();
        assert!(topology.make_whole(&mut r, &cell).unwrap_err().message.contains("around the periodic cell"));
    }
}
