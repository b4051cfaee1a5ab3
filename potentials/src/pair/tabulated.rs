//! Pair potentials from tables.
use super::{Pair, PairFunction, Parameters, Truncation, Unlisted, check};
use crate::BuildContext;
use crate::kernels::spline::CubicSpline;
use crate::simd::{LANES, Lanes};
use caloron_engine::SpecError;
use caloron_engine::quantity::{Energy, Length, Quantity};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// A pair energy given by points and interpolated by cubic splines.
///
/// Points come from a text file or from the input itself. A file has rows `r u`, `r u f` or, as LAMMPS writes them,
/// `index r u f`, where f = -du/dr; `#` begins a comment. With forces the spline is the Hermite one through u and f,
/// without them the natural cubic spline. A distance below the first point has no energy and stops the run.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Tabulated {
    /// Cutoff; default the last point of each table.
    pub cutoff: Option<Quantity<Length>>,
    /// What happens at the cutoff; default `truncated`, as a table says itself how it ends.
    pub truncation: Option<Truncation>,
    /// Tables of pairs of species.
    pub pairs: Vec<TabulatedPair>,
    /// What pairs without a table do; default `error`.
    #[serde(default)]
    pub unlisted_pairs: Unlisted,
}

/// The table of a pair of species: a `file` or `points`.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct TabulatedPair {
    /// The two species, in any order.
    pub species: [String; 2],
    /// File with the table.
    pub file: Option<PathBuf>,
    /// Keyword of the section to read, for files with several tables in the format of LAMMPS.
    pub section: Option<String>,
    /// Length unit of the file, for example `"1 Å"`; needed with `file`.
    pub length_unit: Option<Quantity<Length>>,
    /// Energy unit of the file, for example `"1 eV"`; needed with `file`.
    pub energy_unit: Option<Quantity<Energy>>,
    /// The points (r, u) themselves.
    pub points: Option<Vec<(Quantity<Length>, Quantity<Energy>)>>,
}

/// The splines; the coefficient of a pair is the index of its spline.
pub struct Function {
    splines: Vec<CubicSpline>,
}

impl PairFunction<1> for Function {
    const NAME: &'static str = "table";
    #[inline(always)]
    fn eval<V: Lanes>(&self, c: &[V; 1], r2: V) -> (V, V) {
        let (r, index) = (r2.sqrt().to_array(), c[0].to_array());
        let (mut u, mut g) = ([0.0; LANES], [0.0; LANES]);
        for k in 0..LANES {
            let spline = &self.splines[index[k] as usize];
            let (value, slope) = spline.eval(r[k]);
            let below = r[k] < spline.range().0;
            u[k] = if below { f64::NAN } else { value };
            g[k] = if below { f64::NAN } else { -slope / r[k] };
        }
        (V::from_array(u), V::from_array(g))
    }
}

/// Rows of numbers of a table; columns r, u and, where there are three or four, f.
fn rows(text: &str, section: Option<&str>) -> Result<Vec<Vec<f64>>, String> {
    let clean = |line: &str| line.split('#').next().unwrap_or("").trim().to_owned();
    let mut lines = text.lines().map(clean).enumerate().map(|(k, l)| (k + 1, l)).peekable();
    if let Some(keyword) = section {
        if !lines.any(|(_, l)| l == keyword) {
            return Err(format!("has no section `{keyword}`"));
        }
        // the line with the number of points
        while lines.next_if(|(_, l)| l.is_empty() || l.starts_with('N')).is_some() {}
    }
    let mut rows: Vec<Vec<f64>> = Vec::new();
    for (number, line) in lines {
        if line.is_empty() {
            if section.is_some() && !rows.is_empty() {
                break;
            }
            continue;
        }
        let values: Result<Vec<f64>, _> = line.split_whitespace().map(str::parse).collect();
        let values = values.map_err(|_| format!("line {number}: `{line}` is not a row of numbers"))?;
        if !(2..=4).contains(&values.len()) || rows.first().is_some_and(|r| r.len() != values.len()) {
            return Err(format!("line {number}: expected rows of two, three or four numbers, all alike"));
        }
        rows.push(values);
    }
    Ok(rows)
}

