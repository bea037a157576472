#!/usr/bin/env bash
# Builds everything that a release hands out into target/dist, and tries each in a bare directory with an empty home.
#
#   bin/package.sh                      all steps
#   bin/package.sh --output DIR         into another directory
#   bin/package.sh archive try_archive  only these; their names are those of the functions below
#
# The same sources give the same files: times are those of the last commit, or of SOURCE_DATE_EPOCH.

source "$(dirname "${BASH_SOURCE[0]}")/lib.sh"
exec </dev/null

ALL_STEPS=(stage archive debian crates sums try_archive try_debian try_crates)

# Where the parts lie that Cargo.toml makes the Debian package of.
stage=$PWD/target/stage
dist=$PWD/target/dist

version() { sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1; }

newest_time() {
    git log -1 --format=%ct 2>/dev/null || stat -c %Y CHANGELOG.md
}

# Runs a command line with nothing around it but a home of its own.
bare() { (cd "$room" && env -i HOME="$room/home" PATH="${2:-/usr/bin:/bin}" LC_ALL=C.UTF-8 bash -c "$1"); }

fresh_room() {
    [ -z "$room" ] || rm -rf "$room"
    room=$(mktemp -d)
    mkdir "$room/home"
}

expect() {
    local answer
    answer=$(bare "$1" "${3:-}") || die "this fails: $1"
    [ "$answer" = "$2" ] || die "expected \`$2\` of: $1"$'\n'"$answer"
}

