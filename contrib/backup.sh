#!/bin/sh
# Copy the data of a server, running or not, to a directory that is then as good as the original:
#
#     backup.sh /var/lib/parley /backup/parley-monday [FILES]
#
# FILES is the directory of shared files if --files names another; "none" leaves them out.
#
# Why not cp alone: history.json grows at its end, over its closing bracket. A copy that reads to the
# end of a file which grows meanwhile can get the old bracket and new records behind it, which is
# damage. All bytes up to the size at one moment never change again but for that bracket, so exactly
# so many are copied. What has been closed meanwhile (--keep), the copied file itself too, is told by
# its inode. If something was dropped meanwhile (--drop) it begins anew.
set -eu

usage="backup.sh DATA COPY [FILES]"
data=${1:?"$usage"}
to=${2:?"$usage"}
files=${3:-$data/files}

if [ ! -e "$data/history.json.lock" ]; then
    echo "backup.sh: $data is no server's data directory" >&2
    exit 1
fi
mkdir -p "$to"
chmod 700 "$to"
if [ -e "$to/history.json" ]; then
    echo "backup.sh: $to holds a copy already; give another directory" >&2
    exit 1
fi

# What changes when a file is dropped: the marks, and which is the oldest.
oldest() {
    # shellcheck disable=SC2012  # the names are known
    (cd "$data" && ls -i history-0*.json 2>/dev/null | head -n 2) || true
}

umask 077
while :; do
    before=$(oldest)
    rm -f "$to"/history-0*.json
    # Between two files that name does not exist for a moment.
    tries=0
    until command exec 3<"$data/history.json"; do
        tries=$((tries + 1))
        [ $tries -lt 20 ] || exit 1
        sleep 0.1
    done 2>/dev/null
    # shellcheck disable=SC2046  # two words
    set -- $(stat -L -c '%i %s' /proc/self/fd/3)
    head -c "$2" <&3 >"$to/history.json"
    exec 3<&-
    for file in "$data"/history-0*.json; do
        [ -e "$file" ] || break
        [ "$(stat -c %i "$file")" != "$1" ] || break
        cp -p "$file" "$to/" || break
    done
    [ "$before" != "$(oldest)" ] || break
done

# These are only ever replaced as a whole.
for name in users.json server.secret tls.crt tls.key; do
    [ ! -e "$data/$name" ] || cp -p "$data/$name" "$to/"
done

# Last: what the log tells of is there by now.
if [ "$files" != none ] && [ -d "$files" ]; then
    cp -a "$files" "$to/files"
fi
