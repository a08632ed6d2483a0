#!/bin/sh
# Builds the launchers that are committed in `prebuilt/`, the same bytes wherever the workspace lies.
#
#   stub/build.sh           builds both launchers and replaces the committed ones
#   stub/build.sh --check   builds both into a temporary directory and compares them with the committed ones
#
# x86_64 is built by rustup's toolchain, aarch64 by Debian's, which brings the standard library for it. The
# bytes depend on both toolchains and on Debian's static C libraries; `prebuilt/SOURCES.sha256` names them.
set -eu

stub=$(cd "$(dirname "$0")" && pwd -P)
workspace=$(dirname "$stub")
cargo_home=${CARGO_HOME:-$HOME/.cargo}

fail() {
    printf 'error: %s\n' "$1" >&2
    printf 'hint: %s\n' "$2" >&2
    exit 1
}

case ${1-} in
'') check=false ;;
--check) check=true ;;
*) fail "unknown argument \`$1\`" 'the only argument is `--check`' ;;
esac

# The hash of the launcher's sources: `sha256sum` lines of the files, sorted by path, hashed again.
# `tests/freshness.rs` computes the same.
source_hash() {
    (cd "$stub" && find Cargo.toml build.sh src -type f | LC_ALL=C sort | xargs sha256sum | sha256sum | cut -d' ' -f1)
}

debian_packages='cargo-web rustc-web libstd-rust-web-dev:arm64 gcc-aarch64-linux-gnu libc6-dev-arm64-cross'
missing=
for package in $debian_packages; do
    case $(dpkg-query --show --showformat='${Status}' "$package" 2>/dev/null) in
    'install ok installed') ;;
    *) missing="$missing $package" ;;
    esac
done
[ -z "$missing" ] ||
    fail "the aarch64 launcher cannot be built without the Debian packages:$missing" \
        "dpkg --add-architecture arm64 && apt-get update && apt-get install$missing"
command -v rustup >/dev/null ||
    fail 'the x86_64 launcher cannot be built without `rustup`' 'install it from https://rustup.rs'

temporary=$(mktemp -d)
trap 'rm -rf "$temporary"' EXIT

# build <target triple> <linker> <cargo> <rustc> <output>
build() {
    target=$temporary/$1
    linker=$2 cargo=$3 rustc=$4 output=$5
    separator=$(printf '\037')
    flags="-Ctarget-feature=+crt-static"
    flags="$flags$separator-Clinker=$linker"
    flags="$flags$separator--remap-path-prefix=$cargo_home=/cargo"
    flags="$flags$separator--remap-path-prefix=$target=/target"
    flags="$flags$separator--remap-path-prefix=$workspace=/bundle"
    (
        cd "$workspace"
        unset RUSTFLAGS RUSTC_WRAPPER RUSTC_WORKSPACE_WRAPPER
        env RUSTC="$rustc" CARGO_ENCODED_RUSTFLAGS="$flags" CARGO_TARGET_DIR="$target" \
            "$cargo" build --quiet --locked --package bundle-launcher --bin bundle-launcher \
            --features launcher --profile launcher --target "$1"
    )
    cp "$target/$1/launcher/bundle-launcher" "$output"
    chmod 755 "$output"
}

prebuilt=$temporary/prebuilt
mkdir "$prebuilt"
rustup_rustc=$(rustup which rustc)
build x86_64-unknown-linux-gnu cc "$(rustup which cargo)" "$rustup_rustc" "$prebuilt/bundle-launcher-x86_64-linux"
build aarch64-unknown-linux-gnu aarch64-linux-gnu-gcc /usr/bin/cargo /usr/bin/rustc \
    "$prebuilt/bundle-launcher-aarch64-linux"

version_of() {
    dpkg-query --show --showformat='${Package} ${Version}' "$1"
}
{
    echo "# Written by stub/build.sh; the launchers were built with:"
    echo "# x86_64: $("$rustup_rustc" --version), $(version_of libc6-dev:amd64)"
    echo "# aarch64: $(/usr/bin/rustc --version), $(version_of libc6-dev-arm64-cross)"
    echo "$(source_hash)  sources"
    (cd "$prebuilt" && LC_ALL=C sha256sum bundle-launcher-*)
} >"$prebuilt/SOURCES.sha256"

if $check; then
    toolchains() { grep '^#' "$1/SOURCES.sha256"; }
    if [ "$(toolchains "$prebuilt")" != "$(toolchains "$stub/prebuilt")" ]; then
        # Other compilers and C libraries make other bytes: nothing can be said about the committed ones.
        echo "note: both launchers build, but not with the toolchains of the committed ones; bytes not compared:"
        toolchains "$stub/prebuilt" | sed 's/^/  committed: /'
        toolchains "$prebuilt" | sed 's/^/  here:      /'
        exit 0
    fi
    for file in bundle-launcher-x86_64-linux bundle-launcher-aarch64-linux SOURCES.sha256; do
        cmp "$prebuilt/$file" "$stub/prebuilt/$file" ||
            fail "\`stub/prebuilt/$file\` is not what the sources build to" 'run stub/build.sh and commit what it writes'
    done
    echo "stub/prebuilt is what the sources build to"
else
    mkdir -p "$stub/prebuilt"
    mv "$prebuilt"/* "$stub/prebuilt/"
    (cd "$stub/prebuilt" && ls -l bundle-launcher-* && cat SOURCES.sha256)
fi
