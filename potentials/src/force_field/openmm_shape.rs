//! What a serialised `System` of OpenMM may hold: whatever is not listed here is an error, never skipped.
use super::text::TextFile;
use super::xml::Node;
use caloron_engine::SpecError;
use caloron_engine::error::nearest;

/// An element: its attributes (`#` stands for a number) and the elements it may hold.
struct Shape {
    name: &'static str,
    attributes: &'static [&'static str],
    children: &'static [Shape],
}

const fn leaf(name: &'static str, attributes: &'static [&'static str]) -> Shape {
    Shape { name, attributes, children: &[] }
}
const fn list(name: &'static str, children: &'static [Shape]) -> Shape {
    Shape { name, attributes: &[], children }
}

const VECTOR: &[&str] = &["x", "y", "z"];
const PARAMETERS: &[Shape] = &[leaf("Parameter", &["name", "default"])];
const GLOBAL: Shape = list("GlobalParameters", PARAMETERS);
const DERIVATIVES: Shape = list("EnergyParameterDerivatives", PARAMETERS);
const VALUES: Shape = list("Values", &[leaf("Value", &["v"])]);

/// The system without its forces, which are listed in [`FORCES`].
const SYSTEM: Shape = Shape {
    name: "System",
    attributes: &["openmmVersion", "type", "version"],
    children: &[
        list("PeriodicBoxVectors", &[leaf("A", VECTOR), leaf("B", VECTOR), leaf("C", VECTOR)]),
        list(
            "Particles",
            &[Shape {
                name: "Particle",
                attributes: &["mass"],
                children: &[
                    leaf("TwoParticleAverageSite", &["p1", "p2", "w1", "w2"]),
                    leaf("ThreeParticleAverageSite", &["p1", "p2", "p3", "w1", "w2", "w3"]),
                    leaf("OutOfPlaneSite", &["p1", "p2", "p3", "w12", "w13", "wc"]),
                    leaf("LocalCoordinatesSite", &["p#", "wo#", "wx#", "wy#", "pos#"]),
                ],
            }],
        ),
        list("Constraints", &[leaf("Constraint", &["d", "p1", "p2"])]),
    ],
};

/// A kind of force: the newest version of it that is known, its attributes beside [`COMMON`], its lists.
struct Force {
    kind: &'static str,
    newest: u32,
    attributes: &'static [&'static str],
    children: &'static [Shape],
}

const COMMON: [&str; 4] = ["type", "name", "version", "forceGroup"];
const PERIODIC: &[&str] = &["usesPeriodic"];
const CUSTOM: &[&str] = &["usesPeriodic", "energy"];

const FORCES: &[Force] = &[
    Force {
        kind: "HarmonicBondForce",
        newest: 2,
        attributes: PERIODIC,
        children: &[list("Bonds", &[leaf("Bond", &["d", "k", "p1", "p2"])])],
    },
    Force {
        kind: "HarmonicAngleForce",
        newest: 2,
        attributes: PERIODIC,
        children: &[list("Angles", &[leaf("Angle", &["a", "k", "p1", "p2", "p3"])])],
    },
    Force {
        kind: "PeriodicTorsionForce",
        newest: 2,
        attributes: PERIODIC,
        children: &[list(
            "Torsions",
            &[leaf("Torsion", &["k", "p1", "p2", "p3", "p4", "periodicity", "phase"])],
        )],
    },
    Force {
        kind: "RBTorsionForce",
        newest: 2,
        attributes: PERIODIC,
        children: &[list("Torsions", &[leaf("Torsion", &["c#", "p1", "p2", "p3", "p4"])])],
    },
    Force {
        kind: "CMAPTorsionForce",
        newest: 2,
        attributes: PERIODIC,
        children: &[
            list(
                "Maps",
                &[Shape { name: "Map", attributes: &["size"], children: &[leaf("Energy", &["e"])] }],
            ),
            list("Torsions", &[leaf("Torsion", &["a#", "b#", "map"])]),
        ],
    },
    Force {
        kind: "CustomBondForce",
        newest: 3,
        attributes: CUSTOM,
        children: &[
            list("PerBondParameters", PARAMETERS),
            GLOBAL,
            DERIVATIVES,
            list("Bonds", &[leaf("Bond", &["p1", "p2", "param#"])]),
        ],
    },
    Force {
        kind: "CustomAngleForce",
        newest: 3,
        attributes: CUSTOM,
        children: &[
            list("PerAngleParameters", PARAMETERS),
            GLOBAL,
            DERIVATIVES,
            list("Angles", &[leaf("Angle", &["p1", "p2", "p3", "param#"])]),
        ],
    },
    Force {
        kind: "CustomTorsionForce",
        newest: 3,
        attributes: CUSTOM,
        children: &[
            list("PerTorsionParameters", PARAMETERS),
            GLOBAL,
            DERIVATIVES,
            list("Torsions", &[leaf("Torsion", &["p1", "p2", "p3", "p4", "param#"])]),
        ],
    },
    Force {
        kind: "NonbondedForce",
        newest: 4,
        attributes: &[
            "alpha",
            "cutoff",
            "dispersionCorrection",
            "ewaldTolerance",
            "exceptionsUsePeriodic",
            "includeDirectSpace",
            "ljAlpha",
            "ljnx",
            "ljny",
            "ljnz",
            "method",
            "nx",
            "ny",
            "nz",
            "recipForceGroup",
            "rfDielectric",
            "switchingDistance",
            "useSwitchingFunction",
        ],
        children: &[
            GLOBAL,
            // refused by name where they are not empty
            list("ParticleOffsets", &[leaf("Offset", &["parameter", "particle", "q", "sig", "eps"])]),
            list("ExceptionOffsets", &[leaf("Offset", &["parameter", "exception", "q", "sig", "eps"])]),
            list("Particles", &[leaf("Particle", &["q", "sig", "eps"])]),
            list("Exceptions", &[leaf("Exception", &["p1", "p2", "q", "sig", "eps"])]),
        ],
    },
    Force {
        kind: "CustomNonbondedForce",
        newest: 3,
        attributes: &[
            "energy",
            "method",
            "cutoff",
            "useSwitchingFunction",
            "switchingDistance",
            "useLongRangeCorrection",
        ],
        children: &[
            list("PerParticleParameters", PARAMETERS),
            GLOBAL,
            list("ComputedValues", &[leaf("ComputedValue", &["name", "expression"])]),
            DERIVATIVES,
            list("Particles", &[leaf("Particle", &["param#"])]),
            list("Exclusions", &[leaf("Exclusion", &["p1", "p2"])]),
            list(
                "Functions",
                &[Shape {
                    name: "Function",
                    // other functions than discrete ones are refused by name
                    attributes: &[
                        "name", "type", "version", "xsize", "ysize", "zsize", "min", "max", "periodic",
                    ],
                    children: &[VALUES],
                }],
            ),
            list(
                "InteractionGroups",
                &[list(
                    "InteractionGroup",
                    &[
                        list("Set1", &[leaf("Particle", &["index"])]),
                        list("Set2", &[leaf("Particle", &["index"])]),
                    ],
                )],
            ),
        ],
    },
    Force {
        kind: "GBSAOBCForce",
        newest: 2,
        attributes: &["method", "cutoff", "soluteDielectric", "solventDielectric", "surfaceAreaEnergy"],
        children: &[list("Particles", &[leaf("Particle", &["q", "r", "scale"])])],
    },
];

