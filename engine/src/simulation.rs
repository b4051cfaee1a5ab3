//! The loop that runs a stage.
