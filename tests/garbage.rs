//! Whatever stands in an input file: it is refused with a message, never with a panic or without end.
use caloron::input::{InputFile, PotentialFile, Source};
use proptest::prelude::*;
use std::path::PathBuf;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/inputs/good")
}

/// Texts of the good inputs.
fn good() -> Vec<String> {
    let entries = std::fs::read_dir(folder()).expect("the folder of good inputs");
    let mut paths: Vec<PathBuf> = entries.map(|e| e.expect("an entry").path()).collect();
    paths.sort();
    let is_input = |p: &PathBuf| p.extension().is_some_and(|e| e == "toml");
    paths.into_iter().filter(is_input).map(|p| std::fs::read_to_string(p).expect("a text")).collect()
}

/// Reads a text both ways and renders what is wrong with it.
fn read(text: &str) {
    for outcome in [
        InputFile::parse(Source::new("garbage.toml", text), folder()).map(|_| ()),
        PotentialFile::parse(Source::new("garbage.toml", text), folder()).map(|_| ()),
    ] {
        if let Err(error) = outcome {
            let message = error.to_string();
            assert!(message.starts_with("error: ") && message.contains("\nhint: "), "{message}");
        }
    }
}

/// Pieces that mean something in TOML or in an input.
const PIECES: [&str; 28] = [
    "[",
    "]",
    "[[",
    "]]",
    "{",
    "}",
    "=",
    "\"",
    "'''",
    "#",
    "\n",
    ".",
    ",",
    "inf",
    "-nan",
    "true",
    "\"2 fs\"",
    "\"1 K\"",
    "[[potential]]",
    "[stage.nve]",
    "[system]",
    "units = \"lj\"\n",
    "0x",
    "1979-05-27",
    "é",
    "\u{0}",
    "\\u00e9",
    "-1",
];

/// A change of a text: where (as a fraction), how many characters go, what comes.
fn changes() -> impl Strategy<Value = Vec<(f64, usize, usize)>> {
    prop::collection::vec((0.0..1.0f64, 0..12usize, 0..PIECES.len()), 1..6)
}

fn changed(text: &str, changes: &[(f64, usize, usize)]) -> String {
    let mut characters: Vec<char> = text.chars().collect();
    for &(place, length, piece) in changes {
        let at = (place * characters.len() as f64) as usize;
        let end = (at + length).min(characters.len());
        characters.splice(at..end, PIECES[piece].chars());
    }
    characters.into_iter().collect()
}

fn check_garbage(cases: u32) {
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    let texts = good();
    proptest!(config.clone(), |(bytes in prop::collection::vec(any::<u8>(), 0..400))| {
        read(&String::from_utf8_lossy(&bytes));
    });
    proptest!(config.clone(), |(pieces in prop::collection::vec(0..PIECES.len(), 0..60))| {
        read(&pieces.iter().map(|&k| PIECES[k]).collect::<String>());
    });
    proptest!(config, |(which in 0..texts.len(), list in changes())| {
        read(&changed(&texts[which], &list));
    });
}

#[test]
fn garbage_is_refused() {
    check_garbage(300);
}

#[test]
#[ignore = "a long run; once before a release"]
fn much_garbage_is_refused() {
    check_garbage(200_000);
}

/// Every value of the good inputs, one after the other, replaced by extremes of the same unit.
#[test]
fn extreme_values_are_refused_or_work() {
    let mut tried = 0;
    for text in good() {
        let mut from = 0;
        while let Some(open) = text[from..].find('"').map(|n| from + n) {
            let Some(close) = text[open + 1..].find('"').map(|n| open + 1 + n) else { break };
            from = close + 1;
            let Some((number, unit)) = text[open + 1..close].split_once(' ') else { continue };
            if number.parse::<f64>().is_err() {
                continue;
            }
            for extreme in ["0", "-1", "1e300", "1e-300", "-1e300", "nan", "inf", "1e9", "1e-9"] {
                let changed = format!("{}\"{extreme} {unit}\"{}", &text[..open], &text[close + 1..]);
                let built =
                    InputFile::parse(Source::new("extreme.toml", changed), folder()).and_then(|f| f.build());
                if let Err(error) = built {
                    assert!(error.to_string().contains("\nhint: "), "{error}");
                }
                tried += 1;
            }
        }
    }
    assert!(tried > 300, "{tried}");
}

#[test]
fn absurd_counts_allocate_nothing() {
    for system in [
        "lattice = { sc = { a = \"3 Å\", species = \"Ar\", repeat = [4294967295, 4294967295, 4294967295] } }",
        "lattice = { sc = { a = \"3 Å\", species = \"Ar\" } }\nrepeat = [100000, 100000, 1]",
        "random = { atoms = { Ar = 4294967295 }, density = \"0.01 1/Å^3\", min_distance = \"1 Å\" }",
        "structure = \"argon.xyz\"\nframe = -9223372036854775808",
        "structure = \"argon.xyz\"\nframe = 9223372036854775807",
    ] {
        let text = format!(
            "[system]\n{system}\n[[potential]]\n[potential.lennard_jones]\ncutoff = \"8 Å\"\n\
             [[stage]]\nname = \"a\"\nsteps = 1\n[stage.nve]\ntimestep = \"1 fs\"\n"
        );
        let built = InputFile::parse(Source::new("absurd.toml", text), folder()).and_then(|f| f.build());
        assert!(built.is_err(), "{system}");
    }
}
