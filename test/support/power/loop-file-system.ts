import { LoopDevice, run, type FileSystemKind } from '../loop/devices.js';

/**
 * The ioctl that ends a file system at once, with 2 as its argument without writing out its log: EXT4_IOC_SHUTDOWN
 * and XFS_IOC_GOINGDOWN are one number, _IOR('X', 125, __u32). Perl is on every Debian.
 */
const CUT =
  'my $how = pack("L", 2); open(my $d, "<", $ARGV[0]) or die $!; ' +
  'ioctl($d, 0x8004587d, $how) or die $!';

/**
 * A file system in a file, whose power can be cut: what it had not written to its device by then is
 * gone, what it had flushed is there. For root.
 */
export class LoopFileSystem extends LoopDevice {
  /** @param directory for its image and its mount point. */
  constructor(kind: FileSystemKind, directory: string) {
    super({ kind, directory });
  }

  /** From here on every operation fails with EIO. */
  cut(): void {
    run('perl', ['-e', CUT, this.path]);
  }

  /** Mounts it anew: it replays its journal, as after a restart. */
  restore(): void {
    this.unmount();
    this.mount();
  }
}