step_stage() {
    local binary shell
    # The time goes into no code, and a new one would have C compiled anew.
    binary=$(env -u SOURCE_DATE_EPOCH bin/build.sh)
    case $binary in
    *-linux-musl/*) ;;
    *) die "$binary is not static; packages need musl-gcc (Debian: musl-tools)" ;;
    esac
    rm -rf "$stage"
    mkdir -p "$stage/completions" "$stage/man"
    install -m 755 "$binary" "$stage/prontodb"
    refuse_paths "$stage/prontodb"
    fresh_room
    for shell in bash:prontodb.bash zsh:_prontodb fish:prontodb.fish powershell:prontodb.ps1; do
        bare "'$stage/prontodb' completions ${shell%%:*}" >"$stage/completions/${shell#*:}"
    done
    bare "'$stage/prontodb' man --output '$stage/man'" 2>&1
    {
        printf 'prontodb (%s-1) stable; urgency=medium\n\n  * Release %s; see the file CHANGELOG.md of the sources.\n\n' "$version" "$version"
        printf ' -- ProntoDB maintainers <prontodb@users.noreply.github.com>  %s\n' "$(LC_ALL=C date -u -R -d "@$SOURCE_DATE_EPOCH")"
    } >"$stage/debian-changelog"
    debian_copyright >"$stage/debian-copyright"
    ls -l "$stage"
}

debian_copyright() {
    cat <<'END'
Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/
Upstream-Name: prontodb
Source: https://github.com/prontodb/prontodb

Files: *
Copyright: 2026 ProntoDB contributors
License: Expat or Apache-2.0

License: Expat
END
    sed -n '/^Permission/,$p' LICENSE-MIT | sed 's/^$/./; s/^/ /'
    cat <<'END'

License: Apache-2.0
 On Debian systems, the full text of the Apache License, version 2.0, is in
 /usr/share/common-licenses/Apache-2.0.
END
}

# A program tells nobody where it was built.
refuse_paths() {
    local path
    for path in "$PWD" "${CARGO_HOME:-${HOME:-/root}/.cargo}" "${RUSTUP_HOME:-${HOME:-/root}/.rustup}"; do
        ! grep -qaF "$path/" "$1" || die "$1 holds the path $path"
    done
}

need_stage() { [ -x "$stage/prontodb" ] || step_stage; }

make_archive() {
    local folder=$1/$name
    mkdir -p "$folder"
    cp -r "$stage/prontodb" "$stage/completions" "$stage/man" README.md CHANGELOG.md LICENSE-APACHE LICENSE-MIT "$folder/"
    (cd "$folder" && find . -type f -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >"$1/SHA256SUMS" && mv "$1/SHA256SUMS" .)
    tar --create --directory "$1" --format=ustar --sort=name --mtime="@$SOURCE_DATE_EPOCH" --owner=0 --group=0 \
        --numeric-owner --mode=u=rwX,go=rX "$name" | gzip --no-name --best
}

step_archive() {
    need_stage
    fresh_room
    make_archive "$room/once" >"$dist/$name.tar.gz"
    make_archive "$room/twice" | cmp - "$dist/$name.tar.gz" || die 'the archive is another one each time'
    ls -l "$dist/$name.tar.gz"
}

make_debian() { cargo deb --quiet --no-build --no-strip --package prontodb --target "$triple" --output "$1"; }

step_debian() {
    need_stage
    cargo deb --version >/dev/null 2>&1 || cargo install --locked cargo-deb
    fresh_room
    make_debian "$dist/$debian"
    make_debian "$room/$debian"
    cmp "$room/$debian" "$dist/$debian" || die 'the Debian package is another one each time'
    ls -l "$dist/$debian"
}

# Builds from what crates.io would get; the library comes from the package beside it.
step_crates() {
    local dirty=()
    [ -z "$(git status --porcelain 2>/dev/null)" ] || dirty=(--allow-dirty)
    cargo package --quiet --locked "${dirty[@]}" --package prontodb-core --package prontodb
    cp "${CARGO_TARGET_DIR:-target}"/package/prontodb{,-core}-"$version".crate "$dist/"
    ls -l "$dist"/*.crate
}

step_sums() {
    (cd "$dist" && find . -maxdepth 1 -type f ! -name SHA256SUMS -printf '%P\n' | LC_ALL=C sort | xargs sha256sum >SHA256SUMS)
    cat "$dist/SHA256SUMS"
}

step_try_archive() {
    fresh_room
    tar -xzf "$dist/$name.tar.gz" -C "$room"
    expect "cd $name && sha256sum --quiet -c SHA256SUMS" ''
    expect "cd $name && ldd ./prontodb 2>&1 | grep -cE 'statically|not a dynamic'" 1
    expect "$name/prontodb version | head -n 1" "prontodb $version"
    expect "$name/prontodb set a.b.c 'it works' && $name/prontodb get a.b.c" 'it works'
    expect "$name/prontodb install --quiet && prontodb get a.b.c" 'it works' "$room/home/.local/bin:/usr/bin:/bin"
    try_completions "$room/home/.local/share" bash-completion/completions/prontodb zsh/site-functions fish/vendor_completions.d/prontodb.fish
    try_pages "$room/home/.local/share/man"
    expect "$name/prontodb uninstall --purge --force 2>/dev/null; find home -name '*pronto*'" ''
}

step_try_debian() {
    fresh_room
    dpkg-deb --info "$dist/$debian"
    dpkg-deb --contents "$dist/$debian" | awk '$2 !~ /^(root|0)\/(root|0)$/ || ($6 ~ /bin\/prontodb$/ ? $1 != "-rwxr-xr-x" : $1 !~ /^(drwxr-xr-x|-rw-r--r--)$/) { print "strange: " $0; bad = 1 } END { exit bad }'
    dpkg-deb -x "$dist/$debian" "$room"
    expect "usr/bin/prontodb version | head -n 1" "prontodb $version"
    expect "usr/bin/prontodb set a.b.c 'it works' && usr/bin/prontodb get a.b.c" 'it works'
    try_completions "$room/usr/share" bash-completion/completions/prontodb zsh/vendor-completions fish/vendor_completions.d/prontodb.fish
    try_pages "$room/usr/share/man"
    if have lintian; then
        # It is static on purpose, and made by no Debian developer.
        lintian --fail-on error --suppress-tags statically-linked-binary,initial-upload-closes-no-bugs,bad-distribution-in-changes-file "$dist/$debian"
    else
        leave_out 'no lintian'
    fi
}

# As from crates.io: this repository and its .cargo/config.toml are out of reach.
step_try_crates() {
    fresh_room
    tar -xzf "$dist/prontodb-$version.crate" -C "$room"
    tar -xzf "$dist/prontodb-core-$version.crate" -C "$room"
    local file
    for file in README.md LICENSE-MIT LICENSE-APACHE; do
        [ -s "$room/prontodb-$version/$file" ] || die "$file is not in the crate"
    done
    (cd "$room" && cargo install --quiet --path "prontodb-$version" --root "$room/root" --target-dir "$room/target" \
        --config "patch.crates-io.prontodb-core.path='$room/prontodb-core-$version'")
    expect "root/bin/prontodb version | head -n 1" "prontodb $version"
    expect "root/bin/prontodb set a.b.c 'it works' && root/bin/prontodb get a.b.c" 'it works'
    expect "root/bin/prontodb install --target root/bin 2>/dev/null" "$room/root/bin/prontodb"
}

# Takes a directory such as /usr/share, and where the files are in it; for zsh the directory.
try_completions() {
    local path="$1"
    expect "source '$path/$2'; COMP_WORDS=(prontodb compl); COMP_CWORD=1; _prontodb prontodb compl prontodb; echo \"\${COMPREPLY[@]}\"" completions
    if have fish; then
        expect "fish --no-config -c 'source $path/$4; complete -C \"prontodb compl\"' | cut -f 1" completions
    else
        leave_out 'no fish'
    fi
    if have zsh; then
        type_in_zsh >"$room/type_in_zsh"
        expect "zsh -f type_in_zsh '$path/$3'; rm type_in_zsh" completions
    else
        leave_out 'no zsh'
    fi
    if have pwsh; then
        expect "pwsh -NoProfile -Command '. $path/prontodb/prontodb.ps1; (TabExpansion2 \"prontodb compl\" 14).CompletionMatches.CompletionText'" completions
    else
        leave_out 'no pwsh'
    fi
}

# Types into a zsh on a terminal of its own, where the program is a function that says what it was called with.
type_in_zsh() {
    cat <<'END'
zmodload zsh/zpty
zpty -b shell zsh -f -i
zpty -w shell "PS1=''; fpath=($1 \$fpath); autoload -Uz compinit; compinit -D -u; prontodb() { print -r -- \"RAN: \$*\" }; echo READY"
zpty -r shell out $'*READY\r\n'
zpty -w shell $'prontodb compl\t'
zpty -r shell out '*RAN: *'
zpty -r shell rest $'*\r'
print -r -- "${${rest%%$'\r'*}%% *}"
zpty -d shell
END
}

try_pages() {
    local page count=0
    have groff || { leave_out 'no groff'; return; }
    for page in "$1"/man1/*; do
        expect "case $page in *.gz) zcat $page ;; *) cat $page ;; esac | groff -man -ww -Tutf8 -z 2>&1" ''
        count=$((count + 1))
    done
    printf '%d manual pages\n' "$count"
    [ "$count" -gt 50 ] || die 'some pages are missing'
}

leave_out() { printf 'left out: %s\n' "$1"; }

steps=()
while [ $# -gt 0 ]; do
    case $1 in
    --output) [ $# -ge 2 ] || die 'usage: bin/package.sh [--output DIR] [STEP...]'; dist=$2; shift 2 ;;
    *) steps+=("$1"); shift ;;
    esac
done
[ "${dist#/}" != "$dist" ] || dist=$called_from/$dist
[ ${#steps[@]} -gt 0 ] || steps=("${ALL_STEPS[@]}")
for step in "${steps[@]}"; do
    declare -F "step_$step" >/dev/null || die "no step $step; there are: ${ALL_STEPS[*]}"
done

SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(newest_time)}
export SOURCE_DATE_EPOCH
version=$(version)
triple=$(uname -m)-unknown-linux-musl
name=prontodb-$version-$triple
debian=prontodb_$version-1_$(dpkg --print-architecture).deb
room=''
trap 'rm -rf "$room"' EXIT
mkdir -p "$dist"
provide_tools build
for step in "${steps[@]}"; do
    printf '\n=== %s\n' "$step"
    "step_$step"
done
printf '\nMade, and tried: %s\n' "$dist"
