//! Top-up, proof of life, hospital visit.
