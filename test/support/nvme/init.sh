#!/bin/sh
# The first process of the guest: the host's files below /host, the NVMe device at /host/mnt.
mount -t proc proc /proc
mount -t sysfs sysfs /sys
mount -t devtmpfs devtmpfs /dev
while read -r module; do insmod "/modules/$module"; done < /modules/order
mount -t 9p -o trans=virtio,version=9p2000.L,ro,msize=512000 hostroot /host
# ext4 would write its journal out, with a FLUSH, 5 s after something is in it, and xfs every 30 s: on a
# slow host while the commands of puts are counted.
case "$(cat /file-system)" in
  ext4) mount -t ext4 -o commit=600 /dev/nvme0n1 /host/mnt ;;
  xfs)
    echo 720000 > /proc/sys/fs/xfs/xfssyncd_centisecs
    mount -t xfs /dev/nvme0n1 /host/mnt
    ;;
esac
mount --bind /dev /host/dev
mount -t proc proc /host/proc
mount -t sysfs sysfs /host/sys
mount -t tracefs tracefs /host/sys/kernel/tracing
echo 1 > /host/sys/kernel/tracing/events/block/block_rq_issue/enable
echo "device: $(cat /sys/block/nvme0n1/queue/write_cache), fua $(cat /sys/block/nvme0n1/queue/fua)"
chroot /host "$(cat /node)" "$(cat /guest)" "$(cat /entry)" /mnt/store "$(cat /mark-offset)"
poweroff -f
