//! Symbols and standard atomic weights of the elements.
//!
//! Source: IUPAC standard atomic weights 2021 (abridged values; the mass number of the longest-lived isotope
//! where there is none).

#[rustfmt::skip]
const ELEMENTS: [(&str, f64); 118] = [
    ("H", 1.008), ("He", 4.002602), ("Li", 6.94), ("Be", 9.0121831), ("B", 10.81), ("C", 12.011),
    ("N", 14.007), ("O", 15.999), ("F", 18.998403162), ("Ne", 20.1797), ("Na", 22.98976928),
    ("Mg", 24.305), ("Al", 26.9815384), ("Si", 28.085), ("P", 30.973761998), ("S", 32.06), ("Cl", 35.45),
    ("Ar", 39.95), ("K", 39.0983), ("Ca", 40.078), ("Sc", 44.955907), ("Ti", 47.867), ("V", 50.9415),
    ("Cr", 51.9961), ("Mn", 54.938043), ("Fe", 55.845), ("Co", 58.933194), ("Ni", 58.6934),
    ("Cu", 63.546), ("Zn", 65.38), ("Ga", 69.723), ("Ge", 72.630), ("As", 74.921595), ("Se", 78.971),
    ("Br", 79.904), ("Kr", 83.798), ("Rb", 85.4678), ("Sr", 87.62), ("Y", 88.905838), ("Zr", 91.224),
    ("Nb", 92.90637), ("Mo", 95.95), ("Tc", 97.0), ("Ru", 101.07), ("Rh", 102.90549), ("Pd", 106.42),
    ("Ag", 107.8682), ("Cd", 112.414), ("In", 114.818), ("Sn", 118.710), ("Sb", 121.760), ("Te", 127.60),
    ("I", 126.90447), ("Xe", 131.293), ("Cs", 132.90545196), ("Ba", 137.327), ("La", 138.90547),
    ("Ce", 140.116), ("Pr", 140.90766), ("Nd", 144.242), ("Pm", 145.0), ("Sm", 150.36), ("Eu", 151.964),
    ("Gd", 157.25), ("Tb", 158.925354), ("Dy", 162.500), ("Ho", 164.930329), ("Er", 167.259),
    ("Tm", 168.934219), ("Yb", 173.045), ("Lu", 174.9668), ("Hf", 178.486), ("Ta", 180.94788),
    ("W", 183.84), ("Re", 186.207), ("Os", 190.23), ("Ir", 192.217), ("Pt", 195.084), ("Au", 196.966570),
    ("Hg", 200.592), ("Tl", 204.38), ("Pb", 207.2), ("Bi", 208.98040), ("Po", 209.0), ("At", 210.0),
    ("Rn", 222.0), ("Fr", 223.0), ("Ra", 226.0), ("Ac", 227.0), ("Th", 232.0377), ("Pa", 231.03588),
    ("U", 238.02891), ("Np", 237.0), ("Pu", 244.0), ("Am", 243.0), ("Cm", 247.0), ("Bk", 247.0),
    ("Cf", 251.0), ("Es", 252.0), ("Fm", 257.0), ("Md", 258.0), ("No", 259.0), ("Lr", 262.0),
    ("Rf", 267.0), ("Db", 268.0), ("Sg", 269.0), ("Bh", 270.0), ("Hs", 269.0), ("Mt", 277.0),
    ("Ds", 281.0), ("Rg", 282.0), ("Cn", 285.0), ("Nh", 286.0), ("Fl", 290.0), ("Mc", 290.0),
    ("Lv", 293.0), ("Ts", 294.0), ("Og", 294.0),
];

/// Covalent radii of Z = 1 to 94, Å.
#[rustfmt::skip]
const RADII: [f64; 94] = [
    0.32, 0.46, 1.20, 0.94, 0.77, 0.75, 0.71, 0.63, 0.64, 0.67, 1.40, 1.25, 1.13, 1.04, 1.10, 1.02, 0.99,
    0.96, 1.76, 1.54, 1.33, 1.22, 1.21, 1.10, 1.07, 1.04, 1.00, 0.99, 1.01, 1.09, 1.12, 1.09, 1.15, 1.10,
    1.14, 1.17, 1.89, 1.67, 1.47, 1.39, 1.32, 1.24, 1.15, 1.13, 1.13, 1.08, 1.15, 1.23, 1.28, 1.26, 1.26,
    1.23, 1.32, 1.31, 2.09, 1.76, 1.62, 1.47, 1.58, 1.57, 1.56, 1.55, 1.51, 1.52, 1.51, 1.50, 1.49, 1.49,
    1.48, 1.53, 1.46, 1.37, 1.31, 1.23, 1.18, 1.16, 1.11, 1.12, 1.13, 1.32, 1.30, 1.30, 1.36, 1.31, 1.38,
    1.42, 2.01, 1.81, 1.67, 1.58, 1.52, 1.53, 1.54, 1.55,
];

/// Atomic number of a symbol (`"Ar"` -> 18), letter case as written.
pub fn atomic_number(symbol: &str) -> Option<u8> {
    ELEMENTS.iter().position(|(s, _)| *s == symbol).map(|k| k as u8 + 1)
}

/// Symbol of an atomic number from 1 to 118.
pub fn symbol(number: u8) -> Option<&'static str> {
    ELEMENTS.get(usize::from(number).checked_sub(1)?).map(|e| e.0)
}

/// Standard atomic weight, u.
pub fn mass(symbol: &str) -> Option<f64> {
    ELEMENTS.iter().find(|(s, _)| *s == symbol).map(|e| e.1)
}

/// Covalent radius of an atomic number from 1 to 94, Å: Pyykkö and Atsumi, Chem. Eur. J. 15, 186 (2009), with those of metals
/// reduced by 10 % as by Grimme et al., J. Chem. Phys. 132, 154104 (2010).
pub fn covalent_radius(number: u8) -> Option<f64> {
    RADII.get(usize::from(number).checked_sub(1)?).copied()
}

/// The element whose standard weight lies within 0.1 u of `mass`, for files that carry masses but no names.
pub fn by_mass(mass: f64) -> Option<&'static str> {
    let near = ELEMENTS.iter().min_by(|a, b| (a.1 - mass).abs().total_cmp(&(b.1 - mass).abs()))?;
    ((near.1 - mass).abs() < 0.1).then_some(near.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_symbols_and_masses_agree() {
        assert_eq!(atomic_number("Og"), Some(118));
        assert_eq!(symbol(26), Some("Fe"));
        assert_eq!(symbol(0), None);
        assert_eq!(symbol(119), None);
        assert_eq!(mass("Ar"), Some(39.95));
        assert_eq!((covalent_radius(1), covalent_radius(94)), (Some(0.32), Some(1.55)));
        assert_eq!((covalent_radius(0), covalent_radius(95)), (None, None));
        assert_eq!(by_mass(12.0), Some("C"));
        assert_eq!(by_mass(1e6), None);
    }
}
