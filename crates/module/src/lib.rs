//! Go module rules: paths, versions, zips, h1 hashes, go.mod and go.sum.
