//! Builds guest images from a distribution's packages.
