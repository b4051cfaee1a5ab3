//! One structure: atoms, cell and everything a file says about them.
use caloron_engine::{Cell, CellError, Mat3, Vec3, elements};

/// Names with values, in the order of the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Map<T>(Vec<(String, T)>);

impl<T> Default for Map<T> {
    fn default() -> Self {
        Self(Vec::new())
    }
}

impl<T> Map<T> {
    /// The value of a name.
    pub fn get(&self, name: &str) -> Option<&T> {
        self.0.iter().find(|(k, _)| k == name).map(|(_, v)| v)
    }
    /// Sets a value, in place if the name exists and at the end if not.
    pub fn insert(&mut self, name: impl Into<String>, value: T) {
        let name = name.into();
        match self.0.iter_mut().find(|(k, _)| *k == name) {
            Some(entry) => entry.1 = value,
            None => self.0.push((name, value)),
        }
    }
    /// Takes a value out.
    pub fn remove(&mut self, name: &str) -> Option<T> {
        let at = self.0.iter().position(|(k, _)| k == name)?;
        Some(self.0.remove(at).1)
    }
    /// Names and values in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &T)> {
        self.0.iter().map(|(k, v)| (k.as_str(), v))
    }
    /// Number of names.
    pub fn len(&self) -> usize {
        self.0.len()
    }
    /// True without any.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// A value that belongs to a frame.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Logical.
    Bool(bool),
    /// Integer.
    Int(i64),
    /// Number, kept bit for bit.
    Real(f64),
    /// Text.
    Text(String),
    /// Logicals.
    Bools(Vec<bool>),
    /// Integers.
    Ints(Vec<i64>),
    /// Numbers.
    Reals(Vec<f64>),
    /// Anything nested, as the JSON text of the file.
    Json(String),
}

/// A column of per-atom values.
#[derive(Clone, Debug, PartialEq)]
pub enum Column {
    /// Integers.
    Int(Vec<i64>),
    /// Numbers, kept bit for bit.
    Real(Vec<f64>),
    /// Logicals.
    Bool(Vec<bool>),
    /// Texts without white space.
    Text(Vec<String>),
}

impl Column {
    /// Number of values.
    pub fn len(&self) -> usize {
        match self {
            Self::Int(v) => v.len(),
            Self::Real(v) => v.len(),
            Self::Bool(v) => v.len(),
            Self::Text(v) => v.len(),
        }
    }
    /// True without values.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Per-atom values of `columns` components, atom after atom: component k of atom i is `data[i * columns + k]`.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// Components of each atom.
    pub columns: usize,
    /// atoms x columns values.
    pub data: Column,
}

impl Array {
    /// One number for each atom.
    pub fn reals(values: Vec<f64>) -> Self {
        Self { columns: 1, data: Column::Real(values) }
    }
    /// One integer for each atom.
    pub fn ints(values: Vec<i64>) -> Self {
        Self { columns: 1, data: Column::Int(values) }
    }
    /// One text for each atom.
    pub fn texts(values: Vec<String>) -> Self {
        Self { columns: 1, data: Column::Text(values) }
    }
    /// Three numbers for each atom.
    pub fn vectors(values: &[Vec3]) -> Self {
        Self { columns: 3, data: Column::Real(values.iter().flat_map(|v| [v.x, v.y, v.z]).collect()) }
    }
    /// The vectors of a real array of three columns.
    pub fn as_vectors(&self) -> Option<Vec<Vec3>> {
        match &self.data {
            Column::Real(v) if self.columns == 3 => {
                Some(v.chunks_exact(3).map(|c| Vec3::new(c[0], c[1], c[2])).collect())
            }
            _ => None,
        }
    }
    /// The values of a real array.
    pub fn as_reals(&self) -> Option<&[f64]> {
        match &self.data {
            Column::Real(v) => Some(v),
            _ => None,
        }
    }
    /// The values of an integer array.
    pub fn as_ints(&self) -> Option<&[i64]> {
        match &self.data {
            Column::Int(v) => Some(v),
            _ => None,
        }
    }
    /// The values of a text array.
    pub fn as_texts(&self) -> Option<&[String]> {
        match &self.data {
            Column::Text(v) => Some(v),
            _ => None,
        }
    }
    /// The values of a logical array.
    pub fn as_bools(&self) -> Option<&[bool]> {
        match &self.data {
            Column::Bool(v) => Some(v),
            _ => None,
        }
    }
}

/// A bond: type label of the file and atom indices from 0.
pub type Bond = (String, [u32; 2]);
/// An angle: type label of the file and atom indices from 0, the vertex in the middle.
pub type Angle = (String, [u32; 3]);

/// Bonded structure as far as a file states it. Atom indices count from 0 in the order of the frame.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Topology {
    /// Bonds.
    pub bonds: Vec<Bond>,
    /// Angles.
    pub angles: Vec<Angle>,
    /// Proper dihedrals.
    pub dihedrals: Vec<(String, [u32; 4])>,
    /// Improper dihedrals.
    pub impropers: Vec<(String, [u32; 4])>,
    /// Sections of force-field coefficients as they stand in a LAMMPS data file: title (with the style after
    /// `#`) and lines.
    pub coefficients: Vec<(String, Vec<String>)>,
}

