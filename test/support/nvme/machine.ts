import { spawn, spawnSync } from 'node:child_process';
import {
  copyFileSync,
  existsSync,
  mkdirSync,
  readFileSync,
  readdirSync,
  rmSync,
  truncateSync,
  writeFileSync,
} from 'node:fs';
import { basename, join } from 'node:path';
import { createInterface } from 'node:readline';
import { MAKE, type FileSystemKind } from '../loop/devices.js';

const FILE_SYSTEM_BYTES = 1024 * 1024 * 1024;
/** Behind the file system: the guest says there what is acknowledged. */
export const MARK_OFFSET = FILE_SYSTEM_BYTES;
const IMAGE_BYTES = FILE_SYSTEM_BYTES + 1024 * 1024;
const MODULES = ['nvme', 'virtio_pci', '9pnet_virtio', '9p', 'ext4', 'xfs'] as const;
/** Links to busybox that init.sh needs. */
const APPLETS = ['sh', 'mount', 'insmod', 'chroot', 'poweroff', 'cat', 'echo'] as const;

export interface GuestLine {
  readonly text: string;
  /** Seconds, by the host's clock. */
  readonly time: number;
}

/** A command that the device got. */
export interface DeviceCommand {
  readonly name: 'WRITE' | 'READ' | 'FLUSH' | 'OTHER';
  readonly time: number;
}

export interface Visit {
  readonly lines: readonly GuestLine[];
  readonly commands: readonly DeviceCommand[];
  /** The image as it was before. */
  readonly fresh: string;
  /** Every write and flush of the device: see block-log.ts. */
  readonly log: string;
}

export interface MachineOptions {
  readonly fileSystem: FileSystemKind;
  /** For the kernel, the image and the trace; what is there already is used again. */
  readonly folder: string;
  readonly init: string;
  /** What init.sh hands to node: the script of the guest and the entry of the package. */
  readonly guest: string;
  readonly entry: string;
  readonly timeoutMs: number;
}

function run(program: string, args: readonly string[], cwd?: string, input?: Buffer): Buffer {
  const { status, stdout, stderr, error } = spawnSync(program, args, {
    cwd,
    input,
    maxBuffer: 2 ** 30,
  });
  if (status === 0) return stdout;
  throw new Error(`${program} ${args.join(' ')}: ${error?.message ?? stderr.toString()}`);
}

/** Debian's kernel, unpacked and not installed. @returns its root and its version. */
function kernelOf(folder: string): { readonly root: string; readonly version: string } {
  const root = join(folder, 'kernel');
  const modules = join(root, 'lib', 'modules');
  if (!existsSync(modules)) {
    const depends = run('apt-cache', ['depends', 'linux-image-amd64']).toString();
    const name = /Depends: (linux-image-\S+)/.exec(depends)?.[1];
    if (name === undefined) throw new Error('apt knows no kernel: apt-get update');
    run('apt-get', ['download', name], folder);
    const archive = readdirSync(folder).find((file) => file.startsWith(`${name}_`));
    run('dpkg', ['-x', archive ?? name, root], folder);
  }
  const [version = ''] = readdirSync(modules);
  run('depmod', ['-b', root, version]);
  return { root, version };
}

/** busybox, the modules in the order of their dependencies, and init.sh. */
function makeInitramfs(folder: string, kernel: ReturnType<typeof kernelOf>, o: MachineOptions) {
  const tree = join(folder, 'initramfs');
  rmSync(tree, { recursive: true, force: true });
  for (const name of ['bin', 'modules', 'proc', 'sys', 'dev', 'host']) {
    mkdirSync(join(tree, name), { recursive: true });
  }
  const busybox = run('sh', ['-c', 'command -v busybox']).toString().trim();
  for (const applet of APPLETS) copyFileSync(busybox, join(tree, 'bin', applet));
  const order = new Set<string>();
  for (const module of MODULES) {
    const args = ['-d', kernel.root, '-S', kernel.version, '--show-depends', module];
    for (const line of run('modprobe', args).toString().split('\n')) {
      const file = /^insmod (\S+)/.exec(line)?.[1];
      if (file === undefined || order.has(basename(file))) continue;
      order.add(basename(file));
      copyFileSync(file, join(tree, 'modules', basename(file)));
    }
  }
  writeFileSync(join(tree, 'modules', 'order'), [...order, ''].join('\n'));
  writeFileSync(join(tree, 'init'), readFileSync(o.init), { mode: 0o755 });
  for (const [name, text] of [
    ['node', process.execPath],
    ['guest', o.guest],
    ['entry', o.entry],
    ['file-system', o.fileSystem],
    ['mark-offset', String(MARK_OFFSET)],
  ] as const) {
    writeFileSync(join(tree, name), text);
  }
  const names = run('find', ['.'], tree);
  const archive = join(folder, 'initramfs.cpio');
  writeFileSync(archive, run('busybox', ['cpio', '-o', '-H', 'newc'], tree, names));
  return archive;
}

