//! Integrators, thermostats and barostats as operators.