/// Refuses what is not known.
///
/// # Errors
/// Names the first attribute, element or version that no reader here knows, with its line.
pub(super) fn check(file: &TextFile, root: &Node) -> Result<(), SpecError> {
    version(file, root, "System", 1)?;
    attributes(file, root, &[SYSTEM.attributes])?;
    for child in &root.children {
        if child.name != "Forces" {
            shape(file, root, child, SYSTEM.children, &["Forces"])?;
            continue;
        }
        for force in &child.children {
            if force.name != "Force" {
                return Err(unknown(file, child, &format!("the element <{}>", force.name), force.line));
            }
            let kind = force.text("type").unwrap_or_default();
            // what is not listed is refused, or reported as not used, where it is read
            let Some(known) = FORCES.iter().find(|f| f.kind == kind) else { continue };
            version(file, force, kind, known.newest)?;
            attributes(file, force, &[known.attributes, &COMMON])?;
            for list in &force.children {
                shape(file, force, list, known.children, &[])?;
            }
        }
    }
    Ok(())
}

fn version(file: &TextFile, node: &Node, what: &str, newest: u32) -> Result<(), SpecError> {
    if node.text("version").is_none() {
        return Ok(());
    }
    let found = node.index(file, "version")?;
    if (1..=newest).contains(&found) {
        return Ok(());
    }
    Err(file
        .error(node.line, format!("version {found} of {what} is not known; 1 to {newest} are"))
        .hint("write the file with a version of OpenMM that these come from"))
}

fn unknown(file: &TextFile, node: &Node, what: &str, line: usize) -> SpecError {
    let of = node.text("type").unwrap_or(&node.name);
    file.error(line, format!("{what} of <{of}> is not known"))
}

fn attributes(file: &TextFile, node: &Node, known: &[&[&'static str]]) -> Result<(), SpecError> {
    let all = || known.iter().flat_map(|k| k.iter().copied());
    let fits = |name: &str, pattern: &str| match pattern.strip_suffix('#') {
        None => name == pattern,
        Some(stem) => {
            name.strip_prefix(stem).is_some_and(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        }
    };
    let Some((name, _)) = node.attributes.iter().find(|(n, _)| !all().any(|k| fits(n, k))) else {
        return Ok(());
    };
    let error = unknown(file, node, &format!("the attribute `{name}`"), node.line);
    Err(match nearest(name, all()) {
        Some(near) => error.hint(format!("did you mean `{near}`?")),
        None => error.hint("delete it if it has no effect on energies"),
    })
}

fn shape(
    file: &TextFile,
    parent: &Node,
    node: &Node,
    known: &'static [Shape],
    more: &[&'static str],
) -> Result<(), SpecError> {
    let Some(of) = known.iter().find(|s| s.name == node.name) else {
        let error = unknown(file, parent, &format!("the element <{}>", node.name), node.line);
        let names = known.iter().map(|s| s.name).chain(more.iter().copied());
        return Err(match nearest(&node.name, names) {
            Some(near) => error.hint(format!("did you mean <{near}>?")),
            None => error,
        });
    };
    attributes(file, node, &[of.attributes])?;
    node.children.iter().try_for_each(|child| shape(file, node, child, of.children, &[]))
}
