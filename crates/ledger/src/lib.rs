//! The log engine: store, rounds, sequencer, head guard.
