//! The cell of a structure, replaced in whole or in part.
use super::structure::Structure;
use caloron_engine::quantity::{Angle, Length};
use caloron_engine::{Cell, Mat3, Quantity, SpecError, Vec3};
use schemars::JsonSchema;
use serde::Deserialize;

/// A cell: `vectors`, or `lengths` with `angles`; or the periodic directions alone.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct CellOverride {
    /// Edges a, b, c.
    pub lengths: Option<[Quantity<Length>; 3]>,
    /// Angles alpha (between b and c), beta (a and c), gamma (a and b); default right angles. Needs `lengths`.
    pub angles: Option<[Quantity<Angle>; 3]>,
    /// Lattice vectors a, b, c, each with its x, y, z components.
    pub vectors: Option<[[Quantity<Length>; 3]; 3]>,
    /// Directions that repeat; default those of the structure, or all when it has none.
    pub periodic: Option<[bool; 3]>,
}

impl CellOverride {
    pub(crate) fn apply(&self, mut structure: Structure) -> Result<Structure, SpecError> {
        let default = if structure.cell.is_open() { [true; 3] } else { structure.cell.periodic() };
        let matrix = match (&self.vectors, &self.lengths) {
            (Some(_), Some(_)) => {
                return Err(SpecError::new("lengths", "the cell is given by `vectors` and by `lengths`")
                    .hint("keep one of them"));
            }
            (Some(v), None) => {
                if self.angles.is_some() {
                    return Err(SpecError::new("angles", "`angles` belong to `lengths`, not to `vectors`")
                        .hint("remove `angles`"));
                }
                Some(Mat3::from_columns(&v.map(|v| Vec3::from(v.map(Quantity::internal)))))
            }
            (None, Some(l)) => {
                let lengths = l.map(Quantity::internal);
                let angles = self.angles.map_or([90.0; 3], |a| a.map(|x| x.internal().to_degrees()));
                let right = |x: f64| if (x - 90.0).abs() < 1e-10 { 90.0 } else { x };
                let cell = Cell::from_lengths_angles(lengths, angles.map(right)).map_err(|e| {
                    SpecError::new("lengths", e.to_string())
                        .hint("lengths are positive, angles below 180 degrees")
                })?;
                Some(*cell.matrix())
            }
            (None, None) => {
                if self.angles.is_some() {
                    return Err(
                        SpecError::new("angles", "`angles` need `lengths`").hint("add `lengths = [...]`")
                    );
                }
                None
            }
        };
        let cell = match matrix {
            Some(h) => Cell::from_matrix(h, self.periodic.unwrap_or(default)),
            None => {
                let periodic = self.periodic.unwrap_or(default);
                if structure.cell == Cell::open() && periodic != [false; 3] {
                    return Err(SpecError::new(
                        "periodic",
                        "the structure has no lattice vectors to repeat along",
                    )
                    .hint("add `lengths` or `vectors`"));
                }
                Cell::from_matrix(*structure.cell.matrix(), periodic)
            }
        };
        structure.cell = cell.map_err(|e| {
            SpecError::new("vectors", e.to_string()).hint("give three independent lattice vectors")
        })?;
        Ok(structure)
    }
}
