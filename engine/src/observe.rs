//! Observers: what looks at a run without touching it.
