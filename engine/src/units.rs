//! Physical constants, base units and the two unit systems an input file can choose.
//!
//! Source: CODATA 2018 (the exact SI values of k and e, the recommended atomic mass constant).
use crate::quantity::Dim;

/// Boltzmann constant, eV/K (exact).
pub const BOLTZMANN: f64 = 8.617_333_262_145_179e-5;
/// Elementary charge, C (exact).
pub const ELEMENTARY_CHARGE: f64 = 1.602_176_634e-19;
/// Atomic mass constant, kg.
pub const ATOMIC_MASS: f64 = 1.660_539_066_60e-27;
/// Avogadro constant, 1/mol (exact).
pub const AVOGADRO: f64 = 6.022_140_76e23;
/// Coulomb constant e²/(4 π ε0), eV Å.
pub const COULOMB: f64 = 14.399_645_478_425_668;
/// Hartree, eV.
pub const HARTREE: f64 = 27.211_386_245_988;
/// Bohr radius, Å.
pub const BOHR: f64 = 0.529_177_210_903;
/// One femtosecond in internal time, Å sqrt(u/eV).
pub const FEMTOSECOND: f64 = 0.098_226_947_502_532_76;
/// One bar in eV/Å³.
pub const BAR: f64 = 1e5 * 1e-30 / ELEMENTARY_CHARGE;

/// How numbers of an input file are read and numbers of a report are written.
///
/// `Physical`: every value carries its unit; reports use K, bar, ps, eV, Å.
/// `Lj`: reduced units (ε = σ = m = k_B = 1); values are plain numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum UnitSystem {
    /// Å, eV, u, e, K.
    #[default]
    Physical,
    /// Reduced Lennard-Jones units.
    Lj,
}

impl UnitSystem {
    /// Boltzmann constant in internal units: energy per temperature as reported.
    pub fn boltzmann(self) -> f64 {
        match self {
            Self::Physical => BOLTZMANN,
            Self::Lj => 1.0,
        }
    }
    /// Internal time in one reported time unit (ps, or τ).
    pub fn time(self) -> f64 {
        match self {
            Self::Physical => 1e3 * FEMTOSECOND,
            Self::Lj => 1.0,
        }
    }
    /// Internal pressure in one reported pressure unit (bar, or ε/σ³).
    pub fn pressure(self) -> f64 {
        match self {
            Self::Physical => BAR,
            Self::Lj => 1.0,
        }
    }
    /// Label of reported times.
    pub fn time_label(self) -> &'static str {
        self.pick("ps", "tau")
    }
    /// Label of reported pressures.
    pub fn pressure_label(self) -> &'static str {
        self.pick("bar", "eps/sigma^3")
    }
    /// Label of reported temperatures.
    pub fn temperature_label(self) -> &'static str {
        self.pick("K", "eps/kB")
    }
    /// Label of reported energies.
    pub fn energy_label(self) -> &'static str {
        self.pick("eV", "eps")
    }
    /// Label of reported lengths.
    pub fn length_label(self) -> &'static str {
        self.pick("Å", "sigma")
    }
    /// Name of the system as an input file writes it.
    pub fn name(self) -> &'static str {
        self.pick("physical", "lj")
    }
    fn pick(self, physical: &'static str, lj: &'static str) -> &'static str {
        match self {
            Self::Physical => physical,
            Self::Lj => lj,
        }
    }
}

/// A unit symbol: its value in internal units and its dimension.
pub(crate) struct Unit {
    pub symbols: &'static [&'static str],
    pub value: f64,
    pub dim: Dim,
}

const fn unit(symbols: &'static [&'static str], value: f64, dim: Dim) -> Unit {
    Unit { symbols, value, dim }
}

const SECOND: f64 = 1e15 * FEMTOSECOND;
const JOULE: f64 = 1.0 / ELEMENTARY_CHARGE;

