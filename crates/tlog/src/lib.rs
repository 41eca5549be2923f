//! Transparent log: Merkle tree, proofs, tiles, record and tree text.
