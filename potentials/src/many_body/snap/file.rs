//! Readers of the two files of a SNAP: coefficients and parameters.
use super::super::files::{at_line, map_species, number, read};
use super::{Element, Settings, Snap, potential};
use crate::BuildContext;
use crate::many_body::site_energy::SiteSum;
use caloron_engine::SpecError;
use caloron_engine::error::nearest;
use schemars::JsonSchema;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Spectral neighbour analysis potential from the two files that LAMMPS' `snap` style reads.
#[derive(Clone, Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct SnapSpec {
    /// File of coefficients (`.snapcoeff`), relative to the input file.
    pub file: PathBuf,
    /// File of parameters (`.snapparam`), relative to the input file.
    pub parameters: PathBuf,
    /// Element of the file for a species, such as `{ Si1 = "Si" }`. Default: the element of the same name.
    #[serde(default)]
    pub elements: Option<BTreeMap<String, String>>,
}

impl SnapSpec {
    /// The interaction for a system.
    ///
    /// # Errors
    /// When a file is malformed, the two do not fit, or a species is not in them.
    pub fn build(&self, context: &mut BuildContext<'_>) -> Result<SiteSum<Snap>, SpecError> {
        let text = read(context, "parameters", &self.parameters)?;
        let settings = parameters(&self.parameters, &text)?;
        let text = read(context, "file", &self.file)?;
        let (names, elements) = coefficients(&self.file, &text)?;
        let linear = Snap::count(&settings, names.len());
        let expected = 1 + linear + if settings.quadratic { linear * (linear + 1) / 2 } else { 0 };
        let found = elements[0].coefficients.len();
        if found != expected {
            return Err(SpecError::new(
                "parameters",
                format!(
                    "`{}` implies {expected} coefficients for an element, `{}` has {found}",
                    self.parameters.display(),
                    self.file.display()
                ),
            )
            .hint("twojmax, quadraticflag and chemflag decide how many there are"));
        }
        let map = map_species(context.system, self.elements.as_ref(), &names, &self.file)?;
        Ok(potential(settings, elements, map))
    }
}

/// Lines with words, without comments, counted from 1.
fn lines(text: &str) -> impl Iterator<Item = (usize, Vec<&str>)> {
    text.lines()
        .enumerate()
        .map(|(n, line)| (n + 1, line.split('#').next().unwrap_or("").split_whitespace().collect::<Vec<_>>()))
        .filter(|(_, words)| !words.is_empty())
}

fn coefficients(file: &Path, text: &str) -> Result<(Vec<String>, Vec<Element>), SpecError> {
    let error = |line: usize, message: String| at_line("file", file, line, message);
    let mut lines = lines(text);
    let mut last = 1;
    let mut next = |what: &str| {
        let line = lines.next();
        if let Some((n, _)) = line {
            last = n;
        }
        line.ok_or_else(|| {
            at_line("file", file, last, format!("the file ends where {what} should follow"))
                .hint("the file may be truncated")
        })
    };
    let (n, words) = next("the numbers of elements and coefficients")?;
    let count = |k: usize| words.get(k).and_then(|w| w.parse::<usize>().ok()).filter(|c| *c > 0);
    let (Some(elements), Some(each)) = (count(0), count(1)) else {
        return Err(error(n, "expected the numbers of elements and coefficients".into()));
    };
    let (mut names, mut found) = (Vec::new(), Vec::new());
    for _ in 0..elements {
        let (n, words) = next("an element with its radius and weight")?;
        let (Some(radius), Some(weight)) =
            (words.get(1).and_then(|w| number(w)), words.get(2).and_then(|w| number(w)))
        else {
            return Err(error(
                n,
                format!("expected an element, its radius and its weight, found `{}`", words.join(" ")),
            ));
        };
        if radius <= 0.0 {
            return Err(error(n, "the radius must be positive".into()));
        }
        names.push(words[0].to_owned());
        let mut coefficients = Vec::new();
        for _ in 0..each {
            let (n, words) = next("a coefficient")?;
            coefficients.push(
                number(words[0])
                    .ok_or_else(|| error(n, format!("expected a coefficient, found `{}`", words[0])))?,
            );
        }
        found.push(Element { radius, weight, coefficients });
    }
    if let Some((n, words)) = lines.next() {
        return Err(error(n, format!("expected the end of the file, found `{}`", words[0])));
    }
    Ok((names, found))
}

fn parameters(file: &Path, text: &str) -> Result<Settings, SpecError> {
    const KNOWN: [&str; 12] = [
        "rcutfac",
        "twojmax",
        "rfac0",
        "rmin0",
        "switchflag",
        "bzeroflag",
        "quadraticflag",
        "chemflag",
        "bnormflag",
        "wselfallflag",
        "chunksize",
        "parallelthresh",
    ];
    let error = |line: usize, message: String| at_line("parameters", file, line, message);
    let mut settings = Settings {
        cutoff_factor: 0.0,
        twojmax: usize::MAX,
        rfac0: 0.99363,
        rmin0: 0.0,
        switch: true,
        subtract_isolated: true,
        quadratic: false,
        chemical: false,
        normalise: false,
        self_in_all: false,
    };
    for (n, words) in lines(text) {
        let &[key, word] = &words[..] else {
            return Err(error(n, format!("expected a keyword and its value, found `{}`", words.join(" "))));
        };
        let value =
            number(word).ok_or_else(|| error(n, format!("expected a number for {key}, found `{word}`")))?;
        let flag = || match value {
            0.0 => Ok(false),
            1.0 => Ok(true),
            _ => Err(error(n, format!("{key} must be 0 or 1, found `{word}`"))),
        };
        match key {
            "rcutfac" => settings.cutoff_factor = value,
            "twojmax" if (0.0..=20.0).contains(&value) && value.fract() == 0.0 => {
                settings.twojmax = value as usize
            }
            "twojmax" => {
                return Err(error(n, format!("twojmax must be an integer from 0 to 20, found `{word}`")));
            }
            "rfac0" => settings.rfac0 = value,
            "rmin0" => settings.rmin0 = value,
            "switchflag" => settings.switch = flag()?,
            "bzeroflag" => settings.subtract_isolated = flag()?,
            "quadraticflag" => settings.quadratic = flag()?,
            "chemflag" => settings.chemical = flag()?,
            "bnormflag" => settings.normalise = flag()?,
            "wselfallflag" => settings.self_in_all = flag()?,
            // how LAMMPS divides its work
            "chunksize" | "parallelthresh" => {}
            _ => {
                let known =
                    nearest(key, KNOWN).map_or_else(|| KNOWN.join(", "), |k| format!("did you mean `{k}`?"));
                return Err(error(n, format!("the keyword `{key}` is not supported")).hint(known));
            }
        }
    }
    let missing =
        |key: &str| SpecError::new("parameters", format!("`{}` does not set {key}", file.display()));
    if settings.twojmax == usize::MAX {
        return Err(missing("twojmax"));
    }
    if settings.cutoff_factor <= 0.0 {
        return Err(missing("a positive rcutfac"));
    }
    Ok(settings)
}