/// Every symbol that may stand in a unit expression.
pub(crate) const UNITS: &[Unit] = &[
    unit(&["Å", "Å", "A", "Ang", "angstrom", "Angstrom"], 1.0, Dim::LENGTH),
    unit(&["nm"], 10.0, Dim::LENGTH),
    unit(&["pm"], 0.01, Dim::LENGTH),
    unit(&["bohr", "Bohr"], BOHR, Dim::LENGTH),
    unit(&["cm"], 1e8, Dim::LENGTH),
    unit(&["m"], 1e10, Dim::LENGTH),
    unit(&["eV"], 1.0, Dim::ENERGY),
    unit(&["meV"], 1e-3, Dim::ENERGY),
    unit(&["kJ"], 1e3 * JOULE, Dim::ENERGY),
    unit(&["J"], JOULE, Dim::ENERGY),
    unit(&["kcal"], 4184.0 * JOULE, Dim::ENERGY),
    unit(&["cal"], 4.184 * JOULE, Dim::ENERGY),
    unit(&["Ha", "hartree", "Hartree"], HARTREE, Dim::ENERGY),
    unit(&["Ry", "rydberg", "Rydberg"], 0.5 * HARTREE, Dim::ENERGY),
    unit(&["mol"], AVOGADRO, Dim::NONE),
    unit(&["L", "l"], 1e27, Dim::LENGTH.power(3)),
    unit(&["mL", "ml"], 1e24, Dim::LENGTH.power(3)),
    unit(&["M"], AVOGADRO * 1e-27, Dim::LENGTH.power(-3)),
    unit(&["mM"], AVOGADRO * 1e-30, Dim::LENGTH.power(-3)),
    unit(&["fs"], FEMTOSECOND, Dim::TIME),
    unit(&["ps"], 1e3 * FEMTOSECOND, Dim::TIME),
    unit(&["ns"], 1e6 * FEMTOSECOND, Dim::TIME),
    unit(&["us", "µs", "μs"], 1e9 * FEMTOSECOND, Dim::TIME),
    unit(&["s"], SECOND, Dim::TIME),
    unit(&["THz"], 1e-3 / FEMTOSECOND, Dim::RATE),
    unit(&["u", "amu", "Da"], 1.0, Dim::MASS),
    unit(&["g"], 1e-3 / ATOMIC_MASS, Dim::MASS),
    unit(&["kg"], 1.0 / ATOMIC_MASS, Dim::MASS),
    unit(&["K"], 1.0, Dim::TEMPERATURE),
    unit(&["kB", "k_B"], BOLTZMANN, Dim::ENERGY.over(Dim::TEMPERATURE)),
    unit(&["bar"], BAR, Dim::PRESSURE),
    unit(&["mbar"], 1e-3 * BAR, Dim::PRESSURE),
    unit(&["kbar"], 1e3 * BAR, Dim::PRESSURE),
    unit(&["Mbar"], 1e6 * BAR, Dim::PRESSURE),
    unit(&["atm"], 1.01325 * BAR, Dim::PRESSURE),
    unit(&["Pa"], 1e-5 * BAR, Dim::PRESSURE),
    unit(&["kPa"], 1e-2 * BAR, Dim::PRESSURE),
    unit(&["MPa"], 10.0 * BAR, Dim::PRESSURE),
    unit(&["GPa"], 1e4 * BAR, Dim::PRESSURE),
    unit(&["N"], 1e-10 * JOULE, Dim::FORCE),
    unit(&["nN"], 1e-19 * JOULE, Dim::FORCE),
    unit(&["pN"], 1e-22 * JOULE, Dim::FORCE),
    unit(&["e"], 1.0, Dim::CHARGE),
    unit(&["V"], 1.0, Dim::ENERGY.over(Dim::CHARGE)),
    unit(&["deg", "degree", "degrees", "°"], std::f64::consts::PI / 180.0, Dim::NONE),
    unit(&["rad"], 1.0, Dim::NONE),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn derived_constants_follow_from_the_base_ones() {
        let second = 1.0 / (1e-10 * (ATOMIC_MASS / ELEMENTARY_CHARGE).sqrt());
        assert!((FEMTOSECOND / (second * 1e-15) - 1.0).abs() < 1e-12, "{:.17}", second * 1e-15);
        assert!((BAR * 1.602_176_634e6 - 1.0).abs() < 1e-14);
        assert!((BOLTZMANN * ELEMENTARY_CHARGE - 1.380_649e-23).abs() < 1e-37);
    }
}