impl TabulatedPair {
    fn spline(&self, context: &mut BuildContext<'_>) -> Result<CubicSpline, SpecError> {
        let (r, u, f): (Vec<f64>, Vec<f64>, Option<Vec<f64>>) = match (&self.file, &self.points) {
            (None, Some(points)) => {
                let (r, u) = points.iter().map(|(r, u)| (r.internal(), u.internal())).unzip();
                (r, u, None)
            }
            (Some(file), None) => {
                let unit = |key: &str, unit: Option<f64>| {
                    unit.filter(|u| *u > 0.0).ok_or_else(|| {
                        SpecError::new(key, "a table in a file needs its unit, above zero")
                            .hint("write for example length_unit = \"1 Å\", energy_unit = \"1 eV\"")
                    })
                };
                let length = unit("length_unit", self.length_unit.map(Quantity::internal))?;
                let energy = unit("energy_unit", self.energy_unit.map(Quantity::internal))?;
                let text = context.read("file", file)?;
                let rows = rows(&text, self.section.as_deref())
                    .map_err(|why| SpecError::new("file", format!("`{}` {why}", file.display())))?;
                let width = rows.first().map_or(0, Vec::len);
                let first = usize::from(width == 4);
                let column =
                    |k: usize, unit: f64| rows.iter().map(|row| row[first + k] * unit).collect::<Vec<f64>>();
                let force = (width > 2).then(|| column(2, energy / length));
                (column(0, length), column(1, energy), force)
            }
            _ => {
                return Err(SpecError::new("", "a table needs either `file` or `points`"));
            }
        };
        let spline = match f {
            Some(f) => CubicSpline::hermite(&r, &u, &f.iter().map(|f| -f).collect::<Vec<f64>>()),
            None => CubicSpline::natural(&r, &u),
        };
        let key = if self.file.is_some() { "file" } else { "points" };
        let spline = spline.map_err(|e| SpecError::new(key, e.to_string()))?;
        if spline.range().0 < 0.0 {
            return Err(SpecError::new(key, "distances must not be negative"));
        }
        Ok(spline)
    }
}

impl Tabulated {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a file cannot be read, its points do not make a spline, or a pair has no table.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<Pair<Function, 1>, SpecError> {
        let wanted = self.cutoff.map(|c| check::positive("cutoff", c)).transpose()?;
        let mut parameters = Parameters::new(Function::NAME, context.system);
        let mut splines = Vec::new();
        for (k, pair) in self.pairs.iter().enumerate() {
            let key = |e: SpecError| e.within(&format!("pairs[{k}]"));
            let spline = pair.spline(context).map_err(key)?;
            let end = spline.range().1;
            let cutoff = wanted.unwrap_or(end);
            if cutoff > end * (1.0 + 1e-12) {
                let message = format!("the cutoff {cutoff} lies beyond the end {end} of the table");
                return Err(SpecError::new("cutoff", message));
            }
            parameters.set(&pair.species, [splines.len() as f64], cutoff).map_err(key)?;
            splines.push(spline);
        }
        let function = Function { splines };
        let kind = self.truncation.unwrap_or(Truncation::Truncated);
        let table = parameters.build(&function, kind, self.unlisted_pairs)?;
        Pair::new(function, table, false)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_of_files_are_read() {
        let plain = "# r u\n1.0 2.0\n\n1.5 1.0 # comment\n";
        assert_eq!(rows(plain, None).unwrap(), [[1.0, 2.0], [1.5, 1.0]]);
        let lammps = "# made\n\nA\nN 2\n\n1 1.0 2.0 3.0\n2 1.5 1.0 2.0\n\nB\nN 1\n\n1 9.0 9.0 9.0\n";
        assert_eq!(rows(lammps, Some("A")).unwrap().len(), 2);
        assert_eq!(rows(lammps, Some("B")).unwrap()[0][1], 9.0);
        assert!(rows(lammps, Some("C")).unwrap_err().contains("no section"));
        assert!(rows(lammps, None).unwrap_err().contains("line 3"));
        assert!(rows("1 2\n1 2 3\n", None).unwrap_err().contains("line 2"));
    }
}