/// One structure of a file, in the units of the engine.
///
/// Per-atom data of standard meaning without a field of their own live in `arrays` under these names:
/// `atomtypes` (atom names such as `CA`, text), `residuenames`, `residuenumbers`, `chainids`, `mol-id`
/// (molecule number), `type` (numeric atom type), `image` (3 integers: cells to add to unwrap),
/// `selective_dynamics` (3 logicals, true = free to move), `energies` (eV), `magmoms`.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Element symbol or species label of each atom.
    pub symbols: Vec<String>,
    /// Positions, Å.
    pub positions: Vec<Vec3>,
    /// Cell and periodic directions; open when the file has none.
    pub cell: Cell,
    /// Velocities, Å / (Å sqrt(u/eV)).
    pub velocities: Option<Vec<Vec3>>,
    /// Forces, eV/Å.
    pub forces: Option<Vec<Vec3>>,
    /// Masses, u, where the file states them.
    pub masses: Option<Vec<f64>>,
    /// Charges, e.
    pub charges: Option<Vec<f64>>,
    /// MD step.
    pub step: Option<u64>,
    /// Time, Å sqrt(u/eV).
    pub time: Option<f64>,
    /// Potential energy, eV.
    pub energy: Option<f64>,
    /// Stress, eV/Å³, positive when the cell is under tension.
    pub stress: Option<Mat3>,
    /// Bonds and the like.
    pub topology: Option<Box<Topology>>,
    /// Everything else said about the frame.
    pub info: Map<Value>,
    /// Everything else said about the atoms.
    pub arrays: Map<Array>,
}

impl Frame {
    /// Atoms in a cell; nothing else known.
    pub fn new(symbols: Vec<String>, positions: Vec<Vec3>, cell: Cell) -> Self {
        Self {
            symbols,
            positions,
            cell,
            velocities: None,
            forces: None,
            masses: None,
            charges: None,
            step: None,
            time: None,
            energy: None,
            stress: None,
            topology: None,
            info: Map::default(),
            arrays: Map::default(),
        }
    }
    /// Number of atoms.
    pub fn len(&self) -> usize {
        self.positions.len()
    }
    /// True without atoms.
    pub fn is_empty(&self) -> bool {
        self.positions.is_empty()
    }
    /// Mass of an atom, u: of the file, else the standard atomic weight of its symbol.
    pub fn mass(&self, atom: usize) -> Option<f64> {
        match &self.masses {
            Some(m) => m.get(atom).copied(),
            None => elements::mass(self.symbols.get(atom)?),
        }
    }
    /// The first per-atom quantity whose length is not the number of atoms, with that length.
    pub fn inconsistency(&self) -> Option<(String, usize)> {
        let n = self.len();
        let mut lengths = vec![("symbols", self.symbols.len())];
        lengths.extend(self.velocities.iter().map(|v| ("velocities", v.len())));
        lengths.extend(self.forces.iter().map(|v| ("forces", v.len())));
        lengths.extend(self.masses.iter().map(|v| ("masses", v.len())));
        lengths.extend(self.charges.iter().map(|v| ("charges", v.len())));
        let of_field = lengths.into_iter().find(|(_, len)| *len != n).map(|(k, len)| (k.to_owned(), len));
        of_field.or_else(|| {
            let bad = |a: &Array| a.columns == 0 || Some(a.data.len()) != n.checked_mul(a.columns);
            self.arrays.iter().find(|(_, a)| bad(a)).map(|(k, a)| (k.to_owned(), a.data.len()))
        })
    }
    /// Positions moved by lattice vectors into the cell.
    pub fn wrap(&mut self) {
        let cell = &self.cell;
        self.positions.iter_mut().for_each(|r| *r = cell.wrap(r).0);
    }
}

/// A cell from lattice vectors of a file. Zero vectors stand for "no lattice" along directions that do not
/// repeat: all three zero give an open cell, single ones are completed by perpendicular unit vectors.
pub(crate) fn cell_from_vectors(vectors: [Vec3; 3], periodic: [bool; 3]) -> Result<Cell, CellError> {
    let zero: [bool; 3] = std::array::from_fn(|k| vectors[k] == Vec3::zeros() && !periodic[k]);
    if zero == [true; 3] {
        return Ok(Cell::open());
    }
    let mut v = vectors;
    for k in 0..3 {
        if zero[k] {
            let (a, b) = (v[(k + 1) % 3], v[(k + 2) % 3]);
            let other = if a == Vec3::zeros() { b } else { a };
            let mut normal = a.cross(&b);
            if normal.norm() == 0.0 {
                // one vector given: any direction perpendicular to it
                let axis = Vec3::ith(other.iamin(), 1.0);
                normal = axis - other * (other.dot(&axis) / other.norm_squared());
            }
            v[k] = normal.normalize();
        }
    }
    Cell::new(v, periodic)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn missing_lattice_vectors_are_completed() {
        let z = Vec3::zeros();
        assert!(cell_from_vectors([z; 3], [false; 3]).unwrap().is_open());
        let slab = cell_from_vectors([Vec3::x() * 3.0, Vec3::y() * 4.0, z], [true, true, false]).unwrap();
        assert_eq!(slab.vector(2), Vec3::z());
        let wire = cell_from_vectors([z, Vec3::new(1.0, 2.0, 0.0), z], [false, true, false]).unwrap();
        assert!(wire.volume() > 1.0);
        assert!(cell_from_vectors([z, Vec3::y(), Vec3::z()], [true; 3]).is_err());
    }

    #[test]
    fn wrong_lengths_are_found() {
        let mut f = Frame::new(vec!["Ar".into()], vec![Vec3::zeros()], Cell::open());
        assert_eq!(f.inconsistency(), None);
        f.arrays.insert("tags", Array::ints(vec![1, 2]));
        assert_eq!(f.inconsistency(), Some(("tags".into(), 2)));
    }
}