/** `-msg timestamp=on` puts `PID@SECONDS.MICROSECONDS:` before each event. */
function commandsOf(trace: string): DeviceCommand[] {
  const commands: DeviceCommand[] = [];
  for (const line of readFileSync(trace, 'utf8').split('\n')) {
    const found = /@(\d+\.\d+):pci_nvme_io_cmd .*NVME_NVM_CMD_(\w+)/.exec(line);
    if (found === null) continue;
    const kind = found[2] as string;
    const name = kind === 'WRITE' || kind === 'READ' || kind === 'FLUSH' ? kind : 'OTHER';
    commands.push({ name, time: Number(found[1]) });
  }
  return commands;
}

/**
 * Boots the kernel on an emulated processor with an NVMe device that has a fresh file system, and
 * the host's files read-only.
 */
export async function visit(options: MachineOptions): Promise<Visit> {
  const { folder } = options;
  mkdirSync(folder, { recursive: true });
  const kernel = kernelOf(folder);
  const archive = makeInitramfs(folder, kernel, options);
  const image = join(folder, 'nvme.img');
  const fresh = join(folder, 'fresh.img');
  const log = join(folder, 'nvme.log');
  for (const file of [image, log]) {
    rmSync(file, { force: true });
    writeFileSync(file, '');
  }
  truncateSync(image, FILE_SYSTEM_BYTES);
  const [make = '', ...how] = MAKE[options.fileSystem];
  run(make, [...how, image]);
  truncateSync(image, IMAGE_BYTES);
  run('cp', ['--sparse=always', image, fresh]);
  const trace = join(folder, 'commands.trace');
  const qemu = spawn('qemu-system-x86_64', [
    ...['-accel', 'tcg,thread=multi', '-cpu', 'max', '-machine', 'q35', '-smp', '2'],
    ...['-m', '2048', '-nodefaults', '-nographic', '-serial', 'stdio', '-no-reboot'],
    ...['-kernel', join(kernel.root, 'boot', `vmlinuz-${kernel.version}`), '-initrd', archive],
    ...['-append', 'console=ttyS0 quiet panic=-1'],
    ...['-blockdev', `driver=file,filename=${image},node-name=image,discard=unmap`],
    ...['-blockdev', `driver=file,filename=${log},node-name=log`],
    ...['-blockdev', 'driver=blklogwrites,file=image,log=log,node-name=disk'],
    ...['-device', 'nvme,serial=cairn,drive=disk'],
    ...['-virtfs'],
    'local,path=/,mount_tag=hostroot,security_model=none,readonly=on,multidevs=remap',
    ...['-msg', 'timestamp=on', '-trace', `enable=pci_nvme_io_cmd,file=${trace}`],
  ]);
  const lines: GuestLine[] = [];
  let errors = '';
  qemu.stderr.on('data', (data: Buffer) => (errors += data.toString()));
  createInterface(qemu.stdout).on('line', (text) => {
    lines.push({ text: text.trim(), time: Date.now() / 1000 });
    console.error(`guest: ${text.trim()}`);
  });
  const timer = setTimeout(() => qemu.kill('SIGKILL'), options.timeoutMs);
  await new Promise((resolve) => qemu.on('close', resolve));
  clearTimeout(timer);
  if (errors !== '') console.error(errors);
  return { lines, commands: commandsOf(trace), fresh, log };
}
