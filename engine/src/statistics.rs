//! Estimators: block averages, drifts, distributions.
