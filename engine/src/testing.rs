//! The conformance suite that every potential passes.
