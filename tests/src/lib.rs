//! What needs more than one package of Tamis.
