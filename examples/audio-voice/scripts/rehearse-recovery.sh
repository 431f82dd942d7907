#!/bin/sh
# Rehearse the repair of a damaged ext4 filesystem, on a file that is thrown away: the steps of INFRASTRUCTURE_SETUP.md.
#
#   scripts/rehearse-recovery.sh [FOLDER]        as root; 256 MiB in FOLDER (default: /var/tmp)
#
# A filesystem is filled to the last block, as a runaway build does, then its first superblock, group descriptors and a
# bitmap are overwritten, so that it cannot be mounted any more. It is repaired from a backup superblock, and every file
# that was there before is compared with its checksum.
# Exit status: 0 all files came back; 1 some did not, or a step failed; 2 usage.
set -eu

fail() {
    echo "rehearse-recovery: $1" >&2
    exit "${2:-1}"
}

[ "$#" -le 1 ] || fail "usage: rehearse-recovery.sh [FOLDER]" 2
[ "$(id -u)" = 0 ] || fail "loop devices and mounts need root" 2
for tool in mke2fs e2fsck losetup mount sha256sum; do
    command -v "$tool" >/dev/null || fail "$tool is not installed" 2
done

work=$(mktemp -d "${1:-/var/tmp}/rehearsal.XXXXXX")
device=
clean_up() {
    if mountpoint -q "$work/disk"; then umount "$work/disk"; fi
    if [ -n "$device" ]; then losetup --detach "$device"; fi
    rm -rf "$work"
}
trap clean_up EXIT
trap 'exit 1' INT TERM

step() {
    echo "+ $*"
    "$@"
}

# A container that starts at this moment holds every mount of the host for an instant.
unmount() {
    step umount "$work/disk"
    waited=0
    while grep -qs " $device " /proc/[0-9]*/mountinfo; do
        waited=$((waited + 1))
        [ "$waited" -le 100 ] || fail "$device is still mounted somewhere"
        sleep 0.1
    done
}

mkdir "$work/disk"
truncate -s 256M "$work/image"
device=$(losetup --find --show "$work/image")

echo "A filesystem with data on it:"
step mke2fs -q -t ext4 -b 4096 -m 0 "$device"
step mount "$device" "$work/disk"
number=0
while [ "$number" -lt 200 ]; do
    number=$((number + 1))
    head -c $((number * 700)) /dev/urandom >"$work/disk/data-$number"
done
(cd "$work/disk" && sha256sum data-*) >"$work/sums"
sync

echo "A build that fills it to the last block:"
if head -c 1G /dev/zero >"$work/disk/layer" 2>"$work/complaint"; then fail "the filesystem did not run full"; fi
sed 's/^/  /' "$work/complaint"
unmount

echo "The damage: the first superblock, the group descriptors and a bitmap are gone:"
step dd if=/dev/urandom of="$device" bs=4096 count=3 conv=notrunc,fsync status=none
if mount "$device" "$work/disk" 2>"$work/complaint"; then fail "the filesystem can still be mounted: no damage done"; fi
sed 's/^/  /' "$work/complaint"

echo "The repair:"
step mke2fs -n -t ext4 -b 4096 "$device" | sed -n '1p;/Superblock backups/,$p'
status=0
step e2fsck -f -y -b 32768 -B 4096 "$device" >"$work/repair" || status=$?
tail -n 3 "$work/repair" | sed 's/^/  /'
echo "  e2fsck ended with $status: 1 is repaired, 2 repaired and reboot, 4 and more not repaired"
[ "$status" -le 2 ] || fail "e2fsck did not repair it"
step e2fsck -f -n "$device" >"$work/check" || fail "a second look still finds errors"
tail -n 1 "$work/check" | sed 's/^/  /'
step mount -o ro "$device" "$work/disk"
if ! (cd "$work/disk" && sha256sum --check --quiet "$work/sums"); then fail "some files did not come back whole"; fi
echo "All $(wc -l <"$work/sums") files came back with their checksums; lost+found holds $(find "$work/disk/lost+found" -mindepth 1 | wc -l)."
